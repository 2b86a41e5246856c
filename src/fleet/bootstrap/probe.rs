//! The kubelet's probes of the application. They come from outside of the mesh, without its TLS, so they go to a port of the
//! sidecar that is not captured, and it asks the application in their place.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::{Value, json};

use super::sidecar::PROBE_PORT;
use super::{HTTP_OPTIONS, watch};

/// Connections with this source are let through to the application (`capture`).
const SOURCE: &str = "127.0.0.6";
const SOURCE_V6: &str = "::6";

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ProbeKind {
    Liveness,
    Readiness,
    Startup,
    PostStart,
    PreStop,
}

impl fmt::Display for ProbeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Liveness => "livez",
            Self::Readiness => "readyz",
            Self::Startup => "startupz",
            Self::PostStart => "poststartz",
            Self::PreStop => "prestopz",
        })
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    pub container: String,
    pub kind: ProbeKind,
    pub check: Check,
    pub timeout_seconds: u32,
    pub period_seconds: u32,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Check {
    /// The request is passed on. `path` is without the query, which is the request's.
    Http { port: u16, path: String, tls: bool },
    /// Asked over and over by the sidecar, which answers with the last result: a connection to the sidecar says nothing
    /// of one to the application.
    Tcp { port: u16 },
    /// Likewise, since it is asked in HTTP/1.
    Grpc { port: u16, service: String },
}

impl Probe {
    /// Where it is asked, on [`PROBE_PORT`].
    #[must_use]
    pub fn path(&self) -> String {
        format!("/app-health/{}/{}", self.container, self.kind)
    }

    fn cluster_name(&self) -> String {
        match &self.check {
            Check::Http { port, tls: false, .. } => format!("isthmus-probe/http/{port}"),
            Check::Http { port, tls: true, .. } => format!("isthmus-probe/https/{port}"),
            Check::Tcp { .. } | Check::Grpc { .. } => {
                format!("isthmus-probe/{}/{}", self.container, self.kind)
            }
        }
    }

    fn port(&self) -> u16 {
        match self.check {
            Check::Http { port, .. } | Check::Tcp { port } | Check::Grpc { port, .. } => port,
        }
    }
}

pub(super) fn listener(address: &str, probes: &[Probe]) -> Option<Value> {
    if probes.is_empty() {
        return None;
    }
    let mut filters: Vec<Value> = probes.iter().filter_map(health_filter).collect();
    // The application sees what the kubelet sent.
    filters.push(watch::router(json!({"suppress_envoy_headers": true})));
    let manager = json!({"generate_request_id": false});
    let routes: Vec<Value> = probes.iter().filter_map(route).collect();
    Some(watch::http_listener("isthmus-probes", address, PROBE_PORT, manager, &routes, &filters))
}

fn route(probe: &Probe) -> Option<Value> {
    let Check::Http { path, .. } = &probe.check else { return None };
    Some(json!({
        // The kubelet asks in no other way, and anybody may ask here.
        "match": {
            "path": probe.path(),
            "headers": [{"name": ":method", "string_match": {"exact": "GET"}}],
        },
        "route": {
            "cluster": probe.cluster_name(),
            "prefix_rewrite": path,
            "timeout": format!("{}s", probe.timeout_seconds),
        },
        // The kubelet would follow it to a port that is captured. A redirect is a success.
        "response_headers_to_remove": ["location"],
    }))
}

/// Answers by what Envoy's own checks of the cluster say.
fn health_filter(probe: &Probe) -> Option<Value> {
    if matches!(probe.check, Check::Http { .. }) {
        return None;
    }
    Some(json!({
        "name": "envoy.filters.http.health_check",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.health_check.v3.HealthCheck",
            "pass_through_mode": false,
            "headers": [{"name": ":path", "string_match": {"exact": probe.path()}}],
            "cluster_min_healthy_percentages": {probe.cluster_name(): {"value": 100}},
        },
    }))
}

pub(super) fn clusters(address: &str, probes: &[Probe]) -> Vec<Value> {
    let by_name: BTreeMap<String, &Probe> =
        probes.iter().map(|probe| (probe.cluster_name(), probe)).collect();
    by_name.into_iter().map(|(name, probe)| cluster(&name, address, probe)).collect()
}

fn cluster(name: &str, address: &str, probe: &Probe) -> Value {
    let socket = |address: &str, port| json!({"address": address, "port_value": port});
    let endpoint = json!({"address": {"socket_address": socket(address, probe.port())}});
    let mut cluster = json!({
        "name": name,
        "type": "STATIC",
        "connect_timeout": format!("{}s", probe.timeout_seconds),
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{"lb_endpoints": [{"endpoint": endpoint}]}],
        },
        "upstream_bind_config": {
            "source_address": socket(SOURCE, 0),
            "extra_source_addresses": [{"address": socket(SOURCE_V6, 0)}],
        },
    });
    let check = match &probe.check {
        Check::Http { tls, .. } => {
            if *tls {
                // The kubelet does not verify the certificate either.
                cluster["transport_socket"] = json!({
                    "name": "envoy.transport_sockets.tls",
                    "typed_config": {"@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext"},
                });
            }
            return cluster;
        }
        Check::Tcp { .. } => json!({"tcp_health_check": {}}),
        Check::Grpc { service, .. } => {
            cluster["typed_extension_protocol_options"] = json!({
                HTTP_OPTIONS: {
                    "@type": format!("type.googleapis.com/{HTTP_OPTIONS}"),
                    "explicit_http_config": {"http2_protocol_options": {}},
                },
            });
            json!({"grpc_health_check": {"service_name": service}})
        }
    };
    cluster["health_checks"] = json!([health_check(check, probe)]);
    cluster
}

fn health_check(mut check: Value, probe: &Probe) -> Value {
    // Twice as often as the kubelet asks, so that its period stays what it is about.
    let half = u64::from(probe.period_seconds.max(1)) * 500;
    let interval = format!("{}.{:03}s", half / 1000, half % 1000);
    for field in ["interval", "no_traffic_interval", "no_traffic_healthy_interval"] {
        check[field] = json!(interval);
    }
    check["timeout"] = json!(format!("{}s", probe.timeout_seconds));
    check["healthy_threshold"] = json!(1);
    check["unhealthy_threshold"] = json!(1);
    check
}
