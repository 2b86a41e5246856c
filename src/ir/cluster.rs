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
    /// Toward endpoints that do not take TLS of the mesh; `None`: no TLS.
    pub tls: Option<UpstreamTls>,
    /// Toward endpoints that do.
    pub mesh_tls: Option<MeshTls>,
    pub choice: Choice,
    pub connect_timeout: Duration,
    pub discovery: Discovery,
    /// Whether the caller is to report how many calls it made: for those that write no access logs.
    pub load_reports: bool,
    pub origin: ObjectRef,
}

impl Cluster {
    #[must_use]
    pub fn has_lanes(&self) -> bool {
        matches!(self.choice, Choice::Lane { .. })
    }
}

/// Where a proxy has the cluster's endpoints from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Discovery {
    /// They are sent to it.
    Endpoints,
    /// It shares those of another cluster.
    EndpointsOf(Name),
    /// Each connection goes where it was meant to go before it was redirected.
    OriginalDestination {
        /// The source address to connect from, so that capture rules know the proxy's own; one for each family.
        from: Vec<IpAddr>,
    },
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
    /// What the caller speaks.
    AsCaller,
}

/// Which endpoint a request goes to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Choice {
    /// In turn, by weight.
    #[default]
    Turn,
    /// In turn among those with the label that the request's lane says. Where there is nobody, or the request is in no lane,
    /// among those with the fallback.
    Lane { label: Name, fallback: LaneFallback },
    /// The one that the host header names (`ip:port`), while it is there; else in turn.
    Host,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LaneFallback {
    /// The lane of this name.
    To(Name),
    /// Only requests without a lane go there; others fail.
    OnlyWithout(Name),
}

/// TLS in which both sides show who they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MeshTls {
    /// SPIFFE ids of which the endpoint must have one; empty: nobody is good enough.
    pub names: Vec<Arc<str>>,
    /// Whether connections are whole: the other side, which cannot look into them, is told not to take them for HTTP.
    pub whole: bool,
}

/// The proxy's own certificate and key, which no plan holds.
pub const IDENTITY: &str = "isthmus/identity";
/// What certificates of the mesh are judged by; likewise.
pub const ROOTS: &str = "isthmus/roots";
/// The application protocol by which TLS of the mesh is known.
pub const MESH_ALPN: &str = "isthmus";
/// Likewise, with something in it that is not HTTP.
pub const MESH_ALPN_WHOLE: &str = "isthmus-tcp";

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
    /// Those by which subsets choose, in order; a key may have several values.
    pub labels: Vec<(Name, Name)>,
    /// Whether it takes TLS of the mesh.
    pub mtls: bool,
}
