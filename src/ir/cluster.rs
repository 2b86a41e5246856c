use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use model::{CertificateName, EndpointHealth, Locality, ObjectRef};

use crate::Name;

/// A group of equal endpoints, as routes refer to it. Its endpoints come under the same name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cluster {
    pub name: Name,
    /// What statistics call it: the user's words, not the resource name.
    pub stat_name: Arc<str>,
    pub protocol: UpstreamProtocol,
    /// `None`: no TLS.
    pub tls: Option<UpstreamTls>,
    pub connect_timeout: Duration,
    pub discovery: Discovery,
    pub origin: ObjectRef,
}

/// Where a proxy has the cluster's endpoints from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Discovery {
    /// They are sent to it.
    Endpoints,
    /// It asks the DNS itself.
    Dns {
        host: Arc<str>,
        port: u16,
        /// New connections go to the first address; else all addresses are endpoints.
        first_only: bool,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpstreamProtocol {
    Http1,
    /// By prior knowledge.
    Http2,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamTls {
    pub server_name: Arc<str>,
    /// What the certificate must be for, any of them; never empty.
    pub names: Vec<CertificateName>,
    pub trust: Trust,
    /// What the proxy shows: a name in [`crate::Plan::secrets`].
    pub client_certificate: Option<Name>,
}

/// Where a certificate must come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trust {
    /// Name in [`crate::Plan::secrets`].
    Authorities(Name),
    /// What the system trusts on which the proxy runs.
    System,
    /// No certificate is good enough: every connection fails.
    Nobody,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointSet {
    pub name: Name,
    /// In order of locality.
    pub localities: Vec<LocalityEndpoints>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalityEndpoints {
    pub locality: Locality,
    /// In order of address, without repeats.
    pub endpoints: Vec<LbEndpoint>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LbEndpoint {
    pub address: IpAddr,
    pub port: u16,
    /// Above 0, relative to the other endpoints of the set; already scaled to integers.
    pub weight: u32,
    pub health: EndpointHealth,
}
