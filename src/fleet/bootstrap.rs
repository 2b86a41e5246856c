//! The first configuration of an Envoy (who it is, where it gets the rest, how it protects itself and how it is watched),
//! and of a gRPC program without one.

mod address;
mod drain;
mod grpc;
mod guard;
mod mounted;
mod probe;
mod sidecar;
#[cfg(test)]
mod tests;
mod watch;

use std::net::IpAddr;
use std::path::PathBuf;

use serde_json::{Value, json};

pub use address::{HostPort, InvalidHostPort};
pub use drain::Drain;
pub use grpc::GrpcBootstrap;
pub use mounted::Mounted;
pub use probe::{Check, Probe, ProbeKind};
pub use sidecar::{PROBE_PORT, READY_PORT, Sidecar, Workload};

/// The static cluster of the control plane.
pub const XDS_CLUSTER: &str = "isthmus";

/// Larger regular expressions, in RE2 instructions, are refused.
pub const MOST_RE2: u32 = 32_768;
/// The secret with the token that a bootstrap itself holds.
const TOKEN: &str = "isthmus-token";

const HTTP_OPTIONS: &str = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";

/// The sort of proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Role {
    /// A stand-alone Envoy that serves one Gateway.
    Gateway { namespace: String, name: String },
    /// The Envoy beside a workload.
    Sidecar(Box<Sidecar>),
}

/// Where the proxy runs; the words may be empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Locality {
    pub region: String,
    pub zone: String,
    pub sub_zone: String,
}

impl Locality {
    /// Those that are given, in xDS' names.
    fn words(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let Self { region, zone, sub_zone } = self;
        let all = [("region", region), ("zone", zone), ("sub_zone", sub_zone)];
        all.into_iter().filter(|(_, word)| !word.is_empty()).map(|(key, word)| (key, word.as_str()))
    }
}

/// TLS to the control plane. Files only: a bootstrap is printed, mailed and put into ConfigMaps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct XdsTls {
    /// Certificates that the control plane's certificate must be signed by.
    pub ca: PathBuf,
    /// Name that the control plane's certificate must have; its host name where not given.
    pub server_name: Option<String>,
    /// The proxy's own certificate chain and key.
    pub client: Option<(PathBuf, PathBuf)>,
}

/// A bearer token for the control plane that stands in the bootstrap, which is a secret then. Never printed otherwise.
/// [`Mounted`] is the way to one that is replaced now and then.
#[derive(Clone, PartialEq, Eq)]
pub struct BearerToken(String);

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("holds no bearer token: one line of visible ASCII is expected")]
pub struct InvalidBearerToken;

impl std::str::FromStr for BearerToken {
    type Err = InvalidBearerToken;

    /// White space around it is not part of it: files end with a line break.
    fn from_str(text: &str) -> Result<Self, InvalidBearerToken> {
        let text = text.trim_ascii();
        let good = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
        if good { Ok(Self(text.to_owned())) } else { Err(InvalidBearerToken) }
    }
}

impl std::fmt::Debug for BearerToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("BearerToken(redacted)")
    }
}

/// All that a bootstrap depends on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bootstrap {
    pub role: Role,
    /// Unique among proxies.
    pub node_id: String,
    pub locality: Locality,
    /// The control plane's xDS listener.
    pub xds: HostPort,
    pub xds_tls: Option<XdsTls>,
    /// Sent as `authorization: Bearer …`.
    pub xds_token: Option<BearerToken>,
    /// Files that are replaced while Envoy runs; they count before those of `xds_tls` and before `xds_token`.
    pub mounted: Option<Mounted>,
    /// How the proxy is told that it will end.
    pub drain: Option<Drain>,
    /// Envoy's admin interface, always on loopback: whoever reaches it owns the proxy.
    pub admin_port: u16,
    /// Prometheus and readiness, safe to expose. Answers only once Envoy has its first configuration: a probe for
    /// readiness, not for liveness. A sidecar has its readiness on [`READY_PORT`], and all of it on its own address.
    pub stats_address: IpAddr,
    pub stats_port: u16,
    /// The heap size in bytes that Envoy is to stay under; it sheds load before.
    pub max_heap: u64,
    /// Client connections beyond this are refused.
    pub max_connections: u64,
}

impl Bootstrap {
    /// A bootstrap with the usual ports and limits.
    #[must_use]
    pub fn new(role: Role, node_id: String, xds: HostPort) -> Self {
        let (admin_port, stats_port) = match role {
            Role::Gateway { .. } => (19000, 19001),
            Role::Sidecar(_) => (15000, 15090),
        };
        Self {
            role,
            node_id,
            locality: Locality::default(),
            xds,
            xds_tls: None,
            xds_token: None,
            mounted: None,
            drain: None,
            admin_port,
            stats_address: IpAddr::from([0, 0, 0, 0]),
            stats_port,
            max_heap: 2 << 30,
            max_connections: 50_000,
        }
    }

    /// The document, in Envoy's own field names.
    #[must_use]
    pub fn render(&self) -> Value {
        let mut out = self.shared();
        let own = self.own();
        out["node"] = own["node"].clone();
        out["overload_manager"] = own["overload_manager"].clone();
        for list in ["listeners", "clusters"] {
            let both = [&out, &own].map(|from| from["static_resources"][list].as_array());
            let both: Vec<Value> = both.into_iter().flatten().flatten().cloned().collect();
            out["static_resources"][list] = both.into();
        }
        out
    }

    /// The part of it that is the same for all proxies that have their ports and their way to the control plane in
    /// common.
    #[must_use]
    pub fn shared(&self) -> Value {
        let mut resources =
            json!({"clusters": [self.xds_cluster(), watch::cluster(self.admin_port)]});
        if let Some(BearerToken(token)) = &self.xds_token {
            let secret = json!({"secret": {"inline_string": token}});
            resources["secrets"] = json!([{"name": TOKEN, "generic_secret": secret}]);
        }
        json!({
            "admin": watch::admin(self.admin_port),
            "dynamic_resources": dynamic_resources(),
            "static_resources": resources,
            "layered_runtime": guard::runtime(),
            "stats_config": watch::stats_config(),
        })
    }

    /// The rest: who this proxy is, and what follows from it. Envoy joins the two (`-c` and `--config-yaml`): lists are
    /// appended.
    #[must_use]
    pub fn own(&self) -> Value {
        let resources = match &self.role {
            Role::Gateway { .. } => {
                let (address, port) = (self.stats_address.to_string(), self.stats_port);
                let paths = [watch::STATS, watch::READY];
                let drain = self.drain.as_ref();
                json!({"listeners": [watch::listener("isthmus-stats", &address, port, &paths, drain)]})
            }
            Role::Sidecar(sidecar) => sidecar.resources(self.stats_port, self.drain.as_ref()),
        };
        json!({
            "node": self.node(),
            "static_resources": resources,
            "overload_manager": guard::overload(self.max_heap, self.max_connections),
        })
    }

    fn node(&self) -> Value {
        let (cluster, claim) = match &self.role {
            Role::Gateway { namespace, name } => (
                format!("{name}.{namespace}"),
                json!({"role": "gateway", "gateway": format!("{namespace}/{name}")}),
            ),
            Role::Sidecar(sidecar) => (sidecar.cluster(), sidecar.claim()),
        };
        let mut node =
            json!({"id": self.node_id, "cluster": cluster, "metadata": {"isthmus": claim}});
        for (key, word) in self.locality.words() {
            node["locality"][key] = json!(word);
        }
        node
    }

    fn xds_cluster(&self) -> Value {
        let mut cluster = json!({
            "name": XDS_CLUSTER,
            // A name is looked up again and again, so that the control plane may move.
            "type": if self.xds.ip().is_some() { "STATIC" } else { "STRICT_DNS" },
            // `localhost` is often both, and a control plane on loopback is usually on IPv4 only.
            "dns_lookup_family": "V4_PREFERRED",
            "connect_timeout": "5s",
            "load_assignment": {
                "cluster_name": XDS_CLUSTER,
                "endpoints": [{"lb_endpoints": [{"endpoint": {"address": self.xds.socket_address()}}]}],
            },
            "typed_extension_protocol_options": {
                HTTP_OPTIONS: {
                    "@type": format!("type.googleapis.com/{HTTP_OPTIONS}"),
                    "explicit_http_config": {"http2_protocol_options": {
                        // A stream that is silent for hours is normal. Without pings, a control plane that vanished
                        // without a word is noticed only when TCP gives up.
                        "connection_keepalive": {"interval": "30s", "timeout": "5s"},
                    }},
                },
            },
            "upstream_connection_options": {
                "tcp_keepalive": {"keepalive_probes": 3, "keepalive_time": 30, "keepalive_interval": 5},
            },
        });
        if let Some(tls) = &self.xds_tls {
            cluster["transport_socket"] = self.transport_socket(tls);
        }
        let mounted = self.mounted.as_ref().and_then(Mounted::token);
        let written = self.xds_token.as_ref().map(|_| json!({"name": TOKEN}));
        if let Some(credential) = mounted.or(written) {
            cluster["typed_extension_protocol_options"][HTTP_OPTIONS]["http_filters"] =
                with_credential(&credential);
        }
        cluster
    }

    fn transport_socket(&self, tls: &XdsTls) -> Value {
        let name = self.server_name(tls);
        let is_ip = name.parse::<IpAddr>().is_ok();
        let mut context = json!({
            "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
            "common_tls_context": {
                "tls_params": {"tls_minimum_protocol_version": "TLSv1_2"},
                "alpn_protocols": ["h2"],
            },
        });
        match self.mounted.as_ref().and_then(Mounted::validation) {
            Some(sds) => {
                context["common_tls_context"]["validation_context_sds_secret_config"] = sds;
            }
            None => context["common_tls_context"]["validation_context"] = self.validation(tls),
        }
        if !is_ip {
            // RFC 6066: server_name holds no address literals.
            context["sni"] = json!(name);
        }
        if let Some((chain, key)) = &tls.client {
            context["common_tls_context"]["tls_certificates"] = json!([{"certificate_chain": {"filename": chain}, "private_key": {"filename": key}}]);
        }
        json!({"name": "envoy.transport_sockets.tls", "typed_config": context})
    }

    fn server_name<'a>(&'a self, tls: &'a XdsTls) -> &'a str {
        tls.server_name.as_deref().unwrap_or(self.xds.host())
    }

    fn validation(&self, tls: &XdsTls) -> Value {
        let name = self.server_name(tls);
        let is_ip = name.parse::<IpAddr>().is_ok();
        json!({
            "trusted_ca": {"filename": tls.ca},
            "match_typed_subject_alt_names": [{
                "san_type": if is_ip { "IP_ADDRESS" } else { "DNS" },
                "matcher": {"exact": name},
            }],
        })
    }

    /// Name and content of the documents that must lie beside the bootstrap.
    #[must_use]
    pub fn documents(&self) -> Vec<(&'static str, Value)> {
        let Some(mounted) = &self.mounted else { return Vec::new() };
        let validation = self.xds_tls.as_ref().map(|tls| self.validation(tls));
        mounted.documents(validation)
    }
}

/// Everything that is asked of the cluster shows the credential: configuration, and reports of requests.
fn with_credential(credential: &Value) -> Value {
    json!([
        {
            "name": "envoy.filters.http.credential_injector",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.filters.http.credential_injector.v3.CredentialInjector",
                "overwrite": true,
                "credential": {
                    "name": "envoy.http.injected_credentials.generic",
                    "typed_config": {
                        "@type": "type.googleapis.com/envoy.extensions.http.injected_credentials.generic.v3.Generic",
                        "header": "authorization",
                        "header_value_prefix": "Bearer ",
                        "credential": credential,
                    },
                },
            },
        },
        {
            "name": "envoy.filters.http.upstream_codec",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.filters.http.upstream_codec.v3.UpstreamCodec",
            },
        },
    ])
}

/// One delta ADS stream for all types.
fn dynamic_resources() -> Value {
    // Wait for the control plane however long it takes: after a timeout Envoy would call itself ready without a
    // single listener, and a load balancer in front of it would believe that.
    let over_ads = json!({"ads": {}, "resource_api_version": "V3", "initial_fetch_timeout": "0s"});
    let service = json!({"envoy_grpc": {
        "cluster_name": XDS_CLUSTER,
        "retry_policy": {"retry_back_off": {"base_interval": "0.5s", "max_interval": "10s"}},
    }});
    json!({
        "ads_config": {
            "api_type": "DELTA_GRPC",
            "transport_api_version": "V3",
            "set_node_on_first_message_only": true,
            "grpc_services": [service],
        },
        "cds_config": over_ads,
        "lds_config": over_ads,
    })
}
