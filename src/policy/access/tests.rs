use ir::{Call, Caller, TextMatch};
use model::{
    AccessCondition, AccessKey, AccessRule, AccessSource, AccessTarget, BackendRef, IpBlock,
    JwtKeys, JwtProvider, MeshSettings,
};

use super::*;
use crate::testing::{access, catalog, mesh, with_orders};

struct Fake;

impl Around for Fake {
    fn identities(&self, service: &NamespacedName) -> Option<BTreeSet<Identity>> {
        let web = Identity::Account(NamespacedName::new("front", "web"));
        match &*service.name {
            "web" => Some(BTreeSet::from([web])),
            "empty" => Some(BTreeSet::new()),
            _ => None,
        }
    }

    fn authorization(&self, _: &Meta, service: &ExternalAuth) -> Target {
        Target::Cluster(service.backend.name.name.clone())
    }
}

fn judged(policies: Vec<AccessPolicy>, http: bool) -> Judged {
    let settings = MeshSettings {
        trust_domain: "new".into(),
        trust_domain_aliases: vec!["old".into()],
        ..MeshSettings::default()
    };
    let objects = policies.into_iter().map(|policy| Object::AccessPolicy(Arc::new(policy)));
    let catalog = catalog(objects.chain([mesh(settings)]).collect());
    with_orders(|orders| of_port(&View::new(&catalog), &Fake, orders, Some(8080), http))
}

fn texts(list: &[&str]) -> Vec<Arc<str>> {
    list.iter().map(|text| (*text).into()).collect()
}

fn from(source: AccessSource) -> AccessRule {
    AccessRule { from: vec![source], ..AccessRule::default() }
}

fn to(target: AccessTarget) -> AccessRule {
    AccessRule { to: vec![target], ..AccessRule::default() }
}

fn policy(action: AccessAction, rules: Vec<AccessRule>) -> AccessPolicy {
    AccessPolicy { rules, ..access("shop", "p", "", action) }
}

fn codes_of(judged: &Judged) -> Vec<u16> {
    judged.findings.iter().map(|finding| finding.code.0).collect()
}

/// The callers of the one rule; `None` where it never holds.
fn caller(source: AccessSource) -> Option<Caller> {
    let judged = judged(vec![policy(AccessAction::Deny, vec![from(source)])], true);
    let access = judged.access.unwrap();
    access.denied[0].rules.first().map(|rule| rule.caller.clone())
}

fn exact(text: &str) -> Caller {
    Caller::Identity(TextMatch::Exact(text.into()))
}

fn prefix(text: &str) -> Caller {
    Caller::Identity(TextMatch::Prefix(text.into()))
}

#[test]
fn without_policies_nothing_is_judged() {
    assert_eq!(judged(vec![], true), Judged::default());
    let off = AccessPolicy { mode: PolicyMode::Off, ..policy(AccessAction::Deny, vec![]) };
    assert_eq!(judged(vec![off], true), Judged::default());
    let elsewhere = access("bank", "p", "", AccessAction::Allow);
    assert_eq!(judged(vec![elsewhere], true), Judged::default());
}

#[test]
fn principals_of_the_mesh_are_known_by_each_of_its_names() {
    let of = |text: &str| {
        caller(AccessSource { principals: texts(&[text]), ..AccessSource::default() }).unwrap()
    };
    let both =
        Caller::OneOf(vec![exact("spiffe://new/ns/a/sa/b"), exact("spiffe://old/ns/a/sa/b")]);
    assert_eq!(of("new/ns/a/sa/b"), both);
    assert_eq!(of("spiffe://old/ns/a/sa/b"), both);
    assert_eq!(of("else/ns/a/sa/b"), exact("spiffe://else/ns/a/sa/b"));
    assert_eq!(
        of("new/ns/a/*"),
        Caller::OneOf(vec![prefix("spiffe://new/ns/a/"), prefix("spiffe://old/ns/a/")])
    );
    assert_eq!(of("*/sa/b"), Caller::Identity(TextMatch::Suffix("/sa/b".into())));
    assert_eq!(of("*"), Caller::Authenticated);
}

#[test]
fn a_namespace_is_a_whole_name() {
    let of = |text: &str| {
        caller(AccessSource { namespaces: texts(&[text]), ..AccessSource::default() }).unwrap()
    };
    let both = |new: Caller, old: Caller| Caller::OneOf(vec![new, old]);
    assert_eq!(of("a"), both(prefix("spiffe://new/ns/a/sa/"), prefix("spiffe://old/ns/a/sa/")));
    assert_eq!(of("a*"), both(prefix("spiffe://new/ns/a"), prefix("spiffe://old/ns/a")));
    let regex = |text: &str| Caller::Identity(TextMatch::Regex(text.into()));
    assert_eq!(
        of("*-dev"),
        both(regex("spiffe://new/ns/[^/]*-dev/sa/.*"), regex("spiffe://old/ns/[^/]*-dev/sa/.*"))
    );
}

#[test]
fn a_service_is_whoever_its_endpoints_are() {
    let of = |name: &str| {
        let services = vec![NamespacedName::new("front", name)];
        judged(
            vec![policy(
                AccessAction::Allow,
                vec![from(AccessSource { services, ..AccessSource::default() })],
            )],
            true,
        )
    };
    let found = of("web").access.unwrap().allowed.clone().unwrap();
    let both = vec![exact("spiffe://new/ns/front/sa/web"), exact("spiffe://old/ns/front/sa/web")];
    assert_eq!(found[0].rules[0].caller, Caller::OneOf(both));
    for name in ["empty", "unknown"] {
        let judged = of(name);
        // It lets in nobody, not everybody.
        assert_eq!(judged.access.as_ref().unwrap().allowed.as_ref().unwrap()[0].rules, []);
        assert_eq!(codes_of(&judged), [2005], "{name}");
    }
}

#[test]
fn parts_of_a_rule_hold_together_and_lists_one_by_one() {
    let block = |last| IpBlock { address: [10, 0, 0, last].into(), length: 32 };
    let rule = AccessRule {
        from: vec![AccessSource {
            ip_blocks: vec![block(1), block(2)],
            not_principals: texts(&["*"]),
            ..AccessSource::default()
        }],
        to: vec![
            AccessTarget {
                methods: texts(&["GET"]),
                not_paths: texts(&["/a/*"]),
                ..AccessTarget::default()
            },
            AccessTarget { ports: vec![8080], ..AccessTarget::default() },
        ],
        when: vec![AccessCondition {
            key: AccessKey::Header("x".into()),
            values: texts(&["*"]),
            not_values: texts(&["b"]),
        }],
        ..AccessRule::default()
    };
    let access = judged(vec![policy(AccessAction::Deny, vec![rule])], true).access.unwrap();
    let exact = |text: &str| TextMatch::Exact(text.into());
    let expected = ir::AccessRule {
        caller: Caller::All(vec![
            Caller::Not(Box::new(Caller::Authenticated)),
            Caller::OneOf(vec![Caller::Peer(block(1)), Caller::Peer(block(2))]),
        ]),
        call: Call::All(vec![
            Call::OneOf(vec![
                Call::All(vec![
                    Call::Method(exact("GET")),
                    Call::Not(Box::new(Call::Path(TextMatch::Prefix("/a/".into())))),
                ]),
                Call::Port(8080),
            ]),
            Call::All(vec![
                Call::Header("x".into(), TextMatch::Present),
                Call::Not(Box::new(Call::Header("x".into(), exact("b")))),
            ]),
        ]),
    };
    assert_eq!(access.denied[0].rules, [expected]);
}

#[test]
fn whole_connections_are_never_let_in_by_what_is_said_of_requests() {
    let rule = || {
        to(AccessTarget { methods: texts(&["GET"]), ports: vec![8080], ..AccessTarget::default() })
    };
    let allow = judged(vec![policy(AccessAction::Allow, vec![rule()])], false);
    assert_eq!(allow.access.as_ref().unwrap().allowed.as_ref().unwrap()[0].rules, []);
    assert_eq!(codes_of(&allow), [2003]);
    let deny = judged(vec![policy(AccessAction::Deny, vec![rule()])], false);
    let refused = ir::AccessRule { caller: Caller::Anybody, call: Call::Port(8080) };
    assert_eq!(deny.access.as_ref().unwrap().denied[0].rules, [refused]);
    assert_eq!(codes_of(&deny), [2003]);
}

const KEYS: &str = r#"{"keys":[{"k":"c2VjcmV0","kty":"oct"}]}"#;

fn provider(issuer: &str) -> JwtProvider {
    let keys = JwtKeys::Inline(KEYS.into());
    JwtProvider { issuer: issuer.into(), audiences: vec![], keys, pointer: "/spec/jwt/0".into() }
}

#[test]
fn claims_are_those_of_the_policys_own_providers() {
    let condition = AccessCondition {
        key: AccessKey::Claim(texts(&["role"])),
        values: texts(&["a"]),
        not_values: vec![],
    };
    let with = |jwt, rule| {
        judged(vec![AccessPolicy { jwt, ..policy(AccessAction::Allow, vec![rule]) }], true)
    };
    let rule = || AccessRule { when: vec![condition.clone()], ..AccessRule::default() };
    let found = with(vec![provider("i"), provider("j")], rule());
    let claim = |name: &str, path: &str, value: TextMatch| Call::Claim {
        provider: name.into(),
        path: texts(&[path]),
        value,
    };
    let a = || TextMatch::Exact("a".into());
    let calls = |judged: &Judged| {
        let access = judged.access.clone().unwrap();
        access.allowed.as_ref().unwrap()[0].rules.iter().map(|r| r.call.clone()).collect::<Vec<_>>()
    };
    let either = Call::OneOf(vec![claim("shop/p/0", "role", a()), claim("shop/p/1", "role", a())]);
    assert_eq!(calls(&found), [either]);
    let names: Vec<_> = found.jwt.iter().map(|provider| &*provider.name).collect();
    assert_eq!(names, ["shop/p/0", "shop/p/1"]);
    // Without providers no claim is good.
    assert_eq!(calls(&with(vec![], rule())), []);
    // Who is let in by JWT has one.
    let found = with(vec![provider("i")], AccessRule::default());
    assert_eq!(calls(&found), [claim("shop/p/0", "iss", TextMatch::Present)]);
}

#[test]
fn keys_that_are_not_there_make_no_jwt_good() {
    let reference = model::CertificateRef {
        pointer: "".into(),
        group: "".into(),
        kind: "ConfigMap".into(),
        namespace: "shop".into(),
        name: "keys".into(),
    };
    let jwt = vec![JwtProvider { keys: JwtKeys::ConfigMap(reference), ..provider("i") }];
    let rules = vec![AccessRule::default()];
    let found = judged(vec![AccessPolicy { jwt, ..policy(AccessAction::Allow, rules) }], true);
    assert_eq!(found.access.as_ref().unwrap().allowed.as_ref().unwrap()[0].rules, []);
    assert_eq!((found.jwt.len(), codes_of(&found)), (0, vec![2006]));
}

#[test]
fn on_trial_is_what_would_be_if_it_counted() {
    let named = |name: &str, action: AccessAction, mode| AccessPolicy {
        mode,
        rules: vec![AccessRule::default()],
        ..access("shop", name, "", action)
    };
    use PolicyMode::{Enforce, Shadow};
    let policies = vec![
        named("a", AccessAction::Allow, Enforce),
        named("b", AccessAction::Allow, Shadow),
        named("c", AccessAction::Deny, Shadow),
    ];
    let access = judged(policies, true).access.unwrap();
    let names = |list: &[ir::AccessPolicy]| -> Vec<String> {
        list.iter().map(|policy| policy.name.to_string()).collect()
    };
    assert_eq!(names(access.allowed.as_ref().unwrap()), ["shop/a"]);
    assert_eq!(names(access.trial.allowed.as_ref().unwrap()), ["shop/a", "shop/b"]);
    assert_eq!(
        (names(&access.denied).len(), names(&access.trial.denied)),
        (0, vec!["shop/c".into()])
    );
    // Alone, it takes nothing from anybody.
    let alone = judged(vec![named("b", AccessAction::Allow, Shadow)], true).access.unwrap();
    assert_eq!(alone.allowed, None);
}

fn asks(name: &str, service: &str) -> AccessPolicy {
    let backend = BackendRef {
        group: "".into(),
        kind: "Service".into(),
        name: NamespacedName::new("shop", service),
        port: Some(1),
        pointer: "".into(),
    };
    let auth = ExternalAuth { backend, protocol: ExternalAuthProtocol::Grpc, fail_open: false };
    access("shop", name, "", AccessAction::Custom(auth))
}

#[test]
fn one_authorization_service_is_asked_and_a_second_ones_requests_are_refused() {
    let judged = judged(vec![asks("a", "x"), asks("b", "x"), asks("c", "y")], true);
    let access = judged.access.as_ref().unwrap();
    let asked = access.asked.as_ref().unwrap();
    let names: Vec<_> = asked.policies.iter().map(|policy| &*policy.name).collect();
    assert_eq!((names, &asked.service), (vec!["shop/a", "shop/b"], &Target::Cluster("x".into())));
    assert_eq!(&*access.denied[0].name, "shop/c");
    assert_eq!(codes_of(&judged), [1309]);
}

#[test]
fn nobody_is_asked_about_whole_connections() {
    let judged = judged(vec![asks("a", "x")], false);
    let access = judged.access.as_ref().unwrap();
    assert_eq!((&access.asked, &*access.denied[0].name), (&None, "shop/a"));
    assert_eq!(codes_of(&judged), [2007]);
}

/// Each of these Envoy 1.40 refuses, and with it the keys of everybody else.
#[test]
fn keys_that_a_proxy_would_refuse_are_left_out() {
    let x32 = "A".repeat(43);
    let modulus = format!("{}Q", "x".repeat(341));
    for (key, good) in [
        (r#"{"kty":"oct","k":"c2VjcmV0"}"#.to_string(), true),
        (r#"{"kty":"oct"}"#.to_string(), false),
        (r#"{"kty":"oct","k":""}"#.to_string(), false),
        (r#"{"kty":"oct","k":"c2VjcmV0","alg":"RS256"}"#.to_string(), false),
        (r#"{"kty":"EC"}"#.to_string(), false),
        (format!(r#"{{"kty":"EC","crv":"P-256","x":"{x32}","y":"AA"}}"#), false),
        (format!(r#"{{"kty":"EC","crv":"secp256k1","x":"{x32}","y":"{x32}"}}"#), false),
        (format!(r#"{{"kty":"OKP","crv":"Ed25519","x":"{x32}"}}"#), true),
        (format!(r#"{{"kty":"OKP","crv":"X25519","x":"{x32}"}}"#), false),
        (format!(r#"{{"kty":"RSA","n":"{modulus}","e":"AQAB"}}"#), true),
        (r#"{"kty":"RSA","n":"AQAB","e":"AQAB"}"#.to_string(), false),
        (format!(r#"{{"kty":"RSA","n":"{modulus}","e":"AQ!!"}}"#), false),
        (r#"{"kty":"new"}"#.to_string(), false),
        ("7".to_string(), false),
    ] {
        let found = keys::usable(&format!(r#"{{"keys":[{key}]}}"#));
        assert_eq!(found.is_ok(), good, "{key}: {found:?}");
        let (kept, unusable) =
            keys::usable(&format!(r#"{{"keys":[{key},{{"kty":"oct","k":"c2VjcmV0"}}]}}"#)).unwrap();
        assert_eq!(unusable.len(), usize::from(!good), "{key}");
        assert_eq!(kept.matches("kty").count(), if good { 2 } else { 1 }, "{key}");
    }
    for text in ["", "{}", "[]", r#"{"keys":[]}"#, r#"{"keys":7}"#] {
        assert!(keys::usable(text).is_err(), "{text}");
    }
}

#[test]
fn a_path_is_refused_however_its_slashes_are_written() {
    let calls = |action: AccessAction, target: AccessTarget| {
        let access = judged(vec![policy(action, vec![to(target)])], true).access.unwrap();
        let list = access.allowed.clone().unwrap_or_else(|| access.denied.clone());
        list[0].rules[0].call.clone()
    };
    let paths = || texts(&["/a.b/*"]);
    let these = || AccessTarget { paths: paths(), ..AccessTarget::default() };
    let others = || AccessTarget { not_paths: paths(), ..AccessTarget::default() };
    let wide = || Call::Path(TextMatch::Regex(r"(?:/|%2[fF])+a\.b(?:/|%2[fF])+.*".into()));
    let exact = || Call::Path(TextMatch::Prefix("/a.b/".into()));
    assert_eq!(calls(AccessAction::Deny, these()), wide());
    assert_eq!(calls(AccessAction::Deny, others()), Call::Not(Box::new(exact())));
    assert_eq!(calls(AccessAction::Allow, these()), exact());
    assert_eq!(calls(AccessAction::Allow, others()), Call::Not(Box::new(wide())));
}

/// Who lets in all but some does not mean those of whom nothing is known.
#[test]
fn all_but_some_are_known_callers() {
    let rule =
        || from(AccessSource { not_namespaces: texts(&["front"]), ..AccessSource::default() });
    let found = judged(vec![policy(AccessAction::Allow, vec![rule()])], true);
    let allowed = found.access.unwrap().allowed.clone().unwrap();
    match &allowed[0].rules[0].caller {
        Caller::All(parts) => assert!(parts.contains(&Caller::Authenticated), "{parts:?}"),
        other => panic!("{other:?}"),
    }
    // To refuse them is to refuse whoever is not one of those.
    let denied = caller(AccessSource { not_namespaces: texts(&["front"]), ..Default::default() });
    assert!(matches!(denied, Some(Caller::Not(_))), "{denied:?}");
}

/// A claim that must not have a value says nothing of requests without a JWT: they have none that is good.
#[test]
fn a_claim_that_is_not_so_is_one_of_a_good_jwt() {
    let when = |values: &[&str]| AccessRule {
        when: vec![AccessCondition {
            key: AccessKey::Claim(vec!["role".into()]),
            values: vec![],
            not_values: texts(values),
        }],
        ..AccessRule::default()
    };
    let jwt = vec![provider("i")];
    let with = AccessPolicy { jwt, ..policy(AccessAction::Allow, vec![when(&["guest"])]) };
    let allowed = judged(vec![with], true).access.unwrap().allowed.clone().unwrap();
    match &allowed[0].rules[0].call {
        Call::All(parts) => {
            assert_eq!(parts.len(), 2, "the claim, and that there is a JWT: {parts:?}");
        }
        other => panic!("{other:?}"),
    }
}
