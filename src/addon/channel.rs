//! The class for one end of a channel; [`Endpoint`] does the work.

use std::rc::Rc;

use napi::bindgen_prelude::Uint8Array;
use napi_derive::napi;

use super::callback::{Text, TextFunction};
use super::endpoint::Endpoint;
use super::{negative_errno, text};
use crate::protocol::Kind;
use crate::sys::fd;

/// One end of the message channel between the primary and a worker.
#[napi]
pub struct Channel {
    endpoint: Rc<Endpoint>,
}

#[napi]
impl Channel {
    pub(super) fn new(endpoint: Rc<Endpoint>) -> Self {
        Self { endpoint }
    }

    /// A function `(text, count)` that sends `count` user messages: JSON texts with commas between
    /// them. It returns 0 if they have been taken, else up to where all must have been
    /// ([`EventType::Taken`]), or a negative errno.
    #[napi(ts_return_type = "(text: string, count: number) => number")]
    pub fn json_sender(&self) -> TextFunction {
        let endpoint = Rc::clone(&self.endpoint);
        TextFunction::new(move |text, count| {
            endpoint.write(|core| text::send_json(core, text, count))
        })
    }

    /// Sends one user message that is a string.
    #[napi]
    pub fn send_text(&self, #[napi(ts_arg_type = "string")] text: Text<'_>) -> i64 {
        self.endpoint.send_string(&text)
    }

    /// Sends `count` user messages, serialized by V8, each preceded by its length: the bytes of all
    /// parts, one after the other.
    #[napi]
    pub fn send_advanced(&self, parts: Vec<Uint8Array>, count: u32) -> i64 {
        let parts: Vec<&[u8]> = parts.iter().map(|part| &part[..]).collect();
        self.endpoint.send(Kind::Advanced, count, &parts, &[])
    }

    /// Sends one user message to all other workers: its JSON.
    #[napi]
    pub fn broadcast_json(&self, text: String) -> i64 {
        self.endpoint.send(Kind::JsonBroadcast, 1, &[text.as_bytes()], &[])
    }

    /// The same, serialized by V8 and preceded by its length.
    #[napi]
    pub fn broadcast_advanced(&self, bytes: Uint8Array) -> i64 {
        self.endpoint.send(Kind::AdvancedBroadcast, 1, &[&bytes], &[])
    }

    /// Sends a user message with a descriptor; the caller keeps it.
    #[napi]
    pub fn send_json_handle(&self, text: String, descriptor: i32) -> i64 {
        self.send_handle(Kind::JsonHandle, text.as_bytes(), descriptor)
    }

    #[napi]
    pub fn send_advanced_handle(&self, bytes: Uint8Array, descriptor: i32) -> i64 {
        self.send_handle(Kind::AdvancedHandle, &bytes, descriptor)
    }

    fn send_handle(&self, kind: Kind, payload: &[u8], descriptor: i32) -> i64 {
        fd::borrow(descriptor, |fd| self.endpoint.send(kind, 1, &[payload], &[fd]))
            .unwrap_or_else(|error| i64::from(negative_errno(&error)))
    }

    /// Tells the other side that its last handle has arrived, or was lost on the way.
    #[napi]
    pub fn acknowledge_handle(&self, received: bool) {
        self.endpoint.send(Kind::HandleReceived, 1, &[&[u8::from(received)]], &[]);
    }

    /// Whether the channel keeps the event loop alive. Bytes not yet written do in any case.
    #[napi]
    pub fn set_ref(&self, referenced: bool) {
        self.endpoint.set_ref(referenced);
    }

    /// Ends the channel. What was sent still leaves; returns whether all has left. If not, there
    /// are events of that, and of its end.
    #[napi]
    pub fn close(&self) -> bool {
        self.endpoint.close()
    }

    /// The descriptor's number, for `channel.fd`; only to look at. -1 once closed.
    #[napi(getter)]
    pub fn fd(&self) -> i32 {
        self.endpoint.fd()
    }
}
