use std::time::{SystemTime, UNIX_EPOCH};

use redb::{Database, Table};
use snapshot::{Resource, ResourceType, SetChange, Snapshot};

use super::open::database;
use super::tables::{
    DOCUMENTS, ISSUER_PLACE, META, META_ISSUER, META_VERSION, META_WRITTEN, RESOURCES, ResourceRow,
    document_place, document_row, resource_place,
};
use super::{Commit, DocumentChange, Error, SnapshotChange, Store, record, services};

pub(super) fn commit(store: &mut Store, commit: Commit<'_>, now: SystemTime) -> Result<(), Error> {
    store.reopen()?;
    let database = store.database.as_ref().expect("reopened above");
    let result = store.write(database, commit, now);
    if matches!(result, Err(Error::Write { .. })) {
        // After a failed write redb refuses everything until the file is opened anew.
        store.database = None;
    }
    result
}

impl Store {
    pub(super) fn reopen(&mut self) -> Result<(), Error> {
        if self.database.is_none() {
            self.database = Some(database(&self.path)?);
        }
        Ok(())
    }

    fn write(&self, database: &Database, commit: Commit<'_>, now: SystemTime) -> Result<(), Error> {
        let failed = |error| self.writing(error);
        let transaction = database.begin_write().map_err(|e| failed(e.into()))?;
        {
            let mut table = transaction.open_table(DOCUMENTS).map_err(|e| failed(e.into()))?;
            for change in commit.documents {
                match change {
                    DocumentChange::Put { key, document } => {
                        let row = document_row(&document.source, key);
                        let plain = record::document(&document.file, &document.document);
                        let sealed = self.seal.seal(&document_place(row), &plain)?;
                        table.insert(row, sealed.as_slice()).map_err(|e| failed(e.into()))?;
                    }
                    DocumentChange::Delete { source, key } => {
                        table.remove(document_row(source, key)).map_err(|e| failed(e.into()))?;
                    }
                }
            }
            services::write(self, &transaction, commit.services)?;
            let mut table = transaction.open_table(RESOURCES).map_err(|e| failed(e.into()))?;
            for change in commit.snapshots {
                self.write_snapshot(&mut table, change)?;
            }
            let mut meta = transaction.open_table(META).map_err(|e| failed(e.into()))?;
            if let Some(issuer) = commit.token_issuer {
                let sealed = self.seal.seal(&ISSUER_PLACE, issuer.as_bytes())?;
                meta.insert(META_ISSUER, sealed.as_slice()).map_err(|e| failed(e.into()))?;
            }
            let age = now.duration_since(UNIX_EPOCH).unwrap_or_default();
            let millis = u64::try_from(age.as_millis()).unwrap_or(u64::MAX).to_le_bytes();
            meta.insert(META_WRITTEN, millis.as_slice()).map_err(|e| failed(e.into()))?;
            meta.insert(META_VERSION, env!("CARGO_PKG_VERSION").as_bytes())
                .map_err(|e| failed(e.into()))?;
        }
        transaction.commit().map_err(|e| failed(e.into()))
    }

    fn write_snapshot(
        &self,
        table: &mut Table<'_, ResourceRow, &'static [u8]>,
        change: &SnapshotChange<'_>,
    ) -> Result<(), Error> {
        let SnapshotChange { group, previous, now } = *change;
        let empty = Snapshot::default();
        if previous.is_none() || now.is_none() {
            // A group's name followed by a zero byte is the least name that is greater: the range is the group.
            let end = format!("{group}\0");
            table
                .retain_in((group, "", "")..(end.as_str(), "", ""), |_, _| false)
                .map_err(|e| self.writing(e.into()))?;
        }
        let (Some(now), previous) = (now, previous.unwrap_or(&empty)) else { return Ok(()) };
        for kind in ResourceType::ALL {
            let (old, new) = (previous.set(kind), now.set(kind));
            if old.ptr_eq(new) {
                continue;
            }
            for change in old.diff(new) {
                match change {
                    SetChange::Upsert(resource) => self.put(table, group, resource)?,
                    SetChange::Remove(resource) => {
                        let row = (group, kind.short(), resource.name().as_ref());
                        table.remove(row).map_err(|e| self.writing(e.into()))?;
                    }
                }
            }
        }
        Ok(())
    }

    fn put(
        &self,
        table: &mut Table<'_, ResourceRow, &'static [u8]>,
        group: &str,
        resource: &Resource,
    ) -> Result<(), Error> {
        let row = (group, resource.kind().short(), resource.name().as_ref());
        let sealed = self.seal.seal(&resource_place(row), &record::resource(resource))?;
        table.insert(row, sealed.as_slice()).map_err(|e| self.writing(e.into()))?;
        Ok(())
    }
}
