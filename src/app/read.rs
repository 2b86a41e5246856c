//! What the API shows, read from the pipeline's world and the proxy table.

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};
use std::time::SystemTime;

use api::{Check, Proxy, Read, Readiness, Source, Time, TypeView, XdsResource};
use model::{
    Condition, Finding, GatewayStatus, Health, Kind, NamespacedName, ObjectKey, ObjectStatus,
    ParentRef, ParentStatus,
};
use serde_json::{Value, json};
use snapshot::ResourceType;
use tokio::sync::watch;

use crate::groups::Groups;
use crate::pipeline::{Step, World};
use crate::proxies::Proxies;

pub(crate) struct Reader {
    pub(crate) world: Arc<RwLock<World>>,
    pub(crate) groups: Arc<Groups>,
    pub(crate) proxies: Arc<Proxies>,
    pub(crate) steps: watch::Receiver<Option<Step>>,
    /// When the state that is served from disk was written, if one was found at start.
    pub(crate) last_good: Option<SystemTime>,
    /// Set once the process is on its way out.
    pub(crate) stopping: watch::Receiver<bool>,
    /// Where the file source reads.
    pub(crate) folder: String,
    pub(crate) controller: Arc<str>,
}

impl Reader {
    fn world(&self) -> RwLockReadGuard<'_, World> {
        self.world.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn config_check(&self) -> Check {
        let check = |ok: bool, text: String| Check { name: "config".into(), ok, text };
        if self.steps.borrow().is_none() {
            return match self.last_good {
                Some(written) if !self.groups.all().is_empty() => {
                    check(true, format!("serving the last good state, {} s old", age(written)))
                }
                _ => check(false, "no source has given a full view yet".into()),
            };
        }
        let world = self.world();
        let stale = world
            .catalog()
            .sources()
            .find(|(_, state)| matches!(state.health, Health::Stale { .. }));
        match stale {
            None => check(true, "serving the current state".into()),
            Some((name, _)) => {
                let since = world.fresh_at(name, SystemTime::now()).map(age);
                let since =
                    since.map_or_else(|| "of unknown age".into(), |age| format!("{age} s old"));
                check(true, format!("serving the last good state of source {name}, {since}"))
            }
        }
    }
}

fn age(time: SystemTime) -> u64 {
    time.elapsed().unwrap_or_default().as_secs()
}

impl Read for Reader {
    fn names(&self, kind: Kind, namespace: Option<&str>) -> Vec<NamespacedName> {
        let names =
            self.world().catalog().list(kind).into_iter().map(|object| object.key().name.clone());
        names.filter(|name| namespace.is_none_or(|wanted| *name.namespace == *wanted)).collect()
    }

    fn object(&self, kind: Kind, name: &NamespacedName) -> Option<Value> {
        let key = ObjectKey { kind, name: name.clone() };
        let world = self.world();
        let object = world.catalog().get(&key)?;
        let status = world.compiler.status(world.catalog(), &key);
        drop(world);
        let mut document: Value = serde_json::from_str(&object.meta().document).ok()?;
        kinds::redact(kind, &mut document);
        if let Some(status) = status
            && let Value::Object(fields) = &mut document
        {
            fields.insert(
                "status".into(),
                status_json(&status, object.meta().generation, &self.controller),
            );
        }
        Some(document)
    }

    fn proxies(&self) -> Vec<Proxy> {
        self.proxies.list()
    }

    fn snapshot(&self, proxy: &str, kind: ResourceType, name: Option<&str>) -> Option<TypeView> {
        let group = self.proxies.group_of(proxy)?;
        let current = self.groups.current(&group)?;
        let set = current.snapshot.set(kind);
        let resources = set
            .iter()
            .filter(|resource| name.is_none_or(|name| **resource.name() == *name))
            .map(|resource| XdsResource {
                name: resource.name().to_string(),
                version: resource.version().to_string(),
                origins: resource.origin().iter().map(ToString::to_string).collect(),
                resource: snapshot::dump::resource(resource),
            })
            .collect();
        Some(TypeView { kind: kind.url().into(), version: set.version().to_string(), resources })
    }

    fn findings(&self) -> Vec<Finding> {
        self.world().findings().to_vec()
    }

    fn sources(&self) -> Vec<Source> {
        let world = self.world();
        let catalog = world.catalog();
        let objects: usize = Kind::ALL.into_iter().map(|kind| catalog.count(kind)).sum();
        catalog
            .sources()
            .map(|(name, state)| {
                let (label, reason) = match &state.health {
                    Health::Syncing => ("syncing", ""),
                    Health::Live => ("live", ""),
                    Health::Degraded { reason } => ("degraded", reason.as_str()),
                    Health::Stale { reason } => ("stale", reason.as_str()),
                };
                Source {
                    name: name.to_string(),
                    kind: "file".into(),
                    target: self.folder.clone(),
                    state: label.into(),
                    reason: reason.into(),
                    objects,
                    fresh_at: world.fresh_at(name, SystemTime::now()).map(Time::from),
                }
            })
            .collect()
    }

    fn readiness(&self) -> Readiness {
        let config = self.config_check();
        let stopping = *self.stopping.borrow();
        let text = if stopping { "shutting down" } else { "serving" };
        Readiness {
            checks: vec![
                config,
                Check { name: "lifecycle".into(), ok: !stopping, text: text.into() },
            ],
        }
    }
}

fn status_json(status: &ObjectStatus, generation: i64, controller: &str) -> Value {
    let conditions =
        |all: &[Condition]| all.iter().map(|c| condition_json(c, generation)).collect::<Vec<_>>();
    match status {
        ObjectStatus::GatewayClass(all) => json!({"conditions": conditions(all)}),
        ObjectStatus::Gateway(GatewayStatus { addresses, conditions: all, listeners }) => json!({
            "addresses": addresses.iter().map(|a| json!({"type": "IPAddress", "value": &**a})).collect::<Vec<_>>(),
            "conditions": conditions(all),
            "listeners": listeners.iter().map(|listener| json!({
                "name": &*listener.name,
                "supportedKinds": listener.supported_kinds.iter()
                    .map(|(group, kind)| json!({"group": &**group, "kind": &**kind})).collect::<Vec<_>>(),
                "attachedRoutes": listener.attached_routes,
                "conditions": conditions(&listener.conditions),
            })).collect::<Vec<_>>(),
        }),
        ObjectStatus::Route(parents) => json!({
            "parents": parents.iter().map(|ParentStatus { parent, conditions: all }| json!({
                "parentRef": parent_json(parent),
                "controllerName": controller,
                "conditions": conditions(all),
            })).collect::<Vec<_>>(),
        }),
    }
}

fn condition_json(condition: &Condition, generation: i64) -> Value {
    json!({
        "type": condition.kind,
        "status": condition.status.as_str(),
        "reason": condition.reason,
        "message": condition.message,
        "observedGeneration": generation,
    })
}

fn parent_json(parent: &ParentRef) -> Value {
    let mut out = json!({
        "group": &*parent.group,
        "kind": &*parent.kind,
        "namespace": &*parent.name.namespace,
        "name": &*parent.name.name,
    });
    if let Some(section) = &parent.section {
        out["sectionName"] = json!(&**section);
    }
    if let Some(port) = parent.port {
        out["port"] = json!(port);
    }
    out
}
