use super::*;

fn service(name: &str, spec: &serde_json::Value, told: Option<&str>) -> Arc<Service> {
    let mut service = json!({"metadata": {"name": name, "namespace": "shop"}, "spec": spec});
    service["spec"]["type"] = "LoadBalancer".into();
    if let Some(told) = told {
        service["status"] = json!({"loadBalancer": {"ingress": [{"ip": told}]}});
    }
    Arc::new(serde_json::from_value(service).unwrap())
}

fn slice(
    service: &str,
    ports: &serde_json::Value,
    endpoints: &serde_json::Value,
) -> Arc<EndpointSlice> {
    Arc::new(
        serde_json::from_value(json!({
            "metadata": {"name": "s", "namespace": "shop", "labels": {"kubernetes.io/service-name": service}},
            "addressType": "IPv4", "ports": ports, "endpoints": endpoints,
        }))
        .unwrap(),
    )
}

fn assigned(services: &[Arc<Service>]) -> Vec<(String, String)> {
    Pool::default()
        .assign(services)
        .into_iter()
        .map(|((_, name), address)| (name, address.to_string()))
        .collect()
}

fn pairs<const N: usize>(pairs: [(&str, &str); N]) -> Vec<(String, String)> {
    pairs.into_iter().map(|(name, address)| (name.into(), address.into())).collect()
}

#[test]
fn a_service_keeps_the_address_that_it_has() {
    let services = [service("a", &json!({}), None), service("b", &json!({}), Some("10.244.1.1"))];
    assert_eq!(assigned(&services), pairs([("a", "10.244.1.2"), ("b", "10.244.1.1")]));
}

#[test]
fn an_address_that_is_asked_for_is_given_or_none_is() {
    let services = [
        service("has", &json!({"loadBalancerIP": "10.244.1.250"}), None),
        service("late", &json!({"loadBalancerIP": "10.244.1.250"}), None),
        service("outside", &json!({"loadBalancerIP": "192.0.2.7"}), None),
        service("other", &json!({"loadBalancerClass": "cloud"}), None),
    ];
    assert_eq!(assigned(&services), pairs([("has", "10.244.1.250")]));
}

#[test]
fn a_service_has_one_address_also_before_that_is_read_of_it() {
    let mut pool = Pool::default();
    let mut named = |uid: &str| {
        let mut one = service("a", &json!({}), None);
        Arc::make_mut(&mut one).metadata.uid = Some(uid.into());
        pool.assign(&[one]).values().next().unwrap().to_string()
    };
    assert_eq!([named("1"), named("1")], ["10.244.1.1", "10.244.1.1"]);
    // Made again: it is another one.
    assert_eq!(named("2"), "10.244.1.2");
}

#[test]
fn an_address_is_not_given_again_at_once() {
    let mut pool = Pool::default();
    pool.assign(&[service("a", &json!({}), None)]);
    let next = pool.assign(&[service("b", &json!({}), None)]);
    assert_eq!(next.values().next().unwrap().to_string(), "10.244.1.2");
}

#[track_caller]
fn rule(ports: &serde_json::Value, slices: &[Arc<EndpointSlice>], expected: &[&str]) {
    let services = [service("edge", &json!({"ports": ports}), Some("10.244.1.9"))];
    let rules = rules(&services, slices, &Pool::default().assign(&services));
    let lines: Vec<_> = rules
        .lines()
        .map(str::trim)
        .filter(|line| line.starts_with("ip daddr 10.244.1.9"))
        .collect();
    assert_eq!(lines, expected);
}

#[test]
fn each_port_leads_to_the_ready_endpoints_by_its_name() {
    rule(
        &json!([{"name": "http", "port": 80}, {"name": "dns", "port": 53, "protocol": "UDP"}, {"name": "none", "port": 9}]),
        &[
            slice(
                "edge",
                &json!([{"name": "http", "port": 10080}, {"name": "dns", "port": 10053}]),
                &json!([
                    {"addresses": ["10.244.0.5"]},
                    {"addresses": ["10.244.0.6"], "conditions": {"ready": true}},
                    {"addresses": ["10.244.0.7"], "conditions": {"ready": false, "serving": true, "terminating": true}},
                ]),
            ),
            slice(
                "other",
                &json!([{"name": "http", "port": 1}]),
                &json!([{"addresses": ["10.244.0.9"]}]),
            ),
        ],
        &[
            "ip daddr 10.244.1.9 tcp dport 80 dnat to numgen random mod 2 map { 0 : 10.244.0.5 . 10080, 1 : 10.244.0.6 . 10080 }",
            "ip daddr 10.244.1.9 udp dport 53 dnat to numgen random mod 2 map { 0 : 10.244.0.5 . 10053, 1 : 10.244.0.6 . 10053 }",
        ],
    );
}

#[test]
fn when_none_is_ready_those_that_leave_still_serve() {
    let leaving = json!([
        {"addresses": ["10.244.0.7"], "conditions": {"ready": false, "serving": true, "terminating": true}},
        {"addresses": ["10.244.0.8"], "conditions": {"ready": false, "serving": false, "terminating": true}},
        {"addresses": ["10.244.0.9"], "conditions": {"ready": false}},
    ]);
    rule(
        &json!([{"port": 80}]),
        &[slice("edge", &json!([{"name": "", "port": 8080}]), &leaving)],
        &["ip daddr 10.244.1.9 tcp dport 80 dnat to 10.244.0.7:8080"],
    );
}
