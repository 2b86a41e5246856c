//! Settings of `serve` and `dev`: one list, every setting by flag, environment and file.
//!
//! ```text
//! default ◄ file (--config) ◄ environment (ISTHMUS_…) ◄ flag   ──►   Settings, and where each value comes from
//! ```
//!
//! The one name `xds-listen` is the flag `--xds-listen`, the variable `ISTHMUS_XDS_LISTEN` and the key in the file. A
//! new setting is one entry in the list below. Secrets are never values of settings: settings name files.

mod file;
mod layers;
mod spec;
#[cfg(test)]
mod tests;
mod value;

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use fleet::bootstrap::HostPort;
pub use layers::{Effective, Inputs, Origin, Problem, load};
pub use spec::{Machine, Preset, Profile, Spec};

use crate::otlp;
use api::change::WriteMode;
pub use value::{AuthMode, ByteSize, LogFormat, Names, Percent};

use Preset::{By, Fixed};

const MIN_LEAF_LIFE: Duration = Duration::from_secs(10);
const MIN_OTLP_INTERVAL: Duration = Duration::from_secs(1);

spec::settings! {
    /// Folder (or one file) of documents; read again when it changes. With `kubernetes`, none unless one is given.
    source_dir ('f'): Option<PathBuf> = By(Machine::source_dir);
    /// Read objects from a Kubernetes API server. An object that a file has too counts as the file has it.
    kubernetes: bool = Fixed("false");
    /// How to reach the API server; when not set, as the ServiceAccount of the pod, or else as $KUBECONFIG or
    /// ~/.kube/config say.
    kubeconfig: Option<PathBuf> = Fixed("");
    /// The context of the kubeconfig; when not set, its current one.
    kubernetes_context: Option<String> = Fixed("");
    /// Namespaces to read from, with a comma between them; all when not set. Each is watched by itself, so that rights in
    /// these namespaces are enough.
    kubernetes_namespaces: Names = Fixed("");
    /// HOST:PORT where pods of this cluster find the xDS listener. With it, Gateways get proxies of their own, as their
    /// GatewayConfigs say; without it, all proxies are somebody else's.
    fleet_xds_address: Option<HostPort> = Fixed("");
    /// Certificates (PEM) that the certificate of the xDS listener is signed by, for the proxies of Gateways.
    fleet_xds_ca: Option<PathBuf> = Fixed("");
    /// Image of the proxies of Gateways, with an Envoy at /usr/local/bin/envoy.
    fleet_envoy_image: String = Fixed("docker.io/envoyproxy/envoy:distroless-v1.40.0");
    /// Where the API server asks for the sidecars of new pods (HTTPS). Its certificate is made and renewed by itself.
    webhook_listen: Option<SocketAddr> = Fixed("");
    /// Names by which the API server finds the webhook, with a comma between them.
    webhook_names: Names = Fixed("");
    /// The MutatingWebhookConfiguration that is told who signs the webhook's certificate.
    webhook_configuration: String = Fixed("isthmus-inject");
    /// The Secret in which that certificate is kept, in our own namespace.
    webhook_secret: String = Fixed("isthmus-webhook");
    /// Image of this program, which redirects the connections of pods to their sidecars.
    inject_image: Option<String> = Fixed("");
    /// Where proxies connect (ADS over gRPC).
    xds_listen: SocketAddr = Fixed("127.0.0.1:18000");
    /// Serve xDS without TLS on an address that other machines can reach. Without it, such an address needs a
    /// certificate.
    xds_plaintext_beyond_loopback: bool = Fixed("false");
    /// Certificate chain (PEM) of the xDS listener.
    xds_tls_cert: Option<PathBuf> = Fixed("");
    /// Private key (PEM) of the xDS listener.
    xds_tls_key: Option<PathBuf> = Fixed("");
    /// Certificates (PEM) that proxies' client certificates must be signed by; with it, a client certificate is
    /// required.
    xds_tls_client_ca: Option<PathBuf> = Fixed("");
    /// This replica's name; proxies show it as control_plane.identifier. The host's name when not set.
    replica: String = By(Machine::replica);
    /// The address at which the other replicas reach our HTTP port; in a pod, its IP. That of http-listen when not set,
    /// unless that is all addresses.
    replica_address: Option<IpAddr> = Fixed("");
    /// Who may ask for what on the xDS listener: a line for each grant, `SUBJECT ROLE GATEWAYS`, where the subject is
    /// `sha256:` and the SHA-256 of a bearer token, `sub:` and the subject of a JWT, or `san:` and a name in a client
    /// certificate. With it or with xds-jwks-file, a credential is required.
    xds_tokens_file: Option<PathBuf> = Fixed("");
    /// Keys (JWKS) that JWTs in `authorization: Bearer` must be signed with, RS256 or ES256.
    xds_jwks_file: Option<PathBuf> = Fixed("");
    /// The audience that a JWT must name.
    xds_jwt_audience: Option<String> = Fixed("");
    /// The issuer that a JWT must name; when not set, any whose key is in xds-jwks-file.
    xds_jwt_issuer: Option<String> = Fixed("");
    /// Whether an empty first subscription to clusters, listeners, scoped routes or virtual hosts means all of them.
    xds_legacy_wildcard: bool = Fixed("true");
    /// Whether state-of-the-world clients are told what they ask for and does not exist (`resource_errors`). A node
    /// decides for itself with `ISTHMUS_RESOURCE_ERRORS` in its metadata; delta clients are told in any case.
    xds_resource_errors: bool = Fixed("false");
    /// How many streams may be given their first state at once, so that a reconnect storm does not hold up changes for
    /// the others; 0 for any number.
    xds_admission: usize = Fixed("100");
    /// A client that takes nothing of what it was sent for this long loses its connection; 0s for never.
    xds_stall_limit: Duration = Fixed("5m");
    /// Connections end at about this age, so that clients spread over replicas again; 0s for never.
    xds_max_connection_age: Duration = Fixed("0s");
    /// By which part of xds-max-connection-age the ages of connections differ.
    xds_max_connection_age_jitter: Percent = Fixed("10%");
    /// How often an idle connection is asked (HTTP/2 ping) whether its client is still there.
    xds_keepalive_interval: Duration = Fixed("30s");
    /// A connection that does not answer that within this time is closed.
    xds_keepalive_timeout: Duration = Fixed("20s");
    /// Where health, metrics and the API are served.
    http_listen: SocketAddr = Fixed("127.0.0.1:8080");
    /// Who may use the API: `token` asks everybody who they are, `none` nobody, which is only for loopback, and `auto` asks
    /// where http-listen is not loopback. Health, the console's files and (see metrics-open) metrics are for everybody.
    auth: AuthMode = Fixed("auto");
    /// Who may do what in the API, besides what the console and `isthmus token` write: a line for each grant, `SUBJECT ROLE
    /// NAMESPACES`, where the subject is `sha256:` and the SHA-256 of a bearer token, `user:NAME` or `group:NAME`, the role
    /// is viewer, editor, operator or admin, and namespaces have commas between them and may end with `*`.
    api_tokens_file: Option<PathBuf> = Fixed("");
    /// With `kubernetes`: people whom the API server knows may use the API too, with its tokens and with their rights there.
    auth_kubernetes: bool = Fixed("false");
    /// The OIDC issuer where people log in to the console, e.g. https://login.example.com/realms/main.
    oidc_issuer: Option<String> = Fixed("");
    /// The client that is registered there for Isthmus.
    oidc_client_id: Option<String> = Fixed("");
    /// File with the secret of that client; when not set, it is a public client.
    oidc_client_secret_file: Option<PathBuf> = Fixed("");
    /// Where the issuer sends people back to: the console's URL and /login/oidc/callback.
    oidc_redirect_url: Option<String> = Fixed("");
    /// Scopes that are asked for, with a comma between them.
    oidc_scopes: Names = Fixed("openid,profile,email");
    /// The claim of the ID token that says who somebody is, for bindings of user:NAME.
    oidc_user_claim: String = Fixed("email");
    /// The claim of the ID token that names groups, for bindings of group:NAME.
    oidc_groups_claim: String = Fixed("groups");
    /// How documents may be changed through the API: `direct`, `propose` (dry runs only) or `off`.
    write_mode: WriteMode = Fixed("direct");
    /// Namespaces where that is another one, as NAMESPACE=MODE with commas between them; a name may end with `*`, and the
    /// first that fits counts.
    write_mode_namespaces: Names = Fixed("");
    /// Who writes documents where they are only proposed or nothing is written, for people to read: `the Git repository of the
    /// shop`.
    write_mode_owner: Option<String> = Fixed("");
    /// URL that every record of the audit is sent to (POST, JSON), besides audit.jsonl in the state folder.
    audit_webhook: Option<String> = Fixed("");
    /// Whether /metrics is for everybody; else it needs the role viewer.
    metrics_open: bool = Fixed("true");
    /// How many requests in a second one caller may send for long, four times as many at once; 0 for any number. Counts where
    /// callers are asked who they are.
    api_rate_limit: usize = Fixed("50");
    /// Folder for the last good state. As root /var/lib/isthmus, else isthmus in $XDG_STATE_HOME or ~/.local/state;
    /// `dev` has its own folder in it.
    state_dir: PathBuf = By(Machine::state_dir);
    /// File with the key that seals the secrets in the state folder; when not set, a key file in that folder, made on
    /// first start.
    state_key_file: Option<PathBuf> = Fixed("");
    /// GatewayClasses with this controllerName are ours.
    controller_name: String = Fixed("isthmus.dev/gateway-controller");
    /// The name of this installation, the same for all replicas: what is registered in registries has it as metadata
    /// `isthmus.dev/origin`.
    cluster_name: String = Fixed("isthmus");
    /// Whether there is a mesh: sidecars are served, and proxies get certificates that say who they are.
    mesh: bool = Fixed("true");
    /// Certificates (PEM) of the CA that is to sign them, its own first. Without it, Isthmus makes a CA and replaces it in
    /// time; it is kept in the Secret CLUSTER-NAME-ca, or without Kubernetes in the state folder.
    mesh_ca_cert: Option<PathBuf> = Fixed("");
    /// Certificates (PEM) of the roots that the CA in mesh-ca-cert comes from, where they are not in the same file.
    mesh_ca_roots: Option<PathBuf> = Fixed("");
    /// Private key (PKCS#8 PEM) of the CA in mesh-ca-cert.
    mesh_ca_key: Option<PathBuf> = Fixed("");
    /// How long a proxy's certificate is good for; at half of that it gets another one.
    mesh_leaf_life: Duration = Fixed("24h");
    /// How long a root that Isthmus makes is good for; after two thirds of that, or at `isthmus identity rotate`, another one
    /// takes its place.
    mesh_root_life: Duration = Fixed("87600h");
    /// The Envoy that is asked, before a change is written, whether it takes what would be sent: a path, or `find` for the
    /// one that `dev` would run. None is asked when not set.
    precheck_envoy: Option<String> = Fixed("");
    /// Whether proxies report requests and connections: topology, rates and the request log come from that. Proxies whose
    /// bootstrap was not made by Isthmus must have a static cluster `isthmus` that leads to the xDS listener.
    observe: bool = Fixed("true");
    /// Which part of the requests and connections is reported.
    observe_sampling: Percent = Fixed("100%");
    /// Where what /metrics shows is sent, too: the URL of an OpenTelemetry collector (OTLP over HTTP, protobuf), e.g.
    /// http://otel-collector:4318. Nobody is sent it when not set.
    otlp_endpoint: Option<String> = Fixed("");
    /// How often.
    otlp_interval: Duration = Fixed("1m");
    /// File with the headers that the collector wants, a line `NAME: VALUE` for each, e.g. `authorization: Bearer ...`. It is
    /// read each time.
    otlp_headers_file: Option<PathBuf> = Fixed("");
    /// A document file larger than this is refused.
    max_file_size: ByteSize = Fixed("16MiB");
    /// How long files must stay unchanged before they are read again.
    quiet_time: Duration = Fixed("100ms");
    /// How long changes are collected before one compile.
    merge_window: Duration = Fixed("10ms");
    /// How long a proxy may take to acknowledge before what depends on it is sent all the same.
    ack_timeout: Duration = Fixed("15s");
    /// At the end, proxies' streams are closed spread over this time, so that they do not all reconnect at once.
    drain_window: Duration = Fixed("5s");
    /// At the end, the process is gone after this time, whatever is still open.
    grace: Duration = Fixed("20s");
    /// `error`, `warn`, `info`, `debug`, `trace`, or a filter by room such as `info,serve=debug`.
    log_level: String = Fixed("info");
    /// How log lines look: `text` or `json`.
    log_format: LogFormat = Fixed("text");
}

impl Settings {
    /// Whether users of the API are asked who they are.
    #[must_use]
    pub fn auth_required(&self) -> bool {
        match self.auth {
            AuthMode::Auto => !self.http_listen.ip().is_loopback(),
            AuthMode::None => false,
            AuthMode::Token => true,
        }
    }

    /// What write-mode-namespaces says.
    ///
    /// # Errors
    /// With the part that cannot be read.
    pub fn write_modes(&self) -> Result<Vec<(String, WriteMode)>, String> {
        let read = |part: &String| {
            let mode = part.split_once('=').filter(|(name, _)| !name.is_empty());
            let mode = mode
                .and_then(|(name, mode)| Some((name.to_owned(), value::Value::parse(mode).ok()?)));
            mode.ok_or_else(|| {
                format!("`{part}` is not NAMESPACE=direct, NAMESPACE=propose or NAMESPACE=off")
            })
        };
        self.write_mode_namespaces.0.iter().map(read).collect()
    }

    /// Rules between settings. Empty when all is well.
    #[must_use]
    pub fn check(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut say = |setting: &str, text: &str| problems.push(Problem::rule(setting, text));
        if self.auth == AuthMode::None && !self.http_listen.ip().is_loopback() {
            say(
                "auth",
                "http-listen is not loopback, and whoever reaches it could change everything: set auth to token or auto",
            );
        }
        if !self.kubernetes && self.auth_kubernetes {
            say("auth-kubernetes", "tells about Kubernetes, which is not read: set kubernetes too");
        }
        if self.oidc_issuer.is_some() {
            let needs = [
                ("oidc-client-id", self.oidc_client_id.is_some()),
                ("oidc-redirect-url", self.oidc_redirect_url.is_some()),
            ];
            for (setting, _) in needs.into_iter().filter(|(_, set)| !set) {
                say(setting, "needed for the oidc-issuer that is set");
            }
        } else if self.oidc_client_id.is_some() || self.oidc_client_secret_file.is_some() {
            say("oidc-client-id", "tells about an issuer: set oidc-issuer too");
        }
        if let Err(why) = self.write_modes() {
            say("write-mode-namespaces", &why);
        }
        match self.otlp_endpoint.as_deref().map(otlp::endpoint) {
            Some(Err(why)) => say("otlp-endpoint", why),
            None if self.otlp_headers_file.is_some() => {
                say("otlp-headers-file", "tells about a collector: set otlp-endpoint too");
            }
            _ => {}
        }
        if self.otlp_interval < MIN_OTLP_INTERVAL {
            say("otlp-interval", "must be 1s at least");
        }
        if self.xds_tls_cert.is_some() != self.xds_tls_key.is_some() {
            say(
                "xds-tls-cert",
                "a certificate and its key go together: set xds-tls-cert and xds-tls-key",
            );
        }
        if self.xds_tls_client_ca.is_some() && self.xds_tls_cert.is_none() {
            say(
                "xds-tls-client-ca",
                "client certificates need TLS: set xds-tls-cert and xds-tls-key too",
            );
        }
        let open = !self.xds_listen.ip().is_loopback() && self.xds_tls_cert.is_none();
        if open && !self.xds_plaintext_beyond_loopback {
            say(
                "xds-listen",
                "the address is not loopback, and configuration holds private keys: set xds-tls-cert and xds-tls-key, \
                 or permit it with xds-plaintext-beyond-loopback",
            );
        }
        if self.xds_jwks_file.is_some() && self.xds_jwt_audience.is_none() {
            say(
                "xds-jwks-file",
                "without an audience, a token that was made for something else is good here too: set xds-jwt-audience",
            );
        }
        if self.xds_jwks_file.is_none()
            && (self.xds_jwt_audience.is_some() || self.xds_jwt_issuer.is_some())
        {
            say("xds-jwt-audience", "tells about JWTs, which need keys: set xds-jwks-file too");
        }
        for (setting, value) in [
            ("xds-keepalive-interval", self.xds_keepalive_interval),
            ("xds-keepalive-timeout", self.xds_keepalive_timeout),
        ] {
            if value.is_zero() {
                say(
                    setting,
                    "without it half-open connections live for hours: must be more than 0s",
                );
            }
        }
        if !self.kubernetes {
            let others = [
                ("kubeconfig", self.kubeconfig.is_some()),
                ("kubernetes-context", self.kubernetes_context.is_some()),
                ("kubernetes-namespaces", !self.kubernetes_namespaces.0.is_empty()),
                ("fleet-xds-address", self.fleet_xds_address.is_some()),
            ];
            for (setting, _) in others.into_iter().filter(|(_, set)| *set) {
                say(setting, "tells about Kubernetes, which is not read: set kubernetes too");
            }
        }
        if self.fleet_xds_address.is_some() {
            if self.xds_tls_cert.is_some() != self.fleet_xds_ca.is_some() {
                let text = "the proxies of Gateways need to know who signs xds-tls-cert: set both, or none of them";
                say("fleet-xds-ca", text);
            }
            if self.xds_tls_client_ca.is_some() {
                let text =
                    "the proxies of Gateways have tokens and no client certificates: remove it";
                say("xds-tls-client-ca", text);
            }
        } else if self.fleet_xds_ca.is_some() {
            say("fleet-xds-ca", "tells about the proxies of Gateways: set fleet-xds-address too");
        }
        if self.webhook_listen.is_some() {
            let needs = [
                ("kubernetes", self.kubernetes),
                ("fleet-xds-address", self.fleet_xds_address.is_some()),
                ("webhook-names", !self.webhook_names.0.is_empty()),
                ("inject-image", self.inject_image.is_some()),
            ];
            for (setting, _) in needs.into_iter().filter(|(_, set)| !set) {
                say(setting, "needed for the webhook-listen that is set");
            }
        }
        if self.mesh_ca_cert.is_some() != self.mesh_ca_key.is_some() {
            say(
                "mesh-ca-cert",
                "a certificate and its key go together: set mesh-ca-cert and mesh-ca-key",
            );
        }
        if self.mesh_ca_roots.is_some() && self.mesh_ca_cert.is_none() {
            say("mesh-ca-roots", "tells about a CA that is given: set mesh-ca-cert too");
        }
        if self.mesh_leaf_life < MIN_LEAF_LIFE {
            say(
                "mesh-leaf-life",
                "a certificate must reach its proxy before it ends: 10s at least",
            );
        }
        if self.mesh_root_life / 6 < self.mesh_leaf_life {
            say("mesh-root-life", "must be six times mesh-leaf-life at least");
        }
        if self.source_dir.is_none() && !self.kubernetes {
            say("source-dir", "there is nothing to read: set source-dir or kubernetes");
        }
        if self.drain_window > self.grace {
            say("drain-window", "must not be longer than grace");
        }
        if self.controller_name.is_empty() {
            say("controller-name", "must not be empty");
        }
        if self.cluster_name.is_empty() {
            say(
                "cluster-name",
                "without it, what we register could be read back: must not be empty",
            );
        }
        problems
    }
}
