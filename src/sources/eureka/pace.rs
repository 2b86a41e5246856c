use std::time::Duration;

use model::EurekaOptions;

use crate::registry::Backoff;

/// So many polls in a row must find nothing new before they become rarer.
const CALM: u32 = 5;
/// No document makes us poll more often.
const LEAST: Duration = Duration::from_millis(20);

/// When to poll next: quickly while things change, seldom when nothing does, and never all clients at once.
#[derive(Debug)]
pub(super) struct Pace {
    min: Duration,
    max: Duration,
    next: Duration,
    calm: u32,
    trouble: Backoff,
}

impl Pace {
    pub(super) fn new(options: &EurekaOptions) -> Self {
        let min = options.poll_min.max(LEAST);
        let max = options.poll_max.max(min);
        let trouble = Backoff::new(Duration::from_secs(1).min(max), max);
        Self { min, max, next: min, calm: 0, trouble }
    }

    /// After an answer. How long to wait before the next question.
    pub(super) fn answered(&mut self, changed: bool) -> Duration {
        self.trouble.reset();
        if changed {
            self.calm = 0;
            self.next = self.min;
        } else if self.calm < CALM {
            self.calm += 1;
        } else {
            self.next = (self.next * 2).min(self.max);
        }
        self.next.mul_f64(1.0 - fastrand::f64() / 10.0)
    }

    /// After a round in which nobody answered.
    pub(super) fn failed(&mut self) -> Duration {
        self.calm = 0;
        self.next = self.min;
        self.trouble.wait()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn polls_are_quick_while_things_change_and_rare_when_nothing_does() {
        let second = Duration::from_secs(1);
        let mut pace = Pace::new(&EurekaOptions::default());
        let mut within = |changed, full: u32| {
            let wait = pace.answered(changed);
            assert!(wait <= second * full && wait >= second * full * 9 / 10, "{wait:?} {full}");
        };
        within(true, 1);
        for full in [1, 1, 1, 1, 1, 2, 4, 8, 16, 30, 30] {
            within(false, full);
        }
        within(true, 1);
        assert!(pace.failed() <= second);
    }
}
