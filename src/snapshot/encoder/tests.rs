use ir::{EndpointSet, RouteTable};
use model::EndpointHealth;

use super::*;
use crate::SetChange;
use crate::check;
use crate::testing::{
    Put, certificate, chain, cluster, endpoint, endpoints, host, listener, many_hosts, rich_plan,
    table,
};

/// Everything that a proxy can see of a snapshot.
fn seen(snapshot: &Snapshot) -> Vec<(String, Vec<u8>, Vec<crate::ResourceKey>)> {
    let sets = ResourceType::ALL.into_iter().flat_map(|kind| {
        let versions = snapshot.set(kind).version();
        let set = (format!("{kind}"), versions.text().to_vec(), vec![]);
        let each = snapshot.set(kind).iter().map(|resource| {
            (
                format!("{kind} {}", resource.name()),
                resource.body().to_vec(),
                resource.refs().to_vec(),
            )
        });
        std::iter::once(set).chain(each).collect::<Vec<_>>()
    });
    sets.collect()
}

/// What leads from one snapshot to the next.
fn steps(old: &Snapshot, new: &Snapshot) -> Vec<String> {
    let of = |kind: ResourceType| {
        let change = |change: SetChange| match change {
            SetChange::Upsert(resource) => format!("+{kind} {}", resource.name()),
            SetChange::Remove(resource) => format!("-{kind} {}", resource.name()),
        };
        old.set(kind).diff(new.set(kind)).map(change).collect::<Vec<_>>()
    };
    ResourceType::ALL.into_iter().flat_map(of).collect()
}

#[test]
fn a_history_ends_where_the_last_plan_alone_does() {
    let mut plan = rich_plan();
    let mut encoder = Encoder::default();
    let mut last = encoder.update(&plan);
    assert_eq!(last.generation, 1);
    let mut go = |plan: &Plan, expected: &[&str]| {
        let next = encoder.update(plan);
        assert_eq!(steps(&last, &next), expected);
        assert_eq!(next.generation, last.generation + u64::from(!expected.is_empty()));
        assert_eq!(seen(&next), seen(&encode(plan)), "from scratch");
        last = next;
    };
    go(&plan, &[]);

    plan.put(endpoints("search", &[("a", &[endpoint(9, 1, EndpointHealth::Healthy)])]));
    go(&plan, &["+EDS search"]);

    plan.put(cluster("new"));
    plan.put(endpoints("new", &[]));
    go(&plan, &["+CDS new", "+EDS new"]);

    plan.put(table("http-80", vec![host("h", &["h.example"], vec![])]));
    plan.put(certificate("shop/cert", "shop.example"));
    go(&plan, &["+RDS http-80", "+SDS shop/cert"]);

    plan.put(listener("http-80", 10080, vec![chain("http", &[], &[], "other")]));
    plan.put(table("other", vec![]));
    plan.route_tables.remove("http-80");
    go(&plan, &["+LDS http-80", "-RDS http-80", "+RDS other"]);

    plan.clusters.remove("new");
    plan.endpoints.remove("new");
    go(&plan, &["-CDS new", "-EDS new"]);

    plan = Plan::default();
    let gone = [
        "-CDS greeter",
        "-CDS orders",
        "-CDS orders-v2",
        "-CDS search",
        "-CDS shadow",
        "-EDS greeter",
        "-EDS orders",
        "-EDS orders-v2",
        "-EDS search",
        "-EDS shadow",
        "-LDS http-80",
        "-LDS https-443",
        "-LDS tcp-9000",
        "-LDS udp-9000",
        "-RDS https-443",
        "-RDS other",
        "-SDS shop/cert",
        "-SDS shop/default",
    ];
    go(&plan, &gone);
}

#[test]
fn a_rich_plan_is_free_of_our_own_mistakes() {
    assert_eq!(check::all(&encode(&rich_plan())), []);
}

#[test]
fn equal_content_in_new_memory_keeps_resource_and_generation() {
    let mut encoder = Encoder::default();
    let plan = rich_plan();
    let first = encoder.update(&plan);
    let mut again = plan.clone();
    for (name, table) in &plan.route_tables {
        let hosts = table.virtual_hosts.values().map(|host| Arc::new((**host).clone()));
        let virtual_hosts = ir::VirtualHost::by_name(hosts);
        let table = RouteTable { virtual_hosts, ..(**table).clone() };
        again.route_tables.insert(name.clone(), Arc::new(table));
    }
    // Another origin alone reaches no proxy.
    for (name, cluster) in &plan.clusters {
        let origin = cluster.origin.at("/elsewhere");
        again
            .clusters
            .insert(name.clone(), Arc::new(ir::Cluster { origin, ..(**cluster).clone() }));
    }
    let second = encoder.update(&again);
    assert_eq!(second.generation, first.generation);
    for kind in ResourceType::ALL {
        for resource in first.set(kind).iter() {
            let kept = second.get(kind, resource.name()).unwrap();
            assert!(Arc::ptr_eq(resource, kept), "{resource:?}");
        }
    }
}

#[test]
fn endpoint_churn_touches_one_resource() {
    let mut plan = Plan::default();
    let set = |i: usize, last| -> EndpointSet {
        endpoints(&format!("c{i:04}"), &[("a", &[endpoint(last, 1, EndpointHealth::Healthy)])])
    };
    for i in 0..1000 {
        plan.put(cluster(&format!("c{i:04}")));
        plan.put(set(i, 1));
    }
    plan.put(table("t", many_hosts(1000)));
    let mut encoder = Encoder::default();
    let first = encoder.update(&plan);
    plan.put(set(500, 2));
    let second = encoder.update(&plan);
    assert_eq!(steps(&first, &second), ["+EDS c0500"]);
    for kind in [ResourceType::Cluster, ResourceType::Route, ResourceType::Listener] {
        assert!(first.set(kind).ptr_eq(second.set(kind)), "{kind}");
    }
}
