//! Envoy's response flags, in words.

use envoy_types::pb::envoy::data::accesslog::v3::ResponseFlags;

pub(crate) fn words(flags: &ResponseFlags) -> Vec<String> {
    let all = [
        (flags.failed_local_healthcheck, "local health check failed"),
        (flags.no_healthy_upstream, "no healthy upstream"),
        (flags.upstream_request_timeout, "upstream request timeout"),
        (flags.local_reset, "local reset"),
        (flags.upstream_remote_reset, "upstream reset"),
        (flags.upstream_connection_failure, "upstream connection failed"),
        (flags.upstream_connection_termination, "upstream connection ended"),
        (flags.upstream_overflow, "upstream overflow"),
        (flags.no_route_found, "no route"),
        (flags.delay_injected, "delay injected"),
        (flags.fault_injected, "fault injected"),
        (flags.rate_limited, "rate limited"),
        (flags.unauthorized_details.is_some(), "unauthorized"),
        (flags.rate_limit_service_error, "rate limit service failed"),
        (flags.downstream_connection_termination, "client went away"),
        (flags.upstream_retry_limit_exceeded, "retries used up"),
        (flags.stream_idle_timeout, "idle timeout"),
        (flags.invalid_envoy_request_headers, "invalid Envoy headers"),
        (flags.downstream_protocol_error, "client protocol error"),
        (flags.upstream_max_stream_duration_reached, "longest duration reached"),
        (flags.response_from_cache_filter, "from cache"),
        (flags.no_filter_config_found, "filter configuration missing"),
        (flags.duration_timeout, "duration timeout"),
        (flags.upstream_protocol_error, "upstream protocol error"),
        (flags.no_cluster_found, "no cluster"),
        (flags.overload_manager, "overloaded"),
        (flags.dns_resolution_failure, "name not resolved"),
        (flags.downstream_remote_reset, "client reset"),
    ];
    all.into_iter().filter(|(set, _)| *set).map(|(_, word)| word.to_owned()).collect()
}

/// Whether a connection broke for a reason that is not the client's.
pub(crate) fn broken(flags: &ResponseFlags) -> bool {
    flags.no_healthy_upstream
        || flags.upstream_connection_failure
        || flags.upstream_overflow
        || flags.upstream_retry_limit_exceeded
        || flags.no_cluster_found
        || flags.overload_manager
        || flags.dns_resolution_failure
}
