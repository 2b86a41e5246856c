//! The last good state on disk. All calls block: they belong on a thread of their own.

mod key;
mod load;
pub(crate) mod open;
mod record;
pub(crate) mod seal;
mod sealed;
mod services;
mod tables;
mod write;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use model::{Instance, ObjectKey, RegistryServiceId};
use redb::Database;
use snapshot::Snapshot;

use seal::Seal;
pub use sealed::SealedFile;

/// The file of the last good state, open for this process alone.
pub struct Store {
    path: PathBuf,
    /// `None` after a failed write: redb wants the file to be opened anew.
    database: Option<Database>,
    seal: Seal,
}

/// What was stored last. Empty, and written at the epoch, where nothing was stored yet.
#[derive(Debug)]
pub struct LastGood {
    pub written: SystemTime,
    /// In order of source, kind, namespace, name.
    pub documents: Vec<StoredDocument>,
    /// Services of registries as they were served, in order of registry, group, name.
    pub services: Vec<StoredService>,
    /// By node group.
    pub snapshots: BTreeMap<Arc<str>, Snapshot>,
    /// Who signs the tokens of ServiceAccounts, in whoever stored it's own form.
    pub token_issuer: Option<Arc<str>>,
}

impl LastGood {
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.documents.is_empty() && self.services.is_empty() && self.snapshots.is_empty()
    }
}

#[derive(Clone, PartialEq, Eq)]
pub struct StoredDocument {
    pub source: Arc<str>,
    /// The file that it came from, as the source names it; empty where there is none.
    pub file: Arc<str>,
    /// The document as compact JSON.
    pub document: Arc<str>,
}

impl std::fmt::Debug for StoredDocument {
    // Documents may hold private keys: never printed.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {} ({} B)", self.source, self.file, self.document.len())
    }
}

/// A service of a registry, as it was served.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredService {
    pub id: RegistryServiceId,
    pub instances: Vec<Arc<Instance>>,
    pub protect_threshold: f64,
}

#[derive(Clone, Debug)]
pub enum ServiceChange {
    Put(StoredService),
    Delete(RegistryServiceId),
}

#[derive(Clone, Debug)]
pub enum DocumentChange {
    Put { key: ObjectKey, document: StoredDocument },
    Delete { source: Arc<str>, key: ObjectKey },
}

/// One step from what is stored to what shall be. Its cost is that of the differences.
#[derive(Clone, Copy, Debug, Default)]
pub struct Commit<'a> {
    pub documents: &'a [DocumentChange],
    pub services: &'a [ServiceChange],
    pub snapshots: &'a [SnapshotChange<'a>],
    /// `None` leaves what is stored.
    pub token_issuer: Option<&'a str>,
}

/// A node group's snapshot. `previous` is what the last commit that succeeded stored (or `load` returned): only the
/// difference to it is written. Without `previous` the group is written whole, without `now` it is removed.
#[derive(Clone, Copy, Debug)]
pub struct SnapshotChange<'a> {
    pub group: &'a str,
    pub previous: Option<&'a Snapshot>,
    pub now: Option<&'a Snapshot>,
}

/// A file that could not be used. It was moved aside, and the store is empty.
#[derive(Debug, thiserror::Error)]
#[error("the last good state cannot be used; it was moved to {}, the start goes on without it", moved_to.display())]
pub struct Damage {
    pub moved_to: PathBuf,
    #[source]
    pub cause: Error,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot make the state folder {}", path.display())]
    Folder { path: PathBuf, source: std::io::Error },
    #[error("cannot read or make the key file {}", path.display())]
    Key { path: PathBuf, source: std::io::Error },
    #[error("the key file {} holds no key: 32 bytes, or 64 hexadecimal digits, are expected", path.display())]
    KeyLength { path: PathBuf },
    #[error("cannot read or write {}", path.display())]
    File { path: PathBuf, source: std::io::Error },
    #[error("the system gave no random bytes for a key or nonce")]
    Random,
    #[error("another process has {} open; each replica needs a state folder of its own", path.display())]
    InUse { path: PathBuf },
    #[error("cannot open {}", path.display())]
    Open { path: PathBuf, source: Box<redb::Error> },
    #[error("cannot read {}", path.display())]
    Read { path: PathBuf, source: Box<redb::Error> },
    #[error("cannot write {}", path.display())]
    Write { path: PathBuf, source: Box<redb::Error> },
    #[error("cannot move {} aside", path.display())]
    Move { path: PathBuf, source: std::io::Error },
    #[error("{} was written in format {found}, this version reads {}", path.display(), tables::FORMAT)]
    Format { path: PathBuf, found: u64 },
    #[error("{} was sealed with another key", path.display())]
    WrongKey { path: PathBuf },
    #[error("{} is damaged: {what}", path.display())]
    Damaged { path: PathBuf, what: String },
}

impl Store {
    /// Opens the store in `dir`, which is made if needed, and checks all of it. The key is read from `key_file`, or
    /// from `key` in `dir`; it is made if there is none.
    ///
    /// A file that cannot be used (corrupt, sealed with another key, of another format) does not fail: it is moved aside
    /// and returned as [`Damage`], and the store starts empty.
    ///
    /// # Errors
    /// If the folder, the key or a new file cannot be made, or another process holds the store. The caller can go on
    /// without a store.
    pub fn open(dir: &Path, key_file: Option<&Path>) -> Result<(Self, Option<Damage>), Error> {
        open::open(dir, key_file)
    }

    /// All that is stored.
    ///
    /// # Errors
    /// If the file cannot be read, or what it holds is damaged.
    pub fn load(&mut self) -> Result<LastGood, Error> {
        load::load(self)
    }

    /// Stores the differences in one transaction and returns when they are on disk. `now` becomes the time of the whole
    /// state, also when nothing differs.
    ///
    /// # Errors
    /// If the file cannot be written, e.g. because the disk is full. Nothing of the commit is stored then; the next one
    /// has to start from the same `previous`, and may succeed.
    pub fn commit(&mut self, commit: Commit<'_>, now: SystemTime) -> Result<(), Error> {
        write::commit(self, commit, now)
    }
}
