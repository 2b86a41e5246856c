//! # file: a folder of YAML and JSON, or one file
//!
//! ```text
//! notify ──► Inbox ──► Disk ──────────────► Folder ──► Batch
//! events     merged    stat, read, list     pure:      one per burst,
//!            settled   (one file per event) last good  only differences
//! ```
//!
//! In: `*.yaml`, `*.yml` and `*.json` below a folder, in order of path; names that begin with a dot are not looked at.
//! Out: the documents that differ, findings by file, and how fresh the view is.
//!
//! What a file says last and well is kept: a file that cannot be read, and a document that cannot be used, stand with
//! their last good version and a finding. A folder that has no document any more (empty, missing, not mounted) changes
//! nothing until there is one again, and then until whoever fills it has let it be for a moment.
//!
//! A file is read the moment it is complete: closed after writing, or renamed into place. What may be half of something
//! (written and not closed, gone and perhaps about to come back, as when vim saves) is left alone until it has been
//! quiet for [`Options::quiet`].

mod claims;
mod disk;
mod entry;
mod folder;
mod gate;
mod gauges;
mod inbox;
mod run;
mod say;
mod watch;

#[cfg(test)]
mod disk_tests;
#[cfg(test)]
mod folder_tests;
#[cfg(test)]
mod run_tests;
#[cfg(test)]
mod testing;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use kinds::{Limits, Parsed};
use model::Object;

pub use gate::{Gate, Turn};
pub use run::{Source, read};

/// Turns a file's bytes into documents: source name, file name, bytes, limits. [`kinds::parse`], or a test's own.
pub type Parse = fn(&Arc<str>, &Arc<str>, &[u8], &Limits) -> Parsed;

#[derive(Clone, Debug)]
pub struct Options {
    /// The source's name, as it stands in every reference to an object of it.
    pub name: Arc<str>,
    /// A folder or one file, as the user typed it: findings name files below it in the same way.
    pub path: PathBuf,
    pub limits: Limits,
    /// How long something that may be half done must be left alone before it is believed.
    pub quiet: Duration,
    /// How often the folder is compared as a whole, for what the operating system does not tell: network mounts, edits
    /// behind a symbolic link. Costs one `stat` a file.
    pub recheck: Duration,
    /// What the folder said last and well, from before a restart.
    pub seed: Vec<SeedFile>,
    /// For who writes into the folder from this process.
    pub gate: Gate,
}

impl Options {
    #[must_use]
    pub fn new(path: impl Into<PathBuf>, limits: Limits) -> Self {
        Self {
            name: "file".into(),
            path: path.into(),
            limits,
            quiet: Duration::from_millis(50),
            recheck: Duration::from_secs(30),
            seed: Vec::new(),
            gate: Gate::default(),
        }
    }
}

/// The last good documents of one file. `file` is the name that findings use: the folder as typed, and the path in it.
#[derive(Clone, Debug)]
pub struct SeedFile {
    pub file: Arc<str>,
    pub objects: Vec<Object>,
}
