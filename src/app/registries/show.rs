//! Between the catalog's nouns and those of the store and the API.

use std::sync::Arc;

use catalog::{Seed, ServedService};
use model::{MeshService, RegistryServiceId, SourceFrom};
use revision::store::StoredService;
use serde_json::{Value, json};

pub(crate) fn kept(id: &RegistryServiceId, service: &ServedService) -> StoredService {
    StoredService {
        id: id.clone(),
        instances: service.instances.clone(),
        protect_threshold: service.protect_threshold,
    }
}

pub(crate) fn seed(stored: StoredService) -> Seed {
    let StoredService { id, instances, protect_threshold } = stored;
    Seed { id, service: ServedService { instances, protect_threshold } }
}

/// The document that somebody would write to get the same as an import.
pub(crate) fn show_import(service: &MeshService) -> Value {
    let ports: Vec<_> = service
        .ports
        .iter()
        .map(|port| {
            let protocol = match port.protocol {
                model::AppProtocol::H2c => "H2",
                model::AppProtocol::Tcp => "TCP",
                _ => "HTTP",
            };
            json!({"port": port.port, "protocol": protocol})
        })
        .collect();
    let sources: Vec<_> = service
        .sources
        .iter()
        .filter_map(|source| match &source.from {
            SourceFrom::Registry(of) => Some(json!({"registry": {
                "name": &*of.id.registry, "group": &*of.id.group, "service": &*of.id.name,
            }})),
            _ => None,
        })
        .collect();
    let name = service.meta.name();
    json!({
        "apiVersion": "isthmus.dev/v1alpha1",
        "kind": "MeshService",
        "metadata": {
            "name": &*name.name,
            "namespace": &*name.namespace,
            "annotations": {"isthmus.dev/imported-from": Arc::as_ref(&service.meta.source)},
        },
        "spec": {"ports": ports, "sources": sources},
    })
}
