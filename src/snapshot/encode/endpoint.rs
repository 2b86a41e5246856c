use envoy_types::pb::envoy::config::core::v3 as core;
use envoy_types::pb::envoy::config::endpoint::v3 as pb;
use model::{EndpointHealth, ObjectRef};
use prost::Message;

use super::common::{socket_address, uint32};
use crate::{Resource, ResourceKey, ResourceType};

/// The short path of endpoint churn: no maps, no references, nothing but this one message. A set without endpoints is
/// an assignment without localities, which tells the proxy "nobody" where silence would keep the cluster warming
/// (xds-rules 33).
pub(crate) fn endpoints(set: &ir::EndpointSet) -> Resource {
    let ir::EndpointSet { name, localities } = set;
    let message = pb::ClusterLoadAssignment {
        cluster_name: name.to_string(),
        endpoints: localities.iter().filter(|l| !l.endpoints.is_empty()).map(locality).collect(),
        ..Default::default()
    };
    Resource::new(
        ResourceType::Endpoint,
        name.clone(),
        &message.encode_to_vec(),
        [] as [ResourceKey; 0],
        [] as [ObjectRef; 0],
    )
}

fn locality(group: &ir::LocalityEndpoints) -> pb::LocalityLbEndpoints {
    let ir::LocalityEndpoints { locality, endpoints } = group;
    let model::Locality { region, zone } = locality;
    // gRPC clients skip localities without a weight (xds-rules 84), and split by it first: the sum of what is inside
    // keeps each endpoint's share what its own weight says. Envoy, without locality-weighted balancing, ignores it.
    let weight = endpoints.iter().fold(0u32, |sum, e| sum.saturating_add(e.weight.max(1)));
    pb::LocalityLbEndpoints {
        locality: Some(core::Locality {
            region: region.to_string(),
            zone: zone.to_string(),
            ..Default::default()
        }),
        lb_endpoints: endpoints.iter().map(endpoint).collect(),
        load_balancing_weight: Some(uint32(weight)),
        ..Default::default()
    }
}

fn endpoint(endpoint: &ir::LbEndpoint) -> pb::LbEndpoint {
    let ir::LbEndpoint { address, port, weight, health } = endpoint;
    let health = match health {
        // "Unknown" is what Envoy takes for healthy, and costs no bytes.
        EndpointHealth::Healthy => core::HealthStatus::Unknown,
        EndpointHealth::Draining => core::HealthStatus::Draining,
        EndpointHealth::Unhealthy => core::HealthStatus::Unhealthy,
    };
    pb::LbEndpoint {
        host_identifier: Some(pb::lb_endpoint::HostIdentifier::Endpoint(pb::Endpoint {
            address: Some(socket_address(*address, *port)),
            ..Default::default()
        })),
        health_status: health as i32,
        load_balancing_weight: Some(uint32((*weight).max(1))),
        ..Default::default()
    }
}
