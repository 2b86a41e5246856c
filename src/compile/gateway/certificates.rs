//! The certificates that a listener shows its clients.

use catalog::View;
use ir::{Name, Secret, SecretContent};
use model::{Condition, Kind, Listener, Meta, NamespacedName, ObjectKey, SecretData, codes};

use super::listeners::{Skeleton, finding};
use crate::backend::granted;
use crate::complaint::Complaint;

/// The usable certificates of a listener that ends TLS; the unusable ones are said in a condition and in findings.
/// `meta` is that of the Gateway or ListenerSet that the listener is part of.
pub(super) fn certificates(
    view: &View<'_>,
    meta: &Meta,
    listener: &Listener,
    conditions: &mut Vec<Condition>,
    out: &mut Skeleton,
) -> Vec<Name> {
    let mut names = Vec::new();
    let mut problem: Option<(&'static str, String)> = None;
    if listener.certificates.is_empty() {
        problem = Some(("InvalidCertificateRef", "tls.certificateRefs is empty".into()));
        out.findings.push(finding(
            meta,
            &format!("{}/tls", listener.pointer),
            codes::REFERENCE_NOT_FOUND,
            format!("listener {}: a listener that ends TLS needs a certificate", listener.name),
            "name a Secret of type kubernetes.io/tls in tls.certificateRefs".into(),
        ));
    }
    for reference in &listener.certificates {
        let target =
            NamespacedName { namespace: reference.namespace.clone(), name: reference.name.clone() };
        let from = (meta.key.kind.group(), meta.key.kind.as_str(), &**meta.namespace());
        let fault = if Kind::find(&reference.group, &reference.kind) != Some(Kind::Secret) {
            let text = format!("a certificate cannot be of kind {}", reference.kind);
            Some(("InvalidCertificateRef", codes::REFERENCE_KIND, text))
        } else if granted(view, from, ("", "Secret", &target)) {
            match view.secret(&target).map(|secret| (secret, &secret.data)) {
                None => Some((
                    "InvalidCertificateRef",
                    codes::REFERENCE_NOT_FOUND,
                    format!("Secret {target} does not exist"),
                )),
                Some((secret, SecretData::Tls { chain, key })) => {
                    let name: Name = format!("secret/{}/{}", target.namespace, target.name).into();
                    let value = Secret {
                        name: name.clone(),
                        content: SecretContent::Certificate {
                            chain: chain.clone(),
                            key: key.clone(),
                        },
                        origin: secret.meta.at(""),
                    };
                    out.secrets.insert(name.clone(), value);
                    if !names.contains(&name) {
                        names.push(name);
                    }
                    None
                }
                Some((_, SecretData::Invalid { reason })) => Some((
                    "InvalidCertificateRef",
                    codes::INVALID_CERTIFICATE,
                    format!("Secret {target} cannot be used: {reason}"),
                )),
                Some((_, SecretData::Other { kind })) => Some((
                    "InvalidCertificateRef",
                    codes::INVALID_CERTIFICATE,
                    format!("Secret {target} is of type {kind}, not kubernetes.io/tls"),
                )),
            }
        } else {
            let text = format!(
                "no ReferenceGrant in namespace {} permits the reference to Secret {target}",
                target.namespace
            );
            Some(("RefNotPermitted", codes::REFERENCE_NOT_PERMITTED, text))
        };
        if let Some((reason, code, text)) = fault {
            let hint = if names.is_empty() && listener.certificates.len() == 1 {
                "the listener is not served until the reference is good"
            } else {
                "the listener is served with its other certificates"
            };
            let missing = (code == codes::REFERENCE_NOT_FOUND)
                .then(|| ObjectKey { kind: Kind::Secret, name: target.clone() });
            let complaint = finding(
                meta,
                &reference.pointer,
                code,
                format!("listener {}: {text}", listener.name),
                hint.into(),
            );
            out.findings.push(Complaint { missing, ..complaint });
            problem.get_or_insert((reason, text));
        }
    }
    if let Some((reason, text)) = problem {
        conditions.push(Condition::new("ResolvedRefs", false, reason, text));
    }
    names
}
