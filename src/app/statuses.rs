//! What the objects of the API server should say: what the compiler says, held against what the proxies have.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError, RwLock};

use compile::GroupKey;
use fleet::kubernetes::Reached;
use model::{
    Batch, Change, Code, Condition, ConditionStatus, Finding, FleetMode, GatewayStatus, Kind,
    ListenerStatus, NamespacedName, Object, ObjectKey, ObjectRef, ObjectStatus, Severity, codes,
};
use serde_json::Value;
use snapshot::{ResourceType, Snapshot};
use sources::kubernetes::Ear;
use status::replicas::{Content, Report, Reports};
use status::{Computed, Table, Trouble, TroubleKind, Waiting};
use tokio::sync::{mpsc, watch};
use xxhash_rust::xxh3::Xxh3;

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
        let mut status = world.status(key)?;
        let managed = world.compiler.fleet(&key.name).is_some_and(|f| f.mode == FleetMode::Managed);
        drop(world);
        if let (ObjectStatus::Gateway(status), Some(all)) = (&mut status, &self.addresses)
            && managed
        {
            // Not known yet is not the same as none.
            reach(status, all.borrow().get(&key.name)?);
        }
        if let (ObjectStatus::Ingress(status), Some(all)) = (&mut status, &self.addresses)
            && let Some(reached) = all.borrow().get(&status.gateway)
        {
            status.addresses.clone_from(&reached.addresses);
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
pub(crate) async fn moved(
    mut addresses: watch::Receiver<Addresses>,
    table: Table,
    world: Arc<RwLock<World>>,
) {
    let mut before = Addresses::default();
    while addresses.changed().await.is_ok() {
        let now = addresses.borrow_and_update().clone();
        let names: BTreeSet<_> = before.keys().chain(now.keys()).collect();
        let differ = names.into_iter().filter(|name| before.get(*name) != now.get(*name));
        let kind = Kind::Gateway;
        table.touch(differ.map(|name| ObjectKey { kind, name: name.clone() }).collect::<Vec<_>>());
        // They say where their Gateway is.
        let world = world.read().unwrap_or_else(PoisonError::into_inner);
        table.touch(world.catalog().list(Kind::Ingress).map(|ingress| ingress.key().clone()));
        drop(world);
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
        ObjectStatus::GatewayClass(_)
        | ObjectStatus::Ingress(_)
        | ObjectStatus::Policy(_)
        | ObjectStatus::Route(_) => {
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

/// Tells other replicas what the proxies here have taken, of what does not say so yet.
pub(crate) async fn report(
    programmed: Arc<Programmed>,
    mut open: watch::Receiver<BTreeSet<ObjectKey>>,
    reports: watch::Sender<Reports>,
) {
    let mut bell = programmed.bell();
    loop {
        let open_now = open.borrow_and_update().clone();
        bell.mark_unchanged();
        let now: Reports = open_now
            .into_iter()
            .filter_map(|key| {
                let report = programmed.report(&key)?;
                Some((key, report))
            })
            .collect();
        reports.send_if_modified(|told| {
            let differs = *told != now;
            *told = now;
            differs
        });
        tokio::select! {
            changed = open.changed() => if changed.is_err() { return },
            Ok(()) = bell.changed() => {}
        }
    }
}

/// Hears what the proxies of other replicas have taken.
pub(crate) async fn hear(
    programmed: Arc<Programmed>,
    mut peers: watch::Receiver<BTreeMap<ObjectKey, Vec<Report>>>,
) {
    while peers.changed().await.is_ok() {
        let now = peers.borrow_and_update().clone();
        programmed.set_peers(now);
    }
}

/// Hashes what is served to the proxies of Gateways. Groups that exist because some client asked for them are left out:
/// they differ from replica to replica.
pub(crate) async fn content(
    mut steps: watch::Receiver<Option<Step>>,
    content: watch::Sender<Option<Content>>,
) {
    while steps.changed().await.is_ok() {
        let Some(step) = steps.borrow_and_update().clone() else { continue };
        let now = hash(step.snapshots.iter().map(|(name, snapshot)| (&**name, &**snapshot)));
        content.send_if_modified(|told| told.replace(now) != Some(now));
    }
}

fn hash<'a>(snapshots: impl Iterator<Item = (&'a str, &'a Snapshot)>) -> Content {
    let (mut config, mut endpoints) = (Xxh3::new(), Xxh3::new());
    for (name, snapshot) in snapshots.filter(|(name, _)| name.starts_with("gateway/")) {
        let types = ResourceType::ALL.into_iter().map(|kind| (kind, snapshot.set(kind)));
        // A replica that was started later knows nothing of the Gateways that are gone: nothing is served for them.
        for (kind, set) in types.filter(|(_, set)| !set.is_empty()) {
            let hasher = if kind == ResourceType::Endpoint { &mut endpoints } else { &mut config };
            hasher.update(name.as_bytes());
            hasher.update(kind.short().as_bytes());
            hasher.update(&set.version().0.to_le_bytes());
        }
    }
    Content { config: config.digest(), endpoints: endpoints.digest() }
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

/// Makes findings of what keeps statuses from being written, and of replicas that serve something else.
pub(crate) async fn tell(
    mut troubles: watch::Receiver<BTreeMap<String, Trouble>>,
    mut differs: watch::Receiver<Option<String>>,
    batches: mpsc::Sender<Batch>,
) {
    let mut told = BTreeSet::new();
    loop {
        tokio::select! {
            changed = troubles.changed() => if changed.is_err() { return },
            Ok(()) = differs.changed() => {}
        }
        let all = troubles.borrow_and_update().clone();
        let replica = differs.borrow_and_update().as_deref().map(differing);
        let mut changes = vec![Change::Findings {
            scope: "replicas".into(),
            findings: replica.into_iter().collect(),
        }];
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

fn of_source() -> ObjectRef {
    ObjectRef {
        source: sources::kubernetes::NAME.into(),
        object: None,
        pointer: "".into(),
        location: None,
    }
}

fn differing(replica: &str) -> Finding {
    Finding {
        at: of_source(),
        code: codes::REPLICAS_DIFFER,
        severity: Severity::Error,
        text: format!("the replica of Lease {replica} has served something else for over a minute"),
        hint: "compare `isthmus get sources` and the versions of both".into(),
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
    let object = (*what != TroubleKind::Forbidden).then(|| key.clone());
    let at = ObjectRef { object, ..of_source() };
    Finding { at, code, severity: Severity::Warning, text, hint }
}

#[cfg(test)]
mod tests {
    use snapshot::Resource;

    use super::*;

    fn snapshot(kind: ResourceType, body: &str) -> Snapshot {
        let mut snapshot = Snapshot::default();
        snapshot.insert(Resource::new(kind, "a".into(), body.as_bytes(), [], []));
        snapshot
    }

    #[test]
    fn a_gateway_that_is_gone_is_the_same_as_one_that_never_was() {
        let edge = snapshot(ResourceType::Cluster, "1");
        let gone = Snapshot::default();
        let now = hash([("gateway/edge", &edge)].into_iter());
        assert_eq!(hash([("gateway/edge", &edge), ("gateway/gone", &gone)].into_iter()), now);
        assert_ne!(hash([("gateway/other", &edge)].into_iter()), now);
    }

    #[test]
    fn endpoints_are_hashed_apart_and_programs_without_a_proxy_not_at_all() {
        let of = |name: &str, snapshot: &Snapshot| hash([(name, snapshot)].into_iter());
        let [one, two] =
            ["1", "2"].map(|body| of("gateway/a", &snapshot(ResourceType::Endpoint, body)));
        assert_eq!(one.config, two.config);
        assert_ne!(one.endpoints, two.endpoints);
        let none = hash(std::iter::empty());
        assert_eq!(of("grpc/a", &snapshot(ResourceType::Cluster, "1")), none);
    }
}
