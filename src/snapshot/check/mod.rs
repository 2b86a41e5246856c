//! Lints over a snapshot: our own safety net in tests and goldens. What one of them finds is a mistake of the control
//! plane, never of the user; most would make Envoy reject the update.
//!
//! A new lint is a file here and a line in [`ALL`]. Lints read the bytes that a proxy gets, not what they were made from.

mod dangling_references;
mod duplicate_domains;
mod duplicate_filter_chains;
mod flaw;
mod long_names;
mod parsed;
#[cfg(test)]
mod tests;
mod weights;

pub use flaw::Flaw;
pub use parsed::Parsed;

use crate::Snapshot;

/// Reads the decoded snapshot and tells what is wrong.
pub type Lint = fn(&Parsed) -> Vec<Flaw>;

/// Name and function of each lint, in order of name.
pub const ALL: &[(&str, Lint)] = &[
    ("dangling-references", dangling_references::check),
    ("duplicate-domains", duplicate_domains::check),
    ("duplicate-filter-chains", duplicate_filter_chains::check),
    ("long-names", long_names::check),
    ("weights", weights::check),
];

/// Everything that any lint finds.
#[must_use]
pub fn all(snapshot: &Snapshot) -> Vec<Flaw> {
    let (parsed, mut flaws) = Parsed::new(snapshot);
    flaws.extend(ALL.iter().flat_map(|(_, check)| check(&parsed)));
    flaws
}
