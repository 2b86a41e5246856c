//! What is made for a Gateway, as objects of Kubernetes.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use model::{Finding, Fleet, Gateway, NamespacedName, Severity, codes};
use serde_json::{Map, Value, json};

use super::config::{Config, ServiceType, Workload, lay_over, two};
use super::{names, pod};
use crate::bootstrap::{Bootstrap, Drain, HostPort, Mounted, Role, XdsTls};

/// What all fleets have in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The `controllerName` that the Gateways' class has: tells apart what several installations in a cluster make.
    pub controller: Arc<str>,
    /// Where pods find the control plane.
    pub xds: HostPort,
    /// Certificates (PEM) that the control plane's certificate is signed by; `None` for no TLS.
    pub xds_ca: Option<String>,
    pub envoy_image: String,
}

/// The objects of one Gateway, in the order in which they are needed.
#[derive(Clone, Debug, PartialEq)]
pub struct Rendered {
    /// Of all of them, and of the ServiceAccount as which the proxies ask for their configuration.
    pub name: NamespacedName,
    pub objects: Vec<Value>,
    pub findings: Vec<Finding>,
}

/// The audience of the token that pods show to the control plane, and to nobody else.
pub const AUDIENCE: &str = "isthmus";

pub(super) const CONFIG_FOLDER: &str = "/etc/isthmus";
pub(super) const TOKEN_FOLDER: &str = "/var/run/secrets/isthmus";
pub(super) const BOOTSTRAP: &str = "bootstrap.json";

/// Everything that the objects are made from.
pub(super) struct Input<'a> {
    pub(super) fleet: &'a Fleet,
    pub(super) config: Config,
    pub(super) options: &'a Options,
    pub(super) name: NamespacedName,
    /// Of the Gateway's `infrastructure`, and ours over them.
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
    pub(super) bootstrap: Bootstrap,
}

/// The objects for a Gateway whose fleet is ours to run.
#[must_use]
pub fn render(fleet: &Fleet, options: &Options) -> Rendered {
    let name = names::object_name(&fleet.gateway);
    let mut out = Rendered { name: name.clone(), objects: Vec::new(), findings: Vec::new() };
    let config = match Config::joined(fleet.configs.iter().map(AsRef::as_ref)) {
        Ok(config) => config,
        Err(error) => {
            out.findings.push(Finding {
                at: fleet.gateway.meta.at(""),
                code: codes::FLEET_WRITING,
                severity: Severity::Error,
                text: format!("its GatewayConfigs do not go together: {error}"),
                hint: "until they do, the proxies stay as they are".into(),
            });
            return out;
        }
    };
    let input = Input::new(fleet, config, options, name);
    let mut objects = vec![input.service_account(), input.config_map()];
    objects.extend(input.service());
    objects.push(pod::workload(&input));
    objects.extend(input.disruption_budget());
    objects.extend(input.autoscaler());
    out.objects = objects;
    out
}

impl<'a> Input<'a> {
    fn new(fleet: &'a Fleet, config: Config, options: &'a Options, name: NamespacedName) -> Self {
        let gateway = &*fleet.gateway;
        let strings = |list: &[(Arc<str>, Arc<str>)]| -> BTreeMap<String, String> {
            list.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect()
        };
        let mut labels = strings(&gateway.infrastructure.labels);
        labels.extend(names::labels(gateway, &options.controller));
        let annotations = strings(&gateway.infrastructure.annotations);
        let bootstrap = bootstrap(fleet, &config, options);
        Self { fleet, config, options, name, labels, annotations, bootstrap }
    }

    pub(super) fn gateway(&self) -> &Gateway {
        &self.fleet.gateway
    }

    /// An object without its content.
    pub(super) fn object(&self, version: &str, kind: &str) -> Value {
        json!({"apiVersion": version, "kind": kind, "metadata": self.metadata()})
    }

    fn metadata(&self) -> Value {
        let mut metadata = json!({
            "name": &*self.name.name,
            "namespace": &*self.name.namespace,
            "labels": self.labels,
            "ownerReferences": [{
                "apiVersion": "gateway.networking.k8s.io/v1",
                "kind": "Gateway",
                "name": &*self.gateway().meta.name().name,
                "uid": uid(self.gateway()),
                "controller": true,
                "blockOwnerDeletion": false,
            }],
        });
        if !self.annotations.is_empty() {
            metadata["annotations"] = json!(self.annotations);
        }
        metadata
    }

    /// Labels of the pods: those of the object, with more below them.
    pub(super) fn with_labels(&self, more: &BTreeMap<String, String>) -> BTreeMap<String, String> {
        let mut out = more.clone();
        out.extend(self.labels.clone());
        out
    }

    pub(super) fn with_annotations(
        &self,
        more: &BTreeMap<String, String>,
    ) -> BTreeMap<String, String> {
        let mut out = more.clone();
        out.extend(self.annotations.clone());
        out
    }

    pub(super) fn selector(&self) -> Value {
        json!({"matchLabels": names::selector(self.gateway())})
    }

    fn service_account(&self) -> Value {
        let mut out = self.object("v1", "ServiceAccount");
        // Proxies have no business with the API server; the token that they do need is mounted by name.
        out["automountServiceAccountToken"] = json!(false);
        out
    }

    fn config_map(&self) -> Value {
        let mut data = Map::new();
        // For people too.
        data.insert(BOOTSTRAP.into(), format!("{:#}\n", self.bootstrap.render()).into());
        for (name, document) in self.bootstrap.documents() {
            data.insert(name.into(), format!("{document:#}\n").into());
        }
        if let Some(ca) = &self.options.xds_ca {
            data.insert("ca.crt".into(), ca.as_str().into());
        }
        let mut out = self.object("v1", "ConfigMap");
        out["data"] = Value::Object(data);
        out
    }

    /// `None` without a port: Kubernetes has no such Service.
    fn service(&self) -> Option<Value> {
        let config = &self.config.service;
        let ports: Vec<_> = self.ports().collect();
        if ports.is_empty() {
            return None;
        }
        let mut out = self.object("v1", "Service");
        let metadata = &mut out["metadata"];
        metadata["labels"] = json!(self.with_labels(&config.labels));
        let annotations = self.with_annotations(&config.annotations);
        if !annotations.is_empty() {
            metadata["annotations"] = json!(annotations);
        }
        let mut spec = json!({
            "type": config.kind.as_str(),
            "selector": names::selector(self.gateway()),
            "ports": ports,
        });
        let mut set = |field: &str, value: Option<String>| {
            if let Some(value) = value {
                spec[field] = value.into();
            }
        };
        let asked = self.gateway().asked_ips().next().map(|ip| ip.to_string());
        match config.kind {
            ServiceType::LoadBalancer => {
                set("loadBalancerClass", config.load_balancer_class.clone());
                set("loadBalancerIP", asked);
            }
            ServiceType::ClusterIp => set("clusterIP", asked),
            ServiceType::NodePort => {}
        }
        if config.kind != ServiceType::ClusterIp {
            set("externalTrafficPolicy", config.external_traffic_policy.clone());
        }
        out["spec"] = spec;
        Some(out)
    }

    fn ports(&self) -> impl Iterator<Item = Value> {
        self.fleet.ports.iter().map(|port| {
            let (name, protocol) = if port.udp { ("udp", "UDP") } else { ("tcp", "TCP") };
            let number = port.port;
            json!({
                "name": format!("{name}-{number}"),
                "port": number, "targetPort": number, "protocol": protocol,
            })
        })
    }

    /// A DaemonSet's pods are not evicted, and no budget can count them in per cent.
    fn disruption_budget(&self) -> Option<Value> {
        if self.config.kind == Workload::DaemonSet {
            return None;
        }
        let mut spec = json!({"selector": self.selector()});
        let usual = || json!({"maxUnavailable": 1});
        lay_over(&mut spec, self.config.disruption.clone().map_or_else(usual, Value::Object));
        let mut out = self.object("policy/v1", "PodDisruptionBudget");
        out["spec"] = spec;
        Some(out)
    }

    fn autoscaler(&self) -> Option<Value> {
        let scaling = self.config.autoscaling.as_ref()?;
        if self.config.kind == Workload::DaemonSet {
            return None;
        }
        let mut out = self.object("autoscaling/v2", "HorizontalPodAutoscaler");
        out["spec"] = json!({
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": &*self.name.name},
            "minReplicas": scaling.min,
            "maxReplicas": scaling.max,
            "metrics": [{"type": "Resource", "resource": {
                "name": "cpu", "target": {"type": "Utilization", "averageUtilization": scaling.cpu},
            }}],
        });
        Some(out)
    }

    /// `None` where the autoscaler decides: a number of ours would be a fight with it.
    pub(super) fn replicas(&self) -> Option<u32> {
        match self.config.autoscaling {
            Some(_) => None,
            None => Some(self.config.replicas.unwrap_or_else(two)),
        }
    }
}

/// `metadata.uid`.
pub(super) fn uid(gateway: &Gateway) -> String {
    let document: Value = serde_json::from_str(&gateway.meta.document).unwrap_or_default();
    document["metadata"]["uid"].as_str().unwrap_or_default().to_owned()
}

fn bootstrap(fleet: &Fleet, config: &Config, options: &Options) -> Bootstrap {
    let NamespacedName { namespace, name } = fleet.gateway.meta.name();
    let role = Role::Gateway { namespace: namespace.to_string(), name: name.to_string() };
    // The pod's name comes with the arguments.
    let usual = Bootstrap::new(role, String::new(), options.xds.clone());
    let ca = options.xds_ca.as_ref().map(|_| PathBuf::from(CONFIG_FOLDER));
    let token = PathBuf::from(TOKEN_FOLDER).join("token");
    let (admin_port, stats_port) = free_ports(fleet);
    let seconds = config.drain_seconds();
    Bootstrap {
        xds_tls: ca.as_ref().map(|folder| XdsTls {
            ca: folder.join("ca.crt"),
            server_name: None,
            client: None,
        }),
        mounted: Some(Mounted { documents: CONFIG_FOLDER.into(), token: Some(token), ca }),
        // Whoever may read the Gateway may know its number, and nobody can guess it.
        drain: (seconds > 0)
            .then(|| Drain { path: format!("/drain/{}", uid(&fleet.gateway)), seconds }),
        admin_port,
        stats_port,
        max_heap: config.max_heap().unwrap_or(usual.max_heap),
        ..usual
    }
}

/// The usual ports of admin and of readiness, unless a listener has them.
fn free_ports(fleet: &Fleet) -> (u16, u16) {
    let taken = |port: u16| fleet.ports.iter().any(|p| !p.udp && p.port == port);
    let mut pairs = (19000..).step_by(10).map(|port| (port, port + 1));
    pairs.find(|pair| !taken(pair.0) && !taken(pair.1)).unwrap_or((19000, 19001))
}
