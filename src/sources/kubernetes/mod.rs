//! Kubernetes: objects of an API server.
//!
//! ```text
//!            discover ──which kinds are served──►┐
//! API server ── watch (one task a kind) ────────►├─ View ──Batch──► catalog
//!            ── fetch (Secrets, ConfigMaps) ────►┘    ▲
//!                                                     └─ what is referred to ── catalog
//! ```
//!
//! In: the API server's lists and watches. Out: batches; all that is ready at one time is one batch. Kinds fare alone: one
//! that is not served is off until it is, one that may not be read keeps its last objects and the others go on. While the
//! server is away everything stays; what a list lacks that was made after contact is gone, because the server is the
//! authority on its objects.
//!
//! Nothing is compiled before each kind has been listed, or has shown that it cannot be. Where the server is away at
//! start, what was kept on disk stands in.
//!
//! It must never write to the API server, and must never take a failed request for an absence.

mod contact;
mod discover;
#[cfg(test)]
mod fake;
mod fetch;
mod gauges;
mod object;
mod run;
mod say;
#[cfg(test)]
mod tests;
mod view;
mod watch;

use std::collections::BTreeSet;
use std::sync::Arc;

use model::{Kind, NamespacedName, Object, ObjectKey};
use serde_json::Value;

pub use run::Source;

/// The name of the source.
pub const NAME: &str = "kubernetes";

#[derive(Clone, Debug)]
pub struct Options {
    pub name: Arc<str>,
    /// Where the API server is, to show.
    pub url: String,
    /// Namespaces to read from, each by itself; all of them where it is empty.
    pub namespaces: Vec<Arc<str>>,
    /// Whether pods are read too. A cluster has many, and only a mesh asks who is behind an address.
    pub pods: bool,
    /// Objects as they were before a restart: they stand in where the server is away, and for what it refuses to show.
    pub seed: Vec<Object>,
}

impl Options {
    /// The kinds that are read.
    fn kinds(&self) -> impl Iterator<Item = Kind> + use<> {
        let pods = self.pods;
        Kind::ALL.into_iter().filter(move |kind| pods || *kind != Kind::Pod)
    }
}

/// What the catalog has taken in, and what follows.
#[derive(Clone, Debug, Default)]
pub struct Taken {
    /// Batches of this source.
    pub batches: u64,
    /// Secrets and ConfigMaps that some object names.
    pub references: Arc<BTreeSet<ObjectKey>>,
}

/// Hears of the objects as the server has them, whole, before they are read: who writes statuses must know what they say.
pub trait Ear: Send + Sync + 'static {
    /// A full list begins, of one namespace, or of all where that is empty.
    fn listing(&self, kind: Kind, namespace: &str);
    fn seen(&self, kind: Kind, version: &str, object: &Value);
    fn gone(&self, kind: Kind, name: &NamespacedName);
    /// The list is complete.
    fn listed(&self, kind: Kind, namespace: &str);
}

/// For those who do not care.
impl Ear for () {
    fn listing(&self, _: Kind, _: &str) {}
    fn seen(&self, _: Kind, _: &str, _: &Value) {}
    fn gone(&self, _: Kind, _: &NamespacedName) {}
    fn listed(&self, _: Kind, _: &str) {}
}

/// How the objects of a kind are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Whole,
    /// Only their labels count, and those are in the metadata.
    Metadata,
    /// A cluster has far more of them than are referred to, and most hold secrets of others. One watch of the metadata
    /// of all tells what changes, and what is referred to is then fetched by name. A watch by name for each would be a
    /// connection for each.
    ByName,
}

fn way(kind: Kind) -> Way {
    match kind {
        Kind::Namespace | Kind::Node => Way::Metadata,
        Kind::ConfigMap | Kind::Secret => Way::ByName,
        _ => Way::Whole,
    }
}

/// Which objects of a kind are read, as the API server selects them.
fn fields(kind: Kind) -> Option<&'static str> {
    match kind {
        // Those that have ended stay listed for long, and have no address any more that would be theirs.
        Kind::Pod => Some("status.phase!=Succeeded,status.phase!=Failed"),
        _ => None,
    }
}

/// Whether every API server has the kind; the others come as CustomResourceDefinitions.
fn is_built_in(kind: Kind) -> bool {
    !matches!(kind.group(), "gateway.networking.k8s.io" | "isthmus.dev")
}
