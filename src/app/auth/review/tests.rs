use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use serde_json::json;
use tokio::net::TcpListener;

use super::*;

/// What the API server says of a token: its user and the audience that it is for.
pub(in crate::auth) type Says = Result<Option<(&'static str, &'static str)>, StatusCode>;

#[derive(Clone)]
pub(in crate::auth) struct Fake(Arc<Mutex<(Says, u32)>>);

/// The pod that every token of the fake was made for.
pub(in crate::auth) const POD_NAME: &str = "orders-7d9-x";

impl Fake {
    pub(in crate::auth) async fn start(says: Says) -> (Self, Reviews) {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let fake = Self(Arc::new(Mutex::new((says, 0))));
        let app = Router::new()
            .route("/apis/authentication.k8s.io/v1/tokenreviews", post(answer))
            .with_state(fake.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let uri = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, app).await });
        let mut config = kube::Config::new(uri.parse().unwrap());
        config.default_retry = false;
        let reviews = Reviews::new(kube::Client::try_from(config).unwrap(), None);
        let edge = NamespacedName::new("shop", "edge");
        let account = NamespacedName::new("shop", "edge-isthmus");
        reviews.set_accounts([(account, vec![edge])].into());
        (fake, reviews)
    }

    pub(in crate::auth) fn says(&self, says: Says) {
        self.0.lock().unwrap().0 = says;
    }

    fn asked(&self) -> u32 {
        self.0.lock().unwrap().1
    }
}

async fn answer(
    State(fake): State<Fake>,
    axum::Json(review): axum::Json<Value>,
) -> (StatusCode, axum::Json<Value>) {
    assert_eq!(review["spec"]["audiences"], json!(["isthmus"]));
    let mut state = fake.0.lock().unwrap();
    state.1 += 1;
    let status = match state.0 {
        Ok(None) => json!({"authenticated": false, "error": "expired"}),
        Ok(Some((user, audience))) => {
            let user = json!({"username": user, "extra": {POD: [POD_NAME]}});
            json!({"authenticated": true, "user": user, "audiences": [audience]})
        }
        Err(code) => {
            let status = json!({"kind": "Status", "status": "Failure", "code": code.as_u16(), "message": "no", "reason": ""});
            return (code, axum::Json(status));
        }
    };
    let review = json!({
        "apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "metadata": {}, "spec": {}, "status": status,
    });
    (StatusCode::CREATED, axum::Json(review))
}

const EDGE: Says = Ok(Some(("system:serviceaccount:shop:edge-isthmus", "isthmus")));

fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000 + seconds)
}

/// One that is good for an hour.
fn token() -> String {
    let claims = json!({"exp": 1_700_000_000 + 3600}).to_string();
    format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims))
}

async fn ask(reviews: &Reviews, now: SystemTime) -> Result<Vec<Grant>, Refusal> {
    reviews.meet(&token(), now).await;
    reviews.identify(&token(), now).map(|reviewed| reviewed.grants)
}

#[tokio::test]
async fn the_account_of_a_fleet_may_ask_for_its_gateway_and_for_nothing_else() {
    let (fake, reviews) = Fake::start(EDGE).await;
    let grants = ask(&reviews, at(0)).await.unwrap();
    let covers = |role, scope| grants.iter().any(|grant| grant.covers(role, scope));
    assert!(covers("gateway", "shop/edge"));
    assert!(!covers("gateway", "shop/other") && !covers("grpc", "shop"));
    fake.says(Ok(Some(("system:serviceaccount:shop:default", "isthmus"))));
    let grants = ask(&reviews, at(301)).await.unwrap();
    assert!(!grants.iter().any(|grant| grant.covers("gateway", "shop/edge")));
    fake.says(Ok(Some(("alice", "isthmus"))));
    assert_eq!(ask(&reviews, at(602)).await, Ok(vec![]));
    // A server that knows no audiences answers for itself.
    fake.says(Ok(Some(("system:serviceaccount:shop:edge-isthmus", "https://kubernetes"))));
    assert!(matches!(ask(&reviews, at(903)).await, Err(Refusal::Unauthenticated(_))));
}

#[tokio::test]
async fn an_answer_is_good_for_a_while_and_for_longer_while_nobody_answers() {
    let (fake, reviews) = Fake::start(EDGE).await;
    for now in [0, 100, 299] {
        assert!(ask(&reviews, at(now)).await.is_ok());
    }
    assert_eq!(fake.asked(), 1);
    fake.says(Err(StatusCode::SERVICE_UNAVAILABLE));
    for now in [300, 3599] {
        assert!(ask(&reviews, at(now)).await.is_ok());
    }
    assert!(matches!(*reviews.trouble().borrow(), Some(Trouble::Failed(_))));
    assert!(matches!(ask(&reviews, at(3600)).await, Err(Refusal::Unavailable(_))));
    fake.says(Ok(None));
    assert!(matches!(ask(&reviews, at(3601)).await, Err(Refusal::Unauthenticated(_))));
    assert_eq!(*reviews.trouble().borrow(), None);
}

#[tokio::test]
async fn a_bad_token_is_not_asked_about_again_at_once() {
    let (fake, reviews) = Fake::start(Ok(None)).await;
    for now in [0, 9] {
        assert!(matches!(ask(&reviews, at(now)).await, Err(Refusal::Unauthenticated(_))));
    }
    assert_eq!(fake.asked(), 1);
    fake.says(EDGE);
    assert!(ask(&reviews, at(10)).await.is_ok());
    // What is no token of that sort is nobody's business.
    reviews.meet("a-password", at(0)).await;
    assert!(matches!(reviews.identify("a-password", at(0)), Err(Refusal::Unauthenticated(_))));
    assert_eq!(fake.asked(), 2);
}

#[tokio::test]
async fn a_missing_permission_is_told_and_clients_are_to_try_again() {
    let (fake, reviews) = Fake::start(Err(StatusCode::FORBIDDEN)).await;
    assert!(matches!(ask(&reviews, at(0)).await, Err(Refusal::Unavailable(_))));
    assert_eq!(*reviews.trouble().borrow(), Some(Trouble::Forbidden("no".into())));
    fake.says(EDGE);
    assert!(ask(&reviews, at(0)).await.is_ok());
}
