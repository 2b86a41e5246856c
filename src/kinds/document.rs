use std::rc::Rc;
use std::sync::{Arc, LazyLock};

use model::{Kind, Locations, Meta, Object, ObjectKey, Severity, codes};

use crate::at::At;
use crate::node::{Key, Mark, Node, Path, Value, push_segment};
use crate::report::{Place, Report, distance, nearest};
use crate::schema::Schema;
use crate::{
    core, gateway, gateway_config, grpc_route, http_route, ingress, lane, mesh, mesh_config,
    mesh_policy, pod, policy, registry, rollout, secret, stream_route, time,
};

const DEFAULT_NAMESPACE: &str = "default";

/// Pointers longer than this have no location of their own (that of the part around them counts), and a document has
/// no more locations than this: both keep a hostile document from costing many times its size.
const LONGEST_POINTER: usize = 512;
const MOST_LOCATIONS: usize = 200_000;

static SCHEMAS: LazyLock<Vec<(Kind, Schema)>> =
    LazyLock::new(|| Kind::ALL.into_iter().map(|kind| (kind, compile(kind))).collect());

/// The schema of a kind: upstream's, or our own.
pub fn schema_json(kind: Kind) -> serde_json::Value {
    let own = match kind {
        Kind::AccessPolicy => include_str!("schemas/isthmus.dev/AccessPolicy.json"),
        Kind::ConfigRollout => include_str!("schemas/isthmus.dev/ConfigRollout.json"),
        Kind::GatewayConfig => include_str!("schemas/isthmus.dev/GatewayConfig.json"),
        Kind::LaneGroup => include_str!("schemas/isthmus.dev/LaneGroup.json"),
        Kind::MeshConfig => include_str!("schemas/isthmus.dev/MeshConfig.json"),
        Kind::MeshService => include_str!("schemas/isthmus.dev/MeshService.json"),
        Kind::PeerPolicy => include_str!("schemas/isthmus.dev/PeerPolicy.json"),
        // Kubernetes', of which nearly nothing is read.
        Kind::Pod => include_str!("schemas/Pod.json"),
        Kind::Registry => include_str!("schemas/isthmus.dev/Registry.json"),
        Kind::SidecarScope => include_str!("schemas/isthmus.dev/SidecarScope.json"),
        _ => "",
    };
    let schema = match own {
        "" => proto::schema(kind.group(), kind.as_str()).cloned(),
        own => serde_json::from_str(own).ok(),
    };
    // Both are shipped with the program; the tests read them all.
    schema.unwrap_or_default()
}

fn compile(kind: Kind) -> Schema {
    let metadata = serde_json::from_str(include_str!("schemas/metadata.json")).unwrap_or_default();
    // A CRD leaves metadata to the API server.
    Schema::compile(&schema_json(kind), !is_custom(kind))
        .with_property("metadata", Schema::compile(&metadata, true))
}

/// Whether the kind comes from a CRD: those treat null as a value, Kubernetes' own kinds as an absent field.
fn is_custom(kind: Kind) -> bool {
    matches!(kind.group(), "gateway.networking.k8s.io" | "isthmus.dev")
}

/// What a document turned out to be.
pub(crate) enum Outcome {
    Object(Object),
    /// Known by name and not usable.
    Rejected(ObjectKey),
    /// Not ours, or not even known by name.
    Nothing,
}

/// The documents that a document stands for, each with its pointer: itself, or the items of a `List`.
pub(crate) fn expand(root: &Rc<Node>) -> Vec<(String, Rc<Node>)> {
    match root.get("items") {
        Some((_, items)) if is_list(root) && matches!(items.value, Value::List(_)) => items
            .items()
            .iter()
            .enumerate()
            .map(|(i, item)| (format!("/items/{i}"), item.clone()))
            .collect(),
        _ => vec![(String::new(), root.clone())],
    }
}

fn is_list(root: &Node) -> bool {
    let word = |name: &str| root.get(name).and_then(|(_, node)| node.text());
    (word("apiVersion"), word("kind")) == (Some("v1"), Some("List"))
}

/// The object that a document is, whatever else may be wrong with it.
pub(crate) fn key_of(root: &Node) -> Option<ObjectKey> {
    let mut unheard = Report::new(&Arc::from(""), None);
    let kind = identify(root, &mut unheard)?;
    object_key(root, kind, &mut unheard)
}

/// Reads one document. `file` is given where the document stands in a text.
pub(crate) fn read(
    root: &Rc<Node>,
    source: &Arc<str>,
    file: Option<&Arc<str>>,
    report: &mut Report,
) -> Outcome {
    let Some(kind) = identify(root, report) else { return Outcome::Nothing };
    if kind == Kind::Secret {
        report.hide_values();
    }
    let Some(key) = object_key(root, kind, report) else { return Outcome::Nothing };
    report.identify(key.clone());
    let Some((_, schema)) = SCHEMAS.iter().find(|(k, _)| *k == kind) else {
        return Outcome::Nothing;
    };
    let checked = check(root, kind, schema, report);
    if report.is_rejected() {
        return Outcome::Rejected(key);
    }
    let root = with_namespace(root, &key);
    let at = At::root(&checked);
    let meta = meta(key.clone(), source, file, &root);
    let object = convert(kind, meta, at, report);
    if report.is_rejected() { Outcome::Rejected(key) } else { Outcome::Object(object) }
}

/// Reads an object of an API server, which has given it its form: what is wrong in one rule of a route costs that rule,
/// and what is wrong elsewhere refuses the object, of which then as much is returned as could be read.
pub(crate) fn read_served(root: &Rc<Node>, kind: Kind, report: &mut Report) -> Option<Object> {
    if kind == Kind::Secret {
        report.hide_values();
    }
    let key = object_key(root, kind, report)?;
    report.identify(key.clone());
    // Kubernetes' own kinds are typed in the API server itself.
    let schema = SCHEMAS.iter().find(|(k, _)| *k == kind && is_custom(kind));
    let checked = match schema {
        Some((_, schema)) => schema.check(root, root.mark, Path::Root, report),
        None => root.clone(),
    };
    let meta = meta(key, report.source(), None, root);
    let mut object = convert(kind, meta, At::root(&checked), report);
    let faults = report.take_faults();
    if let (false, Some(route)) = (faults.is_empty(), object.as_route_mut()) {
        for (index, fault) in faults {
            if let Some(rule) = route.rules.get_mut(index) {
                let whole = |place: usize| !fault.all_matches && !fault.matches.contains(&place);
                let mut place = 0..;
                rule.matches.retain(|_| place.next().is_some_and(whole));
                rule.fault = Some(fault.text);
            }
        }
    }
    Some(object)
}

fn convert(kind: Kind, meta: Meta, at: At<'_>, report: &mut Report) -> Object {
    match kind {
        Kind::AccessPolicy => {
            Object::AccessPolicy(Arc::new(mesh_policy::access_policy(meta, at, report)))
        }
        Kind::BackendTlsPolicy => {
            Object::BackendTlsPolicy(Arc::new(policy::backend_tls(meta, at, report)))
        }
        Kind::ConfigMap => Object::ConfigMap(Arc::new(core::config_map(meta, at))),
        Kind::EndpointSlice => {
            Object::EndpointSlice(Arc::new(core::endpoint_slice(meta, at, report)))
        }
        Kind::Gateway => Object::Gateway(Arc::new(gateway::gateway(meta, at, report))),
        Kind::GatewayClass => {
            Object::GatewayClass(Arc::new(gateway::gateway_class(meta, at, report)))
        }
        Kind::GatewayConfig => {
            Object::GatewayConfig(Arc::new(gateway_config::gateway_config(meta, at, report)))
        }
        Kind::GrpcRoute => Object::GrpcRoute(Arc::new(grpc_route::grpc_route(meta, at, report))),
        Kind::HttpRoute => Object::HttpRoute(Arc::new(http_route::http_route(meta, at, report))),
        Kind::Ingress => Object::Ingress(Arc::new(ingress::ingress(meta, at, report))),
        Kind::IngressClass => {
            Object::IngressClass(Arc::new(ingress::ingress_class(meta, at, report)))
        }
        Kind::LaneGroup => Object::LaneGroup(Arc::new(lane::lane_group(meta, at, report))),
        Kind::ListenerSet => Object::ListenerSet(Arc::new(gateway::listener_set(meta, at, report))),
        Kind::MeshConfig => {
            Object::MeshConfig(Arc::new(mesh_config::mesh_config(meta, at, report)))
        }
        Kind::MeshService => Object::MeshService(Arc::new(mesh::mesh_service(meta, at, report))),
        Kind::Namespace => Object::Namespace(Arc::new(core::namespace(meta))),
        Kind::Node => Object::Node(Arc::new(core::node(meta))),
        Kind::PeerPolicy => {
            Object::PeerPolicy(Arc::new(mesh_policy::peer_policy(meta, at, report)))
        }
        Kind::Pod => Object::Pod(Arc::new(pod::pod(meta, &at, report))),
        Kind::ReferenceGrant => {
            Object::ReferenceGrant(Arc::new(gateway::reference_grant(meta, at, report)))
        }
        Kind::Registry => Object::Registry(Arc::new(registry::registry(meta, at, report))),
        Kind::Secret => Object::Secret(Arc::new(secret::secret(meta, at, report))),
        Kind::Service => Object::Service(Arc::new(core::service(meta, at, report))),
        Kind::ConfigRollout => {
            Object::ConfigRollout(Arc::new(rollout::config_rollout(meta, at, report)))
        }
        Kind::SidecarScope => {
            Object::SidecarScope(Arc::new(mesh_config::sidecar_scope(meta, at, report)))
        }
        Kind::TcpRoute => Object::TcpRoute(Arc::new(stream_route::stream_route(meta, at, report))),
        Kind::TlsRoute => Object::TlsRoute(Arc::new(stream_route::stream_route(meta, at, report))),
        Kind::UdpRoute => Object::UdpRoute(Arc::new(stream_route::stream_route(meta, at, report))),
    }
}

/// The versions of the kind that are read; the first is the one to write.
pub(crate) fn versions(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::Gateway | Kind::GatewayClass | Kind::HttpRoute | Kind::ReferenceGrant => {
            &["v1", "v1beta1"]
        }
        Kind::BackendTlsPolicy => &["v1", "v1alpha3"],
        Kind::TcpRoute | Kind::UdpRoute => &["v1", "v1alpha2"],
        Kind::TlsRoute => &["v1", "v1alpha3", "v1alpha2"],
        Kind::AccessPolicy
        | Kind::ConfigRollout
        | Kind::GatewayConfig
        | Kind::LaneGroup
        | Kind::MeshConfig
        | Kind::MeshService
        | Kind::PeerPolicy
        | Kind::Registry
        | Kind::SidecarScope => &["v1alpha1"],
        Kind::ConfigMap
        | Kind::EndpointSlice
        | Kind::GrpcRoute
        | Kind::Ingress
        | Kind::IngressClass
        | Kind::ListenerSet
        | Kind::Namespace
        | Kind::Node
        | Kind::Pod
        | Kind::Secret
        | Kind::Service => &["v1"],
    }
}

pub(crate) fn api_version(kind: Kind, version: &str) -> String {
    if kind.group().is_empty() { version.to_owned() } else { format!("{}/{version}", kind.group()) }
}

fn identify(root: &Node, report: &mut Report) -> Option<Kind> {
    let place = Place { pointer: String::new(), mark: root.mark };
    let Value::Map(entries) = &root.value else {
        let text =
            format!("expected an object with apiVersion, kind and metadata, found {}", root.what());
        report.error(codes::NOT_AN_OBJECT, place, text, "");
        return None;
    };
    if is_list(root) {
        let text = "a List needs `items`, and its items are no Lists";
        report.error(codes::NOT_AN_OBJECT, place, text, "");
        return None;
    }
    let mut word = |name: &'static str| match root.get(name) {
        Some((_, node)) if node.text().is_some_and(|text| !text.is_empty()) => {
            Some((node.text()?, node.mark))
        }
        Some((_, node)) => {
            let at = Place { pointer: format!("/{name}"), mark: node.mark };
            report.error(
                codes::NOT_AN_OBJECT,
                at,
                format!("{name} must be text, found {}", node.what()),
                "",
            );
            None
        }
        None => {
            let near =
                entries.iter().take(20).find(|(key, _)| nearest(&key.text, [name]).is_some());
            let hint = near.map_or(String::new(), |(key, _)| {
                format!("`{}` was probably meant to be `{name}`", key.text)
            });
            let at = Place { mark: near.map_or(place.mark, |(key, _)| key.mark), ..place.clone() };
            report.error(codes::NOT_AN_OBJECT, at, format!("the document has no {name}"), hint);
            None
        }
    };
    let (api, name) = (word("apiVersion"), word("kind"));
    let ((api, api_mark), (name, name_mark)) = (api?, name?);
    let (group, version) = api.split_once('/').unwrap_or(("", api));
    let Some(kind) = Kind::find(group, name) else {
        unknown_kind(group, api, name, (api_mark, name_mark), report);
        return None;
    };
    if !versions(kind).contains(&version) {
        let known: Vec<_> = versions(kind).iter().map(|v| api_version(kind, v)).collect();
        let at = Place { pointer: "/apiVersion".to_owned(), mark: api_mark };
        let text = format!("{kind} has no version {}", report.quote(version));
        report.error(codes::UNKNOWN_KIND, at, text, format!("write {}", known.join(" or ")));
        return None;
    }
    Some(kind)
}

/// A kind that is not read: a mistake where the group is ours or only misspelt, else somebody else's manifest.
fn unknown_kind(
    group: &str,
    api: &str,
    name: &str,
    (api_mark, kind_mark): (Mark, Mark),
    report: &mut Report,
) {
    let of_group = || Kind::ALL.into_iter().filter(|kind| kind.group() == group);
    let at_kind = Place { pointer: "/kind".to_owned(), mark: kind_mark };
    if is_ours(group) {
        let near = nearest(name, of_group().map(Kind::as_str));
        let known: Vec<_> = of_group().map(Kind::as_str).collect();
        let hint = near.map_or_else(
            || format!("known are {}", known.join(", ")),
            |n| format!("did you mean {n}?"),
        );
        let text = format!("{} has no kind {} that Isthmus knows", group, report.quote(name));
        report.error(codes::UNKNOWN_KIND, at_kind, text, hint);
        return;
    }
    // No other core kind is spelled like one of these.
    if group.is_empty()
        && api == "v1"
        && let Some(near) = of_group().map(Kind::as_str).find(|known| distance(name, known) <= 2)
    {
        let text = format!("v1 has no kind {}", report.quote(name));
        report.error(codes::UNKNOWN_KIND, at_kind, text, format!("did you mean {near}?"));
        return;
    }
    let mut same_name =
        Kind::ALL.into_iter().filter(|kind| kind.as_str() == name && is_custom(*kind));
    if let Some(kind) = same_name
        .find(|kind| api.len() < 100 && distance(group, kind.group()) <= 4 || api == kind.group())
    {
        let at = Place { pointer: "/apiVersion".to_owned(), mark: api_mark };
        let hint = format!("did you mean {}?", api_version(kind, versions(kind)[0]));
        report.error(
            codes::UNKNOWN_KIND,
            at,
            format!("no {name} is known in {}", report.quote(api)),
            hint,
        );
        return;
    }
    let text =
        format!("{} {} is not a kind that Isthmus reads", report.quote(api), report.quote(name));
    report.say(Severity::Info, codes::UNKNOWN_KIND, at_kind, text, "the document is ignored");
}

fn is_ours(group: &str) -> bool {
    matches!(group, "gateway.networking.k8s.io" | "gateway.networking.x-k8s.io" | "isthmus.dev")
}

/// Kind, namespace and name, even of a document that has other mistakes: they say whose last good version stays.
fn object_key(root: &Node, kind: Kind, report: &mut Report) -> Option<ObjectKey> {
    let metadata = root.get("metadata");
    let field = |name: &str| metadata.and_then(|(_, m)| m.get(name)).map(|(_, node)| node);
    let Some(name) = field("name").and_then(|node| node.text()).filter(|name| !name.is_empty())
    else {
        let (pointer, mark) = match (field("name"), metadata) {
            (Some(node), _) => ("/metadata/name", node.mark),
            (None, Some((key, _))) => ("/metadata", key.mark),
            (None, None) => ("", root.mark),
        };
        let hint = if field("generateName").is_some() {
            "generateName makes no name outside of a cluster"
        } else {
            ""
        };
        let text = format!("the {kind} has no metadata.name");
        report.error(codes::NOT_AN_OBJECT, Place { pointer: pointer.to_owned(), mark }, text, hint);
        return None;
    };
    let namespace = match field("namespace").and_then(|node| node.text()) {
        _ if !kind.namespaced() => "",
        Some(namespace) if !namespace.is_empty() => namespace,
        _ => DEFAULT_NAMESPACE,
    };
    Some(ObjectKey::new(kind, namespace, name))
}

fn check(root: &Rc<Node>, kind: Kind, schema: &Schema, report: &mut Report) -> Rc<Node> {
    let root = Rc::new(Node::new(Value::Map(without_status(root, kind)), root.mark));
    let namespace = root.get("metadata").and_then(|(_, metadata)| metadata.get("namespace"));
    if let (false, Some((key, _))) = (kind.namespaced(), namespace) {
        let at = Place { pointer: "/metadata/namespace".to_owned(), mark: key.mark };
        let text = format!("a {kind} has no namespace");
        report.say(Severity::Warning, codes::INVALID_VALUE, at, text, "remove it");
    }
    schema.check(&root, root.mark, Path::Root, report)
}

/// Status is written by controllers, in whatever shape their version has. That of a pod says where it is.
fn without_status(root: &Node, kind: Kind) -> Vec<(Key, Rc<Node>)> {
    let keep = |key: &Key| key.text.as_ref() != "status" || kind == Kind::Pod;
    root.entries().iter().filter(|(key, _)| keep(key)).cloned().collect()
}

/// The document as it is kept: without status, with the namespace that counts. Of a pod no more than is read.
fn with_namespace(root: &Node, key: &ObjectKey) -> Node {
    let mut entries = match key.kind {
        Kind::Pod => pod::trimmed(root),
        kind => without_status(root, kind),
    };
    for (name, metadata) in &mut entries {
        if name.text.as_ref() != "metadata" {
            continue;
        }
        let mut fields: Vec<_> = metadata
            .entries()
            .iter()
            .filter(|(field, _)| field.text.as_ref() != "namespace")
            .cloned()
            .collect();
        if key.kind.namespaced() {
            let (key, node) = match metadata.get("namespace") {
                Some((key, node)) if !node.is_null() => (key.clone(), node.clone()),
                _ => (
                    Key { text: "namespace".into(), mark: name.mark },
                    Rc::new(Node::new(Value::Text(key.name.namespace.as_ref().into()), name.mark)),
                ),
            };
            fields.push((key, node));
        }
        *metadata = Rc::new(Node::new(Value::Map(fields), metadata.mark));
    }
    Node::new(Value::Map(entries), root.mark)
}

fn meta(key: ObjectKey, source: &Arc<str>, file: Option<&Arc<str>>, root: &Node) -> Meta {
    let mut document = String::new();
    root.write_json(&mut document);
    let mut fields = At::root(root).fields();
    let mut metadata = fields.object("metadata");
    let mut take = |name| metadata.as_mut().and_then(|m| m.take(name));
    let created = take("creationTimestamp").and_then(|at| time::parse_rfc3339(at.text()));
    let generation = take("generation").map_or(0, |at| at.int());
    let mut strings = |name| take(name).map(|at| at.strings()).unwrap_or_default();
    let labels = strings("labels");
    let annotations = strings("annotations");
    let locations = file.map_or_else(Locations::default, |file| locations(file, root));
    Meta {
        key,
        source: source.clone(),
        labels,
        annotations,
        generation,
        created,
        locations: Arc::new(locations),
        document: document.into(),
    }
}

fn locations(file: &Arc<str>, root: &Node) -> Locations {
    let mut by_pointer = Vec::new();
    locate(root, root.mark, &mut String::new(), &mut by_pointer);
    by_pointer.sort_unstable();
    Locations { file: Some(file.clone()), by_pointer }
}

fn locate(node: &Node, key: Mark, pointer: &mut String, out: &mut Vec<(Box<str>, u32, u32)>) {
    if pointer.len() > LONGEST_POINTER || out.len() >= MOST_LOCATIONS {
        return;
    }
    let mark = if node.is_collection() { key } else { node.mark };
    out.push((pointer.as_str().into(), mark.line, mark.column));
    let length = pointer.len();
    for (key, child) in node.entries() {
        push_segment(pointer, &key.text);
        locate(child, key.mark, pointer, out);
        pointer.truncate(length);
    }
    for (index, child) in node.items().iter().enumerate() {
        push_segment(pointer, &index.to_string());
        locate(child, child.mark, pointer, out);
        pointer.truncate(length);
    }
}
