//! Ingresses, with what ingress-nginx reads in annotations.

mod nginx;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use crate::Options;
use crate::fields::{Fields, Part};
use crate::output::{self, Head};
use crate::report::{Report, say};
use nginx::Annotations;

const CLASS: &str = "kubernetes.io/ingress.class";

type Name = (String, String);

/// A rule as it comes together: another Ingress may be its canary.
struct Made {
    path: Value,
    rule: Value,
    /// Rules that go before it, for requests with a header.
    before: Vec<Value>,
}

struct Site {
    head: Head,
    gateway: Value,
    secret: Option<String>,
    redirect: bool,
    /// Not served, as nobody knows who may call.
    locked: bool,
    access: Vec<(&'static str, Vec<String>)>,
    rules: Vec<Made>,
}

pub(crate) fn import(documents: &[Value], options: &Options, report: &mut Report) -> Vec<Value> {
    let of_kind = |kind: &'static str| documents.iter().filter(move |one| one["kind"] == kind);
    let mut ports = BTreeMap::new();
    for service in of_kind("Service") {
        let (namespace, name) = name_of(service);
        for port in service["spec"]["ports"].as_array().into_iter().flatten() {
            if let (Some(word), Some(number)) = (port["name"].as_str(), port["port"].as_u64()) {
                ports.insert((namespace.clone(), name.clone(), word.to_string()), number);
            }
        }
    }
    for other in documents.iter().filter(|one| one["kind"] != "Service" && one["kind"] != "Ingress")
    {
        let (namespace, name) = name_of(other);
        let kind = other["kind"].as_str().unwrap_or("a document without kind");
        report.object = format!("{kind} {namespace}/{name}");
        report.refused(
            "",
            say!("onlyIngress", "only kind Ingress is read, and Service for the names of ports"),
        );
    }
    let mut sites: BTreeMap<(Name, String), Site> = BTreeMap::new();
    let canary = |one: &&Value| {
        one["metadata"]["annotations"]["nginx.ingress.kubernetes.io/canary"] == "true"
    };
    // Canaries after what they are canaries of.
    let all =
        of_kind("Ingress").filter(|one| !canary(one)).chain(of_kind("Ingress").filter(canary));
    for ingress in all {
        let name = name_of(ingress);
        report.object = format!("Ingress {}/{}", name.0, name.1);
        Reader { ports: &ports, name, sites: &mut sites }.ingress(ingress, options, report);
    }
    let mut out = Vec::new();
    for site in sites.into_values() {
        write(site, &mut out);
    }
    out
}

fn name_of(document: &Value) -> Name {
    let text = |field: &str| document["metadata"][field].as_str();
    (text("namespace").unwrap_or("default").into(), text("name").unwrap_or_default().into())
}

struct Reader<'a> {
    ports: &'a BTreeMap<(String, String, String), u64>,
    name: Name,
    sites: &'a mut BTreeMap<(Name, String), Site>,
}

impl Reader<'_> {
    fn ingress(&mut self, ingress: &Value, options: &Options, report: &mut Report) {
        let empty = Map::new();
        let all = ingress["metadata"]["annotations"].as_object().unwrap_or(&empty);
        let mut annotations = Annotations::new(all);
        let mut spec = Fields::new(&ingress["spec"], "/spec");
        let gateway = self.gateway(&mut spec, all, options, report);
        let mut secrets = BTreeMap::new();
        for part in spec.list("tls") {
            let mut fields = part.fields();
            let hosts = fields.take("hosts").map(|part| part.texts()).unwrap_or_default();
            match fields.text("secretName") {
                Some(secret) => {
                    secrets.extend(hosts.iter().map(|host| (host.to_string(), secret.to_string())));
                    report.changed(&part.pointer, say!("hostsListenerSet", "a ListenerSet with HTTP and HTTPS for each host; the Gateway must permit it (spec.allowedListeners)"));
                }
                None => report.refused(
                    &part.pointer,
                    say!(
                        "noSecret",
                        "there is no Secret: a controller's own certificate cannot be said"
                    ),
                ),
            }
            fields.finish(report);
        }
        let policy = nginx::policy(&mut annotations, !secrets.is_empty(), report);
        let mut rules = spec.list("rules");
        let fallback = spec.take("defaultBackend");
        if let Some(part) = &fallback {
            report.mapped(&part.pointer, say!("everyHost", "a route for every host"));
        }
        let head = Head {
            namespace: self.name.0.clone(),
            name: self.name.1.clone(),
            labels: ingress["metadata"]["labels"].as_object().cloned().unwrap_or_default(),
            annotations: annotations.others(),
            parents: vec![gateway.clone()],
            hosts: Vec::new(),
        };
        let locked = annotations.locked();
        if locked {
            report.changed("/metadata/annotations", say!("accessOpen", "who may call is not imported: its routes have no parentRefs until somebody has said it"));
        }
        let several = rules
            .iter()
            .filter_map(|rule| rule.value["host"].as_str())
            .collect::<BTreeSet<_>>()
            .len();
        let mut seen = 0;
        for rule in &mut rules {
            let mut fields = rule.fields();
            let host = fields.text("host").unwrap_or_default().to_string();
            let key = (self.name.clone(), host.clone());
            let new = !self.sites.contains_key(&key);
            seen += usize::from(new);
            let mut head = if several > 1 && seen > 1 {
                head.named(format!("{}-{seen}", self.name.1))
            } else {
                head.clone()
            };
            if !host.is_empty() {
                head.hosts.push(host.clone());
                head.hosts.extend(policy.aliases.iter().cloned());
            }
            let secret = secrets.get(&host).cloned();
            let site = Site {
                head,
                gateway: gateway.clone(),
                redirect: policy.to_https && (secret.is_some() || policy.force_https),
                secret,
                locked,
                access: policy.access.clone(),
                rules: Vec::new(),
            };
            let http = fields.take("http");
            let mut made = Vec::new();
            if let Some(http) = http {
                let mut http = http.fields();
                for path in http.list("paths") {
                    made.extend(self.path(&path, &policy, report));
                }
                http.finish(report);
            }
            fields.finish(report);
            match &policy.canary {
                Some(canary) => self.join(&host, made, canary, &rule.pointer, report),
                None => self.sites.entry(key).or_insert(site).rules.extend(made),
            }
        }
        if let Some(part) = fallback {
            let backend = self.backend(&part, report);
            let path = json!({"type": "PathPrefix", "value": "/"});
            let rule = policy.rule(&path, backend, &part.pointer, report);
            let made = rule.map(|rule| Made { path, rule, before: Vec::new() });
            let head = if rules.is_empty() {
                head
            } else {
                head.named(format!("{}-default", self.name.1))
            };
            let site = Site {
                head,
                gateway,
                secret: None,
                redirect: false,
                locked,
                access: policy.access.clone(),
                rules: made.into_iter().collect(),
            };
            self.sites.insert((self.name.clone(), "*".into()), site);
        }
        spec.finish(report);
        annotations.finish(report);
    }

    fn gateway(
        &self,
        spec: &mut Fields<'_>,
        annotations: &Map<String, Value>,
        options: &Options,
        report: &mut Report,
    ) -> Value {
        let class = spec.text("ingressClassName");
        let class = class.or_else(|| annotations.get(CLASS)?.as_str());
        let text = options.gateway.as_deref().or(class).unwrap_or("gateway");
        let gateway = output::gateway(text, &self.name.0);
        let name = |field: &str| gateway[field].as_str().unwrap_or_default();
        let (namespace, name) = (name("namespace"), name("name"));
        match (&options.gateway, class) {
            (Some(_), _) => report.mapped(
                "/spec/ingressClassName",
                say!("gateway", "Gateway {}/{}", namespace, name),
            ),
            _ => report.changed(
                "/spec/ingressClassName",
                say!(
                    "gatewayOfClass",
                    "Gateway {}/{} is meant to be the class's: say which it is with --gateway",
                    namespace,
                    name
                ),
            ),
        }
        gateway
    }

    fn path(&self, part: &Part<'_>, policy: &nginx::Policy, report: &mut Report) -> Option<Made> {
        let mut fields = part.fields();
        let text = fields.text("path").unwrap_or("/");
        let kind = fields.text("pathType").unwrap_or("ImplementationSpecific");
        let backend = fields.take("backend");
        fields.finish(report);
        let path = policy.path(kind, text, &part.pointer, report);
        let backend = backend.and_then(|part| self.backend(&part, report));
        let rule = policy.rule(&path, backend, &part.pointer, report)?;
        Some(Made { path, rule, before: Vec::new() })
    }

    fn backend(&self, part: &Part<'_>, report: &mut Report) -> Option<Value> {
        let mut fields = part.fields();
        let service = fields.take("service");
        fields.refuse(
            &[("resource", "otherBackends", "back ends of other kinds cannot be said")],
            report,
        );
        fields.finish(report);
        let service = service?;
        let mut fields = service.fields();
        let name = fields.text("name").unwrap_or_default();
        let mut port = fields.take("port")?.fields();
        let number = port.number("number");
        let number = match (number, port.take("name")) {
            (Some(number), _) => number,
            (None, Some(word)) => {
                let key = word.value.as_str().unwrap_or_default().to_string();
                let found = self.ports.get(&(self.name.0.clone(), name.to_string(), key.clone()));
                match found {
                    Some(number) => {
                        report.mapped(
                            &word.pointer,
                            say!("portNumber", "{} is port {} of Service {}", key, number, name),
                        );
                        *number
                    }
                    None => {
                        report.refused(&word.pointer, say!("portUnknown", "which number port {} is, says Service {}, which is not here: its requests are answered 500", key, name));
                        return None;
                    }
                }
            }
            (None, None) => return None,
        };
        fields.finish(report);
        report.mapped(&service.pointer, say!("backend", "back end {}:{}", name, number));
        Some(json!({"name": name, "port": number}))
    }

    /// A canary takes its share of the rule that another Ingress has for the same host and path.
    fn join(
        &mut self,
        host: &str,
        made: Vec<Made>,
        canary: &nginx::Canary,
        pointer: &str,
        report: &mut Report,
    ) {
        for one in made {
            let main = self
                .sites
                .iter_mut()
                .filter(|((name, other), _)| name.0 == self.name.0 && other == host);
            let mut main =
                main.flat_map(|(_, site)| &mut site.rules).filter(|rule| rule.path == one.path);
            let Some(main) = main.next() else {
                report.refused(pointer, say!("canaryAlone", "there is no Ingress for the same host and path of which it would be the canary"));
                continue;
            };
            if let Some(condition) = &canary.header {
                let mut rule = one.rule.clone();
                rule["matches"][0]["headers"] = json!([condition]);
                main.before.push(rule);
            }
            if let Some(percent) = canary.weight {
                let own = one.rule["backendRefs"][0].clone();
                let mut own = own;
                own["weight"] = json!(percent);
                if let Some(list) = main.rule["backendRefs"].as_array_mut() {
                    if let Some(first) = list.first_mut() {
                        first["weight"] = json!(100_u64.saturating_sub(percent));
                    }
                    list.push(own);
                }
            }
            report.mapped(
                pointer,
                say!("canaryPart", "part of the rule of the Ingress that it is the canary of"),
            );
        }
    }
}

fn write(site: Site, out: &mut Vec<Value>) {
    let Site { mut head, gateway, secret, redirect, locked, access, rules } = site;
    let host = head.hosts.first().cloned();
    let rules: Vec<_> =
        rules.into_iter().flat_map(|one| one.before.into_iter().chain([one.rule])).collect();
    if let (Some(secret), Some(host)) = (&secret, &host) {
        let listeners = vec![
            output::http_listener("http", host),
            output::https_listener("https", host, secret),
        ];
        out.push(head.listener_set(&gateway, &listeners));
        let section = |name: &str| output::of_set(&head.namespace, &head.name, name);
        let (plain, secure) = (section("http"), section("https"));
        if redirect {
            let mut plain_head = head.named(format!("{}-http", head.name));
            plain_head.parents = vec![plain];
            out.push(plain_head.to_https(308));
            head.parents = vec![secure];
        } else {
            head.parents = vec![plain, secure];
        }
    }
    if locked {
        head.parents.clear();
    }
    for route in head.routes(&rules) {
        let name = route["metadata"]["name"].as_str().unwrap_or_default().to_string();
        out.push(route);
        for (action, blocks) in &access {
            let target =
                json!({"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "name": name});
            let head = head.named(format!("{name}-{}", action.to_lowercase()));
            out.push(output::access(&head, &target, action, blocks));
        }
    }
}
