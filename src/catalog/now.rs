use std::time::{Duration, SystemTime};

/// The time, told by whoever drives the catalog: this room has no clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// Since some fixed moment of the process; it never goes back. Rules count with it.
    pub since: Duration,
    /// For people to read.
    pub wall: SystemTime,
}

impl Default for Now {
    /// For what has no rules that need a time.
    fn default() -> Self {
        Self { since: Duration::ZERO, wall: SystemTime::UNIX_EPOCH }
    }
}
