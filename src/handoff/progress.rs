//! How a worker gets on, as far as can be told by looking at its page now and then.

use std::time::{Duration, Instant};

/// A loop that has turned so often with a unit in its socket does not read: one is taken in each
/// turn, unless there is no number for another descriptor.
const STARVED_TURNS: u64 = 4;

/// The phases of one worker's event loop; see [`WorkerPage::phase`](crate::shared::WorkerPage).
#[derive(Debug)]
pub struct Progress {
    /// When it was last looked at.
    phase: u64,
    /// Since when it is that one.
    since: Instant,
    /// How long a turn takes with something to do: the longest one, of late.
    turn: Duration,
    /// The phase in which it was last seen to read, or to have nothing to.
    read_in: u64,
}

impl Progress {
    pub fn new(now: Instant) -> Self {
        Self { phase: 0, since: now, turn: Duration::ZERO, read_in: 0 }
    }

    pub fn phase(&self) -> u64 {
        self.phase
    }

    pub fn since(&self) -> Instant {
        self.since
    }

    /// `read`: when the first one was sent of those that it has read since it was looked at before.
    /// `has_unread`: whether there are others.
    pub fn look(&mut self, phase: u64, read: Option<Instant>, has_unread: bool, now: Instant) {
        if phase != self.phase {
            if let Some(sent) = read {
                let turns =
                    u32::try_from(phase.wrapping_sub(self.phase).div_ceil(2)).unwrap_or(u32::MAX);
                let took = now.saturating_duration_since(self.since.max(sent)) / turns;
                self.turn = took.max(self.turn * 7 / 8);
            }
            self.phase = phase;
            self.since = now;
        }
        if read.is_some() || !has_unread {
            self.read_in = phase;
        }
    }

    /// For how long it does nothing about what was sent at that time.
    pub fn stuck_for(&self, sent: Instant, now: Instant) -> Duration {
        let starved = self.phase >= self.read_in.saturating_add(2 * STARVED_TURNS);
        now.saturating_duration_since(if starved { sent } else { sent.max(self.since) })
    }

    /// What was sent at that time it does not get any more: its turn takes as long as that at least.
    pub fn was_stuck(&mut self, sent: Instant, now: Instant) {
        self.turn = self.turn(Some(sent), now);
    }

    /// How long a turn takes, or the present one does already, with something to do since `sent`.
    pub fn turn(&self, sent: Option<Instant>, now: Instant) -> Duration {
        sent.map_or(self.turn, |sent| self.turn.max(self.stuck_for(sent, now)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn a_turn_takes_as_long_as_the_longest_of_late() {
        let start = Instant::now();
        let mut progress = Progress::new(start);
        progress.look(2, Some(start), true, start + 8 * MS);
        assert_eq!(progress.turn(None, start), 8 * MS);
        progress.look(4, Some(start), true, start + 9 * MS);
        assert_eq!(progress.turn(None, start), 7 * MS);
        progress.look(10, Some(start), true, start + 39 * MS);
        assert_eq!(progress.turn(None, start), 10 * MS, "three turns");
        assert_eq!(progress.turn(Some(start), start + 54 * MS), 15 * MS, "the present one");
        progress.was_stuck(start, start + 54 * MS);
        assert_eq!(progress.turn(None, start), 15 * MS, "though it did not read what it was for");
    }

    #[test]
    fn a_turn_without_anything_to_do_says_nothing() {
        let start = Instant::now();
        let mut progress = Progress::new(start);
        progress.look(2, None, false, start + 100 * MS);
        assert_eq!(progress.turn(None, start), Duration::ZERO);
        progress.look(4, Some(start + 150 * MS), false, start + 151 * MS);
        assert_eq!(progress.turn(None, start), MS);
    }

    #[test]
    fn a_loop_that_turns_without_reading_is_stuck_as_well() {
        let start = Instant::now();
        let mut progress = Progress::new(start);
        progress.look(2 * STARVED_TURNS - 1, None, true, start + 10 * MS);
        assert_eq!(progress.stuck_for(start, start + 10 * MS), Duration::ZERO);
        progress.look(2 * STARVED_TURNS, None, true, start + 11 * MS);
        assert_eq!(progress.stuck_for(start, start + 12 * MS), 12 * MS);
        progress.look(2 * STARVED_TURNS + 2, Some(start), true, start + 13 * MS);
        assert_eq!(progress.stuck_for(start, start + 14 * MS), MS, "it has read one");
    }
}
