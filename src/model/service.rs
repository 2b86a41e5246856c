use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use crate::{Hostname, Meta, NamespacedName, QuestionKind, RegistryServiceId, Workload};

/// A Kubernetes `Service`: a name with ports, whose endpoints come in [`EndpointSlice`]s.
#[derive(Clone, Debug, PartialEq)]
pub struct Service {
    pub meta: Meta,
    pub ports: Vec<ServicePort>,
    /// `spec.clusterIPs`; empty for a headless one, and in files that leave them out.
    pub addresses: Vec<IpAddr>,
    /// `spec.clusterIP: None`: its name stands for the addresses of its endpoints.
    pub headless: bool,
    /// Labels of its pods; empty where somebody else says what its endpoints are.
    pub selector: BTreeMap<Arc<str>, Arc<str>>,
    /// `spec.type: ExternalName`: not routable, refused with a finding.
    pub external_name: Option<Arc<str>>,
    /// By the annotation `isthmus.dev/sdk-pick`; `None`: as the MeshConfig says.
    pub sdk_pick: Option<SdkPick>,
    /// By the annotation `isthmus.dev/register`.
    pub register: Vec<Registration>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServicePort {
    /// Empty for the only port.
    pub name: Arc<str>,
    pub port: u16,
    pub target: TargetPort,
    pub protocol: AppProtocol,
    /// What sidecars take it for, where `appProtocol` or the port's name says so (`http-web`, `grpc`): else they look at
    /// what is spoken.
    pub declared: Option<AppProtocol>,
    /// Whether `appProtocol` speaks of TLS. That alone makes nobody use it: it does not say whom to trust.
    pub tls: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TargetPort {
    Number(u16),
    Name(Arc<str>),
}

/// What the back end speaks, as far as it was declared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AppProtocol {
    #[default]
    Http1,
    /// HTTP/2 without TLS, by prior knowledge (`kubernetes.io/h2c`, gRPC).
    H2c,
    /// WebSocket over HTTP/1.1 (`kubernetes.io/ws`).
    WebSocket,
    Tcp,
    Udp,
}

/// Part of a service's endpoints. A service has one slice or many.
#[derive(Clone, Debug, PartialEq)]
pub struct EndpointSlice {
    pub meta: Meta,
    /// The service, by label `kubernetes.io/service-name`.
    pub service: Option<NamespacedName>,
    pub ports: Vec<EndpointPort>,
    pub endpoints: Vec<Endpoint>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointPort {
    pub name: Arc<str>,
    pub port: u16,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Endpoint {
    pub address: IpAddr,
    /// Where an endpoint has a port of its own (registries); else the slice's port counts.
    pub port: Option<u16>,
    /// Relative share of the traffic; 1 is usual, 0 gets none, fractions are kept.
    pub weight: f64,
    pub health: EndpointHealth,
    pub locality: Locality,
    /// The pod that it is, where the source says so.
    pub pod: Option<NamespacedName>,
    /// The Node that it runs on, where the source says so.
    pub node: Option<Arc<str>>,
    /// What is known of the process there. Sources leave it empty.
    pub workload: Option<Arc<Workload>>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EndpointHealth {
    #[default]
    Healthy,
    /// Going away: keeps what it has, gets nothing new unless there is nobody else.
    Draining,
    Unhealthy,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Locality {
    pub region: Arc<str>,
    pub zone: Arc<str>,
}

/// Isthmus' own service: joins one logical service across sources.
#[derive(Clone, Debug, PartialEq)]
pub struct MeshService {
    pub meta: Meta,
    pub hosts: Vec<Hostname>,
    pub ports: Vec<MeshServicePort>,
    /// Where its endpoints come from, in document order.
    pub sources: Vec<Source>,
    pub merge: Merge,
    /// `None`: as the MeshConfig says.
    pub sdk_pick: Option<SdkPick>,
    pub register: Vec<Registration>,
}

/// What sidecars do with calls to the address of one instance, which the caller's library picked by itself. Policies of
/// the service count in any case, its routes unless something else is said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SdkPick {
    /// They go to that instance, while it is there.
    #[default]
    Honour,
    /// They go to any instance.
    Rebalance,
    /// They go to that instance, and routes do not count: as Gateway API has it (GEP-1426).
    Direct,
}

/// A service that callers still look for in a registry, and that is written there for them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registration {
    /// The Registry.
    pub registry: NamespacedName,
    /// Nacos: as in [`RegistryServiceId`], `DEFAULT_GROUP` where it is empty.
    pub group: Arc<str>,
    /// The name there.
    pub service: Arc<str>,
    /// The number of one of the service's own ports; by default the first.
    pub port: Option<u16>,
    /// Where the document says so.
    pub pointer: Arc<str>,
}

/// One of the places that a MeshService has endpoints from.
#[derive(Clone, Debug, PartialEq)]
pub struct Source {
    pub from: SourceFrom,
    /// Its share of the traffic, 0 to 100, where the merge rule is `Percent`.
    pub percent: f64,
}

#[derive(Clone, Debug, PartialEq)]
pub enum SourceFrom {
    Static(Vec<Endpoint>),
    Registry(RegistryRef),
    /// A Kubernetes Service.
    Kubernetes {
        name: NamespacedName,
        /// Which of its ports; by default the one with the MeshService's number, else the only one.
        port: Option<TargetPort>,
    },
    Dns {
        /// In lower case, without the last dot.
        name: Arc<str>,
        kind: QuestionKind,
        /// Of the endpoints; SRV records bring their own.
        port: Option<u16>,
        resolution: DnsResolution,
    },
}

#[derive(Clone, Debug, PartialEq)]
pub struct RegistryRef {
    pub id: RegistryServiceId,
    /// Labels that an instance must have; empty for all of them.
    pub labels: BTreeMap<Arc<str>, Arc<str>>,
}

/// Who asks the DNS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DnsResolution {
    /// The control plane, and proxies get addresses.
    #[default]
    Endpoints,
    /// Each proxy, and it uses all addresses.
    StrictDns,
    /// Each proxy, and new connections go to the first address.
    LogicalDns,
}

/// How the endpoints of several sources become those of one service.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Merge {
    /// All of them, each once.
    #[default]
    Union,
    /// Those of the first source that has at least so many usable ones.
    Prefer { minimum: u32 },
    /// Each source gets the share that is written beside it.
    Percent,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MeshServicePort {
    pub name: Arc<str>,
    pub port: u16,
    /// Port of endpoints that have none of their own.
    pub target: u16,
    pub protocol: AppProtocol,
    /// As in [`ServicePort`].
    pub declared: Option<AppProtocol>,
}
