//! What endpoints become of what registries say.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use catalog::{Catalog, Merger, View};
use model::{
    AppProtocol, Batch, Change, ConsulOptions, DnsRecord, Endpoint, EndpointHealth, GuardRules,
    Health, Host, Import, Instance, Kind, Locality, Locations, Login, Merge, MeshService,
    MeshServicePort, Meta, NamespacedName, Object, ObjectKey, Question, QuestionKind, Registry,
    RegistryKind, RegistryRef, RegistryService, RegistryServiceId, Report, Resolved, Source,
    SourceFrom,
};

use super::*;

const PORT: u16 = 8080;

fn meta(kind: Kind, name: &str) -> Meta {
    Meta {
        key: ObjectKey::new(kind, "shop", name),
        source: "file".into(),
        labels: vec![],
        annotations: vec![],
        generation: 0,
        created: None,
        locations: Arc::new(Locations::default()),
        document: "{}".into(),
    }
}

fn id(name: &str) -> RegistryServiceId {
    RegistryServiceId { registry: "shop/main".into(), group: "".into(), name: name.into() }
}

fn ip(last: u8) -> Instance {
    Instance::new(Host::Ip([10, 0, 0, last].into()), PORT)
}

fn of(service: &str, percent: f64) -> Source {
    let reference = RegistryRef { id: id(service), labels: BTreeMap::new() };
    Source { from: SourceFrom::Registry(reference), percent }
}

fn fixed(hosts: &[u8], percent: f64) -> Source {
    let endpoint = |last: &u8| Endpoint {
        address: [10, 0, 0, *last].into(),
        port: None,
        weight: 1.0,
        health: EndpointHealth::Healthy,
        locality: Locality::default(),
        pod: None,
        node: None,
        workload: None,
    };
    Source { from: SourceFrom::Static(hosts.iter().map(endpoint).collect()), percent }
}

/// A catalog in which a registry has these services, and the DNS knows `a.test`.
fn catalog(services: &[(&str, f64, Vec<Instance>)]) -> Catalog {
    let mut merger = Merger::default();
    let registry = Object::Registry(Arc::new(Registry {
        meta: meta(Kind::Registry, "main"),
        kind: RegistryKind::Consul(ConsulOptions::default()),
        addresses: vec!["127.0.0.1:1".into()],
        login: Login::default(),
        tls: None,
        labels: vec![],
        import: Import::default(),
        guard: GuardRules::default(),
    }));
    let file = |changes| Batch { source: "file".into(), changes };
    merger.apply(file(vec![Change::Apply(registry)]));
    let mut changes = Vec::new();
    for (name, protect_threshold, instances) in services {
        let mut instances: Vec<_> = instances.iter().cloned().map(Arc::new).collect();
        instances.sort_by(|a, b| a.key().cmp(&b.key()));
        let service = RegistryService {
            id: id(name),
            instances,
            protect_threshold: *protect_threshold,
            consumers: vec![],
            findings: vec![],
        };
        changes
            .push(Change::Registry(Report::Service { service: Arc::new(service), asked: false }));
    }
    changes.push(Change::Health(Health::Live));
    merger.apply(Batch { source: "shop/main".into(), changes });
    let record =
        |last| DnsRecord { address: [10, 9, 0, last].into(), port: 0, weight: 1.0, priority: 0 };
    let question = Question { name: "a.test".into(), kind: QuestionKind::Address };
    let resolved = Resolved { question, records: vec![record(1), record(2)] };
    merger.apply(Batch { source: "dns".into(), changes: vec![Change::Resolved(resolved)] }).catalog
}

/// Address, weight and health of each endpoint, in order.
fn joined(
    catalog: &Catalog,
    merge: Merge,
    sources: Vec<Source>,
) -> Vec<(IpAddr, f64, EndpointHealth)> {
    let port = MeshServicePort {
        name: "".into(),
        port: 80,
        target: PORT,
        protocol: AppProtocol::Http1,
        declared: None,
    };
    let service = MeshService {
        meta: meta(Kind::MeshService, "orders"),
        hosts: vec![],
        ports: vec![port.clone()],
        sources,
        merge,
        sdk_pick: None,
        register: vec![],
    };
    let mut all: Vec<_> = endpoints(&View::new(catalog), &service, &port)
        .0
        .into_iter()
        .map(|(endpoint, _)| (endpoint.address, endpoint.weight, endpoint.health))
        .collect();
    all.sort_by_key(|(address, ..)| *address);
    all
}

fn addresses(all: &[(IpAddr, f64, EndpointHealth)]) -> Vec<u8> {
    let last = |address: &IpAddr| match address {
        IpAddr::V4(v4) => v4.octets()[3],
        IpAddr::V6(_) => 0,
    };
    all.iter().map(|(address, ..)| last(address)).collect()
}

#[test]
fn one_address_in_two_sources_is_one_endpoint_and_the_healthier_word_counts() {
    let sick = Instance { health: EndpointHealth::Unhealthy, ..ip(1) };
    let catalog = catalog(&[("a", 0.0, vec![sick, ip(2)])]);
    let all = joined(&catalog, Merge::Union, vec![of("a", 0.0), fixed(&[1, 3], 0.0)]);
    assert_eq!(addresses(&all), [1, 2, 3]);
    assert_eq!(all[0].2, EndpointHealth::Healthy);
}

#[test]
fn one_pod_in_two_sources_is_one_endpoint() {
    let pod = |last| {
        let mut instance = ip(last);
        instance.labels.insert("k8s_namespace".into(), "shop".into());
        instance.labels.insert("k8s_pod".into(), "orders-1".into());
        instance
    };
    let catalog = catalog(&[("a", 0.0, vec![pod(1)]), ("b", 0.0, vec![pod(9)])]);
    let all = joined(&catalog, Merge::Union, vec![of("a", 0.0), of("b", 0.0)]);
    assert_eq!(addresses(&all), [1]);
}

#[test]
fn the_first_source_with_enough_is_preferred() {
    let off = Instance { weight: 0.0, ..ip(2) };
    let catalog = catalog(&[("a", 0.0, vec![ip(1), off]), ("b", 0.0, vec![ip(3), ip(4)])]);
    let sources = || vec![of("none", 0.0), of("a", 0.0), of("b", 0.0)];
    let prefer = |minimum| addresses(&joined(&catalog, Merge::Prefer { minimum }, sources()));
    assert_eq!(prefer(1), [1, 2]);
    assert_eq!(prefer(2), [3, 4]);
    assert_eq!(prefer(9), [1, 2], "nobody has enough: the first that has any");
}

#[test]
fn shares_are_those_of_the_sources_whatever_their_sizes() {
    let many: Vec<_> = (10..50).map(ip).collect();
    let weighed = vec![Instance { weight: 0.3, ..ip(1) }, Instance { weight: 2.0, ..ip(2) }];
    let catalog = catalog(&[("old", 0.0, many), ("new", 0.0, weighed)]);
    for (old, new) in [(90.0, 10.0), (50.0, 50.0), (1.0, 99.0), (7.0, 3.0)] {
        let all = joined(&catalog, Merge::Percent, vec![of("old", old), of("new", new)]);
        let sum: f64 = all.iter().map(|(_, weight, _)| weight).sum();
        let of_new: f64 = all[..2].iter().map(|(_, weight, _)| weight).sum();
        assert!((of_new / sum - new / (old + new)).abs() < 0.001, "{old} {new}: {of_new} {sum}");
        assert!((all[1].1 / all[0].1 - 2.0 / 0.3).abs() < 0.01);
    }
    let all = joined(&catalog, Merge::Percent, vec![of("old", 0.0), of("new", 100.0)]);
    assert_eq!(addresses(&all), [1, 2], "no share, no endpoint");
    let all = joined(&catalog, Merge::Percent, vec![of("none", 90.0), of("new", 10.0)]);
    assert_eq!(addresses(&all), [1, 2], "who has nobody leaves the share to the others");
    let both = joined(&catalog, Merge::Percent, vec![of("new", 50.0), fixed(&[1], 50.0)]);
    let sum: f64 = both.iter().map(|(_, weight, _)| weight).sum();
    let first = 0.5 + 0.5 * 0.3 / 2.3;
    assert!((both[0].1 / sum - first).abs() < 0.001, "one process carries both shares");
}

#[test]
fn below_the_protect_threshold_all_get_traffic_but_what_is_switched_off() {
    let sick = |last| Instance { health: EndpointHealth::Unhealthy, ..ip(last) };
    let off = Instance { reason: "enabled=false".into(), ..sick(4) };
    let catalog = catalog(&[
        ("a", 0.5, vec![ip(1), sick(2), sick(3), off]),
        ("b", 0.2, vec![ip(1), sick(2), sick(3)]),
    ]);
    let healthy = |service| {
        let mut all = joined(&catalog, Merge::Union, vec![of(service, 0.0)]);
        all.retain(|(_, _, health)| *health == EndpointHealth::Healthy);
        addresses(&all)
    };
    assert_eq!(healthy("a"), [1, 2, 3]);
    assert_eq!(healthy("b"), [1]);
}

#[test]
fn a_host_that_is_a_name_becomes_its_addresses() {
    let named = Instance::new(Host::Name("a.test".into()), PORT);
    let unknown = Instance::new(Host::Name("b.test".into()), PORT);
    let catalog = catalog(&[("a", 0.0, vec![named, unknown])]);
    let all = joined(&catalog, Merge::Union, vec![of("a", 0.0)]);
    assert_eq!(addresses(&all), [1, 2]);
}

#[test]
fn only_instances_with_the_labels_asked_for() {
    let mut blue = ip(1);
    blue.labels.insert("lane".into(), "blue".into());
    let catalog = catalog(&[("a", 0.0, vec![blue, ip(2)])]);
    let mut source = of("a", 0.0);
    if let SourceFrom::Registry(reference) = &mut source.from {
        reference.labels.insert("lane".into(), "blue".into());
    }
    assert_eq!(addresses(&joined(&catalog, Merge::Union, vec![source])), [1]);
}

#[test]
fn a_service_of_another_namespace_needs_a_grant() {
    let name = NamespacedName::new("billing", "orders");
    let source = Source { from: SourceFrom::Kubernetes { name, port: None }, percent: 0.0 };
    assert_eq!(joined(&catalog(&[]), Merge::Union, vec![source]), []);
}
