use std::cell::RefCell;
use std::sync::Arc;

use model::{
    DnsRecord, EndpointSlice, Gateway, GatewayClass, HttpRoute, Kind, MeshService, Namespace,
    NamespacedName, ObjectKey, Question, ReferenceGrant, Registry, RegistryServiceId, Secret,
    Service,
};

use crate::{Catalog, Key, ServedService};

/// A catalog that remembers what it was asked. What was computed from a view stays right until one of its keys changes.
#[derive(Debug)]
pub struct View<'a> {
    catalog: &'a Catalog,
    reads: RefCell<Vec<Key>>,
}

impl<'a> View<'a> {
    #[must_use]
    pub fn new(catalog: &'a Catalog) -> Self {
        Self { catalog, reads: RefCell::default() }
    }

    /// All keys that were read, sorted, each once.
    #[must_use]
    pub fn into_reads(self) -> Vec<Key> {
        let mut reads = self.reads.into_inner();
        reads.sort();
        reads.dedup();
        reads
    }

    fn note(&self, key: Key) {
        self.reads.borrow_mut().push(key);
    }

    fn object(&self, kind: Kind, name: &NamespacedName) {
        self.note(Key::Object(ObjectKey { kind, name: name.clone() }));
    }

    pub fn gateway(&self, name: &NamespacedName) -> Option<&'a Arc<Gateway>> {
        self.object(Kind::Gateway, name);
        self.catalog.gateways.get(name)
    }

    pub fn gateway_class(&self, name: &Arc<str>) -> Option<&'a Arc<GatewayClass>> {
        let name = NamespacedName { namespace: "".into(), name: name.clone() };
        self.object(Kind::GatewayClass, &name);
        self.catalog.gateway_classes.get(&name)
    }

    pub fn http_route(&self, name: &NamespacedName) -> Option<&'a Arc<HttpRoute>> {
        self.object(Kind::HttpRoute, name);
        self.catalog.http_routes.get(name)
    }

    pub fn mesh_service(&self, name: &NamespacedName) -> Option<&'a Arc<MeshService>> {
        self.object(Kind::MeshService, name);
        self.catalog.mesh_services.get(name)
    }

    pub fn namespace(&self, name: &Arc<str>) -> Option<&'a Arc<Namespace>> {
        let name = NamespacedName { namespace: "".into(), name: name.clone() };
        self.object(Kind::Namespace, &name);
        self.catalog.namespaces.get(&name)
    }

    pub fn registry(&self, name: &NamespacedName) -> Option<&'a Arc<Registry>> {
        self.object(Kind::Registry, name);
        self.catalog.registries.get(name)
    }

    pub fn registry_service(&self, id: &RegistryServiceId) -> Option<&'a Arc<ServedService>> {
        self.note(Key::RegistryService(id.clone()));
        self.catalog.registry_services.get(id)
    }

    /// `None` until the DNS has answered.
    pub fn resolved(&self, question: &Question) -> Option<&'a Arc<[DnsRecord]>> {
        self.note(Key::Resolved(question.clone()));
        self.catalog.resolved.get(question)
    }

    pub fn secret(&self, name: &NamespacedName) -> Option<&'a Arc<Secret>> {
        self.object(Kind::Secret, name);
        self.catalog.secrets.get(name)
    }

    pub fn service(&self, name: &NamespacedName) -> Option<&'a Arc<Service>> {
        self.object(Kind::Service, name);
        self.catalog.services.get(name)
    }

    pub fn routes_of(&self, gateway: &NamespacedName) -> impl Iterator<Item = &'a Arc<HttpRoute>> {
        self.note(Key::RoutesOf(gateway.clone()));
        self.catalog.routes_of(gateway)
    }

    /// All slices of a service. Covers their content too: a changed slice changes the answer.
    pub fn slices_of(
        &self,
        service: &NamespacedName,
    ) -> impl Iterator<Item = &'a Arc<EndpointSlice>> {
        self.note(Key::SlicesOf(service.clone()));
        self.catalog.slices_of(service)
    }

    pub fn grants_in(&self, namespace: &Arc<str>) -> impl Iterator<Item = &'a Arc<ReferenceGrant>> {
        self.note(Key::GrantsIn(namespace.clone()));
        self.catalog.grants_in(namespace)
    }
}
