//! A channel on Node's event loop: both ends, primary and worker.
//!
//! Written by the thread that sends and read in the loop's own poll phase, because a wake-up of
//! another thread would cost more than the message.

use std::cell::{Cell, OnceCell, RefCell};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, IntoRawFd, OwnedFd};
use std::rc::{Rc, Weak};

use napi::bindgen_prelude::Env;
use serde::Serialize;

use super::batch::{Batch, Finished, Item};
use super::callback::{Callback, Scope, Text, event_loop};
use super::event::Event;
use super::text;
use super::{negative_errno, to_js};

use crate::channel::{Channel as Core, Left};
use crate::protocol::Kind;
use crate::sys::fd;
use crate::sys::uv::{Loop, Poll, Ready, Timer};

/// Turns a control message into an event for JavaScript, or acts on it alone. `Err` for one that
/// is malformed.
pub type OnControl = Box<dyn Fn(&[u8], Vec<OwnedFd>) -> serde_json::Result<Option<Event>>>;

/// Passes a worker's message on to the others.
pub type OnBroadcast = Box<dyn Fn(Kind, u32, &[u8])>;

/// How long to wait for the system to take descriptors again, in milliseconds: nothing tells.
const SOCKET_PAUSE: u64 = 10;

/// How often a turn of the loop reads again when more has come meanwhile.
const MAX_READS: usize = 32;

/// What the class, libuv's callbacks and the control handler share. One thread.
pub struct Endpoint {
    // Declared, and so dropped, before the descriptors that it watches. Both are gone once closed.
    watched: RefCell<Option<Watched>>,
    core: RefCell<Option<Core>>,
    callback: Callback,
    on_control: OnceCell<OnControl>,
    on_broadcast: OnceCell<OnBroadcast>,
    /// Whether JavaScript wants the channel to keep the event loop alive.
    referenced: Cell<bool>,
    state: Cell<State>,
    /// Something of what was sent has not been taken.
    behind: Cell<bool>,
    /// Events of one read are being told.
    reading: Cell<bool>,
    /// For the JSON of one read.
    scratch: RefCell<Vec<u8>>,
    /// For a string that is sent.
    units: RefCell<Vec<u16>>,
}

/// On libuv's loop.
struct Watched {
    /// There is something to read, or room. Keeps the loop alive for the channel.
    waker: Poll,
    /// Descriptors, and the end.
    socket: Poll,
    /// The system takes no descriptors now.
    pause: Timer,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    /// Closed by JavaScript; what it had sent is still being written, and it is told so.
    Draining,
    Closed,
}

impl Endpoint {
    pub fn new(core: Core, callback: Callback) -> Rc<Self> {
        Rc::new(Self {
            watched: RefCell::new(None),
            core: RefCell::new(Some(core)),
            callback,
            on_control: OnceCell::new(),
            on_broadcast: OnceCell::new(),
            referenced: Cell::new(false),
            state: Cell::new(State::Open),
            behind: Cell::new(false),
            reading: Cell::new(false),
            scratch: RefCell::default(),
            units: RefCell::default(),
        })
    }

    /// Starts to read.
    pub fn start(self: &Rc<Self>, env: Env, on_control: OnControl) -> io::Result<()> {
        let event_loop = event_loop(env).map_err(io::Error::other)?;
        if let Some(core) = self.core.borrow().as_ref() {
            self.watched.replace(Some(self.watch(event_loop, core)?));
        }
        // Set once, here.
        let _ = self.on_control.set(on_control);
        self.update();
        self.wait();
        Ok(())
    }

    fn watch(self: &Rc<Self>, event_loop: Loop, core: &Core) -> io::Result<Watched> {
        let poll = |descriptor: BorrowedFd<'_>, on_ready: fn(&Self, Ready)| {
            let weak = Rc::downgrade(self);
            let poll = Poll::new(event_loop, descriptor, move |ready| {
                if let Some(endpoint) = Weak::upgrade(&weak) {
                    on_ready(&endpoint, ready);
                }
            })?;
            poll.watch(true)?;
            poll.set_ref(false);
            Ok::<_, io::Error>(poll)
        };
        let weak = Rc::downgrade(self);
        let on_timer = move || weak.upgrade().iter().for_each(|endpoint| endpoint.flush());
        Ok(Watched {
            waker: poll(core.waker(), |endpoint, _| endpoint.on_wake())?,
            socket: poll(core.socket(), Self::on_socket)?,
            pause: Timer::new(event_loop, on_timer)?,
        })
    }

    pub fn set_on_broadcast(&self, on_broadcast: OnBroadcast) {
        // Set once, when it is made.
        let _ = self.on_broadcast.set(on_broadcast);
    }

    /// Sends user messages that are not from this process.
    pub fn pass_on(&self, kind: Kind, count: u32, payload: &[u8]) {
        // A worker that is going gets it no more; its channel tells that.
        let _ = self.send(kind, count, &[payload], &[]);
    }

    pub fn tell(&self, event: Event) {
        self.callback.scope(|scope| event.tell(scope));
    }

    pub fn send_control(&self, message: &impl Serialize, fds: &[BorrowedFd<'_>]) {
        // Our own types always serialize; a broken channel is told to JavaScript by its end.
        if let Ok(payload) = serde_json::to_vec(message) {
            let _ = self.send(Kind::Control, 1, &[&payload], fds);
        }
    }

    /// Returns 0, or up to where all must have been taken for this to be (see [`Event::Taken`]), or
    /// a negative errno.
    pub fn send(&self, kind: Kind, count: u32, payload: &[&[u8]], fds: &[BorrowedFd<'_>]) -> i64 {
        self.write(|core| core.send(kind, count, payload, fds))
    }

    pub fn send_string(&self, string: &Text<'_>) -> i64 {
        let mut scratch = self.units.borrow_mut();
        self.write(|core| text::send_string(core, string, &mut scratch))
    }

    pub fn write(&self, write: impl FnOnce(&mut Core) -> io::Result<()>) -> i64 {
        let mut core = self.core.borrow_mut();
        let Some(open) = core.as_mut().filter(|_| self.state.get() == State::Open) else {
            return i64::from(-nix::libc::EPIPE);
        };
        let result = write(open);
        let pending = open.pending();
        let sent = open.sent();
        drop(core);
        if self.behind.replace(pending > 0) != (pending > 0) {
            self.update();
        }
        match result {
            Ok(()) if pending == 0 => 0,
            Ok(()) => to_js(sent),
            Err(error) => i64::from(negative_errno(&error)),
        }
    }

    fn on_wake(&self) {
        // First of all: from here on a wake-up is about something that may not be seen below.
        if let Some(core) = self.core.borrow().as_ref() {
            core.settle();
        }
        if self.behind.get() {
            self.flush();
        }
        self.on_incoming();
    }

    fn on_socket(&self, ready: Ready) {
        if let Some(core) = self.core.borrow_mut().as_mut() {
            // A broken socket is at its end.
            let _ = core.receive_fds();
        }
        self.on_incoming();
        if ready.stopped {
            // What is still there is told again.
            if let Some(watched) = self.watched.borrow().as_ref() {
                let _ = watched.socket.watch(true);
            }
        }
    }

    fn on_incoming(&self) {
        match self.state.get() {
            State::Open => self.read(),
            State::Draining => self.discard(),
            State::Closed => {}
        }
    }

    /// Nobody wants what arrives any more, but the other end needs the room to read what we still
    /// have for it, and it may die.
    fn discard(&self) {
        let left = match self.core.borrow_mut().as_mut() {
            Some(core) => core.receive(|_| ()),
            None => return,
        };
        match left {
            Ok(Left::Nothing) => self.wait(),
            Ok(Left::More) => self.wake(),
            Ok(Left::End) | Err(_) => self.end(None),
        }
    }

    fn flush(&self) {
        let mut core = self.core.borrow_mut();
        let Some(open) = core.as_mut() else { return };
        // What cannot be written any more is told by the end of the channel.
        let failed = open.flush().is_err();
        let (unsent, pending, sent) = (open.unsent(), open.pending(), open.sent());
        drop(core);
        self.behind.set(pending > 0);
        self.update();
        let over = self.state.get() == State::Draining && (failed || unsent == 0);
        // What is in the ring stays there for the other side.
        let taken = if over && !failed { sent } else { sent - pending as u64 };
        self.tell(Event::Taken { bytes: to_js(taken) });
        if over {
            self.end(None);
        }
    }

    /// Tells JavaScript what has come.
    fn read(&self) {
        for _ in 0..MAX_READS {
            let Some(result) = self.callback.scope(|scope| self.read_in(scope)) else { return };
            if self.state.get() != State::Open {
                self.let_go();
                return;
            }
            let error = match result {
                Ok(Left::More) => break,
                Ok(Left::Nothing) if self.rest() => return,
                // More has come meanwhile.
                Ok(Left::Nothing) => continue,
                Ok(Left::End) => None,
                Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                    Some(-nix::libc::EPROTO)
                }
                Err(error) => Some(negative_errno(&error)),
            };
            self.end(error);
            return;
        }
        // The loop comes back, behind its other work.
        self.wake();
    }

    fn read_in(&self, scope: &Scope<'_>) -> io::Result<Left> {
        // Whoever handles a frame may send, so that is done after `core` is let go.
        let mut batch = Batch::new(scope, self.scratch.take());
        let result = match self.core.borrow_mut().as_mut() {
            Some(core) => core.receive(|frame| batch.add(frame)),
            None => return Ok(Left::End),
        };
        let Finished { items, scratch, well_formed, starved } = batch.finish();
        self.scratch.replace(scratch);
        // All of them are told, even if the first one makes JavaScript close the channel.
        self.reading.set(true);
        let well_formed = items.into_iter().all(|item| self.dispatch(scope, item)) && well_formed;
        self.reading.set(false);
        match result {
            _ if !well_formed => Err(io::ErrorKind::InvalidData.into()),
            // It is sent again, and the program needs a turn to close something before that.
            Ok(Left::Nothing) if starved => Ok(Left::More),
            result => result,
        }
    }

    /// Returns whether the item was well-formed.
    fn dispatch(&self, scope: &Scope<'_>, item: Item<'_>) -> bool {
        match item {
            Item::Messages(event, value, count) => {
                scope.call(event, &[Some(value), scope.value(count)]);
            }
            Item::Handle(event, value, descriptor) => {
                let descriptor = scope.value(descriptor.map(IntoRawFd::into_raw_fd));
                scope.call(event, &[Some(value), descriptor]);
            }
            Item::Event(event) => event.tell(scope),
            Item::Broadcast(kind, count, payload) => {
                // Only the primary passes it on; to a worker it never comes.
                let Some(pass_on) = self.on_broadcast.get() else { return false };
                pass_on(kind, count, &payload);
            }
            Item::Control(payload, fds) => {
                match self.on_control.get().map(|handle| handle(&payload, fds)).transpose() {
                    Ok(event) => {
                        if let Some(event) = event.flatten() {
                            event.tell(scope);
                        }
                    }
                    Err(_) => return false,
                }
            }
        }
        true
    }

    /// All has been read: whether the waker will tell of more. If not, there is more.
    fn rest(&self) -> bool {
        self.core.borrow_mut().as_mut().is_none_or(Core::wait)
    }

    /// The waker shall tell of what is there, or comes.
    fn wait(&self) {
        if !self.rest() {
            self.wake();
        }
    }

    /// Makes the loop come back to this channel.
    fn wake(&self) {
        if let Some(core) = self.core.borrow().as_ref() {
            fd::wake(core.waker());
        }
    }

    /// Returns whether all that was sent has left.
    pub fn close(&self) -> bool {
        if self.state.get() == State::Open {
            let unsent = self.unsent();
            self.state.set(if unsent > 0 { State::Draining } else { State::Closed });
            self.update();
            self.let_go();
        }
        self.state.get() == State::Closed
    }

    /// Nothing comes or leaves any more.
    fn end(&self, error: Option<i32>) {
        self.state.set(State::Closed);
        self.update();
        self.tell(Event::Closed { error });
        self.let_go();
    }

    /// Once closed there is nothing more to tell than what is being told.
    fn let_go(&self) {
        if self.state.get() == State::Closed && !self.reading.get() {
            self.callback.release();
        }
    }

    /// Keeps the loop alive if it must in the present state, and nothing once closed.
    fn update(&self) {
        let open = self.state.get() == State::Open;
        if self.state.get() == State::Closed {
            self.watched.take();
            self.core.take();
        } else if let Some(watched) = self.watched.borrow().as_ref() {
            watched.waker.set_ref(self.behind.get() || (open && self.referenced.get()));
            if self.core.borrow_mut().as_mut().is_some_and(Core::waits_for_socket) {
                watched.pause.start(SOCKET_PAUSE);
            }
        }
    }

    /// Whether the channel keeps the event loop alive. What is unsent does in any case.
    pub fn set_ref(&self, referenced: bool) {
        self.referenced.set(referenced);
        self.update();
    }

    /// The number of the socket; -1 once closed.
    pub fn fd(&self) -> i32 {
        self.core.borrow().as_ref().map_or(-1, |core| core.socket().as_raw_fd())
    }

    fn unsent(&self) -> usize {
        self.core.borrow().as_ref().map_or(0, Core::unsent)
    }
}
