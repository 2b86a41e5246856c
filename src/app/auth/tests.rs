use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use serde_json::{Value, json};
use serve::{Form, Node, Token};

use super::jwt::Wrong;
use super::*;

const NOW: u64 = 1_700_000_000;

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(NOW)
}

fn client(token: Option<&str>, certificates: Vec<Vec<u8>>) -> Client {
    Client {
        stream: 1,
        form: Form::Delta,
        only: None,
        node: Node::default(),
        peer: None,
        token: token.map(Token::new),
        certificates: certificates.into(),
        opened: Instant::now(),
    }
}

fn sha256(token: &str) -> String {
    digest(&SHA256, token.as_bytes()).as_ref().iter().map(|b| format!("{b:02x}")).collect()
}

fn auth(lines: &[&str]) -> Auth {
    let mut auth = Auth::default();
    auth.grants(&lines.join("\n")).unwrap();
    auth
}

/// What becomes of a client that asks for a gateway.
fn asks(auth: &Auth, client: &Client, gateway: &str) -> Result<(), Refusal> {
    auth.identify(client, now())?.gateway(gateway)
}

#[track_caller]
fn stranger(result: Result<(), Refusal>, text: &str) {
    match result {
        Err(Refusal::Unauthenticated(said)) => assert!(said.contains(text), "{said}"),
        other => panic!("{other:?}"),
    }
}

#[track_caller]
#[expect(clippy::needless_pass_by_value, reason = "results at the call")]
fn denied(result: Result<(), Refusal>) {
    assert!(matches!(result, Err(Refusal::PermissionDenied(_))), "{result:?}");
}

pub(crate) struct Issuer {
    key: EcdsaKeyPair,
    random: SystemRandom,
}

impl Issuer {
    pub(crate) fn new() -> Self {
        let random = SystemRandom::new();
        let pkcs8 =
            EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
        let key =
            EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8.as_ref(), &random);
        Self { key: key.unwrap(), random }
    }

    pub(crate) fn jwk(&self, id: &str) -> Value {
        let point = self.key.public_key().as_ref();
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        json!({"kty": "EC", "crv": "P-256", "kid": id, "x": text(&point[1..33]), "y": text(&point[33..])})
    }

    fn jwks(&self) -> String {
        // With keys that are not ours to use.
        let other = json!({"kty": "oct", "k": "AAAA"});
        let encryption = json!({"kty": "RSA", "use": "enc", "n": "AA", "e": "AQAB"});
        json!({"keys": [other, encryption, self.jwk("one")]}).to_string()
    }

    #[expect(clippy::needless_pass_by_value, reason = "literals at the call")]
    pub(crate) fn token(&self, header: Value, claims: Value) -> String {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(&header), part(&claims));
        let signature = self.key.sign(&self.random, signed.as_bytes()).unwrap();
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

fn es256() -> Value {
    json!({"alg": "ES256", "kid": "one"})
}

fn good() -> Value {
    json!({"sub": "edge", "aud": ["a", "isthmus"], "iss": "https://issuer.example", "exp": NOW + 60, "nbf": NOW - 60})
}

fn changed(key: &str, value: impl Into<Value>) -> Value {
    let mut claims = good();
    claims[key] = value.into();
    claims
}

fn without(key: &str) -> Value {
    let mut claims = good();
    claims.as_object_mut().unwrap().remove(key);
    claims
}

fn jwt(issuer: &Issuer) -> Jwt {
    let text = |text: &str| Some(text.to_owned());
    Jwt::new(&issuer.jwks(), text("isthmus"), text("https://issuer.example")).unwrap()
}

#[test]
fn without_credentials_in_the_settings_everyone_is_let_in() {
    let auth = Auth::default();
    assert_eq!(asks(&auth, &client(None, vec![]), "a/b"), Ok(()));
    assert_eq!(asks(&auth, &client(Some("x"), vec![]), "a/b"), Ok(()));
    assert_eq!(auth.identify(&client(None, vec![]), now()).unwrap().admin(), Ok(()));
}

#[test]
fn a_static_token_is_for_its_gateways() {
    let line = format!("sha256:{} gateway shop/*,infra/edge # ours", sha256("secret"));
    let auth = auth(&["# all", "", &line, &line.replace("gateway shop/*,infra/edge", "admin")]);
    let good = client(Some("secret"), vec![]);
    assert_eq!(asks(&auth, &good, "shop/edge"), Ok(()));
    assert_eq!(asks(&auth, &good, "infra/edge"), Ok(()));
    assert_eq!(auth.identify(&good, now()).unwrap().admin(), Ok(()));
    denied(asks(&auth, &good, "infra/other"));
    denied(asks(&auth, &good, "shop"));
    denied(asks(&auth, &good, "shop/a/b"));
    stranger(asks(&auth, &client(Some("Secret"), vec![]), "shop/edge"), "not known");
    stranger(asks(&auth, &client(Some(""), vec![]), "shop/edge"), "not known");
    stranger(asks(&auth, &client(None, vec![]), "shop/edge"), "credential is required");
    stranger(
        asks(&auth, &client(Some(&"x".repeat(MAX_TOKEN + 1)), vec![]), "shop/edge"),
        "too long",
    );
}

#[test]
fn a_grpc_program_is_let_in_for_its_namespaces() {
    let auth = |scopes: &str| auth(&[&format!("sha256:{} grpc {scopes}", sha256("secret"))]);
    let good = client(Some("secret"), vec![]);
    let asks = |auth: &Auth, namespace| auth.identify(&good, now())?.grpc(namespace);
    let some = auth("shop,team-*");
    assert_eq!(asks(&some, Some("shop")), Ok(()));
    assert_eq!(asks(&some, Some("team-a")), Ok(()));
    denied(asks(&some, Some("bank")));
    denied(asks(&some, None));
    denied(some.identify(&good, now()).unwrap().gateway("shop/edge"));
    denied(some.identify(&good, now()).unwrap().admin());
    // Many namespaces are not all of them.
    denied(asks(&auth("**"), None));
    denied(asks(&auth("a*,*a"), None));
    let all = auth("*");
    assert_eq!((asks(&all, Some("bank")), asks(&all, None)), (Ok(()), Ok(())));
    assert_eq!(Auth::default().identify(&good, now()).unwrap().grpc(None), Ok(()));
    let gateway = super::tests::auth(&[&format!("sha256:{} gateway */*", sha256("secret"))]);
    denied(asks(&gateway, Some("shop")));
    denied(asks(&gateway, None));
}

#[test]
fn an_empty_grants_file_lets_nobody_in() {
    stranger(asks(&auth(&[]), &client(None, vec![]), "a/b"), "credential is required");
}

#[test]
fn the_status_of_others_needs_the_role_admin() {
    let auth = auth(&[&format!("sha256:{} gateway */*", sha256("secret"))]);
    let good = client(Some("secret"), vec![]);
    assert_eq!(asks(&auth, &good, "any/thing"), Ok(()));
    denied(auth.identify(&good, now()).unwrap().admin());
}

#[test]
fn mistakes_in_the_grants_file_stop_the_start_and_are_not_repeated() {
    for line in [
        "secret gateway a/b",
        "sha256:secret gateway a/b",
        "sha256:é gateway a/b",
        "san: gateway a/b",
        "sub:x gateway",
        "sub:x gateway edge",
        "sub:x sidecar a/b",
        "sub:x grpc",
        "sub:x grpc a/b",
        "sub:x grpc a,,b",
        "sub:x admin a/b",
        "sub:x",
    ] {
        let error = Auth::default().grants(&format!("\n{line}\n")).unwrap_err();
        let text = format!("{error:#}");
        assert!(text.starts_with("line 2: ") && !text.contains("secret"), "{line}: {text}");
    }
}

#[test]
fn a_jwt_is_for_what_its_subject_or_its_claim_grants() {
    let issuer = Issuer::new();
    let mut auth = auth(&["sub:edge gateway shop/edge"]);
    auth.jwt = Some(jwt(&issuer));
    let token = |claims| client(Some(&issuer.token(es256(), claims)), vec![]);
    assert_eq!(asks(&auth, &token(good()), "shop/edge"), Ok(()));
    denied(asks(&auth, &token(good()), "shop/other"));
    denied(asks(&auth, &token(changed("sub", "other")), "shop/edge"));
    let claim = json!({"role": "gateway", "gateways": ["infra/*"]});
    assert_eq!(asks(&auth, &token(changed("isthmus", claim)), "infra/x"), Ok(()));
    let claim = json!({"role": "grpc", "namespaces": ["shop"], "gateways": ["*"]});
    let grpc = auth.identify(&token(changed("isthmus", claim)), now()).unwrap();
    assert_eq!(grpc.grpc(Some("shop")), Ok(()));
    denied(grpc.grpc(None));
    let claim = json!({"role": "admin"});
    let admin = auth.identify(&token(changed("isthmus", claim)), now()).unwrap();
    assert_eq!((admin.admin(), admin.gateway("shop/edge")), (Ok(()), Ok(())));
    stranger(asks(&auth, &token(changed("exp", NOW - 60)), "shop/edge"), "expired");
    // A bad token is not made good by a certificate.
    let both = Client { certificates: vec![leaf("proxy.example")].into(), ..token(without("exp")) };
    stranger(asks(&auth, &both, "shop/edge"), "no expiry");
}

#[test]
fn every_reason_to_refuse_a_jwt() {
    let issuer = Issuer::new();
    let jwt = jwt(&issuer);
    let verify = |token: &str| jwt.verify(token, now());
    let ok = issuer.token(es256(), good());
    assert_eq!(verify(&ok).unwrap().subject.as_deref(), Some("edge"));
    assert!(verify(&issuer.token(json!({"alg": "ES256"}), good())).is_ok());
    assert!(verify(&issuer.token(es256(), changed("exp", NOW - 29))).is_ok());
    assert!(verify(&issuer.token(es256(), changed("aud", "isthmus"))).is_ok());
    assert!(verify(&issuer.token(es256(), without("nbf"))).is_ok());

    let payload = URL_SAFE_NO_PAD.encode(changed("sub", "admin").to_string());
    let parts: Vec<_> = ok.split('.').collect();
    let with = |at: usize, text: &str| {
        let mut parts = parts.clone();
        parts[at] = text;
        parts.join(".")
    };
    let cases = [
        ("", Wrong::Form),
        ("a.b", Wrong::Form),
        ("a.b.c.d", Wrong::Form),
        (&with(0, "!!"), Wrong::Form),
        (&with(2, "!!"), Wrong::Form),
        (&with(1, &payload), Wrong::Signature),
        (&with(2, ""), Wrong::Signature),
        (&issuer.token(json!({"alg": "none"}), good()), Wrong::Algorithm),
        (&issuer.token(json!({"alg": "HS256"}), good()), Wrong::Algorithm),
        (&issuer.token(json!({}), good()), Wrong::Algorithm),
        (&issuer.token(json!({"alg": "RS256"}), good()), Wrong::Signature),
        (&issuer.token(json!({"alg": "ES256", "kid": "two"}), good()), Wrong::Signature),
        (&issuer.token(json!({"alg": "ES256", "crit": ["x"]}), good()), Wrong::Critical),
        (&Issuer::new().token(es256(), good()), Wrong::Signature),
        (&issuer.token(es256(), without("exp")), Wrong::NoExpiry),
        (&issuer.token(es256(), changed("exp", "soon")), Wrong::NoExpiry),
        (&issuer.token(es256(), changed("exp", NOW - 30)), Wrong::Expired),
        (&issuer.token(es256(), changed("nbf", NOW + 31)), Wrong::Early),
        (&issuer.token(es256(), changed("nbf", "now")), Wrong::Form),
        (&issuer.token(es256(), without("aud")), Wrong::Audience),
        (&issuer.token(es256(), changed("aud", "other")), Wrong::Audience),
        (&issuer.token(es256(), changed("aud", json!(["other"]))), Wrong::Audience),
        (&issuer.token(es256(), without("iss")), Wrong::Issuer),
        (&issuer.token(es256(), changed("iss", "https://other.example")), Wrong::Issuer),
        (&issuer.token(es256(), changed("isthmus", "admin")), Wrong::Claim),
        (
            &issuer.token(es256(), changed("isthmus", json!({"role": "a", "gateways": [1]}))),
            Wrong::Claim,
        ),
    ];
    for (token, wrong) in cases {
        assert_eq!(verify(token), Err(wrong), "{token}");
    }
}

/// RFC 7515, appendix A.2: a token made by others.
#[test]
fn rs256_by_the_example_of_the_standard() {
    let key = json!({"keys": [{"kty": "RSA", "alg": "RS256", "e": "AQAB", "n": "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ"}]});
    let token = "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw";
    let jwt = Jwt::new(&key.to_string(), None, Some("joe".into())).unwrap();
    let then = SystemTime::UNIX_EPOCH + Duration::from_secs(1_300_819_379);
    assert_eq!(jwt.verify(token, then), Ok(jwt::Claims { subject: None, grant: None }));
    assert_eq!(jwt.verify(token, now()), Err(Wrong::Expired));
    let spoilt = token.replace("cC4h", "cC4i");
    assert_eq!(jwt.verify(&spoilt, then), Err(Wrong::Signature));
}

#[test]
fn key_files_that_are_none() {
    for text in [
        "x",
        "{}",
        r#"{"keys": []}"#,
        r#"{"keys": [{"kty": "oct", "k": "AAAA"}]}"#,
        r#"{"keys": [{"kty": "RSA", "n": "AA"}]}"#,
        r#"{"keys": [{"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"}]}"#,
    ] {
        assert!(Jwt::new(text, None, None).is_err(), "{text}");
    }
}

/// A client certificate with one name in it, in DER.
fn leaf(name: &str) -> Vec<u8> {
    use rcgen::{CertificateParams, KeyPair, SanType};
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.subject_alt_names = vec![match name.contains(':') {
        true => SanType::URI(name.try_into().unwrap()),
        false => SanType::DnsName(name.try_into().unwrap()),
    }];
    params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
}

#[test]
fn a_client_certificate_is_for_what_its_names_grant() {
    let auth = auth(&[
        "san:spiffe://example.org/ns/*/sa/edge gateway shop/*",
        "san:proxy.example gateway infra/edge",
    ]);
    let with = |name| client(None, vec![leaf(name)]);
    assert_eq!(asks(&auth, &with("spiffe://example.org/ns/shop/sa/edge"), "shop/edge"), Ok(()));
    assert_eq!(asks(&auth, &with("proxy.example"), "infra/edge"), Ok(()));
    denied(asks(&auth, &with("proxy.example"), "shop/edge"));
    let other = with("spiffe://example.org/ns/a/b/sa/edge");
    stranger(asks(&auth, &other, "shop/edge"), "not known");
    stranger(asks(&auth, &client(None, vec![b"junk".to_vec()]), "shop/edge"), "cannot be read");
}

#[test]
fn the_node_table_refuses_before_it_says_what_exists() {
    use serve::Snapshots;
    let line = format!("sha256:{} gateway shop/edge", sha256("secret"));
    let groups =
        crate::groups::Groups::new(auth(&[&line]), Arc::default(), Arc::default(), Arc::default());
    let node = |gateway: &str| {
        let metadata = json!({"isthmus": {"role": "gateway", "gateway": gateway}});
        Node { metadata: serde_json::from_value(metadata).unwrap(), ..Node::default() }
    };
    let ask = |token, node| {
        let client = Client { node, ..client(token, vec![]) };
        groups.group(&client).map(|group| group.name)
    };
    assert_eq!(ask(Some("secret"), node("shop/edge")), Ok(Arc::from("gateway/shop/edge")));
    denied(ask(Some("secret"), node("shop/other")).map(drop));
    stranger(ask(None, Node::default()).map(drop), "credential is required");
    stranger(groups.inspect(&client(None, vec![])), "credential is required");
    denied(groups.inspect(&client(Some("secret"), vec![])));
}

fn reviews(issuer: &Issuer) -> Arc<Reviews> {
    let mut keys: Value = serde_json::from_str(&issuer.jwks()).unwrap();
    keys["issuer"] = "https://issuer.example".into();
    // Nobody listens on this port.
    let config = kube::Config::new("http://127.0.0.1:1".parse().unwrap());
    let client = kube::Client::try_from(config).unwrap();
    Arc::new(Reviews::new(client, Some(keys.to_string().into())))
}

#[tokio::test]
async fn while_the_api_server_is_away_a_token_is_good_by_its_signature() {
    let (issuer, stranger) = (Issuer::new(), Issuer::new());
    let reviews = reviews(&issuer);
    let edge = model::NamespacedName::new("shop", "edge");
    let accounts =
        [(model::NamespacedName::new("shop", "edge-isthmus"), vec![edge])].into_iter().collect();
    reviews.set_accounts(accounts);
    let auth = Auth::default().with_reviews(Some(reviews.clone()), true);
    let asks = async |token: String| {
        reviews.meet(&token, now()).await;
        asks(&auth, &client(Some(&token), vec![]), "shop/edge")
    };
    let with = |key: &str, value: Value| {
        let mut claims = changed("sub", "system:serviceaccount:shop:edge-isthmus");
        claims[key] = value;
        claims
    };
    let fine = with("jti", "x".into());
    assert_eq!(asks(issuer.token(es256(), fine.clone())).await, Ok(()));
    let other = with("sub", "system:serviceaccount:shop:other".into());
    denied(asks(issuer.token(es256(), other)).await);
    for token in [
        stranger.token(es256(), fine),
        issuer.token(es256(), with("aud", json!(["https://kubernetes.default.svc"]))),
        issuer.token(es256(), with("iss", "https://other.example".into())),
        issuer.token(es256(), with("exp", (NOW - 60).into())),
    ] {
        assert!(matches!(asks(token).await, Err(Refusal::Unavailable(_))));
    }
}
