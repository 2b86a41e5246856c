//! # consul: a Consul agent as a source
//!
//! ```text
//! GET /v1/catalog/services?index ──► names, and that something was registered ──┐
//! GET /v1/health/state/any?index ──► which checks changed ──────────────────────┴─► GET /v1/health/service/X ──► Service
//! ```
//!
//! Two blocking queries stand, however many services there are: an agent allows one client 200 connections
//! (`http_max_conns_per_client`), so that a blocking query for each service ends at 200 services. They only ring; what a
//! service is, `/v1/health/service/X` says, with all its checks and never `?passing`, at most 16 at once.
//!
//! What that costs: every ring of the checks brings all of them (about 450 bytes each; they are asked for more seldom the
//! larger the answer is). Up to 200 services, a registration reads all of them again; above, those whose checks
//! changed at once and the others in turn, 500 a second, so that an edit that touches no check may take n/500 seconds.
//!
//! Reads are consistent in Consul's default mode, never `?stale`: a server without a leader is a registry out of contact,
//! and the last good view is served meanwhile.
//!
//! Must never: take an index that went back, or the empty answer to a missing token, for an empty registry.

mod checks;
mod client;
#[cfg(test)]
mod fake;
mod probe;
mod queue;
mod run;
mod session;
#[cfg(test)]
mod tests;
mod view;
mod wire;

pub use probe::probe;
pub use run::run;
