//! # status: what the compiler found out, written back into the objects
//!
//! ```text
//! compile ──ObjectStatus──► desired ──differs from what is written?──► server-side apply (leader only)
//! ```
//!
//! It must never feed anything back into what is compiled.

mod json;

pub use json::render;
