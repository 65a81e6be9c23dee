//! What one read has brought, until the channel is free to be used by whoever handles it.

use std::os::fd::OwnedFd;

use super::callback::{Scope, Value};
use super::event::{Event, EventType};
use crate::channel::Frame;
use crate::protocol::Kind;

/// From this size on, JSON is not joined with its neighbours: that costs a copy.
const LARGE: usize = 16 * 1024;

/// The frames of one read; neighbouring JSON frames become one.
pub struct Batch<'scope> {
    scope: &'scope Scope<'scope>,
    items: Vec<Item<'scope>>,
    json: Vec<u8>,
    count: u32,
    ascii: bool,
    /// All that could be checked is well-formed.
    well_formed: bool,
    /// There was no number for a descriptor.
    starved: bool,
}

/// What a [`Batch`] has become.
pub struct Finished<'scope> {
    pub items: Vec<Item<'scope>>,
    pub scratch: Vec<u8>,
    pub well_formed: bool,
    pub starved: bool,
}

/// Something to be handled once the channel can be used again.
pub enum Item<'scope> {
    /// User messages, and how many.
    Messages(EventType, Value<'scope>, u32),
    Handle(EventType, Value<'scope>, Option<OwnedFd>),
    Broadcast(Kind, u32, Vec<u8>),
    Control(Vec<u8>, Vec<OwnedFd>),
    Event(Event),
}

impl<'scope> Batch<'scope> {
    /// `scratch` is empty, and given back by [`finish`](Self::finish).
    pub fn new(scope: &'scope Scope<'scope>, scratch: Vec<u8>) -> Self {
        let items = Vec::new();
        let (count, ascii, well_formed, starved) = (0, true, true, false);
        Self { scope, items, json: scratch, count, ascii, well_formed, starved }
    }

    pub fn add(&mut self, frame: Frame<'_>) {
        if matches!(frame.kind, Kind::AsciiJson | Kind::Json) {
            self.add_json(frame.kind == Kind::AsciiJson, frame.payload, frame.count);
            return;
        }
        self.end_json();
        let (scope, payload, count) = (self.scope, frame.payload, frame.count);
        let fd = frame.fds;
        match frame.kind {
            Kind::AsciiJson | Kind::Json | Kind::Skip => {}
            Kind::Control => self.items.push(Item::Control(payload.to_vec(), fd)),
            Kind::Latin1 => self.messages(EventType::Text, scope.latin1(payload), count),
            Kind::Utf16 => self.messages(EventType::Text, scope.utf16(payload), count),
            Kind::Advanced => self.messages(EventType::Advanced, scope.buffer(payload), count),
            Kind::JsonBroadcast => {
                self.items.push(Item::Broadcast(Kind::Json, count, payload.to_vec()));
            }
            Kind::AdvancedBroadcast => {
                self.items.push(Item::Broadcast(Kind::Advanced, count, payload.to_vec()));
            }
            Kind::JsonHandle => self.handle(EventType::JsonHandle, self.text(payload), fd),
            Kind::AdvancedHandle => {
                self.handle(EventType::AdvancedHandle, scope.buffer(payload), fd);
            }
            Kind::HandleReceived => {
                self.items.push(Item::Event(Event::HandleReceived(payload == [1])));
            }
        }
    }

    fn add_json(&mut self, ascii: bool, text: &[u8], count: u32) {
        if text.len() >= LARGE {
            self.end_json();
            let value = if ascii { self.scope.latin1(text) } else { self.text(text) };
            self.messages(EventType::Json, value, count);
            return;
        }
        if self.count > 0 {
            self.json.push(b',');
        }
        self.json.extend_from_slice(text);
        self.count += count;
        self.ascii &= ascii;
    }

    fn end_json(&mut self) {
        if self.count == 0 {
            return;
        }
        let value = if self.ascii { self.scope.latin1(&self.json) } else { self.text(&self.json) };
        self.messages(EventType::Json, value, self.count);
        self.json.clear();
        self.count = 0;
        self.ascii = true;
    }

    fn text(&self, bytes: &[u8]) -> Option<Value<'scope>> {
        std::str::from_utf8(bytes).ok().and_then(|text| self.scope.utf8(text))
    }

    fn messages(&mut self, event: EventType, value: Option<Value<'scope>>, count: u32) {
        match value {
            Some(value) => self.items.push(Item::Messages(event, value, count)),
            None => self.well_formed = false,
        }
    }

    fn handle(&mut self, event: EventType, value: Option<Value<'scope>>, fds: Vec<OwnedFd>) {
        self.starved |= fds.is_empty();
        match value {
            Some(value) => self.items.push(Item::Handle(event, value, fds.into_iter().next())),
            None => self.well_formed = false,
        }
    }

    /// No more frames are added.
    pub fn finish(mut self) -> Finished<'scope> {
        self.end_json();
        let Self { items, json: scratch, well_formed, starved, .. } = self;
        Finished { items, scratch, well_formed, starved }
    }
}
