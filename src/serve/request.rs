//! A request, read in place: of a message that may list thousands of names, nothing is copied and a name is looked at
//! only when somebody asks for it. An ACK of a state-of-the-world stream repeats all names; it costs one hash.

use bytes::Bytes;
use envoy_types::pb::envoy::config::core::v3::Node as NodeProto;
use prost::Message;
use prost::encoding::{WireType, decode_key, decode_varint};
use snapshot::Version;

use crate::{Form, Node};

/// A `DiscoveryRequest` or `DeltaDiscoveryRequest`.
#[derive(Clone, Debug)]
pub struct Request {
    raw: Bytes,
    form: Form,
    type_url: Span,
    nonce: Span,
    node: Option<Span>,
    /// State of the world: the client has taken a version of this type before, on whatever stream.
    versioned: bool,
    error: Option<Span>,
    /// From the first to the last name, if nothing stands between them.
    names: Option<Span>,
    counts: [usize; 3],
}

type Span = std::ops::Range<usize>;

/// The message is not what the service's name promises.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed discovery request: {0}")]
pub struct Malformed(pub &'static str);

/// `error_detail` of a request: the mark of a NACK (xds-rules 35).
#[derive(Clone, PartialEq, Message)]
pub struct ErrorDetail {
    #[prost(int32, tag = "1")]
    pub code: i32,
    #[prost(string, tag = "2")]
    pub message: String,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Field {
    Node,
    /// `version_info`.
    Version,
    TypeUrl,
    Nonce,
    Error,
    /// `resource_names` or `resource_names_subscribe`.
    Names,
    Unsubscribe,
    Initial,
    /// `resource_locators` or `resource_locators_subscribe`.
    Locators,
    UnsubscribeLocators,
    Other,
}

const NAMES: usize = 0;
const UNSUBSCRIBE: usize = 1;
const INITIAL: usize = 2;

impl Request {
    /// Checks the shape and the text encoding of all that this room reads. Unknown fields are skipped (rules 65, 69).
    ///
    /// # Errors
    /// When the bytes are no such message.
    pub fn parse(form: Form, raw: Bytes) -> Result<Self, Malformed> {
        let mut request = Self {
            form,
            type_url: 0..0,
            nonce: 0..0,
            node: None,
            versioned: false,
            error: None,
            names: None,
            counts: [0; 3],
            raw: Bytes::new(),
        };
        let mut contiguous = true;
        for item in Fields::new(&raw) {
            let Item { number, start, body } = item?;
            match field(form, number) {
                Field::Node => request.node = Some(body),
                Field::Version => request.versioned = !body.is_empty(),
                Field::TypeUrl => request.type_url = text(&raw, body)?,
                Field::Nonce => request.nonce = text(&raw, body)?,
                Field::Error => request.error = Some(body),
                Field::Names => {
                    let body = text(&raw, body)?;
                    request.counts[NAMES] += 1;
                    request.names = Some(match request.names {
                        None => start..body.end,
                        Some(before) => {
                            contiguous &= before.end == start;
                            before.start..body.end
                        }
                    });
                }
                Field::Unsubscribe => {
                    text(&raw, body)?;
                    request.counts[UNSUBSCRIBE] += 1;
                }
                Field::Initial => {
                    request.counts[INITIAL] += 1;
                    pair(&raw[body])?;
                }
                // Rule 69: without parameters a locator says no more than a name; variants are not served.
                Field::Locators => {
                    if locator(&raw[body])?.is_some() {
                        request.counts[NAMES] += 1;
                        contiguous = false;
                    }
                }
                Field::UnsubscribeLocators => {
                    if locator(&raw[body])?.is_some() {
                        request.counts[UNSUBSCRIBE] += 1;
                    }
                }
                Field::Other => {}
            }
        }
        if !contiguous {
            request.names = None;
        }
        request.raw = raw;
        Ok(request)
    }

    #[must_use]
    pub fn type_url(&self) -> &str {
        self.text(&self.type_url)
    }

    #[must_use]
    pub fn nonce(&self) -> &str {
        self.text(&self.nonce)
    }

    /// # Errors
    /// When the node cannot be decoded.
    pub fn node(&self) -> Result<Option<Node>, Malformed> {
        let Some(span) = &self.node else { return Ok(None) };
        match NodeProto::decode(self.raw.slice(span.clone())) {
            Ok(node) => Ok(Some(node.into())),
            Err(_) => Err(Malformed("node")),
        }
    }

    /// Whether `version_info` names a version: on a new stream, that the client holds something.
    #[must_use]
    pub fn is_versioned(&self) -> bool {
        self.versioned
    }

    /// Present on a NACK only.
    #[must_use]
    pub fn error(&self) -> Option<ErrorDetail> {
        let span = self.error.clone()?;
        // The presence of the field is what counts: an unreadable text is still a NACK (rule 35).
        Some(ErrorDetail::decode(self.raw.slice(span)).unwrap_or_default())
    }

    /// `resource_names` (all of them, rule 19) or `resource_names_subscribe`.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.list(NAMES, Field::Names, Field::Locators)
    }

    pub fn unsubscribe(&self) -> impl Iterator<Item = &str> {
        self.list(UNSUBSCRIBE, Field::Unsubscribe, Field::UnsubscribeLocators)
    }

    #[must_use]
    pub fn names_len(&self) -> usize {
        self.counts[NAMES]
    }

    #[must_use]
    pub fn unsubscribe_len(&self) -> usize {
        self.counts[UNSUBSCRIBE]
    }

    #[must_use]
    pub fn initial_len(&self) -> usize {
        self.counts[INITIAL]
    }

    /// `initial_resource_versions`: what the client says that it holds. A version that this server cannot have minted
    /// is `None`.
    pub fn initial(&self) -> impl Iterator<Item = (&str, Option<Version>)> {
        let of = |field| matches!(field, Field::Initial);
        self.bodies(INITIAL, of).filter_map(|(_, body)| {
            let (name, version) = pair(body).ok()?;
            Some((name, Version::parse(version)))
        })
    }

    /// Equal keys mean equal lists of names: the hash of their bytes. `None` when that is not known.
    #[must_use]
    pub(crate) fn names_key(&self) -> Option<Version> {
        self.names.as_ref().map(|span| Version::of(&self.raw[span.clone()]))
    }

    fn text(&self, span: &Span) -> &str {
        std::str::from_utf8(&self.raw[span.clone()]).unwrap_or_default()
    }

    /// `node.dynamic_parameters` for this type, as one value that does not depend on their order; `None` if there are
    /// none.
    #[must_use]
    pub(crate) fn dynamic_parameters(&self, type_url: &str) -> Option<Version> {
        const DYNAMIC_PARAMETERS: u32 = 12;
        let node = &self.raw[self.node.clone()?];
        let entries = Fields::new(node).map_while(Result::ok);
        let of_type = entries.filter(|item| item.number == DYNAMIC_PARAMETERS).filter_map(|item| {
            let (mut key, mut value) = (&[][..], &[][..]);
            let entry = &node[item.body];
            for part in Fields::new(entry).map_while(Result::ok) {
                match part.number {
                    1 => key = &entry[part.body],
                    2 => value = &entry[part.body],
                    _ => {}
                }
            }
            (key == type_url.as_bytes()).then_some(value)
        });
        let params = of_type
            .flat_map(|value| Fields::new(value).map_while(Result::ok).map(|p| &value[p.body]));
        params.map(|param| Version::of(param).0).reduce(u64::wrapping_add).map(Version)
    }

    fn list(&self, counted: usize, names: Field, locators: Field) -> impl Iterator<Item = &str> {
        let of = move |field| field == names || field == locators;
        self.bodies(counted, of).filter_map(move |(field, body)| {
            if field == locators {
                return locator(body).ok().flatten();
            }
            Some(std::str::from_utf8(body).unwrap_or_default())
        })
    }

    fn bodies(
        &self,
        counted: usize,
        wanted: impl Fn(Field) -> bool,
    ) -> impl Iterator<Item = (Field, &[u8])> {
        // Most requests have none: then the message is not walked again.
        let raw = if self.counts[counted] == 0 { &[][..] } else { &self.raw[..] };
        let form = self.form;
        Fields::new(raw)
            .map_while(Result::ok)
            .map(move |item| (field(form, item.number), &raw[item.body]))
            .filter(move |(field, _)| wanted(*field))
    }
}

fn field(form: Form, number: u32) -> Field {
    match (form, number) {
        (Form::Sotw, 1) => Field::Version,
        (Form::Sotw, 2) | (Form::Delta, 1) => Field::Node,
        (Form::Sotw, 4) | (Form::Delta, 2) => Field::TypeUrl,
        (Form::Sotw | Form::Delta, 3) => Field::Names,
        (Form::Delta, 4) => Field::Unsubscribe,
        (Form::Delta, 5) => Field::Initial,
        (Form::Sotw, 5) | (Form::Delta, 6) => Field::Nonce,
        (Form::Sotw, 6) | (Form::Delta, 7) => Field::Error,
        (Form::Sotw, 7) | (Form::Delta, 8) => Field::Locators,
        (Form::Delta, 9) => Field::UnsubscribeLocators,
        _ => Field::Other,
    }
}

fn text(raw: &[u8], span: Span) -> Result<Span, Malformed> {
    match std::str::from_utf8(&raw[span.clone()]) {
        Ok(_) => Ok(span),
        Err(_) => Err(Malformed("a text is not UTF-8")),
    }
}

/// The name in a `ResourceLocator` that has no parameters.
fn locator(raw: &[u8]) -> Result<Option<&str>, Malformed> {
    let mut name = Some(0..0);
    for item in Fields::new(raw) {
        let item = item?;
        match item.number {
            1 => name = name.and(Some(text(raw, item.body)?)),
            2 => name = None,
            _ => {}
        }
    }
    Ok(name.map(|span| std::str::from_utf8(&raw[span]).unwrap_or_default()))
}

/// A map entry of two texts.
fn pair(raw: &[u8]) -> Result<(&str, &str), Malformed> {
    let (mut key, mut value) = (0..0, 0..0);
    for item in Fields::new(raw) {
        let item = item?;
        match item.number {
            1 => key = text(raw, item.body)?,
            2 => value = text(raw, item.body)?,
            _ => {}
        }
    }
    let part = |span| std::str::from_utf8(&raw[span]).map_err(|_| Malformed("a text is not UTF-8"));
    Ok((part(key)?, part(value)?))
}

/// Walks the length-delimited fields of a message.
struct Fields<'a> {
    raw: &'a [u8],
    at: usize,
}

struct Item {
    number: u32,
    /// Where the field's key starts.
    start: usize,
    body: Span,
}

impl<'a> Fields<'a> {
    fn new(raw: &'a [u8]) -> Self {
        Self { raw, at: 0 }
    }

    fn step(&mut self) -> Result<Option<Item>, Malformed> {
        const CUT: Malformed = Malformed("cut short");
        loop {
            let start = self.at;
            let mut rest = &self.raw[start..];
            if rest.is_empty() {
                return Ok(None);
            }
            let (number, wire) = decode_key(&mut rest).map_err(|_| Malformed("bad field key"))?;
            let skip = match wire {
                WireType::LengthDelimited => {
                    let len = decode_varint(&mut rest).map_err(|_| CUT)?;
                    let len = usize::try_from(len).map_err(|_| CUT)?;
                    if len > rest.len() {
                        return Err(CUT);
                    }
                    let from = self.raw.len() - rest.len();
                    self.at = from + len;
                    return Ok(Some(Item { number, start, body: from..from + len }));
                }
                WireType::Varint => {
                    decode_varint(&mut rest).map_err(|_| CUT)?;
                    0
                }
                WireType::ThirtyTwoBit => 4,
                WireType::SixtyFourBit => 8,
                WireType::StartGroup | WireType::EndGroup => {
                    return Err(Malformed("groups are not used here"));
                }
            };
            if skip > rest.len() {
                return Err(CUT);
            }
            self.at = self.raw.len() - rest.len() + skip;
        }
    }
}

impl Iterator for Fields<'_> {
    type Item = Result<Item, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        let step = self.step().transpose();
        if matches!(step, Some(Err(_))) {
            self.at = self.raw.len();
        }
        step
    }
}

#[cfg(test)]
mod tests;
