//! The gateway role: one Gateway and everything attached to it → the plan of its proxies.

mod addresses;
pub(crate) mod attach;
mod backend_tls;
mod certificates;
mod conflicts;
mod fleet;
pub(crate) mod listeners;
mod rivals;
pub(crate) mod rules;
mod session;
mod sockets;
pub(crate) mod status;
mod streams;
mod tables;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use catalog::{Catalog, Key, View};
use imbl::{OrdMap, OrdSet};
use ir::{Handler, Name, Plan, RouteTable, TlsTermination};
use model::{Fleet, Kind, NamespacedName, ObjectKey, ObjectRef, Route};

use crate::access::{self, Access, Surroundings};
use crate::backend::{self, BackendKey, Caller};
use crate::complaint::Complaint;
use crate::lanes::{self, Entry};
use crate::plan::{keep, put, put_all};
use crate::said::Part;
use crate::tracker::Tracker;
pub use addresses::Bind;
use attach::Attachment;
use backend_tls::{BackendTls, Policies};
pub(crate) use fleet::class_parameters;
use listeners::{Entrance, Skeleton};
use rivals::Lost;
use rules::RouteRules;
pub use rules::route_origin;
use sockets::Sockets;
use tables::Tables;

/// What is compiled, and compiled again, by itself.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Piece {
    Skeleton,
    /// The policies for the Gateway itself.
    Access,
    Lanes,
    RouteList,
    Attachment(ObjectKey),
    Rules(ObjectKey, Entrance),
    Backend(BackendKey),
}

#[derive(Clone, Debug, Default)]
struct RouteState {
    /// What the route would get if there were no others.
    alone: Attachment,
    attachment: Attachment,
    rules: BTreeMap<Entrance, Arc<RouteRules>>,
}

/// What is let through to routes of whole connections.
const CONNECTIONS: &str = "connections";

/// Which parts of the plan may differ after a step.
#[derive(Clone, Copy, Debug, Default)]
struct New {
    /// Which back ends are in use.
    backends: bool,
    tables: bool,
    sockets: bool,
    /// What routes would get if there were no others.
    attached: bool,
    /// What back ends are shown.
    client_certificate: bool,
}

impl New {
    /// A route is another, or attached otherwise. Those of whole connections are served by the listeners themselves.
    fn routes(&mut self, kind: Kind) {
        self.backends = true;
        match kind {
            Kind::HttpRoute | Kind::GrpcRoute => self.tables = true,
            _ => self.sockets = true,
        }
    }
}

/// A node group: the proxies of one Gateway, which all get the same.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    name: NamespacedName,
    controller: Arc<str>,
    bind: Bind,
    started: bool,
    tracker: Tracker<Piece>,
    skeleton: Skeleton,
    fleet: Option<Arc<Fleet>>,
    routes: OrdMap<ObjectKey, RouteState>,
    /// Those of them that want tokens.
    asking: OrdSet<ObjectKey>,
    /// What routes lose to others.
    lost: BTreeMap<ObjectKey, Lost>,
    /// Back ends with the number of routes that use each.
    backends: OrdMap<BackendKey, usize>,
    /// Back ends whose number of users changed.
    touched: BTreeSet<BackendKey>,
    tables: Tables,
    lanes: Entry,
    /// What the making of sockets found.
    outranked: Vec<Complaint>,
    /// Those of the plan's secrets that are of listeners or of the Gateway.
    secrets: BTreeSet<Name>,
    policies: Policies,
    /// What is let in to routes that have no policies of their own.
    requests: Access,
    /// Likewise to routes of whole connections.
    connections: Access,
    plan: Plan,
    /// Objects of which this Gateway may say something else since these were taken last.
    statuses: BTreeSet<ObjectKey>,
    /// Parts of which it may find something else since these were taken last.
    spoken: BTreeSet<Part>,
}

impl Group {
    pub(crate) fn new(name: NamespacedName, controller: Arc<str>, bind: Bind) -> Self {
        Self {
            name,
            controller,
            bind,
            started: false,
            tracker: Tracker::new(),
            skeleton: Skeleton::default(),
            fleet: None,
            routes: OrdMap::new(),
            asking: OrdSet::new(),
            lost: BTreeMap::new(),
            backends: OrdMap::new(),
            touched: BTreeSet::new(),
            tables: Tables::default(),
            lanes: Entry::default(),
            outranked: Vec::new(),
            secrets: BTreeSet::new(),
            policies: Policies::default(),
            requests: Access::default(),
            connections: Access::default(),
            plan: Plan::default(),
            statuses: BTreeSet::new(),
            spoken: BTreeSet::new(),
        }
    }

    pub(crate) fn plan(&self) -> &Plan {
        &self.plan
    }

    /// What its proxies are made from; `None` where it is not ours, or its parameters are not known.
    pub(crate) fn fleet(&self) -> Option<&Arc<Fleet>> {
        self.fleet.as_ref()
    }

    /// The objects of which this Gateway may say something else since the last call.
    pub(crate) fn take_statuses(&mut self) -> BTreeSet<ObjectKey> {
        std::mem::take(&mut self.statuses)
    }

    /// The parts of which it may find something else since the last call.
    pub(crate) fn take_spoken(&mut self) -> BTreeSet<Part> {
        std::mem::take(&mut self.spoken)
    }

    /// All objects of which this Gateway says something.
    pub(crate) fn told(&self) -> impl Iterator<Item = &ObjectKey> {
        let sets = self.skeleton.sets.iter().map(|set| &set.key);
        self.routes.keys().chain(sets).chain(self.policies.judged())
    }

    /// The Gateway's own status may differ, and with it what its ListenerSets are told.
    fn touch_own_statuses(&mut self) {
        self.statuses.insert(ObjectKey { kind: Kind::Gateway, name: self.name.clone() });
        self.statuses.extend(self.skeleton.sets.iter().map(|set| set.key.clone()));
    }

    /// Whether the Gateway exists and its class is ours.
    pub(crate) fn served(&self) -> bool {
        self.skeleton.gateway.is_some()
    }

    /// Whether [`Self::update`] has anything to do.
    pub(crate) fn concerned(&self, changed: &[Key]) -> bool {
        !self.started || !self.statuses.is_empty() || self.tracker.concerned(changed)
    }

    /// Brings the plan in step with the catalog. Returns whether any piece was compiled again.
    pub(crate) fn update(&mut self, catalog: &Catalog, changed: &[Key]) -> bool {
        let first = !std::mem::replace(&mut self.started, true);
        let stale = if first {
            BTreeSet::from([Piece::Skeleton, Piece::Lanes, Piece::RouteList])
        } else {
            self.tracker.stale(changed)
        };
        if stale.is_empty() {
            return false;
        }
        self.spoken.insert(Part::Own);
        let mut new = New::default();
        let mut new_fronts = false;
        if stale.contains(&Piece::Skeleton) {
            new_fronts = self.update_skeleton(catalog, &mut new);
        }
        if stale.contains(&Piece::Skeleton) || stale.contains(&Piece::Access) {
            self.update_access(catalog, &mut new);
        }
        if new_fronts {
            self.tables.reset(&self.skeleton);
        }
        if stale.contains(&Piece::Lanes) {
            self.update_lanes(catalog, &mut new);
        }
        let mut todo: BTreeSet<ObjectKey> = stale
            .iter()
            .filter_map(|piece| match piece {
                Piece::Attachment(route) | Piece::Rules(route, _) => Some(route.clone()),
                _ => None,
            })
            .collect();
        if new_fronts || stale.contains(&Piece::RouteList) {
            self.update_route_list(catalog, &mut todo, &mut new);
        }
        if new_fronts {
            todo.extend(self.routes.keys().cloned());
        }
        for route in &todo {
            self.attach(catalog, route, new_fronts, &stale, &mut new);
        }
        if new.attached {
            self.settle(&mut todo);
        }
        if !todo.is_empty() {
            // They count what is attached.
            self.touch_own_statuses();
        }
        for route in todo {
            self.statuses.insert(route.clone());
            self.spoken.insert(Part::Route(route.clone()));
            self.update_route(catalog, &route, new_fronts, &stale, &mut new);
        }
        let stale = stale.into_iter().filter_map(|piece| match piece {
            Piece::Backend(key) => Some(key),
            _ => None,
        });
        let mut backends: BTreeSet<_> = stale.collect();
        if new.client_certificate {
            backends.extend(self.policies.backends().cloned());
        }
        for key in backends
            .iter()
            .filter(|key| self.backends.contains_key(*key))
            .cloned()
            .collect::<Vec<_>>()
        {
            self.update_backend(catalog, &key);
        }
        if new.backends {
            self.sweep_backends(catalog);
        }
        if new.sockets {
            let Sockets { tcp, udp, outranked } = self.sockets();
            put_all(&mut self.plan.listeners, tcp.into_iter().map(|l| (l.name.clone(), l)));
            put_all(&mut self.plan.udp_listeners, udp.into_iter().map(|l| (l.name.clone(), l)));
            self.outranked = outranked;
            // Only where somebody asks.
            let mut chains = self.plan.listeners.values().flat_map(|listener| &listener.chains);
            let used = chains.any(|chain| !chain.access.is_empty());
            let access = self.connections.judged.access.as_deref();
            let connections = used.then(|| access::connections(CONNECTIONS, access));
            let named = connections.into_iter().flatten().map(|one| (one.name.clone(), one));
            put_all(&mut self.plan.connections, named);
        }
        if new.tables {
            self.update_tables();
        }
        let shares = self.served().then(|| self.lanes.shares.clone());
        put_all(&mut self.plan.runtime, shares.into_iter().map(|l| (l.name.clone(), l)));
        true
    }

    /// Returns whether routes must be attached anew.
    fn update_skeleton(&mut self, catalog: &Catalog, new: &mut New) -> bool {
        let view = View::new(catalog);
        let next = listeners::skeleton(&view, &self.name, &self.controller);
        self.tracker.set(Piece::Skeleton, view.into_reads());
        let new_fronts = next.fronts != self.skeleton.fronts
            || next.sets != self.skeleton.sets
            || next.gateway.is_some() != self.served();
        new.sockets = true;
        new.client_certificate = next.client_certificate != self.skeleton.client_certificate;
        new.tables |= new_fronts || next.backs != self.skeleton.backs;
        self.touch_own_statuses();
        self.skeleton = next;
        self.touch_own_statuses();
        let fleet = fleet::fleet(&self.skeleton);
        if fleet.as_ref() != self.fleet.as_deref() {
            self.fleet = fleet.map(Arc::new);
        }
        let backs = self.skeleton.backs.iter().filter(|back| back.programmed);
        let mut used: BTreeSet<Name> = backs
            .flat_map(|back| {
                let TlsTermination { secrets, client, alpn: _ } = &back.tls;
                secrets.iter().chain(client.as_ref().map(|client| &client.authorities)).cloned()
            })
            .collect();
        used.extend(self.skeleton.client_certificate.clone());
        // Back ends have secrets of their own in the plan.
        for name in self.secrets.difference(&used) {
            self.plan.secrets.remove(name);
        }
        for (name, secret) in std::mem::take(&mut self.skeleton.secrets) {
            if used.contains(&name) {
                put(&mut self.plan.secrets, &name, secret);
            }
        }
        self.secrets = used;
        new_fronts
    }

    fn update_access(&mut self, catalog: &Catalog, new: &mut New) {
        let view = View::new(catalog);
        let key = ObjectKey { kind: Kind::Gateway, name: self.name.clone() };
        let judged = |http| {
            let around = Surroundings::new(&view);
            let judged = policy::of_gateway(&view, &around, &key, None, http);
            around.with(judged.unwrap_or_default())
        };
        let (requests, connections) = if self.served() {
            (judged(true), judged(false))
        } else {
            (Access::default(), Access::default())
        };
        self.tracker.set(Piece::Access, view.into_reads());
        if requests != self.requests {
            new.tables = true;
            new.backends = true;
            self.hold(&requests.backends);
            let old = std::mem::replace(&mut self.requests, requests);
            self.release(&old.backends);
        }
        self.connections = connections;
        new.sockets = true;
    }

    fn update_lanes(&mut self, catalog: &Catalog, new: &mut New) {
        let view = View::new(catalog);
        let next = lanes::entry(&view, &self.name);
        self.tracker.set(Piece::Lanes, view.into_reads());
        new.sockets |= next.carrier != self.lanes.carrier;
        new.tables |= !next.same_rules(&self.lanes);
        self.lanes = next;
    }

    fn update_route_list(
        &mut self,
        catalog: &Catalog,
        todo: &mut BTreeSet<ObjectKey>,
        new: &mut New,
    ) {
        let view = View::new(catalog);
        let mut names = BTreeSet::new();
        if self.served() {
            let gateway = ObjectKey { kind: Kind::Gateway, name: self.name.clone() };
            let sets = self.skeleton.sets.iter().map(|set| &set.key);
            for parent in [&gateway].into_iter().chain(sets) {
                names.extend(view.routes_of(parent).map(|route| route.meta.key.clone()));
            }
        }
        self.tracker.set(Piece::RouteList, view.into_reads());
        let gone: Vec<_> =
            self.routes.keys().filter(|name| !names.contains(*name)).cloned().collect();
        for name in &gone {
            new.routes(name.kind);
            new.attached = true;
            self.statuses.insert(name.clone());
            self.spoken.insert(Part::Route(name.clone()));
            self.tracker.forget(&Piece::Attachment(name.clone()));
            let state = self.routes.remove(name).unwrap_or_default();
            self.asking.remove(name);
            self.tables.remove(name, &state);
            for (entrance, rules) in state.rules {
                self.tracker.forget(&Piece::Rules(name.clone(), entrance));
                self.release(&rules.backends);
            }
            todo.remove(name);
        }
        if !gone.is_empty() {
            self.touch_own_statuses();
        }
        for name in names {
            if !self.routes.contains_key(&name) {
                self.routes.insert(name.clone(), RouteState::default());
                todo.insert(name);
            }
        }
    }

    /// What the route gets if there are no others.
    fn attach(
        &mut self,
        catalog: &Catalog,
        name: &ObjectKey,
        anew: bool,
        stale: &BTreeSet<Piece>,
        new: &mut New,
    ) {
        let Some(state) = self.routes.get_mut(name) else { return };
        let piece = Piece::Attachment(name.clone());
        if !anew && !stale.contains(&piece) && !state.alone.parents.is_empty() {
            return;
        }
        let view = View::new(catalog);
        let next = match view.route(name) {
            Some(route) => attach::attach(&view, &self.name, &self.skeleton, route),
            None => Attachment::default(),
        };
        self.tracker.set(piece, view.into_reads());
        new.attached |= next != state.alone;
        state.alone = next;
    }

    /// Decides anew between routes that cannot have the same host name; those for which that matters are to be done.
    fn settle(&mut self, todo: &mut BTreeSet<ObjectKey>) {
        let next = rivals::lost(self.routes.iter().map(|(key, state)| (key, &state.alone)));
        let keys = next.keys().chain(self.lost.keys());
        todo.extend(keys.filter(|key| next.get(*key) != self.lost.get(*key)).cloned());
        self.lost = next;
    }

    fn update_route(
        &mut self,
        catalog: &Catalog,
        name: &ObjectKey,
        attach_anew: bool,
        stale: &BTreeSet<Piece>,
        new: &mut New,
    ) {
        let Some(mut state) = self.routes.remove(name) else { return };
        let old = state.clone();
        let mut differs = false;
        let object = catalog.get(name);
        let attachment = match (self.lost.get(name), object) {
            (Some(lost), Some(object)) => state.alone.clone().without(lost, object.meta()),
            _ => state.alone.clone(),
        };
        differs |= attachment.fronts != state.attachment.fronts;
        state.attachment = attachment;
        let mut entrances: BTreeSet<_> = state
            .attachment
            .fronts
            .keys()
            .map(|index| self.skeleton.fronts[*index].entrance)
            .collect();
        if entrances.is_empty() && !state.attachment.parents.is_empty() {
            entrances.insert(Entrance::NOWHERE);
        }
        let left: Vec<_> = state.rules.keys().filter(|e| !entrances.contains(e)).copied().collect();
        for entrance in left {
            self.tracker.forget(&Piece::Rules(name.clone(), entrance));
            if let Some(rules) = state.rules.remove(&entrance) {
                self.release(&rules.backends);
            }
        }
        for entrance in entrances {
            let piece = Piece::Rules(name.clone(), entrance);
            if state.rules.contains_key(&entrance) && !stale.contains(&piece) {
                continue;
            }
            let view = View::new(catalog);
            let route = view.route(name);
            let next = route.map(|route: &Arc<Route>| match name.kind {
                Kind::HttpRoute | Kind::GrpcRoute => {
                    rules::rules(&view, Some(&self.name), route, entrance)
                }
                _ => streams::rules(&view, route, entrance),
            });
            self.tracker.set(piece, view.into_reads());
            let Some(next) = next else { continue };
            if state.rules.get(&entrance).is_some_and(|old| **old == next) {
                continue;
            }
            self.hold(&next.backends);
            if let Some(old) = state.rules.insert(entrance, Arc::new(next)) {
                self.release(&old.backends);
            }
            differs = true;
        }
        if differs && !attach_anew {
            self.tables.remove(name, &old);
        }
        if differs || attach_anew {
            self.tables.insert(name, &state);
            new.routes(name.kind);
        }
        if state.rules.values().any(|rules| !rules.jwt.is_empty()) {
            self.asking.insert(name.clone());
        } else {
            self.asking.remove(name);
        }
        self.routes.insert(name.clone(), state);
    }

    fn hold(&mut self, backends: &BTreeSet<BackendKey>) {
        for key in backends {
            *self.backends.entry(key.clone()).or_default() += 1;
            self.touched.insert(key.clone());
        }
    }

    fn release(&mut self, backends: &BTreeSet<BackendKey>) {
        for key in backends {
            if let Some(users) = self.backends.get_mut(key) {
                *users -= 1;
                self.touched.insert(key.clone());
            }
        }
    }

    fn update_backend(&mut self, catalog: &Catalog, key: &BackendKey) {
        let view = View::new(catalog);
        let next = backend_tls::judge(&view, key, self.skeleton.client_certificate.as_ref());
        backend::update(&view, key, Caller::Gateway, next.tls.clone(), &mut self.plan);
        self.set_policies(key, next);
        self.tracker.set(Piece::Backend(key.clone()), view.into_reads());
    }

    fn set_policies(&mut self, key: &BackendKey, next: BackendTls) {
        self.spoken.insert(Part::Backend(key.clone()));
        let told = self.policies.set(key, next, &mut self.plan.secrets);
        self.statuses.extend(told);
    }

    /// Builds back ends that are new in use and drops those that no route uses any more.
    fn sweep_backends(&mut self, catalog: &Catalog) {
        for key in std::mem::take(&mut self.touched) {
            let name = key.cluster();
            if self.backends.get(&key).is_some_and(|users| *users > 0) {
                if !self.plan.endpoints.contains_key(&name) {
                    self.update_backend(catalog, &key);
                }
            } else {
                self.backends.remove(&key);
                self.plan.clusters.remove(&name);
                self.plan.endpoints.remove(&name);
                self.set_policies(&key, BackendTls::default());
                self.tracker.forget(&Piece::Backend(key));
            }
        }
    }

    fn update_tables(&mut self) {
        let chains = self.plan.listeners.values().flat_map(|listener| &listener.chains);
        let used: BTreeSet<Name> = chains
            .filter_map(|chain| match &chain.handler {
                Handler::Http(http) => Some(http.route_table.clone()),
                Handler::Tcp(_) => None,
            })
            .collect();
        let gateway = self.skeleton.gateway.iter();
        let origin: Vec<ObjectRef> = gateway.map(|gateway| gateway.meta.at("")).collect();
        let access = self.requests.judged.access.clone();
        let mut kept = BTreeSet::new();
        for (name, virtual_hosts) in self.tables.build().filter(|(name, _)| used.contains(*name)) {
            kept.insert(name.clone());
            let fronts = self.skeleton.fronts.iter();
            let fronts = fronts.filter(|front| front.table.as_ref() == Some(name));
            let lanes = self.lanes.at(&fronts.map(|front| &front.name).collect());
            let same = self.plan.route_tables.get(name).is_some_and(|old| {
                old.lanes == lanes
                    && old.access == access
                    && old.virtual_hosts.ptr_eq(virtual_hosts)
            });
            if !same {
                let table = RouteTable {
                    name: name.clone(),
                    virtual_hosts: virtual_hosts.clone(),
                    lanes,
                    access: access.clone(),
                    origin: origin.clone(),
                };
                self.plan.route_tables.insert(name.clone(), Arc::new(table));
            }
        }
        keep(&mut self.plan.route_tables, |name| kept.contains(name));
        let asking = self.asking.iter().filter_map(|route| self.routes.get(route));
        let providers = asking.flat_map(|state| state.rules.values());
        let providers = providers.flat_map(|rules| &rules.jwt).chain(&self.requests.judged.jwt);
        let jwt = self.served().then(|| access::jwt(providers, origin));
        put_all(&mut self.plan.jwt, jwt);
    }

    /// What it finds of itself, of its routes and of their references.
    pub(crate) fn complaints(&self, part: &Part) -> Vec<Complaint> {
        match part {
            Part::Own => {
                // Where nobody asks about connections there is nothing to say of them.
                let asked = !self.plan.connections.is_empty();
                let connections = self.connections.complaints.iter().filter(|_| asked);
                let own = self.skeleton.findings.iter().chain(&self.outranked);
                own.chain(&self.requests.complaints).chain(connections).cloned().collect()
            }
            Part::Backend(key) => self.policies.complaints(key).to_vec(),
            Part::Route(key) => {
                let Some(state) = self.routes.get(key) else { return Vec::new() };
                // Behind each entrance a route has the same findings.
                let rules = state.rules.values().take(1).flat_map(|rules| &rules.findings);
                state.attachment.findings.iter().chain(rules).cloned().collect()
            }
        }
    }
}
