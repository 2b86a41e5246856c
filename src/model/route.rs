use std::sync::Arc;
use std::time::Duration;

use crate::{Hostname, Meta, NamespacedName};

/// A route of any kind; `meta.key.kind` says which. HTTPRoute and GRPCRoute differ in how they match paths and in what
/// their back ends speak. TLSRoute, TCPRoute and UDPRoute have rules without matches, filters and timeouts, and of them only
/// TLSRoute has host names.
#[derive(Clone, Debug, PartialEq)]
pub struct Route {
    pub meta: Meta,
    pub parents: Vec<ParentRef>,
    pub hostnames: Vec<Hostname>,
    pub rules: Vec<Rule>,
}

/// What a route wants to be attached to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ParentRef {
    pub group: Arc<str>,
    pub kind: Arc<str>,
    /// Filled with the route's own namespace where the document names none.
    pub name: NamespacedName,
    pub section: Option<Arc<str>>,
    pub port: Option<u16>,
    pub pointer: Arc<str>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    pub name: Option<Arc<str>>,
    pub pointer: Arc<str>,
    /// Never empty in HTTPRoute and GRPCRoute: a rule without matches matches every path.
    pub matches: Vec<RouteMatch>,
    pub filters: Vec<Filter>,
    pub backends: Vec<Backend>,
    pub timeouts: Timeouts,
    /// What is wrong in the document of this rule, where the rest of the document is used all the same: its requests are
    /// answered 500. What of its matches could be read is kept, and there may be none.
    pub fault: Option<Arc<str>>,
    pub retry: Option<Retry>,
    pub session: Option<SessionPersistence>,
}

/// All parts must hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteMatch {
    pub path: PathMatch,
    pub method: Option<Arc<str>>,
    pub headers: Vec<HeaderMatch>,
    pub query: Vec<QueryMatch>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PathMatch {
    Exact(Arc<str>),
    /// Whole path elements: `/a` matches `/a` and `/a/b`, not `/ab`. No trailing slash, except for `/` itself.
    Prefix(Arc<str>),
    /// RE2, must match the whole path.
    Regex(Arc<str>),
    /// A gRPC method, whose path is `/SERVICE/METHOD`; `None` is any. GRPCRoutes have no other, and HTTPRoutes not this.
    Method {
        service: Option<StringMatch>,
        method: Option<StringMatch>,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StringMatch {
    Exact(Arc<str>),
    /// RE2, must match the whole value.
    Regex(Arc<str>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderMatch {
    /// Lower case.
    pub name: Arc<str>,
    pub value: StringMatch,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueryMatch {
    pub name: Arc<str>,
    pub value: StringMatch,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Filter {
    RequestHeaders(HeaderEdit),
    ResponseHeaders(HeaderEdit),
    Redirect(Redirect),
    Rewrite(Rewrite),
    Mirror {
        backend: BackendRef,
        fraction: Option<Fraction>,
    },
    Cors(Cors),
    /// A filter that Isthmus does not have: requests to the rule are answered 500, because Gateway API says that a
    /// filter must never be skipped silently.
    Unsupported {
        kind: Arc<str>,
        pointer: Arc<str>,
    },
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeaderEdit {
    pub set: Vec<HeaderValue>,
    pub add: Vec<HeaderValue>,
    pub remove: Vec<Arc<str>>,
}

impl HeaderEdit {
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.set.is_empty() && self.add.is_empty() && self.remove.is_empty()
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderValue {
    pub name: Arc<str>,
    pub value: Arc<str>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PathModifier {
    ReplaceFull(Arc<str>),
    ReplacePrefix(Arc<str>),
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Redirect {
    pub scheme: Option<Arc<str>>,
    pub hostname: Option<Arc<str>>,
    pub path: Option<PathModifier>,
    pub port: Option<u16>,
    /// `None`: 302.
    pub status: Option<u16>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rewrite {
    pub hostname: Option<Arc<str>>,
    pub path: Option<PathModifier>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fraction {
    pub numerator: u32,
    pub denominator: u32,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cors {
    /// `*`, a full origin such as `https://a.example`, or one with a leading wildcard label.
    pub allow_origins: Vec<Arc<str>>,
    pub allow_methods: Vec<Arc<str>>,
    pub allow_headers: Vec<Arc<str>>,
    pub expose_headers: Vec<Arc<str>>,
    pub allow_credentials: bool,
    /// Seconds that a browser may keep the preflight answer.
    pub max_age: Option<u32>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Backend {
    pub target: BackendRef,
    /// Share of the rule's traffic relative to the sum; 0 gets none.
    pub weight: u32,
    pub filters: Vec<Filter>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BackendRef {
    pub group: Arc<str>,
    pub kind: Arc<str>,
    /// Filled with the route's own namespace where the document names none.
    pub name: NamespacedName,
    pub port: Option<u16>,
    pub pointer: Arc<str>,
}

/// `Some(0)` switches a limit off; `None` leaves it to the gateway.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timeouts {
    pub request: Option<Duration>,
    pub backend_request: Option<Duration>,
}

/// When a request to a back end is tried again. Lost connections and tries that are over time always are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Retry {
    /// Status codes of responses.
    pub codes: Vec<u16>,
    /// How many times after the first try; `None` leaves it to the gateway.
    pub attempts: Option<u32>,
    pub backoff: Option<Duration>,
}

/// Requests of one client go to one endpoint, as long as it is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionPersistence {
    /// Of the cookie or header; `None` leaves it to the gateway.
    pub name: Option<Arc<str>>,
    pub token: SessionToken,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionToken {
    /// With a lifetime, or until the client ends its session.
    Cookie {
        lifetime: Option<Duration>,
    },
    Header,
}
