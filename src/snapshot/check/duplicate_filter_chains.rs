use std::collections::HashMap;

use envoy_types::pb::envoy::config::core::v3::{
    CidrRange, address::Address, socket_address::Protocol,
};
use envoy_types::pb::envoy::config::listener::v3::FilterChainMatch;
use prost::Message;

use super::{Flaw, Parsed};

/// Two chains that a connection could choose equally make Envoy reject the listener: the same in everything that they look
/// at, of which server names, application protocols and addresses are said several at once.
pub(super) fn check(parsed: &Parsed) -> Vec<Flaw> {
    let mut flaws = Vec::new();
    for listener in &parsed.listeners {
        let mut owners: HashMap<Vec<u8>, &str> = HashMap::new();
        for chain in &listener.inner.filter_chains {
            let matches = chain.filter_chain_match.clone().unwrap_or_default();
            let doubled = each(&matches).into_iter().find_map(|one| {
                let first = owners.insert(one.encode_to_vec(), &chain.name)?;
                Some((first, one))
            });
            if let Some((first, one)) = doubled {
                let name = one.server_names.first().map_or("", String::as_str);
                let text = format!(
                    "filter chains `{first}` and `{}` both match server name `{name}`",
                    chain.name
                );
                flaws.push(Flaw { at: listener.key.clone(), text });
            }
        }
        let inner = &listener.inner;
        let socket = inner.address.as_ref().and_then(|address| match &address.address {
            Some(Address::SocketAddress(socket)) => Some(socket.protocol()),
            _ => None,
        });
        if inner.filter_chains.is_empty()
            && inner.api_listener.is_none()
            && socket != Some(Protocol::Udp)
        {
            let text = "has no filter chain".to_string();
            flaws.push(Flaw { at: listener.key.clone(), text });
        }
    }
    flaws
}

/// One match for each that is said at once.
fn each(matches: &FilterChainMatch) -> Vec<FilterChainMatch> {
    let one = |protocol: Option<&String>, range: Option<&CidrRange>, name: Option<&String>| {
        FilterChainMatch {
            application_protocols: protocol.into_iter().cloned().collect(),
            prefix_ranges: range.into_iter().cloned().collect(),
            server_names: name.map(|name| name.to_ascii_lowercase()).into_iter().collect(),
            ..matches.clone()
        }
    };
    let protocols = some(&matches.application_protocols);
    let ranges = some(&matches.prefix_ranges);
    let names = some(&matches.server_names);
    let pairs = protocols.iter().flat_map(|p| ranges.iter().map(move |r| (*p, *r)));
    pairs.flat_map(|(p, r)| names.iter().map(move |n| one(p, r, *n))).collect()
}

/// `None` where there is none.
fn some<T>(all: &[T]) -> Vec<Option<&T>> {
    if all.is_empty() { vec![None] } else { all.iter().map(Some).collect() }
}
