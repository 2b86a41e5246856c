//! Contour's HTTPProxies: one with a virtual host, and those that it includes.

mod conditions;
mod policies;
mod services;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use crate::Options;
use crate::fields::{Fields, Part};
use crate::output::{self, Head};
use crate::report::{Report, say};
use conditions::Conditions;

/// Those of the class, by which its controller knows an HTTPProxy.
const CLASSES: [&str; 2] = ["kubernetes.io/ingress.class", "projectcontour.io/ingress.class"];
const NOT_KEPT: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Includes in includes, and all of them together: each may name many, which name many.
const DEEPEST: usize = 32;
const MOST_INCLUDES: usize = 10_000;

type Name = (String, String);

struct Reader<'a> {
    proxies: BTreeMap<Name, &'a Value>,
    included: BTreeSet<Name>,
    /// How many virtual hosts have what one of them includes.
    includes: BTreeMap<Name, usize>,
    followed: usize,
    out: Vec<Value>,
}

/// What a virtual host says of all that is in it.
struct Site<'a> {
    gateway: Option<Value>,
    /// For requests by HTTP, where they are told apart.
    plain: Option<Head>,
    head: Head,
    cors: Option<Value>,
    access: Vec<(&'static str, Vec<String>)>,
    root: &'a Name,
}

pub(crate) fn import(documents: &[Value], options: &Options, report: &mut Report) -> Vec<Value> {
    let mut reader = Reader {
        proxies: BTreeMap::new(),
        included: BTreeSet::new(),
        includes: BTreeMap::new(),
        followed: 0,
        out: Vec::new(),
    };
    for document in documents {
        let kind = document["kind"].as_str().unwrap_or("a document without kind");
        let name = name_of(document);
        if kind == "HTTPProxy" {
            reader.proxies.insert(name, document);
            continue;
        }
        report.object = format!("{kind} {}/{}", name.0, name.1);
        let why = match kind {
            "TLSCertificateDelegation" => {
                say!(
                    "delegation",
                    "write a ReferenceGrant for kind Secret in the namespace of the Secret, from kind ListenerSet"
                )
            }
            "ExtensionService" => {
                say!("extensionService", "authorization and rate limit services are not imported")
            }
            _ => say!("onlyHttpProxy", "only kind HTTPProxy is read"),
        };
        report.refused("", why);
    }
    let roots: Vec<_> = reader.proxies.iter().map(|(name, one)| (name.clone(), *one)).collect();
    let roots = roots.into_iter().filter(|(_, one)| one["spec"]["virtualhost"].is_object());
    let roots: Vec<_> = roots.collect();
    for (name, root) in &roots {
        reader.count(name, root);
    }
    for (name, root) in &roots {
        reader.root(name, root, options, report);
    }
    for (name, _) in reader.proxies.iter().filter(|(name, one)| {
        !one["spec"]["virtualhost"].is_object() && !reader.included.contains(*name)
    }) {
        report.object = format!("HTTPProxy {}/{}", name.0, name.1);
        report.refused(
            "",
            say!("rootless", "it has no virtual host, and no HTTPProxy here includes it"),
        );
    }
    reader.out
}

fn name_of(document: &Value) -> Name {
    let text = |field: &str| document["metadata"][field].as_str();
    (text("namespace").unwrap_or("default").into(), text("name").unwrap_or_default().into())
}

impl<'a> Reader<'a> {
    fn count(&mut self, name: &Name, root: &'a Value) {
        let mut seen = BTreeSet::new();
        let mut todo = vec![(name.clone(), root)];
        while let Some((name, proxy)) = todo.pop() {
            for include in proxy["spec"]["includes"].as_array().into_iter().flatten() {
                let child = included(include, &name);
                if !seen.insert(child.clone()) {
                    continue;
                }
                *self.includes.entry(child.clone()).or_default() += 1;
                if let Some(proxy) = self.proxies.get(&child).copied() {
                    todo.push((child, proxy));
                }
            }
        }
    }

    fn root(&mut self, name: &Name, root: &'a Value, options: &Options, report: &mut Report) {
        report.object = format!("HTTPProxy {}/{}", name.0, name.1);
        let mut spec = Fields::new(&root["spec"], "/spec");
        let class = class(root, &mut spec);
        let gateway = parent(name, class, options, report);
        let Some(host) = spec.take("virtualhost") else { return };
        let mut host = host.fields();
        let fqdn = host.text("fqdn").unwrap_or_default().to_ascii_lowercase();
        report.mapped("/spec/virtualhost/fqdn", say!("hostName", "host name {}", fqdn));
        let head = Head {
            namespace: name.0.clone(),
            name: name.1.clone(),
            labels: root["metadata"]["labels"].as_object().cloned().unwrap_or_default(),
            annotations: annotations(root),
            parents: gateway.iter().cloned().collect(),
            hosts: if fqdn == "*" { Vec::new() } else { vec![fqdn.clone()] },
        };
        let cors = host.take("corsPolicy").and_then(|part| policies::cors(&part, report));
        let mut site = Site { gateway, plain: None, head, cors, access: Vec::new(), root: name };
        let tls = host.take("tls");
        let tcp = spec.take("tcpproxy");
        if let Some(tls) = &tls {
            self.tls(tls, &fqdn, tcp.is_some(), &mut site, report);
        }
        // Who was asked before must not become nobody.
        let asked = ["authorization", "jwtProviders"]
            .map(|field| root["spec"]["virtualhost"].get(field).is_some());
        let shows = !root["spec"]["virtualhost"]["tls"]["clientValidation"].is_null();
        if asked.contains(&true) || shows {
            site.head.parents.clear();
            site.plain = None;
            report.changed("/spec/virtualhost", say!("accessOpen", "who may call is not imported: its routes have no parentRefs until somebody has said it"));
        }
        host.refuse(
            &[
                ("authorization", "authorizationService", "authorization services are written as an AccessPolicy; this is not imported"),
                ("rateLimitPolicy", "noRateLimits", "there are no rate limits yet"),
                ("jwtProviders", "jwtIssuers", "issuers and keys of JWTs are written in an AccessPolicy; they are not imported"),
            ],
            report,
        );
        for (field, action) in [("ipAllowPolicy", "Allow"), ("ipDenyPolicy", "Deny")] {
            if let Some(part) = host.take(field) {
                site.access.push((action, policies::blocks(&part, report)));
                report.changed(&part.pointer, say!("hostAccessPolicy", "an AccessPolicy for all routes of the host; those of a route count beside it, not in its place"));
            }
        }
        host.finish(report);
        if let Some(tcp) = tcp {
            self.tcp(&tcp, tls.is_some(), &site, report);
        }
        self.routes(name, spec, &Conditions::default(), &site, &mut vec![name.clone()], report);
    }

    fn tls(
        &mut self,
        tls: &Part<'_>,
        fqdn: &str,
        tcp: bool,
        site: &mut Site<'_>,
        report: &mut Report,
    ) {
        let name = site.root;
        let mut fields = tls.fields();
        let passthrough = fields.flag("passthrough");
        let secret = fields.text("secretName");
        if let Some(part) = fields.take("minimumProtocolVersion") {
            match part.value.as_str() {
                Some("1.2") => {
                    report
                        .mapped(&part.pointer, say!("tls12Anyway", "TLS 1.2 is the least anyway"));
                }
                _ => report.refused(
                    &part.pointer,
                    say!("tlsLeast", "the least version of TLS cannot be said: it is 1.2"),
                ),
            }
        }
        fields.refuse(
            &[
                ("maximumProtocolVersion", "tlsGreatest", "the greatest version of TLS cannot be said"),
                ("clientValidation", "frontendOfPort", "say it in spec.tls.frontend of the Gateway, for the port"),
                ("enableFallbackCertificate", "fallbackCertificate", "a listener without a host name has the certificate for clients without a server name"),
            ],
            report,
        );
        fields.finish(report);
        let Some(gateway) = &site.gateway else {
            report.refused(
                &tls.pointer,
                say!("offlineListener", "it is offline: no listener is made"),
            );
            return;
        };
        let namespace = name.0.as_str();
        let mut listeners = Vec::new();
        if passthrough {
            let tls = json!({"name": "tls", "port": 443, "protocol": "TLS", "hostname": fqdn, "tls": {"mode": "Passthrough"}});
            listeners.push(tls);
        } else if let Some(secret) = secret {
            let mut listener = output::https_listener("https", fqdn, secret);
            if tcp {
                listener["name"] = json!("tls");
                listener["protocol"] = json!("TLS");
                listener["tls"]["mode"] = json!("Terminate");
            } else {
                listeners.push(output::http_listener("http", fqdn));
            }
            if secret.contains('/') {
                report.changed("/spec/virtualhost/tls/secretName", say!("secretGrant", "a Secret of another namespace needs a ReferenceGrant there, from kind ListenerSet"));
            }
            listeners.push(listener);
        } else {
            report.refused(&tls.pointer, say!("tlsEmpty", "neither a Secret nor passthrough"));
            return;
        }
        let set = site.head.listener_set(gateway, &listeners);
        self.out.push(set);
        report.changed(
            &tls.pointer,
            say!("hostListenerSet", "a ListenerSet with a listener for the host; the Gateway must permit it (spec.allowedListeners)"),
        );
        let section = |name: &str| output::of_set(namespace, &site.root.1, name);
        if passthrough || tcp {
            site.head.parents = vec![section("tls")];
            return;
        }
        // HTTP is for those routes only that permit it, and for the word to come by HTTPS.
        let mut plain = site.head.named(format!("{}-http", name.1));
        plain.parents = vec![section("http")];
        site.head.parents = vec![section("https")];
        self.out.push(plain.to_https(301));
        site.plain = Some(plain.named(format!("{}-insecure", name.1)));
    }

    fn tcp(&mut self, tcp: &Part<'_>, tls: bool, site: &Site<'_>, report: &mut Report) {
        let mut fields = tcp.fields();
        let services = services::read(&fields.list("services"), report);
        fields.refuse(
            &[
                (
                    "include",
                    "includedTcp",
                    "give the services here: an included tcpproxy is not followed",
                ),
                (
                    "includes",
                    "includedTcp",
                    "give the services here: an included tcpproxy is not followed",
                ),
                ("loadBalancerPolicy", "connectionsInTurn", "connections are given out in turn"),
                ("healthCheckPolicy", "noHealthChecks", "there are no active health checks yet"),
            ],
            report,
        );
        fields.finish(report);
        if !tls {
            report.refused(
                &tcp.pointer,
                say!(
                    "tcpWithoutTls",
                    "whole connections without TLS need a listener of their own: write a TCPRoute"
                ),
            );
            return;
        }
        let rules = json!([{"backendRefs": services.backends}]);
        let spec =
            json!({"parentRefs": site.head.parents, "hostnames": site.head.hosts, "rules": rules});
        let route = site.head.document("gateway.networking.k8s.io/v1", "TLSRoute", &spec);
        self.out.push(route);
        report.mapped(&tcp.pointer, say!("tlsRoute", "a TLSRoute"));
    }

    /// Its routes, then those of what it includes.
    fn routes(
        &mut self,
        name: &Name,
        mut spec: Fields<'a>,
        around: &Conditions,
        site: &Site<'_>,
        path: &mut Vec<Name>,
        report: &mut Report,
    ) {
        let object = format!("HTTPProxy {}/{}", name.0, name.1);
        report.object.clone_from(&object);
        let own = if name == site.root { site.head.clone() } else { self.child(name, site) };
        let (mut rules, mut insecure) = (Vec::new(), Vec::new());
        for (index, part) in spec.list("routes").iter().enumerate() {
            let route = policies::route(part, index, around, site.cors.as_ref(), report);
            let Some(policies::Made { rule, insecure: plain, access }) = route else { continue };
            for (action, blocks) in access {
                let target = json!({
                    "group": "gateway.networking.k8s.io", "kind": "HTTPRoute",
                    "name": own.name, "sectionName": rule["name"],
                });
                let head = own.named(format!("{}-{index}-{}", own.name, action.to_lowercase()));
                self.out.push(output::access(&head, &target, action, &blocks));
            }
            match &site.plain {
                Some(_) if plain => {
                    report.mapped(
                        &format!("{}/permitInsecure", part.pointer),
                        say!("httpToo", "for HTTP, too"),
                    );
                    insecure.push(rule.clone());
                }
                None if plain => report.mapped(
                    &format!("{}/permitInsecure", part.pointer),
                    say!("noTlsAnyway", "there is no TLS anyway"),
                ),
                _ => {}
            }
            rules.push(rule);
        }
        self.emit(&own, &rules, site);
        if let (Some(plain), false) = (&site.plain, insecure.is_empty()) {
            let head = Head {
                parents: plain.parents.clone(),
                ..own.named(format!("{}-insecure", own.name))
            };
            self.emit(&head, &insecure, site);
        }
        let includes = spec.list("includes");
        spec.take("ingressClassName");
        spec.finish(report);
        for part in includes {
            let child = included(part.value, name);
            let mut fields = part.fields();
            fields.take("name");
            fields.take("namespace");
            let conditions = Conditions::read(&fields.list("conditions"), report);
            fields.finish(report);
            let Some(conditions) = conditions else {
                report.refused(
                    &part.pointer,
                    say!("includeDropped", "nothing of it is imported: a condition cannot be kept"),
                );
                self.included.insert(child);
                continue;
            };
            if path.contains(&child) {
                report.refused(&part.pointer, say!("includesItself", "it includes itself"));
                continue;
            }
            self.followed += 1;
            if path.len() > DEEPEST || self.followed > MOST_INCLUDES {
                report.refused(&part.pointer, say!("tooManyIncludes", "too many includes"));
                continue;
            }
            let Some(proxy) = self.proxies.get(&child).copied() else {
                report.refused(
                    &part.pointer,
                    say!("includeMissing", "HTTPProxy {}/{} is not here", child.0, child.1),
                );
                continue;
            };
            report.mapped(
                &part.pointer,
                say!("included", "routes of HTTPProxy {}/{}, for this host", child.0, child.1),
            );
            if child.0 != site.root.0 {
                report.changed(
                    &part.pointer,
                    say!(
                        "includeAllowed",
                        "listeners must permit routes of that namespace (allowedRoutes)"
                    ),
                );
            }
            self.included.insert(child.clone());
            path.push(child.clone());
            let spec = Fields::new(&proxy["spec"], "/spec");
            self.routes(&child, spec, &around.and(&conditions), site, path, report);
            path.pop();
            report.object.clone_from(&object);
        }
    }

    /// Routes, and who may use them as far as the host says that.
    fn emit(&mut self, head: &Head, rules: &[Value], site: &Site<'_>) {
        for route in head.routes(rules) {
            let name = route["metadata"]["name"].as_str().unwrap_or_default().to_string();
            self.out.push(route);
            for (action, blocks) in &site.access {
                let target = json!({"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "name": name});
                let head = head.named(format!("{name}-{}", action.to_lowercase()));
                self.out.push(output::access(&head, &target, action, blocks));
            }
        }
    }

    /// Of the host that includes it; by a name of its own where several do.
    fn child(&self, name: &Name, site: &Site<'_>) -> Head {
        let proxy = self.proxies.get(name).copied().unwrap_or(&Value::Null);
        let often = self.includes.get(name).is_some_and(|count| *count > 1);
        let own = if often { format!("{}-{}", name.1, site.root.1) } else { name.1.clone() };
        let mut parents = site.head.parents.clone();
        for parent in &mut parents {
            if parent["namespace"].is_null() {
                parent["namespace"] = json!(site.root.0);
            }
        }
        Head {
            namespace: name.0.clone(),
            name: own,
            labels: proxy["metadata"]["labels"].as_object().cloned().unwrap_or_default(),
            annotations: annotations(proxy),
            parents,
            hosts: site.head.hosts.clone(),
        }
    }
}

fn included(include: &Value, by: &Name) -> Name {
    let namespace = include["namespace"].as_str().unwrap_or(&by.0);
    (namespace.into(), include["name"].as_str().unwrap_or_default().into())
}

/// Groups and domains of whoever wrote it are annotations, and stay so.
fn annotations(proxy: &Value) -> Map<String, Value> {
    let all = proxy["metadata"]["annotations"].as_object();
    let kept = all
        .into_iter()
        .flatten()
        .filter(|(name, _)| !CLASSES.contains(&name.as_str()) && name.as_str() != NOT_KEPT);
    kept.map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// The class and where it says so.
fn class<'a>(proxy: &'a Value, spec: &mut Fields<'a>) -> Option<(&'a str, String)> {
    let field = spec.take("ingressClassName");
    let of_field = field.and_then(|part| Some((part.value.as_str()?, part.pointer)));
    of_field.or_else(|| {
        let annotations = proxy["metadata"]["annotations"].as_object()?;
        let (name, value) =
            CLASSES.iter().find_map(|name| Some((name, annotations.get(*name)?.as_str()?)))?;
        Some((value, format!("/metadata/annotations/{}", name.replace('/', "~1"))))
    })
}

/// The Gateway; `None` for what is offline.
fn parent(
    name: &Name,
    class: Option<(&str, String)>,
    options: &Options,
    report: &mut Report,
) -> Option<Value> {
    let (class, pointer) = class.unwrap_or(("", "/spec/ingressClassName".into()));
    if let Some(gateway) = class.strip_suffix("-down") {
        report.changed(
            &pointer,
            say!("offlineAt", "it is offline at {}: its routes have no parentRefs; give them some to put them online", gateway),
        );
        return None;
    }
    let own = class.strip_suffix("-up").unwrap_or(class);
    let text = match (&options.gateway, own) {
        (Some(given), _) => given.as_str(),
        (None, "") => "contour",
        (None, own) => own,
    };
    let gateway = output::gateway(text, &name.0);
    let part = |field: &str| gateway[field].as_str().unwrap_or_default();
    let (namespace, name) = (part("namespace"), part("name"));
    let shown = match (&options.gateway, own) {
        (Some(_), _) => say!("gatewayAsked", "Gateway {}/{}, as was asked for", namespace, name),
        (None, "") => {
            say!("gatewayGuessed", "Gateway {}/{}, as nothing says which", namespace, name)
        }
        (None, _) => say!("gatewayByClass", "Gateway {}/{}, as its class says", namespace, name),
    };
    match own {
        "" => report.changed(&pointer, shown),
        _ => report.mapped(&pointer, shown),
    }
    Some(gateway)
}
