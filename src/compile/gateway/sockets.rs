//! Listeners that are served, and the routes of whole connections → the proxy's sockets.

use std::collections::BTreeMap;

use ir::{
    ChainMatch, FilterChain, FilterSlot, Handler, HttpConnection, Intake, LaneCarrier, Listener,
    Name, Side, StreamForward, UdpHandler, UdpListener,
};
use model::{Finding, Hostname, ObjectKey, ObjectRef, Severity, codes};

use super::attach::Host;
use super::listeners::{Back, Front, Scheme};
use super::streams::StreamRule;
use super::tables::covers;
use super::{CONNECTIONS, Group};
use crate::access;
use crate::complaint::Complaint;

pub(super) struct Sockets {
    pub(super) tcp: Vec<Listener>,
    pub(super) udp: Vec<UdpListener>,
    /// Routes that stand behind others.
    pub(super) outranked: Vec<Complaint>,
}

/// The route that gets the connections for a host name, and those that do not.
type Contest<'a> = Vec<(&'a ObjectKey, &'a StreamRule)>;

impl Group {
    /// One socket for each port of TCP or UDP. On a TCP port a filter chain for all plain HTTP listeners, for each HTTPS
    /// listener, for each route of a TLS listener, or for the TCP listener.
    pub(super) fn sockets(&self) -> Sockets {
        let mut out = Sockets { tcp: Vec::new(), udp: Vec::new(), outranked: Vec::new() };
        let Some(gateway) = &self.skeleton.gateway else { return out };
        let addresses = self.bind.addresses(gateway);
        let mut ports: BTreeMap<u16, Vec<FilterChain>> = BTreeMap::new();
        for (index, (front, back)) in self.served_fronts() {
            let port = front.entrance.port;
            if front.entrance.scheme == Scheme::Udp {
                let forward = forward(front, self.winner(index, &None, &mut out.outranked));
                let origins = [&back.origin].into_iter().chain(&forward.origin);
                out.udp.push(UdpListener {
                    name: format!("listener/udp/{port}").into(),
                    addresses: addresses.clone(),
                    port,
                    origin: origins.cloned().collect(),
                    handler: UdpHandler::Forward(forward),
                });
                continue;
            }
            let chains = ports.entry(port).or_default();
            match (&front.table, front.entrance.scheme) {
                (Some(table), _) => {
                    let chain = http_chain(front, back, table, &self.lanes.carrier);
                    if !chains.iter().any(|other| other.name == chain.name) {
                        chains.push(chain);
                    }
                }
                (None, Scheme::TlsTerminate | Scheme::TlsPassthrough) => {
                    chains.extend(self.tls_chains(index, front, back, &mut out.outranked));
                }
                (None, _) => chains.push(FilterChain {
                    name: "tcp".into(),
                    matches: ChainMatch::Any,
                    tls: None,
                    access: access::connection_names(CONNECTIONS).to_vec(),
                    reported: true,
                    handler: Handler::Tcp(forward(
                        front,
                        self.winner(index, &None, &mut out.outranked),
                    )),
                    origin: back.origin.clone(),
                }),
            }
        }
        for (port, mut chains) in ports {
            chains.sort_by(|a, b| a.name.cmp(&b.name));
            out.tcp.push(Listener {
                name: format!("listener/{port}").into(),
                addresses: addresses.clone(),
                port,
                intake: Intake::Socket,
                origin: origins(&chains),
                chains,
            });
        }
        out
    }

    fn served_fronts(&self) -> impl Iterator<Item = (usize, (&Front, &Back))> {
        let all = self.skeleton.fronts.iter().zip(&self.skeleton.backs).enumerate();
        all.filter(|(_, (_, back))| back.programmed)
    }

    /// A chain for each route that gets connections, with all the server names for which it does, and one that closes
    /// connections for the listener's own name if no route has it: they must not fall to a listener with a wider name
    /// (listener isolation, GEP-3567), and Envoy takes no listener without a chain.
    ///
    /// No two chains have the same name: a name belongs to one listener of the port and there to one route.
    fn tls_chains(
        &self,
        index: usize,
        front: &Front,
        back: &Back,
        outranked: &mut Vec<Complaint>,
    ) -> Vec<FilterChain> {
        let mut hosts: BTreeMap<&Host, Contest<'_>> = BTreeMap::new();
        hosts.insert(&front.hostname, Vec::new());
        for (key, attached, rule) in self.streams_of(index) {
            for host in attached.iter().filter(|host| self.owner(front, host) == Some(index)) {
                hosts.entry(host).or_default().push((key, rule));
            }
        }
        // A chain for any name cannot be one for some.
        let mut chains: BTreeMap<(Option<&ObjectKey>, bool), FilterChain> = BTreeMap::new();
        for (host, contest) in hosts {
            let winner = decide(contest, front, host, outranked);
            let key = winner.map(|(key, _)| key);
            let name = match key {
                Some(key) => {
                    let kind = key.kind.as_str().to_ascii_lowercase();
                    let any = if host.is_none() { "/any" } else { "" };
                    format!("{}/{kind}/{}{any}", front.label(), key.name).into()
                }
                None => front.label(),
            };
            let chain = chains.entry((key, host.is_none())).or_insert_with(|| {
                let forward = forward(front, winner.map(|(_, rule)| rule));
                // Who has nobody to talk to is told so before the handshake.
                let terminate = front.entrance.tls() && !forward.targets.is_empty();
                FilterChain {
                    name,
                    matches: ChainMatch::Tls(Vec::new()),
                    tls: terminate.then(|| back.tls.clone()),
                    access: access::connection_names(CONNECTIONS).to_vec(),
                    reported: true,
                    handler: Handler::Tcp(forward),
                    origin: back.origin.clone(),
                }
            });
            if let ChainMatch::Tls(names) = &mut chain.matches {
                names.extend(host.iter().cloned());
            }
        }
        chains.into_values().collect()
    }

    /// The listener of the port to which connections for this server name belong: the one with the most specific name.
    fn owner(&self, front: &Front, host: &Host) -> Option<usize> {
        self.served_fronts()
            .filter(|(_, (other, _))| other.entrance.port == front.entrance.port)
            .filter(|(_, (other, _))| other.entrance.scheme != Scheme::Udp)
            .filter(|(_, (other, _))| covers(&other.hostname, host))
            .max_by_key(|(_, (other, _))| other.hostname.as_ref().map(Hostname::precedence))
            .map(|(index, _)| index)
    }

    /// Routes of whole connections that are attached to a listener, with their host names there.
    fn streams_of(
        &self,
        index: usize,
    ) -> impl Iterator<Item = (&ObjectKey, &Vec<Host>, &StreamRule)> {
        let entrance = self.skeleton.fronts[index].entrance;
        self.routes.iter().filter_map(move |(key, state)| {
            let hosts = state.attachment.fronts.get(&index)?;
            Some((key, hosts, state.rules.get(&entrance)?.stream.as_ref()?))
        })
    }

    /// Of a listener that does not tell connections apart.
    fn winner(
        &self,
        index: usize,
        host: &Host,
        outranked: &mut Vec<Complaint>,
    ) -> Option<&StreamRule> {
        let contest = self.streams_of(index).map(|(key, _, rule)| (key, rule)).collect();
        decide(contest, &self.skeleton.fronts[index], host, outranked).map(|(_, rule)| rule)
    }
}

/// Both of two routes stay attached and accepted; only the first gets connections.
fn decide<'a>(
    mut contest: Contest<'a>,
    front: &Front,
    host: &Host,
    outranked: &mut Vec<Complaint>,
) -> Option<(&'a ObjectKey, &'a StreamRule)> {
    contest.sort_by(|a, b| a.1.rank.cmp(&b.1.rank));
    let winner = *contest.first()?;
    for (_, rule) in &contest[1..] {
        let host = host.as_ref().map(|host| format!(" for {host}")).unwrap_or_default();
        let finding = Finding {
            at: rule.origin.clone(),
            code: codes::ROUTE_OUTRANKED,
            severity: Severity::Warning,
            text: format!("{} goes first at listener {}{host}", winner.0, front.label()),
            hint:
                "what comes there goes to the other route; use another listener or another hostname"
                    .into(),
        };
        outranked.push(finding.into());
    }
    Some(winner)
}

fn forward(front: &Front, rule: Option<&StreamRule>) -> StreamForward {
    StreamForward {
        stat_prefix: format!("{}_{}", front.entrance.port, front.label()).into(),
        targets: rule.map(|rule| rule.targets.clone()).unwrap_or_default(),
        origin: rule.map(|rule| rule.origin.clone()),
    }
}

fn http_chain(front: &Front, back: &Back, table: &Name, lanes: &LaneCarrier) -> FilterChain {
    let tls = front.entrance.tls();
    let name: Name = if tls { front.label() } else { "http".into() };
    FilterChain {
        name: name.clone(),
        matches: if tls {
            ChainMatch::Tls(front.hostname.iter().cloned().collect())
        } else {
            ChainMatch::Any
        },
        tls: tls.then(|| back.tls.clone()),
        access: Vec::new(),
        reported: true,
        handler: Handler::Http(HttpConnection {
            stat_prefix: format!("{}_{name}", front.entrance.port).into(),
            side: Side::Edge,
            route_table: table.clone(),
            filters: vec![
                FilterSlot::Cors,
                // Before whatever looks at headers.
                FilterSlot::LaneEntry(lanes.clone()),
                // Behind CORS: a preflight shows no credentials.
                FilterSlot::Access,
                FilterSlot::Lane(lanes.clone()),
                FilterSlot::Session,
            ],
        }),
        origin: back.origin.clone(),
    }
}

/// The documents behind a port, each once.
fn origins(chains: &[FilterChain]) -> Vec<ObjectRef> {
    let mut out: Vec<ObjectRef> = Vec::new();
    for chain in chains {
        let route = match &chain.handler {
            Handler::Http(_) => None,
            Handler::Tcp(forward) => forward.origin.as_ref(),
        };
        for origin in [&chain.origin].into_iter().chain(route) {
            if !out.contains(origin) {
                out.push(origin.clone());
            }
        }
    }
    out
}
