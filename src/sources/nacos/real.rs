//! The same against a real Nacos. Not run by default:
//!
//! ```text
//! NACOS=127.0.0.1:8848 cargo test -p isthmus-sources nacos::real -- --ignored --nocapture --test-threads 1
//! ```
//!
//! `NACOS_USER` and `NACOS_PASSWORD_FILE` where it wants a login, `NACOS_CA` where it has TLS as `nacos.test`. The server is only used, never stopped.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use model::{Ask, Health, Host, Instance, Registry, RegistryServiceId, RegistryTls};
use tokio::sync::watch;
use tokio::time::Instant;

use super::tests::{Desk, registry};
use super::{Registrar, Wanted};

fn document() -> Registry {
    let mut document = registry(vec![std::env::var("NACOS").expect("NACOS=host:port").into()]);
    document.login.username = std::env::var("NACOS_USER").ok().map(Arc::from);
    document.login.password_file = std::env::var_os("NACOS_PASSWORD_FILE").map(Into::into);
    document.tls = std::env::var_os("NACOS_CA").map(|ca| RegistryTls {
        ca_file: Some(ca.into()),
        server_name: Some("nacos.test".into()),
        ..RegistryTls::default()
    });
    document
}

/// Registers as an application would, without the mark by which sources pass over it.
struct Application {
    wanted: watch::Sender<Arc<Wanted>>,
    health: watch::Receiver<Health>,
    _registry: watch::Sender<Arc<Registry>>,
}

impl Application {
    async fn start() -> Self {
        let (keep, registry) = watch::channel(Arc::new(document()));
        let (to, wanted) = watch::channel(Arc::new(BTreeMap::new()));
        let (health, seen) = watch::channel(Health::Syncing);
        let origin = super::registrar::UNMARKED.into();
        tokio::spawn(Registrar { registry, wanted, origin, health }.run());
        let mut told = seen.clone();
        tokio::spawn(async move {
            while told.changed().await.is_ok() {
                let health = told.borrow_and_update().clone();
                println!("application: {health:?}");
            }
        });
        let mut application = Self { wanted: to, health: seen, _registry: keep };
        application.written().await;
        application
    }

    async fn written(&mut self) {
        let live = self.health.wait_for(|health| *health == Health::Live);
        tokio::time::timeout(Duration::from_secs(20), live).await.unwrap().unwrap();
    }

    fn set(&self, name: &str, ports: &[u16]) {
        let instances = ports
            .iter()
            .map(|port| Arc::new(Instance::new(Host::Ip([10, 1, 1, 1].into()), *port)))
            .collect();
        self.wanted.send_modify(|wanted| {
            Arc::make_mut(wanted).insert(id(name), instances);
        });
    }
}

fn id(name: &str) -> RegistryServiceId {
    RegistryServiceId {
        registry: "infra/main".into(),
        group: "DEFAULT_GROUP".into(),
        name: name.into(),
    }
}

fn unique(text: &str) -> String {
    format!("{text}-{}", fastrand::u32(..))
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "wants a real Nacos"]
async fn register_change_and_deregister_are_seen_soon() {
    let application = Application::start().await;
    let mut desk = Desk::open(document());
    desk.until("live", Desk::is_live).await;
    let name = unique("orders");
    let mut taken: Vec<Duration> = Vec::new();
    let start = Instant::now();
    application.set(&name, &[8000]);
    desk.until("new", |desk| desk.ports(&name) == Some(vec![8000])).await;
    println!("new service: {:?}", start.elapsed());
    assert!(start.elapsed() < Duration::from_secs(2));
    for round in 0..20 {
        let ports: Vec<u16> = if round % 2 == 0 { vec![8000, 8001] } else { vec![8000] };
        let start = Instant::now();
        application.set(&name, &ports);
        desk.until("changed", |desk| desk.ports(&name).as_ref() == Some(&ports)).await;
        taken.push(start.elapsed());
    }
    application.set(&name, &[]);
    let start = Instant::now();
    desk.until("empty", |desk| desk.ports(&name) == Some(vec![])).await;
    println!("last instance gone: {:?}", start.elapsed());
    taken.sort();
    println!("change to report: p50 {:?}, most {:?}", taken[10], taken[19]);
    desk.ask(Ask::Confirm(vec![id(&name)])).await;
    desk.until("asked", |desk| desk.was_asked(&name)).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "wants a real Nacos"]
async fn many_services() {
    let application = Application::start().await;
    let mark = unique("many");
    let start = Instant::now();
    for i in 0..2000 {
        application.set(&format!("{mark}-{i}"), &[8000, 8001]);
    }
    let last = format!("{mark}-999");
    let read = |desk: &Desk| {
        (0..2000).all(|i| desk.ports(&format!("{mark}-{i}")).is_some_and(|all| all.len() == 2))
    };
    let mut first = Desk::open(document());
    first.until("the last written", |desk| desk.ports(&last).is_some()).await;
    first.until("all read", read).await;
    println!("2,000 services written and read in {:?}", start.elapsed());
    let start = Instant::now();
    let mut desk = Desk::open(document());
    desk.until("live", Desk::is_live).await;
    println!("{} services at a start: {:?}", desk.count(), start.elapsed());
    assert!(read(&desk));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "wants a real Nacos"]
async fn probe() {
    println!("{:?}", super::probe(&document()).await);
}

/// Prints what the source says for as long as `NACOS_SECONDS` says.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "wants a real Nacos"]
async fn watch_it() {
    let seconds = std::env::var("NACOS_SECONDS").map_or(60, |text| text.parse().unwrap());
    let mut desk = Desk::open(document());
    let application = Application::start().await;
    application.set("watched", &[8000]);
    desk.print(Duration::from_secs(seconds)).await;
}
