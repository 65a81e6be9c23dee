//! One listening socket, the workers that listen on it, and its connections from accept until a
//! worker has been given them.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Instant;

use crate::balancer::{Balancer, Readiness};
use crate::handoff::Handoff;
use crate::listener::Listener;
use crate::primary::Options;
use crate::protocol::{ListenerId, ServerId, WorkerId};

/// What to do with a listening socket after [`Group::accept`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accepted {
    /// Nobody waits: watch it.
    All,
    /// Nobody can take a connection: leave it alone until it is resumed.
    Paused,
    /// This process has no descriptor left: try again a little later.
    Exhausted,
    /// It is closed.
    Gone,
}

pub struct Group {
    pub id: ListenerId,
    pub key: String,
    pub listener: Listener,
    /// What the first server wants to share with its twins.
    pub data: Option<String>,
    /// All workers that have a server here.
    pub members: HashMap<WorkerId, ServerId>,
    /// Those that can be given connections; `None` if the workers accept by themselves.
    pub balancer: Option<Balancer<WorkerId>>,
    /// Accepted, but without a worker: it was refused or taken back.
    waiting: VecDeque<OwnedFd>,
    /// Workers whose server was full, and when. They are not asked again for a moment, or a
    /// connection that nobody wants would go round without a pause.
    refusals: HashMap<WorkerId, Instant>,
    pub paused: bool,
    /// Its last worker crashed; it ends then unless another one comes.
    pub lingers_until: Option<Instant>,
}

impl Group {
    #[must_use]
    pub fn new(id: ListenerId, key: String, listener: Listener, balanced: bool) -> Self {
        Self {
            id,
            key,
            listener,
            data: None,
            members: HashMap::new(),
            balancer: balanced.then(Balancer::default),
            waiting: VecDeque::new(),
            refusals: HashMap::new(),
            paused: false,
            lingers_until: None,
        }
    }

    pub fn remove(&mut self, worker: WorkerId) {
        self.members.remove(&worker);
        self.refusals.remove(&worker);
        if let Some(balancer) = &mut self.balancer {
            balancer.leave(worker);
        }
    }

    /// Keeps a connection that a worker did not take; [`accept`](Self::accept) offers it to others.
    pub fn put_back(&mut self, connection: OwnedFd) {
        self.waiting.push_back(connection);
    }

    pub fn refused(&mut self, worker: WorkerId, now: Instant) {
        self.refusals.insert(worker, now);
    }

    /// Whether only time can tell when this goes on: nobody will say so.
    #[must_use]
    pub fn needs_time(&self) -> bool {
        !self.waiting.is_empty() || (self.paused && !self.refusals.is_empty())
    }

    /// Hands out what waits, then accepts and hands out until nobody waits any more or no worker
    /// can take one.
    pub fn accept(
        &mut self,
        handoffs: &mut HashMap<WorkerId, Handoff>,
        options: Options,
    ) -> Accepted {
        let now = Instant::now();
        self.paused = false;
        while let Some(connection) = self.waiting.pop_front() {
            if let Err(connection) = self.give(connection, handoffs, options, now) {
                self.waiting.push_front(connection);
                self.paused = true;
                return Accepted::Paused;
            }
        }
        loop {
            if self.choose_or_want(handoffs, options, now).is_none() {
                self.paused = true;
                return Accepted::Paused;
            }
            match self.listener.accept() {
                Ok(connection) => {
                    if let Err(connection) = self.give(connection, handoffs, options, now) {
                        self.waiting.push_back(connection);
                        self.paused = true;
                        return Accepted::Paused;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Accepted::All,
                Err(error) if is_exhaustion(&error) => return Accepted::Exhausted,
                // That client went away while it waited (see accept(2)): the next one.
                Err(_) => {}
            }
        }
    }

    /// Sends a connection to the worker whose turn it is, or gives it back if there is none.
    fn give(
        &mut self,
        connection: OwnedFd,
        handoffs: &mut HashMap<WorkerId, Handoff>,
        options: Options,
        now: Instant,
    ) -> Result<(), OwnedFd> {
        let Some(worker) = self.choose_or_want(handoffs, options, now) else {
            return Err(connection);
        };
        let (Some(handoff), Some(server), Some(balancer)) = (
            handoffs.get_mut(&worker),
            self.members.get(&worker),
            &mut self.balancer,
        ) else {
            return Err(connection);
        };
        // An error here is a full socket or too many descriptors under way: later, not never.
        if handoff
            .hand(self.id, *server, connection.as_fd(), now)
            .is_err()
        {
            return Err(connection);
        }
        balancer.took(worker);
        Ok(())
    }

    /// The worker whose turn it is. If there is none, all are asked to say when they turn, and are
    /// looked at once more, because one may have turned in between.
    fn choose_or_want(
        &self,
        handoffs: &mut HashMap<WorkerId, Handoff>,
        options: Options,
        now: Instant,
    ) -> Option<WorkerId> {
        self.choose(handoffs, options, now).or_else(|| {
            let workers = self.balancer.iter().flat_map(Balancer::workers);
            workers
                .filter_map(|worker| handoffs.get(worker))
                .for_each(Handoff::want);
            self.choose(handoffs, options, now)
        })
    }

    fn choose(
        &self,
        handoffs: &mut HashMap<WorkerId, Handoff>,
        options: Options,
        now: Instant,
    ) -> Option<WorkerId> {
        let timeout = options.handoff_timeout;
        self.balancer.as_ref()?.choose(|worker| {
            if self
                .refusals
                .get(&worker)
                .is_some_and(|at| now - *at < timeout)
            {
                return Readiness::Unable;
            }
            handoffs
                .get_mut(&worker)
                .map_or(Readiness::Unable, |handoff| handoff.readiness(now, timeout))
        })
    }

    /// Whether a worker other than `worker` could take a connection now.
    #[must_use]
    pub fn somebody_else_can(
        &self,
        worker: WorkerId,
        handoffs: &mut HashMap<WorkerId, Handoff>,
        options: Options,
        now: Instant,
    ) -> bool {
        let others = self.members.keys().filter(|other| **other != worker);
        let mut others = others.filter_map(|other| Some((other, self.balancer.as_ref()?)));
        others.any(|(other, balancer)| {
            balancer.workers().contains(other)
                && handoffs.get_mut(other).is_some_and(|handoff| {
                    handoff.readiness(now, options.handoff_timeout) != Readiness::Unable
                })
        })
    }
}

fn is_exhaustion(error: &io::Error) -> bool {
    use nix::libc::{EMFILE, ENFILE, ENOBUFS, ENOMEM};
    matches!(
        error.raw_os_error(),
        Some(EMFILE | ENFILE | ENOBUFS | ENOMEM)
    )
}
