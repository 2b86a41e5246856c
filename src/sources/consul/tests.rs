use std::time::{Duration, Instant};

use model::{Ask, ConsulOptions, EndpointHealth, Registry, RegistryKind, codes};
use serde_json::{Value, json};

use super::fake::{Fake, entry};
use super::{probe, run, session};
use crate::registry::testing::{Bed, registry};

fn document(fakes: &[&Fake]) -> Registry {
    let addresses: Vec<_> = fakes.iter().map(|fake| fake.address()).collect();
    registry(RegistryKind::Consul(ConsulOptions::default()), &addresses)
}

async fn live(fake: &Fake) -> Bed {
    let mut bed = Bed::start(document(&[fake]), run);
    bed.until_live().await;
    bed
}

fn checked(service: &str, port: u16, status: &str) -> Value {
    let mut entry = entry(service, port);
    entry["Checks"][1]["Status"] = status.into();
    entry
}

#[tokio::test]
async fn everything_is_reported_before_whole_and_changes_ring() {
    let fake = Fake::start().await;
    fake.put(entry("user-svc", 1));
    fake.put(entry("orders", 2));
    let mut management = entry("user-svc-management", 3);
    management["Service"]["Tags"] = json!(["management"]);
    fake.put(management);
    let mut bed = live(&fake).await;
    assert_eq!(bed.names, ["orders", "user-svc"]);
    assert_eq!(bed.addresses("user-svc"), ["10.0.0.1:1"]);
    let (service, whole) = (bed.position("service").unwrap(), bed.position("whole").unwrap());
    assert!(service < whole && whole < bed.position("health Live").unwrap());

    let start = Instant::now();
    fake.put(entry("user-svc", 4));
    bed.until(|bed| bed.addresses("user-svc").len() == 2).await;
    fake.put(entry("stock", 5));
    bed.until(|bed| bed.names.len() == 3 && bed.addresses("stock").len() == 1).await;
    let weight = |bed: &Bed| bed.services["stock"].instances[0].weight;
    let mut heavy = entry("stock", 5);
    heavy["Service"]["Weights"]["Passing"] = 0.into();
    fake.put(heavy);
    bed.until(|bed| weight(bed) == 0.0).await;
    fake.remove("stock", 5);
    bed.until(|bed| bed.names.len() == 2).await;
    fake.put(checked("user-svc", 4, "critical"));
    let sick = |bed: &Bed| bed.services["user-svc"].instances[1].health;
    bed.until(|bed| sick(bed) == EndpointHealth::Unhealthy).await;
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    assert_eq!(bed.position("doubt"), None);
    bed.end().await;
}

#[tokio::test]
async fn the_last_instance_that_goes_live_is_an_empty_service() {
    let fake = Fake::start().await;
    fake.put(entry("user-svc", 1));
    let mut bed = live(&fake).await;
    fake.remove("user-svc", 1);
    bed.until(|bed| bed.names.is_empty()).await;
    assert_eq!(bed.position("doubt"), None);
    fake.put(entry("user-svc", 1));
    bed.until(|bed| bed.names.len() == 1 && bed.addresses("user-svc").len() == 1).await;
}

#[tokio::test]
async fn an_agent_started_anew_with_nothing_is_doubted_before_its_answer() {
    let mut fake = Fake::start().await;
    fake.put(entry("user-svc", 1));
    let mut bed = live(&fake).await;
    fake.kill().await;
    bed.until(Bed::is_stale).await;
    assert_eq!(bed.findings["contact"][0].code, codes::REGISTRY_UNREACHABLE);
    fake.forget();
    fake.again().await;
    bed.until_live().await;
    assert!(bed.position("doubt contact was lost").unwrap() < bed.position("names 0").unwrap());
    assert!(bed.findings.is_empty());
    fake.put(entry("user-svc", 1));
    bed.until(|bed| bed.names == ["user-svc"]).await;
}

#[tokio::test]
async fn an_index_that_goes_back_is_doubted() {
    let fake = Fake::start().await;
    fake.put(entry("user-svc", 1));
    let mut bed = live(&fake).await;
    fake.forget();
    bed.until(|bed| bed.names.is_empty()).await;
    let doubt = bed.position("doubt the index of").unwrap();
    assert!(doubt < bed.position("names 0").unwrap(), "{:#?}", bed.log);
    bed.until_live().await;
}

#[tokio::test]
async fn a_server_without_leader_is_out_of_contact() {
    let fake = Fake::start().await;
    fake.put(entry("user-svc", 1));
    let mut bed = live(&fake).await;
    fake.change(|state| state.all_broken = true);
    bed.until(|bed| bed.is_stale() && format!("{:?}", bed.health).contains("No cluster leader"))
        .await;
    assert_eq!(bed.addresses("user-svc").len(), 1);
    fake.change(|state| state.all_broken = false);
    bed.until_live().await;
}

#[tokio::test]
async fn an_empty_answer_to_the_anonymous_is_no_empty_registry() {
    let fake = Fake::start().await;
    fake.put(entry("user-svc", 1));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    std::fs::write(&path, "right").unwrap();
    fake.change(|state| state.token = Some("right".into()));
    let mut with = document(&[&fake]);
    with.login.token_file = Some(path.clone());
    let mut bed = Bed::start(with.clone(), run);
    bed.until_live().await;
    // Taken out of the document: Consul answers 200 and nothing.
    bed.edit(|registry| registry.login.token_file = None);
    let code = |bed: &Bed| bed.findings.get("login").map(|all| all[0].code);
    bed.until(|bed| bed.is_stale() && code(bed) == Some(codes::REGISTRY_LOGIN)).await;
    assert_eq!(bed.names, ["user-svc"]);
    assert_eq!(probe(&document(&[&fake])).await[0].authenticated, Some(false));
    bed.edit(|registry| registry.login.token_file = Some(path.clone()));
    bed.until_live().await;
    assert!(bed.findings.is_empty());
    // Rotated: the old one is refused, the new one in the file counts.
    fake.change(|state| state.token = Some("next".into()));
    bed.until(|bed| bed.is_stale() && code(bed) == Some(codes::REGISTRY_LOGIN)).await;
    std::fs::write(&path, "next").unwrap();
    bed.until_live().await;
    assert_eq!(bed.addresses("user-svc").len(), 1);
    let probed = probe(&with).await.remove(0);
    assert_eq!((probed.authenticated, probed.services), (Some(true), Some(1)));
    assert_eq!(probed.version.as_deref(), Some("1.16.2"));
    std::fs::remove_file(&path).unwrap();
    fake.put(entry("user-svc", 2));
    bed.until(|bed| bed.is_stale() && code(bed) == Some(codes::REGISTRY_SECRET)).await;
}

#[tokio::test]
async fn a_service_that_cannot_be_read_keeps_its_last_state_and_blocks_nobody() {
    let fake = Fake::start().await;
    for name in ["broken", "hidden", "slow", "well"] {
        fake.put(entry(name, 1));
    }
    let mut bed = live(&fake).await;
    fake.change(|state| {
        state.broken.insert("broken".into());
        state.hidden.insert("hidden".into());
        state.slow.insert("slow".into());
        for name in ["broken", "slow", "well"] {
            state.put(entry(name, 2));
        }
    });
    bed.until(|bed| bed.addresses("well").len() == 2).await;
    bed.until(Bed::is_degraded).await;
    for name in ["broken", "slow"] {
        assert_eq!(bed.addresses(name).len(), 1, "{name}");
    }
    fake.change(|state| {
        state.broken.clear();
        state.hidden.clear();
    });
    bed.until(|bed| bed.addresses("broken").len() == 2 && bed.names.len() == 4).await;
}

#[tokio::test]
async fn questions_are_answered_from_the_server() {
    let fake = Fake::start().await;
    fake.put(entry("user-svc", 1));
    fake.put(entry("订单/a", 2));
    let mut bed = live(&fake).await;
    bed.confirm(&["user-svc", "nobody"]).await;
    bed.until(|bed| bed.count("service nobody 0 asked") == 1).await;
    bed.until(|bed| bed.count("service user-svc 1 asked") == 1).await;
    assert_eq!(bed.count("whole"), 1);
    bed.ask(Ask::Resync).await;
    bed.until(|bed| bed.count("whole") == 2).await;
    assert_eq!(bed.count("service 订单/a 1 asked"), 1);
    assert_eq!(bed.position("doubt"), None);
}

#[tokio::test]
async fn another_agent_takes_over_and_a_dead_one_is_told() {
    let (mut first, second) = (Fake::start().await, Fake::start().await);
    for fake in [&first, &second] {
        fake.put(entry("user-svc", 1));
    }
    let mut bed = Bed::start(document(&[&first, &second]), run);
    bed.until_live().await;
    first.kill().await;
    bed.until(|bed| bed.is_degraded() && bed.count("whole") == 2).await;
    assert!(!bed.log.iter().any(|line| line.contains("Stale")), "{:#?}", bed.log);
    assert_eq!(bed.count("doubt"), 1);
    second.put(entry("user-svc", 2));
    bed.until(|bed| bed.addresses("user-svc").len() == 2).await;
    let only = second.address();
    bed.edit(|registry| registry.addresses = vec![only]);
    bed.until_live().await;
    assert_eq!(bed.count("doubt"), 1);
    // And a list without the one in use moves.
    let third = Fake::start().await;
    third.put(entry("user-svc", 3));
    let other = third.address();
    bed.edit(|registry| registry.addresses = vec![other]);
    bed.until(|bed| bed.addresses("user-svc") == ["10.0.0.1:3"]).await;
    assert_eq!(bed.count("doubt its address was taken out"), 1);
}

#[tokio::test]
async fn hostile_data_costs_itself() {
    let fake = Fake::start().await;
    let mut large = entry("bad", 1);
    large["Service"]["Meta"] = json!({"version": "x".repeat(10 << 20), "nul": "a\0b", "n": 7});
    fake.put(large);
    fake.put(entry("bad", 0));
    let mut host = entry("bad", 2);
    host["Service"]["Address"] = "300.1.1.1".into();
    fake.put(host);
    let mut odd = entry("bad", 3);
    odd["Node"] = Value::Null;
    odd["Service"]["Address"] = "10.0.0.3".into();
    odd["Service"]["Tags"] = Value::Null;
    odd["Service"]["Weights"] = json!({"Passing": -5});
    fake.put(odd);
    let mut bed = live(&fake).await;
    assert_eq!(bed.addresses("bad"), ["10.0.0.1:1", "10.0.0.3:3"]);
    let codes: Vec<_> = bed.services["bad"].findings.iter().map(|f| f.code).collect();
    assert_eq!(codes, [codes::REGISTRY_HOST, codes::REGISTRY_PORT, codes::REGISTRY_WEIGHT]);
    bed.until(|bed| !bed.services.is_empty()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_services_are_read_with_few_requests_at_once() {
    let fake = Fake::start().await;
    fake.change(|state| {
        state.wait = Duration::from_secs(9);
        for n in 0..10_000 {
            for port in [1, 2] {
                state.put(entry(&format!("service-{n}"), port));
            }
        }
    });
    let start = Instant::now();
    let mut bed = live(&fake).await;
    eprintln!("10,000 services × 2 in {:?}", start.elapsed());
    assert_eq!((bed.names.len(), bed.services.len()), (10_000, 10_000));
    assert!(bed.services.values().all(|service| service.instances.len() == 2));
    // What changes then is read alone.
    fake.put(checked("service-77", 2, "critical"));
    let sick = |bed: &Bed| bed.services["service-77"].instances[1].health;
    bed.until(|bed| sick(bed) == EndpointHealth::Unhealthy).await;
    fake.put(entry("service-new", 1));
    bed.until(|bed| bed.addresses("service-new").len() == 1).await;
    assert!(fake.state().most_open <= session::READERS + 2, "{}", fake.state().most_open);
}
