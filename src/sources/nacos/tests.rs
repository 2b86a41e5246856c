use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use model::{
    Ask, Batch, Change, EndpointHealth, Finding, GuardRules, Health, Host, Import, Instance, Kind,
    Login, Meta, NacosOptions, ObjectKey, Registry, RegistryKind, RegistryService,
    RegistryServiceId, RegistryTls, Report, codes,
};
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, timeout_at};

use super::fake::{Fake, host};
use crate::registry::{Inlet, Outlet};

/// A test that hangs ends; on a busy machine the largest one needs half of it.
const LIMIT: Duration = Duration::from_secs(90);

/// Runs the source and keeps what it says.
pub(super) struct Desk {
    from: mpsc::Receiver<Batch>,
    registry: watch::Sender<Arc<Registry>>,
    asks: mpsc::Sender<Ask>,
    services: BTreeMap<String, Arc<RegistryService>>,
    names: Vec<String>,
    health: Option<Health>,
    findings: BTreeMap<Arc<str>, Vec<Finding>>,
    /// One word for each thing said, in order.
    said: Vec<String>,
}

pub(super) fn registry(addresses: Vec<Arc<str>>) -> Registry {
    Registry {
        meta: Meta {
            key: ObjectKey::new(Kind::MeshService, "infra", "main"),
            source: "file".into(),
            labels: Vec::new(),
            annotations: Vec::new(),
            generation: 0,
            created: None,
            locations: Arc::default(),
            document: "".into(),
        },
        kind: RegistryKind::Nacos(NacosOptions::default()),
        addresses,
        login: Login::default(),
        tls: None,
        labels: vec!["version".into()],
        import: Import::default(),
        guard: GuardRules::default(),
    }
}

impl Desk {
    pub(super) fn open(registry: Registry) -> Self {
        let (to, from) = mpsc::channel(4);
        let (asks, asked) = mpsc::channel(4);
        let (edits, registry) = watch::channel(Arc::new(registry));
        let inlet = Inlet { registry, asks: asked };
        tokio::spawn(super::run(inlet, Outlet::new("infra/main".into(), to)));
        Self {
            from,
            registry: edits,
            asks,
            services: BTreeMap::new(),
            names: Vec::new(),
            health: None,
            findings: BTreeMap::new(),
            said: Vec::new(),
        }
    }

    fn take(&mut self, batch: Batch) {
        for change in batch.changes {
            match change {
                Change::Registry(Report::Service { service, asked }) => {
                    let name = named(&service.id);
                    self.said.push(format!("{}{name}", if asked { "asked " } else { "" }));
                    self.services.insert(name, service);
                }
                Change::Registry(Report::Names(ids)) => {
                    self.said.push("names".into());
                    self.names = ids.iter().map(named).collect();
                }
                Change::Registry(Report::Whole) => self.said.push("whole".into()),
                Change::Registry(Report::Doubt { .. }) => self.said.push("doubt".into()),
                Change::Health(health) => {
                    let word = match &health {
                        Health::Syncing => "syncing",
                        Health::Live => "live",
                        Health::Degraded { .. } => "degraded",
                        Health::Stale { .. } => "stale",
                    };
                    self.said.push(word.into());
                    self.health = Some(health);
                }
                Change::Findings { scope, findings } => {
                    self.findings.insert(scope, findings);
                }
                other => panic!("a registry source says no {other:?}"),
            }
        }
    }

    pub(super) async fn until(&mut self, what: &str, done: impl Fn(&Self) -> bool) {
        let end = Instant::now() + LIMIT;
        while !done(self) {
            match timeout_at(end, self.from.recv()).await {
                Ok(Some(batch)) => self.take(batch),
                _ => {
                    let last = &self.said[self.said.len().saturating_sub(20)..];
                    panic!("never {what}: … {last:?} {:?}", self.health);
                }
            }
        }
    }

    async fn live(&mut self) {
        self.until("live", |desk| desk.health == Some(Health::Live)).await;
    }

    pub(super) fn was_asked(&self, name: &str) -> bool {
        self.said.contains(&format!("asked {name}"))
    }

    fn addresses(&self, name: &str) -> Vec<String> {
        let service = self.services.get(name).unwrap_or_else(|| panic!("{name}: {:?}", self.said));
        service.instances.iter().map(|i| format!("{}:{}", i.host, i.port)).collect()
    }

    fn code(&self, scope: &str) -> Option<model::Code> {
        self.findings.get(scope).and_then(|all| all.first()).map(|finding| finding.code)
    }
}

fn named(id: &RegistryServiceId) -> String {
    assert_eq!(&*id.registry, "infra/main");
    if &*id.group == "DEFAULT_GROUP" {
        id.name.to_string()
    } else {
        format!("{}@@{}", id.group, id.name)
    }
}

fn id(name: &str) -> RegistryServiceId {
    RegistryServiceId {
        registry: "infra/main".into(),
        group: "DEFAULT_GROUP".into(),
        name: name.into(),
    }
}

fn with(ip: &str, port: i64, change: Value) -> Value {
    let mut host = host(ip, port);
    let Value::Object(change) = change else { panic!("{change} is no object") };
    for (key, value) in change {
        host[key] = value;
    }
    host
}

#[tokio::test]
async fn services_then_whole_then_live_and_changes_as_they_come() {
    let fake = Fake::start();
    fake.set("orders", vec![host("10.0.0.1", 80), host("10.0.0.2", 80)]);
    fake.set("empty", vec![]);
    fake.set_in("public", "blue", "orders", vec![host("10.0.0.3", 80)]);
    let mut desk = Desk::open(registry(vec![fake.address()]));
    desk.live().await;
    assert_eq!(desk.names, ["empty", "orders", "blue@@orders"]);
    assert_eq!(desk.said[..2], ["syncing", "names"]);
    assert_eq!(desk.said[5..], ["whole", "live"]);
    assert_eq!(desk.addresses("orders"), ["10.0.0.1:80", "10.0.0.2:80"]);
    assert_eq!(desk.addresses("blue@@orders"), ["10.0.0.3:80"]);
    assert!(desk.addresses("empty").is_empty());

    fake.set("orders", vec![host("10.0.0.2", 80)]);
    desk.until("one left", |desk| desk.addresses("orders") == ["10.0.0.2:80"]).await;
    fake.set("orders", vec![]);
    desk.until("none left", |desk| desk.addresses("orders").is_empty()).await;

    let start = Instant::now();
    fake.set("new", vec![host("10.0.0.9", 80)]);
    desk.until("new", |desk| desk.services.contains_key("new")).await;
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    fake.remove("new");
    desk.until("gone", |desk| !desk.names.iter().any(|name| name == "new")).await;
    assert!(!desk.said.iter().any(|word| word == "doubt" || word == "stale"));
    // Every push was answered, else Nacos takes the client for dead.
    let end = Instant::now() + LIMIT;
    while fake.count("NotifySubscriberResponse") < 2 {
        assert!(Instant::now() < end, "a push was not answered");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn what_an_instance_says_is_kept() {
    let fake = Fake::start();
    let metadata = json!({"version": "v2", "lane": "blue", "secure": "true", "k8s_pod": "a-1", "n": 7, "o": {}});
    fake.set(
        "orders",
        vec![
            with("10.0.0.1", 80, json!({"weight": 0.3, "clusterName": "HZ", "metadata": metadata})),
            with("10.0.0.2", 80, json!({"weight": 0.0})),
            with("10.0.0.3", 80, json!({"healthy": false, "ephemeral": false})),
            with("10.0.0.4", 80, json!({"enabled": false})),
            with("10.0.0.5", 80, json!({"metadata": {"isthmus.dev/origin": "east"}})),
        ],
    );
    let mut desk = Desk::open(registry(vec![fake.address()]));
    desk.live().await;
    let all = &desk.services["orders"].instances;
    assert_eq!(all.len(), 4);
    assert!((all[0].weight - 0.3).abs() < 1e-9 && all[1].weight.abs() < 1e-9);
    assert_eq!(&*all[0].locality.zone, "HZ");
    assert!(all[1].locality.zone.is_empty());
    assert!(all[0].secure && !all[1].secure);
    let labels: Vec<_> = all[0].labels.iter().map(|(k, v)| format!("{k}={v}")).collect();
    assert_eq!(labels, ["k8s_pod=a-1", "version=v2"]);
    let health = |i: usize| (all[i].health, &*all[i].reason);
    assert_eq!(health(2), (EndpointHealth::Unhealthy, "healthy=false"));
    assert_eq!(health(3), (EndpointHealth::Unhealthy, "enabled=false"));
}

#[tokio::test]
async fn a_killed_server_removes_nothing_and_doubt_comes_before_the_answers_of_the_new_one() {
    let mut fake = Fake::start();
    fake.set("orders", vec![host("10.0.0.1", 80)]);
    let mut desk = Desk::open(registry(vec![fake.address()]));
    desk.live().await;
    desk.said.clear();
    fake.stop();
    desk.until("stale", |desk| matches!(desk.health, Some(Health::Stale { .. }))).await;
    assert_eq!(desk.said, ["stale"]);
    assert_eq!(desk.code("contact"), Some(codes::REGISTRY_UNREACHABLE));
    assert_eq!(desk.addresses("orders"), ["10.0.0.1:80"]);

    // It comes back with nothing, as Nacos does, and is believed by nobody here: the guard decides.
    let fake = fake.restart();
    desk.live().await;
    assert_eq!(desk.said, ["stale", "doubt", "names", "whole", "live"]);
    assert_eq!(desk.code("contact"), None);
    fake.set("orders", vec![host("10.0.0.1", 80)]);
    desk.until("back", |desk| desk.said.last().is_some_and(|word| word == "orders")).await;
}

#[tokio::test]
async fn a_hanging_server_is_found_out_and_left_for_the_next() {
    let (one, two) = (Fake::start(), Fake::start());
    for fake in [&one, &two] {
        fake.set("orders", vec![host("10.0.0.1", 80)]);
    }
    let mut desk = Desk::open(registry(vec![one.address(), two.address()]));
    desk.live().await;
    desk.said.clear();
    one.inner().hangs = true;
    desk.until("live again", |desk| desk.said.ends_with(&["live".into()])).await;
    assert_eq!(desk.said[..2], ["stale", "doubt"]);
    assert!(two.count("SubscribeServiceRequest") > 0);
}

#[tokio::test]
async fn one_dead_address_of_three_degrades_and_an_edit_of_the_list_keeps_the_session() {
    let fake = Fake::start();
    fake.set("orders", vec![host("10.0.0.1", 80)]);
    let dead = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let dead: Arc<str> = dead.to_string().into();
    let mut desk = Desk::open(registry(vec![dead.clone(), fake.address()]));
    desk.until("degraded", |desk| matches!(desk.health, Some(Health::Degraded { .. }))).await;
    assert_eq!(desk.addresses("orders"), ["10.0.0.1:80"]);
    desk.until("told", |desk| desk.code("servers").is_some()).await;
    desk.said.clear();
    desk.registry.send_replace(Arc::new(registry(vec![fake.address()])));
    desk.live().await;
    assert_eq!(desk.said, ["live"]);

    // The address of the session goes: it moves, with doubt.
    let other = Fake::start();
    other.set("orders", vec![host("10.0.0.7", 80)]);
    desk.registry.send_replace(Arc::new(registry(vec![other.address()])));
    desk.until("moved", |desk| desk.addresses("orders") == ["10.0.0.7:80"]).await;
    assert!(desk.said.contains(&"doubt".to_owned()), "{:?}", desk.said);
}

#[tokio::test]
async fn asks_are_answered_from_the_server() {
    let fake = Fake::start();
    fake.set("orders", vec![host("10.0.0.1", 80)]);
    fake.set("users", vec![host("10.0.0.2", 80)]);
    let mut desk = Desk::open(registry(vec![fake.address()]));
    desk.live().await;
    desk.said.clear();
    desk.asks.send(Ask::Confirm(vec![id("orders"), id("nobody")])).await.unwrap();
    desk.until("confirmed", |desk| desk.said.len() == 2).await;
    desk.said.sort();
    assert_eq!(desk.said, ["asked nobody", "asked orders"]);
    assert_eq!(fake.count("ServiceQueryRequest"), 1);
    assert!(desk.addresses("nobody").is_empty());
    desk.said.clear();
    desk.asks.send(Ask::Resync).await.unwrap();
    desk.until("whole", |desk| desk.said.len() == 4).await;
    assert_eq!(desk.said[2..], ["names", "whole"]);
    desk.said[..2].sort();
    assert_eq!(desk.said[..2], ["asked orders", "asked users"]);
}

#[tokio::test]
async fn a_service_that_is_never_answered_blocks_no_other() {
    let fake = Fake::start();
    for i in 0..100 {
        fake.set(&format!("s{i}"), vec![host("10.0.0.1", 80)]);
    }
    fake.inner().stuck.insert("s50".into());
    let mut desk = Desk::open(registry(vec![fake.address()]));
    desk.until("degraded", |desk| matches!(desk.health, Some(Health::Degraded { .. }))).await;
    assert_eq!(desk.services.len(), 99);
    fake.set("s7", vec![]);
    desk.until("s7", |desk| desk.addresses("s7").is_empty()).await;
    fake.inner().stuck.clear();
    desk.live().await;
    assert_eq!(desk.services.len(), 100);
}

#[tokio::test]
async fn a_service_that_is_back_before_its_watch_was_given_up_is_watched_again() {
    let fake = Fake::start();
    fake.set("orders", vec![host("10.0.0.1", 80)]);
    fake.set("users", vec![host("10.0.0.9", 80)]);
    let mut desk = Desk::open(registry(vec![fake.address()]));
    desk.live().await;
    // The giving up is on its way for long.
    fake.inner().stuck.insert("orders".into());
    let begun = fake.count("SubscribeServiceRequest");
    fake.remove("orders");
    desk.until("gone", |desk| desk.names == ["users"]).await;
    let end = Instant::now() + LIMIT;
    while fake.count("SubscribeServiceRequest") == begun {
        assert!(Instant::now() < end, "never asked to give up");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    fake.inner().stuck.clear();
    fake.set("orders", vec![host("10.0.0.2", 80)]);
    desk.until("back", |desk| desk.names.len() == 2 && desk.addresses("orders") == ["10.0.0.2:80"])
        .await;
    // And the server does it last.
    fake.unsubscribe("orders");
    fake.set("orders", vec![host("10.0.0.3", 80)]);
    desk.until("watched", |desk| desk.addresses("orders") == ["10.0.0.3:80"]).await;
    fake.set("orders", vec![host("10.0.0.4", 80)]);
    desk.until("pushed", |desk| desk.addresses("orders") == ["10.0.0.4:80"]).await;
}

#[tokio::test]
async fn a_rotated_password_is_taken_and_a_wrong_one_is_told() {
    let fake = Fake::start();
    fake.set("orders", vec![host("10.0.0.1", 80)]);
    fake.inner().password = Some("one".into());
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("password");
    let mut document = registry(vec![fake.address()]);
    document.login.username = Some("nacos".into());
    document.login.password_file = Some(file.clone());
    let mut desk = Desk::open(document);
    desk.until("no secret", |desk| desk.code("login") == Some(codes::REGISTRY_SECRET)).await;
    std::fs::write(&file, "wrong-secret").unwrap();
    desk.until("refused", |desk| desk.code("login") == Some(codes::REGISTRY_LOGIN)).await;
    std::fs::write(&file, "one").unwrap();
    desk.live().await;
    assert_eq!(desk.code("login"), None);

    // The password is another one now, and the tokens are void: the new file serves, in the same session.
    desk.said.clear();
    std::fs::write(&file, "two").unwrap();
    {
        let mut inner = fake.inner();
        inner.password = Some("two".into());
        inner.epoch += 1;
    }
    fake.set("new", vec![host("10.0.0.9", 80)]);
    desk.until("new", |desk| desk.services.contains_key("new")).await;
    assert!(!desk.said.contains(&"stale".to_owned()), "{:?}", desk.said);
    assert!(!format!("{:?}", desk.findings).contains("wrong-secret"));
}

#[tokio::test]
async fn keys_sign_every_request() {
    let fake = Fake::start();
    fake.set("orders", vec![host("10.0.0.1", 80)]);
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        Some(path)
    };
    let mut document = registry(vec![fake.address()]);
    document.login.access_key_file = write("ak", "ak-1");
    document.login.secret_key_file = write("sk", "sk-1");
    let mut desk = Desk::open(document);
    desk.live().await;
    desk.asks.send(Ask::Confirm(vec![id("orders")])).await.unwrap();
    desk.until("asked", |desk| desk.said.contains(&"asked orders".to_owned())).await;
    assert_eq!(fake.inner().headers["ak"], "ak-1");
    assert!(fake.inner().headers["data"].ends_with("@@DEFAULT_GROUP@@orders"));
}

#[tokio::test]
async fn groups_come_from_the_fuzzy_watch_where_http_has_no_list() {
    let fake = Fake::start();
    fake.inner().http_list = false;
    fake.inner().fuzzy = true;
    fake.set("orders", vec![host("10.0.0.1", 80)]);
    fake.set_in("public", "blue", "users", vec![host("10.0.0.2", 80)]);
    let mut desk = Desk::open(registry(vec![fake.address()]));
    desk.live().await;
    assert_eq!(desk.names, ["orders"]);
    fake.tell_names_changed("public@@blue@@users");
    desk.until("users", |desk| desk.services.contains_key("blue@@users")).await;
    desk.said.clear();
    fake.ask_to_leave();
    desk.until("anew", |desk| desk.said.ends_with(&["live".into()])).await;
    assert_eq!(desk.said[..2], ["stale", "doubt"]);
}

#[tokio::test]
async fn without_any_way_to_list_groups_that_is_told() {
    let fake = Fake::start();
    fake.inner().http_list = false;
    fake.set("orders", vec![host("10.0.0.1", 80)]);
    let mut desk = Desk::open(registry(vec![fake.address()]));
    desk.live().await;
    assert_eq!(desk.names, ["orders"]);
    assert_eq!(desk.code("names"), Some(codes::REGISTRY_LOGIN));
    // Named groups need no list of groups, and namespaces go before them.
    fake.set_in("dev", "blue", "users", vec![host("10.0.0.2", 80)]);
    let mut document = registry(vec![fake.address()]);
    document.kind = RegistryKind::Nacos(NacosOptions {
        namespaces: vec!["dev".into()],
        groups: vec!["blue".into()],
        ..NacosOptions::default()
    });
    desk.registry.send_replace(Arc::new(document));
    desk.until("users", |desk| desk.names == ["dev/blue@@users"]).await;
    desk.until("told", |desk| desk.code("names").is_none()).await;
}

#[tokio::test]
async fn a_push_names_no_namespace_and_is_still_told_apart() {
    let fake = Fake::start();
    for namespace in ["dev", "test"] {
        fake.set_in(namespace, "g", "orders", vec![host("10.0.0.1", 80)]);
    }
    let mut document = registry(vec![fake.address()]);
    document.kind = RegistryKind::Nacos(NacosOptions {
        namespaces: vec!["dev".into(), "test".into()],
        groups: vec!["g".into()],
        ..NacosOptions::default()
    });
    let mut desk = Desk::open(document);
    desk.live().await;
    fake.set_in("test", "g", "orders", vec![host("10.0.0.2", 80)]);
    desk.until("test", |desk| desk.addresses("test/g@@orders") == ["10.0.0.2:80"]).await;
    assert_eq!(desk.addresses("dev/g@@orders"), ["10.0.0.1:80"]);
}

#[tokio::test]
async fn many_pushes_that_name_no_namespace_are_few_reads() {
    let fake = Fake::start();
    for namespace in ["dev", "test"] {
        for name in ["orders", "slow", "users"] {
            fake.set_in(namespace, "g", name, vec![host("10.0.0.1", 80)]);
        }
    }
    let mut document = registry(vec![fake.address()]);
    document.kind = RegistryKind::Nacos(NacosOptions {
        namespaces: vec!["dev".into(), "test".into()],
        groups: vec!["g".into()],
        ..NacosOptions::default()
    });
    let mut desk = Desk::open(document);
    desk.live().await;
    // As many as are read at once are never answered, so that the queue is not emptied.
    fake.inner().stuck.insert("slow".into());
    let begun = fake.count("SubscribeServiceRequest");
    let end = Instant::now() + LIMIT;
    while fake.count("SubscribeServiceRequest") < begun + 64 {
        assert!(Instant::now() < end, "the reads are never all taken");
        fake.set_in("test", "g", "slow", vec![host("10.0.0.1", 80)]);
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let begun = fake.count("SubscribeServiceRequest");
    for last in 0..200 {
        fake.set_in("test", "g", "orders", vec![host(&format!("10.0.1.{last}"), 80)]);
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    fake.set_in("test", "g", "users", vec![host("10.0.2.1", 80)]);
    fake.inner().stuck.clear();
    // Its turn is after all that were there before.
    desk.until("the last", |desk| desk.addresses("test/g@@users") == ["10.0.2.1:80"]).await;
    desk.until("orders", |desk| desk.addresses("test/g@@orders") == ["10.0.1.199:80"]).await;
    let reads = fake.count("SubscribeServiceRequest") - begun;
    assert!(reads < 50, "{reads} reads");
}

#[tokio::test]
async fn dubbo_at_both_levels() {
    let fake = Fake::start();
    let dubbo = json!({"weight": "80", "interface": "lab.Greet", "version": "1.0.0", "group": "g1", "protocol": "tri",
        "dubbo.tag": "gray", "zone": "z1", "application": "greet-app"});
    fake.set(
        "providers:lab.Greet:1.0.0:g1",
        vec![with("10.0.0.1", 50051, json!({"metadata": dubbo}))],
    );
    fake.set(
        "consumers:lab.Greet:1.0.0:g1",
        vec![with("10.0.0.8", 0, json!({"metadata": {"application": "shop"}}))],
    );
    let application = json!({"dubbo.endpoints": "[{\"port\":50061,\"protocol\":\"tri\"}]",
        "dubbo.metadata.revision": "r1", "dubbo.metadata.storage-type": "remote"});
    fake.set("greet-app", vec![with("10.0.0.2", 50061, json!({"metadata": application}))]);
    fake.config(
        "greet-app",
        "r1",
        r#"{"app":"greet-app","revision":"r1","services":{"lab.Greet:tri":{"name":"lab.Greet","port":50061,"protocol":"tri",
            "params":{"weight":"40","dubbo.tag":"blue"}}}}"#,
    );
    let mut desk = Desk::open(registry(vec![fake.address()]));
    desk.live().await;
    assert_eq!(desk.names, ["greet-app", "lab.Greet:1.0.0:g1"]);
    let provider = &desk.services["lab.Greet:1.0.0:g1"];
    assert!((provider.instances[0].weight - 0.8).abs() < 1e-9);
    assert_eq!(&*provider.instances[0].labels["dubbo.tag"], "gray");
    assert_eq!(provider.consumers, ["shop".into()]);
    let application = &desk.services["greet-app"];
    assert!((application.instances[0].weight - 0.4).abs() < 1e-9);
    assert_eq!(&*application.instances[0].labels["dubbo.tag"], "blue");
    // Steered by the name it is reported under.
    desk.asks.send(Ask::Confirm(vec![id("lab.Greet:1.0.0:g1")])).await.unwrap();
    desk.until("asked", |d| d.said.contains(&"asked lab.Greet:1.0.0:g1".to_owned())).await;
    assert_eq!(desk.addresses("lab.Greet:1.0.0:g1"), ["10.0.0.1:50051"]);
}

#[tokio::test]
async fn a_dubbo_process_that_does_not_tell_its_metadata_holds_up_nothing() {
    let fake = Fake::start();
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = i64::from(silent.local_addr().unwrap().port());
    let metadata = json!({"dubbo.endpoints": format!("[{{\"port\":{port},\"protocol\":\"tri\"}}]"),
        "dubbo.metadata.revision": "r1", "dubbo.metadata.storage-type": "local",
        "dubbo.metadata-service.url-params": format!("{{\"port\":\"{port}\",\"protocol\":\"tri\"}}")});
    let instance = |port| with("127.0.0.1", port, json!({"metadata": metadata}));
    fake.set("greet-app", vec![instance(1), instance(2), instance(3)]);
    let mut desk = Desk::open(registry(vec![fake.address()]));
    let start = Instant::now();
    desk.live().await;
    // Beside one that is told of, those that are not wait for a second.
    let plain = host("10.0.0.1", 80);
    let other = |port: i64| {
        let mut other = instance(port);
        other["metadata"]["dubbo.metadata.revision"] = json!("r2");
        other
    };
    fake.set("greet-app", vec![plain.clone(), other(4)]);
    let own = format!("127.0.0.1:{port}");
    desk.until("one", |desk| desk.addresses("greet-app") == ["10.0.0.1:80"]).await;
    desk.until("both", |desk| desk.addresses("greet-app") == ["10.0.0.1:80", &own]).await;
    fake.set("greet-app", vec![]);
    desk.until("gone", |desk| desk.addresses("greet-app").is_empty()).await;
    // Each of the three would be waited for 3 s.
    assert!(start.elapsed() < Duration::from_secs(9), "{:?}", start.elapsed());
}

#[tokio::test]
async fn dubbo_processes_are_not_called_where_the_document_says_so() {
    let fake = Fake::start();
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = i64::from(silent.local_addr().unwrap().port());
    let metadata = json!({"dubbo.endpoints": format!("[{{\"port\":{port},\"protocol\":\"tri\"}}]"),
        "dubbo.metadata.revision": "r1", "dubbo.metadata.storage-type": "local",
        "dubbo.metadata-service.url-params": format!("{{\"port\":\"{port}\",\"protocol\":\"tri\"}}")});
    fake.set("greet-app", vec![with("127.0.0.1", 1, json!({"metadata": metadata}))]);
    let mut document = registry(vec![fake.address()]);
    document.kind =
        RegistryKind::Nacos(NacosOptions { metadata_service: false, ..NacosOptions::default() });
    let mut desk = Desk::open(document);
    desk.live().await;
    assert_eq!(desk.addresses("greet-app"), [format!("127.0.0.1:{port}")]);
    fake.set("greet-app", vec![]);
    desk.until("gone", |desk| desk.addresses("greet-app").is_empty()).await;
    silent.set_nonblocking(true).unwrap();
    assert!(silent.accept().is_err(), "somebody called");
}

#[tokio::test]
async fn a_hostile_server_costs_only_what_it_spoils() {
    let fake = Fake::start();
    let large = "x".repeat(10 << 20);
    fake.set("large", vec![with("10.0.0.1", 80, json!({"metadata": {"version": large}}))]);
    fake.set(
        "odd",
        vec![
            host("10.0.0.1", 0),
            host("a b", 80),
            json!("text"),
            json!({"ip": 7, "port": "80"}),
            with("10.0.0.2", 80, json!({"weight": "NaN"})),
            with("10.0.0.3", 80, json!({"metadata": null, "clusterName": null})),
            host("10.0.0.9\0", 80),
        ],
    );
    fake.set("订单\0 \u{202e}", vec![host("10.0.0.4", 80)]);
    fake.set("good", vec![host("10.0.0.5", 80)]);
    let mut desk = Desk::open(registry(vec![fake.address()]));
    desk.live().await;
    assert_eq!(desk.addresses("good"), ["10.0.0.5:80"]);
    assert_eq!(desk.addresses("订单\0 \u{202e}"), ["10.0.0.4:80"]);
    assert_eq!(desk.addresses("odd"), ["10.0.0.3:80"]);
    assert_eq!(desk.services["odd"].findings.len(), 6);
    assert_eq!(desk.addresses("large"), ["10.0.0.1:80"]);
    assert_eq!(desk.services["large"].findings[0].code, codes::REGISTRY_TOO_LARGE);
    assert!(desk.services["large"].instances[0].labels.is_empty());
}

#[tokio::test]
async fn ten_thousand_services_and_a_storm_of_pushes() {
    let fake = Fake::start();
    for i in 0..10_000 {
        fake.set(&format!("s{i}"), vec![host("10.0.0.1", 80), host("10.0.0.2", 80)]);
    }
    let start = Instant::now();
    let mut desk = Desk::open(registry(vec![fake.address()]));
    desk.live().await;
    println!("10,000 services in {:?}", start.elapsed());
    assert_eq!(desk.services.len(), 10_000);
    assert_eq!(fake.count("SubscribeServiceRequest"), 10_000);
    // Nobody looks while 50,000 pushes come: what is there afterwards is the last of each service.
    for port in 1..=50_i64 {
        for i in 0..1000 {
            fake.set(&format!("s{i}"), vec![host("10.0.0.1", port)]);
        }
    }
    desk.until("the last", |desk| {
        (0..1000).all(|i| desk.addresses(&format!("s{i}")) == ["10.0.0.1:50"])
    })
    .await;
    assert!(!desk.said.contains(&"stale".to_owned()));
}

#[tokio::test]
async fn over_tls_with_the_right_roots_only() {
    let key = rcgen::generate_simple_self_signed(["nacos.test".to_owned()]).unwrap();
    let fake = Fake::start_tls(&key.cert.pem(), &key.signing_key.serialize_pem());
    fake.set("orders", vec![host("10.0.0.1", 80)]);
    let folder = tempfile::tempdir().unwrap();
    let ca = folder.path().join("ca.pem");
    let other = rcgen::generate_simple_self_signed(["nacos.test".to_owned()]).unwrap();
    std::fs::write(&ca, other.cert.pem()).unwrap();
    let mut document = registry(vec![fake.address()]);
    document.kind = RegistryKind::Nacos(NacosOptions {
        namespaces: vec![],
        groups: vec!["DEFAULT_GROUP".into()],
        ..NacosOptions::default()
    });
    document.tls = Some(RegistryTls {
        ca_file: Some(ca.clone()),
        server_name: Some("nacos.test".into()),
        ..RegistryTls::default()
    });
    let mut desk = Desk::open(document);
    desk.until("refused", |desk| matches!(desk.health, Some(Health::Stale { .. }))).await;
    // The right roots are taken at the next try, without an edit.
    std::fs::write(&ca, key.cert.pem()).unwrap();
    desk.live().await;
    assert_eq!(desk.addresses("orders"), ["10.0.0.1:80"]);
}

#[tokio::test]
async fn what_is_written_back_is_never_read_back() {
    let fake = Fake::start();
    fake.set("orders", vec![host("10.0.0.1", 80)]);
    let (_edits, document) = watch::channel(Arc::new(registry(vec![fake.address()])));
    let (wanted, wants) = watch::channel(Arc::new(super::Wanted::new()));
    let (health, mut seen) = watch::channel(Health::Syncing);
    let registrar =
        super::Registrar { registry: document, wanted: wants, origin: "east".into(), health };
    let task = tokio::spawn(registrar.run());
    let instance = |port| Arc::new(Instance::new(Host::Ip([10, 1, 1, 1].into()), port));
    wanted.send_modify(|wanted| {
        let sick = Instance { health: EndpointHealth::Unhealthy, ..(*instance(82)).clone() };
        let all = vec![instance(80), instance(81), Arc::new(sick)];
        Arc::make_mut(wanted).insert(id("mesh"), all);
    });
    let written = |fake: &Fake| fake.hosts("mesh");
    let end = Instant::now() + LIMIT;
    while written(&fake).len() != 2 {
        assert!(timeout_at(end, seen.changed()).await.is_ok());
    }
    assert_eq!(written(&fake)[0]["metadata"]["isthmus.dev/origin"], "east");
    assert_eq!(written(&fake)[0]["ephemeral"], true);
    let mut desk = Desk::open(registry(vec![fake.address()]));
    desk.live().await;
    assert!(desk.addresses("mesh").is_empty());
    assert_eq!(desk.names, ["orders"]);
    // One is not ready any more, then none.
    for ports in [vec![81], vec![]] {
        wanted.send_modify(|wanted| {
            let ready = ports.iter().map(|port| instance(*port)).collect();
            Arc::make_mut(wanted).insert(id("mesh"), ready);
        });
        while written(&fake).len() != ports.len() {
            tokio::task::yield_now().await;
        }
    }
    assert_eq!(fake.hosts("orders").len(), 1);
    drop(wanted);
    tokio::time::timeout(LIMIT, task).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_push_that_cannot_be_read_makes_it_read_all() {
    let fake = Fake::start();
    fake.set("orders", vec![host("10.0.0.1", 80)]);
    let mut desk = Desk::open(registry(vec![fake.address()]));
    desk.live().await;
    fake.push_nonsense();
    desk.until("asked", |desk| desk.was_asked("orders")).await;
}

#[tokio::test]
async fn a_probe_tells_of_every_address() {
    let fake = Fake::start();
    fake.set("orders", vec![host("10.0.0.1", 80)]);
    let dead = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let probes = super::probe(&registry(vec![fake.address(), dead.to_string().into()])).await;
    assert_eq!(probes[0].services, Some(1));
    assert!(probes[0].latency.is_some() && probes[0].error.is_none());
    assert!(probes[1].latency.is_none() && probes[1].error.is_some());
}

#[tokio::test]
async fn it_ends_when_nobody_asks_any_more() {
    let (to, _from) = mpsc::channel(64);
    let (asks, asked) = mpsc::channel(1);
    let (_edits, registry) = watch::channel(Arc::new(registry(vec!["127.0.0.1:1".into()])));
    let inlet = Inlet { registry, asks: asked };
    let task = tokio::spawn(super::run(inlet, Outlet::new("infra/main".into(), to)));
    drop(asks);
    tokio::time::timeout(LIMIT, task).await.unwrap().unwrap();
}
