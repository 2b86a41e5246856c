//! What the bytes of the fuzzer mean.

use arbitrary::Arbitrary;
use snapshot::ResourceType;

/// Few names, so that they meet.
pub(crate) const NAMES: [&str; 4] = ["a", "b", "c", "d"];

#[derive(Arbitrary, Debug)]
pub(crate) struct Setup {
    pub(crate) delta: bool,
    pub(crate) cut: bool,
    pub(crate) legacy_wildcard: bool,
    pub(crate) ttls: bool,
    pub(crate) resource_errors: bool,
    pub(crate) only: Option<Kind>,
}

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
#[derive(Arbitrary, Clone, Copy, Debug)]
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

#[derive(Arbitrary, Debug)]
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
    Reconnect,
    Wait {
        tenths: u8,
    },
    Wild(WildRequest),
    Bytes(Vec<u8>),
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
