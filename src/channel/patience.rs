//! How long a reader looks for more before it asks to be woken.
//!
//! Waking it costs the writer more than a message does. Where the writer runs on another core, the
//! next message of a steady stream is there within a few µs; where both share one, it cannot come,
//! and looking for it is a waste. Which it is, the past tells.

use std::time::{Duration, Instant};

/// At most so long at a time.
const LONGEST: Duration = Duration::from_micros(5);

/// After that many times in vain, only one in `1 << MAX_IN_VAIN` is still tried.
const MAX_IN_VAIN: u32 = 8;

#[derive(Default)]
pub struct Patience {
    in_vain: u32,
    to_be_skipped: u32,
}

impl Patience {
    /// Looks until `found`, for a while. Returns whether it was.
    pub fn look(&mut self, found: impl Fn() -> bool) -> bool {
        if self.to_be_skipped > 0 {
            self.to_be_skipped -= 1;
            return false;
        }
        let began = Instant::now();
        while !found() {
            if began.elapsed() >= LONGEST {
                self.in_vain = (self.in_vain + 1).min(MAX_IN_VAIN);
                self.to_be_skipped = (1 << self.in_vain) - 1;
                return false;
            }
            std::hint::spin_loop();
        }
        self.in_vain = 0;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_looks_in_vain_looks_ever_more_rarely() {
        let mut patience = Patience::default();
        let tries = std::cell::Cell::new(0);
        let mut looks = 0;
        for _ in 0..1000 {
            tries.set(0);
            patience.look(|| {
                tries.set(tries.get() + 1);
                false
            });
            looks += u32::from(tries.get() > 0);
        }
        assert!((MAX_IN_VAIN..MAX_IN_VAIN + 4).contains(&looks), "{looks}");
        while !patience.look(|| true) {}
        assert!(patience.look(|| true), "it is worth it again");
    }
}
