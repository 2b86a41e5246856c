use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use ring::rand::{SecureRandom, SystemRandom};

use super::Error;
use super::open::{aside, sync_folder};

/// The key that values are sealed with.
#[derive(PartialEq, Eq)]
pub(crate) struct Key([u8; 32]);

impl From<[u8; 32]> for Key {
    fn from(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl Key {
    pub(crate) fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The user's key. A file that is not there is made, so that a first start needs no preparation; one that holds
    /// something else is an error, because the user meant something by it.
    pub(crate) fn given(path: &Path) -> Result<Self, Error> {
        match fs::read(path) {
            Ok(bytes) => {
                Self::parse(&bytes).ok_or_else(|| Error::KeyLength { path: path.to_path_buf() })
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Self::make(path),
            Err(source) => Err(Error::Key { path: path.to_path_buf(), source }),
        }
    }

    /// Our own key, made once. One that is damaged is moved aside: the store that it sealed is lost, the start is not.
    pub(crate) fn own(path: &Path) -> Result<Self, Error> {
        match Self::given(path) {
            Err(Error::KeyLength { .. }) => {
                let moved = aside(path)?;
                tracing::warn!(key = %path.display(), moved_to = %moved.display(), "the key was damaged");
                Self::make(path)
            }
            other => other,
        }
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        if let Ok(key) = bytes.try_into() {
            return Some(Self(key));
        }
        let text = std::str::from_utf8(bytes).ok()?.trim();
        if text.len() != 64 || !text.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return None;
        }
        let mut key = [0; 32];
        for (i, byte) in key.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&text[2 * i..2 * i + 2], 16).ok()?;
        }
        Some(Self(key))
    }

    fn make(path: &Path) -> Result<Self, Error> {
        let mut key = [0; 32];
        SystemRandom::new().fill(&mut key).map_err(|_| Error::Random)?;
        let failed = |source| Error::Key { path: path.to_path_buf(), source };
        // Written beside and linked into place: a crash leaves a whole key or none, and of two processes that start at
        // once one loses instead of sealing with a key that is overwritten.
        let draft = path.with_extension(format!("new-{}", std::process::id()));
        let _ = fs::remove_file(&draft);
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&draft)
            .map_err(failed)?;
        let written = file
            .write_all(&key)
            .and_then(|()| file.sync_all())
            .and_then(|()| fs::hard_link(&draft, path));
        let _ = fs::remove_file(&draft);
        written.map_err(failed)?;
        sync_folder(path);
        Ok(Self(key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_key_is_made_once_and_for_the_owner_only() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        let key = Key::own(&path).ok().unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read(&path).unwrap(), key.bytes());
        assert!(Key::own(&path).ok().unwrap() == key);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "no draft is left");
    }

    #[test]
    fn keys_are_bytes_or_digits() {
        assert!(Key::parse(&[7; 32]).unwrap() == Key([7; 32]));
        assert!(Key::parse(format!("{}\n", "0A".repeat(32)).as_bytes()).unwrap() == Key([10; 32]));
        for bad in [&b""[..], &[7; 31], &[7; 33], "zz".repeat(32).as_bytes()] {
            assert!(Key::parse(bad).is_none());
        }
    }

    #[test]
    fn a_damaged_key_is_moved_aside_unless_it_is_the_users() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        fs::write(&path, "short").unwrap();
        assert!(matches!(Key::given(&path), Err(Error::KeyLength { .. })));
        assert!(Key::own(&path).is_ok());
        assert_eq!(fs::read(dir.path().join("key.damaged-1")).unwrap(), b"short");
    }
}
