use model::MtlsMode::{Disable, Permissive, Strict};
use model::{MtlsMode, Object};

use super::*;
use crate::testing::{catalog, peer, with_orders};

#[track_caller]
fn check(policies: Vec<Object>, wanted: [(Option<u16>, MtlsMode); 3]) {
    let catalog = catalog(policies);
    for (port, wanted) in wanted {
        let found = with_orders(|workload| mode(&View::new(&catalog), workload, port));
        assert_eq!(found, wanted, "port {port:?}");
    }
}

/// 8080 is a port of a service, 9090 is not, and nobody speaks of the rest.
fn all(mode: MtlsMode) -> [(Option<u16>, MtlsMode); 3] {
    [(Some(8080), mode), (Some(9090), mode), (None, mode)]
}

#[test]
fn without_policies_whatever_comes_is_taken() {
    check(vec![], all(Permissive));
    check(vec![peer("bank", "a", 1, "", Strict, &[])], all(Permissive));
    check(vec![peer("shop", "a", 1, "app=pay", Strict, &[])], all(Permissive));
}

#[test]
fn the_nearer_policy_counts() {
    let mesh = || peer("isthmus-system", "mesh", 1, "", Strict, &[]);
    let namespace = || peer("shop", "namespace", 2, "", Disable, &[]);
    let workload = || peer("shop", "workload", 3, "app=orders", Permissive, &[]);
    check(vec![mesh()], all(Strict));
    check(vec![mesh(), namespace()], all(Disable));
    check(vec![mesh(), namespace(), workload()], all(Permissive));
    // A selector in the root namespace is for workloads of all.
    check(
        vec![namespace(), peer("isthmus-system", "far", 1, "app=orders", Strict, &[])],
        all(Strict),
    );
}

#[test]
fn what_is_said_of_a_port_counts_before_all_else() {
    let mesh = peer("isthmus-system", "mesh", 1, "", Strict, &[(9090, Disable)]);
    let workload = peer("shop", "workload", 2, "app=orders", Strict, &[(8080, Permissive)]);
    check(vec![mesh, workload], [(Some(8080), Permissive), (Some(9090), Disable), (None, Strict)]);
}

#[test]
fn a_policy_for_a_port_of_a_service_is_for_nothing_else() {
    let port = peer("shop", "port", 1, "orders:http", Strict, &[]);
    check(vec![port], [(Some(8080), Strict), (Some(9090), Permissive), (None, Permissive)]);
    let service = peer("shop", "service", 1, "orders", Strict, &[]);
    check(vec![service], all(Strict));
    let unknown = peer("shop", "unknown", 1, "orders:grpc", Strict, &[]);
    check(vec![unknown], all(Permissive));
}

#[test]
fn of_two_that_say_the_same_the_older_counts() {
    let older = peer("shop", "b", 1, "", Strict, &[]);
    let younger = peer("shop", "a", 2, "", Disable, &[(9090, Permissive)]);
    check(vec![younger, older], [(Some(8080), Strict), (Some(9090), Permissive), (None, Strict)]);
}
