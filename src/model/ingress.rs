use std::sync::Arc;

use crate::{Hostname, Meta, NamespacedName, PathMatch, TargetPort};

/// A Kubernetes `Ingress`, as it was written. What is served is made of it by the catalog.
#[derive(Clone, Debug, PartialEq)]
pub struct Ingress {
    pub meta: Meta,
    /// By `spec.ingressClassName` or, where that is not written, the older annotation.
    pub class: Option<Arc<str>>,
    /// For requests that no rule is for.
    pub default: Option<IngressBackend>,
    pub rules: Vec<IngressRule>,
    pub tls: Vec<IngressTls>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IngressRule {
    /// `None` for every host.
    pub host: Option<Hostname>,
    pub paths: Vec<IngressPath>,
    pub pointer: Arc<str>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IngressPath {
    pub path: PathMatch,
    /// `None` where it names something else than a Service: the path is answered 500.
    pub backend: Option<IngressBackend>,
    pub pointer: Arc<str>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IngressBackend {
    /// A Service of the Ingress's own namespace.
    pub service: Arc<str>,
    pub port: TargetPort,
    pub pointer: Arc<str>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IngressTls {
    /// Empty for those of all rules.
    pub hosts: Vec<Hostname>,
    /// A Secret of the Ingress's own namespace.
    pub secret: Option<Arc<str>>,
    pub pointer: Arc<str>,
}

/// Who serves the Ingresses of a class.
#[derive(Clone, Debug, PartialEq)]
pub struct IngressClass {
    pub meta: Meta,
    pub controller: Arc<str>,
    /// By `spec.parameters`: the Gateway that they are attached to.
    pub gateway: Option<NamespacedName>,
    /// Whether it is that of Ingresses that name none.
    pub is_default: bool,
}
