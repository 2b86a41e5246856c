//! The judge that counts: real Envoy, real `isthmus`, real connections. See `README.md` beside this file.

// In a test it is an assertion; clippy knows only functions marked `#[test]`.
#![allow(clippy::unwrap_used)]

mod access;
mod bad_input;
mod cascade;
mod certificates_under_load;
mod edits_under_load;
mod graceful_stop;
mod lanes;
mod mistakes;
mod nack_isolation;
mod observe;
mod quickstart;
mod refused_kinds;
mod refused_route;
mod restart;
mod restart_held;
mod routing;
mod streams;
mod testbed;
mod why;
