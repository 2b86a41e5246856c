use std::sync::Arc;

use model::{
    AllowedNamespaces, BackendAuthorities, BackendTlsPolicy, Batch, CertificateRef, Change,
    ClientValidation, EndpointSlice, FrontendTls, Gateway, Health, Infrastructure, Kind, Listener,
    ListenerProtocol, Locations, Meta, NamespacedName, Object, ObjectKey, ParentRef, Refused,
    Route, Service, TlsMode,
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
        addresses: vec![],
        headless: false,
        selector: Default::default(),
        external_name: None,
        sdk_pick: None,
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
        vec![
            object_key(Kind::Service, "a"),
            object_key(Kind::Service, "c"),
            Key::In(Kind::Service, "shop".into()),
        ]
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

fn of_cluster(changes: Vec<Change>) -> Batch {
    Batch { source: "kubernetes".into(), changes }
}

/// The service as an API server has it.
fn in_cluster(name: &str) -> Object {
    let mut object = service(name);
    object.meta_mut().source = "kubernetes".into();
    object.meta_mut().generation = 7;
    object
}

/// The source of the service that counts, and what is said of the other.
fn who_counts(merger: &Merger) -> (String, usize) {
    let catalog = merger.catalog();
    let object = catalog.get(&ObjectKey::new(Kind::Service, "shop", "a"));
    let source = object.map_or("nobody", |object| &object.meta().source);
    let findings = catalog.sources().flat_map(|(_, state)| state.findings.values());
    (source.to_owned(), findings.map(|list| list.len()).sum())
}

#[test]
fn of_two_sources_with_one_object_the_first_by_name_counts_and_the_other_is_its_heir() {
    let (file, cluster) = (("file".to_owned(), 1), ("kubernetes".to_owned(), 0));
    let key = || ObjectKey::new(Kind::Service, "shop", "a");
    // Whoever comes first.
    let mut merger = Merger::default();
    merger.apply(of_cluster(vec![Change::Apply(in_cluster("a"))]));
    assert_eq!(who_counts(&merger), cluster);
    merger.apply(batch(vec![Change::Apply(service("a"))]));
    assert_eq!(who_counts(&merger), file);
    let told = merger
        .catalog()
        .sources()
        .flat_map(|(_, state)| state.findings.values().flat_map(|f| f.iter()));
    assert_eq!(told.map(|f| f.at.source.to_string()).collect::<Vec<_>>(), ["kubernetes"]);
    merger.apply(of_cluster(vec![Change::Apply(in_cluster("a"))]));
    assert_eq!(who_counts(&merger), file);
    // The one that counts goes: the other is there again.
    let applied = merger.apply(batch(vec![Change::Delete(key())]));
    assert_eq!(applied.changed, [object_key(Kind::Service, "a")]);
    assert_eq!(who_counts(&merger), cluster);
    // The one that does not count goes.
    merger.apply(batch(vec![Change::Apply(service("a"))]));
    let applied = merger.apply(of_cluster(vec![Change::Delete(key())]));
    assert_eq!((applied.changed, applied.sources_changed), (vec![], true));
    assert_eq!(who_counts(&merger), ("file".to_owned(), 0));
    merger.apply(batch(vec![Change::Init, Change::InitDone]));
    assert_eq!(who_counts(&merger), ("nobody".to_owned(), 0));
}

#[test]
fn a_refused_object_keeps_its_last_good_version_until_it_is_good_or_gone() {
    let key = || ObjectKey::new(Kind::Service, "shop", "a");
    let refused = |generation| {
        let mut object = in_cluster("a");
        object.meta_mut().generation = generation;
        Change::Refused(Refused { object, reason: "no good".into() })
    };
    let mut merger = Merger::default();
    merger.apply(of_cluster(vec![Change::Apply(in_cluster("a"))]));
    let applied = merger.apply(of_cluster(vec![refused(8)]));
    assert_eq!(applied.changed, [object_key(Kind::Service, "a")], "whoever shows it looks again");
    assert_eq!(applied.catalog.get(&key()).unwrap().meta().generation, 7);
    assert_eq!(&*applied.catalog.refused(&key()).unwrap().reason, "no good");
    assert_eq!(applied.catalog.generation_of(&key()), Some(8));
    assert_eq!(merger.apply(of_cluster(vec![refused(8)])).changed, []);
    let applied = merger.apply(of_cluster(vec![Change::Apply(in_cluster("a"))]));
    assert_eq!(applied.catalog.generation_of(&key()), Some(7));
    merger.apply(of_cluster(vec![refused(9)]));
    let applied = merger.apply(of_cluster(vec![Change::Delete(key())]));
    assert_eq!((applied.catalog.get(&key()), applied.catalog.refused(&key())), (None, None));
}

#[test]
fn secrets_are_referred_to_as_long_as_somebody_names_them() {
    let gateway = |name: &str, secrets: &[&str]| {
        let certificate = |secret: &&str| CertificateRef {
            pointer: "".into(),
            group: "".into(),
            kind: "Secret".into(),
            namespace: "infra".into(),
            name: (*secret).into(),
        };
        let listener = Listener {
            name: "https".into(),
            pointer: "".into(),
            port: 443,
            protocol: Ok(ListenerProtocol::Https),
            hostname: None,
            tls_mode: TlsMode::Terminate,
            certificates: secrets.iter().map(certificate).collect(),
            namespaces: AllowedNamespaces::Same,
            kinds: vec![],
        };
        let gateway = Gateway {
            meta: meta(Kind::Gateway, name),
            class: "isthmus".into(),
            listeners: vec![listener],
            addresses: vec![],
            allowed_listeners: AllowedNamespaces::None,
            infrastructure: Default::default(),
            frontend: Default::default(),
            client_certificate: None,
        };
        Change::Apply(Object::Gateway(Arc::new(gateway)))
    };
    let mut merger = Merger::default();
    let mut after = |change| {
        merger.apply(batch(vec![change]));
        merger.references().iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(after(gateway("a", &["x", "y"])), ["Secret infra/x", "Secret infra/y"]);
    assert_eq!(after(gateway("b", &["y"])), ["Secret infra/x", "Secret infra/y"]);
    assert_eq!(after(gateway("a", &[])), ["Secret infra/y"]);
    assert_eq!(after(Change::Delete(ObjectKey::new(Kind::Gateway, "shop", "b"))), [""; 0]);
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
