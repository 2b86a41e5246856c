use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use futures::stream::{FuturesUnordered, StreamExt};
use model::{
    Ask, Change, Health, Registry, RegistryKind, RegistryService, RegistryServiceId, Report,
};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::decode::{self, About, Revisions};
use super::key::Key;
use super::lessons::Lessons;
use super::message::ServiceInfo;
use super::names::{Lister, Names, namespaces};
use super::read::{self, Got, Read, Why};
use super::say;
use super::servers;
use super::session::Session;
use crate::dubbo::Revision;
use crate::registry::{Allow, Inlet, Outlet};
use crate::triple::Lesson;

/// Requests under way at once: enough for 10,000 services in seconds, few enough for the server's other clients.
const READS: usize = 64;
const BATCH: usize = 256;
const TICK: Duration = Duration::from_secs(1);
const RETRY_MOST: Duration = Duration::from_secs(30);
/// So often a read that a push overtook is done again; then the push counts as the answer.
const OVERTAKEN: u32 = 3;
/// Old revisions are forgotten all at once; those that still run are asked for again with the next change.
const MAX_REVISIONS: usize = 10_000;
/// Up to so many services may be unreadable without the whole session being taken for broken.
const FEW: usize = 3;

/// Why a session's life is over.
#[derive(Debug)]
pub(super) enum End {
    /// Contact is lost.
    Lost(String),
    /// The server refuses the login.
    Refused(String),
    /// The document changed: read all again, with the same session or with another.
    Reread,
    Move,
    /// Nobody wants to know any more.
    Closed,
}

/// All that is known in one session, and what is still to be read.
struct Live<'a> {
    session: &'a Arc<Session>,
    outlet: &'a Outlet,
    allow: Allow,
    namespaces: Vec<Arc<str>>,
    /// Whether providers are asked what Nacos does not tell.
    asks_providers: bool,
    names: Arc<BTreeSet<Key>>,
    /// The list of names cannot be read for a while.
    names_old: bool,
    ids: HashMap<RegistryServiceId, Key>,
    known: HashMap<Key, Known>,
    /// By the key of the providers.
    consumers: BTreeMap<Key, Vec<Arc<str>>>,
    revisions: &'a mut Arc<Revisions>,
    lessons: Lessons,
    /// Who waits for a lesson.
    learners: BTreeMap<Lesson, BTreeSet<Key>>,
    queue: VecDeque<Read>,
    reads: FuturesUnordered<BoxFuture<'static, Got>>,
    failed: BTreeMap<Key, Failed>,
    /// The listing under way: `Whole` is due when it is through.
    sync: Option<Sync>,
    resync_wanted: bool,
    changes: Vec<Change>,
    said: Option<Health>,
}

struct Known {
    id: RegistryServiceId,
    /// Counts the pushes, so that an answer which one overtook is known as old.
    pushes: u64,
    last: Option<Arc<RegistryService>>,
    /// The server pushes its changes.
    subscribed: bool,
    /// A push wants it read, and it is in the queue for that.
    queued: bool,
    /// Written back by a mesh: no service of Nacos.
    own: bool,
    /// Kept while a lesson is missing.
    learning: Option<ServiceInfo>,
}

struct Failed {
    attempts: u32,
    due: Instant,
    reason: String,
    refused: bool,
    asked: bool,
}

struct Sync {
    asked: bool,
}

pub(super) async fn live(
    session: &Arc<Session>,
    registry: &Arc<Registry>,
    inlet: &mut Inlet,
    outlet: &Outlet,
    revisions: &mut Arc<Revisions>,
) -> End {
    let RegistryKind::Nacos(options) = &registry.kind else {
        return End::Lost(format!("the Registry is now a {}", registry.kind.as_str()));
    };
    let mut lister = Lister::new(session.clone(), options);
    let first = tokio::select! {
        first = lister.list() => first,
        reason = session.ended() => return End::Lost(reason),
        () = outlet.closed() => return End::Closed,
    };
    let first = match first {
        Ok(names) => names,
        Err(error) if error.is_refused() => return End::Refused(error.chain()),
        Err(error) => return End::Lost(format!("the list of services: {}", error.chain())),
    };
    let (to, mut names) = watch::channel(first);
    let mut tasks = JoinSet::new();
    tasks.spawn(lister.watch(to));
    let (to, mut servers) = watch::channel(BTreeMap::new());
    tasks.spawn(servers::watch(inlet.registry.clone(), session.address().clone(), to));

    let mut live = Live {
        session,
        outlet,
        allow: Allow::new(&registry.labels),
        namespaces: namespaces(options),
        asks_providers: options.metadata_service,
        names: Arc::default(),
        names_old: false,
        ids: HashMap::new(),
        known: HashMap::new(),
        consumers: BTreeMap::new(),
        revisions,
        lessons: Lessons::default(),
        learners: BTreeMap::new(),
        queue: VecDeque::new(),
        reads: FuturesUnordered::new(),
        failed: BTreeMap::new(),
        sync: Some(Sync { asked: false }),
        resync_wanted: false,
        changes: Vec::new(),
        said: None,
    };
    let begun = names.borrow_and_update().clone();
    // What was said of the servers in an earlier session is looked into anew.
    if !say::servers(outlet, &BTreeMap::new()).await || !live.take_names(&begun, true).await {
        return End::Closed;
    }
    let mut tick = interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        live.start_reads();
        if live.sync.is_some() && live.reads.is_empty() && live.queue.is_empty() {
            let (names, servers) = (names.borrow().clone(), servers.borrow().clone());
            match live.finish_sync(&names, &servers).await {
                Some(end) => return end,
                None => continue,
            }
        }
        tokio::select! {
            Some(got) = live.reads.next(), if !live.reads.is_empty() => live.take_reads(got),
            () = session.arrived() => live.take_pushed(),
            Some((lesson, told)) = live.lessons.next(), if live.lessons.is_busy() => {
                live.take_lesson(&lesson, told);
            }
            Ok(()) = names.changed() => {
                let found = names.borrow_and_update().clone();
                if !live.take_names(&found, false).await {
                    return End::Closed;
                }
            }
            Ok(()) = servers.changed() => {
                let dead = servers.borrow_and_update().clone();
                if !say::servers(outlet, &dead).await {
                    return End::Closed;
                }
            }
            ask = inlet.asks.recv() => match ask {
                None => return End::Closed,
                Some(Ask::Resync) => live.resync_wanted = true,
                Some(Ask::Confirm(ids)) => live.confirm(ids),
            },
            changed = inlet.registry.changed() => {
                if changed.is_err() {
                    return End::Closed;
                }
                let new = inlet.registry.borrow_and_update().clone();
                if let Some(end) = edited(registry, &new, session.address()) {
                    return end;
                }
            }
            reason = session.ended() => return End::Lost(reason),
            () = outlet.closed() => return End::Closed,
            _ = tick.tick() => {
                live.resync_wanted |= session.take_unreadable();
                live.retry();
                live.learn_again();
            }
        }
        if !live.flush().await {
            return End::Closed;
        }
        if live.sync.is_none() {
            live.begin_resync();
            let (names, servers) = (names.borrow().clone(), servers.borrow().clone());
            if !live.say_health(&names, &servers).await {
                return End::Closed;
            }
        }
    }
}

/// What an edit of the document means for the session; `None` for nothing.
fn edited(old: &Registry, new: &Registry, address: &Arc<str>) -> Option<End> {
    if old.login != new.login || old.tls != new.tls || !new.addresses.contains(address) {
        return Some(End::Move);
    }
    (old.kind != new.kind || old.labels != new.labels).then_some(End::Reread)
}

impl Live<'_> {
    fn start_reads(&mut self) {
        while self.reads.len() < READS
            && let Some(mut read) = self.queue.pop_front()
        {
            let Some(known) = self.known.get_mut(&read.key) else { continue };
            known.queued &= read.why != Why::Change;
            read.pushes = known.pushes;
            let known = Arc::clone(self.revisions);
            self.reads.push(read::run(self.session.clone(), read, known).boxed());
        }
    }

    /// One answer, and all others that are there already: one batch.
    fn take_reads(&mut self, got: Got) {
        self.take_read(got);
        while self.changes.len() < BATCH
            && let Some(Some(got)) = self.reads.next().now_or_never()
        {
            self.take_read(got);
        }
    }

    fn take_read(&mut self, got: Got) {
        let Got { mut read, result, revisions } = got;
        self.keep_revisions(revisions);
        let Some(known) = self.known.get_mut(&read.key) else { return };
        if read.why == Why::Leave {
            // It is back already. Which of the two the server did last, nobody knows: without this it may never push again.
            self.queue.push_back(Read::new(read.key, Why::Change));
            return;
        }
        let asked = read.why == Why::Ask;
        match result {
            Ok(info) => {
                self.failed.remove(&read.key);
                known.subscribed |= read.why == Why::Change;
                if !known.subscribed {
                    // Asked before it could be subscribed to: an answer alone would never change again.
                    self.queue.push_back(Read::new(read.key.clone(), Why::Change));
                }
                if known.pushes != read.pushes {
                    // A push came in between, and nobody can tell which of the two is newer.
                    read.overtaken += 1;
                    if read.why == Why::Resolve {
                        return;
                    }
                    if read.overtaken < OVERTAKEN {
                        return self.queue.push_front(read);
                    }
                    if let (true, Some(last)) = (asked, known.last.clone()) {
                        self.changes
                            .push(Change::Registry(Report::Service { service: last, asked }));
                    }
                    return;
                }
                let always = asked || self.sync.is_some();
                self.apply(&read.key, &info, asked, always);
            }
            Err(error) => {
                let attempts = self.failed.get(&read.key).map_or(0, |failed| failed.attempts) + 1;
                let wait = Duration::from_secs(1 << attempts.min(5)).min(RETRY_MOST) / 2;
                let failed = Failed {
                    attempts,
                    due: Instant::now() + wait,
                    reason: error.chain(),
                    refused: error.is_refused(),
                    asked,
                };
                self.failed.insert(read.key, failed);
            }
        }
    }

    /// Only the last push of each service is there, however many came.
    fn take_pushed(&mut self) {
        for ((group, name), info) in self.session.take_pushed() {
            let keys = self.namespaces.iter().map(|namespace| Key {
                namespace: namespace.clone(),
                group: group.clone(),
                name: name.clone(),
            });
            let mut keys: Vec<Key> = keys.filter(|key| self.known.contains_key(key)).collect();
            for key in &keys {
                if let Some(known) = self.known.get_mut(key) {
                    known.pushes += 1;
                }
            }
            if keys.len() > 1 {
                // A push does not say its namespace: all that may be meant are read, each once however many pushes wait.
                for key in keys {
                    let known = self.known.get_mut(&key);
                    if known.is_some_and(|known| !std::mem::replace(&mut known.queued, true)) {
                        self.queue.push_back(Read::new(key, Why::Change));
                    }
                }
                continue;
            }
            let Some(key) = keys.pop() else { continue };
            let missing = decode::remote_revisions(&key, &info);
            if missing.iter().any(|at| !self.revisions.contains_key(at)) {
                self.queue.push_front(Read::resolve(key, info));
                continue;
            }
            self.failed.remove(&key);
            self.apply(&key, &info, false, false);
        }
    }

    fn apply(&mut self, key: &Key, info: &ServiceInfo, asked: bool, always: bool) {
        if let Some(providers) = key.providers() {
            return self.take_consumers(providers, decode::applications(info));
        }
        self.learn(key, info);
        let consumers = self.consumers.get(key).cloned().unwrap_or_default();
        let is_soon = |lesson: &Lesson| self.lessons.is_soon(lesson);
        let about = About { allow: &self.allow, revisions: self.revisions, is_soon: &is_soon };
        let Some(known) = self.known.get_mut(key) else { return };
        let service = decode::service(key, known.id.clone(), info, &about, consumers);
        let own = decode::is_own(info);
        let turned = std::mem::replace(&mut known.own, own) != own;
        let same = known.last.as_deref() == Some(&service);
        if !same || always {
            let service = Arc::new(service);
            known.last = Some(service.clone());
            self.changes.push(Change::Registry(Report::Service { service, asked }));
        }
        if turned {
            self.changes.push(Change::Registry(Report::Names(self.listed())));
        }
    }

    fn keep_revisions(&mut self, revisions: Revisions) {
        if revisions.is_empty() {
            return;
        }
        let all = Arc::make_mut(self.revisions);
        if all.len() > MAX_REVISIONS {
            all.clear();
        }
        all.extend(revisions);
    }

    /// Begins the lessons that the service lacks.
    fn learn(&mut self, key: &Key, info: &ServiceInfo) {
        if !self.asks_providers {
            return;
        }
        let mut missing = decode::lessons(key, info);
        missing.retain(|lesson, _| !self.revisions.contains_key(lesson));
        if let Some(known) = self.known.get_mut(key) {
            known.learning = (!missing.is_empty()).then(|| info.clone());
        }
        for lesson in missing.keys() {
            self.learners.entry(lesson.clone()).or_default().insert(key.clone());
        }
        self.lessons.want(missing);
    }

    fn take_lesson(&mut self, lesson: &Lesson, told: Option<Revision>) {
        // One that failed is tried again by the tick; its learners are shown as Nacos has them.
        if let Some(told) = told {
            self.keep_revisions([(lesson.clone(), Arc::new(told))].into());
        }
        self.show_learners(lesson);
    }

    fn show_learners(&mut self, lesson: &Lesson) {
        for key in self.learners.remove(lesson).unwrap_or_default() {
            let learning = self.known.get_mut(&key).and_then(|known| known.learning.take());
            if let Some(info) = learning {
                self.apply(&key, &info, false, false);
            }
        }
    }

    /// Those who still wait, and those who do not any more.
    fn learn_again(&mut self) {
        let known = &self.known;
        self.learners.retain(|_, keys| {
            keys.retain(|key| known.get(key).is_some_and(|known| known.learning.is_some()));
            !keys.is_empty()
        });
        for lesson in self.lessons.take_late() {
            self.show_learners(&lesson);
        }
        let learners = &self.learners;
        self.lessons.keep(|lesson| learners.contains_key(lesson));
        for (lesson, keys) in learners {
            if self.lessons.is_due(lesson)
                && let Some(key) = keys.first()
                && let Some(info) = self.known.get(key).and_then(|known| known.learning.as_ref())
            {
                let mut missing = decode::lessons(key, info);
                missing.retain(|lesson, _| !self.revisions.contains_key(lesson));
                self.lessons.want(missing);
            }
        }
    }

    fn take_consumers(&mut self, providers: Key, applications: Vec<Arc<str>>) {
        if self.consumers.get(&providers).is_some_and(|known| *known == applications) {
            return;
        }
        if let Some(known) = self.known.get_mut(&providers)
            && let Some(last) = &known.last
        {
            let service =
                Arc::new(RegistryService { consumers: applications.clone(), ..(**last).clone() });
            known.last = Some(service.clone());
            self.changes.push(Change::Registry(Report::Service { service, asked: false }));
        }
        self.consumers.insert(providers, applications);
    }

    /// Tells of new names and reads them; forgets those that went.
    async fn take_names(&mut self, found: &Names, first: bool) -> bool {
        self.names_old = found.trouble.is_some();
        let note = found.note.as_ref();
        if !say::note(self.outlet, note).await {
            return false;
        }
        // The first list is told even if it is empty: that is news to whoever knows an older one.
        if *found.keys == *self.names && !first {
            return true;
        }
        let gone: Vec<Key> = self.names.difference(&found.keys).cloned().collect();
        for key in gone {
            self.failed.remove(&key);
            if let Some(providers) = key.providers() {
                self.take_consumers(providers.clone(), Vec::new());
                self.consumers.remove(&providers);
            }
            if let Some(known) = self.known.remove(&key) {
                self.ids.remove(&known.id);
            }
            // Nacos keeps a watcher of a name for as long as the session lives.
            self.reads.push(
                read::run(self.session.clone(), Read::new(key, Why::Leave), Arc::default()).boxed(),
            );
        }
        let new: Vec<Key> = found.keys.difference(&self.names).cloned().collect();
        self.names = found.keys.clone();
        for key in new {
            let mut id = key.id(self.outlet.source());
            if self.ids.contains_key(&id) {
                id = key.literal_id(self.outlet.source());
            }
            if key.providers().is_none() {
                self.ids.insert(id.clone(), key.clone());
            }
            self.known.insert(
                key.clone(),
                Known {
                    id,
                    pushes: 0,
                    last: None,
                    subscribed: false,
                    queued: false,
                    own: false,
                    learning: None,
                },
            );
            self.queue.push_back(Read::new(key, Why::Change));
        }
        self.changes.push(Change::Registry(Report::Names(self.listed())));
        self.flush().await
    }

    fn listed(&self) -> Vec<RegistryServiceId> {
        let is_own = |key: &Key| self.known.get(key).is_some_and(|known| known.own);
        let mut ids: Vec<_> =
            self.ids.iter().filter(|(_, key)| !is_own(key)).map(|(id, _)| id.clone()).collect();
        ids.sort();
        ids
    }

    fn confirm(&mut self, ids: Vec<RegistryServiceId>) {
        let mut asked = HashSet::new();
        for id in ids {
            if !asked.insert(id.clone()) {
                continue;
            }
            match self.ids.get(&id) {
                Some(key) => self.queue.push_front(Read::new(key.clone(), Why::Ask)),
                // The list of names is a second old: the server does not know it.
                None if !self.names_old => {
                    let none = crate::registry::RawService::new(id).finish(0.0, Vec::new());
                    self.changes.push(Outlet::report(none, true));
                }
                None => {}
            }
        }
    }

    fn begin_resync(&mut self) {
        if !std::mem::take(&mut self.resync_wanted) {
            return;
        }
        self.sync = Some(Sync { asked: true });
        self.known.values_mut().for_each(|known| known.queued = false);
        let keys = self.names.iter().cloned();
        self.queue = keys.map(|key| Read::new(key, Why::Ask)).collect();
    }

    async fn finish_sync(
        &mut self,
        names: &Names,
        dead: &BTreeMap<Arc<str>, String>,
    ) -> Option<End> {
        let asked = self.sync.take().is_some_and(|sync| sync.asked);
        // Nearly nothing could be read: that is no session to speak of.
        if self.failed.len() > FEW
            && self.failed.len() * 2 > self.names.len()
            && let Some(failed) = self.failed.values().next()
        {
            let text = format!("most services cannot be read: {}", failed.reason);
            return Some(if failed.refused { End::Refused(text) } else { End::Lost(text) });
        }
        if asked {
            self.changes.push(Change::Registry(Report::Names(self.listed())));
        }
        self.changes.push(Change::Registry(Report::Whole));
        let open = self.flush().await && self.say_health(names, dead).await;
        (!open).then_some(End::Closed)
    }

    fn retry(&mut self) {
        if self.sync.is_some() {
            return;
        }
        let now = Instant::now();
        for (key, failed) in &mut self.failed {
            if failed.due <= now {
                failed.due = now + RETRY_MOST;
                let why = if failed.asked { Why::Ask } else { Why::Change };
                self.queue.push_back(Read::new(key.clone(), why));
            }
        }
    }

    async fn flush(&mut self) -> bool {
        while self.changes.len() > BATCH {
            let rest = self.changes.split_off(BATCH);
            if !self.outlet.send(std::mem::replace(&mut self.changes, rest)).await {
                return false;
            }
        }
        self.outlet.send(std::mem::take(&mut self.changes)).await
    }

    async fn say_health(&mut self, names: &Names, dead: &BTreeMap<Arc<str>, String>) -> bool {
        let mut reasons: Vec<String> = names.trouble.iter().cloned().collect();
        if let Some((key, failed)) = self.failed.iter().next() {
            let many = self.failed.len();
            reasons.push(format!("{many} services cannot be read; {key}: {}", failed.reason));
        }
        reasons.extend(dead.values().cloned());
        let health = if reasons.is_empty() {
            Health::Live
        } else {
            Health::Degraded { reason: reasons.join("; ") }
        };
        if self.said.as_ref() == Some(&health) {
            return true;
        }
        self.said = Some(health.clone());
        self.outlet.health(health).await
    }
}
