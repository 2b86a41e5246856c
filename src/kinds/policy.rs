//! Policies of Gateway API.

use std::sync::Arc;

use model::{
    BackendAuthorities, BackendTlsPolicy, CertificateName, Meta, NamespacedName, PolicyTarget,
    codes,
};

use crate::at::{At, Fields};
use crate::gateway::certificate_ref;
use crate::report::Report;
use crate::values;

pub(crate) fn backend_tls(meta: Meta, root: At<'_>, report: &mut Report) -> BackendTlsPolicy {
    let mut policy = BackendTlsPolicy {
        meta,
        targets: Vec::new(),
        hostname: "".into(),
        names: Vec::new(),
        authorities: BackendAuthorities::Named(Vec::new()),
    };
    let Some(mut spec) = root.fields().object("spec") else { return policy };
    policy.targets = targets(&mut spec, &policy.meta, report);
    if let Some(mut f) = spec.object("validation") {
        let hostname = f.take("hostname").and_then(|at| values::exact_hostname(&at, report));
        policy.hostname = hostname.unwrap_or_default();
        let names = f.items("subjectAltNames").into_iter();
        policy.names = names.filter_map(|item| certificate_name(item, report)).collect();
        policy.authorities = authorities(&mut f, policy.meta.namespace(), report);
        f.finish(report);
    }
    spec.finish(report);
    policy
}

fn authorities(
    f: &mut Fields<'_>,
    namespace: &Arc<str>,
    report: &mut Report,
) -> BackendAuthorities {
    let items = f.items("caCertificateRefs");
    match (f.take("wellKnownCACertificates"), items.is_empty()) {
        (Some(at), false) => {
            let text = "caCertificateRefs and wellKnownCACertificates exclude each other";
            report.error(codes::INVALID_VALUE, at.value(), text, "remove one");
        }
        (Some(at), true) if at.text() == "System" => return BackendAuthorities::System,
        (Some(at), true) => {
            return BackendAuthorities::Unknown { name: at.shared(), pointer: at.shared_pointer() };
        }
        (None, true) => {
            let text = "nothing says where the certificate of the back end must come from";
            let hint = "add `caCertificateRefs`, or `wellKnownCACertificates: System`";
            report.error(codes::MISSING_FIELD, f.at.place(), text, hint);
        }
        (None, false) => {}
    }
    let refs = items.into_iter().map(|item| certificate_ref(item, "", namespace, report));
    BackendAuthorities::Named(refs.collect())
}

fn certificate_name(item: At<'_>, report: &mut Report) -> Option<CertificateName> {
    let mut f = item.fields();
    let uri = f.text("type") == Some("URI");
    let (hostname, given) = (f.take("hostname"), f.take("uri"));
    let (wanted, field, other) =
        if uri { (given, "uri", hostname) } else { (hostname, "hostname", given) };
    if let Some(other) = other {
        let text = "this field does not belong to a name of the other type";
        report.error(codes::INVALID_VALUE, other.value(), text, "remove it, or change the type");
    }
    let name = match wanted {
        None => {
            let text = format!("a name of this type needs the field `{field}`");
            report.error(codes::MISSING_FIELD, f.at.place(), text, "");
            None
        }
        Some(at) if uri => Some(CertificateName::Uri(at.shared())),
        Some(at) => values::hostname(&at, report).map(CertificateName::Hostname),
    };
    f.finish(report);
    name
}

/// `targetRefs`: always in the policy's own namespace.
pub(crate) fn targets(
    spec: &mut Fields<'_>,
    meta: &Meta,
    report: &mut Report,
) -> Vec<PolicyTarget> {
    let mut out: Vec<PolicyTarget> = Vec::new();
    for item in spec.items("targetRefs") {
        let place = item.place();
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
        let same = |other: &&PolicyTarget| {
            (&other.group, &other.kind, &other.name) == (&target.group, &target.kind, &target.name)
        };
        // LocalPolicyTargetReferenceWithSectionName (CEL rules).
        if out.iter().filter(same).any(|other| {
            other.section == target.section || other.section.is_some() != target.section.is_some()
        }) {
            let text = "the policy refers to this target twice";
            let hint = "remove one, or give each its own sectionName";
            report.error(codes::INVALID_VALUE, place, text, hint);
        }
        out.push(target);
    }
    out
}
