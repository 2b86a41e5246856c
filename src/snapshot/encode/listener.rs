use envoy_types::pb::envoy::config::core::v3::{Address, TransportSocket, transport_socket};
use envoy_types::pb::envoy::config::listener::v3 as pb;
use envoy_types::pb::envoy::extensions::filters::listener::tls_inspector::v3::TlsInspector;
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3::HttpConnectionManager;
use envoy_types::pb::envoy::extensions::filters::network::tcp_proxy::v3::TcpProxy;
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3 as tls;
use envoy_types::pb::google::protobuf::Any;
use ir::{ChainMatch, Handler, UdpHandler};
use prost::Message;
use tls::certificate_validation_context::TrustChainVerification;
use tls::common_tls_context::{CombinedCertificateValidationContext, ValidationContextType};
use tls::downstream_tls_context::SessionTicketKeysType;

use super::cluster::BUFFER_LIMIT;
use super::common::{ads, any, boolean, is_laid_over, keys, socket_address, udp_address, uint32};
use super::{access, connection, dns, intake, report, stream, upstream_tls};
use crate::{Reports, Resource, ResourceType};

/// One listener with a filter chain for each TLS identity. It holds no map and names its route tables and secrets, so
/// that of what people edit daily only the back ends of whole connections change it ([`ir::StreamForward`]): a new
/// listener drains all its connections, other filter chains only those of the chains that changed (law 4).
pub(crate) fn listener(listener: &ir::Listener, reports: Reports) -> Resource {
    let ir::Listener { name, addresses, port, intake: _, chains, origin } = listener;
    let mut addresses = addresses.iter().map(|ip| socket_address(*ip, *port));
    let mut message = pb::Listener {
        name: name.to_string(),
        address: addresses.next(),
        additional_addresses: additional(addresses),
        // Whenever a chain is for TLS, not only once server names tell chains apart: then the first server name only
        // adds a chain, which Envoy does in place, where a new listener filter would drain every connection.
        listener_filters: chains
            .iter()
            .any(|chain| matches!(chain.matches, ChainMatch::Tls(_)))
            .then(tls_inspector)
            .into_iter()
            .collect(),
        filter_chains: chains.iter().map(|one| chain(one, reports)).collect(),
        per_connection_buffer_limit_bytes: Some(uint32(BUFFER_LIMIT)),
        ..Default::default()
    };
    intake::apply(&mut message, listener);
    let mut refs = Vec::new();
    for chain in chains {
        match &chain.handler {
            Handler::Http(http) => refs.extend(keys(ResourceType::Route, [&http.route_table])),
            Handler::Tcp(to) => refs.extend(keys(ResourceType::Cluster, stream::clusters(to))),
        }
        refs.extend(keys(ResourceType::Extension, &chain.access));
        if let Some(tls) = &chain.tls {
            let authorities = tls.client.iter().map(|client| &client.authorities);
            let secrets = tls.secrets.iter().chain(authorities);
            refs.extend(keys(ResourceType::Secret, secrets.filter(|name| !is_laid_over(name))));
        }
    }
    refs.sort();
    refs.dedup();
    Resource::new(
        ResourceType::Listener,
        name.clone(),
        &message.encode_to_vec(),
        refs,
        origin.as_slice(),
    )
}

pub(crate) fn udp_listener(listener: &ir::UdpListener) -> Resource {
    let ir::UdpListener { name, addresses, port, handler, origin } = listener;
    let mut addresses = addresses.iter().map(|ip| udp_address(*ip, *port));
    let message = pb::Listener {
        name: name.to_string(),
        address: addresses.next(),
        additional_addresses: additional(addresses),
        listener_filters: vec![match handler {
            UdpHandler::Forward(forward) => listener_filter(
                "envoy.filters.udp_listener.udp_proxy",
                any(&stream::udp_proxy(forward)),
            ),
            UdpHandler::Dns(table) => {
                listener_filter("envoy.filters.udp.dns_filter", any(&dns::filter(table)))
            }
        }],
        ..Default::default()
    };
    Resource::new(
        ResourceType::Listener,
        name.clone(),
        &message.encode_to_vec(),
        match handler {
            UdpHandler::Forward(forward) => keys(ResourceType::Cluster, stream::clusters(forward)),
            UdpHandler::Dns(_) => Vec::new(),
        },
        origin.as_slice(),
    )
}

fn additional(addresses: impl Iterator<Item = Address>) -> Vec<pb::AdditionalAddress> {
    addresses
        .map(|address| pb::AdditionalAddress { address: Some(address), ..Default::default() })
        .collect()
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

pub(super) fn tls_inspector() -> pb::ListenerFilter {
    listener_filter("envoy.filters.listener.tls_inspector", any(&TlsInspector::default()))
}

pub(super) fn listener_filter(name: &str, config: Any) -> pb::ListenerFilter {
    pb::ListenerFilter {
        name: name.to_string(),
        config_type: Some(pb::listener_filter::ConfigType::TypedConfig(config)),
        ..Default::default()
    }
}

fn chain(chain: &ir::FilterChain, reports: Reports) -> pb::FilterChain {
    let ir::FilterChain { name, matches, tls, access, reported, handler, origin: _ } = chain;
    let reported = *reported && reports.on;
    let (filter, config, alpn): (_, _, &[&str]) = match handler {
        Handler::Http(http) => (
            "envoy.filters.network.http_connection_manager",
            any(&HttpConnectionManager {
                access_log: reported.then(report::of_requests).into_iter().collect(),
                ..connection::manager(http)
            }),
            &["h2", "http/1.1"],
        ),
        // Whoever reads the bytes would have to know which protocol was chosen.
        Handler::Tcp(to) => (
            "envoy.filters.network.tcp_proxy",
            any(&TcpProxy {
                access_log: reported.then(report::of_connections).into_iter().collect(),
                ..stream::tcp_proxy(to)
            }),
            &[],
        ),
    };
    let network_filter = pb::Filter {
        name: filter.to_string(),
        config_type: Some(pb::filter::ConfigType::TypedConfig(config)),
    };
    pb::FilterChain {
        name: name.to_string(),
        filter_chain_match: match matches {
            ChainMatch::Any => None,
            ChainMatch::Captured(captured) => intake::chain_match(captured),
            ChainMatch::Tls(names) => Some(pb::FilterChainMatch {
                server_names: names.iter().map(ToString::to_string).collect(),
                transport_protocol: "tls".to_string(),
                ..Default::default()
            }),
        },
        filters: access.iter().map(access::of_connections).chain([network_filter]).collect(),
        transport_socket: tls.as_ref().map(|tls| transport_socket(tls, alpn)),
        ..Default::default()
    }
}

fn transport_socket(termination: &ir::TlsTermination, alpn: &[&str]) -> TransportSocket {
    let ir::TlsTermination { secrets, client, alpn: own } = termination;
    let alpn = match own {
        Some(own) => own.iter().map(ToString::to_string).collect(),
        None => alpn.iter().map(ToString::to_string).collect(),
    };
    // The certificate of a session that is resumed is not looked at again: RBAC takes such a client for nobody, and without
    // RBAC it would be let in on the word of a certificate that may have ended, or of a root that is gone.
    let no_resumption =
        client.as_ref().map(|_| SessionTicketKeysType::DisableStatelessSessionResumption(true));
    let context = tls::DownstreamTlsContext {
        disable_stateful_session_resumption: client.is_some(),
        session_ticket_keys_type: no_resumption,
        // Said also where it is false: Envoy means to change its default.
        require_client_certificate: client.as_ref().map(|client| boolean(client.required)),
        common_tls_context: Some(tls::CommonTlsContext {
            // Envoy's default on the server side since 1.22; said aloud because it is a promise.
            tls_params: Some(tls::TlsParameters {
                tls_minimum_protocol_version: tls::tls_parameters::TlsProtocol::TlSv12 as i32,
                ..Default::default()
            }),
            tls_certificate_sds_secret_configs: secrets.iter().map(secret_from_ads).collect(),
            validation_context_type: client.as_ref().map(validation),
            alpn_protocols: alpn,
            ..Default::default()
        }),
        ..Default::default()
    };
    TransportSocket {
        name: "envoy.transport_sockets.tls".to_string(),
        config_type: Some(transport_socket::ConfigType::TypedConfig(any(&context))),
    }
}

fn validation(client: &ir::ClientValidation) -> ValidationContextType {
    let ir::ClientValidation { authorities, required, names } = client;
    let secret = secret_from_ads(authorities);
    if *required && names.is_empty() {
        return ValidationContextType::ValidationContextSdsSecretConfig(secret);
    }
    ValidationContextType::CombinedValidationContext(CombinedCertificateValidationContext {
        default_validation_context: Some(tls::CertificateValidationContext {
            trust_chain_verification: match required {
                true => TrustChainVerification::VerifyTrustChain,
                false => TrustChainVerification::AcceptUntrusted,
            } as i32,
            match_typed_subject_alt_names: names.iter().map(upstream_tls::name_matcher).collect(),
            ..Default::default()
        }),
        validation_context_sds_secret_config: Some(secret),
        ..Default::default()
    })
}

pub(super) fn secret_from_ads(name: &ir::Name) -> tls::SdsSecretConfig {
    tls::SdsSecretConfig { name: name.to_string(), sds_config: Some(ads()) }
}
