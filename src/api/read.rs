//! What the API reads, as one small trait that the application implements.

use std::sync::Arc;

use futures::future::BoxFuture;
use model::{Finding, Kind, NamespacedName, Object, RegistryServiceId, Steer};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use snapshot::ResourceType;

use crate::history::Refusal;
use crate::{
    Caller, EventView, IdentityView, ProblemView, RegistryEvent, RegistryInstance, RegistryProbe,
    RegistryService, Role, Time,
};

/// The state of the control plane as the API shows it. Every call answers from memory, at once, and never prints a
/// secret: the implementer redacts.
pub trait Read: Send + Sync + 'static {
    /// Names of all objects of a kind, in one namespace or in all, in order of namespace and name.
    fn names(&self, kind: Kind, namespace: Option<&str>) -> Vec<NamespacedName>;

    /// The same objects, with what lists can be filtered and sorted by. No status is made for it.
    fn summaries(&self, kind: Kind, namespace: Option<&str>) -> Vec<Summary> {
        let names = self.names(kind, namespace).into_iter();
        names.map(|name| Summary { name, ..Summary::default() }).collect()
    }

    /// One document with computed status: `{apiVersion, kind, metadata, spec, status}`. `None` if there is no such
    /// object. Cluster-scoped kinds have an empty namespace.
    fn object(&self, kind: Kind, name: &NamespacedName) -> Option<Value>;

    /// Connected proxies, and those that left a short while ago if they are remembered, in order of id.
    fn proxies(&self) -> Vec<Proxy>;

    /// What a proxy is meant to have of one type, in order of name; only `name` if given. `None` if there is no such
    /// proxy.
    fn snapshot(&self, proxy: &str, kind: ResourceType, name: Option<&str>) -> Option<TypeView>;

    /// All that is wrong or worth knowing now, in order of place.
    fn findings(&self) -> Vec<Finding>;

    /// The findings, and what proxies refuse, with their history.
    fn problems(&self) -> Vec<ProblemView> {
        Vec::new()
    }

    /// What happened of late, in any order.
    fn events(&self) -> Vec<EventView> {
        Vec::new()
    }

    /// The JSON schema of a kind.
    fn schema(&self, _kind: Kind) -> Option<Value> {
        None
    }

    /// What would be found wrong if these documents were added to what there is; places in the text are those of a file
    /// called [`crate::BODY_FILE`]. May take a while.
    fn validate(&self, _text: &str) -> Vec<Finding> {
        Vec::new()
    }

    /// Ends the streams of a proxy, which connects again then; how many there were.
    fn drain(&self, _proxy: &str) -> usize {
        0
    }

    /// What proxies refused, now and a while ago, the newest first.
    fn refusals(&self) -> Vec<Refusal> {
        Vec::new()
    }

    fn sources(&self) -> Vec<Source>;

    /// How old the view of each source is; of [`Self::sources`] what costs nothing to say.
    fn freshness(&self) -> Vec<Freshness> {
        let sources = self.sources().into_iter();
        sources
            .map(|Source { name, state, fresh_at, .. }| Freshness { source: name, state, fresh_at })
            .collect()
    }

    fn readiness(&self) -> Readiness;

    /// The services of a registry (`NAMESPACE/NAME`) in order; `None` if there is no such registry. Likewise below.
    fn registry_services(&self, _registry: &str) -> Option<Vec<RegistryService>> {
        None
    }

    /// `None` if there is no such service.
    fn registry_instances(&self, _service: &RegistryServiceId) -> Option<Vec<RegistryInstance>> {
        None
    }

    /// What was decided, the newest last.
    fn registry_events(&self, _registry: &str) -> Option<Vec<RegistryEvent>> {
        None
    }

    /// Asks each address of a registry. The one thing that waits for somebody else.
    fn registry_test<'a>(
        &'a self,
        _registry: &'a str,
    ) -> BoxFuture<'a, Option<Vec<RegistryProbe>>> {
        Box::pin(std::future::ready(None))
    }

    /// The CA of the mesh; `None` while there is none.
    fn identity(&self) -> Option<IdentityView> {
        None
    }

    /// Begins a change of the mesh's root; returns the phase that it is in, or why not.
    fn rotate(&self) -> BoxFuture<'_, Result<String, String>> {
        Box::pin(std::future::ready(Err("there is no mesh".into())))
    }

    /// Hands on a person's word; `false` where nobody takes it.
    fn steer<'a>(&'a self, _registry: &'a str, _steer: Steer) -> BoxFuture<'a, bool> {
        Box::pin(std::future::ready(false))
    }
}

/// One proxy's stream and how far it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Proxy {
    /// The node id.
    pub id: String,
    /// The replica that its stream is on.
    #[serde(default)]
    pub replica: String,
    /// When that replica was last heard, while it does not answer; absent where all is as it is now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heard_at: Option<Time>,
    /// `gateway`, `sidecar`.
    pub role: String,
    /// What it is configured for, e.g. the Gateway as `demo/edge`.
    pub scope: String,
    /// The program's version, e.g. `1.40.0`; empty where the proxy does not say.
    pub envoy: String,
    /// `delta` or `sotw`.
    pub protocol: String,
    /// Peer address of the stream.
    pub address: String,
    pub region: String,
    pub zone: String,
    pub connected_at: Time,
    /// The revision that is served, `r42`; absent before the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// The last one at which it had all that it should have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_revision: Option<String>,
    /// Short mark of what it should have, and of what it has acknowledged in full; equal when in step.
    pub wanted: String,
    pub held: String,
    /// For how long it has not been in step, in milliseconds; 0 when it is.
    pub lag_ms: u64,
    /// One entry for each type that it subscribes to, in send order.
    pub types: Vec<ProxyType>,
    /// What it is served in place of the newest: it refused something, or a rollout has not reached it yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub edition: Option<String>,
}

impl Proxy {
    /// Whether it has all that it should have, and refused nothing.
    #[must_use]
    pub fn in_step(&self) -> bool {
        self.wanted == self.held && self.types.iter().all(|t| t.state == TypeState::Ok)
    }
}

/// A proxy's state in one xDS type.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProxyType {
    /// `CDS`, `EDS` and so on.
    #[serde(rename = "type")]
    pub kind: String,
    pub state: TypeState,
    /// How many resources it holds.
    pub resources: usize,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nack: Option<Nack>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum TypeState {
    /// The newest has been acknowledged.
    Ok,
    /// Sent, or about to be, and not answered yet.
    Pending,
    /// The last response was refused.
    Nack,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Nack {
    pub at: Time,
    /// The proxy's own words.
    pub text: String,
    /// The documents that the refused resources were made from, e.g. `HTTPRoute shop/orders /spec/rules/2`.
    pub origins: Vec<String>,
}

/// The resources of one type that a proxy is meant to have.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TypeView {
    /// The type URL.
    #[serde(rename = "type")]
    pub kind: String,
    /// The version of the whole set.
    pub version: String,
    pub resources: Vec<XdsResource>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct XdsResource {
    pub name: String,
    pub version: String,
    /// The documents that it was made from.
    pub origins: Vec<String>,
    /// The message as JSON, every `Any` resolved and every secret value redacted.
    pub resource: Value,
}

/// One place that truth comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Source {
    pub name: String,
    /// `file`, `kubernetes`, …
    pub kind: String,
    /// Where it is: a folder, a URL.
    pub target: String,
    /// `syncing`, `live`, `degraded`, `stale`, `lost`.
    pub state: String,
    /// Why it is not live; empty when it is.
    pub reason: String,
    pub objects: usize,
    /// When its view was last known to be current.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fresh_at: Option<Time>,
}

/// The age of what one source says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Freshness {
    /// `file`, `kubernetes`, a registry's `NAMESPACE/NAME`.
    pub source: String,
    /// As [`Source::state`].
    pub state: String,
    /// When its view was last known to be current.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fresh_at: Option<Time>,
}

/// Registries have a namespace; what else there is concerns everybody.
pub(crate) fn seen_by(all: Vec<Freshness>, caller: &Caller) -> Vec<Freshness> {
    all.into_iter().filter(|of| may_see_source(&of.source, caller)).collect()
}

pub(crate) fn may_see_source(name: &str, caller: &Caller) -> bool {
    name.split_once('/').is_none_or(|(namespace, _)| caller.may(Role::Viewer, Some(namespace)))
}

/// What lists know of an object.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    pub name: NamespacedName,
    pub labels: Vec<(Arc<str>, Arc<str>)>,
    /// Where it comes from: `file`, `kubernetes`.
    pub source: Arc<str>,
    pub created: Option<Time>,
    pub generation: i64,
    /// What it is attached to, `NAMESPACE/NAME`: of routes their parents, of policies their targets.
    pub parents: Vec<String>,
    pub hosts: Vec<String>,
    /// What is searched besides.
    pub object: Option<Object>,
}

/// Whether traffic may be sent here, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Readiness {
    pub checks: Vec<Check>,
}

impl Readiness {
    #[must_use]
    pub fn ready(&self) -> bool {
        self.checks.iter().all(|c| c.ok)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Check {
    pub name: String,
    pub ok: bool,
    /// For a person: `first snapshot compiled`, `serving the last good state, 3m old`.
    pub text: String,
}
