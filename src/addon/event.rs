//! What Rust tells JavaScript: one closed enum, an object with a `type` there.

use std::os::fd::{IntoRawFd, OwnedFd};

use napi::bindgen_prelude::Buffer;
use napi_derive::napi;

use super::callback::Text;
use crate::protocol::{Bound, SocketName};

/// The local address of a bound socket, as `handle.getsockname()` fills it in.
#[napi(object, object_from_js = false)]
pub struct Sockname {
    pub address: String,
    pub family: String,
    pub port: u16,
}

impl From<SocketName> for Sockname {
    fn from(name: SocketName) -> Self {
        let family = if name.ipv6 { "IPv6" } else { "IPv4" };
        Self { address: name.address, family: family.to_owned(), port: name.port }
    }
}

/// Something that happened on a channel. Descriptors in it belong to JavaScript from then on.
#[napi(discriminant = "type", discriminant_case = "camelCase", object_from_js = false)]
pub enum Event {
    /// `count` user messages: JSON texts with commas between them.
    Json {
        text: Text,
        count: u32,
    },
    /// One user message that is a string.
    Text {
        text: Text,
    },
    /// `count` user messages, serialized by V8, each preceded by its length.
    Advanced {
        bytes: Buffer,
        count: u32,
    },
    /// A user message with a handle. No `fd`: it was lost on the way.
    JsonHandle {
        text: String,
        fd: Option<i32>,
    },
    AdvancedHandle {
        bytes: Buffer,
        fd: Option<i32>,
    },
    /// The other side has (or has not) received the last handle.
    HandleReceived {
        received: bool,
    },
    /// The kernel has taken `bytes` more of what was sent; `unsent` still wait.
    Written {
        bytes: i64,
        unsent: i64,
    },
    /// The other end is gone. `error` is a negative errno if that was not its wish.
    Closed {
        error: Option<i32>,
    },

    /// To the primary: the worker is about to run user code.
    Online,
    /// To the primary: a server of the worker listens; `info` is JSON.
    Listening {
        info: String,
    },
    /// To the primary: the worker leaves of its own will.
    Leaving,

    /// To a worker: the answer to `listen`.
    Bound {
        server: u32,
        errno: i32,
        sockname: Option<Sockname>,
        data: Option<String>,
        pipe: bool,
        /// The socket itself, if the worker is to accept from it.
        fd: Option<i32>,
    },
    /// To a worker: a connection for one of its servers.
    Connection {
        server: u32,
        listener: u32,
        fd: i32,
    },
    /// To a worker: the primary knows that it leaves.
    LeaveAcknowledged,
    /// To a worker: close all servers, then the channel.
    Leave,
}

impl Event {
    #[must_use]
    pub fn bound(server: u32, answer: Bound, socket: Option<OwnedFd>) -> Self {
        Self::Bound {
            server,
            // Lost on the way, because this process had no number for it.
            errno: if answer.shared && socket.is_none() {
                -nix::libc::EMFILE
            } else {
                answer.errno
            },
            sockname: answer.name.map(Sockname::from),
            data: answer.data,
            pipe: answer.pipe,
            fd: socket.map(IntoRawFd::into_raw_fd),
        }
    }
}
