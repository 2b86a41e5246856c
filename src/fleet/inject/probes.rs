//! The kubelet's probes, redirected to the sidecar.

use model::codes;
use serde_json::{Map, Value, json};

use super::{Note, list};
use crate::bootstrap::{Check, PROBE_PORT, Probe, ProbeKind};

/// The places in a container where the kubelet is told to ask something, with the sort.
const PLACES: [(ProbeKind, &str); 5] = [
    (ProbeKind::Liveness, "/livenessProbe"),
    (ProbeKind::Readiness, "/readinessProbe"),
    (ProbeKind::Startup, "/startupProbe"),
    (ProbeKind::PostStart, "/lifecycle/postStart"),
    (ProbeKind::PreStop, "/lifecycle/preStop"),
];

/// What was found in a pod and put elsewhere.
#[derive(Debug, Default)]
pub(super) struct Rewritten {
    pub(super) probes: Vec<Probe>,
    /// By container and place: as they were.
    pub(super) originals: Map<String, Value>,
    pub(super) notes: Vec<Note>,
}

pub(super) fn rewrite(pod: &mut Value) -> Rewritten {
    let mut out = Rewritten::default();
    for field in ["initContainers", "containers"] {
        let Some(containers) = containers(pod, field) else { continue };
        for (index, container) in containers.iter_mut().enumerate() {
            let at = format!("/spec/{field}/{index}");
            for (kind, place) in PLACES {
                one(container, kind, place, &at, &mut out);
            }
        }
    }
    out
}

/// Puts the probes back as they were.
pub(super) fn restore(pod: &mut Value, originals: &Map<String, Value>) {
    for field in ["initContainers", "containers"] {
        let Some(containers) = containers(pod, field) else { continue };
        for container in containers {
            let name = container["name"].as_str().unwrap_or_default().to_owned();
            for (_, place) in PLACES {
                if let Some(original) = originals.get(&format!("{name}{place}"))
                    && let Some(probe) = container.pointer_mut(place)
                {
                    *probe = original.clone();
                }
            }
        }
    }
}

/// Indexing what is mutable would make what is not there.
fn containers<'a>(pod: &'a mut Value, field: &str) -> Option<&'a mut Vec<Value>> {
    pod.get_mut("spec")?.get_mut(field)?.as_array_mut()
}

fn one(container: &mut Value, kind: ProbeKind, place: &str, at: &str, out: &mut Rewritten) {
    let Some(name) = container["name"].as_str().map(str::to_owned) else { return };
    let Some(before) = container.pointer(place).cloned() else { return };
    let check = match check(&before, container) {
        Ok(Some(check)) => check,
        // Done in the container, or not by the network.
        Ok(None) => return,
        Err(reason) => {
            out.notes.push(Note {
                code: codes::INJECT_PROBE,
                pointer: format!("{at}{place}"),
                text: format!("the probe stays as it is: {reason}"),
                hint: "it may fail where only the mesh is let in".into(),
            });
            return;
        }
    };
    let seconds = |field: &str, usual: u64| {
        let seconds = before[field].as_u64().unwrap_or(usual).max(1);
        u32::try_from(seconds).unwrap_or(u32::MAX)
    };
    let probe = Probe {
        container: name.clone(),
        kind,
        check,
        // Hooks have as long as the pod has to end.
        timeout_seconds: match kind {
            ProbeKind::PostStart | ProbeKind::PreStop => 3600,
            _ => seconds("timeoutSeconds", 1),
        },
        period_seconds: seconds("periodSeconds", 10),
    };
    let mut after = before.clone();
    let mut path = probe.path();
    if let Some((_, query)) = before["httpGet"]["path"].as_str().and_then(|p| p.split_once('?')) {
        path = format!("{path}?{query}");
    }
    let mut request = json!({"path": path, "port": PROBE_PORT});
    if let Some(headers) = before["httpGet"].get("httpHeaders") {
        request["httpHeaders"] = headers.clone();
    }
    for sort in ["tcpSocket", "grpc"] {
        if let Some(fields) = after.as_object_mut() {
            fields.remove(sort);
        }
    }
    after["httpGet"] = request;
    if let Some(probe) = container.pointer_mut(place) {
        *probe = after;
    }
    out.originals.insert(format!("{name}{place}"), before);
    out.probes.push(probe);
}

fn check(probe: &Value, container: &Value) -> Result<Option<Check>, String> {
    let sorts = ["httpGet", "tcpSocket", "grpc"];
    let Some(sort) = sorts.into_iter().find(|sort| probe[*sort].is_object()) else {
        return Ok(None);
    };
    let spec = &probe[sort];
    if let Some(host) = spec["host"].as_str().filter(|host| !host.is_empty()) {
        return Err(format!("it asks the host {host}, not the pod"));
    }
    let port = port(&spec["port"], container)?;
    Ok(Some(match sort {
        "httpGet" => {
            let path = spec["path"].as_str().unwrap_or("/");
            let path = path.split_once('?').map_or(path, |(path, _)| path);
            let slash = if path.starts_with('/') { "" } else { "/" };
            let tls = spec["scheme"].as_str().is_some_and(|s| s.eq_ignore_ascii_case("https"));
            Check::Http { port, path: format!("{slash}{path}"), tls }
        }
        "tcpSocket" => Check::Tcp { port },
        _ => {
            let service = spec["service"].as_str().unwrap_or_default().to_owned();
            Check::Grpc { port, service }
        }
    }))
}

/// A number, or the name of one of the container's ports.
fn port(port: &Value, container: &Value) -> Result<u16, String> {
    let named = port.as_str().and_then(|name| {
        let named = list(container, "ports").iter().find(|port| port["name"] == name);
        // Numbers are taken in quotes as well.
        named.map_or_else(|| name.parse().ok(), |port| port["containerPort"].as_u64())
    });
    let number = port.as_u64().or(named).and_then(|number| u16::try_from(number).ok());
    number.filter(|number| *number != 0).ok_or_else(|| format!("there is no port {port}"))
}
