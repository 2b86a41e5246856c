//! What the proxies of one group have, and where each is served from.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, PoisonError, RwLock};

use catalog::Catalog;
use revision::rollout::{Cover, Member};
use snapshot::{ResourceType, Snapshot, Version};
use tokio::sync::watch;

/// The types by which it is told whether a proxy has a state: endpoints come and go all the time.
const KINDS: [ResourceType; 4] =
    [ResourceType::Cluster, ResourceType::Listener, ResourceType::Route, ResourceType::Secret];
/// States of a group that are remembered, for proxies that are behind.
const STATES: usize = 32;

pub(crate) fn place(kind: ResourceType) -> Option<usize> {
    KINDS.iter().position(|known| *known == kind)
}

/// The documents that a published state was made from. Catalogs share what is equal, so that an old one costs what has
/// changed since.
#[derive(Debug)]
pub(crate) struct State {
    /// In order of time, over all groups.
    pub(crate) number: u64,
    catalog: RwLock<Catalog>,
}

impl State {
    pub(crate) fn new(number: u64, catalog: Catalog) -> Arc<Self> {
        Arc::new(Self { number, catalog: RwLock::new(catalog) })
    }

    pub(crate) fn catalog(&self) -> Catalog {
        self.catalog.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A later catalog made the same.
    pub(crate) fn extend(&self, catalog: &Catalog) {
        *self.catalog.write().unwrap_or_else(PoisonError::into_inner) = catalog.clone();
    }
}

type Versions = [Version; KINDS.len()];

#[derive(Debug)]
struct Record {
    versions: Versions,
    empty: [bool; KINDS.len()],
    state: Arc<State>,
    snapshot: Snapshot,
}

#[derive(Debug)]
pub(crate) struct Group {
    /// By what is served: the group's own name, or that of an edition. The newest last.
    records: BTreeMap<Arc<str>, VecDeque<Record>>,
    proxies: BTreeMap<Arc<str>, Proxy>,
    /// Who is served an edition, be they connected or not.
    seats: BTreeMap<Arc<str>, Arc<str>>,
    /// Editions of which it is waited that their proxies take them.
    searching: BTreeSet<Arc<str>>,
    /// While the newest is rolled out, the edition of those that are not in all of these covers.
    rule: Option<(Arc<str>, Vec<Cover>)>,
    newest: Arc<str>,
    moves: watch::Sender<u64>,
}

#[derive(Clone, Debug)]
pub(crate) struct Proxy {
    member: Member,
    streams: BTreeSet<u64>,
    held: [Option<Version>; KINDS.len()],
    /// What it has taken in full last.
    good: Option<Arc<State>>,
    /// Of which edition that was.
    good_of: Arc<str>,
}

impl Proxy {
    pub(crate) fn is_connected(&self) -> bool {
        !self.streams.is_empty()
    }

    /// What it has taken in full, unless it has never taken anything of this type.
    pub(crate) fn good_for(&self, kind: ResourceType) -> Option<&Arc<State>> {
        let known = place(kind).is_none_or(|place| self.held[place].is_some());
        self.good.as_ref().filter(|_| known)
    }

    /// Whether it has of this type what was published last.
    pub(crate) fn has_taken_since(&self, last: Option<&Arc<State>>, kind: ResourceType) -> bool {
        let taken = self.good_for(kind).zip(last);
        taken.is_some_and(|(good, last)| good.number >= last.number)
    }

    fn has(&self, record: &Record) -> bool {
        (0..KINDS.len()).all(|place| match self.held[place] {
            Some(version) => version == record.versions[place],
            // A certificate that nothing refers to is never asked for.
            None => record.empty[place] || KINDS[place] == ResourceType::Secret,
        })
    }
}

impl Group {
    pub(super) fn new(name: &Arc<str>) -> Self {
        Self {
            records: BTreeMap::new(),
            proxies: BTreeMap::new(),
            seats: BTreeMap::new(),
            searching: BTreeSet::new(),
            rule: None,
            newest: name.clone(),
            moves: watch::Sender::new(0),
        }
    }

    pub(super) fn moves(&self) -> watch::Receiver<u64> {
        self.moves.subscribe()
    }

    /// The edition that this proxy is served; `None` for the newest. What a rollout has not reached comes first.
    pub(super) fn place(&self, member: &Member) -> Option<Arc<str>> {
        match &self.rule {
            Some((edition, covers)) if !covers.iter().all(|cover| cover.has(member)) => {
                Some(edition.clone())
            }
            _ => self.seats.get(&member.id).cloned(),
        }
    }

    pub(super) fn place_of(&self, node: &str) -> Option<Arc<str>> {
        self.place(&self.proxies.get(node)?.member)
    }

    /// Besides those who do not have the newest already, nobody but these is to have it.
    pub(super) fn narrow(&mut self, edition: &Arc<str>, cover: Cover) {
        let mut covers = self.rule.as_ref().map(|(_, covers)| covers.clone()).unwrap_or_default();
        if !covers.contains(&cover) {
            covers.push(cover);
        }
        self.set_rule(Some((edition.clone(), covers)));
    }

    pub(super) fn set_rule(&mut self, rule: Option<(Arc<str>, Vec<Cover>)>) {
        if self.rule == rule {
            return;
        }
        self.rule = rule;
        let nodes: Vec<_> = self.proxies.keys().cloned().collect();
        nodes.iter().for_each(|node| self.look(node));
        self.wake();
    }

    /// Those that are connected.
    pub(super) fn members(&self) -> Vec<Member> {
        let connected = self.proxies.values().filter(|proxy| proxy.is_connected());
        connected.map(|proxy| proxy.member.clone()).collect()
    }

    /// How many of these have the newest in full.
    pub(super) fn taken(&self, nodes: &BTreeSet<Arc<str>>) -> usize {
        let Some(last) = self.last(&self.newest) else { return 0 };
        let has = |proxy: &&Proxy| {
            let good = proxy.good.as_ref().filter(|_| proxy.good_of == self.newest);
            good.is_some_and(|good| good.number >= last.number)
        };
        nodes.iter().filter_map(|node| self.proxies.get(node)).filter(has).count()
    }

    pub(super) fn versions<const N: usize>(
        &self,
        kinds: [ResourceType; N],
    ) -> Option<[Version; N]> {
        let last = self.records.get(&self.newest)?.back()?;
        Some(kinds.map(|kind| last.snapshot.set(kind).version()))
    }

    pub(super) fn any_seated(&self) -> bool {
        !self.seats.is_empty()
    }

    pub(super) fn is_idle(&self) -> bool {
        self.proxies.is_empty()
            && self.records.is_empty()
            && self.seats.is_empty()
            && self.moves.receiver_count() == 0
    }

    /// Returns whether somebody waits for the proxies of this edition.
    pub(super) fn published(
        &mut self,
        entry: &Arc<str>,
        snapshot: &Snapshot,
        state: Arc<State>,
    ) -> bool {
        let versions = KINDS.map(|kind| snapshot.set(kind).version());
        let empty = KINDS.map(|kind| snapshot.set(kind).is_empty());
        let records = self.records.entry(entry.clone()).or_default();
        if let Some(last) = records.back_mut()
            && last.versions == versions
        {
            last.state.extend(&state.catalog());
            last.snapshot = snapshot.clone();
            return self.searching.contains(entry);
        }
        // Whoever had it before and is not sent it again does not acknowledge it again.
        let known = records.iter().any(|record| record.versions == versions);
        if records.len() == STATES {
            records.pop_front();
        }
        records.push_back(Record { versions, empty, state, snapshot: snapshot.clone() });
        if known {
            let nodes: Vec<_> = self.proxies.keys().cloned().collect();
            nodes.iter().for_each(|node| self.look(node));
        }
        self.searching.contains(entry)
    }

    pub(super) fn opened(&mut self, member: Member, stream: u64) {
        let node = &member.id;
        let proxy = self.proxies.entry(node.clone()).or_insert_with(|| Proxy {
            member: member.clone(),
            streams: BTreeSet::new(),
            held: [None; KINDS.len()],
            good: None,
            good_of: self.newest.clone(),
        });
        if proxy.streams.is_empty() {
            // It may have begun anew.
            proxy.held = [None; KINDS.len()];
        }
        proxy.member = member;
        proxy.streams.insert(stream);
    }

    pub(super) fn closed(&mut self, node: &str, stream: u64) {
        let Some(proxy) = self.proxies.get_mut(node) else { return };
        proxy.streams.remove(&stream);
        if proxy.streams.is_empty() && !self.seats.contains_key(node) {
            self.proxies.remove(node);
        }
    }

    pub(super) fn acked(&mut self, node: &str, place: usize, version: Version) -> bool {
        let Some(proxy) = self.proxies.get_mut(node) else { return false };
        proxy.held[place] = Some(version);
        self.look(node);
        self.place_of(node).is_some_and(|entry| self.searching.contains(&entry))
    }

    /// Finds the state that the proxy has, of those that it is served.
    fn look(&mut self, node: &str) {
        let entry = self.place_of(node).unwrap_or_else(|| self.newest.clone());
        let Some(proxy) = self.proxies.get_mut(node) else { return };
        let records = self.records.get(&entry).into_iter().flatten().rev();
        if let Some(record) = records.into_iter().find(|record| proxy.has(record)) {
            proxy.good = Some(record.state.clone());
            proxy.good_of = entry;
        }
    }

    pub(super) fn proxy(&self, node: &str) -> Option<&Proxy> {
        self.proxies.get(node)
    }

    /// The last state that was published of the newest, or of an edition.
    pub(super) fn last(&self, entry: &str) -> Option<&Arc<State>> {
        self.records.get(entry)?.back().map(|record| &record.state)
    }

    /// From now on, this proxy is served this edition, or the newest.
    pub(super) fn seat(&mut self, node: &Arc<str>, entry: Option<&Arc<str>>) {
        match entry {
            Some(entry) => drop(self.seats.insert(node.clone(), entry.clone())),
            None => {
                self.seats.remove(node);
                if self.proxies.get(node).is_some_and(|proxy| !proxy.is_connected()) {
                    self.proxies.remove(node);
                }
            }
        }
        self.look(node);
    }

    pub(super) fn wake(&self) {
        self.moves.send_modify(|count| *count += 1);
    }

    pub(super) fn search(&mut self, entry: &Arc<str>, searching: bool) {
        if searching {
            self.searching.insert(entry.clone());
        } else {
            self.searching.remove(entry);
        }
    }

    pub(super) fn forget(&mut self, entry: &str) {
        self.records.remove(entry);
        self.searching.remove(entry);
    }

    /// Whether each of these that is connected has the last state of this edition.
    pub(super) fn all_have<'a>(
        &self,
        nodes: impl IntoIterator<Item = &'a Arc<str>>,
        entry: &Arc<str>,
    ) -> bool {
        let Some(number) = self.last(entry).map(|last| last.number) else { return false };
        let mut any = false;
        let all = nodes.into_iter().filter_map(|node| self.proxies.get(node)).all(|proxy| {
            let connected = proxy.is_connected();
            any |= connected;
            let good = proxy.good.as_ref().filter(|_| proxy.good_of == *entry);
            !connected || good.is_some_and(|good| good.number >= number)
        });
        all && any
    }
}
