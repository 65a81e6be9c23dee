//! One listening socket, the workers that listen on it, and its connections from accept until a
//! worker has been given them.

mod choice;
mod crowd;
mod line;

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use crate::balancer::{Balancer, Policy};
use crate::cpus::Cpus;
use crate::handoff::Handoff;
use crate::listener::Listener;
use crate::primary::Options;
use crate::protocol::{IdMap, ListenerId, ServerId, WorkerId};
use crate::sys::fd;

use self::crowd::Crowd;
use self::line::Line;

/// How many connections are accepted and kept for workers that cannot take them yet, by a policy
/// that has to see the client first. All others stay in the kernel's backlog.
const MAX_WAITING: usize = 64;

/// How many of them may wait for one worker; the clients of one that is blocked for so long go to
/// others rather than stop everybody.
const MAX_WAITING_FOR_ONE: usize = 16;

/// How many connections are accepted at a time, before other sockets get their turn.
const MAX_ACCEPTED: usize = 64;

/// How long a worker that has refused is left alone.
const REFUSAL_PAUSE: Duration = Duration::from_millis(5);

/// What to do with a listening socket after [`Group::accept`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accepted {
    /// The workers do so in line: it is only looked after, at each tick.
    InLine,
    /// Nobody waits: watch it.
    All,
    /// There may be more: come back after the others.
    Some,
    /// Nobody can take a connection: leave it alone until it is resumed.
    Paused,
    /// The system has no descriptor or no memory for it: try again a little later.
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

/// A worker has given a connection back, or is being tried again since.
struct Refusal {
    at: Instant,
    /// It has not been given one since.
    refused: bool,
}

impl Refusal {
    fn is_recent(&self, now: Instant) -> bool {
        now - self.at < REFUSAL_PAUSE
    }
}

/// What a group needs to hand out connections.
pub struct Workers<'a> {
    pub handoffs: &'a mut IdMap<WorkerId, Handoff>,
    pub options: Options,
    /// Asks the program's own policy; answered by [`Group::decide`].
    pub ask: &'a dyn Fn(Question),
    pub cpus: &'a mut Cpus,
    pub now: Instant,
}

pub struct Group {
    pub id: ListenerId,
    pub key: String,
    pub listener: Listener,
    /// What the first server wants to share with its twins.
    pub data: Option<String>,
    /// All workers that have a server here.
    pub members: IdMap<WorkerId, ServerId>,
    /// Those that can be given connections; `None` if the workers accept by themselves.
    pub balancer: Option<Balancer<WorkerId>>,
    waiting: VecDeque<Waiting>,
    questions: u64,
    /// Workers whose server was full. They are tried with one connection at a time, or one that
    /// nobody wants would go round without a pause.
    refusals: IdMap<WorkerId, Refusal>,
    crowd: Crowd,
    line: Line,
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
            members: IdMap::default(),
            balancer: balanced.then(Balancer::default),
            waiting: VecDeque::new(),
            questions: 0,
            refusals: IdMap::default(),
            crowd: Crowd::default(),
            line: Line::default(),
            paused: false,
            lingers_until: None,
        }
    }

    pub fn remove(&mut self, worker: WorkerId) {
        self.members.remove(&worker);
        self.refusals.remove(&worker);
        self.crowd.forget(worker);
        self.line.forget(worker);
        if let Some(balancer) = &mut self.balancer {
            balancer.leave(worker);
        }
    }

    /// Keeps a connection that a worker did not take; [`accept`](Self::accept) offers it to others.
    ///
    /// `owner`: the only one that may have it.
    pub fn put_back(&mut self, connection: OwnedFd, owner: Option<WorkerId>) {
        let place = owner.map_or(Place::Anyone, Place::Only);
        self.waiting.push_back(Waiting { connection, place });
    }

    pub fn refused(&mut self, worker: WorkerId, now: Instant) {
        self.stop_fetching(worker);
        if !self.members.contains_key(&worker) {
            return;
        }
        self.refusals.insert(worker, Refusal { at: now, refused: true });
    }

    /// Whether [`accept`](Self::accept) may have something to do although the socket is not ready.
    #[must_use]
    pub fn is_stalled(&self) -> bool {
        let asked = |waiting: &Waiting| matches!(waiting.place, Place::Asked(_));
        self.paused || self.waiting.iter().any(|waiting| !asked(waiting))
    }

    /// The program's policy has chosen a worker, or left it to the round.
    pub fn decide(&mut self, question: u64, worker: Option<WorkerId>) {
        let asked = |waiting: &&mut Waiting| waiting.place == Place::Asked(question);
        if let Some(waiting) = self.waiting.iter_mut().find(asked) {
            waiting.place = worker.map_or(Place::Anyone, Place::Only);
        }
    }

    /// Hands out what waits, then accepts and hands out until nobody waits any more or no worker
    /// can take one.
    pub fn accept(&mut self, workers: &mut Workers<'_>) -> Accepted {
        self.keep_shift(workers);
        self.hand_out_waiting(workers);
        let outcome = if self.keep_line(workers) {
            self.attend(workers);
            Accepted::InLine
        } else {
            self.accept_and_hand_out(workers)
        };
        self.paused = outcome == Accepted::Paused;
        outcome
    }

    fn accept_and_hand_out(&mut self, workers: &mut Workers<'_>) -> Accepted {
        let sees_client = matches!(workers.options.policy, Policy::IpHash | Policy::Custom);
        if !sees_client && !self.waiting.is_empty() {
            // Those that are here already come before those in the kernel's backlog.
            return Accepted::Paused;
        }
        for _ in 0..MAX_ACCEPTED {
            // A policy that does not care about the client is asked first, so that a client whom
            // nobody can serve stays in the kernel's backlog.
            let chosen = if sees_client { None } else { self.choose_or_let_fetch(workers) };
            if chosen.is_none() && (!sees_client || self.waiting.len() >= MAX_WAITING) {
                return Accepted::Paused;
            }
            let connection = match self.listener.accept() {
                Ok(connection) => connection,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Accepted::All,
                Err(_) => return Accepted::Exhausted,
            };
            let failed = if let Some(worker) = chosen {
                self.send(worker, &connection, false, workers).err().map(|_| Place::Anyone)
            } else {
                let place = self.place(&connection, workers);
                self.try_to_give(place, &connection, workers).err()
            };
            if let Some(place) = failed {
                self.waiting.push_back(Waiting { connection, place });
                if chosen.is_some() {
                    return Accepted::Paused;
                }
            }
        }
        Accepted::Some
    }

    /// Where a policy that looks at the client puts it.
    fn place(&mut self, connection: &OwnedFd, workers: &Workers<'_>) -> Place {
        let remote = fd::ip_address(connection.as_fd(), true);
        match workers.options.policy {
            Policy::RoundRobin | Policy::LeastConnections => Place::Anyone,
            Policy::IpHash => {
                let owner = remote.and_then(|remote| self.balancer.as_ref()?.owner(&remote.ip()));
                owner.map_or(Place::Anyone, |owner| self.place_with(owner))
            }
            Policy::Custom => {
                self.questions += 1;
                let local = fd::ip_address(connection.as_fd(), false);
                (workers.ask)(Question { id: self.questions, listener: self.id, remote, local });
                Place::Asked(self.questions)
            }
        }
    }

    /// With that worker, unless too many wait for it already.
    fn place_with(&self, worker: WorkerId) -> Place {
        let waiting = self.waiting.iter().filter(|waiting| waiting.place == Place::Only(worker));
        if waiting.count() < MAX_WAITING_FOR_ONE { Place::Only(worker) } else { Place::Anyone }
    }

    fn hand_out_waiting(&mut self, workers: &mut Workers<'_>) {
        for Waiting { connection, mut place } in std::mem::take(&mut self.waiting) {
            if let Place::Only(worker) = place
                && !self.takes_part(worker)
            {
                // The worker it was meant for is gone: the policy has to say it anew.
                place = match workers.options.policy {
                    Policy::IpHash => self.place(&connection, workers),
                    _ => Place::Anyone,
                };
            }
            if let Err(place) = self.try_to_give(place, &connection, workers) {
                self.waiting.push_back(Waiting { connection, place });
            }
        }
    }

    /// Sends a connection to its worker; `Err` with its place if that cannot take it now.
    fn try_to_give(
        &mut self,
        place: Place,
        connection: &OwnedFd,
        workers: &mut Workers<'_>,
    ) -> Result<(), Place> {
        let chosen = match place {
            Place::Anyone => self.choose_or_want(workers),
            Place::Only(worker) => Some(worker),
            Place::Asked(_) => None,
        };
        let bound = place != Place::Anyone;
        let worker = chosen.ok_or(place)?;
        self.send(worker, connection, bound, workers).map_err(|_| place)
    }

    /// An error is a full socket or too many descriptors under way: later, not never.
    fn send(
        &mut self,
        worker: WorkerId,
        connection: &OwnedFd,
        bound: bool,
        workers: &mut Workers<'_>,
    ) -> io::Result<()> {
        let (Some(handoff), Some(server), Some(balancer)) =
            (workers.handoffs.get_mut(&worker), self.members.get(&worker), &mut self.balancer)
        else {
            return Err(io::ErrorKind::NotFound.into());
        };
        if !handoff.has_room() {
            handoff.want();
            return Err(io::ErrorKind::WouldBlock.into());
        }
        handoff.hand(self.id, *server, connection.as_fd(), bound, workers.now)?;
        self.crowd.sent(worker, handoff, workers.now);
        balancer.took(worker);
        if let Some(refusal) = self.refusals.get_mut(&worker) {
            *refusal = Refusal { at: workers.now, refused: false };
        }
        Ok(())
    }

    fn takes_part(&self, worker: WorkerId) -> bool {
        self.balancer.as_ref().is_some_and(|balancer| balancer.workers().contains(&worker))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // A worker may still have it, to accept by itself.
        if self.balancer.is_some() {
            self.listener.stop();
        }
    }
}
