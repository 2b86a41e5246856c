//! What must be reachable all the time.

use std::net::SocketAddr;

use crate::testbed::{Bed, Certificate, Echo, Folder, Listener, Run, Target};
use crate::testbed::{free_port, gateway, get, kube_service, loopback, route, secret, service};

pub(super) struct World {
    pub(super) bed: Bed,
    pub(super) secure: SocketAddr,
    /// Two back ends for each thing that an edit moves from one to the other.
    pub(super) orders: [Echo; 2],
    pub(super) pay: [Echo; 2],
    pub(super) stock: [Echo; 2],
    pub(super) still: Echo,
}

pub(super) const STILL: &str = "\
- matches: [{path: {type: PathPrefix, value: /v1}}, {path: {type: RegularExpression, value: '/r/[0-9]+'}}]
  backendRefs: [{group: isthmus.dev, kind: MeshService, name: still}]
";

impl World {
    pub(super) async fn start() -> Self {
        let [web, secure] = [free_port(), free_port()];
        let folder = Folder::new();
        let pair = async |name: &str| {
            [Echo::start(&format!("{name}-0")).await, Echo::start(&format!("{name}-1")).await]
        };
        let (orders, pay, stock) = (pair("orders").await, pair("pay").await, pair("stock").await);
        let still = Echo::start("still").await;
        folder.write("gateway.yaml", &listeners(web, secure, false));
        for name in ["changing", "lasting"] {
            let certificate = Certificate::new(&format!("{name}.example"));
            folder.write(&format!("secret-{name}.yaml"), &secret(name, &certificate));
        }
        folder.write("orders.yaml", &orders_file(&orders, 0));
        folder.write("pay.yaml", &pay_file(&pay, 0));
        folder.write("stock.yaml", &stock_file(&stock[..1]));
        folder.write("mover-0.yaml", &mover_file(0));
        folder.write("still-service.yaml", &service("still", &[still.address]));
        folder.write("still-route.yaml", &route("still", "api.example", STILL));
        folder.write("still-wild.yaml", &route("still-wild", "*.wild.example", STILL));
        for name in ["changing", "lasting"] {
            let route = route(&format!("secure-{name}"), &format!("{name}.example"), STILL);
            folder.write(&format!("secure-{name}.yaml"), &route);
        }
        let run = Run::new(folder.path());
        let bed = Bed::run(folder, run, loopback(web)).await;
        Self { bed, secure: loopback(secure), orders, pay, stock, still }
    }

    /// Two of ten over TLS.
    pub(super) fn targets(&self) -> Vec<Target> {
        let plain = |host: &str, path: &str, service: &str| Target {
            address: self.bed.web,
            sni: None,
            ask: get(host, path),
            service: service.into(),
        };
        let tls = |host: &str| Target {
            address: self.secure,
            sni: Some(host.into()),
            ask: get(host, "/v1/secure"),
            service: "still".into(),
        };
        vec![
            plain("shop.example", "/orders/1", "orders-"),
            plain("shop.example", "/pay", "pay-"),
            tls("changing.example"),
            plain("shop.example", "/stock?item=7", "stock-"),
            plain("mover.example", "/", "still"),
            plain("api.example", "/v1/a", "still"),
            plain("shop.example", "/orders", "orders-"),
            tls("lasting.example"),
            plain("api.example", "/r/42", "still"),
            plain("any.wild.example", "/v1", "still"),
        ]
    }

    /// Everything of Envoy's numbers that tells why requests failed.
    pub(super) async fn reasons(&self) -> String {
        let found = self
            .bed
            .envoy
            .stats("no_route|no_cluster|none_healthy|upstream_rq_5xx|upstream_cx_connect_fail|_rejected|upstream_rq_pending_failure_eject|downstream_cx_drain_close|maintenance_mode|direct_response|ssl.*(fail|error)|no_filter_chain")
            .await;
        found.iter().filter(|(_, v)| *v > 0).map(|(name, v)| format!("{name}: {v}\n")).collect()
    }
}

/// `late` adds a listener.
pub(super) fn listeners(web: u16, secure: u16, late: bool) -> String {
    let mut listeners = vec![
        Listener::http("web", web),
        Listener::https("changing", secure, "changing").host("changing.example"),
        Listener::https("lasting", secure, "lasting").host("lasting.example"),
    ];
    if late {
        listeners.push(Listener::https("late", secure, "lasting").host("late.example"));
        listeners.push(Listener::http("late-web", web).host("late.example"));
    }
    gateway(&listeners)
}

/// One of two services has all the weight.
pub(super) fn orders_file(orders: &[Echo; 2], chosen: usize) -> String {
    let weight = |number| if number == chosen { 100 } else { 0 };
    let rules = format!(
        "\
- matches: [{{path: {{type: PathPrefix, value: /orders}}}}]
  backendRefs:
  - {{group: isthmus.dev, kind: MeshService, name: orders-0, weight: {}}}
  - {{group: isthmus.dev, kind: MeshService, name: orders-1, weight: {}}}
",
        weight(0),
        weight(1)
    );
    let services = [0, 1].map(|i| service(&format!("orders-{i}"), &[orders[i].address]));
    format!("{}---\n{}---\n{}", services[0], route("orders", "shop.example", &rules), services[1])
}

/// The service has another name each time.
pub(super) fn pay_file(pay: &[Echo; 2], turn: usize) -> String {
    format!("{}---\n{}", pay_route(turn), pay_service(pay, turn))
}

pub(super) fn pay_route(turn: usize) -> String {
    let rules = format!(
        "\
- matches: [{{path: {{type: PathPrefix, value: /pay}}}}]
  backendRefs: [{{group: isthmus.dev, kind: MeshService, name: pay-{turn}}}]
"
    );
    route("pay", "shop.example", &rules)
}

pub(super) fn pay_service(pay: &[Echo; 2], turn: usize) -> String {
    service(&format!("pay-{turn}"), &[pay[turn % 2].address])
}

pub(super) fn stock_file(stock: &[Echo]) -> String {
    let rules = "\
- matches: [{path: {type: PathPrefix, value: /stock}}]
  backendRefs: [{name: stock, port: 80}]
";
    let addresses: Vec<_> = stock.iter().map(|echo| echo.address).collect();
    let service = kube_service("stock", None, &addresses);
    format!("{service}---\n{}", route("stock", "shop.example", rules))
}

/// The route has another name each time, and says so in its answers.
pub(super) fn mover_file(turn: usize) -> String {
    let rules = format!(
        "\
- filters:
  - type: ResponseHeaderModifier
    responseHeaderModifier: {{set: [{{name: x-turn, value: '{turn}'}}]}}
  backendRefs: [{{group: isthmus.dev, kind: MeshService, name: still}}]
"
    );
    route(&format!("mover-{turn}"), "mover.example", &rules)
}
