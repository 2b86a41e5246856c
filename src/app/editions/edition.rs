use std::collections::BTreeMap;
use std::sync::Arc;

use catalog::{Catalog, Key};
use compile::{Compiler, GroupKey};
use model::{Object, ObjectKey};
use snapshot::{Reports, Snapshot};

use crate::layers::Layers;

/// Documents in the form in which they are served; `None` for without.
pub(crate) type Forms = BTreeMap<ObjectKey, Option<Object>>;

/// What is compiled for it.
#[derive(Debug)]
pub(crate) struct Edition {
    /// That of its group with a suffix.
    pub(crate) name: Arc<str>,
    pub(crate) group: Arc<str>,
    key: GroupKey,
    compiler: Compiler,
    layers: Layers,
    forms: Forms,
    /// By what it differed from the newest when it was compiled last.
    differed: Vec<Key>,
    fresh: bool,
}

impl Edition {
    pub(crate) fn new(
        name: Arc<str>,
        group: Arc<str>,
        key: GroupKey,
        compiler: Compiler,
        reports: Reports,
    ) -> Self {
        let (layers, forms) = (Layers::new(reports), Forms::new());
        Self { name, group, key, compiler, layers, forms, differed: Vec::new(), fresh: true }
    }

    /// Brings it in step with the newest catalog, in which these keys changed since the last call. The catalog that it is
    /// made from, and its snapshot if that is another than before.
    pub(crate) fn update(
        &mut self,
        newest: &Catalog,
        changed: &[Key],
        forms: Forms,
    ) -> (Catalog, Option<Snapshot>) {
        let (catalog, differs) = newest.with(forms.iter().map(|(key, form)| (key, form.as_ref())));
        let mut keys = changed.to_vec();
        let touched = |key: &Key| matches!(key, Key::Object(key) if forms.contains_key(key));
        // What is laid over is the same, over the same.
        let alike = !self.fresh && forms == self.forms && !changed.iter().any(touched);
        if alike {
            keys.extend(
                differs.iter().filter(|key| matches!(key, Key::NamespacesWith(_))).cloned(),
            );
        } else {
            keys.extend(differs.iter().chain(&self.differed).cloned());
        }
        keys.sort();
        keys.dedup();
        if keys.is_empty() && !self.fresh {
            return (catalog, None);
        }
        let update = self.compiler.update(&catalog, &keys);
        let gone = update.removed.contains(&self.key);
        let mut snapshots = self.layers.update(&self.compiler, &update);
        let snapshot = if gone { Some(Snapshot::default()) } else { snapshots.remove(&self.key) };
        (self.forms, self.differed, self.fresh) = (forms, differs, false);
        (catalog, snapshot)
    }
}
