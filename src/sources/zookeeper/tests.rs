use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use model::{
    Ask, Batch, Change, EndpointHealth, Finding, GuardRules, Health, Import, Kind, Login, Meta,
    ObjectKey, Registry, RegistryKind, RegistryService, RegistryServiceId, Report,
    ZooKeeperOptions, codes,
};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::fake::Fake;
use crate::registry::{Inlet, Outlet};

const LIMIT: Duration = Duration::from_secs(20);

/// A running source with what it has reported so far.
struct Bed {
    registry: watch::Sender<Arc<Registry>>,
    asks: mpsc::Sender<Ask>,
    batches: mpsc::Receiver<Batch>,
    task: JoinHandle<()>,
    services: BTreeMap<String, Arc<RegistryService>>,
    asked: Vec<String>,
    names: Vec<String>,
    health: Vec<Health>,
    findings: BTreeMap<Arc<str>, Vec<Finding>>,
    /// `doubt`, `whole`, `names`, and the names of services, in order.
    log: Vec<String>,
}

impl Bed {
    fn start(registry: Registry) -> Self {
        let (registry, registry_in) = watch::channel(Arc::new(registry));
        let (asks, asks_in) = mpsc::channel(16);
        let (out, batches) = mpsc::channel(16);
        let inlet = Inlet { registry: registry_in, asks: asks_in };
        let task = tokio::spawn(super::run(inlet, Outlet::new("infra/zk".into(), out)));
        Self {
            registry,
            asks,
            batches,
            task,
            services: BTreeMap::new(),
            asked: Vec::new(),
            names: Vec::new(),
            health: Vec::new(),
            findings: BTreeMap::new(),
            log: Vec::new(),
        }
    }

    async fn live(fake: &Fake) -> Self {
        let mut bed = Self::start(registry(&[fake.address.to_string()]));
        bed.until("live", Bed::is_live).await;
        bed
    }

    #[track_caller]
    fn until(
        &mut self,
        what: &str,
        mut met: impl FnMut(&Self) -> bool,
    ) -> impl Future<Output = ()> {
        let what = what.to_owned();
        async move {
            let end = Instant::now() + LIMIT;
            while !met(self) {
                let batch =
                    timeout(end.saturating_duration_since(Instant::now()), self.batches.recv());
                match batch.await {
                    Ok(Some(batch)) => {
                        batch.changes.into_iter().for_each(|change| self.take(change));
                    }
                    Ok(None) => panic!("{what}: the source ended"),
                    Err(_) => {
                        panic!("{what}: not in time; log {:?} health {:?}", self.log, self.health)
                    }
                }
            }
        }
    }

    fn take(&mut self, change: Change) {
        match change {
            Change::Registry(Report::Service { service, asked }) => {
                let name = service.id.name.to_string();
                self.log.push(name.clone());
                if asked {
                    self.asked.push(name.clone());
                }
                self.services.insert(name, service);
            }
            Change::Registry(Report::Names(names)) => {
                self.log.push("names".into());
                self.names = names.iter().map(|id| id.name.to_string()).collect();
            }
            Change::Registry(Report::Whole) => self.log.push("whole".into()),
            Change::Registry(Report::Doubt { .. }) => self.log.push("doubt".into()),
            Change::Health(health) => self.health.push(health),
            Change::Findings { scope, findings } => drop(self.findings.insert(scope, findings)),
            other => panic!("{other:?}"),
        }
    }

    fn is_live(&self) -> bool {
        self.health.last() == Some(&Health::Live)
    }

    fn is_stale(&self) -> bool {
        matches!(self.health.last(), Some(Health::Stale { .. }))
    }

    fn has(&self, service: &str, count: usize) -> bool {
        self.services.get(service).is_some_and(|service| service.instances.len() == count)
    }

    fn count(&self, entry: &str) -> usize {
        self.log.iter().filter(|e| *e == entry).count()
    }

    fn edit(&self, edit: impl FnOnce(&mut Registry)) {
        let mut registry = (**self.registry.borrow()).clone();
        edit(&mut registry);
        self.registry.send_replace(Arc::new(registry));
    }
}

fn registry(addresses: &[String]) -> Registry {
    Registry {
        meta: Meta {
            key: ObjectKey::new(Kind::MeshService, "infra", "zk"),
            source: "files".into(),
            labels: Vec::new(),
            annotations: Vec::new(),
            generation: 0,
            created: None,
            locations: Arc::default(),
            document: "".into(),
        },
        kind: RegistryKind::ZooKeeper(ZooKeeperOptions {
            session_timeout: Duration::from_secs(4),
            ..ZooKeeperOptions::default()
        }),
        addresses: addresses.iter().map(|address| address.as_str().into()).collect(),
        login: Login::default(),
        tls: None,
        labels: vec!["version".into()],
        import: Import::default(),
        guard: GuardRules::default(),
    }
}

fn provider(interface: &str, address: &str, params: &str) -> String {
    let url = format!("dubbo://{address}/{interface}?application=app&{params}");
    let url = utf8_percent_encode(&url, NON_ALPHANUMERIC);
    format!("/dubbo/{interface}/providers/{url}")
}

fn spring(application: &str, instance: &str, port: u16, status: &str) -> (String, String) {
    let data = format!(
        r#"{{"name":"{application}","id":"{instance}","address":"10.0.0.1","port":{port},"sslPort":null,"payload":{{
        "@class":"org.springframework.cloud.zookeeper.discovery.ZookeeperInstance","id":"{application}",
        "metadata":{{"version":"v2","instance_status":"{status}"}}}}}}"#
    );
    (format!("/services/{application}/{instance}"), data)
}

fn add_spring(fake: &Fake, application: &str, instance: &str, port: u16) {
    let (path, data) = spring(application, instance, port, "UP");
    fake.put(&path, &data);
}

fn id(name: &str) -> RegistryServiceId {
    RegistryServiceId { registry: "infra/zk".into(), group: "".into(), name: name.into() }
}

#[tokio::test]
async fn all_is_read_then_changes_come_live() {
    let fake = Fake::start().await;
    fake.put(&provider("a.Greet", "10.0.0.1:20880", "weight=80"), "");
    fake.put("/dubbo/config/dubbo", "");
    fake.put("/dubbo/mapping/a.Greet", "app");
    add_spring(&fake, "user-svc", "one", 9503);
    let mut bed = Bed::live(&fake).await;
    assert_eq!(bed.health, [Health::Syncing, Health::Live]);
    assert_eq!(bed.log[2..], ["names", "whole"]);
    assert_eq!(bed.names, ["a.Greet", "user-svc"]);
    assert!((bed.services["a.Greet"].instances[0].weight - 0.8).abs() < 1e-9);
    assert_eq!(bed.services["user-svc"].instances[0].labels["version"], "v2".into());

    // One more, of another version: another service.
    fake.put(&provider("a.Greet", "10.0.0.2:20880", "version=1.0.0&group=g"), "");
    bed.until("version", |bed| bed.has("a.Greet:1.0.0:g", 1)).await;
    bed.until("its name", |bed| bed.names.contains(&"a.Greet:1.0.0:g".into())).await;
    // An override disables, and its end enables.
    let rule =
        utf8_percent_encode("override://10.0.0.1:20880/a.Greet?disabled=true", NON_ALPHANUMERIC);
    let rule = format!("/dubbo/a.Greet/configurators/{rule}");
    let health = |bed: &Bed| bed.services["a.Greet"].instances[0].health;
    fake.put(&rule, "");
    bed.until("disabled", |bed| health(bed) == EndpointHealth::Unhealthy).await;
    fake.remove(&rule);
    bed.until("enabled", |bed| health(bed) == EndpointHealth::Healthy).await;
    // A consumer.
    let consumer =
        utf8_percent_encode("consumer://10.0.0.9/a.Greet?application=web", NON_ALPHANUMERIC);
    fake.put(&format!("/dubbo/a.Greet/consumers/{consumer}"), "");
    bed.until("consumer", |bed| bed.services["a.Greet"].consumers == ["web".into()]).await;
    // The status of one instance.
    let (path, data) = spring("user-svc", "one", 9503, "OUT_OF_SERVICE");
    fake.put(&path, &data);
    bed.until("out of service", |bed| {
        bed.services["user-svc"].instances[0].health == EndpointHealth::Draining
    })
    .await;
    // A new service of each sort, quickly.
    let start = Instant::now();
    fake.put(&provider("b.New", "10.0.0.1:20880", ""), "");
    add_spring(&fake, "new-svc", "one", 9503);
    bed.until("new", |bed| bed.has("b.New", 1) && bed.has("new-svc", 1)).await;
    bed.until("new names", |bed| bed.names.contains(&"new-svc".into())).await;
    assert!(start.elapsed() < Duration::from_secs(2));
    // The last instance goes, comes back, and the service goes altogether.
    fake.remove("/services/new-svc/one");
    bed.until("empty", |bed| bed.has("new-svc", 0)).await;
    add_spring(&fake, "new-svc", "one", 9504);
    bed.until("flap", |bed| bed.has("new-svc", 1)).await;
    fake.remove("/services/new-svc");
    bed.until("gone", |bed| !bed.names.contains(&"new-svc".into())).await;
    assert!(bed.has("new-svc", 0));
    assert_eq!(bed.count("doubt"), 0);
    drop(bed.asks);
    timeout(LIMIT, bed.task).await.unwrap().unwrap();
}

#[tokio::test]
async fn an_empty_server_is_live_and_folders_may_come_later() {
    let fake = Fake::start().await;
    let mut bed = Bed::live(&fake).await;
    assert_eq!(bed.log, ["names", "whole"]);
    fake.put(&provider("a.Greet", "10.0.0.1:20880", ""), "");
    bed.until("first", |bed| bed.has("a.Greet", 1)).await;
}

#[tokio::test]
async fn lost_contact_removes_nothing_and_what_vanished_meanwhile_is_seen() {
    let mut fake = Fake::start().await;
    fake.put(&provider("a.Greet", "10.0.0.1:20880", ""), "");
    fake.put(&provider("a.Greet", "10.0.0.2:20880", ""), "");
    add_spring(&fake, "user-svc", "one", 9503);
    let mut bed = Bed::live(&fake).await;
    let seen = bed.log.len();
    fake.down().await;
    bed.until("stale", Bed::is_stale).await;
    assert_eq!(bed.log.len(), seen, "nothing is said of services");
    fake.remove(&provider("a.Greet", "10.0.0.2:20880", ""));
    fake.up().await;
    bed.until("live", Bed::is_live).await;
    assert_eq!(bed.log[seen], "doubt");
    assert_eq!(bed.log[bed.log.len() - 2..], ["names", "whole"]);
    assert!(bed.has("a.Greet", 1) && bed.has("user-svc", 1));
    assert!(bed.findings.get("contact").is_none_or(Vec::is_empty));
    // Watches are armed again.
    fake.put(&provider("a.Greet", "10.0.0.3:20880", ""), "");
    bed.until("armed", |bed| bed.has("a.Greet", 2)).await;
}

#[tokio::test]
async fn expired_session_and_wiped_server_are_doubt_first_and_then_the_answer() {
    let mut fake = Fake::start().await;
    add_spring(&fake, "user-svc", "one", 9503);
    let mut bed = Bed::live(&fake).await;
    let seen = bed.log.len();
    fake.expire();
    bed.until("doubt", |bed| bed.count("doubt") == 1).await;
    bed.until("live", Bed::is_live).await;
    assert_eq!(bed.log[seen..], ["doubt", "user-svc", "names", "whole"]);

    let seen = bed.log.len();
    fake.down().await;
    fake.wipe();
    fake.up().await;
    bed.until("doubt", |bed| bed.count("doubt") == 2).await;
    bed.until("whole", |bed| bed.count("whole") == 3).await;
    // The empty answer is told as it is: the guard decides.
    assert_eq!(bed.log[seen..], ["doubt", "user-svc", "names", "whole"]);
    assert!(bed.has("user-svc", 0) && bed.names.is_empty());
}

#[tokio::test]
async fn a_silent_server_is_stale_within_two_thirds_of_the_session() {
    let fake = Fake::start().await;
    add_spring(&fake, "user-svc", "one", 9503);
    let mut bed = Bed::live(&fake).await;
    let start = Instant::now();
    fake.freeze(true);
    bed.until("stale", Bed::is_stale).await;
    assert!(start.elapsed() < Duration::from_secs(8), "{:?}", start.elapsed());
    fake.freeze(false);
    bed.until("live", Bed::is_live).await;
    assert!(bed.has("user-svc", 1));
}

#[tokio::test]
async fn asks_are_answered_from_the_server() {
    let fake = Fake::start().await;
    fake.put(&provider("a.Greet", "10.0.0.1:20880", ""), "");
    add_spring(&fake, "user-svc", "one", 9503);
    let mut bed = Bed::live(&fake).await;
    let ids = ["a.Greet", "user-svc", "unknown", "no.Such:1.0.0"].map(id);
    bed.asks.send(Ask::Confirm(ids.to_vec())).await.unwrap();
    bed.until("confirmed", |bed| bed.asked.len() == 4).await;
    assert!(bed.has("a.Greet", 1) && bed.has("user-svc", 1));
    assert!(bed.has("unknown", 0) && bed.has("no.Such:1.0.0", 0));
    bed.asked.clear();
    bed.asks.send(Ask::Resync).await.unwrap();
    bed.until("whole", |bed| bed.count("whole") == 2).await;
    bed.asked.sort();
    assert_eq!(bed.asked, ["a.Greet", "user-svc"]);
    assert_eq!(bed.count("doubt"), 0);
}

#[tokio::test]
async fn what_is_asked_while_there_is_no_contact_is_answered_after_the_next() {
    let mut fake = Fake::start().await;
    add_spring(&fake, "user-svc", "one", 9503);
    let mut bed = Bed::live(&fake).await;
    fake.down().await;
    bed.until("stale", Bed::is_stale).await;
    bed.asks.send(Ask::Confirm(vec![id("user-svc"), id("unknown")])).await.unwrap();
    fake.up().await;
    bed.until("answered", |bed| bed.asked.len() >= 2).await;
    assert!(bed.has("user-svc", 1) && bed.has("unknown", 0));
    assert_eq!(bed.count("doubt"), 1);
}

#[tokio::test]
async fn one_address_may_be_dead_and_the_list_may_be_edited() {
    let one = Fake::start().await;
    let two = Fake::start().await;
    add_spring(&one, "user-svc", "one", 9503);
    add_spring(&two, "user-svc", "one", 9503);
    let dead = "127.0.0.1:1".to_owned();
    let mut bed = Bed::start(registry(&[dead.clone(), one.address.to_string()]));
    bed.until("live", Bed::is_live).await;
    // Its address is still there: the session stays.
    bed.edit(|registry| registry.addresses.push(two.address.to_string().into()));
    // It is gone: the source moves.
    bed.edit(|registry| registry.addresses = vec![dead.into(), two.address.to_string().into()]);
    bed.until("doubt", |bed| bed.count("doubt") == 1).await;
    bed.until("whole", |bed| bed.count("whole") == 2).await;
    assert_eq!(two.connections(), 1);
    // A label edit is a new look without doubt.
    bed.edit(|registry| registry.labels.clear());
    bed.until("labels", |bed| bed.services["user-svc"].instances[0].labels.is_empty()).await;
    assert_eq!(bed.count("doubt"), 1);
}

#[tokio::test]
async fn a_login_that_is_refused_is_told_and_a_rotated_secret_mends_it() {
    let fake = Fake::start().await;
    add_spring(&fake, "user-svc", "one", 9503);
    fake.lock_to("/services", "mesh:right-secret");
    let folder = tempfile::tempdir().unwrap();
    let path: PathBuf = folder.path().join("password");
    std::fs::write(&path, "wrong-secret").unwrap();
    let mut registry = registry(&[fake.address.to_string()]);
    registry.login.username = Some("mesh".into());
    registry.login.password_file = Some(path.clone());
    let probed = super::probe(&registry).await;
    assert_eq!(probed[0].authenticated, Some(false));
    let mut bed = Bed::start(registry.clone());
    bed.until("stale", Bed::is_stale).await;
    bed.until("finding", |bed| bed.findings.get("login").is_some_and(|f| !f.is_empty())).await;
    assert_eq!(bed.findings["login"][0].code, codes::REGISTRY_LOGIN);
    std::fs::write(&path, "right-secret").unwrap();
    bed.until("live", Bed::is_live).await;
    assert!(bed.has("user-svc", 1) && bed.findings["login"].is_empty());
    let probed = super::probe(&registry).await;
    assert_eq!((probed[0].authenticated, probed[0].services), (Some(true), Some(1)));
    // Rotated in mid-life: what is on the connection stays until the nodes refuse it.
    fake.lock_to("/services", "mesh:next-secret");
    fake.put("/services/new-svc", "");
    bed.until("refused", Bed::is_stale).await;
    assert!(bed.has("user-svc", 1), "nothing is removed");
    std::fs::write(&path, "next-secret").unwrap();
    bed.until("live again", Bed::is_live).await;
    std::fs::remove_file(&path).unwrap();
    bed.until("secret", |bed| bed.findings.get("secret").is_some_and(|f| !f.is_empty())).await;
    assert_eq!(bed.findings["secret"][0].code, codes::REGISTRY_SECRET);
    let all = format!("{:?} {:?} {:?}", bed.findings, bed.health, bed.log);
    assert!(!all.contains("-secret"), "{all}");
}

#[tokio::test]
async fn bad_data_costs_itself() {
    let fake = Fake::start().await;
    add_spring(&fake, "user-svc", "good", 9503);
    add_spring(&fake, "user-svc", "port-0", 0);
    fake.put("/services/user-svc/folder", "");
    fake.put("/services/user-svc/text", "订单 \0");
    fake.put("/services/user-svc/large", &"x".repeat(10 * 1024 * 1024));
    fake.put("/services/user-svc/host", r#"{"address":"a b","port":1}"#);
    fake.put("/services/订单 服务\0/one\0", &spring("odd", "one", 9503, "UP").1);
    fake.put("/dubbo/a.Greet/providers/not a url", "");
    fake.put(&provider("a.Greet", "10.0.0.1:20880", "weight=many"), "");
    fake.put(&provider("a.Greet", "1.2.3:20880", ""), "");
    // A list of more than 4 MiB: that service only.
    let long = "y".repeat(100 * 1024);
    for i in 0..50 {
        fake.put(&format!("/dubbo/a.Long/providers/{i}{long}"), "");
    }
    let mut bed = Bed::start(registry(&[fake.address.to_string()]));
    bed.until("whole", |bed| bed.count("whole") == 1).await;
    bed.until("degraded", |bed| matches!(bed.health.last(), Some(Health::Degraded { .. }))).await;
    for name in ["user-svc", "订单 服务\0", "a.Greet"] {
        assert!(bed.has(name, 1), "{name}: {:?}", bed.services.get(name));
    }
    assert_eq!(bed.findings["services"][0].code, codes::REGISTRY_TOO_LARGE);
    assert!(bed.names.contains(&"a.Long".into()), "what cannot be read is not gone");
    let mut told: Vec<_> = bed.services["user-svc"].findings.iter().map(|f| f.code).collect();
    told.sort();
    assert_eq!(
        told,
        [
            codes::REGISTRY_HOST,
            codes::REGISTRY_PORT,
            codes::REGISTRY_DATA,
            codes::REGISTRY_TOO_LARGE
        ]
    );
    let told: Vec<_> = bed.services["a.Greet"].findings.iter().map(|f| f.code).collect();
    assert_eq!(told.len(), 3);
    fake.remove("/dubbo/a.Long");
    bed.until("mended", Bed::is_live).await;
}

#[tokio::test]
async fn a_revision_in_the_metadata_centre_is_read_and_awaited() {
    let fake = Fake::start().await;
    let node = r#"{"address":"10.0.0.1","port":20880,"payload":{"@class":"org.apache.dubbo.registry.zookeeper.ZookeeperInstance",
        "metadata":{"dubbo.endpoints":"[{\"port\":50051,\"protocol\":\"tri\"}]","dubbo.metadata.revision":"r1",
        "dubbo.metadata.storage-type":"remote"}}}"#;
    fake.put("/services/greet-app/10.0.0.1:20880", node);
    let mut bed = Bed::live(&fake).await;
    assert!((bed.services["greet-app"].instances[0].weight - 1.0).abs() < 1e-9);
    let revision = r#"{"app":"greet-app","revision":"r1","services":{"a.Greet:tri":{"name":"a.Greet","port":50051,
        "protocol":"tri","params":{"weight":"80","zone":"z1","dubbo.tag":"gray"}}}}"#;
    fake.put("/dubbo/metadata/greet-app/r1", revision);
    bed.until("weight", |bed| bed.services["greet-app"].instances[0].weight < 0.9).await;
    let one = &bed.services["greet-app"].instances[0];
    assert_eq!((&*one.locality.zone, &*one.labels["dubbo.tag"]), ("z1", "gray"));
}

#[tokio::test]
async fn who_is_no_zookeeper_is_stale_and_never_a_panic() {
    for answer in [
        &b"HTTP/1.1 400 Bad Request\r\n\r\n"[..],
        &[0xff; 64],
        &[0, 0, 0, 4, 0, 0, 0, 0],
        // A good greeting, then nonsense.
        &[
            &[0, 0, 0, 36, 0, 0, 0, 0, 0, 0, 0x0f, 0xa0][..],
            &[1; 8],
            &[0, 0, 0, 16],
            &[7; 16],
            &[9; 90],
        ]
        .concat(),
        b"",
    ] {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let answer = answer.to_vec();
        let server = tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let _ = tokio::io::AsyncWriteExt::write_all(&mut stream, &answer).await;
            }
        });
        let mut bed = Bed::start(registry(&[address]));
        bed.until("stale", Bed::is_stale).await;
        assert!(bed.log.iter().all(|entry| entry == "doubt"), "{:?}", bed.log);
        drop(bed.asks);
        timeout(LIMIT, bed.task).await.unwrap().unwrap();
        server.abort();
    }
}

/// A port that speaks TLS and passes everything on.
async fn behind_tls(
    to: std::net::SocketAddr,
    folder: &std::path::Path,
) -> (String, JoinHandle<()>) {
    let signed = rcgen::generate_simple_self_signed(["zk.test".to_owned()]).unwrap();
    std::fs::write(folder.join("ca.pem"), signed.cert.pem()).unwrap();
    let key =
        rustls_pki_types::PrivateKeyDer::try_from(signed.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![signed.cert.der().clone()], key)
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let task = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(mut stream) = acceptor.accept(stream).await else { return };
                let mut inner = tokio::net::TcpStream::connect(to).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut stream, &mut inner).await;
            });
        }
    });
    (address, task)
}

#[tokio::test]
async fn tls_with_an_own_authority_and_not_with_a_foreign_one() {
    let fake = Fake::start().await;
    add_spring(&fake, "user-svc", "one", 9503);
    let folder = tempfile::tempdir().unwrap();
    let (address, _proxy) = behind_tls(fake.address, folder.path()).await;
    let tls = |server_name: &str| {
        let mut registry = registry(std::slice::from_ref(&address));
        registry.tls = Some(model::RegistryTls {
            ca_file: Some(folder.path().join("ca.pem")),
            server_name: Some(server_name.into()),
            ..model::RegistryTls::default()
        });
        registry
    };
    let mut bed = Bed::start(tls("zk.test"));
    bed.until("live", Bed::is_live).await;
    assert!(bed.has("user-svc", 1));
    let probed = super::probe(&tls("other.test")).await;
    assert!(probed[0].error.is_some() && probed[0].latency.is_none(), "{probed:?}");
}

#[tokio::test]
async fn a_silent_metadata_service_holds_up_nothing() {
    let fake = Fake::start().await;
    // Takes calls and never answers.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let node = format!(
        r#"{{"address":"127.0.0.1","port":{port},"payload":{{"@class":"org.apache.dubbo.registry.zookeeper.ZookeeperInstance",
        "metadata":{{"dubbo.endpoints":"[{{\"port\":{port},\"protocol\":\"dubbo\"}}]","dubbo.metadata.revision":"r1",
        "dubbo.metadata.storage-type":"local",
        "dubbo.metadata-service.url-params":"{{\"port\":\"{port}\",\"protocol\":\"dubbo\"}}"}}}}}}"#
    );
    fake.put("/services/greet-app/one", &node);
    let start = Instant::now();
    let mut bed = Bed::live(&fake).await;
    assert!(start.elapsed() < Duration::from_secs(8), "{:?}", start.elapsed());
    assert!(bed.has("greet-app", 1));
    assert_eq!(bed.count("greet-app"), 1, "it is shown after a second, before the call has failed");
    // The failed lesson is one more look, not a busy loop.
    bed.until("second look", |bed| bed.count("greet-app") == 2).await;
}

#[tokio::test]
async fn dubbo_processes_are_not_called_where_the_document_says_so() {
    let fake = Fake::start().await;
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let node = format!(
        r#"{{"address":"127.0.0.1","port":{port},"payload":{{"@class":"org.apache.dubbo.registry.zookeeper.ZookeeperInstance",
        "metadata":{{"dubbo.endpoints":"[{{\"port\":{port},\"protocol\":\"dubbo\"}}]","dubbo.metadata.revision":"r1",
        "dubbo.metadata.storage-type":"local",
        "dubbo.metadata-service.url-params":"{{\"port\":\"{port}\",\"protocol\":\"dubbo\"}}"}}}}}}"#
    );
    fake.put("/services/greet-app/one", &node);
    let mut document = registry(&[fake.address.to_string()]);
    document.kind = RegistryKind::ZooKeeper(ZooKeeperOptions {
        metadata_service: false,
        ..ZooKeeperOptions::default()
    });
    let mut bed = Bed::start(document);
    bed.until("live", Bed::is_live).await;
    assert!(bed.has("greet-app", 1));
    add_spring(&fake, "later", "1", 9500);
    bed.until("later", |bed| bed.has("later", 1)).await;
    silent.set_nonblocking(true).unwrap();
    assert!(silent.accept().is_err(), "somebody called");
}

#[tokio::test]
async fn ten_thousand_services_are_read_in_time_and_again_after_a_restart() {
    let mut fake = Fake::start().await;
    for i in 0..5_000 {
        for j in 1..=2 {
            fake.put(&provider(&format!("a.S{i}"), &format!("10.0.0.{j}:20880"), ""), "");
            add_spring(&fake, &format!("s{i}"), &j.to_string(), 9500 + j);
        }
    }
    let start = Instant::now();
    let mut bed = Bed::live(&fake).await;
    println!(
        "10,000 x 2: {:?}, {} requests",
        start.elapsed(),
        fake.requests.load(Ordering::Relaxed)
    );
    assert_eq!(bed.names.len(), 10_000);
    assert!(bed.services.values().all(|service| service.instances.len() == 2));
    // A change of one costs little.
    let before = fake.requests.load(Ordering::Relaxed);
    add_spring(&fake, "s1", "3", 9600);
    bed.until("one more", |bed| bed.has("s1", 3)).await;
    assert!(fake.requests.load(Ordering::Relaxed) - before <= 4);
    fake.down().await;
    fake.up().await;
    bed.until("whole again", |bed| bed.count("whole") == 2).await;
}
