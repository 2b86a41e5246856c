//! Policies of Gateway API.

use model::{BackendTlsPolicy, Meta, NamespacedName, PolicyTarget};

use crate::at::{At, Fields};
use crate::report::Report;

pub(crate) fn backend_tls(meta: Meta, root: At<'_>, report: &mut Report) -> BackendTlsPolicy {
    let mut policy = BackendTlsPolicy { meta, targets: Vec::new() };
    let Some(mut spec) = root.fields().object("spec") else { return policy };
    policy.targets = targets(&mut spec, &policy.meta, report);
    policy
}

/// `targetRefs`: always in the policy's own namespace.
fn targets(spec: &mut Fields<'_>, meta: &Meta, report: &mut Report) -> Vec<PolicyTarget> {
    let target = |item: At<'_>| {
        let pointer = item.shared_pointer();
        let mut f = item.fields();
        let target = PolicyTarget {
            group: f.shared("group").unwrap_or_default(),
            kind: f.shared("kind").unwrap_or_default(),
            name: NamespacedName {
                namespace: meta.namespace().clone(),
                name: f.shared("name").unwrap_or_default(),
            },
            section: f.shared("sectionName"),
            pointer,
        };
        f.finish(report);
        target
    };
    spec.items("targetRefs").into_iter().map(target).collect()
}
