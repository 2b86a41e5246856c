use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use model::{Ask, Change, Health, RegistryServiceId, Report};
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, sleep, sleep_until};

use super::checks::Checks;
use super::client::{Client, Indexed, Since};
use super::queue::Queue;
use super::view::{self, Reading};
use super::wire::{Check, Entry, List};
use crate::registry::Outlet;
use crate::registry::http::Error;

/// So many services are read at once.
pub(super) const READERS: usize = 16;
/// Up to so many services, a registration of anything reads them all again.
pub(super) const FEW: usize = 200;
/// Above, they are read in turn: so many, each so often.
const TURN: (usize, Duration) = (50, Duration::from_millis(100));
/// How long a service that cannot be read is left alone.
const AGAIN: Duration = Duration::from_secs(2);
/// So many failures, and the rest is whole without that service.
const GIVE_UP: u32 = 2;
/// Between two rings, at least; more for large answers.
const REST: Duration = Duration::from_millis(20);
/// So many services in one batch.
const BATCH: usize = 200;

/// One contact with one agent, from the first reading of everything on.
pub(super) struct Session {
    client: Arc<Client>,
    outlet: Outlet,
    reading: Arc<Reading>,
    tasks: JoinSet<Event>,
    names: Option<(u64, BTreeSet<Arc<str>>)>,
    checks: Option<(u64, Checks)>,
    queue: Queue,
    reading_now: BTreeSet<Arc<str>>,
    known: BTreeMap<Arc<str>, Known>,
    /// Failures in a row, with the last reason.
    bad: BTreeMap<Arc<str>, (u32, String)>,
    /// Those that wait to be tried again.
    resting: BTreeSet<Arc<str>>,
    /// What is missing until everything has been reported.
    missing: Option<BTreeSet<Arc<str>>>,
    instances: usize,
    /// Some services have instances that the token may not see.
    hidden: bool,
    turn: Turn,
    out: Vec<Change>,
}

/// What was reported of a service.
struct Known {
    hash: u64,
    nodes: Vec<Arc<str>>,
}

/// Reading everything again in turn.
#[derive(Default)]
struct Turn {
    left: VecDeque<Arc<str>>,
    again: bool,
    at: Option<Instant>,
}

enum Event {
    Names(Result<Indexed<Vec<Arc<str>>>, Error>),
    Checks(Result<Indexed<List<Check>>, Error>),
    Service(Arc<str>, bool, Result<(Indexed<List<Entry>>, u64), Error>),
    Again(Arc<str>),
}

/// An event, or that it is somebody's turn.
pub(super) struct Next(Option<Result<Event, JoinError>>);

/// Why a session ends.
pub(super) enum Over {
    /// Nobody listens.
    End,
    Failed(Error),
    /// The agent answers, and what it said before counts no more.
    Reset(String),
}

impl From<Error> for Over {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl Session {
    /// `doubt`: why this contact is a new one; said before anything else, once the agent answers.
    pub(super) async fn start(
        client: Client,
        outlet: Outlet,
        reading: Arc<Reading>,
        doubt: Option<String>,
    ) -> Result<Self, (Over, Option<String>)> {
        let client = Arc::new(client);
        let names = match client.names(Since::default()).await {
            Ok(names) => names,
            Err(error) => return Err((error.into(), doubt)),
        };
        let mut session = Self {
            client,
            outlet,
            reading,
            tasks: JoinSet::new(),
            names: None,
            checks: None,
            queue: Queue::default(),
            reading_now: BTreeSet::new(),
            known: BTreeMap::new(),
            bad: BTreeMap::new(),
            resting: BTreeSet::new(),
            missing: Some(BTreeSet::new()),
            instances: 0,
            hidden: false,
            turn: Turn::default(),
            out: Vec::new(),
        };
        if let Err(over) = session.visible(&names).await {
            return Err((over, doubt));
        }
        if let Some(reason) = doubt {
            session.out.push(Change::Registry(Report::Doubt { reason }));
        }
        session.take_names(names);
        // The checks first, the services after: what changes in between rings.
        session.ring_checks(Since::default());
        match session.flush().await {
            Ok(()) => Ok(session),
            Err(over) => Err((over, None)),
        }
    }

    /// What happens next. May be dropped and called again at will.
    pub(super) async fn next(&mut self) -> Next {
        let turn = self.turn.at;
        tokio::select! {
            Some(event) = self.tasks.join_next() => Next(Some(event)),
            () = sleep_until(turn.unwrap_or_else(Instant::now)), if turn.is_some() => Next(None),
        }
    }

    pub(super) async fn take(&mut self, next: Next) -> Result<(), Over> {
        if next.0.is_none() {
            self.next_turn();
        }
        let mut next = next.0;
        while let Some(event) = next {
            let event = event.map_err(|error| Over::Reset(format!("a reader failed: {error}")))?;
            self.take_event(event).await?;
            next = if self.out.len() < BATCH { self.tasks.try_join_next() } else { None };
        }
        self.read_more();
        self.whole().await?;
        self.flush().await
    }

    pub(super) async fn ask(&mut self, ask: Ask) -> Result<(), Over> {
        match ask {
            Ask::Confirm(ids) => ids.into_iter().for_each(|id| self.queue.push(id.name, true)),
            Ask::Resync => {
                let all = self.names.iter().flat_map(|(_, names)| names).cloned();
                let all: BTreeSet<_> = all.chain(self.queue.names().cloned()).collect();
                all.iter().for_each(|name| self.queue.push(name.clone(), true));
                self.missing = Some(all);
                self.say_names();
            }
        }
        self.read_more();
        self.flush().await
    }

    /// `None`: not everything is known yet.
    pub(super) fn health(&self) -> Option<Health> {
        let bad = self.bad.iter().filter(|(_, (times, _))| *times >= GIVE_UP);
        let worst = bad.clone().next();
        match worst {
            Some((name, (_, reason))) => {
                let name: String = name.chars().take(80).flat_map(char::escape_debug).collect();
                let more = match bad.count() {
                    1 => String::new(),
                    all => format!(" and {} more", all - 1),
                };
                let reason = format!("service {name}{more} cannot be read: {reason}");
                Some(Health::Degraded { reason })
            }
            None if self.missing.is_none() => Some(Health::Live),
            None => None,
        }
    }

    pub(super) fn is_whole(&self) -> bool {
        self.missing.is_none()
    }

    async fn take_event(&mut self, event: Event) -> Result<(), Over> {
        match event {
            Event::Names(answer) => {
                let answer = answer?;
                let last = self.names.as_ref().map_or(0, |(index, _)| *index);
                let moved = self.moved(last, answer.index)?;
                if moved {
                    self.visible(&answer).await?;
                    self.read_all();
                }
                self.take_names(answer);
            }
            Event::Checks(answer) => {
                let answer = answer?;
                let last = self.checks.as_ref().map_or(0, |(index, _)| *index);
                let moved = self.moved(last, answer.index)?;
                self.take_checks(&answer, moved);
            }
            Event::Again(name) => {
                self.resting.remove(&name);
                if self.is_named(&name) {
                    self.queue.push(name, false);
                }
            }
            Event::Service(name, asked, answer) => {
                self.reading_now.remove(&name);
                match answer {
                    Ok((answer, hash)) => {
                        if answer.filtered && answer.content.0.is_empty() {
                            self.hidden = true;
                            let error =
                                self.client.refused("its instances are hidden from the token");
                            self.spoil(name, &error);
                        } else {
                            self.take_service(name, asked, &answer.content, hash);
                        }
                    }
                    // The agent itself is gone, or has had enough of us.
                    Err(error @ (Error::Login { .. } | Error::Secret(_))) => {
                        return Err(error.into());
                    }
                    Err(error) if error.is_refused() => return Err(error.into()),
                    Err(error) => self.spoil(name, &error),
                }
            }
        }
        Ok(())
    }

    /// Whether an index went on. One that went back is that of another server, or of a restored one.
    fn moved(&self, last: u64, now: u64) -> Result<bool, Over> {
        if now < last {
            let address = &self.client.address;
            return Err(Over::Reset(format!(
                "the index of {address} went back from {last} to {now}"
            )));
        }
        Ok(now > last)
    }

    /// An empty catalogue may be one that is hidden: a real one lists Consul itself to whoever may see it.
    async fn visible(&self, names: &Indexed<Vec<Arc<str>>>) -> Result<(), Over> {
        if !names.content.is_empty() {
            return Ok(());
        }
        if names.filtered {
            return Err(self.client.refused("it hides everything from the token").into());
        }
        match self.client.hides().await? {
            Some(reason) => Err(self.client.refused(&reason).into()),
            None => Ok(()),
        }
    }

    fn take_names(&mut self, answer: Indexed<Vec<Arc<str>>>) {
        let from = Since { index: answer.index, size: answer.size };
        let new: BTreeSet<_> = answer.content.into_iter().collect();
        let first = self.names.is_none();
        let old = self.names.take().map(|(_, names)| names).unwrap_or_default();
        for name in new.difference(&old) {
            if first {
                self.missing.get_or_insert_default().insert(name.clone());
            } else {
                self.queue.push(name.clone(), false);
            }
        }
        for name in old.difference(&new) {
            self.known.remove(name);
            self.bad.remove(name);
            if let Some(missing) = &mut self.missing {
                missing.remove(name);
            }
        }
        let differ = first || old != new;
        self.names = Some((from.index, new));
        if differ {
            self.say_names();
        }
        let client = self.client.clone();
        self.tasks.spawn(async move {
            sleep(rest(from.size)).await;
            Event::Names(client.names(from).await)
        });
    }

    fn take_checks(&mut self, answer: &Indexed<List<Check>>, moved: bool) {
        if moved {
            let new = Checks::new(&answer.content);
            match &self.checks {
                None => {
                    for name in self.missing.iter().flatten() {
                        self.queue.push(name.clone(), false);
                    }
                }
                Some((_, old)) => {
                    let mut touched = old.touched(&new);
                    if !touched.nodes.is_empty() {
                        let on =
                            |known: &Known| known.nodes.iter().any(|n| touched.nodes.contains(n));
                        let on_them = self.known.iter().filter(|(_, known)| on(known));
                        touched.services.extend(on_them.map(|(name, _)| name.clone()));
                    }
                    for name in touched.services {
                        if self.names.as_ref().is_some_and(|(_, names)| names.contains(&name)) {
                            self.queue.push(name, false);
                        }
                    }
                }
            }
            self.checks = Some((answer.index, new));
        }
        self.ring_checks(Since { index: answer.index, size: answer.size });
    }

    fn ring_checks(&mut self, from: Since) {
        let client = self.client.clone();
        self.tasks.spawn(async move {
            if from.index > 0 {
                sleep(rest(from.size)).await;
            }
            Event::Checks(client.checks(from).await)
        });
    }

    fn take_service(&mut self, name: Arc<str>, asked: bool, entries: &List<Entry>, hash: u64) {
        self.bad.remove(&name);
        // Read before it went, or after it came: what is true the list of names will tell, and nothing would tell of a dead
        // one any more.
        if !self.is_named(&name) && !entries.0.is_empty() {
            return;
        }
        let known = self.known.get(&name).is_some_and(|known| known.hash == hash);
        // One that is to be read again is still missing.
        let last = !self.queue.has(&name);
        let missing = self.missing.as_mut().is_some_and(|missing| last && missing.remove(&name));
        self.instances += entries.0.len();
        if known && !asked && !missing {
            return;
        }
        let (service, nodes) = view::service(self.id(name.clone()), entries, &self.reading);
        self.out.push(Outlet::report(service, asked));
        if self.is_named(&name) {
            self.known.insert(name, Known { hash, nodes });
        }
    }

    fn is_named(&self, name: &str) -> bool {
        self.names.as_ref().is_some_and(|(_, names)| names.contains(name))
    }

    /// It keeps its last good state, and is tried again. Who asked asks again.
    fn spoil(&mut self, name: Arc<str>, error: &Error) {
        let (times, reason) = self.bad.entry(name.clone()).or_default();
        *times += 1;
        *reason = error.chain();
        if *times >= GIVE_UP
            && let Some(missing) = &mut self.missing
        {
            missing.remove(&name);
        }
        let wait = AGAIN * (*times).min(15);
        // However often it was asked for meanwhile, it is tried again once.
        if !self.resting.insert(name.clone()) {
            return;
        }
        self.tasks.spawn(async move {
            sleep(wait).await;
            Event::Again(name)
        });
    }

    /// Something was registered, and nothing says what.
    fn read_all(&mut self) {
        let Some((_, names)) = &self.names else { return };
        if names.len() <= FEW {
            for name in names {
                self.queue.push_later(name.clone());
            }
        } else if self.turn.left.is_empty() {
            self.turn.left.extend(names.iter().cloned());
            self.turn.at.get_or_insert_with(Instant::now);
        } else {
            self.turn.again = true;
        }
    }

    fn next_turn(&mut self) {
        let (many, every) = TURN;
        // No faster than they are read.
        let many = if self.queue.not_urgent() < many { many.min(self.turn.left.len()) } else { 0 };
        let some = self.turn.left.drain(..many);
        for name in some {
            if self.names.as_ref().is_some_and(|(_, names)| names.contains(&name)) {
                self.queue.push_later(name);
            }
        }
        self.turn.at = (!self.turn.left.is_empty()).then(|| Instant::now() + every);
        if self.turn.left.is_empty() && std::mem::take(&mut self.turn.again) {
            self.read_all();
        }
    }

    fn read_more(&mut self) {
        while self.reading_now.len() < READERS {
            let Some((name, asked)) = self.queue.pop(&self.reading_now) else { return };
            self.reading_now.insert(name.clone());
            let client = self.client.clone();
            self.tasks.spawn(async move {
                let answer = client.service(&name).await;
                Event::Service(name, asked, answer)
            });
        }
    }

    /// Everything has been reported.
    async fn whole(&mut self) -> Result<(), Over> {
        let ready = self.checks.is_some() && self.missing.as_ref().is_some_and(BTreeSet::is_empty);
        if !ready {
            return Ok(());
        }
        let some = self.names.as_ref().is_some_and(|(_, names)| !names.is_empty());
        if self.instances == 0 && some {
            let reason = match self.hidden {
                true => Some("it hides all instances from the token".into()),
                false => self.client.hides().await?,
            };
            if let Some(reason) = reason {
                return Err(self.client.refused(&reason).into());
            }
        }
        self.missing = None;
        self.out.push(Change::Registry(Report::Whole));
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), Over> {
        let out = std::mem::take(&mut self.out);
        if self.outlet.send(out).await { Ok(()) } else { Err(Over::End) }
    }

    fn say_names(&mut self) {
        let names = self.names.iter().flat_map(|(_, names)| names);
        let ids = names.map(|name| self.id(name.clone())).collect();
        self.out.push(Change::Registry(Report::Names(ids)));
    }

    fn id(&self, name: Arc<str>) -> RegistryServiceId {
        RegistryServiceId { registry: self.outlet.source().clone(), group: "".into(), name }
    }
}

/// The larger the answer, the more seldom: at most a third of a line of 60 MB/s.
fn rest(size: usize) -> Duration {
    REST + Duration::from_micros(u64::try_from(size / 20).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use model::{ConsulOptions, RegistryKind};
    use tokio::sync::mpsc;

    use super::*;
    use crate::consul::fake::entry;
    use crate::registry::{Allow, testing};

    async fn session(named: &[&str]) -> Session {
        let kind = RegistryKind::Consul(ConsulOptions::default());
        let registry = testing::registry(kind, &["127.0.0.1:1".into()]);
        let client = Client::new(&registry, "127.0.0.1:1".into()).await.unwrap();
        Session {
            client: Arc::new(client),
            outlet: Outlet::new("infra/main".into(), mpsc::channel(1).0),
            reading: Arc::new(Reading { allow: Allow::default(), warning_passes: true }),
            tasks: JoinSet::new(),
            names: Some((1, named.iter().map(|name| Arc::from(*name)).collect())),
            checks: None,
            queue: Queue::default(),
            reading_now: BTreeSet::new(),
            known: BTreeMap::new(),
            bad: BTreeMap::new(),
            resting: BTreeSet::new(),
            missing: None,
            instances: 0,
            hidden: false,
            turn: Turn::default(),
            out: Vec::new(),
        }
    }

    #[tokio::test]
    async fn an_answer_that_was_on_its_way_when_its_service_went_brings_nobody_back() {
        let some: List<Entry> =
            serde_json::from_value([entry("orders", 80)].into_iter().collect()).unwrap();
        let mut session = session(&["orders"]).await;
        session.take_service("orders".into(), false, &some, 1);
        assert_eq!(session.out.len(), 1);
        session.take_names(Indexed { index: 2, filtered: false, size: 0, content: vec![] });
        session.out.clear();
        for asked in [false, true] {
            session.take_service("orders".into(), asked, &some, 1);
            assert!(session.out.is_empty(), "asked: {asked}");
        }
        session.take_service("orders".into(), true, &List(vec![]), 2);
        assert_eq!(session.out.len(), 1, "that it is gone is an answer");
    }

    #[tokio::test]
    async fn what_cannot_be_read_is_tried_again_once_however_often_it_was_asked_for() {
        let mut session = session(&["orders"]).await;
        for _ in 0..10 {
            let error = session.client.refused("no");
            session.spoil("orders".into(), &error);
        }
        assert_eq!(session.tasks.len(), 1);
    }
}
