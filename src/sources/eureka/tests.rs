use std::sync::Arc;
use std::time::{Duration, Instant};

use model::{
    Ask, EndpointHealth, EurekaOptions, Health, Registry, RegistryKind, RegistryTls, codes,
};
use serde_json::{Value, json};

use super::fake::{Fake, instance};
use super::{probe, run};
use crate::registry::testing::{Bed, registry, tls};

fn document(fakes: &[&Fake]) -> Registry {
    let options = EurekaOptions {
        poll_min: Duration::from_millis(20),
        poll_max: Duration::from_millis(100),
        ..EurekaOptions::default()
    };
    let addresses: Vec<_> = fakes.iter().map(|fake| fake.address()).collect();
    registry(RegistryKind::Eureka(options), &addresses)
}

async fn live(fake: &Fake) -> Bed {
    let mut bed = Bed::start(document(&[fake]), run);
    bed.until_live().await;
    bed
}

fn health(bed: &Bed, service: &str) -> Vec<(EndpointHealth, String)> {
    let instances = &bed.services[service].instances;
    instances.iter().map(|one| (one.health, one.reason.to_string())).collect()
}

#[tokio::test]
async fn everything_is_reported_before_whole_and_changes_come_by_delta() {
    let fake = Fake::start().await;
    fake.put(instance("user-svc", 9501, "UP"));
    fake.put(instance("orders", 9601, "UP"));
    let mut bed = live(&fake).await;
    assert_eq!(bed.names, ["orders", "user-svc"]);
    assert_eq!(bed.addresses("user-svc"), ["10.0.0.1:9501"]);
    assert_eq!(&*bed.services["user-svc"].instances[0].locality.zone, "z1");
    let (service, whole) = (bed.position("service").unwrap(), bed.position("whole").unwrap());
    assert!(service < whole && whole < bed.position("health Live").unwrap());
    assert_eq!(bed.log[0], "health Syncing");

    fake.put(instance("user-svc", 9502, "UP"));
    bed.until(|bed| bed.addresses("user-svc").len() == 2).await;
    fake.put(instance("stock", 9701, "UP"));
    bed.until(|bed| bed.names.len() == 3 && !bed.addresses("stock").is_empty()).await;
    fake.remove("stock", 9701);
    bed.until(|bed| bed.names.len() == 2 && bed.addresses("stock").is_empty()).await;
    assert_eq!(bed.position("doubt"), None);
    assert_eq!(fake.state.lock().unwrap().fulls, 1);
    bed.end().await;
}

#[tokio::test]
async fn only_up_takes_traffic() {
    let fake = Fake::start().await;
    let all = ["UP", "DOWN", "STARTING", "OUT_OF_SERVICE", "UNKNOWN"];
    for (port, status) in (1..).zip(all) {
        fake.put(instance("user-svc", port, status));
    }
    let mut bed = live(&fake).await;
    let said = |health, reason: &str| (health, reason.to_owned());
    use EndpointHealth::{Draining, Healthy, Unhealthy};
    assert_eq!(
        health(&bed, "user-svc"),
        [
            said(Healthy, ""),
            said(Unhealthy, "DOWN"),
            said(Unhealthy, "STARTING"),
            said(Draining, "OUT_OF_SERVICE"),
            said(Unhealthy, "UNKNOWN"),
        ]
    );
    let mut overridden = instance("user-svc", 1, "UP");
    overridden["overriddenStatus"] = "OUT_OF_SERVICE".into();
    fake.put(overridden);
    bed.until(|bed| health(bed, "user-svc")[0].0 == Draining).await;
    assert_eq!(health(&bed, "user-svc")[0].1, "OUT_OF_SERVICE (overridden)");
    fake.put(instance("user-svc", 1, "UP"));
    bed.until(|bed| health(bed, "user-svc")[0].0 == Healthy).await;
}

#[tokio::test]
async fn names_ports_zones_and_labels() {
    let fake = Fake::start().await;
    let mut several = instance("several", 1, "UP");
    several["vipAddress"] = "One, TWO,,one".into();
    several["metadata"] = json!({"@class": "x"});
    several["dataCenterInfo"] = json!({"metadata": {"availability-zone": "cn-1b"}});
    fake.put(several);
    let mut nameless = instance("NoVip", 2, "UP");
    nameless["vipAddress"] = Value::Null;
    nameless["port"] = json!({"$": 80, "@enabled": "false"});
    nameless["securePort"] = json!({"$": "8443", "@enabled": "true"});
    fake.put(nameless);
    let mut ours = instance("ours", 3, "UP");
    ours["metadata"]["isthmus.dev/origin"] = "mesh".into();
    fake.put(ours);
    let mut document = document(&[&fake]);
    document.labels = vec!["version".into()];
    let mut bed = Bed::start(document, run);
    bed.until_live().await;
    assert_eq!(bed.names, ["novip", "one", "two"]);
    let of = |bed: &Bed, name: &str| bed.services[name].instances[0].clone();
    assert_eq!((of(&bed, "novip").port, of(&bed, "novip").secure), (8443, true));
    assert_eq!(&*of(&bed, "novip").labels["version"], "v2");
    assert_eq!(&*of(&bed, "two").locality.zone, "cn-1b");

    // Another way to read the same: everything is reported again, and nothing is in doubt.
    bed.edit(|registry| registry.labels = vec!["zone".into()]);
    bed.until(|bed| bed.count("whole") == 2 && of(bed, "novip").labels.contains_key("zone")).await;
    assert_eq!(bed.position("doubt"), None);
}

#[tokio::test]
async fn a_server_started_anew_with_nothing_is_doubted_before_its_answer() {
    let mut fake = Fake::start().await;
    fake.put(instance("user-svc", 1, "UP"));
    let mut bed = live(&fake).await;
    fake.kill().await;
    bed.until(Bed::is_stale).await;
    assert_eq!(bed.addresses("user-svc").len(), 1);
    assert_eq!(bed.findings["contact"][0].code, codes::REGISTRY_UNREACHABLE);
    fake.forget();
    fake.again().await;
    bed.until_live().await;
    let doubt = bed.position("doubt contact was lost").unwrap();
    assert!(doubt < bed.position("names 0").unwrap(), "{:#?}", bed.log);
    assert!(bed.findings.is_empty());
    fake.put(instance("user-svc", 1, "UP"));
    bed.until(|bed| bed.names == ["user-svc"]).await;
}

#[tokio::test]
async fn a_restart_between_two_polls_is_seen_by_what_is_missing() {
    let fake = Fake::start().await;
    for port in 1..=4 {
        fake.put(instance("user-svc", port, "UP"));
    }
    let mut bed = live(&fake).await;
    fake.forget();
    bed.until(|bed| bed.names.is_empty() && bed.count("whole") == 2).await;
    assert!(bed.position("doubt").unwrap() < bed.position("names 0").unwrap());
}

#[tokio::test]
async fn deltas_that_are_off_or_do_not_fit_cost_full_answers() {
    let fake = Fake::start().await;
    fake.state.lock().unwrap().no_delta = true;
    fake.put(instance("user-svc", 1, "UP"));
    let mut bed = live(&fake).await;
    fake.put(instance("user-svc", 2, "UP"));
    bed.until(|bed| bed.addresses("user-svc").len() == 2).await;
    assert!(fake.state.lock().unwrap().fulls > 1);
    assert_eq!(bed.position("doubt"), None);
}

#[tokio::test]
async fn what_did_not_change_is_not_read_again_where_the_server_has_etags() {
    let fake = Fake::start().await;
    fake.state.lock().unwrap().etag = true;
    fake.put(instance("user-svc", 1, "UP"));
    let mut bed = live(&fake).await;
    let unchanged = || fake.state.lock().unwrap().unchanged;
    let limit = Instant::now() + Duration::from_secs(10);
    while unchanged() < 3 {
        assert!(Instant::now() < limit);
        tokio::task::yield_now().await;
    }
    fake.put(instance("user-svc", 2, "UP"));
    bed.until(|bed| bed.addresses("user-svc").len() == 2).await;
    // A question is answered by the server and not by what we know.
    let before = fake.state.lock().unwrap().fulls;
    bed.confirm(&["user-svc"]).await;
    bed.until(|bed| bed.count("service user-svc 2 asked") == 1).await;
    assert!(fake.state.lock().unwrap().fulls > before);
}

#[tokio::test]
async fn questions_are_answered_from_the_server() {
    let fake = Fake::start().await;
    fake.put(instance("user-svc", 1, "UP"));
    fake.put(instance("orders", 2, "UP"));
    let mut bed = live(&fake).await;
    bed.confirm(&["user-svc", "nobody"]).await;
    bed.until(|bed| bed.count("service nobody 0 asked") == 1).await;
    assert_eq!(bed.count("service user-svc 1 asked"), 1);
    assert_eq!(bed.count("whole"), 1);
    bed.ask(Ask::Resync).await;
    bed.until(|bed| bed.count("whole") == 2).await;
    assert_eq!(bed.count("service orders 1 asked"), 1);
    assert_eq!(bed.position("doubt"), None);
}

#[tokio::test]
async fn another_peer_takes_over_and_a_dead_one_is_told() {
    let (mut first, second) = (Fake::start().await, Fake::start().await);
    for fake in [&first, &second] {
        fake.put(instance("user-svc", 1, "UP"));
    }
    let mut bed = Bed::start(document(&[&first, &second]), run);
    bed.until_live().await;
    first.kill().await;
    bed.until(|bed| bed.is_degraded() && bed.position("doubt").is_some()).await;
    assert!(!bed.log.iter().any(|line| line.contains("Stale")), "{:#?}", bed.log);
    second.put(instance("user-svc", 2, "UP"));
    bed.until(|bed| bed.addresses("user-svc").len() == 2).await;
    // The dead one is taken out: all is well, and the contact is the same.
    let only = second.address();
    bed.edit(|registry| registry.addresses = vec![only]);
    bed.until_live().await;
    assert_eq!(bed.count("doubt"), 1);
}

#[tokio::test]
async fn a_list_without_the_peer_in_use_moves() {
    let (first, second) = (Fake::start().await, Fake::start().await);
    first.put(instance("user-svc", 1, "UP"));
    second.put(instance("user-svc", 2, "UP"));
    let mut bed = live(&first).await;
    let other = second.address();
    bed.edit(|registry| registry.addresses = vec![other]);
    bed.until(|bed| bed.addresses("user-svc") == ["10.0.0.1:2"]).await;
    assert!(bed.position("doubt its address was taken out").is_some());
}

#[tokio::test]
async fn a_refused_login_is_told_and_a_new_secret_counts() {
    let fake = Fake::start().await;
    fake.state.lock().unwrap().login = Some(("isthmus".into(), "new-secret".into()));
    fake.put(instance("user-svc", 1, "UP"));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("password");
    let mut document = document(&[&fake]);
    document.login.username = Some("isthmus".into());
    document.login.password_file = Some(path.clone());
    let mut bed = Bed::start(document.clone(), run);
    let code = |bed: &Bed| bed.findings.get("login").map(|all| all[0].code);
    bed.until(|bed| bed.is_stale() && code(bed) == Some(codes::REGISTRY_SECRET)).await;
    std::fs::write(&path, "old-secret").unwrap();
    bed.until(|bed| code(bed) == Some(codes::REGISTRY_LOGIN)).await;
    assert_eq!(probe(&document).await[0].authenticated, Some(false));
    std::fs::write(&path, "new-secret").unwrap();
    bed.until_live().await;
    assert!(bed.findings.is_empty());
    assert!(!format!("{:?}", bed.log).contains("secret\""));
    let probed = probe(&document).await.remove(0);
    assert_eq!((probed.authenticated, probed.services), (Some(true), Some(1)));
    // Changed under way, as a rotation does.
    fake.state.lock().unwrap().login = Some(("isthmus".into(), "third".into()));
    bed.until(Bed::is_stale).await;
    assert_eq!(bed.addresses("user-svc").len(), 1);
    std::fs::write(&path, "third").unwrap();
    bed.until_live().await;
}

#[tokio::test]
async fn hostile_data_costs_itself() {
    let fake = Fake::start().await;
    let mut bad = instance("bad", 0, "UP");
    bad["metadata"] = json!({"version": "x".repeat(10 << 20), "nul": "a\0b"});
    fake.put(bad);
    let mut host = instance("bad", 2, "UP");
    host["ipAddr"] = "999.1.1.1".into();
    host["hostName"] = "a b".into();
    fake.put(host);
    let mut chinese = instance("bad", 3, "UP");
    chinese["vipAddress"] = "订单\0/..,bad".into();
    fake.put(chinese);
    let mut bed = live(&fake).await;
    assert_eq!(bed.addresses("bad"), ["10.0.0.1:3"]);
    assert_eq!(bed.addresses("订单\0/.."), ["10.0.0.1:3"]);
    let codes: Vec<_> = bed.services["bad"].findings.iter().map(|f| f.code).collect();
    assert_eq!(codes, [codes::REGISTRY_HOST, codes::REGISTRY_PORT]);

    for raw in ["{}", "not json", "[", "{\"applications\":7}", ""] {
        fake.state.lock().unwrap().raw = Some(raw.as_bytes().to_vec());
        bed.ask(Ask::Resync).await;
        bed.until(Bed::is_stale).await;
        assert_eq!(bed.addresses("bad").len(), 1, "{raw}");
        fake.state.lock().unwrap().raw = None;
        bed.until_live().await;
    }
}

#[tokio::test]
async fn ten_thousand_services_are_read_with_one_request() {
    let fake = Fake::start().await;
    for n in 0..10_000 {
        for port in [1, 2] {
            fake.put(instance(&format!("service-{n}"), port, "UP"));
        }
    }
    let start = Instant::now();
    let mut bed = live(&fake).await;
    assert_eq!((bed.names.len(), bed.services.len()), (10_000, 10_000));
    assert!(bed.services.values().all(|service| service.instances.len() == 2));
    assert_eq!(fake.state.lock().unwrap().fulls, 1);
    eprintln!("10,000 services × 2 in {:?}", start.elapsed());
    assert!(start.elapsed() < Duration::from_secs(60));
    bed.until(|bed| bed.health == Some(Health::Live)).await;
}

#[tokio::test]
async fn tls_with_a_client_certificate_and_a_name_of_its_own() {
    let files = tls::files("registry.test");
    let fake = Fake::start_with(Some(files.acceptor.clone())).await;
    fake.put(instance("user-svc", 1, "UP"));
    let mut document = document(&[&fake]);
    let right = RegistryTls {
        ca_file: Some(files.ca.clone()),
        certificate_file: Some(files.certificate.clone()),
        key_file: Some(files.key.clone()),
        server_name: Some("registry.test".into()),
    };
    // The address is 127.0.0.1, which the certificate does not have.
    document.tls = Some(RegistryTls { server_name: None, ..right.clone() });
    let mut bed = Bed::start(document, run);
    bed.until(Bed::is_stale).await;
    bed.edit(|registry| registry.tls = Some(RegistryTls { key_file: None, ..right.clone() }));
    bed.until(|bed| bed.count("health Stale") == 2 || bed.count("findings") >= 2).await;
    bed.edit(|registry| registry.tls = Some(right.clone()));
    bed.until_live().await;
    assert_eq!(bed.addresses("user-svc").len(), 1);
    let missing = Some(Arc::new(files.ca.with_extension("missing")));
    bed.edit(|registry| {
        registry.tls = Some(RegistryTls { ca_file: missing.map(|p| (*p).clone()), ..right });
    });
    bed.until(|bed| {
        bed.findings.get("contact").is_some_and(|f| f[0].code == codes::REGISTRY_SECRET)
    })
    .await;
}

#[tokio::test]
async fn written_back_is_kept_taken_out_and_never_read_back() {
    let mut fake = Fake::start().await;
    let id = |name: &str| model::RegistryServiceId {
        registry: "infra/main".into(),
        group: "".into(),
        name: name.into(),
    };
    let one = |port| {
        let host = model::Host::Ip("10.9.0.1".parse().unwrap());
        Arc::new(model::Instance::new(host, port))
    };
    let (document, registry) = tokio::sync::watch::channel(Arc::new(document(&[&fake])));
    let (wants, wanted) = tokio::sync::watch::channel(Arc::new(super::Wanted::from([
        (id("mesh-a"), vec![one(1), one(2)]),
        (id("mesh-b"), vec![one(3)]),
    ])));
    let (health, mut told) = tokio::sync::watch::channel(Health::Syncing);
    let registrar = super::Registrar { registry, wanted, origin: "east".into(), health };
    let task = tokio::spawn(registrar.run());
    let there = |fake: &Fake| {
        let state = fake.state.lock().unwrap();
        let all = state.instances.values();
        all.map(|one| format!("{} {}", one["vipAddress"], one["status"])).collect::<Vec<_>>()
    };
    let until = async |fake: &Fake, all: &[&str]| {
        let limit = Instant::now() + Duration::from_secs(30);
        while there(fake) != all {
            assert!(Instant::now() < limit, "{:?}", there(fake));
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    until(&fake, &[r#""mesh-a" "UP""#, r#""mesh-a" "UP""#, r#""mesh-b" "UP""#]).await;
    told.wait_for(|health| *health == Health::Live).await.unwrap();
    let bed = live(&fake).await;
    assert!(bed.names.is_empty(), "{:?}", bed.names);
    assert_eq!(fake.state.lock().unwrap().fulls, 1, "the hash counts them");

    let mut sick = (*one(1)).clone();
    sick.health = EndpointHealth::Unhealthy;
    wants.send_replace(Arc::new([(id("mesh-a"), vec![Arc::new(sick)])].into()));
    until(&fake, &[r#""mesh-a" "DOWN""#]).await;

    fake.kill().await;
    wants.send_replace(Arc::new([(id("mesh-a"), vec![one(1)])].into()));
    told.wait_for(|health| matches!(health, Health::Stale { .. })).await.unwrap();
    fake.forget();
    fake.again().await;
    until(&fake, &[r#""mesh-a" "UP""#]).await;
    drop((wants, document));
    task.await.unwrap();
    assert!(there(&fake).is_empty());
}
