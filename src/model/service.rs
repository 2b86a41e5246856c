use std::net::IpAddr;
use std::sync::Arc;

use crate::{Hostname, Meta, NamespacedName};

/// A Kubernetes `Service`: a name with ports, whose endpoints come in [`EndpointSlice`]s.
#[derive(Clone, Debug, PartialEq)]
pub struct Service {
    pub meta: Meta,
    pub ports: Vec<ServicePort>,
    /// `spec.type: ExternalName`: not routable, refused with a finding.
    pub external_name: Option<Arc<str>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServicePort {
    /// Empty for the only port.
    pub name: Arc<str>,
    pub port: u16,
    pub target: TargetPort,
    pub protocol: AppProtocol,
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
    /// Endpoints of all `static` sources, in document order.
    pub endpoints: Vec<Endpoint>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MeshServicePort {
    pub name: Arc<str>,
    pub port: u16,
    /// Port of endpoints that have none of their own.
    pub target: u16,
    pub protocol: AppProtocol,
}
