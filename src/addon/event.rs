//! What Rust tells JavaScript: one closed enum, there a number and up to three arguments.

use std::os::fd::{IntoRawFd, OwnedFd};

use napi_derive::napi;

use super::callback::Scope;
use crate::protocol::{Bound, SocketName};

/// Something that happened on a channel, and what is said with it. Descriptors belong to JavaScript
/// from then on.
#[napi]
pub enum EventType {
    /// `(text, count)`: `count` user messages, JSON texts with commas between them.
    Json,
    /// `(text)`: one user message that is a string.
    Text,
    /// `(bytes, count)`: `count` user messages, serialized by V8, each preceded by its length.
    Advanced,
    /// `(text, fd)`: a user message with a handle. No `fd`: it was lost on the way.
    JsonHandle,
    /// `(bytes, fd)`: the same, serialized by V8.
    AdvancedHandle,
    /// `(received)`: the other side has (or has not) received the last handle.
    HandleReceived,
    /// `(bytes)`: so many of all bytes ever sent have been taken: read, or as if in a socket.
    Taken,
    /// `(error)`: the other end is gone. A negative errno if that was not its wish.
    Closed,

    /// To the primary: the worker is about to run user code.
    Online,
    /// `(info)` to the primary: a server of the worker listens; `info` is JSON.
    Listening,
    /// To the primary: the worker leaves of its own will.
    Leaving,

    /// `(server, answer)` to a worker: a [`BoundAnswer`] to `listen`.
    Bound,
    /// `(server, listener, fd)` to a worker: a connection for one of its servers.
    Connection,
    /// To a worker: the primary knows that it leaves.
    LeaveAcknowledged,
    /// To a worker: close all servers, then the channel.
    Leave,
}

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

/// The answer to a worker's `listen`.
#[napi(object, object_from_js = false)]
pub struct BoundAnswer {
    pub errno: i32,
    pub sockname: Option<Sockname>,
    pub data: Option<String>,
    pub pipe: bool,
    /// The socket itself, if the worker is to accept from it.
    pub fd: Option<i32>,
}

impl BoundAnswer {
    fn new(answer: Bound, socket: Option<OwnedFd>) -> Self {
        // Lost on the way, because this process had no number for it.
        let lost = answer.shared && socket.is_none();
        Self {
            errno: if lost { -nix::libc::EMFILE } else { answer.errno },
            sockname: answer.name.map(Sockname::from),
            data: answer.data,
            pipe: answer.pipe,
            fd: socket.map(IntoRawFd::into_raw_fd),
        }
    }
}

/// An event that is not a message: see [`EventType`].
pub enum Event {
    HandleReceived(bool),
    Taken { bytes: i64 },
    Closed { error: Option<i32> },
    Online,
    Listening { info: String },
    Leaving,
    Bound { server: u32, answer: Bound, socket: Option<OwnedFd> },
    Connection { server: u32, listener: u32, connection: OwnedFd },
    LeaveAcknowledged,
    Leave,
}

impl Event {
    pub fn tell(self, scope: &Scope<'_>) {
        match self {
            Self::HandleReceived(received) => {
                scope.call(EventType::HandleReceived, &[scope.value(received)]);
            }
            Self::Taken { bytes } => scope.call(EventType::Taken, &[scope.value(bytes)]),
            Self::Closed { error } => scope.call(EventType::Closed, &[scope.value(error)]),
            Self::Online => scope.call(EventType::Online, &[]),
            Self::Listening { info } => scope.call(EventType::Listening, &[scope.value(info)]),
            Self::Leaving => scope.call(EventType::Leaving, &[]),
            Self::Bound { server, answer, socket } => {
                let answer = scope.value(BoundAnswer::new(answer, socket));
                scope.call(EventType::Bound, &[scope.value(server), answer]);
            }
            Self::Connection { server, listener, connection } => {
                let fd = scope.value(connection.into_raw_fd());
                scope
                    .call(EventType::Connection, &[scope.value(server), scope.value(listener), fd]);
            }
            Self::LeaveAcknowledged => scope.call(EventType::LeaveAcknowledged, &[]),
            Self::Leave => scope.call(EventType::Leave, &[]),
        }
    }
}
