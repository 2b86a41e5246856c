use std::sync::Arc;
use std::time::SystemTime;

use model::{Instance, RegistryServiceId};

use super::service::{Place, Service};
use super::source::Source;
use super::{Counts, Event, Guard, State};

/// A registry source, for people.
#[derive(Clone, Debug, PartialEq)]
pub struct RegistryView {
    pub name: Arc<str>,
    pub kind: &'static str,
    pub state: State,
    pub reason: String,
    pub since: SystemTime,
    /// When the registry last said anything.
    pub fresh: Option<SystemTime>,
    pub services: usize,
    /// Instances that are served.
    pub instances: usize,
    /// How many of those the registry does not name.
    pub held: usize,
    pub holding: usize,
    pub frozen: bool,
    pub counts: Counts,
}

#[derive(Clone, Debug, PartialEq)]
pub struct ServiceView {
    pub id: RegistryServiceId,
    pub state: State,
    pub reason: String,
    pub since: SystemTime,
    pub seen: SystemTime,
    pub instances: usize,
    pub healthy: usize,
    pub held: usize,
    pub hold: Option<HeldView>,
    pub frozen: bool,
    pub consumers: Vec<Arc<str>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldView {
    pub reason: String,
    pub since: SystemTime,
    /// Whether it ends by itself.
    pub ends: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub struct InstanceView {
    pub instance: Arc<Instance>,
    pub held: bool,
    pub first_seen: SystemTime,
    pub last_seen: SystemTime,
    pub changed: SystemTime,
}

impl Guard {
    pub(crate) fn registries(&self) -> Vec<RegistryView> {
        self.sources().map(Source::view).collect()
    }

    pub(crate) fn services(&self, registry: &str) -> Option<Vec<ServiceView>> {
        let source = self.source(registry)?;
        Some(source.services.iter().map(|(id, service)| source.service_view(id, service)).collect())
    }

    pub(crate) fn service(&self, id: &RegistryServiceId) -> Option<ServiceView> {
        let source = self.source(&id.registry)?;
        Some(source.service_view(id, source.services.get(id)?))
    }

    pub(crate) fn instances(&self, id: &RegistryServiceId) -> Option<Vec<InstanceView>> {
        let service = self.source(&id.registry)?.services.get(id)?;
        let view = |known: &super::service::Known| InstanceView {
            instance: known.instance.clone(),
            held: known.place == Place::Held,
            first_seen: known.first_seen,
            last_seen: if known.place == Place::Held { known.last_seen } else { service.seen },
            changed: known.changed,
        };
        Some(service.known.iter().map(view).collect())
    }

    /// The newest last.
    pub(crate) fn events(&self, registry: &str) -> Option<Vec<Arc<Event>>> {
        Some(self.source(registry)?.events.iter().cloned().collect())
    }
}

impl Source {
    fn view(&self) -> RegistryView {
        RegistryView {
            name: self.name.clone(),
            kind: self.kind,
            state: self.state,
            reason: self.reason.clone(),
            since: self.since,
            fresh: self.fresh,
            services: self.services.len(),
            instances: self.present + self.held,
            held: self.held,
            holding: self.holding.len(),
            frozen: self.frozen,
            counts: self.counts,
        }
    }

    fn service_view(&self, id: &RegistryServiceId, service: &Service) -> ServiceView {
        let hold = service.hold.as_ref().map(|hold| HeldView {
            reason: hold.reason.clone(),
            since: hold.since,
            ends: hold.until.is_some(),
        });
        let (state, reason) = match (&hold, self.state) {
            (_, State::Syncing) if service.session == 0 => {
                (State::Stale, "as before the restart".to_owned())
            }
            (_, State::Syncing | State::Stale | State::Lost) => (self.state, self.reason.clone()),
            (Some(hold), _) => (State::Degraded, hold.reason.clone()),
            (None, _) => (State::Live, String::new()),
        };
        let instances = service.known.iter();
        let healthy = |known: &&super::service::Known| {
            known.instance.health == model::EndpointHealth::Healthy && known.instance.weight > 0.0
        };
        ServiceView {
            id: id.clone(),
            state,
            reason,
            since: service.since,
            seen: service.seen,
            instances: service.known.len(),
            healthy: instances.filter(healthy).count(),
            held: service.count(Place::Held),
            hold,
            frozen: service.frozen,
            consumers: service.consumers.clone(),
        }
    }
}
