//! PeerPolicy: which connections a workload takes.

use std::collections::BTreeSet;

use catalog::View;
use model::{Kind, MtlsMode, Object, PeerPolicy};

use crate::attach::{Reached, Workload, candidates, reached};

#[cfg(test)]
mod tests;

/// What a workload takes on a port; `None` asks for ports that nobody speaks of.
///
/// What is said of the port itself goes before what is said of the workload, that before what is said of its namespace, and
/// that before what is said of the mesh. Of two policies that say something of the same, the older one counts.
#[must_use]
pub fn mode(view: &View<'_>, workload: &Workload<'_>, port: Option<u16>) -> MtlsMode {
    let found = all(view, workload);
    let of_port = || {
        let port = port?;
        found.iter().find_map(|(reached, policy)| {
            let own = policy.ports.get(&port).copied();
            // A policy for ports of a service says it of those.
            let all_of_these = reached.ports.is_some().then_some(policy.mtls);
            own.or(all_of_these).filter(|_| reached.has(port))
        })
    };
    let of_workload = || found.iter().find(|(reached, _)| reached.ports.is_none());
    of_port().or_else(|| of_workload().map(|(_, policy)| policy.mtls)).unwrap_or_default()
}

/// The ports that policies for a workload speak of, whether a service leads there or not.
#[must_use]
pub fn ports(view: &View<'_>, workload: &Workload<'_>) -> BTreeSet<u16> {
    all(view, workload).iter().flat_map(|(_, policy)| policy.ports.keys().copied()).collect()
}

/// Those that reach a workload, the nearest first, and within a level the older.
fn all<'a>(view: &View<'a>, workload: &Workload<'_>) -> Vec<(Reached, &'a PeerPolicy)> {
    let root = view.mesh().root_namespace;
    let mut found: Vec<(Reached, &PeerPolicy)> =
        candidates(view, Kind::PeerPolicy, workload.namespace, &root)
            .into_iter()
            .filter_map(|object| {
                let Object::PeerPolicy(policy) = object else { return None };
                Some((reached(&policy.reach, &policy.meta, &root, workload)?, &**policy))
            })
            .collect();
    // Stable: within a level they stay in order of age.
    found.sort_by_key(|(reached, _)| reached.level);
    found
}
