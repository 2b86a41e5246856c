use std::sync::Arc;

use crate::{Meta, NamespacedName};

/// What a policy is for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PolicyTarget {
    pub group: Arc<str>,
    pub kind: Arc<str>,
    /// In the policy's own namespace.
    pub name: NamespacedName,
    /// A part of the target: of a Service, the name of a port.
    pub section: Option<Arc<str>>,
    pub pointer: Arc<str>,
}

/// How a gateway makes sure that it speaks to the right back end: TLS with a certificate to be checked.
#[derive(Clone, Debug, PartialEq)]
pub struct BackendTlsPolicy {
    pub meta: Meta,
    pub targets: Vec<PolicyTarget>,
}
