//! References to services → clusters and endpoint sets.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use catalog::View;
use ir::{
    Cluster, Discovery, EndpointSet, LbEndpoint, LocalityEndpoints, MeshTls, Name, Plan, Trust,
    UpstreamProtocol, UpstreamTls,
};
use model::{
    AppProtocol, BackendRef, Code, Condition, DnsResolution, Endpoint, Finding, Kind, Locality,
    MeshService, MeshServicePort, MeshSettings, Meta, NamespacedName, ObjectKey, ObjectRef,
    Severity, SourceFrom, codes,
};

use crate::complaint::Complaint;
use crate::join::{self, Found};
use crate::lanes::{self, Chosen, ServiceLanes};
use crate::peers;
use crate::plan::put;

/// How long a proxy waits for a connection to an endpoint.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Weights are whole numbers on the wire; two decimals of the user's fractions are kept.
const WEIGHT_SCALE: f64 = 100.0;
/// The sum over all endpoints of a locality must fit in 32 bits.
const WEIGHT_MAX: f64 = 100_000.0;

/// One port of one service, as routes refer to it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct BackendKey {
    pub(crate) kind: Kind,
    pub(crate) name: NamespacedName,
    pub(crate) port: u16,
    pub(crate) speech: Speech,
}

/// What is spoken to a back end. One port may be spoken to in several ways, and has a cluster for each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Speech {
    /// What its port says.
    #[default]
    Declared,
    /// HTTP/2 although its port does not say so: gRPC is nothing else.
    Http2,
    /// The client's own TLS, which must not be put in another one.
    Passthrough,
    /// Datagrams: another port of the service than the TCP port of the same number.
    Udp,
    /// Whole connections, whatever is spoken in them.
    Whole,
}

impl BackendKey {
    /// The cluster's name.
    pub(crate) fn cluster(&self) -> Name {
        let Self { kind, name, port, speech } = self;
        let kind = kind.as_str().to_ascii_lowercase();
        let speech = match speech {
            Speech::Declared => "",
            Speech::Http2 => "/http2",
            Speech::Passthrough => "/passthrough",
            Speech::Udp => "/udp",
            Speech::Whole => "/tcp",
        };
        format!("{kind}/{}/{}/{port}{speech}", name.namespace, name.name).into()
    }

    pub(crate) fn service(&self) -> ObjectKey {
        ObjectKey { kind: self.kind, name: self.name.clone() }
    }

    /// Whether it is this port of its service.
    pub(crate) fn is(&self, port: u16, protocol: AppProtocol) -> bool {
        self.port == port && (protocol == AppProtocol::Udp) == (self.speech == Speech::Udp)
    }
}

/// Why a reference leads nowhere: Gateway API's reason, our code, the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Broken {
    pub(crate) reason: &'static str,
    pub(crate) code: Code,
    pub(crate) text: String,
    pub(crate) hint: String,
    /// The object that is not there.
    pub(crate) missing: Option<ObjectKey>,
}

impl Broken {
    /// What is told about the place where the reference stands.
    pub(crate) fn complaint(&self, at: ObjectRef) -> Complaint {
        let finding = Finding {
            at,
            code: self.code,
            severity: Severity::Error,
            text: self.text.clone(),
            hint: self.hint.clone(),
        };
        Complaint::missing(finding, self.missing.clone())
    }
}

/// The condition of a route of which this is the first broken reference.
pub(crate) fn resolved_refs(broken: Option<Broken>) -> Condition {
    match broken {
        None => Condition::new("ResolvedRefs", true, "ResolvedRefs", "all references are resolved"),
        Some(broken) => Condition::new("ResolvedRefs", false, broken.reason, broken.text),
    }
}

/// Whether a grant in the target's namespace lets `from` (group, kind, namespace) refer to `to`.
pub(crate) fn granted(
    view: &View<'_>,
    from: (&str, &str, &str),
    to: (&str, &str, &NamespacedName),
) -> bool {
    let (group, kind, name) = to;
    from.2 == &*name.namespace
        || view.grants_in(&name.namespace).any(|grant| {
            grant.from.iter().any(|f| (&*f.group, &*f.kind, &*f.namespace) == from)
                && grant.to.iter().any(|to| {
                    &*to.group == group
                        && &*to.kind == kind
                        && to.name.as_ref().is_none_or(|n| *n == name.name)
                })
        })
}

fn target_kind(target: &BackendRef) -> Result<Kind, Broken> {
    let Some(kind @ (Kind::Service | Kind::MeshService)) = Kind::find(&target.group, &target.kind)
    else {
        let shown = if target.group.is_empty() { "core" } else { &*target.group };
        return Err(Broken {
            reason: "InvalidKind",
            code: codes::REFERENCE_KIND,
            text: format!("a back end cannot be of kind {} (group {shown})", target.kind),
            hint: "use kind Service (group \"\") or MeshService (group isthmus.dev)".into(),
            missing: None,
        });
    };
    Ok(kind)
}

/// Finds the service and port that a route's reference names.
pub(crate) fn resolve(
    view: &View<'_>,
    route: &Meta,
    target: &BackendRef,
) -> Result<BackendKey, Broken> {
    let kind = target_kind(target)?;
    let from = (route.key.kind.group(), route.key.kind.as_str(), &*route.key.name.namespace);
    if !granted(view, from, (kind.group(), kind.as_str(), &target.name)) {
        return Err(Broken {
            reason: "RefNotPermitted",
            code: codes::REFERENCE_NOT_PERMITTED,
            text: format!(
                "no ReferenceGrant in namespace {} permits this reference to {kind} {}",
                target.name.namespace, target.name
            ),
            hint: format!(
                "add a ReferenceGrant in {} from {} in {} to {kind}",
                target.name.namespace, from.1, from.2
            ),
            missing: None,
        });
    }
    resolve_granted(view, route, target)
}

/// The same, where nobody need grant the reference.
pub(crate) fn resolve_granted(
    view: &View<'_>,
    route: &Meta,
    target: &BackendRef,
) -> Result<BackendKey, Broken> {
    let kind = target_kind(target)?;
    let ports: Option<Vec<(u16, AppProtocol)>> = match kind {
        Kind::MeshService => view
            .mesh_service(&target.name)
            .map(|service| service.ports.iter().map(|p| (p.port, p.protocol)).collect()),
        _ => match view.service(&target.name) {
            Some(service) if service.external_name.is_some() => {
                return Err(Broken {
                    reason: "UnsupportedValue",
                    code: codes::REFERENCE_KIND,
                    text: format!("Service {} is of type ExternalName, which is no target for a route", target.name),
                    hint: "a DNS name chosen by whoever edits the Service could point anywhere (CVE-2021-25740); \
                           use a Service with endpoints or a MeshService"
                        .into(),
                    missing: None,
                });
            }
            service => {
                service.map(|service| service.ports.iter().map(|p| (p.port, p.protocol)).collect())
            }
        },
    };
    let Some(ports) = ports else {
        return Err(Broken {
            reason: "BackendNotFound",
            code: codes::REFERENCE_NOT_FOUND,
            text: format!("{kind} {} does not exist", target.name),
            hint: "requests that this back end would get fail until it exists".into(),
            missing: Some(ObjectKey { kind, name: target.name.clone() }),
        });
    };
    let listed = || ports.iter().map(|(port, _)| port.to_string()).collect::<Vec<_>>().join(", ");
    let no_port = |text: String| Broken {
        reason: "BackendNotFound",
        code: codes::PORT_NOT_FOUND,
        text,
        hint: format!("its ports are: {}", listed()),
        missing: None,
    };
    let port = match (target.port, ports.as_slice()) {
        (Some(port), _) => port,
        // Only our own kind may leave the port out, and only where there is no choice.
        (None, [(port, _)]) if kind == Kind::MeshService => *port,
        (None, _) => {
            let text = format!("the reference to {kind} {} names no port", target.name);
            return Err(no_port(text));
        }
    };
    let udp = route.key.kind == Kind::UdpRoute;
    let protocol = ports
        .iter()
        .filter(|(number, _)| *number == port)
        .map(|(_, protocol)| *protocol)
        // A number may be there twice, for TCP and for UDP.
        .max_by_key(|protocol| (*protocol == AppProtocol::Udp) == udp)
        .ok_or_else(|| no_port(format!("{kind} {} has no port {port}", target.name)))?;
    let (has, wants) = if udp { ("TCP", "UDP") } else { ("UDP", "TCP") };
    if (protocol == AppProtocol::Udp) != udp {
        return Err(Broken {
            reason: "UnsupportedProtocol",
            code: codes::REFERENCE_PROTOCOL,
            text: format!("port {port} of {kind} {} is for {has}", target.name),
            hint: format!("a route of kind {} needs a port for {wants}", route.key.kind),
            missing: None,
        });
    }
    let speech = match route.key.kind {
        Kind::UdpRoute => Speech::Udp,
        Kind::TcpRoute | Kind::TlsRoute => Speech::Whole,
        Kind::GrpcRoute if protocol != AppProtocol::H2c => Speech::Http2,
        _ => Speech::Declared,
    };
    Ok(BackendKey { kind, name: target.name.clone(), port, speech })
}

/// Who calls a back end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Caller {
    Gateway,
    /// A gRPC program, which has no identity and knows nothing of subsets.
    Program,
    /// It has looked at what its app speaks.
    Sidecar,
}

/// An endpoint of a back end, whether it gets requests now or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Reached {
    pub(crate) address: IpAddr,
    pub(crate) port: u16,
    pub(crate) mtls: bool,
}

/// Brings a back end's cluster and endpoints in a plan up to date; returns the endpoints in order. A cluster stays while
/// something may still refer to it, so one whose service is gone is not taken away here.
pub(crate) fn update(
    view: &View<'_>,
    key: &BackendKey,
    caller: Caller,
    tls: Option<UpstreamTls>,
    plan: &mut Plan,
) -> Vec<Reached> {
    let name = key.cluster();
    let lanes = lanes::of_service(view, &key.service(), caller);
    // The cluster could not reach them; without any it need not try.
    let unreachable = tls.as_ref().is_some_and(|tls| tls.trust == Trust::Nobody);
    let mesh = view.mesh();
    let (mut found, exact) = found(view, key);
    for (endpoint, port) in &mut found {
        judge(view, key, caller, endpoint, *port);
    }
    let mesh_tls = mesh_tls(&mesh, &found);
    if let Some(cluster) = cluster(view, key, caller, tls, mesh_tls, lanes.as_ref()) {
        put(&mut plan.clusters, &name, cluster);
    }
    let mut reached: Vec<_> = found
        .iter()
        .map(|(endpoint, port)| Reached {
            address: endpoint.address,
            port: *port,
            mtls: takes_mtls(endpoint),
        })
        .collect();
    reached.sort();
    reached.dedup_by_key(|one| (one.address, one.port));
    let chosen = match lanes {
        _ if unreachable => Vec::new(),
        Some(lanes) => lanes.choose(found),
        None => lanes::serving(found),
    };
    let localities = by_locality(chosen, exact);
    put(&mut plan.endpoints, &name, EndpointSet { name: name.clone(), localities });
    reached
}

/// Whether calls to this endpoint are in TLS of the mesh is for the caller too: one without an identity has none, and the
/// TLS of somebody else's client must not be put in another one.
fn judge(view: &View<'_>, key: &BackendKey, caller: Caller, endpoint: &mut Endpoint, port: u16) {
    let Some(workload) = &mut endpoint.workload else { return };
    let able = caller != Caller::Program
        && !matches!(key.speech, Speech::Passthrough | Speech::Udp)
        && workload.identity.is_some();
    if workload.mtls && !(able && peers::takes_mtls(view, &key.name, workload, port)) {
        Arc::make_mut(workload).mtls = false;
    }
}

fn takes_mtls(endpoint: &Endpoint) -> bool {
    endpoint.workload.as_ref().is_some_and(|workload| workload.mtls)
}

/// The identities of the endpoints that take TLS of the mesh; `None` where none does.
fn mesh_tls(mesh: &MeshSettings, found: &[Found]) -> Option<MeshTls> {
    let workloads = found.iter().filter_map(|(endpoint, _)| endpoint.workload.as_ref());
    let identities = workloads.filter(|w| w.mtls).filter_map(|w| w.identity.as_ref());
    let identities: BTreeSet<_> = identities.collect();
    let domains = || std::iter::once(&mesh.trust_domain).chain(&mesh.trust_domain_aliases);
    let names: Vec<_> =
        identities.iter().flat_map(|id| domains().map(|domain| id.spiffe(domain))).collect();
    (!names.is_empty()).then_some(MeshTls { names, whole: false })
}

/// The cluster of a back end; `None` once the service or port is gone.
fn cluster(
    view: &View<'_>,
    key: &BackendKey,
    caller: Caller,
    tls: Option<UpstreamTls>,
    mesh_tls: Option<MeshTls>,
    lanes: Option<&ServiceLanes<'_>>,
) -> Option<Cluster> {
    let mut discovery = Discovery::Endpoints;
    let (protocol, declared, origin) = match key.kind {
        Kind::MeshService => {
            let service = view.mesh_service(&key.name)?;
            let port = service.ports.iter().find(|p| key.is(p.port, p.protocol))?;
            discovery = asked_by_proxies(service, port);
            (port.protocol, port.declared, service.meta.at(""))
        }
        _ => {
            let service = view.service(&key.name)?;
            let port = service.ports.iter().find(|p| key.is(p.port, p.protocol))?;
            (port.protocol, port.declared, service.meta.at(""))
        }
    };
    // A sidecar takes what comes to a port of HTTP for HTTP, whoever brings it.
    let whole = key.speech == Speech::Whole && matches!(declared, None | Some(AppProtocol::Tcp));
    let mesh_tls = mesh_tls.map(|tls| MeshTls { whole, ..tls });
    let protocol = match (key.speech, protocol) {
        (Speech::Http2, _) | (Speech::Declared, AppProtocol::H2c) => UpstreamProtocol::Http2,
        (Speech::Declared, _) if caller == Caller::Sidecar && declared.is_none() => {
            UpstreamProtocol::AsCaller
        }
        (
            Speech::Declared,
            AppProtocol::Http1 | AppProtocol::WebSocket | AppProtocol::Tcp | AppProtocol::Udp,
        )
        | (Speech::Passthrough | Speech::Udp | Speech::Whole, _) => UpstreamProtocol::Http1,
    };
    let speech = match key.speech {
        Speech::Declared => "",
        Speech::Http2 => ".http2",
        Speech::Passthrough => ".passthrough",
        Speech::Udp => ".udp",
        Speech::Whole => ".tcp",
    };
    // Of those that a proxy finds itself nobody knows in which lane they are.
    let lanes = lanes.filter(|_| discovery == Discovery::Endpoints);
    let NamespacedName { namespace, name } = &key.name;
    let stat_name = format!("{namespace}.{name}.{}{speech}", key.port).into();
    Some(Cluster {
        name: key.cluster(),
        stat_name,
        protocol,
        tls,
        mesh_tls,
        choice: lanes.map(ServiceLanes::choice).unwrap_or_default(),
        connect_timeout: CONNECT_TIMEOUT,
        discovery,
        // Envoys tell more by their access logs, and what both told would count twice.
        load_reports: caller == Caller::Program,
        origin,
    })
}

/// A name that the document wants the proxies to ask for; it is the only source then.
fn asked_by_proxies(service: &MeshService, port: &MeshServicePort) -> Discovery {
    match service.sources.first().map(|source| &source.from) {
        Some(SourceFrom::Dns { name, port: own, resolution, kind: _ }) => match resolution {
            DnsResolution::Endpoints => Discovery::Endpoints,
            DnsResolution::StrictDns | DnsResolution::LogicalDns => Discovery::Dns {
                host: name.clone(),
                port: own.unwrap_or(port.target),
                first_only: *resolution == DnsResolution::LogicalDns,
            },
        },
        _ => Discovery::Endpoints,
    }
}

/// The endpoints of a back end, and whether their weights are exact.
pub(crate) fn found(view: &View<'_>, key: &BackendKey) -> (Vec<Found>, bool) {
    match key.kind {
        Kind::MeshService => {
            let service = view.mesh_service(&key.name);
            let port = service.and_then(|s| s.ports.iter().find(|p| key.is(p.port, p.protocol)));
            let both = service.zip(port);
            both.map_or((Vec::new(), false), |(s, port)| join::endpoints(view, s, port))
        }
        _ => {
            let port = |ports: &[model::ServicePort]| {
                ports.iter().position(|p| key.is(p.port, p.protocol))
            };
            (join::of_service(view, &key.name, port), false)
        }
    }
}

/// The endpoints of all ports of a service.
pub(crate) fn found_of_service(view: &View<'_>, service: &ObjectKey) -> Vec<Found> {
    match service.kind {
        Kind::MeshService => view.mesh_service(&service.name).map_or_else(Vec::new, |service| {
            service.ports.iter().flat_map(|port| join::endpoints(view, service, port).0).collect()
        }),
        _ => {
            let ports = view.service(&service.name).map_or(0, |service| service.ports.len());
            let name = &service.name;
            (0..ports).flat_map(|index| join::of_service(view, name, |_| Some(index))).collect()
        }
    }
}

/// Weights that are `exact` are whole numbers already.
fn by_locality(chosen: Vec<Chosen>, exact: bool) -> Vec<LocalityEndpoints> {
    let all_equal = chosen
        .windows(2)
        .all(|pair| pair[0].found.0.weight.total_cmp(&pair[1].found.0.weight).is_eq());
    let mut localities: BTreeMap<Locality, Vec<LbEndpoint>> = BTreeMap::new();
    for Chosen { found: (endpoint, port), health, labels } in chosen {
        let weight = match (all_equal, exact) {
            (true, _) => 1,
            (false, true) => whole(endpoint.weight),
            (false, false) => whole((endpoint.weight * WEIGHT_SCALE).min(WEIGHT_MAX)),
        };
        let mtls = takes_mtls(&endpoint);
        let entry = LbEndpoint { address: endpoint.address, port, weight, health, labels, mtls };
        localities.entry(endpoint.locality).or_default().push(entry);
    }
    // Two sources may name the same address, also under two localities: the first locality keeps it.
    let mut seen = std::collections::BTreeSet::new();
    localities
        .into_iter()
        .filter_map(|(locality, mut endpoints)| {
            endpoints.sort_by_key(|e| (e.address, e.port));
            endpoints.retain(|e| seen.insert((e.address, e.port)));
            (!endpoints.is_empty()).then_some(LocalityEndpoints { locality, endpoints })
        })
        .collect()
}

/// At least 1: on the wire 0 is not a weight.
fn whole(weight: f64) -> u32 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "in range by the clamp, so the cast loses only the fraction that rounding took"
    )]
    let whole = weight.round().clamp(1.0, f64::from(u32::MAX)) as u32;
    whole
}
