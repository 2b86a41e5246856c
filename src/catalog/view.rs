use std::cell::RefCell;
use std::net::IpAddr;
use std::sync::Arc;

use model::{
    AccessPolicy, BackendTlsPolicy, ConfigMap, DnsRecord, EndpointSlice, Gateway, GatewayClass,
    GatewayConfig, Kind, LaneGroup, ListenerSet, MeshService, MeshSettings, Namespace,
    NamespacedName, Node, Object, ObjectKey, Pod, Question, ReferenceGrant, Registry,
    RegistryServiceId, Route, Secret, Service,
};

use crate::catalog::mesh_config;
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
        self.catalog.gateway(name)
    }

    pub fn gateway_class(&self, name: &Arc<str>) -> Option<&'a Arc<GatewayClass>> {
        let name = NamespacedName { namespace: "".into(), name: name.clone() };
        self.object(Kind::GatewayClass, &name);
        self.catalog.gateway_class(&name)
    }

    pub fn config_map(&self, name: &NamespacedName) -> Option<&'a Arc<ConfigMap>> {
        self.object(Kind::ConfigMap, name);
        self.catalog.config_map(name)
    }

    pub fn listener_set(&self, name: &NamespacedName) -> Option<&'a Arc<ListenerSet>> {
        self.object(Kind::ListenerSet, name);
        self.catalog.listener_set(name)
    }

    pub fn gateway_config(&self, name: &NamespacedName) -> Option<&'a Arc<GatewayConfig>> {
        self.object(Kind::GatewayConfig, name);
        self.catalog.gateway_config(name)
    }

    /// A route of any kind.
    pub fn route(&self, key: &ObjectKey) -> Option<&'a Arc<Route>> {
        self.note(Key::Object(key.clone()));
        self.catalog.get(key)?.as_route()
    }

    pub fn mesh_service(&self, name: &NamespacedName) -> Option<&'a Arc<MeshService>> {
        self.object(Kind::MeshService, name);
        self.catalog.mesh_service(name)
    }

    pub fn namespace(&self, name: &Arc<str>) -> Option<&'a Arc<Namespace>> {
        let name = NamespacedName { namespace: "".into(), name: name.clone() };
        self.object(Kind::Namespace, &name);
        self.catalog.namespace(&name)
    }

    /// A pod by name.
    pub fn pod(&self, name: &NamespacedName) -> Option<&'a Arc<Pod>> {
        self.object(Kind::Pod, name);
        self.catalog.pod(name)
    }

    /// The pod that has this address; of several, as while one ends, the first by name.
    pub fn pod_at(&self, address: IpAddr) -> Option<&'a Arc<Pod>> {
        self.note(Key::PodAt(address));
        let pod = self.catalog.pod_at(address)?;
        self.object(Kind::Pod, pod.meta.name());
        Some(pod)
    }

    /// What counts for the whole mesh.
    pub fn mesh(&self) -> MeshSettings {
        self.object(Kind::MeshConfig, &mesh_config());
        self.catalog.mesh()
    }

    /// The objects of a kind in a namespace, in order of name. Covers their content too.
    pub fn list_in(&self, kind: Kind, namespace: &Arc<str>) -> Vec<&'a Object> {
        self.note(Key::In(kind, namespace.clone()));
        let names: Vec<_> =
            self.catalog.list_in(kind, namespace).map(|object| object.key().clone()).collect();
        names.into_iter().filter_map(|key| self.get(&key)).collect()
    }

    /// The names of the objects of a kind in a namespace, in order.
    pub fn names_in(&self, kind: Kind, namespace: &Arc<str>) -> Vec<ObjectKey> {
        self.note(Key::In(kind, namespace.clone()));
        self.catalog.list_in(kind, namespace).map(|object| object.key().clone()).collect()
    }

    pub fn namespaces_with(&self, kind: Kind) -> impl Iterator<Item = &'a Arc<str>> {
        self.note(Key::NamespacesWith(kind));
        self.catalog.namespaces_with(kind)
    }

    /// Any object.
    pub fn get(&self, key: &ObjectKey) -> Option<&'a Object> {
        self.note(Key::Object(key.clone()));
        self.catalog.get(key)
    }

    pub fn node(&self, name: &Arc<str>) -> Option<&'a Arc<Node>> {
        let name = NamespacedName { namespace: "".into(), name: name.clone() };
        self.object(Kind::Node, &name);
        self.catalog.node(&name)
    }

    pub fn registry(&self, name: &NamespacedName) -> Option<&'a Arc<Registry>> {
        self.object(Kind::Registry, name);
        self.catalog.registry(name)
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
        self.catalog.secret(name)
    }

    pub fn service(&self, name: &NamespacedName) -> Option<&'a Arc<Service>> {
        self.object(Kind::Service, name);
        self.catalog.service(name)
    }

    /// The routes of every kind that name this object as a parent.
    pub fn routes_of(&self, parent: &ObjectKey) -> impl Iterator<Item = &'a Arc<Route>> {
        self.note(Key::RoutesOf(parent.clone()));
        self.catalog.routes_of(parent)
    }

    pub fn listener_sets_of(
        &self,
        gateway: &NamespacedName,
    ) -> impl Iterator<Item = &'a Arc<ListenerSet>> {
        self.note(Key::ListenerSetsOf(gateway.clone()));
        let sets = self.catalog.listener_sets_of(gateway);
        sets.inspect(|set| self.object(Kind::ListenerSet, set.meta.name()))
    }

    pub fn backend_tls_policies_of(
        &self,
        target: &ObjectKey,
    ) -> impl Iterator<Item = &'a Arc<BackendTlsPolicy>> {
        self.note(Key::PoliciesOf(target.clone()));
        let policies = self.catalog.backend_tls_policies_of(target);
        policies.inspect(|policy| self.object(Kind::BackendTlsPolicy, policy.meta.name()))
    }

    /// The AccessPolicies that name this object as a target.
    pub fn access_policies_of(
        &self,
        target: &ObjectKey,
    ) -> impl Iterator<Item = &'a Arc<AccessPolicy>> {
        self.note(Key::PoliciesOf(target.clone()));
        let policies = self.catalog.access_policies_of(target);
        policies.inspect(|policy| self.object(Kind::AccessPolicy, policy.meta.name()))
    }

    pub fn lane_groups_of(&self, target: &ObjectKey) -> impl Iterator<Item = &'a Arc<LaneGroup>> {
        self.note(Key::PoliciesOf(target.clone()));
        let groups = self.catalog.lane_groups_of(target);
        groups.inspect(|group| self.object(Kind::LaneGroup, group.meta.name()))
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
