use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use api::Time;
use catalog::Catalog;
use model::{Kind, Object, ObjectKey, RegistryServiceId, Severity};
use revision::history::{Document, Hash, Note};
use serde_json::Value;
use tokio::sync::watch;

use super::{Author, History, Waiting, current, id, lock};
use crate::pipeline::{Step, World};

/// Registries come and go all the time: of them alone there is a revision so often at most.
const CHURN: Duration = Duration::from_secs(10);

type Change = (Arc<str>, Option<(Hash, Document)>);

struct Follower {
    history: Arc<History>,
    world: Arc<RwLock<World>>,
    /// What the newest revision was made of; `None` before the first.
    kept: Option<Catalog>,
    last: Option<Instant>,
}

/// Runs until the pipeline ends.
pub(crate) async fn follow(
    history: Arc<History>,
    world: Arc<RwLock<World>>,
    mut steps: watch::Receiver<Option<Step>>,
) {
    let mut bell = history.bell.subscribe();
    let mut follower = Follower { history, world, kept: None, last: None };
    let mut again: Option<Instant> = None;
    loop {
        let due = async {
            match again {
                Some(at) => tokio::time::sleep_until(at.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            changed = steps.changed() => if changed.is_err() { return },
            Ok(()) = bell.changed() => {}
            () = due => {}
        }
        let Some(step) = steps.borrow_and_update().clone() else { continue };
        let work = tokio::task::spawn_blocking(move || {
            let again = follower.look(&step.catalog);
            (follower, again)
        });
        match work.await {
            Ok((back, at)) => (follower, again) = (back, at),
            Err(error) => {
                tracing::error!(%error, "keeping the history failed for good, a bug");
                return;
            }
        }
    }
}

impl Follower {
    /// Returns when to look again.
    fn look(&mut self, catalog: &Catalog) -> Option<Instant> {
        let (reached, open) = self.intents(catalog);
        // Half of a change is no revision.
        if open && reached.is_empty() {
            return None;
        }
        let (changes, documents) = self.changes(catalog);
        let wait = self.last.map(|last| last + CHURN).filter(|at| *at > Instant::now());
        if let (Some(at), false, true) = (wait, documents, reached.is_empty())
            && !changes.is_empty()
        {
            return Some(at);
        }
        let author = match reached.first() {
            Some(waiting) => waiting.intent.author.clone(),
            None => of_sources(&changes),
        };
        let errors = {
            let world = self.world.read().unwrap_or_else(PoisonError::into_inner);
            world.findings().iter().filter(|f| f.severity == Severity::Error).count()
        };
        let Author { who, via, reason, rollback_of } = author;
        let note = Note { time: Time::now().0, author: who, via, reason, errors, rollback_of };
        let mut ledger = lock(&self.history.ledger);
        let (number, written) = ledger.record(changes, note);
        let newest = ledger.newest().map(current);
        drop(ledger);
        if let Err(error) = written {
            metrics::counter!("isthmus_history_failures_total").increment(1);
            let error = &error as &dyn std::error::Error;
            tracing::error!(error, "a revision could not be written to disk");
        }
        self.kept = Some(catalog.clone());
        if let Some(newest) = newest.clone() {
            self.history.note(catalog.generation, newest);
        }
        if number.is_some() {
            self.last = Some(Instant::now());
        }
        self.history.current.send_if_modified(|old| {
            let differs = *old != newest;
            *old = newest;
            differs
        });
        for waiting in reached {
            // Whoever asked may be gone.
            let _ = waiting.tell.send(number.map(id));
        }
        None
    }

    /// The intents that have come true, and whether another one has begun to.
    fn intents(&self, catalog: &Catalog) -> (Vec<Waiting>, bool) {
        let mut intents = lock(&self.history.intents);
        let all = std::mem::take(&mut intents.1);
        let (reached, open): (Vec<_>, Vec<_>) = all
            .into_iter()
            .partition(|waiting| waiting.intent.goals.iter().all(|goal| goal.reached(catalog)));
        let begun = open
            .iter()
            .any(|waiting| waiting.intent.goals.iter().any(|goal| goal.touched(catalog)));
        intents.1 = open;
        (reached, begun)
    }

    /// What differs from the newest revision, and whether documents do.
    fn changes(&self, catalog: &Catalog) -> (Vec<Change>, bool) {
        let ledger = lock(&self.history.ledger);
        let content = ledger.content();
        let mut out: Vec<Change> = Vec::new();
        let mut put = |entry: Arc<str>, new: Option<(Hash, Document)>| {
            if content.get(&*entry).copied() != new.as_ref().map(|(hash, _)| *hash) {
                out.push((entry, new));
            }
        };
        match &self.kept {
            Some(kept) => {
                let keys = catalog.changed_since(kept).into_iter();
                for key in keys.filter(|key| is_kept(key.kind)) {
                    let new = catalog.get(&key).and_then(document);
                    put(entry(&key), new);
                }
                for (id, service) in catalog.services_since(kept) {
                    put(service_entry(id), service.map(|_| of_service(id)));
                }
            }
            None => {
                let empty = Catalog::default();
                let mut there = std::collections::BTreeSet::new();
                for object in
                    Kind::ALL.into_iter().filter(|k| is_kept(*k)).flat_map(|k| catalog.list(k))
                {
                    if let Some(new) = document(object) {
                        there.insert(entry(object.key()));
                        put(entry(object.key()), Some(new));
                    }
                }
                for (id, _) in catalog.services_since(&empty) {
                    there.insert(service_entry(id));
                    put(service_entry(id), Some(of_service(id)));
                }
                for gone in content.keys().filter(|entry| !there.contains(*entry)) {
                    put(gone.clone(), None);
                }
            }
        }
        let documents = out.iter().any(|(entry, _)| !entry.starts_with(SERVICE));
        (out, documents)
    }
}

const SERVICE: &str = "service ";

/// What only says where something runs makes no revision.
fn is_kept(kind: Kind) -> bool {
    !matches!(kind, Kind::EndpointSlice | Kind::Node | Kind::Pod)
}

/// `HTTPRoute shop/orders`
pub(super) fn entry(key: &ObjectKey) -> Arc<str> {
    key.to_string().into()
}

fn service_entry(id: &RegistryServiceId) -> Arc<str> {
    format!("{SERVICE}{} {}@@{}", id.registry, id.group, id.name).into()
}

/// Reads an entry of a document; `None` for one of a service.
pub(crate) fn key_of(entry: &str) -> Option<ObjectKey> {
    let (kind, name) = entry.split_once(' ')?;
    let kind = Kind::ALL.into_iter().find(|k| k.as_str() == kind)?;
    let (namespace, name) = if kind.namespaced() { name.split_once('/')? } else { ("", name) };
    Some(ObjectKey::new(kind, namespace, name))
}

/// Reads a document that was kept; `None` for one that this version cannot read any more.
pub(crate) fn read_again(source: &Arc<str>, text: &str) -> Option<Object> {
    if **source == *sources::kubernetes::NAME {
        kinds::served_again(source, text).ok()
    } else {
        kinds::decode(source, text).ok()
    }
}

/// `None` for what nobody wrote.
fn document(object: &Object) -> Option<(Hash, Document)> {
    let meta = object.meta();
    if meta.document.is_empty() || meta.written() != meta.key {
        return None;
    }
    let document = Document {
        source: meta.source.to_string(),
        file: meta.locations.file.as_deref().unwrap_or_default().to_owned(),
        text: canonical(&meta.source, &meta.document),
    };
    Some((revision::history::hash(&document.text), document))
}

/// Without what a server counts and gives, which is another each time that the same is written.
pub(super) fn canonical(source: &str, document: &str) -> String {
    if *source != *sources::kubernetes::NAME {
        return document.to_owned();
    }
    let Ok(mut value) = serde_json::from_str::<Value>(document) else { return document.to_owned() };
    if let Some(metadata) = value.get_mut("metadata").and_then(Value::as_object_mut) {
        for name in ["uid", "generation", "creationTimestamp", "deletionTimestamp"] {
            metadata.remove(name);
        }
    }
    value.to_string()
}

fn of_service(id: &RegistryServiceId) -> (Hash, Document) {
    let document =
        Document { source: id.registry.to_string(), file: String::new(), text: String::new() };
    (revision::history::hash(""), document)
}

/// Whoever the most telling change is of: a file's, an API server's, a registry's.
fn of_sources(changes: &[Change]) -> Author {
    let author = |who: &str, via: &str| Author {
        who: who.into(),
        via: via.into(),
        reason: String::new(),
        rollback_of: None,
    };
    let documents = changes.iter().filter(|(entry, _)| !entry.starts_with(SERVICE));
    let mut sources = documents.map(|(_, new)| new.as_ref().map(|(_, d)| d.source.as_str()));
    let registry = changes.iter().find_map(|(entry, _)| entry.strip_prefix(SERVICE));
    match (sources.next(), registry) {
        (Some(Some(source)), _) if source == sources::kubernetes::NAME => author(source, source),
        (Some(_), _) | (None, None) => author("file", "file"),
        (None, Some(service)) => author(service.split(' ').next().unwrap_or_default(), "registry"),
    }
}
