//! What several GatewayConfigs say together.

use std::collections::BTreeMap;

use model::GatewayConfig;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::quantity;

type Strings = BTreeMap<String, String>;

/// `spec` of a GatewayConfig, as its schema describes it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Config {
    pub(super) kind: Workload,
    pub(super) size: Size,
    pub(super) replicas: Option<u32>,
    pub(super) autoscaling: Option<Autoscaling>,
    pub(super) service: Service,
    pub(super) pod: Pod,
    pub(super) envoy: Envoy,
    pub(super) disruption: Option<Map<String, Value>>,
    pub(super) drain: Drain,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub(super) enum Workload {
    #[default]
    Deployment,
    DaemonSet,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Size {
    #[default]
    Small,
    Medium,
    Large,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Autoscaling {
    #[serde(default = "two")]
    pub(super) min: u32,
    pub(super) max: u32,
    #[serde(default = "usual_load")]
    pub(super) cpu: u32,
}

/// A gateway of one pod is away whenever its node is.
pub(super) fn two() -> u32 {
    2
}

fn usual_load() -> u32 {
    70
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Service {
    #[serde(rename = "type")]
    pub(super) kind: ServiceType,
    pub(super) annotations: Strings,
    pub(super) labels: Strings,
    pub(super) load_balancer_class: Option<String>,
    pub(super) external_traffic_policy: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub(super) enum ServiceType {
    #[default]
    LoadBalancer,
    NodePort,
    #[serde(rename = "ClusterIP")]
    ClusterIp,
}

impl ServiceType {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::LoadBalancer => "LoadBalancer",
            Self::NodePort => "NodePort",
            Self::ClusterIp => "ClusterIP",
        }
    }
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Pod {
    pub(super) annotations: Strings,
    pub(super) labels: Strings,
    pub(super) node_selector: Strings,
    pub(super) tolerations: Vec<Value>,
    pub(super) affinity: Option<Value>,
    pub(super) topology_spread_constraints: Option<Vec<Value>>,
    pub(super) resources: Map<String, Value>,
    pub(super) priority_class_name: Option<String>,
    pub(super) security_context: Map<String, Value>,
    pub(super) image_pull_secrets: Vec<Value>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Envoy {
    pub(super) image: Option<String>,
    pub(super) image_pull_policy: Option<String>,
    pub(super) log_level: Option<String>,
    pub(super) concurrency: Option<u32>,
    pub(super) extra_args: Vec<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Drain {
    seconds: Option<u32>,
}

/// Longer than it takes kube-proxies and the load balancers of clouds to notice that a pod is going.
const DRAIN_SECONDS: u32 = 20;

impl Config {
    /// The later ones count before the earlier ones.
    ///
    /// # Errors
    /// When they do not fit the schema, which whoever read them has checked.
    pub(super) fn joined<'a>(
        configs: impl Iterator<Item = &'a GatewayConfig>,
    ) -> Result<Self, serde_json::Error> {
        let mut all = json!({});
        for config in configs {
            lay_over(&mut all, serde_json::from_str(&config.spec)?);
        }
        serde_json::from_value(all)
    }

    pub(super) fn drain_seconds(&self) -> u32 {
        self.drain.seconds.unwrap_or(DRAIN_SECONDS)
    }

    pub(super) fn concurrency(&self) -> u32 {
        self.envoy.concurrency.unwrap_or(match self.size {
            Size::Small => 2,
            Size::Medium => 4,
            Size::Large => 8,
        })
    }

    /// No limit of CPU: a proxy that is throttled delays every request, and its threads limit it already.
    pub(super) fn resources(&self) -> Value {
        let (cpu, memory, limit) = match self.size {
            Size::Small => ("100m", "128Mi", "512Mi"),
            Size::Medium => ("500m", "512Mi", "1Gi"),
            Size::Large => ("2", "1Gi", "4Gi"),
        };
        let mut resources =
            json!({"requests": {"cpu": cpu, "memory": memory}, "limits": {"memory": limit}});
        lay_over(&mut resources, Value::Object(self.pod.resources.clone()));
        resources
    }

    /// What Envoy's heap is to stay under: memory of the container is not heap alone.
    pub(super) fn max_heap(&self) -> Option<u64> {
        let resources = self.resources();
        let limit = quantity::bytes(&resources["limits"]["memory"])?;
        Some(limit / 5 * 4)
    }
}

/// Maps are joined key by key, everything else is replaced (RFC 7396, without its null).
pub(super) fn lay_over(below: &mut Value, above: Value) {
    match (below, above) {
        (Value::Object(below), Value::Object(above)) => {
            for (key, value) in above {
                lay_over(below.entry(key).or_insert(Value::Null), value);
            }
        }
        (below, above) => *below = above,
    }
}
