//! # api: the control plane over HTTP
//!
//! ```text
//! app ──impl Read──► router ──JSON, YAML, text──► people, probes, Prometheus, the CLI
//! ```
//!
//! Health, metrics and read models on one port. In: what the application lets be read, through one small trait. Out:
//! documents with computed status, proxies, snapshots, findings, and every error as `application/problem+json`.
//! It must never compute state of its own, change anything but by a person's word, or print a secret; and only writes wait
//! for a proxy (`?wait=live`), and the test of a registry for one.

mod ask;
pub mod auth;
mod caller;
pub mod change;
mod console;
mod documents;
mod finding;
mod format;
pub mod history;
mod identity;
mod list;
mod live;
mod openapi;
mod ops;
pub mod problem;
mod problems;
mod read;
mod registries;
pub mod replica;
mod revisions;
pub mod rollout;
mod rollouts;
mod router;
mod schemas;
mod search;
mod server;
pub mod services;
#[cfg(test)]
mod tests;
mod time;
pub mod traffic;
mod traffic_paths;
pub mod watch;
pub mod why;
mod writes;

pub use caller::{Bearer, Caller, Grant, Role, Via};
pub use finding::{FindingView, ObjectName};
pub use identity::{IdentityView, RootView};
pub use live::find_type;
pub use problem::{CODES, Problem};
pub use problems::{EventView, ProblemView};
pub use read::{
    Check, Freshness, Nack, Proxy, ProxyType, Read, Readiness, Source, Summary, TypeState,
    TypeView, XdsResource,
};
pub use registries::{RegistryEvent, RegistryInstance, RegistryProbe, RegistryService};
pub use router::{Parts, document, router};
pub use schemas::BODY_FILE;
pub use server::{Error, Options, Server};
pub use time::Time;
