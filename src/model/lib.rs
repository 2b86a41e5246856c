//! # model: the nouns of the user's world
//!
//! ```text
//! sources ──Change(Object)──► catalog ──View──► compile
//! ```
//!
//! Services, endpoints, gateways, routes and the things that are said about them (findings, conditions), free of where
//! they came from and of what will be made of them. Nouns do next to nothing here; verbs live in the other rooms.
//! It must never know Envoy, Kubernetes clients, tokio, serde or the clock.

mod change;
pub mod codes;
mod condition;
mod dns;
mod finding;
mod fleet;
mod gateway;
mod hostname;
mod ingress;
mod mesh;
mod object;
mod policy;
mod registry;
mod rollout;
mod route;
mod service;
mod workload;

pub use change::{Batch, Change, Health, Refused};
pub use condition::{
    Condition, ConditionStatus, GatewayClassStatus, GatewayStatus, IngressStatus,
    ListenerSetStatus, ListenerStatus, ObjectStatus, ParentStatus,
};
pub use dns::{DnsRecord, Question, QuestionKind, Resolved};
pub use finding::{Code, Finding, Mark, Severity};
pub use fleet::{Fleet, FleetMode, FleetPort, GatewayConfig, Infrastructure, ParametersRef};
pub use gateway::{
    AllowedNamespaces, Authorities, CertificateRef, ClientValidation, ConfigMap, FrontendTls,
    Gateway, GatewayAddress, GatewayApi, GatewayClass, GrantFrom, GrantTo, Listener,
    ListenerProtocol, ListenerSet, Namespace, Node, ReferenceGrant, RouteKind, Secret, SecretData,
    Selector, SelectorOperator, SelectorRequirement, TlsMode, WantedAddress,
};
pub use hostname::{Hostname, InvalidHostname};
pub use ingress::{Ingress, IngressBackend, IngressClass, IngressPath, IngressRule, IngressTls};
pub use mesh::{
    AccessAction, AccessCondition, AccessKey, AccessPolicy, AccessRule, AccessSource, AccessTarget,
    Dye, Egress, EgressHost, EgressNamespace, ExternalAuth, ExternalAuthProtocol, IpBlock, JwtKeys,
    JwtProvider, Lane, LaneFallback, LaneGroup, LaneNames, MeshConfig, MeshSettings, MtlsMode,
    OutboundMode, PeerPolicy, PolicyMode, Reach, SidecarScope,
};
pub use object::{Kind, Location, Locations, Meta, NamespacedName, Object, ObjectKey, ObjectRef};
pub use policy::{BackendAuthorities, BackendTlsPolicy, CertificateName, PolicyTarget};
pub use registry::{
    Ask, ConsulOptions, EurekaOptions, GuardRules, Host, Import, ImportNamespace, Instance, Login,
    NacosOptions, Probe, Registry, RegistryKind, RegistryService, RegistryServiceId, RegistryTls,
    Report, ServiceGuard, Steer, Steering, ZooKeeperOptions,
};
pub use rollout::{
    ConfigRollout, OnFailure, RolloutGates, RolloutPause, RolloutStep, RolloutTarget,
};
pub use route::{
    Backend, BackendRef, Cors, Filter, Fraction, HeaderEdit, HeaderMatch, HeaderValue, ParentRef,
    PathMatch, PathModifier, QueryMatch, Redirect, Retry, Rewrite, Route, RouteMatch, Rule,
    SessionPersistence, SessionToken, StringMatch, Timeouts,
};
pub use service::{
    AppProtocol, DnsResolution, Endpoint, EndpointHealth, EndpointPort, EndpointSlice, Locality,
    Merge, MeshService, MeshServicePort, Registration, RegistryRef, SdkPick, Service, ServicePort,
    Source, SourceFrom, TargetPort,
};
pub use workload::{Identity, Pod, SIDECAR_LABEL, Workload};
