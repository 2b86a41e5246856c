//! The folder that a user edits.

use std::path::{Path, PathBuf};

use tempfile::TempDir;

pub(crate) struct Folder {
    root: TempDir,
}

impl Folder {
    pub(crate) fn new() -> Self {
        Self { root: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self) -> &Path {
        self.root.path()
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    /// As editors save: a new file is put over the old one.
    pub(crate) fn write(&self, name: &str, text: &str) {
        // Names that begin with a dot are not looked at.
        let new = self.file(&format!(".{name}.new"));
        std::fs::write(&new, text).unwrap();
        std::fs::rename(&new, self.file(name)).unwrap();
    }

    /// As a shell does: the file itself is emptied and filled.
    pub(crate) fn write_in_place(&self, name: &str, text: impl AsRef<[u8]>) {
        std::fs::write(self.file(name), text).unwrap();
    }

    pub(crate) fn remove(&self, name: &str) {
        std::fs::remove_file(self.file(name)).unwrap();
    }

    pub(crate) fn rename(&self, from: &str, to: &str) {
        std::fs::rename(self.file(from), self.file(to)).unwrap();
    }
}
