use std::fmt;

/// The xDS resource types that Isthmus serves, declared in send order: what is referred to goes before what refers to
/// it (Envoy docs, "Eventual consistency considerations"). `Secret` stands last because Envoy asks for a secret only
/// after it has seen the listener or cluster that names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ResourceType {
    Cluster,
    Endpoint,
    Listener,
    ScopedRoute,
    Route,
    VirtualHost,
    Extension,
    Secret,
    Runtime,
}

impl ResourceType {
    pub const COUNT: usize = 9;

    /// All types in send order.
    pub const ALL: [Self; Self::COUNT] = [
        Self::Cluster,
        Self::Endpoint,
        Self::Listener,
        Self::ScopedRoute,
        Self::Route,
        Self::VirtualHost,
        Self::Extension,
        Self::Secret,
        Self::Runtime,
    ];

    /// The type URL as it stands in requests, responses and every `Any` of this type.
    #[must_use]
    pub const fn url(self) -> &'static str {
        match self {
            Self::Cluster => "type.googleapis.com/envoy.config.cluster.v3.Cluster",
            Self::Endpoint => "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment",
            Self::Listener => "type.googleapis.com/envoy.config.listener.v3.Listener",
            Self::ScopedRoute => {
                "type.googleapis.com/envoy.config.route.v3.ScopedRouteConfiguration"
            }
            Self::Route => "type.googleapis.com/envoy.config.route.v3.RouteConfiguration",
            Self::VirtualHost => "type.googleapis.com/envoy.config.route.v3.VirtualHost",
            Self::Extension => "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig",
            Self::Secret => "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret",
            Self::Runtime => "type.googleapis.com/envoy.service.runtime.v3.Runtime",
        }
    }

    #[must_use]
    pub fn from_url(url: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|t| t.url() == url)
    }

    /// The short name that the field uses: CDS, EDS, LDS and so on.
    #[must_use]
    pub const fn short(self) -> &'static str {
        match self {
            Self::Cluster => "CDS",
            Self::Endpoint => "EDS",
            Self::Listener => "LDS",
            Self::ScopedRoute => "SRDS",
            Self::Route => "RDS",
            Self::VirtualHost => "VHDS",
            Self::Extension => "ECDS",
            Self::Secret => "SDS",
            Self::Runtime => "RTDS",
        }
    }

    /// Whether an empty first subscription means "everything" (legacy wildcard, xds-rules 24 and 44).
    #[must_use]
    pub const fn wildcard(self) -> bool {
        matches!(self, Self::Cluster | Self::Listener | Self::ScopedRoute | Self::VirtualHost)
    }

    /// Whether a state-of-the-world response must hold the whole subscription, so that absence means deletion
    /// (xds-rules 28). For all other types a response may hold only what changed.
    ///
    /// The protocol's page names clusters and listeners only. Envoy reads scoped routes likewise: it drops each scope
    /// that a response leaves out. A full answer is right under both readings, a partial one deletes under Envoy's.
    #[must_use]
    pub const fn full_state(self) -> bool {
        matches!(self, Self::Cluster | Self::Listener | Self::ScopedRoute)
    }

    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }
}

impl fmt::Display for ResourceType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.short())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rule_28_66_where_absence_means_deletion() {
        let full: Vec<_> = ResourceType::ALL.into_iter().filter(|t| t.full_state()).collect();
        use ResourceType::{Cluster, Listener, ScopedRoute};
        assert_eq!(full, [Cluster, Listener, ScopedRoute]);
        // What a response must hold in full, a client can also ask for as a whole.
        assert!(full.into_iter().all(ResourceType::wildcard));
    }
}
