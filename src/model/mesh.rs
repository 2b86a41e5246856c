use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use crate::{
    BackendRef, CertificateRef, Meta, NamespacedName, ParentRef, PolicyTarget, RouteMatch, SdkPick,
    Selector,
};

/// What is the same for the whole mesh. There is one, called `default`; without it the defaults count.
#[derive(Clone, Debug, PartialEq)]
pub struct MeshConfig {
    pub meta: Meta,
    pub settings: MeshSettings,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MeshSettings {
    pub trust_domain: Arc<str>,
    /// Earlier names of it: identities in them are those in `trust_domain`.
    pub trust_domain_aliases: Vec<Arc<str>>,
    /// Policies and scopes of this namespace are for all.
    pub root_namespace: Arc<str>,
    pub outbound: OutboundMode,
    /// Of services that do not say it themselves.
    pub sdk_pick: SdkPick,
    pub lane: LaneNames,
}

impl Default for MeshSettings {
    fn default() -> Self {
        Self {
            trust_domain: "cluster.local".into(),
            trust_domain_aliases: Vec::new(),
            root_namespace: "isthmus-system".into(),
            outbound: OutboundMode::default(),
            sdk_pick: SdkPick::default(),
            lane: LaneNames::default(),
        }
    }
}

/// How lanes are called on the way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LaneNames {
    /// The header that names the lane, in lower case.
    pub header: Arc<str>,
    /// The member of W3C `baggage` that does so as well.
    pub baggage: Arc<str>,
    /// The label of pods and instances that says in which lane they are.
    pub label: Arc<str>,
    /// The lane of what has no such label.
    pub base: Arc<str>,
}

impl Default for LaneNames {
    fn default() -> Self {
        Self {
            header: "x-isthmus-lane".into(),
            baggage: "isthmus.lane".into(),
            label: "lane".into(),
            base: "base".into(),
        }
    }
}

/// What becomes of calls to hosts that nobody knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OutboundMode {
    /// They go where the app dialled.
    #[default]
    AllowAny,
    /// They are refused.
    RegistryOnly,
}

/// Of which services sidecars are told, and what they take over.
#[derive(Clone, Debug, PartialEq)]
pub struct SidecarScope {
    pub meta: Meta,
    /// `None`: all workloads of the namespace that no other scope selects.
    pub selector: Option<Selector>,
    /// `None`: those that the default scope finds.
    pub egress: Option<Vec<Egress>>,
    pub outbound: Option<OutboundMode>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Egress {
    /// `None`: every port.
    pub port: Option<u16>,
    pub hosts: Vec<EgressHost>,
    pub pointer: Arc<str>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EgressHost {
    pub namespace: EgressNamespace,
    /// `None`: all.
    pub service: Option<Arc<str>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EgressNamespace {
    Any,
    /// That of the workload, also where the scope is of the root namespace.
    Own,
    Named(Arc<str>),
}

/// Which workloads a policy of the mesh is for: those that are selected, and those of the targets. Neither: all of the
/// policy's namespace, or of the mesh where that is the root namespace.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reach {
    pub selector: Option<Selector>,
    /// Services, MeshServices, routes and Gateways.
    pub targets: Vec<PolicyTarget>,
}

/// Which connections workloads take.
#[derive(Clone, Debug, PartialEq)]
pub struct PeerPolicy {
    pub meta: Meta,
    pub reach: Reach,
    pub mtls: MtlsMode,
    /// By port of the workload, in place of `mtls`.
    pub ports: BTreeMap<u16, MtlsMode>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MtlsMode {
    /// TLS of the mesh only.
    Strict,
    /// TLS of the mesh, and whatever else comes.
    #[default]
    Permissive,
    /// No TLS of the mesh: callers use none.
    Disable,
}

/// Whether a policy counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PolicyMode {
    #[default]
    Enforce,
    /// What it would have done is counted, and nothing is done.
    Shadow,
    Off,
}

/// Who may call what. Policies with the action `Custom` are asked first, then those that deny, then those that allow; where
/// some allow, what none of them allows is refused.
#[derive(Clone, Debug, PartialEq)]
pub struct AccessPolicy {
    pub meta: Meta,
    pub reach: Reach,
    pub mode: PolicyMode,
    pub action: AccessAction,
    /// A request must be of one of them. None: with `Allow` nothing is let in, with the others nothing is of it.
    pub rules: Vec<AccessRule>,
    pub jwt: Vec<JwtProvider>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum AccessAction {
    Allow,
    Deny,
    /// An authorization service decides.
    Custom(ExternalAuth),
}

/// An authorization service by Envoy's protocol.
#[derive(Clone, Debug, PartialEq)]
pub struct ExternalAuth {
    pub backend: BackendRef,
    /// By gRPC, else by HTTP with this prefix before the path.
    pub protocol: ExternalAuthProtocol,
    /// Whether requests pass while it does not answer.
    pub fail_open: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExternalAuthProtocol {
    Grpc,
    Http { path_prefix: Arc<str> },
}

/// Each part that is given must hold.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AccessRule {
    pub pointer: Arc<str>,
    /// One of them.
    pub from: Vec<AccessSource>,
    /// One of them.
    pub to: Vec<AccessTarget>,
    /// All of them.
    pub when: Vec<AccessCondition>,
}

/// Each list that is not empty must hold, those of `not_` by none of their members. Texts may begin or end with `*`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccessSource {
    /// SPIFFE ids, with or without `spiffe://`.
    pub principals: Vec<Arc<str>>,
    pub not_principals: Vec<Arc<str>>,
    pub namespaces: Vec<Arc<str>>,
    pub not_namespaces: Vec<Arc<str>>,
    /// `namespace/service`: callers that are endpoints of it.
    pub services: Vec<NamespacedName>,
    /// Of the client that the proxy sees.
    pub ip_blocks: Vec<IpBlock>,
    pub not_ip_blocks: Vec<IpBlock>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IpBlock {
    pub address: IpAddr,
    pub length: u8,
}

/// As [`AccessSource`]. All but `ports` are of HTTP only.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccessTarget {
    pub hosts: Vec<Arc<str>>,
    pub not_hosts: Vec<Arc<str>>,
    pub methods: Vec<Arc<str>>,
    pub not_methods: Vec<Arc<str>>,
    pub paths: Vec<Arc<str>>,
    pub not_paths: Vec<Arc<str>>,
    pub ports: Vec<u16>,
    pub not_ports: Vec<u16>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessCondition {
    pub key: AccessKey,
    pub values: Vec<Arc<str>>,
    pub not_values: Vec<Arc<str>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccessKey {
    /// A claim of a valid JWT, by its path.
    Claim(Vec<Arc<str>>),
    /// A request header, in lower case.
    Header(Arc<str>),
}

/// Whose JWTs are good.
#[derive(Clone, Debug, PartialEq)]
pub struct JwtProvider {
    pub issuer: Arc<str>,
    pub audiences: Vec<Arc<str>>,
    pub keys: JwtKeys,
    pub pointer: Arc<str>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum JwtKeys {
    /// The JWKS itself.
    Inline(Arc<str>),
    /// A ConfigMap with a key `jwks`.
    ConfigMap(CertificateRef),
}

/// Versions of several services that belong together: a request that is in a lane stays in it wherever there is somebody
/// of it.
#[derive(Clone, Debug, PartialEq)]
pub struct LaneGroup {
    pub meta: Meta,
    /// Gateways, at which requests get their lane.
    pub entries: Vec<ParentRef>,
    /// Services and MeshServices with lanes.
    pub services: Vec<BackendRef>,
    pub lanes: Vec<Lane>,
    pub on_missing: LaneFallback,
    pub on_unhealthy: LaneFallback,
    /// Whether clients of the gateway may choose a lane themselves.
    pub accept_client_header: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Lane {
    pub name: Arc<str>,
    pub pointer: Arc<str>,
    /// Labels of its members; those with the lane's own label where it is empty.
    pub selector: BTreeMap<Arc<str>, Arc<str>>,
    /// Of several lanes that a request could get, that with the largest.
    pub priority: i32,
    /// A lane that is not running gets no requests.
    pub running: bool,
    pub dye: Dye,
}

/// Which requests get a lane.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Dye {
    /// One of them; empty matches all.
    pub matches: Vec<RouteMatch>,
    /// Of what matches, 0 to 100.
    pub percent: f64,
}

/// Where requests of a lane go that has nobody for them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LaneFallback {
    #[default]
    Base,
    Fail,
}
