//! What the other replicas have said, and when.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use api::history::Refusal;
use api::rollout::Rollout;
use api::{Proxy, Time};
use serde::{Deserialize, Serialize};
use status::replicas::Content;
use tokio::sync::watch;

use super::PATIENCE;
use crate::history::History;

/// What one replica knows alone.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct State {
    /// Hashes of what it serves.
    pub(crate) content: Option<Content>,
    pub(crate) proxies: Vec<Proxy>,
    /// The hashes of the revisions that its proxies have: their numbers are its own.
    pub(crate) revisions: BTreeMap<String, String>,
    pub(crate) refusals: Vec<Refusal>,
    pub(crate) rollouts: Vec<Rolling>,
}

/// A rollout on one replica.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Rolling {
    pub(crate) row: Rollout,
    /// What is rolled out, by its content: the same on all replicas.
    pub(crate) change: u64,
    /// When it stopped last, by the clock of that replica.
    pub(crate) stopped: Option<Time>,
    /// Whether nothing but others keeps it in its step.
    pub(crate) ready: bool,
}

/// What one of them has said.
struct Said {
    state: Arc<State>,
    /// When it was in this state first.
    at: Instant,
    /// When it answered last.
    heard: Time,
    /// Since when it does not answer.
    failing: Option<Instant>,
}

impl Said {
    fn is_silent_for(&self, time: Duration) -> bool {
        self.failing.is_some_and(|since| since.elapsed() >= time)
    }
}

pub(crate) struct Heard {
    /// Our own name.
    pub(crate) own: String,
    history: Arc<History>,
    content: watch::Receiver<Option<Content>>,
    all: Mutex<BTreeMap<String, Said>>,
    bell: watch::Sender<()>,
}

/// `gateway/demo/edge`
pub(crate) fn group(row: &Proxy) -> String {
    match &*row.scope {
        "" => row.role.clone(),
        scope => format!("{}/{scope}", row.role),
    }
}

/// Whether a replica serves proxies of this role an older revision than ours, `now`. For Gateways the content says it
/// better. One that is not known here may be older too, but as well one that only registries made another: nobody waits
/// for those to be the same.
fn is_older(role: &str, revision: Option<&str>, now: Option<&str>) -> bool {
    role != "gateway" && revision.zip(now).is_some_and(|(theirs, now)| theirs != now)
}

impl Heard {
    pub(crate) fn new(
        own: &str,
        history: Arc<History>,
        content: watch::Receiver<Option<Content>>,
    ) -> Self {
        let bell = watch::Sender::new(());
        Self { own: own.into(), history, content, all: Mutex::default(), bell }
    }

    fn all(&self) -> MutexGuard<'_, BTreeMap<String, Said>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Rings when one of them said something else.
    pub(crate) fn bell(&self) -> watch::Receiver<()> {
        self.bell.subscribe()
    }

    pub(super) fn ring(&self) {
        self.bell.send_replace(());
    }

    /// `None`: it is in the same state as before. Returns the two states where they differ.
    pub(super) fn answered(
        &self,
        name: &str,
        state: Option<State>,
    ) -> Option<(Arc<State>, Arc<State>)> {
        let mut all = self.all();
        let known = all.get_mut(name);
        match (known, state) {
            (Some(said), None) => {
                said.heard = Time::now();
                let back = said.failing.take().is_some();
                back.then(|| (Arc::default(), said.state.clone()))
            }
            (known, Some(state)) => {
                let now = Arc::new(state);
                let before = known.map(|said| said.state.clone()).unwrap_or_default();
                let said = Said {
                    state: now.clone(),
                    at: Instant::now(),
                    heard: Time::now(),
                    failing: None,
                };
                all.insert(name.to_owned(), said);
                Some((before, now))
            }
            (None, None) => None,
        }
    }

    /// Returns whether it answered the time before.
    pub(super) fn failed(&self, name: &str) -> bool {
        let mut all = self.all();
        let said = all.entry(name.to_owned()).or_insert_with(|| Said {
            state: Arc::default(),
            at: Instant::now(),
            heard: Time::now(),
            failing: None,
        });
        let first = said.failing.is_none();
        said.failing.get_or_insert_with(Instant::now);
        first
    }

    /// Returns those that are not there any more.
    pub(super) fn keep(&self, there: impl Fn(&str) -> bool) -> Vec<(String, Arc<State>)> {
        let mut all = self.all();
        let gone: Vec<_> = all.keys().filter(|name| !there(name)).cloned().collect();
        let gone = gone.into_iter();
        gone.filter_map(|name| all.remove(&name).map(|said| (name, said.state))).collect()
    }

    pub(super) fn silent_for(&self, time: Duration) -> Vec<String> {
        let all = self.all();
        all.iter()
            .filter(|(_, said)| said.is_silent_for(time))
            .map(|(name, _)| name.clone())
            .collect()
    }

    /// The proxies of the others, each with whether its replica serves it the same as we would. `own`: ids of those that are here.
    pub(crate) fn proxies(&self, own: &BTreeSet<String>) -> Vec<(Proxy, bool)> {
        let content = *self.content.borrow();
        let now = self.history.current().borrow().as_ref().map(|current| current.id.clone());
        let all = self.all();
        // Proxies of a replica that does not answer have mostly gone to others.
        let answering = all.values().filter(|said| said.failing.is_none());
        let elsewhere: BTreeSet<&str> = if all.values().any(|said| said.failing.is_some()) {
            answering.flat_map(|said| &said.state.proxies).map(|row| &*row.id).collect()
        } else {
            BTreeSet::new()
        };
        let mut out = Vec::new();
        for (name, said) in &*all {
            let state = &*said.state;
            let same = content.zip(state.content).is_none_or(|(a, b)| a.config == b.config);
            let ids: HashMap<&str, Option<String>> = state
                .revisions
                .iter()
                .map(|(id, hash)| (&**id, self.history.id_of(hash)))
                .collect();
            let named = |id: &Option<String>| ids.get(id.as_deref()?).cloned().flatten();
            let age = u64::try_from(said.at.elapsed().as_millis()).unwrap_or(u64::MAX);
            for row in &state.proxies {
                let moved = own.contains(&row.id) || elsewhere.contains(&*row.id);
                if said.failing.is_some() && moved {
                    continue;
                }
                let row = Proxy {
                    replica: name.clone(),
                    heard_at: said.failing.map(|_| said.heard),
                    revision: named(&row.revision),
                    held_revision: named(&row.held_revision),
                    lag_ms: if row.lag_ms == 0 { 0 } else { row.lag_ms.saturating_add(age) },
                    ..row.clone()
                };
                let same = same && !is_older(&row.role, row.revision.as_deref(), now.as_deref());
                out.push((row, same));
            }
        }
        out
    }

    /// What a proxy of another replica is configured for, e.g. `gateway/demo/edge`.
    pub(crate) fn group_of(&self, id: &str) -> Option<String> {
        let all = self.all();
        let rows = all.values().flat_map(|said| &said.state.proxies);
        rows.filter(|row| row.id == id).max_by_key(|row| row.connected_at).map(group)
    }

    /// By group, the ids of the proxies of the others.
    pub(crate) fn groups(&self) -> Vec<(String, String)> {
        let all = self.all();
        let rows = all.values().flat_map(|said| &said.state.proxies);
        rows.map(|row| (group(row), row.id.clone())).collect()
    }

    pub(super) fn refusals(&self) -> Vec<Refusal> {
        self.all().values().flat_map(|said| said.state.refusals.clone()).collect()
    }

    /// Rollouts of the others, with the names of their replicas. Of one that has been silent for long nobody waits for
    /// what it said last.
    pub(crate) fn rollouts(&self) -> Vec<(String, Rolling)> {
        let all = self.all();
        let speaks = |(_, said): &(&String, &Said)| !said.is_silent_for(PATIENCE);
        let of = |(name, said): (&String, &Said)| {
            let rows = said.state.rollouts.iter();
            rows.map(|rolling| (name.clone(), rolling.clone())).collect::<Vec<_>>()
        };
        all.iter().filter(speaks).flat_map(of).collect()
    }
}

#[cfg(test)]
mod tests {
    use revision::history::Ledger;

    use super::*;

    #[test]
    fn what_a_silent_replica_said_of_rollouts_is_not_waited_for_for_ever() {
        let history = Arc::new(History::new(Ledger::in_memory()));
        let heard = Heard::new("a", history, watch::Sender::new(None).subscribe());
        let row = Rollout {
            namespace: "demo".into(),
            name: "careful".into(),
            gateway: "demo/edge".into(),
            state: "progressing".into(),
            reason: String::new(),
            from: String::new(),
            to: String::new(),
            started: None,
            step: 0,
            steps: 1,
            proxies: Vec::new(),
            total: 1,
            gates: Vec::new(),
        };
        let rollouts = vec![Rolling { row, change: 1, stopped: None, ready: false }];
        heard.answered("b", Some(State { rollouts, ..State::default() }));
        assert!(heard.failed("b"));
        assert_eq!(heard.rollouts().len(), 1, "it may be back in a moment");
        heard.all().get_mut("b").unwrap().failing = Instant::now().checked_sub(PATIENCE);
        assert_eq!(heard.rollouts(), []);
        heard.answered("b", None);
        assert_eq!(heard.rollouts().len(), 1);
    }

    #[test]
    fn a_proxy_of_a_replica_on_an_older_revision_does_not_have_ours() {
        let now = Some("r5");
        assert!(is_older("sidecar", Some("r4"), now));
        for (role, revision, now) in [
            ("sidecar", Some("r5"), now),
            ("gateway", Some("r4"), now),
            ("sidecar", None, now),
            ("sidecar", Some("r4"), None),
        ] {
            assert!(!is_older(role, revision, now), "{role} {revision:?} {now:?}");
        }
    }
}
