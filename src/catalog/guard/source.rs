use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use model::{
    Ask, Finding, GuardRules, Health, ObjectRef, Registry, RegistryService, RegistryServiceId,
    Severity, Steer, Steering, codes,
};

use super::rules::{
    ASK_AGAIN, ASK_EACH, AT_ONCE, LOST, SECOND_ANSWER, SERVICE_LEAST, SOURCE_LEAST, Window,
    of_service, seen_is_sure, settle_time,
};
use super::service::{Hold, Known, Place, Service, Why};
use super::{Event, Outcome, Seed, What};
use crate::Now;

/// Events that are kept.
const EVENTS: usize = 1000;
/// Removals of the last moment that are kept, to take back what turns out to be a mass drop.
const RECENT: usize = 100_000;

/// How fresh what is served of a registry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    Syncing,
    Live,
    Degraded,
    Stale,
    Lost,
}

impl State {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Syncing => "syncing",
            Self::Live => "live",
            Self::Degraded => "degraded",
            Self::Stale => "stale",
            Self::Lost => "lost",
        }
    }
}

/// What happened to instances, since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub reports: u64,
    pub added: u64,
    pub changed: u64,
    pub removed: u64,
    pub held: u64,
    pub released: u64,
    pub returned: u64,
}

/// Contact was made anew, and what is missing is unconfirmed for a while.
#[derive(Clone, Debug)]
struct Doubt {
    reason: String,
    /// `None` until the registry answers for the first time in this process.
    since: Option<Duration>,
}

/// The guard of one registry.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    pub(super) name: Arc<str>,
    pub(super) kind: &'static str,
    rules: GuardRules,
    settle: Duration,
    seen_is_sure: bool,
    pub(super) state: State,
    pub(super) reason: String,
    pub(super) since: SystemTime,
    /// When contact was last known.
    pub(super) fresh: Option<SystemTime>,
    stale_since: Option<Duration>,
    doubt: Option<Doubt>,
    /// Counts the times that contact was made.
    session: u64,
    pub(super) frozen: bool,
    pub(super) services: BTreeMap<RegistryServiceId, Service>,
    /// Services with something held, by what is due next.
    timers: BTreeSet<(Duration, RegistryServiceId)>,
    /// Services with something held.
    pub(super) holding: BTreeSet<RegistryServiceId>,
    /// Instances that the registry names, and those that it does not and that are served.
    pub(super) present: usize,
    pub(super) held: usize,
    window: Window,
    recent: VecDeque<(Duration, RegistryServiceId, f64, Known)>,
    pub(super) events: VecDeque<Arc<Event>>,
    pub(super) counts: Counts,
}

impl Source {
    pub(super) fn new(
        name: Arc<str>,
        registry: &Registry,
        seeds: Vec<Seed>,
        now: Now,
        out: &mut Outcome,
    ) -> Self {
        let doubt = (!seeds.is_empty())
            .then(|| Doubt { reason: "not confirmed since the restart".into(), since: None });
        let mut source = Self {
            name,
            kind: registry.kind.as_str(),
            rules: registry.guard.clone(),
            settle: Duration::ZERO,
            seen_is_sure: false,
            state: State::Syncing,
            reason: String::new(),
            since: now.wall,
            fresh: None,
            stale_since: None,
            doubt,
            session: 1,
            frozen: false,
            services: BTreeMap::new(),
            timers: BTreeSet::new(),
            holding: BTreeSet::new(),
            present: 0,
            held: 0,
            window: Window::default(),
            recent: VecDeque::new(),
            events: VecDeque::new(),
            counts: Counts::default(),
        };
        source.edit(registry);
        for Seed { id, service } in seeds {
            let mut state = Service::new(now.wall);
            state.named = true;
            state.protect_threshold = service.protect_threshold;
            state.known = service
                .instances
                .into_iter()
                .map(|instance| Known {
                    instance,
                    first_seen: now.wall,
                    changed: now.wall,
                    last_seen: now.wall,
                    place: Place::Present,
                })
                .collect();
            source.present += state.known.len();
            out.served.insert(id.clone(), state.serve());
            source.services.insert(id, state);
        }
        source
    }

    pub(super) fn edit(&mut self, registry: &Registry) {
        self.kind = registry.kind.as_str();
        self.rules = registry.guard.clone();
        self.settle = registry.guard.settle.unwrap_or_else(|| settle_time(&registry.kind));
        self.seen_is_sure = seen_is_sure(&registry.kind);
    }

    pub(super) fn ids(&self) -> impl Iterator<Item = &RegistryServiceId> {
        self.services.keys()
    }

    /// The full set of one service.
    pub(super) fn service(
        &mut self,
        said: &RegistryService,
        asked: bool,
        now: Now,
        out: &mut Outcome,
    ) {
        self.counts.reports += 1;
        self.contact(now);
        let says_something = !said.instances.is_empty() || !said.findings.is_empty();
        if !says_something && !self.services.contains_key(&said.id) {
            return;
        }
        let mut service = self.services.remove(&said.id).unwrap_or_else(|| Service::new(now.wall));
        service.named |= says_something;
        self.settle(&mut service, said, asked, now, out);
        if service.session != self.session {
            service.session = self.session;
            service.since = now.wall;
        }
        self.services.insert(said.id.clone(), service);
        self.publish(&said.id, out);
        self.complain(said, out);
    }

    /// Which services there are. One that is not named has no instances.
    pub(super) fn names(&mut self, names: &[RegistryServiceId], now: Now, out: &mut Outcome) {
        self.contact(now);
        let named: HashSet<_> = names.iter().collect();
        let mut gone = Vec::new();
        for (id, service) in &mut self.services {
            let is_named = named.contains(id);
            if service.named && !is_named {
                gone.push(id.clone());
            }
            service.named = is_named;
        }
        for id in gone {
            let threshold = self.services.get(&id).map_or(0.0, |s| s.protect_threshold);
            let empty = RegistryService {
                id,
                instances: Vec::new(),
                protect_threshold: threshold,
                consumers: Vec::new(),
                findings: Vec::new(),
            };
            self.service(&empty, false, now, out);
        }
    }

    pub(super) fn whole(&mut self, now: Now) {
        self.contact(now);
    }

    /// What is missing from now on is unconfirmed.
    pub(super) fn doubt(&mut self, reason: &str, now: Now, out: &mut Outcome) {
        self.session += 1;
        self.doubt = Some(Doubt { reason: reason.to_owned(), since: Some(now.since) });
        self.window.reset();
        self.recent.clear();
        for id in self.holding.clone() {
            let Some(mut service) = self.services.remove(&id) else { continue };
            if let Some(hold) = &mut service.hold
                && hold.why != Why::Manual
            {
                *hold = self.unconfirmed(&id.name, reason, hold.since, now);
            }
            self.services.insert(id.clone(), service);
            self.set_timer(&id);
        }
        let settle = self.settle;
        let why = format!("{reason}; what is missing is unconfirmed for {settle:?}");
        self.note(None, What::Doubt, why, (self.present + self.held, None), now, out);
    }

    pub(super) fn health(&mut self, health: &Health, now: Now, out: &mut Outcome) {
        let (state, reason) = match health {
            Health::Syncing => (State::Syncing, ""),
            Health::Live => (State::Live, ""),
            Health::Degraded { reason } => (State::Degraded, reason.as_str()),
            Health::Stale { reason } => (State::Stale, reason.as_str()),
        };
        match state {
            State::Stale | State::Lost => {
                self.stale_since.get_or_insert(now.since);
                // Once lost, only contact makes it better.
                if self.state == State::Lost {
                    self.reason = reason.to_owned();
                    return;
                }
            }
            State::Live | State::Degraded => {
                self.stale_since = None;
                self.contact(now);
                if !self.in_contact() {
                    self.renew_holds(now);
                }
            }
            State::Syncing => self.stale_since = None,
        }
        self.become_(state, reason, now, out);
    }

    pub(super) fn steer(&mut self, steer: &Steer, now: Now, out: &mut Outcome) {
        let Steer { service, what } = steer;
        let ids: Vec<_> = match service {
            Some(id) => self.services.contains_key(id).then(|| id.clone()).into_iter().collect(),
            None => self.services.keys().cloned().collect(),
        };
        let before = self.present + self.held;
        match what {
            Steering::Hold => match service {
                None => self.frozen = true,
                Some(id) => {
                    if let Some(service) = self.services.get_mut(id) {
                        service.frozen = true;
                    }
                }
            },
            Steering::Release => {
                if service.is_none() {
                    self.frozen = false;
                }
                for id in ids {
                    if let Some(service) = self.services.get_mut(&id) {
                        service.frozen = false;
                    }
                    self.release(&id, "released by a person", now, out);
                    self.publish(&id, out);
                }
            }
            Steering::Flush => {
                let away = matches!(self.state, State::Syncing | State::Stale | State::Lost);
                for id in ids {
                    let session = self.session;
                    let Some(service) = self.services.get_mut(&id) else { continue };
                    if away || (self.doubt.is_some() && service.session < session) {
                        let present = service.count(Place::Present);
                        service.known.iter_mut().for_each(|k| k.place = Place::Held);
                        service.named &= !away;
                        self.present -= present;
                        self.held += present;
                    }
                    self.release(&id, "flushed by a person", now, out);
                    self.publish(&id, out);
                }
                // A source tells what changes: what was forgotten here and lives would never be told again.
                out.asks.push((self.name.clone(), Ask::Resync));
            }
            Steering::Resync => out.asks.push((self.name.clone(), Ask::Resync)),
        }
        let why = format!("{} by a person", what.as_str());
        self.note(service.clone(), What::Steered, why, (before, None), now, out);
    }

    /// Does what is due: questions, ends of holds, and the end of patience with a source that is away.
    pub(super) fn tick(&mut self, now: Now, out: &mut Outcome) {
        if let Some(since) = self.stale_since
            && self.state == State::Stale
            && now.since >= since + LOST
        {
            let reason = format!("no contact for {} s; {}", LOST.as_secs(), self.reason);
            self.become_(State::Lost, &reason, now, out);
        }
        if !self.in_contact() {
            return;
        }
        let mut ask = Vec::new();
        // Many questions take a source longer than few.
        let many = u32::try_from(self.holding.len()).unwrap_or(u32::MAX);
        let again = ASK_AGAIN.max(ASK_EACH.saturating_mul(many));
        while let Some((due, id)) = self.timers.first().cloned()
            && due <= now.since
        {
            self.timers.remove(&(due, id.clone()));
            if let Some(service) = self.services.get_mut(&id) {
                service.timer = None;
            }
            let Some(hold) = self.services.get_mut(&id).and_then(|s| s.hold.as_mut()) else {
                continue;
            };
            if hold.until.is_some_and(|until| until <= now.since) {
                let why = "held for as long as the rules say";
                self.release(&id, why, now, out);
                self.publish(&id, out);
                continue;
            }
            if hold.ask.is_some_and(|ask| ask <= now.since) {
                let second = hold.dropped + SECOND_ANSWER;
                let soon = hold.why == Why::Drop && now.since < second;
                hold.ask = Some(if soon { second } else { now.since + again });
                ask.push(id.clone());
            }
            self.set_timer(&id);
        }
        if !ask.is_empty() {
            out.asks.push((self.name.clone(), Ask::Confirm(ask)));
        }
    }

    pub(super) fn deadline(&self) -> Option<Duration> {
        let lost = self.stale_since.filter(|_| self.state == State::Stale).map(|s| s + LOST);
        let timer = self.timers.first().filter(|_| self.in_contact()).map(|(due, _)| *due);
        lost.into_iter().chain(timer).min()
    }

    /// In contact again. What ran out meanwhile was held without contact: the registry is asked before it counts.
    fn renew_holds(&mut self, now: Now) {
        for id in self.holding.clone() {
            let Some(hold) = self.services.get_mut(&id).and_then(|service| service.hold.as_mut())
            else {
                continue;
            };
            if hold.until.is_some_and(|until| until <= now.since) {
                hold.until = Some(now.since + of_service(&self.rules, &id.name).hold);
                hold.ask = Some(now.since);
            }
            self.set_timer(&id);
        }
    }

    /// Takes an answer into a service and decides what becomes of what it lacks.
    fn settle(
        &mut self,
        service: &mut Service,
        said: &RegistryService,
        asked: bool,
        now: Now,
        out: &mut Outcome,
    ) {
        let before = service.known.len();
        let present_before = service.count(Place::Present);
        let held_before = before - present_before;
        let total_before = self.present;
        let difference = service.take(said, now.wall);
        self.counts.added += difference.added as u64;
        self.counts.changed += difference.changed as u64;
        self.counts.returned += difference.back as u64;
        let present = service.count(Place::Present);
        self.present = self.present + present - present_before;
        let id = &said.id;

        // A second answer decides about what is held already. About what it lacks itself it is the first.
        if self.is_believed(service, asked, now) {
            let why = service.hold.take().map_or(String::new(), |hold| hold.reason);
            let gone = service.drop_all(Place::Held).len();
            self.held -= held_before;
            if gone > 0 {
                self.counts.released += gone as u64;
                service.window.reset();
                self.window.reset();
                let why = format!("confirmed by a second full answer ({why})");
                self.note(
                    Some(id.clone()),
                    What::Released,
                    why,
                    (before, Some((service.known.len(), 0))),
                    now,
                    out,
                );
            }
            if difference.missing > 0 {
                self.missing(service, id, (present_before, total_before), now, out);
                self.held += service.count(Place::Held);
            }
            return;
        }
        if difference.missing > 0 {
            self.missing(service, id, (present_before, total_before), now, out);
        }
        let held = service.count(Place::Held);
        self.held = self.held + held - held_before;
        if service.hold.is_some() && held == 0 {
            service.hold = None;
            if difference.back > 0 {
                let known = service.known.len();
                let why = "all that was held is back".to_owned();
                let counts = (before, Some((known, 0)));
                self.note(Some(id.clone()), What::Returned, why, counts, now, out);
            }
        }
    }

    fn is_believed(&self, service: &Service, asked: bool, now: Now) -> bool {
        asked
            && self.in_contact()
            && service.hold.as_ref().is_some_and(|hold| match hold.why {
                Why::Manual => false,
                Why::Drop => now.since >= hold.dropped + SECOND_ANSWER,
                Why::Unconfirmed => !self.is_unsettled(now),
            })
    }

    /// Something that was there is not named any more.
    fn missing(
        &mut self,
        service: &mut Service,
        id: &RegistryServiceId,
        (present_before, total_before): (usize, usize),
        now: Now,
        out: &mut Outcome,
    ) {
        let missing = service.count(Place::Missing);
        let before = service.known.len();
        let verdict = self.verdict(service, id, (present_before, total_before), now);
        let Some((hold, whole_source)) = verdict else {
            let gone = service.drop_all(Place::Missing);
            self.counts.removed += gone.len() as u64;
            // What is too old to be taken back is not to be kept either.
            let oldest = now.since.saturating_sub(AT_ONCE);
            while self.recent.front().is_some_and(|(at, ..)| *at < oldest) {
                self.recent.pop_front();
            }
            for known in gone {
                if self.recent.len() == RECENT {
                    self.recent.pop_front();
                }
                let threshold = service.protect_threshold;
                self.recent.push_back((now.since, id.clone(), threshold, known));
            }
            let after = (service.known.len(), service.count(Place::Held));
            let why = "the registry names them no more".to_owned();
            self.note(Some(id.clone()), What::Removed, why, (before, Some(after)), now, out);
            return;
        };
        self.counts.held += missing as u64;
        let reason = hold.reason.clone();
        match &mut service.hold {
            Some(old) if old.why == hold.why => {
                old.dropped = hold.dropped;
                old.ask = old.ask.into_iter().chain(hold.ask).min();
            }
            // What is unconfirmed stays so, and a person's word is stronger than both.
            Some(old) if old.why == Why::Manual => {}
            Some(old) if old.why == Why::Unconfirmed && hold.why == Why::Drop => {}
            _ => service.hold = Some(hold),
        }
        service.hold_missing();
        let after = (service.known.len(), service.count(Place::Held));
        self.note(Some(id.clone()), What::Held, reason, (before, Some(after)), now, out);
        if whole_source {
            self.take_back(id, now, out);
        }
    }

    /// Why what is missing is to be held, and whether because of the whole source; `None` to remove it.
    fn verdict(
        &mut self,
        service: &mut Service,
        id: &RegistryServiceId,
        (present_before, total_before): (usize, usize),
        now: Now,
    ) -> Option<(Hold, bool)> {
        if self.frozen || service.frozen {
            let hold = Hold {
                why: Why::Manual,
                reason: "held by a person".into(),
                since: now.wall,
                dropped: now.since,
                until: None,
                ask: None,
            };
            return Some((hold, false));
        }
        let was_seen = self.seen_is_sure && service.session == self.session;
        if self.is_unsettled(now) && !was_seen {
            let reason = self.doubt.as_ref().map_or(String::new(), |d| d.reason.clone());
            return Some((self.unconfirmed(&id.name, &reason, now.wall, now), false));
        }
        if matches!(self.state, State::Stale | State::Lost) {
            let reason = "the source is not in contact";
            return Some((self.unconfirmed(&id.name, reason, now.wall, now), false));
        }
        let rules = of_service(&self.rules, &id.name);
        let present = service.count(Place::Present);
        let lost = service.window.lost(present_before, present, now.since, rules.window);
        let of_source = self.window.lost(total_before, self.present, now.since, self.rules.window);
        let by_service = service.window.base() >= SERVICE_LEAST && lost > rules.drop;
        let by_source = self.window.base() >= SOURCE_LEAST && of_source > self.rules.source_drop;
        if !by_service && !by_source {
            return None;
        }
        let (lost, of) = if by_service { (lost, "the service") } else { (of_source, "the source") };
        let percent = lost * 100.0;
        let reason = format!("{percent:.0} % of {of}'s instances went within {:?}", rules.window);
        let hold = Hold {
            why: Why::Drop,
            reason,
            since: now.wall,
            dropped: now.since,
            until: Some(now.since + rules.hold),
            ask: Some(now.since),
        };
        Some((hold, by_source))
    }

    fn unconfirmed(&self, service: &str, reason: &str, since: SystemTime, now: Now) -> Hold {
        let settled = match &self.doubt {
            Some(Doubt { since: Some(since), .. }) => (*since + self.settle).max(now.since),
            Some(Doubt { since: None, .. }) => now.since + self.settle,
            None => now.since,
        };
        Hold {
            why: Why::Unconfirmed,
            reason: format!("unconfirmed: {reason}"),
            since,
            dropped: now.since,
            until: Some(settled + of_service(&self.rules, service).hold),
            ask: Some(settled),
        }
    }

    /// Removals of the last moment were the beginning of what has now become too much.
    fn take_back(&mut self, current: &RegistryServiceId, now: Now, out: &mut Outcome) {
        let oldest = now.since.saturating_sub(AT_ONCE);
        let mut by_service: BTreeMap<RegistryServiceId, Vec<(f64, Known)>> = BTreeMap::new();
        for (at, id, threshold, known) in std::mem::take(&mut self.recent) {
            // The service at hand is held already; what it lost before was within its own limit.
            if at >= oldest && id != *current {
                by_service.entry(id).or_default().push((threshold, known));
            }
        }
        for (id, gone) in by_service {
            let mut service = self.services.remove(&id).unwrap_or_else(|| Service::new(now.wall));
            let before = service.known.len();
            for (threshold, known) in gone {
                service.protect_threshold = threshold;
                if service.put_back(known) {
                    self.held += 1;
                    self.counts.held += 1;
                }
            }
            let after = service.known.len();
            if after > before && service.hold.is_none() {
                let reason = "part of a drop of the whole source".to_owned();
                service.hold = Some(Hold {
                    why: Why::Drop,
                    reason: reason.clone(),
                    since: now.wall,
                    dropped: now.since,
                    until: Some(now.since + of_service(&self.rules, &id.name).hold),
                    ask: Some(now.since),
                });
                let counts = (before, Some((after, service.count(Place::Held))));
                self.note(Some(id.clone()), What::Held, reason, counts, now, out);
            }
            self.services.insert(id.clone(), service);
            self.publish(&id, out);
        }
    }

    /// What is held of a service is believed.
    fn release(&mut self, id: &RegistryServiceId, why: &str, now: Now, out: &mut Outcome) {
        let Some(service) = self.services.get_mut(id) else { return };
        let before = service.known.len();
        service.hold = None;
        let gone = service.drop_all(Place::Held).len();
        if gone == 0 {
            return;
        }
        service.window.reset();
        let after = service.known.len();
        self.window.reset();
        self.held -= gone;
        self.counts.released += gone as u64;
        let counts = (before, Some((after, 0)));
        self.note(Some(id.clone()), What::Released, why.to_owned(), counts, now, out);
    }

    /// After a service was touched: what is served of it, and when it is due. One that the registry neither names nor has
    /// instances of is forgotten.
    fn publish(&mut self, id: &RegistryServiceId, out: &mut Outcome) {
        let Some(service) = self.services.get_mut(id) else { return };
        if service.known.is_empty() && !service.named && !service.frozen {
            if service.complains {
                out.findings.push((id.clone(), Vec::new()));
            }
            if let Some(due) = service.timer {
                self.timers.remove(&(due, id.clone()));
            }
            self.services.remove(id);
            out.served.insert(id.clone(), None);
        } else if let Some(served) = service.serve() {
            out.served.insert(id.clone(), Some(served));
        }
        self.set_timer(id);
    }

    fn set_timer(&mut self, id: &RegistryServiceId) {
        let Some(service) = self.services.get_mut(id) else {
            self.holding.remove(id);
            return;
        };
        let due = service.hold.as_ref().and_then(Hold::deadline);
        let old = std::mem::replace(&mut service.timer, due);
        if service.hold.is_none() {
            self.holding.remove(id);
        } else if !self.holding.contains(id) {
            self.holding.insert(id.clone());
        }
        if old != due {
            if let Some(old) = old {
                self.timers.remove(&(old, id.clone()));
            }
            self.timers.extend(due.map(|due| (due, id.clone())));
        }
    }

    fn in_contact(&self) -> bool {
        matches!(self.state, State::Live | State::Degraded)
    }

    fn is_unsettled(&self, now: Now) -> bool {
        match &self.doubt {
            None => false,
            Some(Doubt { since: None, .. }) => true,
            Some(Doubt { since: Some(since), .. }) => now.since < *since + self.settle,
        }
    }

    /// The registry has answered.
    fn contact(&mut self, now: Now) {
        self.fresh = Some(now.wall);
        if let Some(doubt) = &mut self.doubt {
            doubt.since.get_or_insert(now.since);
        }
    }

    fn become_(&mut self, state: State, reason: &str, now: Now, out: &mut Outcome) {
        if self.state == state && self.reason == reason {
            return;
        }
        if self.state != state {
            self.since = now.wall;
        }
        (self.state, self.reason) = (state, reason.to_owned());
        let why = if reason.is_empty() {
            state.as_str().to_owned()
        } else {
            format!("{}: {reason}", state.as_str())
        };
        self.note(None, What::State, why, (self.present + self.held, None), now, out);
    }

    /// `counts`: served before; served and held after, where it is about one service.
    fn note(
        &mut self,
        service: Option<RegistryServiceId>,
        what: What,
        why: String,
        (before, after): (usize, Option<(usize, usize)>),
        now: Now,
        out: &mut Outcome,
    ) {
        let (after, held) = after.unwrap_or((self.present + self.held, self.held));
        let source = self.name.clone();
        let event =
            Arc::new(Event { at: now.wall, source, service, what, why, before, after, held });
        if self.events.len() == EVENTS {
            self.events.pop_front();
        }
        self.events.push_back(event.clone());
        out.events.push(event);
    }

    fn complain(&mut self, said: &RegistryService, out: &mut Outcome) {
        let secure = said.instances.iter().filter(|instance| instance.secure).count();
        let mut findings = said.findings.clone();
        if secure > 0 {
            findings.push(Finding {
                at: ObjectRef {
                    source: self.name.clone(),
                    object: None,
                    pointer: "".into(),
                    location: None,
                },
                code: codes::REGISTRY_SECURE,
                severity: Severity::Warning,
                text: format!("{secure} instances of {} want TLS", said.id),
                hint: "they are called without".into(),
            });
        }
        let known = self.services.get_mut(&said.id);
        let complained = known.as_ref().is_some_and(|service| service.complains);
        if let Some(service) = known {
            service.complains = !findings.is_empty();
        }
        if complained || !findings.is_empty() {
            out.findings.push((said.id.clone(), findings));
        }
    }
}
