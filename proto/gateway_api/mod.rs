//! The Gateway API v1.6.3 (standard channel, `v1`) as plain serde types: specs and statuses, no envelope, no client.
//!
//! `v1beta1` documents of the same kinds have the same fields (the generator checks that).
//! The types take what the schema takes and a little more; patterns, ranges and CEL rules are the schema's business
//! (`crate::schema`), meaning is the business of the room that reads them.

use serde::{Deserialize, Serialize};

#[rustfmt::skip]
#[allow(clippy::all, unused_qualifications, rustdoc::all)]
pub mod gateway;
#[rustfmt::skip]
#[allow(clippy::all, unused_qualifications, rustdoc::all)]
pub mod gatewayclass;
#[rustfmt::skip]
#[allow(clippy::all, unused_qualifications, rustdoc::all)]
pub mod httproute;
#[rustfmt::skip]
#[allow(clippy::all, unused_qualifications, rustdoc::all)]
pub mod referencegrant;

/// `metav1.Condition`. Written by hand and shared, where the CRDs spell it out at every list of conditions.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// RFC 3339; text, because this crate does no arithmetic on time.
    #[serde(rename = "lastTransitionTime")]
    pub last_transition_time: String,
    pub message: String,
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "observedGeneration")]
    pub observed_generation: Option<i64>,
    pub reason: String,
    pub status: ConditionStatus,
    pub r#type: String,
}

#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConditionStatus {
    True,
    False,
    Unknown,
}
