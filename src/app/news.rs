//! What may look different to those who look, between two looks of whoever tells them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use api::{EventView, Time};
use model::ObjectKey;
use tokio::sync::Notify;

/// What happened to proxies, that is remembered.
const EVENTS: usize = 2000;

/// Clones are the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct News(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    heard: Mutex<Heard>,
    events: Mutex<VecDeque<EventView>>,
    bell: Notify,
    /// How often something happened to proxies here.
    count: AtomicU64,
}

#[derive(Debug, Default)]
pub(crate) struct Heard {
    /// Of which the status may be another.
    pub(crate) objects: BTreeSet<ObjectKey>,
    /// By id, with what they are configured for, e.g. `demo/edge`.
    pub(crate) proxies: BTreeMap<String, Arc<str>>,
    /// By id: pinned, or not any more.
    pub(crate) revisions: BTreeSet<Arc<str>>,
    /// Whether a proxy refuses something that it did not, or the other way round.
    pub(crate) refusals: bool,
}

impl News {
    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.0.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn objects(&self, keys: impl IntoIterator<Item = ObjectKey>) {
        self.heard().objects.extend(keys);
        self.0.bell.notify_one();
    }

    /// `group`: `gateway/demo/edge`
    pub(crate) fn proxy(&self, id: &str, group: &str, refusals: bool) {
        self.0.count.fetch_add(1, Ordering::Relaxed);
        self.hear(id, group, refusals);
    }

    /// The same, of a proxy of another replica.
    pub(crate) fn hear(&self, id: &str, group: &str, refusals: bool) {
        let scope = group.split_once('/').map_or("", |(_, scope)| scope);
        let mut heard = self.heard();
        heard.refusals |= refusals;
        if !heard.proxies.contains_key(id) {
            heard.proxies.insert(id.to_owned(), scope.into());
        }
        drop(heard);
        self.0.bell.notify_one();
    }

    /// `id`: `r42`
    pub(crate) fn revision(&self, id: &str) {
        self.heard().revisions.insert(id.into());
        self.0.bell.notify_one();
    }

    /// Something happened to a proxy.
    pub(crate) fn event(&self, id: &str, group: &str, what: &str, text: String) {
        let scope = group.split_once('/').map_or("", |(_, scope)| scope);
        let (namespace, _) = scope.split_once('/').unwrap_or((scope, ""));
        let event = EventView {
            at: Time::now(),
            kind: "proxy".into(),
            what: what.into(),
            namespace: namespace.into(),
            name: id.into(),
            text,
        };
        let mut events = self.0.events.lock().unwrap_or_else(PoisonError::into_inner);
        if events.len() == EVENTS {
            events.pop_front();
        }
        events.push_back(event);
    }

    pub(crate) fn events(&self) -> Vec<EventView> {
        let events = self.0.events.lock().unwrap_or_else(PoisonError::into_inner);
        events.iter().cloned().collect()
    }

    /// Another number than before: something happened to proxies here.
    pub(crate) fn count(&self) -> u64 {
        self.0.count.load(Ordering::Relaxed)
    }

    /// Something else may be told that is looked at in any case.
    pub(crate) fn ring(&self) {
        self.0.bell.notify_one();
    }

    /// What was told since the last time; for one listener.
    pub(crate) fn take(&self) -> Heard {
        std::mem::take(&mut self.heard())
    }

    pub(crate) async fn any(&self) {
        self.0.bell.notified().await;
    }
}
