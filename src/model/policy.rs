use std::sync::Arc;

use crate::{CertificateRef, Hostname, Meta, NamespacedName};

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
    /// Sent as server name.
    pub hostname: Arc<str>,
    /// What the certificate must be for, any of them; empty means for `hostname`.
    pub names: Vec<CertificateName>,
    pub authorities: BackendAuthorities,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CertificateName {
    Hostname(Hostname),
    Uri(Arc<str>),
    /// All URIs that begin so.
    UriPrefix(Arc<str>),
}

/// Where the certificate must come from.
#[derive(Clone, Debug, PartialEq)]
pub enum BackendAuthorities {
    /// ConfigMaps and Secrets with a `ca.crt`.
    Named(Vec<CertificateRef>),
    /// Those that the system trusts on which the proxy runs.
    System,
    /// A set of this name, which Isthmus does not have.
    Unknown { name: Arc<str>, pointer: Arc<str> },
}
