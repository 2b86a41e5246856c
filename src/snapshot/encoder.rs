use std::collections::HashMap;
use std::sync::Arc;

use imbl::OrdMap;
use imbl::ordmap::DiffItem;
use ir::{Name, Plan};

use crate::encode::{self, TableCache};
use crate::{Reports, Resource, ResourceSet, ResourceType, Snapshot};

/// Turns the plans of one node group into snapshots, each from the last: what is the same thing in memory is skipped,
/// what became the same bytes keeps its old resource, and so the cost is that of the change.
#[derive(Debug, Default)]
pub struct Encoder {
    reports: Reports,
    plan: Plan,
    snapshot: Snapshot,
    tables: HashMap<Name, TableCache>,
}

impl Encoder {
    #[must_use]
    pub fn new(reports: Reports) -> Self {
        Self { reports, ..Self::default() }
    }

    /// The snapshot of this plan. Its generation is the last one's plus 1, or the same when no proxy would see a
    /// difference.
    pub fn update(&mut self, plan: &Plan) -> Snapshot {
        let Self { reports, plan: last, snapshot, tables } = self;
        let reports = *reports;
        let mut step = false;
        let clusters = snapshot.set_mut(ResourceType::Cluster);
        step |= apply(&last.clusters, &plan.clusters, clusters, |_, new| {
            new.map(|cluster| encode::cluster(cluster, reports))
        });
        let endpoints = snapshot.set_mut(ResourceType::Endpoint);
        step |= apply(&last.endpoints, &plan.endpoints, endpoints, |_, new| {
            new.map(|set| encode::endpoints(set))
        });
        let listeners = snapshot.set_mut(ResourceType::Listener);
        step |= apply(&last.listeners, &plan.listeners, listeners, |_, new| {
            new.map(|listener| encode::listener(listener, reports))
        });
        step |= apply(&last.udp_listeners, &plan.udp_listeners, listeners, |_, new| {
            new.map(|listener| encode::udp_listener(listener))
        });
        step |= apply(&last.api_listeners, &plan.api_listeners, listeners, |_, new| {
            new.map(|listener| encode::api_listener(listener))
        });
        let routes = snapshot.set_mut(ResourceType::Route);
        step |= apply(&last.route_tables, &plan.route_tables, routes, |name, new| match new {
            Some(table) => Some(tables.entry(name.clone()).or_default().encode(table)),
            None => {
                tables.remove(name);
                None
            }
        });
        let extensions = snapshot.set_mut(ResourceType::Extension);
        step |= apply(&last.connections, &plan.connections, extensions, |_, new| {
            new.map(|connections| encode::connections(connections))
        });
        step |= apply(&last.jwt, &plan.jwt, extensions, |_, new| new.map(|jwt| encode::jwt(jwt)));
        let secrets = snapshot.set_mut(ResourceType::Secret);
        step |= apply(&last.secrets, &plan.secrets, secrets, |_, new| {
            new.map(|secret| encode::secret(secret))
        });
        let runtime = snapshot.set_mut(ResourceType::Runtime);
        step |= apply(&last.runtime, &plan.runtime, runtime, |_, new| {
            new.map(|layer| encode::runtime(layer, reports))
        });
        *last = plan.clone();
        snapshot.generation += u64::from(step);
        snapshot.clone()
    }
}

/// What differs between two plans, in bytes: the resources that `before` has and `after` has not so, and those that `after`
/// has in their place. Costs the resources that differ.
#[must_use]
pub fn difference(before: &Plan, after: &Plan) -> (Snapshot, Snapshot) {
    // An encoder that has a plan and no bytes makes those of the difference only.
    let only = |known: &Plan, wanted: &Plan| {
        Encoder { plan: known.clone(), ..Encoder::default() }.update(wanted)
    };
    (only(after, before), only(before, after))
}

/// The snapshot of a plan from scratch.
#[must_use]
pub fn encode(plan: &Plan) -> Snapshot {
    Encoder::default().update(plan)
}

/// Brings one type's resources from the last plan to the new; `make` hears of a removal with `None`.
/// `Eq` lets `Arc` compare addresses before contents.
fn apply<T: Eq>(
    last: &OrdMap<Name, Arc<T>>,
    new: &OrdMap<Name, Arc<T>>,
    set: &mut ResourceSet,
    mut make: impl FnMut(&Name, Option<&Arc<T>>) -> Option<Resource>,
) -> bool {
    let mut changed = false;
    for item in last.diff(new) {
        match item {
            DiffItem::Add(name, value) | DiffItem::Update { new: (name, value), .. } => {
                if let Some(resource) = make(name, Some(value)) {
                    debug_assert_eq!(resource.name(), name, "a plan's key is its resource's name");
                    changed |= set.insert(resource);
                }
            }
            DiffItem::Remove(name, _) => {
                make(name, None);
                changed |= set.remove(name).is_some();
            }
        }
    }
    changed
}

#[cfg(test)]
mod tests;
