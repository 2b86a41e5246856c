//! The tasks around the sources, with sources that do as they are told.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use catalog::{Merger, State};
use model::{
    Ask, Batch, Change, GuardRules, Health, Host, Import, Instance, Kind, Locations, Login, Meta,
    NacosOptions, Object, ObjectKey, Registry, RegistryKind, RegistryService, RegistryServiceId,
    Report,
};
use sources::registry::{Inlet, Outlet};
use tokio::sync::{mpsc, oneshot};

use super::run::BoxFuture;
use super::{Controller, Feed, Sources, Writing};

const LIMIT: Duration = Duration::from_secs(20);

pub(crate) fn document() -> Object {
    Object::Registry(Arc::new(registry("127.0.0.1:1")))
}

fn registry(address: &str) -> Registry {
    Registry {
        meta: Meta {
            key: ObjectKey::new(Kind::Registry, "infra", "main"),
            source: "file".into(),
            labels: vec![],
            annotations: vec![],
            generation: 0,
            created: None,
            locations: Arc::new(Locations::default()),
            document: "{}".into(),
        },
        kind: RegistryKind::Nacos(NacosOptions::default()),
        addresses: vec![address.into()],
        login: Login::default(),
        tls: None,
        labels: vec![],
        import: Import::default(),
        guard: GuardRules::default(),
    }
}

fn id(outlet: &Outlet, name: &str) -> RegistryServiceId {
    RegistryServiceId { registry: outlet.source().clone(), group: "".into(), name: name.into() }
}

fn service(outlet: &Outlet, name: &str, count: u8, asked: bool) -> Change {
    let instance = |n| Arc::new(Instance::new(Host::Ip([10, 0, 0, n].into()), 80));
    let service = RegistryService {
        id: id(outlet, name),
        instances: (0..count).map(instance).collect(),
        protect_threshold: 0.0,
        consumers: vec![],
        findings: vec![],
    };
    Change::Registry(Report::Service { service: Arc::new(service), asked })
}

/// Ten instances, then four, and four again when asked. The address is the name of a service.
fn drops(_: &RegistryKind, mut inlet: Inlet, outlet: Outlet) -> BoxFuture {
    Box::pin(async move {
        let name = inlet.registry.borrow().addresses[0].to_string();
        outlet.send(vec![service(&outlet, &name, 10, false), Change::Health(Health::Live)]).await;
        outlet.send(vec![service(&outlet, &name, 4, false)]).await;
        while let Some(ask) = inlet.asks.recv().await {
            if let Ask::Confirm(ids) = ask {
                for id in ids {
                    outlet.send(vec![service(&outlet, &id.name, 4, true)]).await;
                }
            }
        }
    })
}

static STARTS: AtomicUsize = AtomicUsize::new(0);

/// Panics the first time.
fn panics(_: &RegistryKind, mut inlet: Inlet, outlet: Outlet) -> BoxFuture {
    Box::pin(async move {
        outlet.send(vec![service(&outlet, "a", 2, false), Change::Health(Health::Live)]).await;
        assert!(STARTS.fetch_add(1, Ordering::SeqCst) > 0, "a panic on purpose");
        while inlet.asks.recv().await.is_some() {}
    })
}

/// What a registry was told, and how often its registrar said good-bye. The address is the key.
static WRITTEN: Mutex<BTreeMap<String, (Vec<String>, usize)>> = Mutex::new(BTreeMap::new());

fn told(address: &str) -> (Vec<String>, usize) {
    WRITTEN.lock().unwrap().get(address).cloned().unwrap_or_default()
}

/// Panics the first time that it is to write the service `panic`, and has trouble with `trouble`.
fn writes(_: &RegistryKind, mut writing: Writing) -> BoxFuture {
    Box::pin(async move {
        let address = writing.registry.borrow().addresses[0].to_string();
        loop {
            let wanted = writing.wanted.borrow_and_update().clone();
            let all = wanted.iter().map(|(id, all)| format!("{} {}", id.name, all.len())).collect();
            let trouble = wanted.keys().any(|id| &*id.name == "trouble");
            writing.health.send_replace(if trouble {
                Health::Degraded { reason: "it does not like it".into() }
            } else {
                Health::Live
            });
            WRITTEN.lock().unwrap().entry(address.clone()).or_default().0 = all;
            let panics = wanted.keys().any(|id| &*id.name == "panic");
            assert!(!panics || STARTS_OF_WRITER.fetch_add(1, Ordering::SeqCst) > 0, "on purpose");
            if writing.wanted.changed().await.is_err() {
                WRITTEN.lock().unwrap().entry(address).or_default().1 += 1;
                return;
            }
        }
    })
}

static STARTS_OF_WRITER: AtomicUsize = AtomicUsize::new(0);

/// The pipeline's part, without the rest of it.
struct World {
    merger: Merger,
    feed: Feed,
    incoming: mpsc::Receiver<Batch>,
    sender: mpsc::WeakSender<Batch>,
    stop: Option<oneshot::Sender<()>>,
    task: tokio::task::JoinHandle<()>,
}

impl World {
    fn new(connect: super::run::Connect) -> Self {
        let (feed, wants) = Feed::new();
        let (batches, incoming) = mpsc::channel(16);
        let (stop, stopped) = oneshot::channel();
        let sender = batches.downgrade();
        let sources = Sources { connect, resolve: None, write: writes, origin: "east".into() };
        let controller = Controller::new(sources, batches);
        let task = tokio::spawn(controller.run(wants, async {
            let _ = stopped.await;
        }));
        Self { merger: Merger::default(), feed, incoming, sender, stop: Some(stop), task }
    }

    fn apply(&mut self, batch: Batch) {
        let applied = self.merger.apply_at(batch, self.feed.now(SystemTime::now()));
        self.feed.tell("test", &self.merger, &applied);
    }

    fn document(&mut self, registry: Registry) {
        let changes = vec![Change::Apply(Object::Registry(Arc::new(registry)))];
        self.apply(Batch { source: "file".into(), changes });
    }

    async fn until(&mut self, what: &str, holds: impl Fn(&Merger) -> bool) {
        let wait = async {
            while !holds(&self.merger) {
                let batch = self.incoming.recv().await.expect("the controller runs");
                let applied = self.merger.apply_at(batch, self.feed.now(SystemTime::now()));
                self.feed.tell("test", &self.merger, &applied);
            }
        };
        tokio::time::timeout(LIMIT, wait).await.unwrap_or_else(|_| panic!("{what}"));
    }
}

fn served(merger: &Merger, name: &str) -> usize {
    let id =
        RegistryServiceId { registry: "infra/main".into(), group: "".into(), name: name.into() };
    merger.catalog().registry_service(&id).map_or(0, |service| service.instances.len())
}

#[tokio::test]
async fn the_guard_is_woken_asks_and_gets_its_answer() {
    let mut world = World::new(drops);
    world.document(registry("orders"));
    world.until("held", |merger| merger.registries()[0].held == 6).await;
    assert_eq!(served(&world.merger, "orders"), 10);
    let before = std::time::Instant::now();
    world.until("released", |merger| served(merger, "orders") == 4).await;
    let took = before.elapsed();
    assert!(took > Duration::from_millis(300) && took < Duration::from_secs(5), "{took:?}");
}

#[tokio::test]
async fn a_source_that_panics_is_started_again_and_what_it_said_stays() {
    let mut world = World::new(panics);
    world.document(registry("x"));
    world.until("stale", |merger| merger.registries()[0].state == State::Stale).await;
    assert_eq!(served(&world.merger, "a"), 2);
    world.until("live", |merger| merger.registries()[0].state == State::Live).await;
    assert_eq!(STARTS.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_document_that_goes_ends_its_source_and_a_stop_ends_all() {
    let mut world = World::new(drops);
    world.document(registry("orders"));
    world.until("there", |merger| served(merger, "orders") > 0).await;
    let key = ObjectKey::new(Kind::Registry, "infra", "main");
    world.apply(Batch { source: "file".into(), changes: vec![Change::Delete(key)] });
    assert_eq!(served(&world.merger, "orders"), 0);
    drop(world.stop.take());
    world.incoming.close();
    while world.incoming.recv().await.is_some() {}
    tokio::time::timeout(LIMIT, &mut world.task).await.expect("all tasks end").unwrap();
    assert!(world.sender.upgrade().is_none(), "nobody holds the pipeline open");
}

/// Services that are to be found in the registry, with the number of their instances.
fn registered(services: &[(&str, u8)]) -> compile::Registered {
    let instance = |n| Arc::new(Instance::new(Host::Ip([10, 1, 0, n].into()), 80));
    let one = |(name, count): &(&str, u8)| {
        let name = Arc::from(*name);
        let id = RegistryServiceId { registry: "infra/main".into(), group: "".into(), name };
        (id, (0..*count).map(instance).collect::<Arc<[_]>>())
    };
    services.iter().map(one).collect()
}

async fn until_told(address: &str, services: &[&str], goodbyes: usize) {
    let end = std::time::Instant::now() + LIMIT;
    while told(address) != (services.iter().map(ToString::to_string).collect(), goodbyes) {
        assert!(std::time::Instant::now() < end, "{:?}", told(address));
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

#[tokio::test]
async fn what_is_to_be_registered_reaches_the_registry_and_goes_with_its_document() {
    let mut world = World::new(drops);
    // Known before the Registry's task is.
    world.feed.register(&registered(&[("a", 2)]));
    world.document(registry("written"));
    until_told("written", &["a 2"], 0).await;
    world.feed.register(&registered(&[("a", 1), ("b", 0)]));
    until_told("written", &["a 1", "b 0"], 0).await;
    world.feed.register(&registered(&[]));
    until_told("written", &[], 0).await;
    world.feed.register(&registered(&[("trouble", 1)]));
    let finds = |merger: &Merger, there: bool| {
        let mut sources = merger.catalog().sources();
        let (_, state) = sources.find(|(name, _)| &***name == "infra/main").unwrap();
        state.findings.contains_key("register") == there
    };
    world.until("told", |merger| finds(merger, true)).await;
    world.feed.register(&registered(&[("a", 1)]));
    world.until("mended", |merger| finds(merger, false)).await;
    let key = ObjectKey::new(Kind::Registry, "infra", "main");
    world.apply(Batch { source: "file".into(), changes: vec![Change::Delete(key)] });
    until_told("written", &["a 1"], 1).await;
}

#[tokio::test]
async fn a_stop_takes_nothing_out_of_a_registry() {
    let mut world = World::new(drops);
    world.feed.register(&registered(&[("a", 2)]));
    world.document(registry("stopped"));
    until_told("stopped", &["a 2"], 0).await;
    drop(world.stop.take());
    tokio::time::timeout(LIMIT, &mut world.task).await.expect("it ends").unwrap();
    assert_eq!(told("stopped"), (vec!["a 2".into()], 0));
    world.incoming.close();
    while world.incoming.recv().await.is_some() {}
    assert!(world.sender.upgrade().is_none(), "nobody holds the pipeline open");
}

#[tokio::test]
async fn a_registrar_that_panics_is_started_again() {
    let mut world = World::new(drops);
    world.document(registry("panics"));
    world.feed.register(&registered(&[("panic", 1)]));
    until_told("panics", &["panic 1"], 0).await;
    world.feed.register(&registered(&[("panic", 2)]));
    until_told("panics", &["panic 2"], 0).await;
    assert!(STARTS_OF_WRITER.load(Ordering::SeqCst) > 1);
}
