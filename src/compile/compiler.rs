use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use catalog::{Catalog, Key, View};
use model::{
    Condition, Finding, Fleet, GatewayClassStatus, IngressStatus, Kind, NamespacedName, Object,
    ObjectKey, ObjectStatus, ParentStatus,
};

use crate::documents::Documents;
use crate::gamma::{self, Judge};
use crate::register::{Register, Registered};
use crate::said::{Difference, Said, Topic};
use crate::{Bind, GroupKey, ScopeKey, SidecarKey, features, gateway, grpc, refused, sidecar};

/// `PolicyStatus.ancestors`: more are not to be written.
const MOST_ANCESTORS: usize = 16;

/// Compiles every Gateway of the catalog, and whatever other groups are wanted, step by step. A copy shares all that is
/// compiled until one of the two goes on: what that touches is then copied for it.
#[derive(Clone, Debug)]
pub struct Compiler {
    controller: Arc<str>,
    bind: Bind,
    gateways: BTreeMap<NamespacedName, Arc<gateway::Group>>,
    /// By namespace.
    grpc: BTreeMap<Option<Arc<str>>, Arc<grpc::Group>>,
    sidecars: BTreeMap<SidecarKey, Arc<Sidecar>>,
    /// Those that sidecars have.
    scopes: BTreeMap<ScopeKey, Arc<sidecar::Outbound>>,
    /// What apps of workloads asked for, to be told to their scopes at the next update.
    sought: BTreeMap<SidecarKey, BTreeSet<ir::Name>>,
    /// The only group that this one is for; `None` for all.
    only: Option<GroupKey>,
    /// Of no use while there are no sidecars.
    directory: sidecar::Directory,
    /// `None` without a mesh.
    gamma: Option<Judge>,
    register: Register,
    documents: Documents,
    said: Said,
}

#[derive(Clone, Debug)]
struct Sidecar {
    inbound: sidecar::Inbound,
    /// Known from the first update on.
    scope: Option<ScopeKey>,
    /// What says which scope it has.
    reads: Vec<Key>,
}

/// What one step did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Update {
    /// Groups of which some piece was compiled again.
    pub groups: Vec<GroupKey>,
    /// Groups whose Gateway is gone.
    pub removed: Vec<GroupKey>,
    /// Groups on which the compiler itself failed: a bug of ours. Their last plan should stay in use.
    pub failed: Vec<GroupKey>,
    /// Objects whose status may be another than before.
    pub statuses: BTreeSet<ObjectKey>,
}

impl Compiler {
    #[must_use]
    pub fn new(controller: Arc<str>, bind: Bind) -> Self {
        let register = Register::new();
        Self {
            controller,
            bind,
            gateways: BTreeMap::new(),
            grpc: BTreeMap::new(),
            sidecars: BTreeMap::new(),
            scopes: BTreeMap::new(),
            sought: BTreeMap::new(),
            only: None,
            directory: sidecar::Directory::default(),
            gamma: Some(Judge::new()),
            register,
            documents: Documents::new(),
            said: Said::default(),
        }
    }

    /// Where nobody serves sidecars, nothing is said of routes for them.
    #[must_use]
    pub fn without_mesh(self) -> Self {
        Self { gamma: None, ..self }
    }

    /// One for another edition of a group: it compiles nothing else, and says nothing of routes for sidecars nor of what is
    /// written into registries.
    #[must_use]
    pub fn beside(&self, key: &GroupKey) -> Self {
        let new = Self::new(self.controller.clone(), self.bind).without_mesh();
        let mut new = Self { only: Some(key.clone()), ..new };
        new.want(&BTreeSet::from([key.clone()]));
        if let (GroupKey::Sidecar(workload), Some(GroupKey::Scope(scope))) = (key, self.base(key))
            && let Some(known) = self.scopes.get(&scope)
        {
            // What its apps looked for is still to be found.
            new.seek(workload, known.asked().cloned());
        }
        new
    }

    /// Says which groups there are beside those of the Gateways, which are compiled always. Groups that are new are
    /// compiled at the next update; what is not wanted any more is forgotten. Returns the groups that are new and that
    /// are forgotten.
    pub fn want(&mut self, wanted: &BTreeSet<GroupKey>) -> (Vec<GroupKey>, Vec<GroupKey>) {
        let key = |namespace: &Option<Arc<str>>| GroupKey::Grpc { namespace: namespace.clone() };
        let sidecars = self.sidecars.keys().cloned().map(GroupKey::Sidecar);
        let groups = self.grpc.keys().map(key).chain(sidecars);
        let gone: Vec<_> = groups.filter(|key| !wanted.contains(key)).collect();
        for key in &gone {
            match key {
                GroupKey::Grpc { namespace } => drop(self.grpc.remove(namespace)),
                GroupKey::Sidecar(key) => {
                    self.sidecars.remove(key);
                    self.said.set(Topic::Sidecar(key.clone()), Vec::new());
                }
                GroupKey::Gateway(_) | GroupKey::Scope(_) => {}
            }
        }
        let mut new = Vec::new();
        for key in wanted {
            match key {
                GroupKey::Grpc { namespace } if !self.grpc.contains_key(namespace) => {
                    let group = grpc::Group::new(namespace.clone());
                    self.grpc.insert(namespace.clone(), Arc::new(group));
                    new.push(key.clone());
                }
                GroupKey::Sidecar(workload) if !self.sidecars.contains_key(workload) => {
                    self.sidecars.insert(workload.clone(), Arc::new(Sidecar::new(workload)));
                    new.push(key.clone());
                }
                _ => {}
            }
        }
        (new, gone)
    }

    /// The app of a workload wants to reach these hosts. What is found of them is in the next plan of its scope.
    pub fn seek(&mut self, workload: &SidecarKey, hosts: impl IntoIterator<Item = ir::Name>) {
        self.sought.entry(workload.clone()).or_default().extend(hosts);
    }

    /// Brings all groups in step with the catalog, in which these keys changed since the last call.
    pub fn update(&mut self, catalog: &Catalog, changed: &[Key]) -> Update {
        let mut out = Update::default();
        if self.gateways.is_empty() || changed.contains(&Key::Gateways) {
            self.list_gateways(catalog, &mut out);
        }
        // Whatever a status says, it says of which generation.
        out.statuses.extend(changed.iter().filter_map(|key| match key {
            Key::Object(key) if Kind::WITH_STATUS.contains(&key.kind) => Some(key.clone()),
            _ => None,
        }));
        // The parameters of classes are read each time that a class is looked at.
        let is_config =
            |key: &Key| matches!(key, Key::Object(key) if key.kind == Kind::GatewayConfig);
        if changed.iter().any(is_config) {
            out.statuses.extend(catalog.gateway_classes().map(|class| class.meta.key.clone()));
        }
        // They say where their Gateway is, which is by their class.
        let moves = |key: &Key| match key {
            Key::Object(key) => matches!(key.kind, Kind::Gateway | Kind::IngressClass),
            _ => false,
        };
        if changed.iter().any(moves) {
            let ingresses = catalog.list(Kind::Ingress);
            out.statuses.extend(ingresses.map(|ingress| ingress.key().clone()));
        }
        let Self { gateways, said, controller, .. } = self;
        for (name, group) in gateways {
            if !group.concerned(changed) {
                continue;
            }
            let group = Arc::make_mut(group);
            let key = GroupKey::Gateway(name.clone());
            out.note(key, || group.update(catalog, changed)).unwrap_or_else(|| {
                *group = gateway::Group::new(name.clone(), controller.clone(), self.bind);
                said.forget_gateway(name);
            });
            for part in group.take_spoken() {
                let complaints = group.complaints(&part);
                said.set(Topic::Gateway(name.clone(), part), complaints);
            }
            out.statuses.append(&mut group.take_statuses());
        }
        for (namespace, group) in &mut self.grpc {
            if !group.concerned(changed) {
                continue;
            }
            let group = Arc::make_mut(group);
            let key = GroupKey::Grpc { namespace: namespace.clone() };
            out.note(key, || group.update(catalog, changed)).unwrap_or_else(|| {
                *group = grpc::Group::new(namespace.clone());
            });
        }
        self.update_sidecars(catalog, changed, &mut out);
        if let Some(judge) = &mut self.gamma {
            let routes = judge.update(catalog, changed);
            for route in &routes {
                self.said.set(Topic::Mesh(route.clone()), judge.complaints(route).to_vec());
            }
            out.statuses.extend(routes);
        }
        if self.only.is_none() {
            for key in self.register.update(catalog, changed) {
                let complaints = self.register.complaints(&key);
                self.said.set(Topic::Register(key), complaints);
            }
            let (controller, mesh) = (&*self.controller, self.gamma.is_some());
            self.documents.update(catalog, changed, controller, mesh, &mut self.said);
        }
        out
    }

    fn update_sidecars(&mut self, catalog: &Catalog, changed: &[Key], out: &mut Update) {
        if self.sidecars.is_empty() {
            self.directory = sidecar::Directory::default();
            self.scopes.clear();
            return;
        }
        let changes = self.directory.update(catalog, changed);
        // Of what may have changed, the little that says which scope somebody has.
        let of_scopes: BTreeSet<&Key> = changed
            .iter()
            .filter(|key| match key {
                Key::Object(key) => matches!(key.kind, Kind::SidecarScope | Kind::MeshConfig),
                Key::In(kind, _) => *kind == Kind::SidecarScope,
                _ => false,
            })
            .collect();
        for (workload, sidecar) in &mut self.sidecars {
            let unplaced =
                sidecar.scope.is_none() || sidecar.reads.iter().any(|key| of_scopes.contains(key));
            if !unplaced && !sidecar.inbound.concerned(changed) {
                continue;
            }
            let sidecar = Arc::make_mut(sidecar);
            let key = GroupKey::Sidecar(workload.clone());
            let mut moved = false;
            if unplaced {
                let view = View::new(catalog);
                let scope = sidecar::scope_of(&view, workload);
                sidecar.reads = view.into_reads();
                moved = sidecar.scope.replace(scope.clone()) != Some(scope);
            }
            out.note(key, || sidecar.inbound.update(catalog, changed) | moved)
                .unwrap_or_else(|| *sidecar = Sidecar::new(workload));
            let complaints = sidecar.inbound.complaints().to_vec();
            self.said.set(Topic::Sidecar(workload.clone()), complaints);
        }
        let used: BTreeSet<&ScopeKey> =
            self.sidecars.values().filter_map(|sidecar| sidecar.scope.as_ref()).collect();
        self.scopes.retain(|key, _| used.contains(key));
        let mut sought = std::mem::take(&mut self.sought);
        for (workload, hosts) in &mut sought {
            let scope = self.sidecars.get(workload).and_then(|sidecar| sidecar.scope.clone());
            if let Some(key) = scope {
                let scope = self.scopes.entry(key.clone());
                let scope = scope.or_insert_with(|| Arc::new(sidecar::Outbound::new(key)));
                Arc::make_mut(scope).seek(std::mem::take(hosts));
            }
        }
        for key in used {
            let scope = self
                .scopes
                .entry(key.clone())
                .or_insert_with(|| Arc::new(sidecar::Outbound::new(key.clone())));
            if !scope.concerned(changed, &changes) {
                continue;
            }
            let scope = Arc::make_mut(scope);
            let update = || scope.update(catalog, changed, &self.directory, &changes);
            out.note(GroupKey::Scope(key.clone()), update)
                .unwrap_or_else(|| *scope = sidecar::Outbound::new(key.clone()));
        }
    }

    /// The workloads with this scope.
    pub fn sidecars_of(&self, scope: &ScopeKey) -> impl Iterator<Item = SidecarKey> {
        let sidecars = self.sidecars.iter();
        let of = sidecars.filter(move |(_, sidecar)| sidecar.scope.as_ref() == Some(scope));
        of.map(|(key, _)| key.clone())
    }

    /// Each workload with sidecars, and the services that lead to it.
    pub fn workloads(
        &self,
    ) -> impl Iterator<Item = (&SidecarKey, impl Iterator<Item = &ObjectKey>)> {
        self.sidecars.iter().map(|(key, sidecar)| (key, sidecar.inbound.services()))
    }

    /// What a group has in common with others, and gets beside its own plan.
    #[must_use]
    pub fn base(&self, key: &GroupKey) -> Option<GroupKey> {
        match key {
            GroupKey::Sidecar(key) => self.sidecars.get(key)?.scope.clone().map(GroupKey::Scope),
            GroupKey::Gateway(_) | GroupKey::Grpc { .. } | GroupKey::Scope(_) => None,
        }
    }

    fn list_gateways(&mut self, catalog: &Catalog, out: &mut Update) {
        let Self { gateways, said, .. } = self;
        gateways.retain(|name, group| {
            let there = catalog.gateway(name).is_some();
            if !there {
                out.removed.push(GroupKey::Gateway(name.clone()));
                out.statuses.extend(group.told().cloned());
                said.forget_gateway(name);
            }
            there
        });
        let only = self.only.clone();
        let named = |name: &NamespacedName| match &only {
            None => true,
            Some(GroupKey::Gateway(only)) => only == name,
            Some(_) => false,
        };
        for gateway in catalog.gateways().filter(|gateway| named(&gateway.meta.key.name)) {
            let name = &gateway.meta.key.name;
            if !self.gateways.contains_key(name) {
                let group = gateway::Group::new(name.clone(), self.controller.clone(), self.bind);
                self.gateways.insert(name.clone(), Arc::new(group));
            }
        }
    }

    /// Every group that is compiled, the Gateways of others among them.
    pub fn groups(&self) -> impl Iterator<Item = GroupKey> {
        let gateways = self.gateways.keys().cloned().map(GroupKey::Gateway);
        let grpc = self.grpc.keys().cloned().map(|namespace| GroupKey::Grpc { namespace });
        let scopes = self.scopes.keys().cloned().map(GroupKey::Scope);
        let sidecars = self.sidecars.keys().cloned().map(GroupKey::Sidecar);
        gateways.chain(grpc).chain(scopes).chain(sidecars)
    }

    /// What the proxies of a group get; empty where it is a Gateway of another controller.
    #[must_use]
    pub fn plan(&self, key: &GroupKey) -> Option<&ir::Plan> {
        match key {
            GroupKey::Gateway(name) => self.gateways.get(name).map(|group| group.plan()),
            GroupKey::Grpc { namespace } => self.grpc.get(namespace).map(|group| group.plan()),
            GroupKey::Scope(key) => self.scopes.get(key).map(|scope| scope.plan()),
            GroupKey::Sidecar(key) => self.sidecars.get(key).map(|sidecar| sidecar.inbound.plan()),
        }
    }

    /// What is to be written into registries.
    #[must_use]
    pub fn registered(&self) -> &Registered {
        self.register.written()
    }

    /// What the proxies of each Gateway are made from, in order of name.
    pub fn fleets(&self) -> impl Iterator<Item = &Arc<Fleet>> {
        self.gateways.values().filter_map(|group| group.fleet())
    }

    /// What the proxies of this Gateway are made from.
    #[must_use]
    pub fn fleet(&self, gateway: &NamespacedName) -> Option<&Arc<Fleet>> {
        self.gateways.get(gateway)?.fleet()
    }

    /// Whether there is such a group, and it is ours to serve.
    #[must_use]
    pub fn served(&self, key: &GroupKey) -> bool {
        match key {
            GroupKey::Gateway(name) => self.gateways.get(name).is_some_and(|group| group.served()),
            GroupKey::Grpc { namespace } => self.grpc.contains_key(namespace),
            GroupKey::Scope(key) => self.scopes.contains_key(key),
            GroupKey::Sidecar(key) => self.sidecars.contains_key(key),
        }
    }

    /// Whether anything is found anew, or no more, since this was asked last.
    #[must_use]
    pub fn says_anew(&mut self) -> bool {
        self.said.anew()
    }

    /// All findings of the compile stage, in order of place.
    #[must_use]
    pub fn findings(&self, catalog: &Catalog) -> Vec<Finding> {
        self.said.findings(catalog)
    }

    /// Those that are about this object.
    #[must_use]
    pub fn findings_of(&self, catalog: &Catalog, object: &ObjectKey) -> Vec<Finding> {
        self.said.of(catalog, object)
    }

    /// Whether there is such a finding, on whichever line and whatever the hint.
    #[must_use]
    pub fn finds(&self, catalog: &Catalog, finding: &Finding) -> bool {
        self.said.says(catalog, finding)
    }

    /// How the findings differ from those of `older`, which this one was copied from, and its catalog. Costs the difference.
    #[must_use]
    pub fn findings_since(&self, catalog: &Catalog, older: &Self, before: &Catalog) -> Difference {
        self.said.since(catalog, &older.said, before)
    }

    /// The computed status of an object; `None` for kinds without one and for objects that are not ours.
    #[must_use]
    pub fn status(&self, catalog: &Catalog, key: &ObjectKey) -> Option<ObjectStatus> {
        let status = self.status_in_use(catalog, key);
        let Some(refused) = catalog.refused(key) else { return status };
        let route = refused.object.as_route();
        let named = route.into_iter().flat_map(|route| &route.parents);
        let ours = named.filter(|parent| {
            let gateway = Kind::find(&parent.group, &parent.kind) == Some(Kind::Gateway);
            let service = route.and_then(|route| gamma::service_of(route, parent));
            gateway && self.served(&GroupKey::Gateway(parent.name.clone()))
                || self.gamma.is_some() && service.is_some()
        });
        let parents =
            ours.map(|parent| ParentStatus { parent: parent.clone(), conditions: vec![] });
        let gateway = match &refused.object {
            Object::Gateway(gateway) => catalog
                .gateway_classes()
                .any(|c| c.meta.key.name.name == gateway.class && c.controller == self.controller),
            _ => false,
        };
        refused::overlay(status, refused, parents.collect(), gateway)
    }

    /// That of the version of the object that is in use.
    fn status_in_use(&self, catalog: &Catalog, key: &ObjectKey) -> Option<ObjectStatus> {
        match key.kind {
            Kind::GatewayClass => {
                let class = catalog.gateway_classes().find(|class| class.meta.key == *key)?;
                if class.controller != self.controller {
                    return None;
                }
                let accepted = match gateway::class_parameters(&View::new(catalog), class) {
                    Ok(_) => {
                        Condition::new("Accepted", true, "Accepted", "served by this controller")
                    }
                    Err(complaint) => {
                        let text = complaint.finding.text;
                        Condition::new("Accepted", false, "InvalidParameters", text)
                    }
                };
                Some(ObjectStatus::GatewayClass(GatewayClassStatus {
                    conditions: [accepted]
                        .into_iter()
                        .chain(catalog.gateway_api().map(features::version))
                        .collect(),
                    supported_features: features::supported(catalog.gateway_api()),
                }))
            }
            Kind::Gateway => {
                self.gateways.get(&key.name)?.gateway_status().map(ObjectStatus::Gateway)
            }
            Kind::Ingress => {
                let gateway = catalog.gateway_of_ingress(&key.name)?;
                let status = self.gateways.get(&gateway).and_then(|group| group.gateway_status());
                let addresses = status.map(|status| status.addresses).unwrap_or_default();
                Some(ObjectStatus::Ingress(IngressStatus { gateway, addresses }))
            }
            Kind::ListenerSet => {
                let mut groups = self.gateways.values();
                groups.find_map(|group| group.set_status(key)).map(ObjectStatus::ListenerSet)
            }
            Kind::BackendTlsPolicy => {
                let ancestors = self.gateways.values().filter_map(|group| group.policy_status(key));
                Some(ObjectStatus::Policy(ancestors.take(MOST_ANCESTORS).collect()))
            }
            kind if Kind::ROUTES.contains(&kind) => {
                let mut parents: Vec<ParentStatus> =
                    self.gateways.values().flat_map(|group| group.route_status(key)).collect();
                let of_services = self.gamma.iter().flat_map(|judge| judge.parents(key));
                parents.extend(of_services.cloned());
                Some(ObjectStatus::Route(parents))
            }
            _ => None,
        }
    }
}

impl Sidecar {
    fn new(key: &SidecarKey) -> Self {
        Self { inbound: sidecar::Inbound::new(key.clone()), scope: None, reads: Vec::new() }
    }
}

impl Update {
    /// Runs one group's update and notes what came of it; `None` if it panicked. Its state may be half done then: the
    /// caller makes it anew, and the next change compiles it from scratch.
    fn note(&mut self, key: GroupKey, update: impl FnOnce() -> bool) -> Option<()> {
        match catch_unwind(AssertUnwindSafe(update)) {
            Ok(true) => self.groups.push(key),
            Ok(false) => {}
            Err(_) => {
                self.failed.push(key);
                return None;
            }
        }
        Some(())
    }
}
