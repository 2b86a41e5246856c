//! # guard: what the facts of a registry mean for what is served
//!
//! ```text
//! Report, Health ──► Source ──► Service (instances, what is held back) ──► what is served, asks, events
//! Steer (a person) ──┘  └─ tick: limits of time
//! ```
//!
//! One contract for all registries. Contact that is lost removes nothing. What is registered in a healthy session counts
//! at once. What is missing after contact was made anew is *unconfirmed*, and a mass drop is *held*: both stay in service
//! until a second full answer, a limit of time or a person says that it is true. Everything decided is an [`Event`].

mod event;
mod rules;
mod service;
mod source;
#[cfg(test)]
mod tests;
mod view;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use model::{Ask, Finding, Health, Instance, Registry, RegistryServiceId, Report, Steer};

use crate::Now;
pub use event::{Event, What};
pub use rules::settle_time;
use source::Source;
pub use source::{Counts, State};
pub use view::{HeldView, InstanceView, RegistryView, ServiceView};

/// A service of a registry as it is served: what the registry says, and what is held.
#[derive(Clone, Debug, PartialEq)]
pub struct ServedService {
    /// In order of host and port.
    pub instances: Vec<Arc<Instance>>,
    /// Share of healthy instances below which all get traffic.
    pub protect_threshold: f64,
}

/// A service that was served before a restart.
#[derive(Clone, Debug, PartialEq)]
pub struct Seed {
    pub id: RegistryServiceId,
    pub service: ServedService,
}

/// The guards of all registries.
#[derive(Clone, Debug, Default)]
pub(crate) struct Guard {
    /// Shared with copies until something is said of one.
    sources: BTreeMap<Arc<str>, Arc<Source>>,
    /// What was served before the restart, of registries that are not known yet.
    seeds: HashMap<Arc<str>, Vec<Seed>>,
}

/// What one step of a guard did.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// Services that are served otherwise than before; `None` for those that are no more.
    pub(crate) served: BTreeMap<RegistryServiceId, Option<Arc<ServedService>>>,
    /// What is wrong with one service; empty for nothing any more.
    pub(crate) findings: Vec<(RegistryServiceId, Vec<Finding>)>,
    pub(crate) asks: Vec<(Arc<str>, Ask)>,
    pub(crate) events: Vec<Arc<Event>>,
}

impl Guard {
    pub(crate) fn seed(&mut self, seeds: impl IntoIterator<Item = Seed>) {
        for seed in seeds {
            self.seeds.entry(seed.id.registry.clone()).or_default().push(seed);
        }
    }

    /// The document is new, edited or gone.
    pub(crate) fn configure(
        &mut self,
        name: &Arc<str>,
        registry: Option<&Registry>,
        now: Now,
        out: &mut Outcome,
    ) {
        match (registry, self.sources.get_mut(name)) {
            (Some(registry), Some(source)) => Arc::make_mut(source).edit(registry),
            (Some(registry), None) => {
                let seeds = self.seeds.remove(name).unwrap_or_default();
                let source = Source::new(name.clone(), registry, seeds, now, out);
                self.sources.insert(name.clone(), Arc::new(source));
            }
            (None, Some(_)) => {
                if let Some(source) = self.sources.remove(name) {
                    out.served.extend(source.ids().map(|id| (id.clone(), None)));
                }
            }
            (None, None) => {}
        }
    }

    /// What an unknown source says (its document is gone) counts for nothing.
    pub(crate) fn report(&mut self, name: &Arc<str>, report: Report, now: Now, out: &mut Outcome) {
        let Some(source) = self.sources.get_mut(name) else { return };
        let source = Arc::make_mut(source);
        match report {
            Report::Service { service, asked } => source.service(&service, asked, now, out),
            Report::Names(names) => source.names(&names, now, out),
            Report::Whole => source.whole(now),
            Report::Doubt { reason } => source.doubt(&reason, now, out),
        }
    }

    pub(crate) fn health(&mut self, name: &Arc<str>, health: &Health, now: Now, out: &mut Outcome) {
        if let Some(source) = self.sources.get_mut(name) {
            Arc::make_mut(source).health(health, now, out);
        }
    }

    pub(crate) fn steer(&mut self, name: &Arc<str>, steer: &Steer, now: Now, out: &mut Outcome) {
        if let Some(source) = self.sources.get_mut(name) {
            Arc::make_mut(source).steer(steer, now, out);
        }
    }

    /// Does what is due.
    pub(crate) fn tick(&mut self, now: Now, out: &mut Outcome) {
        for source in self.sources.values_mut() {
            if source.deadline().is_some_and(|due| due <= now.since) {
                Arc::make_mut(source).tick(now, out);
            }
        }
    }

    /// When the next tick has something to do.
    pub(crate) fn deadline(&self) -> Option<Duration> {
        self.sources.values().filter_map(|source| source.deadline()).min()
    }

    pub(crate) fn sources(&self) -> impl Iterator<Item = &Source> {
        self.sources.values().map(|source| &**source)
    }

    pub(crate) fn source(&self, name: &str) -> Option<&Source> {
        self.sources.get(name).map(|source| &**source)
    }
}
