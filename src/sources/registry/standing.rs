use std::collections::BTreeSet;

use model::{Finding, Health};

use super::Outlet;

/// What a source said of its own state, so that each thing is said once and taken back when it is mended.
#[derive(Debug)]
pub struct Standing {
    outlet: Outlet,
    health: Option<Health>,
    told: BTreeSet<&'static str>,
}

impl Standing {
    #[must_use]
    pub fn new(outlet: Outlet) -> Self {
        Self { outlet, health: None, told: BTreeSet::new() }
    }

    /// `false` once nobody listens.
    pub async fn health(&mut self, health: Health) -> bool {
        if self.health.as_ref() == Some(&health) {
            return true;
        }
        self.health = Some(health.clone());
        self.outlet.health(health).await
    }

    /// Something is wrong with one part of the input.
    pub async fn tell(&mut self, scope: &'static str, finding: Finding) -> bool {
        self.told.insert(scope);
        self.outlet.findings(scope, vec![finding]).await
    }

    pub async fn mended(&mut self, scope: &'static str) -> bool {
        !self.told.remove(scope) || self.outlet.findings(scope, Vec::new()).await
    }

    /// Nothing is wrong any more.
    pub async fn all_mended(&mut self) -> bool {
        for scope in std::mem::take(&mut self.told) {
            if !self.outlet.findings(scope, Vec::new()).await {
                return false;
            }
        }
        true
    }
}
