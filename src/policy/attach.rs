//! Which policies are for a workload.

use std::collections::BTreeSet;
use std::sync::Arc;

use catalog::View;
use model::{
    Finding, Kind, Meta, NamespacedName, Object, ObjectKey, PolicyTarget, Reach, Selector,
    Severity, codes,
};

/// A process, as far as policies look at it.
#[derive(Clone, Copy, Debug)]
pub struct Workload<'a> {
    pub namespace: &'a Arc<str>,
    pub labels: &'a [(Arc<str>, Arc<str>)],
    /// The services that lead to it.
    pub services: &'a [Member],
}

/// A port of a workload as a service has it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Member {
    /// A Service or a MeshService.
    pub service: ObjectKey,
    /// What the service calls the port.
    pub port_name: Arc<str>,
    /// The workload's own number for it.
    pub port: u16,
}

impl<'a> Workload<'a> {
    fn label(&self, name: &str) -> Option<&'a str> {
        self.labels.iter().find(|(key, _)| **key == *name).map(|(_, value)| &**value)
    }
}

/// How near to a workload a policy stands: what is nearer goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    Workload,
    Namespace,
    Mesh,
}

/// A policy reaches a workload, or some of its ports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reached {
    pub(crate) level: Level,
    /// `None`: all.
    pub(crate) ports: Option<BTreeSet<u16>>,
}

impl Reached {
    pub(crate) fn has(&self, port: u16) -> bool {
        self.ports.as_ref().is_none_or(|ports| ports.contains(&port))
    }
}

/// The objects of a kind that may be for a workload of this namespace, the older first.
pub(crate) fn candidates<'a>(
    view: &View<'a>,
    kind: Kind,
    namespace: &Arc<str>,
    root: &Arc<str>,
) -> Vec<&'a Object> {
    let mut all = view.list_in(kind, namespace);
    if root != namespace {
        all.extend(view.list_in(kind, root));
    }
    all.sort_by_cached_key(|object| age(object.meta()));
    all
}

/// The Services and MeshServices that policies name which may be for a workload of this namespace.
#[must_use]
pub fn targets(view: &View<'_>, kind: Kind, namespace: &Arc<str>) -> BTreeSet<ObjectKey> {
    let root = view.mesh().root_namespace;
    let reaches = candidates(view, kind, namespace, &root).into_iter().filter_map(reach);
    let named = reaches.flat_map(|reach| &reach.targets).filter_map(|target| {
        let kind = Kind::find(&target.group, &target.kind)?;
        let services = matches!(kind, Kind::Service | Kind::MeshService);
        services.then(|| ObjectKey { kind, name: target.name.clone() })
    });
    named.collect()
}

fn reach(object: &Object) -> Option<&Reach> {
    match object {
        Object::AccessPolicy(policy) => Some(&policy.reach),
        Object::PeerPolicy(policy) => Some(&policy.reach),
        _ => None,
    }
}

/// In order of precedence: older first, those without a time last, then by name.
pub(crate) fn age(meta: &Meta) -> (i64, NamespacedName) {
    (meta.created.unwrap_or(i64::MAX), meta.name().clone())
}

/// Whether and how a policy reaches a workload; `root` is the namespace whose policies are for all.
pub(crate) fn reached(
    reach: &Reach,
    meta: &Meta,
    root: &str,
    workload: &Workload<'_>,
) -> Option<Reached> {
    let (Reach { selector, targets }, own) = (reach, meta.namespace());
    let everywhere = **own == *root;
    if own != workload.namespace && !everywhere {
        return None;
    }
    if selector.is_none() && targets.is_empty() {
        let level = if everywhere { Level::Mesh } else { Level::Namespace };
        return Some(Reached { level, ports: None });
    }
    let level = Level::Workload;
    if selector.as_ref().is_some_and(|selector| selector.matches(|name| workload.label(name))) {
        return Some(Reached { level, ports: None });
    }
    let mut ports = BTreeSet::new();
    for target in targets {
        for member in workload.services.iter().filter(|member| is(target, &member.service)) {
            match &target.section {
                None => return Some(Reached { level, ports: None }),
                Some(section) if *section == member.port_name => drop(ports.insert(member.port)),
                Some(_) => {}
            }
        }
    }
    (!ports.is_empty()).then_some(Reached { level, ports: Some(ports) })
}

pub(crate) fn is(target: &PolicyTarget, object: &ObjectKey) -> bool {
    Kind::find(&target.group, &target.kind) == Some(object.kind) && target.name == object.name
}

/// What is to be said of a policy, or a part of it, that is for nobody.
#[must_use]
pub fn reaches_nothing(view: &View<'_>, policy: &Object) -> Vec<Finding> {
    let Some(reach) = reach(policy) else { return Vec::new() };
    let meta = policy.meta();
    let finding = |pointer: &str, code, text: String, hint: &str| Finding {
        at: meta.at(pointer),
        code,
        severity: Severity::Warning,
        text,
        hint: hint.into(),
    };
    let mut out = Vec::new();
    for target in &reach.targets {
        // Which kinds there may be is said where the document is read.
        let Some(kind) = Kind::find(&target.group, &target.kind) else { continue };
        let key = ObjectKey { kind, name: target.name.clone() };
        let Some(object) = view.get(&key) else {
            let text = format!("{key} does not exist");
            let hint = "the policy has no effect there until it does";
            out.push(finding(&target.pointer, codes::REFERENCE_NOT_FOUND, text, hint));
            continue;
        };
        if kind == Kind::Gateway && target.section.is_some() {
            let text = format!("a policy is for the whole of {key}, not for a listener of it");
            let hint = "remove sectionName, or make a Gateway of its own";
            out.push(finding(&target.pointer, codes::POLICY_SECTION, text, hint));
        } else if let Some(names) = sections(object)
            && let Some(section) = &target.section
            && !names.contains(section)
        {
            let text = format!("{key} has no part named {section}");
            let hint = format!("there are: {}", names.join(", "));
            out.push(finding(&target.pointer, codes::POLICY_SECTION, text, &hint));
        }
    }
    if let Some(selector) = &reach.selector
        && selects_nobody(view, selector, meta.namespace())
    {
        let text = "no pod has the labels that the policy selects".to_string();
        let hint = "compare spec.workloadSelector with the labels of the pods of its namespace";
        out.push(finding("/spec/workloadSelector", codes::POLICY_REACHES_NOTHING, text, hint));
    }
    out
}

/// Looks at pods until one fits.
fn selects_nobody(view: &View<'_>, selector: &Selector, namespace: &Arc<str>) -> bool {
    // Who runs outside of Kubernetes is not known by labels before it connects.
    if view.namespaces_with(Kind::Pod).next().is_none() {
        return false;
    }
    let fits = |namespace: &Arc<str>| {
        let mut pods = view.names_in(Kind::Pod, namespace).into_iter();
        pods.any(|key| {
            let pod = view.get(&key).map(Object::meta);
            pod.is_some_and(|pod| selector.matches(|name| pod.label(name)))
        })
    };
    if *namespace == view.mesh().root_namespace {
        return !view.namespaces_with(Kind::Pod).any(fits);
    }
    !fits(namespace)
}

/// The names of the parts of an object that a policy may be for; `None` where it has no such parts.
fn sections(object: &Object) -> Option<Vec<Arc<str>>> {
    match object {
        Object::Service(service) => Some(service.ports.iter().map(|p| p.name.clone()).collect()),
        Object::MeshService(service) => {
            Some(service.ports.iter().map(|port| port.name.clone()).collect())
        }
        object => {
            let rules = object.as_route()?.rules.iter();
            Some(rules.filter_map(|rule| rule.name.clone()).collect())
        }
    }
}
