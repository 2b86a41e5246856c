//! What other replicas' proxies reported: it counts in all that is shown, and is told to nobody else.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::SystemTime;

use super::{Collector, STEPS, State, Tick, seconds, tick};
use crate::feed::{Cursor, Feed, Of, Telling};

/// Steps by which the clock of a replica may be ahead. What it says of them counts for the step that is under way here.
const MOST_AHEAD: Tick = 6;
/// Steps by which what a replica told may be late; of one that is later it is not known when it will tell more.
const MOST_LATE: Tick = 4;
/// Older requests are not news to who follows.
const NEWS_MS: i64 = 30_000;
/// So much is done at a time before others may have the lock.
const AT_ONCE: usize = 256;

/// Of one replica so many starts are known.
const MOST_STARTS: usize = 16;

/// A replica, and what it has told.
#[derive(Debug, Default)]
pub(super) struct Heard {
    /// When it was heard last, by the clock here.
    at: Tick,
    /// Whether it will tell more.
    live: bool,
    /// Since each of its starts, the newest last.
    told: VecDeque<Cursor>,
    /// Up to where all that it told is taken in.
    shown: Tick,
}

/// How many buckets were taken, and what became of others.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Absorbed {
    pub(super) taken: u64,
    /// Of these, those that came from the future.
    pub(super) early: u64,
    /// Further in the future than any clock should be.
    pub(super) future: u64,
    /// Without room, or older than what is kept.
    pub(super) full: u64,
    /// Not to be understood.
    pub(super) broken: u64,
}

impl Collector {
    /// What was reported here since then, of steps that are over, and requests as they come. Where there is much it is only
    /// the beginning, and the next goes on from there; of requests it is the end.
    #[must_use]
    pub fn export(&self, since: Option<Cursor>) -> Feed {
        self.export_at(since, SystemTime::now())
    }

    pub(super) fn export_at(&self, since: Option<Cursor>, now: SystemTime) -> Feed {
        let since = since.filter(|since| since.start == self.start).unwrap_or_default();
        let (end, steps, (told, rows), first) = {
            let mut state = self.state();
            let end = state.edges.close(tick(now));
            (end, state.edges.steps(since.step, end), state.ring.told(since.rows), state.since)
        };
        let mut telling = Telling::default();
        // Steps that are over stay as they are, so that the lock is held for one at a time.
        let rest = steps.into_iter().find(|step| {
            let recorded = self.state().edges.recorded(*step);
            !telling.add(*step, recorded)
        });
        let next = Cursor { start: self.start, step: rest.unwrap_or(end), rows: told };
        let rows = rows.iter().map(|row| (**row).clone()).collect();
        telling.done(next, first, rows)
    }

    /// Takes what another replica exported. What it has told already does not count again, also not after a restart of it.
    pub fn absorb(&self, replica: &str, feed: Feed) {
        let Absorbed { taken, early, future, full, broken } =
            self.absorb_at(replica, feed, SystemTime::now());
        for (outcome, count) in [
            ("taken", taken - early),
            ("early", early),
            ("future", future),
            ("full", full),
            ("broken", broken),
        ] {
            if count > 0 {
                metrics::counter!("isthmus_replica_buckets_total", "outcome" => outcome)
                    .increment(count);
            }
        }
    }

    pub(super) fn absorb_at(&self, replica: &str, mut feed: Feed, now: SystemTime) -> Absorbed {
        let mut out = Absorbed::default();
        if feed.next.start == 0 {
            return out;
        }
        let here = tick(now);
        let told = self.state().hear(replica, &feed, now);
        let mut new = Vec::new();
        for (step, bucket) in feed.buckets() {
            match bucket {
                _ if step < told.step => {}
                _ if step > here + MOST_AHEAD => out.future += 1,
                None => out.broken += 1,
                Some((of, mut bucket)) => {
                    out.early += u64::from(step > here);
                    bucket.tick = step.min(here);
                    new.push((of, bucket));
                }
            }
        }
        let mut new = new.into_iter().peekable();
        while new.peek().is_some() {
            let mut state = self.state();
            for (of, bucket) in new.by_ref().take(AT_ONCE) {
                let fits = match of {
                    Of::Edge(key) => state.edges.absorb(key, bucket),
                    Of::Proxy(id) => state.edges.absorb_proxy(&id, bucket),
                };
                *(if fits { &mut out.taken } else { &mut out.full }) += 1;
            }
        }
        if let Some(heard) = self.state().heard.get_mut(replica)
            // What comes late of an earlier start says nothing of how far it is now.
            && let Some(last) = heard.told.back().filter(|last| last.start == feed.next.start)
        {
            heard.shown = last.step;
        }
        let unknown = feed.next.rows.saturating_sub(told.rows);
        let unknown = usize::try_from(unknown).unwrap_or(usize::MAX);
        let known = feed.rows.len().saturating_sub(unknown);
        let followed = self.followers.receiver_count() > 0;
        let oldest = i64::try_from(seconds(now) * 1000).unwrap_or(i64::MAX) - NEWS_MS;
        let mut rows = feed.rows.into_iter().skip(known).map(Arc::new).peekable();
        while rows.peek().is_some() {
            let mut state = self.state();
            for row in rows.by_ref().take(AT_ONCE) {
                if followed && row.at.0 >= oldest {
                    // Nobody may listen any more.
                    let _ = self.followers.send(row.clone());
                }
                state.ring.absorb(row);
            }
        }
        out
    }

    /// A replica is gone and tells nothing more. What it told stays until it is an hour old.
    pub fn forget(&self, replica: &str) {
        if let Some(heard) = self.state().heard.get_mut(replica) {
            heard.live = false;
        }
    }
}

impl State {
    /// How far a replica had told before; it will have told this.
    fn hear(&mut self, replica: &str, feed: &Feed, now: SystemTime) -> Cursor {
        let here = tick(now);
        // What it told then is forgotten as well.
        self.heard.retain(|_, heard| heard.at + STEPS >= here);
        if let Some(since) = feed.since {
            let since = since.min(seconds(now));
            self.heard_since = Some(self.heard_since.map_or(since, |known| known.min(since)));
        }
        let heard = self.heard.entry(replica.to_owned()).or_default();
        (heard.at, heard.live) = (here, true);
        let next = feed.next;
        if let Some(told) = heard.told.iter_mut().find(|told| told.start == next.start) {
            let before = *told;
            told.step = before.step.max(next.step);
            told.rows = before.rows.max(next.rows);
            return before;
        }
        heard.told.push_back(next);
        if heard.told.len() > MOST_STARTS {
            heard.told.pop_front();
        }
        Cursor::default()
    }

    /// The first step of which some replica that is heard has still to tell, at most `end`; `None` where there is none. What
    /// only some have told of would look like a fall.
    pub(super) fn heard_to(&self, end: Tick) -> Option<Tick> {
        let live = self.heard.values().filter(|heard| heard.live);
        let steps = live.map(|heard| heard.shown);
        steps.filter(|step| step + MOST_LATE >= end).min().map(|step| step.min(end))
    }
}

#[cfg(test)]
mod tests;
