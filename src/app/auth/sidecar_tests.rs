//! Which sidecar a workload may be: at the table of groups, since it is the certificate and the configuration that matter.

use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use identity::{Authority, Times};
use serde_json::{Value, json};
use serve::{Form, Node, Published, Snapshots, Token};
use snapshot::{ResourceType, Snapshot};

use super::review::tests::{Fake, POD_NAME};
use super::*;
use crate::groups::Groups;
use crate::identities::Identities;

/// With a CA, and with configuration for whoever asks.
fn groups(auth: Auth) -> (Groups, Arc<Identities>) {
    let now = SystemTime::now();
    let identities = Arc::new(Identities::new(Times::default()));
    let authority = Authority::make("cluster.local", &Times::default(), now).unwrap();
    identities.set(authority, "cluster.local".into());
    (Groups::new(auth, identities.clone(), Arc::default(), Arc::default()), identities)
}

fn client(claim: Value, token: Option<&str>) -> Client {
    let metadata = [("isthmus".to_owned(), claim)].into_iter().collect();
    Client {
        stream: 1,
        form: Form::Delta,
        only: None,
        node: Node { metadata, ..Node::default() },
        peer: None,
        token: token.map(Token::new),
        certificates: Arc::new([]),
        opened: Instant::now(),
    }
}

fn orders() -> Value {
    json!({"role": "sidecar", "namespace": "shop", "account": "orders", "labels": {"app": "orders"}})
}

/// A token of the form that is asked about, different by its number.
fn token(number: u64) -> String {
    let end = SystemTime::now() + Duration::from_secs(3600);
    let end = end.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let claims = json!({"exp": end, "jti": number}).to_string();
    format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims))
}

/// Asks as a sidecar does; on success the certificate's SPIFFE id, as Envoy would show it.
async fn asks(groups: &Groups, client: &Client) -> Result<String, Refusal> {
    if let Some(meet) = groups.meet(client) {
        meet.await;
    }
    let group = groups.group(client)?;
    groups.publish(&group.name, Published::now(Arc::new(Snapshot::default())), None);
    let shown = group.updates.borrow().clone().unwrap().snapshot;
    let secret = shown.get(ResourceType::Secret, "isthmus/identity").unwrap();
    let text = String::from_utf8_lossy(secret.body()).into_owned();
    let begin = text.find("-----BEGIN CERTIFICATE").unwrap();
    let (_, pem) = x509_parser::pem::parse_x509_pem(&text.as_bytes()[begin..]).unwrap();
    Ok(alternative_names(&pem.contents).unwrap().join(","))
}

fn nobody_got_anything(groups: &Groups, identities: &Identities) {
    assert_eq!(groups.all().len(), 0);
    assert_eq!(identities.show().unwrap().identities, 0);
}

const ORDERS: &str = "system:serviceaccount:shop:orders";

#[tokio::test]
async fn a_service_account_is_its_own_sidecar() {
    let (_fake, reviews) = Fake::start(Ok(Some((ORDERS, AUDIENCE)))).await;
    // Gateways need no credential here; sidecars do all the same.
    let (groups, _) = groups(Auth::default().with_reviews(Some(Arc::new(reviews)), false));
    let mut claim = orders();
    claim["pod"] = POD_NAME.into();
    let id = asks(&groups, &client(claim, Some(&token(1)))).await.unwrap();
    assert_eq!(id, "spiffe://cluster.local/ns/shop/sa/orders");
}

const AUDIENCE: &str = fleet::kubernetes::AUDIENCE;

#[tokio::test]
async fn the_token_of_another_account_gets_neither_configuration_nor_certificate() {
    let (_fake, reviews) =
        Fake::start(Ok(Some(("system:serviceaccount:shop:basket", AUDIENCE)))).await;
    let (groups, identities) = groups(Auth::default().with_reviews(Some(Arc::new(reviews)), false));
    let mut elsewhere = orders();
    elsewhere["namespace"] = "other".into();
    elsewhere["account"] = "basket".into();
    let registry = json!({
        "role": "sidecar", "namespace": "shop", "registry": "infra/nacos", "service": "basket",
    });
    for claim in [orders(), elsewhere, registry] {
        let refused = asks(&groups, &client(claim, Some(&token(1)))).await;
        assert!(matches!(refused, Err(Refusal::PermissionDenied(_))), "{refused:?}");
    }
    nobody_got_anything(&groups, &identities);
}

#[tokio::test]
async fn the_token_of_another_pod_of_the_same_account_is_refused() {
    let (_fake, reviews) = Fake::start(Ok(Some((ORDERS, AUDIENCE)))).await;
    let (groups, identities) = groups(Auth::default().with_reviews(Some(Arc::new(reviews)), false));
    let mut claim = orders();
    claim["pod"] = "orders-7d9-y".into();
    let refused = asks(&groups, &client(claim, Some(&token(1)))).await;
    assert!(matches!(refused, Err(Refusal::PermissionDenied(_))), "{refused:?}");
    nobody_got_anything(&groups, &identities);
}

#[tokio::test]
async fn an_expired_token_a_foreign_one_or_none_gets_nothing() {
    let (fake, reviews) = Fake::start(Ok(None)).await;
    let (groups, identities) = groups(Auth::default().with_reviews(Some(Arc::new(reviews)), false));
    let mut refused = vec![
        asks(&groups, &client(orders(), Some(&token(1)))).await,
        asks(&groups, &client(orders(), Some("no token of an account"))).await,
        asks(&groups, &client(orders(), None)).await,
    ];
    fake.says(Ok(Some((ORDERS, "https://kubernetes.default.svc"))));
    refused.push(asks(&groups, &client(orders(), Some(&token(2)))).await);
    for refused in refused {
        assert!(matches!(refused, Err(Refusal::Unauthenticated(_))), "{refused:?}");
    }
    // Nobody can be asked, and the token is not known from before.
    fake.says(Err(axum::http::StatusCode::SERVICE_UNAVAILABLE));
    let refused = asks(&groups, &client(orders(), Some(&token(3)))).await;
    assert!(matches!(refused, Err(Refusal::Unavailable(_))), "{refused:?}");
    nobody_got_anything(&groups, &identities);
}

fn with_tokens(lines: &str) -> Auth {
    let mut auth = Auth::default();
    auth.grants(lines).unwrap();
    auth
}

fn sha256(text: &str) -> String {
    digest(&SHA256, text.as_bytes()).as_ref().iter().map(|b| format!("{b:02x}")).collect()
}

#[tokio::test]
async fn a_join_token_is_for_the_workloads_of_its_line() {
    let line = format!("sha256:{} sidecar reg/infra.nacos/svc/orders,ns/shop/sa/*", sha256("join"));
    let (groups, _) = groups(with_tokens(&line));
    let of = |service: &str| json!({"role": "sidecar", "namespace": "shop", "registry": "infra/nacos", "service": service});
    let id = asks(&groups, &client(of("orders"), Some("join"))).await.unwrap();
    assert_eq!(id, "spiffe://cluster.local/reg/infra.nacos/svc/orders");
    let id = asks(&groups, &client(orders(), Some("join"))).await.unwrap();
    assert_eq!(id, "spiffe://cluster.local/ns/shop/sa/orders");
    let mut other = orders();
    other["namespace"] = "pay".into();
    for claim in [of("basket"), other, json!({"role": "gateway", "gateway": "shop/edge"})] {
        let refused = asks(&groups, &client(claim, Some("join"))).await;
        assert!(matches!(refused, Err(Refusal::PermissionDenied(_))), "{refused:?}");
    }
    let refused = asks(&groups, &client(orders(), Some("guess"))).await;
    assert!(matches!(refused, Err(Refusal::Unauthenticated(_))), "{refused:?}");
}

#[test]
fn a_line_for_sidecars_has_the_path_of_their_id() {
    let good = format!("sha256:{} sidecar", "0".repeat(64));
    let mut auth = Auth::default();
    for bad in ["shop/orders", "ns/shop", "ns/shop/svc/a", "reg/a.b/sa/c", "ns//sa/a", "*"] {
        let error = auth.grants(&format!("{good} {bad}")).unwrap_err();
        assert!(format!("{error:#}").contains("reg/NAMESPACE.REGISTRY/svc/SERVICE"), "{error:#}");
    }
    assert!(auth.grants(&format!("{good} ns/*/sa/*,reg/infra.*/svc/*")).is_ok());
}

#[tokio::test]
async fn where_no_credential_is_asked_for_a_sidecar_is_believed() {
    let (groups, _) = groups(Auth::default());
    let id = asks(&groups, &client(orders(), None)).await.unwrap();
    assert_eq!(id, "spiffe://cluster.local/ns/shop/sa/orders");
}
