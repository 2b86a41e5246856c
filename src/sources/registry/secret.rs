use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

/// Larger than any password, token or key; a mistaken path must not fill the memory.
const MAX_SIZE: u64 = 64 * 1024;

/// A secret in a file. Read anew at every use, so that a rotated one counts from the next login on: uses are rare and the
/// file is small. The content never shows in `Debug` or an error.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretFile(PathBuf);

impl SecretFile {
    #[must_use]
    pub fn new(path: PathBuf) -> Self {
        Self(path)
    }

    /// The text without the white space around it.
    ///
    /// # Errors
    /// Where the file cannot be read, is no text, is empty or too large.
    pub async fn read(&self) -> Result<Arc<str>, Error> {
        let fail = |source| Error { path: self.0.clone(), source };
        let size = tokio::fs::metadata(&self.0).await.map_err(fail)?.len();
        if size > MAX_SIZE {
            return Err(fail(io::Error::new(io::ErrorKind::FileTooLarge, "larger than 64 KiB")));
        }
        let bytes = tokio::fs::read(&self.0).await.map_err(fail)?;
        let text = std::str::from_utf8(&bytes)
            .map_err(|_| fail(io::Error::new(io::ErrorKind::InvalidData, "not UTF-8")))?;
        match text.trim() {
            "" => Err(fail(io::Error::new(io::ErrorKind::InvalidData, "empty"))),
            text => Ok(text.into()),
        }
    }
}

impl fmt::Debug for SecretFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretFile({})", self.0.display())
    }
}

#[derive(Debug, thiserror::Error)]
#[error("reading the secret file {}", path.display())]
pub struct Error {
    path: PathBuf,
    source: io::Error,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_rotated_secret_counts_at_once_and_a_bad_file_is_told_without_its_content() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("password");
        let secret = SecretFile::new(path.clone());
        assert!(secret.read().await.is_err());
        std::fs::write(&path, "one\n").unwrap();
        assert_eq!(&*secret.read().await.unwrap(), "one");
        std::fs::write(&path, "two").unwrap();
        assert_eq!(&*secret.read().await.unwrap(), "two");
        std::fs::write(&path, b"hidden\xff").unwrap();
        let error = secret.read().await.unwrap_err();
        assert!(!format!("{error:?}").contains("hidden"));
    }
}
