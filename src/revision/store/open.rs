use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use redb::{Database, DatabaseError, ReadableDatabase, TableError};

use super::key::Key;
use super::load;
use super::seal::Seal;
use super::tables::{CHECK_PLACE, CHECK_WORD, FORMAT, META, META_CHECK, META_FORMAT, META_VERSION};
use super::{Damage, Error, Store};

const FILE: &str = "last-good.redb";
const KEY: &str = "key";
/// redb's default is a gigabyte. The file is read once and then written in small steps.
const CACHE: usize = 4 << 20;

/// Makes the folder where there is none; returns its key.
pub(crate) fn folder(dir: &Path, key_file: Option<&Path>) -> Result<Key, Error> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .map_err(|source| Error::Folder { path: dir.to_path_buf(), source })?;
    match key_file {
        Some(path) => Key::given(path),
        None => Key::own(&dir.join(KEY)),
    }
}

pub(super) fn open(dir: &Path, key_file: Option<&Path>) -> Result<(Store, Option<Damage>), Error> {
    let key = folder(dir, key_file)?;
    let path = dir.join(FILE);
    // What a damaged file does to the library that reads it is not known in advance: a panic is damage too.
    let cause = match catch_unwind(AssertUnwindSafe(|| attempt(&path, &key))) {
        Ok(Ok(store)) => return Ok((store, None)),
        Ok(Err(error)) if !is_damage(&error) => return Err(error),
        Ok(Err(error)) => error,
        Err(_) => Error::Damaged { path: path.clone(), what: "reading it hit a bug".into() },
    };
    let moved_to = aside(&path)?;
    Ok((attempt(&path, &key)?, Some(Damage { moved_to, cause })))
}

/// Opens the file and reads all of it.
fn attempt(path: &Path, key: &Key) -> Result<Store, Error> {
    let mut store =
        Store { path: path.to_path_buf(), database: Some(database(path)?), seal: Seal::new(key) };
    store.prepare()?;
    let database = store.database.as_mut().expect("opened above");
    match database.check_integrity() {
        Ok(true) => {}
        // It is whole again at an older state, and what is missing is not known.
        Ok(false) => tracing::warn!(file = %path.display(), "the last good state was repaired"),
        Err(error) => return Err(opening(path, error)),
    }
    load::load(&mut store)?;
    Ok(store)
}

pub(crate) fn database(path: &Path) -> Result<Database, Error> {
    let failed = |source: io::Error| opening(path, source.into());
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .map_err(failed)?;
    sync_folder(path);
    Database::builder()
        .set_cache_size(CACHE)
        .create_file(file)
        .map_err(|error| opening(path, error))
}

impl Store {
    /// Checks format and key, or writes them into a file that is new.
    fn prepare(&self) -> Result<(), Error> {
        let database = self.database.as_ref().expect("called after opening");
        let read = |error| self.reading(error);
        let transaction = database.begin_read().map_err(|e| read(e.into()))?;
        match transaction.open_table(META) {
            Ok(meta) => {
                let format = meta.get(META_FORMAT).map_err(|e| read(e.into()))?;
                let format = format.and_then(|value| value.value().try_into().ok());
                match format.map(u64::from_le_bytes) {
                    Some(FORMAT) => {}
                    Some(found) => return Err(Error::Format { path: self.path.clone(), found }),
                    None => return Err(self.damaged("it names no format")),
                }
                let check = meta.get(META_CHECK).map_err(|e| read(e.into()))?;
                let opens = check.is_some_and(|sealed| {
                    self.seal.open(&CHECK_PLACE, sealed.value()).as_deref() == Some(CHECK_WORD)
                });
                if opens { Ok(()) } else { Err(Error::WrongKey { path: self.path.clone() }) }
            }
            Err(TableError::TableDoesNotExist(_)) => {
                drop(transaction);
                self.found(database)
            }
            Err(error) => Err(read(error.into())),
        }
    }

    fn found(&self, database: &Database) -> Result<(), Error> {
        let check = self.seal.seal(&CHECK_PLACE, CHECK_WORD)?;
        let write = || -> Result<(), redb::Error> {
            let transaction = database.begin_write()?;
            {
                let mut meta = transaction.open_table(META)?;
                meta.insert(META_FORMAT, FORMAT.to_le_bytes().as_slice())?;
                meta.insert(META_VERSION, env!("CARGO_PKG_VERSION").as_bytes())?;
                meta.insert(META_CHECK, check.as_slice())?;
                transaction.open_table(super::tables::DOCUMENTS)?;
                transaction.open_table(super::tables::RESOURCES)?;
                transaction.open_table(super::tables::SERVICES)?;
            }
            Ok(transaction.commit()?)
        };
        write().map_err(|error| self.writing(error))
    }

    pub(super) fn reading(&self, error: redb::Error) -> Error {
        Error::Read { path: self.path.clone(), source: Box::new(error) }
    }

    pub(super) fn writing(&self, error: redb::Error) -> Error {
        Error::Write { path: self.path.clone(), source: Box::new(error) }
    }

    pub(super) fn damaged(&self, what: impl Into<String>) -> Error {
        Error::Damaged { path: self.path.clone(), what: what.into() }
    }
}

fn opening(path: &Path, error: DatabaseError) -> Error {
    let path = path.to_path_buf();
    match error {
        DatabaseError::DatabaseAlreadyOpen => Error::InUse { path },
        other => Error::Open { path, source: Box::new(other.into()) },
    }
}

/// Whether the file itself is at fault, so that another file would do.
fn is_damage(error: &Error) -> bool {
    match error {
        Error::Format { .. } | Error::WrongKey { .. } | Error::Damaged { .. } => true,
        Error::Open { source, .. } | Error::Read { source, .. } => match source.as_ref() {
            // redb's words for a file that is not one of its own, or shorter than it says.
            redb::Error::Io(error) => {
                matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof)
            }
            _ => true,
        },
        Error::Folder { .. }
        | Error::Key { .. }
        | Error::KeyLength { .. }
        | Error::File { .. }
        | Error::Random
        | Error::InUse { .. }
        | Error::Write { .. }
        | Error::Move { .. } => false,
    }
}

/// Moves a file out of the way, to the first name that is free.
pub(crate) fn aside(path: &Path) -> Result<PathBuf, Error> {
    let failed = |source| Error::Move { path: path.to_path_buf(), source };
    let mut number = 1;
    loop {
        let mut name = path.as_os_str().to_os_string();
        name.push(format!(".damaged-{number}"));
        let moved = PathBuf::from(name);
        if fs::symlink_metadata(&moved).is_err() {
            fs::rename(path, &moved).map_err(failed)?;
            sync_folder(path);
            return Ok(moved);
        }
        number += 1;
    }
}

/// Makes the entry of a new or moved file durable. Not all file systems can; the file itself is fsynced in any case.
pub(super) fn sync_folder(path: &Path) {
    if let Some(folder) = path.parent() {
        let _ = File::open(folder).and_then(|folder| folder.sync_all());
    }
}
