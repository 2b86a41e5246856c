//! Ingresses → the routes and listeners that they stand for.
//!
//! ```text
//! Ingress ─── class ───► IngressClass ─── parameters ───► Gateway
//!    ├─ a rule           ──► an HTTPRoute of the Gateway, for the rule's host
//!    ├─ default back end ──► an HTTPRoute for every host
//!    └─ tls              ──► a ListenerSet of the Gateway with an HTTPS listener for each host
//! ```
//!
//! What is made is held to the Gateway's own rules: which namespaces its listeners admit, and whose ListenerSets
//! (`allowedListeners`). Where several Ingresses want a certificate for one host, the oldest has it, and all are served
//! behind it. Nothing of this is ever written anywhere: the names have a colon, which no written object can have.

use std::collections::BTreeSet;
use std::sync::Arc;

use imbl::{HashMap, OrdMap};
use model::{
    AllowedNamespaces, Backend, BackendRef, CertificateRef, Hostname, Ingress, IngressBackend,
    Kind, Listener, ListenerProtocol, ListenerSet, Meta, NamespacedName, Object, ObjectKey,
    ParentRef, PathMatch, Route, RouteMatch, Rule, TargetPort, Timeouts, TlsMode,
};

use crate::{Catalog, Key};

/// `spec.controller` of an IngressClass whose Ingresses are served.
pub const INGRESS_CONTROLLER: &str = "isthmus.dev/ingress-controller";

const HTTPS: u16 = 443;

/// A host with TLS on a Gateway.
type Site = (NamespacedName, Hostname);
/// Age, Ingress, Secret.
type Claim = (i64, NamespacedName, Option<Arc<str>>);

#[derive(Clone, Debug, Default)]
pub(crate) struct Ingresses {
    /// Who wants a certificate for each host: the first has it.
    claims: OrdMap<Site, BTreeSet<Claim>>,
    /// Who has a rule for each host.
    rules: OrdMap<Site, BTreeSet<NamespacedName>>,
    made: HashMap<NamespacedName, Made>,
    /// Ingresses that name a port of the Service.
    by_service: OrdMap<NamespacedName, BTreeSet<NamespacedName>>,
}

/// What came of one Ingress.
#[derive(Clone, Debug, Default)]
struct Made {
    objects: BTreeSet<ObjectKey>,
    claims: Vec<(Site, Claim)>,
    rules: BTreeSet<Site>,
    services: BTreeSet<NamespacedName>,
}

impl Ingresses {
    /// Brings what is made of Ingresses in step with what changed.
    pub(crate) fn settle(&mut self, next: &mut Catalog, changed: &mut Vec<Key>) {
        let mut stale = BTreeSet::new();
        let mut classes = false;
        for key in changed.iter() {
            match key {
                Key::Object(key) if key.kind == Kind::Ingress => {
                    stale.insert(key.name.clone());
                }
                Key::Object(key) if key.kind == Kind::Service => {
                    stale.extend(self.by_service.get(&key.name).into_iter().flatten().cloned());
                }
                Key::Object(key) => classes |= key.kind == Kind::IngressClass,
                _ => {}
            }
        }
        if classes {
            stale.extend(next.list(Kind::Ingress).map(|object| object.meta().name().clone()));
        }
        let mut todo = stale.clone();
        for name in &stale {
            self.claim(next, name, &mut todo);
        }
        for name in &todo {
            self.make(next, name, changed);
        }
    }

    /// Notes which hosts the Ingress has rules for, and of which it wants a certificate. Adds to `todo` whoever has a rule for
    /// one of the latter.
    fn claim(
        &mut self,
        next: &Catalog,
        name: &NamespacedName,
        todo: &mut BTreeSet<NamespacedName>,
    ) {
        let made = self.made.entry(name.clone()).or_default();
        for site in std::mem::take(&mut made.rules) {
            take(&mut self.rules, &site, name);
        }
        for (site, claim) in std::mem::take(&mut made.claims) {
            take(&mut self.claims, &site, &claim);
            todo.extend(self.rules.get(&site).into_iter().flatten().cloned());
            todo.extend(self.claims.get(&site).into_iter().flatten().map(|(_, n, _)| n.clone()));
        }
        let Some((ingress, gateway)) = served(next, name) else { return };
        for host in ingress.rules.iter().filter_map(|rule| rule.host.clone()) {
            let site = (gateway.clone(), host);
            self.rules.entry(site.clone()).or_default().insert(name.clone());
            made.rules.insert(site);
        }
        for tls in &ingress.tls {
            let hosts = if tls.hosts.is_empty() {
                ingress.rules.iter().filter_map(|rule| rule.host.clone()).collect()
            } else {
                tls.hosts.clone()
            };
            for host in hosts {
                let site = (gateway.clone(), host);
                let age = ingress.meta.created.unwrap_or(i64::MAX);
                let claim = (age, name.clone(), tls.secret.clone());
                let claims = self.claims.entry(site.clone()).or_default();
                todo.extend(claims.iter().map(|(_, name, _)| name.clone()));
                claims.insert(claim.clone());
                todo.extend(self.rules.get(&site).into_iter().flatten().cloned());
                made.claims.push((site, claim));
            }
        }
    }

    fn make(&mut self, next: &mut Catalog, name: &NamespacedName, changed: &mut Vec<Key>) {
        let mut objects = Vec::new();
        let mut services = BTreeSet::new();
        if let Some((ingress, gateway)) = served(next, name) {
            let mut builder =
                Builder { catalog: next, ingress: &ingress, gateway: &gateway, services };
            objects.extend(self.routes(&mut builder));
            objects.extend(self.listener_sets(&ingress, &gateway));
            services = builder.services;
        }
        let made = self.made.entry(name.clone()).or_default();
        let keys: BTreeSet<_> = objects.iter().map(|object| object.key().clone()).collect();
        for key in made.objects.difference(&keys) {
            next.delete(key, changed);
        }
        for object in objects {
            next.put(object, changed);
        }
        for service in std::mem::replace(&mut made.services, services.clone()) {
            take(&mut self.by_service, &service, name);
        }
        for service in services {
            self.by_service.entry(service).or_default().insert(name.clone());
        }
        made.objects = keys;
        if made.objects.is_empty() && made.claims.is_empty() && made.rules.is_empty() {
            self.made.remove(name);
        }
    }

    fn routes(&self, builder: &mut Builder<'_>) -> Vec<Object> {
        let ingress = builder.ingress;
        let mut out = Vec::new();
        for (index, rule) in ingress.rules.iter().enumerate() {
            let rules = rule.paths.iter();
            let rules = rules
                .map(|path| builder.rule(path.path.clone(), path.backend.as_ref(), &path.pointer))
                .collect();
            let parents = self.parents(builder.gateway, rule.host.as_ref());
            out.push(builder.route(&index.to_string(), rule.host.clone(), parents, rules));
        }
        if let Some(backend) = &ingress.default {
            let rule =
                builder.rule(PathMatch::Prefix("/".into()), Some(backend), "/spec/defaultBackend");
            let hosts = ingress.rules.iter().map(|rule| rule.host.as_ref()).chain([None]);
            let mut parents: Vec<_> =
                hosts.flat_map(|host| self.parents(builder.gateway, host)).collect();
            parents.sort();
            parents.dedup();
            out.push(builder.route("default", None, parents, vec![rule]));
        }
        out
    }

    /// The Gateway, and the listener with the host's certificate.
    fn parents(&self, gateway: &NamespacedName, host: Option<&Hostname>) -> Vec<ParentRef> {
        let mut out = vec![parent(Kind::Gateway, gateway.clone())];
        let claims = host.and_then(|host| self.claims.get(&(gateway.clone(), host.clone())));
        if let Some(((_, owner, _), host)) = claims.and_then(BTreeSet::first).zip(host) {
            out.push(parent(Kind::ListenerSet, set_name(owner, gateway, host)));
        }
        out
    }

    /// For the hosts whose certificate this Ingress names.
    fn listener_sets(&self, ingress: &Ingress, gateway: &NamespacedName) -> Vec<Object> {
        let made = self.made.get(ingress.meta.name());
        let sites: BTreeSet<_> = made.into_iter().flat_map(|made| &made.claims).collect();
        let mut out = Vec::new();
        for (site, claim) in sites {
            if self.claims.get(site).and_then(BTreeSet::first) != Some(claim) {
                continue;
            }
            let host = &site.1;
            let pointer: Arc<str> = "/spec/tls".into();
            let certificates = claim.2.iter().map(|secret| CertificateRef {
                pointer: pointer.clone(),
                group: "".into(),
                kind: "Secret".into(),
                namespace: ingress.meta.namespace().clone(),
                name: secret.clone(),
            });
            let listener = Listener {
                name: "https".into(),
                pointer: pointer.clone(),
                port: HTTPS,
                protocol: Ok(ListenerProtocol::Https),
                hostname: Some(host.clone()),
                tls_mode: TlsMode::Terminate,
                certificates: certificates.collect(),
                namespaces: AllowedNamespaces::All,
                kinds: Vec::new(),
            };
            let name = set_name(ingress.meta.name(), gateway, host);
            out.push(Object::ListenerSet(Arc::new(ListenerSet {
                meta: meta(ingress, ObjectKey { kind: Kind::ListenerSet, name }),
                parent: parent(Kind::Gateway, gateway.clone()),
                listeners: vec![listener],
            })));
        }
        out
    }
}

fn take<K: Ord + Clone, V: Ord + Clone>(map: &mut OrdMap<K, BTreeSet<V>>, key: &K, value: &V) {
    if let Some(values) = map.get_mut(key) {
        values.remove(value);
        if values.is_empty() {
            map.remove(key);
        }
    }
}

struct Builder<'a> {
    catalog: &'a Catalog,
    ingress: &'a Ingress,
    gateway: &'a NamespacedName,
    /// Services of which a port was looked up by name.
    services: BTreeSet<NamespacedName>,
}

impl Builder<'_> {
    fn rule(&mut self, path: PathMatch, backend: Option<&IngressBackend>, pointer: &str) -> Rule {
        let matches = RouteMatch { path, method: None, headers: Vec::new(), query: Vec::new() };
        Rule {
            name: None,
            pointer: pointer.into(),
            matches: vec![matches],
            filters: Vec::new(),
            backends: backend.map(|backend| self.backend(backend)).into_iter().collect(),
            timeouts: Timeouts::default(),
            retry: None,
            session: None,
            fault: None,
        }
    }

    fn backend(&mut self, backend: &IngressBackend) -> Backend {
        let name = NamespacedName {
            namespace: self.ingress.meta.namespace().clone(),
            name: backend.service.clone(),
        };
        let port = match &backend.port {
            TargetPort::Number(port) => Some(*port),
            TargetPort::Name(wanted) => {
                self.services.insert(name.clone());
                let service = self.catalog.service(&name);
                service.and_then(|s| s.ports.iter().find(|p| p.name == *wanted)).map(|p| p.port)
            }
        };
        let target = BackendRef {
            group: Kind::Service.group().into(),
            kind: Kind::Service.as_str().into(),
            name,
            port,
            pointer: backend.pointer.clone(),
        };
        Backend { target, weight: 1, filters: Vec::new() }
    }

    fn route(
        &self,
        part: &str,
        host: Option<Hostname>,
        parents: Vec<ParentRef>,
        rules: Vec<Rule>,
    ) -> Object {
        let name = self.ingress.meta.name();
        let name = NamespacedName {
            namespace: name.namespace.clone(),
            name: format!("ingress:{}:{part}", name.name).into(),
        };
        Object::HttpRoute(Arc::new(Route {
            meta: meta(self.ingress, ObjectKey { kind: Kind::HttpRoute, name }),
            parents,
            hostnames: host.into_iter().collect(),
            rules,
        }))
    }
}

/// The Ingress and the Gateway of its class, if it has one of ours.
pub(crate) fn served(
    catalog: &Catalog,
    name: &NamespacedName,
) -> Option<(Arc<Ingress>, NamespacedName)> {
    let ingress = catalog.ingress(name)?;
    let mut classes = catalog.ingress_classes();
    let class = classes.find(|class| match &ingress.class {
        Some(name) => class.meta.name().name == *name,
        None => class.is_default,
    })?;
    let ours = &*class.controller == INGRESS_CONTROLLER;
    Some((ingress.clone(), class.gateway.clone().filter(|_| ours)?))
}

fn parent(kind: Kind, name: NamespacedName) -> ParentRef {
    ParentRef {
        group: kind.group().into(),
        kind: kind.as_str().into(),
        name,
        section: None,
        port: None,
        pointer: "/spec/ingressClassName".into(),
    }
}

fn set_name(owner: &NamespacedName, gateway: &NamespacedName, host: &Hostname) -> NamespacedName {
    let name = format!("ingress:{}:{}:{}", gateway.namespace, gateway.name, host.as_str());
    NamespacedName { namespace: owner.namespace.clone(), name: name.into() }
}

/// As the Ingress's own, so that what is said of the part is said of the Ingress.
fn meta(ingress: &Ingress, key: ObjectKey) -> Meta {
    let source = format!("ingress:{}", ingress.meta.name().name).into();
    Meta { key, source, document: "".into(), labels: Vec::new(), ..ingress.meta.clone() }
}
