//! Several sources → the endpoints of one service.
//!
//! | rule | endpoints |
//! |---|---|
//! | `Union` | all, each once: by address and port, and by pod and port where the sources say which pod it is |
//! | `Prefer` | those of the first source with enough usable ones; else of the first with any |
//! | `Percent` | all; weights within a source share that source's percent, sources without endpoints leave theirs to the others |
//!
//! Where two sources name one endpoint, the first one's locality and weight count, and the healthier word: a registry that
//! lost sight of a process that another one sees alive must not take it out.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

use catalog::View;
use model::{
    Endpoint, EndpointHealth, Host, Identity, Instance, Kind, Merge, MeshService, MeshServicePort,
    NamespacedName, Pod, Question, QuestionKind, RegistryRef, RegistryServiceId, Source,
    SourceFrom, TargetPort, Workload,
};

use crate::backend::granted;

/// What an instance of a registry says of itself where it has a sidecar and is no pod.
const MTLS_LABEL: &str = "isthmus.mtls";

/// The sum of the weights of all sources under `Percent`: fine enough for a share of 1 % over thousands of endpoints.
const WHOLE: f64 = 10_000_000.0;

/// An endpoint and its port.
pub(crate) type Found = (Endpoint, u16);

/// The endpoints of one port, and whether their weights are exact and must not be scaled.
pub(crate) fn endpoints(
    view: &View<'_>,
    service: &MeshService,
    port: &MeshServicePort,
) -> (Vec<Found>, bool) {
    let sources = service.sources.iter();
    let parts: Vec<Vec<Found>> =
        sources.map(|source| of_source(view, service, source, port)).collect();
    match service.merge {
        Merge::Union => (union(parts.into_iter().flatten()), false),
        Merge::Prefer { minimum } => (prefer(parts, minimum), false),
        Merge::Percent => {
            let percents: Vec<f64> = service.sources.iter().map(|source| source.percent).collect();
            (percent(parts, &percents), true)
        }
    }
}

/// The endpoints of a port of a Kubernetes Service.
pub(crate) fn of_service(
    view: &View<'_>,
    name: &NamespacedName,
    wanted: impl Fn(&[model::ServicePort]) -> Option<usize>,
) -> Vec<Found> {
    let mut found = Vec::new();
    if let Some(service) = view.service(name)
        && let Some(port) = wanted(&service.ports).map(|index| &service.ports[index])
    {
        for slice in view.slices_of(name) {
            // A slice's port has the name of the Service's port (Kubernetes API, EndpointPort.name).
            let Some(target) = slice.ports.iter().find(|p| p.name == port.name) else { continue };
            let endpoints = slice.endpoints.iter();
            found.extend(endpoints.map(|e| (placed(view, e), e.port.unwrap_or(target.port))));
        }
    }
    found
}

/// With the region of its Node, and its zone where the slice does not say it, and with what its pod is.
fn placed(view: &View<'_>, endpoint: &Endpoint) -> Endpoint {
    let mut endpoint = endpoint.clone();
    let named = endpoint.pod.as_ref().and_then(|name| view.pod(name));
    let pod = named.or_else(|| view.pod_at(endpoint.address));
    endpoint.workload = pod.map(|pod| Arc::new(workload_of_pod(pod)));
    let Some(node) = endpoint.node.as_ref().and_then(|name| view.node(name)) else {
        return endpoint;
    };
    let locality = &mut endpoint.locality;
    for (part, label) in [
        (&mut locality.region, "topology.kubernetes.io/region"),
        (&mut locality.zone, "topology.kubernetes.io/zone"),
    ] {
        if let (true, Some(value)) = (part.is_empty(), node.meta.label(label)) {
            *part = value.into();
        }
    }
    endpoint
}

pub(crate) fn of_source(
    view: &View<'_>,
    service: &MeshService,
    source: &Source,
    port: &MeshServicePort,
) -> Vec<Found> {
    match &source.from {
        SourceFrom::Static(endpoints) => {
            let one = |e: &Endpoint| {
                let pod = view.pod_at(e.address);
                let workload = pod.map(|pod| Arc::new(workload_of_pod(pod)));
                (Endpoint { workload, ..e.clone() }, e.port.unwrap_or(port.target))
            };
            endpoints.iter().map(one).collect()
        }
        SourceFrom::Registry(reference) => of_registry(view, reference),
        SourceFrom::Kubernetes { name, port: wanted } => {
            let from = (Kind::MeshService.group(), "MeshService", &**service.meta.namespace());
            if !granted(view, from, ("", "Service", name)) {
                return Vec::new();
            }
            of_service(view, name, |ports| match wanted {
                Some(TargetPort::Number(number)) => ports.iter().position(|p| p.port == *number),
                Some(TargetPort::Name(name)) => ports.iter().position(|p| p.name == *name),
                None => ports
                    .iter()
                    .position(|p| p.port == port.port)
                    .or((ports.len() == 1).then_some(0)),
            })
        }
        SourceFrom::Dns { name, kind, port: own, resolution: model::DnsResolution::Endpoints } => {
            let question = Question { name: name.clone(), kind: *kind };
            let records = view.resolved(&question).map(|records| &**records).unwrap_or_default();
            // Of SRV records only those of the best priority count (RFC 2782).
            let best = records.iter().map(|record| record.priority).min();
            let used = records.iter().filter(|record| Some(record.priority) == best);
            used.map(|record| {
                let port = match kind {
                    QuestionKind::Srv => record.port,
                    QuestionKind::Address => own.unwrap_or(port.target),
                };
                (endpoint(record.address, record.weight), port)
            })
            .collect()
        }
        // The proxies ask: the cluster says so.
        SourceFrom::Dns { .. } => Vec::new(),
    }
}

fn of_registry(view: &View<'_>, reference: &RegistryRef) -> Vec<Found> {
    let RegistryRef { id, labels } = reference;
    let Some(served) = view.registry_service(id) else { return Vec::new() };
    let wanted = |instance: &&Arc<Instance>| {
        labels.iter().all(|(key, value)| instance.labels.get(key) == Some(value))
    };
    let instances: Vec<_> = served.instances.iter().filter(wanted).collect();
    let healthy = instances.iter().filter(|i| i.health == EndpointHealth::Healthy).count();
    #[expect(clippy::cast_precision_loss, reason = "counts of instances are far below 2^52")]
    let protected = !instances.is_empty()
        && (healthy as f64) < served.protect_threshold * instances.len() as f64;
    let mut found = Vec::new();
    for instance in instances {
        let mut health = instance.health;
        // Protection is against health checks gone wrong; what a person switched off stays off.
        if protected && health == EndpointHealth::Unhealthy && &*instance.reason != "enabled=false"
        {
            health = EndpointHealth::Healthy;
        }
        let pod = pod(instance);
        let mut add = |address| {
            let endpoint = Endpoint {
                address,
                port: Some(instance.port),
                weight: instance.weight,
                health,
                locality: instance.locality.clone(),
                pod: pod.clone(),
                node: None,
                workload: workload_of_instance(view, id, instance, address),
            };
            found.push((endpoint, instance.port));
        };
        match &instance.host {
            Host::Ip(ip) => add(*ip),
            Host::Name(name) => {
                let question = Question { name: name.clone(), kind: QuestionKind::Address };
                let records = view.resolved(&question);
                records.into_iter().flat_map(|r| r.iter()).for_each(|r| add(r.address));
            }
        }
    }
    found
}

fn workload_of_pod(pod: &Pod) -> Workload {
    let account =
        NamespacedName { namespace: pod.meta.namespace().clone(), name: pod.account.clone() };
    Workload {
        identity: Some(Identity::Account(account)),
        labels: pod.meta.labels.iter().cloned().collect(),
        mtls: pod.has_sidecar(),
    }
}

/// A process that is a pod has the pod's identity, whatever registry it registers with: a registry believes what it is told.
fn workload_of_instance(
    view: &View<'_>,
    id: &RegistryServiceId,
    instance: &Instance,
    address: IpAddr,
) -> Option<Arc<Workload>> {
    let pod = view.pod_at(address).map(|pod| workload_of_pod(pod));
    let mut workload = pod.unwrap_or_else(|| {
        let registry = id.registry.split_once('/');
        Workload {
            identity: registry.map(|(namespace, name)| Identity::Registry {
                registry: NamespacedName::new(namespace, name),
                service: id.name.clone(),
            }),
            labels: BTreeMap::new(),
            mtls: instance.labels.get(MTLS_LABEL).is_some_and(|value| &**value == "true"),
        }
    });
    workload.labels.extend(instance.labels.iter().map(|(key, value)| (key.clone(), value.clone())));
    Some(Arc::new(workload))
}

fn pod(instance: &Instance) -> Option<NamespacedName> {
    let label = |key: &str| instance.labels.get(key).cloned();
    let (namespace, name) = (label("k8s_namespace")?, label("k8s_pod")?);
    Some(NamespacedName { namespace, name })
}

fn endpoint(address: IpAddr, weight: f64) -> Endpoint {
    Endpoint {
        address,
        port: None,
        weight,
        health: EndpointHealth::Healthy,
        locality: model::Locality::default(),
        pod: None,
        node: None,
        workload: None,
    }
}

/// Each endpoint once; the place of the first one that is the same, if there is one.
pub(crate) fn union(all: impl Iterator<Item = Found>) -> Vec<Found> {
    let mut out: Vec<Found> = Vec::new();
    let mut places = Places::default();
    for (endpoint, port) in all {
        match places.find(&endpoint, port, out.len()) {
            Some(place) => {
                let known = &mut out[place].0;
                known.health = known.health.min(endpoint.health);
            }
            None => out.push((endpoint, port)),
        }
    }
    out
}

#[derive(Default)]
struct Places {
    addresses: HashMap<(IpAddr, u16), usize>,
    pods: HashMap<(NamespacedName, u16), usize>,
}

impl Places {
    /// Where an endpoint is already; if it is not, it is noted as being at `next`.
    fn find(&mut self, endpoint: &Endpoint, port: u16, next: usize) -> Option<usize> {
        let address = (endpoint.address, port);
        let pod = endpoint.pod.clone().map(|pod| (pod, port));
        let found = self.addresses.get(&address).copied();
        let found = found.or_else(|| self.pods.get(pod.as_ref()?).copied());
        let place = found.unwrap_or(next);
        self.addresses.entry(address).or_insert(place);
        if let Some(pod) = pod {
            self.pods.entry(pod).or_insert(place);
        }
        found
    }
}

fn usable(found: &Found) -> bool {
    found.0.health == EndpointHealth::Healthy && found.0.weight > 0.0
}

fn prefer(mut parts: Vec<Vec<Found>>, minimum: u32) -> Vec<Found> {
    let usable_in = |part: &Vec<Found>| part.iter().filter(|found| usable(found)).count();
    let minimum = usize::try_from(minimum).unwrap_or(usize::MAX).max(1);
    let best = parts
        .iter()
        .position(|part| usable_in(part) >= minimum)
        .or_else(|| parts.iter().position(|part| usable_in(part) > 0))
        .or_else(|| parts.iter().position(|part| !part.is_empty()));
    best.map(|index| union(parts.swap_remove(index).into_iter())).unwrap_or_default()
}

/// Weights as whole numbers, of which the sum within a source is the source's share of [`WHOLE`].
fn percent(parts: Vec<Vec<Found>>, percents: &[f64]) -> Vec<Found> {
    let parts: Vec<(Vec<Found>, f64)> = parts
        .into_iter()
        .zip(percents)
        .filter(|(_, percent)| **percent > 0.0)
        .map(|(part, percent)| {
            let part = union(part.into_iter());
            let healthy = part.iter().any(usable);
            // Draining ones serve where there is nobody else.
            let wanted = if healthy { EndpointHealth::Healthy } else { EndpointHealth::Draining };
            let fits = |found: &Found| found.0.health == wanted && found.0.weight > 0.0;
            (part.into_iter().filter(fits).collect::<Vec<_>>(), *percent)
        })
        .filter(|(part, _)| !part.is_empty())
        .collect();
    let all: f64 = parts.iter().map(|(_, percent)| percent).sum();
    let mut out: Vec<Found> = Vec::new();
    let mut places = Places::default();
    for (part, percent) in parts {
        let sum: f64 = part.iter().map(|(endpoint, _)| endpoint.weight).sum();
        for (mut endpoint, port) in part {
            let share = endpoint.weight / sum * percent / all;
            endpoint.weight = (share * WHOLE).round().max(1.0);
            endpoint.health = EndpointHealth::Healthy;
            match places.find(&endpoint, port, out.len()) {
                // One process that both sources name carries both shares.
                Some(place) => out[place].0.weight += endpoint.weight,
                None => out.push((endpoint, port)),
            }
        }
    }
    out
}

#[cfg(test)]
mod tests;
