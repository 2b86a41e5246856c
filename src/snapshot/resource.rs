use std::fmt;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use model::ObjectRef;
use prost::encoding::{WireType, encode_key, encode_varint, encoded_len_varint};
use xxhash_rust::xxh3::xxh3_64;

use crate::ResourceType;

/// A resource's version: the hash of its canonical bytes. Two replicas, or one replica before and after a restart,
/// give equal content the equal version (xds-rules 13). Only ever compared for equality, and only under one name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(pub u64);

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

impl Version {
    /// Length of the text form: 64 bits in base64url, because every reconnect echoes every version.
    pub const TEXT_LEN: usize = 11;

    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(xxh3_64(bytes))
    }

    #[must_use]
    pub fn text(self) -> [u8; Self::TEXT_LEN] {
        let mut out = [0; Self::TEXT_LEN];
        let mut rest = self.0;
        for slot in out.iter_mut().rev() {
            *slot = ALPHABET[(rest & 63) as usize];
            rest >>= 6;
        }
        out
    }

    /// Reads what `text` wrote; `None` for any text that this server did not mint (xds-rules: "never trust versions
    /// you did not mint").
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() != Self::TEXT_LEN {
            return None;
        }
        let mut value: u64 = 0;
        for (i, byte) in text.bytes().enumerate() {
            let digit = ALPHABET.iter().position(|c| *c == byte)? as u64;
            if i == 0 && digit > 15 {
                return None;
            }
            value = (value << 6) | digit;
        }
        Some(Self(value))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.text();
        f.write_str(std::str::from_utf8(&text).unwrap_or_default())
    }
}

/// A reference from one resource to another by type and name, e.g. a cluster to its load assignment.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ResourceKey {
    pub kind: ResourceType,
    pub name: Arc<str>,
}

/// One xDS resource, encoded once and shared by every stream and both protocols.
///
/// `discovery.v3.Resource.resource`, `DiscoveryResponse.resources` and `DeltaDiscoveryResponse.resources` are all
/// field 2, so one buffer serves both forms:
///
/// ```text
/// delta: 12 len [0a len version] [12 len Any] [1a len name]
///                                 └────┬────┘
/// sotw:                            the same bytes
/// ```
#[derive(Clone)]
pub struct Resource {
    kind: ResourceType,
    name: Arc<str>,
    version: Version,
    delta: Bytes,
    sotw: Bytes,
    body: Bytes,
    refs: Arc<[ResourceKey]>,
    origin: Arc<[ObjectRef]>,
}

impl Resource {
    /// Frames an encoded message. `body` must be canonical: equal meaning, equal bytes (see [`crate::canonical`]).
    #[must_use]
    pub fn new(
        kind: ResourceType,
        name: Arc<str>,
        body: &[u8],
        refs: impl Into<Arc<[ResourceKey]>>,
        origin: impl Into<Arc<[ObjectRef]>>,
    ) -> Self {
        let version = Version::of(body);
        let url = kind.url();
        let any_len = field_len(url.len()) + field_len(body.len());
        let resource_len =
            field_len(Version::TEXT_LEN) + field_len(any_len) + field_len(name.len());
        let mut buf = BytesMut::with_capacity(field_len(resource_len));
        put_len(2, resource_len, &mut buf);
        put_bytes(1, &version.text(), &mut buf);
        let any_start = buf.len();
        put_len(2, any_len, &mut buf);
        put_bytes(1, url.as_bytes(), &mut buf);
        put_bytes(2, body, &mut buf);
        let any_end = buf.len();
        put_bytes(3, name.as_bytes(), &mut buf);
        let delta = buf.freeze();
        let sotw = delta.slice(any_start..any_end);
        let body = delta.slice(any_end - body.len()..any_end);
        Self { kind, name, version, delta, sotw, body, refs: refs.into(), origin: origin.into() }
    }

    #[must_use]
    pub fn kind(&self) -> ResourceType {
        self.kind
    }
    #[must_use]
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }
    #[must_use]
    pub fn version(&self) -> Version {
        self.version
    }
    /// Field 2 of a `DeltaDiscoveryResponse`, key and length included.
    #[must_use]
    pub fn delta(&self) -> &Bytes {
        &self.delta
    }
    /// Field 2 of a `DiscoveryResponse`, key and length included.
    #[must_use]
    pub fn sotw(&self) -> &Bytes {
        &self.sotw
    }
    /// The encoded message itself.
    #[must_use]
    pub fn body(&self) -> &Bytes {
        &self.body
    }
    /// Other resources that this one names. The order of sending and of removal follows from them.
    #[must_use]
    pub fn refs(&self) -> &[ResourceKey] {
        &self.refs
    }
    /// The user's documents that this resource was made from, so that a NACK can name them.
    #[must_use]
    pub fn origin(&self) -> &[ObjectRef] {
        &self.origin
    }
}

impl PartialEq for Resource {
    /// Content only: where it came from does not matter to a proxy.
    fn eq(&self, other: &Self) -> bool {
        self.version == other.version && self.name == other.name && self.refs == other.refs
    }
}

impl fmt::Debug for Resource {
    // Bodies may hold private keys (SDS): never printed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}@{} ({} B)", self.kind, self.name, self.version, self.body.len())
    }
}

fn field_len(payload: usize) -> usize {
    1 + encoded_len_varint(payload as u64) + payload
}

fn put_len(field: u32, len: usize, buf: &mut BytesMut) {
    encode_key(field, WireType::LengthDelimited, buf);
    encode_varint(len as u64, buf);
}

fn put_bytes(field: u32, bytes: &[u8], buf: &mut BytesMut) {
    put_len(field, bytes.len(), buf);
    buf.extend_from_slice(bytes);
}
