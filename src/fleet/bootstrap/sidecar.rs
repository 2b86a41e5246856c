//! The Envoy beside a workload: who it is, and the ports that it has whatever the control plane says.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Drain, Probe, probe, watch};

/// The kubelet's probes of the application, passed on by the sidecar.
pub const PROBE_PORT: u16 = 15020;
/// The sidecar's own readiness.
pub const READY_PORT: u16 = 15021;

/// A sidecar. Every word may be a reference to a variable (`$(POD_NAME)`) that whoever starts it fills in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sidecar {
    /// That of its scope.
    pub namespace: String,
    pub workload: Workload,
    /// The application that it is a part of, for people.
    pub app: String,
    /// The workload's address, where those who watch it come to.
    pub address: String,
    /// Of the workload; replicas must have the same ones.
    pub labels: BTreeMap<String, String>,
    /// Whether the workload's DNS queries are redirected to the sidecar.
    pub dns: bool,
    pub probes: Vec<Probe>,
}

/// What says who the workload is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Workload {
    /// Kubernetes.
    Pod { name: String, account: String },
    /// A registry, which knows it as an instance of this service.
    Registry { registry: String, service: String },
}

/// Labels that tell replicas, or revisions of one and the same thing, apart.
const NOT_OF_THE_WORKLOAD: &[&str] = &[
    "controller-revision-hash",
    "controller-uid",
    "job-name",
    "pod-template-generation",
    "pod-template-hash",
];
const NOT_OF_THE_WORKLOAD_DOMAINS: &[&str] =
    &["apps.kubernetes.io/", "batch.kubernetes.io/", "statefulset.kubernetes.io/"];

impl Sidecar {
    /// The name by which the proxy is known, unique where `name` is unique in its namespace.
    #[must_use]
    pub fn node_id(&self, name: &str) -> String {
        format!("sidecar~{}~{name}.{}", self.address, self.namespace)
    }

    /// Those labels of a pod that say what it is, not which one it is.
    #[must_use]
    pub fn labels_of_workload<'a>(
        labels: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> BTreeMap<String, String> {
        let stays = |key: &str| {
            !NOT_OF_THE_WORKLOAD.contains(&key)
                && !NOT_OF_THE_WORKLOAD_DOMAINS.iter().any(|domain| key.starts_with(domain))
        };
        let labels = labels.into_iter().filter(|(key, _)| stays(key));
        labels.map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
    }

    pub(super) fn cluster(&self) -> String {
        format!("{}.{}", self.app, self.namespace)
    }

    pub(super) fn claim(&self) -> Value {
        let mut claim = json!({
            "role": "sidecar", "namespace": self.namespace, "labels": self.labels, "dns": self.dns,
        });
        match &self.workload {
            Workload::Pod { name, account } => {
                claim["pod"] = json!(name);
                claim["account"] = json!(account);
            }
            Workload::Registry { registry, service } => {
                claim["registry"] = json!(registry);
                claim["service"] = json!(service);
            }
        }
        claim
    }

    pub(super) fn resources(&self, stats_port: u16, drain: Option<&Drain>) -> Value {
        let listener =
            |name, port, path, drain| watch::listener(name, &self.address, port, &[path], drain);
        let mut listeners = vec![
            listener("isthmus-stats", stats_port, watch::STATS, None),
            listener("isthmus-ready", READY_PORT, watch::READY, drain),
        ];
        listeners.extend(probe::listener(&self.address, &self.probes));
        json!({"listeners": listeners, "clusters": probe::clusters(&self.address, &self.probes)})
    }
}
