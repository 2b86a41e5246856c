use envoy_types::pb::envoy::config::core::v3::{TransportSocket, transport_socket};
use envoy_types::pb::envoy::config::listener::v3 as pb;
use envoy_types::pb::envoy::extensions::filters::listener::tls_inspector::v3::TlsInspector;
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3 as tls;
use prost::Message;

use super::cluster::BUFFER_LIMIT;
use super::common::{ads, any, keys, socket_address, uint32};
use super::connection;
use crate::{Resource, ResourceType};

/// One listener with a filter chain for each TLS identity. It holds no map and names its route tables and secrets, so
/// nothing that people edit daily changes it: a changed listener drains its connections (law 4).
pub(crate) fn listener(listener: &ir::Listener) -> Resource {
    let ir::Listener { name, addresses, port, chains, origin } = listener;
    let mut addresses = addresses.iter().map(|ip| socket_address(*ip, *port));
    let message = pb::Listener {
        name: name.to_string(),
        address: addresses.next(),
        additional_addresses: addresses
            .map(|address| pb::AdditionalAddress { address: Some(address), ..Default::default() })
            .collect(),
        // Whenever a chain terminates TLS, not only once server names tell chains apart: then the first server name
        // only adds a chain, which Envoy does in place, where a new listener filter would drain every connection.
        listener_filters: chains
            .iter()
            .any(|chain| chain.tls.is_some())
            .then(tls_inspector)
            .into_iter()
            .collect(),
        filter_chains: chains.iter().map(chain).collect(),
        per_connection_buffer_limit_bytes: Some(uint32(BUFFER_LIMIT)),
        ..Default::default()
    };
    let mut refs = keys(ResourceType::Route, chains.iter().map(|chain| &chain.http.route_table));
    let secrets = chains.iter().filter_map(|chain| chain.tls.as_ref()).flat_map(|tls| &tls.secrets);
    refs.extend(keys(ResourceType::Secret, secrets));
    Resource::new(
        ResourceType::Listener,
        name.clone(),
        &message.encode_to_vec(),
        refs,
        origin.as_slice(),
    )
}

/// A listener without a socket. gRPC reads nothing else of it, and refuses much of what it does read elsewhere: filters
/// that it does not know, `listener_filters`, addresses of its own (xds-rules 83, 84).
pub(crate) fn api_listener(listener: &ir::ApiListener) -> Resource {
    let ir::ApiListener { name, route_table, origin } = listener;
    let message = pb::Listener {
        name: name.to_string(),
        api_listener: Some(pb::ApiListener {
            api_listener: Some(any(&connection::api_manager(name, route_table))),
        }),
        ..Default::default()
    };
    Resource::new(
        ResourceType::Listener,
        name.clone(),
        &message.encode_to_vec(),
        keys(ResourceType::Route, [route_table]),
        origin.as_slice(),
    )
}

fn tls_inspector() -> pb::ListenerFilter {
    pb::ListenerFilter {
        name: "envoy.filters.listener.tls_inspector".to_string(),
        config_type: Some(pb::listener_filter::ConfigType::TypedConfig(any(
            &TlsInspector::default(),
        ))),
        ..Default::default()
    }
}

fn chain(chain: &ir::FilterChain) -> pb::FilterChain {
    let ir::FilterChain { name, server_names, tls, http, origin: _ } = chain;
    let matches = pb::FilterChainMatch {
        server_names: server_names.iter().map(ToString::to_string).collect(),
        transport_protocol: if tls.is_some() { "tls".to_string() } else { String::new() },
        ..Default::default()
    };
    pb::FilterChain {
        name: name.to_string(),
        filter_chain_match: (matches != pb::FilterChainMatch::default()).then_some(matches),
        filters: vec![pb::Filter {
            name: "envoy.filters.network.http_connection_manager".to_string(),
            config_type: Some(pb::filter::ConfigType::TypedConfig(any(&connection::manager(http)))),
        }],
        transport_socket: tls.as_ref().map(transport_socket),
        ..Default::default()
    }
}

fn transport_socket(termination: &ir::TlsTermination) -> TransportSocket {
    let ir::TlsTermination { secrets } = termination;
    let context = tls::DownstreamTlsContext {
        common_tls_context: Some(tls::CommonTlsContext {
            // Envoy's default on the server side since 1.22; said aloud because it is a promise.
            tls_params: Some(tls::TlsParameters {
                tls_minimum_protocol_version: tls::tls_parameters::TlsProtocol::TlSv12 as i32,
                ..Default::default()
            }),
            tls_certificate_sds_secret_configs: secrets
                .iter()
                .map(|name| tls::SdsSecretConfig {
                    name: name.to_string(),
                    sds_config: Some(ads()),
                })
                .collect(),
            alpn_protocols: vec!["h2".to_string(), "http/1.1".to_string()],
            ..Default::default()
        }),
        ..Default::default()
    };
    TransportSocket {
        name: "envoy.transport_sockets.tls".to_string(),
        config_type: Some(transport_socket::ConfigType::TypedConfig(any(&context))),
    }
}
