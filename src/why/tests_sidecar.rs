//! The way out of an app with a sidecar, and the way in.

use std::sync::Arc;

use catalog::Merger;
use compile::{Bind, Compiler, GroupKey, SidecarKey};
use model::{Batch, Change, Identity, NamespacedName};

use crate::{Answer, End, Request, inbound, outbound};

const DOCUMENTS: &str = "
apiVersion: v1
kind: Service
metadata: {name: orders, namespace: shop}
spec:
  clusterIP: 10.96.0.1
  selector: {app: orders}
  ports: [{name: http, port: 80, targetPort: 8080, appProtocol: http}, {name: raw, port: 90, targetPort: 9090, appProtocol: tcp}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: orders, namespace: shop, labels: {kubernetes.io/service-name: orders}}
addressType: IPv4
ports: [{name: http, port: 8080}, {name: raw, port: 9090}]
endpoints: [{addresses: [10.0.0.1]}, {addresses: [10.0.0.2]}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: orders, namespace: shop}
spec:
  parentRefs: [{group: '', kind: Service, name: orders, port: 80}]
  rules:
  - matches: [{path: {type: PathPrefix, value: /v1}}]
    backendRefs: [{name: orders, port: 80}]
---
apiVersion: isthmus.dev/v1alpha1
kind: AccessPolicy
metadata: {name: web-only, namespace: shop}
spec:
  targetRefs: [{group: '', kind: Service, name: orders, sectionName: http}]
  rules: [{from: [{principals: [cluster.local/ns/shop/sa/web]}]}]
---
apiVersion: isthmus.dev/v1alpha1
kind: PeerPolicy
metadata: {name: raw, namespace: shop}
spec: {workloadSelector: {matchLabels: {app: orders}}, mtls: Permissive, ports: {'9090': Strict}}
";

struct World {
    compiler: Compiler,
    own: GroupKey,
    scope: GroupKey,
}

fn world(more: &str) -> World {
    let text = format!("{DOCUMENTS}{more}");
    let limits = kinds::Limits::default();
    let parsed = kinds::parse(&"file".into(), &"a.yaml".into(), text.as_bytes(), limits);
    assert!(parsed.findings.is_empty(), "{:?}", parsed.findings);
    let changes = parsed.objects.into_iter().map(Change::Apply).collect();
    let applied = Merger::default().apply(Batch { source: "file".into(), changes });
    let mut compiler = Compiler::new("isthmus.dev/gateway-controller".into(), Bind::Any);
    let labels: Arc<[_]> = [("app".into(), "orders".into())].into();
    let identity = Identity::Account(NamespacedName::new("shop", "orders"));
    let own = GroupKey::Sidecar(SidecarKey { namespace: "shop".into(), identity, labels });
    compiler.want(&[own.clone()].into());
    compiler.update(&applied.catalog, &[]);
    let scope = compiler.base(&own).unwrap();
    World { compiler, own, scope }
}

fn request(url: &str, host: &str, identity: Option<&str>) -> Request {
    let headers: Vec<_> =
        [host].iter().filter(|h| !h.is_empty()).map(|h| ("host".into(), h.to_string())).collect();
    Request::parse("", url, &headers, Some("10.0.0.9"), identity).unwrap()
}

impl World {
    fn out(&self, url: &str, host: &str) -> Answer {
        outbound(self.compiler.plan(&self.scope).unwrap(), &request(url, host, None))
    }

    fn come(&self, url: &str, identity: Option<&str>) -> Answer {
        let plan = |key| self.compiler.plan(key).unwrap();
        inbound(plan(&self.own), plan(&self.scope), &request(url, "", identity))
    }
}

#[track_caller]
fn goes(answer: &Answer, service: &str, endpoints: usize) {
    assert_eq!(answer.outcome.end, End::Forwarded, "{answer:?}");
    let [choice] = &answer.outcome.clusters[..] else { panic!("{answer:?}") };
    assert_eq!((&*choice.service, choice.endpoints), (service, endpoints), "{answer:?}");
    assert!(answer.steps.iter().all(|step| step.sure), "{answer:?}");
}

#[test]
fn a_service_is_called_by_name_by_address_and_by_instance() {
    let world = world("");
    for url in ["http://orders/v1", "http://orders.shop.svc:80/v1/x", "http://10.96.0.1/v1"] {
        goes(&world.out(url, ""), "shop/orders:80", 2);
    }
    // The host header decides on ports with HTTP, whoever was dialled.
    goes(&world.out("http://192.0.2.1/v1", "orders.shop"), "shop/orders:80", 2);
    // Instances that the app picked get what it asks for, if a route lets it.
    goes(&world.out("http://10.0.0.2:8080/v1", ""), "shop/orders:80", 1);
    let none = world.out("http://orders/v2", "");
    assert_eq!(none.outcome.status, Some(404), "{none:?}");
    // Whole connections.
    goes(&world.out("http://10.96.0.1:90/v2", ""), "shop/orders:90", 2);
}

#[test]
fn whoever_nobody_knows_is_let_through_or_not() {
    goes(&world("").out("http://192.0.2.1/v2", "elsewhere.test"), "passthrough", 0);
    goes(&world("").out("http://192.0.2.1:7777/", ""), "passthrough", 0);
    let only = world(
        "---
apiVersion: isthmus.dev/v1alpha1
kind: SidecarScope
metadata: {name: default, namespace: shop}
spec: {outboundMode: RegistryOnly}
",
    );
    let refused = only.out("http://192.0.2.1/v2", "elsewhere.test");
    assert_eq!((refused.outcome.end, refused.outcome.status), (End::Answered, Some(502)));
    let closed = only.out("http://192.0.2.1:7777/", "");
    assert_eq!((closed.outcome.end, closed.outcome.status), (End::NoRoute, None));
}

#[test]
fn policies_decide_who_comes_in() {
    let world = world("");
    let web = Some("spiffe://cluster.local/ns/shop/sa/web");
    goes(&world.come("http://10.0.0.1:8080/v1", web), "inbound", 0);
    for other in [Some("spiffe://cluster.local/ns/shop/sa/other"), None] {
        let answer = world.come("http://10.0.0.1:8080/v1", other);
        assert_eq!((answer.outcome.end, answer.outcome.status), (End::Refused, Some(403)));
    }
    // Only the mesh is let in there, although it is elsewhere.
    goes(&world.come("http://10.0.0.1:9090/", web), "inbound", 0);
    assert_eq!(world.come("http://10.0.0.1:9090/", None).outcome.end, End::NoListener);
    goes(&world.come("http://10.0.0.1:7070/", None), "inbound", 0);
}
