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

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Permission {
    pub scope: Scope,
    pub group: &'static str,
    /// With its subresource, as in `gateways/status`.
    pub resource: String,
    pub verbs: Vec<&'static str>,
}

const READ: &[&str] = &["get", "list", "watch"];
/// By server-side apply.
const WRITE_STATUS: &[&str] = &["patch"];
const OWN: &[&str] = &["get", "list", "watch", "create", "patch", "delete"];
const LEASES: &[&str] = &["get", "list", "watch", "create", "update", "patch", "delete"];

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

/// All that is needed, once for each resource; without the fleet, what a control plane needs that runs no Envoys, and
/// without the mesh, what one needs that serves no sidecars.
pub(super) fn all(fleet: bool, mesh: bool) -> Vec<Permission> {
    let scope = |kind: Kind| if kind.namespaced() { Scope::Watched } else { Scope::Cluster };
    let mut all: Vec<Permission> = Vec::new();
    let mut need = |scope, group, resource: &str, verbs: &[&'static str]| {
        let known = all.iter_mut().find(|p| (p.group, p.resource.as_str()) == (group, resource));
        match known {
            Some(known) => {
                for verb in verbs {
                    if !known.verbs.contains(verb) {
                        known.verbs.push(verb);
                    }
                }
            }
            None => {
                let (resource, verbs) = (resource.to_owned(), verbs.to_vec());
                all.push(Permission { scope, group, resource, verbs });
            }
        }
    };
    for kind in Kind::ALL.into_iter().filter(|kind| mesh || *kind != Kind::Pod) {
        need(scope(kind), kind.group(), kind.plural(), READ);
    }
    for (scope, group, resource) in READ_ELSE {
        need(scope, group, resource, READ);
    }
    for kind in WITH_STATUS {
        need(scope(kind), kind.group(), &format!("{}/status", kind.plural()), WRITE_STATUS);
    }
    need(Scope::Watched, "networking.k8s.io", "ingresses/status", WRITE_STATUS);
    need(Scope::Own, "coordination.k8s.io", "leases", LEASES);
    if fleet {
        for (group, resource) in FLEET {
            need(Scope::Watched, group, resource, OWN);
        }
    }
    // Of proxies of gateways, of sidecars, and of people who use the API; and what those may.
    need(Scope::Cluster, "authentication.k8s.io", "tokenreviews", &["create"]);
    need(Scope::Cluster, "authorization.k8s.io", "subjectaccessreviews", &["create"]);
    all
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde::Deserialize;
    use serde_json::Value;

    use super::*;

    /// (in the own namespace only, group, resource, verb)
    type Grant = (bool, String, String, String);

    /// What a manifest grants by roles of these names.
    fn granted(manifest: &str) -> BTreeSet<Grant> {
        let mut all = BTreeSet::new();
        for document in serde_yaml::Deserializer::from_str(manifest) {
            let role = Value::deserialize(document).unwrap();
            let own = match role["kind"].as_str() {
                Some("ClusterRole") => false,
                Some("Role") => true,
                _ => continue,
            };
            let texts = |rule: &Value, field: &str| -> Vec<String> {
                rule[field].as_array().unwrap().iter().map(|v| v.as_str().unwrap().into()).collect()
            };
            for rule in role["rules"].as_array().unwrap() {
                // The Secrets that Isthmus writes, of names that `--pre` cannot know: what came of them is a finding.
                if own && texts(rule, "resources") == ["secrets"] {
                    continue;
                }
                // Of one name, which `--pre` cannot know: `isthmus check` looks at what came of it.
                if texts(rule, "resources") == ["mutatingwebhookconfigurations"] {
                    continue;
                }
                for group in texts(rule, "apiGroups") {
                    for resource in texts(rule, "resources") {
                        for verb in texts(rule, "verbs") {
                            all.insert((own, group.clone(), resource.clone(), verb));
                        }
                    }
                }
            }
        }
        all
    }

    /// A new kind, or a new thing that is written, is granted by the chart, or this fails; and the other way round.
    #[test]
    fn the_manifests_grant_what_is_needed_and_no_more() {
        let manifest = include_str!("../../../deploy/kubernetes/rbac.yaml");
        let needed: BTreeSet<Grant> = all(true, true)
            .into_iter()
            .flat_map(|Permission { scope, group, resource, verbs }| {
                verbs.into_iter().map(move |verb| {
                    (scope == Scope::Own, group.into(), resource.clone(), verb.into())
                })
            })
            .collect();
        let granted = granted(manifest);
        let missing: Vec<_> = needed.difference(&granted).collect();
        let surplus: Vec<_> = granted.difference(&needed).collect();
        assert!(
            missing.is_empty() && surplus.is_empty(),
            "missing {missing:?}, surplus {surplus:?}: change deploy/helm/isthmus/templates/_rules.tpl, then `make manifests`"
        );
    }
}
