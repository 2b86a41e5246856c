//! What would be found wrong if these documents were there: compiled in a copy of the world that nobody is served from.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use api::BODY_FILE;
use model::{Batch, Change, Finding};

use crate::pipeline::World;

pub(crate) fn findings(world: &RwLock<World>, text: &str) -> Vec<Finding> {
    let (mut merger, mut compiler, before) = {
        let world = world.read().unwrap_or_else(PoisonError::into_inner);
        (world.merger.clone(), world.compiler.clone(), world.catalog().clone())
    };
    let world = compiler.clone();
    let written = |name: &&Arc<str>| !name.contains('/') && ***name != *sources::dns::NAME;
    let source = merger.catalog().sources().map(|(name, _)| name).find(written).cloned();
    let source = source.unwrap_or_else(|| "file".into());
    let limits = kinds::Limits::default();
    let parsed = kinds::parse(&source, &BODY_FILE.into(), text.as_bytes(), limits);
    let mut out = parsed.findings;
    // Each in the name of who owns it: of two sources with one object, one would be refused.
    let mut batches: BTreeMap<Arc<str>, Vec<Change>> = BTreeMap::new();
    let mut keys = Vec::new();
    for mut object in parsed.objects {
        keys.push(object.key().clone());
        let owner = merger.catalog().get(object.key()).map(|known| known.meta().source.clone());
        let owner = owner.unwrap_or_else(|| source.clone());
        object.meta_mut().source = owner.clone();
        batches.entry(owner).or_default().push(Change::Apply(object));
    }
    let mut changed = Vec::new();
    for (source, changes) in batches {
        changed.extend(merger.apply(Batch { source, changes }).changed);
    }
    if !changed.is_empty() {
        changed.sort();
        changed.dedup();
        compiler.update(merger.catalog(), &changed);
        let catalog = merger.catalog();
        let ours = |finding: &Finding| {
            finding.at.location.as_ref().is_some_and(|at| &*at.file == BODY_FILE)
        };
        out.extend(compiler.findings_since(catalog, &world, &before).come);
        let told = keys.iter().flat_map(|key| compiler.findings_of(catalog, key));
        out.extend(told.filter(ours));
    }
    out.sort_by(|a, b| (&a.at.location, a).cmp(&(&b.at.location, b)));
    out.dedup();
    out
}
