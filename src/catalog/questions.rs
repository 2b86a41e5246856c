//! What is to be asked of the DNS.

use std::collections::BTreeSet;
use std::sync::Arc;

use model::{
    DnsResolution, Host, Instance, MeshService, NamespacedName, Question, QuestionKind,
    RegistryServiceId, SourceFrom,
};

/// Who wants to know.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Asker {
    MeshService(NamespacedName),
    Service(RegistryServiceId),
}

pub(crate) fn of_mesh_service(service: &MeshService) -> BTreeSet<Question> {
    let questions = service.sources.iter().filter_map(|source| match &source.from {
        SourceFrom::Dns { name, kind, resolution: DnsResolution::Endpoints, .. } => {
            Some(Question { name: name.clone(), kind: *kind })
        }
        _ => None,
    });
    questions.collect()
}

/// Hosts of instances that are names.
pub(crate) fn of_instances(instances: &[Arc<Instance>]) -> BTreeSet<Question> {
    let names = instances.iter().filter_map(|instance| match &instance.host {
        Host::Name(name) => Some(Question { name: name.clone(), kind: QuestionKind::Address }),
        Host::Ip(_) => None,
    });
    names.collect()
}
