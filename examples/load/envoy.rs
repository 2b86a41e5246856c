//! One simulated Envoy: messages in, requests out, no I/O.
//!
//! ```text
//! opening ──► CDS ─► EDS of its clusters ─► LDS ─► RDS of its listeners ─► synced, then whatever changes
//! ```

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use bytes::Bytes;
use xxhash_rust::xxh3::Xxh3;

use crate::changes::Changes;
use crate::content::{Item, Kind, Library, Part};
use crate::count::Counts;
use crate::wire;

/// What all streams share.
pub(crate) struct Shared {
    pub(crate) delta: bool,
    pub(crate) library: Library,
    pub(crate) changes: Changes,
    pub(crate) counts: Counts,
}

#[derive(Clone, Copy, Default)]
struct Held {
    content: u32,
    version: u32,
    wanted: bool,
    /// The server has said what there is under this name, be it nothing.
    answered: bool,
}

#[derive(Default)]
struct OneType {
    /// By the number of the name, which starts at 1.
    held: Vec<Held>,
    /// Wanted and not answered.
    open: usize,
    asked: bool,
    /// A response came on this connection, or on one before.
    answered: bool,
    version: Vec<u8>,
    nonce: Vec<u8>,
    /// The wanted names as they stand in a request.
    names: Bytes,
}

impl OneType {
    fn at(&mut self, name: u32) -> &mut Held {
        let at = name as usize - 1;
        if self.held.len() <= at {
            self.held.resize_with(at + 1, Held::default);
        }
        &mut self.held[at]
    }

    fn names(&self, which: impl Fn(&Held) -> bool) -> Vec<u32> {
        let all = self.held.iter().zip(1..);
        all.filter(|(held, _)| which(held)).map(|(_, name)| name).collect()
    }
}

pub(crate) struct Envoy {
    shared: Arc<Shared>,
    node: Vec<u8>,
    types: [OneType; 4],
    /// Changes seen lately, and when.
    pub(crate) events: Vec<(u16, u64)>,
    /// A bit for each change that was ever seen.
    seen: Vec<u64>,
    /// When it had all types for the first time.
    pub(crate) synced: Option<u64>,
    /// When the first response came on this connection.
    pub(crate) first_read: Option<u64>,
    pub(crate) messages: u64,
    pub(crate) bytes: u64,
}

/// The parts of a response that matter. Field numbers of the two protocols differ in what 3, 4 and 6 are.
#[derive(Default)]
struct Response<'a> {
    url: &'a [u8],
    version: &'a [u8],
    nonce: &'a [u8],
    parts: Vec<Part<'a>>,
    removed: Vec<&'a [u8]>,
    broken: bool,
}

impl<'a> Response<'a> {
    fn read(message: &'a [u8], delta: bool) -> Self {
        let mut it = Self::default();
        let mut fields = wire::fields(message);
        for (field, value) in &mut fields {
            match field {
                1 => it.version = value,
                2 if delta => it.parts.push(delta_part(value)),
                2 => it.parts.push(Part { name: &[], version: &[], body: any_value(value) }),
                4 => it.url = value,
                5 => it.nonce = value,
                6 if delta => it.removed.push(value),
                _ => {}
            }
        }
        it.broken = fields.broken;
        it
    }
}

fn any_value(any: &[u8]) -> &[u8] {
    wire::fields(any).find(|(field, _)| *field == 2).map_or(&[], |(_, value)| value)
}

fn delta_part(resource: &[u8]) -> Part<'_> {
    let mut part = Part { name: &[], version: &[], body: &[] };
    for (field, value) in wire::fields(resource) {
        match field {
            1 => part.version = value,
            2 => part.body = any_value(value),
            3 => part.name = value,
            _ => {}
        }
    }
    part
}

impl Envoy {
    pub(crate) fn new(shared: Arc<Shared>, node: Vec<u8>) -> Self {
        Self {
            shared,
            node,
            types: Default::default(),
            events: Vec::new(),
            seen: Vec::new(),
            synced: None,
            first_read: None,
            messages: 0,
            bytes: 0,
        }
    }

    /// The first requests of a connection: at first clusters only, later everything it had asked for before.
    pub(crate) fn opening(&mut self, out: &mut Vec<Bytes>) {
        self.first_read = None;
        self.types[Kind::Clusters as usize].asked = true;
        let mut node = Some(std::mem::take(&mut self.node));
        for kind in Kind::ALL {
            let it = &mut self.types[kind as usize];
            it.nonce.clear();
            if !it.asked {
                continue;
            }
            let mut own = Vec::new();
            let mut shared = vec![it.names.clone()];
            if let Some(node) = &node {
                wire::put(&mut own, if self.shared.delta { 1 } else { 2 }, node);
            }
            if self.shared.delta {
                wire::put(&mut own, 2, kind.url().as_bytes());
                let names = it.names(|held| held.content > 0);
                let held: Vec<_> = names.iter().map(|name| (*name, it.at(*name).version)).collect();
                shared.push(self.shared.library.versions_piece(kind, &held));
            } else {
                wire::put(&mut own, 1, &it.version);
                wire::put(&mut own, 4, kind.url().as_bytes());
            }
            wire::request(&own, &shared, out);
            if let Some(node) = node.take() {
                self.node = node;
            }
        }
    }

    /// Takes a response in and adds the requests that it leads to: new names first, then the ACK.
    pub(crate) fn message(&mut self, message: &[u8], now: u64, out: &mut Vec<Bytes>) {
        let shared = self.shared.clone();
        let response = Response::read(message, shared.delta);
        let kind = Kind::ALL.into_iter().find(|kind| kind.url().as_bytes() == response.url);
        let Some(kind) = kind.filter(|kind| self.types[*kind as usize].asked) else {
            shared.counts.oddities.fetch_add(1, Relaxed);
            return;
        };
        self.messages += 1;
        self.bytes += message.len() as u64;
        shared.changes.read_at(now);
        let items = shared.library.read(kind, &response.parts);
        let count = &shared.counts.kinds[kind as usize];
        count.responses.fetch_add(1, Relaxed);
        count.resources.fetch_add(items.len() as u64, Relaxed);
        count.bytes.fetch_add(message.len() as u64, Relaxed);

        let odd = response.broken || response.nonce.is_empty() || repeats(&items);
        shared.counts.oddities.fetch_add(u64::from(odd), Relaxed);
        let same = self.take(kind, &items, now);
        count.same.fetch_add(same, Relaxed);
        count.changed.fetch_add(items.len() as u64 - same, Relaxed);
        let removed = self.remove(kind, &items, &response.removed);
        count.removed.fetch_add(removed, Relaxed);

        let it = &mut self.types[kind as usize];
        it.answered = true;
        it.nonce = response.nonce.to_vec();
        it.version = response.version.to_vec();
        self.ask_more(kind, same == items.len() as u64 && removed == 0, out);
        self.ack(kind, out);
        if self.first_read.is_none() {
            self.first_read = Some(now);
            shared.changes.stream_answered();
        }
        if self.synced.is_none() && self.has_all() {
            self.synced = Some(now);
            shared.changes.stream_synced();
        }
    }

    /// Returns how many of them it held already.
    fn take(&mut self, kind: Kind, items: &[Item], now: u64) -> u64 {
        let shared = self.shared.clone();
        let mut same = 0;
        shared.library.contents(|content| {
            for item in items {
                let it = &mut self.types[kind as usize];
                let held = it.at(item.name);
                let open = held.wanted && !held.answered;
                held.answered = true;
                held.version = item.version;
                let before = std::mem::replace(&mut held.content, item.content);
                it.open -= usize::from(open);
                if before == item.content {
                    same += 1;
                } else if kind == Kind::Endpoints {
                    let seen = |seq| {
                        let new = first_time(&mut self.seen, seq);
                        if new {
                            self.events.push((seq, now));
                        }
                        new
                    };
                    shared.changes.arrived(content(item.content).0, seen);
                }
            }
        });
        same
    }

    /// In delta the server says what is gone; a state of the world of a whole type is silent about it.
    fn remove(&mut self, kind: Kind, items: &[Item], removed: &[&[u8]]) -> u64 {
        let gone = if self.shared.delta {
            removed.iter().map(|text| self.shared.library.name(kind, text)).collect()
        } else if kind.whole() {
            let here: std::collections::HashSet<_> = items.iter().map(|item| item.name).collect();
            let mut all = self.types[kind as usize].names(|held| held.content > 0);
            all.retain(|name| !here.contains(name));
            all
        } else {
            Vec::new()
        };
        let it = &mut self.types[kind as usize];
        for name in &gone {
            let held = it.at(*name);
            let open = held.wanted && !held.answered;
            held.answered = true;
            (held.content, held.version) = (0, 0);
            it.open -= usize::from(open);
        }
        gone.len() as u64
    }

    fn ask_more(&mut self, kind: Kind, unchanged: bool, out: &mut Vec<Bytes>) {
        if let Some(to) = kind.refers_to().filter(|_| !unchanged) {
            self.follow(kind, to, out);
        }
        let settled = |it: &OneType| it.answered && it.open == 0;
        let clusters = settled(&self.types[Kind::Clusters as usize]);
        let endpoints = &self.types[Kind::Endpoints as usize];
        let ready = clusters && (settled(endpoints) || !endpoints.asked);
        let listeners = &mut self.types[Kind::Listeners as usize];
        if ready && !listeners.asked {
            listeners.asked = true;
            self.subscribe(Kind::Listeners, &[], &[], out);
        }
    }

    /// Asks for the names that the resources of `kind` now hold.
    fn follow(&mut self, kind: Kind, to: Kind, out: &mut Vec<Bytes>) {
        let shared = self.shared.clone();
        let contents: Vec<_> = self.types[kind as usize].held.iter().map(|it| it.content).collect();
        let it = &mut self.types[to as usize];
        let mut wanted = vec![false; it.held.len()];
        shared.library.contents(|content| {
            for name in contents.iter().filter(|id| **id > 0).flat_map(|id| content(*id).1) {
                let at = name as usize;
                wanted.resize(wanted.len().max(at), false);
                wanted[at - 1] = true;
            }
        });
        let (mut more, mut less) = (Vec::new(), Vec::new());
        for (name, wanted) in (1..).zip(wanted) {
            let held = it.at(name);
            if wanted && !held.wanted {
                *held = Held { wanted, ..Held::default() };
                it.open += 1;
                more.push(name);
            } else if !wanted && held.wanted {
                let open = !held.answered;
                *held = Held::default();
                it.open -= usize::from(open);
                less.push(name);
            }
        }
        if more.is_empty() && less.is_empty() {
            return;
        }
        it.asked = true;
        let all = it.names(|held| held.wanted);
        it.names = shared.library.names_piece(to, &all);
        self.subscribe(to, &more, &less, out);
    }

    fn subscribe(&mut self, kind: Kind, more: &[u32], less: &[u32], out: &mut Vec<Bytes>) {
        if !self.shared.delta {
            self.ack(kind, out);
            return;
        }
        let library = &self.shared.library;
        let mut own = Vec::new();
        wire::put(&mut own, 2, kind.url().as_bytes());
        // What is not wanted any more.
        for name in less {
            library.text(kind, *name, |text| wire::put(&mut own, 4, text));
        }
        wire::request(&own, &[library.names_piece(kind, more)], out);
    }

    /// In the state-of-the-world protocol this is also how names are asked for.
    fn ack(&mut self, kind: Kind, out: &mut Vec<Bytes>) {
        let it = &self.types[kind as usize];
        let mut own = Vec::new();
        let mut shared = None;
        if self.shared.delta {
            wire::put(&mut own, 2, kind.url().as_bytes());
            wire::put(&mut own, 6, &it.nonce);
        } else {
            wire::put(&mut own, 1, &it.version);
            wire::put(&mut own, 4, kind.url().as_bytes());
            wire::put(&mut own, 5, &it.nonce);
            shared = Some(it.names.clone());
        }
        if !it.nonce.is_empty() {
            self.shared.counts.acks.fetch_add(1, Relaxed);
        }
        wire::request(&own, shared.as_slice(), out);
    }

    fn has_all(&self) -> bool {
        self.types.iter().all(|it| it.answered && it.open == 0)
    }

    /// The same for streams that hold the same assignments.
    pub(crate) fn view(&self) -> u64 {
        let mut hash = Xxh3::new();
        for (at, held) in self.types[Kind::Endpoints as usize].held.iter().enumerate() {
            if held.content > 0 {
                hash.update(&at.to_le_bytes());
                hash.update(&held.content.to_le_bytes());
            }
        }
        hash.digest()
    }
}

fn first_time(bits: &mut Vec<u64>, number: u16) -> bool {
    let (at, bit) = (number as usize / 64, 1 << (number % 64));
    bits.resize(bits.len().max(at + 1), 0);
    let new = bits[at] & bit == 0;
    bits[at] |= bit;
    new
}

fn repeats(items: &[Item]) -> bool {
    let mut names: Vec<_> = items.iter().map(|item| item.name).collect();
    names.sort_unstable();
    names.windows(2).any(|pair| pair[0] == pair[1])
}
