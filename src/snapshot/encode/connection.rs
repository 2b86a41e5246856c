use std::time::Duration;

use envoy_types::pb::envoy::config::core::v3 as core;
use envoy_types::pb::envoy::extensions::filters::http::cors::v3::Cors;
use envoy_types::pb::envoy::extensions::filters::http::on_demand::v3::{OnDemand, OnDemandCds};
use envoy_types::pb::envoy::extensions::filters::http::router::v3::Router;
use envoy_types::pb::envoy::extensions::filters::http::stateful_session::v3::StatefulSession;
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3 as pb;
use ir::{FilterSlot, Side};
use pb::http_connection_manager as hcm;

use super::cluster::{CONNECTION_WINDOW, STREAM_WINDOW};
use super::common::{ads, any, boolean, duration, uint32};
use super::{access, lane, lane_entry};

pub(super) const CORS: &str = "envoy.filters.http.cors";
pub(super) const SESSION: &str = "envoy.filters.http.stateful_session";
pub(super) const LANE_ENTRY: &str = "isthmus.lane_entry";
const LANE: &str = "envoy.filters.http.header_to_metadata";
const ON_DEMAND: &str = "envoy.filters.http.on_demand";
const ROUTER: &str = "envoy.filters.http.router";

/// What the proxy does with a downstream HTTP connection: Envoy's "Configuring Envoy as an edge proxy", and Gateway API
/// where that says more.
pub(super) fn manager(http: &ir::HttpConnection) -> pb::HttpConnectionManager {
    let ir::HttpConnection { stat_prefix, side, route_table, filters } = http;
    let edge = *side == Side::Edge;
    pb::HttpConnectionManager {
        stat_prefix: stat_prefix.to_string(),
        route_specifier: Some(routes_from(route_table)),
        http_filters: filters.iter().flat_map(filter).chain([router()]).collect(),
        // The peer's address counts, not an `x-forwarded-for` that anybody can write; it also makes Envoy drop
        // `x-envoy-*` request headers that come from outside.
        use_remote_address: Some(boolean(edge)),
        // `/a/../b` must not get past a rule for `/b`.
        normalize_path: Some(boolean(true)),
        // `//a` and `/%2fa` stay what they are: Gateway API matches paths literally, and a back end may tell them apart.
        merge_slashes: false,
        path_with_escaped_slashes_action: hcm::PathWithEscapedSlashesAction::KeepUnchanged as i32,
        // `example.com.` names the same host as `example.com`.
        strip_trailing_host_dot: true,
        // The back end's own `server` header, which Gateway API filters may edit; Envoy's default puts "envoy" over it.
        server_header_transformation: hcm::ServerHeaderTransformation::PassThrough as i32,
        // Against clients that send headers byte by byte; without it only the stream's idle timeout (5 min) would help.
        request_headers_timeout: edge.then(|| duration(Duration::from_secs(10))),
        http2_protocol_options: Some(core::Http2ProtocolOptions {
            // A sidecar's clients are programs of the same house.
            max_concurrent_streams: edge.then(|| uint32(100)),
            initial_stream_window_size: Some(uint32(STREAM_WINDOW)),
            initial_connection_window_size: Some(uint32(CONNECTION_WINDOW)),
            ..Default::default()
        }),
        upgrade_configs: vec![hcm::UpgradeConfig {
            upgrade_type: "websocket".to_string(),
            ..Default::default()
        }],
        // The app is told who called, and only what its own proxy has seen.
        forward_client_cert_details: match side {
            Side::Inbound => hcm::ForwardClientCertDetails::SanitizeSet,
            Side::Edge | Side::Outbound => hcm::ForwardClientCertDetails::Sanitize,
        } as i32,
        set_current_client_cert_details: (*side == Side::Inbound)
            .then_some(hcm::SetCurrentClientCertDetails { uri: true, ..Default::default() }),
        ..Default::default()
    }
}

/// What a gRPC client does by itself it needs no words for: it reads the routes and the filters, and the router is the
/// one filter that every client has.
pub(super) fn api_manager(name: &str, route_table: &ir::Name) -> pb::HttpConnectionManager {
    pb::HttpConnectionManager {
        stat_prefix: name.to_string(),
        route_specifier: Some(routes_from(route_table)),
        http_filters: vec![router()],
        ..Default::default()
    }
}

/// By RDS, so that an edit of routes leaves the listener as it is.
fn routes_from(table: &ir::Name) -> hcm::RouteSpecifier {
    hcm::RouteSpecifier::Rds(pb::Rds {
        config_source: Some(ads()),
        route_config_name: table.to_string(),
    })
}

fn filter(slot: &FilterSlot) -> Vec<pb::HttpFilter> {
    let one = match slot {
        FilterSlot::Access => return access::filters(),
        FilterSlot::Cors => http_filter(CORS, any(&Cors {})),
        FilterSlot::Lane(carrier) => http_filter(LANE, any(&lane::extract(carrier))),
        FilterSlot::LaneEntry(carrier) => {
            http_filter(LANE_ENTRY, any(&lane_entry::filter(carrier)))
        }
        FilterSlot::OnDemand => http_filter(ON_DEMAND, any(&on_demand())),
        FilterSlot::Session => http_filter(SESSION, any(&StatefulSession::default())),
    };
    vec![one]
}

fn on_demand() -> OnDemand {
    OnDemand {
        odcds: Some(OnDemandCds {
            source: Some(ads()),
            // The control plane knows at once whether there is such a service.
            timeout: Some(duration(Duration::from_secs(5))),
            ..Default::default()
        }),
    }
}

fn router() -> pb::HttpFilter {
    http_filter(ROUTER, any(&Router::default()))
}

pub(super) fn http_filter(
    name: &str,
    config: envoy_types::pb::google::protobuf::Any,
) -> pb::HttpFilter {
    pb::HttpFilter {
        name: name.to_string(),
        config_type: Some(pb::http_filter::ConfigType::TypedConfig(config)),
        ..Default::default()
    }
}
