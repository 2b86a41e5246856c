//! What each group is sent: its own plan in bytes, over that which it has in common with others.
//!
//! ```text
//! plan of a scope ────► Encoder ──► snapshot ─┐
//!                                             ├─ with ─► snapshot of a group ─► published, if it is another
//! plan of a workload ─► Encoder ──► snapshot ─┘
//! ```
//!
//! A layer is encoded once, whoever has it: a thousand workloads of a scope share its bytes.

use std::collections::{BTreeMap, BTreeSet};

use compile::{Compiler, GroupKey, Update};
use snapshot::{Encoder, Reports, Snapshot};

#[derive(Debug)]
pub(crate) struct Layers {
    reports: Reports,
    encoded: BTreeMap<GroupKey, (Encoder, Snapshot)>,
    published: BTreeMap<GroupKey, Published>,
}

/// What a group was sent last.
#[derive(Debug)]
struct Published {
    generation: u64,
    /// Of its own layer.
    own: u64,
    base: Option<(GroupKey, u64)>,
}

impl Layers {
    pub(crate) fn new(reports: Reports) -> Self {
        Self { reports, encoded: BTreeMap::new(), published: BTreeMap::new() }
    }

    /// The snapshots of those groups that are sent something else than before.
    pub(crate) fn update(
        &mut self,
        compiler: &Compiler,
        update: &Update,
    ) -> BTreeMap<GroupKey, Snapshot> {
        let mut touched = BTreeSet::new();
        for key in &update.groups {
            let Some(plan) = compiler.plan(key).filter(|_| compiler.served(key)) else { continue };
            let entry = self.encoded.entry(key.clone());
            let (encoder, snapshot) =
                entry.or_insert_with(|| (Encoder::new(self.reports), Snapshot::default()));
            let before = snapshot.generation;
            *snapshot = encoder.update(plan);
            match key {
                GroupKey::Scope(scope) if snapshot.generation != before => {
                    count(key);
                    touched.extend(compiler.sidecars_of(scope).map(GroupKey::Sidecar));
                }
                GroupKey::Scope(_) => {}
                _ => drop(touched.insert(key.clone())),
            }
        }
        let scopes = |key: &GroupKey| matches!(key, GroupKey::Scope(_));
        self.encoded.retain(|key, _| !scopes(key) || compiler.served(key));
        touched
            .into_iter()
            .filter_map(|key| Some((key.clone(), self.compose(compiler, &key)?)))
            .collect()
    }

    /// `None` where it is what was sent before, or a part is not there yet.
    fn compose(&mut self, compiler: &Compiler, key: &GroupKey) -> Option<Snapshot> {
        let (_, own) = self.encoded.get(key)?;
        let (mut snapshot, base) = match compiler.base(key) {
            None => (own.clone(), None),
            Some(base) => {
                let (_, beneath) = self.encoded.get(&base)?;
                (beneath.with(own), Some((base, beneath.generation)))
            }
        };
        let last = self.published.get(key);
        if last.is_some_and(|last| last.own == own.generation && last.base == base) {
            return None;
        }
        let generation = last.map_or(1, |last| last.generation + 1);
        let published = Published { generation, own: own.generation, base };
        self.published.insert(key.clone(), published);
        count(key);
        snapshot.generation = generation;
        Some(snapshot)
    }

    pub(crate) fn forget(&mut self, key: &GroupKey) {
        self.encoded.remove(key);
        self.published.remove(key);
    }
}

/// How many groups a change touches can be read from this.
fn count(key: &GroupKey) {
    let role = match key {
        GroupKey::Gateway(_) => "gateway",
        GroupKey::Grpc { .. } => "grpc",
        GroupKey::Scope(_) => "scope",
        GroupKey::Sidecar(_) => "sidecar",
    };
    metrics::counter!("isthmus_groups_published_total", "role" => role).increment(1);
}
