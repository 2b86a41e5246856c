//! The pods: Envoy, and how it begins and ends.
//!
//! A rolling update fails no request, by four things together: no pod goes before a new one is ready (`maxUnavailable: 0`);
//! ready is who has had its first configuration; a pod that goes is drained first ([`crate::bootstrap::Drain`]), asked by
//! its `preStop` hook, and serves on meanwhile; and its time to end is longer than that.

use serde_json::{Value, json};
use xxhash_rust::xxh3::xxh3_64;

use super::config::{Workload, lay_over};
use super::render::{AUDIENCE, BOOTSTRAP, CONFIG_FOLDER, Input, TOKEN_FOLDER};

/// From the end of the drain until the kernel ends what is left.
const AFTER_DRAIN: u32 = 10;
/// The owner of the image's files is of no matter: nothing of it is written.
const USER: u32 = 65532;
/// The kubelet renews it after four fifths of this.
const TOKEN_SECONDS: u32 = 3600;

pub(super) fn workload(input: &Input<'_>) -> Value {
    let (kind, strategy) = match input.config.kind {
        Workload::Deployment => ("Deployment", "strategy"),
        Workload::DaemonSet => ("DaemonSet", "updateStrategy"),
    };
    let mut spec = json!({
        "selector": input.selector(),
        // A load balancer that has just been told of a pod may still be checking it.
        "minReadySeconds": 5,
        "template": template(input),
    });
    spec[strategy] =
        json!({"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}});
    if input.config.kind == Workload::Deployment
        && let Some(replicas) = input.replicas()
    {
        spec["replicas"] = json!(replicas);
    }
    let mut out = input.object("apps/v1", kind);
    out["spec"] = spec;
    out
}

fn template(input: &Input<'_>) -> Value {
    let pod = &input.config.pod;
    let mut annotations = input.with_annotations(&pod.annotations);
    // A bootstrap is read once: pods with another one are other pods. Token and certificates are not part of it.
    let bootstrap = xxh3_64(input.bootstrap.render().to_string().as_bytes());
    annotations.insert("isthmus.dev/bootstrap".into(), format!("{bootstrap:016x}"));

    let mut security = json!({
        "runAsNonRoot": true, "runAsUser": USER, "runAsGroup": USER, "fsGroup": USER,
        "seccompProfile": {"type": "RuntimeDefault"},
        // Listeners have the ports that their Gateway says, without any capability.
        "sysctls": [{"name": "net.ipv4.ip_unprivileged_port_start", "value": "0"}],
    });
    lay_over(&mut security, Value::Object(pod.security_context.clone()));
    let mut spec = json!({
        "serviceAccountName": &*input.name.name,
        "automountServiceAccountToken": false,
        "enableServiceLinks": false,
        "terminationGracePeriodSeconds": input.config.drain_seconds() + AFTER_DRAIN,
        "securityContext": security,
        "containers": [container(input)],
        "volumes": [
            {"name": "config", "configMap": {"name": &*input.name.name}},
            {"name": "token", "projected": {"sources": [{"serviceAccountToken": {
                "path": "token", "audience": AUDIENCE, "expirationSeconds": TOKEN_SECONDS,
            }}]}},
        ],
    });
    let spread = match (&pod.topology_spread_constraints, input.config.kind) {
        (Some(given), _) => json!(given),
        (None, Workload::Deployment) => spread(input),
        (None, Workload::DaemonSet) => json!([]),
    };
    let rest = [
        ("topologySpreadConstraints", spread),
        ("nodeSelector", json!(pod.node_selector)),
        ("tolerations", json!(pod.tolerations)),
        ("affinity", json!(pod.affinity)),
        ("priorityClassName", json!(pod.priority_class_name)),
        ("imagePullSecrets", json!(pod.image_pull_secrets)),
    ];
    for (field, value) in rest {
        if !is_empty(&value) {
            spec[field] = value;
        }
    }
    json!({
        "metadata": {"labels": input.with_labels(&pod.labels), "annotations": annotations},
        "spec": spec,
    })
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(list) => list.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        _ => false,
    }
}

/// A node or zone that fails takes as few of them along as can be.
fn spread(input: &Input<'_>) -> Value {
    let over = |key: &str| {
        json!({
            "maxSkew": 1, "topologyKey": key, "whenUnsatisfiable": "ScheduleAnyway",
            "labelSelector": input.selector(),
        })
    };
    json!([over("kubernetes.io/hostname"), over("topology.kubernetes.io/zone")])
}

fn container(input: &Input<'_>) -> Value {
    let envoy = &input.config.envoy;
    let bootstrap = &input.bootstrap;
    let field = |name: &str, path: &str| json!({"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}});
    let mut out = json!({
        "name": "envoy",
        "image": envoy.image.as_deref().unwrap_or(&input.options.envoy_image),
        // Images differ in what they do before.
        "command": ["/usr/local/bin/envoy"],
        "args": args(input),
        "env": [
            field("POD_NAME", "metadata.name"),
            field("POD_NAMESPACE", "metadata.namespace"),
            // Pods have these labels of their node from Kubernetes 1.35 on; before that, they are empty.
            field("POD_REGION", "metadata.labels['topology.kubernetes.io/region']"),
            field("POD_ZONE", "metadata.labels['topology.kubernetes.io/zone']"),
        ],
        // None of the listeners': they come and go under a pod that stays.
        "ports": [{"name": "stats", "containerPort": bootstrap.stats_port, "protocol": "TCP"}],
        // No probe for liveness: before its first configuration Envoy answers nobody, and killing it for that would make
        // an outage of the control plane one of the proxies.
        "readinessProbe": {
            "httpGet": {"path": "/ready", "port": bootstrap.stats_port},
            "periodSeconds": 2, "timeoutSeconds": 1, "failureThreshold": 2,
        },
        "resources": input.config.resources(),
        "securityContext": {
            "allowPrivilegeEscalation": false,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": true,
        },
        "volumeMounts": [
            {"name": "config", "mountPath": CONFIG_FOLDER, "readOnly": true},
            {"name": "token", "mountPath": TOKEN_FOLDER, "readOnly": true},
        ],
    });
    if let Some(policy) = &envoy.image_pull_policy {
        out["imagePullPolicy"] = json!(policy);
    }
    if let Some(drain) = &bootstrap.drain {
        out["lifecycle"] = json!({
            "preStop": {"httpGet": {"path": drain.path, "port": bootstrap.stats_port}},
        });
    }
    out
}

fn args(input: &Input<'_>) -> Vec<String> {
    let envoy = &input.config.envoy;
    // Envoy knows no variables; the kubelet puts them into arguments.
    let node = json!({"node": {
        "id": "$(POD_NAME).$(POD_NAMESPACE)",
        "locality": {"region": "$(POD_REGION)", "zone": "$(POD_ZONE)"},
    }});
    let mut args: Vec<String> = [
        "-c",
        &format!("{CONFIG_FOLDER}/{BOOTSTRAP}"),
        "--config-yaml",
        &node.to_string(),
        "--log-level",
        envoy.log_level.as_deref().unwrap_or("warn"),
        "--concurrency",
        &input.config.concurrency().to_string(),
        "--disable-hot-restart",
    ]
    .map(str::to_owned)
    .into();
    args.extend(envoy.extra_args.iter().cloned());
    args
}
