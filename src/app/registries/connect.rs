//! The list of all registry sources.

use std::collections::BTreeSet;
use std::sync::Arc;

use model::{Batch, Probe, Question, Registry, RegistryKind};
use sources::registry::{Inlet, Outlet};

use tokio::sync::{mpsc, watch};

use super::run::BoxFuture;

/// Runs the source of this kind until its inlet is closed.
pub(crate) fn connect(kind: &RegistryKind, inlet: Inlet, outlet: Outlet) -> BoxFuture {
    match kind {
        RegistryKind::Nacos(_) => Box::pin(sources::nacos::run(inlet, outlet)),
        RegistryKind::Eureka(_) => Box::pin(sources::eureka::run(inlet, outlet)),
        RegistryKind::ZooKeeper(_) => Box::pin(sources::zookeeper::run(inlet, outlet)),
        RegistryKind::Consul(_) => Box::pin(sources::consul::run(inlet, outlet)),
    }
}

/// One answer an address.
pub(crate) async fn probe(registry: &Registry) -> Vec<Probe> {
    match &registry.kind {
        RegistryKind::Nacos(_) => sources::nacos::probe(registry).await,
        RegistryKind::Eureka(_) => sources::eureka::probe(registry).await,
        RegistryKind::ZooKeeper(_) => sources::zookeeper::probe(registry).await,
        RegistryKind::Consul(_) => sources::consul::probe(registry).await,
    }
}

/// Asks the DNS for the names that services want.
pub(crate) fn resolve(
    wanted: watch::Receiver<Arc<BTreeSet<Question>>>,
    out: mpsc::Sender<Batch>,
) -> BoxFuture {
    Box::pin(sources::dns::run(sources::dns::Options::default(), wanted, out))
}
