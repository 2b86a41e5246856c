use std::fmt;
use std::sync::Arc;

use model::NamespacedName;

/// A node group: proxies that get the same. Its key is a role and a scope, never a node.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum GroupKey {
    /// The Envoys of one Gateway.
    Gateway(NamespacedName),
    /// gRPC programs without a proxy: those of one namespace, or those that see everything.
    Grpc { namespace: Option<Arc<str>> },
}

/// Role and scope with a slash between: metrics, logs, the proxy table and the last good state call it so.
impl fmt::Display for GroupKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gateway(name) => write!(f, "gateway/{name}"),
            Self::Grpc { namespace: None } => f.write_str("grpc"),
            Self::Grpc { namespace: Some(namespace) } => write!(f, "grpc/{namespace}"),
        }
    }
}
