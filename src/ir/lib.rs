//! # ir: the nouns of one proxy's world
//!
//! ```text
//! compile ──Plan──► snapshot
//! ```
//!
//! Listeners, route tables, clusters and endpoints as one node group needs them, in the field's words but free of
//! Envoy's message types. Every noun carries the [`ObjectRef`] it was made from. Maps are persistent and values are
//! shared, so that the next plan costs what changed and an unchanged thing is the same thing in memory.
//! It must never know which source something came from, beyond the `ObjectRef`.

mod access;
mod cluster;
mod listener;
mod route;

use std::sync::Arc;

use imbl::OrdMap;

pub use access::{
    Access, AccessPolicy, AccessRule, Asked, AskedProtocol, Call, Caller, Connections, JWT,
    JwtProvider, JwtProviders, TextMatch, Trial, Verdict,
};
pub use cluster::{
    Choice, Cluster, Discovery, EndpointSet, IDENTITY, LaneFallback, LbEndpoint, LocalityEndpoints,
    MESH_ALPN, MESH_ALPN_WHOLE, MeshTls, ROOTS, Trust, UpstreamProtocol, UpstreamTls,
};
pub use listener::{
    ApiListener, Captured, ChainMatch, ClientValidation, DnsTable, FilterChain, FilterSlot,
    Handler, HttpConnection, Intake, LaneCarrier, Listener, Secret, SecretContent, Side,
    StreamForward, StreamTarget, TlsTermination, Transport, UdpHandler, UdpListener,
};
pub use route::{
    Action, Forward, HostRewrite, LaneEntry, LaneRule, LaneWhen, Mirror, PathRewrite, Redirect,
    Route, RouteTable, Session, Target, VirtualHost, WeightedTarget,
};

/// The name of a resource as the proxy sees it.
pub type Name = Arc<str>;

/// All that one node group needs.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    pub listeners: OrdMap<Name, Arc<Listener>>,
    /// One type with `listeners` on the wire, so no name is in both.
    pub udp_listeners: OrdMap<Name, Arc<UdpListener>>,
    /// Likewise one type with `listeners`. A role has either sockets or names to dial.
    pub api_listeners: OrdMap<Name, Arc<ApiListener>>,
    pub route_tables: OrdMap<Name, Arc<RouteTable>>,
    pub clusters: OrdMap<Name, Arc<Cluster>>,
    /// One entry for each cluster, even when it has no endpoints: silence would keep the cluster warming
    /// (xds-rules 33).
    pub endpoints: OrdMap<Name, Arc<EndpointSet>>,
    pub connections: OrdMap<Name, Arc<Connections>>,
    /// The one that is needed, if any; one type with `connections` on the wire.
    pub jwt: OrdMap<Name, Arc<JwtProviders>>,
    pub secrets: OrdMap<Name, Arc<Secret>>,
    pub runtime: OrdMap<Name, Arc<RuntimeLayer>>,
}

/// The runtime layer that every proxy with sockets asks for.
pub const RUNTIME: &str = "isthmus";

/// What bootstraps call the cluster of the control plane.
pub const CONTROL_PLANE: &str = "isthmus";

/// Bootstraps have proxies refuse regular expressions of more RE2 instructions.
pub const MOST_RE2: u32 = 32_768;

/// Values that proxies look up with each request, so that they change without anything else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuntimeLayer {
    pub name: Name,
    /// In order of key: parts in a million.
    pub fractions: Vec<(Name, u32)>,
}
