//! References to certificates: what a listener shows its clients, what it asks of them, and what the proxies show back
//! ends.

use std::sync::Arc;

use catalog::View;
use ir::{ClientValidation, Name, Secret, SecretContent};
use model::{
    Authorities, CertificateRef, Code, Gateway, Kind, Listener, Meta, NamespacedName, ObjectKey,
    SecretData, codes,
};

use super::listeners::{Problem, Skeleton, finding};
use crate::backend::granted;
use crate::complaint::Complaint;

/// Why a reference leads nowhere.
pub(super) struct Fault {
    pub(super) why: Why,
    code: Code,
    pub(super) text: String,
    missing: Option<ObjectKey>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Why {
    Kind,
    NotPermitted,
    Unusable,
}

/// The usable certificates of a listener that ends TLS. `meta` is that of the Gateway or ListenerSet that the listener is
/// part of.
pub(super) fn certificates(
    view: &View<'_>,
    meta: &Meta,
    listener: &Listener,
    out: &mut Skeleton,
) -> (Vec<Name>, Option<Problem>) {
    let mut names = Vec::new();
    let mut problem: Option<Problem> = None;
    if listener.certificates.is_empty() {
        let text = "tls.certificateRefs is empty".to_owned();
        problem = Some(Problem { reason: "InvalidCertificateRef", text });
        out.findings.push(finding(
            meta,
            &format!("{}/tls", listener.pointer),
            codes::REFERENCE_NOT_FOUND,
            format!(
                "listener {}: protocol {} needs a certificate",
                listener.name,
                listener.protocol.as_ref().map_or("", |p| p.as_str())
            ),
            "name a Secret of type kubernetes.io/tls in tls.certificateRefs".into(),
        ));
    }
    for reference in &listener.certificates {
        match certificate(view, meta, reference) {
            Ok(secret) => {
                if !names.contains(&secret.name) {
                    names.push(secret.name.clone());
                }
                out.secrets.insert(secret.name.clone(), secret);
            }
            Err(fault) => {
                let hint = if names.is_empty() && listener.certificates.len() == 1 {
                    "the listener is not served until the reference is good"
                } else {
                    "the listener is served with its other certificates"
                };
                let text = format!("listener {}: {}", listener.name, fault.text);
                out.findings.push(fault.complaint(meta, &reference.pointer, text, hint));
                let reason = match fault.why {
                    Why::NotPermitted => "RefNotPermitted",
                    Why::Kind | Why::Unusable => "InvalidCertificateRef",
                };
                problem.get_or_insert(Problem { reason, text: fault.text });
            }
        }
    }
    (names, problem)
}

/// What the proxies of a Gateway show back ends.
pub(super) fn client_certificate(
    view: &View<'_>,
    gateway: &Gateway,
    out: &mut Skeleton,
) -> Option<Problem> {
    let reference = gateway.client_certificate.as_ref()?;
    match certificate(view, &gateway.meta, reference) {
        Ok(secret) => {
            out.client_certificate = Some(secret.name.clone());
            out.secrets.insert(secret.name.clone(), secret);
            None
        }
        Err(fault) => {
            let hint = "back ends are called without a certificate until the reference is good";
            let text = fault.text.clone();
            out.findings.push(fault.complaint(&gateway.meta, &reference.pointer, text, hint));
            let reason = match fault.why {
                Why::NotPermitted => "RefNotPermitted",
                Why::Kind | Why::Unusable => "InvalidClientCertificateRef",
            };
            Some(Problem { reason, text: fault.text })
        }
    }
}

/// What is asked of the clients of the HTTPS listeners on a port.
#[derive(Clone, Debug, Default)]
pub(super) struct Asked {
    /// `None` where nothing is asked, or nothing can be: then `problem` says why, and nobody may be served.
    pub(super) client: Option<ClientValidation>,
    pub(super) problem: Option<Problem>,
}

/// `place` tells the validations of a Gateway apart.
pub(super) fn client_validation(
    view: &View<'_>,
    gateway: &Gateway,
    validation: &model::ClientValidation,
    place: &str,
    out: &mut Skeleton,
) -> Asked {
    let mut pem: Vec<u8> = Vec::new();
    let mut problem: Option<Problem> = None;
    for reference in &validation.authorities {
        match authorities(view, &gateway.meta, reference) {
            Ok(more) => {
                pem.extend_from_slice(&more);
                if !more.ends_with(b"\n") {
                    pem.push(b'\n');
                }
            }
            Err(fault) => {
                let hint = if validation.authorities.len() == 1 {
                    "HTTPS listeners that it is for are not served until the reference is good"
                } else {
                    "clients are judged by the other references; without any, nobody is served"
                };
                let text = fault.text.clone();
                out.findings.push(fault.complaint(&gateway.meta, &reference.pointer, text, hint));
                let reason = match fault.why {
                    Why::NotPermitted => "RefNotPermitted",
                    Why::Kind => "InvalidCACertificateKind",
                    Why::Unusable => "InvalidCACertificateRef",
                };
                problem.get_or_insert(Problem { reason, text: fault.text });
            }
        }
    }
    if pem.is_empty() {
        return Asked { client: None, problem };
    }
    let name: Name = format!("client-authorities/{}/{place}", gateway.meta.key.name).into();
    let secret = Secret {
        name: name.clone(),
        content: SecretContent::Authorities(pem.into()),
        origin: gateway.meta.at(&validation.pointer),
    };
    out.secrets.insert(name.clone(), secret);
    let client = ClientValidation {
        authorities: name,
        required: !validation.insecure_fallback,
        names: Vec::new(),
    };
    Asked { client: Some(client), problem }
}

fn certificate(view: &View<'_>, owner: &Meta, reference: &CertificateRef) -> Result<Secret, Fault> {
    let key = target(view, owner, reference, &[Kind::Secret])?;
    let Some(secret) = view.secret(&key.name) else { return Err(Fault::not_found(key)) };
    match &secret.data {
        SecretData::Tls { chain, key: private } => Ok(Secret {
            name: format!("secret/{}/{}", key.name.namespace, key.name.name).into(),
            content: SecretContent::Certificate { chain: chain.clone(), key: private.clone() },
            origin: secret.meta.at(""),
        }),
        SecretData::Invalid { reason } => {
            Err(Fault::unusable(format!("{key} cannot be used: {reason}")))
        }
        SecretData::Other { kind } => {
            Err(Fault::unusable(format!("{key} is of type {kind}, not kubernetes.io/tls")))
        }
    }
}

pub(super) fn authorities(
    view: &View<'_>,
    owner: &Meta,
    reference: &CertificateRef,
) -> Result<Arc<[u8]>, Fault> {
    let key = target(view, owner, reference, &[Kind::ConfigMap, Kind::Secret])?;
    let found = match key.kind {
        Kind::ConfigMap => view.config_map(&key.name).map(|map| &map.authorities),
        _ => view.secret(&key.name).map(|secret| &secret.authorities),
    };
    match found {
        None => Err(Fault::not_found(key)),
        Some(Authorities::Pem(pem)) => Ok(pem.clone()),
        Some(Authorities::None) => Err(Fault::unusable(format!("{key} has no ca.crt"))),
        Some(Authorities::Invalid { reason }) => {
            Err(Fault::unusable(format!("{key} cannot be used: {reason}")))
        }
    }
}

/// The object that a reference is for, if it is of such a kind and may be referred to.
fn target(
    view: &View<'_>,
    owner: &Meta,
    reference: &CertificateRef,
    kinds: &[Kind],
) -> Result<ObjectKey, Fault> {
    let found = Kind::find(&reference.group, &reference.kind).filter(|kind| kinds.contains(kind));
    let Some(kind) = found else {
        let shown = if reference.group.is_empty() { "core" } else { &*reference.group };
        return Err(Fault {
            why: Why::Kind,
            code: codes::REFERENCE_KIND,
            text: format!("a certificate cannot be of kind {} (group {shown})", reference.kind),
            missing: None,
        });
    };
    let name =
        NamespacedName { namespace: reference.namespace.clone(), name: reference.name.clone() };
    let from = (owner.key.kind.group(), owner.key.kind.as_str(), &**owner.namespace());
    let key = ObjectKey { kind, name };
    if granted(view, from, (kind.group(), kind.as_str(), &key.name)) {
        return Ok(key);
    }
    Err(Fault {
        why: Why::NotPermitted,
        code: codes::REFERENCE_NOT_PERMITTED,
        text: format!(
            "no ReferenceGrant in namespace {} permits the reference to {key}",
            key.name.namespace
        ),
        missing: None,
    })
}

impl Fault {
    fn not_found(key: ObjectKey) -> Self {
        let text = format!("{key} does not exist");
        let code = codes::REFERENCE_NOT_FOUND;
        Self { why: Why::Unusable, code, text, missing: Some(key) }
    }

    fn unusable(text: String) -> Self {
        Self { why: Why::Unusable, code: codes::INVALID_CERTIFICATE, text, missing: None }
    }

    pub(super) fn complaint(
        &self,
        meta: &Meta,
        pointer: &str,
        text: String,
        hint: &str,
    ) -> Complaint {
        let finding = finding(meta, pointer, self.code, text, hint.into());
        Complaint { missing: self.missing.clone(), ..finding }
    }
}
