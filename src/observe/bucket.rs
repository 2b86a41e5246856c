//! What happened in ten seconds, and an hour of that.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::histogram::Histogram;

/// Seconds.
pub(crate) const STEP: u64 = 10;
/// So many steps are kept: an hour.
pub(crate) const STEPS: u64 = 360;

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    Good,
    Redirect,
    /// The client's fault, or it went away: 4xx.
    Client,
    /// 5xx, and connections that broke.
    Server,
    /// A gRPC status that is the server's fault.
    Grpc,
}

/// What a program reports of its calls to one cluster, made since its last report.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Calls {
    pub(crate) good: u32,
    pub(crate) failed: u32,
    /// Under way at the moment of the report.
    pub(crate) open: u32,
}

/// Steps since 1970.
pub(crate) type Tick = u64;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(from = "Parts", into = "Parts")]
pub(crate) struct Bucket {
    /// Does not travel: what it is part of says it once for all.
    pub(crate) tick: Tick,
    counts: [u32; 5],
    /// Requests under way, of all that was reported of them.
    open: u32,
    pub(crate) times: Histogram,
}

/// A bucket as replicas tell it to each other, without names: there are many.
type Parts = ([u32; 5], u32, Histogram);

impl From<Bucket> for Parts {
    fn from(Bucket { tick: _, counts, open, times }: Bucket) -> Self {
        (counts, open, times)
    }
}

impl From<Parts> for Bucket {
    fn from((counts, open, times): Parts) -> Self {
        Self { tick: 0, counts, open, times }
    }
}

impl Bucket {
    pub(crate) fn record(&mut self, class: Class, ms: f64) {
        let count = &mut self.counts[class as usize];
        *count = count.saturating_add(1);
        self.times.record(ms);
    }

    /// Of requests that nobody timed.
    pub(crate) fn add(&mut self, calls: Calls) {
        let Calls { good, failed, open } = calls;
        for (class, more) in [(Class::Good, good), (Class::Grpc, failed)] {
            let count = &mut self.counts[class as usize];
            *count = count.saturating_add(more);
        }
        self.open = self.open.saturating_add(open);
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        self.open = self.open.saturating_add(other.open);
        for (count, more) in self.counts.iter_mut().zip(other.counts) {
            *count = count.saturating_add(more);
        }
        self.times.merge(&other.times);
    }

    pub(crate) fn of(&self, class: Class) -> u64 {
        u64::from(self.counts[class as usize])
    }

    pub(crate) fn open(&self) -> u64 {
        u64::from(self.open)
    }

    pub(crate) fn all(&self) -> u64 {
        self.counts.iter().map(|count| u64::from(*count)).sum()
    }

    pub(crate) fn failed(&self) -> u64 {
        self.of(Class::Server) + self.of(Class::Grpc)
    }
}

/// Buckets in order of time; steps in which nothing happened have none.
#[derive(Clone, Debug, Default)]
pub(crate) struct Line(VecDeque<Bucket>);

impl Line {
    /// Returns whether a bucket began.
    pub(crate) fn write(&mut self, tick: Tick, write: impl FnOnce(&mut Bucket)) -> bool {
        let new = self.0.back().is_none_or(|last| last.tick < tick);
        if new {
            self.0.push_back(Bucket { tick, ..Bucket::default() });
        }
        if let Some(last) = self.0.back_mut() {
            write(last);
        }
        new
    }

    /// Adds to any step, also an earlier one. Returns whether a bucket began.
    pub(crate) fn merge(&mut self, bucket: Bucket) -> bool {
        let at = self.0.partition_point(|known| known.tick < bucket.tick);
        match self.0.get_mut(at) {
            Some(known) if known.tick == bucket.tick => {
                known.merge(&bucket);
                false
            }
            _ => {
                self.0.insert(at, bucket);
                true
            }
        }
    }

    pub(crate) fn at(&self, tick: Tick) -> Option<&Bucket> {
        self.between(tick, tick + 1).next()
    }

    /// Forgets what is older; returns how many buckets that were.
    pub(crate) fn forget_before(&mut self, tick: Tick) -> usize {
        let old = self.0.partition_point(|bucket| bucket.tick < tick);
        self.0.drain(..old).count()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Those of the steps from `first` to before `end`.
    pub(crate) fn between(&self, first: Tick, end: Tick) -> impl Iterator<Item = &Bucket> {
        let from = self.0.partition_point(|bucket| bucket.tick < first);
        self.0.range(from..).take_while(move |bucket| bucket.tick < end)
    }
}

/// What was recorded here and what other replicas recorded, kept apart: nobody is told what somebody else said.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lines {
    pub(crate) own: Line,
    pub(crate) absorbed: Line,
}

impl Lines {
    /// Of both, those of the steps from `first` to before `end`.
    pub(crate) fn between(&self, first: Tick, end: Tick) -> impl Iterator<Item = &Bucket> {
        self.own.between(first, end).chain(self.absorbed.between(first, end))
    }

    pub(crate) fn sum(&self, first: Tick, end: Tick) -> Bucket {
        self.between(first, end).fold(Bucket::default(), |mut sum, bucket| {
            sum.merge(bucket);
            sum
        })
    }

    /// Returns how many buckets that were.
    pub(crate) fn forget_before(&mut self, tick: Tick) -> usize {
        self.own.forget_before(tick) + self.absorbed.forget_before(tick)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.own.is_empty() && self.absorbed.is_empty()
    }
}
