use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use crate::{Hostname, Infrastructure, Meta, ParametersRef, ParentRef};

/// Which definitions of Gateway API an API server has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GatewayApi {
    /// Of the bundle, such as `v1.6.3`.
    pub version: Arc<str>,
    /// Whether they are those of the experimental channel, which have more fields.
    pub experimental: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub struct GatewayClass {
    pub meta: Meta,
    pub controller: Arc<str>,
    pub parameters: Option<ParametersRef>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Gateway {
    pub meta: Meta,
    pub class: Arc<str>,
    pub listeners: Vec<Listener>,
    /// Where it is to be reached; empty leaves it to whoever runs the proxies.
    pub addresses: Vec<GatewayAddress>,
    /// From which namespaces ListenerSets may add listeners.
    pub allowed_listeners: AllowedNamespaces,
    pub infrastructure: Infrastructure,
    pub frontend: FrontendTls,
    /// What proxies show to back ends that they call with TLS.
    pub client_certificate: Option<CertificateRef>,
}

impl Gateway {
    /// The IP addresses that the document asks for by number.
    pub fn asked_ips(&self) -> impl Iterator<Item = IpAddr> {
        self.addresses.iter().filter_map(|address| match address.wanted {
            WantedAddress::Ip(ip) => ip,
            WantedAddress::Hostname(_) | WantedAddress::Other { .. } => None,
        })
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GatewayAddress {
    pub pointer: Arc<str>,
    pub wanted: WantedAddress,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WantedAddress {
    /// `None`: any that is to be had.
    Ip(Option<IpAddr>),
    Hostname(Option<Arc<str>>),
    /// Of a type that Isthmus does not know.
    Other {
        kind: Arc<str>,
        value: Arc<str>,
    },
}

/// What is asked of the clients of all HTTPS listeners.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FrontendTls {
    pub default: Option<ClientValidation>,
    /// In place of the default, also where it is `None`.
    pub ports: BTreeMap<u16, Option<ClientValidation>>,
}

/// Clients show a certificate too.
#[derive(Clone, Debug, PartialEq)]
pub struct ClientValidation {
    /// ConfigMaps and Secrets with a `ca.crt`.
    pub authorities: Vec<CertificateRef>,
    pub pointer: Arc<str>,
    /// Clients without a certificate, or with one of somebody else, are served as well (`AllowInsecureFallback`).
    pub insecure_fallback: bool,
}

/// More listeners for a Gateway, kept by somebody else.
#[derive(Clone, Debug, PartialEq)]
pub struct ListenerSet {
    pub meta: Meta,
    /// The Gateway, filled with the set's own namespace where the document names none.
    pub parent: ParentRef,
    pub listeners: Vec<Listener>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ListenerProtocol {
    Http,
    Https,
    Tls,
    Tcp,
    Udp,
}

impl ListenerProtocol {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "HTTP",
            Self::Https => "HTTPS",
            Self::Tls => "TLS",
            Self::Tcp => "TCP",
            Self::Udp => "UDP",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsMode {
    Terminate,
    Passthrough,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Listener {
    pub name: Arc<str>,
    /// JSON pointer of this listener in its Gateway.
    pub pointer: Arc<str>,
    pub port: u16,
    /// `None` for a protocol that Isthmus does not know; the text is kept for the message.
    pub protocol: Result<ListenerProtocol, Arc<str>>,
    /// `None` matches every host.
    pub hostname: Option<Hostname>,
    pub tls_mode: TlsMode,
    pub certificates: Vec<CertificateRef>,
    pub namespaces: AllowedNamespaces,
    /// Route kinds that the listener names; empty means those that fit the protocol.
    pub kinds: Vec<RouteKind>,
}

/// Group and kind of a route, as a listener allows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteKind {
    pub group: Arc<str>,
    pub kind: Arc<str>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct CertificateRef {
    pub pointer: Arc<str>,
    pub group: Arc<str>,
    pub kind: Arc<str>,
    /// Filled with the Gateway's own namespace where the document names none.
    pub namespace: Arc<str>,
    pub name: Arc<str>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum AllowedNamespaces {
    Same,
    All,
    None,
    Selector(Selector),
}

/// A Kubernetes label selector: all labels and all requirements must hold.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Selector {
    pub labels: Vec<(Arc<str>, Arc<str>)>,
    pub requirements: Vec<SelectorRequirement>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct SelectorRequirement {
    pub key: Arc<str>,
    pub operator: SelectorOperator,
    pub values: Vec<Arc<str>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SelectorOperator {
    In,
    NotIn,
    Exists,
    DoesNotExist,
}

impl Selector {
    /// Whether a thing with these labels is selected.
    #[must_use]
    pub fn matches<'a>(&self, label: impl Fn(&str) -> Option<&'a str>) -> bool {
        self.labels.iter().all(|(k, v)| label(k) == Some(v.as_ref()))
            && self.requirements.iter().all(|r| {
                let value = label(&r.key);
                let listed = value.is_some_and(|v| r.values.iter().any(|x| x.as_ref() == v));
                match r.operator {
                    SelectorOperator::In => listed,
                    // Kubernetes: NotIn also selects objects without the label.
                    SelectorOperator::NotIn => !listed,
                    SelectorOperator::Exists => value.is_some(),
                    SelectorOperator::DoesNotExist => value.is_none(),
                }
            })
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct Namespace {
    pub meta: Meta,
}

/// A machine of the cluster: its labels say in which region and zone it is.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    pub meta: Meta,
}

/// Lets objects of some namespaces refer to objects of the grant's own namespace.
#[derive(Clone, Debug, PartialEq)]
pub struct ReferenceGrant {
    pub meta: Meta,
    pub from: Vec<GrantFrom>,
    pub to: Vec<GrantTo>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrantFrom {
    pub group: Arc<str>,
    pub kind: Arc<str>,
    pub namespace: Arc<str>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrantTo {
    pub group: Arc<str>,
    pub kind: Arc<str>,
    /// `None` grants every name.
    pub name: Option<Arc<str>>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct ConfigMap {
    pub meta: Meta,
    pub data: BTreeMap<Arc<str>, Arc<str>>,
    pub authorities: Authorities,
}

#[derive(Clone, PartialEq)]
pub struct Secret {
    pub meta: Meta,
    pub data: SecretData,
    pub authorities: Authorities,
}

/// The certificates under `ca.crt`, by which those of others are judged.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Authorities {
    #[default]
    None,
    /// One or more, PEM.
    Pem(Arc<[u8]>),
    /// There is something and it cannot be used; the text says why.
    Invalid { reason: String },
}

#[derive(Clone, PartialEq)]
pub enum SecretData {
    /// `kubernetes.io/tls`: a certificate chain and its private key, both PEM, checked to belong together.
    Tls { chain: Arc<[u8]>, key: Arc<[u8]> },
    /// A TLS secret whose content cannot be used; the text says why.
    Invalid { reason: String },
    /// A secret of another type.
    Other { kind: Arc<str> },
}

impl std::fmt::Debug for Secret {
    // Holds a private key, in `data` and in `meta.document`: never printed.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Secret({})", self.meta.key.name)
    }
}
