use std::collections::BTreeMap;
use std::sync::Arc;

/// Always let through: they tell that an instance is a certain pod (`k8s_pod`, `k8s_namespace` …), or that
/// it takes TLS of the mesh.
const ALWAYS: [&str; 2] = ["k8s_", "isthmus.mtls"];
/// Longest key or value that becomes a label; a longer one is left out.
const MAX_TEXT: usize = 1024;

/// Which metadata keys become endpoint labels. What is not asked for is dropped at the door, since metadata may be large.
#[derive(Clone, Debug, Default)]
pub struct Allow {
    exact: Vec<Arc<str>>,
    prefixes: Vec<Arc<str>>,
}

impl Allow {
    /// Patterns: a key, or a beginning and `*`.
    #[must_use]
    pub fn new(patterns: &[Arc<str>]) -> Self {
        let mut allow = Self::default();
        for pattern in patterns {
            match pattern.strip_suffix('*') {
                Some(prefix) => allow.prefixes.push(prefix.into()),
                None => allow.exact.push(pattern.clone()),
            }
        }
        allow
    }

    #[must_use]
    pub fn passes(&self, key: &str) -> bool {
        ALWAYS.iter().any(|prefix| key.starts_with(prefix))
            || self.exact.iter().any(|exact| **exact == *key)
            || self.prefixes.iter().any(|prefix| key.starts_with(&**prefix))
    }

    #[must_use]
    pub fn labels<'a>(
        &self,
        metadata: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> BTreeMap<Arc<str>, Arc<str>> {
        metadata
            .into_iter()
            .filter(|(key, value)| {
                self.passes(key) && key.len() <= MAX_TEXT && value.len() <= MAX_TEXT
            })
            .map(|(key, value)| (key.into(), value.into()))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_asked_for_and_what_is_for_us() {
        let allow = Allow::new(&["version".into(), "lane-*".into()]);
        let long = "x".repeat(MAX_TEXT + 1);
        let metadata = [
            ("version", "v2"),
            ("lane-colour", "blue"),
            ("lane", "no"),
            ("k8s_pod", "a-1"),
            ("isthmus.mtls", "true"),
            ("secret", "no"),
            ("lane-long", &long),
        ];
        let keys: Vec<_> = allow.labels(metadata).into_keys().collect();
        assert_eq!(keys, ["isthmus.mtls", "k8s_pod", "lane-colour", "version"].map(Arc::from));
        assert!(Allow::new(&["*".into()]).passes("anything"));
    }
}
