//! What all replicas know of people, in the Secret `<cluster-name>-access` of the own namespace.
//!
//! ```text
//! login, logout, tokens, link ──change──► Secret ──watch──► every replica
//! a cookie or token that is not known ──look──► Secret, once and at a bounded rate
//! ```
//! It is only written from the version that was read: who was slower reads again, and applies the change again. It holds no
//! credential, but digests of them; whose session it is can only be read with its cookie.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use api::Time;
use futures::StreamExt as _;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, ObjectMeta, PostParams};
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, Event};
use ring::rand::{SecureRandom as _, SystemRandom};
use serde::{Deserialize, Serialize};
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use super::link::Open;
use super::store::Kept;
use crate::identities::of_watch;
use crate::settings::Settings;

const TIMEOUT: Duration = Duration::from_secs(5);
/// Between two questions about what is not known here.
const EVERY: Duration = Duration::from_millis(200);
/// After one that was not answered.
const AGAIN: Duration = Duration::from_secs(2);
/// How long what was not known there is not asked for again.
const MISSED: Duration = Duration::from_secs(10);
const MOST_MISSES: usize = 4096;
/// How often a change is tried while others write.
const TRIES: usize = 8;
/// When something was last used is written this late.
const LATE_MS: u64 = 600_000;
/// A session that is not used for this long ends.
const IDLE_MS: u64 = 12 * 3_600_000;
/// And any session does after this.
const LONGEST_MS: u64 = 7 * 24 * 3_600_000;
/// Sessions that are kept: a Secret holds 1 MiB.
const MOST_SESSIONS: usize = 2000;
const MOST_BYTES: usize = 512 << 10;

/// A session, by the digest of its cookie.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Entry {
    pub(super) began: Time,
    pub(super) used: Time,
    /// Who it is, sealed with the cookie.
    pub(super) who: String,
}

impl Entry {
    fn ended(&self, used: Option<Time>, now: Time) -> bool {
        let used = used.map_or(self.used, |used| used.max(self.used));
        used.until(now) >= IDLE_MS || self.began.until(now) >= LONGEST_MS
    }
}

/// What the Secret holds.
#[derive(Clone, Default, PartialEq)]
pub(super) struct State {
    /// What replicas show each other that they are of one installation.
    key: Option<Arc<[u8; 32]>>,
    pub(super) kept: Arc<Kept>,
    pub(super) sessions: Arc<BTreeMap<String, Entry>>,
    pub(super) link: Option<Open>,
}

const KEY: &str = "key";
const TOKENS: &str = "tokens";
const SESSIONS: &str = "sessions";
const LINK: &str = "link";

impl State {
    fn read(secret: &Secret) -> Result<Self, &'static str> {
        let part = |name: &str| secret.data.as_ref().and_then(|data| data.get(name));
        let key = match part(KEY) {
            Some(bytes) => Some(bytes.0.as_slice().try_into().map_err(|_| KEY)?),
            None => None,
        };
        fn json<T: serde::de::DeserializeOwned + Default>(
            bytes: Option<&ByteString>,
            name: &'static str,
        ) -> Result<T, &'static str> {
            // What is wrong is not told: it may be next to a secret.
            bytes.map_or(Ok(T::default()), |b| serde_json::from_slice(&b.0).map_err(|_| name))
        }
        Ok(Self {
            key: key.map(Arc::new),
            kept: Arc::new(json(part(TOKENS), TOKENS)?),
            sessions: Arc::new(json(part(SESSIONS), SESSIONS)?),
            link: json(part(LINK), LINK)?,
        })
    }

    fn write(&self) -> serde_json::Result<BTreeMap<String, ByteString>> {
        let key = self.key.iter().map(|key| (KEY, key.to_vec()));
        let json = [
            (TOKENS, serde_json::to_vec(&*self.kept)?),
            (SESSIONS, serde_json::to_vec(&*self.sessions)?),
            (LINK, serde_json::to_vec(&self.link)?),
        ];
        Ok(key.chain(json).map(|(name, bytes)| (name.to_owned(), ByteString(bytes))).collect())
    }

    /// Without what has ended; where there is too much, without what was not used for longest.
    fn prune(&mut self, now: Time) {
        let all = Arc::make_mut(&mut self.sessions);
        all.retain(|_, entry| !entry.ended(None, now));
        let size = |(name, entry): (&String, &Entry)| name.len() + entry.who.len() + 80;
        let mut bytes: usize = all.iter().map(size).sum();
        while all.len() > MOST_SESSIONS || bytes > MOST_BYTES {
            let oldest = all.iter().min_by_key(|(_, entry)| entry.used);
            let Some((name, cost)) = oldest.map(|it| (it.0.clone(), size(it))) else { return };
            all.remove(&name);
            bytes -= cost;
        }
    }

    /// Whether somebody may have less than before.
    fn takes_from(&self, before: &Self) -> bool {
        let gone = |id: &str| self.kept.token(id).is_none();
        before.kept.bindings != self.kept.bindings
            || before.kept.tokens.iter().any(|token| gone(&token.view.id))
            || before.sessions.keys().any(|name| !self.sessions.contains_key(name))
    }
}

/// As it was heard last.
#[derive(Clone, Default)]
pub(super) struct Known {
    pub(super) state: Arc<State>,
    /// Of the Secret; empty where there is none.
    version: String,
    pub(super) heard: bool,
}

/// What is not in the Secret yet.
#[derive(Default)]
struct Pending {
    ended: BTreeSet<String>,
    used: BTreeMap<String, Time>,
    tokens: BTreeMap<String, Time>,
}

/// What is wrong at present.
#[derive(Clone, Default, PartialEq, Eq)]
pub(super) struct Trouble {
    pub(super) reading: Option<String>,
    pub(super) writing: Option<String>,
}

#[derive(Clone, Debug, thiserror::Error)]
pub(super) enum Error {
    /// The ServiceAccount may not.
    #[error("{0}")]
    Forbidden(String),
    #[error("{0}")]
    Away(String),
}

/// The last question about what is not known here.
#[derive(Default)]
struct Asked {
    began: Option<Instant>,
    failed: Option<(Instant, String)>,
}

pub(crate) struct Shared {
    secrets: Api<Secret>,
    name: String,
    known: watch::Sender<Known>,
    key: watch::Sender<Option<Arc<[u8; 32]>>>,
    /// Counts up whenever somebody may have lost a right.
    pub(super) lost: Arc<watch::Sender<u64>>,
    pending: Mutex<Pending>,
    /// There is something pending that should not wait.
    pub(super) bell: Notify,
    pub(super) trouble: watch::Sender<Trouble>,
    /// One write at a time: those of one replica need not be in each other's way. Holds how the last one failed.
    writing: tokio::sync::Mutex<Option<(Instant, Error)>>,
    asking: tokio::sync::Mutex<Asked>,
    misses: Mutex<HashMap<[u8; 32], Instant>>,
}

impl Shared {
    pub(crate) fn new(client: &kube::Client, settings: &Settings) -> Self {
        Self {
            secrets: Api::namespaced(client.clone(), client.default_namespace()),
            name: format!("{}-access", settings.cluster_name),
            known: watch::Sender::default(),
            key: watch::Sender::default(),
            lost: Arc::default(),
            pending: Mutex::default(),
            bell: Notify::new(),
            trouble: watch::Sender::default(),
            writing: tokio::sync::Mutex::default(),
            asking: tokio::sync::Mutex::default(),
            misses: Mutex::default(),
        }
    }

    /// What replicas show each other that they are of one installation; `None` until it is known.
    pub(crate) fn key(&self) -> watch::Receiver<Option<Arc<[u8; 32]>>> {
        self.key.subscribe()
    }

    pub(super) fn known(&self) -> watch::Receiver<Known> {
        self.known.subscribe()
    }

    pub(super) fn state(&self) -> Arc<State> {
        self.known.borrow().state.clone()
    }

    /// Hears of what others write, for as long as it is polled.
    pub(super) async fn follow(&self) {
        let config = watcher::Config::default().fields(&format!("metadata.name={}", self.name));
        let events = watcher::watcher(self.secrets.clone(), config).default_backoff();
        let mut events = Box::pin(events);
        let mut seen = false;
        while let Some(event) = events.next().await {
            let heard = match event {
                Ok(Event::Init) => {
                    seen = false;
                    continue;
                }
                Ok(Event::InitApply(secret)) => {
                    seen = true;
                    self.hear(&secret, true)
                }
                Ok(Event::Apply(secret)) => self.hear(&secret, false),
                Ok(Event::InitDone) if seen => continue,
                // Whoever deletes it takes back all that is in it.
                Ok(Event::InitDone | Event::Delete(_)) => {
                    self.take(State::default(), String::new(), true);
                    Ok(())
                }
                Err(error) => {
                    Err(Error::Away(format!("Secret {}: {}", self.name, of_watch(&error))))
                }
            };
            self.tell_reading(heard.err().map(|error| error.to_string()));
        }
    }

    fn tell_reading(&self, why: Option<String>) {
        self.trouble.send_if_modified(|trouble| {
            let differs = trouble.reading != why;
            trouble.reading = why;
            differs
        });
    }

    fn tell_writing(&self, why: Option<String>) {
        self.trouble.send_if_modified(|trouble| {
            let differs = trouble.writing != why;
            trouble.writing = why;
            differs
        });
    }

    fn hear(&self, secret: &Secret, anew: bool) -> Result<(), Error> {
        let state = State::read(secret).map_err(|part| {
            Error::Away(format!("`{part}` in the Secret {} is damaged", self.name))
        })?;
        let version = secret.metadata.resource_version.clone().unwrap_or_default();
        self.take(state, version, anew);
        Ok(())
    }

    /// `anew` where it counts even if it should be older than what is known.
    fn take(&self, state: State, version: String, anew: bool) {
        let state = Arc::new(state);
        let mut lost = false;
        let taken = self.known.send_if_modified(|known| {
            if known.heard && !anew && is_older(&version, &known.version) {
                return false;
            }
            lost = state.takes_from(&known.state);
            *known = Known { state: state.clone(), version, heard: true };
            true
        });
        if !taken {
            return;
        }
        let Pending { ended, used, tokens } = &mut *self.pending();
        ended.retain(|name| state.sessions.contains_key(name));
        used.retain(|name, at| state.sessions.get(name).is_some_and(|entry| entry.used < *at));
        tokens.retain(|id, at| {
            state.kept.token(id).is_some_and(|token| token.view.last_used < Some(*at))
        });
        self.key.send_if_modified(|key| {
            let differs = *key != state.key;
            key.clone_from(&state.key);
            differs
        });
        if lost {
            self.lost.send_modify(|count| *count += 1);
        }
    }

    /// Changes what is in the Secret, for all replicas. `change` may be called several times.
    ///
    /// # Errors
    /// When it is not known to be written.
    pub(super) async fn change<T>(
        &self,
        mut change: impl FnMut(&mut State) -> T,
    ) -> Result<T, Error> {
        let arrived = Instant::now();
        let mut failed = self.writing.lock().await;
        // Whoever waited would only wait again, one after the other, for what has failed meanwhile.
        if let Some((at, error)) = &*failed
            && (arrived < *at || at.elapsed() < AGAIN)
        {
            return Err(error.clone());
        }
        let changed = self.try_change(&mut change).await;
        *failed = changed.as_ref().err().map(|error| (Instant::now(), error.clone()));
        let busy = || Error::Away(format!("Secret {}: others write it all the time", self.name));
        let changed = changed.and_then(|changed| changed.ok_or_else(busy));
        self.tell_writing(changed.as_ref().err().map(ToString::to_string));
        changed
    }

    /// `None` where others were faster each time.
    async fn try_change<T>(
        &self,
        change: &mut impl FnMut(&mut State) -> T,
    ) -> Result<Option<T>, Error> {
        if !self.known.borrow().heard && !self.get().await? {
            self.take(State::default(), String::new(), false);
        }
        for _ in 0..TRIES {
            let Known { state, version, .. } = self.known.borrow().clone();
            let mut next = State::clone(&state);
            let out = change(&mut next);
            if next == *state {
                return Ok(Some(out));
            }
            self.settle(&mut next);
            next.prune(Time::now());
            if self.put(&next, &version).await? {
                return Ok(Some(out));
            }
            if !self.get().await? {
                self.take(State::default(), String::new(), true);
            }
        }
        Ok(None)
    }

    /// What is pending goes with every write.
    fn settle(&self, state: &mut State) {
        let pending = self.pending();
        let sessions = Arc::make_mut(&mut state.sessions);
        sessions.retain(|name, _| !pending.ended.contains(name));
        for (name, at) in &pending.used {
            if let Some(entry) = sessions.get_mut(name) {
                entry.used = entry.used.max(*at);
            }
        }
        for token in &mut Arc::make_mut(&mut state.kept).tokens {
            token.view.last_used =
                token.view.last_used.max(pending.tokens.get(&token.view.id).copied());
        }
    }

    /// Writes what is pending, makes the key where there is none, and applies `also`.
    pub(super) async fn flush(&self, mut also: impl FnMut(&mut State)) -> Result<(), Error> {
        let mut key = [0; 32];
        SystemRandom::new()
            .fill(&mut key)
            .map_err(|_| Error::Away("the system gives no random bytes".into()))?;
        let key = Arc::new(key);
        self.change(|state| {
            state.key.get_or_insert_with(|| key.clone());
            self.settle(state);
            also(state);
        })
        .await
    }

    /// Whether [`Shared::flush`] has something to do.
    pub(super) fn is_due(&self) -> bool {
        let state = self.state();
        let pending = self.pending();
        let late = |written: Option<Time>, at: &Time| {
            written.is_none_or(|written| written.until(*at) >= LATE_MS)
        };
        state.key.is_none()
            || !pending.ended.is_empty()
            || pending
                .used
                .iter()
                .any(|(name, at)| late(state.sessions.get(name).map(|entry| entry.used), at))
            || pending.tokens.iter().any(|(id, at)| {
                late(state.kept.token(id).and_then(|token| token.view.last_used), at)
            })
    }

    /// Whose session it is, sealed, if it has not ended.
    pub(super) fn session(&self, name: &str, now: Time) -> Option<String> {
        let state = self.state();
        let entry = state.sessions.get(name)?;
        let mut pending = self.pending();
        let used = pending.used.get(name).copied();
        if pending.ended.contains(name) || entry.ended(used, now) {
            return None;
        }
        pending.used.insert(name.to_owned(), now);
        Some(entry.who.clone())
    }

    /// It ends here at once, and elsewhere when that can be written.
    pub(super) async fn end(&self, name: &str) -> bool {
        if !self.state().sessions.contains_key(name) {
            return false;
        }
        let first = self.pending().ended.insert(name.to_owned());
        if !first {
            return false;
        }
        let ended = self.change(|state| {
            Arc::make_mut(&mut state.sessions).remove(name);
        });
        if ended.await.is_err() {
            self.bell.notify_one();
        }
        true
    }

    pub(super) fn token_used(&self, id: &str, now: Time) {
        self.pending().tokens.insert(id.to_owned(), now);
    }

    /// Asks the API server, where it was not asked just now, whether another replica knows what is not known here. However
    /// many come with what nobody knows, it is asked once in [`EVERY`].
    ///
    /// # Errors
    /// With why that cannot be said.
    pub(super) async fn look(&self, what: [u8; 32]) -> Result<(), Error> {
        let arrived = Instant::now();
        if self.missed(&what, arrived) {
            return Ok(());
        }
        let mut asked = self.asking.lock().await;
        if asked.began.is_none_or(|began| began < arrived) {
            if let Some((at, why)) = asked.failed.as_ref().filter(|(at, _)| at.elapsed() < AGAIN) {
                tracing::debug!(why, since = ?at.elapsed(), "not asked again yet");
                return Err(Error::Away(why.clone()));
            }
            if let Some(began) = asked.began {
                tokio::time::sleep_until(began + EVERY).await;
            }
            asked.began = Some(Instant::now());
            match self.get().await {
                // Then nothing is shared, and nobody else knows more than is known here.
                Ok(_) | Err(Error::Forbidden(_)) => asked.failed = None,
                Err(Error::Away(why)) => {
                    tracing::warn!(error = why, "the API server does not say who is logged in");
                    asked.failed = Some((Instant::now(), why));
                }
            }
        }
        if let Some((_, why)) = &asked.failed {
            return Err(Error::Away(why.clone()));
        }
        let mut misses = self.misses();
        if misses.len() >= MOST_MISSES {
            misses.retain(|_, at| at.elapsed() < MISSED);
        }
        if misses.len() >= MOST_MISSES {
            misses.clear();
        }
        misses.insert(what, Instant::now());
        Ok(())
    }

    fn missed(&self, what: &[u8; 32], now: Instant) -> bool {
        self.misses().get(what).is_some_and(|at| now.saturating_duration_since(*at) < MISSED)
    }

    /// Whether it is there. That it is not counts for whoever writes, since nobody else here does meanwhile.
    async fn get(&self) -> Result<bool, Error> {
        match self.limited(self.secrets.get_opt(&self.name)).await? {
            Some(secret) => self.hear(&secret, false).map(|()| true),
            None => Ok(false),
        }
    }

    /// Whether it was written: otherwise another replica was faster.
    async fn put(&self, state: &State, version: &str) -> Result<bool, Error> {
        let labels = [("app.kubernetes.io/managed-by".to_owned(), "isthmus".to_owned())];
        let data = state.write().map_err(|error| Error::Away(error.to_string()))?;
        let secret = Secret {
            metadata: ObjectMeta {
                name: Some(self.name.clone()),
                labels: Some(labels.into()),
                resource_version: (!version.is_empty()).then(|| version.to_owned()),
                ..ObjectMeta::default()
            },
            data: Some(data),
            ..Secret::default()
        };
        let params = PostParams::default();
        let write = async {
            let written = match version {
                "" => self.secrets.create(&params, &secret).await,
                _ => self.secrets.replace(&self.name, &params, &secret).await,
            };
            match written {
                Ok(secret) => Ok(Some(secret)),
                Err(kube::Error::Api(answer)) if matches!(answer.code, 404 | 409) => Ok(None),
                Err(error) => Err(error),
            }
        };
        match self.limited(write).await? {
            Some(written) => self.hear(&written, false).map(|()| true),
            None => Ok(false),
        }
    }

    async fn limited<T>(
        &self,
        question: impl Future<Output = Result<T, kube::Error>>,
    ) -> Result<T, Error> {
        let of = |why: &dyn std::fmt::Display| format!("Secret {}: {why}", self.name);
        match tokio::time::timeout(TIMEOUT, question).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(kube::Error::Api(answer))) if matches!(answer.code, 401 | 403) => {
                Err(Error::Forbidden(of(&answer.message)))
            }
            Ok(Err(kube::Error::Api(answer))) => Err(Error::Away(of(&answer.message))),
            Ok(Err(error)) => Err(Error::Away(of(&error))),
            Err(_) => Err(Error::Away(of(&format!("no answer within {TIMEOUT:?}")))),
        }
    }

    // Each change under these locks is a single step: what a panic leaves is whole.
    fn pending(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn misses(&self) -> MutexGuard<'_, HashMap<[u8; 32], Instant>> {
        self.misses.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Versions of one API server are numbers that go up; any that are not count as newer.
fn is_older(version: &str, than: &str) -> bool {
    matches!((version.parse::<u64>(), than.parse::<u64>()), (Ok(a), Ok(b)) if a < b)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(used: i64, who: usize) -> Entry {
        Entry { began: Time(0), used: Time(used), who: "x".repeat(who) }
    }

    fn state(entries: impl IntoIterator<Item = (usize, Entry)>) -> State {
        let sessions = entries.into_iter().map(|(i, entry)| (i.to_string(), entry)).collect();
        State { sessions: Arc::new(sessions), ..State::default() }
    }

    #[test]
    fn sessions_end_when_idle_and_when_old() {
        let hour = 3_600_000;
        let mut all = state([(0, entry(0, 1)), (1, entry(hour, 1))]);
        all.prune(Time(12 * hour));
        assert_eq!(all.sessions.keys().collect::<Vec<_>>(), ["1"]);
        all = state([(0, entry(167 * hour, 1))]);
        all.prune(Time(168 * hour - 1));
        assert_eq!(all.sessions.len(), 1);
        all.prune(Time(168 * hour));
        assert!(all.sessions.is_empty(), "a week is over");
    }

    #[test]
    fn the_secret_holds_no_more_than_it_can_and_the_least_used_go_first() {
        let mut many = state((0..MOST_SESSIONS + 10).map(|i| (i, entry(i as i64, 100))));
        many.prune(Time(10_000));
        assert_eq!(many.sessions.len(), MOST_SESSIONS);
        assert!(!many.sessions.contains_key("9") && many.sessions.contains_key("10"));
        let mut large = state((0..100).map(|i| (i, entry(i as i64, 16 << 10))));
        large.prune(Time(10_000));
        let bytes: usize = large.write().unwrap().values().map(|part| part.0.len()).sum();
        assert!(bytes < 600 << 10 && large.sessions.contains_key("99"), "{bytes}");
    }

    #[test]
    fn what_is_written_is_read_and_what_is_damaged_is_not_taken_for_nothing() {
        let mut all = state([(0, entry(1, 4))]);
        all.key = Some(Arc::new([7; 32]));
        let secret = |data| Secret { data: Some(data), ..Secret::default() };
        assert!(State::read(&secret(all.write().unwrap())).unwrap() == all);
        assert!(State::read(&Secret::default()).unwrap() == State::default());
        let damaged = [(TOKENS.to_owned(), ByteString(b"{".to_vec()))].into();
        assert_eq!(State::read(&secret(damaged)).err(), Some(TOKENS));
    }
}
