//! # dns: names that services and registries gave as addresses
//!
//! ```text
//! questions that the catalog has ──watch──► run ──► Change::Resolved, once the answer differs
//! ```
//!
//! Each question is asked again when its answer's time to live is over, at least a second and at most a minute later. The
//! last good answer stays while the DNS fails: a server that does not answer, or says that a name which it knew is none,
//! takes nobody's endpoints away; it is told as a finding.
//!
//! The resolver is `hickory-resolver` 0.26 (MIT or Apache-2.0; 0.26.3 is of September 2026): it gives the time to live, SRV
//! records and several servers, which `getaddrinfo` does not. It is built without DNSSEC and without DNS over TLS.
//!
//! Must never: block one question on another, or know who asks and why.

mod answer;
#[cfg(test)]
mod fake;
mod resolver;
mod run;
#[cfg(test)]
mod tests;

pub use run::{NAME, Options, run};
