//! The sidecar role: an Envoy beside each process, through which goes all that the process sends and gets.
//!
//! ```text
//!                     ┌─ Outbound: what a scope sees ──────────────────────────────────────────────────────────┐
//! app dials ─► 15001 ─┤ `outbound` hands over ─► `outbound/<port>`            HTTP: routes by host ─► clusters │
//!                     │                       ─► `outbound/<address>/<port>`  TCP: the service's cluster       │
//!                     │                       ─► nobody: `passthrough`, or refused                             │
//! app asks ─► 15053 ──┤ `dns`                                                                                  │
//!                     └────────────────────────────────────────────────────────────────────────────────────────┘
//!                     ┌─ Inbound: one workload ─────────────────────────────┐
//! others call ─► 15006┤ `inbound`: chains by port, transport, ALPN ─► app   │
//!                     └─────────────────────────────────────────────────────┘
//! ```
//!
//! A scope is compiled and encoded once for all its sidecars; a workload adds only its inbound side. An app that picks an
//! instance itself (`10.0.0.7:8080`) gets what the service of that instance gets.

mod claims;
mod directory;
mod inbound;
mod listeners;
mod on_demand;
mod outbound;
mod routes;
mod scope;
mod services;
#[cfg(test)]
mod tests;
mod vips;

pub(crate) use directory::Directory;
pub use inbound::is_behind;
pub(crate) use inbound::{Inbound, members};
pub(crate) use outbound::Outbound;
pub(crate) use scope::of as scope_of;

/// Whatever the app dials is redirected here.
const OUTBOUND_PORT: u16 = 15001;
/// Whatever others dial is redirected here.
const INBOUND_PORT: u16 = 15006;
/// The app's DNS questions are redirected here.
const DNS_PORT: u16 = 15053;
/// To where the app dialled.
const PASSTHROUGH: &str = "passthrough";
/// To the app, in what the caller speaks.
const INBOUND: &str = "inbound";
/// To the app, in HTTP/2.
const INBOUND_HTTP2: &str = "inbound/http2";
