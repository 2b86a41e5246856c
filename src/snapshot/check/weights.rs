use envoy_types::pb::envoy::config::route::v3::{route, route_action::ClusterSpecifier};

use super::{Flaw, Parsed};

/// Envoy rejects a table in which the weights of a route add up to 0 or to more than 32 bits hold, and an assignment
/// with an endpoint of weight 0; gRPC clients skip localities without a weight (xds-rules 84).
pub(super) fn check(parsed: &Parsed) -> Vec<Flaw> {
    let mut flaws = Vec::new();
    for table in &parsed.routes {
        for route in table.inner.virtual_hosts.iter().flat_map(|host| &host.routes) {
            let Some(route::Action::Route(action)) = &route.action else { continue };
            let Some(ClusterSpecifier::WeightedClusters(weighted)) = &action.cluster_specifier
            else {
                continue;
            };
            let weights = weighted.clusters.iter().map(|c| c.weight.map_or(0, |w| w.value));
            let sum: u64 = weights.map(u64::from).sum();
            if sum == 0 || sum > u64::from(u32::MAX) {
                let text = format!("route `{}`: cluster weights add up to {sum}", route.name);
                flaws.push(Flaw { at: table.key.clone(), text });
            }
        }
    }
    for assignment in &parsed.endpoints {
        let mut say = |text| flaws.push(Flaw { at: assignment.key.clone(), text });
        for group in &assignment.inner.endpoints {
            let weights =
                group.lb_endpoints.iter().map(|e| e.load_balancing_weight.map_or(0, |w| w.value));
            if weights.clone().any(|weight| weight == 0) {
                say("an endpoint has weight 0".to_string());
            }
            let sum: u64 = weights.map(u64::from).sum();
            if sum > u64::from(u32::MAX) {
                say(format!("the weights of a locality add up to {sum}"));
            }
            if group.load_balancing_weight.is_none_or(|weight| weight.value == 0) {
                say("a locality has no weight".to_string());
            }
        }
    }
    flaws
}
