use std::time::Duration;

/// Waits that double from `first` to `most`, each shortened by up to a half at random, so that many clients of a registry
/// that comes back do not all come back at once.
#[derive(Clone, Debug)]
pub struct Backoff {
    first: Duration,
    most: Duration,
    next: Duration,
}

impl Backoff {
    #[must_use]
    pub fn new(first: Duration, most: Duration) -> Self {
        Self { first, most, next: first }
    }

    /// How long to wait before the next try.
    pub fn wait(&mut self) -> Duration {
        let full = self.next;
        self.next = (full * 2).min(self.most);
        full.mul_f64(1.0 - fastrand::f64() / 2.0)
    }

    /// After a success.
    pub fn reset(&mut self) {
        self.next = self.first;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_most_and_start_again() {
        let second = Duration::from_secs(1);
        let mut backoff = Backoff::new(second, second * 5);
        for full in [1, 2, 4, 5, 5] {
            let wait = backoff.wait();
            assert!(wait <= second * full && wait >= second * full / 2, "{full}: {wait:?}");
        }
        backoff.reset();
        assert!(backoff.wait() <= second);
    }
}
