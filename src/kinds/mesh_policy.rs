//! Policies of the mesh: which connections workloads take, and who may call what.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::{
    AccessAction, AccessCondition, AccessKey, AccessPolicy, AccessRule, AccessSource, AccessTarget,
    CertificateRef, ExternalAuth, ExternalAuthProtocol, IpBlock, JwtKeys, JwtProvider, Meta,
    MtlsMode, NamespacedName, PeerPolicy, PolicyMode, Reach, Severity, codes,
};

use crate::at::{At, Fields};
use crate::http_route::backend_ref;
use crate::report::{Place, Report};
use crate::{policy, selector, values};

const GATEWAY_API: &str = "gateway.networking.k8s.io";
const SERVICES: [(&str, &str); 2] = [("", "Service"), ("isthmus.dev", "MeshService")];
const ENTRIES: [(&str, &str); 3] =
    [(GATEWAY_API, "HTTPRoute"), (GATEWAY_API, "GRPCRoute"), (GATEWAY_API, "Gateway")];

pub(crate) fn peer_policy(meta: Meta, root: At<'_>, report: &mut Report) -> PeerPolicy {
    let mut policy = PeerPolicy {
        meta,
        reach: Reach::default(),
        mtls: MtlsMode::default(),
        ports: BTreeMap::new(),
    };
    let Some(mut spec) = root.fields().object("spec") else { return policy };
    policy.reach = reach(&mut spec, &policy.meta, &SERVICES, report);
    policy.mtls = mtls(spec.text("mtls").unwrap_or_default());
    if let Some(at) = spec.take("ports") {
        for (key, mode) in at.node.entries() {
            // Written otherwise it would be a second name of a port.
            match key.text.parse::<u16>() {
                Ok(port) if port > 0 && port.to_string() == *key.text => {
                    policy.ports.insert(port, mtls(mode.text().unwrap_or_default()));
                }
                _ => {
                    let place = Place { pointer: at.pointer.clone(), mark: key.mark };
                    let text = format!("{} is not a port", report.quote(&key.text));
                    report.error(codes::INVALID_VALUE, place, text, "permitted are 1 to 65535");
                }
            }
        }
    }
    spec.finish(report);
    policy
}

fn mtls(text: &str) -> MtlsMode {
    match text {
        "Strict" => MtlsMode::Strict,
        "Disable" => MtlsMode::Disable,
        _ => MtlsMode::Permissive,
    }
}

fn reach(spec: &mut Fields<'_>, meta: &Meta, kinds: &[(&str, &str)], report: &mut Report) -> Reach {
    let items = spec.items("targetRefs");
    let targets = policy::targets(spec, meta, report);
    for (item, target) in items.iter().zip(&targets) {
        if !kinds.contains(&(target.group.as_ref(), target.kind.as_ref())) {
            let text = format!("a {} cannot be for this kind of object", meta.key.kind);
            let known: Vec<_> =
                kinds.iter().map(|(group, kind)| format!("{kind} of {group:?}")).collect();
            let hint = format!("one of {}", known.join(", "));
            report.error(codes::REFERENCE_KIND, item.place(), text, hint);
        }
    }
    Reach { selector: selector::workloads(spec, report), targets }
}

pub(crate) fn access_policy(meta: Meta, root: At<'_>, report: &mut Report) -> AccessPolicy {
    let mut policy = AccessPolicy {
        meta,
        reach: Reach::default(),
        mode: PolicyMode::default(),
        action: AccessAction::Allow,
        rules: Vec::new(),
        jwt: Vec::new(),
    };
    let Some(mut spec) = root.fields().object("spec") else { return policy };
    let kinds = [&SERVICES[..], &ENTRIES[..]].concat();
    policy.reach = reach(&mut spec, &policy.meta, &kinds, report);
    policy.mode = match spec.text("mode") {
        Some("Shadow") => PolicyMode::Shadow,
        Some("Off") => PolicyMode::Off,
        _ => PolicyMode::Enforce,
    };
    let own = policy.meta.namespace().clone();
    policy.action = action(&mut spec, &own, report);
    let rules = spec.items("rules");
    if rules.is_empty() && policy.action != AccessAction::Allow {
        let text = "a policy that does not allow is for the requests of its rules, and it has none";
        let hint = "a rule without parts, `- {}`, is for every request";
        report.say(Severity::Warning, codes::POLICY_WITHOUT_RULES, spec.at.place(), text, hint);
    }
    policy.rules = rules.into_iter().map(|item| rule(item, &own, report)).collect();
    policy.jwt = spec.items("jwt").into_iter().filter_map(|at| jwt(at, &own, report)).collect();
    spec.finish(report);
    policy
}

fn action(spec: &mut Fields<'_>, own: &Arc<str>, report: &mut Report) -> AccessAction {
    let word = spec.text("action").unwrap_or_default();
    let asked = spec.take("externalAuth");
    match (word, asked) {
        ("Custom", Some(at)) => AccessAction::Custom(external_auth(at.fields(), own, report)),
        ("Custom", None) => {
            let text = "the action Custom asks an authorization service, and none is named";
            report.error(codes::MISSING_FIELD, spec.at.place(), text, "add `externalAuth`");
            AccessAction::Allow
        }
        (_, Some(at)) => {
            let text = "only the action Custom asks an authorization service";
            let hint = "write `action: Custom`, or remove it";
            report.error(codes::INVALID_VALUE, at.place(), text, hint);
            AccessAction::Allow
        }
        ("Deny", None) => AccessAction::Deny,
        _ => AccessAction::Allow,
    }
}

fn external_auth(mut f: Fields<'_>, own: &Arc<str>, report: &mut Report) -> ExternalAuth {
    let at = f.take("backendRef").unwrap_or_else(|| f.at.clone());
    let mut reference = at.clone().fields();
    let backend = backend_ref(&mut reference, own, report);
    reference.finish(report);
    if !SERVICES.contains(&(backend.group.as_ref(), backend.kind.as_ref())) {
        let text = "only a Service or a MeshService can be asked";
        report.error(codes::REFERENCE_KIND, at.place(), text, "");
    }
    let prefix = f.take("pathPrefix");
    let protocol = if f.text("protocol") == Some("HTTP") {
        let path_prefix = prefix.map(|at| at.shared()).unwrap_or_default();
        ExternalAuthProtocol::Http { path_prefix }
    } else {
        if let Some(at) = prefix {
            let text = "a gRPC call has no path of its own";
            report.error(
                codes::INVALID_VALUE,
                at.value(),
                text,
                "remove it, or write `protocol: HTTP`",
            );
        }
        ExternalAuthProtocol::Grpc
    };
    let fail_open = f.take("failOpen").is_some_and(|at| at.is_true());
    f.finish(report);
    ExternalAuth { backend, protocol, fail_open }
}

fn rule(item: At<'_>, own: &Arc<str>, report: &mut Report) -> AccessRule {
    let pointer = item.shared_pointer();
    let mut f = item.fields();
    let rule = AccessRule {
        pointer,
        from: f.items("from").into_iter().map(|at| source(at.fields(), own, report)).collect(),
        to: f.items("to").into_iter().map(|at| target(at.fields(), report)).collect(),
        when: f.items("when").into_iter().map(|at| condition(at.fields(), report)).collect(),
    };
    f.finish(report);
    rule
}

fn source(mut f: Fields<'_>, own: &Arc<str>, report: &mut Report) -> AccessSource {
    let service = |text: Arc<str>| match text.split_once('/') {
        Some((namespace, name)) => NamespacedName::new(namespace, name),
        None => NamespacedName { namespace: own.clone(), name: text },
    };
    let source = AccessSource {
        principals: principals(&f.items("principals"), report),
        not_principals: principals(&f.items("notPrincipals"), report),
        namespaces: f.texts("namespaces"),
        not_namespaces: f.texts("notNamespaces"),
        services: f.texts("services").into_iter().map(service).collect(),
        ip_blocks: ip_blocks(&f.items("ipBlocks"), report),
        not_ip_blocks: ip_blocks(&f.items("notIpBlocks"), report),
    };
    f.finish(report);
    source
}

fn principals(items: &[At<'_>], report: &mut Report) -> Vec<Arc<str>> {
    for at in items {
        let id = at.text().strip_prefix("spiffe://").unwrap_or(at.text());
        if id.contains("://") || id.contains(char::is_whitespace) {
            let text = format!("{} is not a SPIFFE id", report.quote(at.text()));
            let hint = "for example cluster.local/ns/shop/sa/web";
            report.error(codes::INVALID_VALUE, at.value(), text, hint);
        }
    }
    items.iter().map(At::shared).collect()
}

fn ip_blocks(items: &[At<'_>], report: &mut Report) -> Vec<IpBlock> {
    items.iter().filter_map(|at| values::ip_block(at, report)).collect()
}

fn target(mut f: Fields<'_>, report: &mut Report) -> AccessTarget {
    let mut ports = |name| f.items(name).iter().map(At::port).collect();
    let (these, not_these) = (ports("ports"), ports("notPorts"));
    // Names of hosts are compared without regard to case; here they are all in small letters.
    let mut hosts = |name| -> Vec<Arc<str>> {
        f.texts(name).iter().map(|host| host.to_ascii_lowercase().into()).collect()
    };
    let target = AccessTarget {
        hosts: hosts("hosts"),
        not_hosts: hosts("notHosts"),
        methods: f.texts("methods"),
        not_methods: f.texts("notMethods"),
        paths: f.texts("paths"),
        not_paths: f.texts("notPaths"),
        ports: these,
        not_ports: not_these,
    };
    f.finish(report);
    target
}

fn condition(mut f: Fields<'_>, report: &mut Report) -> AccessCondition {
    let key = f.take("key").map_or(AccessKey::Claim(Vec::new()), |at| key(&at, report));
    let (values, not_values) = (f.texts("values"), f.texts("notValues"));
    if values.is_empty() && not_values.is_empty() {
        let text = "the condition says nothing of the value";
        report.error(codes::MISSING_FIELD, f.at.place(), text, "add `values` or `notValues`");
    }
    f.finish(report);
    AccessCondition { key, values, not_values }
}

/// `jwt.claims[a][b]` or `request.headers[a]`, which is the schema's pattern.
fn key(at: &At<'_>, report: &mut Report) -> AccessKey {
    let mut parts = at.text().split(['[', ']']).filter(|part| !part.is_empty());
    if parts.next() == Some("jwt.claims") {
        return AccessKey::Claim(parts.map(Arc::from).collect());
    }
    let name = parts.next().unwrap_or_default();
    if !values::is_token(name) {
        let text = format!("{} is not a header name", report.quote(name));
        report.error(codes::INVALID_VALUE, at.value(), text, "letters, digits and !#$%&'*+-.^_`|~");
    }
    AccessKey::Header(name.to_ascii_lowercase().into())
}

fn jwt(item: At<'_>, own: &Arc<str>, report: &mut Report) -> Option<JwtProvider> {
    let pointer = item.shared_pointer();
    let mut f = item.fields();
    let (issuer, audiences) = (f.shared("issuer").unwrap_or_default(), f.texts("audiences"));
    let keys = match (f.take("jwks"), f.take("configMapRef")) {
        (Some(at), None) => key_set(&at, report),
        (None, Some(at)) => {
            let pointer = at.shared_pointer();
            let mut reference = at.fields();
            let name = reference.shared("name").unwrap_or_default();
            reference.finish(report);
            let (group, kind, namespace) = ("".into(), "ConfigMap".into(), own.clone());
            Some(JwtKeys::ConfigMap(CertificateRef { pointer, group, kind, namespace, name }))
        }
        (None, None) => {
            let text = "nothing says with which keys the JWTs are signed";
            report.error(codes::MISSING_FIELD, f.at.place(), text, "add `jwks` or `configMapRef`");
            None
        }
        (Some(at), Some(_)) => {
            let text = "jwks and configMapRef exclude each other";
            report.error(codes::INVALID_VALUE, at.place(), text, "remove one");
            None
        }
    };
    f.finish(report);
    Some(JwtProvider { issuer, audiences, keys: keys?, pointer })
}

fn key_set(at: &At<'_>, report: &mut Report) -> Option<JwtKeys> {
    let parsed: Option<serde_json::Value> = serde_json::from_str(at.text()).ok();
    if parsed.is_none_or(|set| !set["keys"].is_array()) {
        let text = "this is no JSON Web Key Set";
        let hint = "JSON with a list `keys`, as the issuer has it at its jwks_uri";
        report.error(codes::INVALID_VALUE, at.value(), text, hint);
        return None;
    }
    Some(JwtKeys::Inline(at.shared()))
}
