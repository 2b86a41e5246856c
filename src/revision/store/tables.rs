use model::{Kind, ObjectKey, RegistryServiceId};
use redb::TableDefinition;
use snapshot::ResourceType;

/// Counts up when older files cannot be read any more.
pub(super) const FORMAT: u64 = 2;

/// Source, kind, namespace, name.
pub(super) type DocumentKey = (&'static str, &'static str, &'static str, &'static str);
/// Node group, type (CDS, EDS and so on), resource name.
pub(super) type ResourceRow = (&'static str, &'static str, &'static str);

pub(super) const DOCUMENTS: TableDefinition<'_, DocumentKey, &[u8]> =
    TableDefinition::new("documents");
/// Registry, group, name of a service.
pub(super) type ServiceRow = (&'static str, &'static str, &'static str);
pub(super) const SERVICES: TableDefinition<'_, ServiceRow, &[u8]> =
    TableDefinition::new("registry_services");
pub(super) const RESOURCES: TableDefinition<'_, ResourceRow, &[u8]> =
    TableDefinition::new("resources");
pub(super) const META: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("meta");

/// A number in eight bytes, little-endian.
pub(super) const META_FORMAT: &str = "format";
/// Milliseconds since the epoch, likewise.
pub(super) const META_WRITTEN: &str = "written";
/// The version of Isthmus that wrote last, for whoever looks at a file.
pub(super) const META_VERSION: &str = "isthmus";
/// A sealed word: opens with the right key, also where nothing else is stored.
pub(super) const META_CHECK: &str = "check";
pub(super) const CHECK_PLACE: [&str; 2] = ["meta", META_CHECK];
pub(super) const CHECK_WORD: &[u8] = b"isthmus";

/// Sealed, because whoever could write it could let himself in.
pub(super) const META_ISSUER: &str = "token_issuer";
pub(super) const ISSUER_PLACE: [&str; 2] = ["meta", META_ISSUER];

pub(super) fn document_row<'a>(
    source: &'a str,
    key: &'a ObjectKey,
) -> (&'a str, &'a str, &'a str, &'a str) {
    (source, key.kind.as_str(), &key.name.namespace, &key.name.name)
}

pub(super) fn document_place<'a>(row: (&'a str, &'a str, &'a str, &'a str)) -> [&'a str; 5] {
    ["documents", row.0, row.1, row.2, row.3]
}

pub(super) fn service_row(id: &RegistryServiceId) -> (&str, &str, &str) {
    (&id.registry, &id.group, &id.name)
}

pub(super) fn service_place<'a>(row: (&'a str, &'a str, &'a str)) -> [&'a str; 4] {
    ["services", row.0, row.1, row.2]
}

pub(super) fn resource_place<'a>(row: (&'a str, &'a str, &'a str)) -> [&'a str; 4] {
    ["resources", row.0, row.1, row.2]
}

pub(super) fn is_kind(name: &str) -> bool {
    Kind::ALL.into_iter().any(|kind| kind.as_str() == name)
}

pub(super) fn resource_type(short: &str) -> Option<ResourceType> {
    ResourceType::ALL.into_iter().find(|kind| kind.short() == short)
}
