use std::net::IpAddr;
use std::sync::Arc;

use model::{Hostname, ObjectRef};

use crate::Name;

/// A socket on which the proxy accepts connections. It is a skeleton: what people edit daily travels in route tables,
/// clusters, endpoints and secrets, because a changed listener drains its connections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    pub name: Name,
    /// Never empty; the first is the main address.
    pub addresses: Vec<IpAddr>,
    pub port: u16,
    /// In order of name.
    pub chains: Vec<FilterChain>,
    pub origin: Vec<ObjectRef>,
}

/// What a client without a proxy gets for the name that it dials: no socket, only the way to the routes. As much a
/// skeleton as [`Listener`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiListener {
    /// Exactly what the client asks for, port and all (xds-rules 83).
    pub name: Name,
    /// Name in [`crate::Plan::route_tables`].
    pub route_table: Name,
    pub origin: Vec<ObjectRef>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilterChain {
    pub name: Name,
    /// TLS server names that choose this chain; empty means any connection.
    pub server_names: Vec<Hostname>,
    pub tls: Option<TlsTermination>,
    pub http: HttpConnection,
    pub origin: ObjectRef,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsTermination {
    /// Names in [`crate::Plan::secrets`]; several where a listener has certificates of several kinds (RSA and ECDSA).
    pub secrets: Vec<Name>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpConnection {
    pub stat_prefix: Arc<str>,
    /// Name in [`crate::Plan::route_tables`].
    pub route_table: Name,
    /// HTTP filters in order; the router comes last by itself.
    pub filters: Vec<FilterSlot>,
}

/// A filter that stands in the chain for good and does something only where a route says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FilterSlot {
    Cors,
}

/// What TLS needs and what is delivered by SDS, so that it changes without the listener or cluster that names it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret {
    pub name: Name,
    pub content: SecretContent,
    pub origin: ObjectRef,
}

#[derive(Clone, PartialEq, Eq)]
pub enum SecretContent {
    /// A certificate chain with its private key, PEM.
    Certificate { chain: Arc<[u8]>, key: Arc<[u8]> },
    /// The certificates that those of the other side must come from, PEM.
    Authorities(Arc<[u8]>),
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Secret({})", self.name)
    }
}
