//! How values look before they are sealed: parts with their lengths in front, the largest part last and without one.

use std::sync::Arc;
use std::time::Duration;

use model::ObjectRef;
use snapshot::{Resource, ResourceKey, Version};

use super::tables::resource_type;

/// `file | document`
pub(super) fn document(file: &str, document: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(4 + file.len() + document.len());
    put(&mut out, file.as_bytes());
    out.extend_from_slice(document.as_bytes());
    out
}

pub(super) fn read_document(bytes: &[u8]) -> Option<(Arc<str>, Arc<str>)> {
    let mut rest = bytes;
    let file = text(&mut rest)?;
    Some((file.into(), std::str::from_utf8(rest).ok()?.into()))
}

/// Stands for "for ever" where a TTL would stand.
const NO_TTL: u64 = u64::MAX;

/// `version | TTL in ns | number of references | (type, name)… | number of domains | domain… | number of aliases |
/// alias… | body`
pub(super) fn resource(resource: &Resource) -> Vec<u8> {
    let mut out = Vec::with_capacity(28 + resource.body().len() + resource.refs().len() * 32);
    out.extend_from_slice(&resource.version().0.to_le_bytes());
    let ttl = resource.ttl().and_then(|ttl| u64::try_from(ttl.as_nanos()).ok());
    out.extend_from_slice(&ttl.unwrap_or(NO_TTL).to_le_bytes());
    put_number(&mut out, resource.refs().len());
    for to in resource.refs() {
        put(&mut out, to.kind.short().as_bytes());
        put(&mut out, to.name.as_bytes());
    }
    for words in [resource.domains(), resource.aliases()] {
        put_number(&mut out, words.len());
        for word in words {
            put(&mut out, word.as_bytes());
        }
    }
    out.extend_from_slice(resource.body());
    out
}

/// The resource under this type and name, and the version that was stored with it. It is framed anew; where it came
/// from is not stored, because sources say that again before anybody asks.
pub(super) fn read_resource(
    kind: snapshot::ResourceType,
    name: &str,
    bytes: &[u8],
) -> Option<(Resource, Version)> {
    let mut rest = bytes;
    let version = Version(u64::from_le_bytes(*take::<8>(&mut rest)?));
    let ttl = u64::from_le_bytes(*take::<8>(&mut rest)?);
    let count = number(&mut rest)?;
    let mut refs = Vec::new();
    for _ in 0..count {
        let kind = resource_type(text(&mut rest)?)?;
        refs.push(ResourceKey { kind, name: text(&mut rest)?.into() });
    }
    let domains = texts(&mut rest)?;
    let aliases = texts(&mut rest)?;
    let origin: [ObjectRef; 0] = [];
    let mut resource = Resource::new(kind, name.into(), rest, refs, origin);
    if ttl != NO_TTL {
        resource = resource.with_ttl(Duration::from_nanos(ttl));
    }
    if !domains.is_empty() {
        resource = resource.with_domains(domains);
    }
    if !aliases.is_empty() {
        let aliases: Arc<[Arc<str>]> = aliases.into_iter().map(Arc::from).collect();
        resource = resource.with_aliases(aliases);
    }
    Some((resource, version))
}

pub(super) fn put_number(out: &mut Vec<u8>, number: usize) {
    out.extend_from_slice(&(number as u32).to_le_bytes());
}

pub(super) fn put(out: &mut Vec<u8>, part: &[u8]) {
    put_number(out, part.len());
    out.extend_from_slice(part);
}

pub(super) fn take<'a, const N: usize>(rest: &mut &'a [u8]) -> Option<&'a [u8; N]> {
    let (part, tail) = rest.split_first_chunk::<N>()?;
    *rest = tail;
    Some(part)
}

pub(super) fn number(rest: &mut &[u8]) -> Option<u32> {
    Some(u32::from_le_bytes(*take::<4>(rest)?))
}

pub(super) fn text<'a>(rest: &mut &'a [u8]) -> Option<&'a str> {
    let length = number(rest)? as usize;
    let (part, tail) = rest.split_at_checked(length)?;
    *rest = tail;
    std::str::from_utf8(part).ok()
}

fn texts<'a>(rest: &mut &'a [u8]) -> Option<Vec<&'a str>> {
    let count = number(rest)?;
    (0..count).map(|_| text(rest)).collect()
}
