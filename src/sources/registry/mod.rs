//! # registry: what all registry sources share
//!
//! A registry source is two functions with the same signature in every folder:
//!
//! ```text
//! run(Inlet, Outlet)        facts, until the Inlet is closed
//! probe(&Registry)          one answer an address, for `isthmus registry test`
//! ```
//!
//! It reports facts ([`model::Report`], [`model::Health`]) and decides nothing: no guard, no hold, no empty-answer rule.
//! What a registry says is checked at one door, [`RawService`].

mod allow;
mod backoff;
#[cfg(test)]
pub(crate) mod fake_http;
pub mod http;
pub mod loose;
mod outlet;
mod peers;
mod raw;
mod secret;
mod standing;
#[cfg(test)]
pub(crate) mod testing;
pub mod tls;

pub use allow::Allow;
pub use backoff::Backoff;
pub use outlet::{Inlet, Outlet};
pub use peers::Peers;
pub use raw::{RawInstance, RawService};
pub use secret::{Error as SecretError, SecretFile};
pub use standing::Standing;
