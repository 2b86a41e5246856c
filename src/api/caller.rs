//! Who asks, and what they may do.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use serde::{Deserialize, Serialize};

use crate::problem::{INTERNAL, Problem};

/// Each may all that those before it may.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    utoipa::ToSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Looks.
    Viewer,
    /// Writes documents.
    Editor,
    /// Steers what runs: proxies, registries, rollouts, rollbacks.
    Operator,
    /// Says who may do what.
    Admin,
}

/// A role, and where it counts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Grant {
    pub role: Role,
    /// Names of namespaces, `*` at the end stands for any rest; `*` alone also for what has no namespace.
    pub namespaces: Vec<String>,
}

impl Grant {
    /// `None` stands for what has no namespace, and for all namespaces at once.
    fn covers(&self, namespace: Option<&str>) -> bool {
        self.namespaces.iter().any(|pattern| match (pattern.strip_suffix('*'), namespace) {
            (Some(""), _) => true,
            (Some(start), Some(name)) => name.starts_with(start),
            (None, Some(name)) => pattern == name,
            (_, None) => false,
        })
    }
}

/// How somebody showed who they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Via {
    /// A web console's session.
    Session,
    /// A bearer token of ours.
    Token,
    /// A token of a Kubernetes API server.
    Kubernetes,
    /// Another replica hands on what somebody asked of it.
    Replica,
    /// Nobody is asked, on loopback.
    Nobody,
}

/// A token, never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Bearer(Arc<str>);

impl Bearer {
    #[must_use]
    pub fn new(token: &str) -> Self {
        Self(token.into())
    }

    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Bearer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Bearer(…)")
    }
}

/// Who sent a request. Handlers take it as an argument; what is not permitted, they refuse.
#[derive(Clone, Debug)]
pub struct Caller {
    pub subject: Arc<str>,
    pub via: Via,
    /// What program they use: `console`, `cli`, or as the client names itself.
    pub client: Arc<str>,
    pub address: Option<IpAddr>,
    pub grants: Arc<[Grant]>,
    /// For an API server, where writes go there under the caller's own rights.
    pub token: Option<Bearer>,
}

impl Caller {
    /// Whoever asks, where nobody is asked who they are.
    #[must_use]
    pub fn anybody() -> Self {
        let everything = Grant { role: Role::Admin, namespaces: vec!["*".into()] };
        Self {
            subject: "anybody".into(),
            via: Via::Nobody,
            client: "".into(),
            address: None,
            grants: [everything].into(),
            token: None,
        }
    }

    /// `None` stands for what has no namespace, and for all namespaces at once.
    #[must_use]
    pub fn may(&self, role: Role, namespace: Option<&str>) -> bool {
        self.grants.iter().any(|grant| grant.role >= role && grant.covers(namespace))
    }
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        // Every path is behind the layer that finds out; a path that is not is a bug, and is not open to all.
        parts.extensions.get::<Self>().cloned().ok_or_else(|| Problem::new(INTERNAL, ""))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_counts_where_it_was_given() {
        let grant = |role, namespaces: &[&str]| Grant {
            role,
            namespaces: namespaces.iter().map(ToString::to_string).collect(),
        };
        let grants = [grant(Role::Viewer, &["shop-*", "base"]), grant(Role::Editor, &["shop-a"])];
        let caller = Caller { grants: grants.into(), ..Caller::anybody() };
        assert!(caller.may(Role::Viewer, Some("shop-b")));
        assert!(caller.may(Role::Viewer, Some("base")));
        assert!(!caller.may(Role::Viewer, Some("based")));
        assert!(caller.may(Role::Editor, Some("shop-a")));
        assert!(!caller.may(Role::Editor, Some("shop-b")));
        assert!(!caller.may(Role::Viewer, None), "all namespaces at once are not some");
        assert!(Caller::anybody().may(Role::Admin, None));
    }
}
