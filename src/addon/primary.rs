//! The primary's classes: [`Primary`] once per process, a [`WorkerLink`] for each worker.

use std::cell::{Cell, RefCell};
use std::os::fd::{AsRawFd, OwnedFd};
use std::rc::Rc;
use std::time::{Duration, Instant};

use napi::bindgen_prelude::{Env, Function, Result};
use napi_derive::napi;

use super::callback::Callback;
use super::channel::{Channel, Shared as SharedChannel};
use super::event::Event;
use super::js_error;
use crate::handoff::Handoff;
use crate::io_thread::IoThread;
use crate::primary::Options;
use crate::protocol::{ToPrimary, ToWorker, WorkerId};
use crate::shared::WorkerPage;
use crate::sys::fd;
use crate::sys::memory::Shared;

/// The balancer of this process, with its own thread.
#[napi]
pub struct Primary {
    io: Rc<IoThread>,
    balanced: Rc<Cell<bool>>,
}

/// What `setupPrimary` can set. Times in milliseconds.
#[napi(object)]
pub struct PrimaryOptions {
    pub handoff_timeout: f64,
    pub listener_linger: f64,
}

#[napi]
impl Primary {
    #[napi(constructor)]
    pub fn new() -> Result<Self> {
        let io = IoThread::start().map_err(|error| js_error(&error))?;
        Ok(Self {
            io: Rc::new(io),
            balanced: Rc::new(Cell::new(true)),
        })
    }

    #[napi]
    pub fn configure(&self, options: PrimaryOptions) {
        let milliseconds =
            |value: f64| Duration::try_from_secs_f64(value / 1000.0).unwrap_or_default();
        self.io.configure(Options {
            handoff_timeout: milliseconds(options.handoff_timeout),
            listener_linger: milliseconds(options.listener_linger),
        });
    }

    /// Whether connections are balanced here (the default), or workers accept by themselves.
    #[napi]
    pub fn set_balanced(&self, balanced: bool) {
        self.balanced.set(balanced);
    }

    /// Makes both ends of what a new worker needs. The channel's other end is to be inherited by
    /// the process; see [`WorkerLink::child_fd`].
    #[napi]
    pub fn open_worker(
        &self,
        env: Env,
        id: u32,
        advanced: bool,
        on_event: Function<'_, Event, ()>,
    ) -> Result<WorkerLink> {
        let id = WorkerId(id);
        let callback = Callback::new(env, &on_event)?;
        let (socket, child_end, hello) = self.connect(id).map_err(|error| js_error(&error))?;
        let channel = SharedChannel::new(socket, callback);
        channel.send_control(&ToWorker::Hello { advanced }, hello);
        let goodbye = Rc::new(Cell::new(false));
        let control = Control {
            id,
            io: Rc::clone(&self.io),
            balanced: Rc::clone(&self.balanced),
            goodbye: Rc::clone(&goodbye),
            channel: Rc::downgrade(&channel),
        };
        channel.start(
            &env,
            Box::new(move |payload, _| Ok(control.handle(serde_json::from_slice(payload)?))),
        )?;
        let child_end = RefCell::new(Some(child_end));
        Ok(WorkerLink {
            id,
            io: Rc::clone(&self.io),
            channel,
            child_end,
            goodbye,
        })
    }

    /// Closes all listening sockets and ends the thread; for the end of the process.
    #[napi]
    pub fn stop(&self) {
        self.io.stop();
    }

    /// Our end of the message socket, the worker's end, and what travels with `Hello`.
    fn connect(&self, id: WorkerId) -> std::io::Result<(OwnedFd, OwnedFd, Vec<OwnedFd>)> {
        let (ours, theirs) = fd::stream_pair()?;
        let (sender, receiver) = fd::packet_pair()?;
        let (page, memory) = Shared::<WorkerPage>::create(c"rust-cluster-worker")?;
        let hello = vec![receiver.try_clone()?, memory];
        self.io
            .add_worker(id, Handoff::new(sender, receiver, page, Instant::now()));
        Ok((ours, theirs, hello))
    }
}

/// What a worker's control messages act upon.
struct Control {
    id: WorkerId,
    io: Rc<IoThread>,
    balanced: Rc<Cell<bool>>,
    goodbye: Rc<Cell<bool>>,
    channel: std::rc::Weak<SharedChannel>,
}

impl Control {
    fn handle(&self, message: ToPrimary) -> Option<Event> {
        match message {
            ToPrimary::Online => Some(Event::Online),
            ToPrimary::Listen(request) => {
                let server = request.server;
                let (answer, socket) = self.io.listen(self.id, request, self.balanced.get())?;
                let fds = socket.into_iter().collect();
                if let Some(channel) = self.channel.upgrade() {
                    channel.send_control(&ToWorker::Bound { server, answer }, fds);
                }
                None
            }
            ToPrimary::Listening { server, info } => {
                self.io.attach(self.id, server);
                Some(Event::Listening { info })
            }
            ToPrimary::Close { server } => {
                self.io.close(self.id, server);
                None
            }
            ToPrimary::Leave => {
                self.io.leave(self.id);
                Some(Event::Leaving)
            }
            ToPrimary::Goodbye => {
                self.goodbye.set(true);
                None
            }
        }
    }
}

/// The primary's end of one worker.
#[napi]
pub struct WorkerLink {
    id: WorkerId,
    io: Rc<IoThread>,
    channel: Rc<SharedChannel>,
    child_end: RefCell<Option<OwnedFd>>,
    goodbye: Rc<Cell<bool>>,
}

#[napi]
impl WorkerLink {
    /// The descriptor that the worker's process has to inherit; -1 after [`Self::spawned`].
    #[napi(getter)]
    pub fn child_fd(&self) -> i32 {
        self.child_end
            .borrow()
            .as_ref()
            .map_or(-1, AsRawFd::as_raw_fd)
    }

    /// The process has inherited its end (or will never): ours of it is closed.
    #[napi]
    pub fn spawned(&self) {
        self.child_end.take();
    }

    #[napi]
    pub fn channel(&self) -> Channel {
        Channel::new(Rc::clone(&self.channel))
    }

    /// Tells the worker to close its servers and then the channel; it gets no more connections.
    #[napi]
    pub fn tell_to_leave(&self) {
        self.channel.send_control(&ToWorker::Leave, Vec::new());
        self.io.leave(self.id);
    }

    /// Tells the worker that the primary knows that it leaves.
    #[napi]
    pub fn acknowledge_leave(&self) {
        self.channel
            .send_control(&ToWorker::LeaveAcknowledged, Vec::new());
    }

    /// The worker is gone: its unread connections go to others. A listener whose last worker did
    /// not say goodbye lingers.
    #[napi]
    pub fn remove(&self) {
        self.io.remove_worker(self.id, !self.goodbye.get());
    }
}
