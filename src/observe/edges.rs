//! Who calls whom.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::bucket::{Bucket, Calls, Class, Lines, STEPS, Tick};

/// Recorded here and by other replicas together. More are counted as one.
const MOST_EDGES: usize = 20_000;
/// Proxies of which figures are kept.
const MOST_PROXIES: usize = 20_000;
/// A bucket takes some 150 bytes, so that all take 45 MB at most. Where edges are many and busy, the hour becomes shorter.
const MOST_BUCKETS: usize = 300_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Protocol {
    Http,
    Grpc,
    Tcp,
}

impl Protocol {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Grpc => "grpc",
            Self::Tcp => "tcp",
        }
    }
}

/// How it is known what an edge carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum By {
    /// A proxy told of each request, or of the part that it is to tell of.
    AccessLog,
    /// A program counted its calls.
    LoadReport,
}

impl By {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AccessLog => "accessLog",
            Self::LoadReport => "loadReport",
        }
    }
}

/// Ids of nodes are those of the topology; the rest is empty where there is none.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EdgeKey {
    pub source: Arc<str>,
    /// Empty where the request went nowhere.
    pub target: Arc<str>,
    /// `NAMESPACE/NAME`
    pub route: Arc<str>,
    pub lane: Arc<str>,
    pub protocol: Protocol,
    pub mtls: bool,
    pub by: By,
}

/// Where edges go for which there is no room.
pub(crate) const OTHER: &str = "unknown/other";

#[derive(Debug, Default)]
pub(crate) struct Edges {
    edges: HashMap<EdgeKey, Lines>,
    proxies: HashMap<Arc<str>, Lines>,
    /// Edges of which something was recorded here.
    own: usize,
    /// Steps in which anything was reported.
    reported: VecDeque<Tick>,
    buckets: usize,
    /// Steps before it are forgotten.
    first: Tick,
    /// Nothing is recorded in steps before it: other replicas were told of them.
    closed: Tick,
    /// Reports that count for [`OTHER`].
    pub(crate) others: u64,
}

/// What was recorded here in one step.
pub(crate) struct Recorded {
    pub(crate) edges: Vec<(EdgeKey, Bucket)>,
    pub(crate) proxies: Vec<(Arc<str>, Bucket)>,
}

impl Edges {
    pub(crate) fn len(&self) -> usize {
        self.edges.len()
    }

    /// Of which something was recorded here.
    pub(crate) fn own(&self) -> usize {
        self.own
    }

    pub(crate) fn record(&mut self, tick: Tick, key: EdgeKey, class: Class, ms: f64) {
        self.write(tick, key, |bucket| bucket.record(class, ms));
    }

    pub(crate) fn add(&mut self, tick: Tick, key: EdgeKey, calls: Calls) {
        self.write(tick, key, |bucket| bucket.add(calls));
    }

    fn write(&mut self, tick: Tick, key: EdgeKey, write: impl FnOnce(&mut Bucket)) {
        let tick = self.reach(tick);
        let (key, _) = self.fitting(key);
        let own = &mut self.edges.entry(key).or_default().own;
        self.own += usize::from(own.is_empty());
        self.buckets += usize::from(own.write(tick, write));
        self.shorten();
    }

    /// The key to count for, and whether there was room for it.
    fn fitting(&mut self, key: EdgeKey) -> (EdgeKey, bool) {
        if self.edges.len() < MOST_EDGES || self.edges.contains_key(&key) {
            return (key, true);
        }
        self.others += 1;
        (EdgeKey { by: key.by, ..other() }, false)
    }

    /// What a proxy has served, whatever it is an edge of.
    pub(crate) fn record_proxy(&mut self, tick: Tick, proxy: &Arc<str>, class: Class, ms: f64) {
        let tick = self.reach(tick);
        if let Some(lines) = self.proxy_lines(proxy) {
            let new = lines.own.write(tick, |bucket| bucket.record(class, ms));
            self.buckets += usize::from(new);
        }
    }

    fn proxy_lines(&mut self, proxy: &Arc<str>) -> Option<&mut Lines> {
        let room = self.proxies.len() < MOST_PROXIES || self.proxies.contains_key(proxy);
        room.then(|| self.proxies.entry(proxy.clone()).or_default())
    }

    /// What another replica recorded. Returns whether there was room for it.
    pub(crate) fn absorb(&mut self, key: EdgeKey, bucket: Bucket) -> bool {
        if !self.reach_back(bucket.tick) {
            return false;
        }
        let (key, fits) = self.fitting(key);
        let new = self.edges.entry(key).or_default().absorbed.merge(bucket);
        self.buckets += usize::from(new);
        self.shorten();
        fits
    }

    pub(crate) fn absorb_proxy(&mut self, proxy: &Arc<str>, bucket: Bucket) -> bool {
        if !self.reach_back(bucket.tick) {
            return false;
        }
        let Some(lines) = self.proxy_lines(proxy) else { return false };
        let new = lines.absorbed.merge(bucket);
        self.buckets += usize::from(new);
        true
    }

    /// The step to record in. The clock may be set back: time does not.
    fn reach(&mut self, tick: Tick) -> Tick {
        let tick = tick.max(self.closed);
        if let Some(last) = self.reported.back()
            && *last >= tick
        {
            return *last;
        }
        self.reported.push_back(tick);
        self.forget_before(tick.saturating_sub(STEPS));
        tick
    }

    /// For a step that may be over; false where it is forgotten already.
    fn reach_back(&mut self, tick: Tick) -> bool {
        if self.reported.back().is_none_or(|last| *last < tick) {
            self.reported.push_back(tick);
            self.forget_before(tick.saturating_sub(STEPS));
        } else if tick < self.first {
            return false;
        } else if let Err(at) = self.reported.binary_search(&tick) {
            self.reported.insert(at, tick);
        }
        true
    }

    /// From now on nothing is recorded before this step; returns the first that is not over.
    pub(crate) fn close(&mut self, tick: Tick) -> Tick {
        self.closed = self.closed.max(tick);
        self.closed
    }

    /// Steps from `first` to before `end` in which anything was reported.
    pub(crate) fn steps(&self, first: Tick, end: Tick) -> Vec<Tick> {
        self.reported.iter().copied().filter(|tick| (first..end).contains(tick)).collect()
    }

    pub(crate) fn recorded(&self, tick: Tick) -> Recorded {
        Recorded { edges: recorded(&self.edges, tick), proxies: recorded(&self.proxies, tick) }
    }

    fn forget_before(&mut self, first: Tick) {
        self.first = self.first.max(first);
        if self.reported.front().is_none_or(|oldest| *oldest >= first) {
            return;
        }
        let (mut gone, mut own_gone) = (0, 0);
        self.edges.retain(|_, lines| {
            let had = !lines.own.is_empty();
            gone += lines.forget_before(first);
            own_gone += usize::from(had && lines.own.is_empty());
            !lines.is_empty()
        });
        self.proxies.retain(|_, lines| {
            gone += lines.forget_before(first);
            !lines.is_empty()
        });
        self.own -= own_gone;
        self.buckets = self.buckets.saturating_sub(gone);
        let old = self.reported.partition_point(|tick| *tick < first);
        self.reported.drain(..old);
    }

    fn shorten(&mut self) {
        while self.buckets > MOST_BUCKETS && self.reported.len() > 1 {
            // Some at once, so that this is rare.
            let at = (self.reported.len() / 20).max(1);
            self.forget_before(self.reported[at]);
        }
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = (&EdgeKey, &Lines)> {
        self.edges.iter()
    }

    pub(crate) fn proxy(&self, id: &str) -> Option<&Lines> {
        self.proxies.get(id)
    }

    /// Whether anything was reported in this step.
    pub(crate) fn reported(&self, tick: Tick) -> bool {
        self.reported.binary_search(&tick).is_ok()
    }

    /// The sums of those that are wanted, over the steps from `first` to before `end`; without those with nothing.
    pub(crate) fn sums(&self, first: Tick, end: Tick) -> Vec<(EdgeKey, Bucket)> {
        let sums = self.edges.iter().map(|(key, line)| (key, line.sum(first, end)));
        sums.filter(|(_, sum)| sum.all() + sum.open() > 0)
            .map(|(key, sum)| (key.clone(), sum))
            .collect()
    }
}

fn recorded<K: Clone>(lines: &HashMap<K, Lines>, tick: Tick) -> Vec<(K, Bucket)> {
    let found = lines.iter().filter_map(|(key, lines)| Some((key, lines.own.at(tick)?)));
    found.map(|(key, bucket)| (key.clone(), bucket.clone())).collect()
}

fn other() -> EdgeKey {
    EdgeKey {
        source: OTHER.into(),
        target: OTHER.into(),
        route: "".into(),
        lane: "".into(),
        protocol: Protocol::Http,
        mtls: false,
        by: By::AccessLog,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edge(source: &str, target: &str) -> EdgeKey {
        EdgeKey { source: source.into(), target: target.into(), ..other() }
    }

    #[test]
    fn an_hour_is_kept_and_what_is_older_is_forgotten() {
        let mut edges = Edges::default();
        edges.record(1000, edge("a", "b"), Class::Good, 1.0);
        edges.record(1001, edge("a", "c"), Class::Server, 1.0);
        assert_eq!(edges.sums(1000, 1001).len(), 1);
        edges.record(1000 + STEPS + 1, edge("a", "c"), Class::Good, 1.0);
        assert_eq!(edges.len(), 1, "the edge to b is over an hour old");
        assert_eq!(edges.sums(0, 2000)[0].1.all(), 2);
        assert_eq!(edges.buckets, 2);
        assert!(!edges.reported(1000) && edges.reported(1001));
    }

    #[test]
    fn edges_without_end_become_one() {
        let mut edges = Edges::default();
        for n in 0..MOST_EDGES + 500 {
            edges.record(7, edge("a", &n.to_string()), Class::Good, 1.0);
        }
        assert_eq!(edges.len(), MOST_EDGES + 1);
        assert_eq!(edges.others, 500);
    }

    #[test]
    fn memory_has_an_end_and_the_newest_stays() {
        let mut edges = Edges::default();
        for tick in 0..20 {
            for n in 0..18_000 {
                edges.record(tick, edge("a", &n.to_string()), Class::Good, 1.0);
            }
        }
        assert!(edges.buckets <= MOST_BUCKETS);
        assert_eq!(edges.sums(19, 20).len(), 18_000);
    }
}
