use std::sync::Arc;

use model::{
    AllowedNamespaces, BackendAuthorities, BackendTlsPolicy, Batch, CertificateRef, Change,
    ClientValidation, EndpointSlice, FrontendTls, Gateway, Health, Infrastructure, Kind, Locations,
    Meta, NamespacedName, Object, ObjectKey, ParentRef, Route, Service,
};

use crate::{Key, Merger, View};

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

fn service(name: &str) -> Object {
    Object::Service(Arc::new(Service {
        meta: meta(Kind::Service, name),
        ports: vec![],
        external_name: None,
        register: vec![],
    }))
}

fn slice(name: &str, service: &str) -> Object {
    Object::EndpointSlice(Arc::new(EndpointSlice {
        meta: meta(Kind::EndpointSlice, name),
        service: Some(NamespacedName::new("shop", service)),
        ports: vec![],
        endpoints: vec![],
    }))
}

fn route(name: &str, gateway: &str) -> Object {
    Object::HttpRoute(Arc::new(Route {
        meta: meta(Kind::HttpRoute, name),
        parents: vec![ParentRef {
            group: "gateway.networking.k8s.io".into(),
            kind: "Gateway".into(),
            name: NamespacedName::new("shop", gateway),
            section: None,
            port: None,
            pointer: "/spec/parentRefs/0".into(),
        }],
        hostnames: vec![],
        rules: vec![],
    }))
}

fn batch(changes: Vec<Change>) -> Batch {
    Batch { source: "file".into(), changes }
}

fn object_key(kind: Kind, name: &str) -> Key {
    Key::Object(ObjectKey::new(kind, "shop", name))
}

#[test]
fn a_listing_removes_what_it_does_not_name_and_keeps_equal_objects_quiet() {
    let mut merger = Merger::default();
    let all = |objects: Vec<Object>| {
        let mut changes = vec![Change::Init];
        changes.extend(objects.into_iter().map(Change::InitApply));
        changes.push(Change::InitDone);
        batch(changes)
    };
    merger.apply(all(vec![service("a"), service("b")]));
    let applied = merger.apply(all(vec![service("b"), service("c")]));
    assert_eq!(
        applied.changed,
        vec![object_key(Kind::Service, "a"), object_key(Kind::Service, "c")]
    );
    assert!(applied.catalog.get(&ObjectKey::new(Kind::Service, "shop", "a")).is_none());
}

#[test]
fn another_sources_objects_survive_a_listing() {
    let mut merger = Merger::default();
    merger.apply(batch(vec![Change::Apply(service("a"))]));
    let applied = merger
        .apply(Batch { source: "other".into(), changes: vec![Change::Init, Change::InitDone] });
    assert_eq!(applied.changed, vec![]);
    assert_eq!(applied.catalog.count(Kind::Service), 1);
}

#[test]
fn a_slice_that_moves_to_another_service_changes_both_answers() {
    let mut merger = Merger::default();
    merger.apply(batch(vec![Change::Apply(slice("s", "a"))]));
    let applied = merger.apply(batch(vec![Change::Apply(slice("s", "b"))]));
    assert_eq!(
        applied.changed,
        vec![
            object_key(Kind::EndpointSlice, "s"),
            Key::SlicesOf(NamespacedName::new("shop", "a")),
            Key::SlicesOf(NamespacedName::new("shop", "b")),
        ]
    );
    let view = View::new(&applied.catalog);
    assert_eq!(view.slices_of(&NamespacedName::new("shop", "a")).count(), 0);
    assert_eq!(view.slices_of(&NamespacedName::new("shop", "b")).count(), 1);
}

#[test]
fn a_view_names_all_that_was_asked_present_or_not() {
    let mut merger = Merger::default();
    let applied = merger.apply(batch(vec![Change::Apply(route("r", "edge"))]));
    let view = View::new(&applied.catalog);
    assert!(view.service(&NamespacedName::new("shop", "missing")).is_none());
    assert_eq!(view.routes_of(&ObjectKey::new(Kind::Gateway, "shop", "edge")).count(), 1);
    assert_eq!(
        view.into_reads(),
        vec![
            object_key(Kind::Service, "missing"),
            Key::RoutesOf(ObjectKey::new(Kind::Gateway, "shop", "edge"))
        ]
    );
}

#[test]
fn a_lost_session_is_health_and_deletes_nothing() {
    let mut merger = Merger::default();
    merger.apply(batch(vec![Change::Apply(service("a")), Change::Health(Health::Live)]));
    let applied =
        merger.apply(batch(vec![Change::Health(Health::Stale { reason: "gone".into() })]));
    assert!(applied.sources_changed);
    assert_eq!(applied.changed, vec![]);
    assert_eq!(applied.catalog.count(Kind::Service), 1);
}

#[test]
fn the_difference_of_two_catalogs_names_puts_and_deletes() {
    let mut merger = Merger::default();
    let older =
        merger.apply(batch(vec![Change::Apply(service("a")), Change::Apply(service("b"))])).catalog;
    let newer = merger.apply(batch(vec![
        Change::Apply(slice("s", "a")),
        Change::Apply(service("b")),
        Change::Delete(ObjectKey::new(Kind::Service, "shop", "a")),
    ]));
    assert_eq!(
        newer.catalog.changed_since(&older),
        vec![
            ObjectKey::new(Kind::EndpointSlice, "shop", "s"),
            ObjectKey::new(Kind::Service, "shop", "a")
        ]
    );
}

#[test]
fn what_policies_and_gateways_name_is_to_be_fetched() {
    let reference = |kind: &str, name: &str| CertificateRef {
        pointer: "".into(),
        group: "".into(),
        kind: kind.into(),
        namespace: "shop".into(),
        name: name.into(),
    };
    let validation = |name| ClientValidation {
        authorities: vec![reference("ConfigMap", name)],
        pointer: "".into(),
        insecure_fallback: false,
    };
    let policy = Object::BackendTlsPolicy(Arc::new(BackendTlsPolicy {
        meta: meta(Kind::BackendTlsPolicy, "p"),
        targets: vec![],
        hostname: "a.example".into(),
        names: vec![],
        authorities: BackendAuthorities::Named(vec![
            reference("ConfigMap", "back-end"),
            reference("Bundle", "other"),
        ]),
    }));
    let gateway = Object::Gateway(Arc::new(Gateway {
        meta: meta(Kind::Gateway, "g"),
        class: "c".into(),
        listeners: vec![],
        addresses: vec![],
        allowed_listeners: AllowedNamespaces::None,
        infrastructure: Infrastructure::default(),
        frontend: FrontendTls {
            default: Some(validation("clients")),
            ports: [(443, None), (444, Some(validation("others")))].into(),
        },
        client_certificate: Some(reference("Secret", "own")),
    }));
    let mut merger = Merger::default();
    merger.apply(batch(vec![Change::Apply(policy), Change::Apply(gateway)]));
    let key = |kind, name| ObjectKey::new(kind, "shop", name);
    let wanted = [
        key(Kind::ConfigMap, "back-end"),
        key(Kind::ConfigMap, "clients"),
        key(Kind::ConfigMap, "others"),
        key(Kind::Secret, "own"),
    ];
    assert_eq!(**merger.references(), wanted.into());
    merger.apply(batch(vec![Change::Delete(key(Kind::BackendTlsPolicy, "p"))]));
    assert_eq!(merger.references().len(), 3);
}
