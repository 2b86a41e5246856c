use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use super::Error;
use super::open::{aside, folder, sync_folder};
use super::seal::Seal;

/// A small file in the state folder that is sealed as the last good state is, and with the same key.
pub struct SealedFile {
    path: PathBuf,
    name: String,
    seal: Seal,
}

impl SealedFile {
    /// Makes folder and key where there are none, as [`super::Store::open`] does. Reads nothing yet.
    ///
    /// # Errors
    /// If they cannot be made or read.
    pub fn new(dir: &Path, key_file: Option<&Path>, name: &str) -> Result<Self, Error> {
        let key = folder(dir, key_file)?;
        Ok(Self { path: dir.join(name), name: name.to_owned(), seal: Seal::new(&key) })
    }

    /// What was written last; `None` if nothing was.
    ///
    /// # Errors
    /// If the file is there and cannot be read or opened with the key.
    pub fn read(&self) -> Result<Option<Vec<u8>>, Error> {
        let sealed = match fs::read(&self.path) {
            Ok(sealed) => sealed,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(Error::File { path: self.path.clone(), source }),
        };
        match self.seal.open(&["file", &self.name], &sealed) {
            Some(plain) => Ok(Some(plain)),
            None => Err(Error::WrongKey { path: self.path.clone() }),
        }
    }

    /// Replaces what is there, at once and durably: after a crash the file is the old or the new one.
    ///
    /// # Errors
    /// If that is not possible. What was there stays.
    pub fn write(&self, plain: &[u8]) -> Result<(), Error> {
        let sealed = self.seal.seal(&["file", &self.name], plain)?;
        let failed = |source| Error::File { path: self.path.clone(), source };
        let draft = self.path.with_extension(format!("new-{}", std::process::id()));
        let _ = fs::remove_file(&draft);
        let written = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft);
        let written = written
            .and_then(|mut file| file.write_all(&sealed).and_then(|()| file.sync_all()))
            .and_then(|()| fs::rename(&draft, &self.path));
        if let Err(error) = written {
            let _ = fs::remove_file(&draft);
            return Err(failed(error));
        }
        sync_folder(&self.path);
        Ok(())
    }

    /// Moves a file that cannot be used out of the way, so that another can be written; returns where it is.
    ///
    /// # Errors
    /// If that is not possible.
    pub fn aside(&self) -> Result<PathBuf, Error> {
        aside(&self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn what_is_written_is_read_again_and_nobody_else_reads_it() {
        let dir = tempfile::tempdir().unwrap();
        let open = |key: Option<&Path>| SealedFile::new(dir.path(), key, "ca").unwrap();
        assert_eq!(open(None).read().unwrap(), None);
        open(None).write(b"a secret").unwrap();
        open(None).write(b"another secret").unwrap();
        assert_eq!(open(None).read().unwrap().unwrap(), b"another secret");
        let path = dir.path().join("ca");
        let bytes = fs::read(&path).unwrap();
        assert!(!bytes.windows(6).any(|part| part == b"secret"));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let key = dir.path().join("other-key");
        assert!(matches!(open(Some(&key)).read(), Err(Error::WrongKey { .. })));
        // Moved under another name, it does not open either.
        fs::rename(&path, dir.path().join("cb")).unwrap();
        let moved = SealedFile::new(dir.path(), None, "cb").unwrap();
        assert!(moved.read().is_err());
        moved.aside().unwrap();
        assert_eq!(moved.read().unwrap(), None);
    }
}
