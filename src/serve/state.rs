//! The state of one type on one stream.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Instant;

use snapshot::{Resource, ResourceSet, ResourceType, Snapshot, Version};

use crate::naming::Naming;
use crate::subscription::Subscription;
use crate::ttl::Beats;
use crate::view::{Held, View};
use crate::{Nonce, Request};

/// A client that answers nothing must not cost more and more.
const MAX_LATE: usize = 4;

#[derive(Debug)]
pub(crate) struct TypeState {
    pub(crate) kind: ResourceType,
    pub(crate) sub: Subscription,
    pub(crate) view: View,
    /// What the client calls things, if that is not what the snapshot calls them.
    pub(crate) naming: Option<Box<Naming>>,
    /// What the client holds for a limited time (rules 61 to 63).
    pub(crate) beats: Option<Box<Beats>>,
    /// Of `node.dynamic_parameters` for this type, as last told (rule 4).
    pub(crate) parameters: Option<Version>,
    /// Of the last response. Kept when the client unsubscribes from everything: it goes on using it (xds-rules 15).
    pub(crate) nonce: Option<Nonce>,
    /// Of the last response.
    pub(crate) version: Version,
    pub(crate) outstanding: Option<Outstanding>,
    /// Sent before that and not answered in time. Few, oldest first: a late NACK still tells what the client lacks (43).
    pub(crate) late: Vec<Outstanding>,
    /// A response is owed even if it is empty (rules 30, 51).
    pub(crate) answer: bool,
    /// Of the names in the last state-of-the-world request.
    pub(crate) names_key: Option<Version>,
    /// The client brought state from another stream.
    pub(crate) resumed: bool,
    /// Names to be sent on this stream even if the client says that it has them (rule 49).
    pub(crate) must_resend: Vec<Arc<str>>,
    /// When to look again though nothing happened.
    pub(crate) wake: Option<Instant>,
    /// Names that the client asked for, and that somebody is looking for.
    pub(crate) sought: BTreeMap<Arc<str>, Sought>,
    /// What was told last about a client that lacks nothing; `None` since something was sent.
    pub(crate) settled: Option<Version>,
}

/// Until the first snapshot that was begun after it was asked, or until the limit, a name that is not there is not said to
/// be missing.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sought {
    pub(crate) asked: Instant,
    pub(crate) limit: Instant,
}

/// The one response of this type that the client has not answered yet (rule 72).
#[derive(Debug)]
pub(crate) struct Outstanding {
    pub(crate) nonce: Nonce,
    pub(crate) version: Version,
    /// From then on the next response may go out; the answer to this one is still welcome.
    pub(crate) deadline: Instant,
    /// The oldest change that it carries.
    pub(crate) published: Option<Instant>,
    /// Resources under names where the client had nothing: most of a first answer, so 8 bytes each.
    pub(crate) fresh: Vec<Arc<Resource>>,
    pub(crate) changed: Vec<Item>,
}

#[derive(Debug)]
pub(crate) struct Item {
    pub(crate) name: Arc<str>,
    pub(crate) previous: Held,
    /// `None` for a removal.
    pub(crate) sent: Option<Arc<Resource>>,
}

impl TypeState {
    pub(crate) fn new(kind: ResourceType, first: &Request, ttls: bool, now: Instant) -> Self {
        Self {
            kind,
            sub: Subscription::default(),
            view: View::new(first, ttls, now),
            naming: None,
            beats: None,
            parameters: None,
            nonce: None,
            version: Version(0),
            outstanding: None,
            late: Vec::new(),
            answer: false,
            names_key: None,
            resumed: first.initial_len() > 0,
            must_resend: Vec::new(),
            wake: None,
            sought: BTreeMap::new(),
            settled: None,
        }
    }

    /// The set that the subscription is about.
    pub(crate) fn set<'a>(&'a self, target: &'a Snapshot) -> &'a ResourceSet {
        let named = self.naming.as_ref().and_then(|naming| naming.set());
        named.unwrap_or_else(|| target.set(self.kind))
    }

    /// A response goes out. Where each response holds everything, the newest is all that counts.
    pub(crate) fn sent(&mut self, out: Outstanding, holds_everything: bool) {
        let Some(before) = self.outstanding.replace(out) else { return };
        if holds_everything || before.names().next().is_none() {
            return;
        }
        if self.late.len() == MAX_LATE {
            self.late.remove(0);
        }
        self.late.push(before);
    }

    /// The client answers a response after a newer one was sent: what came with the newer ones too is not touched.
    pub(crate) fn reject_late(&mut self, out: &Outstanding, now: Instant) {
        let newer = self.late.iter().chain(&self.outstanding);
        let newer: HashSet<Arc<str>> = newer.flat_map(|o| o.names().cloned()).collect();
        self.reject_but(out, &newer, now);
    }

    /// The client rejected the outstanding response.
    pub(crate) fn reject(&mut self, out: &Outstanding, now: Instant) {
        self.reject_but(out, &HashSet::new(), now);
    }

    fn reject_but(&mut self, out: &Outstanding, but: &HashSet<Arc<str>>, now: Instant) {
        let fresh = out.fresh.iter().filter(|r| !but.contains(r.name()));
        for resource in fresh.filter(|r| self.sub.covers(r.name())) {
            self.view.reject(resource.name(), &Held::Nothing, Some(resource), out.nonce, now);
        }
        let changed = out.changed.iter().filter(|i| !but.contains(&i.name));
        for item in changed.filter(|i| self.sub.covers(&i.name)) {
            self.view.reject(&item.name, &item.previous, item.sent.as_ref(), out.nonce, now);
        }
    }
}

impl Outstanding {
    pub(crate) fn names(&self) -> impl Iterator<Item = &Arc<str>> {
        self.fresh.iter().map(|r| r.name()).chain(self.changed.iter().map(|i| &i.name))
    }

    /// What was sent, each with what the client had before.
    pub(crate) fn refused(&self) -> Vec<(Option<Arc<Resource>>, Arc<Resource>)> {
        let fresh = self.fresh.iter().map(|resource| (None, resource.clone()));
        let changed = self
            .changed
            .iter()
            .filter_map(|item| Some((item.previous.resource().cloned(), item.sent.clone()?)));
        fresh.chain(changed).collect()
    }

    /// Names in `changed` that may be new to the client.
    pub(crate) fn new_names(&self) -> impl Iterator<Item = &Arc<str>> {
        let new = |held: &Held| match held {
            Held::Nothing => true,
            Held::Unsure { old, .. } => old.is_none(),
            Held::Exactly(_) | Held::Unknown => false,
        };
        self.changed.iter().filter(move |i| i.sent.is_some() && new(&i.previous)).map(|i| &i.name)
    }
}
