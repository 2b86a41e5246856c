//! What a case's outcome looks like in its files.

use std::fmt::Write;

use model::{Condition, Finding, ListenerStatus, ObjectStatus, ParentRef, ParentStatus};
use serde_json::Value as Json;
use serde_yaml::{Mapping, Value as Yaml};
use snapshot::{Resource, ResourceType, SetChange, Snapshot, dump};

use crate::case::Shown;
use crate::world::{Snapshots, World};

/// What a proxy is sent to get from one state to the next: by group, by type in send order. Types that are not shown
/// are lists of names.
pub(crate) fn difference(before: &Snapshots, after: &Snapshots, shown: &Shown) -> Mapping {
    let empty = Snapshot::default();
    let mut groups = Mapping::new();
    let mut names: Vec<_> = before.keys().chain(after.keys()).collect();
    names.sort();
    names.dedup();
    for name in names.into_iter().filter(|name| shown.group(name)) {
        let old = before.get(name).unwrap_or(&empty);
        let new = after.get(name).unwrap_or(&empty);
        let mut types = Mapping::new();
        for kind in ResourceType::ALL {
            let changes: Vec<_> = old.set(kind).diff(new.set(kind)).collect();
            if !changes.is_empty() {
                types.insert(kind.short().into(), resources(&changes, shown.types.contains(&kind)));
            }
        }
        if !types.is_empty() {
            groups.insert(name.to_string().into(), types.into());
        }
    }
    groups
}

fn resources(changes: &[SetChange<'_>], shown: bool) -> Yaml {
    let upserts: Vec<&Resource> = changes
        .iter()
        .filter_map(|change| match change {
            SetChange::Upsert(resource) => Some(resource.as_ref()),
            SetChange::Remove(_) => None,
        })
        .collect();
    let removed: Vec<Yaml> = changes
        .iter()
        .filter_map(|change| match change {
            SetChange::Upsert(_) => None,
            SetChange::Remove(resource) => Some(resource.name().to_string().into()),
        })
        .collect();
    let names = || upserts.iter().map(|r| Yaml::from(r.name().to_string())).collect::<Vec<_>>();
    let upserted: Yaml = if shown {
        let whole = upserts.iter().map(|r| (r.name().to_string().into(), body(r)));
        whole.collect::<Mapping>().into()
    } else {
        names().into()
    };
    match (upserts.is_empty(), removed.is_empty()) {
        (_, true) => upserted,
        (true, false) => {
            [("removed".into(), removed.into())].into_iter().collect::<Mapping>().into()
        }
        (false, false) => [("sent".into(), upserted), ("removed".into(), removed.into())]
            .into_iter()
            .collect::<Mapping>()
            .into(),
    }
}

/// The resource as the dump has it; type and name are said around it.
fn body(resource: &Resource) -> Yaml {
    let mut json = dump::resource(resource);
    if let Some(fields) = json.as_object_mut() {
        fields.retain(|field, _| !matches!(field.as_str(), "@type" | "name" | "cluster_name"));
    }
    yaml(&json)
}

/// Keys in order, a name first: whatever order the JSON library keeps.
fn yaml(json: &Json) -> Yaml {
    match json {
        Json::Null => Yaml::Null,
        Json::Bool(value) => Yaml::Bool(*value),
        Json::Number(number) => serde_yaml::to_value(number).unwrap(),
        Json::String(text) => text.clone().into(),
        Json::Array(items) => items.iter().map(yaml).collect::<Vec<_>>().into(),
        Json::Object(fields) => {
            let mut fields: Vec<_> = fields.iter().collect();
            fields.sort_by_key(|(key, _)| (key.as_str() != "name", key.as_str()));
            let fields = fields.into_iter().map(|(key, value)| (key.clone().into(), yaml(value)));
            fields.collect::<Mapping>().into()
        }
    }
}

/// One step stands alone; the steps of a history each under the name of its file.
pub(crate) fn xds(steps: &[(&str, Mapping)]) -> String {
    match steps {
        [(_, alone)] if alone.is_empty() => String::new(),
        [(_, alone)] => serde_yaml::to_string(alone).unwrap(),
        many => {
            let all: Mapping =
                many.iter().map(|(file, step)| ((*file).into(), step.clone().into())).collect();
            serde_yaml::to_string(&all).unwrap()
        }
    }
}

/// The fields of Gateway API's statuses, a line for each condition. Left out: what is the same everywhere
/// (`observedGeneration`, `controllerName`, `supportedFeatures`) and what belongs to whoever writes it down (`lastTransitionTime`).
pub(crate) fn status(world: &World) -> String {
    let mut out = String::new();
    for (key, status) in world.statuses() {
        let _ = writeln!(out, "{key}:");
        match status {
            ObjectStatus::GatewayClass(class) => conditions(&mut out, "  ", &class.conditions),
            ObjectStatus::Gateway(gateway) => {
                if !gateway.addresses.is_empty() {
                    let _ = writeln!(out, "  addresses: [{}]", gateway.addresses.join(", "));
                }
                if let Some(count) = gateway.attached_listener_sets {
                    let _ = writeln!(out, "  attachedListenerSets: {count}");
                }
                conditions(&mut out, "  ", &gateway.conditions);
                let _ = writeln!(out, "  listeners:");
                gateway.listeners.iter().for_each(|one| listener(&mut out, one));
            }
            ObjectStatus::Ingress(ingress) => {
                let addresses = ingress.addresses.join(", ");
                writeln!(out, "  gateway: {}\n  addresses: [{addresses}]", ingress.gateway)
                    .unwrap();
            }
            ObjectStatus::ListenerSet(set) => {
                conditions(&mut out, "  ", &set.conditions);
                let _ = writeln!(out, "  listeners:");
                set.listeners.iter().for_each(|one| listener(&mut out, one));
            }
            ObjectStatus::Policy(ancestors) => {
                let _ = writeln!(out, "  ancestors:");
                ancestors.iter().for_each(|one| parent(&mut out, one, "ancestorRef"));
            }
            ObjectStatus::Route(parents) if parents.is_empty() => {
                let _ = writeln!(out, "  parents: []");
            }
            ObjectStatus::Route(parents) => {
                let _ = writeln!(out, "  parents:");
                parents.iter().for_each(|one| parent(&mut out, one, "parentRef"));
            }
        }
    }
    out
}

fn listener(out: &mut String, status: &ListenerStatus) {
    let ListenerStatus { name, supported_kinds, attached_routes, conditions: all } = status;
    let kinds: Vec<_> = supported_kinds.iter().map(|(_, kind)| kind.as_ref()).collect();
    let _ = writeln!(out, "  - name: {name}");
    let _ = writeln!(out, "    attachedRoutes: {attached_routes}");
    let _ = writeln!(out, "    supportedKinds: [{}]", kinds.join(", "));
    conditions(out, "    ", all);
}

fn parent(out: &mut String, status: &ParentStatus, field: &str) {
    let ParentStatus { parent, conditions: all } = status;
    let ParentRef { group: _, kind, name, section, port, pointer: _ } = parent;
    let mut fields = vec![format!("kind: {kind}")];
    fields.push(format!("namespace: {}", name.namespace));
    fields.push(format!("name: {}", name.name));
    fields.extend(section.iter().map(|section| format!("sectionName: {section}")));
    fields.extend(port.iter().map(|port| format!("port: {port}")));
    let _ = writeln!(out, "  - {field}: {{{}}}", fields.join(", "));
    conditions(out, "    ", all);
}

fn conditions(out: &mut String, indent: &str, all: &[Condition]) {
    let _ = writeln!(out, "{indent}conditions:");
    for Condition { kind, status, reason, message } in all {
        let status = status.as_str();
        // A JSON string is a YAML string.
        let message = Json::from(message.as_str());
        let _ = writeln!(
            out,
            "{indent}- {{type: {kind}, status: \"{status}\", reason: {reason}, message: {message}}}"
        );
    }
}

pub(crate) fn findings(findings: &[Finding]) -> String {
    findings.iter().map(|finding| format!("{finding}\n")).collect()
}

/// The objects of fleets, each as a document. Kinds that are not shown are names.
pub(crate) fn objects(fleets: &[fleet::kubernetes::Rendered], kinds: &[String]) -> String {
    let mut out = String::new();
    for fleet in fleets {
        for object in &fleet.objects {
            let kind = object["kind"].as_str().unwrap();
            if kinds.iter().any(|shown| shown == kind) {
                write!(out, "---\n{}", serde_yaml::to_string(object).unwrap()).unwrap();
            } else {
                writeln!(out, "---\n# {kind} {}", fleet.name).unwrap();
            }
        }
        for finding in &fleet.findings {
            writeln!(out, "# {finding}").unwrap();
        }
    }
    out
}
