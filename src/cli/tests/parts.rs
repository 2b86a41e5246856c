//! What the API of the fake server answers from, besides what it reads, of changes, revisions, rollouts and rights; the rest
//! is in `shown`. Paths and shapes are those of the API itself.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use api::auth as audit;
use api::auth::{
    About, Access, Binding, Journey, MadeToken, NewSession, NewToken, OidcAnswer, Record, Shown,
    TokenView, Unknown,
};
use api::change::{
    Action, Change, ChangeReport, Changes, Edit, FieldChange, Gate, GroupImpact, Live,
    ObjectChange, Ownership, Precondition, ProxyImpact, ResourceDiff, TypeChange, WriteMode,
};
use api::history::{Counts, DiffScope, History, Refusal, Revision, RevisionDiff};
use api::problem::{
    INVALID_DOCUMENTS, NOT_NOW, NOT_WRITABLE, OBJECT_NOT_FOUND, REVISION_NOT_FOUND, STALE,
};
use api::rollout::{Act, GateState, Rollout, Rollouts};
use api::watch::{Hub, Subject};
use api::{Bearer, Caller, FindingView, Grant, ObjectName, Parts, Problem, Role, Time, Via};
use axum::Router;
use axum::extract::{ConnectInfo, Request};
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use futures::future::{BoxFuture, ready};
use model::{Kind, NamespacedName, ObjectKey};
use serde_json::json;
use tokio::sync::watch;

use super::shown::Requests;

/// A document that is in no list: it comes while somebody watches.
pub(super) const LATE: &str = "late";

pub(super) fn router(parts: Parts) -> Router {
    let hub = Arc::new(Hub::default());
    let parts = Parts {
        access: Some(Arc::new(Door::default())),
        changes: Some(Arc::new(Shop)),
        history: Some(Arc::new(Shop)),
        rollouts: Some(Arc::new(Shop)),
        services: Some(Arc::new(Shop)),
        traffic: Some(Arc::new(Requests::default())),
        watch: Some(hub.clone()),
        why: Some(Arc::new(Shop)),
        ..parts
    };
    api::router(parts).layer(from_fn(move |request, next| around(hub.clone(), request, next)))
}

/// Each request is from an address of its own, since of one there may not be many with a bad token; and whoever begins to
/// watch is told of two changes.
async fn around(hub: Arc<Hub>, mut request: Request, next: Next) -> Response {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let address = IpAddr::from(COUNT.fetch_add(1, Ordering::Relaxed).to_be_bytes());
    request.extensions_mut().insert(ConnectInfo(SocketAddr::new(address, 1)));
    let watches = request.uri().path() == "/api/v1/watch";
    let response = next.run(request).await;
    if watches && response.status().is_success() {
        let route = |name| Subject::Object(ObjectKey::new(Kind::HttpRoute, "demo", name));
        hub.publish([LATE, "gone"].map(route));
    }
    response
}

/// Whole seconds, so that it is always as long when it is written.
pub(super) fn ago(seconds: i64) -> Time {
    Time((Time::now().0 / 1000 - seconds) * 1000)
}

pub(super) fn name(kind: &str, namespace: &str, name: &str) -> ObjectName {
    ObjectName { kind: kind.into(), namespace: namespace.into(), name: name.into() }
}

pub(super) struct Shop;

impl Changes for Shop {
    fn apply<'a>(
        &'a self,
        _: &'a Caller,
        change: Change,
    ) -> BoxFuture<'a, Result<ChangeReport, Problem>> {
        Box::pin(ready(wanted(&change)))
    }

    /// Documents of routes have one.
    fn etag(&self, kind: Kind, name: &NamespacedName) -> Option<String> {
        let known = super::fake::document(kind, &name.namespace, &name.name).is_some();
        known.then(|| "\"e1\"".into())
    }

    fn ownership(&self, _: Kind, _: &NamespacedName) -> Ownership {
        Ownership { mode: WriteMode::Direct, place: "file".into(), reason: String::new() }
    }
}

fn wanted(change: &Change) -> Result<ChangeReport, Problem> {
    let mut all = String::new();
    for edit in &change.edits {
        let (Edit::Put { before, .. } | Edit::Delete { before, .. }) = edit;
        if matches!(before, Precondition::Match(tags) if !tags.contains(&"\"e1\"".to_owned())) {
            return Err(stale());
        }
        match edit {
            Edit::Put { text, .. } => all += text,
            Edit::Delete { kind: Kind::Gateway, .. } => {
                return Err(Problem::new(NOT_WRITABLE, "Gateway demo/edge is kept in Git"));
            }
            Edit::Delete { kind, name: of, .. } => {
                return Ok(ChangeReport {
                    dry_run: change.dry_run,
                    revision: (!change.dry_run).then(|| "r43".into()),
                    objects: vec![ObjectChange {
                        object: name(kind.as_str(), &of.namespace, &of.name),
                        action: Action::Removed,
                        fields: Vec::new(),
                        before: "kind: HTTPRoute\n".into(),
                        after: String::new(),
                        etag: None,
                    }],
                    ..ChangeReport::default()
                });
            }
        }
    }
    write(change, &all)
}

/// What is written over with the wrong tag was changed by somebody else.
fn stale() -> Problem {
    let mut current = super::fake::document(Kind::HttpRoute, "demo", "orders").unwrap();
    current["spec"]["hostnames"][0] = json!("theirs.example.com");
    Problem::new(STALE, "HTTPRoute demo/orders was changed by somebody else")
        .with("current", current)
        .with("currentEtag", json!("\"e2\""))
}

pub(super) fn finding(line: Option<u32>) -> FindingView {
    FindingView {
        code: "ISM1203".into(),
        severity: "error".into(),
        source: "api".into(),
        file: None,
        line,
        column: line.map(|_| 5),
        object: Some(name("HTTPRoute", "demo", "orders")),
        pointer: "/spec/rules/0/matches/0".into(),
        text: "not a regular expression".into(),
        hint: "brackets are missing".into(),
    }
}

/// The words in the text say how it goes.
fn write(change: &Change, text: &str) -> Result<ChangeReport, Problem> {
    let is = |word: &str| text.contains(word);
    let dry_run = change.dry_run;
    if is("broken") {
        let line = text.lines().position(|line| line.contains("broken")).unwrap();
        let line = u32::try_from(line + 1).unwrap();
        let problem = Problem::new(INVALID_DOCUMENTS, "1 of the documents cannot be used");
        return Err(problem.errors(vec![finding(Some(line))]));
    }
    if is("overtaken") {
        return Err(stale());
    }
    if is("same") {
        return Ok(ChangeReport { dry_run, ..ChangeReport::default() });
    }
    let refused = is("refused by envoy");
    let written = !dry_run && !refused;
    let changed = |kind: &str, of: &str, action, fields| ObjectChange {
        object: name(kind, "demo", of),
        action,
        fields,
        before: String::new(),
        after: String::new(),
        etag: None,
    };
    let weight = FieldChange {
        pointer: "/spec/rules/0/backendRefs/0/weight".into(),
        before: Some(json!(90)),
        after: Some(json!(70)),
    };
    let group = |group: &str, proxy: &str| GroupImpact {
        group: group.into(),
        proxies: vec![proxy.into()],
        count: 1,
        types: vec![TypeChange { kind: "RDS".into(), added: 0, changed: 1, removed: 0 }],
    };
    let sample = |group: &str| ResourceDiff {
        group: group.into(),
        kind: "RDS".into(),
        name: "demo/edge/https".into(),
        action: Action::Changed,
        diff: "@@ -3,2 +3,2 @@\n-  weight: 90\n+  weight: 70\n".into(),
    };
    let live = |live: usize| Live { live, total: 2, refused: 0 };
    Ok(ChangeReport {
        dry_run,
        revision: written.then(|| "r43".into()),
        objects: vec![
            changed("HTTPRoute", "orders", Action::Changed, vec![weight]),
            changed("MeshService", "pay", Action::Added, Vec::new()),
            changed("MeshService", "orders", Action::Unchanged, Vec::new()),
        ],
        proxies: ProxyImpact {
            affected: 2,
            total: 3,
            drains: false,
            groups: vec![
                group("gateway/demo/edge", "edge-1"),
                group("gateway/shop/edge", "edge/2"),
            ],
            samples: vec![sample("gateway/demo/edge"), sample("gateway/shop/edge")],
        },
        findings: vec![FindingView { severity: "warning".into(), ..finding(Some(2)) }],
        resolved: vec![finding(None)],
        gates: vec![
            Gate { name: "documents".into(), state: "passed".into(), text: String::new() },
            Gate {
                name: "envoy".into(),
                state: if refused { "failed" } else { "skipped" }.into(),
                text: if refused { "bad regex" } else { "no Envoy is configured" }.into(),
            },
        ],
        proposal: None,
        live: change.wait.map(|_| live(if is("slow") { 1 } else { 2 })),
    })
}

impl History for Shop {
    fn revisions(&self) -> Vec<Revision> {
        revisions()
    }

    fn current(&self) -> Option<Arc<str>> {
        Some("aaaa000000000042".into())
    }

    fn revision(&self, name: &str) -> Option<Revision> {
        // Those that proxies have, for who waits.
        let live = |live| Some(Live { live, total: 2, refused: 0 });
        let newer = |live| Revision {
            id: name.into(),
            live,
            refusals: Vec::new(),
            ..revisions().remove(0)
        };
        match name {
            "r43" => Some(newer(live(2))),
            "r44" => Some(newer(live(1))),
            _ => revisions().into_iter().find(|r| r.id == name || r.hash.starts_with(name)),
        }
    }

    fn diff<'a>(
        &'a self,
        _: &'a Caller,
        name: &'a str,
        base: Option<&'a str>,
        scope: DiffScope,
    ) -> BoxFuture<'a, Result<RevisionDiff, Problem>> {
        Box::pin(ready(found(name).map(|revision| difference(&revision, base, &scope))))
    }

    fn rollback<'a>(
        &'a self,
        _: &'a Caller,
        name: &'a str,
        _: &'a str,
        dry_run: bool,
    ) -> BoxFuture<'a, Result<ChangeReport, Problem>> {
        let change = Change { dry_run, ..Change::default() };
        Box::pin(ready(found(name).and_then(|_| write(&change, ""))))
    }

    fn pin<'a>(
        &'a self,
        _: &'a Caller,
        name: &'a str,
        pinned: bool,
    ) -> BoxFuture<'a, Result<Revision, Problem>> {
        Box::pin(ready(found(name).map(|revision| Revision { pinned, ..revision })))
    }
}

fn found(name: &str) -> Result<Revision, Problem> {
    let none = || Problem::new(REVISION_NOT_FOUND, format!("there is no revision {name}"));
    Shop.revision(name).ok_or_else(none)
}

fn difference(revision: &Revision, base: Option<&str>, scope: &DiffScope) -> RevisionDiff {
    let base = base.unwrap_or("r41").to_owned();
    let mut diff = RevisionDiff { base, revision: revision.id.clone(), ..RevisionDiff::default() };
    if diff.base == diff.revision {
        return diff;
    }
    match scope {
        DiffScope::Xds { .. } => {
            diff.types = vec![TypeChange { kind: "RDS".into(), added: 0, changed: 1, removed: 0 }];
            diff.resources = vec![ResourceDiff {
                group: "gateway/demo/edge".into(),
                kind: "RDS".into(),
                name: "demo/edge/https".into(),
                action: Action::Changed,
                diff: "-  weight: 90\n+  weight: 70\n".into(),
            }];
        }
        DiffScope::Objects => {
            diff.objects = vec![ObjectChange {
                object: name("HTTPRoute", "demo", "orders"),
                action: Action::Changed,
                fields: vec![FieldChange {
                    pointer: "/spec/rules/0/backendRefs/0/weight".into(),
                    before: Some(json!(90)),
                    after: Some(json!(70)),
                }],
                before: String::new(),
                after: String::new(),
                etag: None,
            }];
        }
    }
    diff
}

fn revisions() -> Vec<Revision> {
    let revision = |id: &str, hash: &str, age: i64| Revision {
        id: id.into(),
        hash: hash.into(),
        parent: None,
        time: ago(age),
        author: "user:ann".into(),
        via: "cli".into(),
        reason: String::new(),
        objects: Counts { added: 1, changed: 2, removed: 0 },
        pinned: false,
        current: false,
        errors: 0,
        live: None,
        refusals: Vec::new(),
        rollback_of: None,
    };
    let refusal = |until| Refusal {
        at: ago(240),
        until,
        kind: "RDS".into(),
        text: "route: bad regex".into(),
        origins: vec!["HTTPRoute shop/orders /spec/rules/2".into()],
        proxies: vec!["edge/2".into()],
        revision: "r42".into(),
        serving: "the form of r41".into(),
    };
    vec![
        Revision {
            parent: Some("aaaa000000000041".into()),
            reason: "orders v2 gets 30 %".into(),
            current: true,
            errors: 1,
            live: Some(Live { live: 1, total: 2, refused: 1 }),
            refusals: vec![refusal(None)],
            ..revision("r42", "aaaa000000000042", 240)
        },
        Revision {
            parent: Some("aaaa000000000040".into()),
            refusals: vec![refusal(Some(ago(600)))],
            rollback_of: Some("r39".into()),
            author: "file".into(),
            via: "file".into(),
            ..revision("r41", "aaaa000000000041", 7200)
        },
        Revision { pinned: true, ..revision("r40", "aaaa000000000040", 90_000) },
    ]
}

impl Rollouts for Shop {
    fn rollouts(&self) -> Vec<Rollout> {
        rollouts()
    }

    fn act<'a>(
        &'a self,
        _: &'a Caller,
        namespace: &'a str,
        name: &'a str,
        act: Act,
    ) -> BoxFuture<'a, Result<Rollout, Problem>> {
        let found = rollouts().into_iter().find(|r| r.namespace == namespace && r.name == name);
        Box::pin(ready(match found {
            None => {
                let text = format!("there is no rollout {namespace}/{name}");
                Err(Problem::new(OBJECT_NOT_FOUND, text))
            }
            Some(rollout) if rollout.state == "returned" => {
                Err(Problem::new(NOT_NOW, "the rollout is over"))
            }
            Some(rollout) => {
                let state = match act {
                    Act::Pause => "paused",
                    Act::Abort => "aborted",
                    Act::Promote | Act::Resume => "progressing",
                };
                Ok(Rollout { state: state.into(), ..rollout })
            }
        }))
    }
}

fn rollouts() -> Vec<Rollout> {
    vec![
        Rollout {
            gateway: "demo/edge".into(),
            namespace: "demo".into(),
            name: "edge".into(),
            state: "progressing".into(),
            reason: String::new(),
            from: "aaaa000000000041".into(),
            to: "aaaa000000000042".into(),
            started: Some(ago(240)),
            step: 1,
            steps: 3,
            proxies: vec!["edge-1".into()],
            total: 2,
            gates: vec![GateState {
                name: "errorRatio".into(),
                state: "passing".into(),
                text: "over the last minute".into(),
                value: Some(0.001),
                limit: Some(0.05),
            }],
        },
        Rollout {
            gateway: "demo/edge".into(),
            namespace: "shop".into(),
            name: "edge".into(),
            state: "returned".into(),
            reason: "p99 was 900 ms".into(),
            from: "aaaa000000000040".into(),
            to: "aaaa000000000041".into(),
            started: Some(ago(7200)),
            step: 0,
            steps: 2,
            proxies: Vec::new(),
            total: 1,
            gates: Vec::new(),
        },
    ]
}

/// Whoever shows nothing may look; the token `viewer` may no more than that, and `good` may everything.
struct Door(watch::Sender<u64>);

impl Default for Door {
    fn default() -> Self {
        Self(watch::Sender::new(0))
    }
}

fn grant(role: Role, namespaces: &[&str]) -> Grant {
    Grant { role, namespaces: namespaces.iter().map(ToString::to_string).collect() }
}

fn who(shown: &Shown) -> Result<Caller, Unknown> {
    let looks = grant(Role::Viewer, &["*"]);
    let all = [grant(Role::Admin, &["*"]), grant(Role::Editor, &["demo", "shop-*"])];
    let known = |grants: &[Grant]| Caller {
        subject: "token:ci".into(),
        via: Via::Token,
        grants: grants.into(),
        ..Caller::anybody()
    };
    match shown.bearer.as_ref().map(Bearer::reveal) {
        Some("good") => Ok(known(&all)),
        Some("viewer") => Ok(known(&[looks])),
        Some(_) => Err(Unknown::Refused("this token is none of ours".into())),
        None if shown.writes => Err(Unknown::Nobody),
        None => Ok(Caller { grants: [looks].into(), ..Caller::anybody() }),
    }
}

impl Access for Door {
    fn about(&self) -> About {
        About { required: true, oidc: true, replica: "cp-1".into(), ..About::default() }
    }

    fn identify<'a>(&'a self, shown: &'a Shown) -> BoxFuture<'a, Result<Caller, Unknown>> {
        Box::pin(ready(who(shown)))
    }

    fn login<'a>(
        &'a self,
        _: &'a Bearer,
        _: Option<IpAddr>,
    ) -> BoxFuture<'a, Result<NewSession, Unknown>> {
        Box::pin(ready(Err(Unknown::Nobody)))
    }

    fn link<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Option<NewSession>> {
        Box::pin(ready(None))
    }

    fn logout<'a>(&'a self, _: &'a str) -> BoxFuture<'a, ()> {
        Box::pin(ready(()))
    }

    fn begin_oidc<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Option<Result<Journey, Problem>>> {
        Box::pin(ready(None))
    }

    fn end_oidc<'a>(
        &'a self,
        _: &'a str,
        _: &'a OidcAnswer,
    ) -> BoxFuture<'a, Result<(NewSession, String), Problem>> {
        Box::pin(ready(Err(Problem::new(NOT_NOW, "nobody is on the way"))))
    }

    fn tokens(&self) -> Vec<TokenView> {
        let token = |id: &str, of: &str| TokenView {
            id: id.into(),
            name: of.into(),
            grants: vec![grant(Role::Editor, &["demo"])],
            created: ago(7200),
            by: "user:ann".into(),
            expires: ago(-86_400 * 90),
            last_used: Some(ago(240)),
        };
        vec![token("t1", "ci"), token("t2", "twice"), token("t3", "twice")]
    }

    fn make_token<'a>(
        &'a self,
        wanted: NewToken,
        by: &'a str,
    ) -> BoxFuture<'a, Result<MadeToken, Problem>> {
        let NewToken { name, grants, .. } = wanted;
        let view = TokenView { name, grants, by: by.into(), ..self.tokens().remove(0) };
        Box::pin(ready(Ok(MadeToken { token: "isk_t1_secret".into(), view })))
    }

    fn revoke_token<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<bool, Problem>> {
        Box::pin(ready(Ok(self.tokens().iter().any(|token| token.id == id))))
    }

    fn bindings(&self) -> Vec<Binding> {
        Vec::new()
    }

    fn set_bindings<'a>(
        &'a self,
        _: Vec<Binding>,
        _: &'a str,
    ) -> BoxFuture<'a, Result<(), Problem>> {
        Box::pin(ready(Ok(())))
    }

    fn write_mode(&self, _: Option<&str>) -> WriteMode {
        WriteMode::Direct
    }

    fn record(&self, _: Record) {}

    fn records(&self) -> Vec<Arc<Record>> {
        let done = Record {
            at: ago(240),
            subject: "user:ann".into(),
            via: Some(Via::Token),
            client: "cli".into(),
            address: Some("127.0.0.1".into()),
            forwarded_for: None,
            verb: "apply".into(),
            path: "/api/v1/apply".into(),
            objects: vec!["HTTPRoute demo/orders".into()],
            namespaces: vec!["demo".into()],
            reason: "orders v2 gets 30 %".into(),
            result: audit::Outcome::Done,
            status: 200,
            code: None,
            revision: Some("r42".into()),
            changes: Vec::new(),
            request_id: "req-1".into(),
        };
        let denied = Record {
            at: ago(300),
            subject: "token:ci".into(),
            address: None,
            verb: "delete".into(),
            path: "/api/v1/namespaces/demo/gateways/edge".into(),
            objects: vec!["Gateway demo/edge".into()],
            reason: String::new(),
            result: audit::Outcome::Denied,
            status: 403,
            code: Some("ISM9013".into()),
            revision: None,
            request_id: "req-2".into(),
            ..done.clone()
        };
        vec![Arc::new(done), Arc::new(denied)]
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.0.subscribe()
    }
}
