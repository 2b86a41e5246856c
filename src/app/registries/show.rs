//! Between the catalog's nouns and those of the store and the API.

use std::sync::Arc;

use catalog::{Seed, ServedService};
use model::{Finding, MeshService, Registry, RegistryServiceId, SourceFrom, codes};
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

/// What a source found wrong, at the part of its document that has to do with it: the source knows no documents.
pub(crate) fn at_document(finding: Finding, registry: &Registry) -> Finding {
    if finding.at.object.is_some() {
        return finding;
    }
    let pointer = match finding.code {
        codes::REGISTRY_UNREACHABLE => "/spec/addresses",
        codes::REGISTRY_LOGIN | codes::REGISTRY_SECRET => "/spec/login",
        _ => "",
    };
    Finding { at: registry.meta.at(pointer), ..finding }
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
