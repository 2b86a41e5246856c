use std::net::IpAddr;

use envoy_types::pb::envoy::config::cluster::v3 as pb;
use envoy_types::pb::envoy::config::core::v3 as core;
use envoy_types::pb::envoy::config::endpoint::v3 as endpoint;
use envoy_types::pb::envoy::extensions::upstreams::http::v3 as http;
use envoy_types::pb::envoy::r#type::v3::Percent;
use ir::{Choice, Discovery, UpstreamProtocol};
use prost::Message;

use super::common::{ads, any, duration, keys, uint32};
use super::{choice, report, upstream_tls};
use crate::{Reports, Resource, ResourceType};

const HTTP_OPTIONS: &str = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";

/// Buffered bytes per connection and direction before Envoy stops reading (Envoy docs, "Configuring Envoy as an edge
/// proxy"; the default of 1 MiB lets few slow readers fill the memory).
pub(super) const BUFFER_LIMIT: u32 = 32 * 1024;
pub(super) const STREAM_WINDOW: u32 = 64 * 1024;
pub(super) const CONNECTION_WINDOW: u32 = 1024 * 1024;

pub(crate) fn cluster(cluster: &ir::Cluster, reports: Reports) -> Resource {
    let ir::Cluster {
        name,
        stat_name,
        protocol,
        tls,
        mesh_tls,
        choice,
        connect_timeout,
        discovery,
        load_reports,
        origin,
    } = cluster;
    // Hosts of an original destination come without metadata that anything could be matched by.
    let original = matches!(discovery, Discovery::OriginalDestination { .. });
    let always = mesh_tls.as_ref().filter(|_| original).map(upstream_tls::mesh);
    let by_metadata = mesh_tls.as_ref().filter(|_| !original).map(upstream_tls::mesh_match);
    let mut message = pb::Cluster {
        name: name.to_string(),
        alt_stat_name: stat_name.to_string(),
        connect_timeout: Some(duration(*connect_timeout)),
        per_connection_buffer_limit_bytes: Some(uint32(BUFFER_LIMIT)),
        // Weights come from users and registries and should come out as shares of requests. Least-request also weighs
        // by active requests, so that 90:10 is not what a slow canary gets; whoever wants that asks by policy.
        lb_policy: pb::cluster::LbPolicy::RoundRobin as i32,
        common_lb_config: Some(load_balancing(choice)),
        circuit_breakers: Some(circuit_breakers()),
        load_balancing_policy: choice::policy(choice),
        transport_socket: always.or_else(|| tls.as_ref().map(upstream_tls::transport_socket)),
        transport_socket_matches: by_metadata.into_iter().collect(),
        lrs_server: (*load_reports && reports.on).then(report::of_load),
        ..Default::default()
    };
    let refers_to = discover(&mut message, name, discovery);
    let options = match protocol {
        UpstreamProtocol::Http1 => None,
        UpstreamProtocol::Http2 => Some(http2_options()),
        UpstreamProtocol::AsCaller => Some(as_caller()),
    };
    if let Some(options) = options {
        message.typed_extension_protocol_options.insert(HTTP_OPTIONS.to_string(), any(&options));
    }
    // HTTP/1.1 is what Envoy speaks without options; naming it would only make every cluster longer.
    debug_assert!(message.typed_extension_protocol_options.len() <= 1, "needs canonical order");
    let mut refs = keys(ResourceType::Endpoint, refers_to);
    refs.extend(keys(ResourceType::Secret, tls.iter().flat_map(upstream_tls::secrets)));
    Resource::new(
        ResourceType::Cluster,
        name.clone(),
        &message.encode_to_vec(),
        refs,
        [origin.clone()],
    )
}

/// Says where the endpoints come from; returns the resource of ours that holds them.
#[expect(
    deprecated,
    reason = "the fields' successor, a cluster extension, is unknown to Envoy before 1.34"
)]
fn discover<'a>(
    message: &mut pb::Cluster,
    name: &'a ir::Name,
    discovery: &'a Discovery,
) -> Option<&'a ir::Name> {
    let kind = match discovery {
        Discovery::Endpoints => {
            // The service name of EDS is the cluster's name when none is given.
            message.eds_cluster_config = Some(pb::cluster::EdsClusterConfig {
                eds_config: Some(ads()),
                ..Default::default()
            });
            pb::cluster::DiscoveryType::Eds
        }
        Discovery::EndpointsOf(other) => {
            message.eds_cluster_config = Some(pb::cluster::EdsClusterConfig {
                eds_config: Some(ads()),
                service_name: other.to_string(),
            });
            pb::cluster::DiscoveryType::Eds
        }
        Discovery::OriginalDestination { from } => {
            message.lb_policy = pb::cluster::LbPolicy::ClusterProvided as i32;
            message.upstream_bind_config = bind(from);
            pb::cluster::DiscoveryType::OriginalDst
        }
        Discovery::Dns { host, port, first_only } => {
            message.load_assignment = Some(dns_endpoint(&message.name, host, *port));
            // Else Envoy asks each 5 s, whatever the DNS says.
            message.respect_dns_ttl = true;
            message.dns_lookup_family = pb::cluster::DnsLookupFamily::All as i32;
            if *first_only {
                // `All` races both families, which only one address at a time cannot use.
                message.dns_lookup_family = pb::cluster::DnsLookupFamily::V4Preferred as i32;
                pb::cluster::DiscoveryType::LogicalDns
            } else {
                pb::cluster::DiscoveryType::StrictDns
            }
        }
    };
    message.cluster_discovery_type = Some(pb::cluster::ClusterDiscoveryType::Type(kind as i32));
    match discovery {
        Discovery::Endpoints => Some(name),
        Discovery::EndpointsOf(other) => Some(other),
        Discovery::Dns { .. } | Discovery::OriginalDestination { .. } => None,
    }
}

/// The source addresses of connections, of which Envoy takes the one of the right family.
fn bind(from: &[IpAddr]) -> Option<core::BindConfig> {
    let (first, others) = from.split_first()?;
    let address = |ip: &IpAddr| core::SocketAddress {
        address: ip.to_string(),
        port_specifier: Some(core::socket_address::PortSpecifier::PortValue(0)),
        ..Default::default()
    };
    let extra = |ip| core::ExtraSourceAddress { address: Some(address(ip)), socket_options: None };
    Some(core::BindConfig {
        source_address: Some(address(first)),
        extra_source_addresses: others.iter().map(extra).collect(),
        ..Default::default()
    })
}

fn dns_endpoint(cluster: &str, host: &str, port: u16) -> endpoint::ClusterLoadAssignment {
    let address = core::Address {
        address: Some(core::address::Address::SocketAddress(core::SocketAddress {
            address: host.to_owned(),
            port_specifier: Some(core::socket_address::PortSpecifier::PortValue(port.into())),
            ..Default::default()
        })),
    };
    let endpoint = endpoint::LbEndpoint {
        host_identifier: Some(endpoint::lb_endpoint::HostIdentifier::Endpoint(
            endpoint::Endpoint { address: Some(address), ..Default::default() },
        )),
        ..Default::default()
    };
    endpoint::ClusterLoadAssignment {
        cluster_name: cluster.to_owned(),
        endpoints: vec![endpoint::LocalityLbEndpoints {
            lb_endpoints: vec![endpoint],
            ..Default::default()
        }],
        ..Default::default()
    }
}

/// Unhealthy and draining endpoints get requests only when there is (almost) nobody else. Envoy's default threshold of
/// 50 % would send requests to every not-ready pod as soon as half of them are not ready; 0 % would answer 503 while
/// draining ones could still serve (Envoy docs, "Panic threshold": whole percents, so 1 is the least above 0). Where lanes
/// choose, the unhealthy are there only so that nobody stands in for them, and 0 is right.
fn load_balancing(choice: &Choice) -> pb::cluster::CommonLbConfig {
    let value = if matches!(choice, Choice::Lane { .. }) { 0.0 } else { 1.0 };
    pb::cluster::CommonLbConfig {
        healthy_panic_threshold: Some(Percent { value }),
        ..Default::default()
    }
}

/// Envoy's 1,024 connections, pending requests and requests per worker set are a limit that nobody asked for and that
/// streams reach first: they end in 503 "UO". Istio and others lift them likewise; a real limit is a policy. The same goes
/// for 3 retries at a time: whoever writes `attempts: 2` does not expect that the fourth client gets none.
fn circuit_breakers() -> pb::CircuitBreakers {
    pb::CircuitBreakers {
        thresholds: vec![pb::circuit_breakers::Thresholds {
            max_connections: Some(uint32(u32::MAX)),
            max_pending_requests: Some(uint32(u32::MAX)),
            max_requests: Some(uint32(u32::MAX)),
            max_retries: Some(uint32(u32::MAX)),
            ..Default::default()
        }],
        ..Default::default()
    }
}

/// HTTP/1.1 to a caller's HTTP/1.1, HTTP/2 to its HTTP/2.
fn as_caller() -> http::HttpProtocolOptions {
    use http::http_protocol_options::{UpstreamProtocolOptions, UseDownstreamHttpConfig};
    http::HttpProtocolOptions {
        upstream_protocol_options: Some(UpstreamProtocolOptions::UseDownstreamProtocolConfig(
            UseDownstreamHttpConfig {
                http_protocol_options: Some(core::Http1ProtocolOptions::default()),
                http2_protocol_options: Some(http2()),
                ..Default::default()
            },
        )),
        ..Default::default()
    }
}

fn http2() -> core::Http2ProtocolOptions {
    core::Http2ProtocolOptions {
        initial_stream_window_size: Some(uint32(STREAM_WINDOW)),
        initial_connection_window_size: Some(uint32(CONNECTION_WINDOW)),
        ..Default::default()
    }
}

fn http2_options() -> http::HttpProtocolOptions {
    use http::http_protocol_options::explicit_http_config::ProtocolConfig;
    use http::http_protocol_options::{ExplicitHttpConfig, UpstreamProtocolOptions};
    http::HttpProtocolOptions {
        upstream_protocol_options: Some(UpstreamProtocolOptions::ExplicitHttpConfig(
            ExplicitHttpConfig {
                protocol_config: Some(ProtocolConfig::Http2ProtocolOptions(http2())),
            },
        )),
        ..Default::default()
    }
}
