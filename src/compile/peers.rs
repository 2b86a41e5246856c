//! Workloads as policies see them.

use std::collections::BTreeSet;

use catalog::View;
use model::{Identity, Kind, MtlsMode, NamespacedName, Workload};
use policy::{Member, targets};

use crate::SidecarKey;
use crate::access::{Access, Surroundings};
use crate::sidecar;

/// What the sidecar of this workload takes on one of its ports; `None` asks for those that no service leads to.
pub(crate) fn mode(view: &View<'_>, workload: &SidecarKey, port: Option<u16>) -> MtlsMode {
    let members = members(view, Kind::PeerPolicy, workload);
    policy::mode(view, &seen(workload, &members), port)
}

/// Ports of this workload of which a policy speaks.
pub(crate) fn ports(view: &View<'_>, workload: &SidecarKey) -> BTreeSet<u16> {
    let members = members(view, Kind::PeerPolicy, workload);
    policy::ports(view, &seen(workload, &members))
}

/// What is let in to a port of this workload, likewise.
pub(crate) fn access(
    view: &View<'_>,
    workload: &SidecarKey,
    port: Option<u16>,
    http: bool,
) -> Access {
    let members = members(view, Kind::AccessPolicy, workload);
    let around = Surroundings::new(view);
    let judged = policy::of_port(view, &around, &seen(workload, &members), port, http);
    around.with(judged)
}

/// Whether callers use TLS of the mesh toward a workload that could take it, an endpoint of this service.
pub(crate) fn takes_mtls(
    view: &View<'_>,
    service: &NamespacedName,
    workload: &Workload,
    port: u16,
) -> bool {
    let Some(identity) = &workload.identity else { return false };
    let namespace = match identity {
        Identity::Account(account) => &account.namespace,
        Identity::Registry { .. } => &service.namespace,
    };
    let labels = workload.labels.iter().map(|(key, value)| (key.clone(), value.clone()));
    let key = SidecarKey {
        namespace: namespace.clone(),
        identity: identity.clone(),
        labels: labels.collect(),
    };
    mode(view, &key, Some(port)) != MtlsMode::Disable
}

fn seen<'a>(workload: &'a SidecarKey, services: &'a [Member]) -> policy::Workload<'a> {
    policy::Workload { namespace: &workload.namespace, labels: &workload.labels, services }
}

/// Of the services that policies name those that lead to the workload.
fn members(view: &View<'_>, kind: Kind, workload: &SidecarKey) -> Vec<Member> {
    let named: BTreeSet<_> = targets(view, kind, &workload.namespace);
    let of = |service| sidecar::members(view, workload, &service);
    named.into_iter().flat_map(of).collect()
}
