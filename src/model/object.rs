use std::fmt;
use std::sync::Arc;

use crate::{
    AccessPolicy, BackendTlsPolicy, ConfigMap, ConfigRollout, EndpointSlice, Gateway, GatewayClass,
    GatewayConfig, Ingress, IngressClass, LaneGroup, ListenerSet, MeshConfig, MeshService,
    Namespace, Node, PeerPolicy, Pod, ReferenceGrant, Registry, Route, Secret, Service,
    SidecarScope,
};

const CORE: &str = "";
const GATEWAY_API: &str = "gateway.networking.k8s.io";
const ISTHMUS: &str = "isthmus.dev";

/// A line for each kind: its noun, the name in a document's `kind`, the API group, the plural, whether it has a namespace.
macro_rules! kinds {
    ($($variant:ident($noun:ident) = $kind:literal, $group:expr, $plural:literal, $namespaced:literal;)+) => {
        /// The kinds of document that users write. Cluster-scoped kinds have an empty namespace.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Kind {
            $($variant,)+
        }

        impl Kind {
            pub const ALL: [Self; [$(Self::$variant),+].len()] = [$(Self::$variant),+];

            /// The name as it stands in a document's `kind`.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $kind,)+ }
            }

            /// The API group; empty for Kubernetes' core group.
            #[must_use]
            pub const fn group(self) -> &'static str {
                match self { $(Self::$variant => $group,)+ }
            }

            /// The lower-case plural used in API paths and on the command line.
            #[must_use]
            pub const fn plural(self) -> &'static str {
                match self { $(Self::$variant => $plural,)+ }
            }

            #[must_use]
            pub const fn namespaced(self) -> bool {
                match self { $(Self::$variant => $namespaced,)+ }
            }
        }

        /// Any document, as sources hand it to the catalog.
        #[derive(Clone, Debug, PartialEq)]
        pub enum Object {
            $($variant(Arc<$noun>),)+
        }

        impl Object {
            #[must_use]
            pub fn meta(&self) -> &Meta {
                match self { $(Self::$variant(object) => &object.meta,)+ }
            }

            /// Copies the object first where it is shared.
            pub fn meta_mut(&mut self) -> &mut Meta {
                match self { $(Self::$variant(object) => &mut Arc::make_mut(object).meta,)+ }
            }
        }
    };
}

kinds! {
    AccessPolicy(AccessPolicy) = "AccessPolicy", ISTHMUS, "accesspolicies", true;
    BackendTlsPolicy(BackendTlsPolicy) = "BackendTLSPolicy", GATEWAY_API, "backendtlspolicies", true;
    ConfigMap(ConfigMap) = "ConfigMap", CORE, "configmaps", true;
    ConfigRollout(ConfigRollout) = "ConfigRollout", ISTHMUS, "configrollouts", true;
    EndpointSlice(EndpointSlice) = "EndpointSlice", "discovery.k8s.io", "endpointslices", true;
    Gateway(Gateway) = "Gateway", GATEWAY_API, "gateways", true;
    GatewayClass(GatewayClass) = "GatewayClass", GATEWAY_API, "gatewayclasses", false;
    GatewayConfig(GatewayConfig) = "GatewayConfig", ISTHMUS, "gatewayconfigs", true;
    GrpcRoute(Route) = "GRPCRoute", GATEWAY_API, "grpcroutes", true;
    HttpRoute(Route) = "HTTPRoute", GATEWAY_API, "httproutes", true;
    Ingress(Ingress) = "Ingress", "networking.k8s.io", "ingresses", true;
    IngressClass(IngressClass) = "IngressClass", "networking.k8s.io", "ingressclasses", false;
    LaneGroup(LaneGroup) = "LaneGroup", ISTHMUS, "lanegroups", true;
    ListenerSet(ListenerSet) = "ListenerSet", GATEWAY_API, "listenersets", true;
    MeshConfig(MeshConfig) = "MeshConfig", ISTHMUS, "meshconfigs", false;
    MeshService(MeshService) = "MeshService", ISTHMUS, "meshservices", true;
    Namespace(Namespace) = "Namespace", CORE, "namespaces", false;
    Node(Node) = "Node", CORE, "nodes", false;
    PeerPolicy(PeerPolicy) = "PeerPolicy", ISTHMUS, "peerpolicies", true;
    Pod(Pod) = "Pod", CORE, "pods", true;
    ReferenceGrant(ReferenceGrant) = "ReferenceGrant", GATEWAY_API, "referencegrants", true;
    Registry(Registry) = "Registry", ISTHMUS, "registries", true;
    Secret(Secret) = "Secret", CORE, "secrets", true;
    Service(Service) = "Service", CORE, "services", true;
    SidecarScope(SidecarScope) = "SidecarScope", ISTHMUS, "sidecarscopes", true;
    TcpRoute(Route) = "TCPRoute", GATEWAY_API, "tcproutes", true;
    TlsRoute(Route) = "TLSRoute", GATEWAY_API, "tlsroutes", true;
    UdpRoute(Route) = "UDPRoute", GATEWAY_API, "udproutes", true;
}

impl Kind {
    /// Those whose objects are a [`Route`].
    pub const ROUTES: [Self; 5] =
        [Self::GrpcRoute, Self::HttpRoute, Self::TcpRoute, Self::TlsRoute, Self::UdpRoute];

    /// Those whose objects are told their status, in the order in which it matters to others.
    pub const WITH_STATUS: [Self; 10] = [
        Self::GatewayClass,
        Self::Gateway,
        Self::ListenerSet,
        Self::GrpcRoute,
        Self::HttpRoute,
        Self::TcpRoute,
        Self::TlsRoute,
        Self::UdpRoute,
        Self::BackendTlsPolicy,
        Self::Ingress,
    ];

    #[must_use]
    pub fn find(group: &str, kind: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|k| k.group() == group && k.as_str() == kind)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NamespacedName {
    pub namespace: Arc<str>,
    pub name: Arc<str>,
}

impl NamespacedName {
    #[must_use]
    pub fn new(namespace: &str, name: &str) -> Self {
        Self { namespace: namespace.into(), name: name.into() }
    }
}

impl fmt::Display for NamespacedName {
    /// `namespace/name`, or only the name of a cluster-scoped object.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.namespace.is_empty() {
            f.write_str(&self.name)
        } else {
            write!(f, "{}/{}", self.namespace, self.name)
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectKey {
    pub kind: Kind,
    pub name: NamespacedName,
}

impl ObjectKey {
    #[must_use]
    pub fn new(kind: Kind, namespace: &str, name: &str) -> Self {
        Self { kind, name: NamespacedName::new(namespace, name) }
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind, self.name)
    }
}

/// A place in a text. Lines and columns count from 1, columns in characters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Location {
    pub file: Arc<str>,
    pub line: u32,
    pub column: u32,
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

/// Which document, and which part of it: travels from the user's text to every resource made from it, so that a finding
/// or a NACK can name the line.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectRef {
    /// The source's name, e.g. `file`.
    pub source: Arc<str>,
    /// `None` where the text could not be read far enough to know the object.
    pub object: Option<ObjectKey>,
    /// JSON pointer into the document, e.g. `/spec/rules/0`; empty for the whole.
    pub pointer: Arc<str>,
    pub location: Option<Location>,
}

impl ObjectRef {
    /// The same object, another part of it. The location stays that of the object until it is looked up.
    #[must_use]
    pub fn at(&self, pointer: &str) -> Self {
        Self { pointer: pointer.into(), ..self.clone() }
    }
}

impl fmt::Display for ObjectRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.object {
            Some(object) => write!(f, "{object}")?,
            None => f.write_str(&self.source)?,
        }
        if !self.pointer.is_empty() {
            write!(f, " {}", self.pointer)?;
        }
        Ok(())
    }
}

/// What every object carries besides its own content.
#[derive(Clone, Debug, PartialEq)]
pub struct Meta {
    pub key: ObjectKey,
    pub source: Arc<str>,
    pub labels: Vec<(Arc<str>, Arc<str>)>,
    pub annotations: Vec<(Arc<str>, Arc<str>)>,
    /// `metadata.generation` where the source counts it, else 0.
    pub generation: i64,
    /// `metadata.creationTimestamp` as Unix seconds where the document has one: older objects win conflicts.
    pub created: Option<i64>,
    /// Line and column of the document's parts by JSON pointer; empty where the source is not a text.
    pub locations: Arc<Locations>,
    /// The document itself as compact JSON, for showing and for keeping. It may hold secrets: see [`crate::Secret`].
    pub document: Arc<str>,
}

/// Where the parts of one document stand in its file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Locations {
    pub file: Option<Arc<str>>,
    /// Sorted by pointer.
    pub by_pointer: Vec<(Box<str>, u32, u32)>,
}

impl Locations {
    /// The place of `pointer`, or of the nearest part around it that is known.
    #[must_use]
    pub fn find(&self, pointer: &str) -> Option<Location> {
        let file = self.file.clone()?;
        let mut part = pointer;
        loop {
            if let Ok(i) = self.by_pointer.binary_search_by(|(p, _, _)| p.as_ref().cmp(part)) {
                let (_, line, column) = self.by_pointer[i];
                return Some(Location { file, line, column });
            }
            part = &part[..part.rfind('/')?];
        }
    }
}

impl Meta {
    #[must_use]
    pub fn name(&self) -> &NamespacedName {
        &self.key.name
    }

    #[must_use]
    pub fn namespace(&self) -> &Arc<str> {
        &self.key.name.namespace
    }

    /// The document that this object was written in: not itself where it stands for a part of an Ingress.
    #[must_use]
    pub fn written(&self) -> ObjectKey {
        match self.source.strip_prefix("ingress:") {
            Some(name) => ObjectKey::new(Kind::Ingress, self.namespace(), name),
            None => self.key.clone(),
        }
    }

    /// A reference to a part of this object, with its line and column where known.
    #[must_use]
    pub fn at(&self, pointer: &str) -> ObjectRef {
        ObjectRef {
            source: self.source.clone(),
            object: Some(self.written()),
            pointer: pointer.into(),
            location: self.locations.find(pointer),
        }
    }

    #[must_use]
    pub fn label(&self, name: &str) -> Option<&str> {
        self.labels.iter().find(|(k, _)| k.as_ref() == name).map(|(_, v)| v.as_ref())
    }
}

impl Object {
    #[must_use]
    pub fn key(&self) -> &ObjectKey {
        &self.meta().key
    }

    /// The route, of whichever kind.
    #[must_use]
    pub fn as_route(&self) -> Option<&Arc<Route>> {
        match self {
            Self::GrpcRoute(route)
            | Self::HttpRoute(route)
            | Self::TcpRoute(route)
            | Self::TlsRoute(route)
            | Self::UdpRoute(route) => Some(route),
            _ => None,
        }
    }

    /// Copies the route first where it is shared.
    pub fn as_route_mut(&mut self) -> Option<&mut Route> {
        match self {
            Self::GrpcRoute(route)
            | Self::HttpRoute(route)
            | Self::TcpRoute(route)
            | Self::TlsRoute(route)
            | Self::UdpRoute(route) => Some(Arc::make_mut(route)),
            _ => None,
        }
    }
}
