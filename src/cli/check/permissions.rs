//! What Isthmus needs to be allowed, said once: `check --pre` asks for it, and a test holds the manifests against it.

use model::Kind;

/// Where a permission is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Scope {
    /// It has no namespace.
    Cluster,
    /// In each namespace that is watched.
    Watched,
    /// In the namespace of the installation.
    Own,
}

#[derive(Clone, Debug)]
pub(super) struct Permission {
    pub scope: Scope,
    pub group: &'static str,
    /// With its subresource, as in `gateways/status`.
    pub resource: String,
    pub verbs: &'static [&'static str],
    /// Only what runs Envoys needs it.
    pub fleet: bool,
}

const READ: &[&str] = &["get", "list", "watch"];
const WRITE_STATUS: &[&str] = &["patch", "update"];
const OWN: &[&str] = &["get", "list", "watch", "create", "patch", "delete"];

/// What is read and is no kind of document.
const READ_ELSE: [(Scope, &str, &str); 3] = [
    (Scope::Cluster, "apiextensions.k8s.io", "customresourcedefinitions"),
    (Scope::Cluster, "networking.k8s.io", "ingressclasses"),
    (Scope::Watched, "networking.k8s.io", "ingresses"),
];

/// Kinds whose status is written.
const WITH_STATUS: [Kind; 9] = [
    Kind::BackendTlsPolicy,
    Kind::Gateway,
    Kind::GatewayClass,
    Kind::GrpcRoute,
    Kind::HttpRoute,
    Kind::ListenerSet,
    Kind::TcpRoute,
    Kind::TlsRoute,
    Kind::UdpRoute,
];

/// The parts of a gateway's Envoys.
const FLEET: [(&str, &str); 7] = [
    ("apps", "daemonsets"),
    ("apps", "deployments"),
    ("", "configmaps"),
    ("", "serviceaccounts"),
    ("", "services"),
    ("policy", "poddisruptionbudgets"),
    ("autoscaling", "horizontalpodautoscalers"),
];

pub(super) fn all() -> Vec<Permission> {
    let scope = |kind: Kind| if kind.namespaced() { Scope::Watched } else { Scope::Cluster };
    let need = |scope, group, resource: &str, verbs, fleet| Permission {
        scope,
        group,
        resource: resource.to_owned(),
        verbs,
        fleet,
    };
    let mut all = Vec::new();
    for kind in Kind::ALL {
        all.push(need(scope(kind), kind.group(), kind.plural(), READ, false));
    }
    for (scope, group, resource) in READ_ELSE {
        all.push(need(scope, group, resource, READ, false));
    }
    for kind in WITH_STATUS {
        let resource = format!("{}/status", kind.plural());
        all.push(need(scope(kind), kind.group(), &resource, WRITE_STATUS, false));
    }
    all.push(need(Scope::Watched, "networking.k8s.io", "ingresses/status", WRITE_STATUS, false));
    let leases = &["get", "list", "watch", "create", "update", "patch", "delete"];
    all.push(need(Scope::Own, "coordination.k8s.io", "leases", leases, false));
    for (group, resource) in FLEET {
        all.push(need(Scope::Watched, group, resource, OWN, true));
    }
    all.push(need(Scope::Watched, "", "pods", READ, true));
    let gateway = Kind::Gateway;
    let finalizers = format!("{}/finalizers", gateway.plural());
    all.push(need(Scope::Watched, gateway.group(), &finalizers, &["update"], true));
    all.push(need(Scope::Cluster, "authentication.k8s.io", "tokenreviews", &["create"], true));
    all
}
