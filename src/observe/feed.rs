//! What one replica tells another of what its proxies reported.
//!
//! Names are said once and then numbered, steps are whole, and times are the classes that occur. As JSON, one step of 10,000
//! edges between 2,000 services, and of 2,000 proxies, takes 1.1 MB (a test says so); requests 2 MiB of texts at most.

use std::collections::HashMap;
use std::sync::Arc;

use api::traffic::RequestRow;
use serde::{Deserialize, Serialize};

use crate::bucket::{Bucket, Tick};
use crate::edges::{By, EdgeKey, Protocol, Recorded};

/// Whole steps are told until there are so many buckets; the rest next time. One step alone may have more, by what `edges`
/// keeps: 40,000.
pub(crate) const MOST_BUCKETS: usize = 30_000;

/// Up to where something was told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    /// When the replica that tells began, so that what it told before a restart stays told. 0 is nobody.
    pub start: u64,
    /// The first step that was not told.
    pub step: Tick,
    /// How many requests were told, or were too many to tell.
    pub rows: u64,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Feed {
    /// Where to go on. It is news also where nothing else is told: what is shown waits until a step is over everywhere.
    pub next: Cursor,
    /// When the first request was reported, in seconds since 1970.
    pub(crate) since: Option<u64>,
    names: Vec<String>,
    edges: Vec<Edge>,
    steps: Vec<Step>,
    /// The last is number `next.rows`.
    pub(crate) rows: Vec<RequestRow>,
}

/// By numbers of names: source, target, route, lane.
type Edge = (u32, u32, u32, u32, Protocol, bool, By);

/// By numbers of edges and of names.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Step {
    step: Tick,
    edges: Vec<(u32, Bucket)>,
    proxies: Vec<(u32, Bucket)>,
}

/// What a bucket is of.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Of {
    Edge(EdgeKey),
    Proxy(Arc<str>),
}

impl Feed {
    #[cfg(test)]
    pub(crate) fn buckets_told(&self) -> usize {
        self.steps.iter().map(|step| step.edges.len() + step.proxies.len()).sum()
    }

    /// Takes out what is told, each with its step; `None` for what numbers something that is not there.
    pub(crate) fn buckets(&mut self) -> Vec<(Tick, Option<(Of, Bucket)>)> {
        let names: Vec<Arc<str>> = self.names.iter().map(|name| name.as_str().into()).collect();
        let name = |number: u32| names.get(number as usize).cloned();
        let key = |number: u32| {
            let (source, target, route, lane, protocol, mtls, by) =
                *self.edges.get(number as usize)?;
            let (source, target) = (name(source)?, name(target)?);
            let (route, lane) = (name(route)?, name(lane)?);
            Some(Of::Edge(EdgeKey { source, target, route, lane, protocol, mtls, by }))
        };
        let mut out = Vec::new();
        for Step { step, edges, proxies } in std::mem::take(&mut self.steps) {
            let edges = edges.into_iter().map(|(of, bucket)| Some((key(of)?, bucket)));
            let proxies =
                proxies.into_iter().map(|(of, bucket)| Some((Of::Proxy(name(of)?), bucket)));
            out.extend(edges.chain(proxies).map(|told| (step, told)));
        }
        out
    }
}

/// A feed under way.
#[derive(Default)]
pub(crate) struct Telling {
    feed: Feed,
    names: HashMap<Arc<str>, u32>,
    edges: HashMap<EdgeKey, u32>,
    buckets: usize,
}

impl Telling {
    /// Adds a step; false where it has no room, and so is the first that is not told.
    pub(crate) fn add(&mut self, step: Tick, recorded: Recorded) -> bool {
        let Recorded { edges, proxies } = recorded;
        let more = edges.len() + proxies.len();
        if self.buckets > 0 && self.buckets + more > MOST_BUCKETS {
            return false;
        }
        if more > 0 {
            self.buckets += more;
            let edges = edges.into_iter().map(|(key, bucket)| (self.edge(&key), bucket)).collect();
            let proxies = proxies.into_iter().map(|(id, bucket)| (self.name(&id), bucket));
            let proxies = proxies.collect();
            self.feed.steps.push(Step { step, edges, proxies });
        }
        true
    }

    fn name(&mut self, name: &Arc<str>) -> u32 {
        number(&mut self.names, &mut self.feed.names, name, ToString::to_string)
    }

    fn edge(&mut self, key: &EdgeKey) -> u32 {
        if let Some(number) = self.edges.get(key) {
            return *number;
        }
        let EdgeKey { source, target, route, lane, protocol, mtls, by } = key;
        let [source, target, route, lane] =
            [source, target, route, lane].map(|name| self.name(name));
        let told = (source, target, route, lane, *protocol, *mtls, *by);
        number(&mut self.edges, &mut self.feed.edges, key, |_| told)
    }

    pub(crate) fn done(self, next: Cursor, since: Option<u64>, rows: Vec<RequestRow>) -> Feed {
        Feed { next, since, rows, ..self.feed }
    }
}

/// The number of something in a list, where it is put if it is new.
fn number<K, V>(
    known: &mut HashMap<K, u32>,
    list: &mut Vec<V>,
    key: &K,
    say: impl FnOnce(&K) -> V,
) -> u32
where
    K: Clone + Eq + std::hash::Hash,
{
    if let Some(number) = known.get(key) {
        return *number;
    }
    let number = u32::try_from(list.len()).expect("a feed is bounded far below");
    known.insert(key.clone(), number);
    list.push(say(key));
    number
}
