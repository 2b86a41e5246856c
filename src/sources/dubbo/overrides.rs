use super::{ServiceKey, Url};

const ANY_HOST: &str = "0.0.0.0";
/// Say which providers are meant, or are the rule's own; never copied to the provider.
const CONDITIONS: [&str; 13] = [
    "application",
    "category",
    "check",
    "compatible_config",
    "configVersion",
    "dynamic",
    "enabled",
    "group",
    "interface",
    "name",
    "priority",
    "side",
    "version",
];

/// The `override://` and `absent://` URLs of one interface: how people with Dubbo Admin change the weight of a provider,
/// or disable it.
#[derive(Clone, Debug, Default)]
pub struct Overrides(Vec<Url>);

impl Overrides {
    /// From the decoded URLs, in any order. `empty://` and disabled rules fall away.
    #[must_use]
    pub fn new(urls: impl IntoIterator<Item = Url>) -> Self {
        let mut rules: Vec<Url> = urls
            .into_iter()
            .filter(|url| matches!(&*url.protocol, "override" | "absent"))
            .filter(|url| url.param("enabled") != "false")
            .collect();
        // The later one wins: a rule for one host beats a rule for all, then the higher priority.
        rules.sort_by_cached_key(|url| {
            let priority: i64 = url.param("priority").parse().unwrap_or(0);
            (url.host != ANY_HOST, priority, format!("{url:?}"))
        });
        Self(rules)
    }

    /// Changes the provider as its consumers would. `service`: that of the provider.
    pub fn apply(&self, service: &ServiceKey, provider: &mut Url) {
        let original = provider.clone();
        for rule in self.0.iter().filter(|rule| is_meant(rule, service, &original)) {
            for (key, value) in &rule.params {
                if key.starts_with('~') || CONDITIONS.contains(&&**key) {
                    continue;
                }
                if rule.protocol == "override" || !provider.params.contains_key(key) {
                    provider.params.insert(key.clone(), value.clone());
                }
            }
        }
    }
}

fn is_meant(rule: &Url, service: &ServiceKey, provider: &Url) -> bool {
    let host = rule.host == ANY_HOST || bare(&rule.host) == bare(&provider.host);
    let port = rule.port <= 0 || rule.port == provider.port;
    // A rule that names an application means the calls of that one; all of Envoy's callers are meant only by a rule for
    // any application, or by one for the provider itself.
    let application = matches!(rule.param("application"), "" | "*")
        || rule.param("application") == provider.param("application");
    let any = |text: &str, own: &str| matches!(text, "" | "*") || text == own;
    let of_service =
        any(rule.param("version"), &service.version) && any(rule.param("group"), &service.group);
    let matches = rule.params.iter().all(|(key, value)| match key.strip_prefix('~') {
        Some(key) => value == "*" || provider.param(key) == value,
        None => true,
    });
    host && port && application && of_service && matches
}

fn bare(host: &str) -> &str {
    host.trim_start_matches('[').trim_end_matches(']')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(rules: &[&str], expected: &str) {
        let mut provider =
            Url::parse("dubbo://10.0.0.1:20880/a?application=app&version=1.0.0&weight=100")
                .unwrap();
        let service = provider.service("a");
        Overrides::new(rules.iter().filter_map(|rule| Url::parse(rule)))
            .apply(&service, &mut provider);
        let got = format!("{} {}", provider.param("weight"), provider.param("disabled"));
        assert_eq!(got.trim(), expected);
    }

    #[test]
    fn by_host_for_any_and_in_order() {
        check(&["override://0.0.0.0/a?category=configurators&dynamic=false&weight=50"], "50");
        check(&["override://10.0.0.1:20880/a?disabled=true&enabled=true"], "100 true");
        check(&["override://10.0.0.1/a?weight=7", "override://0.0.0.0/a?weight=50"], "7");
        check(
            &[
                "override://0.0.0.0/a?weight=1&priority=5",
                "override://0.0.0.0/a?weight=2&priority=1",
            ],
            "1",
        );
        check(&["absent://0.0.0.0/a?weight=50&disabled=false"], "100 false");
    }

    #[test]
    fn not_meant() {
        for rule in [
            "override://10.0.0.2/a?weight=50",
            "override://10.0.0.1:20881/a?weight=50",
            "override://0.0.0.0/a?weight=50&enabled=false",
            "override://0.0.0.0/a?weight=50&application=other",
            "override://0.0.0.0/a?weight=50&version=2.0.0",
            "override://0.0.0.0/a?weight=50&group=g",
            "override://0.0.0.0/a?weight=50&~application=other",
            "empty://0.0.0.0/a?weight=50",
            "route://0.0.0.0/a?weight=50",
        ] {
            check(&[rule], "100");
        }
    }
}
