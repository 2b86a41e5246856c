//! Tells the API's watch what changed. Work grows with the change: pictures share what is the same in them.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use api::watch::{Hub, Subject};
use catalog::{Catalog, Counts, RegistryView};
use imbl::ordmap::DiffItem;
use model::{Kind, ObjectKey};
use tokio::sync::watch;

use crate::news::News;
use crate::pipeline::World;
use crate::problems::Problems;
use crate::services::{Model, Rows};

pub(crate) struct Teller {
    pub(crate) hub: Arc<Hub>,
    pub(crate) world: Arc<RwLock<World>>,
    pub(crate) services: Arc<Model>,
    pub(crate) problems: Arc<Problems>,
    pub(crate) news: News,
    /// Rings after every batch.
    pub(crate) seen: watch::Receiver<u64>,
}

/// What was told last.
#[derive(Default)]
struct Told {
    catalog: Catalog,
    rows: Rows,
    registries: BTreeMap<Arc<str>, RegistryView>,
}

impl Teller {
    pub(crate) async fn run(mut self) {
        let mut told = Told::default();
        loop {
            let changes = self.look(&mut told);
            self.hub.publish(changes);
            tokio::select! {
                seen = self.seen.changed() => if seen.is_err() { return },
                () = self.news.any() => {}
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
}
