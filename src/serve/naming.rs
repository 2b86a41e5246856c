//! Names that are not those of the snapshot: hosts of virtual hosts (xds-rules 65), other spellings of `xdstp://` names
//! and whole collections of them (68).
//!
//! ```text
//! the client's words ─┐
//!                     ├─► what they mean: a subscription, and a set in which each answer has the name that was asked
//! the snapshot's set ─┘
//! ```
//!
//! The rest of the room works with the meaning and need not know that other words were used. Streams without such names
//! have none of this.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use snapshot::{Resource, ResourceSet, ResourceType, xdstp};

use crate::subscription::{Changed, Subscription};
use crate::view::View;
use crate::{Form, Request, vhds};

#[derive(Debug)]
pub(crate) struct Naming {
    form: Form,
    kind: ResourceType,
    asked: Subscription,
    /// `None` until there is a snapshot.
    made: Option<Made>,
    /// What the client still holds of a meaning that has changed: covered until it is told.
    lapsed: Vec<Arc<str>>,
}

#[derive(Debug)]
struct Made {
    from: ResourceSet,
    set: ResourceSet,
}

impl Naming {
    /// `known` is the set that the view was last brought up to.
    pub(crate) fn new(
        form: Form,
        kind: ResourceType,
        sub: &Subscription,
        known: Option<&ResourceSet>,
    ) -> Self {
        let made = known.map(|set| Made { from: set.clone(), set: set.clone() });
        Self { form, kind, asked: sub.clone(), made, lapsed: Vec::new() }
    }

    /// Whether a request uses words of its own.
    pub(crate) fn needed(form: Form, kind: ResourceType, request: &Request) -> bool {
        request.names().any(|name| translates(form, kind, name) || xdstp::is_xdstp(name))
    }

    /// The set in which the meaning of the subscription is found.
    pub(crate) fn set(&self) -> Option<&ResourceSet> {
        self.made.as_ref().map(|made| &made.set)
    }

    /// Names in the meaning of what a parent calls so.
    pub(crate) fn meant_by(&self, reference: &Arc<str>) -> Vec<Arc<str>> {
        if !xdstp::is_xdstp(reference) {
            return vec![reference.clone()];
        }
        let normal = xdstp::normal(reference);
        let same = |name: &&Arc<str>| xdstp::normal(name) == normal;
        let mut names: Vec<_> = self.asked.names().iter().filter(same).cloned().collect();
        names.push(reference.clone());
        names
    }

    /// Applies a request to the client's words; returns what has changed in their meaning.
    pub(crate) fn apply(
        &mut self,
        request: &Request,
        first: bool,
        legacy: bool,
        sub: &mut Subscription,
        view: &mut View,
    ) -> Changed {
        let changed = self.asked.apply(self.form, request, first, legacy, None);
        let Some(made) = &mut self.made else {
            *sub = self.asked.clone();
            return changed;
        };
        let mut meaning = Meaning::of(self.form, self.kind, &made.from, &self.asked, &made.set);
        // Same content as before under more or fewer names: what is new among them is asked for below.
        made.set = meaning.set.clone();
        view.rebase(&made.set);
        let unwanted: Vec<_> = changed
            .dropped
            .iter()
            .flat_map(|word| means(self.form, self.kind, &made.from, word))
            .collect();
        self.lapsed.retain(|name| !unwanted.contains(name));
        meaning.names.extend(self.lapsed.iter().cloned());
        let before = std::mem::replace(sub, meaning.subscription(&self.asked));
        let mut out = Changed {
            wildcard: changed.wildcard,
            wildcard_dropped: changed.wildcard_dropped,
            ..Changed::default()
        };
        for word in changed.asked.iter().chain(&changed.again) {
            for name in means(self.form, self.kind, &made.from, word) {
                let list = if before.covers(&name) { &mut out.again } else { &mut out.asked };
                list.push(name);
            }
        }
        out.dropped = unwanted;
        out
    }

    /// Takes over a newer set: the same words may mean something else now.
    pub(crate) fn advance(
        &mut self,
        from: &ResourceSet,
        sub: &mut Subscription,
        view: &mut View,
        published: Instant,
        now: Instant,
    ) {
        let old = self.made.as_ref().map(|made| made.set.clone());
        if self.made.as_ref().is_some_and(|made| made.from.ptr_eq(from)) {
            return;
        }
        let reusable = old.as_ref().unwrap_or(from);
        let meaning = Meaning::of(self.form, self.kind, from, &self.asked, reusable);
        let before = std::mem::replace(sub, meaning.subscription(&self.asked));
        let gone: Vec<Arc<str>> =
            before.names().iter().filter(|name| !sub.has(name)).cloned().collect();
        let new: Vec<Arc<str>> =
            sub.names().iter().filter(|name| !before.has(name)).cloned().collect();
        if old.is_some() {
            // What was meant before has to be told as gone.
            sub.add(gone.iter().cloned());
        }
        view.advance(&meaning.set, sub, published, now);
        if let Some(old) = old {
            for name in new {
                if !(sub.broad() && meaning.set.get(&name).is_some()) {
                    view.ask(&name, false, now);
                }
            }
            self.lapsed.clear();
            let now_meant = meaning.subscription(&self.asked);
            for name in gone {
                let real = |r: Option<&Arc<Resource>>| r.is_some_and(|r| !r.is_absent());
                let owed = view.owed.get(&name);
                let holds = real(old.get(&name)) || real(owed.and_then(|o| o.held.resource()));
                let exists = real(meaning.set.get(&name));
                if now_meant.covers(&name) && (holds || exists) {
                    continue;
                }
                if holds && (exists || owed.is_some()) {
                    self.lapsed.push(name);
                } else {
                    // Nothing to be told: there was nothing.
                    view.owed.remove(&name);
                }
            }
        }
        let Meaning { mut names, globs, set } = meaning;
        names.extend(self.lapsed.iter().cloned());
        *sub = Subscription::meaning(self.asked.wildcard, names, globs);
        self.made = Some(Made { from: from.clone(), set });
    }
}

struct Meaning {
    set: ResourceSet,
    names: Vec<Arc<str>>,
    globs: Vec<Arc<str>>,
}

impl Meaning {
    /// `old` lends the resources that it has made already.
    fn of(
        form: Form,
        kind: ResourceType,
        from: &ResourceSet,
        asked: &Subscription,
        old: &ResourceSet,
    ) -> Self {
        let mut meaning = Self { set: from.clone(), names: Vec::new(), globs: Vec::new() };
        let mut hosts: BTreeMap<&Arc<str>, Vec<Arc<str>>> = BTreeMap::new();
        for word in asked.names() {
            if translates(form, kind, word) {
                match vhds::find(from, word).or_else(|| from.get(word)) {
                    Some(host) => {
                        hosts.entry(host.name()).or_default().push(word.clone());
                        meaning.names.push(host.name().clone());
                    }
                    None => {
                        meaning.set.insert(Resource::absent(kind, word.clone()));
                        meaning.names.push(word.clone());
                    }
                }
                continue;
            }
            if xdstp::is_glob(word) {
                let glob: Arc<str> = Arc::from(&*xdstp::normal(word));
                if from.known_as(&glob).next().is_none() {
                    // An empty collection is a name behind which there is nothing.
                    meaning.names.push(word.clone());
                }
                meaning.globs.push(glob);
                continue;
            }
            match (find(from, word), form) {
                (Some(found), Form::Delta) if found.name() != word => {
                    let made = old.get(word).filter(|o| o.version() == found.version());
                    let spelled =
                        made.map_or_else(|| found.renamed(word.clone()), |r| (**r).clone());
                    meaning.set.insert(spelled);
                    meaning.names.push(word.clone());
                }
                // Here the name stands in the body and cannot be spelled otherwise.
                (Some(found), Form::Sotw) => meaning.names.push(found.name().clone()),
                _ => meaning.names.push(word.clone()),
            }
        }
        for (name, aliases) in hosts {
            let Some(host) = from.get(name) else { continue };
            let made =
                old.get(name).filter(|o| o.version() == host.version() && *o.aliases() == *aliases);
            let told = made.map_or_else(|| host.with_aliases(aliases), |r| (**r).clone());
            meaning.set.insert(told);
        }
        meaning
    }

    fn subscription(&self, asked: &Subscription) -> Subscription {
        Subscription::meaning(asked.wildcard, self.names.clone(), self.globs.clone())
    }
}

/// Names in the set that one of the client's words means.
fn means(form: Form, kind: ResourceType, from: &ResourceSet, word: &Arc<str>) -> Vec<Arc<str>> {
    if translates(form, kind, word) {
        let host = vhds::find(from, word).or_else(|| from.get(word));
        return vec![host.map_or_else(|| word.clone(), |host| host.name().clone())];
    }
    if xdstp::is_glob(word) {
        let members: Vec<_> =
            from.known_as(&xdstp::normal(word)).map(|member| member.name().clone()).collect();
        return if members.is_empty() { vec![word.clone()] } else { members };
    }
    match (find(from, word), form) {
        (Some(found), Form::Sotw) => vec![found.name().clone()],
        _ => vec![word.clone()],
    }
}

/// A resource under whatever spelling of its name.
pub(crate) fn find<'a>(set: &'a ResourceSet, name: &str) -> Option<&'a Arc<Resource>> {
    if let Some(found) = set.get(name) {
        return Some(found);
    }
    if !xdstp::is_xdstp(name) || xdstp::is_glob(name) {
        return None;
    }
    set.known_as(&xdstp::normal(name)).next()
}

/// Virtual hosts are asked for by host. They exist in delta only.
fn translates(form: Form, kind: ResourceType, word: &str) -> bool {
    kind == ResourceType::VirtualHost && form == Form::Delta && vhds::split(word).is_some()
}
