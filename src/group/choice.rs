//! Who gets a connection, of the workers of one listener; and whether another would serve one sooner
//! that waits for a worker already.

use std::time::Duration;

use super::{Group, Place, Workers};
use crate::balancer::{Balancer, Policy, Readiness};
use crate::handoff::Handoff;
use crate::protocol::WorkerId;

impl Group {
    /// The worker whose turn it is. If there is none, all are asked to say when they turn, and are
    /// looked at once more, because one may have turned in between.
    pub(super) fn choose_or_want(&mut self, workers: &mut Workers<'_>) -> Option<WorkerId> {
        if let Some(worker) = self.choose(workers) {
            return Some(worker);
        }
        let members = self.balancer.iter().flat_map(Balancer::workers);
        members.filter_map(|worker| workers.handoffs.get(worker)).for_each(Handoff::want);
        self.choose(workers)
    }

    /// One that the crowd leaves idle only if no other can.
    fn choose(&mut self, workers: &mut Workers<'_>) -> Option<WorkerId> {
        let chosen = self.choose_if(workers, |group, worker, _| group.crowd.has_place_for(worker));
        if chosen.is_some() || !self.crowd.works_in_shifts() {
            return chosen;
        }
        self.choose_if(workers, |_, _, _| true)
    }

    /// Of those that `may` take one.
    pub(super) fn choose_if(
        &mut self,
        workers: &mut Workers<'_>,
        may: impl Fn(&Self, WorkerId, &mut Handoff) -> bool,
    ) -> Option<WorkerId> {
        self.forget_refusals(workers);
        let (now, timeout) = (workers.now, workers.options.handoff_timeout);
        let by_load = workers.options.policy == Policy::LeastConnections;
        self.balancer.as_ref()?.choose(|worker| {
            let Some(handoff) = workers.handoffs.get_mut(&worker) else {
                return (Readiness::Unable, 0);
            };
            if self.refusals.get(&worker).is_some_and(|refusal| refusal.is_recent(now)) {
                return (Readiness::Unable, 0);
            }
            // Before anything that is read from the worker's page, which costs a cache miss: most may
            // not when they work in shifts.
            if !may(self, worker, handoff) {
                return (Readiness::Unable, 0);
            }
            match handoff.readiness(now, timeout) {
                Readiness::Unable => (Readiness::Unable, 0),
                // The number says how occupied it is.
                _ if by_load => (Readiness::Ready, handoff.load()),
                // Or those on shift would keep all of a crowd that stays.
                readiness if self.crowd.works_in_shifts() => (readiness, handoff.load()),
                readiness => (readiness, 0),
            }
        })
    }

    /// A worker that has kept the connection it was tried with is like the others again.
    fn forget_refusals(&mut self, workers: &mut Workers<'_>) {
        let now = workers.now;
        self.refusals.retain(|worker, refusal| {
            let tried = !refusal.refused && !refusal.is_recent(now);
            let mut kept = || workers.handoffs.get_mut(worker).is_some_and(|h| !h.has_unread());
            !(tried && kept())
        });
    }

    /// How many of those that wait for `worker`, which has done nothing for so long, are better off
    /// elsewhere: all, if another's turns are shorter by far; else one for each ready worker.
    pub fn room_elsewhere(
        &self,
        worker: WorkerId,
        overdue: Duration,
        workers: &mut Workers<'_>,
    ) -> usize {
        let (now, timeout) = (workers.now, workers.options.handoff_timeout);
        if !self.crowd.may_move(overdue) {
            return 0;
        }
        let mut ready = 0_usize;
        for other in self.balancer.iter().flat_map(Balancer::workers).filter(|w| **w != worker) {
            let Some(handoff) = workers.handoffs.get_mut(other) else { continue };
            match handoff.readiness(now, timeout) {
                Readiness::Unable => {}
                _ if overdue >= 2 * handoff.turn(now) => return usize::MAX,
                Readiness::Occupied => {}
                Readiness::Ready => ready += 1,
            }
        }
        let waiting = self.waiting.iter().filter(|waiting| waiting.place == Place::Anyone);
        ready.saturating_sub(waiting.count())
    }
}
