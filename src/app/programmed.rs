//! Whether the proxies of a Gateway have taken what was made of it.
//!
//! ```text
//! pipeline ──published──► number of the state │ proxies ──ACK──► what each holds
//!                                             └────────► has every proxy at least the state of this generation?
//! ```
//!
//! Only listeners, routes, clusters and secrets count: endpoints come and go all the time. Once every proxy that is
//! connected has the state of a generation, that generation is programmed and stays so: proxies that come later start with
//! it, and those that go take nothing back.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Instant;

use dashmap::DashMap;
use model::ObjectKey;
use snapshot::{ResourceType, Snapshot, Version};
use status::replicas::{Report, State};
use status::{Table, Waiting};
use tokio::sync::watch;

use crate::news::News;

const KINDS: [ResourceType; 4] =
    [ResourceType::Cluster, ResourceType::Listener, ResourceType::Route, ResourceType::Secret];
/// Proxies subscribe to these whatever there is; to the others once something refers to them.
const ALWAYS: usize = 2;
/// Versions of a type that are remembered. A proxy that acknowledges an older one is not believed to have anything.
const VERSIONS: usize = 256;

fn place(kind: ResourceType) -> Option<usize> {
    KINDS.iter().position(|k| *k == kind)
}

#[derive(Debug, Default)]
pub(crate) struct Programmed {
    groups: DashMap<Arc<str>, Group>,
    /// What other replicas know of their proxies.
    peers: RwLock<BTreeMap<ObjectKey, Vec<Report>>>,
    /// The group of each object that was asked for.
    places: DashMap<ObjectKey, Arc<str>>,
    /// Who wants to know when something is programmed.
    table: Option<Table>,
    news: News,
    /// Rings when proxies have said something about what waits.
    bell: watch::Sender<()>,
}

#[derive(Debug, Default)]
struct Group {
    /// Counts the published states that differ in something that counts.
    number: u64,
    /// By type: each version with the number from which on it was current, the oldest first.
    versions: [VecDeque<(Version, u64)>; KINDS.len()],
    /// Of editions, with the number of the newest of that time: all but what is held back is in them.
    beside: [VecDeque<(Version, u64)>; KINDS.len()],
    empty: [bool; KINDS.len()],
    /// By name: one proxy may own several streams, and one that comes back is the same.
    proxies: BTreeMap<Arc<str>, Proxy>,
    needs: BTreeMap<ObjectKey, Need>,
}

#[derive(Debug, Default)]
struct Proxy {
    streams: BTreeSet<u64>,
    held: [Option<Version>; KINDS.len()],
    refused: [Option<String>; KINDS.len()],
}

/// What an object waits for.
#[derive(Debug)]
struct Need {
    generation: i64,
    /// Those of its listeners that are compiled.
    listeners: BTreeSet<Arc<str>>,
    number: u64,
    since: Instant,
    taken: bool,
}

impl Programmed {
    pub(crate) fn new(table: Option<Table>) -> Self {
        Self { table, ..Self::default() }
    }

    /// Before proxies can see it.
    pub(crate) fn published(&self, group: &Arc<str>, snapshot: &Snapshot) {
        let mut group = self.groups.entry(group.clone()).or_default();
        let number = group.number + 1;
        let mut differs = false;
        for (place, kind) in KINDS.into_iter().enumerate() {
            let set = snapshot.set(kind);
            group.empty[place] = set.is_empty();
            let versions = &mut group.versions[place];
            if versions.back().is_some_and(|(version, _)| *version == set.version()) {
                continue;
            }
            differs = true;
            if versions.len() == VERSIONS {
                versions.pop_front();
            }
            versions.push_back((set.version(), number));
        }
        group.number += u64::from(differs);
    }

    /// What proxies that refused something are served instead, after the newest was published: they have everything else.
    pub(crate) fn published_beside(&self, group: &Arc<str>, snapshot: &Snapshot) {
        let mut group = self.groups.entry(group.clone()).or_default();
        let number = group.number;
        for (place, kind) in KINDS.into_iter().enumerate() {
            let version = snapshot.set(kind).version();
            let beside = &mut group.beside[place];
            beside.retain(|(known, _)| *known != version);
            if beside.len() == VERSIONS {
                beside.pop_front();
            }
            beside.push_back((version, number));
        }
    }

    /// The group's Gateway is no more.
    pub(crate) fn removed(&self, group: &Arc<str>) {
        self.groups.remove_if(group, |_, group| group.proxies.is_empty());
        if let Some(mut group) = self.groups.get_mut(group) {
            group.needs.clear();
        }
        self.places.retain(|_, place| place != group);
    }

    pub(crate) fn opened(&self, group: &Arc<str>, proxy: &str, stream: u64) {
        let mut group = self.groups.entry(group.clone()).or_default();
        group.proxies.entry(proxy.into()).or_default().streams.insert(stream);
    }

    pub(crate) fn closed(&self, name: &Arc<str>, proxy: &str, stream: u64) {
        let Some(mut group) = self.groups.get_mut(name) else { return };
        let Some(known) = group.proxies.get_mut(proxy) else { return };
        known.streams.remove(&stream);
        if known.streams.is_empty() {
            group.proxies.remove(proxy);
        }
        self.settle(&mut group);
        drop(group);
        let forgotten =
            |group: &Group| group.proxies.is_empty() && group.number == 0 && group.needs.is_empty();
        self.groups.remove_if(name, |_, group| forgotten(group));
    }

    pub(crate) fn acked(&self, group: &str, proxy: &str, kind: ResourceType, version: Version) {
        let Some(place) = place(kind) else { return };
        let Some(mut group) = self.groups.get_mut(group) else { return };
        // On the way from one state to the next, clients are shown what is between them.
        let mut known = group.versions[place].iter().chain(&group.beside[place]);
        let known = known.any(|(known, _)| *known == version);
        let Some(proxy) = group.proxies.get_mut(proxy) else { return };
        proxy.refused[place] = None;
        if known {
            proxy.held[place] = Some(version);
        }
        self.settle(&mut group);
    }

    pub(crate) fn nacked(&self, group: &str, proxy: &str, kind: ResourceType, text: &str) {
        let Some(place) = place(kind) else { return };
        let Some(mut group) = self.groups.get_mut(group) else { return };
        let Some(proxy) = group.proxies.get_mut(proxy) else { return };
        proxy.refused[place] = Some(text.into());
        let waiting: Vec<_> = group.open().cloned().collect();
        self.touch(waiting);
    }

    /// What the other replicas know now, in place of what they said before.
    pub(crate) fn set_peers(&self, reports: BTreeMap<ObjectKey, Vec<Report>>) {
        let mut peers = self.peers.write().unwrap_or_else(PoisonError::into_inner);
        let changed: Vec<_> = reports
            .iter()
            .filter(|(key, report)| peers.get(*key) != Some(report))
            .map(|(key, _)| key.clone())
            .collect();
        *peers = reports;
        drop(peers);
        self.touch(changed);
    }

    /// What keeps this object from being programmed in this generation, with these of its listeners.
    pub(crate) fn waiting(
        &self,
        group: &Arc<str>,
        key: &ObjectKey,
        generation: i64,
        listeners: BTreeSet<Arc<str>>,
    ) -> Option<Waiting> {
        if self.places.get(key).is_none_or(|known| *known != *group) {
            self.places.insert(key.clone(), group.clone());
        }
        let mut group = self.groups.entry(group.clone()).or_default();
        let state = group.state(key, generation, listeners);
        let need = group.needs.get_mut(key)?;
        let waiting =
            |reason, text: &str| Some(Waiting { reason, text: text.into(), since: need.since });
        match state {
            Some(State::Taken) => None,
            Some(State::Refused(text)) => waiting("Invalid", &text),
            Some(State::Pending) => {
                waiting("Pending", "waits for its proxies to acknowledge the configuration")
            }
            None => match self.of_peers(key, generation) {
                Some(State::Taken) => {
                    need.taken = true;
                    None
                }
                Some(State::Refused(text)) => waiting("Invalid", &text),
                Some(State::Pending) => {
                    waiting("Pending", "waits for its proxies to acknowledge the configuration")
                }
                None => waiting("Pending", "no proxy of this Gateway is connected yet"),
            },
        }
    }

    /// What is known of the proxies here, for other replicas; `None` while there are none.
    pub(crate) fn report(&self, key: &ObjectKey) -> Option<Report> {
        let place = self.places.get(key)?.clone();
        let group = self.groups.get(&place)?;
        let need = group.needs.get(key)?;
        Some(Report { generation: need.generation, state: group.local(need)? })
    }

    fn of_peers(&self, key: &ObjectKey, generation: i64) -> Option<State> {
        let peers = self.peers.read().unwrap_or_else(PoisonError::into_inner);
        let reports = peers.get(key)?.iter().filter(|report| report.generation == generation);
        let rank = |state: &State| match state {
            State::Taken => 0,
            State::Pending => 1,
            State::Refused(_) => 2,
        };
        reports.map(|report| report.state.clone()).max_by_key(rank)
    }

    /// Looks which of those that wait have what they wait for.
    fn settle(&self, group: &mut Group) {
        let open: Vec<_> = group.open().cloned().collect();
        let mut done = Vec::new();
        for key in open {
            let taken =
                group.needs.get(&key).is_some_and(|need| group.local(need) == Some(State::Taken));
            if taken && let Some(need) = group.needs.get_mut(&key) {
                need.taken = true;
                done.push(key);
            }
        }
        self.touch(done);
    }

    /// Rings when [`Self::report`] may say something else.
    pub(crate) fn bell(&self) -> watch::Receiver<()> {
        self.bell.subscribe()
    }

    /// Tells of which objects the status may be another.
    pub(crate) fn telling(self, news: News) -> Self {
        Self { news, ..self }
    }

    fn touch(&self, keys: Vec<ObjectKey>) {
        if keys.is_empty() {
            return;
        }
        self.bell.send_replace(());
        self.news.objects(keys.iter().cloned());
        if let Some(table) = &self.table {
            table.touch(keys);
        }
    }
}

impl Group {
    fn open(&self) -> impl Iterator<Item = &ObjectKey> {
        self.needs.iter().filter(|(_, need)| !need.taken).map(|(key, _)| key)
    }

    /// Notes what the object needs, if it is something new, and says how it is.
    fn state(
        &mut self,
        key: &ObjectKey,
        generation: i64,
        listeners: BTreeSet<Arc<str>>,
    ) -> Option<State> {
        let number = self.number;
        let need = self.needs.entry(key.clone()).or_insert_with(|| Need {
            generation,
            listeners: listeners.clone(),
            number,
            since: Instant::now(),
            taken: false,
        });
        if need.generation != generation || !listeners.is_subset(&need.listeners) {
            *need = Need { generation, listeners, number, since: Instant::now(), taken: false };
        } else {
            // One that comes back later is new.
            need.listeners = listeners;
        }
        let need = self.needs.get(key)?;
        let state = self.local(need);
        if state == Some(State::Taken)
            && let Some(need) = self.needs.get_mut(key)
        {
            need.taken = true;
        }
        state
    }

    fn local(&self, need: &Need) -> Option<State> {
        if need.taken {
            return Some(State::Taken);
        }
        if self.proxies.is_empty() {
            return None;
        }
        for (name, proxy) in &self.proxies {
            let refused = proxy
                .refused
                .iter()
                .enumerate()
                .find_map(|(place, text)| Some((KINDS[place].short(), text.as_ref()?)));
            if let Some((kind, text)) = refused {
                return Some(State::Refused(format!("proxy {name} refused {kind}: {text}")));
            }
        }
        let all = self.proxies.values().all(|proxy| self.has(proxy, need.number));
        Some(if all { State::Taken } else { State::Pending })
    }

    /// Whether the proxy has the state of this number, or a later one.
    fn has(&self, proxy: &Proxy, number: u64) -> bool {
        (0..KINDS.len()).all(|place| {
            if place >= ALWAYS && self.empty[place] {
                return true;
            }
            let versions = &self.versions[place];
            let held = proxy.held[place];
            // A certificate that nothing refers to is never asked for: a Gateway's own for back ends that want none.
            if KINDS[place] == ResourceType::Secret && held.is_none() {
                return true;
            }
            let mut beside = self.beside[place].iter();
            if beside.any(|(version, of)| Some(*version) == held && *of >= number) {
                return true;
            }
            let found = versions.iter().rposition(|(version, _)| Some(*version) == held);
            // It was current until the next one came.
            found.is_some_and(|at| versions.get(at + 1).is_none_or(|(_, next)| *next > number))
        })
    }
}

#[cfg(test)]
mod tests {
    use model::Kind;
    use snapshot::Resource;

    use super::*;

    fn key() -> ObjectKey {
        ObjectKey::new(Kind::Gateway, "shop", "edge")
    }

    fn group() -> Arc<str> {
        "gateway/shop/edge".into()
    }

    fn state(parts: &[(ResourceType, &str)]) -> Snapshot {
        let mut snapshot = Snapshot::default();
        for (kind, body) in parts {
            snapshot.insert(Resource::new(*kind, "it".into(), body.as_bytes(), [], []));
        }
        snapshot
    }

    const LISTENER: ResourceType = ResourceType::Listener;
    const CLUSTER: ResourceType = ResourceType::Cluster;
    const ROUTE: ResourceType = ResourceType::Route;

    struct Bench {
        programmed: Programmed,
        bell: watch::Receiver<()>,
        snapshot: Snapshot,
    }

    impl Bench {
        fn new() -> Self {
            let programmed = Programmed::default();
            let bell = programmed.bell();
            Self { programmed, bell, snapshot: Snapshot::default() }
        }

        /// Whether those who wait were told to look since the last call.
        fn rang(&mut self) -> bool {
            let rang = self.bell.has_changed().unwrap();
            self.bell.mark_unchanged();
            rang
        }

        fn publish(&mut self, parts: &[(ResourceType, &str)]) {
            self.snapshot = state(parts);
            self.programmed.published(&group(), &self.snapshot);
        }

        fn ack(&self, proxy: &str, snapshot: &Snapshot, kinds: &[ResourceType]) {
            for kind in kinds {
                self.programmed.acked(&group(), proxy, *kind, snapshot.set(*kind).version());
            }
        }

        fn waiting(&self, generation: i64, listeners: &[&str]) -> Option<&'static str> {
            let listeners = listeners.iter().map(|name| Arc::from(*name)).collect();
            self.programmed.waiting(&group(), &key(), generation, listeners).map(|w| w.reason)
        }
    }

    #[test]
    fn every_proxy_must_have_every_type_that_counts() {
        let mut bench = Bench::new();
        bench.publish(&[(LISTENER, "1"), (CLUSTER, "1"), (ROUTE, "1")]);
        let first = bench.snapshot.clone();
        assert_eq!(bench.waiting(1, &["http"]), Some("Pending"));
        for (stream, proxy) in ["a", "b"].into_iter().enumerate() {
            bench.programmed.opened(&group(), proxy, stream as u64);
        }
        bench.ack("a", &first, &[CLUSTER, LISTENER, ROUTE]);
        bench.ack("b", &first, &[CLUSTER, LISTENER]);
        assert_eq!(bench.waiting(1, &["http"]), Some("Pending"));
        bench.ack("b", &first, &[ROUTE]);
        assert!(bench.rang());
        assert_eq!(bench.waiting(1, &["http"]), None);
        // Proxies come and go: it stays.
        bench.programmed.opened(&group(), "c", 2);
        assert_eq!(bench.waiting(1, &["http"]), None);
        for (stream, proxy) in ["a", "b", "c"].into_iter().enumerate() {
            bench.programmed.closed(&group(), proxy, stream as u64);
        }
        assert_eq!(bench.waiting(1, &["http"]), None);
        assert_eq!(bench.waiting(2, &["http"]), Some("Pending"));
    }

    #[test]
    fn a_certificate_that_nothing_asks_for_is_not_waited_for() {
        let mut bench = Bench::new();
        bench.publish(&[(LISTENER, "1"), (CLUSTER, "1"), (ResourceType::Secret, "1")]);
        let first = bench.snapshot.clone();
        bench.programmed.opened(&group(), "a", 0);
        assert_eq!(bench.waiting(1, &["http"]), Some("Pending"));
        bench.ack("a", &first, &[CLUSTER, LISTENER]);
        assert_eq!(bench.waiting(1, &["http"]), None);
    }

    #[test]
    fn a_later_state_will_do_and_endpoints_do_not_count() {
        let mut bench = Bench::new();
        bench.programmed.opened(&group(), "a", 1);
        bench.publish(&[(LISTENER, "1")]);
        let first = bench.snapshot.clone();
        bench.ack("a", &first, &[CLUSTER, LISTENER]);
        assert_eq!(bench.waiting(1, &["http"]), None);
        bench.publish(&[(LISTENER, "2")]);
        assert_eq!(bench.waiting(2, &["http"]), Some("Pending"));
        // Before the proxy has answered, the next ones are out; it gets the last only.
        bench.publish(&[(LISTENER, "3")]);
        bench.publish(&[(LISTENER, "3"), (ResourceType::Endpoint, "1")]);
        bench.ack("a", &first, &[LISTENER]);
        assert_eq!(bench.waiting(2, &["http"]), Some("Pending"));
        bench.ack("a", &bench.snapshot, &[LISTENER]);
        assert_eq!(bench.waiting(2, &["http"]), None);
        // A state that differs in nothing that counts is there already.
        assert_eq!(bench.waiting(3, &["http"]), None);
    }

    #[test]
    fn a_listener_that_is_new_in_the_same_generation_is_waited_for() {
        let mut bench = Bench::new();
        bench.programmed.opened(&group(), "a", 1);
        bench.publish(&[(LISTENER, "1")]);
        bench.ack("a", &bench.snapshot, &[CLUSTER, LISTENER]);
        assert_eq!(bench.waiting(1, &["http"]), None);
        // Its certificate came.
        bench.publish(&[(LISTENER, "2")]);
        assert_eq!(bench.waiting(1, &["http", "https"]), Some("Pending"));
        bench.ack("a", &bench.snapshot, &[LISTENER]);
        assert_eq!(bench.waiting(1, &["http", "https"]), None);
        bench.publish(&[(LISTENER, "1")]);
        bench.ack("a", &bench.snapshot, &[LISTENER]);
        assert_eq!(bench.waiting(1, &["http"]), None);
        bench.publish(&[(LISTENER, "2")]);
        assert_eq!(bench.waiting(1, &["http", "https"]), Some("Pending"));
    }

    #[test]
    fn what_a_proxy_refuses_is_told_in_its_words() {
        let mut bench = Bench::new();
        bench.programmed.opened(&group(), "a", 1);
        bench.publish(&[(LISTENER, "bad")]);
        assert_eq!(bench.waiting(1, &["http"]), Some("Pending"));
        bench.programmed.nacked(&group(), "a", LISTENER, "no such filter");
        assert!(bench.rang());
        let listeners = BTreeSet::from(["http".into()]);
        let waiting = bench.programmed.waiting(&group(), &key(), 1, listeners).unwrap();
        assert_eq!(waiting.reason, "Invalid");
        assert!(waiting.text.contains("proxy a refused LDS: no such filter"), "{}", waiting.text);
        bench.publish(&[(LISTENER, "good")]);
        bench.ack("a", &bench.snapshot, &[CLUSTER, LISTENER]);
        assert_eq!(bench.waiting(1, &["http"]), None);
    }

    #[test]
    fn proxies_of_other_replicas_count_where_there_are_none_here() {
        let mut bench = Bench::new();
        bench.publish(&[(LISTENER, "1")]);
        assert_eq!(bench.waiting(2, &["http"]), Some("Pending"));
        let report =
            |generation, state| BTreeMap::from([(key(), vec![Report { generation, state }])]);
        bench.programmed.set_peers(report(1, State::Taken));
        assert_eq!(bench.waiting(2, &["http"]), Some("Pending"));
        bench.programmed.set_peers(report(2, State::Refused("no".into())));
        assert_eq!(bench.waiting(2, &["http"]), Some("Invalid"));
        bench.programmed.set_peers(report(2, State::Taken));
        assert!(bench.rang());
        assert_eq!(bench.waiting(2, &["http"]), None);
    }
}
