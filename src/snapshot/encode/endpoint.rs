use std::collections::HashMap;

use envoy_types::pb::envoy::config::core::v3 as core;
use envoy_types::pb::envoy::config::endpoint::v3 as pb;
use envoy_types::pb::google::protobuf;
use ir::Name;
use model::{EndpointHealth, ObjectRef};
use prost::Message;

use super::common::{socket_address, text_struct, text_value, uint32};
use crate::{Resource, ResourceKey, ResourceType, canonical};

/// The short path of endpoint churn: no references, nothing but this one message. A set without endpoints is
/// an assignment without localities, which tells the proxy "nobody" where silence would keep the cluster warming
/// (xds-rules 33).
pub(crate) fn endpoints(set: &ir::EndpointSet) -> Resource {
    let ir::EndpointSet { name, localities } = set;
    let message = pb::ClusterLoadAssignment {
        cluster_name: name.to_string(),
        endpoints: localities.iter().filter(|l| !l.endpoints.is_empty()).map(locality).collect(),
        ..Default::default()
    };
    let mut bytes = message.encode_to_vec();
    // Endpoints without labels, the most, have one map entry at most.
    if localities.iter().flat_map(|l| &l.endpoints).any(|e| !e.labels.is_empty()) {
        canonical::sort_maps("envoy.config.endpoint.v3.ClusterLoadAssignment", &mut bytes);
    }
    Resource::new(
        ResourceType::Endpoint,
        name.clone(),
        &bytes,
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
    let ir::LbEndpoint { address, port, weight, health, labels, mtls } = endpoint;
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
        metadata: metadata(labels, *mtls),
    }
}

/// What subsets choose by, and which TLS the endpoint takes.
fn metadata(labels: &[(Name, Name)], mtls: bool) -> Option<core::Metadata> {
    let lb = (!labels.is_empty()).then(|| ("envoy.lb".to_string(), label_struct(labels)));
    let tls = mtls.then(|| {
        let entry = text_struct([(&"isthmus".into(), &"mtls".into())]);
        ("envoy.transport_socket_match".to_string(), entry)
    });
    let filter_metadata: HashMap<_, _> = lb.into_iter().chain(tls).collect();
    (!filter_metadata.is_empty()).then(|| core::Metadata { filter_metadata, ..Default::default() })
}

/// A label with several values is a list: the endpoint is in the subset of each (`list_as_any`).
fn label_struct(labels: &[(Name, Name)]) -> protobuf::Struct {
    let fields = labels.chunk_by(|a, b| a.0 == b.0).map(|same| {
        let mut values: Vec<_> = same.iter().map(|(_, value)| text_value(value)).collect();
        let value = match values.len() {
            1 => values.remove(0),
            _ => protobuf::Value {
                kind: Some(protobuf::value::Kind::ListValue(protobuf::ListValue { values })),
            },
        };
        (same[0].0.to_string(), value)
    });
    protobuf::Struct { fields: fields.collect() }
}
