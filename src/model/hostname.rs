use std::fmt;
use std::sync::Arc;

/// A DNS name, or one with a leading `*.` label that stands for one or more labels (Gateway API, `Hostname`).
/// Always lower case.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hostname(Arc<str>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidHostname;

impl Hostname {
    /// Checks the shape that Gateway API asks for: RFC 1123 labels, no IP address, `*` only as the whole first label.
    ///
    /// # Errors
    /// If the text is no such name.
    pub fn parse(text: &str) -> Result<Self, InvalidHostname> {
        let rest = text.strip_prefix("*.").unwrap_or(text);
        let label_ok = |label: &str| {
            !label.is_empty()
                && label.len() <= 63
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
                && !label.starts_with('-')
                && !label.ends_with('-')
        };
        let numeric = rest.split('.').all(|l| l.bytes().all(|b| b.is_ascii_digit()));
        if text.len() > 253 || numeric || !rest.split('.').all(label_ok) {
            return Err(InvalidHostname);
        }
        Ok(Self(text.to_ascii_lowercase().into()))
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    #[must_use]
    pub fn shared(&self) -> Arc<str> {
        self.0.clone()
    }

    #[must_use]
    pub fn is_wildcard(&self) -> bool {
        self.0.starts_with("*.")
    }

    /// Whether every name that `other` stands for is also one of `self`.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        if self.0 == other.0 {
            return true;
        }
        // `*.example.com` covers `a.example.com` and `*.a.example.com`, not `example.com`.
        self.is_wildcard() && other.0.len() > self.0.len() - 1 && other.0.ends_with(&self.0[1..])
    }

    /// The names that both stand for, or `None`.
    #[must_use]
    pub fn intersect(&self, other: &Self) -> Option<Self> {
        if self.covers(other) {
            Some(other.clone())
        } else if other.covers(self) {
            Some(self.clone())
        } else {
            None
        }
    }

    /// Sort key of Gateway API's precedence: exact names before wildcards, then more characters first.
    #[must_use]
    pub fn precedence(&self) -> (bool, usize) {
        (!self.is_wildcard(), self.0.len())
    }
}

impl fmt::Display for Hostname {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Hostname {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn host(text: &str) -> Hostname {
        Hostname::parse(text).unwrap()
    }

    #[test]
    fn wildcards_cover_one_or_more_labels_but_not_the_bare_domain() {
        let wild = host("*.example.com");
        assert!(wild.covers(&host("a.example.com")));
        assert!(wild.covers(&host("a.b.example.com")));
        assert!(wild.covers(&host("*.b.example.com")));
        assert!(!wild.covers(&host("example.com")));
        assert!(!wild.covers(&host("badexample.com")));
        assert!(!host("*.b.example.com").covers(&wild));
    }

    #[test]
    fn intersection_is_the_narrower_of_the_two() {
        assert_eq!(
            host("*.example.com").intersect(&host("a.example.com")),
            Some(host("a.example.com"))
        );
        assert_eq!(
            host("*.a.example.com").intersect(&host("*.example.com")),
            Some(host("*.a.example.com"))
        );
        assert_eq!(host("a.example.com").intersect(&host("b.example.com")), None);
    }

    #[test]
    fn addresses_and_odd_labels_are_no_hostnames() {
        for bad in ["", "1.2.3.4", "*", "a..b", "-a.com", "a_b.com", "foo.*.com", "exa mple.com"] {
            assert_eq!(Hostname::parse(bad), Err(InvalidHostname), "{bad}");
        }
        assert_eq!(host("EXAMPLE.com").as_str(), "example.com");
    }
}
