//! The listeners of a sidecar, of which most have no socket.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ir::{
    Captured, ChainMatch, DnsTable, FilterChain, FilterSlot, Handler, HttpConnection, Intake,
    Listener, Name, Side, StreamForward, StreamTarget, Target, UdpHandler, UdpListener,
};
use model::{ObjectRef, OutboundMode};

use super::scope::Sight;
use super::{DNS_PORT, INBOUND_PORT, OUTBOUND_PORT, PASSTHROUGH};
use crate::lanes;

/// Any address of either family.
pub(super) fn anywhere() -> Vec<IpAddr> {
    vec![Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()]
}

/// What HTTP looks like to somebody who does not know.
fn http_protocols() -> Vec<Name> {
    ["http/1.0", "http/1.1", "h2c"].map(Name::from).to_vec()
}

pub(super) fn chain(
    name: impl Into<Name>,
    captured: Captured,
    handler: Handler,
    origin: &ObjectRef,
) -> FilterChain {
    let matches = match captured == Captured::default() {
        true => ChainMatch::Any,
        false => ChainMatch::Captured(captured),
    };
    FilterChain {
        name: name.into(),
        matches,
        tls: None,
        access: Vec::new(),
        reported: true,
        handler,
        origin: origin.clone(),
    }
}

/// Whole connections to a cluster; `None` closes them.
pub(super) fn stream(stat_prefix: &str, cluster: Option<&str>) -> Handler {
    let target = |name: &str| StreamTarget { target: Target::Cluster(name.into()), weight: 1 };
    Handler::Tcp(StreamForward {
        stat_prefix: stat_prefix.into(),
        targets: cluster.map(target).into_iter().collect(),
        origin: None,
    })
}

/// Connections to the sidecar's own ports would go round in circles.
pub(super) fn refused(origin: &ObjectRef) -> impl Iterator<Item = FilterChain> {
    [OUTBOUND_PORT, INBOUND_PORT].into_iter().map(|port| {
        let captured = Captured { port: Some(port), ..Captured::default() };
        let name = format!("refused/{port}");
        FilterChain { reported: false, ..chain(name, captured, stream("refused", None), origin) }
    })
}

fn unknown(mode: OutboundMode) -> Option<&'static str> {
    match mode {
        OutboundMode::AllowAny => Some(PASSTHROUGH),
        OutboundMode::RegistryOnly => None,
    }
}

/// Takes whatever the app dials, and keeps what nobody knows.
pub(super) fn outbound(mode: OutboundMode, origin: &ObjectRef) -> Listener {
    let rest = chain("rest", Captured::default(), stream("outbound", unknown(mode)), origin);
    Listener {
        name: "outbound".into(),
        addresses: anywhere(),
        port: OUTBOUND_PORT,
        intake: Intake::Captured { hand_over: true },
        chains: refused(origin).chain([rest]).collect(),
        origin: Vec::new(),
    }
}

/// The route table of a port.
pub(super) fn table(port: u16) -> Name {
    format!("outbound/{port}").into()
}

/// HTTP by routes, as far as it is HTTP.
fn http(port: u16, sight: &Sight) -> Handler {
    let lanes = FilterSlot::Lane(lanes::carrier(&sight.mesh.lane));
    let mut filters = vec![FilterSlot::Cors, lanes, FilterSlot::Session];
    filters.extend(sight.on_demand.then_some(FilterSlot::OnDemand));
    Handler::Http(HttpConnection {
        stat_prefix: table(port),
        side: Side::Outbound,
        route_table: table(port),
        filters,
    })
}

fn http_chain(port: u16, sight: &Sight, origin: &ObjectRef) -> FilterChain {
    let captured = Captured { protocols: http_protocols(), ..Captured::default() };
    chain("http", captured, http(port, sight), origin)
}

/// What goes to a port on which some service speaks HTTP.
pub(super) fn port(port: u16, sight: &Sight, origin: &ObjectRef) -> Listener {
    let rest = stream(&table(port), unknown(sight.outbound));
    Listener {
        name: table(port),
        addresses: anywhere(),
        port,
        intake: Intake::Handed,
        chains: vec![
            http_chain(port, sight, origin),
            chain("rest", Captured::default(), rest, origin),
        ],
        origin: Vec::new(),
    }
}

/// What goes to an address that is known for more than HTTP.
pub(super) fn address(
    (address, port): (IpAddr, u16),
    cluster: &Name,
    http: Option<&Sight>,
    origin: &ObjectRef,
) -> Listener {
    let name = name_of_address((address, port));
    let rest = chain("rest", Captured::default(), stream(cluster, Some(cluster)), origin);
    let http = http.map(|sight| http_chain(port, sight, origin));
    Listener {
        name,
        addresses: vec![address],
        port,
        intake: Intake::Handed,
        chains: http.into_iter().chain([rest]).collect(),
        origin: vec![origin.clone()],
    }
}

pub(super) fn name_of_address((address, port): (IpAddr, u16)) -> Name {
    format!("outbound/{address}/{port}").into()
}

pub(super) fn dns(names: Vec<(Name, Vec<IpAddr>)>) -> UdpListener {
    UdpListener {
        name: "dns".into(),
        addresses: vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()],
        port: DNS_PORT,
        handler: UdpHandler::Dns(DnsTable { names }),
        origin: Vec::new(),
    }
}
