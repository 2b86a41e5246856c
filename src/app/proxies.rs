//! The proxy table: who is connected, what each was sent, and what it said about it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use api::change::Live;
use api::{Nack, Proxy, ProxyType, Time, TypeState};
use dashmap::DashMap;
use model::ObjectRef;
use serve::{Acked, Client, Nacked, Observer, Sent};
use snapshot::{ResourceType, Version};
use tokio::sync::watch;

use crate::editions::{self, Editions};
use crate::groups::Groups;
use crate::history::Current;
use crate::lag::Lag;
use crate::news::News;
use crate::peers::{self, Heard};
use crate::pipeline::World;
use crate::programmed::Programmed;

/// One live stream.
struct Stream {
    client: Arc<Client>,
    /// What it is served: its group, or an edition of it.
    entry: Arc<str>,
    group: Arc<str>,
    since: Time,
    types: BTreeMap<ResourceType, State>,
    /// When it was last seen to fall behind.
    behind: Option<Instant>,
    /// The last revision at which it was in step.
    held: Option<Arc<str>>,
}

#[derive(Default)]
struct State {
    subscribed: usize,
    wildcard: bool,
    sent: Option<Version>,
    acked: Option<Version>,
    nack: Option<Nack>,
}

pub(crate) struct Proxies {
    groups: Arc<Groups>,
    world: Arc<RwLock<World>>,
    lag: Arc<Lag>,
    programmed: Arc<Programmed>,
    editions: Arc<Editions>,
    /// By stream: one node may own several. Each entry has its own lock, held for a moment.
    streams: DashMap<u64, Mutex<Stream>>,
    /// Rings when a proxy may have other secrets, or is gone.
    secrets: watch::Sender<()>,
    /// Rings when a proxy said something, came or went.
    said: watch::Sender<()>,
    /// The revision that is served.
    revision: watch::Receiver<Option<Current>>,
    news: News,
    /// Those of the other replicas.
    heard: Option<Arc<Heard>>,
}

impl Proxies {
    pub(crate) fn new(
        groups: Arc<Groups>,
        world: Arc<RwLock<World>>,
        lag: Arc<Lag>,
        programmed: Arc<Programmed>,
        editions: Arc<Editions>,
        revision: watch::Receiver<Option<Current>>,
    ) -> Self {
        Self {
            editions,
            groups,
            world,
            lag,
            programmed,
            streams: DashMap::new(),
            secrets: watch::Sender::new(()),
            said: watch::Sender::new(()),
            revision,
            news: News::default(),
            heard: None,
        }
    }

    /// Shows those of the other replicas too.
    pub(crate) fn among(self, heard: Arc<Heard>) -> Self {
        Self { heard: Some(heard), ..self }
    }

    /// Tells what happens here.
    pub(crate) fn telling(self, news: News) -> Self {
        Self { news, ..self }
    }

    /// Of all replicas.
    pub(crate) fn list(&self) -> Vec<Proxy> {
        let mut all = self.own();
        let others = self.others(&all).into_iter().map(|(row, _)| row);
        all.extend(others);
        all.sort_by(|a, b| a.id.cmp(&b.id));
        all
    }

    /// Those of the other replicas, each with whether its replica serves the same as we do.
    fn others(&self, own: &[Proxy]) -> Vec<(Proxy, bool)> {
        let Some(heard) = &self.heard else { return Vec::new() };
        heard.proxies(&own.iter().map(|row| row.id.clone()).collect())
    }

    /// Those that are connected here.
    pub(crate) fn own(&self) -> Vec<Proxy> {
        let mut all: Vec<_> = self
            .streams
            .iter()
            .map(|entry| {
                (
                    *entry.key(),
                    self.row(&mut entry.value().lock().unwrap_or_else(PoisonError::into_inner)),
                )
            })
            .collect();
        all.sort_by(|a, b| (&a.1.id, a.0).cmp(&(&b.1.id, b.0)));
        all.into_iter().map(|(_, row)| row).collect()
    }

    /// What the youngest stream of this node is served: its group, or an edition of it. Of a proxy of another replica its group.
    pub(crate) fn group_of(&self, id: &str) -> Option<Arc<str>> {
        self.own_group_of(id).or_else(|| Some(self.heard.as_ref()?.group_of(id)?.into()))
    }

    fn own_group_of(&self, id: &str) -> Option<Arc<str>> {
        self.streams
            .iter()
            .filter_map(|entry| {
                let stream = entry.value().lock().unwrap_or_else(PoisonError::into_inner);
                (stream.client.node.id == id).then(|| (*entry.key(), stream.entry.clone()))
            })
            .max_by_key(|(stream, _)| *stream)
            .map(|(_, group)| group)
    }

    /// Rings when [`Self::behind_with_secrets`] may say something else.
    pub(crate) fn secrets_bell(&self) -> watch::Receiver<()> {
        self.secrets.subscribe()
    }

    /// Nodes that have not acknowledged the secrets that they are to have now.
    pub(crate) fn behind_with_secrets(&self) -> Vec<String> {
        let behind = |stream: &Stream| {
            let Some(state) = stream.types.get(&ResourceType::Secret) else { return false };
            let asks = state.wildcard || state.subscribed > 0;
            let goal = self.groups.current(&stream.entry);
            let goal = goal.map(|p| p.snapshot.set(ResourceType::Secret).version());
            asks && goal.is_some() && state.acked != goal
        };
        let mut nodes: Vec<_> = self
            .streams
            .iter()
            .filter_map(|entry| {
                let stream = entry.value().lock().unwrap_or_else(PoisonError::into_inner);
                behind(&stream).then(|| stream.client.node.id.clone())
            })
            .collect();
        nodes.sort();
        nodes.dedup();
        nodes
    }

    /// The nodes that are connected, by group.
    pub(crate) fn by_group(&self) -> HashMap<Arc<str>, BTreeSet<String>> {
        let mut out: HashMap<Arc<str>, BTreeSet<String>> = HashMap::new();
        for entry in &self.streams {
            let stream = entry.value().lock().unwrap_or_else(PoisonError::into_inner);
            let nodes = out.entry(stream.group.clone()).or_default();
            nodes.insert(stream.client.node.id.clone());
        }
        for (group, id) in self.heard.iter().flat_map(|heard| heard.groups()) {
            out.entry(group.into()).or_default().insert(id);
        }
        out
    }

    /// How many of the proxies of these groups, or of all, have what they should have.
    pub(crate) fn live(&self, groups: Option<&BTreeSet<String>>) -> Live {
        let mut out = Live::default();
        let own = self.own();
        // One whose replica serves something else than we do does not have what we mean.
        let others = self.others(&own);
        for (row, same) in own.into_iter().map(|row| (row, true)).chain(others) {
            if groups.is_some_and(|groups| !groups.contains(&peers::group(&row))) {
                continue;
            }
            out.total += 1;
            out.live += usize::from(same && row.in_step());
            out.refused += usize::from(row.types.iter().any(|t| t.state == TypeState::Nack));
        }
        out
    }

    /// Waits until each of them has said yes or no, but not for longer than this.
    pub(crate) async fn until_live(&self, groups: &BTreeSet<String>, patience: Duration) -> Live {
        let mut said = self.said.subscribe();
        let mut heard = self.heard.as_ref().map(|heard| heard.bell());
        // What the others have is measured by it.
        let mut revision = self.revision.clone();
        let settled = async {
            loop {
                said.borrow_and_update();
                revision.borrow_and_update();
                let live = self.live(Some(groups));
                if live.live + live.refused >= live.total {
                    return live;
                }
                let elsewhere = async {
                    match &mut heard {
                        Some(bell) => bell.changed().await,
                        None => std::future::pending().await,
                    }
                };
                let changed = tokio::select! {
                    changed = said.changed() => changed,
                    changed = elsewhere => changed,
                    Ok(()) = revision.changed() => Ok(()),
                };
                if changed.is_err() {
                    return live;
                }
            }
        };
        match tokio::time::timeout(patience, settled).await {
            Ok(live) => live,
            Err(_) => self.live(Some(groups)),
        }
    }

    /// Notes who is in step with each new revision, until there are no more.
    pub(crate) async fn follow(self: Arc<Self>, mut revision: watch::Receiver<Option<Current>>) {
        while revision.changed().await.is_ok() {
            revision.borrow_and_update();
            for entry in &self.streams {
                self.row(&mut entry.value().lock().unwrap_or_else(PoisonError::into_inner));
            }
        }
    }

    fn row(&self, stream: &mut Stream) -> Proxy {
        let node = &stream.client.node;
        let current = self.groups.current(&stream.entry);
        let mut wanted = 0_u64;
        let mut held = 0_u64;
        let mut types = Vec::new();
        for (kind, state) in &stream.types {
            // Names that a client asked for and that do not exist are nothing to wait for.
            let goal = current.as_ref().map(|p| p.snapshot.set(*kind).version());
            let goal = if state.subscribed == 0 && !state.wildcard { state.acked } else { goal };
            let mix = |version: Option<Version>| {
                version.map_or(0, |v| v.0.rotate_left(kind.index() as u32 * 7))
            };
            wanted = wanted.wrapping_add(mix(goal));
            held = held.wrapping_add(mix(state.acked));
            let step = if state.nack.is_some() {
                TypeState::Nack
            } else if state.acked == goal || goal.is_none() {
                TypeState::Ok
            } else {
                TypeState::Pending
            };
            let resources = current.as_ref().map_or(0, |p| p.snapshot.set(*kind).len());
            let resources = if state.wildcard { resources } else { state.subscribed };
            types.push(ProxyType {
                kind: kind.short().into(),
                state: step,
                resources,
                nack: state.nack.clone(),
            });
        }
        let in_step =
            current.is_none() || (wanted == held && types.iter().all(|t| t.state == TypeState::Ok));
        let behind = if in_step {
            None
        } else {
            Some(
                stream
                    .behind
                    .or_else(|| current.as_ref().map(|p| p.at))
                    .unwrap_or_else(Instant::now),
            )
        };
        stream.behind = behind;
        let revision = self.revision.borrow().as_ref().map(|current| current.id.clone());
        if in_step && current.is_some() && !types.is_empty() {
            stream.held.clone_from(&revision);
        }
        let (role, scope) = stream.group.split_once('/').unwrap_or((&*stream.group, ""));
        Proxy {
            id: node.id.clone(),
            replica: self.heard.as_ref().map(|heard| heard.own.clone()).unwrap_or_default(),
            heard_at: None,
            role: role.into(),
            scope: scope.into(),
            envoy: node.version.clone(),
            protocol: stream.client.form.name().into(),
            address: stream.client.peer.map(|peer| peer.to_string()).unwrap_or_default(),
            region: node.locality.region.clone(),
            zone: node.locality.zone.clone(),
            connected_at: stream.since,
            revision: revision.map(|id| id.to_string()),
            held_revision: stream.held.as_ref().map(ToString::to_string),
            wanted: mark(current.as_ref().map(|_| wanted)),
            held: mark(current.as_ref().map(|_| held)),
            lag_ms: behind
                .map_or(0, |at| u64::try_from(at.elapsed().as_millis()).unwrap_or(u64::MAX)),
            types,
            edition: (stream.entry != stream.group).then(|| stream.entry.to_string()),
        }
    }

    /// Returns the group of the stream.
    fn with(
        &self,
        client: &Client,
        kind: ResourceType,
        f: impl FnOnce(&mut State, bool),
    ) -> Option<Arc<str>> {
        let entry = self.streams.get(&client.stream)?;
        let mut stream = entry.value().lock().unwrap_or_else(PoisonError::into_inner);
        let refused = editions::is_for_refusals(&stream.entry);
        f(stream.types.entry(kind).or_default(), !refused);
        Some(stream.group.clone())
    }

    /// The client has this version of a type.
    fn holds(&self, client: &Client, kind: ResourceType, version: Version) {
        let mut mended = false;
        let group = self.with(client, kind, |state, over| {
            state.acked = Some(version);
            // On an edition it has all but what it refused: that stays to be seen until it is over.
            if over {
                mended = state.nack.take().is_some();
            }
        });
        if let Some(group) = group {
            self.news.proxy(&client.node.id, &group, mended);
            self.programmed.acked(&group, &client.node.id, kind, version);
            self.editions.acked(&group, &client.node.id, kind, version);
        }
        if kind == ResourceType::Secret {
            self.secrets.send_replace(());
        }
        if let Some(entry) = self.streams.get(&client.stream) {
            self.row(&mut entry.value().lock().unwrap_or_else(PoisonError::into_inner));
        }
        self.said.send_replace(());
    }
}

fn mark(value: Option<u64>) -> String {
    value.map_or_else(|| "-".into(), |v| format!("{:06x}", (v ^ (v >> 32)) & 0xff_ffff))
}

/// The documents that are behind what was refused: of a route table the routes that may be meant, else what the resource
/// was made from.
fn origins(nacked: &Nacked, world: &RwLock<World>) -> Vec<ObjectRef> {
    // Called from inside a stream's poll: the line is a courtesy and not worth waiting for.
    let world = world.try_read().ok();
    let place = |route: &str| {
        let (key, rule) = compile::route_origin(route)?;
        let pointer = format!("/spec/rules/{rule}");
        let known = world.as_ref().and_then(|world| world.catalog().get(&key));
        Some(match known {
            Some(object) => object.meta().at(&pointer),
            None => ObjectRef {
                source: "".into(),
                object: Some(key),
                pointer: pointer.into(),
                location: None,
            },
        })
    };
    let mut out = Vec::new();
    for (before, refused) in &nacked.refused {
        let routes = match refused.kind() {
            ResourceType::Route => {
                snapshot::suspect_routes(before.as_deref(), refused, &nacked.error)
            }
            _ => Vec::new(),
        };
        let known = out.len();
        out.extend(routes.iter().filter_map(|route| place(route)));
        if out.len() == known {
            out.extend(refused.origin().iter().cloned());
        }
    }
    out.sort();
    out.dedup();
    out
}

impl Observer for Proxies {
    fn opened(&self, client: &Arc<Client>, entry: &Arc<str>) {
        let group = self.groups.group_of(entry);
        tracing::info!(node = client.node.id, group = %entry, form = client.form.name(), "proxy connected");
        let stream = Stream {
            client: client.clone(),
            entry: entry.clone(),
            group: group.clone(),
            since: Time::now(),
            types: BTreeMap::new(),
            behind: None,
            held: None,
        };
        self.streams.insert(client.stream, Mutex::new(stream));
        self.programmed.opened(&group, &client.node.id, client.stream);
        self.news.proxy(&client.node.id, &group, false);
        let text = format!("{} {}", client.form.name(), client.node.version);
        self.news.event(&client.node.id, &group, "connected", text);
        self.editions.opened(&group, client);
    }

    fn moved(&self, client: &Arc<Client>, to: &Arc<str>) {
        let Some(known) = self.streams.get(&client.stream) else { return };
        let mut stream = known.value().lock().unwrap_or_else(PoisonError::into_inner);
        stream.entry = to.clone();
        if !editions::is_for_refusals(to) {
            // Mended, or gone back. Who still refuses says so again.
            stream.types.values_mut().for_each(|state| state.nack = None);
        }
        self.news.proxy(&client.node.id, &stream.group, true);
    }

    fn subscribed(&self, client: &Arc<Client>, kind: ResourceType, wildcard: bool, names: usize) {
        self.with(client, kind, |state, _| {
            state.wildcard = wildcard;
            state.subscribed = names;
        });
    }

    fn sent(&self, client: &Arc<Client>, sent: &Sent) {
        let group = self.with(client, sent.kind, |state, _| state.sent = Some(sent.version));
        if let Some(group) = group {
            self.news.proxy(&client.node.id, &group, false);
        }
    }

    fn acked(&self, client: &Arc<Client>, acked: &Acked) {
        self.lag.acked(acked);
        self.holds(client, acked.kind, acked.version);
    }

    fn settled(&self, client: &Arc<Client>, kind: ResourceType, version: Version) {
        // Also after a reconnect, when nothing is sent because the client has it all.
        self.holds(client, kind, version);
    }

    fn nacked(&self, client: &Arc<Client>, nacked: &Nacked) {
        let code = model::codes::PROXY_REJECTED;
        let refs = origins(nacked, &self.world);
        for at in &refs {
            let place =
                at.location.as_ref().map(|location| format!("{location}: ")).unwrap_or_default();
            tracing::error!(node = client.node.id, kind = %nacked.kind, "{place}error {code} {at}: {}", nacked.error);
        }
        if refs.is_empty() {
            let (node, names) = (&client.node.id, &nacked.names);
            tracing::error!(node, kind = %nacked.kind, ?names, "error {code}: {}", nacked.error);
        }
        let group = self.with(client, nacked.kind, |state, _| {
            state.nack = Some(Nack {
                at: Time::now(),
                text: nacked.error.clone(),
                origins: refs.iter().map(ToString::to_string).collect(),
            });
        });
        if let Some(group) = group {
            self.programmed.nacked(&group, &client.node.id, nacked.kind, &nacked.error);
            self.news.proxy(&client.node.id, &group, true);
            let text = format!("{}: {}", nacked.kind.short(), nacked.error);
            self.news.event(&client.node.id, &group, "refused", text);
            self.editions.nacked(&group, client, nacked);
        }
        self.said.send_replace(());
    }

    fn closed(&self, client: &Arc<Client>) {
        tracing::info!(node = client.node.id, "proxy gone");
        if let Some((_, stream)) = self.streams.remove(&client.stream) {
            let group = stream.into_inner().unwrap_or_else(PoisonError::into_inner).group;
            self.programmed.closed(&group, &client.node.id, client.stream);
            self.news.proxy(&client.node.id, &group, true);
            self.news.event(&client.node.id, &group, "disconnected", String::new());
            self.editions.closed(&group, client);
            self.secrets.send_replace(());
            self.said.send_replace(());
        }
    }
}
