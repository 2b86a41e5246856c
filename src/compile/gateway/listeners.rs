//! The listeners of a Gateway and of its ListenerSets: which can be served, with which certificates, and what their
//! status says.

use std::collections::BTreeMap;
use std::sync::Arc;

use catalog::View;
use ir::{Name, Secret, TlsTermination};
use model::{
    AllowedNamespaces, ClientValidation, Condition, ConditionStatus, Finding, FrontendTls, Gateway,
    Hostname, Kind, Listener, ListenerProtocol, ListenerSet, Meta, NamespacedName, ObjectKey,
    ObjectRef, RouteKind, Severity, TlsMode, codes,
};

use super::addresses;
use super::attach::admits;
use super::certificates::{Asked, certificates, client_certificate, client_validation};
use super::conflicts::{Conflict, conflict, say_overlaps};
use super::fleet::{Parameters, parameters};
use crate::complaint::Complaint;

/// What a listener does with a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Scheme {
    Http,
    Https,
    TlsTerminate,
    TlsPassthrough,
    Tcp,
    Udp,
}

impl Scheme {
    /// The kinds of route that go with it (`GatewaySpec.listeners`).
    const fn kinds(self) -> &'static [Kind] {
        match self {
            Self::Http | Self::Https => &[Kind::HttpRoute, Kind::GrpcRoute],
            Self::TlsTerminate | Self::TlsPassthrough => &[Kind::TlsRoute],
            Self::Tcp => &[Kind::TcpRoute],
            Self::Udp => &[Kind::UdpRoute],
        }
    }
}

/// Where traffic comes in, and what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Entrance {
    pub(crate) port: u16,
    pub(crate) scheme: Scheme,
}

impl Entrance {
    /// Of routes that are attached nowhere: what they refer to is looked at nevertheless, for their status.
    pub(crate) const NOWHERE: Self = Self { port: 0, scheme: Scheme::Http };

    /// Whether the proxy ends TLS here, for which it needs a certificate.
    pub(crate) fn tls(self) -> bool {
        matches!(self.scheme, Scheme::Https | Scheme::TlsTerminate)
    }
}

/// One listener, as routes see it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Front {
    /// The Gateway or ListenerSet that it is part of.
    pub(crate) parent: ObjectKey,
    pub(crate) name: Arc<str>,
    pub(crate) entrance: Entrance,
    pub(crate) hostname: Option<Hostname>,
    pub(crate) namespaces: AllowedNamespaces,
    /// Routes that may attach, in the order of the document.
    pub(crate) kinds: Vec<Kind>,
    /// Whether the listener takes part: known protocol, no conflict.
    pub(crate) accepted: bool,
    /// The route table that serves it; `None` where connections are not HTTP.
    pub(crate) table: Option<Name>,
}

impl Front {
    /// Its name among all listeners of the Gateway.
    pub(crate) fn label(&self) -> Name {
        match self.parent.kind {
            Kind::Gateway => self.name.clone(),
            _ => format!("{}/{}", self.parent.name, self.name).into(),
        }
    }
}

/// What does not concern routes.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Back {
    pub(crate) origin: ObjectRef,
    /// Empty where the proxy does not end TLS.
    pub(crate) tls: TlsTermination,
    pub(crate) conditions: Vec<Condition>,
    /// Accepted, and can take connections.
    pub(crate) programmed: bool,
}

impl Back {
    pub(crate) fn is_true(&self, condition: &str) -> bool {
        let mut of = self.conditions.iter().filter(|c| c.kind == condition);
        of.any(|c| c.status == ConditionStatus::True)
    }
}

/// Why a condition is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) reason: &'static str,
    pub(crate) text: String,
}

impl Problem {
    pub(crate) fn condition(self, kind: &'static str) -> Condition {
        Condition::new(kind, false, self.reason, self.text)
    }
}

/// A ListenerSet that names the Gateway.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Set {
    pub(crate) key: ObjectKey,
    /// Whether the Gateway lets it add listeners. Else it has no [`Front`]s.
    pub(crate) allowed: bool,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Skeleton {
    pub(crate) gateway: Option<Arc<Gateway>>,
    pub(crate) parameters: Parameters,
    /// In order of precedence.
    pub(crate) sets: Vec<Set>,
    /// Of the Gateway first, then of the sets in their order.
    pub(crate) fronts: Vec<Front>,
    /// For each of `fronts`.
    pub(crate) backs: Vec<Back>,
    /// All that are named here and can be used.
    pub(crate) secrets: BTreeMap<Name, Secret>,
    /// Name in `secrets`: what the proxies show to back ends that they call with TLS.
    pub(crate) client_certificate: Option<Name>,
    /// Why the Gateway as a whole is not accepted. What it says is served nevertheless, as far as it goes.
    pub(crate) refused: Option<Problem>,
    /// What the Gateway itself refers to and cannot be used.
    pub(crate) unresolved: Option<Problem>,
    pub(crate) findings: Vec<Complaint>,
}

/// Reads the Gateway and all that its listeners name. Empty if the Gateway is not there or not ours.
pub(crate) fn skeleton(view: &View<'_>, name: &NamespacedName, controller: &str) -> Skeleton {
    let Some(gateway) = view.gateway(name) else { return Skeleton::default() };
    let class = match view.gateway_class(&gateway.class) {
        Some(class) if &*class.controller == controller => class,
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
    };
    let mut out = Skeleton { gateway: Some(gateway.clone()), ..Skeleton::default() };
    out.parameters = parameters(view, class, gateway, &mut out.findings);
    let Parameters { of_class, of_gateway, configs: _ } = &out.parameters;
    let refused = of_gateway.clone().or_else(|| of_class.clone());
    out.refused = refused.map(|text| Problem { reason: "InvalidParameters", text });
    let unsupported = addresses::check(gateway, &mut out);
    out.refused = out.refused.take().or(unsupported);
    out.unresolved = client_certificate(view, gateway, &mut out);
    let frontend = Frontend::new(view, gateway, &mut out);
    let mut before = Vec::new();
    add(view, &gateway.meta, &gateway.listeners, &frontend, &mut before, &mut out);
    for set in in_order(view.listener_sets_of(name)) {
        let allowed = admits(view, &name.namespace, &gateway.allowed_listeners, &set.meta);
        if allowed {
            add(view, &set.meta, &set.listeners, &frontend, &mut before, &mut out);
        } else {
            out.findings.push(finding(
                &set.meta,
                &set.parent.pointer,
                codes::NOT_ALLOWED_BY_LISTENER,
                format!(
                    "{} admits no ListenerSet from namespace {}",
                    gateway.meta.key,
                    set.meta.namespace()
                ),
                "its spec.allowedListeners must name the namespace; by default none may".into(),
            ));
        }
        out.sets.push(Set { key: set.meta.key.clone(), allowed });
    }
    say_overlaps(&out.fronts, &mut out.backs);
    out
}

/// What HTTPS listeners ask of their clients, those of ListenerSets too.
struct Frontend {
    default: Asked,
    ports: BTreeMap<u16, Asked>,
}

impl Frontend {
    fn new(view: &View<'_>, gateway: &Gateway, out: &mut Skeleton) -> Self {
        let mut read = |validation: &Option<ClientValidation>, place: &str| {
            let validation = validation.as_ref();
            let asked = validation.map(|v| client_validation(view, gateway, v, place, out));
            asked.unwrap_or_default()
        };
        let FrontendTls { default, ports } = &gateway.frontend;
        Self {
            default: read(default, "default"),
            ports: ports.iter().map(|(port, v)| (*port, read(v, &port.to_string()))).collect(),
        }
    }

    fn of(&self, entrance: Entrance) -> Asked {
        match entrance.scheme {
            Scheme::Https => self.ports.get(&entrance.port).unwrap_or(&self.default).clone(),
            _ => Asked::default(),
        }
    }
}

/// `ListenerSetSpec.listeners`: the oldest first, then by namespace and name.
fn in_order<'a>(sets: impl Iterator<Item = &'a Arc<ListenerSet>>) -> Vec<&'a Arc<ListenerSet>> {
    let mut sets: Vec<_> = sets.collect();
    sets.sort_by_cached_key(|set| {
        (set.meta.created.unwrap_or(i64::MAX), set.meta.key.name.to_string())
    });
    sets
}

/// Adds the listeners of one document; `before` are the accepted ones of those that go before it.
fn add<'a>(
    view: &View<'_>,
    meta: &Meta,
    listeners: &'a [Listener],
    frontend: &Frontend,
    before: &mut Vec<&'a Listener>,
    out: &mut Skeleton,
) {
    let mut accepted = Vec::new();
    for listener in listeners {
        // A protocol that is not served takes nothing from a listener that is (`GatewaySpec.listeners`: "if an
        // implementation does not support TCP […] the previous rule does not apply").
        let supported = unsupported(listener).is_none();
        let conflict = supported.then(|| conflict(listener, listeners, before)).flatten();
        let (front, back) = examine(view, meta, listener, frontend, conflict.as_ref(), out);
        if front.accepted {
            accepted.push(listener);
        }
        out.fronts.push(front);
        out.backs.push(back);
    }
    before.extend(accepted);
}

fn examine(
    view: &View<'_>,
    meta: &Meta,
    listener: &Listener,
    frontend: &Frontend,
    conflict: Option<&Conflict>,
    out: &mut Skeleton,
) -> (Front, Back) {
    let unsupported = unsupported(listener);
    if let Some(text) = &unsupported {
        out.findings.push(finding(
            meta,
            &listener.pointer,
            codes::UNSUPPORTED_LISTENER,
            format!("listener {}: {text}", listener.name),
            "this listener is not served, the others are".into(),
        ));
    }
    if let Some(conflict) = conflict {
        out.findings.push(finding(
            meta,
            &listener.pointer,
            codes::LISTENER_CONFLICT,
            format!("listener {}: {}", listener.name, conflict.text),
            conflict.hint.into(),
        ));
    }
    let entrance = Entrance { port: listener.port, scheme: scheme(listener) };
    let kinds = if unsupported.is_some() { &[] } else { entrance.scheme.kinds() };
    let (kinds, wrong_kinds) = allowed_kinds(meta, listener, kinds, out);
    let (secrets, no_certificate) = if entrance.tls() && unsupported.is_none() {
        certificates(view, meta, listener, out)
    } else {
        (Vec::new(), None)
    };
    let Asked { client, problem: no_authority } = frontend.of(entrance);
    let nobody_valid = no_authority.clone().filter(|_| client.is_none());

    let takes_part = unsupported.is_none() && conflict.is_none();
    let programmed =
        takes_part && nobody_valid.is_none() && (!entrance.tls() || !secrets.is_empty());
    let refused = unsupported
        .map(|text| Problem { reason: "UnsupportedProtocol", text })
        .or_else(|| conflict.map(Conflict::problem))
        .or_else(|| {
            let text = |problem: Problem| format!("no client can be served: {}", problem.text);
            nobody_valid.map(|p| Problem { reason: "NoValidCACertificate", text: text(p) })
        });
    let conditions = vec![
        refused.map_or_else(
            || Condition::new("Accepted", true, "Accepted", "the listener is valid"),
            |problem| problem.condition("Accepted"),
        ),
        conflict.map_or_else(
            || Condition::new("Conflicted", false, "NoConflicts", ""),
            |c| Condition::new("Conflicted", true, c.reason, c.text.clone()),
        ),
        wrong_kinds.or(no_certificate).or(no_authority).map_or_else(
            || {
                let text = "all references are resolved";
                Condition::new("ResolvedRefs", true, "ResolvedRefs", text)
            },
            |problem| problem.condition("ResolvedRefs"),
        ),
        if programmed {
            let text = "the listener is part of the served configuration";
            Condition::new("Programmed", true, "Programmed", text)
        } else {
            let text = "the listener is not served: see the other conditions";
            let reason = conflict.map_or("Invalid", |conflict| conflict.reason);
            Condition::new("Programmed", false, reason, text)
        },
    ];

    let front = Front {
        parent: meta.key.clone(),
        name: listener.name.clone(),
        entrance,
        hostname: listener.hostname.clone(),
        namespaces: listener.namespaces.clone(),
        kinds,
        accepted: takes_part,
        table: None,
    };
    let front = Front { table: table_name(&front), ..front };
    let tls = TlsTermination { secrets, client, alpn: None };
    let back = Back { origin: meta.at(&listener.pointer), tls, conditions, programmed };
    (front, back)
}

/// Of the kinds of route that go with the listener those that may attach; others that the document names are said.
fn allowed_kinds(
    meta: &Meta,
    listener: &Listener,
    possible: &[Kind],
    out: &mut Skeleton,
) -> (Vec<Kind>, Option<Problem>) {
    if listener.kinds.is_empty() || possible.is_empty() {
        return (possible.to_vec(), None);
    }
    let find = |named: &RouteKind| {
        Kind::find(&named.group, &named.kind).filter(|kind| possible.contains(kind))
    };
    let mut good: Vec<Kind> = Vec::new();
    for kind in listener.kinds.iter().filter_map(find) {
        if !good.contains(&kind) {
            good.push(kind);
        }
    }
    let bad: Vec<&str> =
        listener.kinds.iter().filter(|k| find(k).is_none()).map(|k| &*k.kind).collect();
    if bad.is_empty() {
        return (good, None);
    }
    let names: Vec<_> = possible.iter().map(|kind| kind.as_str()).collect();
    let text = format!(
        "routes of kind {} do not go with this listener, only {}",
        bad.join(", "),
        names.join(" and ")
    );
    out.findings.push(finding(
        meta,
        &format!("{}/allowedRoutes/kinds", listener.pointer),
        codes::REFERENCE_KIND,
        format!("listener {}: {text}", listener.name),
        "name other kinds, or leave kinds out".into(),
    ));
    (good, Some(Problem { reason: "InvalidRouteKinds", text }))
}

/// All plain HTTP listeners of a port share a table, since only the host header tells them apart. With TLS each listener
/// has its own: the server name chose it, and its connections must not reach another listener's routes.
fn table_name(front: &Front) -> Option<Name> {
    let port = front.entrance.port;
    match front.entrance.scheme {
        Scheme::Http => Some(format!("http/{port}").into()),
        Scheme::Https => Some(format!("https/{port}/{}", front.label()).into()),
        Scheme::TlsTerminate | Scheme::TlsPassthrough | Scheme::Tcp | Scheme::Udp => None,
    }
}

/// Of a protocol that is not known nothing is served; what it is taken for does not matter then.
fn scheme(listener: &Listener) -> Scheme {
    match (&listener.protocol, listener.tls_mode) {
        (Ok(ListenerProtocol::Http), _) => Scheme::Http,
        (Ok(ListenerProtocol::Https), _) => Scheme::Https,
        (Ok(ListenerProtocol::Tls), TlsMode::Terminate) => Scheme::TlsTerminate,
        (Ok(ListenerProtocol::Tls), TlsMode::Passthrough) => Scheme::TlsPassthrough,
        (Ok(ListenerProtocol::Tcp) | Err(_), _) => Scheme::Tcp,
        (Ok(ListenerProtocol::Udp), _) => Scheme::Udp,
    }
}

pub(super) fn unsupported(listener: &Listener) -> Option<String> {
    match &listener.protocol {
        Ok(ListenerProtocol::Https) if listener.tls_mode == TlsMode::Passthrough => {
            Some("protocol HTTPS needs tls.mode Terminate".into())
        }
        Ok(_) => None,
        Err(other) => Some(format!("protocol {other} is not known")),
    }
}

pub(super) fn finding(
    meta: &Meta,
    pointer: &str,
    code: model::Code,
    text: String,
    hint: String,
) -> Complaint {
    Finding { at: meta.at(pointer), code, severity: Severity::Error, text, hint }.into()
}
