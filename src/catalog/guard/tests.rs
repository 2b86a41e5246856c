//! The contract for failure, as scripts of what a registry says and when.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use model::{
    Ask, Batch, Change, GuardRules, Health, Host, Import, Instance, Kind, Locations, Login, Meta,
    NacosOptions, NamespacedName, Object, ObjectKey, Registry, RegistryKind, RegistryService,
    RegistryServiceId, Report, ServiceGuard, Steer, Steering, ZooKeeperOptions,
};

use crate::{Applied, Key, Merger, Now, Seed, ServedService, State, What};

const SOURCE: &str = "infra/main";

fn registry(kind: RegistryKind, guard: GuardRules) -> Object {
    Object::Registry(Arc::new(Registry {
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
        kind,
        addresses: vec!["127.0.0.1:1".into()],
        login: Login::default(),
        tls: None,
        labels: vec![],
        import: Import::default(),
        guard,
    }))
}

fn id(name: &str) -> RegistryServiceId {
    RegistryServiceId { registry: SOURCE.into(), group: "".into(), name: name.into() }
}

fn host(number: u32) -> Arc<Instance> {
    Arc::new(Instance::new(Host::Ip(Ipv4Addr::from(0x0a00_0000 + number).into()), 80))
}

/// A catalog with one registry, and a clock.
struct World {
    merger: Merger,
    now: Duration,
    last: Option<Applied>,
}

impl World {
    fn of(kind: RegistryKind, guard: GuardRules) -> Self {
        let mut world =
            Self { merger: Merger::default(), now: Duration::from_secs(100), last: None };
        world.document(registry(kind, guard));
        world
    }

    fn new() -> Self {
        Self::of(RegistryKind::Nacos(NacosOptions::default()), GuardRules::default())
    }

    /// In contact, with these services of so many instances each.
    fn live(services: &[(&str, u32)]) -> Self {
        let mut world = Self::new();
        world.first(services);
        world
    }

    fn first(&mut self, services: &[(&str, u32)]) {
        self.say(vec![Change::Health(Health::Syncing)]);
        self.names(&services.iter().map(|(name, _)| *name).collect::<Vec<_>>());
        for (name, count) in services {
            self.service(name, 0..*count);
        }
        self.say(vec![Change::Registry(Report::Whole), Change::Health(Health::Live)]);
    }

    fn document(&mut self, object: Object) {
        let batch = Batch { source: "file".into(), changes: vec![Change::Apply(object)] };
        self.apply(batch);
    }

    fn apply(&mut self, batch: Batch) {
        let wall = SystemTime::UNIX_EPOCH + self.now;
        self.last = Some(self.merger.apply_at(batch, Now { since: self.now, wall }));
    }

    fn say(&mut self, changes: Vec<Change>) {
        self.apply(Batch { source: SOURCE.into(), changes });
    }

    fn report(name: &str, hosts: impl IntoIterator<Item = u32>, asked: bool) -> Change {
        let service = RegistryService {
            id: id(name),
            instances: hosts.into_iter().map(host).collect(),
            protect_threshold: 0.0,
            consumers: vec![],
            findings: vec![],
        };
        Change::Registry(Report::Service { service: Arc::new(service), asked })
    }

    fn service(&mut self, name: &str, hosts: impl IntoIterator<Item = u32>) {
        self.say(vec![Self::report(name, hosts, false)]);
    }

    fn asked(&mut self, name: &str, hosts: impl IntoIterator<Item = u32>) {
        self.say(vec![Self::report(name, hosts, true)]);
    }

    fn names(&mut self, names: &[&str]) {
        let names = names.iter().map(|name| id(name)).collect();
        self.say(vec![Change::Registry(Report::Names(names))]);
    }

    fn doubt(&mut self) {
        let report = Report::Doubt { reason: "session made anew".into() };
        self.say(vec![Change::Registry(report)]);
    }

    fn health(&mut self, health: Health) {
        self.say(vec![Change::Health(health)]);
    }

    fn steer(&mut self, what: Steering, service: Option<&str>) {
        self.say(vec![Change::Steer(Steer { service: service.map(id), what })]);
    }

    /// Time goes by, and the guard is woken whenever it wants to be.
    fn wait(&mut self, time: Duration) -> Vec<Ask> {
        let end = self.now + time;
        let mut asks = Vec::new();
        while let Some(due) = self.merger.deadline().filter(|due| *due <= end) {
            assert!(due > self.now || self.merger.deadline() == Some(due));
            self.now = self.now.max(due);
            self.apply(Batch { source: "clock".into(), changes: vec![] });
            asks.extend(self.asks());
            assert!(asks.len() < 10_000, "the guard does not let go");
        }
        self.now = end;
        asks
    }

    fn asks(&self) -> Vec<Ask> {
        let last = self.last.as_ref().unwrap();
        last.asks.iter().map(|(_, ask)| ask.clone()).collect()
    }

    fn served(&self, name: &str) -> usize {
        let service = self.merger.catalog().registry_service(&id(name));
        service.map_or(0, |service| service.instances.len())
    }

    fn held(&self) -> usize {
        self.merger.registries()[0].held
    }

    fn state(&self) -> State {
        self.merger.registries()[0].state
    }

    fn events(&self) -> Vec<What> {
        self.merger.events(SOURCE).unwrap().iter().map(|event| event.what).collect()
    }

    /// The counts that are kept are those that a count would give.
    #[track_caller]
    fn sound(&self) {
        let view = &self.merger.registries()[0];
        let services = self.merger.registry_services(SOURCE).unwrap();
        let instances: usize = services.iter().map(|service| service.instances).sum();
        let held: usize = services.iter().map(|service| service.held).sum();
        assert_eq!((view.instances, view.held), (instances, held));
    }
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn a_removal_in_a_healthy_session_counts_at_once() {
    let mut world = World::live(&[("a", 5), ("b", 2), ("c", 1), ("d", 10)]);
    world.wait(seconds(1));
    world.service("a", 0..4);
    assert_eq!((world.served("a"), world.held()), (4, 0));
    world.service("b", 0..1);
    world.service("c", 0..0);
    assert_eq!((world.served("b"), world.served("c"), world.held()), (1, 0, 0));
    world.sound();
}

#[test]
fn a_mass_drop_is_held_until_a_second_answer_confirms_it() {
    let mut world = World::live(&[("big", 1000)]);
    world.wait(seconds(5));
    world.service("big", 0..400);
    assert_eq!((world.served("big"), world.held()), (1000, 600));
    assert_eq!(world.asks(), [Ask::Confirm(vec![id("big")])]);
    // An answer that was on its way is no second one.
    world.wait(Duration::from_millis(100));
    world.asked("big", 0..400);
    assert_eq!(world.served("big"), 1000);
    let asks = world.wait(Duration::from_millis(500));
    assert_eq!(asks, [Ask::Confirm(vec![id("big")])]);
    world.asked("big", 0..400);
    assert_eq!((world.served("big"), world.held()), (400, 0));
    assert!(world.events().ends_with(&[What::Held, What::Released]));
    assert_eq!(world.merger.deadline(), None);
    world.sound();
}

#[test]
fn a_mass_drop_that_comes_back_leaves_no_trace() {
    let mut world = World::live(&[("big", 10)]);
    world.service("big", 0..2);
    assert_eq!(world.served("big"), 10);
    world.wait(seconds(1));
    world.service("big", 0..10);
    assert_eq!((world.served("big"), world.held()), (10, 0));
    assert!(world.events().ends_with(&[What::Held, What::Returned]));
    world.sound();
}

#[test]
fn a_hold_ends_after_its_time_while_in_contact() {
    let mut world = World::live(&[("big", 10)]);
    world.service("big", 0..2);
    world.wait(seconds(299));
    assert_eq!(world.served("big"), 10);
    world.wait(seconds(2));
    assert_eq!((world.served("big"), world.held()), (2, 0));
    world.sound();
}

#[test]
fn a_hold_does_not_end_while_out_of_contact() {
    let mut world = World::live(&[("big", 10)]);
    world.service("big", 0..2);
    world.health(Health::Stale { reason: "gone".into() });
    world.wait(seconds(3600));
    assert_eq!((world.served("big"), world.state()), (10, State::Lost));
}

#[test]
fn what_ran_out_without_contact_is_asked_about_before_it_counts() {
    let mut world = World::live(&[("big", 10)]);
    world.service("big", 0..2);
    world.health(Health::Stale { reason: "the list cannot be read".into() });
    world.wait(seconds(400));
    world.health(Health::Live);
    assert_eq!((world.served("big"), world.held()), (10, 8));
    assert_eq!(world.asks(), [Ask::Confirm(vec![id("big")])]);
    world.asked("big", 0..9);
    assert_eq!((world.served("big"), world.held()), (9, 0));
    world.sound();
    let mut world = World::live(&[("big", 10)]);
    world.service("big", 0..2);
    world.health(Health::Stale { reason: "the list cannot be read".into() });
    world.wait(seconds(400));
    world.health(Health::Live);
    world.wait(seconds(301));
    assert_eq!((world.served("big"), world.held()), (2, 0), "nobody answered, and time is up");
}

#[test]
fn a_second_answer_is_the_first_about_what_it_lacks_beyond_what_is_held() {
    let mut world = World::live(&[("big", 100)]);
    world.service("big", 0..50);
    assert_eq!((world.served("big"), world.held()), (100, 50));
    world.wait(seconds(1));
    world.asked("big", 0..0);
    assert_eq!((world.served("big"), world.held()), (50, 50));
    world.sound();
    world.wait(seconds(1));
    world.asked("big", 0..0);
    assert_eq!((world.served("big"), world.held()), (0, 0));
    world.sound();
}

#[test]
fn slow_drops_add_up_within_the_window_only() {
    let mut world = World::live(&[("a", 10), ("b", 90)]);
    world.service("a", 0..8);
    world.wait(seconds(5));
    world.service("a", 0..6);
    assert_eq!(world.served("a"), 6);
    world.wait(seconds(5));
    world.service("a", 0..5);
    assert_eq!((world.served("a"), world.held()), (6, 1), "half of ten within the window");
    let mut world = World::live(&[("a", 10), ("b", 90)]);
    for left in [8, 6, 5, 4] {
        world.service("a", 0..left);
        world.wait(seconds(31));
    }
    assert_eq!((world.served("a"), world.held()), (4, 0));
}

#[test]
fn many_small_services_that_vanish_together_are_a_drop_of_the_source() {
    let names: Vec<String> = (0..50).map(|i| format!("s{i:02}")).collect();
    let services: Vec<_> = names.iter().map(|name| (name.as_str(), 2)).collect();
    let mut world = World::live(&services);
    world.wait(seconds(5));
    for name in &names {
        world.service(name, 0..0);
    }
    let served: usize = names.iter().map(|name| world.served(name)).sum();
    assert_eq!(served, 100, "also those that went before the limit was passed");
    world.sound();
    let asked: usize = world
        .wait(Duration::from_millis(600))
        .iter()
        .map(|ask| if let Ask::Confirm(ids) = ask { ids.len() } else { 0 })
        .sum();
    assert!(asked >= 50, "{asked}");
    for name in &names {
        world.asked(name, 0..0);
    }
    let served: usize = names.iter().map(|name| world.served(name)).sum();
    assert_eq!((served, world.held()), (0, 0));
    world.sound();
}

#[test]
fn contact_that_is_lost_removes_nothing() {
    let mut world = World::live(&[("a", 3)]);
    for health in [
        Health::Degraded { reason: "one of three".into() },
        Health::Stale { reason: "refused".into() },
        Health::Syncing,
    ] {
        world.health(health);
        assert_eq!(world.served("a"), 3);
    }
    world.health(Health::Stale { reason: "refused".into() });
    world.service("a", 0..0);
    assert_eq!((world.served("a"), world.held()), (3, 3), "said without contact");
}

#[test]
fn what_is_missing_after_a_doubt_is_unconfirmed_until_the_registry_has_settled() {
    let mut world = World::live(&[("a", 3), ("gone", 1)]);
    world.wait(seconds(60));
    world.health(Health::Stale { reason: "refused".into() });
    world.wait(seconds(20));
    world.doubt();
    world.names(&["a"]);
    world.service("a", 0..0);
    world.health(Health::Live);
    assert_eq!((world.served("a"), world.served("gone"), world.held()), (3, 1, 4));
    // New ones and those that come back count at once.
    world.service("a", [2, 7]);
    assert_eq!((world.served("a"), world.held()), (4, 3));
    // An answer too early is no proof.
    world.wait(seconds(5));
    world.asked("a", [2, 7]);
    assert_eq!(world.served("a"), 4);
    assert_eq!(world.wait(seconds(60)), []);
    let asks = world.wait(seconds(6));
    assert_eq!(asks, [Ask::Confirm(vec![id("a"), id("gone")])]);
    world.asked("a", [2, 7]);
    world.asked("gone", 0..0);
    assert_eq!((world.served("a"), world.served("gone"), world.held()), (2, 0, 0));
    assert!(world.merger.catalog().registry_service(&id("gone")).is_none());
    world.sound();
}

#[test]
fn what_was_seen_since_contact_was_made_and_went_is_gone_for_sure_except_in_zookeeper() {
    let zookeeper = RegistryKind::ZooKeeper(ZooKeeperOptions::default());
    let nacos = RegistryKind::Nacos(NacosOptions::default());
    for (kind, served) in [(nacos, 9), (zookeeper, 10)] {
        let mut world = World::of(kind, GuardRules::default());
        world.first(&[("a", 10)]);
        world.doubt();
        world.service("a", 0..10);
        world.health(Health::Live);
        world.wait(seconds(3));
        world.service("a", 0..9);
        assert_eq!(world.served("a"), served);
    }
}

#[test]
fn after_a_doubt_nothing_ends_as_long_as_contact_is_away_again() {
    let mut world = World::live(&[("a", 3)]);
    world.doubt();
    world.service("a", 0..0);
    world.health(Health::Stale { reason: "gone again".into() });
    assert_eq!(world.wait(seconds(500)), []);
    assert_eq!(world.served("a"), 3);
    world.doubt();
    world.service("a", 0..3);
    world.health(Health::Live);
    assert_eq!((world.served("a"), world.held()), (3, 0));
}

#[test]
fn what_was_served_before_the_restart_is_served_until_the_registry_says_otherwise_twice() {
    let mut world = World { merger: Merger::default(), now: Duration::from_secs(1), last: None };
    let seed = |name: &str, count| Seed {
        id: id(name),
        service: ServedService {
            instances: (0..count).map(host).collect(),
            protect_threshold: 0.0,
        },
    };
    world.merger.seed([seed("a", 3), seed("b", 1)]);
    world.document(registry(RegistryKind::Nacos(NacosOptions::default()), GuardRules::default()));
    assert_eq!((world.served("a"), world.served("b")), (3, 1));
    world.health(Health::Stale { reason: "refused".into() });
    world.wait(seconds(200));
    world.names(&["a"]);
    world.service("a", 0..2);
    world.say(vec![Change::Registry(Report::Whole), Change::Health(Health::Live)]);
    assert_eq!((world.served("a"), world.served("b"), world.held()), (3, 1, 2));
    world.wait(seconds(71));
    world.asked("a", 0..2);
    world.asked("b", 0..0);
    assert_eq!((world.served("a"), world.served("b"), world.held()), (2, 0, 0));
    world.sound();
}

#[test]
fn a_person_holds_releases_and_flushes() {
    let mut world = World::live(&[("a", 2), ("b", 2)]);
    world.steer(Steering::Hold, Some("a"));
    world.service("a", 0..0);
    world.service("b", 0..1);
    assert_eq!((world.served("a"), world.served("b")), (2, 1));
    world.wait(seconds(4000));
    assert_eq!(world.served("a"), 2);
    world.steer(Steering::Release, Some("a"));
    assert_eq!((world.served("a"), world.held()), (0, 0));
    world.sound();

    world.health(Health::Stale { reason: "gone".into() });
    world.steer(Steering::Flush, None);
    assert_eq!((world.served("b"), world.merger.catalog().registry_service(&id("b"))), (0, None));
    assert_eq!(world.asks(), [Ask::Resync], "what lives is to be told again");
    world.sound();

    world.steer(Steering::Resync, None);
    assert_eq!(world.asks(), [Ask::Resync]);
}

#[test]
fn a_service_can_have_rules_of_its_own() {
    let own =
        ServiceGuard { name: "batch-*".into(), service_drop: Some(1.0), window: None, hold: None };
    let guard = GuardRules { services: vec![own], source_drop: 1.0, ..GuardRules::default() };
    let mut world = World::of(RegistryKind::Nacos(NacosOptions::default()), guard);
    world.first(&[("batch-1", 10), ("web", 10)]);
    world.service("batch-1", 0..1);
    world.service("web", 0..1);
    assert_eq!((world.served("batch-1"), world.served("web")), (1, 10));
}

#[test]
fn the_time_of_a_hold_of_its_own_counts_for_what_is_unconfirmed_too() {
    let own = ServiceGuard {
        name: "batch-*".into(),
        service_drop: None,
        window: None,
        hold: Some(seconds(10)),
    };
    let guard = GuardRules { services: vec![own], ..GuardRules::default() };
    let mut world = World::of(RegistryKind::Nacos(NacosOptions::default()), guard);
    world.first(&[("batch-1", 3), ("web", 3)]);
    world.doubt();
    world.names(&[]);
    world.health(Health::Live);
    world.wait(seconds(79));
    assert_eq!((world.served("batch-1"), world.served("web")), (3, 3));
    world.wait(seconds(2));
    assert_eq!((world.served("batch-1"), world.served("web")), (0, 3));
}

#[test]
fn a_registry_whose_document_is_gone_is_gone_and_so_is_what_it_says_late() {
    let mut world = World::live(&[("a", 2)]);
    let key = ObjectKey::new(Kind::Registry, "infra", "main");
    world.apply(Batch { source: "file".into(), changes: vec![Change::Delete(key)] });
    assert_eq!(world.served("a"), 0);
    world.service("a", 0..2);
    world.health(Health::Live);
    assert_eq!(world.served("a"), 0);
    assert!(world.merger.catalog().sources().all(|(name, _)| &**name != SOURCE));
    assert_eq!(world.merger.catalog().count(Kind::MeshService), 0);
}

#[test]
fn services_are_imported_and_a_change_of_endpoints_changes_one_key() {
    let mut world = World::live(&[("Order.Svc", 1), ("b", 1)]);
    let name = NamespacedName::new("infra", "order-svc");
    let key = ObjectKey { kind: Kind::MeshService, name };
    assert!(world.merger.catalog().get(&key).is_some());
    world.service("Order.Svc", 0..2);
    let changed = &world.last.as_ref().unwrap().changed;
    assert_eq!(*changed, [Key::RegistryService(id("Order.Svc"))]);
    // The same again is no change at all.
    world.service("Order.Svc", 0..2);
    assert_eq!(world.last.as_ref().unwrap().changed, []);
    world.names(&["b"]);
    assert!(world.merger.catalog().get(&key).is_none());
}

#[test]
fn of_two_services_with_one_name_the_first_is_imported_and_the_other_told() {
    let mut world = World::live(&[("order.svc", 1), ("order-svc", 1)]);
    assert_eq!(world.merger.catalog().count(Kind::MeshService), 1);
    let winner = id("order-svc");
    assert!(world.merger.import_of(&winner).is_some());
    assert_eq!(world.merger.import_findings().len(), 1);
    world.names(&["order.svc"]);
    assert!(world.merger.import_of(&id("order.svc")).is_some());
    assert_eq!(world.merger.import_findings(), []);
}

#[test]
fn ten_thousand_services_at_start_and_their_return_after_a_doubt_cost_little() {
    let start = std::time::Instant::now();
    let names: Vec<String> = (0..10_000).map(|i| format!("service-{i}")).collect();
    let services: Vec<_> = names.iter().map(|name| (name.as_str(), 10)).collect();
    let mut world = World::live(&services);
    world.doubt();
    world.names(&[]);
    world.health(Health::Live);
    assert_eq!(world.held(), 100_000);
    world.names(&names.iter().map(String::as_str).collect::<Vec<_>>());
    for name in &names {
        world.service(name, 0..10);
    }
    assert_eq!(world.held(), 0);
    world.sound();
    let took = start.elapsed();
    assert!(took < Duration::from_secs(60), "{took:?}");
}
