//! Which worker gets the next connection.
//!
//! Bookkeeping only: no sockets, no clock, no async. `primary.rs` does what this decides.

use std::hash::{DefaultHasher, Hash, Hasher};

/// Whether a worker can take a connection now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Readiness {
    /// It would be queued behind a blocked event loop, or behind too many others.
    Unable,
    /// It is still at the connection before; a connection would be served a little later.
    Occupied,
    Ready,
}

/// How the worker for a connection is found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Policy {
    /// Each in turn.
    #[default]
    RoundRobin,
    /// The one with the fewest open connections, in turn among equals.
    LeastConnections,
    /// Always the same one for a client's address.
    IpHash,
    /// A function of the program's says it.
    Custom,
}

/// The workers of one listener, in the order in which they began to listen.
#[derive(Debug)]
pub struct Balancer<W> {
    ring: Vec<W>,
    /// Index of the worker whose turn it is; less than the length, or 0.
    next: usize,
}

impl<W> Default for Balancer<W> {
    fn default() -> Self {
        Self { ring: Vec::new(), next: 0 }
    }
}

impl<W: Copy + Eq + Hash> Balancer<W> {
    /// Lets `worker` take part from now on, last in the round that is under way.
    pub fn join(&mut self, worker: W) {
        if self.ring.contains(&worker) {
            return;
        }
        // Those before `next` have had their turn: whoever is put right in front of it comes last.
        // In the first round nobody had one, and the end of the ring is last.
        if self.next == 0 {
            self.ring.push(worker);
        } else {
            self.ring.insert(self.next, worker);
            self.next += 1;
        }
    }

    pub fn leave(&mut self, worker: W) {
        let Some(index) = self.ring.iter().position(|other| *other == worker) else {
            return;
        };
        self.ring.remove(index);
        if index < self.next {
            self.next -= 1;
        }
        if self.next >= self.ring.len() {
            self.next = 0;
        }
    }

    #[must_use]
    pub fn workers(&self) -> &[W] {
        &self.ring
    }

    /// Whose turn it is, who comes next, and so on.
    pub fn in_turn(&self) -> impl Iterator<Item = W> {
        let (had_their_turn, next) = self.ring.split_at(self.next);
        next.iter().chain(had_their_turn).copied()
    }

    /// The worker for the next connection: the most ready, of those the one with the least load, of
    /// those the one whose turn it is. `None` if nobody can take it. Its turn is over only with
    /// [`took`](Self::took).
    pub fn choose(&self, mut state: impl FnMut(W) -> (Readiness, u64)) -> Option<W> {
        let mut best: Option<(W, Readiness, u64)> = None;
        for worker in self.in_turn() {
            let (readiness, load) = state(worker);
            if readiness == Readiness::Ready && load == 0 {
                return Some(worker);
            }
            let better = best.is_none_or(|(_, best_readiness, least)| {
                readiness > best_readiness || (readiness == best_readiness && load < least)
            });
            if better && readiness != Readiness::Unable {
                best = Some((worker, readiness, load));
            }
        }
        best.map(|(worker, _, _)| worker)
    }

    /// The worker that `client` belongs to (rendezvous hashing): when another one joins or leaves,
    /// only the clients move that it gets or had.
    pub fn owner(&self, client: &impl Hash) -> Option<W> {
        let weight = |worker: &W| {
            let mut hasher = DefaultHasher::new();
            (client, worker).hash(&mut hasher);
            hasher.finish()
        };
        self.ring.iter().copied().max_by_key(weight)
    }

    /// `worker` has been given a connection: the turn goes to the one behind it.
    pub fn took(&mut self, worker: W) {
        if let Some(index) = self.ring.iter().position(|other| *other == worker) {
            self.next = (index + 1) % self.ring.len();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(workers: &[u32]) -> Balancer<u32> {
        let mut balancer = Balancer::default();
        for worker in workers {
            balancer.join(*worker);
        }
        balancer
    }

    fn round(balancer: &mut Balancer<u32>, times: usize) -> Vec<u32> {
        (0..times).filter_map(|_| turn(balancer, |_| Readiness::Ready)).collect()
    }

    fn turn(balancer: &mut Balancer<u32>, state: impl FnMut(u32) -> Readiness) -> Option<u32> {
        let mut state = state;
        let chosen = balancer.choose(|worker| (state(worker), 0));
        chosen.inspect(|worker| balancer.took(*worker))
    }

    #[test]
    fn with_all_ready_each_gets_one_in_the_order_of_joining() {
        assert_eq!(round(&mut of(&[3, 1, 2]), 7), [3, 1, 2, 3, 1, 2, 3]);
    }

    #[test]
    fn a_worker_that_joins_comes_last_in_the_round_under_way() {
        let mut balancer = of(&[1, 2, 3]);
        assert_eq!(round(&mut balancer, 1), [1]);
        balancer.join(4);
        assert_eq!(round(&mut balancer, 4), [2, 3, 1, 4]);
    }

    #[test]
    fn a_worker_that_leaves_takes_nobody_elses_turn() {
        let mut balancer = of(&[1, 2, 3]);
        assert_eq!(round(&mut balancer, 2), [1, 2]);
        balancer.leave(1);
        assert_eq!(round(&mut balancer, 3), [3, 2, 3]);
        balancer.leave(2);
        balancer.leave(3);
        balancer.leave(3);
        assert!(round(&mut balancer, 1).is_empty());
    }

    #[test]
    fn the_ready_come_before_the_occupied_and_the_unable_never() {
        let mut balancer = of(&[1, 2, 3]);
        let state = |worker| match worker {
            1 => Readiness::Occupied,
            2 => Readiness::Unable,
            _ => Readiness::Ready,
        };
        assert_eq!(turn(&mut balancer, state), Some(3));
        assert_eq!(turn(&mut balancer, state), Some(3));
        let occupied = |worker| {
            if worker == 2 { Readiness::Unable } else { Readiness::Occupied }
        };
        assert_eq!(turn(&mut balancer, occupied), Some(1));
        assert_eq!(turn(&mut balancer, occupied), Some(3));
        assert_eq!(turn(&mut balancer, |_| Readiness::Unable), None);
    }

    #[test]
    fn the_least_loaded_comes_first_and_equals_take_turns() {
        let mut balancer = of(&[1, 2, 3]);
        let mut load = [0, 5, 2, 2];
        let mut next = || {
            let worker = balancer.choose(|worker| (Readiness::Ready, load[worker as usize]));
            let worker = worker.unwrap();
            balancer.took(worker);
            load[worker as usize] += 1;
            worker
        };
        assert_eq!([next(), next(), next(), next()], [2, 3, 2, 3]);
    }

    #[test]
    fn a_client_keeps_its_worker_when_others_come_and_go() {
        let mut balancer = of(&[1, 2, 3, 4]);
        let owners = |balancer: &Balancer<u32>| {
            (0..1000_u32).map(|client| balancer.owner(&client).unwrap()).collect::<Vec<_>>()
        };
        let before = owners(&balancer);
        for worker in 1..=4 {
            assert!(before.iter().filter(|owner| **owner == worker).count() > 150);
        }
        balancer.leave(3);
        let without = owners(&balancer);
        assert!(before.iter().zip(&without).all(|(old, new)| old == new || *old == 3));
        balancer.join(3);
        assert_eq!(owners(&balancer), before);
        assert_eq!(Balancer::<u32>::default().owner(&1), None);
    }
}
