//! Staged rollouts: who of a Gateway's proxies has the newest, and who still has what was before.
//!
//! ```text
//! newest compiled ─► Rolls: what was before as an edition, proxies seated there ─► newest published
//!                      │ ACKs, refusals, figures, time, a person's word
//!                      └──► revision::rollout::Machine ──► Cover ──► more proxies to the newest, or all back
//! ```
//!
//! What was before is the newest catalog with all documents in their earlier form: endpoints, pods and certificates go to
//! everybody at once. A rollout goes on after a restart as it was: its state is on disk before it is served. Documents that were
//! edited while nothing ran begin it anew where they are its own, and go to everybody where they are others.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use api::problem::{FORBIDDEN, NOT_NOW, OBJECT_NOT_FOUND, UNAVAILABLE};
use api::rollout::{Act, GateState, Rollout, joined};
use api::{Caller, Problem, Role, Time};
use catalog::{Catalog, Key, Merger};
use compile::{Compiler, GroupKey};
use futures::future::BoxFuture;
use model::{ConfigRollout, Finding, Kind, NamespacedName, Object, Severity, codes};
use revision::rollout::{self as machine, Facts, Machine, Member, Phase};
use snapshot::{ResourceType, Snapshot, Version};
use tokio::sync::{mpsc, oneshot, watch};
use xxhash_rust::xxh3::xxh3_64;

use crate::editions::{self, COMING_BACK, Earlier, Edition, Editions, Forms, Keeper, Rolled};
use crate::editions::{may_be_rolled, same};
use crate::groups::group_name;
use crate::history::{Current, History};
use crate::peers::{Heard, Rolling};

mod elsewhere;

use elsewhere::Elsewhere;

/// Types that tell whether a change is one to be rolled out.
const CONFIG: [ResourceType; 4] =
    [ResourceType::Cluster, ResourceType::Listener, ResourceType::Route, ResourceType::Extension];

/// For so long another replica that has something else is taken for one that is on its way to the same change.
const FIRST_HEARD: Duration = Duration::from_secs(10);

/// Who counts the requests of proxies.
pub(crate) trait Figures: Send + Sync {
    /// Of the requests that these proxies took since then; `None` where it is not known.
    fn of(&self, proxies: &[Arc<str>], since: SystemTime) -> Option<machine::Figures>;
}

impl Figures for observe::Collector {
    fn of(&self, proxies: &[Arc<str>], since: SystemTime) -> Option<machine::Figures> {
        if !self.observation().on {
            return None;
        }
        let ids: Vec<String> = proxies.iter().map(ToString::to_string).collect();
        let observe::Figures { requests, errors, p99 } = self.figures(&ids, since);
        let p99 = p99.map(|millis| Duration::from_secs_f64(millis.max(0.0) / 1000.0));
        Some(machine::Figures { requests, errors, p99 })
    }
}

/// A person's word, and where the answer goes.
pub(crate) struct Ask {
    name: NamespacedName,
    act: Act,
    answer: oneshot::Sender<Result<Vec<Told>, String>>,
}

/// A row without its revisions, which are written a moment later.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Told {
    row: Rollout,
    generations: Option<Generations>,
    /// What is rolled out, by its content.
    change: u64,
    stopped: Option<Time>,
    ready: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Generations {
    from: Before,
    to: u64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Before {
    Generation(u64),
    /// After a restart, which counts generations anew.
    Time(Duration),
}

pub(crate) struct Rolls {
    /// By the name of the group.
    rolls: BTreeMap<Arc<str>, Roll>,
    /// Of each group with a rollout, what its newest is made of.
    versions: BTreeMap<Arc<str>, [Version; CONFIG.len()]>,
    figures: Option<Arc<dyn Figures>>,
    view: watch::Sender<Arc<[Told]>>,
    /// The same rollouts on other replicas.
    heard: Arc<Heard>,
    /// By group and replica, the last stop there that is known here: only another one is news.
    stops: BTreeMap<(Arc<str>, String), Time>,
}

struct Roll {
    edition: Edition,
    gateway: NamespacedName,
    /// What those have that the rollout has not reached.
    from: Catalog,
    machine: Machine,
    to: u64,
    /// When it was first told from what was before.
    since: Duration,
    recalled: bool,
    /// The documents by which `from` differs from the newest, for a restart.
    earlier: Arc<[Earlier]>,
    /// The proxies that were there when it went on last.
    proxies: BTreeSet<Arc<str>>,
    /// Those that have not come back since a restart, and until when they are waited for.
    missing: Option<(BTreeSet<Arc<str>>, Instant)>,
    /// There is nothing to roll out any more: over once the newest is published.
    ending: bool,
    /// When it stopped last.
    stopped: Option<Time>,
}

impl Rolls {
    pub(crate) fn new(
        figures: Option<Arc<dyn Figures>>,
        view: watch::Sender<Arc<[Told]>>,
        heard: Arc<Heard>,
    ) -> Self {
        let (rolls, versions, stops) = Default::default();
        Self { rolls, versions, figures, view, heard, stops }
    }

    /// Whether time alone may change something.
    pub(crate) fn is_under_way(&self) -> bool {
        let goes = |phase: &Phase| matches!(phase, Phase::Progressing | Phase::Paused);
        self.rolls.values().any(|roll| goes(roll.machine.phase()))
    }

    /// Goes on with those from before a restart.
    pub(crate) fn recall(
        &mut self,
        found: Vec<Rolled>,
        newest: &Catalog,
        merger: &Merger,
        snapshots: &BTreeMap<GroupKey, Snapshot>,
        compiler: &Compiler,
        keeper: &mut Keeper,
    ) {
        let documents = targets(newest);
        for rolled in found {
            let gateway = rolled.gateway();
            let Some(document) = documents.get(&gateway) else { continue };
            let key = GroupKey::Gateway(gateway.clone());
            let name = group_name(&key);
            let from = editions::before(merger, &*rolled.documents);
            let mut machine = Machine::restored(document, rolled.machine);
            let proxies: BTreeSet<Arc<str>> = rolled.proxies.into_iter().map(Into::into).collect();
            if !rolled.documents.iter().all(|earlier| earlier.still(newest)) {
                let member = |id: &Arc<str>| Member { id: id.clone(), labels: Arc::default() };
                machine.change(&proxies.iter().map(member).collect::<Vec<_>>(), now());
            }
            tracing::info!(rollout = %document.meta.key, %gateway, state = machine.phase().as_str(), "goes on after a restart");
            if let Some(snapshot) = snapshots.get(&key) {
                let versions = CONFIG.map(|kind| snapshot.set(kind).version());
                self.versions.insert(name.clone(), versions);
            }
            // With another time an old stop would be news to others.
            let stopped =
                is_stop(machine.phase()).then(|| rolled.stopped.unwrap_or_else(Time::now));
            let roll = Roll {
                edition: keeper.edition(&name, "before", key, compiler),
                gateway,
                from,
                machine,
                to: newest.generation,
                since: rolled.since,
                recalled: true,
                earlier: rolled.documents,
                missing: Some((proxies.clone(), Instant::now() + COMING_BACK)),
                proxies,
                ending: false,
                stopped,
            };
            self.rolls.insert(name, roll);
        }
    }

    /// Before the newest snapshots are published: whoever is not to have them yet is served what was before.
    pub(crate) fn before(
        &mut self,
        newest: &Catalog,
        changed: &[Key],
        snapshots: &BTreeMap<GroupKey, Snapshot>,
        compiler: &Compiler,
        keeper: &mut Keeper,
        at: Instant,
    ) {
        if self.rolls.is_empty() && newest.count(Kind::ConfigRollout) == 0 {
            self.versions.clear();
            self.keep(keeper);
            return;
        }
        let documents = targets(newest);
        let over: Vec<_> = self
            .rolls
            .iter()
            .filter(|(_, roll)| !documents.contains_key(&roll.gateway))
            .map(|(name, _)| name.clone())
            .collect();
        // What was before is back.
        let back: Vec<_> = self
            .rolls
            .iter()
            .filter(|(_, roll)| roll.forms(newest).is_empty())
            .map(|(name, _)| name.clone())
            .collect();
        for name in over.iter().chain(&back) {
            if let Some(roll) = self.rolls.get_mut(name) {
                roll.ending = true;
            }
        }
        let now = now();
        for (gateway, document) in &documents {
            let key = GroupKey::Gateway(gateway.clone());
            let name = group_name(&key);
            if let Some(roll) = self.rolls.get_mut(&name) {
                roll.machine.set(document);
            }
            let Some(snapshot) = snapshots.get(&key) else { continue };
            let versions = CONFIG.map(|kind| snapshot.set(kind).version());
            let before = self.versions.insert(name.clone(), versions);
            let Some(before) = before.or_else(|| keeper.config_of(&name, CONFIG)) else { continue };
            if before == versions || back.contains(&name) {
                continue;
            }
            let members = keeper.members(&name);
            let roll = self.rolls.entry(name.clone()).or_insert_with(|| Roll {
                edition: keeper.edition(&name, "before", key.clone(), compiler),
                gateway: gateway.clone(),
                from: keeper.before().clone(),
                machine: Machine::new(document),
                to: 0,
                since: now,
                recalled: false,
                earlier: Arc::default(),
                proxies: BTreeSet::new(),
                missing: None,
                ending: false,
                stopped: None,
            });
            roll.machine.change(&members, now);
            roll.proxies = members.into_iter().map(|member| member.id).collect();
            roll.to = newest.generation;
            tracing::info!(rollout = %document.meta.key, %gateway, "a change goes to some proxies first");
        }
        for (name, roll) in &mut self.rolls {
            let forms = roll.forms(newest);
            let documents = forms
                .iter()
                .filter_map(|(doc, form)| Earlier::new(doc, form.as_ref(), newest.get(doc)));
            roll.earlier = documents.collect();
            let (catalog, snapshot) = roll.edition.update(newest, changed, forms);
            if let Some(snapshot) = snapshot {
                keeper.publish(&roll.edition, catalog, snapshot, at);
            }
            keeper.narrow(name, &roll.edition.name, roll.machine.cover());
        }
        self.keep(keeper);
    }

    /// What a restart goes on with.
    fn keep(&self, keeper: &mut Keeper) {
        let over = |roll: &&Roll| {
            roll.ending || matches!(roll.machine.phase(), Phase::Waiting | Phase::Done)
        };
        let rolls = self.rolls.values().filter(|roll| !over(roll)).map(|roll| Rolled {
            namespace: roll.gateway.namespace.to_string(),
            gateway: roll.gateway.name.to_string(),
            since: roll.since,
            machine: roll.machine.save(),
            stopped: roll.stopped,
            proxies: roll.proxies.iter().map(ToString::to_string).collect(),
            documents: roll.earlier.clone(),
        });
        keeper.keep_rolls(rolls.collect());
    }

    /// Looks what the proxies say of it, and goes on or back.
    pub(crate) fn tick(&mut self, newest: &Catalog, keeper: &mut Keeper) -> Vec<Finding> {
        let now = now();
        let ending: Vec<_> = self
            .rolls
            .iter()
            .filter(|(_, roll)| roll.ending)
            .map(|(name, _)| name.clone())
            .collect();
        ending.iter().for_each(|name| self.close(name, keeper));
        // Those that have come to have it since the newest was published.
        for (name, roll) in &self.rolls {
            keeper.cover(name, Some((&roll.edition.name, roll.machine.cover())));
        }
        let (mut done, mut others) = (Vec::new(), Vec::new());
        let heard = self.heard.rollouts();
        for (name, roll) in &mut self.rolls {
            let members = keeper.members(name);
            let elsewhere = Elsewhere::of(&heard, roll, change_of(self.versions.get(name)));
            let mut facts = facts(name, roll, &members, keeper, self.figures.as_deref());
            let young =
                now.checked_sub(roll.machine.started()).is_some_and(|age| age < FIRST_HEARD);
            facts.waits_for = elsewhere
                .behind(roll.machine.step())
                .or_else(|| young.then(|| elsewhere.has_another()).flatten());
            let before = roll.machine.phase().clone();
            let followed = elsewhere.follow(name, &mut roll.machine, &mut self.stops);
            if roll.waits(&members) && !followed {
                continue;
            }
            let caught_up =
                elsewhere.least_step().is_some_and(|step| roll.machine.catch_up(step, &members));
            if followed || caught_up || roll.machine.advance(&facts, &members, now) {
                roll.proxies = members.into_iter().map(|member| member.id).collect();
                others.push(name.clone());
            }
            let after = roll.machine.phase();
            if before != *after {
                roll.stopped = is_stop(after).then(Time::now);
                let (document, reason) = (&roll.machine.rollout().meta.key, roll.machine.reason());
                tracing::info!(rollout = %document, gateway = %roll.gateway, state = after.as_str(), reason);
            }
            if *after == Phase::Done {
                done.push(name.clone());
            }
        }
        self.keep(keeper);
        for (name, roll) in others.iter().filter_map(|name| self.rolls.get_key_value(name)) {
            keeper.cover(name, Some((&roll.edition.name, roll.machine.cover())));
        }
        self.tell(newest, keeper);
        done.iter().for_each(|name| self.close(name, keeper));
        self.findings(newest)
    }

    pub(crate) fn act(&mut self, ask: Ask, newest: &Catalog, keeper: &mut Keeper) {
        let mut said = Err("there is no change under way".to_owned());
        let mut steered = Vec::new();
        let heard = self.heard.rollouts();
        for (name, roll) in &mut self.rolls {
            if *roll.machine.rollout().meta.name() != ask.name {
                continue;
            }
            let act = match ask.act {
                Act::Promote => machine::Act::Promote,
                Act::Pause => machine::Act::Pause,
                Act::Resume => machine::Act::Resume,
                Act::Abort => machine::Act::Abort,
            };
            match roll.machine.act(act, &keeper.members(name)) {
                Ok(()) => {
                    said = Ok(());
                    steered.push(name.clone());
                    roll.stopped = is_stop(roll.machine.phase()).then(Time::now);
                    // What the others stopped before a person said this is over: they are told it too.
                    Elsewhere::of(&heard, roll, change_of(self.versions.get(name)))
                        .note(name, &mut self.stops);
                }
                Err(why) if said.is_err() => said = Err(why),
                Err(_) => {}
            }
        }
        self.keep(keeper);
        for (name, roll) in steered.iter().filter_map(|name| self.rolls.get_key_value(name)) {
            keeper.cover(name, Some((&roll.edition.name, roll.machine.cover())));
        }
        self.tell(newest, keeper);
        let of = |told: &&Told| {
            (&*told.row.namespace, &*told.row.name) == (&*ask.name.namespace, &*ask.name.name)
        };
        let shown = self.view.borrow().iter().filter(of).cloned().collect();
        // Whoever asked may be gone.
        let _ = ask.answer.send(said.map(|()| shown));
    }

    fn close(&mut self, name: &Arc<str>, keeper: &mut Keeper) {
        if let Some(roll) = self.rolls.remove(name) {
            keeper.cover(name, None);
            keeper.end(&roll.edition);
        }
    }

    fn findings(&self, newest: &Catalog) -> Vec<Finding> {
        let mut out = Vec::new();
        for rollout in documents(newest) {
            for target in &rollout.gateways {
                if newest.gateway(&target.name).is_none() {
                    out.push(Finding {
                        at: rollout.meta.at(&target.pointer),
                        code: codes::ROLLOUT_TARGET,
                        severity: Severity::Warning,
                        text: format!("Gateway {} does not exist", target.name),
                        hint: "nothing is rolled out in steps there".into(),
                    });
                }
            }
        }
        for roll in self.rolls.values() {
            let machine = &roll.machine;
            let hint = match machine.phase() {
                Phase::Returned | Phase::Aborted => {
                    "all proxies are served what was before; edit the documents, or resume it to try once more"
                }
                Phase::Paused => "promote, resume or abort it",
                Phase::Waiting | Phase::Progressing | Phase::Done => continue,
            };
            out.push(Finding {
                at: machine.rollout().meta.at(""),
                code: codes::ROLLOUT_STOPPED,
                severity: Severity::Warning,
                text: format!(
                    "the change of Gateway {} is {}: {}",
                    roll.gateway,
                    machine.phase().as_str(),
                    machine.reason()
                ),
                hint: hint.into(),
            });
        }
        out
    }

    fn tell(&self, newest: &Catalog, keeper: &Keeper) {
        let mut all = Vec::new();
        let known = self.view.borrow().clone();
        for (gateway, document) in targets(newest) {
            let name = group_name(&GroupKey::Gateway(gateway.clone()));
            let members = keeper.members(&name);
            let told = match self.rolls.get(&name) {
                Some(roll) => roll.view(&members, change_of(self.versions.get(&name))),
                None => {
                    // The last one that is over is shown until there is another.
                    let own = |told: &&Told| {
                        told.row.gateway == gateway.to_string()
                            && told.row.name == *document.meta.name().name
                            && told.row.state == "done"
                    };
                    let done = known.iter().find(own).cloned();
                    done.unwrap_or_else(|| Told {
                        row: waiting(&document, &gateway, members.len()),
                        generations: None,
                        change: 0,
                        stopped: None,
                        ready: false,
                    })
                }
            };
            all.push(told);
        }
        all.sort_by_key(|told| std::cmp::Reverse(told.row.started));
        self.view.send_if_modified(|told| {
            let differs = **told != *all;
            *told = all.into();
            differs
        });
    }
}

impl Roll {
    /// All documents that are others by now, as they were.
    fn forms(&self, newest: &Catalog) -> Forms {
        let changed = newest.changed_since(&self.from).into_iter();
        let changed = changed
            .filter(|doc| may_be_rolled(doc.kind))
            .filter(|doc| !same(newest.get(doc), self.from.get(doc)));
        changed.map(|doc| (doc.clone(), self.from.get(&doc).cloned())).collect()
    }

    /// Whether it is too early to judge: after a restart, of the proxies that there were some are still on their way.
    fn waits(&mut self, members: &[Member]) -> bool {
        let Some((missing, until)) = &mut self.missing else { return false };
        for member in members {
            missing.remove(&member.id);
        }
        if missing.is_empty() || Instant::now() >= *until {
            self.missing = None;
        }
        self.missing.is_some()
    }

    fn view(&self, members: &[Member], change: u64) -> Told {
        let document = self.machine.rollout();
        let cover = self.machine.cover();
        let has = |member: &&Member| cover.as_ref().is_none_or(|cover| cover.has(member));
        let gate = |gate: &machine::Gate| GateState {
            name: gate.name.into(),
            state: gate.verdict.as_str().into(),
            text: gate.text.clone(),
            value: gate.value,
            limit: gate.limit,
        };
        let from = match self.recalled {
            true => Before::Time(self.since),
            false => Before::Generation(self.from.generation),
        };
        let generations = Generations { from, to: self.to };
        let row = Rollout {
            namespace: document.meta.namespace().to_string(),
            name: document.meta.name().name.to_string(),
            gateway: self.gateway.to_string(),
            state: self.machine.phase().as_str().into(),
            reason: self.machine.reason().into(),
            from: String::new(),
            to: String::new(),
            started: Some((SystemTime::UNIX_EPOCH + self.machine.started()).into()),
            step: self.machine.step(),
            steps: document.steps.len(),
            proxies: members.iter().filter(has).map(|member| member.id.to_string()).collect(),
            total: members.len(),
            gates: self.machine.gates().iter().map(gate).collect(),
        };
        let (stopped, ready) = (self.stopped, self.machine.ready());
        Told { row, generations: Some(generations), change, stopped, ready }
    }
}

fn facts(
    name: &Arc<str>,
    roll: &Roll,
    members: &[Member],
    keeper: &Keeper,
    figures: Option<&dyn Figures>,
) -> Facts {
    let cover = roll.machine.cover();
    let has = |member: &&Member| cover.as_ref().is_none_or(|cover| cover.has(member));
    let step: BTreeSet<Arc<str>> =
        members.iter().filter(has).map(|member| member.id.clone()).collect();
    let ids: Vec<_> = step.iter().cloned().collect();
    let figures = figures
        .zip(roll.machine.taken())
        .and_then(|(figures, since)| figures.of(&ids, SystemTime::UNIX_EPOCH + since));
    Facts {
        proxies: step.len(),
        taken: keeper.taken(name, &step),
        refused: keeper.refused(name, &step),
        figures,
        waits_for: None,
    }
}

fn waiting(document: &ConfigRollout, gateway: &NamespacedName, total: usize) -> Rollout {
    Rollout {
        namespace: document.meta.namespace().to_string(),
        name: document.meta.name().name.to_string(),
        gateway: gateway.to_string(),
        state: Phase::Waiting.as_str().into(),
        reason: "all proxies have the same".into(),
        from: String::new(),
        to: String::new(),
        started: None,
        step: 0,
        steps: document.steps.len(),
        proxies: Vec::new(),
        total,
        gates: Vec::new(),
    }
}

fn documents(catalog: &Catalog) -> impl Iterator<Item = &Arc<ConfigRollout>> {
    catalog.list(Kind::ConfigRollout).filter_map(|object| match object {
        Object::ConfigRollout(rollout) => Some(rollout),
        _ => None,
    })
}

/// The rollout of each Gateway: of several the first by name.
fn targets(catalog: &Catalog) -> BTreeMap<NamespacedName, Arc<ConfigRollout>> {
    let mut out = BTreeMap::new();
    for rollout in documents(catalog) {
        for target in &rollout.gateways {
            out.entry(target.name.clone()).or_insert_with(|| rollout.clone());
        }
    }
    out
}

/// What is rolled out, by its content, so that it is the same on all replicas.
fn change_of(versions: Option<&[Version; CONFIG.len()]>) -> u64 {
    let bytes: Vec<u8> =
        versions.into_iter().flatten().flat_map(|version| version.0.to_le_bytes()).collect();
    xxh3_64(&bytes)
}

/// By a gate or a person, until somebody says something else.
fn is_stop(phase: &Phase) -> bool {
    matches!(phase, Phase::Paused | Phase::Returned | Phase::Aborted)
}

fn now() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}

/// For the API.
pub(crate) struct Handle {
    pub(crate) view: watch::Receiver<Arc<[Told]>>,
    pub(crate) asks: mpsc::Sender<Ask>,
    pub(crate) editions: Arc<Editions>,
    pub(crate) history: Arc<History>,
    pub(crate) heard: Arc<Heard>,
}

impl Handle {
    /// Those of the proxies that are connected here.
    pub(crate) fn own(&self) -> Vec<Rolling> {
        let all = self.view.borrow().clone();
        let rolling = |told: &Told| Rolling {
            row: self.row(told.clone()),
            change: told.change,
            stopped: told.stopped,
            ready: told.ready,
        };
        all.iter().map(rolling).collect()
    }

    fn row(&self, told: Told) -> Rollout {
        let Told { mut row, generations, .. } = told;
        let hash = |revision: Option<Current>| revision.map(|r| r.hash.to_string());
        if let Some(Generations { from, to }) = generations {
            let before = match from {
                Before::Generation(generation) => self.history.at(generation),
                Before::Time(since) => self.history.before(since),
            };
            row.from = hash(before).unwrap_or_default();
            row.to = hash(self.history.of(to)).unwrap_or_default();
        }
        // They come and go between the looks of the pipeline.
        let members = self.editions.members(&format!("gateway/{}", row.gateway));
        row.total = members.len();
        if matches!(&*row.state, "done" | "waiting") {
            row.proxies = members.iter().map(|member| member.id.to_string()).collect();
        }
        row
    }
}

impl api::rollout::Rollouts for Handle {
    fn rollouts(&self) -> Vec<Rollout> {
        let own = self.own().into_iter().map(|rolling| (None, rolling.row));
        let others = self.heard.rollouts().into_iter();
        joined(own.chain(others.map(|(name, rolling)| (Some(name), rolling.row))).collect())
    }

    fn act<'a>(
        &'a self,
        caller: &'a Caller,
        namespace: &'a str,
        name: &'a str,
        act: Act,
    ) -> BoxFuture<'a, Result<Rollout, Problem>> {
        Box::pin(async move {
            if !caller.may(Role::Operator, Some(namespace)) {
                let text = format!("this needs the role operator in namespace {namespace}");
                return Err(Problem::new(FORBIDDEN, text));
            }
            let of = |told: &Told| told.row.namespace == namespace && told.row.name == name;
            if !self.view.borrow().iter().any(of) {
                let text = format!("there is no ConfigRollout {namespace}/{name} for a Gateway");
                return Err(Problem::new(OBJECT_NOT_FOUND, text));
            }
            let (answer, answered) = oneshot::channel();
            let ask = Ask { name: NamespacedName::new(namespace, name), act, answer };
            let off = || Problem::new(UNAVAILABLE, "the server is on its way out");
            self.asks.send(ask).await.map_err(|_| off())?;
            let rows = answered.await.map_err(|_| off())?;
            let rows = rows.map_err(|why| Problem::new(NOT_NOW, why))?;
            rows.into_iter().next().map(|told| self.row(told)).ok_or_else(off)
        })
    }
}
