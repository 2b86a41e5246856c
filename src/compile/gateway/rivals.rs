//! HTTPRoutes and GRPCRoutes that want the same host name of the same listener: only the first of them is accepted
//! (`GRPCRouteSpec.hostnames`, "MUST accept exactly one of these two routes").

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use model::{Hostname, Kind, ObjectKey};

use super::attach::{Attachment, Host, Refusal};
use super::tables::widening;

/// References to parents, by position, that a route loses to one of the other kind.
pub(crate) type Lost = BTreeMap<usize, Refusal>;

/// What the accepted routes of one kind have of one listener.
#[derive(Default)]
struct Taken<'a> {
    hosts: HashMap<Host, &'a ObjectKey>,
    /// All wildcards around `hosts`, and any host.
    around: HashMap<Host, &'a ObjectKey>,
}

impl<'a> Taken<'a> {
    /// By whom some name that `host` stands for is taken.
    fn by(&self, host: &Host) -> Option<&'a ObjectKey> {
        let beneath = self.around.get(host).copied();
        beneath.or_else(|| widening(host).iter().find_map(|wide| self.hosts.get(wide).copied()))
    }

    fn add(&mut self, host: &Host, route: &'a ObjectKey) {
        self.hosts.entry(host.clone()).or_insert(route);
        for wide in widening(host) {
            self.around.entry(wide).or_insert(route);
        }
    }
}

/// `attached`: what each route would get if there were no others.
pub(crate) fn lost<'a>(
    attached: impl Iterator<Item = (&'a ObjectKey, &'a Attachment)>,
) -> BTreeMap<ObjectKey, Lost> {
    let mut routes: Vec<_> = attached
        .filter(|(key, _)| matches!(key.kind, Kind::HttpRoute | Kind::GrpcRoute))
        .filter(|(_, attachment)| !attachment.fronts.is_empty())
        .map(|(key, attachment)| {
            // `namespace/name` as one text: `a-b/x` goes before `a/x`.
            let name: Arc<str> = key.name.to_string().into();
            ((attachment.created.unwrap_or(i64::MAX), name, key.kind), key, attachment)
        })
        .collect();
    let mut out = BTreeMap::new();
    if routes.windows(2).all(|pair| pair[0].1.kind == pair[1].1.kind) {
        return out;
    }
    routes.sort_by(|a, b| a.0.cmp(&b.0));
    let mut taken: HashMap<(usize, Kind), Taken<'_>> = HashMap::new();
    for (_, key, attachment) in routes {
        let other = if key.kind == Kind::HttpRoute { Kind::GrpcRoute } else { Kind::HttpRoute };
        let mut lost = Lost::new();
        for (index, parent) in attachment.parents.iter().enumerate() {
            let rival = parent.fronts.iter().find_map(|(front, hosts)| {
                let taken = taken.get(&(*front, other))?;
                hosts.iter().find_map(|host| Some((host, taken.by(host)?)))
            });
            if let Some((host, rival)) = rival {
                let host = host.as_ref().map_or("every hostname", Hostname::as_str);
                let text = format!("{rival} goes first at the same listener for {host}");
                lost.insert(index, Refusal { reason: "RouteConflict", text });
            }
        }
        for (index, parent) in attachment.parents.iter().enumerate() {
            if lost.contains_key(&index) {
                continue;
            }
            for (front, hosts) in &parent.fronts {
                let taken = taken.entry((*front, key.kind)).or_default();
                hosts.iter().for_each(|host| taken.add(host, key));
            }
        }
        if !lost.is_empty() {
            out.insert(key.clone(), lost);
        }
    }
    out
}
