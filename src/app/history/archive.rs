//! What the API shows of the history, and the way back.

use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError, RwLock};

use api::change::{Change, ChangeReport, Gate, ObjectChange};
use api::history::{Counts, DiffScope, History as Shown, Refusal, Revision, RevisionDiff};
use api::problem::{FORBIDDEN, INTERNAL, PROXY_NOT_FOUND, REVISION_NOT_FOUND, UNAVAILABLE};
use api::{Caller, ObjectName, Problem, Role, Time};
use compile::GroupKey;
use futures::future::BoxFuture;
use model::{Kind, Object, ObjectKey};
use revision::history::{Content, Document, Hash, Ledger, difference};
use tokio::sync::watch;

use super::follow::{key_of, read_again};
use super::{History, WRITTEN_WITHIN, id, lock, short};
use crate::change::{Shadow, Writer, edits_to, object_change, samples, types};
use crate::groups::group_name;
use crate::news::News;
use crate::pipeline::World;
use crate::proxies::Proxies;

const MOST_SAMPLES: usize = 100;

pub(crate) struct Archive {
    parts: Arc<Parts>,
    writer: Arc<Writer>,
}

struct Parts {
    history: Arc<History>,
    world: Arc<RwLock<World>>,
    proxies: Arc<Proxies>,
    folder: String,
    /// What proxies refuse, and have refused a while ago.
    refusals: watch::Receiver<Arc<[Refusal]>>,
    news: News,
}

impl Archive {
    pub(crate) fn new(
        history: Arc<History>,
        world: Arc<RwLock<World>>,
        proxies: Arc<Proxies>,
        folder: String,
        writer: Arc<Writer>,
        refusals: watch::Receiver<Arc<[Refusal]>>,
        news: News,
    ) -> Self {
        Self { parts: Arc::new(Parts { history, world, proxies, folder, refusals, news }), writer }
    }
}

fn unknown(name: &str) -> Problem {
    Problem::new(REVISION_NOT_FOUND, format!("there is no revision {name}"))
        .hint("/api/v1/revisions lists those that are kept")
}

/// By `r42`, by a hash, or by the beginning of one that no other has.
fn find(ledger: &Ledger, name: &str) -> Option<u64> {
    if let Some(number) = name.strip_prefix('r').and_then(|number| number.parse().ok()) {
        return ledger.get(number).map(|revision| revision.number);
    }
    if name.is_empty() {
        return None;
    }
    // Of several with the same content the newest counts.
    let all: Vec<_> =
        ledger.revisions().filter(|revision| short(revision.hash).starts_with(name)).collect();
    let hashes: BTreeSet<Hash> = all.iter().map(|revision| revision.hash).collect();
    (hashes.len() == 1).then(|| all.last().map(|revision| revision.number))?
}

impl Parts {
    fn shown(&self, ledger: &Ledger, revision: &revision::history::Revision) -> Revision {
        let next = ledger.revisions().find(|later| later.number > revision.number);
        let newest = next.is_none();
        let count = |fits: fn(&revision::history::Step) -> bool| {
            revision.steps.iter().filter(|step| fits(step)).count()
        };
        let name = id(revision.number);
        // A revision is dated when it is written, which may be a moment after proxies have it.
        let of = |refusal: &&Refusal| {
            let at = refusal.at.0 + WRITTEN_WITHIN;
            at >= revision.time && next.is_none_or(|next| at < next.time)
        };
        let refused = self.refusals.borrow();
        let refusals = refused.iter().filter(of);
        let refusals = refusals.map(|r| Refusal { revision: name.clone(), ..r.clone() }).collect();
        Revision {
            hash: short(revision.hash),
            parent: revision.parent.map(short),
            time: Time(revision.time),
            author: revision.author.clone(),
            via: revision.via.clone(),
            reason: revision.reason.clone(),
            objects: Counts {
                added: count(|step| step.before.is_none()),
                changed: count(|step| step.before.is_some() && step.after.is_some()),
                removed: count(|step| step.after.is_none()),
            },
            pinned: revision.pinned,
            current: newest,
            errors: revision.errors,
            live: newest.then(|| self.proxies.live(None)),
            refusals,
            rollback_of: revision.rollback_of.map(id),
            id: name,
        }
    }

    fn diff(
        &self,
        caller: &Caller,
        name: &str,
        base: Option<&str>,
        scope: &DiffScope,
    ) -> Result<RevisionDiff, Problem> {
        let ledger = lock(&self.history.ledger);
        let number = find(&ledger, name).ok_or_else(|| unknown(name))?;
        let base = match base {
            Some(base) => Some(find(&ledger, base).ok_or_else(|| unknown(base))?),
            // Its parent; the oldest that is kept has none to be compared with.
            None => ledger.revisions().map(|r| r.number).take_while(|n| *n < number).last(),
        };
        let new = ledger.content_at(number).ok_or_else(|| unknown(name))?;
        let old = base.and_then(|base| ledger.content_at(base)).unwrap_or_default();
        let mut out = RevisionDiff {
            base: base.map(id).unwrap_or_default(),
            revision: id(number),
            ..RevisionDiff::default()
        };
        if *scope == DiffScope::Objects {
            let visible = |entry: &str| match key_of(entry) {
                Some(key) => {
                    let namespace = key.kind.namespaced().then_some(&*key.name.namespace);
                    caller.may(Role::Viewer, namespace)
                }
                None => caller.may(Role::Viewer, None),
            };
            let all = difference(&old, &new).filter(|(entry, ..)| visible(entry));
            out.objects = all
                .map(|(entry, before, after)| shown_change(&ledger, entry, before, after))
                .collect();
            return Ok(out);
        }
        // Of everything that proxies get, whoever sees some namespaces only would see the others too.
        if !caller.may(Role::Viewer, None) {
            return Err(Problem::new(FORBIDDEN, "the role viewer in all namespaces is missing"));
        }
        let now = ledger.content().clone();
        let there = objects(&ledger, &now, &old);
        let step = objects(&ledger, &old, &new);
        drop(ledger);
        let world = self.world.read().unwrap_or_else(PoisonError::into_inner).shadow();
        let base = world.with_objects(there);
        let next = base.with_objects(step);
        let DiffScope::Xds { proxy } = scope else { return Ok(out) };
        let of_proxy = |shadow: &Shadow, id: &str| {
            let group = self.proxies.group_of(id).ok_or_else(|| {
                Problem::new(PROXY_NOT_FOUND, format!("no proxy {id} is connected"))
            })?;
            let key = shadow.compiler().groups().find(|key| group_name(key) == group);
            let base = key.as_ref().and_then(|key| shadow.compiler().base(key));
            Ok::<Vec<GroupKey>, Problem>(key.into_iter().chain(base).collect())
        };
        let wanted = proxy.as_deref().map(|id| of_proxy(&next, id)).transpose()?;
        for group in &next.groups {
            if wanted.as_ref().is_some_and(|wanted| !wanted.contains(&group.key)) {
                continue;
            }
            for change in types(&group.before, &group.after) {
                match out.types.iter_mut().find(|known| known.kind == change.kind) {
                    Some(known) => {
                        known.added += change.added;
                        known.changed += change.changed;
                        known.removed += change.removed;
                    }
                    None => out.types.push(change),
                }
            }
            let left = MOST_SAMPLES - out.resources.len();
            let samples = samples(group.key.to_string(), &group.before, &group.after);
            out.resources.extend(samples.take(left));
        }
        Ok(out)
    }

    /// The edits that lead from now to then, and how many objects are left as they are.
    fn way_back(&self, caller: &Caller, name: &str) -> Result<(u64, Change, usize), Problem> {
        let ledger = lock(&self.history.ledger);
        let number = find(&ledger, name).ok_or_else(|| unknown(name))?;
        let then = ledger.content_at(number).ok_or_else(|| unknown(name))?;
        let mut change = Change::default();
        let mut left = 0;
        for (entry, before, after) in difference(ledger.content(), &then) {
            let Some(key) = key_of(entry) else {
                // Registries say themselves which services they have.
                left += 1;
                continue;
            };
            let known = after.or(before).and_then(|hash| ledger.document(hash));
            let known = known.ok_or_else(|| {
                Problem::new(UNAVAILABLE, format!("{key} cannot be read from the history"))
            })?;
            if of_others(&key, &known) {
                left += 1;
                continue;
            }
            let namespace = key.kind.namespaced().then_some(&*key.name.namespace);
            if !caller.may(Role::Operator, namespace) {
                let text = format!("{key}: the role operator is missing");
                return Err(Problem::new(FORBIDDEN, text));
            }
            let mut edit = edits_to(&key, after.map(|_| known.text.as_str()));
            if let api::change::Edit::Put { file, .. } = &mut edit
                && let Some(below) = known.file.strip_prefix(&self.folder)
            {
                let below = below.trim_start_matches('/');
                *file = (!below.is_empty()).then(|| below.to_owned());
            }
            change.edits.push(edit);
        }
        Ok((number, change, left))
    }
}

/// Of a cluster only what is a gateway's or ours is written: the rest is there for whoever else made it.
fn of_others(key: &ObjectKey, document: &Document) -> bool {
    let core = matches!(key.kind, Kind::ConfigMap | Kind::Namespace | Kind::Secret | Kind::Service);
    document.source == sources::kubernetes::NAME && core
}

fn shown_change(
    ledger: &Ledger,
    entry: &str,
    before: Option<Hash>,
    after: Option<Hash>,
) -> ObjectChange {
    let text = |hash: Option<Hash>| Some(ledger.document(hash?)?.text);
    match key_of(entry) {
        Some(key) => {
            let mut change = object_change(&key, text(before).as_deref(), text(after).as_deref());
            change.etag = None;
            change
        }
        None => {
            let service = entry.trim_start_matches("service ");
            let (namespace, name) = service.split_once('/').unwrap_or(("", service));
            let mut change = object_change(
                &ObjectKey::new(Kind::Registry, namespace, name),
                before.map(|_| "null"),
                after.map(|_| "null"),
            );
            change.object = ObjectName {
                kind: "RegistryService".into(),
                namespace: namespace.into(),
                name: name.into(),
            };
            (change.before, change.after, change.etag) = Default::default();
            change
        }
    }
}

/// What leads from one content to another, as sources would say it.
fn objects(ledger: &Ledger, from: &Content, to: &Content) -> Vec<(ObjectKey, Option<Object>)> {
    let read = |document: Document| read_again(&document.source.as_str().into(), &document.text);
    difference(from, to)
        .filter_map(|(entry, _, after)| {
            let object = after.and_then(|hash| ledger.document(hash)).and_then(read);
            // One that this version cannot read any more stays as it is.
            (after.is_none() || object.is_some()).then_some((key_of(entry)?, object))
        })
        .collect()
}

impl Shown for Archive {
    fn revisions(&self) -> Vec<Revision> {
        let ledger = lock(&self.parts.history.ledger);
        ledger.revisions().rev().map(|revision| self.parts.shown(&ledger, revision)).collect()
    }

    fn current(&self) -> Option<Arc<str>> {
        self.parts.history.current.borrow().as_ref().map(|current| current.hash.clone())
    }

    fn revision(&self, name: &str) -> Option<Revision> {
        let ledger = lock(&self.parts.history.ledger);
        let number = find(&ledger, name)?;
        Some(self.parts.shown(&ledger, ledger.get(number)?))
    }

    fn diff<'a>(
        &'a self,
        caller: &'a Caller,
        name: &'a str,
        base: Option<&'a str>,
        scope: DiffScope,
    ) -> BoxFuture<'a, Result<RevisionDiff, Problem>> {
        let (parts, caller) = (self.parts.clone(), caller.clone());
        let (name, base) = (name.to_owned(), base.map(ToOwned::to_owned));
        Box::pin(async move {
            let work = tokio::task::spawn_blocking(move || {
                parts.diff(&caller, &name, base.as_deref(), &scope)
            });
            work.await.map_err(|_| Problem::new(INTERNAL, ""))?
        })
    }

    fn rollback<'a>(
        &'a self,
        caller: &'a Caller,
        name: &'a str,
        reason: &'a str,
        dry_run: bool,
    ) -> BoxFuture<'a, Result<ChangeReport, Problem>> {
        Box::pin(async move {
            let (number, change, left) = self.parts.way_back(caller, name)?;
            let reason = match reason {
                "" => format!("back to {}", id(number)),
                reason => reason.to_owned(),
            };
            // What was served before is not judged again: a way back must not be barred.
            let change = Change { reason, dry_run, force: true, ..change };
            let mut report = self.writer.write(caller, change, Some(number)).await?;
            if left > 0 {
                report.gates.push(Gate {
                    name: "documents".into(),
                    state: "passed".into(),
                    text: format!("{left} that are not ours to write stay as they are"),
                });
            }
            Ok(report)
        })
    }

    fn pin<'a>(
        &'a self,
        caller: &'a Caller,
        name: &'a str,
        pinned: bool,
    ) -> BoxFuture<'a, Result<Revision, Problem>> {
        Box::pin(async move {
            if !caller.may(Role::Operator, None) {
                let text = "the role operator in all namespaces is missing";
                return Err(Problem::new(FORBIDDEN, text));
            }
            let (parts, name) = (self.parts.clone(), name.to_owned());
            let work = tokio::task::spawn_blocking(move || {
                let mut ledger = lock(&parts.history.ledger);
                let number = find(&ledger, &name).ok_or_else(|| unknown(&name))?;
                let done = ledger.pin(number, pinned).map_err(|error| {
                    Problem::new(UNAVAILABLE, format!("the history cannot be written: {error}"))
                })?;
                let revision = done.ok_or_else(|| unknown(&name))?;
                parts.news.revision(&id(number));
                Ok(parts.shown(&ledger, &revision))
            });
            work.await.map_err(|_| Problem::new(INTERNAL, ""))?
        })
    }
}
