use std::time::{Duration, Instant};

/// How fast may be written: a token bucket.
#[derive(Debug)]
pub(crate) struct Bucket {
    /// Tokens in a second.
    rate: f64,
    burst: f64,
    tokens: f64,
    at: Instant,
}

impl Bucket {
    pub(crate) fn new(rate: f64, burst: f64, now: Instant) -> Self {
        Self { rate, burst, tokens: burst, at: now }
    }

    /// Takes a token, or says when there will be one.
    pub(crate) fn take(&mut self, now: Instant) -> Result<(), Instant> {
        let elapsed = now.saturating_duration_since(self.at).as_secs_f64();
        self.tokens = (self.tokens + elapsed * self.rate).min(self.burst);
        self.at = now;
        if self.tokens >= 1.0 {
            self.tokens -= 1.0;
            return Ok(());
        }
        // A little late, so that rounding does not make another round of it.
        let wait = (1.0 - self.tokens) / self.rate + 0.001;
        Err(now + Duration::from_secs_f64(wait))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thousand_writes_take_what_the_rate_says() {
        let start = Instant::now();
        let mut now = start;
        let mut bucket = Bucket::new(150.0, 300.0, now);
        let mut written = 0;
        while written < 1000 {
            match bucket.take(now) {
                Ok(()) => written += 1,
                Err(later) => now = later,
            }
        }
        let took = (now - start).as_secs_f64();
        assert!((4.6..5.8).contains(&took), "{took}");
    }
}
