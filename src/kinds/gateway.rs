use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;

use model::{
    AllowedNamespaces, CertificateRef, ClientValidation, FrontendTls, Gateway, GatewayAddress,
    GatewayClass, GrantFrom, GrantTo, Infrastructure, Listener, ListenerProtocol, ListenerSet,
    Meta, NamespacedName, ParametersRef, ParentRef, ReferenceGrant, RouteKind, TlsMode,
    WantedAddress, codes,
};

use crate::at::{At, Fields};
use crate::http_route::parent_ref;
use crate::report::Report;
use crate::{selector, values};

const GATEWAY_GROUP: &str = "gateway.networking.k8s.io";

pub(crate) fn gateway_class(meta: Meta, root: At<'_>, report: &mut Report) -> GatewayClass {
    let mut controller = "".into();
    let mut parameters = None;
    if let Some(mut spec) = root.fields().object("spec") {
        controller = spec.shared("controllerName").unwrap_or(controller);
        parameters = spec.take("parametersRef").map(|at| parameters_ref(at, &"".into(), report));
        spec.ignore(&["description"]);
        spec.finish(report);
    }
    GatewayClass { meta, controller, parameters }
}

fn parameters_ref(at: At<'_>, namespace: &Arc<str>, report: &mut Report) -> ParametersRef {
    let pointer = at.shared_pointer();
    let mut f = at.fields();
    let reference = ParametersRef {
        pointer,
        group: f.shared("group").unwrap_or_default(),
        kind: f.shared("kind").unwrap_or_default(),
        name: NamespacedName {
            namespace: f.shared("namespace").unwrap_or_else(|| namespace.clone()),
            name: f.shared("name").unwrap_or_default(),
        },
    };
    f.finish(report);
    reference
}

fn infrastructure(mut f: Fields<'_>, namespace: &Arc<str>, report: &mut Report) -> Infrastructure {
    let mut strings = |name| f.take(name).map(|at| at.strings()).unwrap_or_default();
    let (labels, annotations) = (strings("labels"), strings("annotations"));
    let parameters = f.take("parametersRef").map(|at| parameters_ref(at, namespace, report));
    f.finish(report);
    Infrastructure { labels, annotations, parameters }
}

pub(crate) fn reference_grant(meta: Meta, root: At<'_>, report: &mut Report) -> ReferenceGrant {
    let (mut from, mut to) = (Vec::new(), Vec::new());
    if let Some(mut spec) = root.fields().object("spec") {
        for item in spec.items("from") {
            let mut f = item.fields();
            let mut take = |name| f.shared(name).unwrap_or_default();
            from.push(GrantFrom {
                group: take("group"),
                kind: take("kind"),
                namespace: take("namespace"),
            });
            f.finish(report);
        }
        for item in spec.items("to") {
            let mut f = item.fields();
            let (group, kind) =
                (f.shared("group").unwrap_or_default(), f.shared("kind").unwrap_or_default());
            // An empty name means every name, as in Kubernetes' own reading.
            to.push(GrantTo {
                group,
                kind,
                name: f.shared("name").filter(|name| !name.is_empty()),
            });
            f.finish(report);
        }
        spec.finish(report);
    }
    ReferenceGrant { meta, from, to }
}

pub(crate) fn listener_set(meta: Meta, root: At<'_>, report: &mut Report) -> ListenerSet {
    let namespace = meta.namespace().clone();
    let no_parent = ParentRef {
        group: "".into(),
        kind: "".into(),
        name: meta.name().clone(),
        section: None,
        port: None,
        pointer: "/spec/parentRef".into(),
    };
    let mut set = ListenerSet { meta, parent: no_parent, listeners: Vec::new() };
    let Some(mut spec) = root.fields().object("spec") else { return set };
    if let Some(at) = spec.take("parentRef") {
        set.parent = parent_ref(at, &namespace, report);
    }
    for item in spec.items("listeners") {
        set.listeners.push(listener(item, &namespace, report));
    }
    check_listeners_differ(&spec, report);
    spec.finish(report);
    set
}

pub(crate) fn gateway(meta: Meta, root: At<'_>, report: &mut Report) -> Gateway {
    let mut gateway = Gateway {
        meta,
        class: "".into(),
        listeners: Vec::new(),
        addresses: Vec::new(),
        allowed_listeners: AllowedNamespaces::None,
        frontend: FrontendTls::default(),
        client_certificate: None,
        infrastructure: Infrastructure::default(),
    };
    let Some(mut spec) = root.fields().object("spec") else { return gateway };
    gateway.class = spec.shared("gatewayClassName").unwrap_or_default();
    for item in spec.items("listeners") {
        let listener = listener(item, &gateway.meta.key.name.namespace, report);
        gateway.listeners.push(listener);
    }
    check_listeners_differ(&spec, report);
    let mut seen = HashSet::new();
    for item in spec.items("addresses") {
        let address = address(item, &mut seen, report);
        gateway.addresses.extend(address);
    }
    if let Some(tls) = spec.object("tls") {
        gateway_tls(tls, &mut gateway, report);
    }
    if let Some(f) = spec.object("infrastructure") {
        let namespace = gateway.meta.namespace().clone();
        gateway.infrastructure = infrastructure(f, &namespace, report);
    }
    if let Some(mut allowed) = spec.object("allowedListeners") {
        if let Some(namespaces) = allowed.object("namespaces") {
            gateway.allowed_listeners =
                allowed_namespaces(namespaces, AllowedNamespaces::None, report);
        }
        allowed.finish(report);
    }
    spec.finish(report);
    gateway
}

fn address(
    item: At<'_>,
    seen: &mut HashSet<IpAddr>,
    report: &mut Report,
) -> Option<GatewayAddress> {
    let pointer = item.shared_pointer();
    let mut f = item.fields();
    let kind = f.shared("type").unwrap_or_else(|| "IPAddress".into());
    let value = f.take("value").filter(|value| !value.text().is_empty());
    let wanted = match (&*kind, &value) {
        ("IPAddress", None) => WantedAddress::Ip(None),
        ("IPAddress", Some(value)) => {
            let ip = values::address(value, report)?;
            if !seen.insert(ip) {
                let text = "the address stands twice";
                report.error(codes::INVALID_VALUE, value.value(), text, "remove one");
            }
            WantedAddress::Ip(Some(ip))
        }
        ("Hostname", value) => WantedAddress::Hostname(value.as_ref().map(At::shared)),
        (_, value) => {
            let value = value.as_ref().map(At::shared).unwrap_or_default();
            WantedAddress::Other { kind, value }
        }
    };
    f.finish(report);
    Some(GatewayAddress { pointer, wanted })
}

fn gateway_tls(mut tls: Fields<'_>, gateway: &mut Gateway, report: &mut Report) {
    let namespace = gateway.meta.namespace().clone();
    if let Some(mut backend) = tls.object("backend") {
        gateway.client_certificate = backend
            .take("clientCertificateRef")
            .map(|at| certificate_ref(at, "Secret", &namespace, report));
        backend.finish(report);
    }
    if let Some(mut frontend) = tls.object("frontend") {
        if let Some(default) = frontend.object("default") {
            gateway.frontend.default = client_validation(default, &namespace, report);
        }
        for item in frontend.items("perPort") {
            let mut f = item.fields();
            let port = f.take("port").map_or(0, |at| at.port());
            let validation =
                f.object("tls").and_then(|tls| client_validation(tls, &namespace, report));
            gateway.frontend.ports.insert(port, validation);
            f.finish(report);
        }
        frontend.finish(report);
    }
    tls.finish(report);
}

fn client_validation(
    mut tls: Fields<'_>,
    namespace: &Arc<str>,
    report: &mut Report,
) -> Option<ClientValidation> {
    let at = tls.take("validation");
    tls.finish(report);
    let at = at?;
    let pointer = at.shared_pointer();
    let mut f = at.fields();
    let authorities = f
        .items("caCertificateRefs")
        .into_iter()
        .map(|item| certificate_ref(item, "", namespace, report))
        .collect();
    let insecure_fallback = f.text("mode") == Some("AllowInsecureFallback");
    f.finish(report);
    Some(ClientValidation { authorities, pointer, insecure_fallback })
}

pub(crate) fn certificate_ref(
    item: At<'_>,
    kind: &'static str,
    namespace: &Arc<str>,
    report: &mut Report,
) -> CertificateRef {
    let pointer = item.shared_pointer();
    let mut f = item.fields();
    let reference = CertificateRef {
        pointer,
        group: f.shared("group").unwrap_or_default(),
        kind: f.shared("kind").unwrap_or_else(|| kind.into()),
        namespace: f.shared("namespace").unwrap_or_else(|| namespace.clone()),
        name: f.shared("name").unwrap_or_default(),
    };
    f.finish(report);
    reference
}

fn listener(item: At<'_>, namespace: &Arc<str>, report: &mut Report) -> Listener {
    let pointer = item.shared_pointer();
    let mut f = item.fields();
    let name = f.shared("name").unwrap_or_default();
    let port = f.take("port").map_or(0, |at| at.port());
    let protocol_text = f.text("protocol").unwrap_or_default();
    let protocol = protocol(protocol_text);
    let tls = f.take("tls");
    // The schema permits an empty host name, which stands for none.
    let host = f.take("hostname").filter(|at| !at.text().is_empty());
    if let (Ok(ListenerProtocol::Tcp | ListenerProtocol::Udp), Some(host)) = (&protocol, &host) {
        let text = format!("a {protocol_text} listener has no hostname");
        report.error(
            codes::INVALID_VALUE,
            host.value(),
            text,
            "remove it: the protocol carries no host name",
        );
    }
    let hostname = host.and_then(|at| values::hostname(&at, report));
    let mut listener = Listener {
        name,
        pointer,
        port,
        protocol,
        hostname,
        tls_mode: TlsMode::Terminate,
        certificates: Vec::new(),
        namespaces: AllowedNamespaces::Same,
        kinds: Vec::new(),
    };
    match (&listener.protocol, tls) {
        (Ok(ListenerProtocol::Http | ListenerProtocol::Tcp | ListenerProtocol::Udp), Some(tls)) => {
            let text = format!("a {protocol_text} listener has no tls");
            report.error(
                codes::INVALID_VALUE,
                tls.place(),
                text,
                "use protocol HTTPS or TLS, or remove it",
            );
        }
        (Ok(ListenerProtocol::Tls), None) => {
            report.error(
                codes::INVALID_VALUE,
                f.at.place(),
                "a TLS listener needs tls with a mode",
                "add tls.mode",
            );
        }
        (_, Some(tls)) => listener_tls(tls, &mut listener, namespace, report),
        (_, None) => {}
    }
    if let Some(mut allowed) = f.object("allowedRoutes") {
        for item in allowed.items("kinds") {
            let mut kind = item.fields();
            let group = kind.shared("group").unwrap_or_else(|| GATEWAY_GROUP.into());
            listener.kinds.push(RouteKind { group, kind: kind.shared("kind").unwrap_or_default() });
            kind.finish(report);
        }
        if let Some(namespaces) = allowed.object("namespaces") {
            listener.namespaces = allowed_namespaces(namespaces, AllowedNamespaces::Same, report);
        }
        allowed.finish(report);
    }
    f.finish(report);
    listener
}

fn protocol(text: &str) -> Result<ListenerProtocol, Arc<str>> {
    let all = [
        ListenerProtocol::Http,
        ListenerProtocol::Https,
        ListenerProtocol::Tls,
        ListenerProtocol::Tcp,
        ListenerProtocol::Udp,
    ];
    all.into_iter().find(|protocol| protocol.as_str() == text).ok_or_else(|| text.into())
}

fn listener_tls(tls: At<'_>, listener: &mut Listener, namespace: &Arc<str>, report: &mut Report) {
    let place = tls.place();
    let mut f = tls.fields();
    if let Some(mode) = f.take("mode").filter(|mode| mode.text() == "Passthrough") {
        listener.tls_mode = TlsMode::Passthrough;
        if listener.protocol == Ok(ListenerProtocol::Https) {
            let hint = "use protocol TLS for Passthrough";
            report.error(
                codes::INVALID_VALUE,
                mode.value(),
                "an HTTPS listener must terminate TLS",
                hint,
            );
        }
    }
    for item in f.items("certificateRefs") {
        listener.certificates.push(certificate_ref(item, "Secret", namespace, report));
    }
    let has_options = f.at.node.get("options").is_some_and(|(_, node)| !node.entries().is_empty());
    if listener.tls_mode == TlsMode::Terminate && listener.certificates.is_empty() && !has_options {
        let text = "a listener that terminates TLS needs a certificate";
        report.error(
            codes::INVALID_VALUE,
            place,
            text,
            "add tls.certificateRefs with the name of a Secret",
        );
    }
    f.finish(report);
}

fn allowed_namespaces(
    mut f: Fields<'_>,
    default: AllowedNamespaces,
    report: &mut Report,
) -> AllowedNamespaces {
    let place = f.at.place();
    let from = f.text("from");
    let selector = f.object("selector").map(|s| selector::full(s, report));
    f.finish(report);
    match (from, selector) {
        (Some("All"), _) => AllowedNamespaces::All,
        (Some("Same"), _) => AllowedNamespaces::Same,
        (Some("None"), _) => AllowedNamespaces::None,
        (Some("Selector"), Some(selector)) => AllowedNamespaces::Selector(selector),
        (Some("Selector"), None) => {
            report.error(
                codes::MISSING_FIELD,
                place,
                "`from: Selector` needs a selector",
                "add one, or write All or Same",
            );
            AllowedNamespaces::None
        }
        _ => default,
    }
}

/// Gateway API: port, protocol and hostname together tell the listeners of a Gateway apart. Names are compared by the
/// schema.
fn check_listeners_differ(spec: &Fields<'_>, report: &mut Report) {
    let mut seen: HashMap<(i64, &str, String), &str> = HashMap::new();
    let Some(mut listeners) = spec.at.node.get("listeners").map(|_| spec.at.clone().fields())
    else {
        return;
    };
    for item in listeners.items("listeners") {
        let place = item.place();
        let mut f = item.fields();
        let name = f.text("name").unwrap_or_default();
        let port = f.take("port").map_or(0, |at| at.int());
        let host = f.text("hostname").unwrap_or_default().to_ascii_lowercase();
        let protocol = f.text("protocol").unwrap_or_default();
        if let Some(first) = seen.insert((port, protocol, host), name) {
            let text = format!(
                "the listeners {first} and {name} have the same port, protocol and hostname"
            );
            report.error(
                codes::LISTENER_CONFLICT,
                place,
                text,
                "no request could be told to belong to one of them",
            );
        }
    }
}
