use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use crate::{Meta, NamespacedName};

/// A pod: what runs behind an address. Only what the mesh asks about is kept of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Pod {
    pub meta: Meta,
    /// Its ServiceAccount.
    pub account: Arc<str>,
    /// Empty until it has one. Those of a pod on the host's network are left out: they say nothing about who is called.
    pub addresses: Vec<IpAddr>,
}

impl Pod {
    /// Whether it has a sidecar of ours, and so takes TLS of the mesh.
    #[must_use]
    pub fn has_sidecar(&self) -> bool {
        self.meta.label(SIDECAR_LABEL) == Some("injected")
    }
}

/// Set on pods by injection.
pub const SIDECAR_LABEL: &str = "isthmus.dev/sidecar";

/// Who a workload is, without the trust domain.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Identity {
    /// A Kubernetes ServiceAccount.
    Account(NamespacedName),
    /// A service of a registry, for what runs outside of Kubernetes.
    Registry { registry: NamespacedName, service: Arc<str> },
}

impl Identity {
    /// The SPIFFE id.
    #[must_use]
    pub fn spiffe(&self, trust_domain: &str) -> Arc<str> {
        format!("spiffe://{trust_domain}/{self}").into()
    }
}

/// The path of the SPIFFE id.
impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Account(NamespacedName { namespace, name }) => {
                write!(f, "ns/{namespace}/sa/{name}")
            }
            Self::Registry { registry: NamespacedName { namespace, name }, service } => {
                write!(f, "reg/{namespace}.{name}/svc/{service}")
            }
        }
    }
}

/// What is known of the process behind an endpoint.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Workload {
    pub identity: Option<Identity>,
    /// Of the pod, and over them those of the registry's instance.
    pub labels: BTreeMap<Arc<str>, Arc<str>>,
    /// Whether it takes TLS of the mesh.
    pub mtls: bool,
}
