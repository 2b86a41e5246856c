//! Editions: what some proxies of a group are served instead of the newest.
//!
//! ```text
//! proxies ──NACK──► inbox ──► Keeper (in the pipeline): catalog.with(held) ─► a Compiler of its own ─► group "…@1"
//!    │                                                                                                 │
//!    └──ACK───► held versions ──► last state that each has taken in full          seats ──► who is served from where
//! ```
//!
//! An edition is the newest catalog with some documents in an earlier form, or without them. It belongs to one group and is
//! shared by all who need the same: a thousand proxies that refuse one route cost one compile of their group, and after
//! that what each change costs, once more. Without refusals and rollouts there are none. The group is then `gateway/demo/edge@held-1`
//! (or `@before-1`, for those whom a rollout has not reached). What makes them is kept over a restart (`memory.rs`).

mod edition;
mod forms;
mod held;
mod keeper;
mod mark;
mod memory;
mod search;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use dashmap::DashMap;
use dashmap::mapref::one::RefMut;
use revision::rollout::Member;
use serve::{Client, Nacked};
use snapshot::{Resource, ResourceType, Snapshot, Version};
use tokio::sync::watch;

pub(crate) use edition::{Edition, Forms};
pub(crate) use forms::{may_be_rolled, same};
pub(crate) use held::State;
pub(crate) use keeper::{COMING_BACK, Keeper, Outcome};
pub(crate) use memory::{Earlier, Memory, Rolled, before};

use held::Group;

/// In the names of editions for proxies that refused something.
const HELD: &str = "held";

/// NACKs that may wait for the pipeline.
const MOST_REFUSALS: usize = 10_000;

/// By group, node and type.
type Inbox = BTreeMap<(Arc<str>, Arc<str>, ResourceType), Refused>;

/// What proxies have said, and where they are served from. Shared with the streams: every call is short.
#[derive(Debug, Default)]
pub(crate) struct Editions {
    /// By the name of the group, without that of an edition.
    groups: DashMap<Arc<str>, Group>,
    /// The latest of each proxy and type.
    inbox: Mutex<Inbox>,
    /// Rings when the keeper has something to look at.
    bell: watch::Sender<u64>,
    refusals: watch::Sender<Arc<[api::history::Refusal]>>,
}

/// A NACK.
#[derive(Debug)]
pub(crate) struct Refused {
    pub(crate) at: SystemTime,
    pub(crate) group: Arc<str>,
    pub(crate) node: Arc<str>,
    /// What the proxy is: those of one build refuse the same.
    pub(crate) build: Arc<str>,
    pub(crate) kind: ResourceType,
    pub(crate) refused: Vec<(Option<Arc<Resource>>, Arc<Resource>)>,
    pub(crate) text: String,
}

/// Whether this is an edition for proxies that refused something.
pub(crate) fn is_for_refusals(entry: &str) -> bool {
    entry.rsplit_once('@').is_some_and(|(_, edition)| edition.starts_with(HELD))
}

impl Editions {
    /// What proxies refused, of now and of a while ago, the newest first.
    pub(crate) fn refusals(&self) -> watch::Receiver<Arc<[api::history::Refusal]>> {
        self.refusals.subscribe()
    }

    pub(crate) fn bell(&self) -> watch::Receiver<u64> {
        self.bell.subscribe()
    }

    fn group(&self, name: &Arc<str>) -> RefMut<'_, Arc<str>, Group> {
        self.groups.entry(name.clone()).or_insert_with(|| Group::new(name))
    }

    fn ring(&self) {
        self.bell.send_modify(|count| *count += 1);
    }

    /// Rings when somebody of the group may be served from elsewhere. To be asked for before [`Self::place`].
    pub(crate) fn moves(&self, group: &Arc<str>) -> watch::Receiver<u64> {
        self.group(group).moves()
    }

    /// The edition that this proxy is served; `None` for the newest.
    pub(crate) fn place(&self, group: &str, client: &Client) -> Option<Arc<str>> {
        self.groups.get(group)?.place(&member(client))
    }

    /// The proxies of a group that are connected.
    pub(crate) fn members(&self, group: &str) -> Vec<Member> {
        self.groups.get(group).map(|group| group.members()).unwrap_or_default()
    }

    /// Whether anybody of this group is served an edition.
    pub(crate) fn any_seated(&self, group: &str) -> bool {
        self.groups.get(group).is_some_and(|group| group.any_seated())
    }

    /// Before proxies can see it. `entry` is the group or one of its editions.
    pub(crate) fn published(
        &self,
        group: &Arc<str>,
        entry: &Arc<str>,
        snapshot: &Snapshot,
        state: Arc<State>,
    ) {
        let searching = self.group(group).published(entry, snapshot, state);
        if searching {
            self.ring();
        }
    }

    pub(crate) fn opened(&self, group: &Arc<str>, client: &Client) {
        let mut group = self.group(group);
        group.opened(member(client), client.stream);
    }

    pub(crate) fn closed(&self, name: &Arc<str>, client: &Client) {
        if let Some(mut group) = self.groups.get_mut(name) {
            group.closed(&client.node.id, client.stream);
        }
        self.groups.remove_if(name, |_, group| group.is_idle());
    }

    pub(crate) fn acked(&self, group: &str, node: &str, kind: ResourceType, version: Version) {
        let Some(place) = held::place(kind) else { return };
        let Some(mut group) = self.groups.get_mut(group) else { return };
        let searching = group.acked(node, place, version);
        drop(group);
        if searching {
            self.ring();
        }
    }

    pub(crate) fn nacked(&self, group: &Arc<str>, client: &Client, nacked: &Nacked) {
        // Refused twice, or a type in which nothing is made from documents that could be held back. An assignment is refused
        // by itself; the next one is sent like any other.
        if nacked.refused.is_empty() || nacked.kind == ResourceType::Endpoint {
            return;
        }
        let node: Arc<str> = client.node.id.as_str().into();
        let mut inbox = self.inbox.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (group.clone(), node.clone(), nacked.kind);
        if inbox.len() >= MOST_REFUSALS && !inbox.contains_key(&key) {
            return;
        }
        let refused = Refused {
            at: SystemTime::now(),
            group: group.clone(),
            node,
            build: build(client),
            kind: nacked.kind,
            refused: nacked.refused.clone(),
            text: nacked.error.clone(),
        };
        inbox.insert(key, refused);
        drop(inbox);
        self.ring();
    }

    fn take(&self) -> Vec<Refused> {
        let mut inbox = self.inbox.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *inbox).into_values().collect()
    }
}

/// Labels stand in the node's metadata: `{isthmus: {labels: {tier: canary}}}`.
fn member(client: &Client) -> Member {
    let labels = client.node.metadata.get("isthmus").and_then(|own| own.get("labels"));
    let labels = labels.and_then(serde_json::Value::as_object).into_iter().flatten();
    let labels = labels.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())));
    Member { id: client.node.id.as_str().into(), labels: Arc::new(labels.collect()) }
}

fn build(client: &Client) -> Arc<str> {
    let node = &client.node;
    match node.version.is_empty() {
        true => node.user_agent.as_str().into(),
        false => node.version.as_str().into(),
    }
}
