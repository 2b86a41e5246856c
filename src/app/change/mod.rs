//! The write path: what is asked for, tried beside the world, then written where it belongs.
//!
//! ```text
//! Change ──wishes──► rights, owners, preconditions ──shadow──► what proxies would get ──judge──► Envoy's word
//!                        └─ the API server's own word (dry run)          │ report
//!                     folder (files in place) ◄── write ◄── not dry ─────┘
//!                     cluster (API server) ◄──┘
//!                          └──► pipeline takes it ──► history: one revision ──► report
//! ```
//!
//! A shadow shares all that is compiled with the world and costs what the change touches: its documents, what is found
//! otherwise, and of the resources that differ the parts that do; `benches/dry_run.rs` measures what that comes to.

mod cluster;
mod cut;
mod folder;
mod impact;
mod judge;
mod proposal;
mod refusal;
mod shadow;
#[cfg(test)]
mod tests;
mod wishes;

use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use api::change::{
    Action, Change, ChangeReport, Changes, Gate, ObjectChange, Ownership, Proposal, WriteMode,
};
use api::problem::{
    FORBIDDEN, INTERNAL, INVALID_DOCUMENTS, NOT_WRITABLE, REFUSED_BY_ENVOY, UNAVAILABLE,
};
use api::{Caller, FindingView, ObjectName, Problem};
use catalog::Catalog;
use futures::future::BoxFuture;
use model::{Finding, Kind, NamespacedName, Object, ObjectKey};
use xxhash_rust::xxh3::xxh3_128;

use crate::history::{Author, Goal, History, Intent};
use crate::pipeline::World;
use crate::proxies::Proxies;
pub(crate) use cluster::Cluster;
pub(crate) use folder::Folder;
use impact::field_changes;
pub(crate) use impact::{samples, types};
pub(crate) use judge::Judge;
pub(crate) use shadow::Shadow;
pub(crate) use wishes::edits_to;
use wishes::{Wish, Wishes};

/// The pipeline has this long to take in what was written.
const TAKEN: Duration = Duration::from_secs(20);

/// What the parts of a write need to know.
pub(crate) struct Parts {
    pub(crate) world: Arc<RwLock<World>>,
    pub(crate) proxies: Arc<Proxies>,
    pub(crate) history: Arc<History>,
    /// Where files are written.
    pub(crate) folder: Option<Folder>,
    /// Where objects of an API server are written.
    pub(crate) cluster: Option<Cluster>,
    /// The Envoy that is asked before.
    pub(crate) judge: Option<Judge>,
    pub(crate) limits: kinds::Limits,
    /// Whether documents of a namespace may be written from here at all.
    pub(crate) mode: Mode,
    /// Who writes them then.
    pub(crate) owner: Option<String>,
}

/// By namespace; `None` for what has none.
pub(crate) type Mode = Box<dyn Fn(Option<&str>) -> WriteMode + Send + Sync>;

pub(crate) struct Writer {
    parts: Arc<Parts>,
    /// One write at a time: each is judged by what the one before left.
    turn: Arc<tokio::sync::Mutex<()>>,
}

/// A change that has been read.
struct Asked {
    wishes: Vec<Wish>,
    findings: Vec<Finding>,
    shadow: Shadow,
    /// Why it cannot be written here, where it is only looked at.
    barred: Option<String>,
    /// How somebody else can write it then.
    proposal: Option<Proposal>,
}

/// A change that has been tried.
pub(crate) struct Tried {
    pub(crate) wishes: Vec<Wish>,
    pub(crate) shadow: Shadow,
    pub(crate) report: ChangeReport,
}

impl Writer {
    pub(crate) fn new(parts: Parts) -> Self {
        Self { parts: Arc::new(parts), turn: Arc::default() }
    }

    /// The same way for all: what is written by an API call, and what a rollback needs.
    pub(crate) async fn write(
        &self,
        caller: &Caller,
        change: Change,
        rollback_of: Option<u64>,
    ) -> Result<ChangeReport, Problem> {
        let dry = change.dry_run;
        let turn = if dry { None } else { Some(self.turn.clone().lock_owned().await) };
        let change = Arc::new(change);
        let mut asked = {
            let (parts, caller, change) = (self.parts.clone(), caller.clone(), change.clone());
            // It parses.
            let asking = tokio::task::spawn_blocking(move || parts.read(&caller, &change));
            asking.await.map_err(|_| Problem::new(INTERNAL, ""))??
        };
        self.parts.preview(caller, dry, &mut asked).await?;
        let tried = {
            let parts = self.parts.clone();
            // It compiles.
            let trying = tokio::task::spawn_blocking(move || parts.attempt(asked));
            trying.await.map_err(|_| Problem::new(INTERNAL, ""))?
        };
        let Tried { wishes, shadow, mut report } = tried;
        let members = shadow.groups.iter().flat_map(|group| &group.members);
        let tried_groups: BTreeSet<String> = members.map(ToString::to_string).collect();
        self.parts.judge(&shadow, &wishes, &change, &mut report).await?;
        report.dry_run = dry;
        let (mut wishes, same): (Vec<Wish>, Vec<Wish>) =
            wishes.into_iter().partition(Wish::differs);
        if dry {
            // An API server has not said yet what it will be in the end.
            let in_cluster = |change: &ObjectChange| {
                let object = &change.object;
                wishes.iter().any(|w| w.in_cluster && ObjectName::from(&w.key) == *object)
            };
            report.objects.iter_mut().filter(|o| in_cluster(o)).for_each(|o| o.etag = None);
        }
        if dry || wishes.is_empty() {
            return Ok(report);
        }
        if !change.force {
            refuse_errors(&report, &wishes)?;
        }
        let author = Author {
            who: caller.subject.to_string(),
            via: match &*caller.client {
                client @ ("console" | "cli") => client.into(),
                _ => "api".into(),
            },
            reason: change.reason.clone(),
            rollback_of,
        };
        // What nobody will read makes no revision.
        let seen = wishes.iter().filter(|wish| !wish.in_cluster || shadow.reads(&wish.key));
        let goals: Vec<Goal> = seen
            .map(|wish| Goal {
                key: wish.key.clone(),
                before: wish.before.as_ref().map(|object| object.meta().document.clone()),
                after: wish.document(),
                exact: !wish.in_cluster,
            })
            .collect();
        let unseen = goals.is_empty();
        let taken = self.parts.history.expect(Intent { goals, author });
        // Whoever asked may hang up, and half of a change must not stay.
        let (parts, caller) = (self.parts.clone(), caller.clone());
        let putting = tokio::spawn(async move {
            let done = parts.put(&caller, &mut wishes).await;
            done.map(|()| (wishes, turn))
        });
        let (wishes, turn) = putting.await.map_err(|_| Problem::new(INTERNAL, ""))??;
        if wishes.iter().any(|wish| wish.in_cluster) {
            // As the API server has them now.
            let known = |change: &ObjectChange| {
                let object = &change.object;
                wishes.iter().chain(&same).find(|wish| ObjectName::from(&wish.key) == *object)
            };
            report.objects = report
                .objects
                .iter()
                .map(|change| known(change).map_or_else(|| change.clone(), Wish::report))
                .collect();
        }
        if !unseen {
            report.revision = tokio::time::timeout(TAKEN, taken.reached()).await.map_err(|_| {
                let text = "it is written, and the source has not read it yet";
                Problem::new(UNAVAILABLE, text).hint("/api/v1/sources says how the source is")
            })?;
        }
        drop(turn);
        if let Some(patience) = change.wait {
            let groups = &tried_groups;
            report.live = Some(self.parts.proxies.until_live(groups, patience).await);
        }
        Ok(report)
    }
}

impl Parts {
    /// What is wanted, and whether it may be.
    fn read(&self, caller: &Caller, change: &Change) -> Result<Asked, Problem> {
        let shadow = self.world.read().unwrap_or_else(PoisonError::into_inner).shadow();
        let Wishes { wishes, findings } =
            wishes::read(change, shadow.catalog(), &self.limits, |key| {
                self.ownership_in(&shadow, key)
            })?;
        for wish in &wishes {
            wishes::permitted(caller, &wish.key)?;
        }
        let barred = self.barred(&shadow, &wishes);
        if let Some((wish, owned)) = barred.as_ref().filter(|_| !change.dry_run) {
            return Err(not_writable(wish, owned));
        }
        wishes.iter().try_for_each(wishes::in_time)?;
        leaves_some(shadow.catalog(), &wishes)?;
        // What cannot be written here can be looked at, and taken to where it can.
        let proposed = barred.as_ref().is_some_and(|(_, owned)| owned.mode == WriteMode::Propose);
        let proposal =
            proposed.then(|| proposal::of(self.folder.as_ref(), caller, &wishes, &self.limits));
        let barred = barred.map(|(wish, owned)| not_writable(wish, &owned).detail().to_owned());
        Ok(Asked { wishes, findings, shadow, barred, proposal })
    }

    /// What an API server would make of it.
    async fn preview(&self, caller: &Caller, dry: bool, asked: &mut Asked) -> Result<(), Problem> {
        let Some(cluster) = self.cluster.as_ref() else { return Ok(()) };
        if !asked.wishes.iter().any(|wish| wish.in_cluster) {
            return Ok(());
        }
        match cluster.preview(caller, &mut asked.wishes).await {
            Err(problem) if dry && is_about_rights(&problem) => {
                asked.barred.get_or_insert_with(|| problem.detail().to_owned());
                Ok(())
            }
            other => other,
        }
    }

    /// What proxies would get.
    fn attempt(&self, asked: Asked) -> Tried {
        let Asked { wishes, findings, shadow, barred, proposal } = asked;
        let rights = match barred {
            None => ("rights", "passed", String::new()),
            Some(why) => ("rights", "failed", why),
        };
        let mut report = ChangeReport {
            objects: wishes.iter().map(Wish::report).collect(),
            gates: [
                ("documents", "passed", "all can be read".into()),
                rights,
                ("preconditions", "passed", String::new()),
            ]
            .map(|(name, state, text)| Gate { name: name.into(), state: state.into(), text })
            .into(),
            proposal,
            ..ChangeReport::default()
        };
        let after = shadow.with(&wishes);
        let keys: Vec<&ObjectKey> = wishes.iter().map(|wish| &wish.key).collect();
        let (new, resolved) = after.findings_against(&shadow, &keys);
        report.findings = findings.iter().chain(&new).map(FindingView::from).collect();
        report.resolved = resolved.iter().map(FindingView::from).collect();
        report.gates.push(compile_gate(&report, &wishes));
        report.proxies = impact::of(&after, &self.proxies.by_group());
        Tried { wishes, shadow: after, report }
    }

    fn ownership_in(&self, shadow: &Shadow, key: &ObjectKey) -> Ownership {
        let object = shadow.catalog().get(key);
        let refused = || shadow.catalog().refused(key).map(|refused| &refused.object);
        self.ownership(key, object.or_else(refused))
    }

    fn ownership(&self, key: &ObjectKey, object: Option<&Object>) -> Ownership {
        let owned = |mode, place: &str, reason: &str| Ownership {
            mode,
            place: place.into(),
            reason: reason.into(),
        };
        let (place, can) = match object {
            Some(Object::MeshService(service)) if catalog::is_import(service) => {
                let text = "nobody wrote it: it stands for a service of a registry";
                return owned(WriteMode::Off, &service.meta.source, text);
            }
            Some(object) if object.meta().written() != object.meta().key => {
                let text = format!("it is made of {}", object.meta().written());
                return owned(WriteMode::Off, &object.meta().source, &text);
            }
            Some(object) if *object.meta().source == *sources::kubernetes::NAME => {
                (sources::kubernetes::NAME.to_owned(), self.cluster.is_some())
            }
            Some(object) => {
                let file = object.meta().locations.file.as_deref();
                (file.unwrap_or(&object.meta().source).to_owned(), self.folder.is_some())
            }
            None if self.cluster.is_some() => (sources::kubernetes::NAME.to_owned(), true),
            None => match &self.folder {
                Some(folder) => (folder.shown(), true),
                None => (String::new(), false),
            },
        };
        let unread = self.cluster.as_ref().is_some_and(|cluster| !cluster.reads(key));
        if unread && place == sources::kubernetes::NAME {
            let text = "objects of this namespace are not read here (kubernetes-namespaces)";
            return owned(WriteMode::Off, &place, text);
        }
        if !can {
            return owned(WriteMode::Off, &place, "there is nothing here to write it with");
        }
        let mode = (self.mode)(key.kind.namespaced().then_some(&*key.name.namespace));
        if mode != WriteMode::Direct {
            let owner = self.owner.as_ref().map(|owner| format!("; {owner} writes it"));
            let text =
                format!("the server's settings say so (write-mode){}", owner.unwrap_or_default());
            return owned(mode, &place, &text);
        }
        if let Some(owner) = object.and_then(gitops) {
            return of_another(owner, &place);
        }
        owned(WriteMode::Direct, &place, "")
    }

    /// The first that cannot be written here: what nobody writes before what somebody else does.
    fn barred<'a>(&self, shadow: &Shadow, wishes: &'a [Wish]) -> Option<(&'a Wish, Ownership)> {
        let differing = wishes.iter().filter(|wish| wish.differs());
        let owned = differing.map(|wish| (wish, self.ownership_in(shadow, &wish.key)));
        owned
            .filter(|(_, owned)| owned.mode != WriteMode::Direct)
            .min_by_key(|(_, owned)| owned.mode == WriteMode::Propose)
    }

    async fn judge(
        &self,
        shadow: &Shadow,
        wishes: &[Wish],
        change: &Change,
        report: &mut ChangeReport,
    ) -> Result<(), Problem> {
        let gate =
            |state: &str, text: String| Gate { name: "envoy".into(), state: state.into(), text };
        let Some(judge) = &self.judge else {
            report.gates.push(gate("skipped", "no Envoy is set (precheck-envoy)".into()));
            return Ok(());
        };
        let verdict = judge.judge(shadow, wishes).await;
        let refusals = match verdict {
            judge::Verdict::Nothing => {
                report.gates.push(gate("skipped", "no Envoy is sent anything else".into()));
                return Ok(());
            }
            judge::Verdict::Takes => {
                report.gates.push(gate("passed", "Envoy takes it".into()));
                return Ok(());
            }
            // A judge that cannot judge holds nobody up.
            judge::Verdict::Unknown(text) => {
                report.gates.push(gate("skipped", text));
                return Ok(());
            }
            judge::Verdict::Refuses(findings) => findings,
        };
        let views: Vec<FindingView> = refusals.iter().map(FindingView::from).collect();
        let text = views.first().map(|view| view.text.clone()).unwrap_or_default();
        if !change.force && !change.dry_run {
            let hint = "mend it, or write it all the same with ?force=true";
            return Err(Problem::new(REFUSED_BY_ENVOY, text).hint(hint).errors(views));
        }
        report.gates.push(gate("failed", text));
        report.findings.extend(views);
        Ok(())
    }

    async fn put(&self, caller: &Caller, wishes: &mut [Wish]) -> Result<(), Problem> {
        let nowhere = || Problem::new(NOT_WRITABLE, "there is nothing here to write it with");
        let in_cluster = wishes.iter().filter(|wish| wish.in_cluster).count();
        if in_cluster == wishes.len() {
            return self.cluster.as_ref().ok_or_else(nowhere)?.put(caller, wishes).await;
        }
        if in_cluster > 0 {
            let text = "objects of files and of the API server cannot be written as one change";
            return Err(Problem::new(NOT_WRITABLE, text).hint("write them one after the other"));
        }
        let files: Vec<&Wish> = wishes.iter().collect();
        self.folder.as_ref().ok_or_else(nowhere)?.put(&files, &self.limits).await?;
        Ok(())
    }
}

impl Changes for Writer {
    fn apply<'a>(
        &'a self,
        caller: &'a Caller,
        change: Change,
    ) -> BoxFuture<'a, Result<ChangeReport, Problem>> {
        Box::pin(self.write(caller, change, None))
    }

    fn etag(&self, kind: Kind, name: &NamespacedName) -> Option<String> {
        let world = self.parts.world.read().unwrap_or_else(PoisonError::into_inner);
        let key = ObjectKey { kind, name: name.clone() };
        let catalog = world.catalog();
        let refused = || catalog.refused(&key).map(|refused| &refused.object);
        catalog.get(&key).or_else(refused).map(etag)
    }

    fn ownership(&self, kind: Kind, name: &NamespacedName) -> Ownership {
        let world = self.parts.world.read().unwrap_or_else(PoisonError::into_inner);
        let key = ObjectKey { kind, name: name.clone() };
        let catalog = world.catalog();
        let refused = || catalog.refused(&key).map(|refused| &refused.object);
        self.parts.ownership(&key, catalog.get(&key).or_else(refused))
    }
}

fn not_writable(wish: &Wish, owned: &Ownership) -> Problem {
    let hint = match owned.mode {
        WriteMode::Propose => {
            "a dry run says what to change there: `proposal`, and `after` of each object"
        }
        _ => "",
    };
    Problem::new(NOT_WRITABLE, format!("{}: {}", wish.key, owned.reason))
        .hint(hint)
        .with("ownership", serde_json::json!(owned))
}

/// What is told of objects that another program writes.
fn of_another(owner: &str, place: &str) -> Ownership {
    let reason = format!("{owner} writes it, and would undo what is written here");
    Ownership { mode: WriteMode::Propose, place: place.into(), reason }
}

fn is_about_rights(problem: &Problem) -> bool {
    [FORBIDDEN, NOT_WRITABLE].iter().any(|kind| kind.code() == problem.kind().code())
}

/// A folder without any document is taken for one that is not mounted, so that its last one cannot be deleted.
fn leaves_some(catalog: &Catalog, wishes: &[Wish]) -> Result<(), Problem> {
    let goes = |key: &ObjectKey| {
        wishes.iter().any(|wish| wish.after.is_none() && wish.before.is_some() && wish.key == *key)
    };
    let is_file = |object: &&Object| object.meta().locations.file.is_some();
    let deletes = wishes.iter().any(|wish| goes(&wish.key) && !wish.in_cluster);
    let mut left = Kind::ALL.into_iter().flat_map(|kind| catalog.list(kind)).filter(is_file);
    if !deletes || left.any(|object| !goes(object.key())) {
        return Ok(());
    }
    let comes = wishes.iter().any(|wish| wish.after.is_some() && !wish.in_cluster);
    if comes {
        return Ok(());
    }
    let text = "it is the last document of the folder, and an empty folder deletes nothing";
    Err(Problem::new(NOT_WRITABLE, text).hint("a folder that is not mounted looks the same"))
}

/// Strong: of the document as it is kept, which has no status.
pub(crate) fn etag(object: &Object) -> String {
    match object {
        Object::MeshService(service) if catalog::is_import(service) => {
            etag_of(&crate::registries::show_import(service).to_string())
        }
        object => etag_of(&object.meta().document),
    }
}

pub(crate) fn etag_of(document: &str) -> String {
    format!("\"{:032x}\"", xxh3_128(document.as_bytes()))
}

/// Who else writes this object, by the marks that such programs leave.
fn gitops(object: &Object) -> Option<&'static str> {
    let meta = object.meta();
    let marks = || meta.labels.iter().chain(&meta.annotations);
    let starts = |prefix: &str| marks().any(|(name, _)| name.starts_with(prefix));
    if starts("argocd.argoproj.io/") {
        return Some("Argo CD");
    }
    if starts("kustomize.toolkit.fluxcd.io/") || starts("helm.toolkit.fluxcd.io/") {
        return Some("Flux");
    }
    let managed = marks().find(|(name, _)| &**name == "app.kubernetes.io/managed-by");
    match managed.map(|(_, by)| &**by) {
        None | Some("isthmus" | "kubectl" | "") => None,
        Some("Helm") => Some("Helm"),
        Some("argocd" | "argo-cd") => Some("Argo CD"),
        Some("flux") => Some("Flux"),
        Some(_) => Some("another program (app.kubernetes.io/managed-by)"),
    }
}

fn is_about(finding: &FindingView, wishes: &[Wish]) -> bool {
    let about = |wish: &Wish| finding.object.as_ref() == Some(&ObjectName::from(&wish.key));
    finding.severity == "error" && wishes.iter().any(about)
}

fn compile_gate(report: &ChangeReport, wishes: &[Wish]) -> Gate {
    let errors = report.findings.iter().filter(|finding| is_about(finding, wishes)).count();
    let elsewhere = report.findings.iter().filter(|f| f.severity == "error").count() - errors;
    let (state, text) = match (errors, elsewhere) {
        (0, 0) => ("passed", String::new()),
        (0, _) => ("passed", format!("{elsewhere} errors in objects that were not sent")),
        _ => ("failed", format!("{errors} errors in the objects that were sent")),
    };
    Gate { name: "compile".into(), state: state.into(), text }
}

fn refuse_errors(report: &ChangeReport, wishes: &[Wish]) -> Result<(), Problem> {
    let errors: Vec<FindingView> =
        report.findings.iter().filter(|f| is_about(f, wishes)).cloned().collect();
    let Some(first) = errors.first() else { return Ok(()) };
    let hint = "mend it, or write it all the same with ?force=true";
    Err(Problem::new(INVALID_DOCUMENTS, first.text.clone()).hint(hint).errors(errors))
}

/// What is told of an object that is written, or was at another revision.
pub(crate) fn object_change(
    key: &ObjectKey,
    before: Option<&str>,
    after: Option<&str>,
) -> ObjectChange {
    let action = match (before, after) {
        (None, None) => Action::Unchanged,
        (None, Some(_)) => Action::Added,
        (Some(_), None) => Action::Removed,
        (Some(a), Some(b)) if a == b => Action::Unchanged,
        (Some(_), Some(_)) => Action::Changed,
    };
    let shown = |document: Option<&str>| {
        let mut value: serde_json::Value = serde_json::from_str(document?).ok()?;
        kinds::redact(key.kind, &mut value);
        // What an API server counts, and nobody writes.
        if let Some(metadata) = value.get_mut("metadata").and_then(|m| m.as_object_mut()) {
            metadata.retain(|name, _| {
                !matches!(name.as_str(), "uid" | "generation" | "creationTimestamp")
            });
        }
        Some(value)
    };
    let (old, new) = (shown(before), shown(after));
    let fields = match (&old, &new) {
        (Some(old), Some(new)) => field_changes(old, new),
        _ => Vec::new(),
    };
    let yaml = |value: Option<serde_json::Value>| {
        value.map(|value| kinds::edit::yaml(&value)).unwrap_or_default()
    };
    ObjectChange {
        object: ObjectName::from(key),
        action,
        fields,
        before: yaml(old),
        after: yaml(new),
        etag: after.map(etag_of),
    }
}
