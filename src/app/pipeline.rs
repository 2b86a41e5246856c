//! The one writer: batches in, snapshots out.
//!
//! ```text
//! Batch ──► Merger ──► Compiler ──► Encoder per group ──► Groups (streams wake) ──► last good (disk, later)
//! ```
//!
//! The first change after a quiet time is compiled at once; those that follow within the merge window are taken together.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, OnceLock, RwLock};
use std::time::{Duration, Instant, SystemTime};

use catalog::{Catalog, Key, Merger, Seed};
use compile::{Bind, Compiler, GroupKey};
use fleet::kubernetes::Wanted;
use model::{Batch, Change, Finding, Fleet, Health, Kind, ObjectKey, ObjectStatus};
use serve::Published;
use snapshot::{Reports, Snapshot};
use tokio::sync::{mpsc, watch};

use crate::change::Shadow;
use crate::editions::{Editions, Keeper, Memory, Outcome};
use crate::findings::Findings;
use crate::groups::{Groups, group_name};
use crate::lag::Lag;
use crate::layers::Layers;
use crate::news::News;
use crate::peers::Heard;
use crate::programmed::Programmed;
use crate::registries::Feed;
use crate::rollouts::{self, Figures, Rolls};

/// What the pipeline knows, for those who read: the API takes a read lock, the pipeline a write lock while it compiles.
/// Streams never touch it.
pub(crate) struct World {
    pub(crate) merger: Merger,
    pub(crate) compiler: Compiler,
    /// For sources that are not live: when their view was last known to be current.
    fresh: BTreeMap<Arc<str>, SystemTime>,
    /// What [`World::findings`] found; empty again once that may differ.
    findings: OnceLock<Arc<[Finding]>>,
    /// What proxies refused.
    refused: Outcome,
    /// Those who run the registries' sources.
    feed: Feed,
}

impl World {
    /// `fresh`: when the view of each source that is kept on disk was written. `seeds`: what was served of registries then.
    pub(crate) fn new(
        controller: Arc<str>,
        bind: Bind,
        fresh: BTreeMap<Arc<str>, SystemTime>,
        seeds: Vec<Seed>,
        feed: Feed,
    ) -> Self {
        let mut merger = Merger::default();
        merger.seed(seeds);
        let findings = OnceLock::new();
        Self {
            merger,
            compiler: Compiler::new(controller, bind),
            fresh,
            findings,
            refused: Outcome::default(),
            feed,
        }
    }

    /// Nothing is said of routes that only sidecars would obey.
    pub(crate) fn without_mesh(self) -> Self {
        Self { compiler: self.compiler.without_mesh(), ..self }
    }

    pub(crate) fn apply(&mut self, batch: Batch, now: SystemTime) -> Vec<Key> {
        let source = batch.source.clone();
        let live = |world: &Self| {
            world
                .catalog()
                .sources()
                .any(|(name, state)| *name == source && state.health == Health::Live)
        };
        let was_live = live(self);
        let before = self.catalog().clone();
        let applied = self.merger.apply_at(batch, self.feed.now(now));
        self.feed.tell(&source, &self.merger, &applied);
        if applied.changed.iter().any(|key| comes_or_goes(key, &before, &applied.catalog)) {
            self.findings.take();
        }
        let changed = applied.changed;
        if applied.sources_changed {
            self.findings.take();
        }
        if live(self) {
            self.fresh.remove(&source);
        } else if was_live {
            self.fresh.insert(source, now);
        }
        changed
    }

    /// When what this source says was last known to be current: now, for a live one.
    pub(crate) fn fresh_at(&self, source: &str, now: SystemTime) -> Option<SystemTime> {
        let (_, state) = self.catalog().sources().find(|(name, _)| ***name == *source)?;
        if state.health == Health::Live { Some(now) } else { self.fresh.get(source).copied() }
    }

    pub(crate) fn catalog(&self) -> &Catalog {
        self.merger.catalog()
    }

    /// What the compiler says of a document, and that proxies refused it.
    pub(crate) fn status(&self, key: &ObjectKey) -> Option<ObjectStatus> {
        let mut status = self.compiler.status(self.catalog(), key)?;
        if let Some(mark) = self.refused.marks.get(key) {
            mark.lay_over(&mut status);
        }
        Some(status)
    }

    /// Returns the documents of which something else is told than before.
    fn set_refused(&mut self, refused: Outcome) -> Vec<ObjectKey> {
        let before = std::mem::replace(&mut self.refused, refused);
        if before.findings != self.refused.findings {
            self.findings.take();
        }
        let (old, new) = (&before.marks, &self.refused.marks);
        let keys: BTreeSet<_> = old.keys().chain(new.keys()).collect();
        keys.into_iter().filter(|key| old.get(*key) != new.get(*key)).cloned().collect()
    }

    /// Everything that is wrong with the input, in order of place.
    pub(crate) fn findings(&self) -> Arc<[Finding]> {
        let Self { merger, compiler, refused, .. } = self;
        let all = Findings { merger, compiler, refused: &refused.findings };
        self.findings.get_or_init(|| all.all().into()).clone()
    }

    /// For trying what a change would do.
    pub(crate) fn shadow(&self) -> Shadow {
        let refused = self.refused.findings.clone();
        Shadow::new(self.merger.clone(), self.compiler.clone(), refused)
    }
}

/// Whether nothing but the compiler says anything that depends on what is behind this key.
fn is_endpoints(key: &Key) -> bool {
    match key {
        Key::Object(key) => key.kind == Kind::EndpointSlice,
        // Whether a service of a registry is there at all is looked at apart.
        Key::SlicesOf(_) | Key::Resolved(_) | Key::RegistryService(_) => true,
        Key::RoutesOf(_)
        | Key::ListenerSetsOf(_)
        | Key::PoliciesOf(_)
        | Key::GrantsIn(_)
        | Key::In(..)
        | Key::NamespacesWith(_)
        | Key::PodAt(_)
        | Key::Gateways => false,
    }
}

/// A MeshService may name a service of a registry that is not there.
fn comes_or_goes(key: &Key, before: &Catalog, after: &Catalog) -> bool {
    let Key::RegistryService(id) = key else { return false };
    before.registry_service(id).is_some() != after.registry_service(id).is_some()
}

/// One step's outcome, for whoever keeps it on disk.
#[derive(Clone, Default)]
pub(crate) struct Step {
    pub(crate) catalog: Catalog,
    pub(crate) snapshots: BTreeMap<Arc<str>, Arc<Snapshot>>,
}

pub(crate) struct Pipeline {
    pub(crate) world: Arc<RwLock<World>>,
    pub(crate) groups: Arc<Groups>,
    pub(crate) merge_window: Duration,
    pub(crate) reports: Reports,
    pub(crate) lag: Arc<Lag>,
    pub(crate) programmed: Arc<Programmed>,
    pub(crate) editions: Arc<Editions>,
    pub(crate) rollouts: watch::Sender<Arc<[rollouts::Told]>>,
    /// What editions and rollouts there were before a restart.
    pub(crate) memory: Memory,
    /// Rollouts of other replicas.
    pub(crate) heard: Arc<Heard>,
    /// Who counts requests; `None` where nobody does.
    pub(crate) figures: Option<Arc<dyn Figures>>,
    /// Told of which objects the status may differ, where statuses are written.
    pub(crate) statuses: Option<status::Table>,
    /// Told the same, always.
    pub(crate) news: News,
    /// Where each step that changed something is announced.
    pub(crate) steps: watch::Sender<Option<Step>>,
    /// What the proxies of Gateways are to be made from, where that is our business.
    pub(crate) fleets: watch::Sender<Wanted>,
    /// Rings after every batch, compiled or not.
    pub(crate) seen: watch::Sender<u64>,
    /// Every source that must have given a full listing before anything compiled is served.
    pub(crate) sources: Vec<Arc<str>>,
    /// What was served before a restart. It stands in only where the sources cannot be read: it may be a moment older
    /// than what the proxies have, and showing them an older state first would be a change and a change back.
    pub(crate) fallback: BTreeMap<Arc<str>, Arc<Snapshot>>,
    /// Whether registries have had their chance to be listed before the first compile.
    pub(crate) open: AtomicBool,
    pub(crate) started: Instant,
}

/// What is made from the world, step by step.
struct Made {
    layers: Layers,
    keeper: Keeper,
    rolls: Rolls,
    /// What both had to say last.
    refused: Outcome,
}

/// How often a rollout that is under way is looked at.
const TICK: Duration = Duration::from_millis(250);

/// How long the sources may take for their first listing before the state from before the restart is served.
pub(crate) const FIRST_LISTING: Duration = Duration::from_secs(5);

impl Pipeline {
    /// Runs until all senders of batches are gone.
    pub(crate) async fn run(
        mut self,
        mut batches: mpsc::Receiver<Batch>,
        mut asks: mpsc::Receiver<rollouts::Ask>,
    ) {
        let memory = std::mem::take(&mut self.memory);
        let keeper = Keeper::new(self.editions.clone(), self.groups.clone(), self.reports, memory);
        let rolls = Rolls::new(self.figures.clone(), self.rollouts.clone(), self.heard.clone());
        let (layers, refused) = (Layers::new(self.reports), Outcome::default());
        let mut made = Made { layers, keeper, rolls, refused };
        let mut refusals = self.editions.bell();
        let mut pending: Vec<Key> = Vec::new();
        let mut wanted = self.groups.wanted();
        let mut last: Option<Instant> = None;
        let patience = tokio::time::Instant::now() + FIRST_LISTING;
        loop {
            let ticking = made.rolls.is_under_way();
            let next = next(&mut batches, &mut wanted, &mut refusals, &mut asks, ticking);
            let first = if self.fallback.is_empty() {
                next.await
            } else {
                match tokio::time::timeout_at(patience, next).await {
                    Ok(first) => first,
                    Err(_) => {
                        self.serve_fallback("the sources have not been read yet", &made.keeper);
                        continue;
                    }
                }
            };
            let first = match first {
                Next::Batch(first) => first,
                Next::Wanted => {
                    // A client that waits for its first answer is not held up, and opens no window that holds up changes.
                    wanted.mark_unchanged();
                    self.step(Vec::new(), &mut pending, &mut made, Instant::now());
                    continue;
                }
                Next::Asked(ask) => {
                    let world =
                        self.world.read().unwrap_or_else(std::sync::PoisonError::into_inner);
                    let catalog = world.catalog().clone();
                    drop(world);
                    made.rolls.act(ask, &catalog, &mut made.keeper);
                    self.keep(&mut made, &catalog, &[], &[], Instant::now());
                    continue;
                }
                Next::Refused => {
                    refusals.mark_unchanged();
                    self.step(Vec::new(), &mut pending, &mut made, Instant::now());
                    self.seen.send_modify(|count| *count += 1);
                    continue;
                }
                Next::End => break,
            };
            let mut taken = vec![(first, Instant::now())];
            if let Some(last) = last {
                let open_until = tokio::time::Instant::from_std(last + self.merge_window);
                while let Ok(Some(more)) = tokio::time::timeout_at(open_until, batches.recv()).await
                {
                    taken.push((more, Instant::now()));
                }
            }
            while let Ok(more) = batches.try_recv() {
                taken.push((more, Instant::now()));
            }
            let started = Instant::now();
            wanted.mark_unchanged();
            self.step(taken, &mut pending, &mut made, started);
            self.settle_fallback(&made.keeper);
            self.seen.send_modify(|count| *count += 1);
            last = Some(Instant::now());
        }
    }

    /// Once the sources have been listed: groups that could not be compiled anew are served as before, if a source could
    /// not be read; else they are gone for good.
    fn settle_fallback(&mut self, keeper: &Keeper) {
        if self.fallback.is_empty() {
            return;
        }
        let world = self.world.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        let listed = self.all_listed(world.catalog());
        let stale = world.catalog().sources().any(|(name, state)| {
            self.sources.contains(name) && matches!(state.health, Health::Stale { .. })
        });
        drop(world);
        match (listed, stale) {
            (false, _) => {}
            (true, true) => self.serve_fallback("a source cannot be read", keeper),
            (true, false) => self.fallback.clear(),
        }
    }

    fn serve_fallback(&mut self, why: &str, keeper: &Keeper) {
        // It is the newest of then, which not all of these were to have: they keep what they have.
        let held = keeper.held_before();
        for (name, snapshot) in std::mem::take(&mut self.fallback) {
            if held.contains(&name) {
                continue;
            }
            if self.groups.current(&name).is_none() {
                tracing::warn!(group = %name, why, "serving the last good state from before the restart");
                self.groups.publish(&name, Published::now(snapshot), None);
            }
        }
    }

    fn step(
        &self,
        batches: Vec<(Batch, Instant)>,
        pending: &mut Vec<Key>,
        made: &mut Made,
        started: Instant,
    ) {
        let Made { layers, keeper, rolls, .. } = &mut *made;
        // A poisoned lock means that a reader panicked; the data is the writer's and whole.
        let mut world = self.world.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        let now = SystemTime::now();
        let reports = reports(&batches);
        for (batch, _) in batches {
            pending.extend(world.apply(batch, now));
        }
        let World { merger, compiler, findings, feed, .. } = &mut *world;
        let catalog = merger.catalog();
        if !self.all_listed(catalog) {
            return;
        }
        // In this order: whoever seeks was wanted before.
        let sought = self.groups.take_sought();
        let (new, unwanted) = compiler.want(&self.groups.wanted_now());
        let seekers: BTreeSet<Arc<str>> =
            sought.keys().map(|key| group_name(&GroupKey::Sidecar(key.clone()))).collect();
        for (workload, hosts) in sought {
            compiler.seek(&workload, hosts);
        }
        for key in &unwanted {
            layers.forget(key);
            self.groups.retire(&group_name(key));
        }
        if pending.is_empty() && new.is_empty() && seekers.is_empty() {
            if compiler.says_anew() {
                findings.take();
            }
            let catalog = catalog.clone();
            drop(world);
            self.keep(made, &catalog, &[], &[], started);
            return;
        }
        let changed = !pending.is_empty();
        pending.sort();
        pending.dedup();
        let update = compiler.update(catalog, pending);
        feed.register(compiler.registered());
        if compiler.says_anew()
            || !pending.iter().all(is_endpoints)
            || !new.is_empty()
            || !update.failed.is_empty()
        {
            findings.take();
        }
        let keys = std::mem::take(pending);
        if !update.groups.is_empty() || !update.removed.is_empty() {
            self.tell_fleets(compiler);
        }
        metrics::histogram!("isthmus_compile_seconds").record(started.elapsed());
        for name in &update.failed {
            metrics::counter!("isthmus_compile_failures_total").increment(1);
            tracing::error!(group = %name, "compiling panicked, a bug: the proxies keep what they have");
        }
        let mut snapshots = layers.update(compiler, &update);
        for name in &update.removed {
            layers.forget(name);
            snapshots.insert(name.clone(), Snapshot::default());
        }
        let catalog = catalog.clone();
        if let Some(found) = keeper.recall() {
            rolls.recall(found, &catalog, merger, &snapshots, compiler, keeper);
        }
        keeper.resume(&catalog, merger, compiler, started);
        rolls.before(&catalog, &keys, &snapshots, compiler, keeper, started);
        drop(world);
        let published = snapshots.len();
        if published > 0 {
            self.lag.step(started, reports.iter().map(|(name, arrived)| (name, *arrived)));
        }
        for name in &seekers {
            if !snapshots.keys().any(|key| group_name(key) == *name) {
                self.groups.publish_again(name, started);
            }
        }
        for (key, snapshot) in snapshots {
            let name = group_name(&key);
            let state = keeper.state(&name, &catalog);
            let published = Published { snapshot: Arc::new(snapshot), at: started };
            self.groups.publish(&name, published, Some(state));
        }
        let removed: Vec<_> = update.removed.iter().map(group_name).collect();
        self.keep(made, &catalog, &keys, &removed, started);
        for key in &update.removed {
            self.programmed.removed(&group_name(key));
        }
        if changed {
            metrics::histogram!("isthmus_publish_seconds").record(started.elapsed());
            for registry in reports.keys() {
                metrics::histogram!("isthmus_registry_publish_seconds", "registry" => registry.to_string())
                    .record(started.elapsed());
            }
        }
        tracing::debug!(
            generation = catalog.generation,
            groups = update.groups.len(),
            published,
            micros = started.elapsed().as_micros(),
            "compiled"
        );
        // Those of sidecars are made again from the documents, which are kept: a copy for each workload would be many times
        // the size of what it is made of.
        let composed = |name: &str| name.starts_with("sidecar/");
        let all = self.groups.all().into_iter();
        let snapshots = all.filter(|(name, _)| !composed(name)).collect();
        self.steps.send_replace(Some(Step { catalog, snapshots }));
        self.news.objects(update.statuses.iter().cloned());
        if let Some(table) = &self.statuses {
            table.touch(update.statuses);
        }
    }

    /// Brings the editions in step with the newest.
    fn keep(
        &self,
        made: &mut Made,
        catalog: &Catalog,
        changed: &[Key],
        removed: &[Arc<str>],
        at: Instant,
    ) {
        let Made { keeper, rolls, refused, .. } = made;
        let world = self.world.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(told) = keeper.step(catalog, changed, removed, &world.compiler, at) {
            *refused = told;
        }
        let mut told = refused.clone();
        told.findings.extend(rolls.tick(catalog, keeper));
        told.findings.extend(keeper.lost().cloned());
        let same = world.refused == told;
        drop(world);
        if same {
            return;
        }
        let mut world = self.world.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        let touched = world.set_refused(told);
        drop(world);
        if let Some(table) = &self.statuses {
            table.touch(touched);
        }
    }

    /// Gateways of files have no place in a cluster where their proxies could run.
    fn tell_fleets(&self, compiler: &Compiler) {
        let here = |fleet: &&Arc<Fleet>| *fleet.gateway.meta.source == *sources::kubernetes::NAME;
        let fleets: Arc<[_]> = compiler.fleets().filter(here).cloned().collect();
        self.fleets.send_if_modified(|old| {
            let same = old.as_ref().is_some_and(|old| {
                old.len() == fleets.len()
                    && old.iter().zip(&*fleets).all(|(a, b)| Arc::ptr_eq(a, b))
            });
            *old = Some(fleets);
            !same
        });
    }

    /// Whether every source has given its first full listing: before that, what is missing may only be late. Registries
    /// are waited for once, and not for long.
    fn all_listed(&self, catalog: &Catalog) -> bool {
        let listed = |wanted: &str| {
            let mut sources = catalog.sources();
            sources.any(|(name, state)| **name == *wanted && state.health != Health::Syncing)
        };
        if !self.sources.iter().all(|wanted| listed(wanted)) {
            return false;
        }
        if !self.open.load(Relaxed) {
            let mut registries = catalog.registries();
            let open = self.started.elapsed() >= FIRST_LISTING
                || registries.all(|registry| listed(&registry.meta.name().to_string()));
            self.open.store(open, Relaxed);
        }
        self.open.load(Relaxed)
    }
}

/// The registries that reported something, and when the first of it arrived.
fn reports(batches: &[(Batch, Instant)]) -> BTreeMap<Arc<str>, Instant> {
    let mut out = BTreeMap::new();
    for (batch, arrived) in batches {
        if batch.changes.iter().any(|change| matches!(change, Change::Registry(_))) {
            out.entry(batch.source.clone()).or_insert(*arrived);
        }
    }
    out
}

/// What the pipeline does next.
enum Next {
    Batch(Batch),
    /// Other groups are wanted than before.
    Wanted,
    /// Proxies have refused something, or taken what it was waited for, or time has passed that a rollout counts.
    Refused,
    /// A person steers a rollout.
    Asked(rollouts::Ask),
    /// All senders of batches are gone.
    End,
}

async fn next(
    batches: &mut mpsc::Receiver<Batch>,
    wanted: &mut watch::Receiver<BTreeSet<GroupKey>>,
    refusals: &mut watch::Receiver<u64>,
    asks: &mut mpsc::Receiver<rollouts::Ask>,
    ticking: bool,
) -> Next {
    tokio::select! {
        batch = batches.recv() => batch.map_or(Next::End, Next::Batch),
        Ok(()) = wanted.changed() => Next::Wanted,
        Ok(()) = refusals.changed() => Next::Refused,
        Some(ask) = asks.recv() => Next::Asked(ask),
        () = tokio::time::sleep(TICK), if ticking => Next::Refused,
    }
}

#[cfg(test)]
mod tests {
    use model::{Change, ObjectRef, Severity, codes};

    use super::*;
    use crate::registries;

    #[test]
    fn what_a_registry_says_is_told_at_the_document_that_somebody_wrote() {
        let (feed, _wants) = Feed::new();
        let mut world = World::new("test".into(), Bind::Given, BTreeMap::new(), vec![], feed);
        let document = Change::Apply(registries::tests::document());
        let now = SystemTime::UNIX_EPOCH;
        world.apply(Batch { source: "file".into(), changes: vec![document] }, now);
        let source: Arc<str> = "infra/main".into();
        let finding = |code| Finding {
            at: ObjectRef {
                source: source.clone(),
                object: None,
                pointer: "".into(),
                location: None,
            },
            code,
            severity: Severity::Warning,
            text: "no".into(),
            hint: "".into(),
        };
        let findings =
            [codes::REGISTRY_LOGIN, codes::REGISTRY_UNREACHABLE, codes::REGISTRY_DATA].map(finding);
        let said = Change::Findings { scope: "contact".into(), findings: findings.into() };
        world.apply(Batch { source, changes: vec![said] }, now);
        let told: Vec<_> = world.findings().iter().map(|f| f.at.to_string()).collect();
        assert_eq!(
            told,
            [
                "Registry infra/main",
                "Registry infra/main /spec/addresses",
                "Registry infra/main /spec/login",
            ]
        );
    }
}
