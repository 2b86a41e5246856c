//! What all streams together have seen: each name, version and body once, as a number.
//!
//! ```text
//! parts of a message ── hash ──► known? ──► (name, version, content) as numbers
//!                                  └─ no: decoded, once for all streams
//! ```

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

use bytes::Bytes;
use envoy_types::pb::envoy::config::cluster::v3::Cluster;
use envoy_types::pb::envoy::config::cluster::v3::cluster::{ClusterDiscoveryType, DiscoveryType};
use envoy_types::pb::envoy::config::endpoint::v3::ClusterLoadAssignment;
use envoy_types::pb::envoy::config::listener::v3::Listener;
use envoy_types::pb::envoy::config::listener::v3::filter::ConfigType;
use envoy_types::pb::envoy::config::route::v3::RouteConfiguration;
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3::HttpConnectionManager;
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3::http_connection_manager::RouteSpecifier;
use prost::Message;
use xxhash_rust::xxh3::{Xxh3, xxh3_128_with_seed};

use crate::wire;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    Clusters,
    Endpoints,
    Listeners,
    Routes,
}

impl Kind {
    pub(crate) const ALL: [Self; 4] =
        [Self::Clusters, Self::Endpoints, Self::Listeners, Self::Routes];

    pub(crate) fn url(self) -> &'static str {
        match self {
            Self::Clusters => "type.googleapis.com/envoy.config.cluster.v3.Cluster",
            Self::Endpoints => "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment",
            Self::Listeners => "type.googleapis.com/envoy.config.listener.v3.Listener",
            Self::Routes => "type.googleapis.com/envoy.config.route.v3.RouteConfiguration",
        }
    }

    pub(crate) fn label(self) -> &'static str {
        ["cds", "eds", "lds", "rds"][self as usize]
    }

    /// Asked for as a whole; the others by name.
    pub(crate) fn whole(self) -> bool {
        matches!(self, Self::Clusters | Self::Listeners)
    }

    /// Whose names its resources hold.
    pub(crate) fn refers_to(self) -> Option<Self> {
        match self {
            Self::Clusters => Some(Self::Endpoints),
            Self::Listeners => Some(Self::Routes),
            Self::Endpoints | Self::Routes => None,
        }
    }
}

/// A resource as it stands in a message.
pub(crate) struct Part<'a> {
    /// Empty in the state-of-the-world protocol, where only the body has it.
    pub(crate) name: &'a [u8],
    pub(crate) version: &'a [u8],
    pub(crate) body: &'a [u8],
}

/// The numbers of a resource. All start at 1; 0 is "none".
#[derive(Clone, Copy)]
pub(crate) struct Item {
    pub(crate) name: u32,
    pub(crate) version: u32,
    pub(crate) content: u32,
}

struct Content {
    name: u32,
    name_text: Box<[u8]>,
    version: u32,
    version_text: Box<[u8]>,
    /// Names of the kind that this one refers to.
    refs: Vec<u32>,
    marker: u16,
}

#[derive(Default)]
struct Words {
    ids: HashMap<Box<[u8]>, u32>,
    texts: Vec<Box<[u8]>>,
}

impl Words {
    fn find(&self, text: &[u8]) -> Option<u32> {
        self.ids.get(text).copied()
    }

    fn add(&mut self, text: &[u8]) -> u32 {
        self.find(text).unwrap_or_else(|| {
            self.texts.push(text.into());
            let id = self.texts.len() as u32;
            self.ids.insert(text.into(), id);
            id
        })
    }

    fn text(&self, id: u32) -> &[u8] {
        (id as usize).checked_sub(1).and_then(|at| self.texts.get(at)).map_or(&[], |text| text)
    }
}

#[derive(Default)]
struct Known {
    names: [Words; 4],
    versions: Words,
    ids: HashMap<u128, u32>,
    contents: Vec<Content>,
    undecodable: u64,
    /// Long pieces of requests, by kind, field and the hash of what is in them.
    pieces: HashMap<(Kind, u32, u64), Bytes>,
}

/// Shared by all streams.
#[derive(Default)]
pub(crate) struct Library {
    known: RwLock<Known>,
}

impl Library {
    /// The parts as numbers.
    pub(crate) fn read(&self, kind: Kind, parts: &[Part<'_>]) -> Vec<Item> {
        let hashes: Vec<_> =
            parts.iter().map(|part| xxh3_128_with_seed(part.body, kind as u64)).collect();
        {
            let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
            let found = parts.iter().zip(&hashes).map(|(part, hash)| known.find(kind, part, *hash));
            if let Some(all) = found.collect() {
                return all;
            }
        }
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        let all = parts.iter().zip(&hashes);
        all.map(|(part, hash)| {
            known.find(kind, part, *hash).unwrap_or_else(|| known.add(kind, part, *hash))
        })
        .collect()
    }

    /// The number of a name, known or new.
    pub(crate) fn name(&self, kind: Kind, text: &[u8]) -> u32 {
        self.known.write().unwrap_or_else(PoisonError::into_inner).names[kind as usize].add(text)
    }

    /// Looks at many contents under one lock: a content's marker, and the names it refers to.
    pub(crate) fn contents<T>(&self, look: impl FnOnce(&dyn Fn(u32) -> (u16, Vec<u32>)) -> T) -> T {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        look(&|id| {
            let content = (id as usize).checked_sub(1).and_then(|at| known.contents.get(at));
            content.map_or((0, Vec::new()), |it| (it.marker, it.refs.clone()))
        })
    }

    pub(crate) fn text(&self, kind: Kind, name: u32, put: impl FnOnce(&[u8])) {
        put(self.known.read().unwrap_or_else(PoisonError::into_inner).names[kind as usize]
            .text(name));
    }

    /// The names as field 3 of a request: `resource_names` and `resource_names_subscribe` alike.
    pub(crate) fn names_piece(&self, kind: Kind, names: &[u32]) -> Bytes {
        self.piece(kind, 3, names.iter().copied(), |known, out| {
            for name in names {
                wire::put(out, 3, known.names[kind as usize].text(*name));
            }
        })
    }

    /// Names and versions as field 5 of a delta request: `initial_resource_versions`.
    pub(crate) fn versions_piece(&self, kind: Kind, held: &[(u32, u32)]) -> Bytes {
        let numbers = held.iter().flat_map(|(name, version)| [*name, *version]);
        self.piece(kind, 5, numbers, |known, out| {
            let mut entry = Vec::new();
            for (name, version) in held {
                entry.clear();
                wire::put(&mut entry, 1, known.names[kind as usize].text(*name));
                wire::put(&mut entry, 2, known.versions.text(*version));
                wire::put(out, 5, &entry);
            }
        })
    }

    fn piece(
        &self,
        kind: Kind,
        field: u32,
        numbers: impl Iterator<Item = u32>,
        build: impl FnOnce(&Known, &mut Vec<u8>),
    ) -> Bytes {
        let mut hash = Xxh3::new();
        numbers.for_each(|number| hash.update(&number.to_le_bytes()));
        let key = (kind, field, hash.digest());
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(piece) = known.pieces.get(&key) {
            return piece.clone();
        }
        let mut out = Vec::new();
        build(&known, &mut out);
        let piece = Bytes::from(out);
        // Streams are in few states at a time; old states are not kept.
        if known.pieces.len() >= 64 {
            known.pieces.clear();
        }
        known.pieces.insert(key, piece.clone());
        piece
    }

    /// Bodies that were no message of their type.
    pub(crate) fn undecodable(&self) -> u64 {
        self.known.read().unwrap_or_else(PoisonError::into_inner).undecodable
    }
}

impl Known {
    fn find(&self, kind: Kind, part: &Part<'_>, hash: u128) -> Option<Item> {
        let id = *self.ids.get(&hash)?;
        let content = &self.contents[id as usize - 1];
        let name = if part.name.is_empty() || *part.name == *content.name_text {
            content.name
        } else {
            self.names[kind as usize].find(part.name)?
        };
        let version = if *part.version == *content.version_text {
            content.version
        } else {
            self.versions.find(part.version)?
        };
        Some(Item { name, version, content: id })
    }

    fn add(&mut self, kind: Kind, part: &Part<'_>, hash: u128) -> Item {
        let version = self.versions.add(part.version);
        let id = if let Some(id) = self.ids.get(&hash) {
            *id
        } else {
            let read = decode(kind, part.body).unwrap_or_else(|_| {
                self.undecodable += 1;
                Read::default()
            });
            let refs = kind.refers_to().map_or_else(Vec::new, |to| {
                let names = &mut self.names[to as usize];
                read.refs.iter().map(|name| names.add(name.as_bytes())).collect()
            });
            self.contents.push(Content {
                name: self.names[kind as usize].add(read.name.as_bytes()),
                name_text: read.name.as_bytes().into(),
                version,
                version_text: part.version.into(),
                refs,
                marker: marker(kind, part.body),
            });
            let id = self.contents.len() as u32;
            self.ids.insert(hash, id);
            id
        };
        let name = match part.name {
            [] => self.contents[id as usize - 1].name,
            text => self.names[kind as usize].add(text),
        };
        Item { name, version, content: id }
    }
}

#[derive(Default)]
struct Read {
    name: String,
    refs: Vec<String>,
}

fn decode(kind: Kind, body: &[u8]) -> Result<Read, prost::DecodeError> {
    Ok(match kind {
        Kind::Clusters => {
            let it = Cluster::decode(body)?;
            let eds = ClusterDiscoveryType::Type(DiscoveryType::Eds.into());
            let config = it.eds_cluster_config.filter(|_| it.cluster_discovery_type == Some(eds));
            let service = config.map(|config| match config.service_name {
                name if name.is_empty() => it.name.clone(),
                name => name,
            });
            Read { name: it.name, refs: service.into_iter().collect() }
        }
        Kind::Endpoints => {
            Read { name: ClusterLoadAssignment::decode(body)?.cluster_name, refs: Vec::new() }
        }
        Kind::Listeners => {
            let it = Listener::decode(body)?;
            let chains = it.filter_chains.iter().chain(&it.default_filter_chain);
            let configs = chains.flat_map(|chain| &chain.filters).filter_map(|filter| match filter
                .config_type
                .as_ref()?
            {
                ConfigType::TypedConfig(any) => Some(any),
                ConfigType::ConfigDiscovery(_) => None,
            });
            let mut refs = Vec::new();
            for any in configs.filter(|any| any.type_url.ends_with(".HttpConnectionManager")) {
                let manager = HttpConnectionManager::decode(any.value.as_slice())?;
                if let Some(RouteSpecifier::Rds(rds)) = manager.route_specifier {
                    refs.push(rds.route_config_name);
                }
            }
            refs.sort();
            refs.dedup();
            Read { name: it.name, refs }
        }
        Kind::Routes => Read { name: RouteConfiguration::decode(body)?.name, refs: Vec::new() },
    })
}

/// The number in the address `10.77.<high>.<low>`, 0 where there is none.
fn marker(kind: Kind, body: &[u8]) -> u16 {
    const PREFIX: &[u8] = b"10.77.";
    if kind != Kind::Endpoints {
        return 0;
    }
    let Some(at) = body.windows(PREFIX.len()).position(|window| window == PREFIX) else {
        return 0;
    };
    let rest = &body[at + PREFIX.len()..];
    let end = rest.iter().position(|byte| !byte.is_ascii_digit() && *byte != b'.');
    let text = std::str::from_utf8(&rest[..end.unwrap_or(rest.len())]).unwrap_or_default();
    let bytes = text.split_once('.').and_then(|(high, low)| {
        Some(u16::from(high.parse::<u8>().ok()?) << 8 | u16::from(low.parse::<u8>().ok()?))
    });
    bytes.unwrap_or_default()
}
