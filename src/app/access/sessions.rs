//! Sessions of browsers: shared by all replicas in a cluster, else in memory, so that a restart ends them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use api::auth::Unknown;
use api::{Bearer, Time};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use super::sealed::{open, seal};
use super::shared::{Entry, Shared};
use super::{Origin, away, sha256};

/// A session that is not used for this long ends.
const IDLE: Duration = Duration::from_secs(12 * 3600);
/// And any session does after this.
const LONGEST: Duration = Duration::from_secs(7 * 24 * 3600);
const MOST: usize = 10_000;

pub(super) struct Sessions {
    /// Of this process: those that could not be shared, or all where there is nobody to share with.
    own: Own,
    shared: Option<Arc<Shared>>,
}

const PURPOSE: &str = "who a session is of";

/// What a session began with, where it is sealed with its cookie: it may hold a person's token of the cluster, which nobody
/// is to find in the Secret.
#[derive(Serialize, Deserialize)]
enum Who {
    Token(String),
    Declared([u8; 32]),
    Link,
    Oidc { user: String, groups: Vec<String> },
    Kubernetes(String),
}

impl Who {
    fn seal(origin: &Origin, id: &str) -> Option<String> {
        let who = match origin {
            Origin::Token(id) => Self::Token(id.to_string()),
            Origin::Declared(digest) => Self::Declared(*digest),
            Origin::Link => Self::Link,
            Origin::Oidc { user, groups } => {
                Self::Oidc { user: user.to_string(), groups: groups.to_vec() }
            }
            Origin::Kubernetes(bearer) => Self::Kubernetes(bearer.reveal().to_owned()),
        };
        seal(id.as_bytes(), PURPOSE, serde_json::to_vec(&who).ok()?)
    }

    fn open(text: &str, id: &str) -> Option<Origin> {
        let plain = open(id.as_bytes(), PURPOSE, text)?;
        Some(match serde_json::from_slice(&plain).ok()? {
            Self::Token(id) => Origin::Token(id.into()),
            Self::Declared(digest) => Origin::Declared(digest),
            Self::Link => Origin::Link,
            Self::Oidc { user, groups } => {
                Origin::Oidc { user: user.into(), groups: groups.into() }
            }
            Self::Kubernetes(token) => Origin::Kubernetes(Bearer::new(&token)),
        })
    }
}

impl Sessions {
    pub(super) fn new(shared: Option<Arc<Shared>>) -> Self {
        Self { own: Own::default(), shared }
    }

    pub(super) async fn begin(&self, id: &str, origin: Origin) {
        if let (Some(shared), Some(who)) = (&self.shared, Who::seal(&origin, id)) {
            let now = Time::now();
            let entry = Entry { began: now, used: now, who };
            let name = name(id);
            let begun = shared.change(|state| {
                Arc::make_mut(&mut state.sessions).insert(name.clone(), entry.clone());
            });
            // Where it is not written, whoever comes back to this replica is known all the same.
            if begun.await.is_ok() {
                return;
            }
        }
        self.own.begin(id, origin, Instant::now());
    }

    /// What it began with, if it has not ended.
    pub(super) async fn touch(&self, id: &str) -> Result<Origin, Unknown> {
        if let Some(origin) = self.touch_known(id) {
            return Ok(origin);
        }
        if let Some(shared) = &self.shared {
            shared.look(sha256(id)).await.map_err(|_| away())?;
        }
        self.touch_known(id).ok_or(Unknown::Nobody)
    }

    fn touch_known(&self, id: &str) -> Option<Origin> {
        let shared = self.shared.as_ref();
        let sealed = shared.and_then(|shared| shared.session(&name(id), Time::now()));
        match sealed {
            Some(text) => Who::open(&text, id),
            None => self.own.touch(id, Instant::now()),
        }
    }

    pub(super) async fn end(&self, id: &str) -> bool {
        let own = self.own.end(id);
        let Some(shared) = &self.shared else { return own };
        let name = name(id);
        // It may have begun at another replica just now.
        if !own && !shared.state().sessions.contains_key(&name) {
            // That nobody could be asked is logged there; then there is nothing here to end.
            let _ = shared.look(sha256(id)).await;
        }
        shared.end(&name).await || own
    }

    /// Shared ones end when they are used next: what they began with is looked up each time.
    pub(super) fn end_all(&self, origin: &Origin) {
        self.own.end_all(origin);
    }
}

/// How a session is called where others can read it.
fn name(id: &str) -> String {
    URL_SAFE_NO_PAD.encode(sha256(id))
}

/// By the digest of what the cookie holds: a memory dump logs nobody in.
#[derive(Default)]
struct Own(Mutex<HashMap<[u8; 32], Session>>);

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

impl Own {
    fn begin(&self, id: &str, origin: Origin, now: Instant) {
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
    fn touch(&self, id: &str, now: Instant) -> Option<Origin> {
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

    fn end(&self, id: &str) -> bool {
        self.lock().remove(&sha256(id)).is_some()
    }

    fn end_all(&self, origin: &Origin) {
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
        let sessions = Own::default();
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
        let sessions = Own::default();
        let start = Instant::now();
        for i in 0..=MOST {
            sessions.begin(&i.to_string(), Origin::Link, start + Duration::from_millis(i as u64));
        }
        let now = start + Duration::from_secs(60);
        assert!(sessions.touch("0", now).is_none());
        assert!(sessions.touch("1", now).is_some());
    }
}
