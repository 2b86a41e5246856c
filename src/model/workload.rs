use std::borrow::Cow;
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

/// The path of the SPIFFE id. Different identities have different paths.
impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Account(NamespacedName { namespace, name }) => {
                write!(f, "ns/{}/sa/{}", segment(namespace), segment(name))
            }
            Self::Registry { registry: NamespacedName { namespace, name }, service } => {
                let (namespace, name) = (segment(namespace), segment(name));
                write!(f, "reg/{namespace}.{name}/svc/{}", segment(service))
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

/// The letters of a path (SPIFFE-ID §2.2), which has no escapes of its own.
fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_')
}

/// Registries allow more in the names of services than SPIFFE does in a path. Any other byte becomes `_xHH`; so does the
/// `_` of what would look like that, so that no two services share a path.
fn segment(text: &str) -> Cow<'_, str> {
    let bytes = text.as_bytes();
    if bytes.iter().all(|byte| is_plain(*byte) && *byte != b'_') && !matches!(text, "." | "..") {
        return text.into();
    }
    let mut out = String::with_capacity(text.len());
    for (at, byte) in bytes.iter().enumerate() {
        let mark = *byte == b'_' && bytes.get(at + 1) == Some(&b'x');
        // `.` and `..` alone are no names.
        let dots = *byte == b'.' && matches!(text, "." | "..");
        if is_plain(*byte) && !mark && !dots {
            out.push(char::from(*byte));
        } else {
            out.push_str(&format!("_x{byte:02X}"));
        }
    }
    out.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_services_that_are_no_path_are_told_apart() {
        let of = |service: &str| {
            let registry = NamespacedName::new("infra", "zk");
            Identity::Registry { registry, service: service.into() }.spiffe("cluster.local")
        };
        assert_eq!(&*of("orders"), "spiffe://cluster.local/reg/infra.zk/svc/orders");
        assert_eq!(&*of("my_service"), "spiffe://cluster.local/reg/infra.zk/svc/my_service");
        let names = ["a:b", "a_x3Ab", "a/b", "a_b", "a%b", "ä", ".", "..", "_x", "x"];
        let mut ids: Vec<_> = names.map(of).to_vec();
        for id in &ids {
            let name = id.rsplit('/').next().unwrap();
            assert!(!matches!(name, "." | "..") && name.bytes().all(is_plain), "{id}");
            assert_eq!(id.matches('/').count(), 6, "{id}");
        }
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), names.len());
    }
}
