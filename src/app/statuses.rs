//! What the objects of the API server should say: what the compiler says, held against what the proxies have.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError, RwLock};

use compile::GroupKey;
use fleet::kubernetes::Reached;
use model::{
    Batch, Change, Code, Condition, ConditionStatus, Finding, GatewayStatus, Kind, ListenerStatus,
    NamespacedName, Object, ObjectKey, ObjectRef, ObjectStatus, Severity, codes,
};
use serde_json::Value;
use sources::kubernetes::Ear;
use status::{Computed, Table, Trouble, TroubleKind, Waiting};
use tokio::sync::{mpsc, watch};

use crate::groups::group_name;
use crate::pipeline::{Step, World};
use crate::programmed::Programmed;

/// For the writer.
pub(crate) struct Statuses {
    pub(crate) world: Arc<RwLock<World>>,
    pub(crate) programmed: Arc<Programmed>,
    /// Before the first step nothing is known, and "nothing" must not be written.
    pub(crate) steps: watch::Receiver<Option<Step>>,
    /// Where Gateways can be reached whose proxies are run for them; `None` where none are.
    pub(crate) addresses: Option<watch::Receiver<Addresses>>,
}

type Addresses = Arc<BTreeMap<NamespacedName, Reached>>;

impl status::Statuses for Statuses {
    fn computed(&self, key: &ObjectKey) -> Option<Computed> {
        if self.steps.borrow().is_none() {
            return None;
        }
        let world = self.world.read().unwrap_or_else(PoisonError::into_inner);
        let catalog = world.catalog();
        let refused = catalog.refused(key).map(|refused| &refused.object);
        let object = refused.or_else(|| catalog.get(key))?.clone();
        if *object.meta().source != *sources::kubernetes::NAME {
            return None;
        }
        let mut status = world.compiler.status(catalog, key)?;
        drop(world);
        if let (ObjectStatus::Gateway(status), Some(all)) = (&mut status, &self.addresses)
            && let Some(reached) = all.borrow().get(&key.name)
        {
            reach(status, reached);
        }
        let generation = object.meta().generation;
        let waiting = waiting(&self.programmed, &object, &status, generation);
        Some(Computed { generation, status, waiting })
    }
}

/// A Gateway that cannot be reached as it should is not programmed, whatever its proxies have.
fn reach(status: &mut GatewayStatus, reached: &Reached) {
    status.addresses.clone_from(&reached.addresses);
    let (reason, text) = if !reached.missing.is_empty() {
        let missing = reached.missing.join(", ");
        ("AddressNotUsable", format!("its Service has not been given {missing}"))
    } else if reached.addresses.is_empty() {
        ("AddressNotAssigned", "its Service has no address yet".to_owned())
    } else {
        return;
    };
    for condition in &mut status.conditions {
        if condition.kind == "Programmed" && condition.status == ConditionStatus::True {
            *condition = Condition::new("Programmed", false, reason, text.clone());
        }
    }
}

/// Tells the writer of Gateways that are reached elsewhere than before.
pub(crate) async fn moved(mut addresses: watch::Receiver<Addresses>, table: Table) {
    let mut before = Addresses::default();
    while addresses.changed().await.is_ok() {
        let now = addresses.borrow_and_update().clone();
        let names: BTreeSet<_> = before.keys().chain(now.keys()).collect();
        let differ = names.into_iter().filter(|name| before.get(*name) != now.get(*name));
        let kind = Kind::Gateway;
        table.touch(differ.map(|name| ObjectKey { kind, name: name.clone() }).collect::<Vec<_>>());
        before = now;
    }
}

/// What keeps an object from being programmed that is so by the compiler.
pub(crate) fn waiting(
    programmed: &Programmed,
    object: &Object,
    status: &ObjectStatus,
    generation: i64,
) -> Option<Waiting> {
    let listeners = match status {
        ObjectStatus::Gateway(gateway) => &gateway.listeners,
        ObjectStatus::ListenerSet(set) => &set.listeners,
        ObjectStatus::GatewayClass(_) | ObjectStatus::Policy(_) | ObjectStatus::Route(_) => {
            return None;
        }
    };
    let is_programmed = |listener: &&ListenerStatus| {
        let mut all = listener.conditions.iter();
        all.any(|c| c.kind == "Programmed" && c.status == model::ConditionStatus::True)
    };
    let listeners: BTreeSet<_> =
        listeners.iter().filter(is_programmed).map(|listener| listener.name.clone()).collect();
    programmed.waiting(&group(object)?, object.key(), generation, listeners)
}

/// The proxies that serve the listeners of this object.
fn group(object: &Object) -> Option<Arc<str>> {
    let gateway = match object {
        Object::Gateway(gateway) => &gateway.meta.key.name,
        Object::ListenerSet(set) => &set.parent.name,
        _ => return None,
    };
    Some(group_name(&GroupKey::Gateway(gateway.clone())))
}

/// Tells the writer what the source hears.
pub(crate) struct Heard(pub(crate) Table);

impl Ear for Heard {
    fn listing(&self, kind: Kind, namespace: &str) {
        self.0.listing(kind, namespace);
    }
    fn seen(&self, kind: Kind, version: &str, object: &Value) {
        self.0.seen(kind, version, object);
    }
    fn gone(&self, kind: Kind, name: &NamespacedName) {
        self.0.gone(&ObjectKey { kind, name: name.clone() });
    }
    fn listed(&self, kind: Kind, namespace: &str) {
        self.0.listed(kind, namespace);
    }
}

/// Makes findings of what keeps statuses from being written.
pub(crate) async fn tell(
    mut troubles: watch::Receiver<BTreeMap<String, Trouble>>,
    batches: mpsc::Sender<Batch>,
) {
    let mut told = BTreeSet::new();
    while troubles.changed().await.is_ok() {
        let all = troubles.borrow_and_update().clone();
        let mut changes = Vec::new();
        for scope in told.iter().chain(all.keys()) {
            let findings = all.get(scope).map(finding).into_iter().collect();
            changes.push(Change::Findings { scope: format!("status {scope}").into(), findings });
        }
        told = all.into_keys().collect();
        let batch = Batch { source: sources::kubernetes::NAME.into(), changes };
        if batches.send(batch).await.is_err() {
            return;
        }
    }
}

fn finding(trouble: &Trouble) -> Finding {
    let Trouble { what, key, text } = trouble;
    let group = key.kind.group();
    let plural = key.kind.plural();
    let (code, text, hint): (Code, String, String) = match what {
        TroubleKind::Forbidden => (
            codes::KUBERNETES_FORBIDDEN,
            format!("the status may not be written: {text}"),
            format!("grant verb patch on {plural}/status of group {group}"),
        ),
        TroubleKind::Refused => (
            codes::STATUS_REFUSED,
            format!("the API server does not take the status: {text}"),
            "the object may be served all the same; please report it".into(),
        ),
        TroubleKind::Contested => (
            codes::STATUS_CONTESTED,
            text.clone(),
            "managedFields of the object tell who; let only one controller have the class".into(),
        ),
    };
    let at = ObjectRef {
        source: sources::kubernetes::NAME.into(),
        object: (*what != TroubleKind::Forbidden).then(|| key.clone()),
        pointer: "".into(),
        location: None,
    };
    Finding { at, code, severity: Severity::Warning, text, hint }
}
