//! What there is to say about a kind as a whole.

use std::sync::Arc;

use model::{Code, Finding, Kind, ObjectRef, Severity, codes};

use super::watch::{Scope, Trouble};
use super::{Way, way};

fn finding(
    source: &Arc<str>,
    code: Code,
    severity: Severity,
    text: String,
    hint: String,
) -> Finding {
    let at = ObjectRef { source: source.clone(), object: None, pointer: "".into(), location: None };
    Finding { at, code, severity, text, hint }
}

pub(super) fn off(source: &Arc<str>, kind: Kind) -> Finding {
    let text = format!("the API server has no {kind} ({}) in a version that is read", kind.group());
    let hint = "the kind is off until its CustomResourceDefinition is installed";
    finding(source, codes::KUBERNETES_KIND_OFF, Severity::Info, text, hint.into())
}

pub(super) fn away(source: &Arc<str>, url: &str, reason: &str) -> Finding {
    let text = format!("the API server {url} cannot be reached: {reason}");
    let hint = "everything that is known of it stays in use";
    finding(source, codes::KUBERNETES_UNREACHABLE, Severity::Error, text, hint.into())
}

pub(super) fn trouble(source: &Arc<str>, scope: &Scope, trouble: &Trouble) -> Option<Finding> {
    let Scope { kind, namespace } = scope;
    let place = if namespace.is_empty() {
        "in all namespaces".to_owned()
    } else {
        format!("in namespace {namespace}")
    };
    match trouble {
        Trouble::Contact { .. } | Trouble::NotServed | Trouble::TooOld => None,
        Trouble::Forbidden { reason } => {
            // With rights in some namespaces only, nobody can look at what belongs to the cluster. Without labels of
            // namespaces and places of nodes there is less to go by, and all else works.
            let expected = way(*kind) == Way::Metadata;
            let severity = if expected { Severity::Warning } else { Severity::Error };
            let text = format!(
                "not permitted to list and watch {} {place}; the last known ones stay in use: {reason}",
                resource(*kind)
            );
            Some(finding(source, codes::KUBERNETES_FORBIDDEN, severity, text, rule(scope)))
        }
        Trouble::Refused { reason, .. } => {
            let text = format!(
                "the API server does not list {} {place}; the last known ones stay in use: {reason}",
                resource(*kind)
            );
            let hint = "it is tried again and again".into();
            Some(finding(source, codes::KUBERNETES_REFUSED, Severity::Error, text, hint))
        }
    }
}

/// An object that is fetched by name, and was not given.
pub(super) fn not_given(source: &Arc<str>, scope: &Scope, trouble: &Trouble) -> Option<Finding> {
    let kind = scope.kind;
    match trouble {
        Trouble::Forbidden { reason } => {
            let text = format!(
                "not permitted to get {} that are referred to; the last known ones stay in use: {reason}",
                resource(kind)
            );
            let code = codes::KUBERNETES_FORBIDDEN;
            Some(finding(source, code, Severity::Error, text, rule(scope)))
        }
        Trouble::Refused { reason, .. } => {
            let text = format!("the API server does not give {}: {reason}", resource(kind));
            let hint = "it is tried again and again".into();
            Some(finding(source, codes::KUBERNETES_REFUSED, Severity::Error, text, hint))
        }
        Trouble::Contact { .. } | Trouble::NotServed | Trouble::TooOld => None,
    }
}

fn resource(kind: Kind) -> String {
    if kind.group().is_empty() {
        kind.plural().to_owned()
    } else {
        format!("{}.{}", kind.plural(), kind.group())
    }
}

/// The rule of a Role that is missing.
fn rule(scope: &Scope) -> String {
    let Scope { kind, namespace } = scope;
    let role = if namespace.is_empty() {
        "ClusterRole".to_owned()
    } else {
        format!("Role in namespace {namespace}")
    };
    format!(
        "add to the {role}: apiGroups: [\"{}\"], resources: [\"{}\"], verbs: [get, list, watch]",
        kind.group(),
        kind.plural()
    )
}
