//! Lanes from a gateway to a service with members in them: who gets which, by header, by baggage and by share; what happens
//! where a lane has nobody, or nobody who is well; and that a share changes without a new route.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use serde_json::Value;

use crate::testbed::{Ask, Bed, Connection, Echo, LIMIT, get, route, skipped, until};

/// What of it a share may be off: nearly four standard deviations of 4,000 draws are below it.
const OFF: f64 = 0.03;
const DRAWS: usize = 4000;

/// Pods are known by their addresses, so each member has one of its own.
async fn members(lanes: &[(&str, u8)]) -> Vec<Echo> {
    let mut out = Vec::new();
    for (lane, last) in lanes {
        let address = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(127, 0, 21, *last)), 0);
        out.push(Echo::on(address, lane).await);
    }
    out
}

/// The service with its endpoints and their pods; `ready` says who of them is.
fn service(echoes: &[Echo], labels: &[&str], ready: &[bool]) -> String {
    let mut out = "\
apiVersion: v1
kind: Service
metadata: {name: orders, namespace: shop}
spec: {ports: [{port: 80}]}
"
    .to_string();
    for (index, ((echo, label), ready)) in echoes.iter().zip(labels).zip(ready).enumerate() {
        let (address, port) = (echo.address.ip(), echo.address.port());
        write!(
            out,
            "---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: orders-{index}, namespace: shop, labels: {{kubernetes.io/service-name: orders}}}}
addressType: IPv4
ports: [{{name: '', port: {port}}}]
endpoints: [{{addresses: ['{address}'], conditions: {{ready: {ready}}}}}]
---
apiVersion: v1
kind: Pod
metadata: {{name: orders-{index}, namespace: shop, labels: {{{label}}}}}
spec: {{serviceAccountName: orders}}
status: {{podIPs: [{{ip: '{address}'}}]}}
"
        )
        .unwrap();
    }
    out
}

fn group(rest: &str) -> String {
    let rest: String = rest.lines().map(|line| format!("  {line}\n")).collect();
    format!(
        "\
apiVersion: isthmus.dev/v1alpha1
kind: LaneGroup
metadata: {{name: checkout, namespace: shop}}
spec:
  entries: [{{name: edge}}]
  services: [{{name: orders}}]
{rest}"
    )
}

const TESTERS: &str = "\
lanes:
- {name: gray, priority: 1, dye: {matches: [{headers: [{name: x-user, value: tester}]}]}}
- {name: blue, dye: {matches: [{path: {value: /blue}, queryParams: [{name: v, value: '2'}]}]}}
";

struct World {
    bed: Bed,
    echoes: Vec<Echo>,
}

const LABELS: [&str; 3] = ["app: orders", "lane: gray", "version: v2, lane: blue"];

async fn world(group_text: &str) -> World {
    let echoes = members(&[("base", 1), ("gray", 2), ("blue", 3)]).await;
    let rules = "- backendRefs: [{name: orders, port: 80}]\n";
    let files = [
        ("routes.yaml", route("shop", "shop.test", rules)),
        ("service.yaml", service(&echoes, &LABELS, &[true; 3])),
        ("lanes.yaml", group_text.to_string()),
    ];
    let bed = Bed::start(&files.map(|(name, text)| (name, text))).await;
    World { bed, echoes }
}

fn ask(path: &str) -> Ask {
    get("shop.test", path)
}

impl World {
    /// Who answers, and what it was told of lanes.
    async fn who(&self, ask: &Ask) -> (String, Value) {
        let answer = self.bed.ask(ask).await.unwrap();
        assert_eq!(answer.status, 200, "{ask}");
        (answer.service(), answer.json()["headers"].clone())
    }

    async fn check(&self, ask: &Ask, lane: &str) {
        let (who, headers) = self.who(ask).await;
        assert_eq!(who, lane, "{ask}");
        let text = |name: &str| headers[name].as_str().map(str::to_string);
        let wanted = (lane != "base").then(|| lane.to_string());
        assert_eq!(text("x-isthmus-lane"), wanted, "{ask}: the header");
        let said = text("baggage").unwrap_or_default();
        let named: Vec<_> = said
            .split(',')
            .filter_map(|m| m.split(';').next()?.trim().strip_prefix("isthmus.lane="))
            .collect();
        assert_eq!(named, wanted.iter().map(String::as_str).collect::<Vec<_>>(), "{ask}: {said}");
    }

    /// How many of the draws each member got.
    async fn draw(&self) -> BTreeMap<String, f64> {
        let mut connection = Connection::plain(self.bed.web).await.unwrap();
        let mut count: BTreeMap<String, usize> = BTreeMap::new();
        for _ in 0..DRAWS {
            let answer = connection.ask(&ask("/"), LIMIT).await.unwrap();
            assert_eq!(answer.status, 200);
            *count.entry(answer.service()).or_default() += 1;
        }
        count.into_iter().map(|(who, n)| (who, n as f64 / DRAWS as f64)).collect()
    }

    /// Waits until Envoy draws by this share.
    async fn wait_share(&self, share: &str) {
        until(&format!("the share is {share}"), LIMIT, async || {
            let runtime: Value =
                serde_json::from_str(&self.bed.envoy.admin("/runtime").await).unwrap();
            let value = &runtime["entries"]["isthmus.lane.shop.checkout.gray"]["final_value"];
            if value.to_string().contains(share) { Ok(()) } else { Err(runtime.to_string()) }
        })
        .await;
    }

    /// Name and version of what Envoy was given of a sort, and when.
    async fn given(&self, what: &str) -> Vec<String> {
        let dump = self.bed.envoy.admin(&format!("/config_dump?resource={what}")).await;
        let dump: Value = serde_json::from_str(&dump).unwrap();
        let all = dump["configs"].as_array().unwrap().iter();
        all.map(|one| format!("{} {}", one["version_info"], one["last_updated"])).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_gives_lanes_and_takes_away_what_clients_say() {
    if skipped() {
        return;
    }
    let world = world(&group(TESTERS)).await;
    let tester = |path| ask(path).header("x-user", "tester");
    world.check(&ask("/"), "base").await;
    world.check(&tester("/"), "gray").await;
    world.check(&tester("/").header("x-isthmus-lane", "blue"), "gray").await;
    world.check(&tester("/").header("baggage", "a=b,isthmus.lane=blue"), "gray").await;
    // Path and query of a match, which a wider path does not fit.
    world.check(&ask("/blue?v=2"), "blue").await;
    world.check(&ask("/blue/deep?u=1&v=2"), "blue").await;
    world.check(&ask("/bluer?v=2"), "base").await;
    world.check(&ask("/blue?v=3"), "base").await;
    // Of two that fit, the one with the larger priority.
    world.check(&tester("/blue?v=2"), "gray").await;
    // Nobody from outside gets into a lane by saying so.
    world.check(&ask("/").header("x-isthmus-lane", "gray"), "base").await;
    world.check(&ask("/").header("baggage", "a=b, isthmus.lane=gray;p=1,c=d"), "base").await;
    // What else is in baggage goes on.
    let other = ask("/").header("baggage", "a=b");
    let (who, headers) = world.who(&other).await;
    assert_eq!((who.as_str(), headers["baggage"].as_str()), ("base", Some("a=b")));
    let (_, headers) = world.who(&tester("/").header("baggage", "a=b")).await;
    assert_eq!(headers["baggage"].as_str(), Some("a=b, isthmus.lane=gray"));
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_may_name_a_lane_where_a_group_says_so() {
    if skipped() {
        return;
    }
    let text = "\
edge: {acceptClientHeader: true}
lanes:
- {name: gray}
- {name: blue, state: Stopped}
";
    let world = world(&group(text)).await;
    let says = |name: &str, value: &str| ask("/").header(name, value);
    world.check(&ask("/"), "base").await;
    world.check(&says("x-isthmus-lane", "gray"), "gray").await;
    world.check(&says("baggage", "a=b, isthmus.lane=gray;p=1,c=d").header("x", "y"), "gray").await;
    world.check(&says("x-isthmus-lane", "nobody"), "base").await;
    world.check(&says("x-isthmus-lane", "blue"), "base").await;
    world.check(&says("baggage", "isthmus.lane=grayer"), "base").await;
    // The header goes before baggage.
    world
        .check(&says("x-isthmus-lane", "nobody").header("baggage", "isthmus.lane=gray"), "base")
        .await;
    world
        .check(&says("x-isthmus-lane", "gray").header("baggage", "isthmus.lane=blue"), "gray")
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lane_is_ramped_by_its_share_alone_and_stopped_without_an_error() {
    if skipped() {
        return;
    }
    let of =
        |percent: u8| group(&format!("lanes: [{{name: gray, dye: {{percent: {percent}}}}}]\n"));
    let world = world(&of(20)).await;
    let folder = &world.bed.folder;
    world.wait_share("200000").await;
    let routes = world.given("dynamic_route_configs").await;
    assert_eq!(routes.len(), 1, "{routes:?}");
    let near = |got: &BTreeMap<String, f64>, wanted: f64| {
        let gray = got.get("gray").copied().unwrap_or_default();
        assert!((gray - wanted).abs() < OFF, "{wanted} wanted, {got:?}");
    };
    near(&world.draw().await, 0.2);
    folder.write("lanes.yaml", &of(60));
    world.wait_share("600000").await;
    near(&world.draw().await, 0.6);
    assert_eq!(world.given("dynamic_route_configs").await, routes, "a share touches no routes");
    // Stopped under requests: each is answered, in the end by the base only.
    folder
        .write("lanes.yaml", &group("lanes: [{name: gray, state: Stopped, dye: {percent: 60}}]\n"));
    let mut connection = Connection::plain(world.bed.web).await.unwrap();
    let mut of_base = 0;
    let deadline = tokio::time::Instant::now() + LIMIT;
    while of_base < 200 {
        assert!(tokio::time::Instant::now() < deadline, "requests still go to the lane");
        let answer = connection.ask(&ask("/"), LIMIT).await.unwrap();
        assert_eq!(answer.status, 200);
        of_base = if answer.service() == "base" { of_base + 1 } else { 0 };
    }
    assert!(world.echoes[1].count() > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn where_a_lane_has_nobody_well_its_group_says_who_answers() {
    if skipped() {
        return;
    }
    let tester = ask("/").header("x-isthmus-lane", "gray");
    let of = |missing: &str, unhealthy: &str| {
        group(&format!(
            "edge: {{acceptClientHeader: true}}\nlanes: [{{name: gray}}, {{name: blue}}]\nonMissing: {missing}\nonUnhealthy: {unhealthy}\n"
        ))
    };
    let world = world(&of("Base", "Base")).await;
    let folder = &world.bed.folder;
    let bed = &world.bed;
    bed.wait_service(&tester, "gray").await;
    let ready = |gray| service(&world.echoes, &LABELS, &[true, gray, true]);
    let gone = || service(&world.echoes, &["app: orders, lane: base"], &[true]);
    folder.write("service.yaml", &ready(false));
    bed.wait_service(&tester, "base").await;
    folder.write("lanes.yaml", &of("Base", "Fail"));
    bed.wait_status(&tester, 503).await;
    bed.wait_service(&ask("/"), "base").await;
    folder.write("lanes.yaml", &of("Fail", "Base"));
    bed.wait_service(&tester, "base").await;
    bed.wait_service(&ask("/"), "base").await;
    folder.write("service.yaml", &gone());
    bed.wait_status(&tester, 503).await;
    // Baggage that speaks of something else is no lane that could have nobody.
    world.check(&ask("/").header("x-isthmus-lane", "nobody"), "base").await;
    bed.wait_status(&ask("/").header("baggage", "a=b"), 200).await;
    folder.write("service.yaml", &ready(true));
    bed.wait_service(&tester, "gray").await;
}
