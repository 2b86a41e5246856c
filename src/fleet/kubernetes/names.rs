//! Names and labels of what is made for a Gateway.

use std::collections::BTreeMap;

use model::{Gateway, NamespacedName};
use xxhash_rust::xxh3::xxh3_64;

pub(super) const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
pub(super) const CONTROLLER: &str = "isthmus.dev/controller";
pub(super) const GATEWAY: &str = "gateway.networking.k8s.io/gateway-name";
pub(super) const CLASS: &str = "gateway.networking.k8s.io/gateway-class-name";
/// Of the content that was written last.
pub(super) const HASH: &str = "isthmus.dev/content";
/// Fields that were left out because somebody else has set them.
pub(super) const KEPT: &str = "isthmus.dev/kept-fields";

pub(super) const ISTHMUS: &str = "isthmus";

/// Longest name of a Service, and longest value of a label.
const LONGEST: usize = 63;

/// `GATEWAY-CLASS` (GEP-1762), as far as that is a name that a Service can have (RFC 1035).
/// The ServiceAccount as which the proxies ask for their configuration is called so too.
#[must_use]
pub fn object_name(gateway: &Gateway) -> NamespacedName {
    let wanted = format!("{}-{}", gateway.meta.name().name, gateway.class);
    NamespacedName {
        namespace: gateway.meta.namespace().clone(),
        name: label(&wanted, true).into(),
    }
}

/// The value of a label: the text itself where that is permitted, else as much of it as will do, told apart by a hash.
pub(super) fn label_value(text: &str) -> String {
    label(text, false)
}

/// The labels of everything that is made for the Gateway.
pub(super) fn labels(gateway: &Gateway, controller: &str) -> BTreeMap<String, String> {
    let mut labels = selector(gateway);
    labels.insert(CONTROLLER.into(), label_value(controller));
    labels.insert(CLASS.into(), label_value(&gateway.class));
    labels.insert("app.kubernetes.io/name".into(), "isthmus-gateway".into());
    labels
}

/// Finds everything that this controller has made.
pub(super) fn watch_selector(controller: &str) -> String {
    format!("{MANAGED_BY}={ISTHMUS},{CONTROLLER}={}", label_value(controller))
}

/// The labels that pods are told by. They are written once and cannot be changed.
pub(super) fn selector(gateway: &Gateway) -> BTreeMap<String, String> {
    BTreeMap::from([
        (MANAGED_BY.into(), ISTHMUS.into()),
        (GATEWAY.into(), label_value(&gateway.meta.name().name)),
    ])
}

fn label(text: &str, dns: bool) -> String {
    let fits = |c: char| {
        c.is_ascii_lowercase()
            || c.is_ascii_digit()
            || c == '-'
            || (!dns && (c.is_ascii_uppercase() || matches!(c, '.' | '_')))
    };
    let begins_well =
        text.starts_with(
            |c: char| {
                if dns { c.is_ascii_lowercase() } else { c.is_ascii_alphanumeric() }
            },
        );
    let ends_well = text.ends_with(|c: char| c.is_ascii_alphanumeric());
    if begins_well && ends_well && text.len() <= LONGEST && text.chars().all(fits) {
        return text.into();
    }
    let mut out: String = if begins_well { String::new() } else { "g-".into() };
    out.extend(text.chars().map(|c| if fits(c) { c } else { '-' }));
    out.truncate(LONGEST - 9);
    format!("{out}-{:08x}", xxh3_64(text.as_bytes()) & 0xffff_ffff)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_permitted_stays_and_the_rest_is_told_apart() {
        assert_eq!(label("edge-isthmus", true), "edge-isthmus");
        let changed = |text: &str, dns| {
            let out = label(text, dns);
            assert_ne!(out, text);
            assert!(out.len() <= LONGEST && label(&out, dns) == out, "{out}");
            out
        };
        assert_ne!(changed("a.b", true), label("a-b", true));
        assert!(changed("1edge", true).starts_with("g-1edge-"));
        let long = "x".repeat(64);
        assert_ne!(changed(&long, true), changed(&format!("{long}y"), true));
        assert_eq!(label("a.b", false), "a.b");
        assert_eq!(changed("isthmus.dev/gateway-controller", false).len(), 39);
    }
}
