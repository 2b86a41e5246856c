//! How values look before they are sealed: parts with their lengths in front, the largest part last and without one.

use std::sync::Arc;

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

/// `version | number of references | (type, name)… | body`
pub(super) fn resource(resource: &Resource) -> Vec<u8> {
    let mut out = Vec::with_capacity(12 + resource.body().len() + resource.refs().len() * 32);
    out.extend_from_slice(&resource.version().0.to_le_bytes());
    out.extend_from_slice(&(resource.refs().len() as u32).to_le_bytes());
    for to in resource.refs() {
        put(&mut out, to.kind.short().as_bytes());
        put(&mut out, to.name.as_bytes());
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
    let count = number(&mut rest)?;
    let mut refs = Vec::new();
    for _ in 0..count {
        let kind = resource_type(text(&mut rest)?)?;
        refs.push(ResourceKey { kind, name: text(&mut rest)?.into() });
    }
    let origin: [ObjectRef; 0] = [];
    Some((Resource::new(kind, name.into(), rest, refs, origin), version))
}

fn put(out: &mut Vec<u8>, part: &[u8]) {
    out.extend_from_slice(&(part.len() as u32).to_le_bytes());
    out.extend_from_slice(part);
}

fn take<'a, const N: usize>(rest: &mut &'a [u8]) -> Option<&'a [u8; N]> {
    let (part, tail) = rest.split_first_chunk::<N>()?;
    *rest = tail;
    Some(part)
}

fn number(rest: &mut &[u8]) -> Option<u32> {
    Some(u32::from_le_bytes(*take::<4>(rest)?))
}

fn text<'a>(rest: &mut &'a [u8]) -> Option<&'a str> {
    let length = number(rest)? as usize;
    let (part, tail) = rest.split_at_checked(length)?;
    *rest = tail;
    std::str::from_utf8(part).ok()
}
