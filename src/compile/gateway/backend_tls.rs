//! BackendTLSPolicy: which policy a back end has, and the TLS that comes of it.
//!
//! A policy touches clusters only: routes do not know whether their back ends speak TLS.

use std::collections::BTreeSet;
use std::sync::Arc;

use catalog::View;
use imbl::OrdMap;
use ir::{Name, Secret, SecretContent, Trust, UpstreamTls};
use model::{
    BackendAuthorities, BackendTlsPolicy, CertificateName, CertificateRef, Condition, Finding,
    Hostname, Kind, Meta, NamespacedName, ObjectKey, ObjectRef, PolicyTarget, Severity, codes,
};

use super::certificates::{Fault, Why, authorities};
use crate::backend::{BackendKey, Speech};
use crate::complaint::Complaint;
use crate::plan::put;

/// What the policies for a back end come to.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct BackendTls {
    /// `None`: there is no policy.
    pub(super) tls: Option<UpstreamTls>,
    /// What `tls` trusts.
    secret: Option<Secret>,
    judged: Vec<Judged>,
    findings: Vec<Complaint>,
}

#[derive(Clone, Debug, PartialEq)]
struct Judged {
    policy: ObjectKey,
    /// Accepted, ResolvedRefs.
    conditions: [Condition; 2],
}

/// Judges all policies for a back end. `client` is what the proxies show it.
pub(super) fn judge(view: &View<'_>, key: &BackendKey, client: Option<&Name>) -> BackendTls {
    let mut out = BackendTls::default();
    // TLS inside of the client's own would reach nobody, and datagrams have none.
    if matches!(key.speech, Speech::Passthrough | Speech::Udp) {
        return out;
    }
    let target = ObjectKey { kind: key.kind, name: key.name.clone() };
    let candidates = candidates(view, key, &target);
    if candidates.is_empty() {
        out.findings.extend(in_clear_text(view, key));
    }
    for (index, (policy, reference)) in candidates.iter().enumerate() {
        let better = candidates[..index].iter().find(|(_, r)| r.section == reference.section);
        let trusted = trusted(view, policy, &mut out.findings);
        let accepted = match better {
            Some((winner, _)) => {
                let text = format!("{} has precedence for {target}", winner.meta.key);
                let hint = "the older policy counts, else the first by namespace and name";
                let code = codes::POLICY_CONFLICT;
                out.findings.push(finding(&policy.meta, &reference.pointer, code, &text, hint));
                Condition::new("Accepted", false, "Conflicted", text)
            }
            None => trusted.accepted.clone(),
        };
        out.judged.push(Judged {
            policy: policy.meta.key.clone(),
            conditions: [accepted, trusted.resolved],
        });
        if index == 0 {
            out.tls = Some(UpstreamTls {
                server_name: policy.hostname.clone(),
                names: names(policy),
                trust: trusted.trust,
                client_certificate: client.cloned(),
            });
            out.secret = trusted.secret;
        }
    }
    out
}

/// The policies for this port, those that name it before those for the whole service, and the first is the one that counts
/// (`BackendTLSPolicySpec.targetRefs`).
fn candidates<'a>(
    view: &View<'a>,
    key: &BackendKey,
    target: &ObjectKey,
) -> Vec<(&'a Arc<BackendTlsPolicy>, &'a PolicyTarget)> {
    let policies: Vec<_> = view.backend_tls_policies_of(target).collect();
    if policies.is_empty() {
        return Vec::new();
    }
    let port = match key.kind {
        Kind::MeshService => view.mesh_service(&key.name).and_then(|service| {
            service.ports.iter().find(|port| port.port == key.port).map(|port| &port.name)
        }),
        _ => view.service(&key.name).and_then(|service| {
            let mut ports = service.ports.iter();
            ports.find(|port| key.is(port.port, port.protocol)).map(|port| &port.name)
        }),
    };
    let mut found: Vec<_> = policies
        .into_iter()
        .flat_map(|policy| policy.targets.iter().map(move |reference| (policy, reference)))
        .filter(|(_, r)| Kind::find(&r.group, &r.kind) == Some(key.kind) && r.name == key.name)
        .filter(|(_, r)| r.section.is_none() || r.section.as_ref() == port)
        .collect();
    found.sort_by_cached_key(|(policy, reference)| {
        let created = policy.meta.created.unwrap_or(i64::MAX);
        (reference.section.is_none(), created, policy.meta.key.name.to_string())
    });
    found
}

/// `appProtocol: https` and no policy: Gateway API has TLS by policy only.
fn in_clear_text(view: &View<'_>, key: &BackendKey) -> Option<Complaint> {
    if key.kind != Kind::Service {
        return None;
    }
    let service = view.service(&key.name)?;
    let index =
        service.ports.iter().position(|port| key.is(port.port, port.protocol) && port.tls)?;
    let finding = Finding {
        at: service.meta.at(&format!("/spec/ports/{index}")),
        code: codes::REFERENCE_PROTOCOL,
        severity: Severity::Warning,
        text: format!("port {} says TLS, and is called in clear text", key.port),
        hint: "add a BackendTLSPolicy that says whom to trust, or change appProtocol".into(),
    };
    Some(finding.into())
}

fn names(policy: &BackendTlsPolicy) -> Vec<CertificateName> {
    if policy.names.is_empty() {
        let hostname = Hostname::parse(&policy.hostname).ok();
        return hostname.map(CertificateName::Hostname).into_iter().collect();
    }
    policy.names.clone()
}

struct Trusted {
    trust: Trust,
    secret: Option<Secret>,
    accepted: Condition,
    resolved: Condition,
}

fn trusted(view: &View<'_>, policy: &BackendTlsPolicy, findings: &mut Vec<Complaint>) -> Trusted {
    let mut out = Trusted {
        trust: Trust::Nobody,
        secret: None,
        accepted: Condition::new("Accepted", true, "Accepted", "the policy is in use"),
        resolved: Condition::new(
            "ResolvedRefs",
            true,
            "ResolvedRefs",
            "all references are resolved",
        ),
    };
    match &policy.authorities {
        BackendAuthorities::System => out.trust = Trust::System,
        BackendAuthorities::Unknown { name, pointer } => {
            let text = format!("there is no set of certificates {name}");
            let hint = "requests to its back ends fail; write System, or use caCertificateRefs";
            findings.push(finding(&policy.meta, pointer, codes::INVALID_VALUE, &text, hint));
            out.accepted = Condition::new("Accepted", false, "Invalid", text);
        }
        BackendAuthorities::Named(references) => {
            named(view, policy, references, &mut out, findings);
        }
    }
    out
}

/// Policies that name the same authorities share a secret, and a new certificate changes nothing else.
fn named(
    view: &View<'_>,
    policy: &BackendTlsPolicy,
    references: &[CertificateRef],
    out: &mut Trusted,
    findings: &mut Vec<Complaint>,
) {
    let mut pem: Vec<u8> = Vec::new();
    let mut parts = Vec::new();
    let mut origin = None;
    let mut first: Option<Fault> = None;
    for reference in references {
        match authorities(view, &policy.meta, reference) {
            Ok(more) => {
                pem.extend_from_slice(&more);
                if !more.ends_with(b"\n") {
                    pem.push(b'\n');
                }
                let CertificateRef { kind, namespace, name, .. } = reference;
                parts.push(format!("{}/{namespace}/{name}", kind.to_ascii_lowercase()));
                origin = origin.or_else(|| source(view, reference));
            }
            Err(fault) => {
                let hint = if references.len() == 1 {
                    "requests to its back ends fail until the reference is good"
                } else {
                    "back ends are judged by the other references; without any, requests fail"
                };
                let text = fault.text.clone();
                findings.push(fault.complaint(&policy.meta, &reference.pointer, text, hint));
                first.get_or_insert(fault);
            }
        }
    }
    if let Some(fault) = first {
        let reason = match fault.why {
            Why::Kind => "InvalidKind",
            Why::NotPermitted | Why::Unusable => "InvalidCACertificateRef",
        };
        out.resolved = Condition::new("ResolvedRefs", false, reason, fault.text);
    }
    let Some(origin) = origin else {
        let text = "no certificate is there to judge the back ends by";
        out.accepted = Condition::new("Accepted", false, "NoValidCACertificate", text);
        return;
    };
    // `+` is in no name of an object.
    let name: Name = format!("authorities/{}", parts.join("+")).into();
    out.trust = Trust::Authorities(name.clone());
    out.secret = Some(Secret { name, content: SecretContent::Authorities(pem.into()), origin });
}

/// The object itself, not the policy, of which there may be several.
fn source(view: &View<'_>, reference: &CertificateRef) -> Option<ObjectRef> {
    let CertificateRef { kind, namespace, name, .. } = reference;
    let target = NamespacedName { namespace: namespace.clone(), name: name.clone() };
    if &**kind == Kind::ConfigMap.as_str() {
        return view.config_map(&target).map(|object| object.meta.at(""));
    }
    view.secret(&target).map(|object| object.meta.at(""))
}

fn finding(meta: &Meta, pointer: &str, code: model::Code, text: &str, hint: &str) -> Complaint {
    let at = meta.at(pointer);
    Finding { at, code, severity: Severity::Error, text: text.into(), hint: hint.into() }.into()
}

/// What was judged for each back end of a group.
#[derive(Clone, Debug, Default)]
pub(super) struct Policies {
    /// Only back ends of which something is to be said.
    by_backend: OrdMap<BackendKey, BackendTls>,
    by_policy: OrdMap<ObjectKey, BTreeSet<BackendKey>>,
    by_secret: OrdMap<Name, BTreeSet<BackendKey>>,
}

impl Policies {
    /// Puts the new judgement in the place of the old, with the secrets that back ends need. Returns the policies that
    /// are judged otherwise than before.
    #[must_use]
    pub(super) fn set(
        &mut self,
        key: &BackendKey,
        next: BackendTls,
        secrets: &mut OrdMap<Name, Arc<Secret>>,
    ) -> Vec<ObjectKey> {
        let old = self.by_backend.remove(key);
        let before = old.as_ref().map_or(&[][..], |old| &old.judged);
        let told = if before == &next.judged[..] {
            Vec::new()
        } else {
            before.iter().chain(&next.judged).map(|judged| judged.policy.clone()).collect()
        };
        for judged in old.iter().flat_map(|old| &old.judged) {
            forget(&mut self.by_policy, &judged.policy, key);
        }
        for judged in &next.judged {
            self.by_policy.entry(judged.policy.clone()).or_default().insert(key.clone());
        }
        if let Some(secret) = &next.secret {
            put(secrets, &secret.name, secret.clone());
            self.by_secret.entry(secret.name.clone()).or_default().insert(key.clone());
        }
        let kept = next.secret.as_ref().map(|secret| &secret.name);
        let old = old.and_then(|old| old.secret);
        if let Some(old) = old.filter(|old| Some(&old.name) != kept)
            && forget(&mut self.by_secret, &old.name, key)
        {
            secrets.remove(&old.name);
        }
        if next != BackendTls::default() {
            self.by_backend.insert(key.clone(), next);
        }
        told
    }

    /// Back ends that are called by TLS.
    pub(super) fn backends(&self) -> impl Iterator<Item = &BackendKey> {
        self.by_backend.iter().filter(|(_, found)| found.tls.is_some()).map(|(key, _)| key)
    }

    /// Policies of which something is said.
    pub(super) fn judged(&self) -> impl Iterator<Item = &ObjectKey> {
        self.by_policy.keys()
    }

    pub(super) fn complaints(&self, backend: &BackendKey) -> &[Complaint] {
        self.by_backend.get(backend).map_or(&[], |tls| &tls.findings)
    }

    /// What is said about a policy; `None` where no back end in use has it. One that counts for some of its targets is
    /// accepted.
    pub(super) fn conditions(&self, policy: &ObjectKey) -> Option<Vec<Condition>> {
        let backends = self.by_policy.get(policy)?;
        let all: Vec<_> = backends
            .iter()
            .filter_map(|key| self.by_backend.get(key))
            .flat_map(|tls| &tls.judged)
            .filter(|judged| judged.policy == *policy)
            .collect();
        let accepted =
            |judged: &&&Judged| judged.conditions[0].status == model::ConditionStatus::True;
        let judged = all.iter().find(accepted).or(all.first())?;
        Some(judged.conditions.to_vec())
    }
}

/// Returns whether nobody is left.
fn forget<K: Ord + Clone, V: Ord + Clone>(
    index: &mut OrdMap<K, BTreeSet<V>>,
    key: &K,
    value: &V,
) -> bool {
    let Some(values) = index.get_mut(key) else { return false };
    values.remove(value);
    let empty = values.is_empty();
    if empty {
        index.remove(key);
    }
    empty
}
