//! # policy: what policies of the mesh come to
//!
//! ```text
//! View + a workload, a Gateway or a route ──attach──► policies that reach it ──peer, access──► MtlsMode, ir::Access, findings
//! ```
//!
//! `attach` says which policies are for something, the same for all kinds; each kind has a folder that makes one of several.
//! It must never know how listeners and routes are laid out, do I/O, or fail.

mod access;
mod attach;
mod peer;
#[cfg(test)]
mod testing;

pub use access::{Around, Judged, of_gateway, of_port};
pub use attach::{Member, Workload, reaches_nothing, targets};
pub use peer::{mode, ports};
