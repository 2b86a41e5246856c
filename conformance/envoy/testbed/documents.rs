//! Documents as a user writes them. All live in namespace `shop`.

use std::fmt::Write;
use std::net::SocketAddr;

use super::Certificate;

/// One listener of the gateway.
pub(crate) struct Listener {
    name: String,
    port: u16,
    host: Option<String>,
    secret: Option<String>,
}

impl Listener {
    pub(crate) fn http(name: &str, port: u16) -> Self {
        Self { name: name.into(), port, host: None, secret: None }
    }

    pub(crate) fn https(name: &str, port: u16, secret: &str) -> Self {
        Self { secret: Some(secret.into()), ..Self::http(name, port) }
    }

    pub(crate) fn host(mut self, host: &str) -> Self {
        self.host = Some(host.into());
        self
    }
}

/// The class, and Gateway `shop/edge` on loopback.
pub(crate) fn gateway(listeners: &[Listener]) -> String {
    format!(
        "\
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {{name: isthmus}}
spec: {{controllerName: isthmus.dev/gateway-controller}}
---
{}",
        gateway_of("edge", listeners)
    )
}

/// A Gateway of this name, of the same class.
pub(crate) fn gateway_of(name: &str, listeners: &[Listener]) -> String {
    let mut out = format!(
        "\
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {{name: {name}, namespace: shop}}
spec:
  gatewayClassName: isthmus
  addresses: [{{type: IPAddress, value: 127.0.0.1}}]
  listeners:
"
    );
    for Listener { name, port, host, secret } in listeners {
        let protocol = if secret.is_some() { "HTTPS" } else { "HTTP" };
        writeln!(out, "  - name: {name}\n    port: {port}\n    protocol: {protocol}").unwrap();
        if let Some(host) = host {
            writeln!(out, "    hostname: '{host}'").unwrap();
        }
        if let Some(secret) = secret {
            writeln!(out, "    tls: {{certificateRefs: [{{name: {secret}}}]}}").unwrap();
        }
    }
    out
}

/// Our own kind, port 80, with the endpoints in the same document.
pub(crate) fn service(name: &str, endpoints: &[SocketAddr]) -> String {
    let endpoints: Vec<_> = endpoints
        .iter()
        .map(|to| format!("{{address: {}, port: {}}}", to.ip(), to.port()))
        .collect();
    format!(
        "\
apiVersion: isthmus.dev/v1alpha1
kind: MeshService
metadata: {{name: {name}, namespace: shop}}
spec:
  ports: [{{name: http, port: 80}}]
  sources: [{{static: {{endpoints: [{}]}}}}]
",
        endpoints.join(", ")
    )
}

/// Kubernetes' kind, port 80, and a slice for each endpoint.
pub(crate) fn kube_service(name: &str, protocol: Option<&str>, endpoints: &[SocketAddr]) -> String {
    let protocol = protocol.map(|word| format!(", appProtocol: {word}")).unwrap_or_default();
    let mut out = format!(
        "\
apiVersion: v1
kind: Service
metadata: {{name: {name}, namespace: shop}}
spec:
  ports: [{{name: http, port: 80, targetPort: 8080{protocol}}}]
"
    );
    for to in endpoints {
        let (address, port) = (to.ip(), to.port());
        write!(
            out,
            "\
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata:
  name: {name}-{port}
  namespace: shop
  labels: {{kubernetes.io/service-name: {name}}}
addressType: IPv4
ports: [{{name: http, port: {port}}}]
endpoints: [{{addresses: ['{address}'], conditions: {{ready: true}}}}]
"
        )
        .unwrap();
    }
    out
}

/// A route of the gateway for one host, with rules written out (YAML, not indented).
pub(crate) fn route(name: &str, host: &str, rules: &str) -> String {
    route_of("edge", name, host, rules)
}

/// Likewise for another Gateway.
pub(crate) fn route_of(gateway: &str, name: &str, host: &str, rules: &str) -> String {
    let rules: String = rules.lines().map(|line| format!("  {line}\n")).collect();
    format!(
        "\
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: {name}, namespace: shop}}
spec:
  parentRefs: [{{name: {gateway}}}]
  hostnames: ['{host}']
  rules:
{rules}"
    )
}

pub(crate) fn secret(name: &str, certificate: &Certificate) -> String {
    let indented = |pem: &str| pem.lines().map(|line| format!("    {line}\n")).collect::<String>();
    format!(
        "\
apiVersion: v1
kind: Secret
metadata: {{name: {name}, namespace: shop}}
type: kubernetes.io/tls
stringData:
  tls.crt: |
{}  tls.key: |
{}",
        indented(&certificate.chain),
        indented(&certificate.key)
    )
}

/// A ConfigMap with the certificate under `ca.crt`.
pub(crate) fn authorities(name: &str, certificate: &Certificate) -> String {
    let lines = certificate.chain.lines().map(|line| format!("    {line}\n"));
    let lines: String = lines.collect();
    format!(
        "\
apiVersion: v1
kind: ConfigMap
metadata: {{name: {name}, namespace: shop}}
data:
  ca.crt: |
{lines}"
    )
}

const TO_SHOP: &str = "  backendRefs: [{group: isthmus.dev, kind: MeshService, name: shop}]\n";

/// A rule of a route: everything below this path goes to MeshService `shop`.
pub(crate) fn prefix(prefix: &str) -> String {
    format!("- matches: [{{path: {{type: PathPrefix, value: {prefix}}}}}]\n{TO_SHOP}")
}

/// A rule with a regular expression. Isthmus takes this one, Envoy does not: its limit is the size of what RE2 makes of it.
pub(crate) fn too_large() -> String {
    let pattern = format!("/{}", "[a-z]{1000}".repeat(34));
    format!("- matches: [{{path: {{type: RegularExpression, value: '{pattern}'}}}}]\n{TO_SHOP}")
}
