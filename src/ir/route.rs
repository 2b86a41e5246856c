use std::sync::Arc;
use std::time::Duration;

use imbl::OrdMap;
use model::{Cors, Fraction, HeaderEdit, ObjectRef, Retry, RouteMatch};

use crate::{Access, LaneCarrier, Name};

/// The routes behind one listener (or one filter chain of it).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteTable {
    pub name: Name,
    /// By name. Unchanged virtual hosts are shared with the previous plan.
    pub virtual_hosts: OrdMap<Name, Arc<VirtualHost>>,
    /// Read by [`crate::FilterSlot::LaneEntry`].
    pub lanes: Option<Arc<LaneEntry>>,
    /// What is let through to routes that do not say it themselves.
    pub access: Option<Arc<Access>>,
    pub origin: Vec<ObjectRef>,
}

impl VirtualHost {
    /// As a [`RouteTable`] has them.
    pub fn by_name(hosts: impl IntoIterator<Item = Arc<Self>>) -> OrdMap<Name, Arc<Self>> {
        hosts.into_iter().map(|host| (host.name.clone(), host)).collect()
    }
}

/// How requests get their lane where they come in. The first rule that fits counts; a request that none fits is in no lane,
/// whatever it says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LaneEntry {
    pub carrier: LaneCarrier,
    pub rules: Vec<LaneRule>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LaneRule {
    pub lane: Name,
    pub when: LaneWhen,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LaneWhen {
    /// The client says so.
    Asked,
    /// One of the matches fits (any request where there are none), and the lot falls on it.
    Drawn {
        matches: Vec<RouteMatch>,
        /// Which value of a [`crate::RuntimeLayer`] is the share; none is drawn without one.
        share: Name,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VirtualHost {
    pub name: Name,
    /// Host names and addresses without ports; `*` for any.
    pub domains: Vec<Arc<str>>,
    /// First match wins.
    pub routes: Vec<Arc<Route>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// Unique in its virtual host; shown in access logs and statistics.
    pub name: Name,
    pub matches: RouteMatch,
    pub action: Action,
    pub request_headers: HeaderEdit,
    pub response_headers: HeaderEdit,
    pub cors: Option<Cors>,
    /// In place of that of the table.
    pub access: Option<Arc<Access>>,
    pub origin: ObjectRef,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    Forward(Forward),
    Redirect(Redirect),
    /// Answered by the proxy itself, with an empty body.
    Respond {
        status: u16,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forward {
    /// Never empty, and the sum of the weights is above 0.
    pub targets: Vec<WeightedTarget>,
    pub mirrors: Vec<Mirror>,
    pub path: Option<PathRewrite>,
    pub host: Option<HostRewrite>,
    /// Of the whole request with its response; zero means no limit.
    pub timeout: Duration,
    /// Of one try; zero means no limit of its own.
    pub try_timeout: Duration,
    pub retry: Option<Retry>,
    pub session: Option<Session>,
    /// What the share of a broken target is answered.
    pub broken_status: u16,
}

/// Requests with the same token go to the same endpoint; the proxy gives one out with the first response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Session {
    Cookie {
        name: Arc<str>,
        /// Paths beneath it belong to the session.
        path: Arc<str>,
        /// `None`: until the client ends its session.
        lifetime: Option<Duration>,
    },
    Header {
        name: Arc<str>,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WeightedTarget {
    pub target: Target,
    pub weight: u32,
    pub request_headers: HeaderEdit,
    pub response_headers: HeaderEdit,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// Name in [`crate::Plan::clusters`].
    Cluster(Name),
    /// The cluster that is called as the host header, which the proxy asks for if it has none ([`crate::FilterSlot::OnDemand`]).
    Host,
    /// A reference that cannot be resolved: exactly its share of the requests is answered with an error, of the
    /// connections closed,
    /// of the datagrams dropped.
    Broken,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mirror {
    pub cluster: Name,
    /// `None`: every request.
    pub fraction: Option<Fraction>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PathRewrite {
    Full(Arc<str>),
    /// Replaces the matched prefix (whole path elements) and keeps the rest.
    Prefix {
        matched: Arc<str>,
        replacement: Arc<str>,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostRewrite {
    Literal(Arc<str>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redirect {
    pub scheme: Option<Arc<str>>,
    pub host: Option<Arc<str>>,
    /// `None` keeps the port of the request's host header, or has none with a new host; `Some` replaces it. With a
    /// `scheme`, that scheme's own port is left out by the proxy.
    pub port: Option<u16>,
    pub path: Option<PathRewrite>,
    /// 301, 302, 303, 307 or 308.
    pub status: u16,
}
