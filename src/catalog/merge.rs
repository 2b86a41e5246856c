use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use model::{
    Ask, Batch, Change, Finding, Kind, NamespacedName, Object, ObjectKey, Question,
    RegistryServiceId, Resolved, Severity, codes,
};

use crate::guard::{Guard, Outcome};
use crate::import::{self, Imports};
use crate::ingress::Ingresses;
use crate::questions::{self, Asker};
use crate::references;
use crate::wanted::Wanted;
use crate::{Catalog, Event, InstanceView, Key, Now, RegistryView, Seed, ServiceView};

/// Holds the current catalog and takes batches in. A copy shares what is large, and goes its own way.
#[derive(Clone, Debug, Default)]
pub struct Merger {
    current: Catalog,
    /// Sources in the middle of a full listing, with what they named so far.
    listing: HashMap<Arc<str>, HashSet<ObjectKey>>,
    guard: Guard,
    imports: Imports,
    questions: Wanted<Asker, Question>,
    references: Wanted<ObjectKey, ObjectKey>,
    /// Objects that another source has too, and whose own does not count.
    shadowed: BTreeMap<(ObjectKey, Arc<str>), Object>,
    ingresses: Ingresses,
}

/// The outcome of one batch.
#[derive(Debug)]
pub struct Applied {
    pub catalog: Catalog,
    /// Sorted, each once. Empty if the batch said nothing new about objects.
    pub changed: Vec<Key>,
    /// Whether a source's health or findings differ.
    pub sources_changed: bool,
    /// What the guard wants of registry sources, by name.
    pub asks: Vec<(Arc<str>, Ask)>,
    /// What the guard decided.
    pub events: Vec<Arc<Event>>,
}

impl Merger {
    #[must_use]
    pub fn catalog(&self) -> &Catalog {
        &self.current
    }

    /// Services of registries as they were served before a restart. They count from when their Registry is known.
    pub fn seed(&mut self, seeds: impl IntoIterator<Item = Seed>) {
        self.guard.seed(seeds);
    }

    /// When `apply_at` has something to do, with or without a batch.
    #[must_use]
    pub fn deadline(&self) -> Option<Duration> {
        self.guard.deadline()
    }

    /// All that is to be asked of the DNS.
    #[must_use]
    pub fn questions(&self) -> &Arc<BTreeSet<Question>> {
        self.questions.all()
    }

    /// The Secrets and ConfigMaps that some object names, whether they are there or not.
    #[must_use]
    pub fn references(&self) -> &Arc<BTreeSet<ObjectKey>> {
        self.references.all()
    }

    #[must_use]
    pub fn registries(&self) -> Vec<RegistryView> {
        self.guard.registries()
    }

    #[must_use]
    pub fn registry_services(&self, registry: &str) -> Option<Vec<ServiceView>> {
        self.guard.services(registry)
    }

    /// One of [`Self::registry_services`].
    #[must_use]
    pub fn registry_service(&self, id: &RegistryServiceId) -> Option<ServiceView> {
        self.guard.service(id)
    }

    #[must_use]
    pub fn instances(&self, id: &RegistryServiceId) -> Option<Vec<InstanceView>> {
        self.guard.instances(id)
    }

    /// What was decided about a registry, the newest last.
    #[must_use]
    pub fn events(&self, registry: &str) -> Option<Vec<Arc<Event>>> {
        self.guard.events(registry)
    }

    /// The MeshService that a registry's service was imported as.
    #[must_use]
    pub fn import_of(&self, id: &RegistryServiceId) -> Option<&NamespacedName> {
        self.imports.name(id).filter(|name| self.imports.winner(name) == Some(id))
    }

    /// Takes one batch in as one step, where no rule of time matters.
    pub fn apply(&mut self, batch: Batch) -> Applied {
        self.apply_at(batch, Now::default())
    }

    /// Takes one batch in as one step, and does what is due. An empty batch only does what is due.
    pub fn apply_at(&mut self, batch: Batch, now: Now) -> Applied {
        let Batch { source, changes } = batch;
        let mut next = self.current.clone();
        let mut changed = Vec::new();
        let mut sources_changed = false;
        let mut out = Outcome::default();
        for change in changes {
            match change {
                Change::Init => drop(self.listing.insert(source.clone(), HashSet::new())),
                Change::InitDone => {
                    let named = self.listing.remove(&source).unwrap_or_default();
                    for key in self.owned_by(&next, &source) {
                        if !named.contains(&key) {
                            sources_changed |= self.remove(&mut next, &source, &key, &mut changed);
                        }
                    }
                }
                Change::InitApply(object) | Change::Apply(object) => {
                    if let Some(named) = self.listing.get_mut(&source) {
                        named.insert(object.key().clone());
                    }
                    sources_changed |= self.put(&mut next, &source, object, &mut changed);
                }
                Change::Delete(key) => {
                    sources_changed |= self.remove(&mut next, &source, &key, &mut changed);
                }
                Change::GatewayApi(found) => {
                    let found = Some(Arc::new(found));
                    if next.gateway_api != found {
                        next.gateway_api = found;
                        // Their status says so.
                        let classes = next.gateway_classes();
                        changed.extend(classes.map(|class| Key::Object(class.meta.key.clone())));
                    }
                }
                Change::Refused(refused) => {
                    let key = refused.object.key().clone();
                    if let Some(named) = self.listing.get_mut(&source) {
                        named.insert(key.clone());
                    }
                    if next.refused.get(&key) != Some(&refused) {
                        next.refused.insert(key.clone(), refused);
                        changed.push(Key::Object(key));
                    }
                }
                // What comes late from a source whose document is gone.
                Change::Findings { .. } | Change::Health(_) if self.is_gone(&source) => {}
                Change::Findings { scope, findings } => {
                    sources_changed |= next.say(&source, scope, findings);
                }
                Change::Registry(report) => self.guard.report(&source, report, now, &mut out),
                Change::Steer(steer) => self.guard.steer(&source, &steer, now, &mut out),
                Change::Resolved(resolved) => self.resolve(&mut next, resolved, &mut changed),
                Change::Health(health) => {
                    self.guard.health(&source, &health, now, &mut out);
                    let state = next.state(&source);
                    sources_changed |= state.health != health;
                    state.health = health;
                }
            }
        }
        let registries: Vec<NamespacedName> = changed
            .iter()
            .filter_map(|key| match key {
                Key::Object(key) if key.kind == Kind::Registry => Some(key.name.clone()),
                _ => None,
            })
            .collect();
        for name in &registries {
            self.configure(&mut next, name, now, &mut out);
            sources_changed = true;
        }
        self.guard.tick(now, &mut out);
        for (id, findings) in out.findings {
            let scope = format!("service {}@@{}", id.group, id.name).into();
            sources_changed |= next.say(&id.registry, scope, findings);
        }
        let mut names = BTreeSet::new();
        for (id, served) in out.served {
            let registry = served.as_ref().and_then(|_| registry(&next, &id.registry));
            self.imports.set(&id, registry.as_deref(), &mut names);
            names.extend(self.imports.name(&id).cloned());
            let hosts = served.as_ref().map(|s| questions::of_instances(&s.instances));
            let wanted = hosts.unwrap_or_default();
            self.want(&mut next, Asker::Service(id.clone()), &wanted, &mut changed);
            changed.push(Key::RegistryService(id.clone()));
            match served {
                Some(served) => drop(next.registry_services.insert(id, served)),
                None => drop(next.registry_services.remove(&id)),
            }
        }
        for name in &registries {
            self.reimport(&next, name, &mut names);
        }
        names.extend(mesh_services(&changed));
        for name in &names {
            self.settle_import(&mut next, name, &mut changed);
        }
        for name in mesh_services(&changed).collect::<BTreeSet<_>>() {
            let service = next.mesh_service(&name);
            let wanted = service.map(|s| questions::of_mesh_service(s)).unwrap_or_default();
            self.want(&mut next, Asker::MeshService(name), &wanted, &mut changed);
        }
        self.ingresses.settle(&mut next, &mut changed);
        changed.sort();
        changed.dedup();
        for key in &changed {
            if let Key::Object(key) = key {
                let wanted = next.get(key).map(references::of).unwrap_or_default();
                self.references.set(key.clone(), &wanted);
            }
        }
        if !changed.is_empty() || sources_changed {
            next.generation += 1;
        }
        self.current = next.clone();
        Applied { catalog: next, changed, sources_changed, asks: out.asks, events: out.events }
    }

    /// Where several sources have an object, that of the source whose name sorts first counts: a file goes before
    /// Kubernetes. The others are told, and stand in when it goes. Returns whether there is something else to tell.
    fn put(
        &mut self,
        next: &mut Catalog,
        source: &Arc<str>,
        object: Object,
        changed: &mut Vec<Key>,
    ) -> bool {
        let key = object.key().clone();
        let mut told = next.accept(&key, source, changed);
        let written = next.get(&key).filter(|old| !is_unwritten(old));
        let loser = match written.filter(|old| old.meta().source != object.meta().source) {
            None => None,
            Some(old) if old.meta().source < object.meta().source => Some(object.clone()),
            Some(old) => Some(old.clone()),
        };
        let wins = loser.as_ref().is_none_or(|loser| *loser.meta().source != *object.meta().source);
        match loser {
            Some(loser) => {
                let of = if wins { object.meta().source.clone() } else { next.source_of(&key) };
                told |= next.say(&loser.meta().source, twice(&key), vec![shadow(&loser, &of)]);
                self.shadowed.insert((key, loser.meta().source.clone()), loser);
            }
            // It may have lost before to one that is gone.
            None if !self.shadowed.is_empty() => told |= self.unshadow(next, &key, source),
            None => {}
        }
        if wins {
            next.put(object, changed);
        }
        told
    }

    /// Returns whether there is something else to tell.
    fn remove(
        &mut self,
        next: &mut Catalog,
        source: &Arc<str>,
        key: &ObjectKey,
        changed: &mut Vec<Key>,
    ) -> bool {
        let mut told = next.accept(key, source, changed);
        if self.shadowed.contains_key(&(key.clone(), source.clone())) {
            return told | self.unshadow(next, key, source);
        }
        if next.get(key).is_some_and(|object| object.meta().source != *source) {
            return told;
        }
        let first = (key.clone(), Arc::from(""));
        let heir = self.shadowed.range(first..).next().filter(|((of, _), _)| of == key);
        match heir.map(|((_, source), object)| (source.clone(), object.clone())) {
            Some((heir, object)) => {
                told |= self.unshadow(next, key, &heir);
                next.put(object, changed);
            }
            None => next.delete(key, changed),
        }
        told
    }

    fn unshadow(&mut self, next: &mut Catalog, key: &ObjectKey, source: &Arc<str>) -> bool {
        let known = self.shadowed.remove(&(key.clone(), source.clone())).is_some();
        known && next.say(source, twice(key), Vec::new())
    }

    fn owned_by(&self, catalog: &Catalog, source: &Arc<str>) -> Vec<ObjectKey> {
        let live = Kind::ALL.into_iter().flat_map(|kind| catalog.list(kind));
        let live = live.filter(|object| object.meta().source == *source && !is_unwritten(object));
        let shadowed = self.shadowed.keys().filter(|(_, of)| of == source).map(|(key, _)| key);
        let refused = catalog.all_refused().filter(|r| r.object.meta().source == *source);
        let all: BTreeSet<&ObjectKey> = live
            .map(Object::key)
            .chain(shadowed)
            .chain(refused.map(|refused| refused.object.key()))
            .collect();
        all.into_iter().cloned().collect()
    }

    /// Only sources that are registries have a slash in their name.
    fn is_gone(&self, source: &str) -> bool {
        source.contains('/') && self.guard.source(source).is_none()
    }

    /// The document of a registry came, changed or went.
    fn configure(
        &mut self,
        next: &mut Catalog,
        name: &NamespacedName,
        now: Now,
        out: &mut Outcome,
    ) {
        let source: Arc<str> = name.to_string().into();
        let document = next.registry(name).cloned();
        self.guard.configure(&source, document.as_deref(), now, out);
        if document.is_none() {
            next.forget_source(&source);
        } else {
            next.state(&source);
        }
    }

    /// The import rules of a registry may be others.
    fn reimport(
        &mut self,
        next: &Catalog,
        name: &NamespacedName,
        touched: &mut BTreeSet<NamespacedName>,
    ) {
        let Some(registry) = next.registry(name) else { return };
        let source: Arc<str> = name.to_string().into();
        let first =
            RegistryServiceId { registry: source.clone(), group: "".into(), name: "".into() };
        for (id, _) in
            next.registry_services.range(first..).take_while(|(id, _)| id.registry == source)
        {
            self.imports.set(id, Some(registry), touched);
            touched.extend(self.imports.name(id).cloned());
        }
    }

    /// Puts the MeshService in its place that this name stands for, unless somebody wrote one.
    fn settle_import(&self, next: &mut Catalog, name: &NamespacedName, changed: &mut Vec<Key>) {
        let old = next.mesh_service(name).cloned();
        if old.as_ref().is_some_and(|old| !import::is_import(old)) {
            return;
        }
        let winner = self.imports.winner(name);
        let rules = winner.and_then(|id| Some((id, registry(next, &id.registry)?)));
        match rules {
            Some((id, registry)) => {
                let served = next.registry_services.get(id).cloned();
                let object =
                    import::object(name, id, &registry.import, served.as_deref(), old.as_deref());
                next.put(Object::MeshService(Arc::new(object)), changed);
            }
            None => {
                let key = ObjectKey { kind: Kind::MeshService, name: name.clone() };
                next.delete(&key, changed);
            }
        }
    }

    fn want(
        &mut self,
        next: &mut Catalog,
        asker: Asker,
        wanted: &BTreeSet<Question>,
        changed: &mut Vec<Key>,
    ) {
        for gone in self.questions.set(asker, wanted) {
            if next.resolved.remove(&gone).is_some() {
                changed.push(Key::Resolved(gone));
            }
        }
    }

    fn resolve(&self, next: &mut Catalog, resolved: Resolved, changed: &mut Vec<Key>) {
        let Resolved { question, records } = resolved;
        if self.questions.wants(&question)
            && next.resolved.get(&question).is_none_or(|old| **old != *records)
        {
            next.resolved.insert(question.clone(), records.into());
            changed.push(Key::Resolved(question));
        }
    }

    /// Imports that another one has the name of.
    #[must_use]
    pub fn import_findings(&self) -> Vec<Finding> {
        let registries = self.current.registries();
        registries
            .flat_map(|registry| {
                self.imports.collisions(registry, &registry.meta.name().to_string())
            })
            .collect()
    }
}

/// The scope of what is said of an object that another source has too.
fn twice(key: &ObjectKey) -> Arc<str> {
    format!("another source has {key}").into()
}

fn shadow(loser: &Object, winner: &str) -> Finding {
    Finding {
        at: loser.meta().at(""),
        code: codes::DUPLICATE_OBJECT,
        severity: Severity::Warning,
        text: format!("the source `{winner}` has this object too, and that one counts"),
        hint: "remove one of them".into(),
    }
}

/// What stands for a service of a registry, and nobody wrote.
fn is_unwritten(object: &Object) -> bool {
    matches!(object, Object::MeshService(service) if import::is_import(service))
}

fn mesh_services(changed: &[Key]) -> impl Iterator<Item = NamespacedName> {
    changed.iter().filter_map(|key| match key {
        Key::Object(key) if key.kind == Kind::MeshService => Some(key.name.clone()),
        _ => None,
    })
}

/// By the source's name.
fn registry(catalog: &Catalog, source: &str) -> Option<Arc<model::Registry>> {
    let (namespace, name) = source.split_once('/')?;
    catalog.registry(&NamespacedName::new(namespace, name)).cloned()
}
