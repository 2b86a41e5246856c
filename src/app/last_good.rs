//! Keeps the last good state on disk in step with what is served, off the hot path.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use catalog::Catalog;
use model::{Object, ObjectKey, RegistryServiceId};
use revision::store::{
    Commit, DocumentChange, ServiceChange, SnapshotChange, Store, StoredDocument,
};
use snapshot::Snapshot;
use sources::file::SeedFile;
use tokio::sync::watch;

use crate::pipeline::Step;
use crate::registries;

/// Commits are at least this far apart, so that a burst of changes costs few of them. The first after a quiet time is
/// made at once.
const PAUSE: Duration = Duration::from_secs(1);

/// What the store holds, so that only differences are written.
struct Kept {
    catalog: Catalog,
    snapshots: BTreeMap<Arc<str>, Arc<Snapshot>>,
    /// Documents in the store that no catalog of this process has confirmed yet, with their source.
    inherited: Vec<(Arc<str>, ObjectKey)>,
    /// Services of registries likewise.
    inherited_services: Vec<RegistryServiceId>,
    token_issuer: Option<Arc<str>>,
}

/// Follows the steps until the pipeline ends; the last step is on disk when this returns.
pub(crate) async fn keep(
    mut store: Store,
    inherited: Inherited,
    mut steps: watch::Receiver<Option<Step>>,
    mut issuer: watch::Receiver<Option<Arc<str>>>,
) {
    let Inherited { snapshots, documents: inherited, services: inherited_services } = inherited;
    let catalog = Catalog::default();
    let token_issuer = issuer.borrow_and_update().clone();
    let mut kept = Kept { catalog, snapshots, inherited, inherited_services, token_issuer };
    let mut open = true;
    let mut last: Option<Instant> = None;
    while open {
        open = tokio::select! {
            changed = steps.changed() => changed.is_ok(),
            Ok(()) = issuer.changed() => true,
        };
        if let Some(last) = last.filter(|_| open) {
            // The pipeline's end cuts the pause short.
            let pause = tokio::time::sleep_until(tokio::time::Instant::from_std(last + PAUSE));
            tokio::pin!(pause);
            loop {
                tokio::select! {
                    () = &mut pause => break,
                    changed = steps.changed() => if changed.is_err() { open = false; break },
                }
            }
        }
        let Some(step) = steps.borrow_and_update().clone() else { continue };
        let issuer = issuer.borrow_and_update().clone();
        let worker = tokio::task::spawn_blocking(move || {
            write(&mut store, &mut kept, step, issuer);
            (store, kept)
        });
        match worker.await {
            Ok((store_back, kept_back)) => (store, kept) = (store_back, kept_back),
            Err(error) => {
                tracing::error!(%error, "keeping the last good state failed for good, a bug");
                return;
            }
        }
        last = Some(Instant::now());
    }
}

fn write(store: &mut Store, kept: &mut Kept, step: Step, issuer: Option<Arc<str>>) {
    let mut documents = Vec::new();
    for key in step.catalog.changed_since(&kept.catalog) {
        match step.catalog.get(&key).map(stored) {
            Some(Some(document)) => documents.push(DocumentChange::Put { key, document }),
            // Not from a text: nothing to keep.
            Some(None) => {}
            None => {
                let source = kept.catalog.get(&key).map(|object| object.meta().source.clone());
                documents.extend(source.map(|source| DocumentChange::Delete { source, key }));
            }
        }
    }
    for (source, key) in &kept.inherited {
        if step.catalog.get(key).is_none() {
            documents.push(DocumentChange::Delete { source: source.clone(), key: key.clone() });
        }
    }
    let changed = step.catalog.services_since(&kept.catalog).map(|(id, now)| match now {
        Some(service) => ServiceChange::Put(registries::kept(id, service)),
        None => ServiceChange::Delete(id.clone()),
    });
    let mut services: Vec<_> = changed.collect();
    let inherited = kept.inherited_services.iter();
    let gone = inherited.filter(|id| step.catalog.registry_service(id).is_none());
    services.extend(gone.map(|id| ServiceChange::Delete(id.clone())));
    let mut names: Vec<_> = kept.snapshots.keys().chain(step.snapshots.keys()).cloned().collect();
    names.sort();
    names.dedup();
    let snapshots: Vec<_> = names
        .iter()
        .map(|name| SnapshotChange {
            group: name,
            previous: kept.snapshots.get(name).map(|s| &**s),
            now: step.snapshots.get(name).map(|s| &**s),
        })
        .collect();
    let commit = Commit {
        documents: &documents,
        services: &services,
        snapshots: &snapshots,
        token_issuer: issuer.as_deref().filter(|_| issuer != kept.token_issuer),
    };
    match store.commit(commit, SystemTime::now()) {
        Ok(()) => {
            kept.inherited.clear();
            kept.inherited_services.clear();
            kept.catalog = step.catalog;
            kept.snapshots = step.snapshots;
            kept.token_issuer = issuer;
        }
        // What could not be written is tried again with the next change.
        Err(error) => {
            metrics::counter!("isthmus_last_good_failures_total").increment(1);
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "the last good state could not be written"
            );
        }
    }
}

fn stored(object: &Object) -> Option<StoredDocument> {
    let meta = object.meta();
    if meta.written() != meta.key {
        return None;
    }
    let file = match &meta.locations.file {
        Some(file) => file.clone(),
        // An API server has no files.
        None if *meta.source == *sources::kubernetes::NAME => "".into(),
        None => return None,
    };
    Some(StoredDocument { source: meta.source.clone(), file, document: meta.document.clone() })
}

/// What was found in the store at start.
pub(crate) struct Inherited {
    pub(crate) snapshots: BTreeMap<Arc<str>, Arc<Snapshot>>,
    pub(crate) documents: Vec<(Arc<str>, ObjectKey)>,
    pub(crate) services: Vec<RegistryServiceId>,
}

/// Stored documents as the sources take them.
#[derive(Default)]
pub(crate) struct Seeds {
    pub(crate) files: Vec<SeedFile>,
    /// Of the API server.
    pub(crate) objects: Vec<Object>,
    /// All of them, with their source.
    pub(crate) keys: Vec<(Arc<str>, ObjectKey)>,
}

/// Documents that this version cannot read any more are said and left out.
pub(crate) fn seeds(documents: &[StoredDocument]) -> Seeds {
    let mut files: BTreeMap<Arc<str>, Vec<Object>> = BTreeMap::new();
    let mut out = Seeds::default();
    for stored in documents {
        let served = *stored.source == *sources::kubernetes::NAME;
        let read = if served {
            kinds::served_again(&stored.source, &stored.document)
        } else {
            kinds::decode(&stored.source, &stored.document)
        };
        match read {
            Ok(object) => {
                out.keys.push((stored.source.clone(), object.key().clone()));
                if served {
                    out.objects.push(object);
                } else {
                    files.entry(stored.file.clone()).or_default().push(object);
                }
            }
            Err(findings) => {
                for finding in findings {
                    tracing::warn!("a document of the last good state cannot be used: {finding}");
                }
            }
        }
    }
    let files = files.into_iter().map(|(file, objects)| SeedFile { file, objects });
    out.files = files.collect();
    out
}
