//! Services that are to be found in a registry too.

use std::sync::Arc;

use model::{NamespacedName, Registration, Severity, codes};

use crate::at::{At, Fields};
use crate::report::Report;

/// The same of a Kubernetes Service, whose `spec` is not ours.
const ANNOTATION: &str = "isthmus.dev/register";
/// As many as the schema of a MeshService takes.
const MOST: usize = 16;

/// `spec.register` of a MeshService.
pub(crate) fn registrations(
    spec: &mut Fields<'_>,
    own: &NamespacedName,
    report: &mut Report,
) -> Vec<Registration> {
    let mut all = Vec::new();
    for item in spec.items("register") {
        let pointer = item.shared_pointer();
        let at = item.clone();
        let mut f = item.fields();
        let written = f.text("registry").unwrap_or_default();
        let group = f.shared("group").unwrap_or_default();
        let service = f.shared("service").unwrap_or_else(|| own.name.clone());
        let port = f.take("port").map(|at| at.port());
        f.finish(report);
        if let Some(registry) = reference(written, &own.namespace) {
            all.push(Registration { registry, group, service, port, pointer });
        } else {
            let text = format!("{} names no Registry", report.quote(written));
            report.error(codes::INVALID_VALUE, at.place(), text, "NAME or NAMESPACE/NAME");
        }
    }
    all
}

/// The annotation of a Service: `NAME`, `NAMESPACE/NAME` or `NAMESPACE/NAME/SERVICE`, several with commas.
pub(crate) fn annotated(
    root: &At<'_>,
    own: &NamespacedName,
    report: &mut Report,
) -> Vec<Registration> {
    let mut fields = root.clone().fields();
    let annotations = fields.object("metadata").and_then(|mut f| f.object("annotations"));
    let Some(at) = annotations.and_then(|mut f| f.take(ANNOTATION)) else { return Vec::new() };
    let mut all = Vec::new();
    for item in at.text().split(',').map(str::trim).filter(|item| !item.is_empty()) {
        let mut parts = item.splitn(3, '/');
        let (first, second) = (parts.next().unwrap_or_default(), parts.next());
        let service = parts.next().map_or_else(|| own.name.clone(), Arc::from);
        let registry = match second {
            Some(name) => NamespacedName::new(first, name),
            None => NamespacedName { namespace: own.namespace.clone(), name: first.into() },
        };
        let empty = [&registry.namespace, &registry.name, &service].iter().any(|s| s.is_empty());
        if empty || all.len() == MOST {
            let text = format!("{} cannot be registered", report.quote(item));
            let hint = "NAME, NAMESPACE/NAME or NAMESPACE/NAME/SERVICE, up to 16 with commas";
            // The Service itself is well.
            report.say(Severity::Warning, codes::INVALID_VALUE, at.value(), text, hint);
            continue;
        }
        let group = "".into();
        let pointer = at.shared_pointer();
        all.push(Registration { registry, group, service, port: None, pointer });
    }
    all
}

fn reference(text: &str, namespace: &Arc<str>) -> Option<NamespacedName> {
    let found = match text.split_once('/') {
        Some((namespace, name)) => NamespacedName::new(namespace, name),
        None => NamespacedName { namespace: namespace.clone(), name: text.into() },
    };
    let whole = !found.namespace.is_empty() && !found.name.is_empty() && !found.name.contains('/');
    whole.then_some(found)
}
