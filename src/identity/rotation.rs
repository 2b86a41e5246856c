//! A change of roots, one step after the other:
//!
//! ```text
//! Settled ──rotate──► Bundled: the new root is trusted, the old one signs
//!                        │ every proxy has acknowledged the bundle
//!                        ▼
//!                     Signing: the new one signs, the old root is trusted still
//!                        │ every proxy has acknowledged its new leaf, or no old one is good any more
//!                        ▼
//!                     Settled: the old root is gone
//! ```
//! At no moment does anybody show a leaf that somebody else does not trust yet, or trusts no longer.

use std::time::{Duration, SystemTime};

/// Where a change of roots is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    Settled,
    Bundled,
    Signing,
}

impl Phase {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Settled => "settled",
            Self::Bundled => "bundled",
            Self::Signing => "signing",
        }
    }
}

/// What proxies have of what the present step gives out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// Everything, and every connected proxy has acknowledged it.
    All,
    /// Somebody has not answered yet, or that is not known.
    NotYet,
}

/// How long things last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    pub leaf: Duration,
    /// Of a root of our own.
    pub root: Duration,
    /// Each step stays for so long at least: an acknowledgement comes a moment before the last worker of a proxy has the
    /// new bytes, and a proxy that is just reconnecting is not counted.
    pub settle: Duration,
}

impl Default for Times {
    fn default() -> Self {
        const DAY: Duration = Duration::from_secs(86_400);
        Self { leaf: DAY, root: 3650 * DAY, settle: Duration::from_secs(10) }
    }
}

/// Whether the step that began at `since` is over.
pub(crate) fn is_over(
    phase: Phase,
    since: SystemTime,
    taken: Taken,
    times: &Times,
    now: SystemTime,
) -> bool {
    let settled = now >= since + times.settle;
    match phase {
        Phase::Settled => false,
        Phase::Bundled => settled && taken == Taken::All,
        Phase::Signing => settled && taken == Taken::All || now >= since + times.leaf,
    }
}
