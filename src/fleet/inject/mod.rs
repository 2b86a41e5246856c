//! Puts a sidecar into pods.
//!
//! ```text
//! pod ──refuse──► settings (annotations) ──► probes ──► template ──► pod with an Envoy beside its application
//!        └─ why not        └─ what is wrong
//! text ──documents──► each workload's template, likewise ──► text          config_map ──► what pods of a namespace share
//! ```
//!
//! In: a pod, or what holds the template of one, and [`Options`]. Out: the same with what belongs to the sidecar in it, or
//! the reason why not. The same engine is behind the webhook and behind `isthmus inject`. It knows no cluster and no clock:
//! the same pod gives the same bytes, and a pod that has a sidecar already gets the one of today in its place.

mod documents;
mod host;
mod pod;
mod probes;
mod refuse;
mod settings;
mod shared;
mod template;
#[cfg(test)]
mod tests;
mod yaml;

use model::Code;
use serde_json::Value;

use crate::capture::Tool;

pub use documents::{Changed, documents};
pub use host::{HOST_FOLDER, HOST_TOKEN, Host, HostFile};
pub use pod::inject;
pub use shared::{CONFIG_MAP, Shared};

/// Opts a namespace in (`enabled`), or a pod in (`enabled`) or out (`false`).
pub const INJECT: &str = "isthmus.dev/inject";
/// On pods without a sidecar in a namespace that wants them: why.
pub const NOT_INJECTED: &str = "isthmus.dev/not-injected";
/// Tells pods with one sort of sidecar from those with another.
pub const TEMPLATE: &str = "isthmus.dev/template";

/// What all sidecars have in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Of the program that redirects the connections: this one.
    pub image: String,
    pub envoy_image: String,
    pub image_pull_policy: Option<String>,
    /// What redirects them.
    pub tool: Tool,
}

/// What became of a pod.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    Injected {
        pod: Value,
        notes: Vec<Note>,
    },
    /// It is as it would be without us.
    Skipped {
        pod: Value,
        reason: String,
    },
    /// The user must change something: with less than what he asked for, the pod would not do what he thinks it does.
    Wrong(Vec<Note>),
}

/// Something to tell about a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    pub code: Code,
    /// JSON pointer into the pod.
    pub pointer: String,
    pub text: String,
    pub hint: String,
}

/// What JSON pointers and field names say, where the parts need not be there.
fn list<'a>(value: &'a Value, field: &str) -> &'a [Value] {
    value[field].as_array().map_or(&[], Vec::as_slice)
}

/// A key as a segment of a JSON pointer (RFC 6901).
fn segment(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}
