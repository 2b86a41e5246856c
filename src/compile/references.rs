//! Sources of MeshServices that lead nowhere.

use catalog::{View, is_import};
use model::{
    BackendTlsPolicy, Finding, Kind, MeshService, NamespacedName, ObjectKey, Severity, SourceFrom,
    codes,
};

use crate::backend::granted;
use crate::complaint::Complaint;

/// A complaint for each source of a written MeshService that names something that is not there. It heals by itself.
pub(crate) fn broken(view: &View<'_>, service: &MeshService) -> Vec<Complaint> {
    if is_import(service) {
        return Vec::new();
    }
    let sources = service.sources.iter().enumerate();
    sources.filter_map(|(index, source)| complaint(view, service, index, &source.from)).collect()
}

/// A complaint for each target of a BackendTLSPolicy that is not there, which no Gateway can tell.
pub(crate) fn untargeted(view: &View<'_>, policy: &BackendTlsPolicy) -> Vec<Complaint> {
    policy
        .targets
        .iter()
        .filter_map(|target| {
            let finding = |code, text: String, hint: &str| Finding {
                at: policy.meta.at(&target.pointer),
                code,
                severity: Severity::Warning,
                text,
                hint: hint.into(),
            };
            let names: Option<Vec<&str>> = match Kind::find(&target.group, &target.kind) {
                Some(Kind::Service) => view
                    .service(&target.name)
                    .map(|service| service.ports.iter().map(|port| &*port.name).collect()),
                Some(Kind::MeshService) => view
                    .mesh_service(&target.name)
                    .map(|service| service.ports.iter().map(|port| &*port.name).collect()),
                _ => {
                    let text = format!("a BackendTLSPolicy cannot be for kind {}", target.kind);
                    let hint = "use kind Service (group \"\") or MeshService (group isthmus.dev)";
                    return Some(finding(codes::REFERENCE_KIND, text, hint).into());
                }
            };
            let kind = Kind::find(&target.group, &target.kind)?;
            let Some(names) = names else {
                let missing = ObjectKey { kind, name: target.name.clone() };
                let text = format!("{missing} does not exist");
                let finding = finding(codes::REFERENCE_NOT_FOUND, text, "the policy has no effect");
                return Some(Complaint::missing(finding, Some(missing)));
            };
            let section = target.section.as_ref().filter(|name| !names.contains(&&***name))?;
            let text = format!("{kind} {} has no port named {section}", target.name);
            let hint = format!("its ports are named: {}", names.join(", "));
            Some(finding(codes::PORT_NOT_FOUND, text, &hint).into())
        })
        .collect()
}

fn complaint(
    view: &View<'_>,
    service: &MeshService,
    index: usize,
    from: &SourceFrom,
) -> Option<Complaint> {
    let finding = |part: &str, code, text: String, hint: &str| Finding {
        at: service.meta.at(&format!("/spec/sources/{index}/{part}")),
        code,
        severity: Severity::Warning,
        text,
        hint: hint.into(),
    };
    match from {
        SourceFrom::Registry(reference) => {
            let (namespace, name) = reference.id.registry.split_once('/')?;
            let name = NamespacedName::new(namespace, name);
            let key = ObjectKey { kind: Kind::Registry, name };
            if view.get(&key).is_none() {
                let text = format!("{key} does not exist");
                let hint = "the source has no endpoints until it does";
                let finding = finding("registry", codes::REFERENCE_NOT_FOUND, text, hint);
                return Some(Complaint::missing(finding, Some(key)));
            }
            if view.registry_service(&reference.id).is_none() {
                let text = format!("the registry has no service {}", reference.id);
                let hint = "the source has no endpoints until it has";
                let finding = finding("registry", codes::REFERENCE_NOT_FOUND, text, hint);
                let contact = Some(reference.id.registry.clone());
                return Some(Complaint { contact, ..finding.into() });
            }
            None
        }
        SourceFrom::Kubernetes { name, port: _ } => {
            let of = service.meta.namespace();
            let from = (Kind::MeshService.group(), "MeshService", &**of);
            if !granted(view, from, ("", "Service", name)) {
                let text = format!(
                    "no ReferenceGrant in namespace {} permits this reference to Service {name}",
                    name.namespace
                );
                let hint = "add one from MeshService (group isthmus.dev) to Service";
                let code = codes::REFERENCE_NOT_PERMITTED;
                return Some(finding("kubernetes", code, text, hint).into());
            }
            let key = ObjectKey { kind: Kind::Service, name: name.clone() };
            if view.service(name).is_none() {
                let text = format!("{key} does not exist");
                let hint = "the source has no endpoints until it does";
                let finding = finding("kubernetes", codes::REFERENCE_NOT_FOUND, text, hint);
                return Some(Complaint::missing(finding, Some(key)));
            }
            None
        }
        SourceFrom::Static(_) | SourceFrom::Dns { .. } => None,
    }
}
