use std::fmt;
use std::sync::Arc;

use model::{Identity, NamespacedName};

/// A node group: proxies that get the same. Its key is a role and a scope, never a node.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum GroupKey {
    /// The Envoys of one Gateway.
    Gateway(NamespacedName),
    /// gRPC programs without a proxy: those of one namespace, or those that see everything.
    Grpc { namespace: Option<Arc<str>> },
    /// What sidecars of a scope have in common: nobody asks for it by itself.
    Scope(ScopeKey),
    /// The sidecars of one workload.
    Sidecar(SidecarKey),
}

/// Those sidecars of a namespace that see the same.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ScopeKey {
    pub namespace: Arc<str>,
    /// The SidecarScope; `None` is the default scope.
    pub scope: Option<NamespacedName>,
}

/// Pods that are the same to everybody: of one namespace and identity, with the same labels.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SidecarKey {
    pub namespace: Arc<str>,
    pub identity: Identity,
    /// In order of key; without those that differ from pod to pod.
    pub labels: Arc<[(Arc<str>, Arc<str>)]>,
}

impl SidecarKey {
    #[must_use]
    pub fn label(&self, name: &str) -> Option<&str> {
        self.labels.iter().find(|(key, _)| **key == *name).map(|(_, value)| &**value)
    }
}

/// Role and scope with a slash between: metrics, logs, the proxy table and the last good state call it so.
impl fmt::Display for GroupKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gateway(name) => write!(f, "gateway/{name}"),
            Self::Grpc { namespace: None } => f.write_str("grpc"),
            Self::Grpc { namespace: Some(namespace) } => write!(f, "grpc/{namespace}"),
            Self::Scope(ScopeKey { namespace, scope: None }) => write!(f, "scope/{namespace}"),
            Self::Scope(ScopeKey { namespace, scope: Some(scope) }) => {
                write!(f, "scope/{namespace}/{scope}")
            }
            Self::Sidecar(SidecarKey { namespace, identity, labels }) => {
                // Labels may be long, and whoever reads a name wants to know the workload.
                write!(f, "sidecar/{namespace}/{identity}")?;
                labels.iter().try_for_each(|(key, value)| write!(f, ",{key}={value}"))
            }
        }
    }
}
