//! A Gateway's listeners: which can be served, with which certificates, and what their status says.

use std::collections::BTreeMap;
use std::sync::Arc;

use catalog::View;
use ir::{Name, Secret};
use model::{
    AllowedNamespaces, Condition, Finding, Gateway, Hostname, Kind, Listener, ListenerProtocol,
    Meta, NamespacedName, ObjectKey, RouteKind, SecretData, Severity, TlsMode, codes,
};

use crate::backend::granted;
use crate::complaint::Complaint;

/// Port and scheme that requests come in by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Entrance {
    pub(crate) port: u16,
    pub(crate) tls: bool,
}

/// One listener, as routes see it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Front {
    pub(crate) name: Arc<str>,
    pub(crate) entrance: Entrance,
    pub(crate) hostname: Option<Hostname>,
    pub(crate) namespaces: AllowedNamespaces,
    /// Whether HTTPRoutes may attach at all.
    pub(crate) http_routes: bool,
    /// Whether the listener takes part: known protocol, no conflict.
    pub(crate) accepted: bool,
    /// The route table that serves it.
    pub(crate) table: Name,
}

/// What does not concern routes.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Back {
    pub(crate) pointer: Arc<str>,
    pub(crate) secrets: Vec<Name>,
    pub(crate) conditions: Vec<Condition>,
    /// Accepted, and can take connections.
    pub(crate) programmed: bool,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Skeleton {
    pub(crate) gateway: Option<Arc<Gateway>>,
    pub(crate) fronts: Vec<Front>,
    pub(crate) backs: Vec<Back>,
    pub(crate) secrets: BTreeMap<Name, Secret>,
    pub(crate) findings: Vec<Complaint>,
}

/// Reads the Gateway and all that its listeners name. Empty if the Gateway is not there or not ours.
pub(crate) fn skeleton(view: &View<'_>, name: &NamespacedName, controller: &str) -> Skeleton {
    let Some(gateway) = view.gateway(name) else { return Skeleton::default() };
    match view.gateway_class(&gateway.class) {
        Some(class) if &*class.controller == controller => {}
        Some(_) => return Skeleton::default(),
        None => {
            let finding = finding(
                &gateway.meta,
                "/spec/gatewayClassName",
                codes::REFERENCE_NOT_FOUND,
                format!("GatewayClass {} does not exist", gateway.class),
                format!("add a GatewayClass {} with controllerName: {controller}", gateway.class),
            );
            let missing = Some(ObjectKey::new(Kind::GatewayClass, "", &gateway.class));
            return Skeleton {
                findings: vec![Complaint { missing, ..finding }],
                ..Skeleton::default()
            };
        }
    }
    let mut out = Skeleton { gateway: Some(gateway.clone()), ..Skeleton::default() };
    for listener in &gateway.listeners {
        // A protocol that is not served takes nothing from a listener that is (`GatewaySpec.listeners`: "if an
        // implementation does not support TCP […] the previous rule does not apply").
        let supported = unsupported(listener).is_none();
        let conflict = supported.then(|| conflict(listener, &gateway.listeners)).flatten();
        let (front, back) = examine(view, &gateway.meta, listener, conflict.as_ref(), &mut out);
        out.fronts.push(front);
        out.backs.push(back);
    }
    out
}

fn examine(
    view: &View<'_>,
    meta: &Meta,
    listener: &Listener,
    conflict: Option<&Conflict>,
    out: &mut Skeleton,
) -> (Front, Back) {
    let mut conditions = Vec::new();
    let unsupported = unsupported(listener);
    if let Some(text) = &unsupported {
        out.findings.push(finding(
            meta,
            &listener.pointer,
            codes::UNSUPPORTED_LISTENER,
            format!("listener {}: {text}", listener.name),
            "this listener is not served, the others are".into(),
        ));
        conditions.push(Condition::new("Accepted", false, "UnsupportedProtocol", text.clone()));
    } else if let Some(conflict) = conflict {
        conditions.push(Condition::new("Accepted", false, conflict.reason, conflict.text.clone()));
    } else {
        conditions.push(Condition::new("Accepted", true, "Accepted", "the listener is valid"));
    }
    match conflict {
        Some(conflict) => {
            out.findings.push(finding(
                meta,
                &listener.pointer,
                codes::LISTENER_CONFLICT,
                format!("listener {}: {}", listener.name, conflict.text),
                "none of the listeners in a conflict is served: Gateway API forbids to pick a winner".into(),
            ));
            conditions.push(Condition::new(
                "Conflicted",
                true,
                conflict.reason,
                conflict.text.clone(),
            ));
        }
        None => conditions.push(Condition::new("Conflicted", false, "NoConflicts", "")),
    }

    let accepted = unsupported.is_none() && conflict.is_none();
    let tls = listener.protocol == Ok(ListenerProtocol::Https);
    let secrets = if tls && unsupported.is_none() {
        certificates(view, meta, listener, &mut conditions, out)
    } else {
        Vec::new()
    };
    let kinds_ok = listener.kinds.iter().all(is_http_route);
    if !kinds_ok {
        let text =
            "this listener serves HTTPRoute only; other kinds in allowedRoutes.kinds are not known";
        conditions.retain(|c| c.kind != "ResolvedRefs");
        conditions.push(Condition::new("ResolvedRefs", false, "InvalidRouteKinds", text));
        out.findings.push(finding(
            meta,
            &format!("{}/allowedRoutes/kinds", listener.pointer),
            codes::REFERENCE_KIND,
            format!("listener {}: {text}", listener.name),
            "name kind HTTPRoute, or leave kinds out".into(),
        ));
    } else if !conditions.iter().any(|c| c.kind == "ResolvedRefs") {
        conditions.push(Condition::new(
            "ResolvedRefs",
            true,
            "ResolvedRefs",
            "all references are resolved",
        ));
    }
    let programmed = accepted && (!tls || !secrets.is_empty());
    conditions.push(if programmed {
        Condition::new(
            "Programmed",
            true,
            "Programmed",
            "the listener is part of the served configuration",
        )
    } else {
        Condition::new(
            "Programmed",
            false,
            "Invalid",
            "the listener is not served: see the other conditions",
        )
    });

    let entrance = Entrance { port: listener.port, tls };
    let front = Front {
        name: listener.name.clone(),
        entrance,
        hostname: listener.hostname.clone(),
        namespaces: listener.namespaces.clone(),
        http_routes: listener.kinds.is_empty() || listener.kinds.iter().any(is_http_route),
        accepted,
        table: table_name(listener, entrance),
    };
    let back = Back { pointer: listener.pointer.clone(), secrets, conditions, programmed };
    (front, back)
}

/// All plain HTTP listeners of a port share a table, since only the host header tells them apart. With TLS each listener
/// has its own: the server name chose it, and its connections must not reach another listener's routes.
fn table_name(listener: &Listener, entrance: Entrance) -> Name {
    if entrance.tls {
        format!("https/{}/{}", entrance.port, listener.name).into()
    } else {
        format!("http/{}", entrance.port).into()
    }
}

fn is_http_route(kind: &RouteKind) -> bool {
    &*kind.kind == Kind::HttpRoute.as_str() && &*kind.group == Kind::HttpRoute.group()
}

fn unsupported(listener: &Listener) -> Option<String> {
    match &listener.protocol {
        Ok(ListenerProtocol::Https) if listener.tls_mode == TlsMode::Passthrough => {
            Some("protocol HTTPS needs tls.mode Terminate".into())
        }
        Ok(ListenerProtocol::Http | ListenerProtocol::Https) => None,
        Ok(other) => Some(format!("protocol {} is not served", other.as_str())),
        Err(other) => Some(format!("protocol {other} is not known")),
    }
}

struct Conflict {
    reason: &'static str,
    text: String,
}

fn conflict(listener: &Listener, all: &[Listener]) -> Option<Conflict> {
    let others = || {
        let same_port = all.iter().filter(|o| o.name != listener.name && o.port == listener.port);
        same_port.filter(|o| unsupported(o).is_none())
    };
    if let Some(other) = others().find(|o| o.protocol != listener.protocol) {
        return Some(Conflict {
            reason: "ProtocolConflict",
            text: format!(
                "port {} is also used by listener {} with another protocol",
                listener.port, other.name
            ),
        });
    }
    let other = others().find(|o| o.hostname == listener.hostname)?;
    let host = listener.hostname.as_ref().map_or("every hostname", Hostname::as_str);
    Some(Conflict {
        reason: "HostnameConflict",
        text: format!("port {} with {host} is also used by listener {}", listener.port, other.name),
    })
}

/// The usable certificates of a TLS listener; the unusable ones are said in a condition and in findings.
fn certificates(
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
            format!("listener {}: protocol HTTPS needs a certificate", listener.name),
            "name a Secret of type kubernetes.io/tls in tls.certificateRefs".into(),
        ));
    }
    for reference in &listener.certificates {
        let target =
            NamespacedName { namespace: reference.namespace.clone(), name: reference.name.clone() };
        let from = (Kind::Gateway.group(), Kind::Gateway.as_str(), &**meta.namespace());
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
                        chain: chain.clone(),
                        key: key.clone(),
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

fn finding(meta: &Meta, pointer: &str, code: model::Code, text: String, hint: String) -> Complaint {
    Finding { at: meta.at(pointer), code, severity: Severity::Error, text, hint }.into()
}
