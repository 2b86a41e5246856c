use super::{Flaw, Parsed};
use crate::{ResourceKey, ResourceType};

/// Envoy has no limit of its own any more; names live in every statistic, so one that a user can grow without bound
/// costs memory in every proxy.
const LONGEST: usize = 512;

pub(super) fn check(parsed: &Parsed) -> Vec<Flaw> {
    let mut flaws = Vec::new();
    let mut look = |at: &ResourceKey, what: &str, name: &str| {
        if name.is_empty() || name.len() > LONGEST {
            let text = format!("{what} of {} bytes; 1 to {LONGEST} are allowed", name.len());
            flaws.push(Flaw { at: at.clone(), text });
        }
    };
    for kind in ResourceType::ALL {
        for resource in parsed.snapshot.set(kind).iter() {
            let at = ResourceKey { kind, name: resource.name().clone() };
            look(&at, "name", resource.name());
        }
    }
    for cluster in &parsed.clusters {
        look(&cluster.key, "statistics name", &cluster.inner.alt_stat_name);
    }
    for table in &parsed.routes {
        for host in &table.inner.virtual_hosts {
            look(&table.key, "virtual host name", &host.name);
            for route in &host.routes {
                look(&table.key, "route name", &route.name);
            }
        }
    }
    flaws
}
