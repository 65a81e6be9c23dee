//! The primary's class, once per process. `worker_link.rs` has what it is to each worker.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::fs::File;
use std::net::SocketAddr;
use std::rc::{Rc, Weak};
use std::time::Duration;

use napi::bindgen_prelude::{Env, Error, Function, Result, Uint8Array};
use napi::threadsafe_function::ThreadsafeFunctionCallMode;
use napi_derive::napi;

use super::callback::{Callback, OnEvent};
use super::endpoint::{Endpoint, OnBroadcast};
use super::worker_code::pack;
use super::worker_link::{WorkerLink, WorkerSocket, connect};
use super::{other_error, system_error};
use crate::balancer::Policy;
use crate::group::Question;
use crate::io_thread::IoThread;
use crate::primary::{Ask, Options};
use crate::protocol::{ListenerId, WorkerId};
use crate::sys::memory::{create_sealable_file, fill_and_seal};

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

    /// Given to all workers that are opened from now on; see `Greeting`. Once.
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

    /// Makes all that a new worker needs besides its socket, which its process has inherited by now
    /// and which is taken out of `socket`, and greets it. `resolutions` is for `Greeting`.
    #[napi]
    pub fn open_worker(
        &self,
        env: Env,
        id: u32,
        socket: &WorkerSocket,
        advanced: bool,
        resolutions: Option<String>,
        #[napi(ts_arg_type = "(type: EventType, ...said: any[]) => void")] on_event: OnEvent<'_>,
    ) -> Result<WorkerLink, String> {
        let id = WorkerId(id);
        let callback = Callback::new(env, &on_event).map_err(other_error)?;
        let code = self.worker_code.as_ref().filter(|_| self.has_code.get());
        let text = resolutions.unwrap_or_default();
        let link = socket
            .take()
            .and_then(|ends| connect(ends, advanced, text, code))
            .and_then(|connected| {
                let (io, balanced) = (Rc::clone(&self.io), Rc::clone(&self.balanced));
                WorkerLink::open(env, id, connected, callback, io, balanced)
            })
            .map_err(|error| system_error(&error))?;
        let channel = link.endpoint();
        self.channels.borrow_mut().retain(|_, channel| channel.strong_count() > 0);
        self.channels.borrow_mut().insert(id, Rc::downgrade(channel));
        channel.set_on_broadcast(pass_on(id, Rc::clone(&self.channels)));
        Ok(link)
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
