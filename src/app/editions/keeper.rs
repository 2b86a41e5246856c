//! Makes of refusals what the proxies that refused are served meanwhile. Owned by the pipeline: one step after the other.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use catalog::{Catalog, Key, Merger};
use compile::{Compiler, GroupKey};
use model::{Code, Finding, Object, ObjectKey, ObjectRef, Severity, codes};
use revision::rollout::{Cover, Member};
use serve::Published;
use snapshot::{Reports, ResourceType, Snapshot, Version};

use super::edition::Forms;
use super::forms;
use super::mark::Mark;
use super::memory::{self, Earlier, Memory, Rolled};
use super::search::Search;
use super::{Edition, Editions, HELD, Refused, State};
use crate::groups::{Groups, group_name};

/// Refusals that are over and remembered.
const MOST_PAST: usize = 100;
/// Of a proxy's words, in findings and conditions.
const MOST_TEXT: usize = 600;
/// Of more proxies than these, those that are gone are not waited for to come back.
const MOST_GONE: usize = 1000;
/// After a restart, so long nobody is gone for good.
pub(crate) const COMING_BACK: Duration = Duration::from_secs(60);
/// After a restart, groups of which nobody asks for so long are no longer expected.
const EXPECTED: Duration = Duration::from_secs(600);
/// Proxies that a text names.
const MOST_NAMES: usize = 3;

pub(crate) struct Keeper {
    editions: Arc<Editions>,
    groups: Arc<Groups>,
    reports: Reports,
    /// By group and build: proxies of one build refuse the same.
    cases: BTreeMap<(Arc<str>, Arc<str>), Case>,
    /// Refusals that no document is known for, by group, node and type.
    unexplained: BTreeMap<(Arc<str>, Arc<str>, ResourceType), Refused>,
    past: VecDeque<api::history::Refusal>,
    /// Editions that are over, and that streams may still be on their way from.
    leaving: Vec<Arc<str>>,
    names: u64,
    numbers: u64,
    /// The newest, as of the step before.
    before: Catalog,
    memory: Memory,
    /// From before the restart, of groups that nothing has been compiled for yet.
    expected: Vec<memory::Case>,
    started: Instant,
}

/// What proxies of one build and group refused.
struct Case {
    edition: Edition,
    search: Search,
    held: BTreeMap<ObjectKey, Held>,
    members: BTreeSet<Arc<str>>,
}

struct Held {
    /// What those proxies have taken before.
    form: Option<Object>,
    refused: Option<Object>,
    /// The document behind it, for a restart; `None` for what nobody wrote.
    earlier: Option<Earlier>,
    at: SystemTime,
    kind: ResourceType,
    text: String,
    pointer: String,
    generation: u64,
    proxies: BTreeSet<Arc<str>>,
}

/// A proxy that refused something.
struct Seen {
    /// What it is served, and the documents that this was made from.
    entry: Arc<str>,
    served: Catalog,
    /// Those that are new to it.
    new: BTreeSet<ObjectKey>,
    /// What it has taken before.
    good: Option<Catalog>,
}

/// What one step changed, for those who tell it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) findings: Vec<Finding>,
    /// Of each document that is held back, what its status is to say.
    pub(crate) marks: BTreeMap<ObjectKey, Mark>,
}

impl Keeper {
    pub(crate) fn new(
        editions: Arc<Editions>,
        groups: Arc<Groups>,
        reports: Reports,
        memory: Memory,
    ) -> Self {
        Self {
            editions,
            groups,
            reports,
            cases: BTreeMap::new(),
            unexplained: BTreeMap::new(),
            past: VecDeque::new(),
            leaving: Vec::new(),
            names: 0,
            numbers: 0,
            before: Catalog::default(),
            memory,
            expected: Vec::new(),
            started: Instant::now(),
        }
    }

    /// What was held back before a restart: rollouts, for whoever carries them on. The rest is expected from now on.
    pub(crate) fn recall(&mut self) -> Option<Vec<Rolled>> {
        let found = self.memory.recall()?;
        self.expected = found.cases;
        Some(found.rolls)
    }

    /// The groups of which some proxies were not to have the newest.
    pub(crate) fn held_before(&self) -> BTreeSet<Arc<str>> {
        let rolls = self.memory.found().into_iter().flat_map(|found| &found.rolls);
        rolls.map(|rolled| group_name(&GroupKey::Gateway(rolled.gateway()))).collect()
    }

    /// Before what it says is served.
    pub(crate) fn keep_rolls(&mut self, rolls: Vec<Rolled>) {
        self.memory.rolls(rolls);
    }

    /// What is wrong with what should have been recalled.
    pub(crate) fn lost(&self) -> Option<&Finding> {
        self.memory.finding()
    }

    /// Before the newest is published: who refused something before the restart is served its last good form on.
    pub(crate) fn resume(
        &mut self,
        newest: &Catalog,
        merger: &Merger,
        compiler: &Compiler,
        at: Instant,
    ) {
        if self.expected.is_empty() {
            return;
        }
        let groups: BTreeMap<Arc<str>, GroupKey> =
            compiler.groups().map(|key| (group_name(&key), key)).collect();
        for kept in std::mem::take(&mut self.expected) {
            match groups.get(&*kept.group) {
                Some(of) => self.resume_case(kept, of.clone(), newest, merger, compiler, at),
                None if self.started.elapsed() < EXPECTED => self.expected.push(kept),
                None => {}
            }
        }
    }

    fn resume_case(
        &mut self,
        kept: memory::Case,
        of: GroupKey,
        newest: &Catalog,
        merger: &Merger,
        compiler: &Compiler,
        at: Instant,
    ) {
        let (group, build): (Arc<str>, Arc<str>) = (kept.group.into(), kept.build.into());
        let key = (group.clone(), build);
        if self.cases.contains_key(&key) {
            return;
        }
        // What was edited meanwhile is served as it is.
        let still: Vec<_> =
            kept.held.into_iter().filter(|held| held.document.still(newest)).collect();
        let before = memory::before(merger, still.iter().map(|held| &held.document));
        let (mut held, mut guilty, mut rest) = (BTreeMap::new(), BTreeSet::new(), Vec::new());
        for one in still {
            let Some(doc) = crate::history::key_of(&one.object) else { continue };
            let known = one.guilty;
            let Some(one) = restored(one, &doc, &before, newest) else { continue };
            held.insert(doc.clone(), one);
            if known {
                guilty.insert(doc);
            } else {
                rest.push(doc);
            }
        }
        if held.is_empty() {
            return;
        }
        let members: BTreeSet<Arc<str>> = kept.proxies.into_iter().map(Into::into).collect();
        let case = self.case(&group, of, compiler);
        let mut case = Case { search: Search::restored(guilty, rest), held, members, ..case };
        {
            let mut known = self.editions.group(&group);
            for node in &case.members {
                known.seat(node, Some(&case.edition.name));
            }
        }
        self.run(&mut case, newest, &[], at);
        self.cases.insert(key, case);
    }

    /// Everything that is held back, for a restart.
    fn kept(&self) -> Vec<memory::Case> {
        let cases = self.cases.iter().map(|((group, build), case)| {
            let held = case.held.iter().filter(|(doc, _)| case.search.holds(doc));
            memory::Case {
                group: group.to_string(),
                build: build.to_string(),
                proxies: case.members.iter().map(ToString::to_string).collect(),
                held: held
                    .filter_map(|(doc, held)| kept(doc, held, case.search.is_guilty(doc)))
                    .collect(),
            }
        });
        cases.filter(|case| !case.held.is_empty()).chain(self.expected.iter().cloned()).collect()
    }

    /// Whether a step would have nothing to do but what new documents bring.
    pub(crate) fn is_idle(&self) -> bool {
        self.cases.is_empty() && self.unexplained.is_empty() && self.leaving.is_empty()
    }

    /// The state under which a group's newest snapshot is published.
    pub(crate) fn state(&mut self, group: &Arc<str>, catalog: &Catalog) -> Arc<State> {
        if let Some(known) = self.editions.groups.get(group)
            && let Some(last) = known.last(group)
        {
            last.extend(&self.before);
        }
        self.numbers += 1;
        State::new(self.numbers, catalog.clone())
    }

    /// The newest of the step before.
    pub(crate) fn before(&self) -> &Catalog {
        &self.before
    }

    /// Versions of what a group was last served as its newest.
    pub(crate) fn config_of<const N: usize>(
        &self,
        group: &Arc<str>,
        kinds: [ResourceType; N],
    ) -> Option<[Version; N]> {
        self.editions.groups.get(group)?.versions(kinds)
    }

    pub(crate) fn members(&self, group: &Arc<str>) -> Vec<Member> {
        self.editions.groups.get(group).map(|group| group.members()).unwrap_or_default()
    }

    pub(crate) fn taken(&self, group: &Arc<str>, nodes: &BTreeSet<Arc<str>>) -> usize {
        self.editions.groups.get(group).map_or(0, |group| group.taken(nodes))
    }

    /// What one of these proxies refused and has not taken since.
    pub(crate) fn refused(&self, group: &Arc<str>, nodes: &BTreeSet<Arc<str>>) -> Option<String> {
        let cases = self.cases.iter().filter(|((of, _), _)| of == group);
        let mut held = cases.flat_map(|(_, case)| &case.held);
        let by = |held: &Held| held.proxies.iter().find(|node| nodes.contains(*node)).cloned();
        let of_document = held.find_map(|(doc, held)| {
            Some(format!("{} refused {doc}: {}", by(held)?, cut(&held.text)))
        });
        of_document.or_else(|| {
            let mut all = self.unexplained.iter();
            let found = all.find(|((of, node, _), _)| of == group && nodes.contains(node));
            found.map(|((_, node, kind), refused)| {
                format!("{node} refused {}: {}", kind.short(), cut(&refused.text))
            })
        })
    }

    /// An edition of a group, that nobody is served yet.
    pub(crate) fn edition(
        &mut self,
        name: &Arc<str>,
        what: &str,
        of: GroupKey,
        compiler: &Compiler,
    ) -> Edition {
        self.names += 1;
        let edition: Arc<str> = format!("{name}@{what}-{}", self.names).into();
        let compiler = compiler.beside(&of);
        Edition::new(edition, name.clone(), of, compiler, self.reports)
    }

    pub(crate) fn publish(
        &mut self,
        edition: &Edition,
        catalog: Catalog,
        snapshot: Snapshot,
        at: Instant,
    ) {
        self.numbers += 1;
        let state = State::new(self.numbers, catalog);
        let published = Published { snapshot: Arc::new(snapshot), at };
        self.groups.publish_edition(&edition.name, &edition.group, published, state);
    }

    /// Who has the newest of a group from now on; all others have this edition. `None`: everybody has the newest.
    pub(crate) fn cover(&self, group: &Arc<str>, rule: Option<(&Arc<str>, Option<Cover>)>) {
        let rule = rule.and_then(|(edition, cover)| Some((edition.clone(), vec![cover?])));
        self.editions.group(group).set_rule(rule);
    }

    /// Before the next newest is published: those that are not to have it do not, and nobody gets the one before it who
    /// has not had that.
    pub(crate) fn narrow(&self, group: &Arc<str>, edition: &Arc<str>, cover: Option<Cover>) {
        if let Some(cover) = cover {
            self.editions.group(group).narrow(edition, cover);
        }
    }

    /// Nobody is served this edition any more.
    pub(crate) fn end(&mut self, edition: &Edition) {
        if let Some(mut group) = self.editions.groups.get_mut(&edition.group) {
            group.forget(&edition.name);
        }
        self.leaving.push(edition.name.clone());
    }

    /// After the newest was published, made from `newest`, in which these keys changed. `None` where nothing is to be told
    /// anew.
    pub(crate) fn step(
        &mut self,
        newest: &Catalog,
        changed: &[Key],
        removed: &[Arc<str>],
        compiler: &Compiler,
        at: Instant,
    ) -> Option<Outcome> {
        let refusals = self.editions.take();
        self.before = newest.clone();
        if self.is_idle() && refusals.is_empty() {
            // Who was expected may be so no longer.
            let kept = self.kept();
            self.memory.cases(kept);
            return None;
        }
        self.leave();
        for name in removed {
            let gone: Vec<_> =
                self.cases.keys().filter(|(group, _)| group == name).cloned().collect();
            gone.iter().for_each(|key| self.close(key));
        }
        self.mended(newest, changed);
        for refused in refusals {
            self.blame(refused, newest, compiler);
        }
        let keys: Vec<_> = self.cases.keys().cloned().collect();
        for key in &keys {
            if let Some(mut case) = self.cases.remove(key) {
                self.run(&mut case, newest, changed, at);
                self.cases.insert(key.clone(), case);
            }
        }
        self.explained();
        let kept = self.kept();
        self.memory.cases(kept);
        let outcome = self.tell(newest);
        Some(outcome)
    }

    /// What was edited since is served as it is again, to everybody.
    fn mended(&mut self, newest: &Catalog, changed: &[Key]) {
        let changed: BTreeSet<&ObjectKey> = changed
            .iter()
            .filter_map(|key| match key {
                Key::Object(key) => Some(key),
                _ => None,
            })
            .collect();
        if changed.is_empty() {
            return;
        }
        let mut over = Vec::new();
        for (key, case) in &mut self.cases {
            let mended: Vec<_> = case
                .held
                .iter()
                .filter(|(doc, _)| changed.contains(doc))
                .filter(|(doc, held)| !forms::same(newest.get(doc), held.refused.as_ref()))
                .map(|(doc, _)| doc.clone())
                .collect();
            for doc in mended {
                case.search.forget(&doc);
                if let Some(held) = case.held.remove(&doc) {
                    remember(&mut self.past, &doc, &held);
                }
            }
            if case.held.is_empty() {
                over.push(key.clone());
            }
        }
        over.iter().for_each(|key| self.close(key));
        // What nobody could name may be mended too: whoever still refuses says so again.
        self.unexplained.clear();
    }

    /// Everybody is served the newest again.
    fn close(&mut self, key: &(Arc<str>, Arc<str>)) {
        let Some(case) = self.cases.remove(key) else { return };
        for (doc, held) in &case.held {
            remember(&mut self.past, doc, held);
        }
        if let Some(mut group) = self.editions.groups.get_mut(&key.0) {
            for node in &case.members {
                group.seat(node, None);
            }
            group.forget(&case.edition.name);
            group.wake();
        }
        tracing::info!(group = %key.0, edition = %case.edition.name, "its proxies are served the newest again");
        self.leaving.push(case.edition.name);
    }

    fn leave(&mut self) {
        let groups = &self.groups;
        self.leaving.retain(|name| !groups.remove_edition(name));
    }

    /// Finds the documents that a refusal is about, and holds them back for the proxy that refused.
    fn blame(&mut self, refused: Refused, newest: &Catalog, compiler: &Compiler) {
        let Refused { group: name, node, build, kind, .. } = &refused;
        let Some(Seen { entry, served, new, good }) = self.look(&refused) else { return };
        let key = (name.clone(), build.clone());
        let known = self.cases.get(&key);
        let seated = known.is_some_and(|case| case.edition.name == entry);
        let held = |doc: &&ObjectKey| known.is_some_and(|case| case.search.holds(doc));
        let again: Vec<_> = new.iter().filter(held).cloned().collect();
        // Others of its build have refused this before it.
        let joins = !seated && !again.is_empty();
        let docs = if joins {
            again
        } else {
            let new = new
                .iter()
                .filter(|doc| !held(doc))
                // Edited since.
                .filter(|doc| forms::same(newest.get(doc), served.get(doc)))
                .filter(|doc| {
                    let form = good.as_ref().and_then(|good| good.get(doc));
                    form.is_some() || forms::can_be_missing(doc.kind)
                })
                .cloned()
                .collect();
            // Of a proxy that has not had a good form here, it is not known what it has, or that it would take anything: only
            // what it names itself can be taken from it.
            let quoted = good.is_none();
            forms::suspects(&refused, &new, newest, quoted)
        };
        if docs.is_empty() {
            let key = (name.clone(), node.clone(), *kind);
            self.unexplained.insert(key, refused);
            return;
        }
        let case = match self.cases.remove(&key) {
            Some(case) => case,
            None => {
                let groups = compiler.groups();
                let Some(of) = groups.into_iter().find(|of| group_name(of) == *name) else {
                    return;
                };
                self.case(name, of, compiler)
            }
        };
        let case = self.cases.entry(key).or_insert(case);
        for doc in &docs {
            let held = case.held.entry(doc.clone()).or_insert_with(|| Held {
                form: good.as_ref().and_then(|good| good.get(doc)).cloned(),
                refused: newest.get(doc).cloned(),
                earlier: earlier(doc, newest, good.as_ref()),
                at: refused.at,
                kind: *kind,
                text: refused.text.clone(),
                pointer: forms::pointer(&refused, doc),
                generation: newest.generation,
                proxies: BTreeSet::new(),
            });
            held.proxies.insert(node.clone());
        }
        if !joins {
            case.search.refused(docs);
        }
        case.members.insert(node.clone());
        if !seated && let Some(mut group) = self.editions.groups.get_mut(name) {
            group.seat(node, Some(&case.edition.name));
        }
    }

    fn case(&mut self, name: &Arc<str>, of: GroupKey, compiler: &Compiler) -> Case {
        let edition = self.edition(name, HELD, of, compiler);
        tracing::info!(group = %name, edition = %edition.name, "proxies that refused something are served this meanwhile");
        Case { edition, search: Search::default(), held: BTreeMap::new(), members: BTreeSet::new() }
    }

    /// `None` where it refused what it is not served any more.
    fn look(&self, refused: &Refused) -> Option<Seen> {
        let group = self.editions.groups.get(&refused.group)?;
        let proxy = group.proxy(&refused.node)?;
        let entry = group.place_of(&refused.node).unwrap_or_else(|| refused.group.clone());
        let served = group.last(&entry)?.catalog();
        let good = proxy.good_for(refused.kind).map(|good| good.catalog());
        drop(group);
        let current = self.groups.current(&entry)?;
        let current = |after: &snapshot::Resource| {
            let now = current.snapshot.get(after.kind(), after.name());
            now.is_some_and(|now| now.version() == after.version())
        };
        if !refused.refused.iter().any(|(_, after)| current(after)) {
            return None;
        }
        let new = match &good {
            Some(good) => served.changed_since(good),
            None => served.changed_since(&Catalog::default()),
        };
        let new = new.into_iter().filter(|doc| forms::may_be_held(doc.kind)).collect();
        Some(Seen { entry, served, new, good })
    }

    /// Proxies come and go under ever new names while nobody mends it: those that are gone are forgotten.
    fn let_go(&self, case: &mut Case) {
        let coming_back = self.started.elapsed() < COMING_BACK;
        if case.members.len() <= MOST_GONE || coming_back {
            return;
        }
        let Some(mut group) = self.editions.groups.get_mut(&case.edition.group) else { return };
        case.members.retain(|node| {
            let here = group.proxy(node).is_some_and(super::held::Proxy::is_connected);
            if !here {
                group.seat(node, None);
            }
            here
        });
    }

    /// Brings an edition in step, and lets in again what may be innocent.
    fn run(&mut self, case: &mut Case, newest: &Catalog, changed: &[Key], at: Instant) {
        let mut changed = changed;
        self.let_go(case);
        loop {
            let served = |doc: &ObjectKey| case.search.holds(doc);
            let forms: Forms = case
                .held
                .iter()
                .filter(|(doc, _)| served(doc))
                .map(|(doc, held)| (doc.clone(), held.form.clone()))
                .collect();
            let (catalog, snapshot) = case.edition.update(newest, changed, forms);
            changed = &[];
            let (group, name) = (case.edition.group.clone(), case.edition.name.clone());
            if let Some(snapshot) = snapshot {
                self.publish(&case.edition, catalog, snapshot, at);
            }
            let Some(mut known) = self.editions.groups.get_mut(&group) else { return };
            known.search(&name, case.search.is_open());
            known.wake();
            if !known.all_have(&case.members, &name) {
                return;
            }
            drop(known);
            case.search.taken();
            let more = case.search.advance();
            let known = |doc: &ObjectKey| case.search.knows(doc);
            case.held.retain(|doc, _| known(doc));
            if !more {
                if let Some(mut group) = self.editions.groups.get_mut(&group) {
                    group.search(&name, false);
                }
                return;
            }
        }
    }

    /// Forgets the refusals of proxies that have taken something later, or are gone.
    fn explained(&mut self) {
        let editions = &self.editions;
        self.unexplained.retain(|(name, node, _), refused| {
            let Some(group) = editions.groups.get(name) else { return false };
            group.proxy(node).is_some_and(|proxy| {
                proxy.is_connected() && !proxy.has_taken_since(group.last(name), refused.kind)
            })
        });
    }

    fn tell(&self, newest: &Catalog) -> Outcome {
        type At<'c> = (&'c (Arc<str>, Arc<str>), &'c Case, &'c Held);
        let mut by_document: BTreeMap<&ObjectKey, Vec<At<'_>>> = BTreeMap::new();
        for (key, case) in &self.cases {
            for (doc, held) in &case.held {
                by_document.entry(doc).or_default().push((key, case, held));
            }
        }
        let mut outcome = Outcome::default();
        let mut refusals = Vec::new();
        for (doc, all) in by_document {
            let mut words = Vec::new();
            let mut earlier = true;
            for ((_, build), case, held) in &all {
                let by = names(&held.proxies);
                let guilty = case.search.is_guilty(doc);
                earlier &= held.form.is_some();
                let said = cut(&held.text);
                let text = match guilty {
                    true => format!("{by} (Envoy {build}) refused {}: {said}", held.kind.short()),
                    false => format!(
                        "held back for {by} (Envoy {build}), while it is sought what was refused: {said}"
                    ),
                };
                let code = match guilty {
                    true => codes::PROXY_REFUSED,
                    false => codes::PROXY_HELD_BACK,
                };
                let severity = if guilty { Severity::Error } else { Severity::Warning };
                let hint = match held.form {
                    Some(_) => {
                        "they are served its last good form, and everything else as it is; mend it, and they get it by themselves"
                    }
                    None => {
                        "they are served everything else; mend it, and they get it by themselves"
                    }
                };
                outcome.findings.push(finding(
                    newest,
                    doc,
                    &held.pointer,
                    code,
                    severity,
                    &text,
                    hint,
                ));
                if guilty {
                    words.push(text);
                }
                refusals.push(refusal(doc, held, None));
            }
            if !words.is_empty() {
                let mark = Mark { earlier, text: words.join("; ") };
                outcome.marks.insert(doc.clone(), mark);
            }
        }
        for ((group, node, kind), refused) in &self.unexplained {
            let text = format!("{node} refused {}: {}", kind.short(), cut(&refused.text));
            let hint =
                "it keeps what it had of this type; nothing names the document that it is about";
            let gateway = group.strip_prefix("gateway/").and_then(|name| name.split_once('/'));
            let at = gateway.map(|(ns, name)| ObjectKey::new(model::Kind::Gateway, ns, name));
            let finding = match at {
                Some(key) => finding(
                    newest,
                    &key,
                    "",
                    codes::PROXY_REFUSED_UNKNOWN,
                    Severity::Error,
                    &text,
                    hint,
                ),
                None => Finding {
                    at: ObjectRef {
                        source: group.clone(),
                        object: None,
                        pointer: "".into(),
                        location: None,
                    },
                    code: codes::PROXY_REFUSED_UNKNOWN,
                    severity: Severity::Error,
                    text,
                    hint: hint.into(),
                },
            };
            outcome.findings.push(finding);
        }
        refusals.sort_by_key(|refusal| std::cmp::Reverse(refusal.at));
        refusals.extend(self.past.iter().cloned());
        let refusals: Arc<[_]> = refusals.into();
        self.editions.refusals.send_if_modified(|told| {
            let differs = *told != refusals;
            *told = refusals;
            differs
        });
        outcome
    }
}

/// The document behind one that is held back, as it was and as it is.
fn earlier(doc: &ObjectKey, newest: &Catalog, good: Option<&Catalog>) -> Option<Earlier> {
    let was = |key: &ObjectKey| good.and_then(|good| good.get(key));
    let made = newest.get(doc).or_else(|| was(doc))?;
    let written = made.meta().written();
    Earlier::new(&written, was(&written), newest.get(&written))
}

fn kept(doc: &ObjectKey, held: &Held, guilty: bool) -> Option<memory::Held> {
    let at = held.at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_millis();
    Some(memory::Held {
        object: doc.to_string(),
        document: held.earlier.clone()?,
        guilty,
        at: u64::try_from(at).unwrap_or_default(),
        kind: held.kind.short().into(),
        text: cut(&held.text).into(),
        pointer: held.pointer.clone(),
        generation: held.generation,
        proxies: held.proxies.iter().map(ToString::to_string).collect(),
    })
}

/// `before`: what there would be with the earlier forms.
fn restored(
    kept: memory::Held,
    doc: &ObjectKey,
    before: &Catalog,
    newest: &Catalog,
) -> Option<Held> {
    let kind = ResourceType::ALL.into_iter().find(|kind| kind.short() == kept.kind)?;
    let form = before.get(doc).cloned();
    if form.is_none() && !forms::can_be_missing(doc.kind) {
        return None;
    }
    Some(Held {
        form,
        refused: newest.get(doc).cloned(),
        earlier: Some(kept.document),
        at: SystemTime::UNIX_EPOCH + Duration::from_millis(kept.at),
        kind,
        text: kept.text,
        pointer: kept.pointer,
        generation: kept.generation,
        proxies: kept.proxies.into_iter().map(Into::into).collect(),
    })
}

fn remember(past: &mut VecDeque<api::history::Refusal>, doc: &ObjectKey, held: &Held) {
    past.push_front(refusal(doc, held, Some(SystemTime::now())));
    past.truncate(MOST_PAST);
}

fn refusal(doc: &ObjectKey, held: &Held, until: Option<SystemTime>) -> api::history::Refusal {
    let pointer =
        if held.pointer.is_empty() { String::new() } else { format!(" {}", held.pointer) };
    api::history::Refusal {
        at: held.at.into(),
        until: until.map(Into::into),
        kind: held.kind.short().into(),
        text: held.text.clone(),
        origins: vec![format!("{doc}{pointer}")],
        proxies: held.proxies.iter().map(ToString::to_string).collect(),
        revision: held.generation.to_string(),
        serving: if held.form.is_some() { "the last good form" } else { "nothing" }.into(),
    }
}

fn finding(
    newest: &Catalog,
    doc: &ObjectKey,
    pointer: &str,
    code: Code,
    severity: Severity,
    text: &str,
    hint: &str,
) -> Finding {
    let at = match newest.get(doc) {
        Some(object) => object.meta().at(pointer),
        None => ObjectRef {
            source: "".into(),
            object: Some(doc.clone()),
            pointer: pointer.into(),
            location: None,
        },
    };
    Finding { at, code, severity, text: text.into(), hint: hint.into() }
}

fn names(proxies: &BTreeSet<Arc<str>>) -> String {
    let first: Vec<&str> = proxies.iter().take(MOST_NAMES).map(|name| &**name).collect();
    match proxies.len() - first.len() {
        0 => format!("proxy {}", first.join(", ")),
        more => format!("proxies {} and {more} more", first.join(", ")),
    }
}

fn cut(text: &str) -> &str {
    let mut end = text.len().min(MOST_TEXT);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}
