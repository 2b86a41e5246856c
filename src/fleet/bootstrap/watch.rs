//! How the proxy is watched: admin on loopback, and a small listener in front of it for what others may see.

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

pub(super) const STATS: &str = "/stats/prometheus";
pub(super) const READY: &str = "/ready";

/// A listener in front of a few GET paths of the admin interface and of nothing else of it, and of the one by which the
/// proxy is told that it will end.
pub(super) fn listener(
    name: &str,
    address: &str,
    port: u16,
    paths: &[&str],
    drain: Option<&Drain>,
) -> Value {
    let route = |path: &&str| {
        json!({
            "match": {
                "path": path,
                "headers": [{"name": ":method", "string_match": {"exact": "GET"}}],
            },
            "route": {"cluster": ADMIN_CLUSTER, "timeout": "30s"},
        })
    };
    let mut routes: Vec<Value> = paths.iter().map(route).collect();
    routes.extend(drain.map(Drain::route));
    let mut filters = drain.map(|_| Drain::http_filters()).unwrap_or_default();
    filters.push(router(json!({})));
    http_listener(name, address, port, json!({"normalize_path": true}), &routes, &filters)
}

pub(super) fn router(mut config: Value) -> Value {
    config["@type"] = json!("type.googleapis.com/envoy.extensions.filters.http.router.v3.Router");
    json!({"name": "envoy.filters.http.router", "typed_config": config})
}

/// One that is there under overload too, when being watched matters most.
pub(super) fn http_listener(
    name: &str,
    address: &str,
    port: u16,
    mut manager: Value,
    routes: &[Value],
    filters: &[Value],
) -> Value {
    manager["@type"] = json!(
        "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
    );
    manager["stat_prefix"] = json!(name);
    manager["route_config"] = json!({
        "name": name,
        "virtual_hosts": [{"name": name, "domains": ["*"], "routes": routes}],
    });
    manager["http_filters"] = json!(filters);
    json!({
        "name": name,
        "address": {"socket_address": {"address": address, "port_value": port}},
        "ignore_global_conn_limit": true,
        "bypass_overload_manager": true,
        "filter_chains": [{"filters": [
            {"name": "envoy.filters.network.http_connection_manager", "typed_config": manager},
        ]}],
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
