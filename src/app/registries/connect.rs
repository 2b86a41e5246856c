//! The list of all registry sources.

use std::collections::BTreeSet;
use std::sync::Arc;

use model::{Batch, Probe, Question, Registry, RegistryKind};
use sources::registry::{Inlet, Outlet};

use tokio::sync::{mpsc, watch};

use super::Writing;
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

/// Writes into a registry of this kind until nobody wants anything any more.
pub(crate) fn write(kind: &RegistryKind, writing: Writing) -> BoxFuture {
    let Writing { registry, wanted, origin, health } = writing;
    match kind {
        RegistryKind::Nacos(_) => {
            let registrar = sources::nacos::Registrar { registry, wanted, origin, health };
            Box::pin(registrar.run())
        }
        RegistryKind::Eureka(_) => {
            let registrar = sources::eureka::Registrar { registry, wanted, origin, health };
            Box::pin(registrar.run())
        }
        // Nothing is ever wanted there: who asks for it is told by a finding.
        RegistryKind::ZooKeeper(_) | RegistryKind::Consul(_) => Box::pin(async move {
            let mut wanted = wanted;
            while wanted.changed().await.is_ok() {}
        }),
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
