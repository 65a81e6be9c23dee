//! The message socket on Node's event loop: both ends, primary and worker.
//!
//! Written by the thread that sends and read in the loop's own poll phase, because a wake-up of
//! another thread would cost more than the message.

use std::cell::{Cell, OnceCell, RefCell};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::rc::{Rc, Weak};

use napi::bindgen_prelude::{Env, Result, Uint8Array};
use napi_derive::napi;
use serde::Serialize;

use super::batch::{Batch, Item};
use super::callback::{Callback, Text, event_loop};
use super::event::Event;
use super::js_error;

use crate::channel::{Channel as Core, Frame};
use crate::protocol::Kind;
use crate::sys::fd;
use crate::sys::uv::{Interest, Poll, Ready};

/// Turns a control message into an event for JavaScript, or acts on it alone. `Err` for one that
/// is malformed.
pub type OnControl = Box<dyn Fn(&[u8], Vec<OwnedFd>) -> serde_json::Result<Option<Event>>>;

/// Passes a worker's message on to the others.
pub type OnBroadcast = Box<dyn Fn(Kind, u32, &[u8])>;

/// What the class, the poll callback and the control handler share. One thread.
pub struct Shared {
    // Declared, and so dropped, before the socket that it watches. Both are gone once closed.
    poll: RefCell<Option<Poll>>,
    core: RefCell<Option<Core>>,
    callback: Callback,
    on_control: OnceCell<OnControl>,
    on_broadcast: OnceCell<OnBroadcast>,
    /// Whether JavaScript wants the channel to keep the event loop alive.
    referenced: Cell<bool>,
    state: Cell<State>,
    /// Events of one read are being told.
    reading: Cell<bool>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    /// Closed for JavaScript; what it had sent is still being written.
    Draining,
    Closed,
}

impl Shared {
    pub fn new(socket: OwnedFd, callback: Callback) -> Rc<Self> {
        Rc::new(Self {
            poll: RefCell::new(None),
            core: RefCell::new(Some(Core::new(socket))),
            callback,
            on_control: OnceCell::new(),
            on_broadcast: OnceCell::new(),
            referenced: Cell::new(false),
            state: Cell::new(State::Open),
            reading: Cell::new(false),
        })
    }

    /// Starts to read.
    pub fn start(self: &Rc<Self>, env: Env, on_control: OnControl) -> Result<()> {
        let weak = Rc::downgrade(self);
        let on_ready = move |ready| {
            if let Some(shared) = Weak::upgrade(&weak) {
                shared.on_ready(ready);
            }
        };
        if let Some(core) = self.core.borrow().as_ref() {
            let poll = Poll::new(event_loop(env)?, core.socket(), on_ready)
                .map_err(|error| js_error(&error))?;
            self.poll.replace(Some(poll));
        }
        // Set once, here.
        let _ = self.on_control.set(on_control);
        self.update();
        Ok(())
    }

    pub fn set_on_broadcast(&self, on_broadcast: OnBroadcast) {
        // Set once, when it is made.
        let _ = self.on_broadcast.set(on_broadcast);
    }

    /// Sends user messages that are not from this process.
    pub fn pass_on(&self, kind: Kind, count: u32, payload: &[u8]) {
        // A worker that is going gets it no more; its channel tells that.
        let _ = self.send(kind, count, payload, Vec::new());
    }

    pub fn call(&self, event: Event) {
        self.callback.call(event);
    }

    /// Reads one frame at once, before the event loop runs.
    pub fn receive_first(&self) -> io::Result<Option<(Vec<u8>, Vec<OwnedFd>)>> {
        let mut first = None;
        // The kernel ends a read behind descriptors, and the first frame has some, so it is alone.
        let take = |frame: Frame<'_>| first = Some((frame.payload.to_vec(), frame.fds));
        self.core.borrow_mut().as_mut().map(|core| core.receive(take)).transpose()?;
        Ok(first)
    }

    pub fn send_control(&self, message: &impl Serialize, fds: Vec<OwnedFd>) {
        // Our own types always serialize; a broken socket is told to JavaScript by its read end.
        if let Ok(payload) = serde_json::to_vec(message) {
            let _ = self.send(Kind::Control, 1, &payload, fds);
        }
    }

    /// Returns the bytes still unsent, or a negative errno.
    fn send(&self, kind: Kind, count: u32, payload: &[u8], fds: Vec<OwnedFd>) -> i64 {
        self.send_parts(kind, count, &[payload], fds)
    }

    fn send_parts(&self, kind: Kind, count: u32, payload: &[&[u8]], fds: Vec<OwnedFd>) -> i64 {
        let mut core = self.core.borrow_mut();
        let Some(open) = core.as_mut().filter(|_| self.state.get() == State::Open) else {
            return i64::from(-nix::libc::EPIPE);
        };
        let was_empty = open.unsent() == 0;
        let result = open.send(kind, count, payload, fds);
        let unsent = open.unsent();
        drop(core);
        if was_empty && unsent > 0 {
            self.update();
        }
        match result {
            Ok(()) => to_js(unsent),
            Err(error) => i64::from(negative_errno(&error)),
        }
    }

    fn on_ready(&self, ready: Ready) {
        if ready.writable {
            self.flush();
        }
        if ready.readable {
            match self.state.get() {
                State::Open => self.read(),
                State::Draining => self.discard(),
                State::Closed => {}
            }
        }
        if ready.stopped {
            // What is still there is told again.
            self.update();
        }
    }

    /// Nobody wants what arrives any more, but the other end needs the room to read what we still
    /// have for it, and it may die.
    fn discard(&self) {
        let over = match self.core.borrow_mut().as_mut() {
            Some(core) => !core.receive(|_| ()).unwrap_or(false),
            None => return,
        };
        if over {
            self.state.set(State::Closed);
            self.update();
        }
    }

    fn flush(&self) {
        let mut core = self.core.borrow_mut();
        let Some(open) = core.as_mut() else { return };
        let before = open.unsent();
        // What cannot be written any more is told by the end of the stream.
        let failed = open.flush().is_err();
        let unsent = open.unsent();
        drop(core);
        if self.state.get() == State::Draining && (failed || unsent == 0) {
            self.state.set(State::Closed);
        }
        if failed || unsent == 0 {
            self.update();
        }
        if self.state.get() == State::Open && unsent < before {
            let (bytes, unsent) = (to_js(before - unsent), to_js(unsent));
            self.call(Event::Written { bytes, unsent });
        }
    }

    fn read(&self) {
        // Whoever handles a frame may send, so that is done after `core` is let go.
        let mut batch = Batch::default();
        let received =
            self.core.borrow_mut().as_mut().map(|core| core.receive(|frame| batch.add(frame)));
        let Some(result) = received else { return };
        batch.finish_json();
        // All of them are told, even if the first one makes JavaScript close the channel.
        self.reading.set(true);
        let well_formed = batch.items.into_iter().all(|item| self.dispatch(item));
        self.reading.set(false);
        if self.state.get() != State::Open {
            self.callback.release();
            return;
        }
        let error = match result {
            _ if !well_formed => Some(-nix::libc::EPROTO),
            Ok(true) => return,
            Ok(false) => None,
            Err(error) if error.kind() == io::ErrorKind::InvalidData => Some(-nix::libc::EPROTO),
            Err(error) => Some(negative_errno(&error)),
        };
        self.state.set(State::Closed);
        self.update();
        self.call(Event::Closed { error });
        self.callback.release();
    }

    /// Returns whether the item was well-formed.
    fn dispatch(&self, item: Item) -> bool {
        let event = match item {
            Item::Event(event) => Some(event),
            Item::Json(bytes, count) => match Text::new(bytes) {
                Some(text) => Some(Event::Json { text, count }),
                None => return false,
            },
            Item::Text(bytes) => match Text::new(bytes) {
                Some(text) => Some(Event::Text { text }),
                None => return false,
            },
            Item::Broadcast(kind, count, payload) => {
                // Only the primary passes it on; to a worker it never comes.
                let Some(pass_on) = self.on_broadcast.get() else { return false };
                pass_on(kind, count, &payload);
                None
            }
            Item::Control(payload, fds) => {
                match self.on_control.get().map(|handle| handle(&payload, fds)).transpose() {
                    Ok(event) => event.flatten(),
                    Err(_) => return false,
                }
            }
        };
        if let Some(event) = event {
            self.call(event);
        }
        true
    }

    fn close(&self) {
        if self.state.get() == State::Open {
            let unsent = self.unsent();
            self.state.set(if unsent > 0 { State::Draining } else { State::Closed });
            self.update();
            if !self.reading.get() {
                self.callback.release();
            }
        }
    }

    /// Watches what has to be watched in the present state, and keeps the loop alive if it must.
    fn update(&self) {
        let open = self.state.get() == State::Open;
        if self.state.get() == State::Closed {
            self.poll.take();
            self.core.take();
        } else if let Some(poll) = self.poll.borrow().as_ref() {
            let interest = Interest { readable: true, writable: self.unsent() > 0 };
            // Fails only for a descriptor that cannot be polled, and then it did in `start`.
            let _ = poll.watch(interest);
            poll.set_ref(interest.writable || (open && self.referenced.get()));
        }
    }

    fn unsent(&self) -> usize {
        self.core.borrow().as_ref().map_or(0, Core::unsent)
    }
}

/// Sizes are far below 2^53, where a number of JavaScript's stops being exact.
fn to_js(size: usize) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX)
}

fn negative_errno(error: &io::Error) -> i32 {
    match error.kind() {
        io::ErrorKind::InvalidInput if error.raw_os_error().is_none() => -nix::libc::EMSGSIZE,
        _ => -error.raw_os_error().unwrap_or(nix::libc::EIO),
    }
}

/// One end of the message channel between the primary and a worker.
#[napi]
pub struct Channel {
    shared: Rc<Shared>,
}

#[napi]
impl Channel {
    pub(super) fn new(shared: Rc<Shared>) -> Self {
        Self { shared }
    }

    /// Sends `count` user messages: JSON texts with commas between them. Returns the bytes that
    /// the kernel has not taken yet, or a negative errno.
    #[napi]
    pub fn send_json(&self, text: String, count: u32) -> i64 {
        self.shared.send(Kind::Json, count, text.as_bytes(), Vec::new())
    }

    /// Sends one user message that is a string without halves of surrogate pairs.
    #[napi]
    pub fn send_text(&self, text: String) -> i64 {
        self.shared.send(Kind::Text, 1, text.as_bytes(), Vec::new())
    }

    /// Sends `count` user messages, serialized by V8, each preceded by its length.
    #[napi]
    pub fn send_advanced(&self, bytes: Uint8Array, count: u32) -> i64 {
        self.shared.send(Kind::Advanced, count, &bytes, Vec::new())
    }

    /// Sends one user message, serialized by V8, without copying it.
    #[napi]
    pub fn send_advanced_one(&self, bytes: Uint8Array) -> i64 {
        let Ok(length) = u32::try_from(bytes.len()) else {
            return i64::from(-nix::libc::EMSGSIZE);
        };
        let parts: [&[u8]; 2] = [&length.to_le_bytes(), &bytes];
        self.shared.send_parts(Kind::Advanced, 1, &parts, Vec::new())
    }

    /// Sends one user message to all other workers: its JSON.
    #[napi]
    pub fn broadcast_json(&self, text: String) -> i64 {
        self.shared.send(Kind::JsonBroadcast, 1, text.as_bytes(), Vec::new())
    }

    /// The same, serialized by V8 and preceded by its length.
    #[napi]
    pub fn broadcast_advanced(&self, bytes: Uint8Array) -> i64 {
        self.shared.send(Kind::AdvancedBroadcast, 1, &bytes, Vec::new())
    }

    /// Sends a user message with a duplicate of a descriptor; the caller keeps its own.
    #[napi]
    pub fn send_json_handle(&self, text: String, descriptor: i32) -> i64 {
        self.send_handle(Kind::JsonHandle, text.as_bytes(), descriptor)
    }

    #[napi]
    pub fn send_advanced_handle(&self, bytes: Uint8Array, descriptor: i32) -> i64 {
        self.send_handle(Kind::AdvancedHandle, &bytes, descriptor)
    }

    fn send_handle(&self, kind: Kind, payload: &[u8], descriptor: i32) -> i64 {
        match fd::duplicate(descriptor) {
            Ok(duplicate) => self.shared.send(kind, 1, payload, vec![duplicate]),
            Err(error) => i64::from(negative_errno(&error)),
        }
    }

    /// Tells the other side that its last handle has arrived, or was lost on the way.
    #[napi]
    pub fn acknowledge_handle(&self, received: bool) {
        self.shared.send(Kind::HandleReceived, 1, &[u8::from(received)], Vec::new());
    }

    /// Whether the channel keeps the event loop alive. Bytes not yet written do in any case.
    #[napi]
    pub fn set_ref(&self, referenced: bool) {
        self.shared.referenced.set(referenced);
        self.shared.update();
    }

    /// Ends the channel: no more events. What was sent is still written.
    #[napi]
    pub fn close(&self) {
        self.shared.close();
    }

    /// The descriptor's number, for `channel.fd`; only to look at. -1 once closed.
    #[napi(getter)]
    pub fn fd(&self) -> i32 {
        self.shared.core.borrow().as_ref().map_or(-1, |core| core.socket().as_raw_fd())
    }
}
