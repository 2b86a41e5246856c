//! The folder, and who stands behind it.

use std::fmt::Write;

use super::upstream;
use crate::testbed::{Bed, Certificate, Echo, Folder, Listener, Run};
use crate::testbed::{authorities, free_port, gateway, kube_service, loopback, secret, service};

/// Prefix, its replacement.
pub(super) const REWRITES: [(&str, &str); 8] = [
    ("/foo", "/xyz"),
    ("/foo", "/xyz/"),
    ("/foo/", "/xyz"),
    ("/foo/", "/xyz/"),
    ("/foo", ""),
    ("/foo", "/"),
    ("/", "/x"),
    ("/x", "/"),
];

pub(super) struct World {
    pub(super) bed: Bed,
    pub(super) side: u16,
    pub(super) secure: u16,
    pub(super) mirror_all: Echo,
    pub(super) mirror_half: Echo,
    /// Answers for `a`.
    pub(super) a: Echo,
    /// Clients must show `clients[0]`; clients may show anything.
    pub(super) asked: [u16; 2],
    pub(super) clients: [Certificate; 2],
    /// Of `one.tls.example`, `two.tls.example`, `*.wild.example`.
    pub(super) certificates: [Certificate; 3],
    _others: Vec<Echo>,
}

impl World {
    pub(super) async fn start() -> Self {
        let [web, side, secure] = [free_port(), free_port(), free_port()];
        let asked = [free_port(), free_port()];
        let folder = Folder::new();
        let listeners = gateway(&[
            Listener::http("web", web),
            Listener::http("isolated-wildcard", web).host("*.isolated.example"),
            Listener::http("isolated-exact", web).host("one.isolated.example"),
            // Of one listener, an HTTPRoute for any host and a GRPCRoute exclude each other.
            Listener::http("grpc", web).host("grpc.example"),
            Listener::http("side", side),
            Listener::https("secure-one", secure, "one").host("one.tls.example"),
            Listener::https("secure-two", secure, "two").host("two.tls.example"),
            Listener::https("secure-wildcard", secure, "wildcard").host("*.wild.example"),
            Listener::https("must-show", asked[0], "one"),
            Listener::https("may-show", asked[1], "one"),
        ]);
        folder.write("gateway.yaml", &(listeners + &of_gateway(asked)));
        let set = include_str!("listenerset.yaml").replace("$WEB", &web.to_string());
        folder.write("listenerset.yaml", &set);
        let clients = ["friend.example", "stranger.example"].map(Certificate::new);
        folder.write("authorities-friend.yaml", &authorities("friend", &clients[0]));
        let hosts = ["one.tls.example", "two.tls.example", "*.wild.example"];
        let certificates = hosts.map(Certificate::new);
        for (name, certificate) in ["one", "two", "wildcard"].iter().zip(&certificates) {
            folder.write(&format!("secret-{name}.yaml"), &secret(name, certificate));
        }
        let mut others = Vec::new();
        let echo = async |name: &str| {
            let echo = Echo::start(name).await;
            folder.write(&format!("service-{name}.yaml"), &service(name, &[echo.address]));
            echo
        };
        let a = echo("a").await;
        let (mirror_all, mirror_half) = (echo("mirror-all").await, echo("mirror-half").await);
        for name in ["b", "c", "d"] {
            others.push(echo(name).await);
        }
        folder.write("service-nobody.yaml", &service("nobody", &[]));
        folder.write("service-nobody-kube.yaml", &kube_service("nobody-kube", None, &[]));
        let kube = [Echo::start("kube").await, Echo::start("kube").await];
        let addresses = [kube[0].address, kube[1].address];
        folder.write("service-kube.yaml", &kube_service("kube", None, &addresses));
        let h2c = Echo::start_h2c("h2c").await;
        folder.write(
            "service-h2c.yaml",
            &kube_service("h2c", Some("kubernetes.io/h2c"), &[h2c.address]),
        );
        others.extend(upstream::write(&folder).await);
        let far = Echo::start("far").await;
        folder.write("matching.yaml", include_str!("matching.yaml"));
        folder
            .write("filters.yaml", &include_str!("filters.yaml").replace("$REWRITES", &rewrites()));
        let backends = include_str!("backends.yaml").replace("$FAR", &others_namespaces(&far));
        folder.write("backends.yaml", &backends);
        folder.write("tls.yaml", include_str!("tls.yaml"));
        others.extend(kube);
        others.extend([h2c, far]);
        let run = Run::new(folder.path());
        let bed = Bed::run(folder, run, loopback(web)).await;
        Self {
            bed,
            side,
            secure,
            mirror_all,
            mirror_half,
            a,
            asked,
            clients,
            certificates,
            _others: others,
        }
    }
}

/// Of whom a certificate is asked, what is shown to back ends, and who may add listeners.
fn of_gateway(asked: [u16; 2]) -> String {
    let [must, may] = asked;
    format!(
        "  allowedListeners: {{namespaces: {{from: Same}}}}
  tls:
    backend: {{clientCertificateRef: {{name: client}}}}
    frontend:
      default: {{}}
      perPort:
      - port: {must}
        tls:
          validation: {{caCertificateRefs: [{{group: '', kind: ConfigMap, name: friend}}]}}
      - port: {may}
        tls:
          validation:
            mode: AllowInsecureFallback
            caCertificateRefs: [{{group: '', kind: ConfigMap, name: friend}}]
"
    )
}

/// Route `N` for host `N.rewrite.example`.
fn rewrites() -> String {
    let mut out = String::new();
    for (number, (prefix, replacement)) in REWRITES.iter().enumerate() {
        let separator = if number == 0 { "" } else { "---\n" };
        write!(
            out,
            "\
{separator}apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: rewrite-{number}, namespace: shop}}
spec:
  parentRefs: [{{name: edge, sectionName: web}}]
  hostnames: ['{number}.rewrite.example']
  rules:
  - matches: [{{path: {{type: PathPrefix, value: '{prefix}'}}}}]
    filters:
    - type: URLRewrite
      urlRewrite: {{path: {{type: ReplacePrefixMatch, replacePrefixMatch: '{replacement}'}}}}
    backendRefs: [{{group: isthmus.dev, kind: MeshService, name: a}}]
"
        )
        .unwrap();
    }
    out.trim_end().to_string()
}

/// A service in a namespace that grants, and one in a namespace that does not.
fn others_namespaces(far: &Echo) -> String {
    let there = |namespace: &str| {
        let text = kube_service("far", None, &[far.address]);
        text.replace("namespace: shop", &format!("namespace: {namespace}"))
    };
    let grant = "\
apiVersion: gateway.networking.k8s.io/v1beta1
kind: ReferenceGrant
metadata: {name: shop, namespace: granting}
spec:
  from: [{group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: shop}]
  to: [{group: '', kind: Service}]
";
    format!("{}---\n{}---\n{grant}", there("granting"), there("silent"))
}
