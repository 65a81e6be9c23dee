//! One listening socket, the workers that listen on it, and its connections from accept until a
//! worker has been given them.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Instant;

use crate::balancer::{Balancer, Policy, Readiness};
use crate::handoff::Handoff;
use crate::listener::Listener;
use crate::primary::Options;
use crate::protocol::{ListenerId, ServerId, WorkerId};
use crate::sys::fd;

/// How many connections are accepted and kept for workers that cannot take them yet, by a policy
/// that has to see the client first. All others stay in the kernel's backlog.
const MAX_WAITING: usize = 64;

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

/// A connection about which the program's own policy is asked.
#[derive(Clone, Copy, Debug)]
pub struct Question {
    pub id: u64,
    pub listener: ListenerId,
    pub remote: Option<SocketAddr>,
    pub local: Option<SocketAddr>,
}

/// Who may get a connection that waits.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Anyone,
    Only(WorkerId),
    /// The program's policy has not answered this question yet.
    Asked(u64),
}

/// Accepted, but without a worker.
struct Waiting {
    connection: OwnedFd,
    place: Place,
}

/// What a group needs of the rest to hand out connections.
pub struct Workers<'a> {
    pub handoffs: &'a mut HashMap<WorkerId, Handoff>,
    pub options: Options,
    /// Asks the program's own policy; answered by [`Group::decide`].
    pub ask: &'a dyn Fn(Question),
    pub now: Instant,
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
    waiting: VecDeque<Waiting>,
    questions: u64,
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
            questions: 0,
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
        self.waiting.push_back(Waiting { connection, place: Place::Anyone });
    }

    pub fn refused(&mut self, worker: WorkerId, now: Instant) {
        self.refusals.insert(worker, now);
    }

    /// The program's policy has chosen a worker, or left it to the round.
    pub fn decide(&mut self, question: u64, worker: Option<WorkerId>) {
        let asked = |waiting: &&mut Waiting| waiting.place == Place::Asked(question);
        if let Some(waiting) = self.waiting.iter_mut().find(asked) {
            waiting.place = worker.map_or(Place::Anyone, Place::Only);
        }
    }

    /// Whether only time can tell when this goes on: nobody will say so.
    #[must_use]
    pub fn needs_time(&self) -> bool {
        !self.waiting.is_empty() || (self.paused && !self.refusals.is_empty())
    }

    /// Hands out what waits, then accepts and hands out until nobody waits any more or no worker
    /// can take one.
    pub fn accept(&mut self, workers: &mut Workers<'_>) -> Accepted {
        self.paused = false;
        self.hand_out_waiting(workers);
        let sees_client = matches!(workers.options.policy, Policy::IpHash | Policy::Custom);
        loop {
            // A policy that does not care about the client is asked first, so that a client whom
            // nobody can serve stays in the kernel's backlog.
            let chosen = if sees_client { None } else { self.choose_or_want(workers) };
            if chosen.is_none() && (!sees_client || self.waiting.len() >= MAX_WAITING) {
                self.paused = true;
                return Accepted::Paused;
            }
            let connection = match self.listener.accept() {
                Ok(connection) => connection,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Accepted::All,
                Err(error) if is_exhaustion(&error) => return Accepted::Exhausted,
                // That client went away while it waited (see accept(2)): the next one.
                Err(_) => continue,
            };
            let place = chosen.map_or_else(|| self.place(&connection, workers), Place::Only);
            if let Err(waiting) = self.give(Waiting { connection, place }, workers) {
                self.waiting.push_back(waiting);
            }
        }
    }

    /// Where a policy that looks at the client puts it.
    fn place(&mut self, connection: &OwnedFd, workers: &Workers<'_>) -> Place {
        let remote = fd::ip_address(connection.as_fd(), true);
        match workers.options.policy {
            Policy::RoundRobin | Policy::LeastConnections => Place::Anyone,
            Policy::IpHash => {
                let owner = remote.and_then(|remote| self.balancer.as_ref()?.owner(&remote.ip()));
                owner.map_or(Place::Anyone, Place::Only)
            }
            Policy::Custom => {
                self.questions += 1;
                let local = fd::ip_address(connection.as_fd(), false);
                (workers.ask)(Question { id: self.questions, listener: self.id, remote, local });
                Place::Asked(self.questions)
            }
        }
    }

    fn hand_out_waiting(&mut self, workers: &mut Workers<'_>) {
        for mut waiting in std::mem::take(&mut self.waiting) {
            if let Place::Only(worker) = waiting.place
                && !self.takes_part(worker)
            {
                // The worker it was meant for is gone.
                waiting.place = Place::Anyone;
            }
            if waiting.place == Place::Anyone && workers.options.policy == Policy::IpHash {
                waiting.place = self.place(&waiting.connection, workers);
            }
            if let Err(waiting) = self.give(waiting, workers) {
                self.waiting.push_back(waiting);
            }
        }
    }

    /// Sends a connection to its worker, or gives it back if that cannot take it now.
    fn give(&mut self, waiting: Waiting, workers: &mut Workers<'_>) -> Result<(), Waiting> {
        let chosen = match waiting.place {
            Place::Anyone => self.choose_or_want(workers),
            Place::Only(worker) => Some(worker),
            Place::Asked(_) => None,
        };
        let Some(worker) = chosen else {
            return Err(waiting);
        };
        let (Some(handoff), Some(server), Some(balancer)) =
            (workers.handoffs.get_mut(&worker), self.members.get(&worker), &mut self.balancer)
        else {
            return Err(waiting);
        };
        // An error is a full socket or too many descriptors under way: later, not never.
        let connection = waiting.connection.as_fd();
        if !handoff.has_room() || handoff.hand(self.id, *server, connection, workers.now).is_err() {
            handoff.want();
            return Err(waiting);
        }
        balancer.took(worker);
        Ok(())
    }

    /// The worker whose turn it is. If there is none, all are asked to say when they turn, and are
    /// looked at once more, because one may have turned in between.
    fn choose_or_want(&self, workers: &mut Workers<'_>) -> Option<WorkerId> {
        self.choose(workers).or_else(|| {
            let members = self.balancer.iter().flat_map(Balancer::workers);
            members.filter_map(|worker| workers.handoffs.get(worker)).for_each(Handoff::want);
            self.choose(workers)
        })
    }

    fn choose(&self, workers: &mut Workers<'_>) -> Option<WorkerId> {
        let (now, timeout) = (workers.now, workers.options.handoff_timeout);
        let by_load = workers.options.policy == Policy::LeastConnections;
        self.balancer.as_ref()?.choose(|worker| {
            let Some(handoff) = workers.handoffs.get_mut(&worker) else {
                return (Readiness::Unable, 0);
            };
            if self.refusals.get(&worker).is_some_and(|at| now - *at < timeout) {
                return (Readiness::Unable, 0);
            }
            let load = if by_load { handoff.load() } else { 0 };
            (handoff.readiness(now, timeout), load)
        })
    }

    fn takes_part(&self, worker: WorkerId) -> bool {
        self.balancer.as_ref().is_some_and(|balancer| balancer.workers().contains(&worker))
    }

    /// Whether a worker other than `worker` could take one of its connections now.
    #[must_use]
    pub fn somebody_else_can(&self, worker: WorkerId, workers: &mut Workers<'_>) -> bool {
        let (now, timeout) = (workers.now, workers.options.handoff_timeout);
        match workers.options.policy {
            Policy::RoundRobin | Policy::LeastConnections => {}
            // These clients belong to that worker.
            Policy::IpHash | Policy::Custom => return false,
        }
        let mut others = self.balancer.iter().flat_map(Balancer::workers).filter(|w| **w != worker);
        others.any(|other| {
            let handoff = workers.handoffs.get_mut(other);
            handoff.is_some_and(|handoff| handoff.readiness(now, timeout) != Readiness::Unable)
        })
    }
}

fn is_exhaustion(error: &io::Error) -> bool {
    use nix::libc::{EMFILE, ENFILE, ENOBUFS, ENOMEM};
    matches!(error.raw_os_error(), Some(EMFILE | ENFILE | ENOBUFS | ENOMEM))
}
