//! Who gets in, and with what rights: the parts together, and a whole server over its port.

use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use api::auth::Binding;
use axum::Router;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::routing::{get, post};
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::*;
use crate::auth::tests::Issuer;
use crate::settings::{Inputs, Machine, Profile, load};

pub(super) fn settings(folder: &Path, flags: &[(&'static str, &str)]) -> Settings {
    let own = [
        ("state-dir", folder.display().to_string()),
        ("source-dir", folder.join("documents").display().to_string()),
        ("xds-listen", "127.0.0.1:0".to_owned()),
        ("http-listen", "127.0.0.1:0".to_owned()),
        ("auth", "token".to_owned()),
    ];
    let given = flags.iter().map(|(name, value)| (*name, (*value).to_owned()));
    let own = own.into_iter().filter(|(name, _)| !flags.iter().any(|(given, _)| given == name));
    let flags: Vec<_> = own.chain(given).collect();
    let machine = Machine::current(Profile::Serve);
    let inputs = Inputs { machine, file: None, environment: &|_| None, flags: &flags };
    load(&inputs).unwrap_or_else(|problems| panic!("{problems:?}")).settings
}

fn doors(settings: &Settings) -> Doors {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let files = Contents::read(Doors::files(settings)).unwrap();
    Doors::new(settings, &files, None, Arc::new(Vec::new), None).unwrap()
}

pub(super) fn bearer(token: &str) -> Shown {
    Shown { bearer: Some(Bearer::new(token)), ..Shown::default() }
}

pub(super) fn session(id: &str) -> Shown {
    Shown { session: Some(id.into()), ..Shown::default() }
}

pub(super) fn wanted(role: Role, namespace: &str) -> NewToken {
    let grants = vec![Grant { role, namespaces: vec![namespace.into()] }];
    NewToken { name: "ci".into(), grants, expires: None }
}

#[tokio::test]
async fn a_token_is_good_until_it_is_revoked_and_so_are_its_sessions() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(folder.path(), &[]);
    let doors = doors(&settings);
    let made = doors.make_token(wanted(Role::Editor, "shop"), "admin").await.unwrap();
    let caller = doors.identify(&bearer(&made.token)).await.unwrap();
    assert_eq!(*caller.subject, format!("token:{}", made.view.id));
    assert!(caller.may(Role::Editor, Some("shop")) && !caller.may(Role::Viewer, Some("infra")));
    assert!(caller.token.is_none(), "it is nothing to an API server");

    let begun = doors.login(&Bearer::new(&made.token), None).await.unwrap();
    let other = doors.login(&Bearer::new(&made.token), None).await.unwrap();
    assert_ne!(begun.id, other.id);
    let caller = doors.identify(&session(&begun.id)).await.unwrap();
    assert_eq!((caller.via, caller.may(Role::Editor, Some("shop"))), (Via::Session, true));

    // Another process reads the same file, in which no secret is.
    let again = self::doors(&settings);
    assert!(again.identify(&bearer(&made.token)).await.is_ok());
    let sealed = std::fs::read(folder.path().join("access.sealed")).unwrap();
    let secret = tokens::parse(&made.token).unwrap().1.as_bytes();
    assert!(!sealed.windows(8).any(|part| part == &secret[..8]));
    assert!(doors.tokens()[0].last_used.is_some());

    let mut changes = doors.changes();
    changes.mark_unchanged();
    assert!(doors.revoke_token(&made.view.id).await.unwrap());
    assert!(changes.has_changed().unwrap(), "open streams end");
    assert!(matches!(doors.identify(&bearer(&made.token)).await, Err(Unknown::Refused(_))));
    for id in [&begun.id, &other.id] {
        assert_eq!(doors.identify(&session(id)).await.err(), Some(Unknown::Nobody));
    }
    assert!(!doors.revoke_token(&made.view.id).await.unwrap());
    assert!(self::doors(&settings).identify(&bearer(&made.token)).await.is_err());
}

#[tokio::test]
async fn forged_and_expired_tokens_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let doors = doors(&settings(folder.path(), &[]));
    let made = doors.make_token(wanted(Role::Admin, "*"), "admin").await.unwrap();
    let other = doors.make_token(wanted(Role::Viewer, "shop"), "admin").await.unwrap();
    let (id, secret) = tokens::parse(&made.token).unwrap();
    let (_, others) = tokens::parse(&other.token).unwrap();
    for forged in [
        String::new(),
        "isk_".into(),
        format!("isk_{id}"),
        format!("isk_{id}_"),
        format!("isk_{id}_{others}"),
        format!("isk_{id}_{secret}="),
        format!("isk_nobody_{secret}"),
        secret.to_owned(),
        "x".repeat(LONGEST + 1),
        "a.b.c".into(),
    ] {
        let answer = doors.identify(&bearer(&forged)).await;
        assert!(matches!(answer, Err(Unknown::Refused(_))), "{forged}");
        assert!(doors.login(&Bearer::new(&forged), None).await.is_err());
        assert!(doors.identify(&session(&forged)).await.is_err());
    }
    assert!(doors.identify(&session(&made.token)).await.is_err(), "a token is no session");
    assert!(doors.identify(&bearer(&made.token)).await.is_ok());
    let known_only = Shown { known_only: true, ..bearer(&other.token) };
    assert!(doors.identify(&known_only).await.is_err(), "not looked at while there are too many");
    let known_only = Shown { known_only: true, ..bearer(&made.token) };
    assert!(doors.identify(&known_only).await.is_ok());

    let ends = Time(Time::now().0 - 1);
    let past = NewToken { expires: Some(ends), ..wanted(Role::Admin, "*") };
    let past = doors.make_token(past, "admin").await.unwrap();
    assert!(doors.identify(&bearer(&past.token)).await.is_err());
}

#[tokio::test]
async fn a_link_is_good_once() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(folder.path(), &[]);
    let doors = doors(&settings);
    let url = doors.first_link(([0, 0, 0, 0], 8080).into()).unwrap();
    let token = url.strip_prefix("http://127.0.0.1:8080/login/link?token=").unwrap();
    assert!(doors.link("").await.is_none() && doors.link("x").await.is_none());
    let begun = doors.link(token).await.unwrap();
    assert!(begun.caller.may(Role::Admin, None));
    assert!(doors.link(token).await.is_none(), "used up");
    assert!(doors.identify(&session(&begun.id)).await.unwrap().may(Role::Admin, None));

    // From the machine, beside the running server; the older one of two is not good any more.
    let first = admin_link(&settings).await.unwrap();
    let second = admin_link(&settings).await.unwrap();
    let token = |url: &str| url.split_once("token=").unwrap().1.to_owned();
    assert!(doors.link(&token(&first)).await.is_none());
    assert!(doors.link(&token(&second)).await.is_some());
    assert!(doors.link(&token(&second)).await.is_none());

    // Where somebody is admin, nothing is printed.
    doors.make_token(wanted(Role::Admin, "shop"), "admin").await.unwrap();
    assert!(doors.first_link(([127, 0, 0, 1], 1).into()).is_some(), "not everywhere");
    doors.make_token(wanted(Role::Admin, "*"), "admin").await.unwrap();
    assert!(doors.first_link(([127, 0, 0, 1], 1).into()).is_none());

    let open = self::settings(folder.path(), &[("auth", "none")]);
    assert!(admin_link(&open).await.is_err());
    let open = self::doors(&open);
    assert!(open.first_link(([127, 0, 0, 1], 1).into()).is_none());
}

#[tokio::test]
async fn rights_that_stand_in_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let hex: String = sha256("from-git").iter().map(|byte| format!("{byte:02x}")).collect();
    let file = folder.path().join("tokens");
    std::fs::write(&file, format!("sha256:{hex} operator shop\n")).unwrap();
    let doors =
        doors(&settings(folder.path(), &[("api-tokens-file", &file.display().to_string())]));
    let caller = doors.identify(&bearer("from-git")).await.unwrap();
    assert!(caller.may(Role::Operator, Some("shop")) && !caller.may(Role::Viewer, None));
    assert!(doors.identify(&bearer("from-gi")).await.is_err());
    let begun = doors.login(&Bearer::new("from-git"), None).await.unwrap();
    doors.declared.store(Arc::new(Declared::default()));
    assert!(doors.identify(&session(&begun.id)).await.is_err(), "the line has gone");
}

/// An OIDC issuer that knows one person.
pub(super) struct FakeIssuer {
    keys: Issuer,
    url: String,
    pub(super) claims: Value,
    asked: Vec<(HeaderMap, String)>,
}

pub(super) type Fake = Arc<Mutex<FakeIssuer>>;

pub(super) async fn issuer() -> (Fake, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let fake =
        FakeIssuer { keys: Issuer::new(), url: url.clone(), claims: json!({}), asked: Vec::new() };
    let fake = Arc::new(Mutex::new(fake));
    let about = async |State(fake): State<Fake>| {
        let url = fake.lock().unwrap().url.clone();
        axum::Json(json!({
            "issuer": url, "authorization_endpoint": format!("{url}/authorize"),
            "token_endpoint": format!("{url}/token"), "jwks_uri": format!("{url}/keys"),
        }))
    };
    let token = async |State(fake): State<Fake>, headers: HeaderMap, body: String| {
        let mut fake = fake.lock().unwrap();
        fake.asked.push((headers, body));
        let token = fake.keys.token(json!({"alg": "ES256", "kid": "one"}), fake.claims.clone());
        axum::Json(json!({"id_token": token, "access_token": "x", "token_type": "Bearer"}))
    };
    let keys = async |State(fake): State<Fake>| {
        axum::Json(json!({"keys": [fake.lock().unwrap().keys.jwk("one")]}))
    };
    let app = Router::new()
        .route("/.well-known/openid-configuration", get(about))
        .route("/token", post(token))
        .route("/keys", get(keys))
        .with_state(fake.clone());
    tokio::spawn(async move { axum::serve(listener, app).await });
    (fake, url)
}

pub(super) fn parameters(text: &str) -> std::collections::HashMap<String, String> {
    let url: reqwest::Url = format!("http://x/?{text}").parse().unwrap();
    url.query_pairs().into_owned().collect()
}

#[tokio::test]
async fn a_person_of_an_issuer_has_the_rights_of_their_groups() {
    let folder = tempfile::tempdir().unwrap();
    let (fake, url) = issuer().await;
    let secret = folder.path().join("secret");
    std::fs::write(&secret, "s:cret\n").unwrap();
    let redirect = "https://isthmus.example/login/oidc/callback";
    let doors = doors(&settings(
        folder.path(),
        &[
            ("oidc-issuer", &url),
            ("oidc-client-id", "isthmus"),
            ("oidc-client-secret-file", &secret.display().to_string()),
            ("oidc-redirect-url", redirect),
        ],
    ));
    let bindings = vec![
        Binding {
            subject: "group:dev".into(),
            role: Role::Editor,
            namespaces: vec!["shop".into()],
        },
        Binding {
            subject: "user:eve@example.com".into(),
            role: Role::Admin,
            namespaces: vec!["*".into()],
        },
    ];
    doors.set_bindings(bindings, &etag(&[])).await.unwrap();
    let seconds = Time::now().0 / 1000 + 600;
    let begin = async || {
        let journey =
            doors.begin_oidc("/services").await.unwrap().unwrap_or_else(|p| panic!("{p:?}"));
        let question = parameters(journey.location.split_once('?').unwrap().1);
        (journey.cookie, question)
    };
    let answer = |state: &str| OidcAnswer {
        state: state.into(),
        code: "c0de".into(),
        ..OidcAnswer::default()
    };
    let claims = |nonce: &str| {
        json!({
            "iss": url, "aud": "isthmus", "exp": seconds, "nonce": nonce, "sub": "1",
            "email": "ada@example.com", "email_verified": true, "groups": ["dev", "ops"],
        })
    };

    let (cookie, question) = begin().await;
    for (name, value) in [
        ("response_type", "code"),
        ("client_id", "isthmus"),
        ("redirect_uri", redirect),
        ("scope", "openid profile email"),
        ("code_challenge_method", "S256"),
    ] {
        assert_eq!(question[name], value);
    }
    fake.lock().unwrap().claims = claims(&question["nonce"]);
    let back = doors.end_oidc(&cookie, &answer(&question["state"])).await;
    let (begun, to) = back.unwrap_or_else(|p| panic!("{p:?}"));
    assert_eq!((to.as_str(), &*begun.caller.subject), ("/services", "user:ada@example.com"));
    assert!(begun.caller.may(Role::Editor, Some("shop")) && !begun.caller.may(Role::Viewer, None));
    let (headers, body) = fake.lock().unwrap().asked[0].clone();
    let sent = parameters(&body);
    assert_eq!((sent["code"].as_str(), sent["redirect_uri"].as_str()), ("c0de", redirect));
    assert_eq!(URL_SAFE_NO_PAD.encode(sha256(&sent["code_verifier"])), question["code_challenge"]);
    assert_eq!(headers["authorization"], format!("Basic {}", STANDARD.encode("isthmus:s%3Acret")));

    // What is taken from a group counts at once, in sessions that are open.
    doors.set_bindings(Vec::new(), &etag(&doors.bindings())).await.unwrap();
    assert!(doors.identify(&session(&begun.id)).await.unwrap().grants.is_empty());

    assert!(doors.end_oidc(&cookie, &answer(&question["state"])).await.is_err(), "once");
    let (cookie, question) = begin().await;
    assert!(doors.end_oidc("", &answer(&question["state"])).await.is_err(), "another browser");
    assert!(doors.end_oidc(&cookie, &answer("other")).await.is_err(), "another state");
    let refused = OidcAnswer { error: Some("access_denied".into()), ..answer(&question["state"]) };
    assert!(doors.end_oidc(&cookie, &refused).await.is_err(), "a wrong answer uses it up too");

    let changed = |change: fn(&mut Value)| {
        move |nonce: &str| {
            let mut claims = claims(nonce);
            change(&mut claims);
            claims
        }
    };
    type Claims<'c> = &'c dyn Fn(&str) -> Value;
    let cases: [(&str, Claims<'_>); 7] = [
        ("nonce", &|_| claims("another")),
        ("audience", &changed(|c| c["aud"] = json!("other"))),
        ("party", &changed(|c| c["azp"] = json!("other"))),
        ("issuer", &changed(|c| c["iss"] = json!("https://evil.example"))),
        ("expired", &changed(|c| c["exp"] = json!(1))),
        ("unverified", &changed(|c| c["email_verified"] = json!(false))),
        ("nameless", &changed(|c| c["email"] = json!(""))),
    ];
    for (name, claims) in cases {
        let (cookie, question) = begin().await;
        fake.lock().unwrap().claims = claims(&question["nonce"]);
        assert!(doors.end_oidc(&cookie, &answer(&question["state"])).await.is_err(), "{name}");
    }
}

/// What an API server says: people by token, and what they may as `USER VERB RESOURCE NAMESPACE`.
#[derive(Default)]
struct ApiServer {
    rules: Vec<&'static str>,
    reviews: usize,
}

#[tokio::test]
async fn people_of_a_cluster_have_their_rights_there() {
    let server = Arc::new(Mutex::new(ApiServer {
        rules: vec![
            "ada get httproutes shop",
            "ada update httproutes shop",
            "ada get httproutes infra",
            "root administer controlplanes *",
        ],
        reviews: 0,
    }));
    type Shared = State<Arc<Mutex<ApiServer>>>;
    let people = async |State(_): Shared, axum::Json(review): axum::Json<Value>| {
        let token = review["spec"]["token"].as_str().unwrap().to_owned();
        let known = ["ada", "bob", "root"].contains(&token.as_str());
        axum::Json(json!({
            "apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "metadata": {}, "spec": {},
            "status": {"authenticated": known, "user": {"username": token, "groups": ["all"]}},
        }))
    };
    let rights = async |State(server): Shared, axum::Json(review): axum::Json<Value>| {
        let mut server = server.lock().unwrap();
        server.reviews += 1;
        let asked = &review["spec"]["resourceAttributes"];
        assert_eq!(review["spec"]["groups"], json!(["all"]));
        let word = |name: &str| asked[name].as_str().unwrap_or("*").to_owned();
        let line = format!(
            "{} {} {} {}",
            review["spec"]["user"].as_str().unwrap(),
            word("verb"),
            word("resource"),
            word("namespace")
        );
        axum::Json(json!({
            "apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "metadata": {}, "spec": {},
            "status": {"allowed": server.rules.contains(&line.as_str())},
        }))
    };
    let app = Router::new()
        .route("/apis/authentication.k8s.io/v1/tokenreviews", post(people))
        .route("/apis/authorization.k8s.io/v1/subjectaccessreviews", post(rights))
        .with_state(server.clone());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let uri = format!("http://{}", listener.local_addr().unwrap());
    let serving = tokio::spawn(async move { axum::serve(listener, app).await });
    let _ = rustls::crypto::ring::default_provider().install_default();
    let config = kube::Config::new(uri.parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let flags = [("auth-kubernetes", "true"), ("kubernetes", "true")];
    let settings = settings(folder.path(), &flags);
    let namespaces = || ["shop", "infra", "secret"].map(str::to_owned).to_vec();
    let client = kube::Client::try_from(config).unwrap();
    let doors =
        Doors::new(&settings, &Contents(Vec::new()), Some(client), Arc::new(namespaces), None)
            .unwrap();

    assert!(
        doors.first_link(([127, 0, 0, 1], 1).into()).is_none(),
        "the cluster's admins are ours"
    );
    let all = Shown { writes: true, ..bearer("ada") };
    let ada = doors.identify(&all).await.unwrap();
    assert_eq!((&*ada.subject, ada.via), ("user:ada", Via::Kubernetes));
    assert!(ada.may(Role::Editor, Some("shop")) && !ada.may(Role::Operator, Some("shop")));
    assert!(ada.may(Role::Viewer, Some("infra")) && !ada.may(Role::Editor, Some("infra")));
    assert!(!ada.may(Role::Viewer, Some("secret")) && !ada.may(Role::Viewer, None));
    assert_eq!(ada.token.as_ref().map(Bearer::reveal), Some("ada"), "for writing there");
    let asked = server.lock().unwrap().reviews;
    doors.identify(&all).await.unwrap();
    assert_eq!(server.lock().unwrap().reviews, asked, "remembered for a moment");

    // It is asked about the kind that the path names.
    let secrets =
        Shown { namespace: Some("shop".into()), plural: Some("secrets".into()), ..bearer("ada") };
    assert!(doors.identify(&secrets).await.unwrap().grants.is_empty());
    let root = doors.identify(&bearer("root")).await.unwrap();
    assert!(root.may(Role::Admin, None));
    assert!(matches!(doors.identify(&bearer("stranger")).await, Err(Unknown::Refused(_))));

    let begun = doors.login(&Bearer::new("root"), None).await.unwrap();
    let caller = doors.identify(&session(&begun.id)).await.unwrap();
    assert!(caller.may(Role::Admin, None) && caller.token.is_some());

    // Whatever else comes from their address: of this one the cluster has not been asked yet, as of one that is a while old.
    doors.sessions.begin("older", Origin::Kubernetes(Bearer::new("bob"))).await;
    doors.sessions.begin("ended", Origin::Kubernetes(Bearer::new("eve"))).await;
    for _ in 0..2 {
        let shown = Shown { known_only: true, ..session("older") };
        assert_eq!(&*doors.identify(&shown).await.unwrap().subject, "user:bob");
    }
    assert_eq!(doors.identify(&session("ended")).await.err(), Some(Unknown::Nobody));

    serving.abort();
    let _ = serving.await;
    let later = doors.identify(&bearer("another")).await;
    assert!(matches!(later, Err(Unknown::Unavailable(_))), "nobody is let in unasked");
}

#[tokio::test]
async fn write_modes_by_namespace() {
    let folder = tempfile::tempdir().unwrap();
    let flags = [("write-mode", "propose"), ("write-mode-namespaces", "infra-*=off,shop=direct")];
    let doors = doors(&settings(folder.path(), &flags));
    assert_eq!(doors.write_mode(None), WriteMode::Propose);
    assert_eq!(doors.write_mode(Some("demo")), WriteMode::Propose);
    assert_eq!(doors.write_mode(Some("infra-a")), WriteMode::Off);
    assert_eq!(doors.write_mode(Some("shop")), WriteMode::Direct);
}

const SECRET: &str = "bm90LWEtcmVhbC1rZXk";

#[tokio::test(flavor = "multi_thread")]
async fn a_whole_server_asks_who_it_is_and_shows_no_secret() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let folder = tempfile::tempdir().unwrap();
    let documents = folder.path().join("documents");
    std::fs::create_dir(&documents).unwrap();
    let key = STANDARD
        .encode(format!("-----BEGIN PRIVATE KEY-----\n{SECRET}\n-----END PRIVATE KEY-----\n"));
    let text = format!(
        "apiVersion: v1\nkind: Secret\nmetadata: {{namespace: demo, name: tls}}\ntype: kubernetes.io/tls\n\
         data: {{tls.crt: bm90aGluZw==, tls.key: {key}}}\n"
    );
    std::fs::write(documents.join("secret.yaml"), text).unwrap();
    let hex: String = sha256("judge").iter().map(|byte| format!("{byte:02x}")).collect();
    let file = folder.path().join("tokens");
    std::fs::write(&file, format!("sha256:{hex} admin *\n")).unwrap();
    let file = file.display().to_string();
    let settings = settings(folder.path(), &[("api-tokens-file", &file), ("api-rate-limit", "0")]);
    let server = crate::Server::start(settings).await.unwrap();
    let base = format!("http://{}", server.http_address());
    let client = reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .unwrap();
    let ask = async |path: &str, token: &str| {
        let mut request = client.get(format!("{base}{path}"));
        if !token.is_empty() {
            request = request.bearer_auth(token);
        }
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    let limit = Duration::from_secs(30);
    let secrets = "/api/v1/namespaces/demo/secrets/tls";
    tokio::time::timeout(limit, async {
        while ask(secrets, "judge").await.0 != 200 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await
    .expect("the document is read");
    assert_eq!(ask("/healthz", "").await.0, 200);
    assert_eq!(ask(secrets, "").await.0, 401);
    let refused = client.get(format!("{base}{secrets}")).send().await.unwrap();
    assert_eq!(refused.headers().get("isthmus-revision"), None, "nobody is told");
    assert_eq!(ask(secrets, "wrong").await.0, 401);
    let document: Value = serde_json::from_str(&ask("/api/v1/openapi.json", "").await.1).unwrap();
    for path in document["paths"].as_object().unwrap().keys() {
        if path.contains("watch") || path.contains("follow") {
            continue;
        }
        let path = path
            .replace("{namespace}", "demo")
            .replace("{plural}", "secrets")
            .replace("{name}", "tls")
            .replace(['{', '}'], "");
        let (_, text) = ask(&path, "judge").await;
        for secret in [SECRET, &key, "PRIVATE KEY"] {
            assert!(!text.contains(secret), "{path}");
        }
    }
    // A whole way: the machine's link, a session, a token, its end, and what is written down of it.
    let made = client
        .post(format!("{base}/api/v1/tokens"))
        .bearer_auth("judge")
        .body(r#"{"name":"ci","grants":[{"role":"viewer","namespaces":["demo"]}]}"#)
        .send()
        .await
        .unwrap();
    let made: Value = made.json().await.unwrap();
    let token = made["token"].as_str().unwrap();
    assert_eq!(ask(secrets, token).await.0, 200);
    assert_eq!(ask("/api/v1/namespaces/shop/httproutes", token).await.0, 404);
    let id = made["id"].as_str().unwrap();
    let revoked = client.delete(format!("{base}/api/v1/tokens/{id}")).bearer_auth("judge");
    assert_eq!(revoked.send().await.unwrap().status(), 200);
    assert_eq!(ask(secrets, token).await.0, 401);
    let lines = std::fs::read_to_string(folder.path().join("audit.jsonl")).unwrap();
    assert!(
        lines.contains("\"verb\":\"create\"") && lines.contains("\"verb\":\"delete\""),
        "{lines}"
    );
    assert!(!lines.contains(token) && !lines.contains("judge"));
    server.stop().await;
}
