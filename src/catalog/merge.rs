use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use imbl::OrdMap;
use model::{Batch, Change, Health, Kind, ObjectKey};

use crate::{Catalog, Key, SourceState};

/// Holds the current catalog and takes batches in.
#[derive(Debug, Default)]
pub struct Merger {
    current: Catalog,
    /// Sources in the middle of a full listing, with what they named so far.
    listing: HashMap<Arc<str>, HashSet<ObjectKey>>,
}

/// The outcome of one batch.
#[derive(Debug)]
pub struct Applied {
    pub catalog: Catalog,
    /// Sorted, each once. Empty if the batch said nothing new about objects.
    pub changed: Vec<Key>,
    /// Whether a source's health or findings differ.
    pub sources_changed: bool,
}

impl Merger {
    #[must_use]
    pub fn catalog(&self) -> &Catalog {
        &self.current
    }

    /// Takes one batch in as one step.
    pub fn apply(&mut self, batch: Batch) -> Applied {
        let Batch { source, changes } = batch;
        let mut next = self.current.clone();
        let mut changed = Vec::new();
        let mut sources_changed = false;
        for change in changes {
            match change {
                Change::Init => drop(self.listing.insert(source.clone(), HashSet::new())),
                Change::InitApply(object) => {
                    if let Some(named) = self.listing.get_mut(&source) {
                        named.insert(object.key().clone());
                    }
                    next.put(object, &mut changed);
                }
                Change::InitDone => {
                    let named = self.listing.remove(&source).unwrap_or_default();
                    for key in owned_by(&next, &source)
                        .filter(|key| !named.contains(key))
                        .collect::<Vec<_>>()
                    {
                        next.delete(&key, &mut changed);
                    }
                }
                Change::Apply(object) => {
                    if let Some(named) = self.listing.get_mut(&source) {
                        named.insert(object.key().clone());
                    }
                    next.put(object, &mut changed);
                }
                Change::Delete(key) => next.delete(&key, &mut changed),
                Change::Findings { scope, findings } => {
                    let known = &mut state(&mut next, &source).findings;
                    if findings.is_empty() {
                        sources_changed |= known.remove(&scope).is_some();
                    } else if known.get(&scope).is_none_or(|old| **old != *findings) {
                        known.insert(scope, findings.into());
                        sources_changed = true;
                    }
                }
                // The registries' room comes with the guard.
                Change::Registry(_) => {}
                Change::Health(health) => {
                    let state = state(&mut next, &source);
                    sources_changed |= state.health != health;
                    state.health = health;
                }
            }
        }
        changed.sort();
        changed.dedup();
        if !changed.is_empty() || sources_changed {
            next.generation += 1;
        }
        self.current = next.clone();
        Applied { catalog: next, changed, sources_changed }
    }
}

fn state<'a>(catalog: &'a mut Catalog, source: &Arc<str>) -> &'a mut SourceState {
    catalog
        .sources
        .entry(source.clone())
        .or_insert_with(|| SourceState { health: Health::Syncing, findings: OrdMap::new() })
}

fn owned_by<'a>(
    catalog: &'a Catalog,
    source: &'a Arc<str>,
) -> impl Iterator<Item = ObjectKey> + 'a {
    Kind::ALL
        .into_iter()
        .flat_map(|kind| catalog.list(kind))
        .filter(move |object| object.meta().source == *source)
        .map(|object| object.key().clone())
}
