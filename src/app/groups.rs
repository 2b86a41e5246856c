//! Node groups: which snapshot a connecting proxy gets.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::SystemTime;

use arc_swap::ArcSwap;
use compile::{GroupKey, SidecarKey};
use dashmap::DashMap;
use futures::future::BoxFuture;
use model::{Identity, NamespacedName};
use serde_json::Value;
use serve::{Client, Group, Node, Published, Refusal, Snapshots};
use snapshot::Snapshot;
use tokio::sync::watch;

use crate::auth::Auth;

/// What a bootstrap puts in the node's metadata under this key: `{role: gateway, gateway: namespace/name}`,
/// `{role: grpc}` or `{role: grpc, namespace: name}`. Nothing else makes a role: a user agent is the library's word, not
/// that of whoever runs the program, and says nothing about what the program is meant to see.
const METADATA_KEY: &str = "isthmus";
/// So many namespaces of gRPC programs and workloads with sidecars can be served at once.
const MAX_WANTED: usize = 10_000;
/// More labels than this are not looked at.
const MAX_LABELS: usize = 64;
/// Groups that proxies asked for and that nothing is compiled for are remembered up to this number, so that a client
/// which makes up names cannot fill the memory.
const MAX_UNKNOWN: usize = 20_000;

/// The current snapshot of every group, each with its own bell.
#[derive(Debug, Default)]
pub(crate) struct Groups {
    auth: ArcSwap<Auth>,
    by_name: DashMap<Arc<str>, watch::Sender<Option<Published>>>,
    /// Groups beside those of the Gateways that clients have asked for: the pipeline compiles no others.
    wanted: watch::Sender<BTreeSet<GroupKey>>,
}

pub(crate) fn group_name(key: &GroupKey) -> Arc<str> {
    key.to_string().into()
}

impl Groups {
    pub(crate) fn new(auth: Auth) -> Self {
        Self { auth: ArcSwap::from_pointee(auth), ..Self::default() }
    }

    /// Counts for the streams that open from now on.
    pub(crate) fn set_auth(&self, auth: Auth) {
        self.auth.store(Arc::new(auth));
    }

    pub(crate) fn publish(&self, name: &Arc<str>, published: Published) {
        self.sender(name).send_replace(Some(published));
    }

    /// Nobody wants the group any more. Whoever comes back waits until it is compiled again.
    pub(crate) fn retire(&self, name: &Arc<str>) {
        self.sender(name).send_replace(None);
    }

    pub(crate) fn wanted(&self) -> watch::Receiver<BTreeSet<GroupKey>> {
        self.wanted.subscribe()
    }

    /// Has a group compiled; returns whether there is room. The caller subscribed before, so that it is seen to be in use.
    fn want(&self, key: &GroupKey) -> bool {
        let mut room = true;
        self.wanted.send_if_modified(|wanted| {
            if wanted.contains(key) {
                return false;
            }
            if wanted.len() >= MAX_WANTED {
                wanted.retain(|key| {
                    let sender = self.by_name.get(&group_name(key));
                    sender.is_some_and(|sender| sender.receiver_count() > 0)
                });
            }
            room = wanted.len() < MAX_WANTED;
            room && wanted.insert(key.clone())
        });
        room
    }

    pub(crate) fn current(&self, name: &str) -> Option<Published> {
        self.by_name.get(name)?.borrow().clone()
    }

    /// The snapshots of all groups that have one.
    pub(crate) fn all(&self) -> Vec<(Arc<str>, Arc<Snapshot>)> {
        let mut all: Vec<_> = self
            .by_name
            .iter()
            .filter_map(|entry| {
                Some((entry.key().clone(), entry.value().borrow().as_ref()?.snapshot.clone()))
            })
            .collect();
        all.sort_by(|a, b| a.0.cmp(&b.0));
        all
    }

    fn sender(&self, name: &Arc<str>) -> watch::Sender<Option<Published>> {
        self.by_name.entry(name.clone()).or_insert_with(|| watch::Sender::new(None)).clone()
    }

    fn subscribe(&self, name: &Arc<str>) -> Option<watch::Receiver<Option<Published>>> {
        if !self.by_name.contains_key(name) && self.by_name.len() >= MAX_UNKNOWN {
            self.by_name
                .retain(|_, sender| sender.borrow().is_some() || sender.receiver_count() > 0);
            let unknown =
                self.by_name.iter().filter(|entry| entry.value().borrow().is_none()).count();
            if unknown >= MAX_UNKNOWN {
                return None;
            }
        }
        Some(self.sender(name).subscribe())
    }
}

impl Snapshots for Groups {
    fn group(&self, client: &Client) -> Result<Group, Refusal> {
        // Before anything is said about what exists.
        let allowed = self.auth.load().identify(client, SystemTime::now())?;
        let key = asked(&client.node)?;
        match &key {
            GroupKey::Gateway(gateway) => allowed.gateway(&gateway.to_string())?,
            GroupKey::Grpc { namespace } => allowed.grpc(namespace.as_deref())?,
            GroupKey::Sidecar(sidecar) => allowed.sidecar(&sidecar.identity)?,
            // No node asks for one.
            GroupKey::Scope(_) => {}
        }
        let full =
            |what: &str| Refusal::ResourceExhausted(format!("too many {what} are being asked for"));
        let name = group_name(&key);
        let updates = self.subscribe(&name).ok_or_else(|| full("unknown groups"))?;
        if !matches!(key, GroupKey::Gateway(_)) && !self.want(&key) {
            return Err(full("namespaces or workloads"));
        }
        Ok(Group { name, updates })
    }

    fn meet(&self, client: &Client) -> Option<BoxFuture<'static, ()>> {
        let (reviews, token) = self.auth.load().reviews(client).zip(client.token.clone())?;
        Some(Box::pin(async move { reviews.meet(token.reveal(), SystemTime::now()).await }))
    }

    fn inspect(&self, client: &Client) -> Result<(), Refusal> {
        self.auth.load().identify(client, SystemTime::now())?.admin()
    }
}

/// The group that a node's metadata names.
fn asked(node: &Node) -> Result<GroupKey, Refusal> {
    let claim = node.metadata.get(METADATA_KEY);
    let text = |key: &str| claim.and_then(|c| c.get(key)).and_then(Value::as_str);
    let no = |text: String| Err(Refusal::InvalidArgument(text));
    match text("role") {
        Some("gateway") => {
            let gateway = text("gateway").and_then(|gateway| gateway.split_once('/'));
            match gateway.filter(|(namespace, name)| !namespace.is_empty() && !name.is_empty()) {
                Some((namespace, name)) => Ok(GroupKey::Gateway(NamespacedName::new(namespace, name))),
                None => no("node metadata isthmus.gateway must be NAMESPACE/NAME: make the bootstrap with \
                            `isthmus bootstrap`"
                    .into()),
            }
        }
        Some("grpc") => match claim.and_then(|claim| claim.get("namespace")) {
            None => Ok(GroupKey::Grpc { namespace: None }),
            Some(Value::String(name)) if is_label(name) => {
                Ok(GroupKey::Grpc { namespace: Some(name.as_str().into()) })
            }
            // What was meant to be less than everything must not become everything.
            Some(_) => no("node metadata isthmus.namespace must be the name of a namespace: make the bootstrap with \
                           `isthmus bootstrap --role grpc`"
                .into()),
        },
        Some("sidecar") => sidecar(claim).map(GroupKey::Sidecar).map_err(Refusal::InvalidArgument),
        role => no(format!(
            "node metadata isthmus.role is {}, want gateway, grpc or sidecar: make the bootstrap with `isthmus bootstrap`",
            role.unwrap_or("missing")
        )),
    }
}

/// Labels that differ between pods that are otherwise the same.
fn is_of_one_pod(label: &str) -> bool {
    const NAMES: [&str; 4] =
        ["pod-template-hash", "controller-revision-hash", "controller-uid", "job-name"];
    const DOMAINS: [&str; 3] =
        ["statefulset.kubernetes.io/", "apps.kubernetes.io/", "batch.kubernetes.io/"];
    NAMES.contains(&label) || DOMAINS.iter().any(|domain| label.starts_with(domain))
}

/// The workload that a sidecar says it stands beside.
fn sidecar(claim: Option<&Value>) -> Result<SidecarKey, String> {
    let hint = "make the bootstrap with `isthmus bootstrap --role sidecar`";
    let text = |key: &str| {
        let text = claim.and_then(|c| c.get(key)).and_then(Value::as_str);
        text.filter(|text| !text.is_empty() && text.len() <= 253)
    };
    let Some(namespace) = text("namespace").filter(|name| is_label(name)) else {
        return Err(format!("node metadata isthmus.namespace must be a namespace: {hint}"));
    };
    let identity = match (text("account"), text("registry"), text("service")) {
        (Some(account), None, None) => Identity::Account(NamespacedName::new(namespace, account)),
        (None, Some(registry), Some(service)) => {
            let Some((ns, name)) = registry.split_once('/') else {
                return Err(format!(
                    "node metadata isthmus.registry must be NAMESPACE/NAME: {hint}"
                ));
            };
            let registry = NamespacedName::new(ns, name);
            Identity::Registry { registry, service: service.into() }
        }
        _ => {
            return Err(format!(
                "node metadata isthmus must say either account, or registry and service: {hint}"
            ));
        }
    };
    let labels = claim.and_then(|c| c.get("labels")).and_then(Value::as_object);
    let mut labels: Vec<(Arc<str>, Arc<str>)> = labels
        .into_iter()
        .flatten()
        .filter(|(key, _)| !is_of_one_pod(key))
        .filter_map(|(key, value)| Some((key.as_str().into(), value.as_str()?.into())))
        .take(MAX_LABELS)
        .collect();
    labels.sort();
    Ok(SidecarKey { namespace: namespace.into(), identity, labels: labels.into() })
}

/// A DNS label, as the names of namespaces are (RFC 1123).
fn is_label(text: &str) -> bool {
    let ok = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    (1..=63).contains(&text.len())
        && text.bytes().all(ok)
        && !text.starts_with('-')
        && !text.ends_with('-')
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use serde_json::json;
    use serve::Form;

    use super::*;

    fn node(claim: Value) -> Node {
        let metadata = [(METADATA_KEY.to_owned(), claim)].into_iter().collect();
        Node { metadata, user_agent: "gRPC C-core linux".into(), ..Node::default() }
    }

    fn client(claim: Value) -> Client {
        Client {
            stream: 1,
            form: Form::Sotw,
            only: None,
            node: node(claim),
            peer: None,
            token: None,
            certificates: [].into(),
            opened: Instant::now(),
        }
    }

    fn of(namespace: &str) -> GroupKey {
        GroupKey::Grpc { namespace: Some(namespace.into()) }
    }

    #[test]
    fn the_metadata_says_role_and_scope_and_nothing_else_does() {
        let asks = |claim| asked(&node(claim));
        let edge = GroupKey::Gateway(NamespacedName::new("shop", "edge"));
        assert_eq!(asks(json!({"role": "gateway", "gateway": "shop/edge"})), Ok(edge));
        assert_eq!(asks(json!({"role": "grpc"})), Ok(GroupKey::Grpc { namespace: None }));
        assert_eq!(asks(json!({"role": "grpc", "namespace": "shop"})), Ok(of("shop")));
        for (claim, words) in [
            (json!({}), "isthmus.role is missing"),
            (json!({"role": "sidecar"}), "isthmus.namespace"),
            (json!({"role": "sidecar", "namespace": "shop"}), "account"),
            (json!({"role": "cdn"}), "isthmus.role is cdn"),
            (json!({"role": "gateway", "gateway": "edge"}), "NAMESPACE/NAME"),
            (json!({"role": "grpc", "namespace": ""}), "isthmus.namespace"),
            (json!({"role": "grpc", "namespace": "*"}), "isthmus.namespace"),
            (json!({"role": "grpc", "namespace": "a/b"}), "isthmus.namespace"),
            (json!({"role": "grpc", "namespace": null}), "isthmus.namespace"),
            (json!({"role": "grpc", "namespace": ["shop"]}), "isthmus.namespace"),
        ] {
            match asks(claim.clone()) {
                Err(Refusal::InvalidArgument(said)) => assert!(said.contains(words), "{said}"),
                other => panic!("{claim}: {other:?}"),
            }
        }
        assert!(asked(&Node { user_agent: "gRPC Go".into(), ..Node::default() }).is_err());
    }

    #[test]
    fn a_group_is_wanted_from_the_first_program_that_asks() {
        let groups = Groups::default();
        let mut wanted = groups.wanted();
        let gateway = client(json!({"role": "gateway", "gateway": "shop/edge"}));
        groups.group(&gateway).unwrap();
        assert!(!wanted.has_changed().unwrap());
        let program = client(json!({"role": "grpc", "namespace": "shop"}));
        let group = groups.group(&program).unwrap();
        assert_eq!(&*group.name, "grpc/shop");
        assert!(group.updates.borrow().is_none());
        assert_eq!(*wanted.borrow_and_update(), BTreeSet::from([of("shop")]));
        groups.group(&program).unwrap();
        assert!(!wanted.has_changed().unwrap(), "the second changes nothing");
    }

    #[test]
    fn namespaces_that_nobody_uses_make_room() {
        let groups = Groups::default();
        let ask =
            |n: usize| groups.group(&client(json!({"role": "grpc", "namespace": format!("n{n}")})));
        let used = ask(0).unwrap();
        for n in 1..MAX_WANTED {
            ask(n).unwrap();
        }
        assert_eq!(groups.wanted.borrow().len(), MAX_WANTED);
        let late = ask(MAX_WANTED).unwrap();
        let left = BTreeSet::from([of("n0"), of(&format!("n{MAX_WANTED}"))]);
        assert_eq!(*groups.wanted.borrow(), left);
        let all: Vec<_> = (1..MAX_WANTED - 1).map(|n| ask(n).unwrap()).collect();
        assert!(matches!(ask(MAX_WANTED - 1), Err(Refusal::ResourceExhausted(_))));
        // Those that are in use are served on.
        assert!(ask(0).is_ok());
        drop((used, late, all));
    }
}
