//! What a client has of one type, and what it is owed.
//!
//! The client has `base` (a shared, persistent copy of the set that was current when last looked at), as far as its
//! subscription covers it, except for the names in `owed`. So a client that is up to date costs a few words, N changes
//! during a stall cost what they touch, and finding the changes costs what differs (xds-rules 71).

use std::collections::{BTreeMap, btree_map::Entry};
use std::sync::Arc;
use std::time::Instant;

use snapshot::{Resource, ResourceKey, ResourceSet, ResourceType, Version, xdstp};

use crate::lookup::Lookup;
use crate::subscription::Subscription;
use crate::{Nonce, Request, naming};

/// What the client has under one name.
#[derive(Clone, Debug)]
pub(crate) enum Held {
    Nothing,
    Exactly(Arc<Resource>),
    /// It rejected `new` while it had `old`: it may have either (xds-rules 39), so it counts as having neither (43).
    Unsure {
        old: Option<Arc<Resource>>,
        new: Option<Arc<Resource>>,
    },
    /// It brought something along from another stream that is not what this server would send now.
    Unknown,
}

#[derive(Clone, Debug)]
pub(crate) struct Owed {
    pub(crate) held: Held,
    /// The client waits for an answer about this name: given even if there is nothing new.
    pub(crate) asked: bool,
    pub(crate) rejected: Option<Rejected>,
    /// Waiting for other types is limited from here on.
    pub(crate) since: Instant,
    /// When the change was published that the client does not have yet.
    pub(crate) published: Option<Instant>,
}

/// The content that must not be sent again (rule 36).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rejected {
    pub(crate) version: Option<Version>,
    /// Names rejected together are tried again together (rule 43): one of them was bad, the others only unlucky.
    pub(crate) batch: Nonce,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Need {
    Nothing,
    Send(Arc<Resource>),
    Remove,
}

impl Held {
    /// What a state-of-the-world response must go on naming while the change has to wait.
    pub(crate) fn resource(&self) -> Option<&Arc<Resource>> {
        match self {
            Self::Nothing | Self::Unknown => None,
            Self::Exactly(resource) => Some(resource),
            Self::Unsure { old, new } => old.as_ref().or(new.as_ref()),
        }
    }

    pub(crate) fn is_nothing(&self) -> bool {
        matches!(self, Self::Nothing)
    }

    /// Everything that the client may be referring to.
    pub(crate) fn refs(&self) -> impl Iterator<Item = &ResourceKey> {
        let (one, two) = match self {
            Self::Nothing | Self::Unknown => (None, None),
            Self::Exactly(resource) => (Some(resource), None),
            Self::Unsure { old, new } => (old.as_ref(), new.as_ref()),
        };
        one.into_iter().chain(two).flat_map(|r| r.refs().iter())
    }

    fn of(resource: Option<&Arc<Resource>>) -> Self {
        resource.map_or(Self::Nothing, |r| Self::Exactly(r.clone()))
    }
}

impl Owed {
    pub(crate) fn need(&self, target: Option<&Arc<Resource>>) -> Need {
        let same = match (&self.held, target) {
            (Held::Nothing, None) => true,
            (Held::Exactly(held), Some(target)) => held.version() == target.version(),
            _ => false,
        };
        match target {
            _ if same && !self.asked => Need::Nothing,
            Some(target) => Need::Send(target.clone()),
            None => Need::Remove,
        }
    }

    /// Whether the client has rejected just this.
    pub(crate) fn refused(&self, target: Option<&Arc<Resource>>) -> bool {
        self.rejected.is_some_and(|r| r.version == target.map(|t| t.version()))
    }
}

#[derive(Debug)]
pub(crate) struct View {
    base: Option<ResourceSet>,
    pub(crate) owed: BTreeMap<Arc<str>, Owed>,
    /// Since the first request and until its answer, everything subscribed is owed: no need to list it.
    whole: Option<Instant>,
    /// Whether the client is told TTLs: then what has one is sent again on a new stream (rule 18).
    ttls: bool,
    /// The first request, while there is no snapshot to compare its `initial_resource_versions` with.
    claims: Option<Request>,
}

impl View {
    pub(crate) fn new(first: &Request, ttls: bool, now: Instant) -> Self {
        let claims = (first.initial_len() > 0).then(|| first.clone());
        Self { base: None, owed: BTreeMap::new(), whole: Some(now), ttls, claims }
    }

    /// The client named this. `covered` is whether it was subscribed before.
    pub(crate) fn ask(&mut self, name: &Arc<str>, covered: bool, now: Instant) {
        if self.whole.is_some() {
            return;
        }
        let base = self.base.as_ref().filter(|_| covered);
        let owed = self.owed.entry(name.clone()).or_insert_with(|| Owed {
            held: Held::of(base.and_then(|b| b.get(name))),
            asked: true,
            rejected: None,
            since: now,
            published: None,
        });
        owed.asked = true;
        owed.rejected = None;
        owed.since = now;
    }

    pub(crate) fn owes(&self) -> bool {
        self.whole.is_some() || !self.owed.is_empty()
    }

    /// The first answer is about to be made: returns whether all of the subscription is to go into it.
    pub(crate) fn take_whole(&mut self) -> Option<Instant> {
        self.whole.take()
    }

    /// The first answer cannot be made in one piece: its names are listed after all.
    pub(crate) fn list(&mut self, target: &ResourceSet, sub: &Subscription, since: Instant) {
        let asked =
            || Owed { held: Held::Nothing, asked: true, rejected: None, since, published: None };
        if sub.broad() {
            let all = target.iter().filter(|r| sub.covers(r.name()));
            self.owed.extend(all.map(|r| (r.name().clone(), asked())));
        }
        self.owed.extend(sub.names().iter().map(|name| (name.clone(), asked())));
    }

    /// The client subscribed to the wildcard: it is sent everything, held or not (rule 45).
    pub(crate) fn ask_all(&mut self, covered: impl Fn(&str) -> bool, now: Instant) {
        // Without a base, the first look at a snapshot does this.
        let Some(base) = self.base.clone() else { return };
        for resource in base.iter() {
            self.ask(resource.name(), covered(resource.name()), now);
        }
    }

    /// The set that was last looked at.
    pub(crate) fn base(&self) -> Option<&ResourceSet> {
        self.base.as_ref()
    }

    /// The same set under more or fewer names; what is new among them is asked for by name.
    pub(crate) fn rebase(&mut self, set: &ResourceSet) {
        if let Some(base) = &mut self.base {
            *base = set.clone();
        }
    }

    /// Forgets what the client no longer subscribes to.
    pub(crate) fn forget(&mut self, sub: &Subscription) {
        self.owed.retain(|name, _| sub.covers(name));
    }

    /// Takes over a newer set; what differs becomes owed.
    pub(crate) fn advance(
        &mut self,
        target: &ResourceSet,
        sub: &Subscription,
        published: Instant,
        now: Instant,
    ) {
        let Some(base) = self.base.replace(target.clone()) else {
            self.first(target, sub, now);
            return;
        };
        if self.whole.is_some() || base.ptr_eq(target) {
            return;
        }
        for step in &*target.steps_from(&base) {
            let Some(resource) = step.new.as_ref().or(step.old.as_ref()) else { continue };
            let name = resource.name();
            let known = step.old.is_some() && !sub.broad() && sub.names_all(&base);
            if !known && !sub.covers(name) {
                if step.old.is_none() {
                    sub.names_not_all();
                }
                continue;
            }
            match self.owed.entry(name.clone()) {
                Entry::Vacant(slot) => {
                    slot.insert(Owed {
                        held: Held::of(step.old.as_ref()),
                        asked: false,
                        rejected: None,
                        since: now,
                        published: Some(published),
                    });
                }
                Entry::Occupied(mut slot) => {
                    slot.get_mut().published.get_or_insert(published);
                }
            }
        }
    }

    /// Rule 47: what the client holds and is current may be left out, in this first answer only.
    fn first(&mut self, target: &ResourceSet, sub: &Subscription, now: Instant) {
        let Some(claims) = self.claims.take() else { return };
        self.whole = None;
        let ttls = self.ttls;
        // The usual case after a lost connection: the client has all there is, as it is.
        let timed = ttls && target.iter().any(|r| r.ttl().is_some());
        let all = sub.wildcard || (sub.names().len() == target.len() && sub.all_in(target));
        if all && !timed && target.is_exactly(claims.initial()) {
            // A name that is also asked for and does not exist is still to be answered (rule 46).
            let unknown =
                sub.names().iter().filter(|name| sub.wildcard && target.get(name).is_none());
            for name in unknown {
                let held = Held::Nothing;
                let owed = Owed { held, asked: true, rejected: None, since: now, published: None };
                self.owed.insert(name.clone(), owed);
            }
            return;
        }
        let claimed = Claims::new(&claims, target);
        let current_at = |version: &Option<Version>, resource: &Resource| {
            *version == Some(resource.version()) && !(ttls && resource.ttl().is_some())
        };
        let mut add = |name: &Arc<str>, held, asked| {
            let owed = Owed { held, asked, rejected: None, since: now, published: None };
            self.owed.insert(name.clone(), owed);
        };
        let mut current = 0;
        if sub.broad() {
            for resource in target.iter().filter(|r| sub.covers(r.name())) {
                match claimed.get(resource.name()) {
                    Some(version) if current_at(&version, resource) => current += 1,
                    Some(_) => add(resource.name(), Held::Unknown, false),
                    None => add(resource.name(), Held::Nothing, false),
                }
            }
            if current < claimed.len() {
                let gone = |name: &&str| target.get(name).is_none() && sub.covers(name);
                for name in claimed.names().filter(gone) {
                    add(&Arc::from(name), Held::Unknown, false);
                }
            }
        }
        let names = sub.names();
        let found = Lookup::new(names.len(), target).all(names.iter().map(|n| &**n));
        for (name, resource) in names.iter().zip(found) {
            match (claimed.get(name), resource) {
                (Some(version), Some(resource)) if current_at(&version, resource) => {}
                // A name that does not exist is answered as removed (rule 46).
                (Some(_), _) => add(name, Held::Unknown, resource.is_none()),
                (None, _) => add(name, Held::Nothing, true),
            }
        }
    }

    /// The client rejected what it was sent under this name.
    pub(crate) fn reject(
        &mut self,
        name: &Arc<str>,
        previous: &Held,
        sent: Option<&Arc<Resource>>,
        batch: Nonce,
        now: Instant,
    ) {
        let held = match previous {
            Held::Unknown => Held::Unknown,
            Held::Nothing => Held::Unsure { old: None, new: sent.cloned() },
            Held::Exactly(old) => Held::Unsure { old: Some(old.clone()), new: sent.cloned() },
            Held::Unsure { old, .. } => Held::Unsure { old: old.clone(), new: sent.cloned() },
        };
        let rejected = Some(Rejected { version: sent.map(|r| r.version()), batch });
        match self.owed.entry(name.clone()) {
            Entry::Vacant(slot) => {
                slot.insert(Owed { held, asked: false, rejected, since: now, published: None });
            }
            Entry::Occupied(mut slot) => {
                let owed = slot.get_mut();
                owed.held = held;
                if !owed.asked {
                    owed.rejected = rejected;
                }
            }
        }
    }

    /// Version of what the client has once nothing but `owed` is missing: derived from content alone (rule 13), and
    /// another one whenever the content is another (rule 12).
    pub(crate) fn version(&self, target: &ResourceSet) -> Version {
        if self.owed.is_empty() {
            return target.version();
        }
        let mut missing = Vec::new();
        for (name, owed) in &self.owed {
            missing.extend_from_slice(name.as_bytes());
            missing.push(0);
            missing.extend_from_slice(
                &owed.held.resource().map_or(0, |r| r.version().0).to_be_bytes(),
            );
        }
        Version(target.version().0 ^ Version::of(&missing).0)
    }
}

/// `initial_resource_versions`, to be looked up by name: sorted by the names' hashes, which costs less than a map of
/// names.
struct Claims<'a>(Vec<(Version, &'a str, Option<Version>)>);

impl<'a> Claims<'a> {
    fn new(request: &'a Request, target: &'a ResourceSet) -> Self {
        // A client may spell names of the new form in its own way (rule 68).
        let spelled = |name| match xdstp::is_xdstp(name) {
            true => naming::find(target, name).map_or(name, |r| &**r.name()),
            false => name,
        };
        let mut all: Vec<_> = request
            .initial()
            .map(|(name, version)| (spelled(name), version))
            .map(|(name, version)| (Version::of(name.as_bytes()), name, version))
            .collect();
        all.sort_unstable_by_key(|(hash, name, _)| (*hash, *name));
        // A map on the wire has each key once; of a name in two spellings one counts.
        all.dedup_by_key(|(_, name, _)| *name);
        Self(all)
    }

    fn get(&self, name: &str) -> Option<Option<Version>> {
        let key = (Version::of(name.as_bytes()), name);
        let at = self.0.binary_search_by(|(hash, name, _)| (*hash, *name).cmp(&key)).ok()?;
        Some(self.0[at].2)
    }

    fn names(&self) -> impl Iterator<Item = &'a str> {
        self.0.iter().map(|(_, name, _)| *name)
    }

    fn len(&self) -> usize {
        self.0.len()
    }
}

/// Whether the end of a resource is told to a delta client that did not ask. Envoy ignores it for assignments and
/// secrets and breaks traffic on it for extensions (rule 59).
pub(crate) fn removal_is_told(kind: ResourceType) -> bool {
    !matches!(kind, ResourceType::Endpoint | ResourceType::Secret | ResourceType::Extension)
}
