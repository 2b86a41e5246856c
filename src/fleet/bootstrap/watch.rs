//! How the proxy is watched: admin on loopback, and a small listener in front of it for what others may see.

use std::net::IpAddr;

use serde_json::{Value, json};

use super::Drain;

pub(super) const ADMIN_CLUSTER: &str = "isthmus-admin";

pub(super) fn admin(port: u16) -> Value {
    json!({
        "address": loopback(port),
        // Whoever looks for the cause of an overload must still get in.
        "ignore_global_conn_limit": true,
    })
}

fn loopback(port: u16) -> Value {
    json!({"socket_address": {"address": "127.0.0.1", "port_value": port}})
}

pub(super) fn cluster(admin_port: u16) -> Value {
    json!({
        "name": ADMIN_CLUSTER,
        "type": "STATIC",
        "connect_timeout": "1s",
        "load_assignment": {
            "cluster_name": ADMIN_CLUSTER,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": loopback(admin_port)}}]}],
        },
    })
}

/// Two GET paths of the admin interface and nothing else of it, and the one by which the proxy is told that it will end.
pub(super) fn listener(address: IpAddr, port: u16, drain: Option<&Drain>) -> Value {
    let route = |path: &str| {
        json!({
            "match": {
                "path": path,
                "headers": [{"name": ":method", "string_match": {"exact": "GET"}}],
            },
            "route": {"cluster": ADMIN_CLUSTER, "timeout": "30s"},
        })
    };
    let mut routes = vec![route("/stats/prometheus"), route("/ready")];
    routes.extend(drain.map(Drain::route));
    let mut filters = drain.map(|_| Drain::http_filters()).unwrap_or_default();
    filters.push(json!({
        "name": "envoy.filters.http.router",
        "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"},
    }));
    json!({
        "name": "isthmus-stats",
        "address": {"socket_address": {"address": address.to_string(), "port_value": port}},
        // Under overload, being watched matters most.
        "ignore_global_conn_limit": true,
        "bypass_overload_manager": true,
        "filter_chains": [{"filters": [{
            "name": "envoy.filters.network.http_connection_manager",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
                "stat_prefix": "isthmus-stats",
                "normalize_path": true,
                "route_config": {
                    "name": "isthmus-stats",
                    "virtual_hosts": [{
                        "name": "isthmus-stats",
                        "domains": ["*"],
                        "routes": routes,
                    }],
                },
                "http_filters": filters,
            },
        }]}],
    })
}

/// Envoy's own tags; without the numbers that nobody reads and that make up most of the volume: those per worker
/// thread, and those that count requests a second time by internal and external origin.
pub(super) fn stats_config() -> Value {
    let regex = |regex: &str| json!({"safe_regex": {"regex": regex}});
    json!({
        "use_all_default_tags": true,
        "stats_matcher": {"exclusion_list": {"patterns": [
            regex(r".*\.worker_[0-9]+\..*"),
            regex(r"(cluster|vhost)\..*\.(internal|external)\.upstream_rq_.*"),
        ]}},
    })
}
