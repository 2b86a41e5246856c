use std::sync::Arc;

use crate::{Finding, GatewayApi, Object, ObjectKey, Report, Resolved, Steer};

/// One atomic step, from one source.
#[derive(Clone, Debug)]
pub struct Batch {
    pub source: Arc<str>,
    pub changes: Vec<Change>,
}

/// What a source says happened: kube-runtime's words for every kind of source. Sources send changes in batches; one
/// batch is one atomic step of the catalog.
#[derive(Clone, Debug)]
pub enum Change {
    /// A full listing begins. What is not named before `InitDone` is gone.
    Init,
    InitApply(Object),
    InitDone,
    Apply(Object),
    Delete(ObjectKey),
    /// The object is there and cannot be used as it is now: its last good version stays. Ends with the next `Apply` or
    /// `Delete` of the same object.
    Refused(Refused),
    /// All that the source has to say about one part of its input (for files: one path). Replaces what it said before.
    Findings {
        scope: Arc<str>,
        findings: Vec<Finding>,
    },
    /// Which definitions of Gateway API the source's objects are by.
    GatewayApi(GatewayApi),
    /// What a registry says of its services.
    Registry(Report),
    /// What a person wants of a registry source.
    Steer(Steer),
    /// What the DNS answered to something that the catalog asked.
    Resolved(Resolved),
    /// The source's own state. A lost session is said here and never as a `Delete`.
    Health(Health),
}

/// An object of an API server that cannot be used as it is.
#[derive(Clone, Debug, PartialEq)]
pub struct Refused {
    /// As much of it as could be read: its status must be written where it can be seen.
    pub object: Object,
    /// What is wrong with it, for that status.
    pub reason: Arc<str>,
}

/// How fresh a source's view is. The source reports facts; the catalog decides what follows from them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// No full listing yet.
    Syncing,
    /// In contact, view current.
    Live,
    /// In contact, but part of the view is older than it should be.
    Degraded { reason: String },
    /// Not in contact: the last good view is served.
    Stale { reason: String },
}
