use std::fmt;
use std::sync::Arc;

use crate::NamespacedName;

/// The part of a SPIFFE id that says who vouches for it, e.g. `cluster.local`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TrustDomain(Arc<str>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidSpiffeId;

impl TrustDomain {
    /// Checks what SPIFFE-ID §2.1 asks for: lower-case letters, digits, dots, dashes and underscores.
    ///
    /// # Errors
    /// If the text is no such name.
    pub fn parse(text: &str) -> Result<Self, InvalidSpiffeId> {
        let ok =
            |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'-' | b'_');
        if (1..=255).contains(&text.len()) && text.bytes().all(ok) {
            Ok(Self(text.into()))
        } else {
            Err(InvalidSpiffeId)
        }
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for TrustDomain {
    /// That of a mesh which says nothing about it.
    fn default() -> Self {
        Self("cluster.local".into())
    }
}

impl fmt::Display for TrustDomain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Who a workload is, as its certificate says it: `spiffe://<trust domain>/<path>`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SpiffeId {
    trust_domain: TrustDomain,
    path: Arc<str>,
}

impl SpiffeId {
    /// Who runs as this ServiceAccount: `spiffe://<trust domain>/ns/<namespace>/sa/<account>`.
    #[must_use]
    pub fn account(trust_domain: &TrustDomain, namespace: &str, account: &str) -> Self {
        let path = format!("ns/{}/sa/{}", segment(namespace), segment(account));
        Self { trust_domain: trust_domain.clone(), path: path.into() }
    }

    /// Who is known to a registry only: `spiffe://<trust domain>/reg/<namespace>.<registry>/svc/<service>`.
    #[must_use]
    pub fn registry(trust_domain: &TrustDomain, registry: &NamespacedName, service: &str) -> Self {
        let NamespacedName { namespace, name } = registry;
        let path = format!("reg/{}.{}/svc/{}", segment(namespace), segment(name), segment(service));
        Self { trust_domain: trust_domain.clone(), path: path.into() }
    }

    /// Any SPIFFE id, also those of others.
    ///
    /// # Errors
    /// If the text is none.
    pub fn parse(text: &str) -> Result<Self, InvalidSpiffeId> {
        let rest = text.strip_prefix("spiffe://").ok_or(InvalidSpiffeId)?;
        let (trust_domain, path) = rest.split_once('/').ok_or(InvalidSpiffeId)?;
        let good = |part: &str| !matches!(part, "" | "." | "..") && part.bytes().all(is_plain);
        if text.len() > 2048 || !path.split('/').all(good) {
            return Err(InvalidSpiffeId);
        }
        Ok(Self { trust_domain: TrustDomain::parse(trust_domain)?, path: path.into() })
    }

    #[must_use]
    pub fn trust_domain(&self) -> &TrustDomain {
        &self.trust_domain
    }

    /// What follows the trust domain, without the slash between: `ns/shop/sa/orders`.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The same workload in another trust domain.
    #[must_use]
    pub fn within(&self, trust_domain: &TrustDomain) -> Self {
        Self { trust_domain: trust_domain.clone(), path: self.path.clone() }
    }

    /// The namespace of a ServiceAccount; that of a workload of a registry is nowhere in its id.
    #[must_use]
    pub fn namespace(&self) -> Option<&str> {
        let mut parts = self.path.split('/');
        match (parts.next(), parts.next(), parts.next(), parts.next(), parts.next()) {
            (Some("ns"), Some(namespace), Some("sa"), Some(_), None) => Some(namespace),
            _ => None,
        }
    }
}

impl fmt::Display for SpiffeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "spiffe://{}/{}", self.trust_domain, self.path)
    }
}

impl fmt::Debug for SpiffeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The letters of a path (SPIFFE-ID §2.2), which has no escapes of its own.
fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_')
}

/// Registries allow more in the names of services than SPIFFE does in a path. Any other byte becomes `_xHH`; so does the
/// `_` of what would look like that, so that no two services share an id.
fn segment(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let bytes = text.as_bytes();
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
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_written_and_read() {
        let domain = TrustDomain::default();
        let account = SpiffeId::account(&domain, "shop", "orders");
        assert_eq!(account.to_string(), "spiffe://cluster.local/ns/shop/sa/orders");
        assert_eq!((account.path(), account.namespace()), ("ns/shop/sa/orders", Some("shop")));
        let registry = NamespacedName::new("infra", "n1");
        let legacy = SpiffeId::registry(&domain, &registry, "orders");
        assert_eq!(legacy.to_string(), "spiffe://cluster.local/reg/infra.n1/svc/orders");
        assert_eq!(legacy.namespace(), None);
        for id in [account, legacy] {
            assert_eq!(SpiffeId::parse(&id.to_string()), Ok(id));
        }
        for bad in [
            "https://a/b",
            "spiffe://a",
            "spiffe://A/b",
            "spiffe:///b",
            "spiffe://a/b/",
            "spiffe://a/../b",
            "spiffe://a/b?c",
            "spiffe://a:1/b",
        ] {
            assert_eq!(SpiffeId::parse(bad), Err(InvalidSpiffeId), "{bad}");
        }
    }

    #[test]
    fn names_of_services_that_are_no_path_are_told_apart() {
        let of = |service: &str| {
            let registry = NamespacedName::new("infra", "zk");
            SpiffeId::registry(&TrustDomain::default(), &registry, service)
        };
        let names = ["a:b", "a_x3Ab", "a/b", "a_b", "a%b", "ä", ".", "..", "my_service"];
        let mut ids: Vec<_> = names.iter().map(|name| of(name).to_string()).collect();
        for id in &ids {
            assert!(SpiffeId::parse(id).is_ok(), "{id}");
        }
        assert!(ids[8].ends_with("/svc/my_service"));
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), names.len());
    }
}
