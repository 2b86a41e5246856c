//! How the proxy protects itself: runtime and overload manager.

use serde_json::{Value, json};

use super::MOST_RE2;

/// The runtime layer that the control plane serves: what changes by the second, such as the share of a lane.
const RUNTIME: &str = "isthmus";

/// A static layer below, over it what the control plane says, and what an operator sets through the admin interface on
/// top.
pub(super) fn runtime() -> Value {
    json!({"layers": [
        {"name": "static", "static_layer": {
            // Envoy refuses regexes above 100 RE2 instructions unless told otherwise, which an ordinary alternation of
            // hosts exceeds. RE2 runs in linear time, so the limit is there for memory only.
            "re2": {"max_program_size": {"error_level": MOST_RE2, "warn_level": 1000}},
        }},
        {"name": RUNTIME, "rtds_layer": {"name": RUNTIME, "rtds_config": {
            "ads": {},
            "resource_api_version": "V3",
            // Every use of a key has a default, so that no start has to wait for them.
            "initial_fetch_timeout": "1s",
        }}},
        {"name": "admin", "admin_layer": {}},
    ]})
}

/// Steps by share of the heap: give memory back, let idle clients go, answer 503, accept nobody. A proxy that answers 503 for a
/// while is better than one that the kernel kills with all its connections.
pub(super) fn overload(max_heap: u64, max_connections: u64) -> Value {
    let heap = "envoy.resource_monitors.fixed_heap";
    let above = |action: &str, share: f64| {
        json!({"name": format!("envoy.overload_actions.{action}"),
               "triggers": [{"name": heap, "threshold": {"value": share}}]})
    };
    json!({
        "refresh_interval": "0.25s",
        "resource_monitors": [
            {"name": heap, "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.resource_monitors.fixed_heap.v3.FixedHeapConfig",
                "max_heap_size_bytes": max_heap,
            }},
            {"name": "envoy.resource_monitors.global_downstream_max_connections", "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig",
                "max_active_downstream_connections": max_connections,
            }},
        ],
        "actions": [
            above("shrink_heap", 0.9),
            {"name": "envoy.overload_actions.reduce_timeouts",
             "triggers": [{"name": heap, "scaled": {"scaling_threshold": 0.85, "saturation_threshold": 0.95}}],
             "typed_config": {
                 "@type": "type.googleapis.com/envoy.config.overload.v3.ScaleTimersOverloadActionConfig",
                 "timer_scale_factors": [
                     {"timer": "HTTP_DOWNSTREAM_CONNECTION_IDLE", "min_timeout": "2s"},
                 ],
             }},
            above("disable_http_keepalive", 0.93),
            above("stop_accepting_requests", 0.95),
            above("stop_accepting_connections", 0.98),
        ],
    })
}
