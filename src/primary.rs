//! The primary's side of the balancer: which workers there are, which sockets they listen on, and
//! where a connection goes that a worker did not take.
//!
//! All of it belongs to the I/O thread. Nothing waits in here and nothing knows of epoll:
//! `io_thread/event_loop.rs` says when something is ready.

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;
use std::time::{Duration, Instant};

use crate::balancer::Policy;
use crate::cpus::Cpus;
use crate::group::{Accepted, Group, Question, Workers};
use crate::handoff::{Handoff, TakenBack};
use crate::listener::Listener;
use crate::protocol::{
    Bound, IdMap, ListenRequest, ListenerId, Parcel, Return, ServerId, WorkerId,
};

/// What can be set for the whole cluster.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// How long a connection may wait in front of a blocked worker while another could take it.
    pub handoff_timeout: Duration,
    /// How long a listener outlives its last worker, if that one crashed.
    pub listener_linger: Duration,
    pub policy: Policy,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            handoff_timeout: Duration::from_millis(5),
            listener_linger: Duration::from_secs(5),
            policy: Policy::RoundRobin,
        }
    }
}

/// The answer to a request to listen, with a descriptor if the worker is to accept by itself.
#[derive(Default)]
pub struct Listened {
    pub answer: Bound,
    pub shared: Option<OwnedFd>,
    /// A new socket, to be watched from now on.
    pub watch: Option<(ListenerId, Rc<OwnedFd>)>,
}

#[derive(Default)]
struct Worker {
    servers: IdMap<ServerId, ListenerId>,
    /// It goes, so a request to listen that is still under way is ignored.
    leaving: bool,
}

/// Asks the program's own policy which worker shall get a connection.
pub type Ask = Box<dyn Fn(Question) + Send>;

#[derive(Default)]
pub struct Primary {
    options: Options,
    ask: Option<Ask>,
    workers: IdMap<WorkerId, Worker>,
    handoffs: IdMap<WorkerId, Handoff>,
    groups: IdMap<ListenerId, Group>,
    by_key: HashMap<String, ListenerId>,
    last_listener: u32,
    cpus: Cpus,
}

impl Primary {
    /// `ask` is needed for [`Policy::Custom`], and kept if none is given.
    pub fn configure(&mut self, options: Options, ask: Option<Ask>) {
        self.options = options;
        self.ask = ask.or(self.ask.take());
    }

    #[must_use]
    pub fn options(&self) -> Options {
        self.options
    }

    pub fn add_worker(&mut self, id: WorkerId, handoff: Handoff) {
        self.workers.insert(id, Worker::default());
        self.handoffs.insert(id, handoff);
    }

    /// Joins the group of `request`, or binds and makes one. `None`: the worker is on its way out.
    ///
    /// `balanced` is false if the workers shall accept by themselves.
    pub fn listen(
        &mut self,
        id: WorkerId,
        request: ListenRequest,
        balanced: bool,
    ) -> Option<Listened> {
        let worker = self.workers.get_mut(&id).filter(|worker| !worker.leaving)?;
        let balanced = balanced && !request.target.is_udp();
        let key = request.key.clone();
        let mut listened = Listened::default();
        let listener_id = if let Some(known) = self.by_key.get(&key) {
            *known
        } else {
            let listener = match open(&request, balanced) {
                Ok(listener) => listener,
                Err(error) => return Some(failed(&error)),
            };
            self.last_listener += 1;
            let new = ListenerId(self.last_listener);
            listened.watch = balanced.then(|| (new, listener.socket()));
            self.by_key.insert(key.clone(), new);
            self.groups.insert(new, Group::new(new, key, listener, balanced));
            new
        };
        let group = self.groups.get_mut(&listener_id)?;
        group.data = group.data.take().or(request.data);
        group.members.insert(id, request.server);
        group.lingers_until = None;
        worker.servers.insert(request.server, listener_id);
        if group.balancer.is_none() {
            match group.listener.as_fd().try_clone_to_owned() {
                Ok(descriptor) => listened.shared = Some(descriptor),
                Err(error) => {
                    self.close(id, request.server);
                    return Some(failed(&error));
                }
            }
        }
        listened.answer = Bound {
            errno: 0,
            name: group.listener.name.clone(),
            data: group.data.clone(),
            pipe: group.listener.pipe,
            shared: listened.shared.is_some(),
        };
        Some(listened)
    }

    /// The worker's server is set up: it may be given connections. Returns the listener to resume.
    pub fn attach(&mut self, id: WorkerId, server: ServerId) -> Option<ListenerId> {
        let listener = *self.workers.get(&id)?.servers.get(&server)?;
        self.groups.get_mut(&listener)?.balancer.as_mut()?.join(id);
        Some(listener)
    }

    /// The worker has closed a server; the last one closes the socket.
    pub fn close(&mut self, id: WorkerId, server: ServerId) {
        let Some(worker) = self.workers.get_mut(&id) else {
            return;
        };
        if let Some(listener) = worker.servers.remove(&server) {
            self.leave_group(id, listener, false);
        }
    }

    /// The worker was told to go, or says so itself: it gets no more connections and can open
    /// nothing any more.
    pub fn leave(&mut self, id: WorkerId) {
        let Some(worker) = self.workers.get_mut(&id) else {
            return;
        };
        worker.leaving = true;
        for (_, listener) in std::mem::take(&mut worker.servers) {
            self.leave_group(id, listener, false);
        }
    }

    /// The worker's channel has ended. What it had not read goes to others.
    ///
    /// `crashed`: it did not say goodbye, so a listener that is left without workers lingers.
    /// Returns the listeners to resume.
    pub fn remove_worker(&mut self, id: WorkerId, crashed: bool) -> Vec<ListenerId> {
        // What it has refused last may not be read yet.
        let mut resume = self.take_returns(id);
        let Some(worker) = self.workers.remove(&id) else {
            return resume;
        };
        for listener in worker.servers.into_values() {
            self.leave_group(id, listener, crashed);
        }
        let Some(mut handoff) = self.handoffs.remove(&id) else {
            return resume;
        };
        for taken in handoff.take_back(usize::MAX, Instant::now()) {
            resume.extend(self.put_back(taken, None));
        }
        resume
    }

    fn leave_group(&mut self, id: WorkerId, listener: ListenerId, crashed: bool) {
        let Some(group) = self.groups.get_mut(&listener) else {
            return;
        };
        group.remove(id);
        if !group.members.is_empty() {
            return;
        }
        let linger = self.options.listener_linger;
        if crashed && !linger.is_zero() && group.balancer.is_some() {
            group.lingers_until = Some(Instant::now() + linger);
        } else {
            self.remove_group(listener);
        }
    }

    /// Closes the socket; connections that still wait there are closed with it.
    fn remove_group(&mut self, listener: ListenerId) {
        if let Some(group) = self.groups.remove(&listener) {
            self.by_key.remove(&group.key);
        }
    }

    /// Closes listeners whose time without workers is over; returns when the next one is due.
    pub fn expire(&mut self, now: Instant) -> Option<Instant> {
        let due = |group: &&Group| group.lingers_until.is_some_and(|until| until <= now);
        let over: Vec<_> = self.groups.values().filter(due).map(|group| group.id).collect();
        for id in over {
            self.remove_group(id);
        }
        self.groups.values().filter_map(|group| group.lingers_until).min()
    }

    /// Closes all of them now.
    pub fn end_lingering(&mut self) {
        for group in self.groups.values_mut().filter(|group| group.lingers_until.is_some()) {
            group.lingers_until = Some(Instant::now());
        }
        self.expire(Instant::now());
    }

    #[must_use]
    pub fn has_listener(&self, id: ListenerId) -> bool {
        self.groups.contains_key(&id)
    }

    pub fn accept(&mut self, id: ListenerId) -> Accepted {
        let Some(group) = self.groups.get_mut(&id) else {
            return Accepted::Gone;
        };
        // Without a function there is nobody to answer; `configure` always gets one with `Custom`.
        let nobody: Ask = Box::new(|_| ());
        group.accept(&mut Workers {
            handoffs: &mut self.handoffs,
            options: self.options,
            ask: self.ask.as_ref().unwrap_or(&nobody),
            cpus: &mut self.cpus,
            now: Instant::now(),
        })
    }

    /// The program's policy has answered. Returns the listener to resume.
    pub fn decide(
        &mut self,
        listener: ListenerId,
        question: u64,
        worker: Option<WorkerId>,
    ) -> Option<ListenerId> {
        self.groups.get_mut(&listener)?.decide(question, worker);
        Some(listener)
    }

    /// Reads what a worker has sent back. Returns the listeners to resume.
    pub fn take_returns(&mut self, id: WorkerId) -> Vec<ListenerId> {
        let mut resume = self.stalled();
        while let Some(returned) = self.handoffs.get_mut(&id).and_then(Handoff::returned) {
            match returned {
                (Return::Refused(listener), connection) => {
                    if let Some(group) = self.groups.get_mut(&listener) {
                        group.refused(id, Instant::now());
                    }
                    if connection.is_some() {
                        let parcel = Parcel::Connection;
                        let back = TakenBack { listener, parcel, connection, bound: false };
                        resume.extend(self.put_back(back, None));
                    }
                }
                (Return::Fetched { listener, accepted }, _) => {
                    let now = Instant::now();
                    if let Some(handoff) = self.handoffs.get_mut(&id) {
                        handoff.has_fetched(now);
                    }
                    if let Some(group) = self.groups.get_mut(&listener) {
                        group.has_fetched(id, accepted, now);
                    }
                    resume.push(listener);
                }
                // That it can take one again is said by the message being there.
                (Return::Free, _) => {}
            }
        }
        resume
    }

    /// Takes back what blocked workers have not read while others could. Returns the listeners to
    /// resume, and whether to look again after the handoff timeout.
    pub fn tick(&mut self, now: Instant) -> (Vec<ListenerId>, bool) {
        let timeout = self.options.handoff_timeout;
        let mut resume = self.stalled();
        let ids: Vec<_> = self.handoffs.keys().copied().collect();
        for id in ids {
            if self.handoffs.get(&id).is_some_and(Handoff::has_returns) {
                resume.extend(self.take_returns(id));
            }
            let Some(handoff) = self.handoffs.get_mut(&id) else { continue };
            let Some(overdue) = handoff.overdue_for(now).filter(|time| *time >= timeout) else {
                continue;
            };
            let mut listeners: Vec<_> = handoff.unread_listeners().collect();
            listeners.dedup();
            let room = |listener| self.room_elsewhere(listener, id, overdue, now);
            let room = listeners.into_iter().map(room).max().unwrap_or_default();
            if room == 0 {
                continue;
            }
            let Some(handoff) = self.handoffs.get_mut(&id) else { continue };
            for taken in handoff.take_back(room, now) {
                resume.extend(self.put_back(taken, Some(id)));
            }
        }
        let unread = self.handoffs.values_mut().any(Handoff::may_be_overdue);
        let returns = self.handoffs.values().any(Handoff::has_returns);
        let again = unread || returns || !resume.is_empty();
        (resume, again)
    }

    /// How many connections of a listener are better off elsewhere than with the worker `id`. One
    /// that is closed has nobody to wait for: its connections are to be closed.
    fn room_elsewhere(
        &mut self,
        listener: ListenerId,
        id: WorkerId,
        overdue: Duration,
        now: Instant,
    ) -> usize {
        let Some(group) = self.groups.get(&listener) else { return usize::MAX };
        let (handoffs, cpus) = (&mut self.handoffs, &mut self.cpus);
        let mut workers = Workers { handoffs, options: self.options, ask: &|_| (), cpus, now };
        group.room_elsewhere(id, overdue, &mut workers)
    }

    fn stalled(&self) -> Vec<ListenerId> {
        self.groups.values().filter(|group| group.is_stalled()).map(|group| group.id).collect()
    }

    /// A connection to a listener that is closed by now is closed as well. `worker`: who had it,
    /// and keeps it if it was bound to that one.
    fn put_back(&mut self, taken: TakenBack, worker: Option<WorkerId>) -> Option<ListenerId> {
        let group = self.groups.get_mut(&taken.listener)?;
        match (taken.parcel, taken.connection, worker) {
            (_, Some(connection), _) => {
                group.put_back(connection, worker.filter(|_| taken.bound));
            }
            (Parcel::Recall, None, Some(worker)) => group.not_recalled(worker),
            (_, None, Some(worker)) => group.stop_fetching(worker),
            (_, None, None) => {}
        }
        Some(taken.listener)
    }
}

fn open(request: &ListenRequest, balanced: bool) -> io::Result<Listener> {
    let listener = Listener::bind(&request.target)?;
    if balanced {
        listener.listen(request.backlog)?;
    }
    Ok(listener)
}

fn failed(error: &io::Error) -> Listened {
    let errno = error.raw_os_error().map_or(-nix::libc::EINVAL, |errno| -errno);
    Listened { answer: Bound { errno, ..Bound::default() }, ..Listened::default() }
}
