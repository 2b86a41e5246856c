//! The layer on the router, with people made up.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Method, Request};
use futures::future::BoxFuture;
use metrics_exporter_prometheus::PrometheusBuilder;
use serde_json::{Value, json};
use tokio::sync::watch;
use tower_service::Service as _;

use super::layer::QUESTIONS;
use super::*;
use crate::tests::Fake;
use crate::{Grant, Via};

/// Tokens are called as what they may; `cookie-x` is a session of `x`.
struct People {
    about: About,
    ended: Mutex<Vec<String>>,
    bindings: Mutex<Vec<Binding>>,
    records: Mutex<Vec<Arc<Record>>>,
    changes: watch::Sender<u64>,
}

fn caller(name: &str) -> Option<Caller> {
    let (role, namespaces) = name.split_once('@')?;
    let role = serde_json::from_value(json!(role)).ok()?;
    let namespaces = namespaces.split('+').map(str::to_owned).collect();
    Some(Caller {
        subject: format!("user:{name}").into(),
        via: Via::Token,
        grants: [Grant { role, namespaces }].into(),
        ..Caller::anybody()
    })
}

impl Access for People {
    fn about(&self) -> About {
        self.about.clone()
    }

    fn identify<'a>(&'a self, shown: &'a Shown) -> BoxFuture<'a, Result<Caller, Unknown>> {
        let bearer = shown.bearer.as_ref().map(Bearer::reveal);
        let session = shown.session.as_deref().and_then(|id| id.strip_prefix("cookie-"));
        let found = match (bearer, session) {
            (Some(token), _) => caller(token).ok_or(Unknown::Refused("not known".into())),
            (None, Some(session)) => caller(session).ok_or(Unknown::Nobody),
            (None, None) => Err(Unknown::Nobody),
        };
        Box::pin(std::future::ready(found))
    }

    fn login<'a>(
        &'a self,
        bearer: &'a Bearer,
        _: Option<IpAddr>,
    ) -> BoxFuture<'a, Result<NewSession, Unknown>> {
        let name = bearer.reveal();
        let session =
            caller(name).map(|caller| NewSession { id: format!("cookie-{name}"), caller });
        Box::pin(std::future::ready(session.ok_or(Unknown::Refused("not known".into()))))
    }

    fn link<'a>(&'a self, token: &'a str) -> BoxFuture<'a, Option<NewSession>> {
        let session = caller("admin@*")
            .filter(|_| token == "good")
            .map(|caller| NewSession { id: "cookie-admin@*".into(), caller });
        Box::pin(std::future::ready(session))
    }

    fn logout<'a>(&'a self, session: &'a str) -> BoxFuture<'a, ()> {
        self.ended.lock().unwrap().push(session.to_owned());
        Box::pin(std::future::ready(()))
    }

    fn begin_oidc<'a>(&'a self, to: &'a str) -> BoxFuture<'a, Option<Result<Journey, Problem>>> {
        let location = format!("https://issuer.example/?to={to}");
        let journey = Journey { location, cookie: "journey".into() };
        Box::pin(std::future::ready(Some(Ok(journey))))
    }

    fn end_oidc<'a>(
        &'a self,
        cookie: &'a str,
        _: &'a OidcAnswer,
    ) -> BoxFuture<'a, Result<(NewSession, String), Problem>> {
        let session =
            NewSession { id: "cookie-viewer@*".into(), caller: caller("viewer@*").unwrap() };
        let answer = match cookie {
            "journey" => Ok((session, "/services".into())),
            _ => Err(Problem::new(crate::problem::INVALID_PARAMETER, "")),
        };
        Box::pin(std::future::ready(answer))
    }

    fn tokens(&self) -> Vec<TokenView> {
        Vec::new()
    }

    fn make_token<'a>(
        &'a self,
        wanted: NewToken,
        by: &'a str,
    ) -> BoxFuture<'a, Result<MadeToken, Problem>> {
        let view = TokenView {
            id: "1".into(),
            name: wanted.name,
            grants: wanted.grants,
            created: crate::Time(0),
            by: by.into(),
            expires: crate::Time(1),
            last_used: None,
        };
        Box::pin(std::future::ready(Ok(MadeToken { token: "isk_1_secret".into(), view })))
    }

    fn revoke_token<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<bool, Problem>> {
        Box::pin(std::future::ready(Ok(false)))
    }

    fn bindings(&self) -> Vec<Binding> {
        self.bindings.lock().unwrap().clone()
    }

    fn set_bindings<'a>(
        &'a self,
        bindings: Vec<Binding>,
        known: &'a str,
    ) -> BoxFuture<'a, Result<(), Problem>> {
        let mut now = self.bindings.lock().unwrap();
        let answer = if etag(&now) == known {
            *now = bindings;
            Ok(())
        } else {
            Err(Problem::new(crate::problem::STALE, ""))
        };
        Box::pin(std::future::ready(answer))
    }

    fn write_mode(&self, _: Option<&str>) -> WriteMode {
        WriteMode::Direct
    }

    fn record(&self, record: Record) {
        self.records.lock().unwrap().push(Arc::new(record));
    }

    fn records(&self) -> Vec<Arc<Record>> {
        self.records.lock().unwrap().iter().rev().cloned().collect()
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }
}

fn people(about: About) -> Arc<People> {
    Arc::new(People {
        about,
        ended: Mutex::default(),
        bindings: Mutex::default(),
        records: Mutex::default(),
        changes: watch::Sender::new(0),
    })
}

struct World {
    people: Arc<People>,
    router: Router,
}

struct Answer {
    status: u16,
    headers: HeaderMap,
    text: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or(Value::Null)
    }

    fn code(&self) -> String {
        self.json()["code"].as_str().unwrap_or_default().to_owned()
    }

    fn cookies(&self) -> Vec<&str> {
        self.headers.get_all("set-cookie").iter().map(|v| v.to_str().unwrap()).collect()
    }
}

impl World {
    fn new() -> Self {
        Self::with(About { required: true, metrics_open: true, ..About::default() })
    }

    fn with(about: About) -> Self {
        let people = people(about);
        let metrics = PrometheusBuilder::new().build_recorder().handle();
        let parts = Parts {
            access: Some(people.clone()),
            ..Parts::new(Arc::new(Fake { ready: true }), metrics)
        };
        Self { people, router: crate::router(parts) }
    }

    async fn send(
        &self,
        method: &Method,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Body::from(body.to_owned())).unwrap();
        let response = self.router.clone().call(request).await.unwrap();
        let (head, body) = response.into_parts();
        let text = to_bytes(body, 1 << 22).await.unwrap();
        let text = String::from_utf8_lossy(&text).into_owned();
        Answer { status: head.status.as_u16(), headers: head.headers, text }
    }

    async fn by(&self, who: &str, method: &Method, path: &str) -> Answer {
        let bearer = format!("Bearer {who}");
        let headers: &[_] =
            if who.is_empty() { &[] } else { &[("authorization", bearer.as_str())] };
        self.send(method, path, headers, "").await
    }

    async fn get(&self, who: &str, path: &str) -> Answer {
        self.by(who, &Method::GET, path).await
    }

    fn recorded(&self) -> Vec<String> {
        let records = self.people.records();
        let line = |r: &Arc<Record>| {
            format!("{} {} {:?} {}", r.subject, r.verb, r.result, r.objects.join(","))
        };
        records.iter().rev().map(line).collect()
    }
}

/// Method, template, and a path that fits it.
fn paths() -> Vec<(Method, String, String)> {
    let document = serde_json::to_value(crate::document()).unwrap();
    let mut all = Vec::new();
    for (template, item) in document["paths"].as_object().unwrap() {
        for method in item.as_object().unwrap().keys() {
            let Ok(method) = method.to_uppercase().parse::<Method>() else { continue };
            let words: Vec<_> = template
                .split('/')
                .map(|part| match part {
                    "{namespace}" | "{ns}" => "shop",
                    "{plural}" => "httproutes",
                    "{verb}" => "hold",
                    "{code}" => "ISM9000",
                    part if part.starts_with('{') => "a",
                    part => part,
                })
                .collect();
            all.push((method, template.clone(), words.join("/")));
        }
    }
    assert!(all.len() > 25, "{all:?}");
    all
}

/// Paths of the document that answer everybody.
const EVERYBODY: &[&str] = &[
    "/healthz",
    "/readyz",
    "/metrics",
    "/errors/{code}",
    "/api/docs",
    "/login/link",
    "/login/oidc",
    "/login/oidc/callback",
    "/api/v1/openapi.json",
    "/api/v1/me",
    "/api/v1/login",
    "/api/v1/logout",
];

#[tokio::test]
async fn every_path_asks_who_it_is() {
    let world = World::new();
    for (method, template, path) in paths() {
        for headers in
            [&[][..], &[("cookie", "isthmus_session=stale")], &[("authorization", "Basic YTpi")]]
        {
            // A session of another page is refused before it is looked at.
            let cookie = headers.iter().any(|(name, _)| *name == "cookie");
            if cookie && method != Method::GET {
                continue;
            }
            // Bad credentials are counted, so that there is a new server for each.
            let world = World::new();
            let answer = world.send(&method, &path, headers, "").await;
            let bad = headers.iter().any(|(name, _)| *name == "authorization");
            if EVERYBODY.contains(&template.as_str()) && !(bad && template == "/api/v1/me") {
                assert_ne!(answer.status, 403, "{method} {path}");
                assert!(answer.status != 401 || template == "/login/link", "{method} {path}");
            } else {
                assert_eq!(
                    (answer.status, answer.code().as_str()),
                    (401, "ISM9012"),
                    "{method} {path}"
                );
            }
        }
    }
    for path in ["/api", "/api/v1", "/api/v2/secrets", "/api/v1/a/b/c/d/e/f"] {
        assert_eq!(world.get("", path).await.status, 401, "{path}");
    }
    // What is no path of the API is the console's.
    assert_ne!(world.get("", "/services/shop/orders").await.status, 401);
}

#[tokio::test]
async fn no_path_changes_anything_without_a_right() {
    let mut seen = 0;
    for (method, template, path) in paths() {
        let open = EVERYBODY.contains(&template.as_str()) || QUESTIONS.contains(&template.as_str());
        if method == Method::GET || open {
            continue;
        }
        seen += 1;
        let world = World::new();
        let looks = world.by("viewer@*", &method, &path).await;
        assert_eq!((looks.status, looks.code().as_str()), (403, "ISM9013"), "{method} {path}");
        let elsewhere = world.by("admin@elsewhere", &method, &path).await;
        if template.contains("{namespace}") {
            assert_eq!(elsewhere.status, 404, "{method} {path}");
        }
        let nobody = world.by("viewer@elsewhere", &method, &path).await;
        assert!(matches!(nobody.status, 403 | 404), "{method} {path}");
        // Where the path names no namespace, the documents do, and there are none here.
        let tries = world.recorded();
        let denied = |line: &String| {
            line.contains("Denied")
                || line.starts_with("user:admin@elsewhere") && !template.contains("{namespace}")
        };
        assert!(tries.len() >= 2 && tries.iter().all(denied), "{method} {path}: {tries:?}");
    }
    assert!(seen >= 5, "{seen}");
}

#[tokio::test]
async fn roles_are_what_they_say() {
    let world = World::new();
    let hold = "/api/v1/registries/infra/main/hold";
    let rotate = "/api/v1/identity/rotate";
    for (who, path, status) in [
        ("editor@infra", hold, 403),
        ("operator@infra", hold, 200),
        ("operator@*", rotate, 403),
        // There is no CA in the fake.
        ("admin@*", rotate, 409),
        ("admin@infra", "/api/v1/tokens", 403),
    ] {
        assert_eq!(world.by(who, &Method::POST, path).await.status, status, "{who} {path}");
    }
    for path in ["/api/v1/tokens", "/api/v1/bindings"] {
        assert_eq!(world.get("operator@*", path).await.status, 403);
        assert_eq!(world.get("admin@*", path).await.status, 200);
    }
}

#[tokio::test]
async fn other_namespaces_are_not_there() {
    let world = World::new();
    let shop = "viewer@shop";
    let routes = world.get(shop, "/api/v1/httproutes").await.json();
    let names: Vec<_> =
        routes["items"].as_array().unwrap().iter().map(|i| &i["metadata"]["namespace"]).collect();
    assert_eq!(names, ["shop"]);
    assert_eq!(routes["total"], 1);
    for path in [
        "/api/v1/namespaces/demo",
        "/api/v1/namespaces/demo/httproutes",
        "/api/v1/namespaces/demo/httproutes/a",
        "/api/v1/namespaces/demo/secrets/edge-tls",
        "/api/v1/proxies/edge%2F1",
        "/api/v1/proxies/edge%2F1/config",
        "/api/v1/snapshot?proxy=edge%2F1",
        "/api/v1/registries/infra/main/services",
    ] {
        assert_eq!(world.get(shop, path).await.status, 404, "{path}");
    }
    for path in ["/api/v1/proxies", "/api/v1/findings", "/api/v1/secrets"] {
        assert_eq!(world.get(shop, path).await.json()["total"], 0, "{path}");
        let own = world.get("viewer@demo", path).await.json();
        assert_eq!(own["total"], 1, "{path}");
    }
    assert_eq!(world.get("viewer@*", "/api/v1/proxies").await.json()["total"], 1);
}

#[tokio::test]
async fn secrets_are_in_no_answer() {
    let world = World::new();
    for (_, _, path) in paths() {
        let answer = world.get("admin@*", &path).await;
        assert!(
            !answer.text.contains("PRIVATE KEY") && !answer.text.contains("isk_1_secret"),
            "{path}"
        );
    }
}

#[tokio::test]
async fn a_page_of_somebody_else_changes_nothing() {
    let world = World::new();
    let path = "/api/v1/registries/infra/main/hold";
    let cookie = ("cookie", "a=b; isthmus_session=cookie-operator@*");
    let host = ("host", "isthmus.example");
    let status = async |headers: &[(&str, &str)]| {
        let answer = world.send(&Method::POST, path, headers, "").await;
        (answer.status, answer.code())
    };
    let refused = (403, "ISM9009".to_owned());
    assert_eq!(status(&[host, cookie]).await, refused);
    assert_eq!(status(&[host, cookie, ("origin", "https://evil.example")]).await, refused);
    assert_eq!(status(&[host, cookie, ("origin", "null")]).await, refused);
    assert_eq!(status(&[host, cookie, ("sec-fetch-site", "cross-site")]).await, refused);
    assert_eq!(status(&[host, cookie, ("origin", "https://isthmus.example")]).await.0, 200);
    assert_eq!(status(&[host, cookie, ("sec-fetch-site", "same-origin")]).await.0, 200);
    assert_eq!(status(&[host, ("authorization", "Bearer operator@*")]).await.0, 200);
    // Nor does it log anybody in.
    let headers = [host, ("origin", "https://evil.example")];
    let login =
        world.send(&Method::POST, "/api/v1/login", &headers, r#"{"token":"viewer@*"}"#).await;
    assert_eq!(login.status, 403);
    assert!(login.cookies().is_empty());
    // What only looks is not refused; the browser keeps the answer from the page.
    let get = world.send(&Method::GET, "/api/v1/proxies", &[host, cookie, headers[1]], "").await;
    assert_eq!(get.status, 200);
    assert!(!get.headers.contains_key("access-control-allow-origin"));
}

#[tokio::test]
async fn where_nobody_is_asked_only_names_of_this_machine_count() {
    let world = World::with(About::default());
    let status = async |host: &str, path: &str| {
        world.send(&Method::GET, path, &[("host", host)], "").await.status
    };
    assert_eq!(status("127.0.0.1:8080", "/api/v1/proxies").await, 200);
    assert_eq!(status("localhost", "/api/v1/proxies").await, 200);
    assert_eq!(status("evil.example", "/api/v1/proxies").await, 403);
    assert_eq!(status("evil.example", "/healthz").await, 200);
    assert_eq!(world.send(&Method::GET, "/api/v1/proxies", &[], "").await.status, 200);
}

#[tokio::test]
async fn a_login_is_a_new_session() {
    let world = World::new();
    // A session that somebody else has put into this browser.
    let headers = [
        ("cookie", "isthmus_session=cookie-planted"),
        ("host", "a"),
        ("origin", "https://a"),
        ("x-forwarded-proto", "https"),
    ];
    let login =
        world.send(&Method::POST, "/api/v1/login", &headers, r#"{"token":"viewer@shop"}"#).await;
    assert_eq!(login.status, 200);
    assert_eq!(
        login.cookies(),
        ["isthmus_session=cookie-viewer@shop; HttpOnly; SameSite=Strict; Path=/; Secure"]
    );
    assert_eq!(*world.people.ended.lock().unwrap(), ["cookie-planted"]);
    assert_eq!(login.json()["subject"], "user:viewer@shop");
    assert_eq!(world.recorded(), ["user:viewer@shop login Done "]);

    let plain = world.send(&Method::POST, "/api/v1/login", &[], r#"{"token":"viewer@*"}"#).await;
    assert_eq!(
        plain.cookies(),
        ["isthmus_session=cookie-viewer@*; HttpOnly; SameSite=Strict; Path=/"]
    );
    let bad = world.send(&Method::POST, "/api/v1/login", &[], r#"{"token":"nobody"}"#).await;
    assert_eq!((bad.status, bad.cookies().len()), (401, 0));
    let odd = world.send(&Method::POST, "/api/v1/login", &[], r#"{"tokn":"SECRET"}"#).await;
    assert_eq!(odd.status, 400);
    assert!(!odd.text.contains("SECRET"));
    let headers =
        [("cookie", "isthmus_session=cookie-viewer@*"), ("sec-fetch-site", "same-origin")];
    let logout = world.send(&Method::POST, "/api/v1/logout", &headers, "").await;
    assert_eq!(
        logout.cookies(),
        ["isthmus_session=; HttpOnly; SameSite=Strict; Path=/; Max-Age=0"]
    );
}

#[tokio::test]
async fn nobody_makes_sessions_without_end() {
    let world = World::with(About { required: true, rate: 1, ..About::default() });
    let login = async |name: &str| {
        let body = format!(r#"{{"token":"{name}"}}"#);
        world.send(&Method::POST, "/api/v1/login", &[], &body).await
    };
    for _ in 0..4 {
        assert_eq!(login("viewer@shop").await.status, 200);
    }
    let more = login("viewer@shop").await;
    assert_eq!((more.status, more.cookies().len()), (429, 0));
    assert_eq!(login("viewer@demo").await.status, 200, "each for themselves");
}

#[tokio::test]
async fn links_and_the_way_to_an_issuer() {
    let world = World::new();
    let link = world.get("", "/login/link?token=good").await;
    assert_eq!((link.status, &link.headers["location"]), (303, &"/".parse().unwrap()));
    assert!(link.cookies()[0].starts_with("isthmus_session="));
    for path in ["/login/link?token=bad", "/login/link"] {
        let bad = world.get("", path).await;
        assert_eq!((bad.status, bad.cookies().len()), (401, 0));
    }
    let begun = world.get("", "/login/oidc?to=//evil.example").await;
    assert_eq!(begun.headers["location"], "https://issuer.example/?to=/");
    assert_eq!(
        begun.cookies(),
        ["isthmus_login=journey; HttpOnly; SameSite=Lax; Path=/login/oidc; Max-Age=600"]
    );
    let headers = [("cookie", "isthmus_login=journey")];
    let back = world.send(&Method::GET, "/login/oidc/callback?code=a&state=b", &headers, "").await;
    assert_eq!((back.status, &back.headers["location"]), (303, &"/services".parse().unwrap()));
    assert!(
        back.cookies()[0].starts_with("isthmus_session=cookie-viewer@*; HttpOnly; SameSite=Strict")
    );
    assert!(world.recorded().iter().all(|line| line.contains(" login ")));
}

#[tokio::test]
async fn who_am_i() {
    let world =
        World::with(About { required: true, oidc: true, replica: "r1".into(), ..About::default() });
    let nobody = world.get("", "/api/v1/me").await.json();
    assert_eq!(nobody["loginNeeded"], true);
    assert_eq!(nobody["oidc"], true);
    let me = world.get("editor@shop", "/api/v1/me").await.json();
    assert_eq!(
        me,
        json!({
            "subject": "user:editor@shop", "via": "token",
            "roles": [{"role": "editor", "namespaces": ["shop"]}],
            "writeMode": "direct", "writeModes": [], "version": env!("CARGO_PKG_VERSION"),
            "replica": "r1", "oidc": true, "loginNeeded": false,
        })
    );
    assert_eq!(world.get("wrong", "/api/v1/me").await.status, 401);
    let open = World::with(About::default()).get("", "/api/v1/me").await.json();
    assert_eq!(
        (&open["subject"], &open["via"], &open["loginNeeded"]),
        (&json!("anybody"), &json!("nobody"), &json!(false))
    );
}

#[tokio::test]
async fn every_answer_protects_the_browser() {
    let world = World::new();
    let mut nonces = Vec::new();
    for (path, who) in [
        ("/healthz", ""),
        ("/nothing", ""),
        ("/api/v1/proxies", ""),
        ("/api/v1/proxies", "viewer@*"),
        ("/api/v1/gateways", "viewer@*"),
    ] {
        let answer = world.get(who, path).await;
        let policy = answer.headers["content-security-policy"].to_str().unwrap();
        assert!(
            policy.contains("script-src 'self';") && policy.contains("frame-ancestors 'none'"),
            "{policy}"
        );
        assert!(!policy.contains("unsafe"), "{policy}");
        nonces.push(policy.split("'nonce-").nth(1).unwrap().split('\'').next().unwrap().to_owned());
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
            ("cross-origin-opener-policy", "same-origin"),
            ("cross-origin-resource-policy", "same-origin"),
        ] {
            assert_eq!(answer.headers[name], value, "{path}");
        }
    }
    nonces.dedup();
    assert_eq!(nonces.len(), 5);
}

#[tokio::test]
async fn nobody_is_served_without_end() {
    let world = World::with(About { required: true, rate: 5, ..About::default() });
    let mut refused = None;
    for _ in 0..25 {
        let answer = world.get("viewer@*", "/api/v1/proxies").await;
        if answer.status != 200 {
            refused = Some(answer);
        }
    }
    let refused = refused.expect("twenty at once, and then five in a second");
    assert_eq!((refused.status, refused.code().as_str()), (429, "ISM9018"));
    assert_eq!(refused.headers["retry-after"], "1");
    assert_eq!(
        world.get("viewer@shop", "/api/v1/proxies").await.status,
        200,
        "each for themselves"
    );
    assert_eq!(world.get("", "/healthz").await.status, 200);

    let mut last = 0;
    for _ in 0..25 {
        last = world.get("guess", "/api/v1/proxies").await.status;
    }
    assert_eq!(last, 429);
    let login = world.send(&Method::POST, "/api/v1/login", &[], r#"{"token":"viewer@*"}"#).await;
    assert_eq!(login.status, 429);
    assert_eq!(
        world.get("viewer@shop", "/api/v1/proxies").await.status,
        200,
        "who is known goes on"
    );
}

#[tokio::test]
async fn metrics_can_be_closed() {
    let world = World::with(About { required: true, ..About::default() });
    assert_eq!(world.get("", "/metrics").await.status, 401);
    assert_eq!(world.get("viewer@shop", "/metrics").await.status, 200);
}

#[tokio::test]
async fn what_was_done_is_written_down() {
    let world = World::new();
    let path = "/api/v1/registries/infra/main/hold?reason=a+day%20off";
    world.by("operator@infra", &Method::POST, path).await;
    world.by("viewer@*", &Method::POST, path).await;
    world.by("admin@*", &Method::POST, "/api/v1/registries/infra/none/hold").await;
    world.get("viewer@shop", "/api/v1/tokens").await;
    world.get("viewer@shop", "/api/v1/httproutes").await;
    world.get("", "/api/v1/proxies").await;
    assert_eq!(
        world.recorded(),
        [
            "user:operator@infra hold Done registries infra/main",
            "user:viewer@* hold Denied registries infra/main",
            "user:admin@* hold Denied registries infra/none",
            "user:viewer@shop get Denied ",
        ]
    );
    let records = world.people.records();
    assert_eq!(records.last().unwrap().reason, "a day off");
    assert!(!records[0].request_id.is_empty());

    let all = world.get("admin@*", "/api/v1/audit?result=denied&limit=2").await.json();
    assert_eq!((&all["total"], all["items"].as_array().unwrap().len()), (&json!(3), 2));
    let next =
        format!("/api/v1/audit?result=denied&limit=2&cursor={}", all["next"].as_str().unwrap());
    assert_eq!(world.get("admin@*", &next).await.json()["items"].as_array().unwrap().len(), 1);
    let own = world.get("operator@infra", "/api/v1/audit").await.json();
    assert_eq!(own["total"], 3, "what concerns no namespace is for admins");
    assert_eq!(world.get("operator@shop", "/api/v1/audit").await.json()["total"], 0);
    let lines = world.get("admin@*", "/api/v1/audit/export?verb=hold").await;
    assert_eq!(lines.headers["content-type"], "application/jsonl");
    assert_eq!(lines.text.lines().count(), 3);
}

#[tokio::test]
async fn tokens_and_bindings_have_a_form() {
    let world = World::new();
    let admin = ("authorization", "Bearer admin@*");
    let post = async |body: &str| world.send(&Method::POST, "/api/v1/tokens", &[admin], body).await;
    let good = post(r#"{"name":"ci","grants":[{"role":"viewer","namespaces":["shop-*"]}]}"#).await;
    assert_eq!(
        (good.status, &good.json()["token"], &good.json()["by"]),
        (201, &json!("isk_1_secret"), &json!("user:admin@*"))
    );
    assert_eq!(good.headers["cache-control"], "no-store");
    for bad in [
        "",
        r#"{"name":"","grants":[]}"#,
        r#"{"name":"a","grants":[{"role":"boss","namespaces":["*"]}]}"#,
        r#"{"name":"a","grants":[{"role":"viewer","namespaces":[]}]}"#,
        r#"{"name":"a","grants":[{"role":"viewer","namespaces":["a/b"]}]}"#,
        r#"{"name":"a","grants":[],"expires":"2020-01-01T00:00:00Z"}"#,
    ] {
        assert_eq!(post(bad).await.status, 400, "{bad}");
    }
    let path = "/api/v1/bindings";
    let body = r#"{"items":[{"subject":"group:dev","role":"editor","namespaces":["shop"]}]}"#;
    let tag = world.get("admin@*", path).await.headers["etag"].to_str().unwrap().to_owned();
    let put = async |headers: &[(&str, &str)], body: &str| {
        world.send(&Method::PUT, path, headers, body).await.status
    };
    assert_eq!(put(&[admin], body).await, 428);
    assert_eq!(put(&[admin, ("if-match", "\"old\"")], body).await, 412);
    assert_eq!(put(&[admin, ("if-match", &tag)], &body.replace("group:", "")).await, 400);
    assert_eq!(put(&[admin, ("if-match", &tag)], body).await, 200);
    assert_eq!(put(&[admin, ("if-match", &tag)], body).await, 412);
}

#[tokio::test]
async fn files_are_not_reached_by_paths() {
    let world = World::new();
    for path in [
        "/../../etc/passwd",
        "/..%2f..%2fetc%2fpasswd",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/assets/..%5c..%5cetc%5cpasswd",
        "//etc/passwd",
        "/assets/%00",
    ] {
        let answer = world.get("", path).await;
        assert!(matches!(answer.status, 200 | 400 | 404), "{path}: {}", answer.status);
        assert!(!answer.text.contains("root:"), "{path}");
    }
    // However it is written, the API is not answered without a login.
    for path in [
        "//api/v1/proxies",
        "/./api/v1/proxies",
        "/%61pi/v1/proxies",
        "/api//v1/proxies",
        "/a/../api/v1/proxies",
    ] {
        let answer = world.get("", path).await;
        assert!(!answer.text.contains("edge/1"), "{path}");
    }
}

#[tokio::test]
async fn a_stream_ends_when_rights_change() {
    let (sender, receiver) = watch::channel(0);
    let endless = futures::stream::pending::<Result<String, std::io::Error>>();
    let response = axum::response::Response::builder()
        .header("content-type", "text/event-stream")
        .body(Body::from_stream(endless))
        .unwrap();
    let response = super::layer::until_changed(response, receiver);
    sender.send_modify(|count| *count += 1);
    let limit = std::time::Duration::from_secs(10);
    let rest = tokio::time::timeout(limit, to_bytes(response.into_body(), 1)).await;
    assert!(rest.expect("it ends").unwrap().is_empty());
}
