//! # snapshot: what a proxy gets, in bytes
//!
//! ```text
//! ir::Plan ──encode──► Resource (bytes once, content version, references, origin) ──► ResourceSet ──► Snapshot ──► serve
//!                                                                                                     │
//!                                                                       dump, inline, check ◄─────────┘
//! ```
//!
//! In: the plan of one node group. Out: an immutable [`Snapshot`], one [`ResourceSet`] per xDS type. [`Encoder`] makes
//! each snapshot from the last at the cost of the change; [`dump`] shows resources to people, [`static_bootstrap`] to
//! `envoy --mode validate`, and [`check`] reads them for mistakes of our own.
//! It must never know who asks for a snapshot, read a clock, do I/O or fail.

mod blame;
pub mod canonical;
pub mod check;
pub mod dump;
mod encode;
mod encoder;
mod identity;
mod inline;
mod joined;
mod resource;
mod resource_type;
mod set;
mod steps;
#[cfg(test)]
mod testing;
pub mod xdstp;

pub use blame::{quoted_routes, suspect_routes};
pub use encode::{BROKEN_REFERENCE, Reports};
pub use encoder::{Encoder, difference, encode};
pub use identity::{Identity, with_identity};
pub use inline::static_bootstrap;
pub use joined::{CHUNK, Framing, JOIN_BELOW};
pub use resource::{Resource, ResourceKey, Version};
pub use resource_type::ResourceType;
pub use set::{ResourceSet, SetChange, Snapshot};
pub use steps::Step;
