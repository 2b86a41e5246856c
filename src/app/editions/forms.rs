//! Which documents a refusal can be about.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use catalog::Catalog;
use model::{Kind, Object, ObjectKey};
use snapshot::ResourceType;

use super::Refused;

/// Whether what proxies are sent is made from these documents. Facts are not held back: endpoints, pods and machines.
pub(super) fn may_be_held(kind: Kind) -> bool {
    !matches!(
        kind,
        Kind::ConfigRollout
            | Kind::EndpointSlice
            | Kind::Pod
            | Kind::Node
            | Kind::Namespace
            | Kind::Registry
    )
}

/// Whether a change of such a document goes to some proxies first. What certificates are made of goes to all at once.
pub(crate) fn may_be_rolled(kind: Kind) -> bool {
    may_be_held(kind)
        && !matches!(kind, Kind::Secret | Kind::ConfigMap | Kind::ConfigRollout | Kind::MeshConfig)
}

/// Whether a group can do without it: what everything else stands on is served in an earlier form, or as it is.
pub(super) fn can_be_missing(kind: Kind) -> bool {
    !matches!(kind, Kind::Gateway | Kind::GatewayClass | Kind::GatewayConfig | Kind::MeshConfig)
}

/// Whether a document says the same. Where it stands in its file does not count, nor what an API server notes in it.
pub(crate) fn same(one: Option<&Object>, other: Option<&Object>) -> bool {
    let (Some(one), Some(other)) = (one, other) else { return one.is_none() && other.is_none() };
    let (a, b) = (one.meta(), other.meta());
    // Most that differ are told by this, without taking them apart.
    if a.generation != b.generation || (a.generation == 0 && a.document != b.document) {
        return false;
    }
    let bare = |object: &Object| {
        let mut object = object.clone();
        let meta = object.meta_mut();
        meta.locations = Arc::default();
        if meta.generation != 0 {
            meta.document = "".into();
        }
        object
    };
    one == other || bare(one) == bare(other)
}

/// Of the documents that are new to the proxy, those that the refusal is about: whose text the proxy quotes, else whose part
/// of the refused resources differs from what it had, else all. With `quoted` only the first.
pub(super) fn suspects(
    refused: &Refused,
    new: &BTreeSet<ObjectKey>,
    catalog: &Catalog,
    quoted: bool,
) -> Vec<ObjectKey> {
    // Of parts of an Ingress, the Ingress is told.
    let mut by_document: BTreeMap<ObjectKey, Vec<&ObjectKey>> = BTreeMap::new();
    for key in new {
        by_document.entry(key.clone()).or_default().push(key);
        if let Some(object) = catalog.get(key)
            && object.meta().written() != *key
        {
            by_document.entry(object.meta().written()).or_default().push(key);
        }
    }
    let among = |named: BTreeSet<ObjectKey>| -> Vec<ObjectKey> {
        let found = named.iter().filter_map(|key| by_document.get(key)).flatten();
        let found: BTreeSet<_> = found.map(|key| (*key).clone()).collect();
        found.into_iter().collect()
    };
    let documents = |routes: Vec<String>| {
        let origins = routes.into_iter().filter_map(|name| compile::route_origin(&name));
        origins.map(|(key, _)| key).collect::<Vec<_>>()
    };
    let (mut said, mut differing) = (BTreeSet::new(), BTreeSet::new());
    for (before, after) in &refused.refused {
        let origins = || after.origin().iter().filter_map(|at| at.object.clone());
        if after.kind() == ResourceType::Route {
            said.extend(documents(snapshot::quoted_routes(after, &refused.text)));
            let routes = snapshot::suspect_routes(before.as_deref(), after, &refused.text);
            let routes = documents(routes);
            if routes.is_empty() {
                differing.extend(origins());
            }
            differing.extend(routes);
        } else {
            if refused.text.contains(&**after.name()) {
                said.extend(origins());
            }
            differing.extend(origins());
        }
    }
    let said = among(said);
    if !said.is_empty() || quoted {
        return said;
    }
    let differing = among(differing);
    if !differing.is_empty() {
        return differing;
    }
    new.iter().cloned().collect()
}

/// The place in a document that the refusal is about, if it is known.
pub(super) fn pointer(refused: &Refused, key: &ObjectKey) -> String {
    let routes = refused.refused.iter().filter(|(_, after)| after.kind() == ResourceType::Route);
    let names = routes.flat_map(|(before, after)| {
        let quoted = snapshot::quoted_routes(after, &refused.text);
        let changed = snapshot::suspect_routes(before.as_deref(), after, &refused.text);
        quoted.into_iter().chain(changed)
    });
    let mut origins = names.filter_map(|name| compile::route_origin(&name));
    let rule = origins.find(|(origin, _)| origin == key);
    rule.map(|(_, rule)| format!("/spec/rules/{rule}")).unwrap_or_default()
}
