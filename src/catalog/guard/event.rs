use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use model::RegistryServiceId;

/// One decision, with its reason and numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    pub at: SystemTime,
    pub source: Arc<str>,
    /// `None`: the whole source.
    pub service: Option<RegistryServiceId>,
    pub what: What,
    pub why: String,
    /// Instances that were served before and after.
    pub before: usize,
    pub after: usize,
    /// How many of those after are held.
    pub held: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum What {
    /// The source's state is another.
    State,
    /// All earlier answers are in doubt.
    Doubt,
    /// Instances went, and were taken out of service.
    Removed,
    /// Instances went, and stay in service for now.
    Held,
    /// All that was held came back.
    Returned,
    /// What was held is believed, and taken out of service.
    Released,
    /// A person's word.
    Steered,
}

impl What {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::State => "state",
            Self::Doubt => "doubt",
            Self::Removed => "removed",
            Self::Held => "held",
            Self::Returned => "returned",
            Self::Released => "released",
            Self::Steered => "steered",
        }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.service {
            Some(service) => write!(f, "{service}")?,
            None => f.write_str(&self.source)?,
        }
        let Self { what, why, before, after, held, .. } = self;
        write!(f, " {}: {why} ({before} -> {after} served, {held} held)", what.as_str())
    }
}
