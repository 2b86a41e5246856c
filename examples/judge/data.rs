//! The data set: names, addresses and fields are those of the servers it is compared with, so that all of them send the
//! same bytes' worth.

use std::sync::Arc;

use envoy_types::pb::envoy::config::cluster::v3 as cluster;
use envoy_types::pb::envoy::config::core::v3 as core;
use envoy_types::pb::envoy::config::endpoint::v3 as endpoint;
use envoy_types::pb::envoy::config::listener::v3 as listener;
use envoy_types::pb::envoy::config::route::v3 as route;
use envoy_types::pb::envoy::extensions::filters::http::router::v3::Router;
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3 as hcm;
use envoy_types::pb::google::protobuf::{Any, BoolValue, Duration, UInt32Value};
use prost::{Message, Name};
use snapshot::{Resource, ResourceKey, ResourceType, Snapshot};

pub(crate) fn snapshot(services: usize, endpoints: usize) -> Snapshot {
    let mut all = Snapshot::default();
    for k in 0..services {
        all.insert(cluster(k));
        all.insert(assignment(k, endpoints, 0));
    }
    all.insert(listener());
    all.insert(routes(services));
    all
}

fn service(k: usize) -> String {
    format!("outbound|80||svc-{k}.ns1.example.com")
}

fn resource(
    kind: ResourceType,
    name: &str,
    message: &impl Message,
    refs: impl IntoIterator<Item = (ResourceType, String)>,
) -> Resource {
    let refs: Vec<_> =
        refs.into_iter().map(|(kind, name)| ResourceKey { kind, name: name.into() }).collect();
    Resource::new(kind, Arc::from(name), &message.encode_to_vec(), refs, [])
}

fn ads() -> Option<core::ConfigSource> {
    Some(core::ConfigSource {
        resource_api_version: core::ApiVersion::V3.into(),
        config_source_specifier: Some(core::config_source::ConfigSourceSpecifier::Ads(
            core::AggregatedConfigSource {},
        )),
        ..Default::default()
    })
}

fn any<M: Message + Name>(message: &M) -> Any {
    Any {
        type_url: format!("type.googleapis.com/{}", M::full_name()),
        value: message.encode_to_vec(),
    }
}

fn address(ip: String, port: u32) -> Option<core::Address> {
    let socket = core::SocketAddress {
        address: ip,
        port_specifier: Some(core::socket_address::PortSpecifier::PortValue(port)),
        ..Default::default()
    };
    Some(core::Address { address: Some(core::address::Address::SocketAddress(socket)) })
}

fn number(value: u32) -> Option<UInt32Value> {
    Some(UInt32Value { value })
}

fn cluster(k: usize) -> Resource {
    use cluster::cluster::{ClusterDiscoveryType, DiscoveryType, EdsClusterConfig, LbPolicy};
    let thresholds = cluster::circuit_breakers::Thresholds {
        max_connections: number(u32::MAX),
        max_requests: number(u32::MAX),
        ..Default::default()
    };
    let name = service(k);
    let message = cluster::Cluster {
        name: name.clone(),
        cluster_discovery_type: Some(ClusterDiscoveryType::Type(DiscoveryType::Eds.into())),
        eds_cluster_config: Some(EdsClusterConfig {
            eds_config: ads(),
            service_name: name.clone(),
        }),
        connect_timeout: Some(Duration { seconds: 10, nanos: 0 }),
        lb_policy: LbPolicy::LeastRequest.into(),
        circuit_breakers: Some(cluster::CircuitBreakers {
            thresholds: vec![thresholds],
            ..Default::default()
        }),
        ..Default::default()
    };
    resource(ResourceType::Cluster, &name, &message, [(ResourceType::Endpoint, name.clone())])
}

/// The endpoints of service `k`; `seq` 0 is the first state, else the first endpoint is the marker of that change.
pub(crate) fn assignment(k: usize, endpoints: usize, seq: usize) -> Resource {
    let one = |j: usize| {
        let ip = if j == 0 && seq > 0 {
            format!("10.77.{}.{}", seq >> 8 & 255, seq & 255)
        } else {
            format!("10.{}.{}.{}", 10 + j % 60, k >> 8 & 255, k & 255)
        };
        endpoint::LbEndpoint {
            host_identifier: Some(endpoint::lb_endpoint::HostIdentifier::Endpoint(
                endpoint::Endpoint { address: address(ip, 8080), ..Default::default() },
            )),
            health_status: core::HealthStatus::Healthy.into(),
            load_balancing_weight: number(1),
            ..Default::default()
        }
    };
    let name = service(k);
    let message = endpoint::ClusterLoadAssignment {
        cluster_name: name.clone(),
        endpoints: vec![endpoint::LocalityLbEndpoints {
            locality: Some(core::Locality {
                region: "r1".into(),
                zone: "z1".into(),
                ..Default::default()
            }),
            lb_endpoints: (0..endpoints).map(one).collect(),
            load_balancing_weight: number(endpoints as u32),
            ..Default::default()
        }],
        ..Default::default()
    };
    resource(ResourceType::Endpoint, &name, &message, [])
}

fn listener() -> Resource {
    let rds = hcm::Rds { config_source: ads(), route_config_name: "80".into() };
    let router = hcm::HttpFilter {
        name: "envoy.filters.http.router".into(),
        config_type: Some(hcm::http_filter::ConfigType::TypedConfig(any(&Router::default()))),
        ..Default::default()
    };
    let manager = hcm::HttpConnectionManager {
        stat_prefix: "outbound_0.0.0.0_80".into(),
        route_specifier: Some(hcm::http_connection_manager::RouteSpecifier::Rds(rds)),
        http_filters: vec![router],
        ..Default::default()
    };
    let filter = listener::Filter {
        name: "envoy.filters.network.http_connection_manager".into(),
        config_type: Some(listener::filter::ConfigType::TypedConfig(any(&manager))),
    };
    let name = "0.0.0.0_80";
    let message = listener::Listener {
        name: name.into(),
        address: address("0.0.0.0".into(), 80),
        filter_chains: vec![listener::FilterChain { filters: vec![filter], ..Default::default() }],
        ..Default::default()
    };
    resource(ResourceType::Listener, name, &message, [(ResourceType::Route, "80".into())])
}

fn routes(services: usize) -> Resource {
    let host = |k: usize| {
        let domain = format!("svc-{k}.ns1.example.com");
        let retry = route::RetryPolicy {
            retry_on: "connect-failure,refused-stream,unavailable,cancelled".into(),
            num_retries: number(2),
            ..Default::default()
        };
        let action = route::RouteAction {
            cluster_specifier: Some(route::route_action::ClusterSpecifier::Cluster(service(k))),
            timeout: Some(Duration { seconds: 0, nanos: 0 }),
            retry_policy: Some(retry),
            ..Default::default()
        };
        let prefix = route::RouteMatch {
            path_specifier: Some(route::route_match::PathSpecifier::Prefix("/".into())),
            ..Default::default()
        };
        route::VirtualHost {
            name: format!("{domain}:80"),
            domains: vec![domain.clone(), format!("{domain}:80")],
            routes: vec![route::Route {
                name: "default".into(),
                r#match: Some(prefix),
                action: Some(route::route::Action::Route(action)),
                ..Default::default()
            }],
            ..Default::default()
        }
    };
    let message = route::RouteConfiguration {
        name: "80".into(),
        virtual_hosts: (0..services).map(host).collect(),
        validate_clusters: Some(BoolValue { value: false }),
        ..Default::default()
    };
    let clusters = (0..services).map(|k| (ResourceType::Cluster, service(k)));
    resource(ResourceType::Route, "80", &message, clusters)
}
