//! What is to be said of documents by themselves, whoever uses them: references that lead nowhere, and names that another
//! has.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use catalog::{Catalog, Key, View};
use model::{Finding, Kind, ListenerSet, Object, ObjectKey, Route, Severity, codes};

use crate::complaint::Complaint;
use crate::grpc::conflicts::Conflicts;
use crate::said::{Said, Topic};
use crate::tracker::Tracker;
use crate::{gamma, gateway, lanes, references};

/// Besides routes, those of which something is said here.
const KINDS: [Kind; 7] = [
    Kind::AccessPolicy,
    Kind::BackendTlsPolicy,
    Kind::GatewayClass,
    Kind::LaneGroup,
    Kind::ListenerSet,
    Kind::MeshService,
    Kind::PeerPolicy,
];

/// What routes and ListenerSets are attached to.
const PARENTS: [Kind; 2] = [Kind::Gateway, Kind::ListenerSet];

#[derive(Clone, Debug)]
pub(crate) struct Documents {
    started: bool,
    /// Not of parents, for which the catalog has an index.
    tracker: Tracker<ObjectKey>,
    conflicts: Conflicts,
}

impl Documents {
    pub(crate) fn new() -> Self {
        let (tracker, conflicts) = (Tracker::new(), Conflicts::new());
        Self { started: false, tracker, conflicts }
    }

    /// `mesh`: whether somebody serves sidecars.
    pub(crate) fn update(
        &mut self,
        catalog: &Catalog,
        changed: &[Key],
        controller: &str,
        mesh: bool,
        said: &mut Said,
    ) {
        let kinds = || Kind::ROUTES.into_iter().chain(KINDS);
        let stale = if std::mem::replace(&mut self.started, true) {
            let mut stale = self.tracker.stale(changed);
            for key in changed {
                let Key::Object(key) = key else { continue };
                if kinds().any(|kind| kind == key.kind) {
                    stale.insert(key.clone());
                }
                // One that stays is as good a parent as it was.
                let listed = Key::In(key.kind, key.name.namespace.clone());
                if PARENTS.contains(&key.kind) && changed.contains(&listed) {
                    stale.extend(catalog.routes_of(key).map(|route| route.meta.key.clone()));
                    let sets = catalog.listener_sets_of(&key.name);
                    stale.extend(sets.map(|set| set.meta.key.clone()));
                }
            }
            stale
        } else {
            kinds().flat_map(|kind| catalog.list(kind)).map(|o| o.key().clone()).collect()
        };
        let services = stale.iter().filter(|key| key.kind == Kind::MeshService);
        // A panic is a bug of ours: what was said of the piece stays.
        for key in self.conflicts.update(catalog, changed, services.cloned().collect()) {
            let made = || self.conflicts.complaints(catalog, &key);
            if let Ok(complaints) = catch_unwind(AssertUnwindSafe(made)) {
                said.set(Topic::Names(key), complaints);
            }
        }
        for key in stale {
            let view = View::new(catalog);
            let object = catalog.get(&key);
            let made = || object.map(|object| of(&view, catalog, object, controller, mesh));
            let Ok(complaints) = catch_unwind(AssertUnwindSafe(made)) else { continue };
            let reads = view.into_reads();
            if reads.is_empty() {
                self.tracker.forget(&key);
            } else {
                self.tracker.set(key.clone(), reads);
            }
            said.set(Topic::Document(key), complaints.unwrap_or_default());
        }
    }
}

fn of(
    view: &View<'_>,
    catalog: &Catalog,
    object: &Object,
    controller: &str,
    mesh: bool,
) -> Vec<Complaint> {
    match object {
        Object::GatewayClass(class) if *class.controller == *controller => {
            gateway::class_parameters(view, class).err().map(|found| *found).into_iter().collect()
        }
        Object::ListenerSet(set) => homeless(catalog, set).into_iter().collect(),
        Object::MeshService(service) => references::broken(view, service),
        Object::LaneGroup(group) => lanes::findings(view, group),
        Object::BackendTlsPolicy(policy) => references::untargeted(view, policy),
        Object::AccessPolicy(_) | Object::PeerPolicy(_) => {
            let found = policy::reaches_nothing(view, object);
            found.into_iter().map(Complaint::from).collect()
        }
        object => match object.as_route() {
            Some(route) => orphaned(catalog, route, mesh),
            None => Vec::new(),
        },
    }
}

/// A finding for a ListenerSet without a Gateway.
fn homeless(catalog: &Catalog, set: &ListenerSet) -> Option<Complaint> {
    let parent = &set.parent;
    let (code, text, missing) = match Kind::find(&parent.group, &parent.kind) {
        Some(Kind::Gateway) if catalog.gateway(&parent.name).is_some() => return None,
        Some(kind @ Kind::Gateway) => {
            let key = ObjectKey { kind, name: parent.name.clone() };
            (codes::PARENT_NOT_FOUND, format!("{key} does not exist"), Some(key))
        }
        _ => {
            let text = format!("listeners cannot be added to kind {}", parent.kind);
            (codes::REFERENCE_KIND, text, None)
        }
    };
    let finding = Finding {
        at: set.meta.at(&parent.pointer),
        code,
        severity: Severity::Error,
        text,
        hint: "the listeners are not served".into(),
    };
    Some(Complaint::missing(finding, missing))
}

/// Findings for parents that no Gateway of the catalog is.
fn orphaned(catalog: &Catalog, route: &Arc<Route>, mesh: bool) -> Vec<Complaint> {
    let finding = |pointer: &str, code, text: String, hint: &str| Finding {
        at: route.meta.at(pointer),
        code,
        severity: Severity::Error,
        text,
        hint: hint.into(),
    };
    if route.parents.is_empty() {
        let finding = Finding {
            severity: Severity::Warning,
            ..finding(
                "/spec",
                codes::PARENT_NOT_FOUND,
                "the route names no parent".into(),
                "add spec.parentRefs",
            )
        };
        return vec![finding.into()];
    }
    let mut out = Vec::new();
    for parent in &route.parents {
        if mesh && gamma::service_of(route, parent).is_some() {
            continue;
        }
        let Some(kind @ (Kind::Gateway | Kind::ListenerSet)) =
            Kind::find(&parent.group, &parent.kind)
        else {
            let text = format!("a route cannot be attached to kind {}", parent.kind);
            let hint = "use kind Gateway or ListenerSet";
            out.push(finding(&parent.pointer, codes::REFERENCE_KIND, text, hint).into());
            continue;
        };
        let key = ObjectKey { kind, name: parent.name.clone() };
        if catalog.get(&key).is_none() {
            let text = format!("{key} does not exist");
            let hint = "the route serves nothing through this parent until it exists";
            let finding = finding(&parent.pointer, codes::PARENT_NOT_FOUND, text, hint);
            out.push(Complaint::missing(finding, Some(key)));
        }
    }
    out
}
