//! Attached routes → route tables: which virtual host holds which routes, in which order.
//!
//! A changed route touches the virtual hosts of its own host names; only a route for a wildcard or for any host touches
//! those beneath it.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use imbl::{HashMap, OrdMap};
use ir::{Action, Name, VirtualHost};
use model::{HeaderEdit, Hostname, ObjectKey, ObjectRef, PathMatch, RouteMatch};

use super::RouteState;
use super::attach::Host;
use super::conflicts::overlap;
use super::listeners::{Front, Skeleton};
use super::rules::RouteRules;

/// How many listeners of a port know each other's names. Where there are more, the tables would be too large: a listener
/// knows those with names of its own then, and answers 404 for the others, not 421.
const FEW_PEERS: usize = 64;

/// Routes attached to one listener, by host name.
type ByHost = HashMap<Host, BTreeMap<ObjectKey, Arc<RouteRules>>>;

/// The virtual hosts of a table.
#[derive(Clone, Debug, Default)]
struct Hosts {
    names: OrdMap<Host, Name>,
    all: OrdMap<Name, Arc<VirtualHost>>,
}

impl Hosts {
    fn get(&self, host: &Host) -> Option<&Arc<VirtualHost>> {
        self.all.get(self.names.get(host)?)
    }

    fn insert(&mut self, host: Host, virtual_host: VirtualHost) {
        self.names.insert(host, virtual_host.name.clone());
        self.all.insert(virtual_host.name.clone(), Arc::new(virtual_host));
    }

    fn remove(&mut self, host: &Host) {
        // A removal of nothing might yet make a map of its own.
        if self.names.contains_key(host)
            && let Some(name) = self.names.remove(host)
        {
            self.all.remove(&name);
        }
    }
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Tables {
    fronts: Vec<Front>,
    /// For each of `fronts`.
    origins: Vec<ObjectRef>,
    /// For each of `fronts`.
    attached: Vec<ByHost>,
    hosts: BTreeMap<Name, Hosts>,
    /// Virtual hosts to be looked at, by table.
    stale: BTreeMap<Name, BTreeSet<Host>>,
}

impl Tables {
    /// Starts over with other listeners and no routes.
    pub(crate) fn reset(&mut self, skeleton: &Skeleton) {
        let Skeleton { fronts, backs, .. } = skeleton;
        *self = Self {
            fronts: fronts.clone(),
            origins: backs.iter().map(|back| back.origin.clone()).collect(),
            attached: fronts.iter().map(|_| ByHost::new()).collect(),
            hosts: BTreeMap::new(),
            stale: BTreeMap::new(),
        };
        for front in fronts.iter().filter(|front| front.accepted) {
            let Some(table) = &front.table else { continue };
            // The host names of listeners are there too, so that a request for a listener without a fitting route is
            // answered 404 and does not fall to a less specific listener (listener isolation, GEP-3567), and that one
            // for a listener with another table is answered 421.
            let peers: Vec<_> = fronts
                .iter()
                .filter(|peer| peer.accepted && peer.entrance == front.entrance)
                .map(|peer| &peer.hostname)
                .collect();
            let few = peers.len() <= FEW_PEERS;
            let known = peers
                .into_iter()
                .filter(|peer| few || overlap(front.hostname.as_ref(), peer.as_ref()));
            self.stale.entry(table.clone()).or_default().extend(known.cloned());
        }
    }

    pub(crate) fn remove(&mut self, route: &ObjectKey, state: &RouteState) {
        self.each_host(state, |by_host, host, _| {
            if let Some(routes) = by_host.get_mut(host) {
                routes.remove(route);
                if routes.is_empty() {
                    by_host.remove(host);
                }
            }
        });
    }

    pub(crate) fn insert(&mut self, route: &ObjectKey, state: &RouteState) {
        self.each_host(state, |by_host, host, rules| {
            by_host.entry(host.clone()).or_default().insert(route.clone(), Arc::clone(rules));
        });
    }

    fn each_host(
        &mut self,
        state: &RouteState,
        mut change: impl FnMut(&mut ByHost, &Host, &Arc<RouteRules>),
    ) {
        for (index, hosts) in &state.attachment.fronts {
            let Some(front) = self.fronts.get(*index) else { continue };
            let Some(table) = &front.table else { continue };
            let Some(rules) = state.rules.get(&front.entrance) else { continue };
            let stale = self.stale.entry(table.clone()).or_default();
            for host in hosts {
                change(&mut self.attached[*index], host, rules);
                stale.insert(host.clone());
                let beneath =
                    self.hosts.get(table).into_iter().flat_map(|hosts| hosts.names.keys());
                match host {
                    None => stale.extend(beneath.cloned()),
                    Some(name) if name.is_wildcard() => {
                        stale.extend(
                            beneath.filter(|d| d.as_ref().is_some_and(|d| name.covers(d))).cloned(),
                        );
                    }
                    Some(_) => {}
                }
            }
        }
    }

    /// Builds what is stale; returns the virtual hosts of each table that there is.
    pub(crate) fn build(
        &mut self,
    ) -> impl Iterator<Item = (&Name, &OrdMap<Name, Arc<VirtualHost>>)> {
        for (table, stale) in std::mem::take(&mut self.stale) {
            let in_table = |index: &usize| self.fronts[*index].table.as_ref() == Some(&table);
            let all = 0..self.fronts.len();
            let Some(first) = all.clone().find(in_table) else { continue };
            let entrance = self.fronts[first].entrance;
            // Those that share the port; with TLS, each has a table of its own.
            let peers: Vec<usize> = all
                .filter(|i| self.fronts[*i].accepted && self.fronts[*i].entrance == entrance)
                .collect();
            let hosts = self.hosts.entry(table.clone()).or_default();
            for domain in stale {
                let exists = peers.iter().any(|index| {
                    self.fronts[*index].hostname == domain
                        || (in_table(index) && self.attached[*index].contains_key(&domain))
                });
                let owner = owner(&self.fronts, &peers, &domain).filter(|_| exists);
                let Some(owner) = owner else {
                    hosts.remove(&domain);
                    continue;
                };
                let new = if in_table(&owner) {
                    virtual_host(&domain, &self.attached[owner])
                } else {
                    misdirected(&domain, &self.origins[owner])
                };
                if hosts.get(&domain).is_none_or(|old| **old != new) {
                    hosts.insert(domain, new);
                }
            }
        }
        self.hosts.retain(|_, hosts| !hosts.all.is_empty());
        self.hosts.iter().map(|(table, hosts)| (table, &hosts.all))
    }
}

/// The listener that gets requests for this host: the most specific one that covers it.
fn owner(fronts: &[Front], members: &[usize], domain: &Host) -> Option<usize> {
    members
        .iter()
        .copied()
        .filter(|index| covers(&fronts[*index].hostname, domain))
        .max_by_key(|index| fronts[*index].hostname.as_ref().map(Hostname::precedence))
}

pub(super) fn covers(listener: &Host, domain: &Host) -> bool {
    match (listener, domain) {
        (None, _) => true,
        (Some(listener), Some(domain)) => listener.covers(domain),
        (Some(_), None) => false,
    }
}

/// Routes for a host name, the most specific names first; a request that none of these match may still match a route
/// with a wider name, because the host name only orders matches.
fn virtual_host(domain: &Host, attached: &ByHost) -> VirtualHost {
    let mut routes = Vec::new();
    let mut seen = HashSet::new();
    for host in widening(domain) {
        let rules = attached.get(&host).into_iter().flatten();
        let mut level: Vec<_> = rules
            .filter(|(name, _)| seen.insert(*name))
            .flat_map(|(_, rules)| &rules.entries)
            .map(|(rank, route)| (rank, route))
            .collect();
        level.sort_by_key(|(rank, _)| *rank);
        routes.extend(level.into_iter().map(|(_, route)| Arc::clone(route)));
    }
    let name: Name = domain.as_ref().map_or_else(|| "*".into(), Hostname::shared);
    VirtualHost { name: name.clone(), domains: vec![name], routes }
}

/// Requests for a listener that the server name of their connection did not choose: a client that uses a connection for
/// several names has to make another one (`Listener.hostname`; RFC 9110, 15.5.20).
fn misdirected(domain: &Host, listener: &ObjectRef) -> VirtualHost {
    let name: Name = domain.as_ref().map_or_else(|| "*".into(), Hostname::shared);
    let route = ir::Route {
        name: "misdirected".into(),
        matches: RouteMatch {
            path: PathMatch::Prefix("/".into()),
            method: None,
            headers: Vec::new(),
            query: Vec::new(),
        },
        action: Action::Respond { status: 421 },
        request_headers: HeaderEdit::default(),
        response_headers: HeaderEdit::default(),
        cors: None,
        access: None,
        origin: listener.clone(),
    };
    VirtualHost { name: name.clone(), domains: vec![name], routes: vec![Arc::new(route)] }
}

/// The host name and all wildcards around it, ending with any host.
pub(super) fn widening(domain: &Host) -> Vec<Host> {
    let mut out = vec![domain.clone()];
    let Some(name) = domain else { return out };
    let mut rest = name.as_str().strip_prefix("*.").unwrap_or(name.as_str());
    while let Some((_, parent)) = rest.split_once('.') {
        if let Ok(wildcard) = Hostname::parse(&format!("*.{parent}")) {
            out.push(Some(wildcard));
        }
        rest = parent;
    }
    out.push(None);
    out
}
