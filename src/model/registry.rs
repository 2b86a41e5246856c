use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::{AppProtocol, EndpointHealth, Locality, Meta};

/// A document of kind `Registry`: where one legacy registry is, how to get in, and what of it is wanted.
#[derive(Clone, Debug, PartialEq)]
pub struct Registry {
    pub meta: Meta,
    pub kind: RegistryKind,
    /// `host:port`, in the order of preference. Never empty in a document that was taken.
    pub addresses: Vec<Arc<str>>,
    pub login: Login,
    /// `None`: plaintext.
    pub tls: Option<RegistryTls>,
    /// Metadata keys that become endpoint labels; a trailing `*` stands for any rest. The others are dropped at the door.
    pub labels: Vec<Arc<str>>,
    pub import: Import,
    pub guard: GuardRules,
}

/// The kind of registry, with what only that kind has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RegistryKind {
    Nacos(NacosOptions),
    Eureka(EurekaOptions),
    ZooKeeper(ZooKeeperOptions),
    Consul(ConsulOptions),
}

impl RegistryKind {
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Nacos(_) => "Nacos",
            Self::Eureka(_) => "Eureka",
            Self::ZooKeeper(_) => "ZooKeeper",
            Self::Consul(_) => "Consul",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NacosOptions {
    /// Namespace ids; empty means `public` only.
    pub namespaces: Vec<Arc<str>>,
    /// Groups; empty means every group that the server lists.
    pub groups: Vec<Arc<str>>,
    /// Whether Dubbo providers are asked for what only they tell: weight, tag and zone at application level. The registry
    /// says where to call, so whoever may register decides what is dialled.
    pub metadata_service: bool,
}

impl Default for NacosOptions {
    fn default() -> Self {
        Self { namespaces: Vec::new(), groups: Vec::new(), metadata_service: true }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EurekaOptions {
    /// Path of the REST API on every address, e.g. `/eureka`.
    pub context_path: Arc<str>,
    /// Shortest time between two polls, while changes go on.
    pub poll_min: Duration,
    /// Longest time between two polls, when nothing has changed for long.
    pub poll_max: Duration,
    /// Use the secure port where an instance has both.
    pub prefer_secure: bool,
}

impl Default for EurekaOptions {
    fn default() -> Self {
        Self {
            context_path: "/eureka".into(),
            poll_min: Duration::from_secs(1),
            poll_max: Duration::from_secs(30),
            prefer_secure: false,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ZooKeeperOptions {
    /// Prefix of every path; empty for none.
    pub chroot: Arc<str>,
    /// Root of Dubbo's interface-level tree; `None` leaves it out.
    pub dubbo_root: Option<Arc<str>>,
    /// Root of the application-level tree that Dubbo and Spring Cloud share; `None` leaves it out.
    pub services_root: Option<Arc<str>>,
    pub session_timeout: Duration,
    /// As [`NacosOptions::metadata_service`].
    pub metadata_service: bool,
}

impl Default for ZooKeeperOptions {
    fn default() -> Self {
        Self {
            chroot: "".into(),
            dubbo_root: Some("/dubbo".into()),
            services_root: Some("/services".into()),
            session_timeout: Duration::from_secs(30),
            metadata_service: true,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsulOptions {
    /// Empty for that of the agent.
    pub datacenter: Arc<str>,
    /// Enterprise only; empty for none.
    pub namespace: Arc<str>,
    /// Enterprise only; empty for none.
    pub partition: Arc<str>,
    /// Whether an instance with a check in `warning` takes traffic.
    pub warning_passes: bool,
}

impl Default for ConsulOptions {
    fn default() -> Self {
        Self {
            datacenter: "".into(),
            namespace: "".into(),
            partition: "".into(),
            warning_passes: true,
        }
    }
}

/// How to get in. Every secret is a file, read again when it changes; none is ever in the document.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Login {
    pub username: Option<Arc<str>>,
    pub password_file: Option<PathBuf>,
    /// Consul.
    pub token_file: Option<PathBuf>,
    /// Nacos (Alibaba Cloud's form).
    pub access_key_file: Option<PathBuf>,
    pub secret_key_file: Option<PathBuf>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RegistryTls {
    /// PEM; `None` for the roots of the system.
    pub ca_file: Option<PathBuf>,
    /// PEM, both or none.
    pub certificate_file: Option<PathBuf>,
    pub key_file: Option<PathBuf>,
    /// The name to expect in the server's certificate, where it is not the host of the address.
    pub server_name: Option<Arc<str>>,
}

/// What becomes of services that no MeshService names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Import {
    pub enabled: bool,
    /// Where imported MeshServices live, by the registry's group (Nacos' group, else empty); the first that matches.
    pub namespaces: Vec<ImportNamespace>,
    /// For services that no rule of `namespaces` matches. Empty: the Registry's own namespace.
    pub namespace: Arc<str>,
    /// Patterns with `*`; empty means all.
    pub include: Vec<Arc<str>>,
    pub exclude: Vec<Arc<str>>,
    /// Before every name.
    pub prefix: Arc<str>,
    /// The port of the imported MeshService.
    pub port: u16,
}

impl Default for Import {
    fn default() -> Self {
        Self {
            enabled: true,
            namespaces: Vec::new(),
            namespace: "".into(),
            include: Vec::new(),
            exclude: Vec::new(),
            prefix: "".into(),
            port: 80,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportNamespace {
    /// Pattern with `*`.
    pub group: Arc<str>,
    pub namespace: Arc<str>,
}

/// When the disappearance of instances is not believed at once.
#[derive(Clone, Debug, PartialEq)]
pub struct GuardRules {
    /// Share of a service's instances, 0 to 1, that may go within `window`.
    pub service_drop: f64,
    /// Share of all instances of the source, 0 to 1, that may go within `window`.
    pub source_drop: f64,
    pub window: Duration,
    /// How long a drop is held at most, while the source is in contact.
    pub hold: Duration,
    /// How long after contact was made anew what is missing counts as unconfirmed. `None`: what the kind of registry needs.
    pub settle: Option<Duration>,
    /// Overrides by service; the first match counts.
    pub services: Vec<ServiceGuard>,
}

impl Default for GuardRules {
    fn default() -> Self {
        Self {
            service_drop: 0.4,
            source_drop: 0.3,
            window: Duration::from_secs(30),
            hold: Duration::from_secs(300),
            settle: None,
            services: Vec::new(),
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct ServiceGuard {
    /// Pattern with `*`, on the registry's own name.
    pub name: Arc<str>,
    pub service_drop: Option<f64>,
    pub window: Option<Duration>,
    pub hold: Option<Duration>,
}

/// One service as one registry knows it. The parts are the registry's own words, whatever characters they have.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RegistryServiceId {
    /// The source's name: `NAMESPACE/NAME` of the Registry.
    pub registry: Arc<str>,
    /// Nacos: `namespace/group`, with the namespace left out for `public`. Elsewhere empty.
    pub group: Arc<str>,
    pub name: Arc<str>,
}

impl fmt::Display for RegistryServiceId {
    /// `name@registry`, or `group@@name@registry`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.group.is_empty() {
            write!(f, "{}@@", self.group)?;
        }
        write!(f, "{}@{}", self.name, self.registry)
    }
}

/// All that one registry says of one service at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct RegistryService {
    pub id: RegistryServiceId,
    /// Sorted by key; no two with the same `key()`.
    pub instances: Vec<Arc<Instance>>,
    /// Share of healthy instances, 0 to 1, below which all instances get traffic (Nacos' protect threshold); 0 for never.
    pub protect_threshold: f64,
    /// Applications that are known to call it (Dubbo consumers, Nacos subscribers). Sorted.
    pub consumers: Vec<Arc<str>>,
    /// Wrong data that cost only itself, as text with a code.
    pub findings: Vec<crate::Finding>,
}

/// One running copy of a service.
#[derive(Clone, Debug, PartialEq)]
pub struct Instance {
    pub host: Host,
    pub port: u16,
    /// Relative share of the traffic; 1 is usual, 0 gets none, fractions are kept.
    pub weight: f64,
    pub health: EndpointHealth,
    /// Who or what says so, in the registry's words: `enabled=false`, `OUT_OF_SERVICE`, `check service:a critical`.
    pub reason: Arc<str>,
    pub locality: Locality,
    /// What it speaks, where the registry says so.
    pub protocol: Option<AppProtocol>,
    /// Whether the port wants TLS.
    pub secure: bool,
    /// What passed the allow-list of the Registry, and `k8s_*`.
    pub labels: BTreeMap<Arc<str>, Arc<str>>,
}

impl Instance {
    /// A healthy one of weight 1.
    #[must_use]
    pub fn new(host: Host, port: u16) -> Self {
        Self {
            host,
            port,
            weight: 1.0,
            health: EndpointHealth::Healthy,
            reason: "".into(),
            locality: Locality::default(),
            protocol: None,
            secure: false,
            labels: BTreeMap::new(),
        }
    }

    /// What makes it another instance rather than the same one changed.
    #[must_use]
    pub fn key(&self) -> (&Host, u16) {
        (&self.host, self.port)
    }
}

/// Dubbo and Consul register names as well as addresses.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Host {
    Ip(IpAddr),
    Name(Arc<str>),
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(ip) => ip.fmt(f),
            Self::Name(name) => f.write_str(name),
        }
    }
}

/// What a registry source says. Facts only: the catalog decides what they mean, the same for all registries.
#[derive(Clone, Debug)]
pub enum Report {
    /// The full set of one service now. `asked`: read from the server on purpose, in answer to an [`Ask`]; else pushed,
    /// polled or read because of a change.
    Service { service: Arc<RegistryService>, asked: bool },
    /// The names of all services now. A service that is not named is one without instances.
    Names(Vec<RegistryServiceId>),
    /// Every service of the last `Names` has been reported: the source's view is whole.
    Whole,
    /// Contact was lost or made anew, or the server answered something that puts all earlier answers in doubt (an index
    /// that went back): what is missing from now on is unconfirmed for a while. Goes before the answers of the new session.
    Doubt { reason: String },
}

/// What the catalog wants of a source. Never waited for: a source that cannot answer says so by its health.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    /// Read these from the server and report them with `asked`.
    Confirm(Vec<RegistryServiceId>),
    /// Read everything from the server and report it with `asked`.
    Resync,
}

/// A person's word on a source, or on one service of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Steer {
    /// `None`: the whole source.
    pub service: Option<RegistryServiceId>,
    pub what: Steering,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Steering {
    /// Nothing is removed until the release.
    Hold,
    /// What is held back is believed now, and nothing is kept by a person any more.
    Release,
    /// What is served without the registry's present word is forgotten.
    Flush,
    /// Everything is read from the server anew.
    Resync,
}

impl Steering {
    pub const ALL: [Self; 4] = [Self::Hold, Self::Release, Self::Flush, Self::Resync];

    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hold => "hold",
            Self::Release => "release",
            Self::Flush => "flush",
            Self::Resync => "resync",
        }
    }
}

/// One address of a registry, as `registry test` shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    pub address: Arc<str>,
    /// Time until the answer; `None` if there was none.
    pub latency: Option<Duration>,
    pub version: Option<Arc<str>>,
    /// Whether the login was taken; `None` if that was not seen.
    pub authenticated: Option<bool>,
    pub services: Option<u64>,
    pub error: Option<String>,
}
