//! What the API shows, read from the pipeline's world and the proxy table.

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};
use std::time::{Duration, SystemTime};

use api::history::Refusal;
use api::{
    Check, EventView, Freshness, IdentityView, ProblemView, Proxy, Read, Readiness, RegistryEvent,
    RegistryInstance, RegistryProbe, RegistryService, RootView, Source, Summary, Time, TypeView,
    XdsResource,
};
use catalog::{RegistryView, SourceState};
use futures::future::BoxFuture;
use model::{
    Batch, Change, EndpointHealth, Finding, Health, Kind, NamespacedName, Object, ObjectKey,
    PolicyTarget, RegistryServiceId, SecretData, Steer,
};
use serde_json::{Value, json};
use snapshot::ResourceType;
use tokio::sync::{mpsc, oneshot, watch};

use crate::expiry;
use crate::groups::Groups;
use crate::identities::{Ask, Identities};
use crate::news::News;
use crate::pipeline::{Step, World};
use crate::problems::Problems;
use crate::programmed::Programmed;
use crate::proxies::Proxies;
use crate::registries;
use crate::statuses;
use crate::trial;

/// How long the addresses of a registry have to answer.
const TEST: Duration = Duration::from_secs(20);

pub(crate) struct Reader {
    /// To the pipeline, which goes on as long as the sources have it.
    pub(crate) batches: mpsc::WeakSender<Batch>,
    pub(crate) world: Arc<RwLock<World>>,
    pub(crate) groups: Arc<Groups>,
    pub(crate) proxies: Arc<Proxies>,
    pub(crate) steps: watch::Receiver<Option<Step>>,
    pub(crate) refusals: watch::Receiver<Arc<[Refusal]>>,
    /// When the state that is served from disk was written, if one was found at start.
    pub(crate) last_good: Option<SystemTime>,
    /// Set once the process is on its way out.
    pub(crate) stopping: watch::Receiver<bool>,
    /// Where the file source reads.
    pub(crate) folder: String,
    /// Where the API server is, if one is read.
    pub(crate) api_server: String,
    pub(crate) controller: Arc<str>,
    pub(crate) programmed: Arc<Programmed>,
    /// What the objects of an API server say, where there is one.
    pub(crate) table: Option<status::Table>,
    pub(crate) identities: Arc<Identities>,
    pub(crate) identity_asks: mpsc::Sender<Ask>,
    pub(crate) problems: Arc<Problems>,
    pub(crate) news: News,
    pub(crate) xds: serve::Handle,
}

impl Reader {
    fn world(&self) -> RwLockReadGuard<'_, World> {
        self.world.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn config_check(&self) -> Check {
        let check = |ok: bool, text: String| Check { name: "config".into(), ok, text };
        if self.steps.borrow().is_none() {
            return match self.last_good {
                Some(written) if !self.groups.all().is_empty() => {
                    check(true, format!("serving the last good state, {} s old", age(written)))
                }
                _ => check(false, "no source has given a full view yet".into()),
            };
        }
        let world = self.world();
        let stale = world
            .catalog()
            .sources()
            .find(|(_, state)| matches!(state.health, Health::Stale { .. }));
        match stale {
            None => check(true, "serving the current state".into()),
            Some((name, _)) => {
                let since = world.fresh_at(name, SystemTime::now()).map(age);
                let since =
                    since.map_or_else(|| "of unknown age".into(), |age| format!("{age} s old"));
                check(true, format!("serving the last good state of source {name}, {since}"))
            }
        }
    }
}

fn age(time: SystemTime) -> u64 {
    time.elapsed().unwrap_or_default().as_secs()
}

impl Read for Reader {
    fn names(&self, kind: Kind, namespace: Option<&str>) -> Vec<NamespacedName> {
        let world = self.world();
        let written = |object: &&Object| object.meta().written() == *object.key();
        let listed = world.catalog().list(kind).filter(written);
        let names = listed.map(|object| object.key().name.clone());
        names.filter(|name| namespace.is_none_or(|wanted| *name.namespace == *wanted)).collect()
    }

    fn summaries(&self, kind: Kind, namespace: Option<&str>) -> Vec<Summary> {
        let world = self.world();
        let catalog = world.catalog();
        let written = |object: &&Object| object.meta().written() == *object.key();
        let here = |object: &&Object| namespace.is_none_or(|n| **object.meta().namespace() == *n);
        catalog.list(kind).filter(here).filter(written).map(summary).collect()
    }

    fn object(&self, kind: Kind, name: &NamespacedName) -> Option<Value> {
        let key = ObjectKey { kind, name: name.clone() };
        let world = self.world();
        let catalog = world.catalog();
        // One that was never good is there all the same.
        let refused = || catalog.refused(&key).map(|refused| &refused.object);
        let object = catalog.get(&key).or_else(refused)?.clone();
        let status = world.status(&key);
        let generation = world.catalog().generation_of(&key).unwrap_or_default();
        let source: Arc<str> = name.to_string().into();
        let registry = (kind == Kind::Registry)
            .then(|| world.merger.registries().into_iter().find(|r| r.name == source))
            .flatten();
        drop(world);
        let mut document: Value = match &object {
            Object::MeshService(service) if catalog::is_import(service) => {
                registries::show_import(service)
            }
            object => serde_json::from_str(&object.meta().document).ok()?,
        };
        if let (Some(registry), Value::Object(fields)) = (registry, &mut document) {
            fields.insert("status".into(), registry_json(&registry));
        }
        kinds::redact(kind, &mut document);
        if let (Object::Secret(secret), Value::Object(fields)) = (&object, &mut document)
            && let SecretData::Tls { chain, .. } = &secret.data
            && let Some(status) = expiry::status(chain)
        {
            fields.insert("status".into(), status);
        }
        if let Some(mut status) = status
            && let Value::Object(fields) = &mut document
        {
            let waiting = statuses::waiting(&self.programmed, &object, &status, generation);
            if let Some(waiting) = waiting {
                let told = self.table.as_ref().and_then(|table| table.told(&key));
                let told = told.unwrap_or_default();
                status::hold_back(&mut status, &waiting, generation, &told);
            }
            fields.insert("status".into(), status::render(&status, generation, &self.controller));
        }
        Some(document)
    }

    fn proxies(&self) -> Vec<Proxy> {
        self.proxies.list()
    }

    fn snapshot(&self, proxy: &str, kind: ResourceType, name: Option<&str>) -> Option<TypeView> {
        let group = self.proxies.group_of(proxy)?;
        let current = self.groups.current(&group)?;
        let set = current.snapshot.set(kind);
        let resources = set
            .iter()
            .filter(|resource| name.is_none_or(|name| **resource.name() == *name))
            .map(|resource| XdsResource {
                name: resource.name().to_string(),
                version: resource.version().to_string(),
                origins: resource.origin().iter().map(ToString::to_string).collect(),
                resource: snapshot::dump::resource(resource),
            })
            .collect();
        Some(TypeView { kind: kind.url().into(), version: set.version().to_string(), resources })
    }

    fn findings(&self) -> Vec<Finding> {
        self.world().findings().to_vec()
    }

    fn problems(&self) -> Vec<ProblemView> {
        self.problems.list()
    }

    fn events(&self) -> Vec<EventView> {
        let mut all = self.news.events();
        let world = self.world();
        for registry in world.merger.registries() {
            let (namespace, name) = registry.name.split_once('/').unwrap_or(("", &registry.name));
            let decided = world.merger.events(&registry.name).unwrap_or_default();
            all.extend(decided.iter().map(|event| EventView {
                at: event.at.into(),
                kind: "registry".into(),
                what: event.what.as_str().into(),
                namespace: namespace.into(),
                name: name.into(),
                text: event.to_string(),
            }));
        }
        all
    }

    fn schema(&self, kind: Kind) -> Option<Value> {
        Some(kinds::schema(kind)).filter(Value::is_object)
    }

    fn drain(&self, proxy: &str) -> usize {
        self.xds.retire(proxy)
    }

    fn validate(&self, text: &str) -> Vec<Finding> {
        trial::findings(&self.world, text)
    }

    fn refusals(&self) -> Vec<Refusal> {
        self.refusals.borrow().to_vec()
    }

    fn sources(&self) -> Vec<Source> {
        let world = self.world();
        let catalog = world.catalog();
        let known = world.merger.registries();
        let addresses = |name: &str| {
            let mut all = catalog.registries();
            let found = all.find(|registry| *registry.meta.name().to_string() == *name);
            found.map(|registry| registry.addresses.join(",")).unwrap_or_default()
        };
        let of = |source: &Arc<str>| {
            let all = Kind::ALL.into_iter().flat_map(|kind| catalog.list(kind));
            all.filter(|object| object.meta().source == *source).count()
        };
        catalog
            .sources()
            .map(|(name, state)| {
                let registry = known.iter().find(|registry| registry.name == *name);
                let (kind, target, objects) = match registry {
                    Some(r) => (r.kind.to_ascii_lowercase(), addresses(&r.name), r.instances),
                    None if **name == *sources::dns::NAME => {
                        ("dns".into(), String::new(), world.merger.questions().len())
                    }
                    None if **name == *sources::kubernetes::NAME => {
                        ("kubernetes".into(), self.api_server.clone(), of(name))
                    }
                    None => ("file".into(), self.folder.clone(), of(name)),
                };
                let (label, reason) = health(&state.health);
                Source {
                    name: name.to_string(),
                    kind,
                    target,
                    state: registry.map_or(label, |r| r.state.as_str()).into(),
                    reason: registry.map_or(reason, |r| r.reason.as_str()).into(),
                    objects,
                    fresh_at: world.fresh_at(name, SystemTime::now()).map(Time::from),
                }
            })
            .collect()
    }

    fn freshness(&self) -> Vec<Freshness> {
        let world = self.world();
        let registries = world.merger.registries();
        let now = SystemTime::now();
        let of = |(name, state): (&Arc<str>, &SourceState)| {
            let registry = registries.iter().find(|registry| registry.name == *name);
            Freshness {
                source: name.to_string(),
                state: registry.map_or(health(&state.health).0, |r| r.state.as_str()).into(),
                fresh_at: world.fresh_at(name, now).map(Time::from),
            }
        };
        world.catalog().sources().map(of).collect()
    }

    fn readiness(&self) -> Readiness {
        let config = self.config_check();
        let stopping = *self.stopping.borrow();
        let text = if stopping { "shutting down" } else { "serving" };
        Readiness {
            checks: vec![
                config,
                Check { name: "lifecycle".into(), ok: !stopping, text: text.into() },
            ],
        }
    }

    fn registry_services(&self, registry: &str) -> Option<Vec<RegistryService>> {
        let world = self.world();
        let services = world.merger.registry_services(registry)?;
        let view = |service: catalog::ServiceView| RegistryService {
            group: service.id.group.to_string(),
            name: service.id.name.to_string(),
            state: service.state.as_str().into(),
            reason: service.reason,
            since: service.since.into(),
            seen_at: service.seen.into(),
            instances: service.instances,
            healthy: service.healthy,
            held: service.held,
            held_since: service.hold.map(|hold| hold.since.into()),
            frozen: service.frozen,
            consumers: service.consumers.iter().map(ToString::to_string).collect(),
            imported_as: world.merger.import_of(&service.id).map(ToString::to_string),
        };
        Some(services.into_iter().map(view).collect())
    }

    fn registry_instances(&self, service: &RegistryServiceId) -> Option<Vec<RegistryInstance>> {
        let instances = self.world().merger.instances(service)?;
        Some(instances.into_iter().map(registry_instance).collect())
    }

    fn registry_events(&self, registry: &str) -> Option<Vec<RegistryEvent>> {
        let events = self.world().merger.events(registry)?;
        let service = |id: &RegistryServiceId| match &*id.group {
            "" => id.name.to_string(),
            group => format!("{group}@@{}", id.name),
        };
        let view = |event: &Arc<catalog::Event>| RegistryEvent {
            at: event.at.into(),
            service: event.service.as_ref().map(service).unwrap_or_default(),
            what: event.what.as_str().into(),
            why: event.why.clone(),
            before: event.before,
            after: event.after,
            held: event.held,
        };
        Some(events.iter().map(view).collect())
    }

    fn registry_test<'a>(&'a self, registry: &'a str) -> BoxFuture<'a, Option<Vec<RegistryProbe>>> {
        Box::pin(async move {
            let document = {
                let world = self.world();
                let mut all = world.catalog().registries();
                all.find(|r| *r.meta.name().to_string() == *registry).cloned()?
            };
            let probes = tokio::time::timeout(TEST, registries::probe(&document)).await;
            let Ok(probes) = probes else {
                let late = |address: &Arc<str>| RegistryProbe {
                    address: address.to_string(),
                    latency_ms: None,
                    version: None,
                    authenticated: None,
                    services: None,
                    error: Some("no answer in time".into()),
                };
                return Some(document.addresses.iter().map(late).collect());
            };
            let view = |probe: model::Probe| RegistryProbe {
                address: probe.address.to_string(),
                latency_ms: probe
                    .latency
                    .map(|time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX)),
                version: probe.version.map(|version| version.to_string()),
                authenticated: probe.authenticated,
                services: probe.services,
                error: probe.error,
            };
            Some(probes.into_iter().map(view).collect())
        })
    }

    fn identity(&self) -> Option<IdentityView> {
        let shown = self.identities.show()?;
        let authority = &shown.authority;
        let signs = |root: &identity::Root| {
            authority.signer().roots().iter().any(|own| own.fingerprint == root.fingerprint)
        };
        let moving = authority.phase() != identity::Phase::Settled;
        Some(IdentityView {
            trust_domain: shown.trust_domain.to_string(),
            phase: authority.phase().as_str().into(),
            since: authority.since().into(),
            roots: authority
                .roots()
                .into_iter()
                .map(|root| RootView {
                    fingerprint: root.fingerprint.to_string(),
                    from: root.from.into(),
                    until: root.until.into(),
                    signs: signs(root),
                })
                .collect(),
            identities: shown.identities,
            first_to_end: shown.first.as_ref().map(|(id, _)| id.to_string()),
            ends: shown.first.map(|(_, until)| until.into()),
            waits_for: if moving { self.proxies.behind_with_secrets() } else { Vec::new() },
        })
    }

    fn rotate(&self) -> BoxFuture<'_, Result<String, String>> {
        Box::pin(async move {
            let (answer, answered) = oneshot::channel();
            let off = || "there is no mesh, or the server is on its way out".to_owned();
            self.identity_asks.send(Ask::Rotate(answer)).await.map_err(|_| off())?;
            let phase = answered.await.map_err(|_| off())??;
            Ok(phase.as_str().to_owned())
        })
    }

    fn steer<'a>(&'a self, registry: &'a str, steer: Steer) -> BoxFuture<'a, bool> {
        Box::pin(async move {
            let Some(batches) = self.batches.upgrade() else { return false };
            let batch = Batch { source: registry.into(), changes: vec![Change::Steer(steer)] };
            batches.send(batch).await.is_ok()
        })
    }
}

pub(crate) fn health_word(health: EndpointHealth) -> &'static str {
    match health {
        EndpointHealth::Healthy => "healthy",
        EndpointHealth::Draining => "draining",
        EndpointHealth::Unhealthy => "unhealthy",
    }
}

pub(crate) fn registry_instance(view: catalog::InstanceView) -> RegistryInstance {
    let catalog::InstanceView { instance, held, first_seen, last_seen, changed } = view;
    let labels = instance.labels.iter().map(|(k, v)| (k.to_string(), v.to_string()));
    RegistryInstance {
        host: instance.host.to_string(),
        port: instance.port,
        weight: instance.weight,
        health: health_word(instance.health).into(),
        reason: instance.reason.to_string(),
        region: instance.locality.region.to_string(),
        zone: instance.locality.zone.to_string(),
        secure: instance.secure,
        labels: labels.collect(),
        held,
        first_seen: first_seen.into(),
        last_seen: last_seen.into(),
        changed: changed.into(),
    }
}

fn health(health: &Health) -> (&'static str, &str) {
    match health {
        Health::Syncing => ("syncing", ""),
        Health::Live => ("live", ""),
        Health::Degraded { reason } => ("degraded", reason),
        Health::Stale { reason } => ("stale", reason),
    }
}

fn summary(object: &Object) -> Summary {
    let meta = object.meta();
    let strings = |all: &[PolicyTarget]| all.iter().map(|t| t.name.to_string()).collect();
    let (parents, hosts) = match object {
        Object::Gateway(gateway) => {
            let hosts = gateway.listeners.iter().filter_map(|listener| listener.hostname.as_ref());
            (Vec::new(), hosts.map(ToString::to_string).collect())
        }
        Object::BackendTlsPolicy(policy) => (strings(&policy.targets), Vec::new()),
        Object::AccessPolicy(policy) => (strings(&policy.reach.targets), Vec::new()),
        object => object.as_route().map_or_else(Default::default, |route| {
            let parents = route.parents.iter().map(|parent| parent.name.to_string());
            (parents.collect(), route.hostnames.iter().map(ToString::to_string).collect())
        }),
    };
    Summary {
        name: meta.name().clone(),
        labels: meta.labels.clone(),
        source: meta.source.clone(),
        created: meta.created.map(|seconds| Time(seconds * 1000)),
        generation: meta.generation,
        parents,
        hosts,
        object: Some(object.clone()),
    }
}

fn registry_json(view: &RegistryView) -> Value {
    json!({
        "state": view.state.as_str(),
        "reason": view.reason,
        "since": Time::from(view.since),
        "freshAt": view.fresh.map(Time::from),
        "services": view.services,
        "instances": view.instances,
        "held": view.held,
        "servicesHeld": view.holding,
        "frozen": view.frozen,
        "counts": {
            "reports": view.counts.reports,
            "added": view.counts.added,
            "changed": view.counts.changed,
            "removed": view.counts.removed,
            "held": view.counts.held,
            "released": view.counts.released,
            "returned": view.counts.returned,
        },
    })
}
