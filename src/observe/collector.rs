//! All that is observed, behind one lock that is held for a moment at a time.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use api::Caller;
use api::traffic::{Observation, RequestRow, RequestsQuery, Series, SeriesQuery};
use envoy_types::pb::envoy::config::endpoint::v3::ClusterStats;
use envoy_types::pb::envoy::data::accesslog::v3::{HttpAccessLogEntry, TcpAccessLogEntry};
use tokio::sync::broadcast;

use crate::bucket::{Bucket, Calls, Class, STEP, STEPS, Tick};
use crate::directory::{self, Directory};
use crate::edges::{By, EdgeKey, Edges, OTHER, Protocol};
use crate::entry::{self, Entry};
use crate::load;
use crate::reporter::{Reporter, Side};
use crate::ring::{self, Ring};
use crate::series::series;

mod replicas;

use replicas::Heard;

/// More in a second are dropped, and counted: reports must not take the time that proxies' configuration needs.
const MOST_A_SECOND: u64 = 50_000;
/// Clusters of load reports, likewise.
const MOST_LOADS_A_SECOND: u64 = 20_000;
/// Rows that a follower may be behind.
const FOLLOWERS_MAY_LAG: usize = 1024;
/// Pairs of which requests are counted for Prometheus; the rest is `other`.
const MOST_SERVICES: usize = 500;

/// What a group of proxies served since some moment.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Figures {
    pub requests: u64,
    /// 5xx, and gRPC statuses that are the server's fault.
    pub errors: u64,
    /// Milliseconds.
    pub p99: Option<f64>,
}

#[derive(Debug)]
pub struct Collector {
    state: Mutex<State>,
    directory: RwLock<Arc<Directory>>,
    followers: broadcast::Sender<Arc<RequestRow>>,
    /// 1 over the part of requests that is reported.
    scale: f64,
    on: bool,
    /// When this began, in milliseconds since 1970.
    start: u64,
    dropped: AtomicU64,
    streams: Mutex<HashMap<Arc<str>, usize>>,
}

#[derive(Debug, Default)]
struct State {
    edges: Edges,
    ring: Ring,
    requests: u64,
    /// When the first was reported, in seconds since 1970.
    since: Option<u64>,
    /// How many there were in this second.
    second: (u64, u64),
    loads: (u64, u64),
    /// Other replicas by name, and the earliest `since` of any.
    heard: HashMap<String, Heard>,
    heard_since: Option<u64>,
    /// By source and target, in order of class.
    counters: HashMap<(Arc<str>, Arc<str>), [metrics::Counter; 5]>,
}

/// What happened and where, in names of the topology.
struct Sides {
    source: Arc<str>,
    target: Arc<str>,
    /// Who called the gateway.
    caller: Option<Arc<str>>,
    mtls: bool,
}

impl Collector {
    /// `sampling` is the part of requests that proxies are told to report.
    #[must_use]
    pub fn new(on: bool, sampling: f64) -> Self {
        Self {
            state: Mutex::default(),
            directory: RwLock::default(),
            followers: broadcast::Sender::new(FOLLOWERS_MAY_LAG),
            scale: if sampling > 0.0 { 1.0 / sampling } else { 1.0 },
            on,
            start: start(SystemTime::now()),
            dropped: AtomicU64::new(0),
            streams: Mutex::default(),
        }
    }

    pub fn set_directory(&self, directory: Directory) {
        *self.directory.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(directory);
    }

    fn directory(&self) -> Arc<Directory> {
        self.directory.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn streams(&self) -> MutexGuard<'_, HashMap<Arc<str>, usize>> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn opened(&self, proxy: &Arc<str>) {
        *self.streams().entry(proxy.clone()).or_default() += 1;
    }

    pub(crate) fn closed(&self, proxy: &Arc<str>) {
        let mut streams = self.streams();
        if let Some(count) = streams.get_mut(proxy) {
            *count -= 1;
            if *count == 0 {
                streams.remove(proxy);
            }
        }
    }

    pub(crate) fn discard(&self, reason: &'static str, count: u64) {
        if count > 0 {
            self.dropped.fetch_add(count, Relaxed);
            metrics::counter!("isthmus_access_log_dropped_total", "reason" => reason)
                .increment(count);
        }
    }

    pub(crate) fn discard_loads(&self, reason: &'static str, count: u64) {
        if count > 0 {
            self.dropped.fetch_add(count, Relaxed);
            metrics::counter!("isthmus_load_report_dropped_total", "reason" => reason)
                .increment(count);
        }
    }

    pub(crate) fn requests_seen(
        &self,
        from: &Reporter,
        entries: Vec<HttpAccessLogEntry>,
        now: SystemTime,
    ) {
        let directory = self.directory();
        let entries =
            entries.into_iter().map(|entry| entry::of_request(entry, &directory.lane_label));
        self.take(from, &directory, entries, now);
    }

    pub(crate) fn connections_seen(
        &self,
        from: &Reporter,
        entries: Vec<TcpAccessLogEntry>,
        now: SystemTime,
    ) {
        let directory = self.directory();
        let entries =
            entries.into_iter().map(|entry| entry::of_connection(entry, &directory.lane_label));
        self.take(from, &directory, entries, now);
    }

    fn take(
        &self,
        from: &Reporter,
        directory: &Directory,
        entries: impl ExactSizeIterator<Item = Entry>,
        now: SystemTime,
    ) {
        let (seconds, tick) = (seconds(now), tick(now));
        let room = {
            let mut state = self.state();
            room(&mut state.second, seconds, MOST_A_SECOND, entries.len())
        };
        self.discard("rate", entries.len() as u64 - room);
        let followed = self.followers.receiver_count() > 0;
        // Read before the lock is taken: what is inside it is cheap.
        let read: Vec<_> = entries
            .take(usize::try_from(room).unwrap_or(usize::MAX))
            .filter_map(|entry| named(from, directory, entry))
            .collect();
        let mut state = self.state();
        if !read.is_empty() {
            state.since.get_or_insert(seconds);
        }
        for (entry, sides) in read {
            let Entry { row, protocol, class, .. } = entry;
            let (route, lane): (Arc<str>, Arc<str>) =
                (row.route.as_str().into(), row.lane.as_str().into());
            let Sides { source, target, caller, mtls } = sides;
            if let Some(caller) = caller {
                let key = EdgeKey {
                    source: caller,
                    target: source.clone(),
                    route: "".into(),
                    lane: "".into(),
                    protocol,
                    mtls: false,
                    by: By::AccessLog,
                };
                state.edges.record(tick, key, class, row.duration);
            }
            state.count(&source, &target, class, 1);
            let by = By::AccessLog;
            let key = EdgeKey { source, target, route, lane, protocol, mtls, by };
            state.edges.record(tick, key, class, row.duration);
            state.edges.record_proxy(tick, &from.node, class, row.duration);
            state.requests += 1;
            let row = Arc::new(row);
            if followed {
                // Nobody may listen any more.
                let _ = self.followers.send(row.clone());
            }
            state.ring.push(row);
        }
        metrics::gauge!("isthmus_observed_edges").set(state.edges.own() as f64);
    }

    /// What a program says of its calls since its last report.
    pub(crate) fn loads_seen(&self, from: &Reporter, clusters: &[ClusterStats], now: SystemTime) {
        let Side::Program { namespace, address, fallback } = &from.side else { return };
        let directory = self.directory();
        let Some(source) = directory.program(*address, fallback) else { return };
        let (seconds, tick) = (seconds(now), tick(now));
        let room = room(&mut self.state().loads, seconds, MOST_LOADS_A_SECOND, clusters.len());
        self.discard_loads("rate", clusters.len() as u64 - room);
        let (mut unknown, mut implausible) = (0, 0);
        let mut read = Vec::new();
        for stats in clusters.iter().take(usize::try_from(room).unwrap_or(usize::MAX)) {
            let target = load::target(&stats.cluster_name, namespace.as_deref());
            // A made-up name must not become a node.
            let known = target.and_then(|target| directory.services.get_key_value(&*target));
            match (known, load::calls(stats)) {
                (None, _) => unknown += 1,
                (_, None) => implausible += 1,
                // Each of its sidecars tells of the calls of those who have none.
                (Some((_, true)), _) => {}
                (Some((target, false)), Some(calls)) => read.push((target.clone(), calls)),
            }
        }
        self.discard_loads("unknown", unknown);
        self.discard_loads("implausible", implausible);
        let mut state = self.state();
        for (target, calls) in read {
            if calls == Calls::default() {
                continue;
            }
            state.since.get_or_insert(seconds);
            state.count(&source, &target, Class::Good, calls.good.into());
            state.count(&source, &target, Class::Grpc, calls.failed.into());
            state.requests += u64::from(calls.good) + u64::from(calls.failed);
            let key = EdgeKey {
                source: source.clone(),
                target,
                route: "".into(),
                lane: "".into(),
                protocol: Protocol::Grpc,
                mtls: false,
                by: By::LoadReport,
            };
            // Figures of single proxies are not for it: they are of what was after a moment, which a sum does not say.
            state.edges.add(tick, key, calls);
        }
        metrics::gauge!("isthmus_observed_edges").set(state.edges.own() as f64);
    }

    /// The newest first.
    #[must_use]
    pub fn requests(&self, caller: &Caller, query: &RequestsQuery) -> Vec<RequestRow> {
        let rows = self.state().ring.rows();
        ring::find(rows, query, caller)
    }

    /// Whether it is one of those that are asked for; `limit` and `before` do not count.
    #[must_use]
    pub fn shows(caller: &Caller, query: &RequestsQuery, row: &RequestRow) -> bool {
        ring::matches(row, query) && ring::sees(caller, row)
    }

    #[must_use]
    pub fn follow(&self) -> broadcast::Receiver<Arc<RequestRow>> {
        self.followers.subscribe()
    }

    #[must_use]
    pub fn series(&self, caller: &Caller, query: &SeriesQuery, now: SystemTime) -> Series {
        let window = query.window.unwrap_or(900).clamp(STEP, STEP * STEPS);
        let state = self.state();
        // The step that is under way would look like a fall.
        let end = state.heard_to(tick(now)).unwrap_or(tick(now));
        let first = end.saturating_sub(window.div_ceil(STEP));
        let of = query.of.as_deref();
        let wanted = |key: &EdgeKey| {
            sees(caller, key)
                && match of {
                    // What a gateway is asked is an edge to it and one from it.
                    None => !key.target.starts_with("gateway/"),
                    Some(id) if id.starts_with("gateway/") => *key.source == *id,
                    Some(id) => match id.strip_prefix("route/") {
                        Some(route) => *key.route == *route,
                        None => *key.target == *id,
                    },
                }
        };
        series(&state.edges, wanted, (first, end), |key| self.scale_of(key))
    }

    /// The sums of all edges over some seconds before `end`. Rates are over as much of that as is known.
    #[must_use]
    pub fn edges(&self, window: u64, end: SystemTime) -> Vec<(EdgeKey, Sum)> {
        let (sums, since, first, to) = {
            let state = self.state();
            let (to, after) = match state.heard_to(tick(end)) {
                Some(step) => (step * STEP, step),
                None => (seconds(end), tick(end) + 1),
            };
            let first = after.saturating_sub(window.div_ceil(STEP));
            let since = state.since.into_iter().chain(state.heard_since).min();
            (state.edges.sums(first, after), since.unwrap_or_default(), first, to)
        };
        let known = to.saturating_sub(since.max(first * STEP)).max(STEP);
        let sum = |(key, bucket): (EdgeKey, Bucket)| {
            let sum = Sum::new(bucket, self.scale_of(&key), known);
            (key, sum)
        };
        sums.into_iter().map(sum).collect()
    }

    /// Only part of the requests is logged, but a load report counts all calls.
    fn scale_of(&self, key: &EdgeKey) -> f64 {
        match key.by {
            By::AccessLog => self.scale,
            By::LoadReport => 1.0,
        }
    }

    /// What each node is asked, over the last minute: by its id.
    #[must_use]
    pub fn rates(&self, now: SystemTime) -> HashMap<Arc<str>, Sum> {
        let mut out: HashMap<Arc<str>, Sum> = HashMap::new();
        for (key, sum) in self.edges(60, now) {
            out.entry(key.target).or_default().merge(&sum);
        }
        out
    }

    /// What went by each route, `NAMESPACE/NAME`, over the last minute, as far as the caller may see it.
    #[must_use]
    pub fn routes(&self, caller: &Caller, now: SystemTime) -> HashMap<Arc<str>, Sum> {
        let mut out: HashMap<Arc<str>, Sum> = HashMap::new();
        let edges = self.edges(60, now).into_iter();
        for (key, sum) in edges.filter(|(key, _)| !key.route.is_empty() && sees(caller, key)) {
            out.entry(key.route).or_default().merge(&sum);
        }
        out
    }

    /// How many called each node in the last hour.
    #[must_use]
    pub fn caller_counts(&self) -> HashMap<Arc<str>, usize> {
        let state = self.state();
        let mut callers: HashMap<&Arc<str>, HashSet<&Arc<str>>> = HashMap::new();
        for (key, _) in state.edges.all() {
            callers.entry(&key.target).or_default().insert(&key.source);
        }
        callers.into_iter().map(|(target, sources)| (target.clone(), sources.len())).collect()
    }

    /// Ids of who called a node in the last hour.
    #[must_use]
    pub fn callers(&self, node: &str) -> BTreeSet<Arc<str>> {
        let state = self.state();
        let edges = state.edges.all().filter(|(key, _)| *key.target == *node);
        edges.map(|(key, _)| key.source.clone()).collect()
    }

    /// What these proxies served since then: of whole steps, so that nothing from before is in it, which for up to a step and
    /// the time that reports are on their way is nothing.
    #[must_use]
    pub fn figures(&self, proxies: &[String], since: SystemTime) -> Figures {
        let (first, end) = (tick(since + LATE) + 1, Tick::MAX);
        let state = self.state();
        let lines = proxies.iter().filter_map(|id| state.edges.proxy(id));
        let sum = lines.fold(Bucket::default(), |mut sum, line| {
            sum.merge(&line.sum(first, end));
            sum
        });
        Figures { requests: sum.all(), errors: sum.failed(), p99: sum.times.percentile(0.99) }
    }

    #[must_use]
    pub fn observation(&self) -> Observation {
        let proxies = self.streams().len();
        let state = self.state();
        Observation {
            on: self.on,
            proxies,
            requests: state.requests,
            dropped: self.dropped.load(Relaxed),
            edges: state.edges.len(),
            sampling: 1.0 / self.scale,
        }
    }
}

/// What an edge carried over some time.
#[derive(Clone, Debug, Default)]
pub struct Sum {
    bucket: Bucket,
    /// Requests a second, and those of them that failed.
    rate: f64,
    failed: f64,
    open: f64,
}

impl Sum {
    /// Over so many seconds.
    fn new(bucket: Bucket, scale: f64, seconds: u64) -> Self {
        let per_second = scale / seconds as f64;
        Self {
            rate: bucket.all() as f64 * per_second,
            failed: bucket.failed() as f64 * per_second,
            // Reported once a step.
            open: bucket.open() as f64 * STEP as f64 / seconds as f64,
            bucket,
        }
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        self.bucket.merge(&other.bucket);
        self.rate += other.rate;
        self.failed += other.failed;
        self.open += other.open;
    }

    pub(crate) fn count(&self) -> u64 {
        self.bucket.all()
    }

    #[must_use]
    pub fn rate(&self) -> f64 {
        self.rate
    }

    /// Part of them that failed.
    #[must_use]
    pub fn errors(&self) -> f64 {
        if self.rate > 0.0 { self.failed / self.rate } else { 0.0 }
    }

    /// How many were under way on average, as far as that is reported.
    #[must_use]
    pub fn open(&self) -> f64 {
        self.open
    }

    #[must_use]
    pub fn percentile(&self, part: f64) -> Option<f64> {
        self.bucket.times.percentile(part)
    }
}

impl State {
    /// By gateway and service only: their number has an end that people know.
    fn count(&mut self, source: &Arc<str>, target: &Arc<str>, class: Class, requests: u64) {
        let full = self.counters.len() >= MOST_SERVICES;
        let of = |id: &Arc<str>, kind: &str| {
            if id.starts_with(kind) { id.clone() } else { "".into() }
        };
        let key = (of(source, "gateway/"), of(target, "service/"));
        let key = if full && !self.counters.contains_key(&key) {
            (OTHER.into(), OTHER.into())
        } else {
            key
        };
        let (source, target) = &key;
        let counters = || {
            let gateway = source.strip_prefix("gateway/").unwrap_or_default().to_owned();
            let service = match target.strip_prefix("service/") {
                Some(service) => service.to_owned(),
                None if **target == *OTHER => "other".to_owned(),
                None => String::new(),
            };
            ["2xx", "3xx", "4xx", "5xx", "grpc"].map(|class| {
                metrics::counter!("isthmus_requests_total", "gateway" => gateway.clone(), "service" => service.clone(), "class" => class)
            })
        };
        let counters = match self.counters.get(&key) {
            Some(counters) => counters,
            None => {
                let new = counters();
                self.counters.entry(key).or_insert(new)
            }
        };
        counters[class as usize].increment(requests);
    }
}

/// Both sides of it; `None` for what another proxy tells of.
fn named(from: &Reporter, directory: &Directory, mut entry: Entry) -> Option<(Entry, Sides)> {
    let ip = |address: Option<SocketAddr>| address.map(|address| address.ip());
    let upstream = ip(entry.upstream);
    let row = &mut entry.row;
    let service = directory::service(&row.cluster)
        .map(|(namespace, name)| Arc::<str>::from(format!("service/{namespace}/{name}")));
    let inbound = |name: &str| matches!(name, "inbound" | "inbound/http2");
    let sides = match &from.side {
        Side::Gateway(node) => Sides {
            source: node.clone(),
            target: service.unwrap_or_else(|| "".into()),
            caller: Some(directory.caller(ip(entry.remote))),
            mtls: directory.has_sidecar(upstream),
        },
        Side::Program { .. } => return None,
        Side::Sidecar { group, fallback } => {
            let own = directory.workloads.get(group).unwrap_or(fallback).clone();
            if inbound(&row.cluster) || inbound(&entry.route) {
                if directory.has_sidecar(ip(entry.remote)) {
                    return None;
                }
                let caller = directory.caller(ip(entry.remote));
                Sides { source: caller, target: own, caller: None, mtls: false }
            } else {
                let target = service.or_else(|| upstream.map(|ip| directory.callee(ip)));
                Sides {
                    source: own,
                    target: target.unwrap_or_else(|| "".into()),
                    caller: None,
                    mtls: directory.has_sidecar(upstream),
                }
            }
        }
    };
    row.proxy = from.node.to_string();
    row.role = from.side.role().to_owned();
    row.source = sides.source.to_string();
    row.target = sides.target.to_string();
    if let Some((route, rule)) = compile::route_origin(&entry.route) {
        row.route = route.name.to_string();
        row.rule = Some(rule);
    }
    Some((entry, sides))
}

fn sees(caller: &Caller, key: &EdgeKey) -> bool {
    let namespaces = [&key.source, &key.target].into_iter().filter_map(|id| ring::namespace(id));
    let mut any = false;
    for namespace in namespaces {
        any = true;
        if caller.may(api::Role::Viewer, Some(namespace)) {
            return true;
        }
    }
    !any && caller.may(api::Role::Viewer, None)
}

/// For how many of so many there is room in this second.
fn room(second: &mut (u64, u64), now: u64, most: u64, wanted: usize) -> u64 {
    if second.0 != now {
        *second = (now, 0);
    }
    let room = most.saturating_sub(second.1).min(wanted as u64);
    second.1 += room;
    room
}

fn start(at: SystemTime) -> u64 {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX).max(1)
}

fn seconds(at: SystemTime) -> u64 {
    at.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs()
}

/// How long a proxy keeps what it has to report.
const LATE: Duration = Duration::from_secs(1);

fn tick(at: SystemTime) -> Tick {
    seconds(at) / STEP
}

#[cfg(test)]
mod tests;
