//! What becomes of a crowd that is served in turns: workers that have enough to do accept by
//! themselves, and with enough of them at work, the others are not woken. See «A crowd» in
//! ARCHITECTURE.md.

use std::os::fd::AsFd;
use std::time::Duration;

use super::{Group, Workers};
use crate::balancer::{Balancer, Policy, Readiness};
use crate::handoff::Handoff;
use crate::protocol::WorkerId;

/// A worker with so many in its socket has enough to do: it is told to accept more by itself when
/// it has done that, which costs less than to send it some, and waits for nobody.
pub(super) const ENOUGH: usize = 4;

/// As many workers at work for each CPU leave none of them idle. To wake more would only make them
/// wait for one, each with cold caches.
pub(super) const AT_WORK_PER_CPU: usize = 2;

/// One whose loop has not turned or has not read for so long is not at work, but blocked. Looked at
/// on every tick of the I/O thread.
pub(super) const PATIENCE: Duration = Duration::from_millis(10);

/// Before that, since all were idle, each has had its turn so often.
const STRICT_ROUNDS: usize = 2;

impl Group {
    /// The worker accepts no more by itself, or was not able to begin.
    pub fn stop_fetching(&mut self, worker: WorkerId) {
        self.fetching.remove(&worker);
    }

    /// The worker for whoever is next in the kernel's backlog. If there is none, those that are to
    /// be served in turn and have enough are told to accept by themselves.
    pub(super) fn choose_or_let_fetch(&mut self, workers: &mut Workers<'_>) -> Option<WorkerId> {
        if workers.options.policy != Policy::RoundRobin {
            return self.choose_or_want(workers);
        }
        let all_may = !self.enough_are_at_work(workers);
        let needs_some = |group: &Self, worker, handoff: &mut Handoff| {
            let unread = handoff.unread();
            unread < ENOUGH && (unread > 0 || all_may) && !group.fetching.contains(&worker)
        };
        if let Some(worker) = self.choose_if(workers, needs_some) {
            return Some(worker);
        }
        self.let_fetch(workers);
        // One that could not be told may have gone on before it was asked to say so.
        self.choose_if(workers, needs_some)
    }

    /// Whether workers that are idle stay so, for those at work leave them no CPU.
    fn enough_are_at_work(&mut self, workers: &mut Workers<'_>) -> bool {
        let members = self.balancer.as_ref().map_or(&[][..], Balancer::workers);
        if members.len() <= self.max_at_work {
            return false;
        }
        let at_work = members.iter().filter(|worker| {
            workers.handoffs.get_mut(worker).is_some_and(|handoff| {
                let has_some = handoff.unread() > 0 || self.fetching.contains(worker);
                has_some && handoff.stuck_for(workers.now) < PATIENCE
            })
        });
        let at_work = at_work.count();
        if at_work == 0 {
            self.sent_in_a_row = 0;
        }
        at_work >= self.max_at_work
            && self.sent_in_a_row >= STRICT_ROUNDS * members.len()
            // Or they wait for something else than a CPU: a disk, say.
            && workers.cpus.are_busy(workers.now)
    }

    fn let_fetch(&mut self, workers: &mut Workers<'_>) {
        for &worker in self.balancer.iter().flat_map(Balancer::workers) {
            let (Some(handoff), Some(server)) =
                (workers.handoffs.get_mut(&worker), self.members.get(&worker))
            else {
                continue;
            };
            if self.fetching.contains(&worker) {
                continue;
            }
            // One that refuses what it is given would do so with what it fetches.
            let (now, timeout) = (workers.now, workers.options.handoff_timeout);
            let may_fetch = handoff.unread() >= ENOUGH && !self.refusals.contains_key(&worker);
            let socket = self.listener.as_fd();
            if may_fetch && handoff.let_fetch(self.id, *server, socket, now).is_ok() {
                self.fetching.insert(worker);
            } else if may_fetch || handoff.readiness(now, timeout) == Readiness::Unable {
                handoff.want();
            }
        }
    }
}
