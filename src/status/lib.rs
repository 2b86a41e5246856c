//! # status: what the compiler found out, written back into the objects
//!
//! ```text
//! compile ──ObjectStatus──► desired ──differs from what is written?──► server-side apply (leader only)
//! ```
//!
//! It must never feed anything back into what is compiled.

mod apply;
mod bucket;
mod json;
pub mod lease;
mod merge;
mod programmed;
pub mod replicas;
mod table;
mod writer;

#[cfg(test)]
mod fake;
#[cfg(test)]
mod tests;

pub use json::render;
pub use programmed::{Waiting, hold_back};
pub use table::Table;
pub use writer::{Computed, Statuses, Told, Trouble, TroubleKind, Writer};
