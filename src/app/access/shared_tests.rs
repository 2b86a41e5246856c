//! Two replicas, and the Secret between them.

use std::time::Duration;

use axum::http::StatusCode;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use tempfile::TempDir;
use tokio::task::JoinHandle;

use super::fake::Fake;
use super::shared::Known;
use super::tests::{bearer, issuer, parameters, session, settings, wanted};
use super::*;

const NAME: &str = "isthmus-access";
const LIMIT: Duration = Duration::from_secs(20);

/// One replica, with a state folder of its own.
struct Replica {
    doors: Arc<Doors>,
    findings: mpsc::Receiver<Batch>,
    _batches: mpsc::Sender<Batch>,
    task: JoinHandle<()>,
    folder: TempDir,
}

impl Replica {
    fn start(fake: &Fake) -> Self {
        Self::start_in(fake, tempfile::tempdir().unwrap(), &[])
    }

    fn start_in(fake: &Fake, folder: TempDir, flags: &[(&'static str, &str)]) -> Self {
        let settings = settings(folder.path(), flags);
        let shared = Arc::new(Shared::new(&fake.client(), &settings));
        let files = Contents(Vec::new());
        let doors = Doors::new(&settings, &files, None, Arc::new(Vec::new), Some(shared)).unwrap();
        let doors = Arc::new(doors);
        let (batches, findings) = mpsc::channel(16);
        let listen = ([127, 0, 0, 1], 8080).into();
        let task = tokio::spawn(doors.clone().run(
            listen,
            batches.downgrade(),
            std::future::pending::<()>(),
        ));
        Self { doors, findings, _batches: batches, task, folder }
    }

    fn shared(&self) -> &Shared {
        self.doors.shared.as_ref().unwrap()
    }

    async fn until(&self, what: &str, is: impl FnMut(&Known) -> bool) {
        let mut known = self.shared().known();
        let heard = tokio::time::timeout(LIMIT, known.wait_for(is)).await;
        heard.unwrap_or_else(|_| panic!("{what}")).unwrap();
    }

    async fn key(&self) -> Arc<[u8; 32]> {
        let mut key = self.shared().key();
        let key = tokio::time::timeout(LIMIT, key.wait_for(Option::is_some)).await;
        key.expect("there is a key").unwrap().clone().unwrap()
    }

    async fn knows(&self, shown: &Shown) -> bool {
        match self.doors.identify(shown).await {
            Ok(_) => true,
            Err(Unknown::Unavailable(why)) => panic!("{why}"),
            Err(_) => false,
        }
    }

    fn stop(self) -> TempDir {
        self.task.abort();
        self.folder
    }
}

#[tokio::test]
async fn who_logs_in_at_one_replica_is_known_at_the_other_until_they_log_out() {
    let fake = Fake::start().await;
    let (one, two) = (Replica::start(&fake), Replica::start(&fake));
    assert_eq!(one.key().await, two.key().await, "whoever was first has made it");
    let made = one.doors.make_token(wanted(Role::Admin, "*"), "admin").await.unwrap();
    let begun = one.doors.login(&Bearer::new(&made.token), None).await.unwrap();
    // Without waiting for the watch.
    let caller = two.doors.identify(&session(&begun.id)).await.unwrap();
    assert!(caller.via == Via::Session && caller.may(Role::Admin, None));

    two.doors.logout(&begun.id).await;
    assert!(!two.knows(&session(&begun.id)).await);
    one.until("the end is heard of", |known| known.state.sessions.is_empty()).await;
    assert!(!one.knows(&session(&begun.id)).await);

    // A restart of both.
    let begun = two.doors.login(&Bearer::new(&made.token), None).await.unwrap();
    one.stop();
    two.stop();
    assert!(Replica::start(&fake).knows(&session(&begun.id)).await);
}

#[tokio::test]
async fn a_token_counts_everywhere_and_so_does_its_end() {
    let fake = Fake::start().await;
    let (one, two) = (Replica::start(&fake), Replica::start(&fake));
    let made = one.doors.make_token(wanted(Role::Editor, "shop"), "admin").await.unwrap();
    assert!(two.knows(&bearer(&made.token)).await);
    assert_eq!(two.doors.tokens().len(), 1);
    let begun = one.doors.login(&Bearer::new(&made.token), None).await.unwrap();
    assert!(one.knows(&session(&begun.id)).await);

    let mut changes = one.doors.changes();
    changes.mark_unchanged();
    assert!(two.doors.revoke_token(&made.view.id).await.unwrap());
    tokio::time::timeout(LIMIT, changes.changed()).await.expect("open streams end").unwrap();
    assert!(!one.knows(&bearer(&made.token)).await);
    assert!(!one.knows(&session(&begun.id)).await);
    assert!(!one.doors.revoke_token(&made.view.id).await.unwrap(), "it has gone already");

    // What one replica writes is not lost when another writes at the same time.
    let bindings =
        vec![Binding { subject: "user:ada".into(), role: Role::Viewer, namespaces: vec![] }];
    let none = etag(&[]);
    let (a, b, c) = tokio::join!(
        one.doors.make_token(wanted(Role::Viewer, "a"), "admin"),
        two.doors.make_token(wanted(Role::Viewer, "b"), "admin"),
        two.doors.set_bindings(bindings.clone(), &none),
    );
    assert!(a.is_ok() && b.is_ok() && c.is_ok());
    let all = |known: &Known| {
        let kept = &known.state.kept;
        (kept.tokens.len(), kept.bindings.len()) == (2, 1)
    };
    one.until("both tokens and the binding", all).await;
    two.until("both tokens and the binding", all).await;
    assert_eq!(one.doors.bindings(), bindings);
    assert!(one.doors.set_bindings(Vec::new(), &etag(&[])).await.is_err(), "stale");
}

#[tokio::test]
async fn the_secret_lets_nobody_in() {
    let fake = Fake::start().await;
    let one = Replica::start(&fake);
    let made = one.doors.make_token(wanted(Role::Admin, "*"), "admin").await.unwrap();
    let origin = Origin::Kubernetes(Bearer::new("token-of-a-person"));
    one.doors.sessions.begin("cookie", origin.clone()).await;
    let data = fake.secret(NAME).unwrap()["data"].clone();
    let parts = ["tokens", "sessions", "link"];
    let text: String = parts
        .map(|part| String::from_utf8(STANDARD.decode(data[part].as_str().unwrap()).unwrap()))
        .map(Result::unwrap)
        .concat();
    let secret = tokens::parse(&made.token).unwrap().1;
    for hidden in [secret, "cookie", "token-of-a-person"] {
        assert!(!text.contains(hidden), "{hidden}");
    }
    let two = Replica::start(&fake);
    assert!(two.doors.sessions.touch("cookie").await.unwrap() == origin);
    assert!(two.doors.sessions.touch("another").await.is_err());
}

#[tokio::test]
async fn bad_cookies_do_not_reach_the_api_server_one_by_one() {
    let fake = Fake::start().await;
    let one = Replica::start(&fake);
    one.until("there is a link", |known| known.state.link.is_some()).await;
    let (before, writes) = fake.asked();
    let begun = std::time::Instant::now();
    let bad = |round: usize| {
        let one = &one;
        (0..200).map(move |i| async move { one.knows(&session(&format!("{round}-{i}"))).await })
    };
    let mut asked = 0;
    for round in 0..3 {
        assert!(!futures::future::join_all(bad(round)).await.contains(&true));
        asked += 200;
    }
    let forged = format!("isk_nobody_{}", "x".repeat(40));
    for _ in 0..20 {
        assert!(!one.knows(&bearer(&forged)).await);
        assert!(!one.knows(&session("0-0")).await, "remembered");
        asked += 2;
    }
    let gets = fake.asked().0 - before;
    let most = 2 + begun.elapsed().as_millis() as usize / 200;
    assert!((1..=most).contains(&gets), "{gets} questions for {asked} bad credentials");
    assert_eq!(fake.asked().1, writes, "nothing is written");
}

#[tokio::test]
async fn use_is_written_late() {
    let fake = Fake::start().await;
    let one = Replica::start(&fake);
    one.until("there is a link", |known| known.state.link.is_some()).await;
    one.doors.sessions.begin("a", Origin::Link).await;
    let (_, writes) = fake.asked();
    for _ in 0..20 {
        assert!(one.knows(&session("a")).await);
    }
    assert!(!one.shared().is_due());
    assert_eq!(fake.asked().1, writes);

    let long_ago = Time(Time::now().0 - 660_000);
    let age = |state: &mut shared::State| {
        Arc::make_mut(&mut state.sessions).values_mut().for_each(|entry| entry.used = long_ago);
    };
    // What is pending goes with it.
    one.stop();
    let one = Replica::start(&fake);
    one.key().await;
    one.shared().change(age).await.unwrap();
    assert!(one.knows(&session("a")).await && one.shared().is_due());
    one.shared().flush(|_| {}).await.unwrap();
    let state = one.shared().state();
    assert!(state.sessions.values().all(|entry| entry.used > long_ago));
    assert!(!one.shared().is_due());
}

#[tokio::test]
async fn without_the_right_to_the_secret_each_replica_is_as_one_alone() {
    let fake = Fake::start().await;
    fake.refuse(Some(StatusCode::FORBIDDEN));
    let mut one = Replica::start(&fake);
    let made = one.doors.make_token(wanted(Role::Admin, "*"), "admin").await.unwrap();
    let begun = one.doors.login(&Bearer::new(&made.token), None).await.unwrap();
    assert!(one.knows(&session(&begun.id)).await && one.knows(&bearer(&made.token)).await);
    assert!(!Replica::start(&fake).knows(&session(&begun.id)).await);
    let batch = tokio::time::timeout(LIMIT, one.findings.recv()).await.unwrap().unwrap();
    let told = batch.changes.iter().any(|change| match change {
        model::Change::Findings { findings, .. } => findings.iter().any(|finding| {
            finding.code == model::codes::ACCESS_APART && finding.hint.contains("list, watch")
        }),
        _ => false,
    });
    assert!(told, "{batch:?}");
    one.doors.logout(&begun.id).await;
    assert!(!one.knows(&session(&begun.id)).await);

    // Once it has the right, what was kept in its folder is shared, and taken back everywhere.
    let folder = one.stop();
    fake.refuse(None);
    let one = Replica::start_in(&fake, folder, &[]);
    one.until("the token is shared", |known| !known.state.kept.tokens.is_empty()).await;
    let two = Replica::start(&fake);
    assert!(two.knows(&bearer(&made.token)).await);
    assert!(two.doors.revoke_token(&made.view.id).await.unwrap());
    one.until("it is taken back", |known| known.state.kept.tokens.is_empty()).await;
    assert!(!one.knows(&bearer(&made.token)).await);
    let again = Replica::start_in(&fake, one.stop(), &[]);
    again.key().await;
    assert!(!again.knows(&bearer(&made.token)).await, "nor does it come back");
}

#[tokio::test]
async fn while_the_api_server_is_away_nothing_is_refused_that_may_be_good() {
    let fake = Fake::start().await;
    let one = Replica::start(&fake);
    one.key().await;
    let made = one.doors.make_token(wanted(Role::Admin, "*"), "admin").await.unwrap();
    fake.refuse(Some(StatusCode::SERVICE_UNAVAILABLE));
    assert!(one.knows(&bearer(&made.token)).await, "what is known stays known");
    let unknown = one.doors.identify(&session("of another replica")).await;
    assert!(matches!(unknown, Err(Unknown::Unavailable(_))));
    assert!(one.doors.revoke_token(&made.view.id).await.is_err(), "not half");
    assert!(one.knows(&bearer(&made.token)).await);
    // A session begins here all the same, and ends here.
    let begun = one.doors.login(&Bearer::new(&made.token), None).await.unwrap();
    assert!(one.knows(&session(&begun.id)).await);
}

#[tokio::test]
async fn a_session_ends_at_a_replica_that_has_not_heard_of_it() {
    let fake = Fake::start().await;
    let (one, two) = (Replica::start(&fake), Replica::start(&fake));
    one.key().await;
    two.until("there is a link", |known| known.state.link.is_some()).await;
    // From here on it only knows what it asks for.
    two.task.abort();
    one.doors.sessions.begin("a", Origin::Link).await;
    two.doors.logout("a").await;
    one.until("it has ended", |known| known.state.sessions.is_empty()).await;
    assert!(!one.knows(&session("a")).await);
}

#[tokio::test]
async fn who_waits_for_a_write_that_fails_does_not_wait_for_their_own_too() {
    let fake = Fake::start().await;
    // Of 503 the client asks again by itself.
    fake.refuse(Some(StatusCode::INTERNAL_SERVER_ERROR));
    let folder = tempfile::tempdir().unwrap();
    let shared = Shared::new(&fake.client(), &settings(folder.path(), &[]));
    let all = (0..10).map(|_| shared.change(|state| state.link = None));
    assert!(futures::future::join_all(all).await.iter().all(Result::is_err));
    assert_eq!(fake.refused(), 1);
}

#[tokio::test]
async fn whoever_deletes_the_secret_takes_back_all_that_is_in_it() {
    let fake = Fake::start().await;
    let one = Replica::start(&fake);
    let first = one.key().await;
    one.doors.sessions.begin("a", Origin::Link).await;
    fake.delete(NAME);
    one.until("it is empty", |known| known.state.sessions.is_empty()).await;
    assert!(!one.knows(&session("a")).await);
    one.until("it is made again", |known| {
        known.heard && fake.secret(NAME).is_some_and(|_| *known.state != Default::default())
    })
    .await;
    assert_ne!(one.key().await, first);
}

#[tokio::test]
async fn there_is_one_link_for_all_replicas() {
    let fake = Fake::start().await;
    let (one, two) = (Replica::start(&fake), Replica::start(&fake));
    one.until("there is a link", |known| known.state.link.is_some()).await;
    let open = one.shared().state().link;
    assert!(two.doors.link.make_for_all(two.shared()).await.unwrap().is_none(), "there is one");
    assert!(one.shared().state().link == open);
    assert!(two.doors.link("x").await.is_none());

    // The one that a log has cannot be read here: another in its place.
    one.shared().change(|state| state.link = None).await.unwrap();
    let token = one.doors.link.make_for_all(one.shared()).await.unwrap().unwrap();
    let (a, b) = tokio::join!(one.doors.link(&token), two.doors.link(&token));
    let begun: Vec<_> = a.into_iter().chain(b).collect();
    assert_eq!(begun.len(), 1, "one of the two is late");
    assert!(one.knows(&session(&begun[0].id)).await && two.knows(&session(&begun[0].id)).await);
    assert!(one.doors.link(&token).await.is_none() && two.doors.link(&token).await.is_none());
}

#[tokio::test]
async fn a_way_to_the_issuer_may_end_at_another_replica() {
    let (people, url) = issuer().await;
    let fake = Fake::start().await;
    let flags = [
        ("oidc-issuer", &*url),
        ("oidc-client-id", "isthmus"),
        ("oidc-redirect-url", "https://isthmus.example/login/oidc/callback"),
    ];
    let start = || Replica::start_in(&fake, tempfile::tempdir().unwrap(), &flags);
    let (one, two) = (start(), start());
    one.key().await;
    two.key().await;
    let journey = one.doors.begin_oidc("/services").await.unwrap();
    let Ok(Journey { location, cookie }) = journey else { panic!("the issuer is there") };
    let question = parameters(location.split_once('?').unwrap().1);
    people.lock().unwrap().claims = json!({
        "iss": url, "aud": "isthmus", "exp": Time::now().0 / 1000 + 600, "nonce": question["nonce"],
        "sub": "1", "email": "ada@example.com",
    });
    let answer =
        OidcAnswer { state: question["state"].clone(), code: "c".into(), ..OidcAnswer::default() };
    let (begun, to) =
        two.doors.end_oidc(&cookie, &answer).await.unwrap_or_else(|p| panic!("{p:?}"));
    assert_eq!((to.as_str(), &*begun.caller.subject), ("/services", "user:ada@example.com"));
    assert!(one.knows(&session(&begun.id)).await);
    assert!(two.doors.end_oidc(&cookie, &answer).await.is_err(), "once");
}
