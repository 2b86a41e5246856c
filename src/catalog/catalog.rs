use std::sync::Arc;

use imbl::ordmap::DiffItem;
use imbl::{OrdMap, OrdSet};
use model::{
    DnsRecord, EndpointSlice, Finding, Gateway, GatewayClass, Health, HttpRoute, Kind, MeshService,
    Namespace, NamespacedName, Object, ObjectKey, Question, ReferenceGrant, Registry,
    RegistryServiceId, Secret, Service,
};

use crate::guard::ServedService;

/// Something that can be asked of a catalog and whose answer can change.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Key {
    /// One object, or its absence.
    Object(ObjectKey),
    /// Which routes name this Gateway as a parent; what they say is asked of each.
    RoutesOf(NamespacedName),
    /// The EndpointSlices of this Service, with their content.
    SlicesOf(NamespacedName),
    /// Which ReferenceGrants this namespace has.
    GrantsIn(Arc<str>),
    /// Which Gateways there are.
    Gateways,
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

type Table<T> = OrdMap<NamespacedName, Arc<T>>;
type Index<K> = OrdMap<K, OrdSet<NamespacedName>>;

/// Everything that all sources know, at one moment. Cheap to clone; copies share what is equal.
#[derive(Clone, Debug, Default)]
pub struct Catalog {
    /// Counts the steps that led here, in this process.
    pub generation: u64,
    pub(crate) endpoint_slices: Table<EndpointSlice>,
    pub(crate) gateway_classes: Table<GatewayClass>,
    pub(crate) gateways: Table<Gateway>,
    pub(crate) http_routes: Table<HttpRoute>,
    pub(crate) mesh_services: Table<MeshService>,
    pub(crate) namespaces: Table<Namespace>,
    pub(crate) reference_grants: Table<ReferenceGrant>,
    pub(crate) registries: Table<Registry>,
    pub(crate) registry_services: OrdMap<RegistryServiceId, Arc<ServedService>>,
    pub(crate) resolved: OrdMap<Question, Arc<[DnsRecord]>>,
    pub(crate) secrets: Table<Secret>,
    pub(crate) services: Table<Service>,
    pub(crate) sources: OrdMap<Arc<str>, SourceState>,
    routes_of: Index<NamespacedName>,
    slices_of: Index<NamespacedName>,
    grants_in: Index<Arc<str>>,
}

impl Catalog {
    #[must_use]
    pub fn get(&self, key: &ObjectKey) -> Option<Object> {
        let name = &key.name;
        match key.kind {
            Kind::EndpointSlice => {
                self.endpoint_slices.get(name).cloned().map(Object::EndpointSlice)
            }
            Kind::Gateway => self.gateways.get(name).cloned().map(Object::Gateway),
            Kind::GatewayClass => self.gateway_classes.get(name).cloned().map(Object::GatewayClass),
            Kind::HttpRoute => self.http_routes.get(name).cloned().map(Object::HttpRoute),
            Kind::MeshService => self.mesh_services.get(name).cloned().map(Object::MeshService),
            Kind::Namespace => self.namespaces.get(name).cloned().map(Object::Namespace),
            Kind::ReferenceGrant => {
                self.reference_grants.get(name).cloned().map(Object::ReferenceGrant)
            }
            Kind::Registry => self.registries.get(name).cloned().map(Object::Registry),
            Kind::Secret => self.secrets.get(name).cloned().map(Object::Secret),
            Kind::Service => self.services.get(name).cloned().map(Object::Service),
        }
    }

    /// All objects of a kind in order of namespace and name.
    #[must_use]
    pub fn list(&self, kind: Kind) -> Vec<Object> {
        match kind {
            Kind::EndpointSlice => {
                self.endpoint_slices.values().cloned().map(Object::EndpointSlice).collect()
            }
            Kind::Gateway => self.gateways.values().cloned().map(Object::Gateway).collect(),
            Kind::GatewayClass => {
                self.gateway_classes.values().cloned().map(Object::GatewayClass).collect()
            }
            Kind::HttpRoute => self.http_routes.values().cloned().map(Object::HttpRoute).collect(),
            Kind::MeshService => {
                self.mesh_services.values().cloned().map(Object::MeshService).collect()
            }
            Kind::Namespace => self.namespaces.values().cloned().map(Object::Namespace).collect(),
            Kind::ReferenceGrant => {
                self.reference_grants.values().cloned().map(Object::ReferenceGrant).collect()
            }
            Kind::Registry => self.registries.values().cloned().map(Object::Registry).collect(),
            Kind::Secret => self.secrets.values().cloned().map(Object::Secret).collect(),
            Kind::Service => self.services.values().cloned().map(Object::Service).collect(),
        }
    }

    pub fn gateways(&self) -> impl Iterator<Item = &Arc<Gateway>> {
        self.gateways.values()
    }

    pub fn gateway_classes(&self) -> impl Iterator<Item = &Arc<GatewayClass>> {
        self.gateway_classes.values()
    }

    pub fn http_routes(&self) -> impl Iterator<Item = &Arc<HttpRoute>> {
        self.http_routes.values()
    }

    pub fn mesh_services(&self) -> impl Iterator<Item = &Arc<MeshService>> {
        self.mesh_services.values()
    }

    pub fn registries(&self) -> impl Iterator<Item = &Arc<Registry>> {
        self.registries.values()
    }

    #[must_use]
    pub fn registry(&self, name: &NamespacedName) -> Option<&Arc<Registry>> {
        self.registries.get(name)
    }

    /// Whether the documents of kind Registry are those of `older`, another state of this catalog.
    #[must_use]
    pub fn same_registries(&self, older: &Self) -> bool {
        self.registries.ptr_eq(&older.registries)
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

    #[must_use]
    pub fn gateway(&self, name: &NamespacedName) -> Option<&Arc<Gateway>> {
        self.gateways.get(name)
    }

    /// Sources by name, with their health and what they have to say about their input.
    pub fn sources(&self) -> impl Iterator<Item = (&Arc<str>, &SourceState)> {
        self.sources.iter()
    }

    /// What was put or deleted since `older`, an earlier state of this catalog. Costs the difference, not the size.
    #[must_use]
    pub fn changed_since(&self, older: &Self) -> Vec<ObjectKey> {
        let mut out = Vec::new();
        table_diff(Kind::EndpointSlice, &older.endpoint_slices, &self.endpoint_slices, &mut out);
        table_diff(Kind::Gateway, &older.gateways, &self.gateways, &mut out);
        table_diff(Kind::GatewayClass, &older.gateway_classes, &self.gateway_classes, &mut out);
        table_diff(Kind::HttpRoute, &older.http_routes, &self.http_routes, &mut out);
        table_diff(Kind::MeshService, &older.mesh_services, &self.mesh_services, &mut out);
        table_diff(Kind::Namespace, &older.namespaces, &self.namespaces, &mut out);
        table_diff(Kind::ReferenceGrant, &older.reference_grants, &self.reference_grants, &mut out);
        table_diff(Kind::Registry, &older.registries, &self.registries, &mut out);
        table_diff(Kind::Secret, &older.secrets, &self.secrets, &mut out);
        table_diff(Kind::Service, &older.services, &self.services, &mut out);
        out
    }

    /// Number of objects of a kind.
    #[must_use]
    pub fn count(&self, kind: Kind) -> usize {
        match kind {
            Kind::EndpointSlice => self.endpoint_slices.len(),
            Kind::Gateway => self.gateways.len(),
            Kind::GatewayClass => self.gateway_classes.len(),
            Kind::HttpRoute => self.http_routes.len(),
            Kind::MeshService => self.mesh_services.len(),
            Kind::Namespace => self.namespaces.len(),
            Kind::ReferenceGrant => self.reference_grants.len(),
            Kind::Registry => self.registries.len(),
            Kind::Secret => self.secrets.len(),
            Kind::Service => self.services.len(),
        }
    }

    pub(crate) fn routes_of(
        &self,
        gateway: &NamespacedName,
    ) -> impl Iterator<Item = &Arc<HttpRoute>> {
        self.routes_of
            .get(gateway)
            .into_iter()
            .flatten()
            .filter_map(|name| self.http_routes.get(name))
    }

    pub(crate) fn slices_of(
        &self,
        service: &NamespacedName,
    ) -> impl Iterator<Item = &Arc<EndpointSlice>> {
        self.slices_of
            .get(service)
            .into_iter()
            .flatten()
            .filter_map(|name| self.endpoint_slices.get(name))
    }

    pub(crate) fn grants_in(
        &self,
        namespace: &Arc<str>,
    ) -> impl Iterator<Item = &Arc<ReferenceGrant>> {
        self.grants_in
            .get(namespace)
            .into_iter()
            .flatten()
            .filter_map(|name| self.reference_grants.get(name))
    }

    /// Puts the object in its table and indexes; adds to `changed` every key whose answer is now another.
    pub(crate) fn put(&mut self, object: Object, changed: &mut Vec<Key>) {
        let key = object.key().clone();
        if let Some(old) = self.get(&key) {
            if old == object {
                return;
            }
            match (&old, &object) {
                // The same parents: every list of routes stays as it is.
                (Object::HttpRoute(old), Object::HttpRoute(new))
                    if gateways_of(old) == gateways_of(new) => {}
                _ => {
                    self.unindex(&old, changed);
                    self.index(&object, changed);
                }
            }
        } else {
            if key.kind == Kind::Gateway {
                changed.push(Key::Gateways);
            }
            self.index(&object, changed);
        }
        let name = key.name.clone();
        changed.push(Key::Object(key));
        match object {
            Object::EndpointSlice(o) => drop(self.endpoint_slices.insert(name, o)),
            Object::Gateway(o) => drop(self.gateways.insert(name, o)),
            Object::GatewayClass(o) => drop(self.gateway_classes.insert(name, o)),
            Object::HttpRoute(o) => drop(self.http_routes.insert(name, o)),
            Object::MeshService(o) => drop(self.mesh_services.insert(name, o)),
            Object::Namespace(o) => drop(self.namespaces.insert(name, o)),
            Object::ReferenceGrant(o) => drop(self.reference_grants.insert(name, o)),
            Object::Registry(o) => drop(self.registries.insert(name, o)),
            Object::Secret(o) => drop(self.secrets.insert(name, o)),
            Object::Service(o) => drop(self.services.insert(name, o)),
        }
    }

    pub(crate) fn delete(&mut self, key: &ObjectKey, changed: &mut Vec<Key>) {
        let Some(old) = self.get(key) else { return };
        self.unindex(&old, changed);
        if key.kind == Kind::Gateway {
            changed.push(Key::Gateways);
        }
        changed.push(Key::Object(key.clone()));
        let name = &key.name;
        match key.kind {
            Kind::EndpointSlice => drop(self.endpoint_slices.remove(name)),
            Kind::Gateway => drop(self.gateways.remove(name)),
            Kind::GatewayClass => drop(self.gateway_classes.remove(name)),
            Kind::HttpRoute => drop(self.http_routes.remove(name)),
            Kind::MeshService => drop(self.mesh_services.remove(name)),
            Kind::Namespace => drop(self.namespaces.remove(name)),
            Kind::ReferenceGrant => drop(self.reference_grants.remove(name)),
            Kind::Registry => drop(self.registries.remove(name)),
            Kind::Secret => drop(self.secrets.remove(name)),
            Kind::Service => drop(self.services.remove(name)),
        }
    }

    fn index(&mut self, object: &Object, changed: &mut Vec<Key>) {
        let name = &object.key().name;
        match object {
            Object::HttpRoute(route) => {
                for gateway in gateways_of(route) {
                    self.routes_of.entry(gateway.clone()).or_default().insert(name.clone());
                    changed.push(Key::RoutesOf(gateway));
                }
            }
            Object::EndpointSlice(slice) => {
                if let Some(service) = &slice.service {
                    self.slices_of.entry(service.clone()).or_default().insert(name.clone());
                    changed.push(Key::SlicesOf(service.clone()));
                }
            }
            Object::ReferenceGrant(_) => {
                self.grants_in.entry(name.namespace.clone()).or_default().insert(name.clone());
                changed.push(Key::GrantsIn(name.namespace.clone()));
            }
            _ => {}
        }
    }

    fn unindex(&mut self, object: &Object, changed: &mut Vec<Key>) {
        let name = &object.key().name;
        match object {
            Object::HttpRoute(route) => {
                for gateway in gateways_of(route) {
                    take(&mut self.routes_of, &gateway, name);
                    changed.push(Key::RoutesOf(gateway));
                }
            }
            Object::EndpointSlice(slice) => {
                if let Some(service) = &slice.service {
                    take(&mut self.slices_of, service, name);
                    changed.push(Key::SlicesOf(service.clone()));
                }
            }
            Object::ReferenceGrant(_) => {
                take(&mut self.grants_in, &name.namespace, name);
                changed.push(Key::GrantsIn(name.namespace.clone()));
            }
            _ => {}
        }
    }
}

fn table_diff<T: PartialEq>(
    kind: Kind,
    older: &Table<T>,
    newer: &Table<T>,
    out: &mut Vec<ObjectKey>,
) {
    out.extend(older.diff(newer).map(|item| {
        let name = match item {
            DiffItem::Add(name, _) | DiffItem::Remove(name, _) => name,
            DiffItem::Update { new, .. } => new.0,
        };
        ObjectKey { kind, name: name.clone() }
    }));
}

fn take<K: Ord + Clone>(index: &mut Index<K>, key: &K, name: &NamespacedName) {
    if let Some(names) = index.get_mut(key) {
        names.remove(name);
        if names.is_empty() {
            index.remove(key);
        }
    }
}

/// The Gateways that a route names as parents, each once.
fn gateways_of(route: &HttpRoute) -> Vec<NamespacedName> {
    let mut names: Vec<_> = route
        .parents
        .iter()
        .filter(|p| {
            p.kind.as_ref() == Kind::Gateway.as_str() && p.group.as_ref() == Kind::Gateway.group()
        })
        .map(|p| p.name.clone())
        .collect();
    names.sort();
    names.dedup();
    names
}
