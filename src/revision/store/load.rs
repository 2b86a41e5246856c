use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use redb::{ReadableDatabase, ReadableTable};
use snapshot::Snapshot;

use super::tables::{
    DOCUMENTS, ISSUER_PLACE, META, META_ISSUER, META_WRITTEN, RESOURCES, document_place, is_kind,
    resource_place, resource_type,
};
use super::{Error, LastGood, Store, StoredDocument, record, services};

pub(super) fn load(store: &mut Store) -> Result<LastGood, Error> {
    store.reopen()?;
    let store = &*store;
    let database = store.database.as_ref().expect("reopened above");
    let read = |error| store.reading(error);
    let transaction = database.begin_read().map_err(|e| read(e.into()))?;

    let meta = transaction.open_table(META).map_err(|e| read(e.into()))?;
    let written = meta.get(META_WRITTEN).map_err(|e| read(e.into()))?;
    let written =
        written.and_then(|value| value.value().try_into().ok()).map_or(0, u64::from_le_bytes);

    let token_issuer = match meta.get(META_ISSUER).map_err(|e| read(e.into()))? {
        None => None,
        Some(sealed) => {
            let plain = store.seal.open(&ISSUER_PLACE, sealed.value());
            let text = plain.and_then(|plain| String::from_utf8(plain).ok());
            Some(text.ok_or_else(|| store.damaged("the issuer of tokens does not open"))?.into())
        }
    };

    let mut documents = Vec::new();
    let table = transaction.open_table(DOCUMENTS).map_err(|e| read(e.into()))?;
    for row in table.iter().map_err(|e| read(e.into()))? {
        let (key, value) = row.map_err(|e| read(e.into()))?;
        let row = key.value();
        let plain = store.seal.open(&document_place(row), value.value());
        let parts = plain.as_deref().and_then(record::read_document).filter(|_| is_kind(row.1));
        let Some((file, document)) = parts else {
            let (source, kind, namespace, name) = row;
            let what = format!("{kind} {namespace}/{name} of {source} does not open");
            return Err(store.damaged(what));
        };
        documents.push(StoredDocument { source: row.0.into(), file, document });
    }

    let services = services::load(store, &transaction)?;

    let mut snapshots: BTreeMap<Arc<str>, Snapshot> = BTreeMap::new();
    let mut moved = 0_usize;
    let table = transaction.open_table(RESOURCES).map_err(|e| read(e.into()))?;
    for row in table.iter().map_err(|e| read(e.into()))? {
        let (key, value) = row.map_err(|e| read(e.into()))?;
        let row = key.value();
        let (group, short, name) = row;
        let plain = store.seal.open(&resource_place(row), value.value());
        let parts = plain
            .as_deref()
            .zip(resource_type(short))
            .and_then(|(plain, kind)| record::read_resource(kind, name, plain));
        let Some((resource, version)) = parts else {
            let what = format!("{short} {name} of {group} does not open");
            return Err(store.damaged(what));
        };
        moved += usize::from(resource.version() != version);
        if let Some(snapshot) = snapshots.get_mut(group) {
            snapshot.insert(resource);
        } else {
            let mut snapshot = Snapshot::default();
            snapshot.insert(resource);
            snapshots.insert(group.into(), snapshot);
        }
    }
    if moved > 0 {
        // After an upgrade that hashes otherwise: proxies get these once more, and lose nothing.
        tracing::warn!(
            resources = moved,
            "stored resources have other versions than when they were stored"
        );
    }
    let written = UNIX_EPOCH + Duration::from_millis(written);
    Ok(LastGood { written, documents, services, snapshots, token_issuer })
}
