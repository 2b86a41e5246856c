//! Node groups: which snapshot a connecting proxy gets.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Instant, SystemTime};

use arc_swap::ArcSwap;
use compile::{GroupKey, SidecarKey};
use dashmap::DashMap;
use futures::future::BoxFuture;
use model::{Identity, NamespacedName};
use observe::{Reporter, Reporters, Side};
use serde_json::Value;
use serve::{Client, Group, Node, Published, Refusal, Snapshots};
use snapshot::{ResourceType, Snapshot};
use tokio::sync::watch;

use crate::auth::Auth;
use crate::editions::{Editions, State};
use crate::identities::{Dressed, Identities};
use crate::programmed::Programmed;

/// What a bootstrap puts in the node's metadata under this key: `{role: gateway, gateway: namespace/name}`,
/// `{role: grpc}` or `{role: grpc, namespace: name}`. Nothing else makes a role: a user agent is the library's word, not
/// that of whoever runs the program, and says nothing about what the program is meant to see.
const METADATA_KEY: &str = "isthmus";
/// So many namespaces of gRPC programs and workloads with sidecars can be served at once.
const MAX_WANTED: usize = 10_000;
/// More labels than this are not looked at.
const MAX_LABELS: usize = 64;
/// How the names of Gateways' groups begin.
const GATEWAY: &str = "gateway/";
/// So many hosts can be looked for at once.
const MAX_SOUGHT: usize = 10_000;
/// A host with its port, as a header has it.
const LONGEST_HOST: usize = 260;
/// Groups that proxies asked for and that nothing is compiled for are remembered up to this number, so that a client
/// which makes up names cannot fill the memory.
const MAX_UNKNOWN: usize = 20_000;

/// The current snapshot of every group, each with its own bell.
#[derive(Debug, Default)]
pub(crate) struct Groups {
    auth: ArcSwap<Auth>,
    identities: Arc<Identities>,
    programmed: Arc<Programmed>,
    editions: Arc<Editions>,
    by_name: DashMap<Arc<str>, Entry>,
    /// As which ServiceAccounts the proxies of Gateways run.
    accounts: ArcSwap<HashMap<NamespacedName, NamespacedName>>,
    /// Groups beside those of the Gateways that clients have asked for: the pipeline compiles no others.
    wanted: watch::Sender<BTreeSet<GroupKey>>,
    /// What sidecars asked for since the pipeline looked last.
    sought: Mutex<Sought>,
}

/// Hosts by the workload whose app wants to reach them.
pub(crate) type Sought = BTreeMap<SidecarKey, BTreeSet<Arc<str>>>;

#[derive(Debug, Default)]
struct Entry {
    /// As it was compiled.
    base: Option<Published>,
    /// The documents that it was compiled from, where that is known.
    state: Option<Arc<State>>,
    /// The group whose edition it is.
    of: Option<Arc<str>>,
    /// Whose certificate is laid over it, once somebody has asked.
    identity: Option<Identity>,
    shown: watch::Sender<Option<Published>>,
}

pub(crate) fn group_name(key: &GroupKey) -> Arc<str> {
    key.to_string().into()
}

impl Groups {
    pub(crate) fn new(
        auth: Auth,
        identities: Arc<Identities>,
        programmed: Arc<Programmed>,
        editions: Arc<Editions>,
    ) -> Self {
        let auth = ArcSwap::from_pointee(auth);
        Self { auth, identities, programmed, editions, ..Self::default() }
    }

    /// Counts for the streams that open from now on.
    pub(crate) fn set_auth(&self, auth: Auth) {
        self.auth.store(Arc::new(auth));
    }

    pub(crate) fn set_accounts(&self, accounts: HashMap<NamespacedName, NamespacedName>) {
        self.accounts.store(Arc::new(accounts));
    }

    /// `state`: the documents that it was compiled from, where that is known.
    pub(crate) fn publish(&self, name: &Arc<str>, published: Published, state: Option<Arc<State>>) {
        let mut entry = self.by_name.entry(name.clone()).or_default();
        (entry.base, entry.state) = (Some(published), state);
        self.show(name, &entry, None);
    }

    /// The same for an edition of a group, whose proxies have the same certificate.
    pub(crate) fn publish_edition(
        &self,
        name: &Arc<str>,
        of: &Arc<str>,
        published: Published,
        state: Arc<State>,
    ) {
        let identity = self.by_name.get(of).and_then(|entry| entry.identity.clone());
        let mut entry = self.by_name.entry(name.clone()).or_default();
        (entry.base, entry.state) = (Some(published), Some(state));
        (entry.of, entry.identity) = (Some(of.clone()), identity);
        self.show(name, &entry, None);
    }

    /// Returns whether it is gone: not while streams are on their way to somewhere else.
    pub(crate) fn remove_edition(&self, name: &Arc<str>) -> bool {
        let unused = |entry: &Entry| entry.of.is_some() && entry.shown.receiver_count() == 0;
        self.by_name.remove_if(name, |_, entry| unused(entry)).is_some()
            || !self.by_name.contains_key(name)
    }

    /// The group that this is, or is an edition of.
    pub(crate) fn group_of(&self, name: &Arc<str>) -> Arc<str> {
        let entry = self.by_name.get(name);
        entry.and_then(|entry| entry.of.clone()).unwrap_or_else(|| name.clone())
    }

    /// Nobody wants the group any more. Whoever comes back waits until it is compiled again.
    pub(crate) fn retire(&self, name: &Arc<str>) {
        let mut entry = self.by_name.entry(name.clone()).or_default();
        entry.base = None;
        entry.shown.send_replace(None);
    }

    /// Lays certificates over the groups of these identities again: they, or the roots, are others by now.
    pub(crate) fn dress_again(&self, of: impl Fn(&Identity) -> bool) {
        let dressed = |entry: &Entry| entry.identity.as_ref().is_some_and(&of);
        let names: Vec<_> = self
            .by_name
            .iter()
            .filter(|entry| dressed(entry))
            .map(|entry| entry.key().clone())
            .collect();
        // One at a time, so that nobody waits for all of them.
        for name in names {
            if let Some(entry) = self.by_name.get(&name) {
                // A group without proxies gets what is new when the next one comes.
                if entry.shown.receiver_count() > 0 {
                    self.show(&name, &entry, Some(Instant::now()));
                }
            }
        }
    }

    /// Those that have proxies.
    pub(crate) fn identities(&self) -> BTreeSet<Identity> {
        let used = self.by_name.iter().filter(|entry| entry.shown.receiver_count() > 0);
        used.filter_map(|entry| entry.identity.clone()).collect()
    }

    /// `at` is when it became what it is, where that is not when it was compiled. The entry is held meanwhile: of two who
    /// show something, the later must win.
    fn show(&self, name: &Arc<str>, entry: &Entry, at: Option<Instant>) {
        let Some(base) = &entry.base else { return };
        let shown =
            match self.identities.dress(entry.identity.as_ref(), &base.snapshot, SystemTime::now())
            {
                Dressed::Ready(snapshot) => Some(Published { snapshot, at: at.unwrap_or(base.at) }),
                Dressed::Wait => None,
            };
        if let Some(shown) = &shown {
            let group = entry.of.as_ref().unwrap_or(name);
            match &entry.of {
                _ if !name.starts_with(GATEWAY) => {}
                None => self.programmed.published(name, &shown.snapshot),
                Some(of) => self.programmed.published_beside(of, &shown.snapshot),
            }
            if let Some(state) = &entry.state {
                self.editions.published(group, name, &shown.snapshot, state.clone());
            }
        }
        entry.shown.send_replace(shown);
    }

    /// Whose certificate the proxies of a group have.
    fn identity(&self, key: &GroupKey) -> Option<Identity> {
        match key {
            GroupKey::Gateway(gateway) => {
                // Of a cluster's Gateways only those are somebody whose proxies are known by their ServiceAccount: a name
                // alone would be that of any workload. Elsewhere a credential is for the Gateway itself.
                let account = self.accounts.load().get(gateway).cloned();
                let named = (!self.auth.load().asks_cluster()).then(|| gateway.clone());
                account.or(named).map(Identity::Account)
            }
            GroupKey::Sidecar(sidecar) => Some(sidecar.identity.clone()),
            GroupKey::Grpc { .. } | GroupKey::Scope(_) => None,
        }
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
                    let entry = self.by_name.get(&group_name(key));
                    entry.is_some_and(|entry| entry.shown.receiver_count() > 0)
                        || self.editions.any_seated(&group_name(key))
                });
            }
            room = wanted.len() < MAX_WANTED;
            room && wanted.insert(key.clone())
        });
        room
    }

    /// What sidecars asked for since the last call. Whoever takes it publishes the groups of these workloads again, also
    /// where nothing was found: their proxies wait for that.
    pub(crate) fn take_sought(&self) -> Sought {
        std::mem::take(&mut self.sought.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The same as before, at a later moment.
    pub(crate) fn publish_again(&self, name: &Arc<str>, at: Instant) {
        if let Some(mut entry) = self.by_name.get_mut(name)
            && let Some(base) = &mut entry.base
        {
            base.at = at;
            self.show(name, &entry, None);
        }
    }

    pub(crate) fn current(&self, name: &str) -> Option<Published> {
        self.by_name.get(name)?.shown.borrow().clone()
    }

    pub(crate) fn wanted_now(&self) -> BTreeSet<GroupKey> {
        self.wanted.borrow().clone()
    }

    /// The snapshots of all groups that have one, as they were compiled: without certificates of the mesh.
    pub(crate) fn all(&self) -> Vec<(Arc<str>, Arc<Snapshot>)> {
        let mut all: Vec<_> = self
            .by_name
            .iter()
            .filter(|entry| entry.of.is_none())
            .filter_map(|entry| Some((entry.key().clone(), entry.base.as_ref()?.snapshot.clone())))
            .collect();
        all.sort_by(|a, b| a.0.cmp(&b.0));
        all
    }

    /// Where this client of a group is served from.
    fn seat(&self, group: &Arc<str>, client: &Client, identity: Option<Identity>) -> Option<Group> {
        let moves = self.editions.moves(group);
        let name = self.editions.place(group, client).unwrap_or_else(|| group.clone());
        let updates = self.subscribe(&name, identity)?;
        Some(Group { name, updates, moves: Some(moves) })
    }

    /// The group from now on, with the certificate of this identity.
    fn subscribe(
        &self,
        name: &Arc<str>,
        identity: Option<Identity>,
    ) -> Option<watch::Receiver<Option<Published>>> {
        if !self.by_name.contains_key(name) && self.by_name.len() >= MAX_UNKNOWN {
            self.by_name
                .retain(|_, entry| entry.base.is_some() || entry.shown.receiver_count() > 0);
            let unknown = self.by_name.iter().filter(|entry| entry.base.is_none()).count();
            if unknown >= MAX_UNKNOWN {
                return None;
            }
        }
        let mut entry = self.by_name.entry(name.clone()).or_default();
        // One that had no proxies for a while may show an old certificate.
        if identity.is_some() && (entry.identity != identity || entry.shown.receiver_count() == 0) {
            entry.identity = identity;
            self.show(name, &entry, None);
        }
        Some(entry.shown.subscribe())
    }
}

impl Groups {
    /// The group that a client is of, if it may be.
    fn admit(&self, client: &Client) -> Result<GroupKey, Refusal> {
        // Before anything is said about what exists.
        let (auth, now) = (self.auth.load(), SystemTime::now());
        let allowed = if is_sidecar(&client.node) {
            auth.identify_sidecar(client, now)?
        } else {
            auth.identify(client, now)?
        };
        let key = asked(&client.node)?;
        match &key {
            GroupKey::Gateway(gateway) => allowed.gateway(&gateway.to_string())?,
            GroupKey::Grpc { namespace } => allowed.grpc(namespace.as_deref())?,
            GroupKey::Sidecar(sidecar) => {
                allowed.sidecar(&sidecar.identity, text(&client.node, "pod"))?;
            }
            // No node asks for one.
            GroupKey::Scope(_) => {}
        }
        Ok(key)
    }
}

impl Reporters for Groups {
    fn identify(&self, client: &Client) -> Result<Reporter, Refusal> {
        let key = self.admit(client)?;
        let side = match &key {
            GroupKey::Gateway(gateway) => Side::Gateway(format!("gateway/{gateway}").into()),
            GroupKey::Sidecar(workload) => {
                let name = match &workload.identity {
                    Identity::Account(account) => &account.name,
                    Identity::Registry { service, .. } => service,
                };
                let fallback = format!("workload/{}/{name}", workload.namespace).into();
                Side::Sidecar { group: group_name(&key), fallback }
            }
            GroupKey::Grpc { namespace } => {
                // As a node of the topology has it: a part of a path.
                let id = client.node.id.replace(|c: char| c == '/' || c.is_control(), "-");
                let fallback = match namespace {
                    Some(namespace) => format!("workload/{namespace}/{id}"),
                    None => format!("unknown/{id}"),
                };
                Side::Program {
                    namespace: namespace.clone(),
                    address: client.peer.map(|peer| peer.ip().to_canonical()),
                    fallback: fallback.into(),
                }
            }
            GroupKey::Scope(_) => {
                return Err(Refusal::InvalidArgument("nobody is of such a group".into()));
            }
        };
        Ok(Reporter { node: client.node.id.as_str().into(), side })
    }
}

impl Snapshots for Groups {
    fn group(&self, client: &Client) -> Result<Group, Refusal> {
        let key = self.admit(client)?;
        let full =
            |what: &str| Refusal::ResourceExhausted(format!("too many {what} are being asked for"));
        let name = group_name(&key);
        let group = self.seat(&name, client, self.identity(&key));
        let group = group.ok_or_else(|| full("unknown groups"))?;
        if !matches!(key, GroupKey::Gateway(_)) && !self.want(&key) {
            return Err(full("namespaces or workloads"));
        }
        Ok(group)
    }

    fn moved(&self, client: &Client, group: &Arc<str>) -> Option<Group> {
        let identity = self.by_name.get(group).and_then(|entry| entry.identity.clone());
        let to = self.seat(&self.group_of(group), client, identity)?;
        (to.name != *group).then_some(to)
    }

    fn meet(&self, client: &Client) -> Option<BoxFuture<'static, ()>> {
        let (reviews, token) = self.auth.load().reviews(client).zip(client.token.clone())?;
        Some(Box::pin(async move { reviews.meet(token.reveal(), SystemTime::now()).await }))
    }

    fn seek(&self, client: &Client, kind: ResourceType, names: &[Arc<str>]) -> bool {
        let Ok(GroupKey::Sidecar(workload)) = asked(&client.node) else { return false };
        let mut sought = self.sought.lock().unwrap_or_else(PoisonError::into_inner);
        let waiting: usize = sought.values().map(BTreeSet::len).sum();
        let fits = |name: &Arc<str>| name.len() <= LONGEST_HOST;
        if kind != ResourceType::Cluster
            || waiting + names.len() > MAX_SOUGHT
            || !names.iter().all(fits)
        {
            return false;
        }
        sought.entry(workload).or_default().extend(names.iter().cloned());
        drop(sought);
        // The pipeline looks at what is wanted, and at this.
        self.wanted.send_modify(|_| {});
        true
    }

    fn inspect(&self, client: &Client) -> Result<(), Refusal> {
        self.auth.load().identify(client, SystemTime::now())?.admin()
    }
}

fn is_sidecar(node: &Node) -> bool {
    text(node, "role") == Some("sidecar")
}

/// What a node's metadata says of itself.
fn text<'a>(node: &'a Node, key: &str) -> Option<&'a str> {
    node.metadata.get(METADATA_KEY)?.get(key)?.as_str()
}

/// The group that a node's metadata names.
fn asked(node: &Node) -> Result<GroupKey, Refusal> {
    let claim = node.metadata.get(METADATA_KEY);
    let text = |key: &str| text(node, key);
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
    if let Some((key, _)) = labels.iter().find(|(key, value)| !is_label_pair(key, value)) {
        return Err(format!("node metadata isthmus.labels has `{key}`, which is no label: {hint}"));
    }
    Ok(SidecarKey { namespace: namespace.into(), identity, labels: labels.into() })
}

/// What Kubernetes takes for a label, and nothing by which two workloads could be called the same.
fn is_label_pair(key: &str, value: &str) -> bool {
    let ok = |b: u8| b.is_ascii_alphanumeric() || b"-_./".contains(&b);
    !key.is_empty()
        && key.len() <= 317
        && value.len() <= 63
        && key.bytes().chain(value.bytes()).all(ok)
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
