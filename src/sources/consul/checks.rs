use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::wire::{Check, List};

/// All checks of the catalog, as far as it takes to see which services one has to read again.
#[derive(Debug, Default)]
pub(super) struct Checks(BTreeMap<Key, (Arc<str>, Status)>);

/// Node and check.
type Key = (Arc<str>, Arc<str>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Status {
    Passing,
    Warning,
    Critical,
}

/// What the way from one state of the checks to the next touches.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Touched {
    pub(super) services: BTreeSet<Arc<str>>,
    /// A check of a node concerns every service on it.
    pub(super) nodes: BTreeSet<Arc<str>>,
}

impl Checks {
    pub(super) fn new(all: &List<Check>) -> Self {
        let text = |loose: &crate::registry::loose::Loose| loose.get().unwrap_or_default().into();
        let one = |check: &Check| {
            let status = match check.status.get() {
                Some("passing") => Status::Passing,
                Some("warning") => Status::Warning,
                _ => Status::Critical,
            };
            ((text(&check.node), text(&check.check_id)), (text(&check.service_name), status))
        };
        Self(all.0.iter().map(one).collect())
    }

    pub(super) fn touched(&self, new: &Self) -> Touched {
        let mut touched = Touched::default();
        let mut touch = |(node, _): &Key, (service, _): &(Arc<str>, Status)| {
            if service.is_empty() {
                touched.nodes.insert(node.clone());
            } else {
                touched.services.insert(service.clone());
            }
        };
        for (key, old) in &self.0 {
            if new.0.get(key) != Some(old) {
                touch(key, old);
            }
        }
        for (key, now) in &new.0 {
            if self.0.get(key).is_none_or(|old| old.0 != now.0) {
                touch(key, now);
            }
        }
        touched
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checks(all: &[(&str, &str, &str, &str)]) -> Checks {
        let all: Vec<_> = all
            .iter()
            .map(|(node, id, service, status)| {
                serde_json::json!({"Node": node, "CheckID": id, "ServiceName": service, "Status": status})
            })
            .collect();
        Checks::new(&serde_json::from_value(all.into()).unwrap())
    }

    #[test]
    fn a_changed_new_or_missing_check_touches_its_service_or_its_node() {
        let old = checks(&[
            ("n1", "serfHealth", "", "passing"),
            ("n2", "serfHealth", "", "passing"),
            ("n1", "a", "orders", "passing"),
            ("n1", "b", "stock", "passing"),
            ("n1", "c", "users", "passing"),
        ]);
        let new = checks(&[
            ("n1", "serfHealth", "", "passing"),
            ("n2", "serfHealth", "", "critical"),
            ("n1", "a", "orders", "warning"),
            ("n1", "c", "users", "passing"),
            ("n1", "d", "carts", "passing"),
        ]);
        let set = |names: &[&str]| names.iter().map(|name| Arc::from(*name)).collect();
        assert_eq!(
            old.touched(&new),
            Touched { services: set(&["orders", "stock", "carts"]), nodes: set(&["n2"]) }
        );
        assert_eq!(new.touched(&new), Touched::default());
    }
}
