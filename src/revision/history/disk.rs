use std::path::{Path, PathBuf};
use std::sync::Arc;

use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition, TableError};

use super::{Content, Hash, Revision, Step};
use crate::store::open::{aside, database, folder};
use crate::store::seal::Seal;
use crate::store::{Damage, Error};

const FILE: &str = "history.redb";
const FORMAT: &[u8] = b"1";

const META: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("meta");
/// By number, sealed.
const REVISIONS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("revisions");
/// Of the newest revision: entry → hash.
const CONTENT: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("content");
/// By hash, compressed and sealed.
const OBJECTS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("objects");

pub(super) struct Disk {
    path: PathBuf,
    database: Option<Database>,
    seal: Seal,
}

pub(super) struct Found {
    pub(super) revisions: Vec<Revision>,
    pub(super) content: Content,
}

pub(super) fn open(
    dir: &Path,
    key_file: Option<&Path>,
) -> Result<(Disk, Found, Option<Damage>), Error> {
    let key = folder(dir, key_file)?;
    let path = dir.join(FILE);
    let attempt = || {
        let database = Some(database(&path)?);
        let disk = Disk { path: path.clone(), database, seal: Seal::new(&key) };
        let found = disk.load()?;
        Ok((disk, found))
    };
    match attempt() {
        Ok((disk, found)) => Ok((disk, found, None)),
        Err(cause @ (Error::Damaged { .. } | Error::Open { .. } | Error::Read { .. })) => {
            let moved_to = aside(&path)?;
            let (disk, found) = attempt()?;
            Ok((disk, found, Some(Damage { moved_to, cause })))
        }
        Err(error) => Err(error),
    }
}

fn hex(hash: Hash) -> String {
    format!("{hash:032x}")
}

impl Disk {
    fn reading(&self, error: impl Into<redb::Error>) -> Error {
        Error::Read { path: self.path.clone(), source: Box::new(error.into()) }
    }

    fn damaged(&self, what: &str) -> Error {
        Error::Damaged { path: self.path.clone(), what: what.into() }
    }

    fn load(&self) -> Result<Found, Error> {
        let mut found = Found { revisions: Vec::new(), content: Content::new() };
        let Some(database) = &self.database else { return Ok(found) };
        let transaction = database.begin_read().map_err(|e| self.reading(e))?;
        match transaction.open_table(META) {
            Ok(meta) => {
                let format = meta.get("format").map_err(|e| self.reading(e))?;
                if format.is_none_or(|format| format.value() != FORMAT) {
                    return Err(self.damaged("it is of another format"));
                }
            }
            Err(TableError::TableDoesNotExist(_)) => return Ok(found),
            Err(error) => return Err(self.reading(error)),
        }
        let revisions = transaction.open_table(REVISIONS).map_err(|e| self.reading(e))?;
        for row in revisions.iter().map_err(|e| self.reading(e))? {
            let (number, sealed) = row.map_err(|e| self.reading(e))?;
            let place = number.value().to_string();
            let plain = self.seal.open(&["revisions", &place], sealed.value());
            let revision = plain.and_then(|plain| serde_json::from_slice(&plain).ok());
            found.revisions.push(revision.ok_or_else(|| self.damaged("a revision does not open"))?);
        }
        let content = transaction.open_table(CONTENT).map_err(|e| self.reading(e))?;
        for row in content.iter().map_err(|e| self.reading(e))? {
            let (entry, hash) = row.map_err(|e| self.reading(e))?;
            let hash: [u8; 16] =
                hash.value().try_into().map_err(|_| self.damaged("a hash of a wrong length"))?;
            found.content.insert(Arc::from(entry.value()), Hash::from_be_bytes(hash));
        }
        Ok(found)
    }

    pub(super) fn object(&self, hash: Hash) -> Option<Vec<u8>> {
        let transaction = self.database.as_ref()?.begin_read().ok()?;
        let objects = transaction.open_table(OBJECTS).ok()?;
        let sealed = objects.get(hash.to_be_bytes().as_slice()).ok()??;
        self.seal.open(&["objects", &hex(hash)], sealed.value())
    }

    /// One commit.
    pub(super) fn write(
        &mut self,
        revisions: &[Revision],
        dropped: &[u64],
        steps: &[Step],
        objects: &[(Hash, Vec<u8>)],
        gone: &[Hash],
    ) -> Result<(), Error> {
        if self.database.is_none() {
            // redb wants the file to be opened anew after a write that failed.
            self.database = Some(database(&self.path)?);
        }
        let sealed: Vec<(u64, Vec<u8>)> = revisions
            .iter()
            .map(|revision| {
                let plain = serde_json::to_vec(revision).unwrap_or_default();
                let place = revision.number.to_string();
                Ok((revision.number, self.seal.seal(&["revisions", &place], &plain)?))
            })
            .collect::<Result<_, Error>>()?;
        let packed: Vec<([u8; 16], Vec<u8>)> = objects
            .iter()
            .map(|(hash, object)| {
                Ok((hash.to_be_bytes(), self.seal.seal(&["objects", &hex(*hash)], object)?))
            })
            .collect::<Result<_, Error>>()?;
        let Some(database) = &self.database else { return Ok(()) };
        let write = || -> Result<(), redb::Error> {
            let transaction = database.begin_write()?;
            {
                transaction.open_table(META)?.insert("format", FORMAT)?;
                let mut table = transaction.open_table(REVISIONS)?;
                for (number, sealed) in &sealed {
                    table.insert(number, sealed.as_slice())?;
                }
                for number in dropped {
                    table.remove(number)?;
                }
                let mut table = transaction.open_table(CONTENT)?;
                for step in steps {
                    match step.after {
                        Some(hash) => {
                            table.insert(&*step.entry, hash.to_be_bytes().as_slice())?;
                        }
                        None => drop(table.remove(&*step.entry)?),
                    }
                }
                let mut table = transaction.open_table(OBJECTS)?;
                for (hash, object) in &packed {
                    table.insert(hash.as_slice(), object.as_slice())?;
                }
                for hash in gone {
                    table.remove(hash.to_be_bytes().as_slice())?;
                }
            }
            Ok(transaction.commit()?)
        };
        let written = write();
        written.map_err(|error| {
            let path = self.path.clone();
            self.database = None;
            Error::Write { path, source: Box::new(error) }
        })
    }
}
