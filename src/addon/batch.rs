//! What one read has brought, until the channel is free to be used by whoever handles it.

use std::os::fd::{IntoRawFd, OwnedFd};

use super::event::Event;
use crate::channel::Frame;
use crate::protocol::Kind;

/// The frames of one read; neighbouring JSON frames become one.
#[derive(Default)]
pub struct Batch {
    pub items: Vec<Item>,
    json: Vec<u8>,
    count: u32,
}

/// A frame, or several, to be handled once the channel can be used again.
pub enum Item {
    Json(Vec<u8>, u32),
    Text(Vec<u8>),
    Broadcast(Kind, u32, Vec<u8>),
    Control(Vec<u8>, Vec<OwnedFd>),
    Event(Event),
}

impl Batch {
    pub fn add(&mut self, frame: Frame<'_>) {
        if frame.kind == Kind::Json {
            if self.count > 0 {
                self.json.push(b',');
            }
            self.json.extend_from_slice(frame.payload);
            self.count += frame.count;
            return;
        }
        self.finish_json();
        let fd = |fds: Vec<OwnedFd>| fds.into_iter().next().map(IntoRawFd::into_raw_fd);
        self.items.push(match frame.kind {
            Kind::Json => return,
            Kind::Control => Item::Control(frame.payload.to_vec(), frame.fds),
            Kind::Advanced => {
                let (bytes, count) = (frame.payload.into(), frame.count);
                Item::Event(Event::Advanced { bytes, count })
            }
            Kind::Text => Item::Text(frame.payload.to_vec()),
            Kind::JsonBroadcast => Item::Broadcast(Kind::Json, frame.count, frame.payload.to_vec()),
            Kind::AdvancedBroadcast => {
                Item::Broadcast(Kind::Advanced, frame.count, frame.payload.to_vec())
            }
            Kind::JsonHandle => {
                let text = String::from_utf8_lossy(frame.payload).into_owned();
                Item::Event(Event::JsonHandle { text, fd: fd(frame.fds) })
            }
            Kind::AdvancedHandle => {
                let bytes = frame.payload.into();
                Item::Event(Event::AdvancedHandle { bytes, fd: fd(frame.fds) })
            }
            Kind::HandleReceived => {
                Item::Event(Event::HandleReceived { received: frame.payload == [1] })
            }
        });
    }

    pub fn finish_json(&mut self) {
        if self.count > 0 {
            let text = std::mem::take(&mut self.json);
            self.items.push(Item::Json(text, std::mem::take(&mut self.count)));
        }
    }
}
