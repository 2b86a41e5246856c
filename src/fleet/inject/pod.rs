use std::collections::BTreeMap;

use model::{SIDECAR_LABEL, codes};
use serde_json::{Map, Value, json};
use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

use super::probes::{self, Rewritten};
use super::template::{self, CAPTURE, CONFIG_VOLUME, Input, PROXY, TOKEN_VOLUME};
use super::{NOT_INJECTED, Note, Options, Outcome, TEMPLATE, list, refuse, settings};
use crate::bootstrap::Sidecar;
use crate::capture::PROXY_UID;

/// On pods: what the kubelet was to ask before.
const PROBES: &str = "isthmus.dev/probes";
/// What a sidecar listens on, in the application's own network.
const PORTS: [u64; 7] = [15000, 15001, 15006, 15020, 15021, 15053, 15090];

/// Puts a sidecar into a pod or a pod template (`metadata` and `spec`), or takes out the one that is there where it is to
/// have none.
#[must_use]
pub fn inject(pod: &Value, options: &Options) -> Outcome {
    let original = without_sidecar(pod);
    if let Some(reason) = refuse::refuse(&original) {
        return Outcome::Skipped { pod: original, reason };
    }
    let mut wrong = conflicts(&original);
    let (settings, notes) = settings::read(&original);
    wrong.extend(notes);
    if !wrong.is_empty() {
        return Outcome::Wrong(wrong);
    }
    let mut pod = original.clone();
    let Rewritten { probes, originals, notes } = probes::rewrite(&mut pod);
    let input = Input {
        options,
        settings: &settings,
        labels: labels(&original),
        probes,
        drain: format!("/drain/{:032x}", fingerprint(&original)),
    };
    let (init, volumes) = (template::init_containers(&input), template::volumes());
    let hash = xxh3_64(json!([init, volumes]).to_string().as_bytes());
    insert(&mut pod["spec"], "initContainers", init.into(), true);
    insert(&mut pod["spec"], "volumes", volumes.into(), false);
    let metadata = &mut pod["metadata"];
    metadata["labels"][SIDECAR_LABEL] = json!("injected");
    metadata["annotations"][TEMPLATE] = json!(format!("{hash:016x}"));
    if !originals.is_empty() {
        metadata["annotations"][PROBES] = json!(Value::Object(originals).to_string());
    }
    Outcome::Injected { pod, notes }
}

/// A number that nobody can guess who does not know the whole pod.
fn fingerprint(pod: &Value) -> u128 {
    // Nothing is the same as not being there: a pod may have been with a sidecar in between.
    let part = |value: &Value| match value {
        Value::Object(map) if map.is_empty() => Value::Null,
        Value::Array(items) if items.is_empty() => Value::Null,
        other => other.clone(),
    };
    let mut spec = pod["spec"].clone();
    for field in ["initContainers", "volumes"] {
        spec[field] = part(&spec[field]);
    }
    let metadata = &pod["metadata"];
    let all = json!([part(&metadata["labels"]), part(&metadata["annotations"]), spec]);
    xxh3_128(all.to_string().as_bytes())
}

fn insert(spec: &mut Value, field: &str, new: Vec<Value>, first: bool) {
    let old = spec[field].as_array().cloned().unwrap_or_default();
    let all = if first { [new, old] } else { [old, new] };
    spec[field] = all.concat().into();
}

fn labels(pod: &Value) -> BTreeMap<String, String> {
    let labels = pod["metadata"]["labels"].as_object();
    let labels = labels.into_iter().flatten();
    Sidecar::labels_of_workload(
        labels.filter_map(|(key, value)| Some((key.as_str(), value.as_str()?))),
    )
}

/// The pod as it was before.
fn without_sidecar(pod: &Value) -> Value {
    let mut pod = pod.clone();
    let originals = pod["metadata"]["annotations"][PROBES].as_str();
    let originals =
        originals.and_then(|text| serde_json::from_str::<Map<String, Value>>(text).ok());
    if let Some(originals) = originals {
        probes::restore(&mut pod, &originals);
    }
    if let Some(metadata) = pod.get_mut("metadata") {
        remove_keys(metadata, "labels", &[SIDECAR_LABEL]);
        remove_keys(metadata, "annotations", &[TEMPLATE, PROBES, NOT_INJECTED]);
    }
    if let Some(spec) = pod.get_mut("spec") {
        remove_named(spec, "initContainers", &[CAPTURE, PROXY]);
        remove_named(spec, "volumes", &[CONFIG_VOLUME, TOKEN_VOLUME]);
    }
    pod
}

fn remove_keys(metadata: &mut Value, field: &str, keys: &[&str]) {
    let Some(map) = metadata.get_mut(field).and_then(Value::as_object_mut) else { return };
    let before = map.len();
    map.retain(|key, _| !keys.contains(&key.as_str()));
    // A map that was made for ours goes with them.
    if map.is_empty() && before > 0 {
        remove(metadata, field);
    }
}

fn remove_named(spec: &mut Value, field: &str, names: &[&str]) {
    let Some(items) = spec.get_mut(field).and_then(Value::as_array_mut) else { return };
    let before = items.len();
    items.retain(|item| !item["name"].as_str().is_some_and(|name| names.contains(&name)));
    if items.is_empty() && before > 0 {
        remove(spec, field);
    }
}

fn remove(value: &mut Value, field: &str) {
    if let Some(fields) = value.as_object_mut() {
        fields.remove(field);
    }
}

/// What would keep the sidecar from doing its work.
fn conflicts(pod: &Value) -> Vec<Note> {
    let mut out = Vec::new();
    let mut note = |pointer: String, text: String, hint: &str| {
        let code = codes::INJECT_CONFLICT;
        out.push(Note { code, pointer, text, hint: hint.into() });
    };
    let spec = &pod["spec"];
    let opt_out = "change it, or opt the pod out with the label isthmus.dev/inject: \"false\"";
    if spec["securityContext"]["runAsUser"] == PROXY_UID {
        let text =
            format!("the pod runs as user {PROXY_UID}: its connections would pass by the sidecar");
        note("/spec/securityContext/runAsUser".into(), text, opt_out);
    }
    for field in ["initContainers", "containers"] {
        for (index, container) in list(spec, field).iter().enumerate() {
            let at = format!("/spec/{field}/{index}");
            let name = container["name"].as_str().unwrap_or_default();
            if container["securityContext"]["runAsUser"] == PROXY_UID {
                let text = format!(
                    "container {name} runs as user {PROXY_UID}: its connections would pass by the sidecar"
                );
                note(format!("{at}/securityContext/runAsUser"), text, opt_out);
            }
            for (number, port) in list(container, "ports").iter().enumerate() {
                let port = &port["containerPort"];
                if port.as_u64().is_some_and(|port| PORTS.contains(&port)) {
                    let text = format!("container {name} has port {port}, which is the sidecar's");
                    note(format!("{at}/ports/{number}/containerPort"), text, opt_out);
                }
            }
        }
    }
    out
}
