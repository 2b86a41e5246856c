use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axum::http::Method;
use k8s_openapi::api::{apps, autoscaling, core, policy};
use model::{
    AllowedNamespaces, Fleet, FleetMode, FleetPort, FrontendTls, Gateway, GatewayConfig,
    Infrastructure, Kind as ModelKind, Locations, Meta, NamespacedName, ObjectKey, codes,
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::fake::Fake;
use super::kinds::Kind;
use super::live::{Heard, Seen, Watch};
use super::reconcile::{Outcome, Work, work};
use super::render::{Options, Rendered, render};
use super::run::{Fleets, Setup};

const CONTROLLER: &str = "isthmus.dev/gateway-controller";
const UID: &str = "the-gateway";

fn meta(kind: ModelKind, name: &str, uid: &str) -> Meta {
    let document = json!({"metadata": {"uid": uid}}).to_string();
    Meta {
        key: ObjectKey::new(kind, "shop", name),
        source: "kubernetes".into(),
        labels: Vec::new(),
        annotations: Vec::new(),
        generation: 1,
        created: None,
        locations: Arc::new(Locations::default()),
        document: document.into(),
    }
}

fn fleet(mode: FleetMode, spec: Value) -> Fleet {
    of(UID, mode, spec)
}

#[expect(clippy::needless_pass_by_value, reason = "literals at the call")]
fn of(uid: &str, mode: FleetMode, spec: Value) -> Fleet {
    let gateway = Gateway {
        meta: meta(ModelKind::Gateway, "edge", uid),
        class: "isthmus".into(),
        listeners: Vec::new(),
        addresses: Vec::new(),
        allowed_listeners: AllowedNamespaces::None,
        infrastructure: Infrastructure::default(),
        frontend: FrontendTls::default(),
        client_certificate: None,
    };
    let config = GatewayConfig {
        meta: meta(ModelKind::GatewayConfig, "usual", ""),
        mode: Some(mode),
        spec: spec.to_string().into(),
    };
    Fleet {
        gateway: Arc::new(gateway),
        mode,
        configs: vec![Arc::new(config)],
        ports: BTreeSet::from([FleetPort { port: 80, udp: false }]),
    }
}

fn options() -> Options {
    Options {
        controller: CONTROLLER.into(),
        xds: "isthmus:18000".parse().unwrap(),
        xds_ca: None,
        envoy_image: "envoy".into(),
    }
}

fn rendered(spec: Value) -> Rendered {
    render(&fleet(FleetMode::Managed, spec), &options())
}

fn object(rendered: &Rendered, kind: Kind) -> Value {
    let mut all = rendered.objects.iter();
    all.find(|object| object["kind"] == kind.as_str()).cloned().unwrap_or_default()
}

fn path(kind: Kind) -> String {
    let group = match kind.resource().0 {
        "" => "/api/v1".to_owned(),
        group => {
            let version = kind.api().version;
            format!("/apis/{group}/{version}")
        }
    };
    format!("{group}/namespaces/shop/{}/edge-isthmus", kind.resource().1)
}

/// Kubernetes' own reading of an object, and nothing of it lost on the way.
#[track_caller]
fn reads_as<T: DeserializeOwned + serde::Serialize>(object: &Value) {
    let read: T = serde_json::from_value(object.clone()).unwrap();
    assert_eq!(serde_json::to_value(read).unwrap(), *object);
}

#[test]
fn kubernetes_knows_every_field() {
    let spec = json!({
        "autoscaling": {"max": 9},
        "service": {"type": "NodePort", "externalTrafficPolicy": "Local"},
        "pod": {"tolerations": [{"operator": "Exists"}], "affinity": {"nodeAffinity": {}}},
    });
    let all = rendered(spec);
    assert_eq!(all.findings, []);
    reads_as::<core::v1::ServiceAccount>(&object(&all, Kind::ServiceAccount));
    reads_as::<core::v1::ConfigMap>(&object(&all, Kind::ConfigMap));
    reads_as::<core::v1::Service>(&object(&all, Kind::Service));
    reads_as::<apps::v1::Deployment>(&object(&all, Kind::Deployment));
    reads_as::<policy::v1::PodDisruptionBudget>(&object(&all, Kind::PodDisruptionBudget));
    reads_as::<autoscaling::v2::HorizontalPodAutoscaler>(&object(
        &all,
        Kind::HorizontalPodAutoscaler,
    ));
    let daemons = rendered(json!({"kind": "DaemonSet"}));
    reads_as::<apps::v1::DaemonSet>(&object(&daemons, Kind::DaemonSet));
}

fn writing(rendered: Rendered, kinds: &[Kind], known: bool) -> Work {
    let write = kinds.iter().map(|kind| (*kind, object(&rendered, *kind), known)).collect();
    Work { rendered: Some(Arc::new(rendered)), write, ..Work::default() }
}

async fn done(fake: &Fake, todo: Work) -> Outcome {
    let gateway = NamespacedName::new("shop", "edge");
    let meta = fleet(FleetMode::Managed, json!({})).gateway.meta.clone();
    work(&fake.client, &gateway, todo, Some(meta), CONTROLLER).await
}

#[tokio::test]
async fn what_somebody_else_has_set_is_left_out_and_noted() {
    let fake = Fake::start().await;
    fake.with(|inner| {
        inner.owned = vec![
            ("/spec/replicas", ".spec.replicas"),
            (
                "/spec/template/spec/containers/0/image",
                ".spec.template.spec.containers[name=\"envoy\"].image",
            ),
        ];
    });
    let out = done(&fake, writing(rendered(json!({})), &[Kind::Deployment], true)).await;
    assert!(out.findings.is_empty() && !out.again, "{out:?}");
    let kept = out.written[0].2.kept.clone().unwrap();
    assert_eq!(kept, ".spec.replicas .spec.template.spec.containers[name=\"envoy\"].image");
    let written = fake.get(&path(Kind::Deployment)).unwrap();
    assert_eq!(written["spec"]["replicas"], Value::Null);
    assert_eq!(written["spec"]["minReadySeconds"], 5);
}

#[tokio::test]
async fn what_was_there_before_and_is_not_ours_stays_as_it_is() {
    let fake = Fake::start().await;
    let theirs = json!({"metadata": {"name": "edge-isthmus"}, "spec": {"type": "ClusterIP"}});
    fake.put(&path(Kind::Service), theirs);
    let kinds = [Kind::ServiceAccount, Kind::Service];
    let out = done(&fake, writing(rendered(json!({})), &kinds, false)).await;
    assert_eq!(fake.writes(), ["PATCH serviceaccounts/edge-isthmus"]);
    assert_eq!(out.findings[0].code, codes::FLEET_FOREIGN);
    assert!(out.again);
    // Labels may be edited away; whose it is says its owner.
    let mut ours = object(&rendered(json!({})), Kind::Service);
    ours["metadata"]["labels"] = json!({});
    fake.put(&path(Kind::Service), ours);
    let out = done(&fake, writing(rendered(json!({})), &[Kind::Service], false)).await;
    assert!(out.findings.is_empty(), "{out:?}");
}

#[tokio::test]
async fn a_missing_permission_is_named_and_the_rest_is_done() {
    let fake = Fake::start().await;
    fake.with(|inner| inner.forbidden = Some(Method::PATCH));
    let out = done(&fake, writing(rendered(json!({})), &[Kind::Deployment], true)).await;
    let finding = &out.findings[0];
    assert_eq!(finding.code, codes::FLEET_FORBIDDEN);
    assert!(finding.text.starts_with("no permission to patch deployments in namespace shop"));
    assert!(
        finding.hint.contains(r#"apiGroups ["apps"], resources ["deployments"], verbs ["patch"]"#)
    );
    assert!(out.again);
}

#[tokio::test]
async fn the_autoscaler_finds_the_number_of_replicas_that_we_let_go_of() {
    let fake = Fake::start().await;
    let mut present = object(&rendered(json!({"replicas": 7})), Kind::Deployment);
    present["metadata"]["managedFields"] = json!([{
        "manager": "isthmus.dev/fleet", "operation": "Apply",
        "fieldsV1": {"f:spec": {"f:replicas": {}}},
    }]);
    fake.put(&path(Kind::Deployment), present);
    let scaled = rendered(json!({"autoscaling": {"max": 9}}));
    let out = done(&fake, writing(scaled, &[Kind::Deployment], true)).await;
    assert!(out.findings.is_empty(), "{out:?}");
    let bodies: Vec<_> = fake.with(|inner| {
        inner.writes.iter().map(|(_, _, body)| body["spec"]["replicas"].clone()).collect()
    });
    assert_eq!(bodies, [json!(7), Value::Null]);
}

fn seen(uid: &str) -> Seen {
    let owner = Some(("Gateway".to_owned(), "edge".to_owned(), UID.to_owned()));
    Seen { uid: uid.into(), owner, ..Seen::default() }
}

#[tokio::test]
async fn old_pods_serve_until_the_new_ones_do() {
    let fake = Fake::start().await;
    let name = NamespacedName::new("shop", "edge-isthmus");
    fake.put(&path(Kind::Deployment), json!({"metadata": {"uid": "old"}}));
    let swap = || Work {
        rendered: Some(Arc::new(rendered(json!({"kind": "DaemonSet"})))),
        delete: vec![(Kind::Deployment, name.clone(), seen("old"))],
        ..Work::default()
    };
    let daemons = |available: u32| json!({"metadata": {"generation": 1}, "status": {"observedGeneration": 1, "numberAvailable": available}});
    fake.put(&path(Kind::DaemonSet), daemons(0));
    let out = done(&fake, swap()).await;
    assert!(out.again && fake.writes().is_empty(), "{out:?}");
    fake.put(&path(Kind::DaemonSet), daemons(1));
    let out = done(&fake, swap()).await;
    assert!(!out.again && out.deleted == [(Kind::Deployment, name)], "{out:?}");
    assert_eq!(fake.get(&path(Kind::Deployment)), None);
}

/// A Gateway that cannot be read after an update of ours must not lose its proxies.
#[tokio::test]
async fn a_gateway_that_nobody_speaks_of_is_asked_about_first() {
    let fake = Fake::start().await;
    let gateway = "/apis/gateway.networking.k8s.io/v1/namespaces/shop/gateways/edge";
    let class = "/apis/gateway.networking.k8s.io/v1/gatewayclasses/isthmus";
    let name = NamespacedName::new("shop", "edge-isthmus");
    let doubtful = || Work {
        delete: vec![(Kind::Service, name.clone(), seen("it"))],
        doubtful: true,
        ..Work::default()
    };
    fake.put(&path(Kind::Service), json!({"metadata": {"uid": "it"}}));
    fake.put(gateway, json!({"metadata": {}, "spec": {"gatewayClassName": "isthmus"}}));
    fake.put(class, json!({"metadata": {}, "spec": {"controllerName": CONTROLLER}}));
    done(&fake, doubtful()).await;
    assert!(fake.get(&path(Kind::Service)).is_some());
    fake.put(class, json!({"metadata": {}, "spec": {"controllerName": "other"}}));
    done(&fake, doubtful()).await;
    assert_eq!(fake.get(&path(Kind::Service)), None);
    fake.put(&path(Kind::Service), json!({"metadata": {"uid": "it"}}));
    fake.with(|inner| inner.objects.remove(gateway));
    done(&fake, doubtful()).await;
    assert_eq!(fake.get(&path(Kind::Service)), None);
    // It is another one by now.
    fake.put(&path(Kind::Service), json!({"metadata": {"uid": "new"}}));
    let out = done(&fake, doubtful()).await;
    assert!(out.deleted.is_empty() && fake.get(&path(Kind::Service)).is_some(), "{out:?}");
}

/// The loop, without running it.
struct Bench {
    fleets: Fleets,
    _fake: Fake,
}

impl Bench {
    async fn new() -> Self {
        let fake = Fake::start().await;
        let (_, options) = watch::channel(Arc::new(options()));
        let (_, wanted) = watch::channel(None);
        let (_, leader) = watch::channel(true);
        let client = fake.client.clone();
        let setup = Setup { client, namespaces: Vec::new(), options, wanted, leader };
        Self { fleets: Fleets::new(setup).0, _fake: fake }
    }

    fn want(&mut self, fleet: Fleet) {
        self.fleets.want(Some(&[Arc::new(fleet)]));
    }

    fn see(&mut self, kind: Kind, object: Value) {
        let object = serde_json::from_value(object).unwrap();
        let name = NamespacedName::new("shop", "edge-isthmus");
        let heard = Heard::Changed(name, Some(Box::new(Seen::read(kind, &object))));
        self.fleets.hear(Watch { kind, namespace: None }, heard);
    }

    /// As they would be after a write.
    fn see_written(&mut self, fleet: &Fleet) {
        for mut object in render(fleet, &options()).objects {
            let kind = Kind::find(object["kind"].as_str().unwrap()).unwrap();
            let hash = super::apply::content_hash(&object);
            object["metadata"]["annotations"][super::names::HASH] = hash.into();
            object["metadata"]["uid"] = kind.as_str().into();
            self.see(kind, object);
        }
    }

    fn todo(&self) -> (Vec<&'static str>, Vec<&'static str>) {
        let work = self.fleets.work(&NamespacedName::new("shop", "edge"));
        (
            work.write.iter().map(|(kind, _, _)| kind.as_str()).collect(),
            work.delete.iter().map(|(kind, _, _)| kind.as_str()).collect(),
        )
    }
}

const NOTHING: (Vec<&str>, Vec<&str>) = (Vec::new(), Vec::new());

#[tokio::test]
async fn only_what_differs_is_written() {
    let mut bench = Bench::new().await;
    let usual = fleet(FleetMode::Managed, json!({}));
    bench.want(usual.clone());
    assert_eq!(bench.todo().0.len(), 5);
    bench.see_written(&usual);
    assert_eq!(bench.todo(), NOTHING);
    bench.want(fleet(FleetMode::Managed, json!({"service": {"type": "NodePort"}})));
    assert_eq!(bench.todo(), (vec!["Service"], vec![]));
    bench.want(fleet(FleetMode::Managed, json!({"kind": "DaemonSet"})));
    assert_eq!(bench.todo(), (vec!["DaemonSet"], vec!["Deployment", "PodDisruptionBudget"]));
    bench.want(fleet(FleetMode::External, json!({})));
    assert_eq!(bench.todo().1.len(), 5);
    // What cannot be made sense of changes nothing.
    bench.want(fleet(FleetMode::Managed, json!({"replicas": "many"})));
    assert_eq!(bench.todo(), NOTHING);
}

#[tokio::test]
async fn what_a_gateway_of_the_same_name_has_left_goes_first() {
    let mut bench = Bench::new().await;
    bench.see_written(&fleet(FleetMode::Managed, json!({})));
    bench.want(of("the-next-one", FleetMode::Managed, json!({})));
    assert_eq!(bench.todo(), NOTHING);
    let work = bench.fleets.work(&NamespacedName::new("shop", "edge"));
    assert_eq!(work.left_over.len(), 5);
}

#[tokio::test]
async fn an_older_state_that_comes_later_counts_for_nothing() {
    let mut bench = Bench::new().await;
    bench.want(fleet(FleetMode::Managed, json!({})));
    let service = |version: &str, ip: Option<&str>| {
        let ingress: Vec<_> = ip.iter().map(|ip| json!({"ip": ip})).collect();
        json!({
            "apiVersion": "v1", "kind": "Service",
            "metadata": {"uid": "it", "resourceVersion": version},
            "spec": {"type": "LoadBalancer", "clusterIPs": ["10.0.0.1"]},
            "status": {"loadBalancer": {"ingress": ingress}},
        })
    };
    bench.see(Kind::Service, service("9", Some("192.0.2.1")));
    bench.see(Kind::Service, service("8", None));
    let reached = bench.fleets.reached();
    let edge = &reached[&NamespacedName::new("shop", "edge")];
    assert_eq!(edge.addresses, ["192.0.2.1".into()]);
    bench.see(Kind::Service, service("10", None));
    assert_eq!(
        bench.fleets.reached(),
        BTreeMap::from([(NamespacedName::new("shop", "edge"), super::Reached::default())])
    );
}
