use std::sync::Arc;

use model::{Finding, ObjectKey};

/// A finding, and what it depends on whether there is anything to find.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Complaint {
    pub(crate) finding: Finding,
    /// The object whose absence it is about.
    pub(crate) missing: Option<ObjectKey>,
    /// The registry of which nobody knows what it has while it is not in contact.
    pub(crate) contact: Option<Arc<str>>,
}

impl Complaint {
    pub(crate) fn missing(finding: Finding, missing: Option<ObjectKey>) -> Self {
        Self { finding, missing, contact: None }
    }
}

impl From<Finding> for Complaint {
    fn from(finding: Finding) -> Self {
        Self::missing(finding, None)
    }
}
