use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use catalog::{Catalog, Key};
use model::{
    Condition, Finding, HttpRoute, Kind, NamespacedName, ObjectKey, ObjectStatus, ParentStatus,
    Severity, codes,
};

use crate::Group;
use crate::complaint::{Complaint, refused};

/// Compiles every Gateway of the catalog, step by step.
#[derive(Debug)]
pub struct Compiler {
    controller: Arc<str>,
    groups: BTreeMap<NamespacedName, Group>,
}

/// What one step did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Update {
    /// Groups of which some piece was compiled again.
    pub groups: Vec<NamespacedName>,
    /// Groups whose Gateway is gone.
    pub removed: Vec<NamespacedName>,
    /// Groups on which the compiler itself failed: a bug of ours. Their last plan should stay in use.
    pub failed: Vec<NamespacedName>,
}

impl Compiler {
    #[must_use]
    pub fn new(controller: Arc<str>) -> Self {
        Self { controller, groups: BTreeMap::new() }
    }

    /// Brings all groups in step with the catalog, in which these keys changed since the last call.
    pub fn update(&mut self, catalog: &Catalog, changed: &[Key]) -> Update {
        let mut out = Update::default();
        if self.groups.is_empty() || changed.contains(&Key::Gateways) {
            let gone: Vec<_> = self
                .groups
                .keys()
                .filter(|name| catalog.gateway(name).is_none())
                .cloned()
                .collect();
            for name in gone {
                self.groups.remove(&name);
                out.removed.push(name);
            }
            for gateway in catalog.gateways() {
                let name = &gateway.meta.key.name;
                if !self.groups.contains_key(name) {
                    self.groups
                        .insert(name.clone(), Group::new(name.clone(), self.controller.clone()));
                }
            }
        }
        for (name, group) in &mut self.groups {
            match catch_unwind(AssertUnwindSafe(|| group.update(catalog, changed))) {
                Ok(true) => out.groups.push(name.clone()),
                Ok(false) => {}
                Err(_) => {
                    // Its state may be half done: the next change compiles the group from scratch.
                    *group = Group::new(name.clone(), self.controller.clone());
                    out.failed.push(name.clone());
                }
            }
        }
        out
    }

    #[must_use]
    pub fn group(&self, name: &NamespacedName) -> Option<&Group> {
        self.groups.get(name)
    }

    pub fn groups(&self) -> impl Iterator<Item = (&NamespacedName, &Group)> {
        self.groups.iter()
    }

    /// All findings of the compile stage, in order of place.
    #[must_use]
    pub fn findings(&self, catalog: &Catalog) -> Vec<Finding> {
        let refused = refused(catalog);
        let mut all: Vec<_> = self.groups.values().flat_map(Group::complaints).cloned().collect();
        all.extend(catalog.http_routes().flat_map(|route| orphaned(catalog, route)));
        all.retain(|complaint| complaint.missing.as_ref().is_none_or(|key| !refused.contains(key)));
        let mut all: Vec<_> = all.into_iter().map(|complaint| complaint.finding).collect();
        all.sort();
        all.dedup();
        all
    }

    /// The computed status of an object; `None` for kinds without one and for objects that are not ours.
    #[must_use]
    pub fn status(&self, catalog: &Catalog, key: &ObjectKey) -> Option<ObjectStatus> {
        match key.kind {
            Kind::GatewayClass => {
                let class = catalog.gateway_classes().find(|class| class.meta.key == *key)?;
                let ours = class.controller == self.controller;
                let accepted =
                    Condition::new("Accepted", true, "Accepted", "served by this controller");
                ours.then(|| ObjectStatus::GatewayClass(vec![accepted]))
            }
            Kind::Gateway => {
                self.groups.get(&key.name)?.gateway_status().map(ObjectStatus::Gateway)
            }
            Kind::HttpRoute => {
                let parents: Vec<ParentStatus> =
                    self.groups.values().flat_map(|group| group.route_status(&key.name)).collect();
                Some(ObjectStatus::Route(parents))
            }
            _ => None,
        }
    }
}

/// Findings for parents that no Gateway of the catalog is.
fn orphaned(catalog: &Catalog, route: &Arc<HttpRoute>) -> Vec<Complaint> {
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
        if Kind::find(&parent.group, &parent.kind) != Some(Kind::Gateway) {
            let text = format!("a route cannot be attached to kind {}", parent.kind);
            out.push(
                finding(&parent.pointer, codes::REFERENCE_KIND, text, "use kind Gateway").into(),
            );
        } else if catalog.gateway(&parent.name).is_none() {
            let text = format!("Gateway {} does not exist", parent.name);
            let hint = "the route serves nothing through this parent until it exists";
            let missing = Some(ObjectKey { kind: Kind::Gateway, name: parent.name.clone() });
            let finding = finding(&parent.pointer, codes::PARENT_NOT_FOUND, text, hint);
            out.push(Complaint { finding, missing });
        }
    }
    out
}
