use std::net::IpAddr;
use std::sync::Arc;

use model::{CertificateName, Hostname, ObjectRef};

use crate::{Name, Target};

/// A socket on which the proxy accepts connections. It is a skeleton: what people edit daily travels in route tables,
/// clusters, endpoints and secrets, because a changed listener drains its connections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    pub name: Name,
    /// Never empty; the first is the main address.
    pub addresses: Vec<IpAddr>,
    pub port: u16,
    pub intake: Intake,
    /// In order of name.
    pub chains: Vec<FilterChain>,
    pub origin: Vec<ObjectRef>,
}

/// Which connections a listener gets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Intake {
    /// Those to its socket, as people dial it.
    #[default]
    Socket,
    /// Those that capture rules redirect to its socket. Where they were meant to go is what chains look at.
    Captured {
        /// To the listener of that address, if there is one, else to that of its port on any address; only what has none is
        /// handled here.
        hand_over: bool,
    },
    /// No socket: those that a listener with `hand_over` has for this address.
    Handed,
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
    pub handler: UdpHandler,
    pub origin: Vec<ObjectRef>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UdpHandler {
    Forward(StreamForward),
    Dns(DnsTable),
}

/// Names that the proxy answers itself; all others it asks the resolvers of its own machine for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DnsTable {
    /// In order of name; addresses never empty.
    pub names: Vec<(Name, Vec<IpAddr>)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilterChain {
    pub name: Name,
    pub matches: ChainMatch,
    /// `None` leaves the bytes as they are, also those of a TLS connection.
    pub tls: Option<TlsTermination>,
    /// Of whole connections: names in [`crate::Plan::connections`], all of which must let them through. Requests are judged by
    /// their routes.
    pub access: Vec<Name>,
    /// Whether the proxy tells the control plane of each request or connection. Each is told by one proxy only: the caller's,
    /// where it has one.
    pub reported: bool,
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
    /// What was redirected.
    Captured(Captured),
}

/// Each part that is given must hold. Of several chains that fit, Envoy takes the one with the port, then that with the most
/// specific address, then that for the transport, then that for the application protocol.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Captured {
    /// Where the connection was meant to go.
    pub port: Option<u16>,
    /// Likewise, one of them; empty means any.
    pub addresses: Vec<IpAddr>,
    pub transport: Option<Transport>,
    /// What TLS agreed upon, or what is spoken in the clear (`http/1.0`, `http/1.1`, `h2c`); empty means any.
    pub protocols: Vec<Name>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Transport {
    Tls,
    Plain,
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
    /// What is offered in ALPN; `None` leaves it to what the chain is for.
    pub alpn: Option<Vec<Name>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientValidation {
    /// Name in [`crate::Plan::secrets`].
    pub authorities: Name,
    /// Else a client without a certificate, or with one of somebody else, is served as well.
    pub required: bool,
    /// What the certificate must be for, any of them; empty means anything.
    pub names: Vec<CertificateName>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpConnection {
    pub stat_prefix: Arc<str>,
    pub side: Side,
    /// Name in [`crate::Plan::route_tables`].
    pub route_table: Name,
    /// HTTP filters in order; the router comes last by itself.
    pub filters: Vec<FilterSlot>,
}

/// Who is on the other side of a connection: it says what of a request is believed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Side {
    /// Anybody: a gateway's clients.
    #[default]
    Edge,
    /// The app beside the proxy.
    Outbound,
    /// Somebody who calls the app beside the proxy.
    Inbound,
}

/// A filter that stands in the chain for good and does something only where a route says so.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FilterSlot {
    /// What policies let through.
    Access,
    Cors,
    Session,
    /// Takes away what clients say of lanes, and gives lanes as the route table says ([`crate::LaneEntry`]).
    LaneEntry(LaneCarrier),
    /// Reads the lane that the request is in, always.
    Lane(LaneCarrier),
    /// Has unknown clusters sent that a route asks for by header.
    OnDemand,
}

/// In what a lane's name travels. Without either, a request is in no lane.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LaneCarrier {
    /// In lower case; counts first.
    pub header: Name,
    /// Member of W3C `baggage`.
    pub baggage: Name,
    /// Label of endpoints that it chooses by.
    pub label: Name,
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
