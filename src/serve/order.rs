//! Make before break, over the types of one aggregated stream (xds-rules 55 to 58).
//!
//! ```text
//! adding    CDS ─sent, ACK─► EDS ─ACK─► LDS, RDS …       a route waits for the new clusters that it names
//! removing  LDS, RDS … ─ACK─► CDS                        a cluster waits until no route that the client has names it
//! ```
//!
//! Only the resources concerned wait, not their type, and each waits for a limited time. EDS and SDS never wait:
//! Envoy withholds the CDS ACK until both have come (rule 57). A client that asks for a resource by itself, as in the
//! first answers of a stream, has chosen its own order: it waits only for clusters that were not sent at all.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use snapshot::{Resource, ResourceKey, ResourceType, Snapshot};

use crate::state::TypeState;
use crate::view::{Held, Need, Owed};

/// Clusters that are new to the client, were sent, and have assignments that it has not confirmed yet.
#[derive(Debug, Default)]
pub(crate) struct Warming {
    clusters: BTreeMap<Arc<str>, Warm>,
}

#[derive(Debug)]
struct Warm {
    endpoints: Vec<Arc<str>>,
    until: Instant,
}

impl Warming {
    pub(crate) fn start(&mut self, cluster: &Arc<str>, endpoints: Vec<Arc<str>>, until: Instant) {
        self.clusters.insert(cluster.clone(), Warm { endpoints, until });
    }

    pub(crate) fn cluster_gone(&mut self, cluster: &str) {
        self.clusters.remove(cluster);
    }

    /// The client has answered a response with this assignment.
    pub(crate) fn endpoints_answered<'a>(&mut self, names: impl Iterator<Item = &'a Arc<str>>) {
        if self.clusters.is_empty() {
            return;
        }
        let names: HashSet<&str> = names.map(|n| &**n).collect();
        self.clusters.retain(|_, warm| {
            warm.endpoints.retain(|e| !names.contains(&**e));
            !warm.endpoints.is_empty()
        });
    }

    pub(crate) fn expire(&mut self, now: Instant) {
        self.clusters.retain(|_, warm| now < warm.until);
    }
}

/// The other types of the stream, as seen while one type's response is made. What it finds out is kept, since most
/// responses need none of it and some need it a thousand times.
pub(crate) struct Order<'a> {
    kind: ResourceType,
    others: &'a [Option<Box<TypeState>>],
    warming: &'a Warming,
    snapshot: &'a Snapshot,
    limit: Duration,
    now: Instant,
    waiting: Option<Waiting<'a>>,
    referred: Option<Referred<'a>>,
    /// The next moment at which something that waits now need wait no longer.
    pub(crate) wake: Option<Instant>,
}

/// Clusters that a route must not be ahead of.
struct Waiting<'a> {
    unsent: HashSet<&'a str>,
    /// Route tables that are still to be sent, if scopes name them (rule 66).
    tables: HashSet<&'a str>,
    /// Sent, but not yet confirmed or warm.
    unready: HashSet<&'a str>,
    warm: Option<Instant>,
}

/// What the client may still refer to, and until when: a response that is not answered counts as taken after its time
/// limit. `None` is for what was not sent yet (it has limits of its own) and for what the client rejected (it is known
/// to go on with what it had, however long).
struct Referred<'a> {
    names: HashMap<&'a str, Option<Instant>>,
    /// The client brought resources along that this server cannot look into.
    anything: Option<Option<Instant>>,
}

impl<'a> Order<'a> {
    pub(crate) fn new(
        kind: ResourceType,
        others: &'a [Option<Box<TypeState>>],
        warming: &'a Warming,
        snapshot: &'a Snapshot,
        limit: Duration,
        now: Instant,
    ) -> Self {
        Self {
            kind,
            others,
            warming,
            snapshot,
            limit,
            now,
            waiting: None,
            referred: None,
            wake: None,
        }
    }

    /// Whether no cluster is still to be sent that a resource of this type could name.
    pub(crate) fn nothing_unsent(&mut self) -> bool {
        if !waits_for_clusters(self.kind) {
            return true;
        }
        let waiting = self.waiting();
        waiting.unsent.is_empty() && waiting.tables.is_empty()
    }

    /// Whether a resource may be sent now, as to the clusters that it names.
    pub(crate) fn may_send(&mut self, resource: &Resource, owed: &Owed) -> bool {
        if !waits_for_clusters(self.kind) {
            return true;
        }
        let (limit, now, snapshot) = (self.limit, self.now, self.snapshot);
        let waiting = self.waiting();
        let unready = !owed.asked && !waiting.unready.is_empty();
        if waiting.unsent.is_empty() && waiting.tables.is_empty() && !unready {
            return true;
        }
        let until = owed.since + limit;
        if until <= now {
            return true;
        }
        // A listener names route tables, and those name the clusters. Tables that the client has follow their own order.
        let tables = || {
            let new = |r: &&ResourceKey| {
                r.kind == ResourceType::Route && !owed.held.refs().any(|old| old == *r)
            };
            let named = resource.refs().iter().filter(new);
            named.filter_map(|r| snapshot.get(r.kind, &r.name)).flat_map(|table| table.refs())
        };
        let clusters = || {
            let all = resource.refs().iter().chain(tables());
            all.filter(|r| r.kind == ResourceType::Cluster).map(|r| &*r.name)
        };
        let mut named = resource.refs().iter().filter(|r| r.kind == ResourceType::Route);
        if clusters().any(|name| waiting.unsent.contains(name))
            || named.any(|table| waiting.tables.contains(&*table.name))
        {
            self.wake_at(until);
            return false;
        }
        if !owed.asked && clusters().any(|name| waiting.unready.contains(name)) {
            let until = waiting.warm.map_or(until, |warm: Instant| warm.min(until));
            self.wake_at(until);
            return false;
        }
        true
    }

    /// Whether a resource may be taken away now, as to what still refers to it.
    pub(crate) fn may_remove(&mut self, name: &str, owed: &Owed) -> bool {
        if owed.held.is_nothing() {
            return true;
        }
        if self.referred.is_none() {
            self.referred = Some(self.find_referred());
        }
        let Some(referred) = &self.referred else { return true };
        let until = match (referred.names.get(name).copied(), referred.anything) {
            (Some(a), Some(b)) => later(a, b),
            (Some(until), None) | (None, Some(until)) => until,
            (None, None) => return true,
        };
        if let Some(until) = until {
            self.wake_at(until);
        }
        until.is_some_and(|until| until <= self.now)
    }

    fn wake_at(&mut self, at: Instant) {
        self.wake = Some(self.wake.map_or(at, |w| w.min(at)));
    }

    fn other(&self, kind: ResourceType) -> Option<&'a TypeState> {
        self.others[kind.index()].as_deref()
    }

    fn waiting(&mut self) -> &Waiting<'a> {
        let waiting = self.waiting.take().unwrap_or_else(|| self.find_waiting());
        self.waiting.insert(waiting)
    }

    fn find_waiting(&self) -> Waiting<'a> {
        let mut waiting = Waiting {
            unsent: HashSet::new(),
            tables: HashSet::new(),
            unready: HashSet::new(),
            warm: None,
        };
        if self.kind == ResourceType::ScopedRoute {
            waiting.tables = self.to_be_sent(ResourceType::Route);
        }
        waiting.unsent = self.to_be_sent(ResourceType::Cluster);
        let Some(clusters) = self.other(ResourceType::Cluster) else { return waiting };
        if let Some(out) = clusters.outstanding.as_ref().filter(|out| self.now < out.deadline) {
            waiting.unready.extend(out.fresh.iter().map(|r| &**r.name()));
            waiting.unready.extend(out.new_names().map(|n| &**n));
        }
        for (name, warm) in &self.warming.clusters {
            waiting.unready.insert(name);
            waiting.warm = Some(waiting.warm.map_or(warm.until, |w| w.min(warm.until)));
        }
        waiting
    }

    fn to_be_sent(&self, kind: ResourceType) -> HashSet<&'a str> {
        let Some(other) = self.other(kind) else { return HashSet::new() };
        let target = other.set(self.snapshot);
        let unsent = other.view.owed.iter().filter(|(name, owed)| {
            let current = target.get(name);
            // What was rejected is not waited for: it will not come, and one type's NACK must not hold up the others
            // (rule 37).
            !owed.refused(current) && matches!(owed.need(current), Need::Send(_))
        });
        unsent.map(|(name, _)| &**name).collect()
    }

    fn find_referred(&self) -> Referred<'a> {
        let mut referred = Referred { names: HashMap::new(), anything: None };
        for kind in referrers(self.kind) {
            let Some(other) = self.other(*kind) else { continue };
            for owed in other.view.owed.values() {
                referred.add(self.kind, &owed.held, None);
            }
            for out in other.outstanding.iter().filter(|out| self.now < out.deadline) {
                for item in &out.changed {
                    referred.add(self.kind, &item.previous, Some(out.deadline));
                }
            }
        }
        referred
    }
}

impl<'a> Referred<'a> {
    fn add(&mut self, kind: ResourceType, held: &'a Held, until: Option<Instant>) {
        if matches!(held, Held::Unknown) {
            self.anything = Some(self.anything.map_or(until, |known| later(known, until)));
        }
        for key in held.refs().filter(|key| key.kind == kind) {
            let known = self.names.entry(&key.name).or_insert(until);
            *known = later(*known, until);
        }
    }
}

fn later(a: Option<Instant>, b: Option<Instant>) -> Option<Instant> {
    Some(a?.max(b?))
}

/// Types whose resources send traffic to clusters by name.
fn waits_for_clusters(kind: ResourceType) -> bool {
    referrers(ResourceType::Cluster).contains(&kind)
}

fn referrers(kind: ResourceType) -> &'static [ResourceType] {
    use ResourceType::{Cluster, Extension, Listener, Route, ScopedRoute, VirtualHost};
    match kind {
        Cluster => &[Listener, ScopedRoute, Route, VirtualHost, Extension],
        Route => &[Listener, ScopedRoute],
        VirtualHost => &[Route],
        _ => &[],
    }
}
