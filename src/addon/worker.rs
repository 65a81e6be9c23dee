//! The worker's class: its channel, its servers, and connections from the primary.

use std::cell::{Cell, OnceCell, RefCell};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::rc::{Rc, Weak};

use napi::bindgen_prelude::{Env, Error, Result, Uint8Array, Uint32Array};
use napi_derive::napi;

use super::callback::{Callback, OnEvent, event_loop, shared_number};
use super::channel::Channel;
use super::endpoint::Endpoint;
use super::event::Event;
use super::js_error;
use super::worker_code::WorkerCode;
use crate::channel::{Channel as ChannelCore, OtherEnd};
use crate::protocol::{Hello, ListenRequest, ListenerId, ServerId, Target, ToPrimary, ToWorker};
use crate::sys::fd;
use crate::sys::uv::{Check, ExclusivePoll, Idle, Loop, Poll, Prepare};
use crate::worker::{Spot, TakeSpot, Taken, Worker as Core};

/// What `net` and `dgram` ask for when a server listens or a socket binds in a worker.
#[napi(object)]
pub struct ListenOptions {
    /// `'tcp'`, `'pipe'`, `'udp4'`, `'udp6'`, `'fd'` or `'udp-fd'`.
    pub kind: String,
    pub address: Option<String>,
    pub port: Option<u16>,
    /// For `'fd'` and `'udp-fd'`: a descriptor of the primary.
    pub fd: Option<i32>,
    /// Requests with equal keys share one socket.
    pub key: String,
    pub backlog: Option<i32>,
    pub ipv6_only: Option<bool>,
    pub reuse_addr: Option<bool>,
    pub readable_all: Option<bool>,
    pub writable_all: Option<bool>,
    pub data: Option<String>,
}

impl ListenOptions {
    fn target(self) -> Result<Target> {
        let ipv6_only = self.ipv6_only.unwrap_or(false);
        let port = self.port.unwrap_or(0);
        let address = self.address;
        Ok(match self.kind.as_str() {
            "tcp" => Target::Tcp { address, port, ipv6_only },
            "udp4" | "udp6" => Target::Udp {
                address,
                port,
                ipv6: self.kind == "udp6",
                ipv6_only,
                reuse_addr: self.reuse_addr.unwrap_or(false),
            },
            "pipe" => Target::Pipe {
                path: address.ok_or_else(|| Error::from_reason("a pipe has a path"))?,
                readable_all: self.readable_all.unwrap_or(false),
                writable_all: self.writable_all.unwrap_or(false),
            },
            "fd" | "udp-fd" => {
                Target::Inherited { fd: self.fd.unwrap_or(-1), udp: self.kind == "udp-fd" }
            }
            kind => return Err(Error::from_reason(format!("no kind of server: {kind}"))),
        })
    }
}

/// The connection side, on Node's event loop.
struct Connections {
    // Declared, and so dropped, before the socket that they watch.
    poll: OnceCell<Poll>,
    prepare: OnceCell<Prepare>,
    check: OnceCell<Check>,
    idle: OnceCell<Idle>,
    core: Core,
    /// The socket was readable in this turn.
    readable: Cell<bool>,
    /// There was no number for another descriptor.
    starved: Cell<bool>,
    channel: Weak<Endpoint>,
    /// Refused connections that the socket had no room for.
    unreturned: RefCell<Vec<(ListenerId, OwnedFd)>>,
}

impl Connections {
    /// At most one connection in a turn of the loop, after all else that was ready: so whatever
    /// else waits here is still in the socket, where the primary can take it back, when the first
    /// one's handler blocks.
    fn on_check(&self) {
        self.core.enter_phase(false);
        self.unreturned
            .borrow_mut()
            .retain(|(listener, connection)| !self.core.refuse(*listener, connection));
        self.watch_if_fed();
        self.take();
        if let Some(idle) = self.idle.get() {
            // Or nothing might make the loop turn again while somebody waits.
            idle.set_active(self.core.is_fetching());
        }
    }

    fn on_prepare(&self) {
        self.core.enter_phase(true);
        // A timer or an immediate may have closed something, and maybe nothing else ever happens.
        self.watch_if_fed();
        self.core.line_up();
    }

    fn watch_if_fed(&self) {
        if self.starved.get() && self.core.is_fed() {
            self.starved.set(false);
            self.watch(true);
        }
    }

    fn take(&self) {
        match self.core.take(self.readable.replace(false)) {
            Taken::Connection { server, listener, connection } => {
                if let Some(channel) = self.channel.upgrade() {
                    let (server, listener) = (server.0, listener.0);
                    channel.tell(Event::Connection { server, listener, connection });
                }
            }
            Taken::Nothing => {}
            Taken::Starved => {
                self.starved.set(true);
                self.watch(false);
            }
            Taken::End => self.watch(false),
        }
    }

    /// Takes connections, or leaves them to the primary, which gives them to others.
    fn watch(&self, wanted: bool) {
        if let Some(poll) = self.poll.get() {
            // Fails only for a descriptor that cannot be polled, and then it did at the start.
            let _ = poll.watch(wanted);
        }
    }
}

/// Among those that wait at a listening socket, each on its own event loop.
struct InLine {
    poll: ExclusivePoll,
    called: Rc<Cell<bool>>,
}

impl InLine {
    fn taker(event_loop: Loop) -> TakeSpot {
        Box::new(move |socket| {
            let called = Rc::new(Cell::new(false));
            let call = Rc::clone(&called);
            let poll = ExclusivePoll::new(event_loop, socket, move || call.set(true))?;
            Ok(Box::new(Self { poll, called }))
        })
    }
}

impl Spot for InLine {
    fn is_called(&self) -> bool {
        self.called.replace(false)
    }

    fn renew(&self) -> io::Result<bool> {
        self.poll.renew()
    }
}

/// What the primary writes right after it has started this process.
#[napi]
pub struct Greeting {
    /// Until there is a [`Worker`] of it.
    ends: RefCell<Option<Ends>>,
    code: Option<WorkerCode>,
    resolutions: Option<String>,
}

struct Ends {
    advanced: bool,
    connections: Core,
    channel: ChannelCore,
}

#[napi]
impl Greeting {
    /// Takes over the inherited descriptor of the channel and reads the primary's first words.
    #[napi(constructor)]
    pub fn new(env: Env, channel_fd: i32) -> Result<Self> {
        let socket = fd::adopt(channel_fd).map_err(|error| js_error(&error))?;
        let unexpected = || Error::from_reason("the primary did not say hello on its channel");
        let mut buffer = vec![0; Hello::MAX_SIZE];
        let received =
            fd::receive_first(socket.as_fd(), &mut buffer).map_err(|error| js_error(&error))?;
        let Hello { advanced, text } =
            Hello::decode(&buffer[..received.bytes]).ok_or_else(unexpected)?;
        let mut fds = received.fds;
        let code = if fds.len() > Hello::FDS { fds.pop() } else { None };
        // Without it the worker reads the code from where it is installed.
        let code = code.and_then(WorkerCode::open);
        let [connections, page, memory, its_waker, our_waker] =
            <[OwnedFd; Hello::FDS]>::try_from(fds).map_err(|_| unexpected())?;
        let take_spot = InLine::taker(event_loop(env)?);
        let connections =
            Core::new(connections, &page, take_spot).map_err(|error| js_error(&error))?;
        // Named by the primary: its own is the other one here.
        let end = OtherEnd { memory, its_waker, our_waker };
        let channel = ChannelCore::open(socket, end).map_err(|error| js_error(&error))?;
        let ends = Ends { advanced, connections, channel };
        let resolutions = (!text.is_empty()).then_some(text);
        Ok(Self { ends: RefCell::new(Some(ends)), code, resolutions })
    }

    /// What the primary gave to `openWorker`.
    #[napi(getter)]
    pub fn resolutions(&self) -> Option<&str> {
        self.resolutions.as_deref()
    }

    /// The script that the primary was given by `setWorkerCode`; null if that was none.
    #[napi(getter)]
    pub fn source(&self) -> Option<&str> {
        self.code.as_ref()?.source()
    }

    /// V8's cache of it. Not to be written.
    #[napi(getter)]
    pub fn cache(&self) -> Option<Uint8Array> {
        Some(self.code.as_ref()?.cache())
    }
}

/// This process as a worker.
#[napi]
pub struct Worker {
    channel: Rc<Endpoint>,
    connections: Rc<Connections>,
    advanced: bool,
    last_server: Cell<u32>,
    /// How many servers want to keep the event loop alive.
    keepers: Cell<u32>,
}

#[napi]
impl Worker {
    #[napi(constructor)]
    pub fn new(
        env: Env,
        greeting: &Greeting,
        #[napi(ts_arg_type = "(type: EventType, ...said: any[]) => void")] on_event: OnEvent<'_>,
    ) -> Result<Self> {
        let Ends { advanced, connections, channel } =
            greeting.ends.take().ok_or_else(|| Error::from_reason("there is a worker already"))?;
        let channel = Endpoint::new(channel, Callback::new(env, &on_event)?);
        let connections = Rc::new(Connections {
            poll: OnceCell::new(),
            prepare: OnceCell::new(),
            check: OnceCell::new(),
            idle: OnceCell::new(),
            core: connections,
            readable: Cell::new(false),
            starved: Cell::new(false),
            channel: Rc::downgrade(&channel),
            unreturned: RefCell::default(),
        });
        watch(env, &connections).map_err(|error| js_error(&error))?;
        channel.start(env, Box::new(on_control)).map_err(|error| js_error(&error))?;
        channel.send_control(&ToPrimary::Online, &[]);
        let (last_server, keepers) = (Cell::new(0), Cell::new(0));
        Ok(Self { channel, connections, advanced, last_server, keepers })
    }

    /// Whether messages are serialized by V8 rather than JSON.
    #[napi(getter)]
    pub fn advanced(&self) -> bool {
        self.advanced
    }

    #[napi]
    pub fn channel(&self) -> Channel {
        Channel::new(Rc::clone(&self.channel))
    }

    /// Asks the primary for a socket. The answer is a `bound` event with the number returned here.
    #[napi]
    pub fn listen(&self, mut options: ListenOptions) -> Result<u32> {
        let server = self.last_server.get() + 1;
        let key = std::mem::take(&mut options.key);
        let backlog = options.backlog.unwrap_or(511);
        let data = options.data.take();
        let target = options.target()?;
        self.last_server.set(server);
        let request = ListenRequest { server: ServerId(server), target, key, backlog, data };
        self.channel.send_control(&ToPrimary::Listen(request), &[]);
        Ok(server)
    }

    /// The server is set up: it can be given connections. `info` is the event's, as JSON.
    #[napi]
    pub fn listening(&self, server: u32, info: String) {
        let server = ServerId(server);
        self.connections.core.open(server);
        self.channel.send_control(&ToPrimary::Listening { server, info }, &[]);
    }

    #[napi]
    pub fn close_server(&self, server: u32) {
        let server = ServerId(server);
        self.connections.core.close(server);
        self.channel.send_control(&ToPrimary::Close { server }, &[]);
    }

    /// Says that this worker leaves of its own will; answered by `leaveAcknowledged`.
    #[napi]
    pub fn leave(&self) {
        self.channel.send_control(&ToPrimary::Leave, &[]);
    }

    /// Says that the channel is about to end because this worker wants it.
    #[napi]
    pub fn goodbye(&self) {
        // What it would read from now on it could not give back any more.
        self.connections.watch(false);
        self.connections.readable.set(false);
        self.connections.core.stop_fetching(|_| true);
        self.channel.send_control(&ToPrimary::Goodbye, &[]);
    }

    /// Gives a connection back for another worker, and closes it here.
    #[napi]
    pub fn refuse(&self, listener: u32, connection: i32) -> Result<()> {
        let connection = fd::adopt(connection).map_err(|error| js_error(&error))?;
        let listener = ListenerId(listener);
        if !self.connections.core.refuse(listener, &connection) {
            self.connections.unreturned.borrow_mut().push((listener, connection));
        }
        Ok(())
    }

    /// One number, which the primary sees: how many connections this worker's servers have open.
    #[napi(getter)]
    pub fn open_connections(&self) -> Uint32Array {
        shared_number(self.connections.core.page(), |page| &page.open_connections)
    }

    /// A listening server keeps the event loop alive, as a real handle would.
    #[napi]
    pub fn keep_alive(&self, keep: bool) {
        let keepers = self.keepers.get();
        let keepers = if keep { keepers + 1 } else { keepers.saturating_sub(1) };
        self.keepers.set(keepers);
        if let Some(poll) = self.connections.poll.get() {
            poll.set_ref(keepers > 0);
        }
    }
}

fn watch(env: Env, connections: &Rc<Connections>) -> io::Result<()> {
    let event_loop = event_loop(env).map_err(io::Error::other)?;
    let with = |act: fn(&Connections)| {
        let weak = Rc::downgrade(connections);
        move || {
            if let Some(connections) = weak.upgrade() {
                act(&connections);
            }
        }
    };
    let on_readable = with(|connections| connections.readable.set(true));
    let poll = Poll::new(event_loop, connections.core.connections(), move |_| {
        on_readable();
    })?;
    poll.watch(true)?;
    poll.set_ref(false);
    let prepare = Prepare::new(event_loop, with(Connections::on_prepare))?;
    let check = Check::new(event_loop, with(Connections::on_check))?;
    // Set once, here.
    let _ = connections.poll.set(poll);
    let _ = connections.prepare.set(prepare);
    let _ = connections.check.set(check);
    let _ = connections.idle.set(Idle::new(event_loop)?);
    Ok(())
}

fn on_control(payload: &[u8], fds: Vec<OwnedFd>) -> serde_json::Result<Option<Event>> {
    Ok(match serde_json::from_slice(payload)? {
        ToWorker::Nudge => None,
        ToWorker::Bound { server, answer } => {
            Some(Event::Bound { server: server.0, answer, socket: fds.into_iter().next() })
        }
        ToWorker::LeaveAcknowledged => Some(Event::LeaveAcknowledged),
        ToWorker::Leave => Some(Event::Leave),
    })
}
