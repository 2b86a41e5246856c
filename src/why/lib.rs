//! # why: what happens to a request
//!
//! ```text
//! ir::Plan + Request ──► listener ─► filter chain ─► virtual host ─► route ─► policies ─► clusters ─► endpoints ──► Answer
//!                                                                      └─ what nearly fitted
//! ```
//!
//! It walks the plan that a proxy's configuration is made from, as the proxy walks that configuration: the same order,
//! the same matchers. Each step says from which document it comes, and whether it is certain: what depends on the world
//! (a lot that is drawn, a service that is asked, a token that nobody has checked) is said to, not guessed silently.
//! A test holds its answers against those of the real Envoy (`conformance/envoy/why`).
//! It must never know Envoy's field names, ask anybody, read a clock, or fail: what cannot be known is a word in the answer.

mod access;
mod answer;
mod authority;
mod choose;
mod cluster;
mod cors;
mod edits;
mod fit;
mod forward;
mod host;
mod lane;
mod listener;
mod matching;
mod path;
mod pattern;
mod redirect;
mod request;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_sidecar;

pub use answer::{Answer, Choice, End, Near, Outcome, Stage, Step, Upstream};
pub use choose::{gateway, inbound, outbound};
pub use request::{Invalid, Request};
