//! A catalog from sentences.

use std::collections::BTreeMap;
use std::sync::Arc;

use catalog::{Catalog, Merger};
use model::{
    AccessAction, AccessPolicy, Batch, Change, Kind, Locations, MeshConfig, MeshSettings, Meta,
    MtlsMode, NamespacedName, Object, ObjectKey, PeerPolicy, PolicyMode, PolicyTarget, Reach,
    Selector,
};

use crate::attach::{Member, Workload};

pub(crate) fn meta(kind: Kind, namespace: &str, name: &str, created: i64) -> Meta {
    Meta {
        key: ObjectKey::new(kind, namespace, name),
        source: "file".into(),
        labels: vec![],
        annotations: vec![],
        generation: 0,
        created: Some(created),
        locations: Arc::new(Locations::default()),
        document: "{}".into(),
    }
}

/// `""`: all of the namespace; `app=x`: a selector; `service`, `service:port`: targets.
pub(crate) fn reach(namespace: &str, text: &str) -> Reach {
    match text.split_once('=') {
        _ if text.is_empty() => Reach::default(),
        Some((key, value)) => {
            let labels = vec![(key.into(), value.into())];
            Reach { selector: Some(Selector { labels, requirements: vec![] }), targets: vec![] }
        }
        None => {
            let (name, section) = match text.split_once(':') {
                Some((name, section)) => (name, Some(section.into())),
                None => (text, None),
            };
            let target = PolicyTarget {
                group: "".into(),
                kind: "Service".into(),
                name: NamespacedName::new(namespace, name),
                section,
                pointer: "/spec/targetRefs/0".into(),
            };
            Reach { selector: None, targets: vec![target] }
        }
    }
}

pub(crate) fn peer(
    place: &str,
    name: &str,
    created: i64,
    to: &str,
    mtls: MtlsMode,
    ports: &[(u16, MtlsMode)],
) -> Object {
    Object::PeerPolicy(Arc::new(PeerPolicy {
        meta: meta(Kind::PeerPolicy, place, name, created),
        reach: reach(place, to),
        mtls,
        ports: BTreeMap::from_iter(ports.iter().copied()),
    }))
}

pub(crate) fn access(place: &str, name: &str, to: &str, action: AccessAction) -> AccessPolicy {
    AccessPolicy {
        meta: meta(Kind::AccessPolicy, place, name, 1),
        reach: reach(place, to),
        mode: PolicyMode::Enforce,
        action,
        rules: vec![],
        jwt: vec![],
    }
}

pub(crate) fn mesh(settings: MeshSettings) -> Object {
    let meta = meta(Kind::MeshConfig, "", "default", 0);
    Object::MeshConfig(Arc::new(MeshConfig { meta, settings }))
}

pub(crate) fn catalog(objects: Vec<Object>) -> Catalog {
    let mut merger = Merger::default();
    let changes = objects.into_iter().map(Change::Apply).collect();
    merger.apply(Batch { source: "file".into(), changes }).catalog
}

/// `shop`, labels `app=orders`, port 8080 of service `orders` under the name `http`.
pub(crate) fn with_orders<T>(look: impl FnOnce(&Workload<'_>) -> T) -> T {
    let services = [Member {
        service: ObjectKey::new(Kind::Service, "shop", "orders"),
        port_name: "http".into(),
        port: 8080,
    }];
    let namespace = "shop".into();
    let labels = [("app".into(), "orders".into())];
    look(&Workload { namespace: &namespace, labels: &labels, services: &services })
}
