//! The same for what an app sends through the sidecar beside it (captured on a machine of its own, to services by name, to
//! their addresses, to instances that it picked, to whoever nobody knows), and for what others without a sidecar send to it.
//!
//! `ISTHMUS_WHY_SEED=7 ISTHMUS_WHY_ROUNDS=1 cargo test -p isthmus --test envoy why::sidecar`

use std::collections::BTreeMap;
use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use fastrand::Rng;
use serde_json::{Value, json};

use super::compare::{compare, send};
use super::documents::{document, grpc_route, pick, policy, rule};
use super::requests::{Request, Way, ask, decorate};
use super::word::{once, one};
use super::{SEED, number};
use crate::testbed::{Echo, Envoy, Folder, Isthmus, LIMIT, Machine, Run, ip, say, skipped, until};

const ROUNDS: u64 = 30;
const REQUESTS: usize = 12;
const OWN: &str = "10.9.0.2/24";
const ALL_OTHERS: &str = "10.9.0.1/24";
const NODE: &str = "web-1";
/// Whoever is no service that anybody knows.
const OUTSIDE: &str = "outside";
/// Whoever has the sidecar.
const APP: &str = "app";
const OTHERS: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 9, 0, 1));
const APP_PORTS: [u16; 4] = [8080, 8081, 9090, 7070];
/// What says that the app is behind a service: with HTTP, with whatever comes, with neither.
const APP_DOCUMENTS: &str = "\
---
apiVersion: v1
kind: Pod
metadata: {name: web-1, namespace: shop, labels: {app: web}}
spec: {serviceAccountName: web}
status: {podIPs: [{ip: 10.9.0.2}]}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec:
  clusterIP: 10.96.0.2
  selector: {app: web}
  ports:
  - {name: http, port: 80, targetPort: 8080, appProtocol: http}
  - {name: any, port: 81, targetPort: 8081}
  - {name: tcp, port: 90, targetPort: 9090, appProtocol: tcp}
";

/// A service of one instance: its address ends like that of the instance.
struct Service {
    name: &'static str,
    number: u8,
    port: u16,
    /// Of the instance.
    target: u16,
    protocol: Option<&'static str>,
}

const fn service(name: &'static str, number: u8, protocol: Option<&'static str>) -> Service {
    Service { name, number, port: 80, target: 8080, protocol }
}

const SERVICES: [Service; 8] = [
    service("a", 11, Some("http")),
    service("b", 12, Some("http")),
    service("c", 13, Some("http")),
    service("d", 14, None),
    service("h", 15, Some("kubernetes.io/h2c")),
    service("nobody", 16, Some("http")),
    Service { port: 81, ..service("w", 17, None) },
    Service { port: 9090, ..service("t", 18, Some("tcp")) },
];
/// Those with routes.
const ROUTED: usize = 7;
const OUTSIDE_NUMBER: u8 = 99;

impl Service {
    fn address(&self) -> SocketAddr {
        (Ipv4Addr::new(10, 96, 0, self.number), self.port).into()
    }

    fn instance(&self) -> SocketAddr {
        (Ipv4Addr::new(10, 9, 0, self.number), self.target).into()
    }

    fn text(&self) -> String {
        let Self { name, port, target, .. } = self;
        let protocol = self.protocol.map(|p| format!(", appProtocol: {p}")).unwrap_or_default();
        let mut out = format!(
            "\
---
apiVersion: v1
kind: Service
metadata: {{name: {name}, namespace: shop}}
spec:
  clusterIP: {}
  ports: [{{name: main, port: {port}, targetPort: {target}{protocol}}}]
",
            self.address().ip()
        );
        if self.name != "nobody" {
            write!(
                out,
                "\
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: {name}, namespace: shop, labels: {{kubernetes.io/service-name: {name}}}}}
addressType: IPv4
ports: [{{name: main, port: {target}}}]
endpoints: [{{addresses: ['{}'], conditions: {{ready: true}}}}]
",
                self.instance().ip()
            )
            .unwrap();
        }
        out
    }
}

/// The instances, on the machine where the thread is.
async fn instances() -> Vec<Echo> {
    let mut out = Vec::new();
    for service in SERVICES.iter().filter(|one| one.name != "nobody") {
        let address = format!("{}/24", service.instance().ip());
        ip(&["address", "add", &address, "dev", "eth0"]);
        out.push(match service.name {
            "h" => Echo::h2c_on(service.instance(), "h").await,
            name => Echo::on(service.instance(), name).await,
        });
    }
    // Nobody has a service's address; whoever dials it all the same is refused at once.
    ip(&["route", "add", "local", "10.96.0.0/24", "dev", "lo"]);
    let outside = Ipv4Addr::new(10, 9, 0, OUTSIDE_NUMBER);
    ip(&["address", "add", &format!("{outside}/24"), "dev", "eth0"]);
    for port in [80, 81, 7777, 8080] {
        out.push(Echo::on((outside, port).into(), OUTSIDE).await);
    }
    out
}

/// The routes of a round, each with the service that it is for.
struct Round {
    all: Vec<(usize, Value)>,
    others: Vec<Value>,
}

impl Round {
    fn random(random: &mut Rng, round: u64) -> Self {
        let count = random.usize(2..=5);
        let mut all: Vec<_> = (0..count).map(|index| route(random, index)).collect();
        let to = json!({"hostname": format!("round-{round}.internal")});
        let rule = json!({"filters": [{"type": "RequestRedirect", "requestRedirect": to}]});
        let nobody = 5;
        all.retain(|(service, _)| *service != nobody);
        all.push((nobody, of_service("probe", nobody, &[rule])));
        let outbound = one(random, &["AllowAny", "AllowAny", "RegistryOnly"]);
        let scope = json!({
            "apiVersion": "isthmus.dev/v1alpha1",
            "kind": "SidecarScope",
            "metadata": {"name": "default", "namespace": "shop"},
            "spec": {"outboundMode": outbound},
        });
        let mut others = vec![scope, peers(random)];
        for index in 0..3 {
            if once(random, 3) {
                others.push(of_app(policy(random, index)));
            }
        }
        Self { all, others }
    }

    fn text(&self) -> String {
        let routes = self.all.iter().map(|(_, route)| route);
        let all: Vec<_> = routes.chain(&self.others).map(ToString::to_string).collect();
        // Policies know callers of other places.
        all.join("\n---\n").replace("127.0.0.0/8", "10.9.0.0/24") + "\n"
    }

    fn request(&self, random: &mut Rng) -> Request {
        if once(random, 4) {
            let port = APP_PORTS[random.usize(..4)];
            let host = one(random, &["web", "a.shop.example", "shop.example", "x.a", "10.9.0.2"]);
            let ask = ask(random, host, &Value::Null);
            let to = (Ipv4Addr::new(10, 9, 0, 2), port).into();
            return Request { to, at: APP, way: Way::In(NODE, OTHERS), tls: None, ask };
        }
        let (service, matching) = match once(random, 5) {
            true => (random.usize(..SERVICES.len()), Value::Null),
            false => {
                let (service, route) = &self.all[random.usize(..self.all.len())];
                let rule = pick(random, &route["spec"]["rules"]);
                (*service, pick(random, &rule["matches"]))
            }
        };
        let service = &SERVICES[service];
        let other = &SERVICES[random.usize(..SERVICES.len())];
        let outside = |port: u16| (Ipv4Addr::new(10, 9, 0, OUTSIDE_NUMBER), port).into();
        let to: SocketAddr = match random.usize(..12) {
            0 | 1 => service.instance(),
            2 => other.instance(),
            3 => other.address(),
            4 => outside(80),
            5 => outside([81, 7777, 8080][random.usize(..3)]),
            _ => service.address(),
        };
        let name = service.name;
        let host = match random.usize(..12) {
            0 => to.to_string(),
            1 => to.ip().to_string(),
            2 => service.address().ip().to_string(),
            3 => service.instance().to_string(),
            4 => one(random, &["unknown.test", "a.b.shop.svc", "pay.corp", "x"]).to_string(),
            5 => other.name.to_string(),
            6 => format!("{name}.shop"),
            7 => format!("{name}.shop.svc"),
            8 => format!("{name}.shop.svc.cluster.local"),
            _ => name.to_string(),
        };
        let host = match host.ends_with(|end: char| end.is_ascii_digit()) {
            true => host,
            false => decorate(random, &host, to.port()),
        };
        let at = SERVICES.iter().find(|one| one.instance() == to).map_or(OUTSIDE, |one| one.name);
        Request { to, at, way: Way::Out(NODE), tls: None, ask: ask(random, &host, &matching) }
    }
}

fn route(random: &mut Rng, index: usize) -> (usize, Value) {
    let service = random.usize(..ROUTED);
    let grpc = SERVICES[service].name == "h" && once(random, 2);
    let mut rules: Vec<_> = match grpc {
        true => grpc_route(random)["spec"]["rules"].as_array().unwrap().clone(),
        false => (0..random.usize(1..=3)).map(|_| rule(random)).collect(),
    };
    let backends = rules.iter_mut().filter_map(|rule| rule.get_mut("backendRefs")?.as_array_mut());
    for backend in backends.flatten() {
        backend["group"] = json!("");
        backend["kind"] = json!("Service");
        backend["port"] = json!(80);
    }
    let mut route = of_service(&format!("r{index}"), service, &rules);
    if grpc {
        route["kind"] = json!("GRPCRoute");
    }
    (service, route)
}

/// What of the mesh's TLS is asked of whoever calls the app.
fn peers(random: &mut Rng) -> Value {
    let modes = ["Permissive", "Permissive", "Disable", "Strict"];
    json!({
        "apiVersion": "isthmus.dev/v1alpha1",
        "kind": "PeerPolicy",
        "metadata": {"name": "web", "namespace": "shop"},
        "spec": {
            "workloadSelector": {"matchLabels": {"app": "web"}},
            "mtls": one(random, &modes),
            "ports": {"8081": one(random, &modes)},
        },
    })
}

fn of_app(mut policy: Value) -> Value {
    policy["spec"]["targetRefs"] = json!([{"group": "", "kind": "Service", "name": "web"}]);
    policy
}

fn of_service(name: &str, service: usize, rules: &[Value]) -> Value {
    let parent = json!({"group": "", "kind": "Service", "name": SERVICES[service].name});
    document(name, json!([parent]), json!([]), json!(rules))
}

#[test]
fn sidecar() {
    if skipped() {
        return;
    }
    // Its own thread, as it goes to other machines.
    let done = std::thread::spawn(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(test());
    });
    if let Err(why) = done.join() {
        std::panic::resume_unwind(why);
    }
}

async fn test() {
    let seed = number("ISTHMUS_WHY_SEED").unwrap_or(SEED);
    let rounds = number("ISTHMUS_WHY_ROUNDS").unwrap_or(ROUNDS);
    let [own, others] = Machine::two([OWN, ALL_OTHERS]);
    others.enter();
    let _instances = instances().await;
    own.enter();
    let mut app = Vec::new();
    for port in APP_PORTS {
        app.push(Echo::on((Ipv4Addr::UNSPECIFIED, port).into(), APP).await);
    }
    let folder = Folder::new();
    let services: String = SERVICES.iter().map(Service::text).collect();
    folder.write("services.yaml", &(services + APP_DOCUMENTS));
    let run = Run::new(folder.path());
    let isthmus = run.start().await;
    let words = ["--namespace", "shop", "--pod", NODE, "--account", "web", "--node-id", NODE];
    let words = [&words[..], &["--ip", "10.9.0.2", "--label", "app=web"]].concat();
    let mut envoy = Envoy::sidecar(run.xds, &words);
    envoy.wait_ready().await;
    let mut wrong = Vec::new();
    let mut kinds = BTreeMap::<String, usize>::new();
    for round in 0..rounds {
        let seed = seed.wrapping_add(round);
        let mut random = Rng::with_seed(seed);
        let documents = Round::random(&mut random, round);
        folder.write("routes.yaml", &documents.text());
        arrived(&isthmus, &envoy, round).await;
        for _ in 0..REQUESTS {
            let request = documents.request(&mut random);
            let said = isthmus.post("/api/v1/why", &request.question()).await.unwrap();
            if matches!(request.way, Way::In(..)) {
                others.enter();
            }
            let came = send(&request).await;
            own.enter();
            match compare(&request, &said, came) {
                Ok(kind) => *kinds.entry(kind).or_default() += 1,
                Err(why) => wrong.push(format!("seed {seed}: {request}\n  {why}")),
            }
        }
        if !wrong.is_empty() {
            let again = format!("ISTHMUS_WHY_SEED={seed} ISTHMUS_WHY_ROUNDS=1");
            say(&format!("---- {again}\n{}", documents.text()));
            break;
        }
    }
    let sum: usize = kinds.values().sum();
    say(&format!("why: {sum} answers as the real sidecar's: {kinds:?}"));
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
}

/// The sidecar has the routes of this round, and has acknowledged all that came with them.
async fn arrived(isthmus: &Isthmus, envoy: &Envoy, round: u64) {
    let wanted = format!("round-{round}.internal");
    until(&format!("round {round} is there"), LIMIT, async || {
        let tables = envoy.admin("/config_dump?resource=dynamic_route_configs").await;
        if tables.contains(&wanted) { Ok(()) } else { Err(tables) }
    })
    .await;
    isthmus.wait_in_step().await;
    until(&format!("listeners of round {round} are in use"), LIMIT, async || {
        let listeners = envoy.admin("/config_dump?resource=dynamic_listeners").await;
        if listeners.contains("warming_state") { Err(listeners) } else { Ok(()) }
    })
    .await;
}
