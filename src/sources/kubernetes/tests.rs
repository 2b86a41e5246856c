use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use kube::{Client, Config};
use model::{Batch, Change, Finding, Health, Kind, Object, ObjectKey, Severity, codes};
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot, watch};

use super::fake::Fake;
use super::{NAME, Options, Source, Taken};

const LIMIT: Duration = Duration::from_secs(60);

/// A listener: keeps what it was told, as the catalog would.
struct Bed {
    out: mpsc::Receiver<Batch>,
    taken: watch::Sender<Taken>,
    objects: BTreeMap<ObjectKey, Object>,
    refused: BTreeMap<ObjectKey, Arc<str>>,
    findings: BTreeMap<Arc<str>, Vec<Finding>>,
    health: Option<Health>,
    batches: usize,
    deletes: Vec<String>,
    _stop: oneshot::Sender<()>,
}

impl Bed {
    fn start(fake: &Fake) -> Self {
        Self::start_with(fake, |_| {})
    }

    fn start_with(fake: &Fake, change: impl FnOnce(&mut Options)) -> Self {
        let mut config = Config::new(format!("http://{}", fake.address).parse().unwrap());
        config.default_retry = false;
        let client = Client::try_from(config).unwrap();
        let mut options = Options {
            name: NAME.into(),
            url: fake.address.to_string(),
            namespaces: Vec::new(),
            pods: true,
            seed: Vec::new(),
        };
        change(&mut options);
        let (taken, taken_seen) = watch::channel(Taken::default());
        let (sender, out) = mpsc::channel(64);
        let (stop, stopped) = oneshot::channel::<()>();
        let source = Source::new(client, options, taken_seen);
        tokio::spawn(source.run(sender, async {
            let _ = stopped.await;
        }));
        Self {
            out,
            taken,
            objects: BTreeMap::new(),
            refused: BTreeMap::new(),
            findings: BTreeMap::new(),
            health: None,
            batches: 0,
            deletes: Vec::new(),
            _stop: stop,
        }
    }

    fn take(&mut self, batch: Batch) {
        self.batches += 1;
        for change in batch.changes {
            match change {
                Change::Apply(object) => {
                    self.refused.remove(object.key());
                    self.objects.insert(object.key().clone(), object);
                }
                Change::Delete(key) => {
                    self.refused.remove(&key);
                    self.deletes.push(key.to_string());
                    self.objects.remove(&key);
                }
                Change::Refused(refused) => {
                    self.refused.insert(refused.object.key().clone(), refused.reason);
                }
                Change::Findings { scope, findings } if findings.is_empty() => {
                    self.findings.remove(&scope);
                }
                Change::Findings { scope, findings } => {
                    self.findings.insert(scope, findings);
                }
                Change::Health(health) => self.health = Some(health),
                other => panic!("{other:?}"),
            }
        }
        // As the catalog: what Gateways name.
        let gateways = self.objects.values().filter_map(|object| match object {
            Object::Gateway(gateway) => Some(gateway),
            _ => None,
        });
        let references: BTreeSet<_> = gateways
            .flat_map(|gateway| gateway.listeners.iter().flat_map(|l| &l.certificates))
            .map(|r| ObjectKey::new(Kind::Secret, &r.namespace, &r.name))
            .collect();
        self.taken.send_modify(|taken| {
            taken.batches += 1;
            if *taken.references != references {
                taken.references = Arc::new(references);
            }
        });
    }

    /// Takes what comes until it holds.
    #[track_caller]
    fn until(&mut self, holds: impl Fn(&Self) -> bool) -> impl Future<Output = ()> {
        let caller = std::panic::Location::caller();
        async move {
            let wait = async {
                while !holds(self) {
                    let batch = self.out.recv().await.expect("a running source");
                    self.take(batch);
                }
            };
            if tokio::time::timeout(LIMIT, wait).await.is_err() {
                let (health, findings) = (&self.health, &self.findings);
                panic!("{caller}: not in time; {health:?} {findings:?} {:?}", self.names());
            }
        }
    }

    async fn live(&mut self) {
        self.until(|bed| bed.health == Some(Health::Live)).await;
    }

    fn names(&self) -> Vec<String> {
        self.objects.keys().map(ToString::to_string).collect()
    }

    fn has(&self, kind: Kind, name: &str) -> bool {
        self.objects.keys().any(|key| key.kind == kind && *key.name.name == *name)
    }

    fn document(&self, kind: Kind, name: &str) -> Value {
        let object = self
            .objects
            .values()
            .find(|object| object.key().kind == kind && *object.key().name.name == *name);
        serde_json::from_str(&object.unwrap().meta().document).unwrap()
    }

    fn said(&self, code: model::Code) -> Vec<&Finding> {
        self.findings.values().flatten().filter(|finding| finding.code == code).collect()
    }
}

fn route(path: &str) -> Value {
    json!({"metadata": {"generation": 1}, "spec": {
        "parentRefs": [{"name": "edge"}],
        "rules": [{"matches": [{"path": {"type": "PathPrefix", "value": path}}],
                   "backendRefs": [{"name": "a", "port": 80}]}],
    }})
}

fn gateway(secret: &str) -> Value {
    json!({"spec": {"gatewayClassName": "isthmus", "listeners": [{
        "name": "https", "port": 443, "protocol": "HTTPS", "tls": {"certificateRefs": [{"name": secret}]},
    }]}})
}

fn secret() -> Value {
    json!({"type": "Opaque", "data": {"password": "c2VjcmV0"}})
}

#[tokio::test]
async fn what_there_is_comes_and_only_secrets_that_are_referred_to_are_fetched() {
    let fake = Fake::started();
    fake.put(Kind::Gateway, "shop", "edge", gateway("cert"));
    fake.put(Kind::Secret, "shop", "cert", secret());
    fake.put(Kind::Secret, "shop", "other", secret());
    fake.put(Kind::HttpRoute, "shop", "orders", route("/orders"));
    fake.put(
        Kind::Node,
        "",
        "n1",
        json!({"metadata": {"labels": {"topology.kubernetes.io/zone": "z"}},
        "spec": {"podCIDR": "10.0.0.0/24"}, "status": {"images": []}}),
    );
    let mut bed = Bed::start(&fake);
    bed.live().await;
    assert_eq!(
        bed.names(),
        ["Gateway shop/edge", "HTTPRoute shop/orders", "Node n1", "Secret shop/cert"]
    );
    assert_eq!(
        bed.document(Kind::Node, "n1"),
        json!({"apiVersion": "v1", "kind": "Node",
               "metadata": {"name": "n1", "labels": {"topology.kubernetes.io/zone": "z"}}})
    );
    assert!(bed.document(Kind::HttpRoute, "orders")["metadata"].get("managedFields").is_none());
    assert_eq!(fake.requests("/secrets/other"), [""; 0]);

    // Referred to, changed, and gone.
    fake.put(Kind::Gateway, "shop", "edge", gateway("other"));
    bed.until(|bed| bed.has(Kind::Secret, "other") && !bed.has(Kind::Secret, "cert")).await;
    let changed = json!({"type": "Opaque", "data": {"password": "bmV3"}});
    fake.put(Kind::Secret, "shop", "other", changed);
    bed.until(|bed| bed.document(Kind::Secret, "other")["data"]["password"] == "bmV3").await;
    fake.delete(Kind::Secret, "shop", "other");
    bed.until(|bed| !bed.has(Kind::Secret, "other")).await;
    fake.delete(Kind::HttpRoute, "shop", "orders");
    bed.until(|bed| !bed.has(Kind::HttpRoute, "orders")).await;
}

#[tokio::test]
async fn of_pods_only_those_that_run_are_asked_for_and_little_is_kept() {
    let fake = Fake::started();
    let pod = json!({
        "metadata": {"labels": {"app": "web"}, "annotations": {"a": "b"}},
        "spec": {"serviceAccountName": "web", "containers": [{"name": "app", "env": [{"name": "A", "value": "secret"}]}]},
        "status": {"phase": "Running", "podIPs": [{"ip": "10.0.0.1"}], "hostIP": "10.9.0.1"},
    });
    fake.put(Kind::Pod, "shop", "web-1", pod);
    let mut bed = Bed::start(&fake);
    bed.live().await;
    assert_eq!(
        bed.document(Kind::Pod, "web-1"),
        json!({"apiVersion": "v1", "kind": "Pod",
               "metadata": {"name": "web-1", "namespace": "shop", "labels": {"app": "web"}},
               "spec": {"serviceAccountName": "web"}, "status": {"podIPs": [{"ip": "10.0.0.1"}]}})
    );
    let asked = fake.requests("/pods");
    assert!(
        !asked.is_empty() && asked.iter().all(|url| url.contains("fieldSelector=")),
        "{asked:?}"
    );
}

#[tokio::test]
async fn pods_are_not_asked_for_without_a_mesh() {
    let fake = Fake::started();
    fake.put(Kind::Pod, "shop", "web-1", json!({"status": {"podIPs": [{"ip": "10.0.0.1"}]}}));
    let mut bed = Bed::start_with(&fake, |options| options.pods = false);
    bed.live().await;
    assert_eq!((bed.names(), bed.findings.len()), (Vec::new(), 0));
    assert_eq!(fake.requests("/pods"), [""; 0]);
}

#[tokio::test]
async fn a_server_without_streaming_lists_is_listed_and_watched() {
    let fake = Fake::started();
    fake.without_streaming();
    fake.put(Kind::HttpRoute, "shop", "orders", route("/orders"));
    let mut bed = Bed::start(&fake);
    bed.live().await;
    assert_eq!(bed.names(), ["HTTPRoute shop/orders"]);
    fake.put(Kind::HttpRoute, "shop", "pay", route("/pay"));
    bed.until(|bed| bed.has(Kind::HttpRoute, "pay")).await;
}

#[tokio::test]
async fn nothing_is_said_to_be_live_before_all_kinds_are_listed() {
    let fake = Fake::started();
    fake.put(Kind::HttpRoute, "shop", "orders", route("/orders"));
    fake.hide(Kind::ReferenceGrant);
    let mut bed = Bed::start(&fake);
    bed.until(|bed| bed.has(Kind::HttpRoute, "orders")).await;
    assert_eq!(bed.health, Some(Health::Syncing));
    fake.define(Kind::ReferenceGrant, "v1");
    bed.live().await;
}

#[tokio::test]
async fn a_bad_object_costs_itself_and_a_bad_rule_its_rule() {
    let fake = Fake::started();
    fake.put(Kind::HttpRoute, "shop", "good", route("/good"));
    let mut bad = route("/a");
    bad["spec"]["rules"][0]["matches"] = json!([
        {"path": {"type": "RegularExpression", "value": "/(a"}},
        {"path": {"type": "Exact", "value": "/b"}},
        {"path": {"type": "Exact", "value": "/c"}, "cookies": [{"name": "x"}]},
    ]);
    bad["spec"]["rules"][0]["novelty"] = json!(true);
    fake.put(Kind::HttpRoute, "shop", "bad-rule", bad);
    fake.put(
        Kind::HttpRoute,
        "shop",
        "bad",
        json!({"spec": {"hostnames": ["no host"], "parentRefs": [{"name": "edge"}]}}),
    );
    let mut bed = Bed::start(&fake);
    bed.live().await;
    assert_eq!(bed.names(), ["HTTPRoute shop/bad-rule", "HTTPRoute shop/good"]);
    let key = ObjectKey::new(Kind::HttpRoute, "shop", "bad-rule");
    let rule = &bed.objects[&key].as_route().unwrap().rules[0];
    assert_eq!(rule.matches.len(), 1, "{:?}", rule.matches);
    assert_eq!(rule.matches[0].path, model::PathMatch::Exact("/b".into()));
    assert_eq!(rule.fault.as_deref(), Some("unknown field `cookies`"));
    let bad = ObjectKey::new(Kind::HttpRoute, "shop", "bad");
    let reason = &bed.refused[&bad];
    assert!(reason.contains("/spec/hostnames/0"), "{reason}");

    // Mended, and clean.
    fake.put(Kind::HttpRoute, "shop", "bad", route("/mended"));
    bed.until(|bed| bed.has(Kind::HttpRoute, "bad")).await;
    assert!(bed.refused.is_empty());
    assert!(
        bed.findings.keys().all(|scope| **scope == *"HTTPRoute shop/bad-rule"),
        "{:?}",
        bed.findings
    );
    // Broken again: its last good version stays.
    fake.put(Kind::HttpRoute, "shop", "bad", json!({"spec": {"hostnames": ["no host"]}}));
    bed.until(|bed| bed.refused.contains_key(&bad)).await;
    assert!(bed.document(Kind::HttpRoute, "bad").to_string().contains("/mended"));
}

#[tokio::test]
async fn what_may_not_be_read_keeps_what_is_known_and_comes_back_by_itself() {
    let fake = Fake::started();
    fake.put(Kind::HttpRoute, "shop", "orders", route("/orders"));
    fake.forbid(Kind::EndpointSlice);
    let mut bed = Bed::start(&fake);
    let degraded = |bed: &Bed| matches!(bed.health, Some(Health::Degraded { .. }));
    bed.until(degraded).await;
    assert!(bed.has(Kind::HttpRoute, "orders"));
    let said = bed.said(codes::KUBERNETES_FORBIDDEN);
    assert_eq!(said.len(), 1);
    assert!(said[0].text.contains("endpointslices.discovery.k8s.io"), "{}", said[0].text);
    assert_eq!(
        said[0].hint,
        "add to the ClusterRole: apiGroups: [\"discovery.k8s.io\"], resources: [\"endpointslices\"], \
         verbs: [get, list, watch]"
    );
    fake.permit(Kind::EndpointSlice);
    bed.live().await;
    assert!(bed.findings.is_empty());

    fake.forbid(Kind::HttpRoute);
    bed.until(degraded).await;
    fake.put(Kind::Gateway, "shop", "edge", gateway("cert"));
    bed.until(|bed| bed.has(Kind::Gateway, "edge")).await;
    assert!(bed.has(Kind::HttpRoute, "orders"), "the last known one stays");
    fake.permit(Kind::HttpRoute);
    bed.live().await;
    assert!(bed.deletes.is_empty());
}

#[tokio::test]
async fn secrets_that_may_not_be_read_are_told_and_come_when_they_may() {
    let fake = Fake::started();
    fake.put(Kind::Gateway, "shop", "edge", gateway("cert"));
    fake.put(Kind::Secret, "shop", "cert", secret());
    fake.forbid(Kind::Secret);
    let mut bed = Bed::start(&fake);
    bed.until(|bed| bed.said(codes::KUBERNETES_FORBIDDEN).len() == 2).await;
    fake.permit(Kind::Secret);
    bed.live().await;
    bed.until(|bed| bed.has(Kind::Secret, "cert")).await;
    assert!(bed.findings.is_empty(), "{:?}", bed.findings);
}

#[tokio::test]
async fn a_kind_that_is_not_served_is_off_until_it_is() {
    let fake = Fake::started();
    fake.undefine(Kind::TcpRoute);
    fake.put(Kind::HttpRoute, "shop", "orders", route("/orders"));
    let mut bed = Bed::start(&fake);
    bed.live().await;
    let said = bed.said(codes::KUBERNETES_KIND_OFF);
    assert_eq!(said.iter().map(|f| f.severity).collect::<Vec<_>>(), [Severity::Info]);
    assert!(said[0].text.contains("TCPRoute"), "{}", said[0].text);

    // In an older version.
    fake.define(Kind::TcpRoute, "v1alpha2");
    let spec = json!({"parentRefs": [{"name": "edge"}], "rules": [{"backendRefs": [{"name": "a", "port": 80}]}]});
    fake.put(Kind::TcpRoute, "shop", "mail", json!({"spec": spec}));
    bed.until(|bed| bed.has(Kind::TcpRoute, "mail")).await;
    bed.until(|bed| bed.findings.is_empty()).await;
    let document = bed.document(Kind::TcpRoute, "mail");
    assert_eq!(document["apiVersion"], "gateway.networking.k8s.io/v1alpha2");

    // Not there for a moment: nothing goes.
    fake.hide(Kind::HttpRoute);
    bed.until(|bed| matches!(bed.health, Some(Health::Degraded { .. }))).await;
    fake.define(Kind::HttpRoute, "v1");
    bed.live().await;
    assert!(bed.deletes.is_empty());

    // Gone for good.
    fake.undefine(Kind::HttpRoute);
    bed.until(|bed| !bed.has(Kind::HttpRoute, "orders")).await;
    assert_eq!(bed.deletes, ["HTTPRoute shop/orders"]);
    assert_eq!(bed.said(codes::KUBERNETES_KIND_OFF).len(), 1);
}

#[tokio::test]
async fn a_server_that_is_away_takes_nothing_with_it() {
    let mut fake = Fake::started();
    fake.put(Kind::HttpRoute, "shop", "orders", route("/orders"));
    fake.put(Kind::HttpRoute, "shop", "pay", route("/pay"));
    let mut bed = Bed::start(&fake);
    bed.live().await;
    fake.kill();
    bed.until(|bed| matches!(bed.health, Some(Health::Stale { .. }))).await;
    assert_eq!(bed.said(codes::KUBERNETES_UNREACHABLE).len(), 1);
    assert!(bed.deletes.is_empty());
    // What happened meanwhile is seen in the new list, a deletion too.
    fake.forget(Kind::HttpRoute, "shop", "pay");
    fake.start();
    bed.live().await;
    assert_eq!(bed.names(), ["HTTPRoute shop/orders"]);
    assert!(bed.findings.is_empty());
}

#[tokio::test]
async fn a_version_that_is_too_old_costs_a_list_and_nothing_else() {
    let fake = Fake::started();
    fake.put(Kind::HttpRoute, "shop", "orders", route("/orders"));
    fake.put(Kind::HttpRoute, "shop", "pay", route("/pay"));
    let mut bed = Bed::start(&fake);
    bed.live().await;
    fake.forget(Kind::HttpRoute, "shop", "pay");
    fake.compact();
    bed.until(|bed| !bed.has(Kind::HttpRoute, "pay")).await;
    assert_eq!(bed.names(), ["HTTPRoute shop/orders"]);
    assert_eq!(bed.deletes, ["HTTPRoute shop/pay"]);
}

/// What a start before this one had kept.
fn seed(fake: &Fake) -> Vec<Object> {
    let _ = fake;
    let object = |kind, name: &str, mut json: Value| {
        json["metadata"]["namespace"] = json!("shop");
        json["metadata"]["name"] = json!(name);
        let (served, _) = kinds::served(&NAME.into(), kind, "v1", &json);
        let kinds::Served::Object(object) = served else { panic!("{name}") };
        object
    };
    vec![
        object(Kind::Gateway, "edge", gateway("cert")),
        object(Kind::HttpRoute, "old", route("/old")),
        object(Kind::HttpRoute, "orders", route("/before")),
        object(Kind::Secret, "cert", secret()),
    ]
}

#[tokio::test]
async fn without_the_server_what_was_kept_stands_in() {
    let mut fake = Fake::new();
    let mut bed = Bed::start_with(&fake, |options| options.seed = seed(&fake));
    bed.until(|bed| matches!(bed.health, Some(Health::Stale { .. }))).await;
    assert_eq!(
        bed.names(),
        ["Gateway shop/edge", "HTTPRoute shop/old", "HTTPRoute shop/orders", "Secret shop/cert"]
    );
    fake.put(Kind::Gateway, "shop", "edge", gateway("cert"));
    fake.put(Kind::Secret, "shop", "cert", secret());
    // Not good now, and its last good version is only known from before.
    fake.put(Kind::HttpRoute, "shop", "orders", json!({"spec": {"hostnames": ["no host"]}}));
    fake.start();
    bed.live().await;
    assert_eq!(bed.names(), ["Gateway shop/edge", "HTTPRoute shop/orders", "Secret shop/cert"]);
    assert_eq!(bed.deletes, ["HTTPRoute shop/old"]);
    assert_eq!(bed.refused.len(), 1);
}

#[tokio::test]
async fn with_the_server_what_was_kept_is_not_shown_first() {
    let fake = Fake::started();
    fake.put(Kind::HttpRoute, "shop", "orders", route("/orders"));
    fake.forbid(Kind::Gateway);
    let mut bed = Bed::start_with(&fake, |options| options.seed = seed(&fake));
    bed.until(|bed| matches!(bed.health, Some(Health::Degraded { .. }))).await;
    // What may not be read now stays as it was.
    assert_eq!(bed.names(), ["Gateway shop/edge", "HTTPRoute shop/orders"]);
    assert!(bed.document(Kind::HttpRoute, "orders").to_string().contains("/orders"));
    assert!(bed.deletes.is_empty());
}

#[tokio::test]
async fn some_namespaces_are_read_each_by_itself() {
    let fake = Fake::started();
    for namespace in ["infra", "shop", "other"] {
        fake.put(Kind::HttpRoute, namespace, "orders", route("/orders"));
        fake.put(Kind::Gateway, namespace, "edge", gateway("cert"));
        fake.put(Kind::Secret, namespace, "cert", secret());
    }
    fake.forbid(Kind::Node);
    let namespaces = vec!["infra".into(), "shop".into()];
    let mut bed = Bed::start_with(&fake, |options| options.namespaces = namespaces);
    bed.until(|bed| matches!(bed.health, Some(Health::Degraded { .. }))).await;
    assert_eq!(
        bed.names(),
        [
            "Gateway infra/edge",
            "Gateway shop/edge",
            "HTTPRoute infra/orders",
            "HTTPRoute shop/orders",
            "Secret infra/cert",
            "Secret shop/cert",
        ]
    );
    assert_eq!(fake.requests("/v1/httproutes"), [""; 0]);
    assert_eq!(fake.requests("/v1/secrets"), [""; 0]);
}

#[tokio::test]
async fn many_slices_are_few_steps() {
    const SLICES: usize = 10_000;
    let fake = Fake::started();
    let slice = |host: usize| {
        json!({"metadata": {"labels": {"kubernetes.io/service-name": "a"}}, "addressType": "IPv4",
               "ports": [{"name": "", "port": 80}],
               "endpoints": [{"addresses": [format!("10.0.{}.{}", host / 250, host % 250 + 1)], "nodeName": "n1"}]})
    };
    for n in 0..SLICES {
        fake.put(Kind::EndpointSlice, "shop", &format!("a-{n}"), slice(n));
    }
    let mut bed = Bed::start(&fake);
    bed.live().await;
    assert_eq!(bed.objects.len(), SLICES);
    assert!(bed.batches < SLICES / 20, "{} batches", bed.batches);
    let Object::EndpointSlice(first) = bed.objects.values().next().unwrap() else { panic!() };
    assert_eq!(first.endpoints[0].node.as_deref(), Some("n1"));
}
