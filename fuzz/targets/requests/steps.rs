//! What the bytes of the fuzzer mean.

use arbitrary::{Arbitrary, Unstructured};
use snapshot::ResourceType;

/// Few names, so that they meet.
pub(crate) const NAMES: [&str; 4] = ["a", "b", "c", "d"];

/// A byte for each thing that is chosen: short inputs are found sooner and mutate into sensible ones.
pub(crate) struct Bytes<'a>(pub(crate) &'a [u8]);

impl<'a> Bytes<'a> {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn next(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    fn bit(&mut self) -> bool {
        self.next() & 1 == 1
    }

    fn kind(&mut self) -> Kind {
        KINDS[usize::from(self.next()) % KINDS.len()]
    }

    fn name(&mut self) -> Name {
        Name(self.next())
    }

    /// Up to 255 bytes for what is not chosen byte by byte.
    fn part(&mut self) -> &'a [u8] {
        let length = usize::from(self.next()).min(self.0.len());
        let (part, rest) = self.0.split_at(length);
        self.0 = rest;
        part
    }
}

#[derive(Debug)]
pub(crate) struct Setup {
    pub(crate) delta: bool,
    pub(crate) cut: bool,
    pub(crate) legacy_wildcard: bool,
    pub(crate) ttls: bool,
    pub(crate) resource_errors: bool,
    pub(crate) only: Option<Kind>,
}

impl Setup {
    pub(crate) fn read(bytes: &mut Bytes<'_>) -> Self {
        let bits = bytes.next();
        let bit = |at: u8| bits >> at & 1 == 1;
        Self {
            delta: bit(0),
            cut: bit(1),
            legacy_wildcard: bit(2),
            ttls: bit(3),
            resource_errors: bit(4),
            only: (bit(5) && bit(6)).then(|| bytes.kind()),
        }
    }
}

const KINDS: [Kind; 9] = [
    Kind::Cluster,
    Kind::Endpoint,
    Kind::Listener,
    Kind::ScopedRoute,
    Kind::Route,
    Kind::VirtualHost,
    Kind::Extension,
    Kind::Secret,
    Kind::Runtime,
];

#[derive(Arbitrary, Clone, Copy, Debug)]
pub(crate) enum Kind {
    Cluster,
    Endpoint,
    Listener,
    ScopedRoute,
    Route,
    VirtualHost,
    Extension,
    Secret,
    Runtime,
}

impl Kind {
    pub(crate) fn of(self) -> ResourceType {
        match self {
            Self::Cluster => ResourceType::Cluster,
            Self::Endpoint => ResourceType::Endpoint,
            Self::Listener => ResourceType::Listener,
            Self::ScopedRoute => ResourceType::ScopedRoute,
            Self::Route => ResourceType::Route,
            Self::VirtualHost => ResourceType::VirtualHost,
            Self::Extension => ResourceType::Extension,
            Self::Secret => ResourceType::Secret,
            Self::Runtime => ResourceType::Runtime,
        }
    }
}

#[derive(Arbitrary, Clone, Copy, Debug)]
pub(crate) struct Name(u8);

impl Name {
    pub(crate) fn text(self) -> &'static str {
        NAMES[usize::from(self.0) % NAMES.len()]
    }
}

/// A set of names and the wildcard: a bit each.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Names(u8);

impl Names {
    pub(crate) fn texts(self) -> Vec<String> {
        let bit = |at: usize| self.0 >> at & 1 == 1;
        let named = NAMES.iter().enumerate().filter(|(at, _)| bit(*at)).map(|(_, name)| *name);
        // Seldom, or little else would be seen.
        let star = (bit(4) && bit(5)).then_some("*");
        named.chain(star).map(str::to_owned).collect()
    }
}

#[derive(Debug)]
pub(crate) enum Step {
    Put {
        kind: Kind,
        name: Name,
        body: u8,
        refs: Vec<(Kind, Name)>,
        ttl: bool,
    },
    Remove {
        kind: Kind,
        name: Name,
    },
    Publish,
    /// State of the world: the full set. Delta: names to add and to drop.
    Ask {
        kind: Kind,
        names: Names,
        unsubscribe: Names,
    },
    /// The client takes one response.
    Read,
    /// It answers the oldest that it took.
    Answer {
        kind: Kind,
        accept: bool,
    },
    /// It takes and answers all that there is, as clients mostly do.
    KeepUp {
        accept: bool,
    },
    Reconnect,
    Wait {
        tenths: u8,
    },
    Wild(WildRequest),
    Bytes(Vec<u8>),
}

impl Step {
    pub(crate) fn read(bytes: &mut Bytes<'_>) -> Self {
        match bytes.next() % 16 {
            0..3 => {
                let (kind, name, body) = (bytes.kind(), bytes.name(), bytes.next() & 3);
                let shape = bytes.next();
                let refs = (0..shape % 4).map(|_| (bytes.kind(), bytes.name())).collect();
                Self::Put { kind, name, body, refs, ttl: shape >> 6 == 3 }
            }
            3 => Self::Remove { kind: bytes.kind(), name: bytes.name() },
            4 | 5 => Self::Publish,
            6 | 7 => Self::Ask {
                kind: bytes.kind(),
                names: Names(bytes.next()),
                unsubscribe: Names(bytes.next()),
            },
            8 => Self::Read,
            9 => Self::Answer { kind: bytes.kind(), accept: bytes.bit() },
            10 | 11 => Self::KeepUp { accept: bytes.next() & 7 != 7 },
            12 => Self::Reconnect,
            13 => Self::Wait { tenths: bytes.next() },
            14 => match WildRequest::arbitrary(&mut Unstructured::new(bytes.part())) {
                Ok(request) => Self::Wild(request),
                Err(_) => Self::Read,
            },
            _ => Self::Bytes(bytes.part().to_vec()),
        }
    }
}

/// A request of which nothing has to make sense.
#[derive(Arbitrary, Debug)]
pub(crate) struct WildRequest {
    pub(crate) kind: Kind,
    pub(crate) url: Option<String>,
    pub(crate) names: Vec<Word>,
    pub(crate) unsubscribe: Vec<Word>,
    pub(crate) initial: Vec<(Word, Option<u8>)>,
    pub(crate) nonce: Option<u8>,
    pub(crate) junk_nonce: String,
    pub(crate) error: Option<String>,
}

/// A name, sensible or not.
#[derive(Arbitrary, Debug)]
pub(crate) enum Word {
    Name(Name),
    Wildcard,
    Host(Name, Name),
    Xdstp(Name, u8),
    Glob(Name),
    Text(String),
}

impl Word {
    pub(crate) fn text(&self, kind: ResourceType) -> String {
        let of = kind.url().rsplit_once('/').map_or("", |(_, name)| name);
        match self {
            Self::Name(name) => name.text().to_owned(),
            Self::Wildcard => "*".to_owned(),
            Self::Host(table, host) => format!("{}/{}", table.text(), host.text()),
            Self::Xdstp(name, order) if order % 2 == 0 => {
                format!("xdstp://x/{of}/g/{}?b=2&a=1", name.text())
            }
            Self::Xdstp(name, _) => format!("xdstp://x/{of}/g/{}?a=1&b=2", name.text()),
            Self::Glob(name) => format!("xdstp://x/{of}/{}/*", name.text()),
            Self::Text(text) => text.clone(),
        }
    }
}
