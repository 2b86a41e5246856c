//! Sessions of browsers, in memory: a restart ends them.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::{Origin, sha256};

/// A session that is not used for this long ends.
const IDLE: Duration = Duration::from_secs(12 * 3600);
/// And any session does after this.
const LONGEST: Duration = Duration::from_secs(7 * 24 * 3600);
const MOST: usize = 10_000;

/// By the digest of what the cookie holds: a memory dump logs nobody in.
#[derive(Default)]
pub(super) struct Sessions(Mutex<HashMap<[u8; 32], Session>>);

struct Session {
    origin: Origin,
    began: Instant,
    used: Instant,
}

impl Session {
    fn ended(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.used) >= IDLE
            || now.saturating_duration_since(self.began) >= LONGEST
    }
}

impl Sessions {
    pub(super) fn begin(&self, id: &str, origin: Origin, now: Instant) {
        let mut all = self.lock();
        if all.len() >= MOST {
            all.retain(|_, session| !session.ended(now));
        }
        if all.len() >= MOST {
            let oldest = all.iter().min_by_key(|(_, session)| session.used).map(|(key, _)| *key);
            oldest.and_then(|key| all.remove(&key));
        }
        all.insert(sha256(id), Session { origin, began: now, used: now });
    }

    /// What it began with, if it has not ended.
    pub(super) fn touch(&self, id: &str, now: Instant) -> Option<Origin> {
        let mut all = self.lock();
        let key = sha256(id);
        let session = all.get_mut(&key)?;
        if session.ended(now) {
            all.remove(&key);
            return None;
        }
        session.used = now;
        Some(session.origin.clone())
    }

    pub(super) fn end(&self, id: &str) -> bool {
        self.lock().remove(&sha256(id)).is_some()
    }

    pub(super) fn end_all(&self, origin: &Origin) {
        self.lock().retain(|_, session| session.origin != *origin);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<[u8; 32], Session>> {
        // Each change is a single step: what a panic leaves is whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_end_when_idle_and_when_old() {
        let sessions = Sessions::default();
        let start = Instant::now();
        sessions.begin("a", Origin::Link, start);
        assert!(sessions.touch("b", start).is_none());
        let mut now = start;
        for _ in 0..15 {
            assert!(sessions.touch("a", now).is_some());
            now += IDLE - Duration::from_secs(1);
        }
        assert!(sessions.touch("a", now).is_none(), "a week is over");
        sessions.begin("a", Origin::Link, start);
        assert!(sessions.touch("a", start + IDLE).is_none());
        assert!(sessions.touch("a", start).is_none(), "it does not come back");
    }

    #[test]
    fn the_number_is_bounded_and_the_least_used_goes_first() {
        let sessions = Sessions::default();
        let start = Instant::now();
        for i in 0..=MOST {
            sessions.begin(&i.to_string(), Origin::Link, start + Duration::from_millis(i as u64));
        }
        let now = start + Duration::from_secs(60);
        assert!(sessions.touch("0", now).is_none());
        assert!(sessions.touch("1", now).is_some());
    }
}
