//! What people look for in a document: a host, a path, an address, another object by its name. Read from the object as it
//! is in memory; no document is written out for it.

use std::net::IpAddr;

use model::{
    Endpoint, Hostname, Listener, NamespacedName, Object, PathMatch, PolicyTarget, Route, Source,
    SourceFrom, StringMatch, WantedAddress,
};

use crate::list::contains;

/// A text to look for, in lower case.
#[derive(Clone, Copy)]
pub(crate) struct Needle<'a> {
    text: &'a str,
    /// Whether an address can have it.
    numeric: bool,
}

impl<'a> Needle<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        let numeric = text.bytes().all(|b| b.is_ascii_hexdigit() || matches!(b, b'.' | b':'));
        Self { text, numeric }
    }

    pub(crate) fn in_object(self, object: &Object) -> bool {
        match object {
            Object::HttpRoute(route)
            | Object::GrpcRoute(route)
            | Object::TlsRoute(route)
            | Object::TcpRoute(route)
            | Object::UdpRoute(route) => self.in_route(route),
            Object::Gateway(gateway) => {
                self.in_listeners(&gateway.listeners)
                    || gateway.addresses.iter().any(|one| match &one.wanted {
                        WantedAddress::Ip(ip) => ip.is_some_and(|ip| self.in_address(ip)),
                        WantedAddress::Hostname(host) => self.in_any(host),
                        WantedAddress::Other { value, .. } => self.is_in(value),
                    })
            }
            Object::ListenerSet(set) => {
                self.in_listeners(&set.listeners) || self.in_name(&set.parent.name)
            }
            Object::Service(service) => {
                service.addresses.iter().any(|ip| self.in_address(*ip))
                    || self.in_any(&service.external_name)
            }
            Object::EndpointSlice(slice) => {
                self.in_endpoints(&slice.endpoints)
                    || slice.service.as_ref().is_some_and(|name| self.in_name(name))
            }
            Object::MeshService(service) => {
                self.in_hosts(&service.hosts) || service.sources.iter().any(|s| self.in_source(s))
            }
            Object::Pod(pod) => {
                pod.addresses.iter().any(|ip| self.in_address(*ip)) || self.is_in(&pod.account)
            }
            Object::Registry(registry) => self.in_any(&registry.addresses),
            Object::Ingress(ingress) => ingress.rules.iter().any(|rule| {
                self.in_hosts(&rule.host)
                    || rule.paths.iter().any(|path| {
                        self.in_path(&path.path)
                            || path.backend.as_ref().is_some_and(|b| self.is_in(&b.service))
                    })
            }),
            Object::AccessPolicy(policy) => self.in_targets(&policy.reach.targets),
            Object::BackendTlsPolicy(policy) => self.in_targets(&policy.targets),
            // Nothing of a Secret is looked at but its name.
            _ => false,
        }
    }

    fn is_in(self, text: &str) -> bool {
        contains(text, self.text)
    }

    fn in_any<T: AsRef<str>>(self, texts: impl IntoIterator<Item = T>) -> bool {
        texts.into_iter().any(|text| self.is_in(text.as_ref()))
    }

    fn in_name(self, name: &NamespacedName) -> bool {
        self.is_in(&name.name)
    }

    fn in_hosts<'h>(self, hosts: impl IntoIterator<Item = &'h Hostname>) -> bool {
        hosts.into_iter().any(|host| self.is_in(host.as_str()))
    }

    fn in_address(self, ip: IpAddr) -> bool {
        self.numeric && self.is_in(&ip.to_string())
    }

    fn in_endpoints(self, endpoints: &[Endpoint]) -> bool {
        self.numeric && endpoints.iter().any(|one| self.in_address(one.address))
    }

    fn in_listeners(self, listeners: &[Listener]) -> bool {
        self.in_hosts(listeners.iter().filter_map(|one| one.hostname.as_ref()))
    }

    fn in_targets(self, targets: &[PolicyTarget]) -> bool {
        targets.iter().any(|target| self.in_name(&target.name))
    }

    fn in_route(self, route: &Route) -> bool {
        self.in_hosts(&route.hostnames)
            || route.parents.iter().any(|parent| self.in_name(&parent.name))
            || route.rules.iter().any(|rule| {
                rule.matches.iter().any(|one| self.in_path(&one.path))
                    || rule.backends.iter().any(|backend| self.in_name(&backend.target.name))
            })
    }

    fn in_path(self, path: &PathMatch) -> bool {
        let part = |part: &Option<StringMatch>| match part {
            Some(StringMatch::Exact(text) | StringMatch::Regex(text)) => self.is_in(text),
            None => false,
        };
        match path {
            PathMatch::Exact(text) | PathMatch::Prefix(text) | PathMatch::Regex(text) => {
                self.is_in(text)
            }
            PathMatch::Method { service, method } => part(service) || part(method),
        }
    }

    fn in_source(self, source: &Source) -> bool {
        match &source.from {
            SourceFrom::Static(endpoints) => self.in_endpoints(endpoints),
            SourceFrom::Registry(of) => self.is_in(&of.id.name),
            SourceFrom::Kubernetes { name, .. } => self.in_name(name),
            SourceFrom::Dns { name, .. } => self.is_in(name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOCUMENTS: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: one, namespace: shop}
spec:
  parentRefs: [{name: edge}]
  hostnames: [shop.example.com]
  rules:
  - matches: [{path: {type: PathPrefix, value: /pay}}]
    backendRefs: [{name: Ledger, port: 80}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: two, namespace: shop}
spec:
  gatewayClassName: isthmus
  addresses: [{value: 192.0.2.7}]
  listeners: [{name: web, port: 80, protocol: HTTP, hostname: '*.example.org'}]
---
apiVersion: isthmus.dev/v1alpha1
kind: MeshService
metadata: {name: three, namespace: shop}
spec:
  hosts: [pay.corp]
  ports: [{name: http, port: 80}]
  sources: [{static: {endpoints: [{address: 10.1.2.3, port: 1}]}}, {kubernetes: {name: till}}]
---
apiVersion: v1
kind: Secret
metadata: {name: four, namespace: shop}
stringData: {password: hunter2}
";

    fn found(needle: &str) -> Vec<String> {
        let (source, file) = ("file".into(), "a.yaml".into());
        let parsed = kinds::parse(&source, &file, DOCUMENTS.as_bytes(), kinds::Limits::default());
        let fits = |object: &&Object| Needle::new(needle).in_object(object);
        parsed.objects.iter().filter(fits).map(|o| o.meta().name().name.to_string()).collect()
    }

    #[test]
    fn hosts_paths_addresses_and_names_of_others_are_found_and_secrets_are_not() {
        for (needle, wanted) in [
            ("shop.example", "one"),
            ("/pay", "one"),
            ("ledger", "one"),
            ("edge", "one"),
            ("example.org", "two"),
            ("192.0.2", "two"),
            ("pay.corp", "three"),
            (".1.2.", "three"),
            ("till", "three"),
        ] {
            assert_eq!(found(needle), [wanted], "{needle}");
        }
        for needle in ["hunter2", "hostnames", "password", "10.1.2.4"] {
            assert_eq!(found(needle), [""; 0], "{needle}");
        }
    }
}
