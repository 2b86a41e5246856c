//! What proxies tell the control plane of each request and connection. Telling costs no request anything: a proxy buffers a
//! little, sends it once a second, and forgets what it cannot send.

use envoy_types::pb::envoy::config::accesslog::v3 as log;
use envoy_types::pb::envoy::config::core::v3 as core;
use envoy_types::pb::envoy::extensions::access_loggers::grpc::v3 as grpc;
use envoy_types::pb::envoy::r#type::v3::{FractionalPercent, fractional_percent::DenominatorType};
use envoy_types::pb::google::protobuf::Any;

use super::common::any;

/// The runtime value that says which part is told.
const SHARE: &str = "isthmus.reports";
const ALL: u32 = 1_000_000;

/// What is told by proxies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reports {
    pub on: bool,
    /// In a million. It travels as a runtime value, so that no listener depends on it.
    pub parts: u32,
}

impl Default for Reports {
    fn default() -> Self {
        Self { on: true, parts: ALL }
    }
}

/// The runtime value, where it is not what proxies do without one.
pub(super) fn share(reports: Reports) -> Option<(&'static str, u32)> {
    (reports.on && reports.parts < ALL).then_some((SHARE, reports.parts))
}

pub(super) fn of_requests() -> log::AccessLog {
    let status = || vec!["grpc-status".to_string()];
    let config = grpc::HttpGrpcAccessLogConfig {
        common_config: Some(common()),
        // How a gRPC call ended is nowhere else; without messages its trailers come as headers.
        additional_response_headers_to_log: status(),
        additional_response_trailers_to_log: status(),
        ..Default::default()
    };
    access_log("envoy.access_loggers.http_grpc", any(&config))
}

pub(super) fn of_connections() -> log::AccessLog {
    let config = grpc::TcpGrpcAccessLogConfig { common_config: Some(common()) };
    access_log("envoy.access_loggers.tcp_grpc", any(&config))
}

/// To whom the cluster came from: gRPC programs know no other place (gRFC A27).
pub(super) fn of_load() -> core::ConfigSource {
    core::ConfigSource {
        resource_api_version: core::ApiVersion::V3 as i32,
        config_source_specifier: Some(core::config_source::ConfigSourceSpecifier::Self_(
            core::SelfConfigSource::default(),
        )),
        ..Default::default()
    }
}

/// Buffers are Envoy's: 16 KiB, sent once a second.
fn common() -> grpc::CommonGrpcAccessLogConfig {
    let control_plane = core::grpc_service::EnvoyGrpc {
        cluster_name: ir::CONTROL_PLANE.to_string(),
        ..Default::default()
    };
    grpc::CommonGrpcAccessLogConfig {
        log_name: "isthmus".to_string(),
        grpc_service: Some(core::GrpcService {
            target_specifier: Some(core::grpc_service::TargetSpecifier::EnvoyGrpc(control_plane)),
            ..Default::default()
        }),
        transport_api_version: core::ApiVersion::V3 as i32,
        ..Default::default()
    }
}

fn access_log(name: &str, config: Any) -> log::AccessLog {
    let sampled = log::RuntimeFilter {
        runtime_key: SHARE.to_string(),
        percent_sampled: Some(FractionalPercent {
            numerator: ALL,
            denominator: DenominatorType::Million as i32,
        }),
        // Not by the request id, which the client may choose.
        use_independent_randomness: true,
    };
    log::AccessLog {
        name: name.to_string(),
        filter: Some(log::AccessLogFilter {
            filter_specifier: Some(log::access_log_filter::FilterSpecifier::RuntimeFilter(sampled)),
        }),
        config_type: Some(log::access_log::ConfigType::TypedConfig(config)),
    }
}
