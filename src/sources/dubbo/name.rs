use std::fmt;
use std::sync::Arc;

/// Nacos' service names of the interface level: `providers:INTERFACE:VERSION:GROUP`, empty parts keep their colons.
const PROVIDERS: &str = "providers:";
/// Dubbo's way to say "no version".
const NO_VERSION: &str = "0.0.0";

/// A Dubbo service of the interface level. Two versions or groups of one interface are two services.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServiceKey {
    pub interface: Arc<str>,
    /// Empty for none.
    pub version: Arc<str>,
    /// Empty for none.
    pub group: Arc<str>,
}

impl ServiceKey {
    #[must_use]
    pub fn new(interface: &str, version: &str, group: &str) -> Self {
        let version = if version == NO_VERSION { "" } else { version };
        Self { interface: interface.into(), version: version.into(), group: group.into() }
    }

    /// The inverse of `Display`.
    #[must_use]
    pub fn parse(name: &str) -> Self {
        let mut parts = name.splitn(3, ':');
        let mut next = || parts.next().unwrap_or("");
        let (interface, version, group) = (next(), next(), next());
        Self::new(interface, version, group)
    }

    /// Whether a consumer or a rule that asks for this version and group means this service. `*` is any; nothing is
    /// exactly none.
    #[must_use]
    pub fn is_asked_by(&self, version: &str, group: &str) -> bool {
        let version = if version == NO_VERSION { "" } else { version };
        let group_fits = group == "*" || group.split(',').any(|group| group.trim() == &*self.group);
        (version == "*" || version == &*self.version) && group_fits
    }
}

impl fmt::Display for ServiceKey {
    /// `INTERFACE[:VERSION[:GROUP]]`: the name of the service in every registry.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.interface)?;
        if !self.version.is_empty() || !self.group.is_empty() {
            write!(f, ":{}", self.version)?;
        }
        if !self.group.is_empty() {
            write!(f, ":{}", self.group)?;
        }
        Ok(())
    }
}

/// The service that a Nacos service name of the interface level means; `None` for every other name (also for
/// `consumers:`, `routers:` and `configurators:`).
#[must_use]
pub fn provider_key(nacos_name: &str) -> Option<ServiceKey> {
    let rest = nacos_name.strip_prefix(PROVIDERS)?;
    let key = ServiceKey::parse(rest);
    (!key.interface.is_empty()).then_some(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_the_same_from_nacos_and_from_a_url() {
        for (nacos, name) in [
            ("providers:lab.GreetService::", "lab.GreetService"),
            ("providers:lab.GreetService:1.0.0:", "lab.GreetService:1.0.0"),
            ("providers:lab.GreetService::g1", "lab.GreetService::g1"),
            ("providers:lab.GreetService:1.0.0:g1", "lab.GreetService:1.0.0:g1"),
            ("providers:lab.GreetService:0.0.0:", "lab.GreetService"),
            ("providers:lab.GreetService", "lab.GreetService"),
        ] {
            let key = provider_key(nacos).unwrap();
            assert_eq!(key.to_string(), name);
            assert_eq!(ServiceKey::parse(name), key);
        }
        for other in ["consumers:a::", "orders", "providers:", ""] {
            assert_eq!(provider_key(other), None, "{other}");
        }
    }

    #[test]
    fn a_star_asks_for_any_version_and_group() {
        let key = ServiceKey::new("a", "1.0.0", "g1");
        assert!(key.is_asked_by("*", "*"));
        assert!(key.is_asked_by("1.0.0", "g0,g1"));
        assert!(!key.is_asked_by("", ""));
        assert!(ServiceKey::new("a", "0.0.0", "").is_asked_by("", ""));
    }
}
