//! What is written into registries, for callers that still look there.
//!
//! Only what static and kubernetes sources say is ever written, and what is written has a mark by which sources leave it
//! out: nothing goes round. Of two documents that want one name in one registry, the first by kind, namespace and name
//! has it, and the other is told.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use catalog::{Catalog, Key, View};
use imbl::OrdMap;
use model::{
    AppProtocol, Finding, Host, Instance, Kind, MeshService, Meta, Object, ObjectKey, Registration,
    RegistryKind, RegistryServiceId, Service, Severity, SourceFrom, codes,
};

use crate::backend::granted;
use crate::complaint::Complaint;
use crate::join::{self, Found};
use crate::tracker::Tracker;

/// Services that are to be found in registries, with their endpoints and how they are. Cheap to clone.
pub type Registered = OrdMap<RegistryServiceId, Arc<[Arc<Instance>]>>;

#[derive(Clone, Debug)]
pub(crate) struct Register {
    /// Whether all documents have been looked at once.
    started: bool,
    tracker: Tracker<ObjectKey>,
    pieces: OrdMap<ObjectKey, Piece>,
    claims: OrdMap<RegistryServiceId, BTreeSet<ObjectKey>>,
    written: Registered,
}

/// What one document wants.
#[derive(Clone, Debug, Default)]
struct Piece {
    wanted: BTreeMap<RegistryServiceId, Wanted>,
    complaints: Vec<Complaint>,
}

#[derive(Clone, Debug)]
struct Wanted {
    instances: Arc<[Arc<Instance>]>,
    /// For the one whose name is taken.
    told: Finding,
}

impl Register {
    pub(crate) fn new() -> Self {
        Self {
            started: false,
            tracker: Tracker::new(),
            pieces: OrdMap::new(),
            claims: OrdMap::new(),
            written: OrdMap::new(),
        }
    }

    pub(crate) fn written(&self) -> &Registered {
        &self.written
    }

    /// Returns the documents of which there may be something else to say.
    pub(crate) fn update(&mut self, catalog: &Catalog, changed: &[Key]) -> BTreeSet<ObjectKey> {
        let mut stale = self.tracker.stale(changed);
        if self.started {
            stale.extend(changed.iter().filter_map(|key| match key {
                Key::Object(key) if may_ask(key) => Some(key.clone()),
                _ => None,
            }));
        } else {
            self.started = true;
            let all = [Kind::MeshService, Kind::Service].map(|kind| catalog.list(kind));
            stale.extend(all.into_iter().flatten().map(|object| object.key().clone()));
        }
        let mut spoken = stale.clone();
        let mut touched = BTreeSet::new();
        for key in stale {
            let view = View::new(catalog);
            let object = catalog.get(&key).filter(|object| !asks(object).is_empty());
            let made = || object.map(|object| piece(&view, object));
            let Ok(piece) = catch_unwind(AssertUnwindSafe(made)) else {
                // A bug of ours: what is written stays.
                continue;
            };
            if piece.is_some() {
                self.tracker.set(key.clone(), view.into_reads());
            } else {
                self.tracker.forget(&key);
            }
            self.replace(key, piece, &mut touched);
        }
        for id in touched {
            let claims = self.claims.get(&id);
            spoken.extend(claims.into_iter().flatten().cloned());
            let winner = claims.and_then(BTreeSet::first);
            let wanted = winner.and_then(|key| self.pieces.get(key)?.wanted.get(&id));
            match wanted {
                Some(wanted) if self.written.get(&id) == Some(&wanted.instances) => {}
                Some(wanted) => drop(self.written.insert(id, wanted.instances.clone())),
                None => drop(self.written.remove(&id)),
            }
        }
        spoken
    }

    fn replace(
        &mut self,
        key: ObjectKey,
        piece: Option<Piece>,
        touched: &mut BTreeSet<RegistryServiceId>,
    ) {
        for (id, _) in self.pieces.remove(&key).into_iter().flat_map(|piece| piece.wanted) {
            if let Some(claims) = self.claims.get_mut(&id) {
                claims.remove(&key);
                if claims.is_empty() {
                    self.claims.remove(&id);
                }
            }
            touched.insert(id);
        }
        if let Some(piece) = piece {
            for id in piece.wanted.keys() {
                self.claims.entry(id.clone()).or_default().insert(key.clone());
                touched.insert(id.clone());
            }
            self.pieces.insert(key, piece);
        }
    }

    /// What there is to say of a document.
    pub(crate) fn complaints(&self, key: &ObjectKey) -> Vec<Complaint> {
        let Some(piece) = self.pieces.get(key) else { return Vec::new() };
        let taken = piece.wanted.iter().filter_map(|(id, wanted)| {
            let winner = self.claims.get(id)?.first().filter(|winner| *winner != key)?;
            let text = format!("{id} is registered for {winner}");
            Some(Finding { text, ..wanted.told.clone() }.into())
        });
        piece.complaints.iter().cloned().chain(taken).collect()
    }
}

fn may_ask(key: &ObjectKey) -> bool {
    matches!(key.kind, Kind::MeshService | Kind::Service)
}

fn asks(object: &Object) -> &[Registration] {
    match object {
        Object::MeshService(service) => &service.register,
        Object::Service(service) => &service.register,
        _ => &[],
    }
}

fn piece(view: &View<'_>, object: &Object) -> Piece {
    let mut piece = Piece::default();
    for registration in asks(object) {
        let say = Say { meta: object.meta(), registration };
        let Some(id) = identify(view, &say, &mut piece.complaints) else { continue };
        let found = match object {
            Object::MeshService(service) => of_mesh_service(view, service, registration),
            Object::Service(service) => of_service(view, service),
            _ => Ok(Vec::new()),
        };
        match found {
            Ok(found) => {
                let before = piece.wanted.get(&id).map(|wanted| wanted.instances.clone());
                let new = join::union(found.into_iter()).into_iter().map(instance).map(Arc::new);
                let mut all: Vec<_> = before.iter().flat_map(|b| b.iter().cloned()).collect();
                all.extend(new);
                all.sort_by(|a, b| a.key().cmp(&b.key()));
                all.dedup_by(|a, b| a.key() == b.key());
                let hint = "give one of them another name there";
                let told = say.finding(codes::REGISTRY_WRITE, String::new(), hint);
                piece.wanted.insert(id, Wanted { instances: all.into(), told });
            }
            Err((code, text, hint)) => piece.complaints.push(say.finding(code, text, hint).into()),
        }
    }
    piece
}

struct Say<'a> {
    meta: &'a Meta,
    registration: &'a Registration,
}

impl Say<'_> {
    fn finding(&self, code: model::Code, text: String, hint: &str) -> Finding {
        let at = self.meta.at(&self.registration.pointer);
        Finding { at, code, severity: Severity::Warning, text, hint: hint.into() }
    }
}

/// What the service is called in the registry, if it may be written there.
fn identify(
    view: &View<'_>,
    say: &Say<'_>,
    complaints: &mut Vec<Complaint>,
) -> Option<RegistryServiceId> {
    let Say { meta, registration } = say;
    let name = &registration.registry;
    let Some(registry) = view.registry(name) else {
        let text = format!("Registry {name} does not exist");
        let finding = say.finding(codes::REFERENCE_NOT_FOUND, text, "nothing is registered there");
        let missing = Some(ObjectKey { kind: Kind::Registry, name: name.clone() });
        complaints.push(Complaint::missing(finding, missing));
        return None;
    };
    let from = (meta.key.kind.group(), meta.key.kind.as_str(), &**meta.namespace());
    if !granted(view, from, (Kind::Registry.group(), Kind::Registry.as_str(), name)) {
        let text = format!(
            "no ReferenceGrant in namespace {} permits {} to be registered in Registry {name}",
            name.namespace, meta.key
        );
        let hint = "add a ReferenceGrant there, from this kind to kind Registry";
        complaints.push(say.finding(codes::REFERENCE_NOT_PERMITTED, text, hint).into());
        return None;
    }
    let group = match &registry.kind {
        RegistryKind::Nacos(_) => nacos_group(&registration.group),
        RegistryKind::Eureka(_) => {
            if !registration.group.is_empty() {
                let text = "Eureka has no groups".to_owned();
                complaints
                    .push(say.finding(codes::UNSUPPORTED_FIELD, text, "remove `group`").into());
            }
            "".into()
        }
        other @ (RegistryKind::ZooKeeper(_) | RegistryKind::Consul(_)) => {
            let text = format!("nothing is written into a registry of type {}", other.as_str());
            let hint = "only Nacos and Eureka are written";
            complaints.push(say.finding(codes::REGISTRY_WRITE, text, hint).into());
            return None;
        }
    };
    let registry = name.to_string().into();
    Some(RegistryServiceId { registry, group, name: registration.service.clone() })
}

/// One spelling for each group, as the source has it.
fn nacos_group(group: &Arc<str>) -> Arc<str> {
    let (namespace, name) = group.split_once('/').unwrap_or(("", group));
    let name = if name.is_empty() { "DEFAULT_GROUP" } else { name };
    if matches!(namespace, "" | "public") {
        name.into()
    } else {
        format!("{namespace}/{name}").into()
    }
}

type Refused = (model::Code, String, &'static str);

fn of_mesh_service(
    view: &View<'_>,
    service: &MeshService,
    registration: &Registration,
) -> Result<Vec<Found>, Refused> {
    let port = match registration.port {
        Some(number) => service.ports.iter().find(|port| port.port == number),
        None => service.ports.first(),
    };
    let Some(port) = port else {
        let text = format!("the service has no port {}", registration.port.unwrap_or_default());
        return Err((codes::PORT_NOT_FOUND, text, "name one of `ports`"));
    };
    let own: Vec<_> = service
        .sources
        .iter()
        .filter(|s| matches!(s.from, SourceFrom::Static(_) | SourceFrom::Kubernetes { .. }))
        .collect();
    if own.is_empty() {
        let text = "the service has no static or kubernetes source, and only those are registered";
        return Err((codes::REGISTRY_WRITE, text.into(), "nothing is registered"));
    }
    Ok(own.iter().flat_map(|source| join::of_source(view, service, source, port)).collect())
}

fn of_service(view: &View<'_>, service: &Service) -> Result<Vec<Found>, Refused> {
    if service.external_name.is_some() {
        let text = "a Service of type ExternalName has no endpoints to register";
        return Err((codes::REGISTRY_WRITE, text.into(), "nothing is registered"));
    }
    Ok(join::of_service(view, service.meta.name(), |ports| {
        ports.iter().position(|port| port.protocol != AppProtocol::Udp)
    }))
}

fn instance((endpoint, port): Found) -> Instance {
    let labels = endpoint
        .pod
        .into_iter()
        .flat_map(|pod| [("k8s_namespace".into(), pod.namespace), ("k8s_pod".into(), pod.name)]);
    Instance {
        weight: endpoint.weight,
        health: endpoint.health,
        locality: endpoint.locality,
        labels: labels.collect(),
        ..Instance::new(Host::Ip(endpoint.address), port)
    }
}

#[cfg(test)]
mod tests;
