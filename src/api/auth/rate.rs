//! Token buckets: so much at once, and so much in the long run.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Buckets that are remembered; those that are full again need no remembering.
const MOST: usize = 20_000;

pub(super) struct Buckets<K> {
    size: f64,
    per_second: f64,
    used: Mutex<HashMap<K, Bucket>>,
}

struct Bucket {
    left: f64,
    at: Instant,
}

impl<K: Eq + Hash + Clone> Buckets<K> {
    pub(super) fn new(size: f64, per_second: f64) -> Self {
        Self { size, per_second, used: Mutex::default() }
    }

    /// # Errors
    /// With the time after which there is something again.
    pub(super) fn take(&self, key: &K, now: Instant) -> Result<(), Duration> {
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        if used.len() >= MOST && !used.contains_key(key) {
            let full = |b: &Bucket| self.level(b, now) >= self.size;
            used.retain(|_, bucket| !full(bucket));
            if used.len() >= MOST {
                // More callers than that at once: nobody is held up on account of others.
                return Ok(());
            }
        }
        let bucket = used.entry(key.clone()).or_insert(Bucket { left: self.size, at: now });
        bucket.left = self.level(bucket, now);
        bucket.at = now;
        if bucket.left >= 1.0 {
            bucket.left -= 1.0;
            return Ok(());
        }
        Err(Duration::from_secs_f64((1.0 - bucket.left) / self.per_second))
    }

    pub(super) fn is_empty(&self, key: &K, now: Instant) -> bool {
        let used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        used.get(key).is_some_and(|bucket| self.level(bucket, now) < 1.0)
    }

    fn level(&self, bucket: &Bucket, now: Instant) -> f64 {
        let passed = now.saturating_duration_since(bucket.at).as_secs_f64();
        (bucket.left + passed * self.per_second).min(self.size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_then_a_rate_each_for_themselves() {
        let buckets = Buckets::new(3.0, 2.0);
        let start = Instant::now();
        for _ in 0..3 {
            assert_eq!(buckets.take(&"a", start), Ok(()));
        }
        assert_eq!(buckets.take(&"a", start), Err(Duration::from_millis(500)));
        assert!(buckets.is_empty(&"a", start));
        assert_eq!(buckets.take(&"b", start), Ok(()));
        let later = start + Duration::from_millis(500);
        assert_eq!(buckets.take(&"a", later), Ok(()));
        assert!(buckets.take(&"a", later).is_err());
        let much_later = start + Duration::from_secs(3600);
        for _ in 0..3 {
            assert_eq!(buckets.take(&"a", much_later), Ok(()));
        }
        assert!(buckets.take(&"a", much_later).is_err());
    }
}
