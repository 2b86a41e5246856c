use std::collections::HashMap;

use envoy_types::pb::envoy::config::core::v3::{address::Address, socket_address::Protocol};

use super::{Flaw, Parsed};

/// Two chains that a connection could choose equally make Envoy reject the listener: the same server name (or none) for
/// the same transport. Our chains differ in nothing else.
pub(super) fn check(parsed: &Parsed) -> Vec<Flaw> {
    let mut flaws = Vec::new();
    for listener in &parsed.listeners {
        let mut owners: HashMap<(String, String), &str> = HashMap::new();
        for chain in &listener.inner.filter_chains {
            let matches = chain.filter_chain_match.clone().unwrap_or_default();
            let mut names = matches.server_names;
            if names.is_empty() {
                names.push(String::new());
            }
            for name in names {
                let rule = (matches.transport_protocol.clone(), name.to_ascii_lowercase());
                if let Some(first) = owners.insert(rule, &chain.name) {
                    let text = format!(
                        "filter chains `{first}` and `{}` both match server name `{name}`",
                        chain.name
                    );
                    flaws.push(Flaw { at: listener.key.clone(), text });
                }
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
