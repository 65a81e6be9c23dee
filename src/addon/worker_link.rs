//! What the primary has of each worker: the socket of its channel before there is a process, then a
//! [`WorkerLink`].

use std::cell::{Cell, RefCell};
use std::fs::File;
use std::io::{self, IoSlice};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use napi::bindgen_prelude::{Env, Result};
use napi_derive::napi;

use super::callback::Callback;
use super::channel::Channel;
use super::endpoint::Endpoint;
use super::event::Event;
use super::system_error;
use crate::channel::Channel as Core;
use crate::handoff::Handoff;
use crate::io_thread::IoThread;
use crate::protocol::{Bound, Hello, ListenRequest, ToPrimary, ToWorker, WorkerId};
use crate::shared::WorkerPage;
use crate::sys::fd;
use crate::sys::memory::Shared;

/// The socket of a worker's channel, from before its process is started: all that this has to
/// inherit. What else it needs is made while it boots.
#[napi]
pub struct WorkerSocket {
    /// Ours, and the process's.
    ends: RefCell<Option<(OwnedFd, OwnedFd)>>,
}

#[napi]
impl WorkerSocket {
    #[napi(constructor)]
    pub fn new() -> Result<Self, String> {
        let ends = fd::stream_pair().map_err(|error| system_error(&error))?;
        Ok(Self { ends: RefCell::new(Some(ends)) })
    }

    /// The descriptor that the worker's process has to inherit; -1 if it is closed.
    #[napi(getter)]
    pub fn child_fd(&self) -> i32 {
        self.ends.borrow().as_ref().map_or(-1, |(_, child)| child.as_raw_fd())
    }

    /// There is no process that could inherit it.
    #[napi]
    pub fn close(&self) {
        self.ends.take();
    }

    /// Ours, and the process's, which it has inherited by now or never will.
    pub fn take(&self) -> io::Result<(OwnedFd, OwnedFd)> {
        self.ends.take().ok_or_else(|| io::ErrorKind::NotConnected.into())
    }
}

/// What the primary has for a new worker.
pub struct Connected {
    core: Core,
    page: Arc<Shared<WorkerPage>>,
    handoff: Handoff,
    returns: OwnedFd,
}

/// Makes what a worker and its primary need of each other, and greets the worker. Its end is closed
/// here afterwards: if there is no process, that is the end of the channel.
pub fn connect(
    (ours, _theirs): (OwnedFd, OwnedFd),
    advanced: bool,
    text: String,
    code: Option<&File>,
) -> io::Result<Connected> {
    let (core, end) = Core::create(ours)?;
    let (sender, receiver) = fd::packet_pair()?;
    let returns = sender.try_clone()?;
    let (page, memory) = Shared::<WorkerPage>::create(c"rust-cluster-worker")?;
    let page = Arc::new(page);
    // Last of all, because the worker runs when it has it.
    let fds = [&receiver, &memory, &end.memory, &end.its_waker, &end.our_waker];
    let fds: Vec<_> = fds.into_iter().map(AsFd::as_fd).chain(code.map(AsFd::as_fd)).collect();
    let hello = Hello { advanced, text }.encode(fd::largest_piece(core.socket())?);
    if fd::send(core.socket(), &[IoSlice::new(&hello)], &fds)? < hello.len() {
        return Err(io::ErrorKind::WriteZero.into());
    }
    let handoff = Handoff::new(sender, receiver, Arc::clone(&page), Instant::now());
    Ok(Connected { core, page, handoff, returns })
}

/// The primary's end of one worker.
#[napi]
pub struct WorkerLink {
    place: Rc<Place>,
    channel: Rc<Endpoint>,
    goodbye: Rc<Cell<bool>>,
    page: Arc<Shared<WorkerPage>>,
}

impl WorkerLink {
    /// Begins to serve the worker's channel.
    pub fn open(
        env: Env,
        id: WorkerId,
        Connected { core, page, handoff, returns }: Connected,
        callback: Callback,
        io: Rc<IoThread>,
        balanced: Rc<Cell<bool>>,
    ) -> io::Result<Self> {
        let channel = Endpoint::new(core, callback);
        let goodbye = Rc::new(Cell::new(false));
        let newcomer = RefCell::new(Some(Newcomer { handoff, returns }));
        let place = Rc::new(Place { id, io, newcomer });
        let control = Control {
            place: Rc::clone(&place),
            balanced,
            goodbye: Rc::clone(&goodbye),
            channel: Rc::downgrade(&channel),
        };
        let on_control = move |payload: &[u8], _: Vec<OwnedFd>| {
            Ok(control.handle(serde_json::from_slice(payload)?))
        };
        channel.start(env, Box::new(on_control))?;
        Ok(Self { place, channel, goodbye, page })
    }

    pub fn endpoint(&self) -> &Rc<Endpoint> {
        &self.channel
    }
}

#[napi]
impl WorkerLink {
    /// Changes whenever the worker's event loop turns; see [`WorkerPage::phase`].
    #[napi(getter)]
    pub fn turns(&self) -> i64 {
        i64::try_from(self.page.phase.load(Ordering::Acquire)).unwrap_or(i64::MAX)
    }

    /// Open connections of the worker's servers, as the worker counts them.
    #[napi(getter)]
    pub fn connections(&self) -> u32 {
        self.page.open_connections.load(Ordering::Relaxed)
    }

    /// Makes an event loop that waits turn once.
    #[napi]
    pub fn nudge(&self) {
        self.channel.send_control(&ToWorker::Nudge, &[]);
    }

    #[napi]
    pub fn channel(&self) -> Channel {
        Channel::new(Rc::clone(&self.channel))
    }

    /// The worker gets no more connections, and listeners that were its alone are closed.
    #[napi]
    pub fn leave_listeners(&self) {
        self.place.leave();
    }

    /// Tells the worker to close its servers and then the channel.
    #[napi]
    pub fn tell_to_leave(&self) {
        self.channel.send_control(&ToWorker::Leave, &[]);
    }

    /// Tells the worker that the primary knows that it leaves.
    #[napi]
    pub fn acknowledge_leave(&self) {
        self.channel.send_control(&ToWorker::LeaveAcknowledged, &[]);
    }

    /// The channel is being closed from this side: that is no crash.
    #[napi]
    pub fn goodbye(&self) {
        self.goodbye.set(true);
    }

    /// The worker is gone: its unread connections go to others. A listener whose last worker did
    /// not say goodbye lingers.
    #[napi]
    pub fn remove(&self) {
        self.place.remove(!self.goodbye.get());
    }
}

/// A worker's place in the balancer. The I/O thread hears of it when the worker listens for the first
/// time: while its process boots the thread shall not take a CPU from it.
struct Place {
    id: WorkerId,
    io: Rc<IoThread>,
    /// What the thread is to be told. If the worker leaves before, nothing, so that it can open nothing
    /// any more.
    newcomer: RefCell<Option<Newcomer>>,
}

struct Newcomer {
    handoff: Handoff,
    returns: OwnedFd,
}

impl Place {
    fn listen(&self, request: ListenRequest, balanced: bool) -> Option<(Bound, Option<OwnedFd>)> {
        if let Some(Newcomer { handoff, returns }) = self.newcomer.take() {
            self.io.add_worker(self.id, handoff, returns);
        }
        self.io.listen(self.id, request, balanced)
    }

    fn leave(&self) {
        if self.newcomer.take().is_none() {
            self.io.leave(self.id);
        }
    }

    fn remove(&self, crashed: bool) {
        if self.newcomer.take().is_none() {
            self.io.remove_worker(self.id, crashed);
        }
    }
}

/// What a worker's control messages act upon.
struct Control {
    place: Rc<Place>,
    balanced: Rc<Cell<bool>>,
    goodbye: Rc<Cell<bool>>,
    channel: Weak<Endpoint>,
}

impl Control {
    fn handle(&self, message: ToPrimary) -> Option<Event> {
        match message {
            ToPrimary::Online => Some(Event::Online),
            ToPrimary::Listen(request) => {
                let server = request.server;
                let (answer, socket) = self.place.listen(request, self.balanced.get())?;
                let fds: Vec<_> = socket.iter().map(AsFd::as_fd).collect();
                if let Some(channel) = self.channel.upgrade() {
                    channel.send_control(&ToWorker::Bound { server, answer }, &fds);
                }
                None
            }
            ToPrimary::Listening { server, info } => {
                self.place.io.attach(self.place.id, server);
                Some(Event::Listening { info })
            }
            ToPrimary::Close { server } => {
                self.place.io.close(self.place.id, server);
                None
            }
            ToPrimary::Leave => {
                self.place.leave();
                Some(Event::Leaving)
            }
            ToPrimary::Goodbye => {
                self.goodbye.set(true);
                None
            }
        }
    }
}
