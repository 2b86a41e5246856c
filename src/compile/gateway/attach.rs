//! Which listeners of a Gateway and its ListenerSets a route is attached to, under which host names.

use std::collections::BTreeMap;
use std::sync::Arc;

use catalog::View;
use model::{
    AllowedNamespaces, Code, Finding, Hostname, Kind, Meta, NamespacedName, ObjectKey, ParentRef,
    Route, Severity, codes,
};

use super::listeners::{Front, Skeleton};
use super::rivals::Lost;
use crate::complaint::Complaint;

/// `None` stands for any host.
pub(crate) type Host = Option<Hostname>;

#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Attachment {
    /// Each reference to this Gateway or one of its ListenerSets.
    pub(crate) parents: Vec<Parent>,
    /// By all parents together.
    pub(crate) fronts: Fronts,
    pub(crate) findings: Vec<Complaint>,
    /// Of the route.
    pub(crate) created: Option<i64>,
}

/// Listeners by position, with the host names that route and listener share, in order.
pub(crate) type Fronts = BTreeMap<usize, Vec<Host>>;

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Parent {
    pub(crate) reference: ParentRef,
    /// Where it was not refused.
    pub(crate) fronts: Fronts,
    pub(crate) refusal: Option<Refusal>,
}

impl Attachment {
    /// What is left of it without these parents.
    pub(crate) fn without(mut self, lost: &Lost, route: &Meta) -> Self {
        for (index, refusal) in lost {
            let Some(parent) = self.parents.get_mut(*index) else { continue };
            parent.fronts.clear();
            parent.refusal = Some(refusal.clone());
            let pointer = &parent.reference.pointer;
            self.findings.push(complain(route, pointer, codes::ROUTE_OUTRANKED, &refusal.text));
        }
        self.merge();
        self
    }

    fn merge(&mut self) {
        self.fronts.clear();
        for (index, hosts) in self.parents.iter().flat_map(|parent| &parent.fronts) {
            self.fronts.entry(*index).or_default().extend(hosts.iter().cloned());
        }
        for hosts in self.fronts.values_mut() {
            hosts.sort();
            hosts.dedup();
        }
    }
}

fn complain(route: &Meta, pointer: &str, code: Code, text: &str) -> Complaint {
    let finding = Finding {
        at: route.at(pointer),
        code,
        severity: Severity::Error,
        text: text.to_owned(),
        hint: "the route does not serve requests through this parent".into(),
    };
    finding.into()
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) reason: &'static str,
    pub(crate) text: String,
}

pub(crate) fn attach(
    view: &View<'_>,
    gateway: &NamespacedName,
    skeleton: &Skeleton,
    route: &Arc<Route>,
) -> Attachment {
    let mut out = Attachment { created: route.meta.created, ..Attachment::default() };
    for parent in &route.parents {
        let Some(kind) = Kind::find(&parent.group, &parent.kind) else { continue };
        let key = ObjectKey { kind, name: parent.name.clone() };
        let ours = match kind {
            Kind::Gateway => key.name == *gateway,
            Kind::ListenerSet => skeleton.sets.iter().any(|set| set.key == key),
            _ => false,
        };
        if !ours {
            continue;
        }
        let (fronts, refusal) = match attach_parent(view, &key, &skeleton.fronts, route, parent) {
            Ok(fronts) => (fronts, None),
            Err((code, refusal)) => {
                let complaint = complain(&route.meta, &parent.pointer, code, &refusal.text);
                out.findings.push(complaint);
                (Fronts::new(), Some(refusal))
            }
        };
        out.parents.push(Parent { reference: parent.clone(), fronts, refusal });
    }
    out.merge();
    out
}

/// A route that names a Gateway gets that Gateway's own listeners, not those that a ListenerSet adds (GEP-1713).
fn attach_parent(
    view: &View<'_>,
    key: &ObjectKey,
    fronts: &[Front],
    route: &Route,
    parent: &ParentRef,
) -> Result<Fronts, (Code, Refusal)> {
    let named: Vec<_> = fronts
        .iter()
        .enumerate()
        .filter(|(_, f)| f.parent == *key)
        .filter(|(_, f)| parent.section.as_ref().is_none_or(|section| *section == f.name))
        .filter(|(_, f)| parent.port.is_none_or(|port| port == f.entrance.port))
        .collect();
    if named.is_empty() {
        let section = parent.section.as_ref().map(|s| format!(" named {s}")).unwrap_or_default();
        let port = parent.port.map(|p| format!(" on port {p}")).unwrap_or_default();
        let text = format!("{key} has no listener{section}{port}");
        return Err((codes::PARENT_NOT_FOUND, Refusal { reason: "NoMatchingParent", text }));
    }
    let valid: Vec<_> = named.into_iter().filter(|(_, f)| f.accepted).collect();
    let none_valid = valid.is_empty();
    let allowed: Vec<_> = valid
        .into_iter()
        .filter(|(_, f)| f.kinds.contains(&route.meta.key.kind))
        .filter(|(_, f)| admits(view, &key.name.namespace, &f.namespaces, &route.meta))
        .collect();
    if allowed.is_empty() {
        let text = if none_valid {
            format!("no listener that the route refers to in {key} is valid")
        } else {
            let (kind, namespace) = (route.meta.key.kind, route.meta.namespace());
            format!("no listener of {key} admits a route of kind {kind} from namespace {namespace}")
        };
        return Err((
            codes::NOT_ALLOWED_BY_LISTENER,
            Refusal { reason: "NotAllowedByListeners", text },
        ));
    }
    let shared = allowed
        .into_iter()
        .map(|(index, front)| (index, shared_hosts(&route.hostnames, front.hostname.as_ref())));
    let fronts: Fronts = shared.filter(|(_, hosts)| !hosts.is_empty()).collect();
    if !fronts.is_empty() {
        return Ok(fronts);
    }
    let text = format!("no hostname of the route overlaps with a listener of {key}");
    Err((codes::NO_MATCHING_HOSTNAME, Refusal { reason: "NoMatchingListenerHostname", text }))
}

/// Whether an object may attach to one of namespace `own`.
pub(super) fn admits(
    view: &View<'_>,
    own: &Arc<str>,
    allowed: &AllowedNamespaces,
    object: &Meta,
) -> bool {
    let namespace = object.namespace();
    match allowed {
        AllowedNamespaces::All => true,
        AllowedNamespaces::None => false,
        AllowedNamespaces::Same => namespace == own,
        AllowedNamespaces::Selector(selector) => {
            let known = view.namespace(namespace);
            // Kubernetes puts this label on every Namespace; a namespace that nobody declared has only this one.
            selector.matches(|label| match label {
                "kubernetes.io/metadata.name" => Some(namespace),
                _ => known.and_then(|n| n.meta.label(label)),
            })
        }
    }
}

fn shared_hosts(route: &[Hostname], listener: Option<&Hostname>) -> Vec<Host> {
    if route.is_empty() {
        return vec![listener.cloned()];
    }
    match listener {
        None => route.iter().cloned().map(Some).collect(),
        Some(listener) => {
            route.iter().filter_map(|host| host.intersect(listener)).map(Some).collect()
        }
    }
}
