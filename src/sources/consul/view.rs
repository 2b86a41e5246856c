use std::collections::BTreeMap;
use std::sync::Arc;

use model::{EndpointHealth, Locality, RegistryService, RegistryServiceId};

use super::wire::{Check, Entry, List};
use crate::registry::loose::Loose;
use crate::registry::{Allow, RawInstance, RawService};

/// The label that holds the tags, joined by commas.
const TAGS: &str = "tags";

/// How a service is read: what of the document matters here.
#[derive(Clone, Debug, Default)]
pub(super) struct Reading {
    pub(super) allow: Allow,
    pub(super) warning_passes: bool,
}

/// One service as the catalog sees it, and the nodes that it runs on.
pub(super) fn service(
    id: RegistryServiceId,
    entries: &List<Entry>,
    reading: &Reading,
) -> (RegistryService, Vec<Arc<str>>) {
    let mut raw = RawService::new(id);
    let mut nodes: Vec<Arc<str>> = Vec::new();
    for entry in &entries.0 {
        nodes.extend(entry.node.node.get().map(Arc::from));
        raw.add(instance(entry, reading));
    }
    nodes.sort();
    nodes.dedup();
    (raw.finish(0.0, Vec::new()), nodes)
}

fn instance<'a>(entry: &'a Entry, reading: &Reading) -> RawInstance<'a> {
    let Entry { node, service, checks } = entry;
    let meta = |key: &str| service.meta.get(key).and_then(Loose::get);
    let node_meta = |key: &str| node.meta.get(key).and_then(Loose::get);
    let host = service.address.get().or_else(|| node.address.get()).unwrap_or_default();
    let state = health(checks, reading.warning_passes);
    let weight = if state.warning { &service.weights.warning } else { &service.weights.passing };
    let zone = service.locality.zone.get().or_else(|| meta("zone"));
    let zone = zone.or_else(|| node.locality.zone.get()).or_else(|| node_meta("zone"));
    let region = service.locality.region.get().or_else(|| meta("region"));
    let region = region.or_else(|| node.locality.region.get()).or_else(|| node_meta("region"));
    RawInstance {
        weight: weight.get().map_or(1.0, |text| text.parse().unwrap_or(f64::NAN)),
        health: state.health,
        reason: state.reason,
        locality: Locality {
            // A data centre is the region of all that is in it.
            region: region.or_else(|| node.datacenter.get()).unwrap_or_default().into(),
            zone: zone.unwrap_or_default().into(),
        },
        secure: meta("secure") == Some("true"),
        labels: labels(&service.tags, &service.meta, &reading.allow),
        ..RawInstance::new(host, service.port.number().unwrap_or(0))
    }
}

struct State {
    health: EndpointHealth,
    reason: Arc<str>,
    /// The weight for warnings counts.
    warning: bool,
}

/// The worst check decides. Maintenance is a critical check of its own name: asked for, and so draining rather than dead.
fn health(checks: &[Check], warning_passes: bool) -> State {
    let id = |check: &Check| -> String {
        check.check_id.get().unwrap_or_default().chars().take(80).collect()
    };
    let maintenance = |check: &&Check| {
        let id = check.check_id.get().unwrap_or_default();
        id == "_node_maintenance" || id.starts_with("_service_maintenance:")
    };
    let status = |check: &&Check, status: &str| check.status.get() == Some(status);
    let state = |health, reason: String, warning| State { health, reason: reason.into(), warning };

    let passes = |check: &&Check| status(check, "passing") || status(check, "warning");
    if let Some(check) = checks.iter().find(|check| !passes(check) && !maintenance(check)) {
        return state(EndpointHealth::Unhealthy, format!("check {} critical", id(check)), false);
    }
    if let Some(check) = checks.iter().find(|check| !passes(check)) {
        let notes: String = check.notes.get().unwrap_or_default().chars().take(80).collect();
        let reason = format!("maintenance: {notes}");
        let reason = reason.trim_end_matches(": ").to_owned();
        return state(EndpointHealth::Draining, reason, false);
    }
    match checks.iter().find(|check| status(check, "warning")) {
        Some(check) if warning_passes => {
            state(EndpointHealth::Healthy, format!("check {} warning", id(check)), true)
        }
        Some(check) => {
            state(EndpointHealth::Unhealthy, format!("check {} warning", id(check)), true)
        }
        None => state(EndpointHealth::Healthy, String::new(), false),
    }
}

/// Metadata, the tags as one label, and tags of the form `key=value` as what they mean; metadata wins.
fn labels(
    tags: &[String],
    meta: &BTreeMap<String, Loose>,
    allow: &Allow,
) -> BTreeMap<Arc<str>, Arc<str>> {
    let joined = tags.join(",");
    let pairs = tags.iter().filter_map(|tag| tag.split_once('='));
    let all = (!joined.is_empty()).then_some((TAGS, joined.as_str()));
    let meta = meta.iter().filter_map(|(key, value)| Some((key.as_str(), value.text.as_deref()?)));
    allow.labels(pairs.chain(all).chain(meta))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(entry: &serde_json::Value, warning_passes: bool) -> model::Instance {
        let id = RegistryServiceId {
            registry: "infra/consul".into(),
            group: "".into(),
            name: "user-svc".into(),
        };
        let entries = serde_json::from_value(serde_json::json!([entry])).unwrap();
        let reading = Reading { allow: Allow::new(&["*".into()]), warning_passes };
        let (service, _) = service(id, &entries, &reading);
        assert_eq!(service.findings, []);
        (*service.instances[0]).clone()
    }

    fn checked(checks: &serde_json::Value, warning_passes: bool) -> (EndpointHealth, String, f64) {
        let entry = serde_json::json!({
            "Node": {"Node": "n1", "Address": "10.0.0.1"},
            "Service": {"Port": 80, "Weights": {"Passing": 10, "Warning": 3}},
            "Checks": checks,
        });
        let instance = one(&entry, warning_passes);
        (instance.health, instance.reason.to_string(), instance.weight)
    }

    #[test]
    fn what_spring_cloud_consul_registers() {
        let entry = serde_json::json!({
            "Node": {"Node": "vm", "Address": "10.0.0.7", "Datacenter": "dc1", "Meta": null},
            "Service": {"ID": "user-svc-9504", "Service": "user-svc", "Tags": ["version=v1", "blue"],
                "Address": "", "Port": 9504, "Meta": {"secure": "true", "version": "v2", "zone": "z1"},
                "Weights": {"Passing": 1, "Warning": 1}},
            "Checks": [{"Node": "vm", "CheckID": "serfHealth", "Status": "passing"}],
        });
        let instance = one(&entry, true);
        assert_eq!((instance.host.to_string().as_str(), instance.port), ("10.0.0.7", 9504));
        assert!(instance.secure);
        assert_eq!((&*instance.locality.region, &*instance.locality.zone), ("dc1", "z1"));
        let labels: Vec<_> = instance.labels.iter().map(|(k, v)| format!("{k}={v}")).collect();
        assert_eq!(labels, ["secure=true", "tags=version=v1,blue", "version=v2", "zone=z1"]);
    }

    #[test]
    fn the_worst_check_decides_and_maintenance_drains() {
        use EndpointHealth::{Draining, Healthy, Unhealthy};
        let serf = serde_json::json!({"CheckID": "serfHealth", "Status": "passing"});
        let check = |id: &str, status: &str| serde_json::json!({"CheckID": id, "Status": status, "Notes": "upgrade"});
        let maintenance = check("_service_maintenance:a", "critical");
        for (checks, passes, expected) in [
            (vec![], true, (Healthy, "", 10.0)),
            (vec![serf.clone()], true, (Healthy, "", 10.0)),
            (vec![serf.clone(), check("a", "warning")], true, (Healthy, "check a warning", 3.0)),
            (vec![serf.clone(), check("a", "warning")], false, (Unhealthy, "check a warning", 3.0)),
            (
                vec![check("a", "warning"), check("b", "critical")],
                true,
                (Unhealthy, "check b critical", 10.0),
            ),
            (
                vec![serf.clone(), maintenance.clone()],
                true,
                (Draining, "maintenance: upgrade", 10.0),
            ),
            (
                vec![check("_node_maintenance", "critical")],
                true,
                (Draining, "maintenance: upgrade", 10.0),
            ),
            (
                vec![maintenance, check("serfHealth", "critical")],
                true,
                (Unhealthy, "check serfHealth critical", 10.0),
            ),
            (vec![check("a", "odd")], true, (Unhealthy, "check a critical", 10.0)),
        ] {
            let (health, reason, weight) = checked(&checks.into(), passes);
            assert_eq!((health, reason.as_str(), weight), expected);
        }
    }
}
