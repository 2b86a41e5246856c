//! What only people see: near misses, doubts, words. Whether it is true, the real Envoy says (`conformance/envoy/why`).

use catalog::Merger;
use compile::{Bind, Compiler, GroupKey};
use model::{Batch, Change, NamespacedName};

use crate::{Answer, End, Request, Stage, gateway};

const DOCUMENTS: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: isthmus}
spec: {controllerName: isthmus.dev/gateway-controller}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: edge, namespace: shop}
spec:
  gatewayClassName: isthmus
  listeners: [{name: web, port: 8080, protocol: HTTP}]
---
apiVersion: isthmus.dev/v1alpha1
kind: MeshService
metadata: {name: pay, namespace: shop}
spec:
  ports: [{name: http, port: 80}]
  sources: [{static: {endpoints: [{address: 10.0.0.1, port: 1}, {address: 10.0.0.2, port: 1}]}}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: pay, namespace: shop}
spec:
  parentRefs: [{name: edge}]
  hostnames: [shop.example.com]
  rules:
  - matches: [{path: {type: PathPrefix, value: /pay}, headers: [{name: x-user, value: tester}]}]
    backendRefs: [{group: isthmus.dev, kind: MeshService, name: pay}]
  - matches: [{path: {type: Exact, value: /pays}}]
    backendRefs: [{group: isthmus.dev, kind: MeshService, name: pay}]
  - matches: [{path: {type: PathPrefix, value: /}}]
    backendRefs: [{group: isthmus.dev, kind: MeshService, name: pay}]
---
apiVersion: isthmus.dev/v1alpha1
kind: AccessPolicy
metadata: {name: staff, namespace: shop}
spec:
  targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: edge}]
  action: Deny
  rules: [{from: [{ipBlocks: [192.0.2.0/24]}], to: [{paths: [/staff*]}]}]
";

#[track_caller]
fn ask(url: &str, headers: &[(&str, &str)], ip: Option<&str>) -> Answer {
    let parsed = kinds::parse(
        &"file".into(),
        &"a.yaml".into(),
        DOCUMENTS.as_bytes(),
        kinds::Limits::default(),
    );
    assert!(parsed.findings.is_empty(), "{:?}", parsed.findings);
    let changes = parsed.objects.into_iter().map(Change::Apply).collect();
    let applied = Merger::default().apply(Batch { source: "file".into(), changes });
    let mut compiler = Compiler::new("isthmus.dev/gateway-controller".into(), Bind::Any);
    compiler.update(&applied.catalog, &[]);
    let plan = compiler.plan(&GroupKey::Gateway(NamespacedName::new("shop", "edge"))).unwrap();
    let headers: Vec<_> =
        headers.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
    let request = Request::parse("", url, &headers, ip, None).unwrap();
    gateway(plan, &request)
}

fn near(answer: &Answer, stage: Stage) -> Vec<&str> {
    let steps = answer.steps.iter().filter(|step| step.stage == stage);
    steps.flat_map(|step| &step.near).map(|near| near.text.as_str()).collect()
}

#[test]
fn what_nearly_fits_is_said_the_nearest_first() {
    let answer =
        ask("http://shop.example.com:8080/pay/1", &[("x-user", "guest")], Some("10.1.1.1"));
    assert_eq!(answer.outcome.end, End::Forwarded);
    assert_eq!(answer.summary, "goes to shop/pay:80, by HTTPRoute shop/pay rule 2");
    assert_eq!(
        near(&answer, Stage::Route),
        [
            "HTTPRoute shop/pay rule 0: header x-user is `guest`, not `tester`",
            "HTTPRoute shop/pay rule 1: path /pay/1 is not exactly /pays",
        ]
    );
    assert!(answer.steps.iter().all(|step| step.sure), "{:?}", answer.steps);
    let [choice] = &answer.outcome.clusters[..] else { panic!("{:?}", answer.outcome) };
    assert_eq!((choice.endpoints, choice.healthy), (2, 2));
}

#[test]
fn a_host_that_is_much_like_another_is_named() {
    let answer = ask("http://shopp.example.com:8080/", &[], None);
    assert_eq!((answer.outcome.end, answer.outcome.status), (End::NoRoute, Some(404)));
    assert_eq!(near(&answer, Stage::VirtualHost), ["there are routes for shop.example.com"]);
}

#[test]
fn the_usual_port_may_be_mapped_to_the_only_one_there_is() {
    let answer = ask("http://shop.example.com/", &[], Some("10.1.1.1"));
    assert_eq!(answer.outcome.end, End::Forwarded);
    assert!(!answer.steps[0].sure);
    let answer = ask("http://shop.example.com:81/", &[], None);
    assert_eq!(answer.outcome.end, End::NoListener);
    assert_eq!(near(&answer, Stage::Listener), ["port 8080 is listened on"]);
}

#[test]
fn what_depends_on_who_calls_is_said_to() {
    let url = "http://shop.example.com:8080/staff/x";
    assert_eq!(ask(url, &[], Some("192.0.2.9")).outcome.end, End::Refused);
    assert_eq!(ask(url, &[], Some("10.1.1.1")).outcome.end, End::Forwarded);
    let answer = ask(url, &[], None);
    assert_eq!(answer.outcome.end, End::Forwarded);
    let doubt = answer.steps.iter().find(|step| !step.sure).unwrap();
    assert!(doubt.text.contains("the client's address"), "{}", doubt.text);
}
