//! The primary's classes: [`Primary`] once per process, a [`WorkerLink`] for each worker.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::fs::File;
use std::io::IoSlice;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::rc::{Rc, Weak};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use napi::bindgen_prelude::{Env, Error, Function, Result, Uint8Array};
use napi::threadsafe_function::ThreadsafeFunctionCallMode;
use napi_derive::napi;

use super::callback::{Callback, OnEvent};
use super::channel::Channel;
use super::endpoint::{Endpoint, OnBroadcast};
use super::event::Event;
use super::worker_code::pack;
use super::{other_error, system_error};
use crate::balancer::Policy;
use crate::channel::Channel as Core;
use crate::group::Question;
use crate::handoff::Handoff;
use crate::io_thread::IoThread;
use crate::primary::{Ask, Options};
use crate::protocol::{Hello, ListenerId, ToPrimary, ToWorker, WorkerId};
use crate::shared::WorkerPage;
use crate::sys::fd;
use crate::sys::memory::{Shared, create_sealable_file, fill_and_seal};

/// What the primary has for a new worker.
struct Connected {
    core: Core,
    page: Shared<WorkerPage>,
    unborn: Unborn,
}

/// What there is of a worker for as long as it has no process. To start one holds this process up, so
/// the I/O thread is told afterwards.
struct Unborn {
    /// The end of the channel that the process inherits.
    child_end: OwnedFd,
    handoff: Handoff,
    returns: OwnedFd,
}

/// The balancer of this process, with its own thread.
#[napi]
pub struct Primary {
    io: Rc<IoThread>,
    balanced: Rc<Cell<bool>>,
    /// Those that a worker's broadcast goes to.
    channels: Channels,
    /// What workers are given to run instead of reading it from their files. It is there from the
    /// start, so that this process has no descriptor later that it did not have; none if it had none.
    worker_code: Option<File>,
    has_code: Cell<bool>,
}

type Channels = Rc<RefCell<HashMap<WorkerId, Weak<Endpoint>>>>;

/// What `setupPrimary` can set. Times in milliseconds.
#[napi(object)]
pub struct PrimaryOptions {
    pub handoff_timeout: f64,
    pub listener_linger: f64,
    /// `'rr'`, `'least-connections'`, `'ip-hash'` or `'custom'`.
    pub policy: String,
}

/// A connection for which the program's own policy has to find a worker.
#[napi(object, object_from_js = false)]
pub struct Connection {
    pub id: i64,
    pub listener: u32,
    pub remote_address: Option<String>,
    pub remote_port: Option<u16>,
    pub local_address: Option<String>,
    pub local_port: Option<u16>,
}

impl From<Question> for Connection {
    fn from(question: Question) -> Self {
        let address = |end: Option<SocketAddr>| end.map(|end| end.ip().to_string());
        let port = |end: Option<SocketAddr>| end.map(|end| end.port());
        Self {
            id: i64::try_from(question.id).unwrap_or(i64::MAX),
            listener: question.listener.0,
            remote_address: address(question.remote),
            remote_port: port(question.remote),
            local_address: address(question.local),
            local_port: port(question.local),
        }
    }
}

#[napi]
impl Primary {
    #[napi(constructor)]
    pub fn new() -> Result<Self, String> {
        let io = IoThread::start().map_err(|error| system_error(&error))?;
        Ok(Self {
            io: Rc::new(io),
            balanced: Rc::new(Cell::new(true)),
            channels: Channels::default(),
            worker_code: create_sealable_file(c"rust-cluster-code").ok(),
            has_code: Cell::new(false),
        })
    }

    /// Given to all workers that are opened from now on; see `Greeting.takeCode`. Once.
    #[napi]
    pub fn set_worker_code(&self, source: String, cache: Uint8Array) -> Result<(), String> {
        if let Some(file) = &self.worker_code {
            fill_and_seal(file, &pack(&source, &cache)).map_err(|error| system_error(&error))?;
            self.has_code.set(true);
        }
        Ok(())
    }

    /// `on_connection` is called for each connection under the policy `'custom'`, and answered by
    /// [`Self::decide`].
    #[napi]
    pub fn configure(
        &self,
        options: PrimaryOptions,
        on_connection: Option<Function<'_, Connection, ()>>,
    ) -> Result<()> {
        let milliseconds =
            |value: f64| Duration::try_from_secs_f64(value / 1000.0).unwrap_or_default();
        let policy = match options.policy.as_str() {
            "rr" => Policy::RoundRobin,
            "least-connections" => Policy::LeastConnections,
            "ip-hash" => Policy::IpHash,
            "custom" => Policy::Custom,
            policy => return Err(Error::from_reason(format!("no policy: {policy}"))),
        };
        let options = Options {
            handoff_timeout: milliseconds(options.handoff_timeout),
            listener_linger: milliseconds(options.listener_linger),
            policy,
        };
        self.io.configure(options, on_connection.map(ask).transpose()?);
        Ok(())
    }

    /// Says which worker gets the connection of a question; none leaves it to the round.
    #[napi]
    pub fn decide(&self, listener: u32, question: i64, worker: Option<u32>) {
        let question = u64::try_from(question).unwrap_or_default();
        self.io.decide(ListenerId(listener), question, worker.map(WorkerId));
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
        #[napi(ts_arg_type = "(type: EventType, ...said: any[]) => void")] on_event: OnEvent<'_>,
    ) -> Result<WorkerLink, String> {
        let id = WorkerId(id);
        let callback = Callback::new(env, &on_event).map_err(other_error)?;
        let code = self.worker_code.as_ref().filter(|_| self.has_code.get());
        let Connected { core, page, unborn } =
            connect(advanced, code).map_err(|error| system_error(&error))?;
        let channel = Endpoint::new(core, callback);
        self.channels.borrow_mut().retain(|_, channel| channel.strong_count() > 0);
        self.channels.borrow_mut().insert(id, Rc::downgrade(&channel));
        channel.set_on_broadcast(pass_on(id, Rc::clone(&self.channels)));
        let goodbye = Rc::new(Cell::new(false));
        let control = Control {
            id,
            io: Rc::clone(&self.io),
            balanced: Rc::clone(&self.balanced),
            goodbye: Rc::clone(&goodbye),
            channel: Rc::downgrade(&channel),
        };
        let on_control = move |payload: &[u8], _: Vec<OwnedFd>| {
            Ok(control.handle(serde_json::from_slice(payload)?))
        };
        channel.start(env, Box::new(on_control)).map_err(|error| system_error(&error))?;
        let unborn = RefCell::new(Some(unborn));
        Ok(WorkerLink { id, io: Rc::clone(&self.io), channel, unborn, goodbye, page })
    }

    /// Closes the listening sockets that wait for a successor of crashed workers.
    #[napi]
    pub fn end_lingering(&self) {
        self.io.end_lingering();
    }

    /// Closes all listening sockets and ends the thread; for the end of the process.
    #[napi]
    pub fn stop(&self) {
        self.io.stop();
    }
}

/// Makes what a worker and its primary need of each other, and greets the worker.
fn connect(advanced: bool, code: Option<&File>) -> std::io::Result<Connected> {
    let (core, end) = Core::create()?;
    let (sender, receiver) = fd::packet_pair()?;
    let (page, memory) = Shared::<WorkerPage>::create(c"rust-cluster-worker")?;
    let fds = [&receiver, &memory, &end.memory, &end.its_waker, &end.our_waker];
    let fds: Vec<_> = fds.into_iter().map(AsFd::as_fd).chain(code.map(AsFd::as_fd)).collect();
    let hello = Hello { advanced }.encode();
    fd::send(core.socket(), &[IoSlice::new(&hello)], &fds)?;
    let returns = sender.try_clone()?;
    let ours = Shared::open(&memory)?;
    let handoff = Handoff::new(sender, receiver, page, Instant::now());
    Ok(Connected { core, page: ours, unborn: Unborn { child_end: end.socket, handoff, returns } })
}

/// Passes the messages of the worker `from` on to all others; forgets those that are gone.
fn pass_on(from: WorkerId, channels: Channels) -> OnBroadcast {
    Box::new(move |kind, count, payload| {
        channels.borrow_mut().retain(|id, channel| match channel.upgrade() {
            Some(channel) => {
                if *id != from {
                    channel.pass_on(kind, count, payload);
                }
                true
            }
            None => false,
        });
    })
}

/// Asks from the I/O thread, in the order of the connections. Keeps no process alive.
fn ask(function: Function<'_, Connection, ()>) -> Result<Ask> {
    let function = function.build_threadsafe_function().weak::<true>().build()?;
    Ok(Box::new(move |question| {
        // Fails only while the process ends.
        function.call(question.into(), ThreadsafeFunctionCallMode::NonBlocking);
    }))
}

/// What a worker's control messages act upon.
struct Control {
    id: WorkerId,
    io: Rc<IoThread>,
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
                let (answer, socket) = self.io.listen(self.id, request, self.balanced.get())?;
                let fds: Vec<_> = socket.iter().map(AsFd::as_fd).collect();
                if let Some(channel) = self.channel.upgrade() {
                    channel.send_control(&ToWorker::Bound { server, answer }, &fds);
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
    channel: Rc<Endpoint>,
    /// Until there is a process.
    unborn: RefCell<Option<Unborn>>,
    goodbye: Rc<Cell<bool>>,
    page: Shared<WorkerPage>,
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

    /// The descriptor that the worker's process has to inherit; -1 after [`Self::spawned`].
    #[napi(getter)]
    pub fn child_fd(&self) -> i32 {
        self.unborn.borrow().as_ref().map_or(-1, |unborn| unborn.child_end.as_raw_fd())
    }

    /// The process has inherited its end, or never will: ours of it is closed.
    #[napi]
    pub fn spawned(&self) {
        if let Some(Unborn { handoff, returns, .. }) = self.unborn.take() {
            self.io.add_worker(self.id, handoff, returns);
        }
    }

    #[napi]
    pub fn channel(&self) -> Channel {
        Channel::new(Rc::clone(&self.channel))
    }

    /// The worker gets no more connections, and listeners that were its alone are closed.
    #[napi]
    pub fn leave_listeners(&self) {
        self.io.leave(self.id);
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
        if self.unborn.take().is_none() {
            self.io.remove_worker(self.id, !self.goodbye.get());
        }
    }
}
