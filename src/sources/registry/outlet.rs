use std::sync::Arc;

use model::{
    Ask, Batch, Change, Finding, Health, Registry, RegistryService, RegistryServiceId, Report,
};
use tokio::sync::{mpsc, watch};

/// What comes in: the document as it is now, and what the catalog wants to know. A source ends when `asks` is closed.
#[derive(Debug)]
pub struct Inlet {
    /// An edit is taken live; a source keeps its session where the edit does not concern it.
    pub registry: watch::Receiver<Arc<Registry>>,
    pub asks: mpsc::Receiver<Ask>,
}

/// Where the facts go. Every method waits while the pipeline is behind, and gives `false` once nobody listens.
#[derive(Clone, Debug)]
pub struct Outlet {
    source: Arc<str>,
    out: mpsc::Sender<Batch>,
}

impl Outlet {
    /// `source`: `NAMESPACE/NAME` of the Registry.
    #[must_use]
    pub fn new(source: Arc<str>, out: mpsc::Sender<Batch>) -> Self {
        Self { source, out }
    }

    #[must_use]
    pub fn source(&self) -> &Arc<str> {
        &self.source
    }

    /// One atomic step.
    pub async fn send(&self, changes: Vec<Change>) -> bool {
        changes.is_empty()
            || self.out.send(Batch { source: self.source.clone(), changes }).await.is_ok()
    }

    pub async fn health(&self, health: Health) -> bool {
        self.send(vec![Change::Health(health)]).await
    }

    pub async fn service(&self, service: RegistryService, asked: bool) -> bool {
        self.send(vec![Self::report(service, asked)]).await
    }

    pub async fn names(&self, names: Vec<RegistryServiceId>) -> bool {
        self.send(vec![Change::Registry(Report::Names(names))]).await
    }

    pub async fn whole(&self) -> bool {
        self.send(vec![Change::Registry(Report::Whole)]).await
    }

    pub async fn doubt(&self, reason: impl Into<String>) -> bool {
        self.send(vec![Change::Registry(Report::Doubt { reason: reason.into() })]).await
    }

    /// All that is wrong in one part of the source's input; replaces what was said of that part before.
    pub async fn findings(&self, scope: &str, findings: Vec<Finding>) -> bool {
        self.send(vec![Change::Findings { scope: scope.into(), findings }]).await
    }

    /// For a batch of several services.
    #[must_use]
    pub fn report(service: RegistryService, asked: bool) -> Change {
        Change::Registry(Report::Service { service: Arc::new(service), asked })
    }

    /// Resolves when nobody listens any more.
    pub async fn closed(&self) {
        self.out.closed().await;
    }
}
