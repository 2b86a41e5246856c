//! Which connections a listener gets and how its chains tell them apart, where they were redirected.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use envoy_types::pb::envoy::config::core::v3::CidrRange;
use envoy_types::pb::envoy::config::listener::v3 as pb;
use envoy_types::pb::envoy::extensions::filters::listener::http_inspector::v3::HttpInspector;
use envoy_types::pb::envoy::extensions::filters::listener::original_dst::v3::OriginalDst;
use envoy_types::pb::envoy::r#type::v3::Int32Range;
use ir::{Captured, ChainMatch, Intake, Transport};
use pb::listener_filter_chain_match_predicate::{MatchSet, Rule};

use super::common::{any, boolean, duration, uint32};
use super::listener::{listener_filter, tls_inspector};

/// How long a connection is looked at whose client says nothing first: after it, it is taken for whatever its port was
/// declared to be. Whoever speaks second (MySQL, SMTP) waits that long, unless the port is declared as TCP.
const LOOK: Duration = Duration::from_secs(1);

/// What the listener is told of its intake.
pub(super) fn apply(message: &mut pb::Listener, listener: &ir::Listener) {
    match listener.intake {
        Intake::Socket => return,
        Intake::Captured { hand_over: true } => message.use_original_dst = Some(boolean(true)),
        Intake::Captured { hand_over: false } => {
            let filter = listener_filter(
                "envoy.filters.listener.original_dst",
                any(&OriginalDst::default()),
            );
            message.listener_filters.push(filter);
        }
        Intake::Handed => message.bind_to_port = Some(boolean(false)),
    }
    let captured = || {
        listener.chains.iter().filter_map(|chain| match &chain.matches {
            ChainMatch::Captured(captured) => Some(captured),
            ChainMatch::Any | ChainMatch::Tls(_) => None,
        })
    };
    let tls = captured().filter(|c| c.transport == Some(Transport::Tls));
    let clear =
        captured().filter(|c| !c.protocols.is_empty() && c.transport != Some(Transport::Tls));
    if let Some(predicate) = elsewhere(tls) {
        message
            .listener_filters
            .push(pb::ListenerFilter { filter_disabled: predicate, ..tls_inspector() });
    }
    if let Some(predicate) = elsewhere(clear) {
        let filter = listener_filter(
            "envoy.filters.listener.http_inspector",
            any(&HttpInspector::default()),
        );
        message.listener_filters.push(pb::ListenerFilter { filter_disabled: predicate, ..filter });
    }
    if !message.listener_filters.is_empty() {
        message.listener_filters_timeout = Some(duration(LOOK));
        message.continue_on_listener_filters_timeout = true;
    }
}

/// Where nobody needs to look: all ports but those of these chains. The outer `None`: there is no such chain; the inner
/// one: they are for every port.
fn elsewhere<'a>(
    chains: impl Iterator<Item = &'a Captured>,
) -> Option<Option<pb::ListenerFilterChainMatchPredicate>> {
    let ports: BTreeSet<Option<u16>> = chains.map(|captured| captured.port).collect();
    if ports.is_empty() {
        return None;
    }
    let ports: Option<Vec<u16>> = ports.into_iter().collect();
    Some(ports.map(|ports| {
        let mut rules = ports.into_iter().map(|port| {
            let port = i32::from(port);
            predicate(Rule::DestinationPortRange(Int32Range { start: port, end: port + 1 }))
        });
        let all = match (rules.len(), rules.next()) {
            (1, Some(one)) => one,
            (_, first) => predicate(Rule::OrMatch(MatchSet {
                rules: first.into_iter().chain(rules).collect(),
            })),
        };
        predicate(Rule::NotMatch(Box::new(all)))
    }))
}

fn predicate(rule: Rule) -> pb::ListenerFilterChainMatchPredicate {
    pb::ListenerFilterChainMatchPredicate { rule: Some(rule) }
}

pub(super) fn chain_match(captured: &Captured) -> Option<pb::FilterChainMatch> {
    let Captured { port, addresses, transport, protocols } = captured;
    if *captured == Captured::default() {
        return None;
    }
    Some(pb::FilterChainMatch {
        destination_port: port.map(|port| uint32(port.into())),
        prefix_ranges: addresses.iter().map(one_address).collect(),
        transport_protocol: match transport {
            None => "",
            Some(Transport::Tls) => "tls",
            Some(Transport::Plain) => "raw_buffer",
        }
        .to_string(),
        application_protocols: protocols.iter().map(ToString::to_string).collect(),
        ..Default::default()
    })
}

fn one_address(ip: &IpAddr) -> CidrRange {
    let length = if ip.is_ipv4() { 32 } else { 128 };
    CidrRange { address_prefix: ip.to_string(), prefix_len: Some(uint32(length)) }
}
