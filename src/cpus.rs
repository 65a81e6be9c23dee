//! Whether the CPUs of this machine have any time left.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

/// How often it is looked at, at most: the system counts in hundredths of a second.
const PERIOD: Duration = Duration::from_millis(100);

/// With more to do than there is time for, up to one part in so many is idle all the same.
const IDLE_PART: u64 = 6;

/// Time since the start of the machine, of all its CPUs together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Times {
    idle: u64,
    all: u64,
}

/// The CPUs of this machine, which may be more than this process can use: they are busy then only
/// if others use the rest.
#[derive(Debug, Default)]
pub struct Cpus {
    /// <https://man7.org/linux/man-pages/man5/proc_stat.5.html>
    stat: Option<File>,
    last: Option<(Instant, Times)>,
    busy: bool,
}

impl Cpus {
    /// Whether they had nothing left to give of late. Not as long as that is not known.
    pub fn are_busy(&mut self, now: Instant) -> bool {
        if self.last.is_some_and(|(at, _)| now.saturating_duration_since(at) < PERIOD) {
            return self.busy;
        }
        let times = self.read();
        self.busy = times.zip(self.last).is_some_and(|(now, (_, before))| is_busy(before, now));
        self.last = times.map(|times| (now, times));
        self.busy
    }

    /// For tests: as they are said to be, for an hour.
    #[cfg(test)]
    pub fn that_are(busy: bool) -> Self {
        let at = Instant::now() + Duration::from_hours(1);
        Self { stat: None, last: Some((at, Times { idle: 0, all: 0 })), busy }
    }

    fn read(&mut self) -> Option<Times> {
        if self.stat.is_none() {
            self.stat = File::open("/proc/stat").ok();
        }
        let mut buffer = [0; 256];
        let length = self.stat.as_ref()?.read_at(&mut buffer, 0).ok()?;
        times(std::str::from_utf8(&buffer[..length]).ok()?)
    }
}

fn is_busy(before: Times, now: Times) -> bool {
    let all = now.all.saturating_sub(before.all);
    all > 0 && now.idle.saturating_sub(before.idle) * IDLE_PART <= all
}

/// Of the line `cpu user nice system idle iowait irq softirq steal ...`.
fn times(stat: &str) -> Option<Times> {
    let line = stat.lines().next()?.strip_prefix("cpu ")?;
    let times: Vec<u64> =
        line.split_whitespace().take(8).map_while(|time| time.parse().ok()).collect();
    let [_, _, _, idle, waiting, ..] = times[..] else { return None };
    Some(Times { idle: idle + waiting, all: times.iter().sum() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_says_it() {
        let stat = "cpu  100 20 30 400 50 6 7 8 100 0\ncpu0 1 2 3 4 5 6 7 8 9 0\n";
        assert_eq!(times(stat), Some(Times { idle: 450, all: 621 }));
        for other in ["", "cpu0 1 2 3 4 5", "cpu  1 2 3"] {
            assert_eq!(times(other), None);
        }
        assert!(Cpus::default().read().is_some(), "of this machine");
    }

    #[test]
    fn they_are_busy_with_a_sixth_idle_at_most_and_not_before_it_is_known() {
        let before = Times { idle: 1000, all: 5000 };
        assert!(is_busy(before, Times { idle: 1003, all: 5020 }));
        assert!(!is_busy(before, Times { idle: 1004, all: 5020 }));
        assert!(!is_busy(before, before));
        assert!(!Cpus::default().are_busy(Instant::now()));
    }
}
