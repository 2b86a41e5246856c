//! What the objects say at present, as the watch told it, and which of them to look at.
//!
//! ```text
//! source (every event, raw) ──seen──►  present status per object ─┐
//! pipeline (after each compile) ─touch─► objects to look at ──────┴──► writer
//! ```
//!
//! An object that was never seen is never written: it is not in the cluster, or not known to be.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use model::{Kind, NamespacedName, ObjectKey};
use serde_json::Value;
use tokio::sync::Notify;

/// One object of the API server.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Present {
    /// The served version by which it is watched, e.g. `v1`.
    pub(crate) version: Arc<str>,
    pub(crate) resource_version: Box<str>,
    /// As JSON text: there are many, and they are rarely looked at.
    status: Box<str>,
}

impl Present {
    pub(crate) fn status(&self) -> Value {
        serde_json::from_str(&self.status).unwrap_or_default()
    }
}

/// Shared by those who tell and the writer; clones are the same table.
#[derive(Clone, Debug, Default)]
pub struct Table(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    inner: Mutex<Inner>,
    bell: Notify,
}

#[derive(Debug, Default)]
struct Inner {
    present: HashMap<ObjectKey, Present>,
    /// Full listings that are under way, with what they have named so far; the namespace is empty for all.
    listings: HashMap<(Kind, Arc<str>), HashSet<NamespacedName>>,
    /// By rank of the kind, so that a Gateway does not wait behind a thousand routes.
    dirty: BTreeSet<(usize, ObjectKey)>,
}

/// Place in the order of writing; `None` for kinds without a status.
fn rank(kind: Kind) -> Option<usize> {
    Kind::WITH_STATUS.iter().position(|with| *with == kind)
}

impl Table {
    /// An object as the API server has it, whole.
    pub fn seen(&self, kind: Kind, version: &str, object: &Value) {
        let Some(rank) = rank(kind) else { return };
        let text = |field: &str| object.pointer(field).and_then(Value::as_str);
        let Some(name) = text("/metadata/name") else { return };
        let name = NamespacedName::new(text("/metadata/namespace").unwrap_or_default(), name);
        let key = ObjectKey { kind, name };
        let resource_version = text("/metadata/resourceVersion").unwrap_or_default();
        let status = object.get("status").unwrap_or(&Value::Null);
        let mut inner = self.lock();
        for ((_, namespace), named) in inner.listings.iter_mut().filter(|(l, _)| l.0 == kind) {
            if namespace.is_empty() || *namespace == key.name.namespace {
                named.insert(key.name.clone());
            }
        }
        if inner.put(key.clone(), version, resource_version, status) {
            inner.dirty.insert((rank, key));
            drop(inner);
            self.0.bell.notify_one();
        }
    }

    pub fn gone(&self, key: &ObjectKey) {
        self.lock().present.remove(key);
    }

    /// A full listing of a kind begins, in one namespace, or in all where that is empty.
    pub fn listing(&self, kind: Kind, namespace: &str) {
        if rank(kind).is_some() {
            self.lock().listings.insert((kind, namespace.into()), HashSet::new());
        }
    }

    /// It ends: what was not seen since it began is gone.
    pub fn listed(&self, kind: Kind, namespace: &str) {
        let mut inner = self.lock();
        let Some(named) = inner.listings.remove(&(kind, namespace.into())) else { return };
        inner.present.retain(|key, _| {
            key.kind != kind
                || (!namespace.is_empty() && *key.name.namespace != *namespace)
                || named.contains(&key.name)
        });
    }

    /// What was computed for these may differ from before.
    pub fn touch(&self, keys: impl IntoIterator<Item = ObjectKey>) {
        let mut inner = self.lock();
        inner.dirty.extend(keys.into_iter().filter_map(|key| Some((rank(key.kind)?, key))));
        if !inner.dirty.is_empty() {
            drop(inner);
            self.0.bell.notify_one();
        }
    }

    pub(crate) fn touch_all(&self) {
        let keys: Vec<_> = self.lock().present.keys().cloned().collect();
        self.touch(keys);
    }

    /// What a write came to.
    pub(crate) fn wrote(&self, key: &ObjectKey, resource_version: &str, status: &Value) {
        let mut inner = self.lock();
        if let Some(present) = inner.present.get(key) {
            let version = present.version.clone();
            inner.put(key.clone(), &version, resource_version, status);
        }
    }

    pub(crate) fn present(&self, key: &ObjectKey) -> Option<Present> {
        self.lock().present.get(key).cloned()
    }

    /// What the object says in its `status`.
    #[must_use]
    pub fn told(&self, key: &ObjectKey) -> Option<Value> {
        Some(self.present(key)?.status())
    }

    /// The next object to look at, of those that `free` lets through.
    pub(crate) fn next(&self, free: impl Fn(&ObjectKey) -> bool) -> Option<ObjectKey> {
        let mut inner = self.lock();
        let next = inner.dirty.iter().find(|(_, key)| free(key)).cloned()?;
        inner.dirty.remove(&next);
        Some(next.1)
    }

    pub(crate) fn waiting(&self) -> usize {
        self.lock().dirty.len()
    }

    /// Ends when something was told since the last call.
    pub(crate) async fn rung(&self) {
        self.0.bell.notified().await;
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Every change to it is whole, whatever panicked.
        self.0.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// Returns whether the status differs from before.
    fn put(
        &mut self,
        key: ObjectKey,
        version: &str,
        resource_version: &str,
        status: &Value,
    ) -> bool {
        let status = status.to_string().into_boxed_str();
        let old = self.present.get(&key);
        // An event that was on its way while we wrote tells what was before.
        if old.is_some_and(|old| older(resource_version, &old.resource_version)) {
            return false;
        }
        let differs = old.is_none_or(|old| old.status != status);
        let version = match old {
            Some(old) if *old.version == *version => old.version.clone(),
            _ => version.into(),
        };
        let present = Present { version, resource_version: resource_version.into(), status };
        self.present.insert(key, present);
        differs
    }
}

/// The API server promises that these can be compared as numbers (KEP-5504); what is not one is taken as news.
fn older(new: &str, old: &str) -> bool {
    match (new.parse::<u128>(), old.parse::<u128>()) {
        (Ok(new), Ok(old)) => new < old,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn route(name: &str, version: u64, status: &str) -> Value {
        json!({"metadata": {"namespace": "shop", "name": name, "resourceVersion": version.to_string()}, "status": status})
    }

    fn key(name: &str) -> ObjectKey {
        ObjectKey::new(Kind::HttpRoute, "shop", name)
    }

    #[test]
    fn an_older_event_does_not_undo_what_a_write_came_to() {
        let table = Table::default();
        table.seen(Kind::HttpRoute, "v1", &route("a", 5, "old"));
        assert_eq!(table.next(|_| true), Some(key("a")));
        table.wrote(&key("a"), "9", &json!("new"));
        table.seen(Kind::HttpRoute, "v1", &route("a", 7, "old"));
        assert_eq!(table.next(|_| true), None);
        assert_eq!(table.present(&key("a")).unwrap().status(), json!("new"));
        table.seen(Kind::HttpRoute, "v1", &route("a", 10, "foreign"));
        assert_eq!(table.next(|_| true), Some(key("a")));
    }

    #[test]
    fn what_a_listing_does_not_name_is_gone() {
        let table = Table::default();
        for name in ["a", "b"] {
            table.seen(Kind::HttpRoute, "v1", &route(name, 1, ""));
        }
        table.seen(Kind::TlsRoute, "v1", &route("t", 1, ""));
        table.listing(Kind::HttpRoute, "");
        table.seen(Kind::HttpRoute, "v1", &route("b", 2, ""));
        table.listed(Kind::HttpRoute, "");
        let there = |key: &ObjectKey| table.present(key).is_some();
        assert_eq!([key("a"), key("b")].each_ref().map(there), [false, true]);
        assert!(there(&ObjectKey::new(Kind::TlsRoute, "shop", "t")));
        table.listing(Kind::HttpRoute, "elsewhere");
        table.listed(Kind::HttpRoute, "elsewhere");
        assert!(there(&key("b")));
    }

    #[test]
    fn gateways_come_before_routes() {
        let table = Table::default();
        let gateway = ObjectKey::new(Kind::Gateway, "shop", "edge");
        let class = ObjectKey::new(Kind::GatewayClass, "", "isthmus");
        let service = ObjectKey::new(Kind::Service, "shop", "a");
        table.touch([key("a"), gateway.clone(), service, class.clone()]);
        let order: Vec<_> = std::iter::from_fn(|| table.next(|_| true)).collect();
        assert_eq!(order, [class, gateway, key("a")]);
    }
}
