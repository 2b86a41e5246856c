//! Attached routes → route tables: which virtual host holds which routes, in which order.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use ir::{Name, VirtualHost};
use model::{Hostname, NamespacedName};

use super::RouteState;
use super::attach::Host;
use super::listeners::{Entrance, Front};
use super::rules::RouteRules;

/// The routes that a virtual host was built from, by how specific their host name is.
type Inputs = Vec<(usize, Arc<RouteRules>)>;

/// Builds tables and keeps virtual hosts whose inputs are the same as last time.
#[derive(Debug, Default)]
pub(crate) struct Tables {
    built: HashMap<(Name, Host), (Inputs, Arc<VirtualHost>)>,
}

impl Tables {
    /// The virtual hosts of each table, in order of name.
    pub(crate) fn build(
        &mut self,
        fronts: &[Front],
        routes: &BTreeMap<NamespacedName, RouteState>,
    ) -> BTreeMap<Name, Vec<Arc<VirtualHost>>> {
        let by_host = by_host(fronts, routes);
        let mut tables: BTreeMap<Name, Vec<usize>> = BTreeMap::new();
        for (index, front) in fronts.iter().enumerate().filter(|(_, f)| f.accepted) {
            tables.entry(front.table.clone()).or_default().push(index);
        }
        let mut kept = HashMap::new();
        let mut out = BTreeMap::new();
        for (table, members) in tables {
            let mut hosts = Vec::new();
            for domain in domains(fronts, &members, &by_host) {
                let Some(owner) = owner(fronts, &members, &domain) else { continue };
                let inputs = inputs(&domain, &by_host[owner]);
                let key = (table.clone(), domain);
                let host = match self.built.remove(&key) {
                    Some((old, host)) if same(&old, &inputs) => host,
                    _ => Arc::new(virtual_host(&key.1, &inputs)),
                };
                hosts.push(host.clone());
                kept.insert(key, (inputs, host));
            }
            hosts.sort_by(|a, b| a.name.cmp(&b.name));
            out.insert(table, hosts);
        }
        self.built = kept;
        out
    }
}

/// For each listener: host name → routes that are attached under it.
fn by_host<'a>(
    fronts: &[Front],
    routes: &'a BTreeMap<NamespacedName, RouteState>,
) -> Vec<HashMap<&'a Host, Vec<&'a Arc<RouteRules>>>> {
    let mut out: Vec<HashMap<&Host, Vec<&Arc<RouteRules>>>> =
        fronts.iter().map(|_| HashMap::new()).collect();
    for state in routes.values() {
        for (index, hosts) in &state.attachment.fronts {
            let entrance: Entrance = fronts[*index].entrance;
            let Some(rules) = state.rules.get(&entrance) else { continue };
            for host in hosts {
                out[*index].entry(host).or_default().push(rules);
            }
        }
    }
    out
}

/// All host names of a table: those of its listeners too, so that a request for a listener without a fitting route is
/// answered 404 there and does not fall to a less specific listener (listener isolation, GEP-3567).
fn domains(
    fronts: &[Front],
    members: &[usize],
    by_host: &[HashMap<&Host, Vec<&Arc<RouteRules>>>],
) -> BTreeSet<Host> {
    let own = members.iter().map(|index| fronts[*index].hostname.clone());
    let attached =
        members.iter().flat_map(|index| by_host[*index].keys().map(|host| (*host).clone()));
    own.chain(attached).collect()
}

/// The listener that gets requests for this host: the most specific one that covers it.
fn owner(fronts: &[Front], members: &[usize], domain: &Host) -> Option<usize> {
    members
        .iter()
        .copied()
        .filter(|index| covers(&fronts[*index].hostname, domain))
        .max_by_key(|index| fronts[*index].hostname.as_ref().map(Hostname::precedence))
}

fn covers(listener: &Host, domain: &Host) -> bool {
    match (listener, domain) {
        (None, _) => true,
        (Some(listener), Some(domain)) => listener.covers(domain),
        (Some(_), None) => false,
    }
}

/// Routes for a host name, the most specific names first; a request that none of these match may still match a route with
/// a wider name, because the host name only orders matches.
fn inputs(domain: &Host, by_host: &HashMap<&Host, Vec<&Arc<RouteRules>>>) -> Inputs {
    let mut out = Vec::new();
    let mut seen = HashSet::new();
    for (level, host) in widening(domain).into_iter().enumerate() {
        for rules in by_host.get(&host).into_iter().flatten() {
            if seen.insert(Arc::as_ptr(rules)) {
                out.push((level, Arc::clone(rules)));
            }
        }
    }
    out
}

/// The host name and all wildcards around it, ending with any host.
fn widening(domain: &Host) -> Vec<Host> {
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

fn same(a: &Inputs, b: &Inputs) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(x, y)| x.0 == y.0 && Arc::ptr_eq(&x.1, &y.1))
}

fn virtual_host(domain: &Host, inputs: &Inputs) -> VirtualHost {
    let name: Name = domain.as_ref().map_or_else(|| "*".into(), Hostname::shared);
    let mut routes: Vec<_> = inputs
        .iter()
        .flat_map(|(level, rules)| rules.entries.iter().map(move |(rank, r)| (*level, rank, r)))
        .collect();
    routes.sort_by(|a, b| (a.0, a.1).cmp(&(b.0, b.1)));
    VirtualHost {
        name: name.clone(),
        domains: vec![name],
        routes: routes.into_iter().map(|(_, _, route)| Arc::clone(route)).collect(),
    }
}
