use std::net::IpAddr;
use std::sync::Arc;

use model::{Hostname, ObjectRef};

use crate::{Name, Target};

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

/// A socket on which the proxy takes datagrams.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UdpListener {
    pub name: Name,
    /// Never empty; the first is the main address.
    pub addresses: Vec<IpAddr>,
    pub port: u16,
    pub forward: StreamForward,
    pub origin: Vec<ObjectRef>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilterChain {
    pub name: Name,
    pub matches: ChainMatch,
    /// `None` leaves the bytes as they are, also those of a TLS connection.
    pub tls: Option<TlsTermination>,
    pub handler: Handler,
    pub origin: ObjectRef,
}

/// The connections that choose a chain. No two chains of a listener may say the same, else a proxy refuses the listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChainMatch {
    Any,
    /// TLS connections for these server names; of several chains the one with the most specific name is chosen. Empty
    /// means any name, or none.
    Tls(Vec<Hostname>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Handler {
    Http(HttpConnection),
    Tcp(StreamForward),
}

/// Where whole connections go, or the datagrams of one sender. Its weights are part of the listener, as a proxy has no
/// other place for them; a proxy that is given a listener with one chain changed drains the connections of that chain only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamForward {
    pub stat_prefix: Arc<str>,
    /// Shares of the connections; that of a broken target is closed. Empty closes all of them.
    pub targets: Vec<StreamTarget>,
    /// The route; `None` where there is none.
    pub origin: Option<ObjectRef>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamTarget {
    pub target: Target,
    /// Above 0.
    pub weight: u32,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsTermination {
    /// Names in [`crate::Plan::secrets`]; several where a listener has certificates of several kinds (RSA and ECDSA).
    pub secrets: Vec<Name>,
    /// Whether and how clients show certificates too.
    pub client: Option<ClientValidation>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientValidation {
    /// Name in [`crate::Plan::secrets`].
    pub authorities: Name,
    /// Else a client without a certificate, or with one of somebody else, is served as well.
    pub required: bool,
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
    Session,
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
