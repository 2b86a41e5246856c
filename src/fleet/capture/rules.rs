//! What is captured, as a list in which the first that fits counts, for both programs.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{Capture, Cidr, DNS_PORT, INBOUND_PORT, OUTBOUND_PORT};
use crate::bootstrap::{PROBE_PORT, READY_PORT};

const STATS_PORT: u16 = 15090;
const DNS: u16 = 53;
/// Connections of the sidecar to the workload come from here (so the inbound listener, and the probes).
const TO_WORKLOAD: [IpAddr; 2] =
    [IpAddr::V4(Ipv4Addr::new(127, 0, 0, 6)), IpAddr::V6(Ipv6Addr::new(0, 0, 0, 0, 0, 0, 0, 6))];
const LOOPBACK: [Cidr; 2] = [
    Cidr { address: IpAddr::V4(Ipv4Addr::new(127, 0, 0, 0)), length: 8 },
    Cidr { address: IpAddr::V6(Ipv6Addr::LOCALHOST), length: 128 },
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    V4,
    V6,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Match {
    Tcp,
    TcpTo(u16),
    UdpTo(u16),
    UdpFrom(u16),
    OverLoopback,
    ByProxy,
    From(Cidr),
    To(Cidr),
    NotTo(Cidr),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Not ours.
    Return,
    /// As if it came from outside.
    Inbound,
    Redirect(u16),
    /// Connections of different zones are never taken for each other.
    Zone(u16),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rule {
    pub(super) matches: Vec<Match>,
    pub(super) verdict: Verdict,
}

impl Rule {
    /// The only one that it can be about; `None` for both.
    pub(super) fn family(&self) -> Option<Family> {
        self.matches.iter().find_map(|one| match one {
            Match::From(cidr) | Match::To(cidr) | Match::NotTo(cidr) => Some(cidr.family()),
            _ => None,
        })
    }
}

/// The four lists.
pub(super) struct Rules {
    pub(super) outbound: Vec<Rule>,
    pub(super) inbound: Vec<Rule>,
    /// Before connections are told apart.
    pub(super) raw_outbound: Vec<Rule>,
    pub(super) raw_inbound: Vec<Rule>,
}

impl Capture {
    pub(super) fn rules(&self) -> Rules {
        let mut rules = Rules {
            outbound: self.outbound(),
            inbound: self.inbound(),
            raw_outbound: Vec::new(),
            raw_inbound: Vec::new(),
        };
        // A redirected query and a later one of the sidecar itself can have the same ports: without a zone of its own the
        // sidecar's would be redirected with what the kernel remembers of the first.
        for server in self.dns_servers.iter().copied().map(Cidr::from) {
            let of_proxy = vec![Match::ByProxy, Match::To(server), Match::UdpTo(DNS)];
            rules.raw_outbound.push(rule(of_proxy, Verdict::Zone(1)));
            let answer = vec![Match::From(server), Match::UdpFrom(DNS)];
            rules.raw_inbound.push(rule(answer, Verdict::Zone(1)));
        }
        rules
    }

    fn outbound(&self) -> Vec<Rule> {
        let mut rules = Vec::new();
        for source in TO_WORKLOAD {
            let delivery = vec![Match::OverLoopback, Match::From(source.into())];
            rules.push(rule(delivery, Verdict::Return));
        }
        // A service whose endpoint is the workload itself: policies of its inbound side count here too.
        for loopback in LOOPBACK {
            let to_itself =
                vec![Match::OverLoopback, Match::ByProxy, Match::NotTo(loopback), Match::Tcp];
            rules.push(rule(to_itself, Verdict::Inbound));
        }
        rules.push(rule(vec![Match::ByProxy], Verdict::Return));
        for server in self.dns_servers.iter().copied().map(Cidr::from) {
            let query = vec![Match::To(server), Match::UdpTo(DNS)];
            rules.push(rule(query, Verdict::Redirect(DNS_PORT)));
            // Envoy answers over UDP only.
            rules.push(rule(vec![Match::To(server), Match::TcpTo(DNS)], Verdict::Return));
        }
        // Between the workload's own programs.
        rules.push(rule(vec![Match::OverLoopback], Verdict::Return));
        for port in &self.exclude_outbound_ports {
            rules.push(rule(vec![Match::TcpTo(*port)], Verdict::Return));
        }
        for cidr in &self.exclude_outbound {
            rules.push(rule(vec![Match::To(*cidr)], Verdict::Return));
        }
        let to_proxy = Verdict::Redirect(OUTBOUND_PORT);
        if self.include_outbound.is_empty() {
            rules.push(rule(vec![Match::Tcp], to_proxy));
        }
        for cidr in &self.include_outbound {
            rules.push(rule(vec![Match::To(*cidr), Match::Tcp], to_proxy));
        }
        rules
    }

    fn inbound(&self) -> Vec<Rule> {
        let own = [PROBE_PORT, READY_PORT, STATS_PORT];
        let excluded = own.iter().chain(&self.exclude_inbound_ports);
        let mut rules: Vec<Rule> =
            excluded.map(|port| rule(vec![Match::TcpTo(*port)], Verdict::Return)).collect();
        let to_proxy = Verdict::Redirect(INBOUND_PORT);
        if self.include_inbound_ports.is_empty() {
            rules.push(rule(vec![Match::Tcp], to_proxy));
        }
        for port in &self.include_inbound_ports {
            rules.push(rule(vec![Match::TcpTo(*port)], to_proxy));
        }
        rules
    }
}

fn rule(matches: Vec<Match>, verdict: Verdict) -> Rule {
    Rule { matches, verdict }
}
