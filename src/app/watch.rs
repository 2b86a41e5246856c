//! Tells the API's watch what changed. Work grows with the change: pictures share what is the same in them.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use api::history::Refusal;
use api::rollout::{Rollout, Rollouts};
use api::watch::{Hub, Subject};
use catalog::{Catalog, Counts, RegistryView};
use imbl::ordmap::DiffItem;
use model::{Kind, NamespacedName, ObjectKey};
use tokio::sync::watch;

use crate::history::{self, Current, History};
use crate::news::{Heard, News};
use crate::pipeline::World;
use crate::problems::Problems;
use crate::rollouts;
use crate::services::{Model, Rows};

pub(crate) struct Teller {
    pub(crate) hub: Arc<Hub>,
    pub(crate) world: Arc<RwLock<World>>,
    pub(crate) services: Arc<Model>,
    pub(crate) problems: Arc<Problems>,
    pub(crate) news: News,
    pub(crate) history: Arc<History>,
    /// What proxies refuse, and have refused a while ago.
    pub(crate) refusals: watch::Receiver<Arc<[Refusal]>>,
    pub(crate) rollouts: Arc<rollouts::Handle>,
    /// Rings after every batch.
    pub(crate) seen: watch::Receiver<u64>,
}

/// What was told last.
#[derive(Default)]
struct Told {
    catalog: Catalog,
    rows: Rows,
    registries: BTreeMap<Arc<str>, RegistryView>,
    revision: Option<Current>,
    refusals: Arc<[Refusal]>,
    rollouts: Vec<Rollout>,
}

impl Teller {
    pub(crate) async fn run(mut self) {
        let mut told = Told::default();
        let mut revision = self.history.current();
        let (mut refusals, mut rollouts) = (self.refusals.clone(), self.rollouts.view.clone());
        loop {
            let changes = self.look(&mut told);
            self.hub.publish(changes);
            tokio::select! {
                seen = self.seen.changed() => if seen.is_err() { return },
                () = self.news.any() => {}
                // Whoever tells of these ends when the pipeline does.
                Ok(()) = revision.changed() => {}
                Ok(()) = refusals.changed() => {}
                Ok(()) = rollouts.changed() => {}
            }
        }
    }

    fn look(&self, told: &mut Told) -> Vec<Subject> {
        let mut out = Vec::new();
        // Before the world: what comes in the meantime is told next time, once more.
        let heard = self.news.take();
        let (catalog, registries) = {
            let world = self.world.read().unwrap_or_else(PoisonError::into_inner);
            (world.catalog().clone(), world.merger.registries())
        };
        if catalog.generation != told.catalog.generation {
            out.extend(catalog.changed_since(&told.catalog).into_iter().map(Subject::Object));
            told.catalog = catalog;
        }
        for registry in registries {
            // That something was heard is no news.
            let counts = Counts { reports: 0, ..registry.counts };
            let view = RegistryView { fresh: None, counts, ..registry };
            let name = view.name.clone();
            if told.registries.get(&name) != Some(&view) {
                let (namespace, document) = name.split_once('/').unwrap_or(("", &name));
                out.push(Subject::Object(ObjectKey::new(Kind::Registry, namespace, document)));
                told.registries.insert(name, view);
            }
        }
        let rows = self.services.rows();
        out.extend(told.rows.diff(&rows).map(|item| {
            let (name, kind) = match item {
                DiffItem::Add(key, _) | DiffItem::Remove(key, _) => key,
                DiffItem::Update { new: (key, _), .. } => key,
            };
            Subject::Service(ObjectKey { kind: *kind, name: name.clone() })
        }));
        told.rows = rows;
        // In this order: they name revisions.
        let rollouts = self.rollouts.rollouts();
        self.revisions(told, &heard, &mut out);
        tell_rollouts(told, rollouts, &mut out);
        out.extend(heard.objects.into_iter().map(Subject::Object));
        out.extend(heard.proxies.into_iter().map(|(id, scope)| {
            let (namespace, _) = scope.split_once('/').unwrap_or((&scope, ""));
            Subject::Proxy(id.into(), (!namespace.is_empty()).then(|| namespace.into()))
        }));
        out.extend(self.problems.changed(heard.refusals).into_iter().map(|problem| {
            let object = problem.finding.object.filter(|object| !object.namespace.is_empty());
            let source = problem.finding.source.split_once('/').map(|(namespace, _)| namespace);
            let namespace = object.as_ref().map(|object| &*object.namespace).or(source);
            Subject::Problem(problem.id.into(), namespace.map(Arc::from))
        }));
        out
    }

    /// One is another when it is pinned, when something of it was refused, when the next one comes; and the newest also says
    /// how many proxies have it.
    fn revisions(&self, told: &mut Told, heard: &Heard, out: &mut Vec<Subject>) {
        let mut ids = heard.revisions.clone();
        let current = self.history.current().borrow().clone();
        if let Some(now) = &current {
            if told.revision.as_ref() != Some(now) {
                let first = told.revision.as_ref().map_or(now.number, |before| before.number);
                ids.extend((first..=now.number).map(|number| history::id(number).into()));
            } else if !heard.proxies.is_empty() {
                ids.insert(now.id.clone());
            }
        }
        told.revision = current;
        let refusals = self.refusals.borrow().clone();
        if refusals != told.refusals {
            let here = refusals.iter().filter(|refusal| !told.refusals.contains(refusal));
            let gone = told.refusals.iter().filter(|refusal| !refusals.contains(refusal));
            ids.extend(here.chain(gone).filter_map(|refusal| self.history.dated(refusal.at)));
            told.refusals = refusals;
        }
        out.extend(ids.into_iter().map(Subject::Revision));
    }
}

fn tell_rollouts(told: &mut Told, rollouts: Vec<Rollout>, out: &mut Vec<Subject>) {
    let place = |of: &Rollout| (of.namespace.clone(), of.name.clone(), of.gateway.clone());
    let is_gone = |old: &&Rollout| rollouts.iter().all(|new| place(new) != place(old));
    let gone = told.rollouts.iter().filter(is_gone);
    let here = rollouts.iter().filter(|new| !told.rollouts.contains(new));
    out.extend(here.chain(gone).map(|of| {
        let name = NamespacedName::new(&of.namespace, &of.name);
        Subject::Rollout(name, of.gateway.as_str().into())
    }));
    told.rollouts = rollouts;
}
