use std::collections::BTreeSet;
use std::net::IpAddr;
use std::ops::Bound;
use std::sync::Arc;

use imbl::ordmap::DiffItem;
use imbl::{OrdMap, OrdSet};
use model::{
    AccessPolicy, BackendTlsPolicy, ConfigMap, DnsRecord, EndpointSlice, Finding, Gateway,
    GatewayApi, GatewayClass, GatewayConfig, Health, Ingress, IngressClass, Kind, LaneGroup,
    ListenerSet, MeshConfig, MeshService, MeshSettings, Namespace, NamespacedName, Node, Object,
    ObjectKey, Pod, PolicyTarget, Question, ReferenceGrant, Refused, Registry, RegistryServiceId,
    Route, Secret, Service, Severity,
};

use crate::guard::ServedService;
use crate::ingress;

/// The one name that a MeshConfig has.
pub(crate) fn mesh_config() -> NamespacedName {
    NamespacedName::new("", "default")
}

/// Something that can be asked of a catalog and whose answer can change.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Key {
    /// One object, or its absence.
    Object(ObjectKey),
    /// Which routes name this object as a parent; what they say is asked of each.
    RoutesOf(ObjectKey),
    /// Which ListenerSets name this Gateway; what they say is asked of each.
    ListenerSetsOf(NamespacedName),
    /// Which policies and LaneGroups are for this object; what they say is asked of each.
    PoliciesOf(ObjectKey),
    /// The EndpointSlices of this Service, with their content.
    SlicesOf(NamespacedName),
    /// Which ReferenceGrants this namespace has.
    GrantsIn(Arc<str>),
    /// Which Gateways there are.
    Gateways,
    /// Which objects of a kind a namespace has (or, of a kind without namespaces, there are); what they say is asked of
    /// each.
    In(Kind, Arc<str>),
    /// Which namespaces have objects of this kind.
    NamespacesWith(Kind),
    /// The pod that has this address.
    PodAt(IpAddr),
    /// A service of a registry as it is served, or its absence.
    RegistryService(RegistryServiceId),
    /// What the DNS answered.
    Resolved(Question),
}

/// What is known of one source besides its objects.
#[derive(Clone, Debug)]
pub struct SourceState {
    pub health: Health,
    pub findings: OrdMap<Arc<str>, Arc<[Finding]>>,
}

/// The objects of one kind.
type Table = OrdMap<NamespacedName, Object>;
type Index<K, V = NamespacedName> = OrdMap<K, OrdSet<V>>;

/// Everything that all sources know, at one moment. Cheap to clone; copies share what is equal.
#[derive(Clone, Debug, Default)]
pub struct Catalog {
    /// Counts the steps that led here, in this process.
    pub generation: u64,
    objects: OrdMap<Kind, Table>,
    pub(crate) registry_services: OrdMap<RegistryServiceId, Arc<ServedService>>,
    pub(crate) resolved: OrdMap<Question, Arc<[DnsRecord]>>,
    pub(crate) sources: OrdMap<Arc<str>, SourceState>,
    pub(crate) refused: OrdMap<ObjectKey, Refused>,
    pub(crate) gateway_api: Option<Arc<GatewayApi>>,
    /// By what they name as parent, of whichever kind and whether it is there or not.
    routes_of: Index<ObjectKey, ObjectKey>,
    /// By Gateway.
    listener_sets_of: Index<NamespacedName>,
    /// By the object that they are for.
    policies_of: Index<ObjectKey, ObjectKey>,
    slices_of: Index<NamespacedName>,
    /// In which findings of sources, by source and scope, something is said of an object.
    said_of: Index<ObjectKey, (Arc<str>, Arc<str>)>,
    grants_in: Index<Arc<str>>,
    pods_at: Index<IpAddr>,
}

/// The typed object of a kind, from the table of that kind.
macro_rules! typed {
    ($catalog:expr, $kind:ident, $name:expr) => {
        match $catalog.table(Kind::$kind)?.get($name)? {
            Object::$kind(object) => Some(object),
            _ => None,
        }
    };
}

macro_rules! all {
    ($catalog:expr, $kind:ident) => {
        $catalog.table(Kind::$kind).into_iter().flat_map(OrdMap::values).filter_map(|object| {
            match object {
                Object::$kind(object) => Some(object),
                _ => None,
            }
        })
    };
}

impl Catalog {
    fn table(&self, kind: Kind) -> Option<&Table> {
        self.objects.get(&kind)
    }

    #[must_use]
    pub fn get(&self, key: &ObjectKey) -> Option<&Object> {
        self.table(key.kind)?.get(&key.name)
    }

    /// All objects of a kind in order of namespace and name.
    pub fn list(&self, kind: Kind) -> impl Iterator<Item = &Object> {
        self.table(kind).into_iter().flat_map(OrdMap::values)
    }

    /// The objects of a kind in a namespace, in order of name.
    pub fn list_in<'a>(
        &'a self,
        kind: Kind,
        namespace: &'a Arc<str>,
    ) -> impl Iterator<Item = &'a Object> {
        let from = NamespacedName { namespace: namespace.clone(), name: "".into() };
        let table = self.table(kind).into_iter();
        table
            .flat_map(move |table| table.range((Bound::Included(from.clone()), Bound::Unbounded)))
            .take_while(move |(name, _)| name.namespace == *namespace)
            .map(|(_, object)| object)
    }

    /// The namespaces that have objects of this kind, in order. Costs a step each.
    pub fn namespaces_with(&self, kind: Kind) -> impl Iterator<Item = &Arc<str>> {
        let table = self.table(kind);
        let mut last: Option<&Arc<str>> = None;
        std::iter::from_fn(move || {
            let from = match last {
                None => Bound::Unbounded,
                // No name is longer than 253 letters, all of them below this one.
                Some(namespace) => Bound::Excluded(NamespacedName {
                    namespace: namespace.clone(),
                    name: "\u{10ffff}".into(),
                }),
            };
            let (name, _) = table?.range((from, Bound::Unbounded)).next()?;
            last = Some(&name.namespace);
            last
        })
    }

    pub(crate) fn pod_at(&self, address: IpAddr) -> Option<&Arc<Pod>> {
        let name = self.pods_at.get(&address)?.iter().next()?;
        self.pod(name)
    }

    pub(crate) fn pod(&self, name: &NamespacedName) -> Option<&Arc<Pod>> {
        typed!(self, Pod, name)
    }

    /// What is the same for the whole mesh, for whoever does not compile: reading it is noted nowhere.
    #[must_use]
    pub fn mesh(&self) -> MeshSettings {
        self.mesh_config(&mesh_config()).map(|config| config.settings.clone()).unwrap_or_default()
    }

    pub(crate) fn mesh_config(&self, name: &NamespacedName) -> Option<&Arc<MeshConfig>> {
        typed!(self, MeshConfig, name)
    }

    pub fn gateways(&self) -> impl Iterator<Item = &Arc<Gateway>> {
        all!(self, Gateway)
    }

    /// Which definitions of Gateway API the API server has; `None` without one, or where it does not say.
    #[must_use]
    pub fn gateway_api(&self) -> Option<&GatewayApi> {
        self.gateway_api.as_deref()
    }

    pub fn gateway_classes(&self) -> impl Iterator<Item = &Arc<GatewayClass>> {
        all!(self, GatewayClass)
    }

    pub fn listener_sets(&self) -> impl Iterator<Item = &Arc<ListenerSet>> {
        all!(self, ListenerSet)
    }

    /// The routes of every kind, a kind after the other.
    pub fn routes(&self) -> impl Iterator<Item = &Arc<Route>> {
        Kind::ROUTES.into_iter().flat_map(|kind| self.list(kind)).filter_map(Object::as_route)
    }

    pub fn backend_tls_policies(&self) -> impl Iterator<Item = &Arc<BackendTlsPolicy>> {
        all!(self, BackendTlsPolicy)
    }

    pub(crate) fn ingress_classes(&self) -> impl Iterator<Item = &Arc<IngressClass>> {
        all!(self, IngressClass)
    }

    pub fn mesh_services(&self) -> impl Iterator<Item = &Arc<MeshService>> {
        all!(self, MeshService)
    }

    pub fn registries(&self) -> impl Iterator<Item = &Arc<Registry>> {
        all!(self, Registry)
    }

    #[must_use]
    pub fn gateway(&self, name: &NamespacedName) -> Option<&Arc<Gateway>> {
        typed!(self, Gateway, name)
    }

    #[must_use]
    pub fn registry(&self, name: &NamespacedName) -> Option<&Arc<Registry>> {
        typed!(self, Registry, name)
    }

    pub(crate) fn config_map(&self, name: &NamespacedName) -> Option<&Arc<ConfigMap>> {
        typed!(self, ConfigMap, name)
    }

    pub(crate) fn gateway_class(&self, name: &NamespacedName) -> Option<&Arc<GatewayClass>> {
        typed!(self, GatewayClass, name)
    }

    pub(crate) fn gateway_config(&self, name: &NamespacedName) -> Option<&Arc<GatewayConfig>> {
        typed!(self, GatewayConfig, name)
    }

    /// The Gateway that an Ingress is attached to, if its class is one of ours.
    #[must_use]
    pub fn gateway_of_ingress(&self, name: &NamespacedName) -> Option<NamespacedName> {
        ingress::served(self, name).map(|(_, gateway)| gateway)
    }

    pub(crate) fn ingress(&self, name: &NamespacedName) -> Option<&Arc<Ingress>> {
        typed!(self, Ingress, name)
    }

    pub(crate) fn listener_set(&self, name: &NamespacedName) -> Option<&Arc<ListenerSet>> {
        typed!(self, ListenerSet, name)
    }

    pub(crate) fn mesh_service(&self, name: &NamespacedName) -> Option<&Arc<MeshService>> {
        typed!(self, MeshService, name)
    }

    pub(crate) fn namespace(&self, name: &NamespacedName) -> Option<&Arc<Namespace>> {
        typed!(self, Namespace, name)
    }

    pub(crate) fn node(&self, name: &NamespacedName) -> Option<&Arc<Node>> {
        typed!(self, Node, name)
    }

    pub(crate) fn secret(&self, name: &NamespacedName) -> Option<&Arc<Secret>> {
        typed!(self, Secret, name)
    }

    pub(crate) fn service(&self, name: &NamespacedName) -> Option<&Arc<Service>> {
        typed!(self, Service, name)
    }

    /// Whether the documents of kind Registry are those of `older`, another state of this catalog.
    #[must_use]
    pub fn same_registries(&self, older: &Self) -> bool {
        match (self.table(Kind::Registry), older.table(Kind::Registry)) {
            (Some(new), Some(old)) => new.ptr_eq(old),
            (new, old) => new.is_none() && old.is_none(),
        }
    }

    /// A service of a registry, as it is served.
    #[must_use]
    pub fn registry_service(&self, id: &RegistryServiceId) -> Option<&Arc<ServedService>> {
        self.registry_services.get(id)
    }

    /// Services of registries that are served otherwise than in `older`; `None` for those that are no more.
    pub fn services_since<'a>(
        &'a self,
        older: &'a Self,
    ) -> impl Iterator<Item = (&'a RegistryServiceId, Option<&'a Arc<ServedService>>)> {
        older.registry_services.diff(&self.registry_services).map(|item| match item {
            DiffItem::Add(id, service) => (id, Some(service)),
            DiffItem::Remove(id, _) => (id, None),
            DiffItem::Update { new: (id, service), .. } => (id, Some(service)),
        })
    }

    /// The questions that the DNS answers otherwise than in `older`.
    pub fn resolved_since<'a>(&'a self, older: &'a Self) -> impl Iterator<Item = &'a Question> {
        older.resolved.diff(&self.resolved).map(|item| match item {
            DiffItem::Add(question, _) | DiffItem::Remove(question, _) => question,
            DiffItem::Update { new: (question, _), .. } => question,
        })
    }

    /// Why an object of an API server cannot be used as it is there now. Its last good version may still be in use.
    #[must_use]
    pub fn refused(&self, key: &ObjectKey) -> Option<&Refused> {
        self.refused.get(key)
    }

    pub fn all_refused(&self) -> impl Iterator<Item = &Refused> {
        self.refused.values()
    }

    /// The generation of what was read last of an object, be it in use or refused: that which a status is about.
    #[must_use]
    pub fn generation_of(&self, key: &ObjectKey) -> Option<i64> {
        let refused = self.refused(key).map(|refused| &refused.object);
        refused.or_else(|| self.get(key)).map(|object| object.meta().generation)
    }

    /// Empty where the object is not there.
    pub(crate) fn source_of(&self, key: &ObjectKey) -> Arc<str> {
        self.get(key).map_or_else(|| "".into(), |object| object.meta().source.clone())
    }

    /// What this source refused of the object is no more. Returns whether there was something.
    pub(crate) fn accept(
        &mut self,
        key: &ObjectKey,
        source: &Arc<str>,
        changed: &mut Vec<Key>,
    ) -> bool {
        let known = self.refused.get(key).is_some_and(|r| r.object.meta().source == *source);
        if known {
            self.refused.remove(key);
            changed.push(Key::Object(key.clone()));
        }
        known
    }

    /// Sources by name, with their health and what they have to say about their input.
    pub fn sources(&self) -> impl Iterator<Item = (&Arc<str>, &SourceState)> {
        self.sources.iter()
    }

    #[must_use]
    pub fn source(&self, name: &str) -> Option<&SourceState> {
        self.sources.get(name)
    }

    /// What sources have to say about this object.
    pub fn said_of(&self, key: &ObjectKey) -> impl Iterator<Item = (&Arc<str>, &Finding)> {
        let scopes = self.said_of.get(key).into_iter().flatten();
        let lists = scopes.filter_map(|(source, scope)| {
            let said = self.sources.get(source)?.findings.get(scope)?;
            Some(said.iter().map(move |finding| (source, finding)))
        });
        lists.flatten().filter(|(_, finding)| finding.at.object.as_ref() == Some(key))
    }

    /// Whether somebody wrote this object and it could not be used, so that there is none.
    #[must_use]
    pub fn is_unusable(&self, key: &ObjectKey) -> bool {
        let mut said = self.said_of(key);
        said.any(|(_, finding)| finding.severity == Severity::Error) && self.get(key).is_none()
    }

    /// The objects that are unusable now and were not in `older`, an earlier state of this catalog, or the other way round.
    #[must_use]
    pub fn usable_since(&self, older: &Self) -> Vec<ObjectKey> {
        let mut keys: BTreeSet<ObjectKey> = self.changed_since(older).into_iter().collect();
        for name in self.sources_since(older) {
            let of = |catalog: &Self| {
                let state = catalog.sources.get(&name);
                state.map(|state| state.findings.clone()).unwrap_or_default()
            };
            let (old, new) = (of(older), of(self));
            let lists = old.diff(&new).flat_map(|item| match item {
                DiffItem::Add(_, list) | DiffItem::Remove(_, list) => [Some(list), None],
                DiffItem::Update { old: (_, old), new: (_, new) } => [Some(old), Some(new)],
            });
            let findings = lists.flatten().flat_map(|list| &**list);
            keys.extend(findings.filter_map(|finding| finding.at.object.clone()));
        }
        keys.retain(|key| self.is_unusable(key) != older.is_unusable(key));
        keys.into_iter().collect()
    }

    /// Sources of which there is another health, or something else said, than in `older`.
    #[must_use]
    pub fn sources_since(&self, older: &Self) -> Vec<Arc<str>> {
        if self.sources.ptr_eq(&older.sources) {
            return Vec::new();
        }
        let differs = |name: &&Arc<str>| match (self.sources.get(*name), older.sources.get(*name)) {
            (Some(a), Some(b)) => a.health != b.health || !a.findings.ptr_eq(&b.findings),
            _ => true,
        };
        let all: BTreeSet<&Arc<str>> = self.sources.keys().chain(older.sources.keys()).collect();
        all.into_iter().filter(differs).cloned().collect()
    }

    /// Puts what a source says of a scope in the place of what it said before; returns whether that is new.
    pub(crate) fn say(
        &mut self,
        source: &Arc<str>,
        scope: Arc<str>,
        findings: Vec<Finding>,
    ) -> bool {
        let findings: Arc<[Finding]> = findings.into();
        let known = &mut self.state(source).findings;
        let old = match (known.get(&scope), findings.is_empty()) {
            (None, true) => return false,
            (Some(old), _) if *old == findings => return false,
            (_, true) => known.remove(&scope),
            (_, false) => known.insert(scope.clone(), findings.clone()),
        };
        let place = (source.clone(), scope);
        for key in old.iter().flat_map(|old| about(old)) {
            take(&mut self.said_of, key, &place);
        }
        for key in about(&findings) {
            self.said_of.entry(key.clone()).or_default().insert(place.clone());
        }
        true
    }

    pub(crate) fn state(&mut self, source: &Arc<str>) -> &mut SourceState {
        self.sources
            .entry(source.clone())
            .or_insert_with(|| SourceState { health: Health::Syncing, findings: OrdMap::new() })
    }

    /// This source is no more, nor is what it said.
    pub(crate) fn forget_source(&mut self, source: &Arc<str>) {
        let Some(state) = self.sources.remove(source) else { return };
        for (scope, said) in &state.findings {
            for key in about(said) {
                take(&mut self.said_of, key, &(source.clone(), scope.clone()));
            }
        }
    }

    /// What was put or deleted since `older`, an earlier state of this catalog. Costs the difference, not the size.
    #[must_use]
    pub fn changed_since(&self, older: &Self) -> Vec<ObjectKey> {
        let of = |catalog: &'_ Self, kind| catalog.table(kind).cloned().unwrap_or_default();
        let mut out = Vec::new();
        for kind in Kind::ALL {
            let (older, newer) = (of(older, kind), of(self, kind));
            out.extend(older.diff(&newer).map(|item| {
                let name = match item {
                    DiffItem::Add(name, _) | DiffItem::Remove(name, _) => name,
                    DiffItem::Update { new, .. } => new.0,
                };
                ObjectKey { kind, name: name.clone() }
            }));
        }
        out
    }

    /// The same with these objects in another form, or without them, and every key whose answer is now another. Services of
    /// registries and answers of the DNS are as they are.
    #[must_use]
    pub fn with<'a>(
        &self,
        forms: impl IntoIterator<Item = (&'a ObjectKey, Option<&'a Object>)>,
    ) -> (Self, Vec<Key>) {
        let (mut other, mut changed) = (self.clone(), Vec::new());
        for (key, form) in forms {
            match form {
                Some(object) => other.put(object.clone(), &mut changed),
                None => {
                    other.delete(key, &mut changed);
                    // Who else is there may come and go meanwhile, unnoticed while this one is there too.
                    changed.push(Key::NamespacesWith(key.kind));
                }
            }
        }
        changed.sort();
        changed.dedup();
        (other, changed)
    }

    /// Number of objects of a kind.
    #[must_use]
    pub fn count(&self, kind: Kind) -> usize {
        self.table(kind).map_or(0, OrdMap::len)
    }

    pub fn routes_of(&self, parent: &ObjectKey) -> impl Iterator<Item = &Arc<Route>> {
        let keys = self.routes_of.get(parent).into_iter().flatten();
        keys.filter_map(|key| self.get(key)?.as_route())
    }

    pub fn listener_sets_of(
        &self,
        gateway: &NamespacedName,
    ) -> impl Iterator<Item = &Arc<ListenerSet>> {
        let names = self.listener_sets_of.get(gateway).into_iter().flatten();
        names.filter_map(|name| self.listener_set(name))
    }

    pub(crate) fn backend_tls_policies_of(
        &self,
        target: &ObjectKey,
    ) -> impl Iterator<Item = &Arc<BackendTlsPolicy>> {
        self.policies_of(target).filter_map(|object| match object {
            Object::BackendTlsPolicy(policy) => Some(policy),
            _ => None,
        })
    }

    pub(crate) fn access_policies_of(
        &self,
        target: &ObjectKey,
    ) -> impl Iterator<Item = &Arc<AccessPolicy>> {
        self.policies_of(target).filter_map(|object| match object {
            Object::AccessPolicy(policy) => Some(policy),
            _ => None,
        })
    }

    pub(crate) fn lane_groups_of(
        &self,
        target: &ObjectKey,
    ) -> impl Iterator<Item = &Arc<LaneGroup>> {
        self.policies_of(target).filter_map(|object| match object {
            Object::LaneGroup(group) => Some(group),
            _ => None,
        })
    }

    fn policies_of(&self, target: &ObjectKey) -> impl Iterator<Item = &Object> {
        let keys = self.policies_of.get(target).into_iter().flatten();
        keys.filter_map(|key| self.get(key))
    }

    pub(crate) fn slices_of(
        &self,
        service: &NamespacedName,
    ) -> impl Iterator<Item = &Arc<EndpointSlice>> {
        let names = self.slices_of.get(service).into_iter().flatten();
        names.filter_map(|name| typed!(self, EndpointSlice, name))
    }

    pub(crate) fn grants_in(
        &self,
        namespace: &Arc<str>,
    ) -> impl Iterator<Item = &Arc<ReferenceGrant>> {
        let names = self.grants_in.get(namespace).into_iter().flatten();
        names.filter_map(|name| typed!(self, ReferenceGrant, name))
    }

    /// Puts the object in its table and indexes; adds to `changed` every key whose answer is now another.
    pub(crate) fn put(&mut self, object: Object, changed: &mut Vec<Key>) {
        let key = object.key().clone();
        if let Some(old) = self.get(&key) {
            if *old == object {
                return;
            }
            // Who is in the same lists as before changes only those lists whose answer is the content.
            let content = matches!(old, Object::EndpointSlice(_) | Object::ReferenceGrant(_));
            if content || entries(old) != entries(&object) {
                let old = old.clone();
                self.unindex(&old, changed);
                self.index(&object, changed);
            }
        } else {
            self.listed(&key, changed);
            self.index(&object, changed);
        }
        changed.push(Key::Object(key.clone()));
        self.objects.entry(key.kind).or_default().insert(key.name, object);
    }

    pub(crate) fn delete(&mut self, key: &ObjectKey, changed: &mut Vec<Key>) {
        let Some(old) = self.objects.get_mut(&key.kind).and_then(|table| table.remove(&key.name))
        else {
            return;
        };
        self.unindex(&old, changed);
        self.listed(key, changed);
        changed.push(Key::Object(key.clone()));
    }

    /// An object is about to come, or has just gone.
    fn listed(&self, key: &ObjectKey, changed: &mut Vec<Key>) {
        if key.kind == Kind::Gateway {
            changed.push(Key::Gateways);
        }
        let namespace = &key.name.namespace;
        changed.push(Key::In(key.kind, namespace.clone()));
        if self.list_in(key.kind, namespace).next().is_none() {
            changed.push(Key::NamespacesWith(key.kind));
        }
    }

    fn index(&mut self, object: &Object, changed: &mut Vec<Key>) {
        let key = object.key();
        let name = || key.name.clone();
        for entry in entries(object) {
            match &entry {
                Key::RoutesOf(parent) => {
                    self.routes_of.entry(parent.clone()).or_default().insert(key.clone());
                }
                Key::ListenerSetsOf(gateway) => {
                    self.listener_sets_of.entry(gateway.clone()).or_default().insert(name());
                }
                Key::PoliciesOf(target) => {
                    self.policies_of.entry(target.clone()).or_default().insert(key.clone());
                }
                Key::SlicesOf(service) => {
                    self.slices_of.entry(service.clone()).or_default().insert(name());
                }
                Key::GrantsIn(namespace) => {
                    self.grants_in.entry(namespace.clone()).or_default().insert(name());
                }
                Key::PodAt(address) => {
                    self.pods_at.entry(*address).or_default().insert(name());
                }
                Key::In(..)
                | Key::NamespacesWith(_)
                | Key::Object(_)
                | Key::Gateways
                | Key::RegistryService(_)
                | Key::Resolved(_) => {}
            }
            changed.push(entry);
        }
    }

    fn unindex(&mut self, object: &Object, changed: &mut Vec<Key>) {
        let key = object.key();
        for entry in entries(object) {
            match &entry {
                Key::RoutesOf(parent) => take(&mut self.routes_of, parent, key),
                Key::ListenerSetsOf(gateway) => {
                    take(&mut self.listener_sets_of, gateway, &key.name);
                }
                Key::PoliciesOf(target) => take(&mut self.policies_of, target, key),
                Key::SlicesOf(service) => take(&mut self.slices_of, service, &key.name),
                Key::GrantsIn(namespace) => take(&mut self.grants_in, namespace, &key.name),
                Key::PodAt(address) => take(&mut self.pods_at, address, &key.name),
                Key::In(..)
                | Key::NamespacesWith(_)
                | Key::Object(_)
                | Key::Gateways
                | Key::RegistryService(_)
                | Key::Resolved(_) => {}
            }
            changed.push(entry);
        }
    }
}

/// The objects that these are about.
fn about(findings: &[Finding]) -> impl Iterator<Item = &ObjectKey> {
    findings.iter().filter_map(|finding| finding.at.object.as_ref())
}

/// The lists that an object is in, each once.
fn entries(object: &Object) -> BTreeSet<Key> {
    let find = |group: &str, kind: &str, name: &NamespacedName| {
        Some(ObjectKey { kind: Kind::find(group, kind)?, name: name.clone() })
    };
    let policies_of = |targets: &[PolicyTarget]| {
        let keys = targets.iter().filter_map(|t| find(&t.group, &t.kind, &t.name));
        keys.map(Key::PoliciesOf).collect()
    };
    match object {
        Object::EndpointSlice(slice) => slice.service.iter().cloned().map(Key::SlicesOf).collect(),
        Object::ReferenceGrant(grant) => {
            BTreeSet::from([Key::GrantsIn(grant.meta.namespace().clone())])
        }
        Object::ListenerSet(set) => find(&set.parent.group, &set.parent.kind, &set.parent.name)
            .filter(|parent| parent.kind == Kind::Gateway)
            .map(|parent| Key::ListenerSetsOf(parent.name))
            .into_iter()
            .collect(),
        Object::Pod(pod) => pod.addresses.iter().copied().map(Key::PodAt).collect(),
        Object::BackendTlsPolicy(policy) => policies_of(&policy.targets),
        Object::AccessPolicy(policy) => policies_of(&policy.reach.targets),
        Object::LaneGroup(group) => {
            let entries = group.entries.iter().map(|e| find(&e.group, &e.kind, &e.name));
            let services = group.services.iter().map(|s| find(&s.group, &s.kind, &s.name));
            entries.chain(services).flatten().map(Key::PoliciesOf).collect()
        }
        _ => {
            let parents = object.as_route().into_iter().flat_map(|route| &route.parents);
            let keys = parents.filter_map(|p| find(&p.group, &p.kind, &p.name));
            keys.map(Key::RoutesOf).collect()
        }
    }
}

fn take<K: Ord + Clone, V: Ord + Clone>(index: &mut Index<K, V>, key: &K, name: &V) {
    if let Some(names) = index.get_mut(key) {
        names.remove(name);
        if names.is_empty() {
            index.remove(key);
        }
    }
}
