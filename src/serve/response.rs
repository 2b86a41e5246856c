//! A response as a list of references: a small head of its own, and bytes that all streams share.

use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use prost::encoding::{WireType, encode_key, encode_varint, encoded_len_varint};
use snapshot::{Framing, Resource, ResourceSet, ResourceType, Version};

use crate::{Form, Nonce, missing};

/// What to send next. On the wire: [`Response::head`], then [`Response::part`] of each resource. The order of fields
/// in a protobuf message is free.
#[derive(Clone, Debug)]
pub struct Response {
    pub form: Form,
    pub kind: ResourceType,
    pub nonce: Nonce,
    /// Of the whole set that the client has once it took this response.
    pub version: Version,
    pub resources: Vec<Arc<Resource>>,
    /// Delta only: names that are gone or never existed.
    pub removed: Vec<Arc<str>>,
    /// State of the world only: names that the client asked for and that do not exist (rule 70).
    pub missing: Vec<Arc<str>>,
    /// Whether the client is told how long it may keep a resource (rule 61).
    pub ttls: bool,
    /// The bytes of all `resources`, if they are a whole set and so joined already.
    pub(crate) joined: Option<Arc<[Bytes]>>,
}

impl Response {
    /// Bytes that belong to this stream alone: versions, nonce, removals, the name of this server (rule 9).
    #[must_use]
    pub fn head(&self, control_plane: &str) -> Bytes {
        let url = self.kind.url();
        let removed: usize = self.removed.iter().map(|n| n.len() + 6).sum();
        let missing: usize = self.missing.iter().map(|name| missing::field_len(name)).sum();
        let mut head =
            BytesMut::with_capacity(64 + url.len() + control_plane.len() + removed + missing);
        let (nonce, identity) = match self.form {
            Form::Sotw => (5, 6),
            Form::Delta => (5, 7),
        };
        put(1, &self.version.text(), &mut head);
        put(4, url.as_bytes(), &mut head);
        put(nonce, &self.nonce.text(), &mut head);
        for name in &self.removed {
            put(6, name.as_bytes(), &mut head);
        }
        for name in &self.missing {
            missing::put(name, &mut head);
        }
        if !control_plane.is_empty() {
            let len = 1 + encoded_len_varint(control_plane.len() as u64) + control_plane.len();
            encode_key(identity, WireType::LengthDelimited, &mut head);
            encode_varint(len as u64, &mut head);
            put(1, control_plane.as_bytes(), &mut head);
        }
        head.freeze()
    }

    /// The shared bytes of one resource, key and length included.
    #[must_use]
    pub fn part<'a>(&self, resource: &'a Resource) -> &'a Bytes {
        framing(self.form, self.ttls).of(resource)
    }

    /// Bytes of all parts.
    #[must_use]
    pub fn parts_len(&self) -> usize {
        self.resources.iter().map(|r| self.part(r).len()).sum()
    }
}

fn framing(form: Form, ttls: bool) -> Framing {
    match (form, ttls) {
        (Form::Sotw, false) => Framing::Sotw,
        (Form::Sotw, true) => Framing::SotwWithTtl,
        (Form::Delta, false) => Framing::DeltaWithoutTtl,
        (Form::Delta, true) => Framing::Delta,
    }
}

/// The parts of a response that holds all of a set, joined once for all streams; `None` for any other.
pub(crate) fn joined(
    form: Form,
    ttls: bool,
    resources: &[Arc<Resource>],
    set: &ResourceSet,
) -> Option<Arc<[Bytes]>> {
    let all = resources.len() > 1
        && resources.len() == set.len()
        && resources.iter().zip(set.iter()).all(|(a, b)| Arc::ptr_eq(a, b));
    all.then(|| set.joined(framing(form, ttls)))
}

pub(crate) fn put(field: u32, bytes: &[u8], buf: &mut BytesMut) {
    encode_key(field, WireType::LengthDelimited, buf);
    encode_varint(bytes.len() as u64, buf);
    buf.put_slice(bytes);
}
