use std::sync::Arc;
use std::time::Duration;

use crate::{Meta, NamespacedName};

/// How changes reach the proxies of Gateways: some first, the others once the gates have let them pass.
#[derive(Clone, Debug, PartialEq)]
pub struct ConfigRollout {
    pub meta: Meta,
    pub gateways: Vec<RolloutTarget>,
    pub steps: Vec<RolloutStep>,
    pub gates: RolloutGates,
    pub on_failure: OnFailure,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RolloutTarget {
    pub name: NamespacedName,
    pub pointer: Arc<str>,
}

/// Who has the change once this step is reached, beside those of the steps before.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RolloutStep {
    pub percent: Option<u8>,
    pub labels: Vec<(Arc<str>, Arc<str>)>,
    pub pause: RolloutPause,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RolloutPause {
    /// After the gates have passed.
    For(Duration),
    /// Until a person says so.
    Manual,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RolloutGates {
    pub acks: bool,
    pub max_error_ratio: Option<f64>,
    pub max_p99: Option<Duration>,
    pub min_requests: u32,
    pub window: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnFailure {
    Return,
    Pause,
}

impl Default for RolloutPause {
    fn default() -> Self {
        Self::For(Duration::ZERO)
    }
}

impl Default for RolloutGates {
    fn default() -> Self {
        Self {
            acks: true,
            max_error_ratio: None,
            max_p99: None,
            min_requests: 100,
            window: Duration::from_secs(60),
        }
    }
}
