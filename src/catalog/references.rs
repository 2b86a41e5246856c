//! Secrets and ConfigMaps that other objects name. A cluster has many more of them than anybody here needs, so a source
//! may ask which to fetch.

use std::collections::BTreeSet;

use model::{BackendAuthorities, CertificateRef, JwtKeys, Kind, NamespacedName, Object, ObjectKey};

/// Whether the objects of this kind are only of use where another object names them.
#[must_use]
pub const fn is_fetched_by_name(kind: Kind) -> bool {
    matches!(kind, Kind::ConfigMap | Kind::Secret)
}

pub(crate) fn of(object: &Object) -> BTreeSet<ObjectKey> {
    match object {
        Object::Gateway(gateway) => {
            let listeners = gateway.listeners.iter().flat_map(|listener| &listener.certificates);
            let ports = gateway.frontend.ports.values().flatten();
            let clients = gateway.frontend.default.iter().chain(ports);
            let authorities = clients.flat_map(|client| &client.authorities);
            certificates(listeners.chain(authorities).chain(&gateway.client_certificate))
        }
        Object::BackendTlsPolicy(policy) => match &policy.authorities {
            BackendAuthorities::Named(authorities) => certificates(authorities.iter()),
            BackendAuthorities::System | BackendAuthorities::Unknown { .. } => BTreeSet::new(),
        },
        Object::AccessPolicy(policy) => {
            certificates(policy.jwt.iter().filter_map(|provider| match &provider.keys {
                JwtKeys::ConfigMap(reference) => Some(reference),
                JwtKeys::Inline(_) => None,
            }))
        }
        Object::ListenerSet(set) => {
            certificates(set.listeners.iter().flat_map(|listener| &listener.certificates))
        }
        _ => BTreeSet::new(),
    }
}

fn certificates<'a>(references: impl Iterator<Item = &'a CertificateRef>) -> BTreeSet<ObjectKey> {
    let keys = references.filter_map(|reference| {
        let kind = Kind::find(&reference.group, &reference.kind)?;
        let name =
            NamespacedName { namespace: reference.namespace.clone(), name: reference.name.clone() };
        is_fetched_by_name(kind).then_some(ObjectKey { kind, name })
    });
    keys.collect()
}
