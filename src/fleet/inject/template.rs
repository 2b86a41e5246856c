//! What is added to a pod.
//!
//! The sidecar is an init container that stays (`restartPolicy: Always`), so that it is there before the application and
//! after it, and a Job ends with its own containers. It stands before the pod's own init containers: what they dial is
//! redirected already, by the container before it.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::Options;
use super::settings::Settings;
use super::shared::{BOOTSTRAP, CONFIG_MAP};
use crate::bootstrap::{
    Bootstrap, Check, Drain, HostPort, Locality, Probe, READY_PORT, Role, Sidecar, Workload,
};
use crate::capture::{PROXY_UID, Tool};
use crate::kubernetes::AUDIENCE;

pub(super) const CAPTURE: &str = "isthmus-capture";
pub(super) const PROXY: &str = "isthmus-proxy";
pub(super) const CONFIG_VOLUME: &str = "isthmus-config";
pub(super) const TOKEN_VOLUME: &str = "isthmus-token";

pub(super) const CONFIG_FOLDER: &str = "/etc/isthmus";
pub(super) const TOKEN_FOLDER: &str = "/var/run/secrets/isthmus";
/// The kubelet renews it after four fifths of this.
const TOKEN_SECONDS: u32 = 3600;
/// A start waits this long for its configuration, then the kubelet begins it anew.
const START_SECONDS: u32 = 600;

pub(super) struct Input<'a> {
    pub(super) options: &'a Options,
    pub(super) settings: &'a Settings,
    /// Of the pod, as it was.
    pub(super) labels: BTreeMap<String, String>,
    pub(super) probes: Vec<Probe>,
    /// Whoever knows it can make the sidecar say goodbye.
    pub(super) drain: String,
}

/// In this order.
pub(super) fn init_containers(input: &Input<'_>) -> [Value; 2] {
    [capture(input), proxy(input)]
}

pub(super) fn volumes() -> [Value; 2] {
    let token = json!({"serviceAccountToken": {
        "audience": AUDIENCE, "expirationSeconds": TOKEN_SECONDS, "path": "token",
    }});
    [
        json!({"name": CONFIG_VOLUME, "configMap": {"name": CONFIG_MAP}}),
        json!({"name": TOKEN_VOLUME, "projected": {"sources": [token]}}),
    ]
}

fn with_image(mut container: Value, input: &Input<'_>, image: &str) -> Value {
    container["image"] = json!(image);
    if let Some(policy) = &input.options.image_pull_policy {
        container["imagePullPolicy"] = json!(policy);
    }
    container
}

/// The only one that may do anything to the pod's network, and it ends before all others begin.
fn capture(input: &Input<'_>) -> Value {
    let settings = input.settings;
    let (form, mut capabilities) = match input.options.tool {
        Tool::Nft => ("--nft", vec!["NET_ADMIN"]),
        Tool::Iptables => ("--iptables", vec!["NET_ADMIN"]),
    };
    // Older forms of iptables open a raw socket.
    if input.options.tool == Tool::Iptables {
        capabilities.push("NET_RAW");
    }
    let mut args = vec!["capture".to_owned(), form.to_owned()];
    let mut option = |name: &str, values: Vec<String>| {
        if !values.is_empty() {
            args.push(format!("--{name}={}", values.join(",")));
        }
    };
    option("include-outbound", words(&settings.include_outbound));
    option("exclude-outbound", words(&settings.exclude_outbound));
    option("exclude-outbound-ports", words(&settings.exclude_outbound_ports));
    option("include-inbound-ports", words(&settings.include_inbound_ports));
    option("exclude-inbound-ports", words(&settings.exclude_inbound_ports));
    if !settings.dns {
        args.push("--no-dns".into());
    }
    let container = json!({
        "name": CAPTURE,
        "args": args,
        "securityContext": {
            "runAsUser": 0, "runAsGroup": 0, "runAsNonRoot": false,
            "allowPrivilegeEscalation": false,
            "privileged": false,
            "readOnlyRootFilesystem": true,
            "capabilities": {"drop": ["ALL"], "add": capabilities},
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "resources": {
            "requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"memory": "64Mi"},
        },
    });
    with_image(container, input, &input.options.image)
}

fn words(list: &[impl ToString]) -> Vec<String> {
    list.iter().map(ToString::to_string).collect()
}

fn proxy(input: &Input<'_>) -> Value {
    let settings = input.settings;
    let field = |name: &str, path: &str| json!({"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}});
    let ready = |failures: u32, period: u32| {
        json!({
            "httpGet": {"path": "/ready", "port": READY_PORT},
            "periodSeconds": period, "timeoutSeconds": 1, "failureThreshold": failures,
        })
    };
    let mut container = json!({
        "name": PROXY,
        "restartPolicy": "Always",
        "command": ["/usr/local/bin/envoy"],
        "args": [
            "-c", format!("{CONFIG_FOLDER}/{BOOTSTRAP}"),
            // Envoy knows no variables; the kubelet puts them into arguments.
            "--config-yaml", own(input).to_string(),
            "--log-level", settings.log_level,
            "--concurrency", settings.concurrency.to_string(),
            "--disable-hot-restart",
        ],
        "env": [
            field("POD_NAME", "metadata.name"),
            field("POD_NAMESPACE", "metadata.namespace"),
            field("POD_ACCOUNT", "spec.serviceAccountName"),
            field("POD_IP", "status.podIP"),
            // Pods have these labels of their node from Kubernetes 1.35 on; before that, they are empty.
            field("POD_REGION", "metadata.labels['topology.kubernetes.io/region']"),
            field("POD_ZONE", "metadata.labels['topology.kubernetes.io/zone']"),
        ],
        // No probe for liveness: an outage of the control plane would become one of the proxies.
        "readinessProbe": ready(3, 5),
        "lifecycle": {"preStop": {"httpGet": {"path": input.drain, "port": READY_PORT}}},
        "resources": settings.resources(),
        "securityContext": {
            "runAsUser": PROXY_UID, "runAsGroup": PROXY_UID, "runAsNonRoot": true,
            "allowPrivilegeEscalation": false,
            "privileged": false,
            "readOnlyRootFilesystem": true,
            "capabilities": {"drop": ["ALL"]},
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "volumeMounts": [
            {"name": CONFIG_VOLUME, "mountPath": CONFIG_FOLDER, "readOnly": true},
            {"name": TOKEN_VOLUME, "mountPath": TOKEN_FOLDER, "readOnly": true},
        ],
    });
    if settings.hold_application {
        // The next container begins once this has succeeded.
        container["startupProbe"] = ready(START_SECONDS, 1);
    }
    with_image(container, input, settings.image.as_deref().unwrap_or(&input.options.envoy_image))
}

/// The part of the bootstrap that is this pod's.
fn own(input: &Input<'_>) -> Value {
    let plain = |text: &str| text.replace('$', "$$");
    let app = ["app", "app.kubernetes.io/name"].iter().find_map(|key| input.labels.get(*key));
    let mut probes = input.probes.clone();
    for probe in &mut probes {
        match &mut probe.check {
            Check::Http { path, .. } => *path = plain(path),
            Check::Grpc { service, .. } => *service = plain(service),
            Check::Tcp { .. } => {}
        }
    }
    let sidecar = Sidecar {
        namespace: "$(POD_NAMESPACE)".into(),
        workload: Workload::Pod { name: "$(POD_NAME)".into(), account: "$(POD_ACCOUNT)".into() },
        app: app.map_or("$(POD_ACCOUNT)", String::as_str).into(),
        address: "$(POD_IP)".into(),
        labels: input.labels.clone(),
        dns: input.settings.dns,
        probes,
    };
    let node_id = sidecar.node_id("$(POD_NAME)");
    let role = Role::Sidecar(Box::new(sidecar));
    // Where the control plane is, is in what is shared.
    let nowhere = HostPort::from(std::net::SocketAddr::from(([127, 0, 0, 1], 0)));
    let usual = Bootstrap::new(role, node_id, nowhere);
    let bootstrap = Bootstrap {
        locality: Locality {
            region: "$(POD_REGION)".into(),
            zone: "$(POD_ZONE)".into(),
            sub_zone: String::new(),
        },
        drain: Some(Drain { path: input.drain.clone(), seconds: 0 }),
        max_heap: input.settings.max_heap().unwrap_or(usual.max_heap),
        ..usual
    };
    bootstrap.own()
}
