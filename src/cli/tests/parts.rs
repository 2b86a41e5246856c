//! Paths of the fake server that answer from what is written here, in the shapes of the API.

use std::collections::BTreeMap;
use std::convert::Infallible;

use api::change::{
    Action, ChangeReport, FieldChange, Gate, GroupImpact, Live, ObjectChange, ProxyImpact,
    ResourceDiff, TypeChange,
};
use api::history::{Counts, Refusal, Revision, RevisionDiff};
use api::rollout::{GateState, Rollout};
use api::services::{ServicePage, ServiceRow};
use api::traffic::{Edge, Node, RequestRow, Topology};
use api::why::{ClusterChoice, NearMiss, Outcome, WhyAnswer, WhyStep};
use api::{FindingView, ObjectName, Time};
use axum::body::{Body, Bytes};
use axum::extract::{Path, Query, Request};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use axum::{Json, Router};
use serde_json::{Value, json};

/// Whole seconds, so that it is always as long when it is written.
fn ago(seconds: i64) -> Time {
    Time((Time::now().0 / 1000 - seconds) * 1000)
}

type Words = Query<BTreeMap<String, String>>;

pub(super) fn router(others: Router) -> Router {
    Router::new()
        .route("/api/v1/apply", post(apply))
        .route("/api/v1/namespaces/{ns}/{plural}/{name}", get(document).put(put).delete(remove))
        .route("/api/v1/revisions", get(async || list(revisions())))
        .route("/api/v1/revisions/{r}", get(revision))
        .route("/api/v1/revisions/{r}/diff", get(diff))
        .route("/api/v1/revisions/{r}/{verb}", post(act_on_revision))
        .route("/api/v1/rollouts", get(async || list(rollouts())))
        .route("/api/v1/rollouts/{ns}/{name}/{verb}", post(act_on_rollout))
        .route("/api/v1/services", get(async || list(services())))
        .route("/api/v1/services/{ns}/{name}", get(service))
        .route("/api/v1/problems", get(async || list(problems())))
        .route("/api/v1/events", get(async || list(events())))
        .route("/api/v1/audit", get(async || list(audit())))
        .route("/api/v1/requests", get(requests))
        .route("/api/v1/requests/follow", get(follow))
        .route("/api/v1/topology", get(async || Json(topology())))
        .route("/api/v1/why", post(why))
        .route("/api/v1/watch", get(watch))
        .route("/api/v1/me", get(me))
        .route("/api/v1/traffic/observation", get(async || Json(json!({"on": true}))))
        .route("/api/v1/tokens", get(async || list(tokens())).post(make_token))
        .route("/api/v1/tokens/{id}", delete(revoke))
        .route("/api/v1/proxies/{id}/drain", post(async || StatusCode::NO_CONTENT))
        .fallback_service(others)
        .layer(from_fn(guard))
}

/// Knows the tokens `forged`, which is none, and `viewer`, who only looks.
async fn guard(request: Request, next: Next) -> Response {
    let shown = request.headers().get(header::AUTHORIZATION).cloned();
    let writes = request.method() != "GET";
    match shown.as_ref().and_then(|value| value.to_str().ok()) {
        Some("Bearer forged") => refuse(401, "ISM9012", "this token is none of ours", &json!({})),
        Some("Bearer viewer") if writes => {
            refuse(403, "ISM9013", "this needs the role editor in namespace demo", &json!({}))
        }
        _ => next.run(request).await,
    }
}

fn refuse(status: u16, code: &str, detail: &str, more: &Value) -> Response {
    let mut body = json!({
        "type": format!("/errors/{code}"), "title": "refused", "status": status, "detail": detail,
        "instance": "req-1", "code": code, "hint": "", "retryable": false,
    });
    for (name, value) in more.as_object().unwrap() {
        body[name] = value.clone();
    }
    (StatusCode::from_u16(status).unwrap(), Json(body)).into_response()
}

fn list(items: impl serde::Serialize) -> Json<Value> {
    let items = serde_json::to_value(items).unwrap();
    let total = items.as_array().unwrap().len();
    Json(json!({"items": items, "next": null, "total": total, "asOf": ago(0)}))
}

fn name(kind: &str, namespace: &str, name: &str) -> ObjectName {
    ObjectName { kind: kind.into(), namespace: namespace.into(), name: name.into() }
}

/// Documents of routes have an ETag; all else is answered behind.
async fn document(Path((ns, plural, name)): Path<(String, String, String)>) -> Response {
    let kind = model::Kind::ALL.into_iter().find(|kind| kind.plural() == plural);
    let found = kind.and_then(|kind| super::fake::document(kind, &ns, &name));
    match found {
        Some(document) => ([(header::ETAG, "\"e1\"")], Json(document)).into_response(),
        None => {
            let kind = kind.map_or("kind", model::Kind::as_str);
            refuse(404, "ISM9005", &format!("there is no {kind} {ns}/{name}"), &json!({}))
        }
    }
}

fn finding(line: Option<u32>) -> FindingView {
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

async fn apply(Query(words): Words, text: String) -> Response {
    write(&words, &text)
}

async fn put(Query(words): Words, headers: HeaderMap, text: String) -> Response {
    precondition(&headers).unwrap_or_else(|| write(&words, &text))
}

async fn remove(
    Path((ns, plural, of)): Path<(String, String, String)>,
    Query(words): Words,
    headers: HeaderMap,
) -> Response {
    if let Some(refusal) = precondition(&headers) {
        return refusal;
    }
    if plural == "gateways" {
        return refuse(409, "ISM9017", "Gateway demo/edge is kept in Git", &json!({}));
    }
    let dry_run = words.contains_key("dryRun");
    let report = ChangeReport {
        dry_run,
        revision: (!dry_run).then(|| "r43".into()),
        objects: vec![ObjectChange {
            object: name("HTTPRoute", &ns, &of),
            action: Action::Removed,
            fields: Vec::new(),
            before: "kind: HTTPRoute\n".into(),
            after: String::new(),
            etag: None,
        }],
        ..ChangeReport::default()
    };
    Json(report).into_response()
}

/// What is written over with the wrong tag was changed by somebody else.
fn precondition(headers: &HeaderMap) -> Option<Response> {
    match headers.get(header::IF_MATCH).map(|tag| tag.to_str().unwrap()) {
        None => Some(refuse(428, "ISM9014", "If-Match is missing", &json!({}))),
        Some("\"e1\"") => None,
        Some(_) => Some(stale()),
    }
}

fn stale() -> Response {
    let mut current = super::fake::document(model::Kind::HttpRoute, "demo", "orders").unwrap();
    current["spec"]["hostnames"][0] = json!("theirs.example.com");
    let more = json!({"current": current, "currentEtag": "\"e2\""});
    refuse(412, "ISM9015", "HTTPRoute demo/orders was changed by somebody else", &more)
}

/// The words in the text say how it goes.
fn write(words: &BTreeMap<String, String>, text: &str) -> Response {
    let is = |word: &str| text.contains(word);
    let dry_run = words.get("dryRun").is_some_and(|word| word == "true");
    if is("broken") {
        let line = text.lines().position(|line| line.contains("broken")).unwrap();
        let line = u32::try_from(line + 1).unwrap();
        let more = json!({"errors": [finding(Some(line))]});
        return refuse(422, "ISM9016", "1 of the documents cannot be used", &more);
    }
    if is("overtaken") {
        return stale();
    }
    if is("same") {
        return Json(ChangeReport { dry_run, ..ChangeReport::default() }).into_response();
    }
    let refused = is("refused by envoy");
    let written = !dry_run && !refused;
    let change = |kind: &str, of: &str, action, fields| ObjectChange {
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
    let report = ChangeReport {
        dry_run,
        revision: written.then(|| "r43".into()),
        objects: vec![
            change("HTTPRoute", "orders", Action::Changed, vec![weight]),
            change("MeshService", "pay", Action::Added, Vec::new()),
            change("MeshService", "orders", Action::Unchanged, Vec::new()),
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
        live: words.contains_key("wait").then(|| live(if is("slow") { 1 } else { 2 })),
    };
    Json(report).into_response()
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

#[expect(clippy::result_large_err, reason = "a test")]
fn find_revision(word: &str) -> Result<Revision, Response> {
    // One that all proxies have, for who waits.
    if word == "r43" {
        let all = Live { live: 2, total: 2, refused: 0 };
        let revision = revisions().remove(0);
        return Ok(Revision {
            id: "r43".into(),
            live: Some(all),
            refusals: Vec::new(),
            ..revision
        });
    }
    if word == "r44" {
        let some = Live { live: 1, total: 2, refused: 0 };
        return Ok(Revision { id: "r44".into(), live: Some(some), ..revisions().remove(0) });
    }
    let found = revisions().into_iter().find(|r| r.id == word || r.hash.starts_with(word));
    found.ok_or_else(|| refuse(404, "ISM9020", &format!("there is no revision {word}"), &json!({})))
}

async fn revision(Path(word): Path<String>) -> Result<Json<Revision>, Response> {
    find_revision(&word).map(Json)
}

async fn diff(
    Path(word): Path<String>,
    Query(words): Words,
) -> Result<Json<RevisionDiff>, Response> {
    let revision = find_revision(&word)?;
    let base = words.get("base").cloned().unwrap_or_else(|| "r41".into());
    let mut diff = RevisionDiff {
        base: base.clone(),
        revision: revision.id.clone(),
        ..RevisionDiff::default()
    };
    if base == revision.id {
        return Ok(Json(diff));
    }
    if words["scope"] == "xds" {
        diff.types = vec![TypeChange { kind: "RDS".into(), added: 0, changed: 1, removed: 0 }];
        diff.resources = vec![ResourceDiff {
            group: "gateway/demo/edge".into(),
            kind: "RDS".into(),
            name: "demo/edge/https".into(),
            action: Action::Changed,
            diff: "-  weight: 90\n+  weight: 70\n".into(),
        }];
    } else {
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
    Ok(Json(diff))
}

async fn act_on_revision(
    Path((word, verb)): Path<(String, String)>,
    Query(words): Words,
) -> Result<Response, Response> {
    let revision = find_revision(&word)?;
    Ok(match verb.as_str() {
        "rollback" => write(&words, ""),
        verb => Json(Revision { pinned: verb == "pin", ..revision }).into_response(),
    })
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

async fn act_on_rollout(Path((ns, of, verb)): Path<(String, String, String)>) -> Response {
    let found = rollouts().into_iter().find(|r| r.namespace == ns && r.name == of);
    match found {
        None => refuse(404, "ISM9005", &format!("there is no rollout {ns}/{of}"), &json!({})),
        Some(rollout) if rollout.state == "returned" => {
            refuse(409, "ISM9011", "the rollout is over", &json!({}))
        }
        Some(rollout) => {
            let state = match verb.as_str() {
                "pause" => "paused",
                "abort" => "aborted",
                _ => "progressing",
            };
            Json(Rollout { state: state.into(), ..rollout }).into_response()
        }
    }
}

fn services() -> Vec<ServiceRow> {
    vec![
        ServiceRow {
            namespace: "demo".into(),
            name: "orders".into(),
            kind: "MeshService".into(),
            sources: vec!["file".into(), "registry:demo/main".into()],
            healthy: 5,
            endpoints: 6,
            held: 3,
            protocols: vec!["http".into()],
            ports: vec![80],
            hosts: vec!["orders.demo".into()],
            routes: 2,
            callers: 1,
            observed_callers: 1,
            policies: 0,
            state: "degraded".into(),
            rate: Some(12.345),
            errors: Some(0.005),
            p99: Some(250.0),
            changed: Some(ago(600)),
        },
        ServiceRow {
            namespace: "shop".into(),
            name: "pay".into(),
            kind: "Service".into(),
            sources: vec!["kubernetes".into()],
            state: "live".into(),
            ports: vec![80, 8443],
            ..ServiceRow::default()
        },
    ]
}

async fn service(Path((ns, of)): Path<(String, String)>) -> Response {
    let row = services().into_iter().find(|row| row.namespace == ns && row.name == of);
    let Some(row) = row else {
        return refuse(404, "ISM9008", &format!("there is no service {ns}/{of}"), &json!({}));
    };
    let page = ServicePage {
        row,
        instances: Vec::new(),
        caller_names: vec![("shop/web".into(), "observed".into())],
        route_names: vec!["HTTPRoute demo/orders rule 0".into()],
        policy_names: Vec::new(),
    };
    Json(page).into_response()
}

fn problems() -> Value {
    let mut first = serde_json::to_value(finding(None)).unwrap();
    first["firstSeen"] = json!(ago(240));
    first["proxies"] = json!(["edge-1", "edge/2"]);
    let mut second = first.clone();
    second["severity"] = json!("warning");
    second["code"] = json!("ISM1302");
    second["object"] = json!({"kind": "Gateway", "namespace": "shop", "name": "edge"});
    second["proxies"] = json!([]);
    json!([first, second])
}

fn events() -> Value {
    json!([
        {"at": ago(240), "kind": "proxy", "what": "refused", "namespace": "shop", "name": "edge/2",
         "text": "RDS: bad regex"},
        {"at": ago(240), "kind": "revision", "what": "made", "namespace": "", "name": "r42",
         "text": "user:ann: orders v2 gets 30 %"},
    ])
}

fn audit() -> Value {
    json!([{
        "at": ago(240), "subject": "user:ann", "via": "token", "client": "cli", "address": "127.0.0.1",
        "verb": "apply", "path": "/api/v1/apply", "objects": ["HTTPRoute demo/orders"],
        "namespaces": ["demo"], "reason": "orders v2 gets 30 %", "outcome": "done", "status": 200,
        "revision": "r42", "changes": [], "requestId": "req-1",
    }, {
        "at": ago(300), "subject": "token:ci", "via": "token", "client": "cli",
        "verb": "delete", "path": "/api/v1/namespaces/demo/gateways/edge", "objects": ["Gateway demo/edge"],
        "namespaces": ["demo"], "reason": "", "outcome": "denied", "status": 403, "code": "ISM9013",
        "changes": [], "requestId": "req-2",
    }])
}

fn request(id: &str, status: u32) -> RequestRow {
    RequestRow {
        at: ago(240),
        proxy: "edge-1".into(),
        role: "gateway".into(),
        source: "outside".into(),
        target: "service/demo/orders".into(),
        route: "demo/orders".into(),
        rule: Some(0),
        protocol: "http".into(),
        method: "GET".into(),
        host: "shop.example.com".into(),
        path: "/orders".into(),
        status,
        duration: 12.5,
        upstream: "10.0.0.1:8080".into(),
        attempts: 1,
        flags: if status == 503 { vec!["no healthy upstream".into()] } else { Vec::new() },
        request_id: id.into(),
        ..RequestRow::default()
    }
}

async fn requests(Query(words): Words) -> Json<Value> {
    let all = [request("q-1", 200), request("q-2", 503)];
    let fits = |row: &&RequestRow| {
        words.get("status").is_none_or(|word| word == "5xx" && row.status > 499)
    };
    list(all.iter().filter(fits).collect::<Vec<_>>())
}

fn stream(text: String) -> Response {
    // What was said stays open; whoever reads it says for how long.
    let open = futures::stream::iter([Ok::<_, Infallible>(Bytes::from(text))]);
    let open = futures::StreamExt::chain(open, futures::stream::pending());
    ([(header::CONTENT_TYPE, "text/event-stream")], Body::from_stream(open)).into_response()
}

fn event(name: &str, data: &impl serde::Serialize) -> String {
    format!("event: {name}\nid: 1\ndata: {}\n\n", serde_json::to_string(data).unwrap())
}

async fn follow() -> Response {
    let rows = [request("q-3", 200), request("q-4", 503)];
    stream(rows.iter().map(|row| event("request", row)).collect())
}

async fn watch(Query(words): Words) -> Response {
    let mut text = event("mark", &json!({"seq": 1}));
    if words["kinds"] == "httproutes" {
        let mut route = super::fake::document(model::Kind::HttpRoute, "demo", "orders").unwrap();
        route["spec"]["hostnames"] = json!(["new.example.com"]);
        text += &event(
            "put",
            &json!({"kind": "httproutes", "namespace": "demo", "name": "orders", "object": route}),
        );
        text +=
            &event("del", &json!({"kind": "httproutes", "namespace": "demo", "name": "unseen"}));
    }
    stream(text)
}

fn topology() -> Topology {
    let node = |kind: &str, of: &str, x: f64| Node {
        id: if kind == "outside" { kind.into() } else { format!("{kind}/demo/{of}") },
        kind: kind.into(),
        namespace: if kind == "outside" { String::new() } else { "demo".into() },
        name: of.into(),
        x,
        problems: usize::from(of == "orders"),
        ..Node::default()
    };
    Topology {
        nodes: vec![
            node("outside", "outside", 0.0),
            node("gateway", "edge", 200.0),
            node("service", "orders", 400.0),
            node("service", "lonely <b>", 400.0),
        ],
        edges: vec![
            Edge {
                source: "outside".into(),
                target: "gateway/demo/edge".into(),
                kind: "observed".into(),
                protocol: "http".into(),
                rate: 12.3,
                errors: 0.1,
                p50: Some(3.0),
                p99: Some(40.0),
                ..Edge::default()
            },
            Edge {
                source: "gateway/demo/edge".into(),
                target: "service/demo/orders".into(),
                kind: "configured".into(),
                protocol: "http".into(),
                routes: vec!["demo/orders".into()],
                ..Edge::default()
            },
        ],
        as_of: ago(0),
        window: 300,
        grouped: false,
        width: 400.0,
        height: 0.0,
    }
}

async fn why(Json(question): Json<api::why::WhyQuestion>) -> Response {
    if question.url.ends_with("/nowhere") {
        return Json(WhyAnswer {
            summary: "no route takes it: 404".into(),
            outcome: Outcome { kind: "noRoute".into(), status: Some(404), ..Outcome::default() },
            steps: Vec::new(),
            revision: "r42".into(),
        })
        .into_response();
    }
    let step = |stage: &str, text: &str, sure, near| WhyStep {
        stage: stage.into(),
        text: text.into(),
        object: (stage == "route").then(|| name("HTTPRoute", "demo", "orders")),
        pointer: if stage == "route" { "/spec/rules/0" } else { "" }.into(),
        sure,
        near,
    };
    let miss = NearMiss {
        text: "a shorter prefix".into(),
        object: Some(name("HTTPRoute", "demo", "all")),
        pointer: "/spec/rules/0".into(),
    };
    Json(WhyAnswer {
        summary: "demo/orders:80 gets it".into(),
        outcome: Outcome {
            kind: "forwarded".into(),
            clusters: vec![ClusterChoice {
                cluster: "demo/orders:80".into(),
                service: "demo/orders:80".into(),
                part: 1.0,
                endpoints: 3,
                healthy: 2,
            }],
            ..Outcome::default()
        },
        steps: vec![
            step("listener", "Gateway demo/edge port 443", true, Vec::new()),
            step("route", "prefix /orders", true, vec![miss]),
            step("endpoints", "which one depends on the load", false, Vec::new()),
        ],
        revision: "r42".into(),
    })
    .into_response()
}

async fn me(headers: HeaderMap) -> Json<Value> {
    let known = headers.contains_key(header::AUTHORIZATION);
    Json(json!({
        "subject": if known { "token:ci" } else { "" },
        "via": if known { json!("token") } else { Value::Null },
        "roles": if known { json!([{"role": "editor", "namespaces": ["demo", "shop-*"]}]) } else { json!([]) },
        "writeMode": "direct", "writeModes": [], "version": "0.1.0", "replica": "cp-1",
        "oidc": true, "loginNeeded": !known,
    }))
}

fn tokens() -> Value {
    let token = |id: &str, of: &str| {
        json!({"id": id, "name": of, "grants": [{"role": "editor", "namespaces": ["demo"]}],
            "created": ago(7200), "by": "user:ann", "expires": ago(-86_400 * 90), "lastUsed": ago(240)})
    };
    json!([token("t1", "ci"), token("t2", "twice"), token("t3", "twice")])
}

async fn make_token(Json(wanted): Json<Value>) -> Response {
    let mut made = tokens()[0].clone();
    made["name"] = wanted["name"].clone();
    made["grants"] = wanted["grants"].clone();
    made["token"] = json!("isk_t1_secret");
    (StatusCode::CREATED, Json(made)).into_response()
}

async fn revoke(Path(id): Path<String>) -> Response {
    if id == "t1" {
        StatusCode::NO_CONTENT.into_response()
    } else {
        refuse(404, "ISM9005", "there is no token of this id", &json!({}))
    }
}
