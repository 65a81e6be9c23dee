//! What becomes of a crowd that is served in turns: workers that have enough to do accept by
//! themselves, and with more workers than CPUs they work in shifts. See «A crowd» and «More workers
//! than CPUs» in ARCHITECTURE.md.

use std::num::NonZero;
use std::os::fd::AsFd;
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

use super::line::Line;
use super::{Group, Workers};
use crate::balancer::{Balancer, Policy, Readiness};
use crate::handoff::Handoff;
use crate::protocol::{IdSet, WorkerId};

/// A worker with so many in its socket has enough to do: it is told to accept more by itself when
/// it has done that, which costs less than to send it some, and waits for nobody.
pub(super) const ENOUGH: usize = 4;

/// The same after it was worth it within the last [`GAP`]: each connection that is sent before costs
/// as much as some that are not. They are told then even if nobody waits at that moment: to look
/// first would be a wake-up of the primary for each of those that come right after.
const ENOUGH_IN_A_CROWD: usize = 1;

/// It was worth it to tell a worker that has then accepted so many. One that keeps them all accepts
/// no more after that, so a crowd that stays is told sooner as well; it is spread no worse.
pub(super) const WORTH_IT: u32 = 8;

/// As many workers at work for each CPU leave none of them idle. To wake more would only make them
/// wait for one, each with cold caches.
const AT_WORK_PER_CPU: usize = 2;

/// One whose loop has not turned or has not read for so long is not at work, but blocked. Looked at
/// on every tick of the I/O thread while somebody waits.
pub(super) const PATIENCE: Duration = Duration::from_millis(10);

/// Before that, since all were idle, each has had its turn so often.
const STRICT_ROUNDS: usize = 2;

/// With nobody at work for so long all are idle. A crowd of clients that are served and come again
/// has gaps.
pub(super) const GAP: Duration = Duration::from_millis(100);

/// How long a worker stays on shift. Its caches are warm after some milliseconds of that.
pub(super) const SHIFT: Duration = Duration::from_millis(100);

/// By how much the load of a worker on shift may grow, so that a crowd that stays is spread.
pub(super) const GROWTH: u64 = 8;

/// How many workers at work leave no CPU idle.
pub(super) fn enough_at_work() -> usize {
    AT_WORK_PER_CPU * available_parallelism().map_or(1, NonZero::get)
}

/// A worker that is at work while others are left idle.
struct OnShift {
    worker: WorkerId,
    since: Instant,
    /// With so many connections its shift is over.
    limit: u64,
}

/// What a group knows of its crowd.
pub(super) struct Crowd {
    /// Workers that accept by themselves for as long as somebody waits. As long as all do, nothing
    /// is accepted here.
    fetching: IdSet<WorkerId>,
    /// When it was last worth it.
    worth_it_at: Option<Instant>,
    /// How many workers leave no CPU for another one.
    pub max_at_work: usize,
    /// How many connections were sent since all were idle.
    sent_in_a_row: usize,
    last_at_work: Option<Instant>,
    /// While there is no CPU for all workers.
    shift: Option<Vec<OnShift>>,
}

impl Default for Crowd {
    fn default() -> Self {
        Self {
            fetching: IdSet::default(),
            worth_it_at: None,
            max_at_work: enough_at_work(),
            sent_in_a_row: 0,
            last_at_work: None,
            shift: None,
        }
    }
}

impl Crowd {
    /// A connection was sent to that worker.
    pub fn sent(&mut self, worker: WorkerId, handoff: &mut Handoff, now: Instant) {
        self.sent_in_a_row += 1;
        self.last_at_work = Some(now);
        self.join_shift(worker, handoff, now);
    }

    /// With how many in its socket a worker has enough to do.
    fn enough(&self, now: Instant) -> usize {
        if self.worth_it_at.is_some_and(|last| now - last < GAP) {
            ENOUGH_IN_A_CROWD
        } else {
            ENOUGH
        }
    }

    /// Whether some workers are left idle, for want of CPUs.
    pub fn works_in_shifts(&self) -> bool {
        self.shift.is_some()
    }

    /// Whether the worker is on shift, or could be.
    pub fn has_place_for(&self, worker: WorkerId) -> bool {
        let is_full = |shift: &Vec<_>| shift.len() >= self.max_at_work;
        !self.shift.as_ref().is_some_and(is_full) || !self.is_off_shift(worker)
    }

    /// Whether it is left idle while others are on shift.
    pub fn is_off_shift(&self, worker: WorkerId) -> bool {
        let shift = self.shift.as_ref();
        shift.is_some_and(|shift| !shift.iter().any(|other| other.worker == worker))
    }

    /// Whether the worker does not accept by itself, but could.
    fn can_be_told(&self, worker: WorkerId) -> bool {
        !self.fetching.contains(&worker) && self.has_place_for(worker)
    }

    /// Whether connections that have waited for so long in front of a worker should go to others:
    /// without a CPU for all, that worker may only wait for one.
    pub fn may_move(&self, overdue: Duration) -> bool {
        self.shift.is_none() || overdue >= PATIENCE
    }

    /// The worker accepts by itself.
    pub fn begins_to_fetch(&mut self, worker: WorkerId, handoff: &mut Handoff, now: Instant) {
        self.fetching.insert(worker);
        self.join_shift(worker, handoff, now);
    }

    /// The worker accepts no more by itself, or was not able to begin.
    pub fn stop_fetching(&mut self, worker: WorkerId) {
        self.fetching.remove(&worker);
    }

    /// The worker is gone.
    pub fn forget(&mut self, worker: WorkerId) {
        self.fetching.remove(&worker);
        if let Some(shift) = &mut self.shift {
            shift.retain(|other| other.worker != worker);
        }
    }

    fn is_at_work(&self, worker: WorkerId, workers: &mut Workers<'_>) -> bool {
        let (now, timeout) = (workers.now, workers.options.handoff_timeout);
        let fetches = self.fetching.contains(&worker);
        workers.handoffs.get_mut(&worker).is_some_and(|handoff| {
            (fetches || handoff.is_occupied(now, timeout)) && handoff.stuck_for(now) < PATIENCE
        })
    }

    fn is_blocked_or_has(
        &self,
        limit: u64,
        worker: WorkerId,
        line: &Line,
        workers: &mut Workers<'_>,
    ) -> bool {
        let (now, timeout) = (workers.now, workers.options.handoff_timeout);
        let fetches = self.fetching.contains(&worker) && !line.is_idle(worker);
        workers.handoffs.get_mut(&worker).is_none_or(|handoff| {
            let has_some = fetches || handoff.has_unread();
            handoff.load() >= limit
                || handoff.readiness(now, timeout) == Readiness::Unable
                || (has_some && handoff.stuck_for(now) >= PATIENCE)
        })
    }

    /// If there is a place for it.
    fn join_shift(&mut self, worker: WorkerId, handoff: &mut Handoff, now: Instant) {
        let max = self.max_at_work;
        if let Some(shift) = &mut self.shift
            && shift.len() < max
            && !shift.iter().any(|other| other.worker == worker)
        {
            shift.push(OnShift { worker, since: now, limit: handoff.load() + GROWTH });
        }
    }
}

impl Group {
    /// The worker accepts no more by itself, or was not able to begin.
    pub fn stop_fetching(&mut self, worker: WorkerId) {
        self.crowd.stop_fetching(worker);
        self.line.forget(worker);
    }

    /// The worker has accepted so many by itself, and does so no more.
    pub fn has_fetched(&mut self, worker: WorkerId, accepted: u32, now: Instant) {
        if accepted >= WORTH_IT {
            self.crowd.worth_it_at = Some(now);
        }
        self.crowd.stop_fetching(worker);
        self.line.leave(worker, accepted, now);
    }

    /// The worker for whoever is next in the kernel's backlog. If there is none, those that are to
    /// be served in turn and have enough are told to accept by themselves.
    pub(super) fn choose_or_let_fetch(&mut self, workers: &mut Workers<'_>) -> Option<WorkerId> {
        if workers.options.policy != Policy::RoundRobin {
            return self.choose_or_want(workers);
        }
        let enough = self.crowd.enough(workers.now);
        let needs_some = |group: &Self, worker, handoff: &mut Handoff| {
            group.crowd.can_be_told(worker) && handoff.unread() < enough
        };
        self.choose_if(workers, needs_some).or_else(|| {
            self.let_fetch(enough, workers);
            // One that could not be told may have gone on before it was asked to say so.
            self.choose_if(workers, needs_some)
        })
    }

    /// Begins, changes or ends the shift.
    pub(super) fn keep_shift(&mut self, workers: &mut Workers<'_>) {
        let Self { balancer, crowd, line, refusals, .. } = self;
        let members = balancer.as_ref().map_or(&[][..], Balancer::workers);
        let in_turn = workers.options.policy == Policy::RoundRobin;
        if !in_turn || members.len() <= crowd.max_at_work {
            crowd.shift = None;
            crowd.sent_in_a_row = 0;
            return;
        }
        // No more of them than need be: each is a cache miss.
        let wanted = if crowd.shift.is_some() { 1 } else { crowd.max_at_work };
        let on_shift = crowd.shift.iter().flatten().map(|OnShift { worker, .. }| worker);
        let at_work = on_shift
            .chain(members)
            .filter(|worker| crowd.is_at_work(**worker, workers))
            .take(wanted)
            .count();
        let now = workers.now;
        if at_work > 0 {
            crowd.last_at_work = Some(now);
        } else if crowd.last_at_work.is_none_or(|last| now - last >= GAP) {
            crowd.sent_in_a_row = 0;
        }
        // Or they wait for something else than a CPU: a disk, say.
        let are_short = workers.cpus.are_busy(now);
        if crowd.sent_in_a_row < STRICT_ROUNDS * members.len() || !are_short {
            crowd.shift = None;
        } else if let Some(mut shift) = crowd.shift.take() {
            shift.retain(|OnShift { worker, since, limit }| {
                now - *since < SHIFT
                    && !refusals.contains_key(worker)
                    && !crowd.is_blocked_or_has(*limit, *worker, line, workers)
            });
            crowd.shift = Some(shift);
        } else if at_work >= crowd.max_at_work {
            crowd.shift = Some(Vec::new());
        }
    }

    /// Tells those that have `enough` and are not blocked.
    fn let_fetch(&mut self, enough: usize, workers: &mut Workers<'_>) {
        let (now, timeout) = (workers.now, workers.options.handoff_timeout);
        for &worker in self.balancer.iter().flat_map(Balancer::workers) {
            let (Some(handoff), Some(server)) =
                (workers.handoffs.get_mut(&worker), self.members.get(&worker))
            else {
                continue;
            };
            if !self.crowd.can_be_told(worker) {
                continue;
            }
            // One that refuses what it is given would do so with what it fetches.
            let may_fetch = handoff.unread() >= enough && !self.refusals.contains_key(&worker);
            let socket = self.listener.as_fd();
            if may_fetch
                && !handoff.is_blocked(now, timeout)
                && handoff.let_fetch(self.id, *server, socket, now).is_ok()
            {
                self.crowd.begins_to_fetch(worker, handoff, now);
            } else if may_fetch || handoff.readiness(now, timeout) == Readiness::Unable {
                handoff.want();
            }
        }
    }
}
