use api::traffic::{
    Observation, Rates, RequestRow, RequestsQuery, Series, SeriesQuery, Topology, TopologyQuery,
};
use compile::Bind;
use model::{Batch, Change, Host, Instance, RegistryService, Report};
use tokio::sync::broadcast;

use super::*;
use crate::registries::{self, Feed};

const DOCUMENTS: &str = "
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {ports: [{name: http, port: 80}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web-1, namespace: shop, labels: {kubernetes.io/service-name: web}}
addressType: IPv4
ports: [{name: http, port: 8080}]
endpoints: [{addresses: [10.0.0.1]}, {addresses: [10.0.0.2], conditions: {ready: false}}]
---
apiVersion: isthmus.dev/v1alpha1
kind: MeshService
metadata: {name: orders, namespace: shop}
spec:
  hosts: [orders.test]
  ports: [{port: 80, protocol: HTTP}]
  sources:
  - {registry: {name: infra/main, service: orders}}
  - {kubernetes: {name: web}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: r, namespace: shop}
spec:
  parentRefs: [{name: edge}]
  rules:
  - backendRefs: [{name: web, port: 80}]
  - backendRefs: [{group: isthmus.dev, kind: MeshService, name: orders, port: 80}]
";

/// Two have called orders, but not in the last minute.
struct Seen;

impl Traffic for Seen {
    fn topology(&self, _: &Caller, _: &TopologyQuery) -> Topology {
        Topology::default()
    }

    fn series(&self, _: &Caller, _: &SeriesQuery) -> Series {
        Series::default()
    }

    fn requests(&self, _: &Caller, _: &RequestsQuery) -> Vec<RequestRow> {
        Vec::new()
    }

    fn follow(&self) -> broadcast::Receiver<Arc<RequestRow>> {
        broadcast::channel(1).1
    }

    fn shows(&self, _: &Caller, _: &RequestsQuery, _: &RequestRow) -> bool {
        false
    }

    fn observation(&self) -> Observation {
        Observation::default()
    }

    fn rates(&self) -> Vec<(String, Rates)> {
        vec![("shop/web".into(), Rates { rate: 2.0, errors: 0.0, p99: None })]
    }

    fn caller_counts(&self) -> Vec<(String, usize)> {
        vec![("shop/orders".into(), 2)]
    }

    fn callers(&self, _: &str, name: &str) -> Vec<String> {
        let all = ["shop-web", "demo/edge"].into_iter().filter(|_| name == "orders");
        all.map(str::to_owned).collect()
    }
}

struct Bed {
    model: Model,
    world: Arc<RwLock<World>>,
}

impl Bed {
    fn new() -> Self {
        let (feed, _wants) = Feed::new();
        let mut world = World::new("test".into(), Bind::Given, BTreeMap::new(), vec![], feed);
        let registry = Change::Apply(registries::tests::document());
        let now = SystemTime::UNIX_EPOCH;
        world.apply(Batch { source: "file".into(), changes: vec![registry] }, now);
        let world = Arc::new(RwLock::new(world));
        let model = Model::new(world.clone(), Some(Arc::new(Seen)));
        let bed = Self { model, world };
        bed.write(DOCUMENTS);
        bed
    }

    fn apply(&self, source: &str, changes: Vec<Change>) {
        let batch = Batch { source: source.into(), changes };
        self.world.write().unwrap().apply(batch, SystemTime::now());
    }

    fn write(&self, text: &str) {
        let limits = kinds::Limits::default();
        let parsed = kinds::parse(&"file".into(), &"a.yaml".into(), text.as_bytes(), limits);
        assert_eq!(parsed.findings, []);
        let mut changes: Vec<_> = parsed.objects.into_iter().map(Change::Apply).collect();
        changes.push(Change::Health(Health::Live));
        self.apply("file", changes);
    }

    fn say(&self, hosts: &[u8]) {
        let instance = |n: &u8| Arc::new(Instance::new(Host::Ip([10, 0, 0, *n].into()), 8080));
        let service = RegistryService {
            id: RegistryServiceId {
                registry: "infra/main".into(),
                group: "".into(),
                name: "orders".into(),
            },
            instances: hosts.iter().map(instance).collect(),
            protect_threshold: 0.0,
            consumers: vec!["shop-web".into()],
            findings: vec![],
        };
        let report = Change::Registry(Report::Service { service: service.into(), asked: false });
        self.apply("infra/main", vec![report, Change::Health(Health::Live)]);
    }

    fn row(&self, name: &str) -> ServiceRow {
        let rows = self.model.services(&Caller::anybody());
        ServiceRow::clone(
            rows.iter().find(|row| row.namespace == "shop" && row.name == name).expect("a row"),
        )
    }
}

#[test]
fn a_row_follows_what_it_is_made_from() {
    let bed = Bed::new();
    let web = bed.row("web");
    assert_eq!((web.kind.as_str(), web.healthy, web.endpoints), ("Service", 1, 2));
    assert_eq!((web.state.as_str(), web.routes, &*web.ports), ("live", 1, &[80][..]));
    let orders = bed.row("orders");
    assert_eq!((orders.state.as_str(), orders.endpoints), ("syncing", 2));
    assert_eq!(orders.sources, ["registry:infra/main", "file"]);

    bed.say(&[2, 3]);
    let orders = bed.row("orders");
    // One address is known to both sources, and the registry says that it is well; its port is the same.
    assert_eq!((orders.healthy, orders.endpoints, orders.state.as_str()), (3, 3, "live"));
    assert!(orders.changed.is_some());
    let untouched = bed.model.rows();
    bed.say(&[2, 3, 4]);
    let after = bed.model.rows();
    let web = (NamespacedName::new("shop", "web"), Kind::Service);
    assert!(Arc::ptr_eq(&untouched[&web], &after[&web]), "others are not made again");

    let page = bed.model.service(&Caller::anybody(), "shop", "orders").unwrap();
    assert_eq!(page.instances.len(), 5);
    let callers: Vec<_> = page.caller_names.iter().map(|(n, how)| (&**n, &**how)).collect();
    let seen = [("demo/edge", "observed"), ("shop-web", "declared"), ("shop-web", "observed")];
    assert_eq!(callers, seen);
    for row in [page.row, bed.row("orders")] {
        assert_eq!((row.callers, row.observed_callers, row.rate), (1, 2, None));
    }
    let web = bed.row("web");
    assert_eq!((web.callers, web.observed_callers, web.rate), (0, 0, Some(2.0)));
    assert_eq!(page.route_names, ["HTTPRoute shop/r rule 1"]);

    let key = ObjectKey::new(Kind::HttpRoute, "shop", "r");
    bed.apply("file", vec![Change::Delete(key)]);
    assert_eq!(bed.row("orders").routes, 0);
    bed.apply("file", vec![Change::Health(Health::Stale { reason: "gone".into() })]);
    assert_eq!(bed.row("web").state, "stale");
}

#[test]
fn nobody_sees_what_is_not_theirs() {
    let bed = Bed::new();
    let grant = api::Grant { role: Role::Viewer, namespaces: vec!["other".into()] };
    let caller = Caller { grants: [grant].into(), ..Caller::anybody() };
    assert_eq!(bed.model.services(&caller), []);
    assert_eq!(bed.model.service(&caller, "shop", "web"), None);
}
