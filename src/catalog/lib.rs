//! # catalog: all that the sources said, merged into one immutable picture
//!
//! ```text
//! sources ──Batch(Change…)──► Merger ──► Catalog (immutable, counted) + changed Keys ──View──► compile
//!                              └─ guard/  what registries say → what of it is served
//! ```
//!
//! In: batches of changes; one batch is one atomic step. Out: a [`Catalog`] that shares everything unchanged with the one
//! before, and the exact [`Key`]s whose answers changed. Whoever compiles reads through a [`View`], which records what was
//! read, so that the set of things to compile again is exact by construction.
//! It must never know which registries exist, do I/O or read a clock.

mod catalog;
mod guard;
mod import;
mod ingress;
mod merge;
mod now;
mod pattern;
mod questions;
mod references;
mod view;
mod wanted;

#[cfg(test)]
mod tests;

pub use catalog::{Catalog, Key, SourceState};
pub use guard::{
    Counts, Event, HeldView, InstanceView, RegistryView, Seed, ServedService, ServiceView, State,
    What, settle_time,
};
pub use import::is_import;
pub use ingress::INGRESS_CONTROLLER;
pub use merge::{Applied, Merger};
pub use now::Now;
pub use references::is_fetched_by_name;
pub use view::View;
