//! The line: workers that wait at the listening socket themselves. The kernel wakes the one that has
//! waited longest, of those whose loop waits just then; here it is only looked after that nobody is
//! left waiting. See «In line» in ARCHITECTURE.md.

use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use super::crowd::{Crowd, GROWTH, enough_at_work};
use super::{Group, MAX_ACCEPTED, Workers};
use crate::balancer::{Balancer, Policy, Readiness};
use crate::handoff::Handoff;
use crate::protocol::{IdMap, IdSet, WorkerId};
use crate::sys::fd;

/// How long a worker is left alone that was not able to begin, or has many more connections open than
/// another. No longer, for some may have them for hours.
const REST: Duration = Duration::from_millis(5);

/// It is counted for so long who comes.
pub(super) const PERIOD: Duration = Duration::from_millis(100);

/// From so many a period on a line costs less than to hand them out: it is looked after at each tick.
pub(super) const BRISK: u64 = 40;

/// A line forms after so many brisk periods in a row. Whoever comes before is handed out: in line, those
/// who come in the same moment as others are accepted by the worker that has a CPU first.
pub(super) const FORMS_AFTER: u8 = 2;

/// It ends after so many that were not half as brisk: loads have gaps.
pub(super) const ENDS_AFTER: u8 = 100;

/// How many connections come.
#[derive(Default)]
pub(super) struct Pace {
    /// When the period has begun, and how many had been taken by then.
    period: Option<(Instant, u64)>,
    pub is_brisk: bool,
    /// How many periods in a row were not as `is_brisk` says.
    unlike: u8,
}

impl Pace {
    fn look(&mut self, now: Instant, taken: impl Fn() -> u64) {
        let (since, before) = *self.period.get_or_insert_with(|| (now, taken()));
        let elapsed = now - since;
        if elapsed < PERIOD {
            return;
        }
        let taken = taken();
        let (enough, periods) =
            if self.is_brisk { (BRISK / 2, ENDS_AFTER) } else { (BRISK, FORMS_AFTER) };
        // Less than before if a worker is gone.
        let came = u128::from(taken.saturating_sub(before)) * PERIOD.as_nanos();
        let was_brisk = came >= u128::from(enough) * elapsed.as_nanos();
        self.unlike = if was_brisk == self.is_brisk { 0 } else { self.unlike + 1 };
        if self.unlike == periods {
            (self.is_brisk, self.unlike) = (was_brisk, 0);
        }
        self.period = Some((now, taken));
    }
}

/// What a group knows of its line.
pub(super) struct Line {
    pub pace: Pace,
    /// With more workers than this only those on shift line up: see [`Crowd`](super::crowd::Crowd).
    pub max_workers: usize,
    workers: IdSet<WorkerId>,
    /// Those that have left it, when and after how many connections.
    left: IdMap<WorkerId, (Instant, u32)>,
    /// Those that may not know yet that there is no line any more.
    to_recall: IdSet<WorkerId>,
    /// Whoever has left may have been called for somebody.
    someone_left: bool,
    /// Somebody was found waiting each time since then.
    waits_since: Option<Instant>,
}

impl Default for Line {
    fn default() -> Self {
        Self {
            pace: Pace::default(),
            max_workers: enough_at_work(),
            workers: IdSet::default(),
            left: IdMap::default(),
            to_recall: IdSet::default(),
            someone_left: false,
            waits_since: None,
        }
    }
}

impl Line {
    /// Whether the worker waits there, and nobody for it.
    pub fn is_idle(&self, worker: WorkerId) -> bool {
        self.waits_since.is_none() && self.workers.contains(&worker)
    }

    /// The worker is gone, or was not able to begin.
    pub fn forget(&mut self, worker: WorkerId) {
        self.someone_left |= self.workers.remove(&worker);
        self.left.remove(&worker);
        self.to_recall.remove(&worker);
    }

    /// The worker waits there no more, after so many connections.
    pub fn leave(&mut self, worker: WorkerId, accepted: u32, now: Instant) {
        if self.workers.remove(&worker) {
            self.someone_left = true;
            self.left.insert(worker, (now, accepted));
        }
    }
}

impl Group {
    /// Lets workers line up, or ends that. Whether they serve those who come from now on.
    pub(super) fn keep_line(&mut self, workers: &mut Workers<'_>) -> bool {
        let members = self.balancer.as_ref().map_or(&[][..], Balancer::workers);
        let in_turn = workers.options.policy == Policy::RoundRobin;
        let taken =
            || members.iter().filter_map(|id| Some(workers.handoffs.get(id)?.taken())).sum();
        self.line.pace.look(workers.now, taken);
        let too_many = members.len() > self.line.max_workers && !self.crowd.works_in_shifts();
        if !in_turn || too_many || !self.line.pace.is_brisk {
            self.recall(workers, |_, _| true);
            return false;
        }
        self.recall(workers, Crowd::is_off_shift);
        // One that refuses what it accepts would make the primary keep more and more of them.
        if self.waiting.is_empty() {
            self.line_up(workers);
        }
        !self.line.workers.is_empty()
    }

    /// All that could take connections; when they work in shifts those that have the fewest, as long as
    /// there is a place.
    fn line_up(&mut self, workers: &mut Workers<'_>) {
        let Self { id, listener, balancer, members, refusals, crowd, line, .. } = self;
        let now = workers.now;
        line.left.retain(|_, (at, _)| now - *at < REST);
        let Some(balancer) = balancer else { return };
        let is_missing =
            |worker: &WorkerId| !line.workers.contains(worker) && crowd.has_place_for(*worker);
        let mut missing: Vec<_> = balancer.in_turn().filter(is_missing).collect();
        if missing.is_empty() {
            return;
        }
        let mut load_of = |worker: &_| workers.handoffs.get_mut(worker).map_or(0, Handoff::load);
        let limit = balancer.workers().iter().map(&mut load_of).min().unwrap_or(0) + GROWTH;
        if crowd.works_in_shifts() {
            // Each is looked at once, for it may change meanwhile.
            missing.sort_by_cached_key(load_of);
        }
        for worker in missing {
            let (Some(handoff), Some(server)) =
                (workers.handoffs.get_mut(&worker), members.get(&worker))
            else {
                continue;
            };
            let rests = match line.left.get(&worker) {
                Some((_, accepted)) => *accepted == 0 || handoff.load() >= limit,
                None => false,
            };
            let refuses = refusals.get(&worker).is_some_and(|refusal| refusal.is_recent(now));
            if crowd.has_place_for(worker)
                && !rests
                && !refuses
                && handoff.has_room()
                && handoff.line_up(*id, *server, listener.as_fd(), now).is_ok()
            {
                // It does nothing else there from then on.
                crowd.begins_to_fetch(worker, handoff, now);
                balancer.took(worker);
                line.workers.insert(worker);
                line.left.remove(&worker);
                line.to_recall.remove(&worker);
                refusals.remove(&worker);
            }
        }
    }

    /// Ends it for those that are to leave. Those that cannot be told now are told the next time.
    fn recall(&mut self, workers: &mut Workers<'_>, leaves: impl Fn(&Crowd, WorkerId) -> bool) {
        let Self { id, members, crowd, line, .. } = self;
        line.to_recall.extend(line.workers.extract_if(|worker| leaves(crowd, *worker)));
        // What one of these has said may have crossed what it was told last.
        let left = line.left.extract_if(|worker, _| leaves(crowd, *worker));
        line.to_recall.extend(left.map(|(worker, _)| worker));
        line.to_recall.retain(|worker| {
            // What it is sent from now on comes behind that.
            crowd.stop_fetching(*worker);
            let (Some(handoff), Some(server)) =
                (workers.handoffs.get_mut(worker), members.get(worker))
            else {
                return false;
            };
            handoff.recall(*id, *server, workers.now).is_err()
        });
    }

    /// What was taken back from the worker is that it was recalled.
    pub fn not_recalled(&mut self, worker: WorkerId) {
        self.line.to_recall.insert(worker);
    }

    /// Looks after those who wait while the workers are in line. Whoever was called for them may be
    /// blocked, or gone, and the kernel calls only one: others get them then, or after the handoff
    /// timeout.
    pub(super) fn attend(&mut self, workers: &mut Workers<'_>) {
        if !fd::is_readable(self.listener.as_fd()) {
            self.line.waits_since = None;
            self.line.someone_left = false;
            return;
        }
        let since = *self.line.waits_since.get_or_insert(workers.now);
        let someone_left = std::mem::take(&mut self.line.someone_left);
        if someone_left || workers.now - since >= workers.options.handoff_timeout {
            self.serve_who_waits(workers);
        }
    }

    /// Those that nobody is at work for.
    fn serve_who_waits(&mut self, workers: &mut Workers<'_>) {
        let (now, timeout) = (workers.now, workers.options.handoff_timeout);
        for _ in 0..MAX_ACCEPTED {
            let ready = |group: &Self, worker, handoff: &mut Handoff| {
                group.crowd.has_place_for(worker)
                    && handoff.readiness(now, timeout) == Readiness::Ready
            };
            let Some(worker) = self.choose_if(workers, ready) else { return };
            let Ok(connection) = self.listener.accept() else { return };
            if self.send(worker, &connection, false, workers).is_err() {
                self.put_back(connection, None);
                return;
            }
        }
    }
}
