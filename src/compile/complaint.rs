use std::collections::BTreeSet;

use catalog::Catalog;
use model::{Finding, ObjectKey, Severity};

/// A finding, and the object whose absence it is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Complaint {
    pub(crate) finding: Finding,
    pub(crate) missing: Option<ObjectKey>,
}

impl From<Finding> for Complaint {
    fn from(finding: Finding) -> Self {
        Self { finding, missing: None }
    }
}

/// Objects that somebody wrote and that could not be used: what is wrong with them is said where they stand, so that
/// everybody who refers to them need not say it again.
pub(crate) fn refused(catalog: &Catalog) -> BTreeSet<ObjectKey> {
    let said = catalog
        .sources()
        .flat_map(|(_, state)| state.findings.values().flat_map(|list| list.iter()));
    said.filter(|finding| finding.severity == Severity::Error)
        .filter_map(|finding| finding.at.object.clone())
        .filter(|key| catalog.get(key).is_none())
        .collect()
}
