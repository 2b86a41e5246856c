use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use model::ObjectRef;
use prost::encoding::{WireType, decode_varint, encode_key, encode_varint, encoded_len_varint};
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use crate::ResourceType;

/// A resource's version: the hash of its canonical bytes. Two replicas, or one replica before and after a restart,
/// give equal content the equal version (xds-rules 13). Only ever compared for equality, and only under one name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(pub u64);

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
/// What each byte stands for in [`ALPHABET`]; 255 for those that are not in it.
const DIGITS: [u8; 256] = {
    let mut digits = [u8::MAX; 256];
    let mut digit = 0;
    while digit < ALPHABET.len() {
        digits[ALPHABET[digit] as usize] = digit as u8;
        digit += 1;
    }
    digits
};

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
            let digit = DIGITS[usize::from(byte)];
            // The first digit stands for the upper 4 bits only.
            if digit > 63 || (i == 0 && digit > 15) {
                return None;
            }
            value = (value << 6) | u64::from(digit);
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
    /// What few resources have, so that it costs the others one word.
    rare: Option<Arc<Rare>>,
}

#[derive(Clone, Default)]
struct Rare {
    ttl: Option<Duration>,
    /// The delta framing for clients that do not know the TTL.
    lasting: Bytes,
    /// The state-of-the-world framing with the TTL: a `discovery.v3.Resource` in the `Any`.
    wrapped: Bytes,
    domains: Arc<[Arc<str>]>,
    aliases: Arc<[Arc<str>]>,
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
        let frame = Frame { kind, version: Version::of(body), name: &name, body: Some(body) };
        let (delta, sotw, body) = frame.put(&[], None);
        let (version, refs, origin) = (frame.version, refs.into(), origin.into());
        Self { kind, name, version, delta, sotw, body, refs, origin, rare: None }
    }

    /// The client forgets this resource unless it hears of it again within `ttl`. Part of the version: another TTL, or
    /// none any more, is a change that clients are told (xds-rules 62).
    #[must_use]
    pub fn with_ttl(self, ttl: Duration) -> Self {
        let seed = u64::try_from(ttl.as_nanos()).unwrap_or(u64::MAX);
        let rare = Rare { ttl: Some(ttl), ..self.rare() };
        Self { version: Version(xxh3_64_with_seed(&self.body, seed)), ..self }.framed(true, rare)
    }

    /// Host patterns that a virtual host answers for (rule 65): `a.example`, `*.example`, `*`.
    #[must_use]
    pub fn with_domains<'a>(self, domains: impl IntoIterator<Item = &'a str>) -> Self {
        let domains = domains.into_iter().map(Arc::from).collect();
        Self { rare: Some(Arc::new(Rare { domains, ..self.rare() })), ..self }
    }

    /// The same content, told to a client that asked for it by these names (rule 65).
    #[must_use]
    pub fn with_aliases(&self, aliases: impl Into<Arc<[Arc<str>]>>) -> Self {
        self.clone().framed(true, Rare { aliases: aliases.into(), ..self.rare() })
    }

    /// The same content under the name that a client spelled otherwise (rule 68).
    #[must_use]
    pub fn renamed(&self, name: Arc<str>) -> Self {
        Self { name, ..self.clone() }.framed(true, self.rare())
    }

    /// Says that there is nothing behind an asked name, in the one type where an answer without a body means that
    /// (rule 65).
    #[must_use]
    pub fn absent(kind: ResourceType, name: Arc<str>) -> Self {
        let rare = Rare { aliases: [name.clone()].into(), ..Rare::default() };
        Self::new(kind, name, &[], [], []).framed(false, rare)
    }

    /// Name, version and TTL without the body: keeps the client from forgetting what it has (rule 62).
    #[must_use]
    pub fn heartbeat(&self, version: Version) -> Self {
        let rare = Rare { ttl: self.ttl(), ..Rare::default() };
        Self { version, body: Bytes::new(), ..self.clone() }.framed(false, rare)
    }

    fn rare(&self) -> Rare {
        self.rare.as_deref().cloned().unwrap_or_default()
    }

    fn framed(self, whole: bool, rare: Rare) -> Self {
        let Self { kind, name, version, body, refs, origin, .. } = self;
        let frame = Frame { kind, version, name: &name, body: whole.then_some(&body[..]) };
        let mut rare = rare;
        let (delta, sotw, body) = frame.put(&rare.aliases, rare.ttl);
        if rare.ttl.is_some() {
            rare.lasting = frame.put(&rare.aliases, None).0;
            rare.wrapped = wrap(&delta);
        }
        Self { kind, name, version, delta, sotw, body, refs, origin, rare: Some(Arc::new(rare)) }
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
    /// Field 2 of a `DeltaDiscoveryResponse`, key and length included. With the TTL, if there is one.
    #[must_use]
    pub fn delta(&self) -> &Bytes {
        &self.delta
    }
    /// The same without the TTL, for clients that do not know it.
    #[must_use]
    pub fn delta_without_ttl(&self) -> &Bytes {
        self.rare.as_ref().filter(|r| r.ttl.is_some()).map_or(&self.delta, |r| &r.lasting)
    }
    /// Field 2 of a `DiscoveryResponse`, key and length included.
    #[must_use]
    pub fn sotw(&self) -> &Bytes {
        &self.sotw
    }
    /// The same with the TTL, if there is one, for clients that know the wrapper which it needs (rule 61).
    #[must_use]
    pub fn sotw_with_ttl(&self) -> &Bytes {
        self.rare.as_ref().filter(|r| r.ttl.is_some()).map_or(&self.sotw, |r| &r.wrapped)
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
    #[must_use]
    pub fn ttl(&self) -> Option<Duration> {
        self.rare.as_ref()?.ttl
    }
    /// Whether it only says that there is nothing behind its name.
    #[must_use]
    pub fn is_absent(&self) -> bool {
        self.sotw.is_empty()
    }
    #[must_use]
    pub fn domains(&self) -> &[Arc<str>] {
        self.rare.as_ref().map_or(&[], |r| &r.domains)
    }
    #[must_use]
    pub fn aliases(&self) -> &[Arc<str>] {
        self.rare.as_ref().map_or(&[], |r| &r.aliases)
    }
}

/// What stands in a `discovery.v3.Resource` and in the `DeltaDiscoveryResponse` around it.
struct Frame<'a> {
    kind: ResourceType,
    version: Version,
    name: &'a str,
    /// `None` leaves out the whole `Any`.
    body: Option<&'a [u8]>,
}

impl Frame<'_> {
    /// The framed resource, and the parts of it that are the `Any` and the body.
    fn put(&self, aliases: &[Arc<str>], ttl: Option<Duration>) -> (Bytes, Bytes, Bytes) {
        let url = self.kind.url();
        let any_len = self.body.map_or(0, |body| field_len(url.len()) + field_len(body.len()));
        let any_field = self.body.map_or(0, |_| field_len(any_len));
        let ttl = ttl.map(duration);
        let resource_len = field_len(Version::TEXT_LEN)
            + any_field
            + field_len(self.name.len())
            + aliases.iter().map(|a| field_len(a.len())).sum::<usize>()
            + ttl.as_ref().map_or(0, |ttl| field_len(ttl.len()));
        let mut buf = BytesMut::with_capacity(field_len(resource_len));
        put_len(2, resource_len, &mut buf);
        put_bytes(1, &self.version.text(), &mut buf);
        let any_start = buf.len();
        if let Some(body) = self.body {
            put_len(2, any_len, &mut buf);
            put_bytes(1, url.as_bytes(), &mut buf);
            put_bytes(2, body, &mut buf);
        }
        let any_end = buf.len();
        put_bytes(3, self.name.as_bytes(), &mut buf);
        for alias in aliases {
            put_bytes(4, alias.as_bytes(), &mut buf);
        }
        if let Some(ttl) = ttl {
            put_bytes(6, &ttl, &mut buf);
        }
        let delta = buf.freeze();
        let sotw = delta.slice(any_start..any_end);
        let body_len = self.body.map_or(0, <[u8]>::len);
        let body = delta.slice(any_end - body_len..any_end);
        (delta, sotw, body)
    }
}

/// A `google.protobuf.Duration`.
fn duration(ttl: Duration) -> Vec<u8> {
    let mut buf = Vec::new();
    encode_key(1, WireType::Varint, &mut buf);
    encode_varint(ttl.as_secs(), &mut buf);
    encode_key(2, WireType::Varint, &mut buf);
    encode_varint(u64::from(ttl.subsec_nanos()), &mut buf);
    buf
}

/// The `discovery.v3.Resource` that a delta response would have, as an `Any` in a state-of-the-world response.
fn wrap(delta: &[u8]) -> Bytes {
    const URL: &[u8] = b"type.googleapis.com/envoy.service.discovery.v3.Resource";
    let mut message = &delta[1..];
    // The length was written above and is right.
    let len = decode_varint(&mut message).unwrap_or_default();
    debug_assert_eq!(len, message.len() as u64);
    let any_len = field_len(URL.len()) + field_len(message.len());
    let mut buf = BytesMut::with_capacity(field_len(any_len));
    put_len(2, any_len, &mut buf);
    put_bytes(1, URL, &mut buf);
    put_bytes(2, message, &mut buf);
    buf.freeze()
}

impl PartialEq for Resource {
    /// Content only: where it came from does not matter to a proxy.
    fn eq(&self, other: &Self) -> bool {
        self.version == other.version
            && self.name == other.name
            && self.refs == other.refs
            && self.domains() == other.domains()
            && self.aliases() == other.aliases()
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

#[cfg(test)]
mod tests {
    use super::*;
    use envoy_types::pb::envoy::service::discovery::v3 as pb;
    use envoy_types::pb::google::protobuf;
    use prost::Message;

    fn host() -> Resource {
        Resource::new(ResourceType::VirtualHost, "t/a".into(), b"body", [], [])
    }

    fn any(url: &str, value: &[u8]) -> protobuf::Any {
        protobuf::Any { type_url: url.into(), value: value.to_vec() }
    }

    fn delta(raw: &[u8]) -> pb::Resource {
        pb::DeltaDiscoveryResponse::decode(raw).unwrap().resources.remove(0)
    }

    fn want(resource: &Resource, body: Option<&[u8]>) -> pb::Resource {
        pb::Resource {
            name: resource.name().to_string(),
            version: resource.version().to_string(),
            resource: body.map(|body| any(resource.kind().url(), body)),
            ..Default::default()
        }
    }

    #[test]
    fn rule_61_the_ttl_stands_in_framings_of_its_own() {
        let ttl = Some(protobuf::Duration { seconds: 3, nanos: 500_000_000 });
        let plain = host();
        let short = host().with_ttl(Duration::from_millis(3500));
        assert_ne!(short.version(), plain.version());
        let whole = want(&short, Some(b"body"));
        assert_eq!(delta(short.delta_without_ttl()), whole);
        let timed = pb::Resource { ttl, ..whole };
        assert_eq!(delta(short.delta()), timed);
        assert_eq!(short.sotw(), plain.sotw());
        let got = pb::DiscoveryResponse::decode(&short.sotw_with_ttl()[..]).unwrap().resources;
        let url = "type.googleapis.com/envoy.service.discovery.v3.Resource";
        assert_eq!(got, [any(url, &timed.encode_to_vec())]);
        assert_eq!(
            (plain.delta_without_ttl(), plain.sotw_with_ttl()),
            (plain.delta(), plain.sotw())
        );
        let beat = short.heartbeat(short.version());
        assert_eq!(delta(beat.delta()), pb::Resource { ttl, ..want(&short, None) });
    }

    #[test]
    fn rule_65_aliases_and_absence() {
        let alias = Arc::<str>::from("t/a.example");
        let told = host().with_domains(["a.example"]).with_aliases([alias.clone()]);
        let aliases = vec![alias.to_string()];
        let expected = pb::Resource { aliases: aliases.clone(), ..want(&host(), Some(b"body")) };
        assert_eq!(delta(told.delta()), expected);
        assert_eq!(told.domains(), [Arc::from("a.example")]);
        let absent = Resource::absent(ResourceType::VirtualHost, alias);
        assert_eq!(delta(absent.delta()), pb::Resource { aliases, ..want(&absent, None) });
    }
}
