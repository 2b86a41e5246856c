use std::sync::Arc;

use model::{RegistryService, RegistryServiceId, codes};

use super::apps::Apps;
use crate::registry::{RawInstance, RawService};

/// One service as the catalog sees it; without instances where the registry has none.
pub(super) fn service(registry: &Arc<str>, name: &Arc<str>, apps: &Apps) -> RegistryService {
    let mut raw = RawService::new(id(registry, name));
    for instance in apps.of(name) {
        if let Some(trouble) = instance.trouble {
            raw.say(codes::REGISTRY_DATA, &instance.id, trouble, "what is too much is left out");
        }
        raw.add(RawInstance {
            health: instance.health,
            reason: instance.reason.clone(),
            locality: instance.locality.clone(),
            secure: instance.secure,
            labels: instance.labels.clone(),
            ..RawInstance::new(&instance.host, instance.port)
        });
    }
    raw.finish(0.0, Vec::new())
}

pub(super) fn names(registry: &Arc<str>, apps: &Apps) -> Vec<RegistryServiceId> {
    apps.services().map(|name| id(registry, name)).collect()
}

fn id(registry: &Arc<str>, name: &Arc<str>) -> RegistryServiceId {
    RegistryServiceId { registry: registry.clone(), group: "".into(), name: name.clone() }
}
