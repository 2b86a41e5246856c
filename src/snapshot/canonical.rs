//! Equal meaning, equal bytes.
//!
//! prost writes fields in order of number, so only maps can come out in more than one order: envoy-types keeps them in
//! `HashMap`s, whose order differs from one build of the same message to the next. [`sort_maps`] puts the entries in
//! order in the encoded bytes, where they only change places and no length changes.
//!
//! Called only for messages with a map of more than one entry: today none of ours has one (a virtual host has one when
//! two filters speak for the same route). Listeners, endpoints and secrets hold no maps at all.

use std::ops::Range;

use prost::encoding::{WireType, decode_key, decode_varint};
use prost_reflect::{Kind, MessageDescriptor};

const ANY: &str = "google.protobuf.Any";

/// Sorts the entries of every map in an encoded message, in messages inside it and in the `Any`s that the descriptor
/// pool knows. Bytes that do not parse stay as they are.
pub fn sort_maps(message: &str, bytes: &mut [u8]) {
    if let Some(descriptor) = proto::descriptor_pool().get_message_by_name(message) {
        sort(&descriptor, bytes);
    } else {
        debug_assert!(false, "no descriptor of {message}");
    }
}

/// One field as it lies in the bytes.
struct Field {
    number: u32,
    /// With key and length.
    whole: Range<usize>,
    /// What is inside, for the length-delimited; empty for all others.
    payload: Range<usize>,
}

fn sort(descriptor: &MessageDescriptor, bytes: &mut [u8]) {
    let Some(fields) = parse(bytes) else { return };
    if descriptor.full_name() == ANY {
        sort_any(descriptor, &fields, bytes);
        return;
    }
    let mut maps: Vec<(u32, Vec<Range<usize>>)> = Vec::new();
    for field in fields {
        let Some(known) = descriptor.get_field(field.number) else { continue };
        if let Kind::Message(inner) = known.kind() {
            sort(&inner, &mut bytes[field.payload]);
        }
        if known.is_map() {
            match maps.iter_mut().find(|(number, _)| *number == field.number) {
                Some((_, entries)) => entries.push(field.whole),
                None => maps.push((field.number, vec![field.whole])),
            }
        }
    }
    for (_, entries) in maps {
        sort_entries(&entries, bytes);
    }
}

fn sort_any(any: &MessageDescriptor, fields: &[Field], bytes: &mut [u8]) {
    let last = |number| fields.iter().rfind(|field| field.number == number);
    let (Some(url), Some(value)) = (last(1), last(2)) else { return };
    let name = std::str::from_utf8(&bytes[url.payload.clone()])
        .ok()
        .and_then(|url| url.rsplit('/').next())
        .and_then(|name| any.parent_pool().get_message_by_name(name));
    if let Some(inner) = name {
        sort(&inner, &mut bytes[value.payload.clone()]);
    }
}

/// prost writes the entries of one map one after the other; should something stand between them, they stay.
fn sort_entries(entries: &[Range<usize>], bytes: &mut [u8]) {
    let together = entries.windows(2).all(|pair| pair[0].end == pair[1].start);
    let ([first, .., last], true) = (entries, together) else { return };
    let mut sorted: Vec<(Vec<u8>, &[u8])> =
        entries.iter().map(|e| (entry_key(&bytes[e.clone()]), &bytes[e.clone()])).collect();
    sorted.sort();
    let joined: Vec<u8> = sorted.into_iter().flat_map(|(_, entry)| entry).copied().collect();
    bytes[first.start..last.end].copy_from_slice(&joined);
}

/// The bytes of field 1 of a map entry; empty for the default key.
fn entry_key(entry: &[u8]) -> Vec<u8> {
    let key = || {
        let outer = parse(entry)?.into_iter().next()?;
        let inside = &entry[outer.payload];
        let key = parse(inside)?.into_iter().find(|field| field.number == 1)?;
        Some(if key.payload.is_empty() {
            inside[key.whole].to_vec()
        } else {
            inside[key.payload].to_vec()
        })
    };
    key().unwrap_or_default()
}

fn parse(bytes: &[u8]) -> Option<Vec<Field>> {
    let mut fields = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        let start = bytes.len() - rest.len();
        let (number, wire) = decode_key(&mut rest).ok()?;
        let len = match wire {
            WireType::LengthDelimited => usize::try_from(decode_varint(&mut rest).ok()?).ok()?,
            WireType::Varint => {
                decode_varint(&mut rest).ok()?;
                0
            }
            WireType::ThirtyTwoBit => 4,
            WireType::SixtyFourBit => 8,
            WireType::StartGroup | WireType::EndGroup => return None,
        };
        let begin = bytes.len() - rest.len();
        rest = rest.get(len..)?;
        let payload =
            if wire == WireType::LengthDelimited { begin..begin + len } else { begin..begin };
        fields.push(Field { number, whole: start..begin + len, payload });
    }
    Some(fields)
}

#[cfg(test)]
mod tests;
