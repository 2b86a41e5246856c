//! Listeners that are served → the proxy's sockets.

use std::collections::BTreeMap;

use ir::{ChainMatch, FilterChain, FilterSlot, Handler, HttpConnection, Listener, Name};

use super::Group;

impl Group {
    /// One socket for each port; a filter chain for each TLS listener on it, one for all plain listeners.
    pub(super) fn sockets(&self) -> Vec<Listener> {
        let Some(gateway) = &self.skeleton.gateway else { return Vec::new() };
        let addresses = self.bind.addresses(gateway);
        let mut ports: BTreeMap<u16, Vec<FilterChain>> = BTreeMap::new();
        for (front, back) in
            self.skeleton.fronts.iter().zip(&self.skeleton.backs).filter(|(_, b)| b.programmed)
        {
            let Some(table) = &front.table else { continue };
            let port = front.entrance.port;
            let chains = ports.entry(port).or_default();
            let name: Name = if front.entrance.tls() { front.label() } else { "http".into() };
            if chains.iter().any(|chain| chain.name == name) {
                continue;
            }
            let (matches, tls) = if front.entrance.tls() {
                let names = front.hostname.iter().cloned().collect();
                (ChainMatch::Tls(names), Some(back.tls.clone()))
            } else {
                (ChainMatch::Any, None)
            };
            chains.push(FilterChain {
                name: name.clone(),
                matches,
                tls,
                handler: Handler::Http(HttpConnection {
                    stat_prefix: format!("{port}_{name}").into(),
                    route_table: table.clone(),
                    filters: vec![FilterSlot::Cors, FilterSlot::Session],
                }),
                origin: back.origin.clone(),
            });
        }
        ports
            .into_iter()
            .map(|(port, mut chains)| {
                chains.sort_by(|a, b| a.name.cmp(&b.name));
                Listener {
                    name: format!("listener/{port}").into(),
                    addresses: addresses.clone(),
                    port,
                    origin: chains.iter().map(|chain| chain.origin.clone()).collect(),
                    chains,
                }
            })
            .collect()
    }
}
