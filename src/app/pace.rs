//! When the next change may be compiled: a few in a row at once, a long series in steps of the merge window.

use std::time::{Duration, Instant};

/// So many steps may follow each other without a wait.
const IN_A_ROW: u32 = 8;

/// A leaky bucket: each step fills it by one window and it runs out with time. So rare changes never wait, and at any
/// rate of changes there is at most one step a window in the long run.
#[derive(Debug)]
pub(crate) struct Pace {
    window: Duration,
    /// When the bucket will be empty.
    empty: Option<Instant>,
}

impl Pace {
    pub(crate) fn new(window: Duration) -> Self {
        Self { window, empty: None }
    }

    /// Until when changes are to be collected before the next step; `None` for "not at all".
    pub(crate) fn wait_until(&self, now: Instant) -> Option<Instant> {
        let until = self.empty?.checked_sub(self.window * (IN_A_ROW - 1))?;
        (until > now).then_some(until)
    }

    pub(crate) fn stepped(&mut self, now: Instant) {
        self.empty = Some(self.empty.map_or(now, |at| at.max(now)) + self.window);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Duration = Duration::from_millis(10);

    /// When each of the changes at `offsets` (in milliseconds) is compiled, if each makes a step of its own.
    fn steps(offsets: impl IntoIterator<Item = u64>) -> Vec<u64> {
        let start = Instant::now() + Duration::from_secs(3600);
        let mut pace = Pace::new(WINDOW);
        let mut free = start;
        let mut out = Vec::new();
        for offset in offsets {
            let now = (start + Duration::from_millis(offset)).max(free);
            free = pace.wait_until(now).unwrap_or(now);
            pace.stepped(free);
            out.push(free.duration_since(start).as_millis() as u64);
        }
        out
    }

    #[test]
    fn rare_changes_never_wait() {
        let every = |ms: u64| (0..100).map(move |i| i * ms);
        assert_eq!(steps(every(10)), every(10).collect::<Vec<_>>());
        assert_eq!(steps(every(40)), every(40).collect::<Vec<_>>());
    }

    #[test]
    fn a_few_in_a_row_go_at_once_and_then_one_a_window() {
        assert_eq!(steps([0; 12]), [0, 0, 0, 0, 0, 0, 0, 0, 10, 20, 30, 40]);
        assert_eq!(
            steps([0, 0, 0, 0, 0, 0, 0, 0, 35, 35, 35, 35]),
            [0, 0, 0, 0, 0, 0, 0, 0, 35, 35, 35, 40]
        );
    }

    #[test]
    fn without_a_window_nothing_waits() {
        let mut pace = Pace::new(Duration::ZERO);
        let now = Instant::now();
        for _ in 0..100 {
            pace.stepped(now);
        }
        assert_eq!(pace.wait_until(now), None);
    }
}
