//! All that is wrong with the input, from every stage, and how two states differ in it.

use std::collections::BTreeSet;
use std::sync::Arc;

use catalog::{Catalog, Merger};
use compile::Compiler;
use model::{Finding, Health, Kind, NamespacedName, ObjectKey};

use crate::registries;

/// Who finds something.
#[derive(Clone, Copy)]
pub(crate) struct Findings<'a> {
    pub(crate) merger: &'a Merger,
    pub(crate) compiler: &'a Compiler,
    /// What proxies did not take.
    pub(crate) refused: &'a [Finding],
}

impl Findings<'_> {
    fn catalog(&self) -> &Catalog {
        self.merger.catalog()
    }

    /// While a first listing is under way, much is missing that will be there in a moment.
    fn syncing(&self) -> bool {
        let mut sources = self.catalog().sources();
        sources.any(|(name, state)| !name.contains('/') && state.health == Health::Syncing)
    }

    /// In order of place.
    pub(crate) fn all(&self) -> Vec<Finding> {
        let mut all = match self.syncing() {
            true => Vec::new(),
            false => self.compiler.findings(self.catalog()),
        };
        all.extend(self.merger.import_findings());
        all.extend(self.refused.iter().cloned());
        all.extend(self.catalog().sources().flat_map(|(name, _)| self.said_by(name)));
        in_order(&mut all);
        all
    }

    /// What this source says, where somebody can mend it.
    fn said_by(&self, source: &str) -> Vec<Finding> {
        let state = self.catalog().source(source);
        let said = state.into_iter().flat_map(|state| state.findings.values());
        let registry = registry(source).and_then(|name| self.catalog().registry(&name));
        let said = said.flat_map(|findings| findings.iter().cloned());
        said.map(|finding| match registry {
            Some(registry) => registries::at_document(finding, registry),
            None => finding,
        })
        .collect()
    }

    /// What is wrong and was not in `older`, which these were made of, or is said of these objects; and what is not wrong any
    /// more. What moves to another line is the same. Costs what differs, and the findings of sources that say something
    /// else.
    pub(crate) fn against(
        &self,
        older: &Self,
        about: &[&ObjectKey],
    ) -> (Vec<Finding>, Vec<Finding>) {
        let (mut new, mut old) = (Vec::new(), Vec::new());
        if self.syncing() == older.syncing() {
            self.since(older, about, &mut new, &mut old);
        } else {
            (new, old) = (self.all(), older.all());
        }
        let is: BTreeSet<_> = new.iter().map(Finding::mark).collect();
        let was: BTreeSet<_> = old.iter().map(Finding::mark).collect();
        let told = |f: &Finding| f.at.object.as_ref().is_some_and(|at| about.contains(&at));
        let here = |f: &Finding| is.contains(&f.mark()) || self.have(f);
        let there = |f: &Finding| was.contains(&f.mark()) || older.have(f);
        let mut come: Vec<_> = new.iter().filter(|f| told(f) || !there(f)).cloned().collect();
        let mut gone: Vec<_> = old.iter().filter(|f| !here(f)).cloned().collect();
        in_order(&mut come);
        in_order(&mut gone);
        (come, gone)
    }

    /// All that may be on one side only, and all that is said of these objects.
    fn since(
        &self,
        older: &Self,
        about: &[&ObjectKey],
        new: &mut Vec<Finding>,
        old: &mut Vec<Finding>,
    ) {
        let (catalog, before) = (self.catalog(), older.catalog());
        if !self.syncing() {
            let differs = self.compiler.findings_since(catalog, older.compiler, before);
            new.extend(differs.come);
            old.extend(differs.gone);
            new.extend(about.iter().flat_map(|key| self.compiler.findings_of(catalog, key)));
        }
        let said = about.iter().flat_map(|key| catalog.said_of(key));
        new.extend(said.map(|(_, finding)| finding.clone()));
        new.extend(self.refused.iter().cloned());
        old.extend(older.refused.iter().cloned());
        let mut sources: BTreeSet<Arc<str>> = catalog.sources_since(before).into_iter().collect();
        let registries = about.iter().filter(|key| key.kind == Kind::Registry);
        sources.extend(registries.map(|key| Arc::from(key.name.to_string())));
        // What is said of a registry stands at its document.
        let same = catalog.same_registries(before);
        if !same {
            let all = catalog.registries().chain(before.registries());
            sources.extend(all.map(|registry| Arc::from(registry.meta.name().to_string())));
        }
        for source in &sources {
            new.extend(self.said_by(source));
            old.extend(older.said_by(source));
        }
        if !same || about.iter().any(|key| key.kind == Kind::Registry) {
            new.extend(self.merger.import_findings());
            old.extend(older.merger.import_findings());
        }
    }

    /// Whether the compiler or a source says the same, wherever it stands.
    fn have(&self, finding: &Finding) -> bool {
        let said = finding.at.object.iter().flat_map(|key| self.catalog().said_of(key));
        said.into_iter().any(|(_, said)| said.mark() == finding.mark())
            || !self.syncing() && self.compiler.finds(self.catalog(), finding)
    }
}

/// Only sources that are registries have a slash in their name.
fn registry(source: &str) -> Option<NamespacedName> {
    source.split_once('/').map(|(namespace, name)| NamespacedName::new(namespace, name))
}

fn in_order(all: &mut Vec<Finding>) {
    all.sort_by(|a, b| (&a.at.location, a).cmp(&(&b.at.location, b)));
    all.dedup();
}
