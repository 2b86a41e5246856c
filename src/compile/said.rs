//! What the compile stage says of the input, kept by the piece of work that says it: after a change only what is said
//! otherwise costs anything, here and for whoever compares two states.

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::sync::Arc;

use catalog::Catalog;
use imbl::ordmap::DiffItem;
use imbl::{OrdMap, OrdSet};
use model::{Code, Finding, Health, NamespacedName, ObjectKey, ObjectRef, Severity};

use crate::backend::BackendKey;
use crate::complaint::Complaint;
use crate::group::SidecarKey;

/// Who says it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Topic {
    Gateway(NamespacedName, Part),
    /// A route whose parent is a service.
    Mesh(ObjectKey),
    Sidecar(SidecarKey),
    Register(ObjectKey),
    /// A document, whoever uses it.
    Document(ObjectKey),
    /// The names of a MeshService.
    Names(ObjectKey),
}

/// A part of a Gateway.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Part {
    Own,
    Backend(BackendKey),
    Route(ObjectKey),
}

/// In order of what it is about.
#[derive(Clone, Debug)]
struct Entry(Arc<Complaint>);

/// On what it depends whether something is said at all.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Hinge {
    Missing(ObjectKey),
    Contact(Arc<str>),
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Said {
    /// Only of those who say something.
    by: OrdMap<Topic, Arc<[Entry]>>,
    /// Each with the number of those who say it.
    all: OrdMap<Entry, usize>,
    hinging: OrdMap<Hinge, OrdSet<Entry>>,
    /// Whether anything is said anew, or no more, since that was asked.
    anew: bool,
}

/// What differs between two states.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Difference {
    pub come: BTreeSet<Finding>,
    pub gone: BTreeSet<Finding>,
}

impl Said {
    /// In place of what was said by the same before.
    pub(crate) fn set(&mut self, topic: Topic, complaints: Vec<Complaint>) {
        let new: Arc<[Entry]> = complaints.into_iter().map(|one| Entry(Arc::new(one))).collect();
        match self.by.get(&topic) {
            Some(old) if *old == new => return,
            None if new.is_empty() => return,
            _ => self.anew = true,
        }
        for entry in &*new {
            *self.all.entry(entry.clone()).or_default() += 1;
            for hinge in entry.hinges() {
                self.hinging.entry(hinge).or_default().insert(entry.clone());
            }
        }
        let old = if new.is_empty() { self.by.remove(&topic) } else { self.by.insert(topic, new) };
        for entry in old.iter().flat_map(|old| &**old) {
            let Some(count) = self.all.get_mut(entry) else { continue };
            *count -= 1;
            if *count > 0 {
                continue;
            }
            self.all.remove(entry);
            for hinge in entry.hinges() {
                let Some(entries) = self.hinging.get_mut(&hinge) else { continue };
                entries.remove(entry);
                if entries.is_empty() {
                    self.hinging.remove(&hinge);
                }
            }
        }
    }

    /// Whether anything is said anew, or no more, since this was asked last.
    pub(crate) fn anew(&mut self) -> bool {
        std::mem::take(&mut self.anew)
    }

    /// A Gateway is no more, or is compiled from scratch.
    pub(crate) fn forget_gateway(&mut self, name: &NamespacedName) {
        let first = Topic::Gateway(name.clone(), Part::Own);
        let its = |topic: &Topic| matches!(topic, Topic::Gateway(of, _) if of == name);
        let topics: Vec<Topic> = self
            .by
            .range(first..)
            .map(|(topic, _)| topic)
            .take_while(|t| its(t))
            .cloned()
            .collect();
        for topic in topics {
            self.set(topic, Vec::new());
        }
    }

    /// In order of place.
    pub(crate) fn findings(&self, catalog: &Catalog) -> Vec<Finding> {
        let counts = self.all.keys().filter(|entry| entry.counts(catalog));
        let mut all: Vec<_> = counts.map(|entry| entry.0.finding.clone()).collect();
        all.sort();
        all.dedup();
        all
    }

    /// What is said of this object.
    pub(crate) fn of(&self, catalog: &Catalog, object: &ObjectKey) -> Vec<Finding> {
        let first = Entry(Arc::new(least(Some(object.clone())).into()));
        let its = self.all.range(first..).map(|(entry, _)| entry);
        let its = its.take_while(|entry| entry.0.finding.at.object.as_ref() == Some(object));
        let counts = its.filter(|entry| entry.counts(catalog));
        counts.map(|entry| entry.0.finding.clone()).collect()
    }

    /// Whether this is said, of wherever the document stands.
    pub(crate) fn says(&self, catalog: &Catalog, finding: &Finding) -> bool {
        let at = ObjectRef { source: "".into(), location: None, ..finding.at.clone() };
        let least = Finding { at, hint: String::new(), ..finding.clone() };
        let first = Entry(Arc::new(least.into()));
        let same = self.all.range(first..).map(|(entry, _)| entry);
        let mut same = same.take_while(|entry| entry.0.finding.mark() == finding.mark());
        same.any(|entry| entry.counts(catalog))
    }

    /// Costs what differs.
    pub(crate) fn since(&self, catalog: &Catalog, older: &Self, before: &Catalog) -> Difference {
        let mut touched: BTreeSet<Entry> = older
            .all
            .diff(&self.all)
            .filter_map(|item| match item {
                DiffItem::Add(entry, _) | DiffItem::Remove(entry, _) => Some(entry.clone()),
                DiffItem::Update { .. } => None,
            })
            .collect();
        let turned = catalog.usable_since(before).into_iter().map(Hinge::Missing);
        let contact = catalog.sources_since(before).into_iter().map(Hinge::Contact);
        for hinge in turned.chain(contact) {
            touched.extend(self.hinging.get(&hinge).into_iter().flatten().cloned());
            touched.extend(older.hinging.get(&hinge).into_iter().flatten().cloned());
        }
        let mut out = Difference::default();
        for entry in touched {
            let was = older.all.contains_key(&entry) && entry.counts(before);
            let is = self.all.contains_key(&entry) && entry.counts(catalog);
            match (was, is) {
                (false, true) => drop(out.come.insert(entry.0.finding.clone())),
                (true, false) => drop(out.gone.insert(entry.0.finding.clone())),
                _ => {}
            }
        }
        out
    }
}

impl Entry {
    fn hinges(&self) -> impl Iterator<Item = Hinge> {
        let Complaint { missing, contact, finding: _ } = &*self.0;
        let missing = missing.clone().map(Hinge::Missing);
        missing.into_iter().chain(contact.clone().map(Hinge::Contact))
    }

    /// What is wrong with an object that could not be used is said where it stands, so that everybody who refers to it need
    /// not say it again; and what a registry has is not known without contact.
    fn counts(&self, catalog: &Catalog) -> bool {
        let Complaint { missing, contact, finding: _ } = &*self.0;
        let live = |name: &Arc<str>| {
            catalog.source(name).is_some_and(|source| source.health == Health::Live)
        };
        missing.as_ref().is_none_or(|key| !catalog.is_unusable(key))
            && contact.as_ref().is_none_or(live)
    }
}

/// Comes before all that is about this object.
fn least(object: Option<ObjectKey>) -> Finding {
    let at = ObjectRef { source: "".into(), object, pointer: "".into(), location: None };
    let (code, severity) = (Code(0), Severity::Info);
    Finding { at, code, severity, text: String::new(), hint: String::new() }
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> Ordering {
        if Arc::ptr_eq(&self.0, &other.0) {
            return Ordering::Equal;
        }
        let marks = self.0.finding.mark().cmp(&other.0.finding.mark());
        marks.then_with(|| self.0.cmp(&other.0))
    }
}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Entry {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_anew_or_no_more_is_told_once() {
        let topic = || Topic::Names(ObjectKey::new(model::Kind::MeshService, "shop", "web"));
        let complaint = |text: &str| vec![Finding { text: text.into(), ..least(None) }.into()];
        let mut said = Said::default();
        said.set(topic(), Vec::new());
        assert!(!said.anew(), "nothing was said before, and is not now");
        said.set(topic(), complaint("a"));
        assert!(said.anew());
        said.set(topic(), complaint("a"));
        assert!(!said.anew(), "the same again");
        said.set(topic(), complaint("b"));
        assert!(said.anew());
        said.set(topic(), Vec::new());
        assert!(said.anew());
    }
}
