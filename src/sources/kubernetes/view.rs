//! What the source knows, as a function of what it was told: no I/O, no clock.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use kinds::Served;
use model::{Change, Finding, GatewayApi, Health, Kind, NamespacedName, Object, ObjectKey};

use super::discover::Standing;
use super::watch::{News, Read, Scope, Trouble};
use super::{Options, Way, gauges, say, way};

/// So many failures of a list in a row, and the other kinds do not wait for this one any longer.
const MOST_FAILURES: u32 = 3;

pub(super) struct View {
    options: Options,
    kinds: BTreeMap<Kind, Standing>,
    scopes: BTreeMap<Scope, Shelf>,
    /// Objects from before the restart that nothing has been found out about yet.
    seeds: BTreeMap<ObjectKey, Object>,
    contact: Option<Result<(), String>>,
    /// Whether each kind has been listed once, or has shown that it cannot be.
    complete: bool,
    /// Whether the seeds were sent because the server was away.
    stood_in: bool,
    health: Option<Health>,
    /// Scopes of findings that were sent.
    said: HashSet<Arc<str>>,
    changes: Vec<Change>,
    /// Kinds whose gauges may be others.
    touched: BTreeSet<Kind>,
}

/// The objects of one scope.
#[derive(Default)]
struct Shelf {
    known: HashSet<NamespacedName>,
    /// What a list that has begun has named so far.
    listing: Option<HashSet<NamespacedName>>,
    /// Whether the last list was complete, and contact was not lost since.
    current: bool,
    /// Whether it was ever listed.
    listed: bool,
    trouble: Option<Trouble>,
    failures: u32,
}

impl Shelf {
    fn settled(&self) -> bool {
        self.listed
            || match &self.trouble {
                Some(Trouble::Forbidden { .. }) => true,
                Some(_) => self.failures >= MOST_FAILURES,
                None => false,
            }
    }
}

impl View {
    pub(super) fn new(options: Options) -> Self {
        let kinds: BTreeSet<Kind> = options.kinds().collect();
        let seeds = options.seed.iter().filter(|object| kinds.contains(&object.key().kind));
        let seeds = seeds.map(|object| (object.key().clone(), object.clone())).collect();
        let options = Options { seed: Vec::new(), ..options };
        Self {
            options,
            kinds: BTreeMap::new(),
            scopes: BTreeMap::new(),
            seeds,
            contact: None,
            complete: false,
            stood_in: false,
            health: None,
            said: HashSet::new(),
            changes: Vec::new(),
            touched: BTreeSet::new(),
        }
    }

    /// What is to be watched of a kind: all of the cluster, or each namespace by itself.
    fn scopes_of(&self, kind: Kind) -> Vec<Scope> {
        let scope = |namespace: &Arc<str>| Scope { kind, namespace: namespace.clone() };
        if kind.namespaced() && !self.options.namespaces.is_empty() {
            self.options.namespaces.iter().map(scope).collect()
        } else {
            vec![scope(&"".into())]
        }
    }

    /// The scope that an object is read in, if it is read at all.
    pub(super) fn scope_of(&self, key: &ObjectKey) -> Option<Scope> {
        let mut scopes = self.scopes_of(key.kind).into_iter();
        scopes.find(|scope| scope.namespace.is_empty() || scope.namespace == key.name.namespace)
    }

    /// Returns the scopes that are to be watched, and in which version; those of a kind that is not served are not.
    pub(super) fn discovered(&mut self, kind: Kind, standing: Standing) -> Vec<Scope> {
        self.kinds.insert(kind, standing);
        let scopes = self.scopes_of(kind);
        let about: Arc<str> = kind.as_str().into();
        match standing {
            Standing::Served(_) => {
                self.say(about, Vec::new());
                for scope in &scopes {
                    self.scopes.entry(scope.clone()).or_default();
                }
            }
            Standing::Off => {
                self.say(about, vec![say::off(&self.options.name, kind)]);
                for scope in &scopes {
                    let shelf = self.scopes.remove(scope).unwrap_or_default();
                    for name in shelf.known {
                        self.delete(ObjectKey { kind, name });
                    }
                    self.settle_trouble(scope, None);
                }
                self.seeds.retain(|key, _| key.kind != kind);
                self.touched.insert(kind);
            }
        }
        scopes
    }

    pub(super) fn gateway_api(&mut self, found: GatewayApi) {
        self.changes.push(Change::GatewayApi(found));
    }

    pub(super) fn contact(&mut self, contact: Result<(), String>) {
        if let Err(reason) = &contact {
            for (scope, shelf) in &mut self.scopes {
                shelf.current = false;
                self.touched.insert(scope.kind);
            }
            let finding = say::away(&self.options.name, &self.options.url, reason);
            self.say("contact".into(), vec![finding]);
            if !self.complete && !self.stood_in && !self.seeds.is_empty() {
                self.stood_in = true;
                let seeds: Vec<ObjectKey> = self.seeds.keys().cloned().collect();
                for key in seeds {
                    self.stand_in(&key);
                }
            }
        } else {
            self.say("contact".into(), Vec::new());
        }
        self.contact = Some(contact);
    }

    pub(super) fn news(&mut self, scope: &Scope, news: Vec<News>) {
        // What was on its way when the kind was switched off.
        if !self.scopes.contains_key(scope) {
            return;
        }
        gauges::events(scope.kind, news.len());
        for one in news {
            match one {
                News::Begin => self.shelf(scope).listing = Some(HashSet::new()),
                News::Read(read) => self.read(scope, *read),
                News::Seen(..) => {}
                News::Gone(name) => {
                    // Of those that are fetched by name, the server is asked.
                    if way(scope.kind) != Way::ByName {
                        self.gone(scope, name);
                    }
                }
                News::Done => self.listed(scope),
                News::Trouble(trouble) => {
                    let shelf = self.shelf(scope);
                    shelf.listing = None;
                    shelf.current = false;
                    shelf.failures += 1;
                    // A server that has just started refuses for a moment.
                    let early = shelf.failures < MOST_FAILURES;
                    if early && matches!(trouble, Trouble::Refused { .. }) {
                        shelf.trouble = Some(trouble);
                    } else {
                        self.settle_trouble(scope, Some(trouble));
                    }
                }
            }
        }
        self.touched.insert(scope.kind);
    }

    fn shelf(&mut self, scope: &Scope) -> &mut Shelf {
        self.scopes.entry(scope.clone()).or_default()
    }

    fn listed(&mut self, scope: &Scope) {
        let kind = scope.kind;
        let shelf = self.shelf(scope);
        shelf.current = true;
        shelf.listed = true;
        shelf.failures = 0;
        let listing = shelf.listing.take().unwrap_or_default();
        if way(kind) != Way::ByName {
            let gone: Vec<_> = shelf.known.difference(&listing).cloned().collect();
            for name in gone {
                self.gone(scope, name);
            }
            let of_scope = |key: &ObjectKey| {
                key.kind == kind
                    && (scope.namespace.is_empty() || scope.namespace == key.name.namespace)
            };
            self.seeds.retain(|key, _| !of_scope(key));
        }
        self.settle_trouble(scope, None);
    }

    /// An object as it is now.
    pub(super) fn read(&mut self, scope: &Scope, read: Read) {
        let Read { key, served, findings } = read;
        self.touched.insert(scope.kind);
        let shelf = self.shelf(scope);
        shelf.known.insert(key.name.clone());
        if let Some(listing) = &mut shelf.listing {
            listing.insert(key.name.clone());
        }
        match served {
            Served::Object(object) => {
                self.seeds.remove(&key);
                self.changes.push(Change::Apply(object));
            }
            Served::Refused(refused) => {
                self.stand_in(&key);
                self.changes.push(Change::Refused(refused));
            }
            Served::Nothing => return,
        }
        self.say(key.to_string().into(), findings);
    }

    pub(super) fn gone(&mut self, scope: &Scope, name: NamespacedName) {
        let shelf = self.shelf(scope);
        if let Some(listing) = &mut shelf.listing {
            listing.remove(&name);
        }
        let key = ObjectKey { kind: scope.kind, name };
        if self.shelf(scope).known.remove(&key.name) {
            self.seeds.remove(&key);
            self.delete(key);
        }
    }

    fn delete(&mut self, key: ObjectKey) {
        self.touched.insert(key.kind);
        self.say(key.to_string().into(), Vec::new());
        self.changes.push(Change::Delete(key));
    }

    /// Uses an object from before the restart.
    pub(super) fn stand_in(&mut self, key: &ObjectKey) {
        let (Some(scope), Some(object)) = (self.scope_of(key), self.seeds.remove(key)) else {
            return;
        };
        self.shelf(&scope).known.insert(key.name.clone());
        self.changes.push(Change::Apply(object));
    }

    /// Objects that are fetched by name, and that nobody refers to any more.
    pub(super) fn drop_all_but(&mut self, wanted: &BTreeSet<ObjectKey>) {
        let mut dropped = Vec::new();
        for (scope, shelf) in self.scopes.iter().filter(|(scope, _)| way(scope.kind) == Way::ByName)
        {
            for name in &shelf.known {
                let key = ObjectKey { kind: scope.kind, name: name.clone() };
                if !wanted.contains(&key) {
                    dropped.push((scope.clone(), key));
                }
            }
        }
        for (scope, key) in dropped {
            self.gone(&scope, key.name);
        }
    }

    /// Whether an object that is fetched by name was not given.
    pub(super) fn not_given(&mut self, scope: &Scope, trouble: Option<&Trouble>) {
        let finding = trouble.and_then(|t| say::not_given(&self.options.name, scope, t));
        self.say(
            format!("get {} {}", scope.kind, scope.namespace).into(),
            finding.into_iter().collect(),
        );
    }

    fn settle_trouble(&mut self, scope: &Scope, trouble: Option<Trouble>) {
        let finding = trouble.as_ref().and_then(|t| say::trouble(&self.options.name, scope, t));
        if let Some(shelf) = self.scopes.get_mut(scope) {
            shelf.trouble = trouble;
        }
        let about = format!("list {} {}", scope.kind, scope.namespace);
        self.say(about.into(), finding.into_iter().collect());
    }

    fn say(&mut self, scope: Arc<str>, findings: Vec<Finding>) {
        let known = if findings.is_empty() {
            self.said.remove(&scope)
        } else {
            !self.said.insert(scope.clone())
        };
        if known || !findings.is_empty() {
            self.changes.push(Change::Findings { scope, findings });
        }
    }

    /// Whether each kind has been listed, or has shown that it cannot be: what they refer to is to be fetched then.
    pub(super) fn all_settled(&self) -> bool {
        self.options.kinds().all(|kind| match self.kinds.get(&kind) {
            None => false,
            Some(Standing::Off) => true,
            Some(Standing::Served(_)) => self
                .scopes_of(kind)
                .iter()
                .all(|scope| self.scopes.get(scope).is_some_and(Shelf::settled)),
        })
    }

    pub(super) fn is_complete(&self) -> bool {
        self.complete
    }

    /// Everything is known, as far as it can be. What may not be read stays as it was before the restart.
    pub(super) fn complete(&mut self) {
        self.complete = true;
        let left: Vec<ObjectKey> = self.seeds.keys().cloned().collect();
        for key in left {
            let scope = self.scope_of(&key);
            let shelf = scope.and_then(|scope| self.scopes.get(&scope));
            if shelf.is_some_and(|shelf| !shelf.listed) {
                self.stand_in(&key);
            }
        }
        self.seeds.clear();
    }

    /// What is to be sent now.
    pub(super) fn flush(&mut self) -> Vec<Change> {
        for kind in std::mem::take(&mut self.touched) {
            let shelves = || self.scopes.iter().filter(|(scope, _)| scope.kind == kind);
            let objects = shelves().map(|(_, shelf)| shelf.known.len()).sum();
            let current = shelves().next().is_some() && shelves().all(|(_, shelf)| shelf.current);
            gauges::kind(kind, objects, current);
        }
        let health = self.health();
        if self.health.as_ref() != Some(&health) {
            self.changes.push(Change::Health(health.clone()));
            self.health = Some(health);
        }
        std::mem::take(&mut self.changes)
    }

    fn health(&self) -> Health {
        if !self.complete && !self.stood_in {
            return Health::Syncing;
        }
        if let Some(Err(reason)) = &self.contact {
            return Health::Stale { reason: reason.clone() };
        }
        if !self.complete {
            return Health::Stale { reason: "not everything has been listed yet".into() };
        }
        let behind: BTreeSet<&str> = self
            .scopes
            .iter()
            .filter(|(_, shelf)| !shelf.current)
            .map(|(scope, _)| scope.kind.as_str())
            .collect();
        if behind.is_empty() {
            return Health::Live;
        }
        let behind: Vec<&str> = behind.into_iter().collect();
        Health::Degraded { reason: format!("not listed: {}", behind.join(", ")) }
    }
}
