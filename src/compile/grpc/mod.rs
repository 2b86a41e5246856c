//! The grpc role: programs that speak xDS themselves and have no proxy (`xds:///orders.shop:80`).
//!
//! ```text
//! Service, MeshService ──names──► a listener for each name ──► a route table, a cluster and endpoints for each port
//! ```
//!
//! A change of a service touches its own names only, a change of endpoints one endpoint set.

pub(crate) mod conflicts;
pub(crate) mod names;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use catalog::{Catalog, Key, View};
use ir::{
    Action, ApiListener, Forward, Name, Plan, Route, RouteTable, Target, VirtualHost,
    WeightedTarget,
};
use model::{HeaderEdit, Kind, ObjectKey, ObjectRef, PathMatch, RouteMatch};

use crate::backend::{self, BackendKey, Caller};
use crate::plan::put;
use crate::tracker::Tracker;
use names::{Claim, Claims};

/// Kinds that clients can call.
const KINDS: [Kind; 2] = [Kind::MeshService, Kind::Service];

/// A node group: the programs of one namespace, or those that see all of them.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    namespace: Option<Arc<str>>,
    started: bool,
    tracker: Tracker<BackendKey>,
    services: BTreeMap<ObjectKey, Claims>,
    /// For each name all that want it; the first has it.
    names: BTreeMap<Name, BTreeSet<Claim>>,
    plan: Plan,
}

impl Group {
    pub(crate) fn new(namespace: Option<Arc<str>>) -> Self {
        Self {
            namespace,
            started: false,
            tracker: Tracker::new(),
            services: BTreeMap::new(),
            names: BTreeMap::new(),
            plan: Plan::default(),
        }
    }

    pub(crate) fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Whether [`Self::update`] has anything to do.
    pub(crate) fn concerned(&self, changed: &[Key]) -> bool {
        let named = |key: &Key| match key {
            Key::Object(key) => KINDS.contains(&key.kind) && self.sees(key),
            _ => false,
        };
        !self.started || self.tracker.concerned(changed) || changed.iter().any(named)
    }

    /// Brings the plan in step with the catalog. Returns whether any piece was compiled again.
    pub(crate) fn update(&mut self, catalog: &Catalog, changed: &[Key]) -> bool {
        let first = !std::mem::replace(&mut self.started, true);
        // What a service is called is read from that one object, so its key says which piece is stale, also of services
        // that were not there before.
        let services: Vec<ObjectKey> = if first {
            let all = KINDS.into_iter().flat_map(|kind| catalog.list(kind));
            all.map(|object| object.key().clone()).filter(|key| self.sees(key)).collect()
        } else {
            let objects = changed.iter().filter_map(|key| match key {
                Key::Object(key) if KINDS.contains(&key.kind) => Some(key),
                _ => None,
            });
            objects.filter(|key| self.sees(key)).cloned().collect()
        };
        let stale = self.tracker.stale(changed);
        if !first && services.is_empty() && stale.is_empty() {
            return false;
        }
        let mut touched = BTreeSet::new();
        for key in &services {
            self.update_service(catalog, key, &mut touched);
        }
        for key in stale {
            if self.plan.endpoints.contains_key(&key.cluster()) {
                self.update_backend(catalog, &key);
            }
        }
        for name in touched {
            self.update_listener(&name);
        }
        true
    }

    fn sees(&self, key: &ObjectKey) -> bool {
        self.namespace.as_ref().is_none_or(|namespace| *namespace == key.name.namespace)
    }

    /// Adds to `touched` the names that somebody else may have now, or nobody.
    fn update_service(&mut self, catalog: &Catalog, key: &ObjectKey, touched: &mut BTreeSet<Name>) {
        let claims = names::of(&View::new(catalog), key);
        let old = self.services.remove(key);
        let (before, after) = (backends(old.as_ref()), backends(claims.as_ref()));
        for (name, claim) in old.into_iter().flat_map(|claims| claims.names) {
            if let Some(all) = self.names.get_mut(&name) {
                all.remove(&claim);
            }
            touched.insert(name);
        }
        for gone in before.difference(&after) {
            let name = gone.cluster();
            self.tracker.forget(gone);
            self.plan.route_tables.remove(&name);
            self.plan.clusters.remove(&name);
            self.plan.endpoints.remove(&name);
        }
        let Some(claims) = claims else { return };
        for (name, claim) in &claims.names {
            self.names.entry(name.clone()).or_default().insert(claim.clone());
            touched.insert(name.clone());
        }
        for backend in &after {
            let table = table(backend, &claims.origin);
            put(&mut self.plan.route_tables, &backend.cluster(), table);
            if !before.contains(backend) {
                self.update_backend(catalog, backend);
            }
        }
        self.services.insert(key.clone(), claims);
    }

    fn update_backend(&mut self, catalog: &Catalog, key: &BackendKey) {
        let view = View::new(catalog);
        // Policies say how a Gateway calls back ends.
        backend::update(&view, key, Caller::Program, None, &mut self.plan);
        self.tracker.set(key.clone(), view.into_reads());
    }

    /// Gives a name to the first of those that want it.
    fn update_listener(&mut self, name: &Name) {
        let winner = self.names.get(name).and_then(BTreeSet::first);
        let Some(Claim { backend, .. }) = winner else {
            self.names.remove(name);
            self.plan.api_listeners.remove(name);
            return;
        };
        let object = ObjectKey { kind: backend.kind, name: backend.name.clone() };
        let listener = ApiListener {
            name: name.clone(),
            route_table: backend.cluster(),
            origin: self.services.get(&object).map(|c| c.origin.clone()).into_iter().collect(),
        };
        put(&mut self.plan.api_listeners, name, listener);
    }
}

fn backends(claims: Option<&Claims>) -> BTreeSet<BackendKey> {
    claims.into_iter().flat_map(|c| &c.names).map(|(_, claim)| claim.backend.clone()).collect()
}

/// Everything to one cluster, for whatever name was dialled: all names of a port share a table. It is called as its
/// cluster.
fn table(backend: &BackendKey, origin: &ObjectRef) -> RouteTable {
    let name = backend.cluster();
    let forward = Forward {
        targets: vec![WeightedTarget {
            target: Target::Cluster(name.clone()),
            weight: 1,
            request_headers: HeaderEdit::default(),
            response_headers: HeaderEdit::default(),
        }],
        mirrors: Vec::new(),
        path: None,
        host: None,
        // The caller's own deadline counts.
        timeout: Duration::ZERO,
        try_timeout: Duration::ZERO,
        retry: None,
        session: None,
        broken_status: 500,
    };
    let route = Route {
        name: name.clone(),
        matches: RouteMatch {
            path: PathMatch::Prefix("/".into()),
            method: None,
            headers: Vec::new(),
            query: Vec::new(),
        },
        action: Action::Forward(forward),
        request_headers: HeaderEdit::default(),
        response_headers: HeaderEdit::default(),
        cors: None,
        access: None,
        origin: origin.clone(),
    };
    let host = VirtualHost {
        name: name.clone(),
        domains: vec!["*".into()],
        routes: vec![Arc::new(route)],
    };
    RouteTable {
        name,
        virtual_hosts: VirtualHost::by_name([Arc::new(host)]),
        access: None,
        lanes: None,
        origin: vec![origin.clone()],
    }
}
