//! Who calls whom, as a drawing: what is observed, what registries say of consumers, and where routes lead.

pub mod layout;
#[cfg(test)]
mod tests;

use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{Hash, Hasher};
use std::sync::{Arc, Mutex, PoisonError};

use api::traffic::{Edge, Node, Topology, TopologyQuery};
use api::{Caller, Role, Time};

use crate::collector::Sum;
use crate::directory::OUTSIDE;
use crate::edges::{By, EdgeKey, OTHER, Protocol};
use crate::ring::namespace;

/// More nodes are put together by namespace.
const MOST_NODES: usize = 300;
const MOST_ROUTES: usize = 8;
/// Drawings of so many shapes are kept.
const KEPT: usize = 64;

/// What is known without anybody calling, by ids of nodes.
#[derive(Clone, Debug, Default)]
pub struct Map {
    /// Without places; in order of id.
    pub nodes: BTreeMap<Arc<str>, Node>,
    /// From whom to whom a route leads, and its name.
    pub configured: Vec<(Arc<str>, Arc<str>, Arc<str>)>,
    /// Consumers that registries know of.
    pub declared: Vec<(Arc<str>, Arc<str>)>,
}

/// Positions of earlier drawings.
#[derive(Debug, Default)]
pub struct Drawings(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    /// By shape, with the turn in which it was last asked for.
    by_shape: HashMap<u64, (u64, Arc<layout::Drawing>)>,
    /// Where nodes were drawn last.
    last: HashMap<Arc<str>, (f64, f64)>,
    turn: u64,
}

/// One edge under way.
#[derive(Default)]
struct Link {
    observed: Option<Seen>,
    declared: bool,
    configured: bool,
    routes: BTreeMap<Arc<str>, u64>,
    lanes: BTreeSet<Arc<str>>,
}

struct Seen {
    sum: Sum,
    protocols: BTreeMap<Protocol, u64>,
    mtls: bool,
    by: BTreeSet<By>,
}

type Links = BTreeMap<(Arc<str>, Arc<str>), Link>;

/// `window` in seconds, the one that `observed` is of.
pub fn topology(
    query: &TopologyQuery,
    caller: &Caller,
    map: &Map,
    observed: Vec<(EdgeKey, Sum)>,
    (window, as_of): (u64, Time),
    drawings: &Drawings,
) -> Topology {
    let mut nodes: BTreeMap<Arc<str>, Node> =
        map.nodes.iter().map(|(id, node)| (id.clone(), node.clone())).collect();
    let mut links = links(map, observed);
    for id in links.keys().flat_map(|(source, target)| [source, target]) {
        if !nodes.contains_key(id) {
            nodes.insert(id.clone(), unlisted(id));
        }
    }
    // What somebody may not see is not there; what has no namespace is there as far as something that they see is beside it.
    let sees =
        |id: &Arc<str>| namespace(id).is_none_or(|name| caller.may(Role::Viewer, Some(name)));
    nodes.retain(|id, _| sees(id));
    links.retain(|(source, target), _| nodes.contains_key(source) && nodes.contains_key(target));
    if let Some(name) = &query.namespace {
        keep_near(&mut nodes, &mut links, 1, |node| node.namespace == *name);
    }
    if let Some(focus) = &query.focus {
        let depth = query.depth.unwrap_or(2).clamp(1, 2);
        keep_near(&mut nodes, &mut links, depth, |node| {
            format!("{}/{}", node.namespace, node.name) == *focus
        });
    }
    let linked: BTreeSet<Arc<str>> =
        links.keys().flat_map(|(source, target)| [source.clone(), target.clone()]).collect();
    nodes.retain(|id, node| linked.contains(id) || !node.namespace.is_empty());
    let grouped = query.group.as_deref() == Some("namespace") || nodes.len() > MOST_NODES;
    if grouped {
        (nodes, links) = by_namespace(nodes, links);
    }
    let mut out = Topology { as_of, window, grouped, ..Topology::default() };
    let drawing = drawings.draw(&nodes, &links);
    (out.width, out.height) = (drawing.width, drawing.height);
    out.nodes = nodes.into_values().collect();
    for (node, (x, y)) in out.nodes.iter_mut().zip(&drawing.at) {
        (node.x, node.y) = (*x, *y);
    }
    out.edges =
        links.into_iter().map(|((source, target), link)| edge(&source, &target, link)).collect();
    out
}

fn links(map: &Map, observed: Vec<(EdgeKey, Sum)>) -> Links {
    let mut links = Links::new();
    for (key, sum) in observed {
        let EdgeKey { source, target, route, lane, protocol, mtls, by } = key;
        // Requests that went nowhere are no edge, and what had no room has no ends.
        if target.is_empty() || *target == *OTHER || source == target {
            continue;
        }
        let link = links.entry((source, target)).or_default();
        let count = sum.count();
        if !route.is_empty() {
            *link.routes.entry(route).or_default() += count;
        }
        if !lane.is_empty() {
            link.lanes.insert(lane);
        }
        let seen = link.observed.get_or_insert_with(|| Seen {
            sum: Sum::default(),
            protocols: BTreeMap::new(),
            mtls: true,
            by: BTreeSet::new(),
        });
        seen.sum.merge(&sum);
        *seen.protocols.entry(protocol).or_default() += count;
        seen.mtls &= mtls;
        seen.by.insert(by);
    }
    for (source, target, route) in &map.configured {
        let link = links.entry((source.clone(), target.clone())).or_default();
        link.configured = true;
        link.routes.entry(route.clone()).or_default();
    }
    for (source, target) in &map.declared {
        links.entry((source.clone(), target.clone())).or_default().declared = true;
    }
    links
}

/// A node that no document is about.
fn unlisted(id: &Arc<str>) -> Node {
    let (kind, rest) = id.split_once('/').unwrap_or((id, ""));
    let (namespace, name) = match kind {
        "unknown" | OUTSIDE => ("", if rest.is_empty() { kind } else { rest }),
        _ => rest.split_once('/').unwrap_or(("", rest)),
    };
    Node {
        id: id.to_string(),
        kind: kind.to_owned(),
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        ..Node::default()
    }
}

/// Leaves what is at most so many steps from what is wanted.
fn keep_near(
    nodes: &mut BTreeMap<Arc<str>, Node>,
    links: &mut Links,
    depth: u8,
    wanted: impl Fn(&Node) -> bool,
) {
    let mut near: BTreeSet<Arc<str>> =
        nodes.iter().filter(|(_, node)| wanted(node)).map(|(id, _)| id.clone()).collect();
    for _ in 0..depth {
        let next: Vec<_> = links
            .keys()
            .filter_map(|(source, target)| match (near.contains(source), near.contains(target)) {
                (true, false) => Some(target.clone()),
                (false, true) => Some(source.clone()),
                _ => None,
            })
            .collect();
        near.extend(next);
    }
    nodes.retain(|id, _| near.contains(id));
    links.retain(|(source, target), _| near.contains(source) && near.contains(target));
}

/// Gateways stay; services and workloads become their namespaces, unknown addresses one node.
fn by_namespace(
    nodes: BTreeMap<Arc<str>, Node>,
    links: Links,
) -> (BTreeMap<Arc<str>, Node>, Links) {
    let place = |id: &Arc<str>| -> Arc<str> {
        match (id.split('/').next(), namespace(id)) {
            (Some("gateway" | OUTSIDE), _) => id.clone(),
            (_, Some(name)) => format!("namespace/{name}").into(),
            _ => OTHER.into(),
        }
    };
    let mut grouped: BTreeMap<Arc<str>, Node> = BTreeMap::new();
    for (id, node) in nodes {
        let to = place(&id);
        if to == id {
            grouped.insert(id, node);
            continue;
        }
        let group = grouped.entry(to.clone()).or_insert_with(|| {
            let name = to.split_once('/').map_or("", |(_, name)| name);
            let is_namespace = to.starts_with("namespace/");
            Node {
                id: to.to_string(),
                kind: if is_namespace { "namespace" } else { "unknown" }.to_owned(),
                namespace: if is_namespace { name } else { "" }.to_owned(),
                name: name.to_owned(),
                ..Node::default()
            }
        });
        group.members += 1;
        group.healthy += node.healthy;
        group.endpoints += node.endpoints;
        group.problems += node.problems;
        group.sources.extend(node.sources);
        group.sources.sort();
        group.sources.dedup();
    }
    let mut out = Links::new();
    for ((source, target), link) in links {
        let key = (place(&source), place(&target));
        if key.0 != key.1 {
            merge(out.entry(key).or_default(), link);
        }
    }
    (grouped, out)
}

fn merge(into: &mut Link, from: Link) {
    let Link { observed, declared, configured, routes, lanes } = from;
    into.declared |= declared;
    into.configured |= configured;
    for (route, count) in routes {
        *into.routes.entry(route).or_default() += count;
    }
    into.lanes.extend(lanes);
    match (&mut into.observed, observed) {
        (Some(all), Some(more)) => {
            all.sum.merge(&more.sum);
            all.mtls &= more.mtls;
            all.by.extend(more.by);
            for (protocol, count) in more.protocols {
                *all.protocols.entry(protocol).or_default() += count;
            }
        }
        (all @ None, more) => *all = more,
        (Some(_), None) => {}
    }
}

fn edge(source: &str, target: &str, link: Link) -> Edge {
    let Link { observed, declared, configured: _, routes, lanes } = link;
    let kind = match (&observed, declared) {
        (Some(_), _) => "observed",
        (None, true) => "declared",
        (None, false) => "configured",
    };
    let mut routes: Vec<_> = routes.into_iter().collect();
    routes.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    let mut out = Edge {
        source: source.to_string(),
        target: target.to_string(),
        kind: kind.to_owned(),
        protocol: Protocol::Http.as_str().to_owned(),
        routes: routes.into_iter().take(MOST_ROUTES).map(|(route, _)| route.to_string()).collect(),
        lanes: lanes.into_iter().map(|lane| lane.to_string()).collect(),
        ..Edge::default()
    };
    if let Some(Seen { sum, protocols, mtls, by }) = observed {
        let most = protocols.into_iter().max_by_key(|(protocol, count)| (*count, *protocol));
        if let Some((protocol, _)) = most {
            out.protocol = protocol.as_str().to_owned();
        }
        out.mtls = mtls;
        out.reported_by = by.into_iter().map(|by| by.as_str().to_owned()).collect();
        out.in_progress = sum.open();
        out.rate = sum.rate();
        out.errors = sum.errors();
        out.p50 = sum.percentile(0.5);
        out.p99 = sum.percentile(0.99);
    }
    out
}

impl Drawings {
    /// Positions in order of the nodes. They depend on what is drawn, not on what it carries.
    fn draw(&self, nodes: &BTreeMap<Arc<str>, Node>, links: &Links) -> Arc<layout::Drawing> {
        let mut hasher = DefaultHasher::new();
        nodes.keys().for_each(|id| id.hash(&mut hasher));
        links.keys().for_each(|edge| edge.hash(&mut hasher));
        let shape = hasher.finish();
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.turn += 1;
        let turn = kept.turn;
        if let Some((last, drawing)) = kept.by_shape.get_mut(&shape) {
            *last = turn;
            return drawing.clone();
        }
        let index: HashMap<&Arc<str>, usize> =
            nodes.keys().enumerate().map(|(index, id)| (id, index)).collect();
        let graph = layout::Graph {
            nodes: nodes.len(),
            edges: links.keys().map(|(source, target)| (index[source], index[target])).collect(),
            before: nodes
                .keys()
                .enumerate()
                .filter_map(|(index, id)| Some((index, *kept.last.get(id)?)))
                .collect(),
        };
        let drawing = Arc::new(layout::layout(&graph));
        if kept.by_shape.len() >= KEPT {
            let oldest = kept.by_shape.iter().min_by_key(|(_, (turn, _))| *turn);
            if let Some(oldest) = oldest.map(|(shape, _)| *shape) {
                kept.by_shape.remove(&oldest);
            }
        }
        kept.by_shape.insert(shape, (turn, drawing.clone()));
        kept.last = nodes.keys().cloned().zip(drawing.at.iter().copied()).collect();
        drawing
    }
}
