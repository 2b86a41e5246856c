//! Hosts of MeshServices under which clients get another service. Whether anybody dials them does not count, so that the same
//! documents have the same findings everywhere.

use std::collections::BTreeSet;
use std::sync::Arc;

use catalog::{Catalog, Key, View};
use imbl::{OrdMap, OrdSet};
use ir::Name;
use model::{Finding, Kind, MeshService, Object, ObjectKey, Severity, codes};

use super::names::{Claim, namesake, of_host, of_service, owner};
use crate::complaint::Complaint;
use crate::tracker::Tracker;

/// Who claims which name, as MeshServices with hosts come and go.
#[derive(Clone, Debug)]
pub(crate) struct Conflicts {
    /// MeshServices, by what they and the Services of their hosts are.
    tracker: Tracker<ObjectKey>,
    /// By MeshService: what it claims for itself and for Services with the same names.
    by: OrdMap<ObjectKey, Arc<[(Name, Claim)]>>,
    /// For each name all that want it, each with the MeshService that brought it up; the first has it.
    names: OrdMap<Name, OrdSet<(Claim, ObjectKey)>>,
}

impl Conflicts {
    pub(crate) fn new() -> Self {
        Self { tracker: Tracker::new(), by: OrdMap::new(), names: OrdMap::new() }
    }

    /// `stale`: MeshServices that are to be looked at anyway. Returns those of which there may be something else to say.
    pub(crate) fn update(
        &mut self,
        catalog: &Catalog,
        changed: &[Key],
        mut stale: BTreeSet<ObjectKey>,
    ) -> BTreeSet<ObjectKey> {
        stale.extend(self.tracker.stale(changed));
        let mut out = BTreeSet::new();
        for key in stale {
            let view = View::new(catalog);
            let service = mesh_service(catalog, &key).filter(|service| !service.hosts.is_empty());
            let new: Arc<[_]> = service.into_iter().flat_map(|s| claims(&view, s)).collect();
            match service {
                Some(_) => self.tracker.set(key.clone(), view.into_reads()),
                None => self.tracker.forget(&key),
            }
            let old = match service {
                Some(_) => self.by.insert(key.clone(), new.clone()),
                None => self.by.remove(&key),
            };
            if service.is_none() && old.is_none() {
                continue;
            }
            let old = old.unwrap_or_else(|| Arc::new([]));
            if old != new {
                let names: BTreeSet<&Name> = old.iter().chain(&*new).map(|(n, _)| n).collect();
                let had: Vec<_> = names.iter().map(|name| self.winner(name).cloned()).collect();
                for (name, claim) in &*old {
                    let Some(claims) = self.names.get_mut(name) else { continue };
                    claims.remove(&(claim.clone(), key.clone()));
                    if claims.is_empty() {
                        self.names.remove(name);
                    }
                }
                for (name, claim) in &*new {
                    let claims = self.names.entry(name.clone()).or_default();
                    claims.insert((claim.clone(), key.clone()));
                }
                for (name, had) in names.into_iter().zip(had) {
                    if self.winner(name) != had.as_ref() {
                        let all = self.names.get(name).into_iter().flatten();
                        out.extend(all.map(|(_, by)| by.clone()));
                    }
                }
            }
            out.insert(key);
        }
        out
    }

    fn winner(&self, name: &Name) -> Option<&Claim> {
        self.names.get(name)?.get_min().map(|(claim, _)| claim)
    }

    /// A finding for each host of a MeshService that is another's.
    pub(crate) fn complaints(&self, catalog: &Catalog, key: &ObjectKey) -> Vec<Complaint> {
        let Some(service) = mesh_service(catalog, key) else { return Vec::new() };
        let mut out = Vec::new();
        for (index, host) in service.hosts.iter().enumerate() {
            let names = of_host(service, host);
            let mut winners = names.iter().filter_map(|(name, _)| self.winner(name));
            let other =
                winners.find(|won| (won.backend.kind, &won.backend.name) != (key.kind, &key.name));
            let text = match (other, owner(host)) {
                (Some(Claim { backend, .. }), _) => {
                    format!(
                        "{host} is also a name of {} {}, which gets the clients",
                        backend.kind, backend.name
                    )
                }
                (None, Some(owner)) if *owner != *key.name.namespace => {
                    format!("{host} belongs to namespace {owner}")
                }
                (None, _) => continue,
            };
            let finding = Finding {
                at: service.meta.at(&format!("/spec/hosts/{index}")),
                code: codes::HOST_TAKEN,
                severity: Severity::Warning,
                text,
                hint: "a Service keeps its own names, except from a MeshService of its namespace; else the older \
                       MeshService counts"
                    .into(),
            };
            out.push(finding.into());
        }
        out
    }
}

fn mesh_service<'a>(catalog: &'a Catalog, key: &ObjectKey) -> Option<&'a Arc<MeshService>> {
    match catalog.get(key)? {
        Object::MeshService(service) => Some(service),
        _ => None,
    }
}

fn claims(view: &View<'_>, service: &MeshService) -> Vec<(Name, Claim)> {
    let mut out = Vec::new();
    for host in &service.hosts {
        let names = of_host(service, host);
        let key = namesake(host).map(|name| ObjectKey { kind: Kind::Service, name });
        if let Some(Object::Service(own)) = key.and_then(|key| view.get(&key)) {
            let shared = of_service(own).into_iter();
            out.extend(shared.filter(|(name, _)| names.iter().any(|own| own.0 == *name)));
        }
        out.extend(names);
    }
    out
}
