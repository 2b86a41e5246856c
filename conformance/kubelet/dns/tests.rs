use super::*;
use serde_json::json;

#[track_caller]
fn check(name: &str, expected: Option<&[&str]>) {
    let service = |name: &str, spec: serde_json::Value| -> Arc<Service> {
        let service = json!({"metadata": {"name": name, "namespace": "shop"}, "spec": spec});
        Arc::new(serde_json::from_value(service).unwrap())
    };
    let services = [
        service("orders", json!({"clusterIPs": ["10.96.0.7", "fd00:10:96::7"]})),
        service("db", json!({"clusterIPs": ["None"]})),
    ];
    let slice = json!({
    "metadata": {"name": "s", "namespace": "shop", "labels": {"kubernetes.io/service-name": "db"}},
    "addressType": "IPv4", "ports": [], "endpoints": [
        {"addresses": ["10.244.0.8"], "hostname": "db-0", "conditions": {"ready": true}},
        {"addresses": ["10.244.0.9"], "hostname": "db-1", "conditions": {"ready": false}},
    ]});
    let found = find(name, &services, &[Arc::new(serde_json::from_value(slice).unwrap())]);
    let expected: Option<Vec<IpAddr>> =
        expected.map(|all| all.iter().map(|one| one.parse().unwrap()).collect());
    assert_eq!(found, expected, "{name}");
}

#[test]
fn a_service_has_its_own_addresses_or_those_behind_it() {
    check("Orders.shop.svc.cluster.local.", Some(&["10.96.0.7", "fd00:10:96::7"]));
    check("db.shop.svc.cluster.local.", Some(&["10.244.0.8"]));
    check("db-0.db.shop.svc.cluster.local", Some(&["10.244.0.8"]));
}

#[test]
fn nothing_else_has_a_name() {
    for name in [
        "orders.shop.svc.cluster.local.shop.svc.cluster.local.",
        "orders.other.svc.cluster.local.",
        "db-1.db.shop.svc.cluster.local.",
        "x.orders.shop.svc.cluster.local.",
        "svc.cluster.local.",
        "example.com.",
    ] {
        check(name, None);
    }
}
