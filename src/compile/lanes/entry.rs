use std::collections::BTreeSet;
use std::sync::Arc;

use catalog::View;
use ir::{LaneCarrier, LaneEntry, LaneRule, LaneWhen, Name, RuntimeLayer};
use model::{Dye, Kind, Lane, LaneGroup, LaneNames, NamespacedName, ObjectKey};

use super::{carrier, groups_of, in_order, no_shares};

/// What lanes mean to the proxies of a Gateway.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Entry {
    pub(crate) carrier: LaneCarrier,
    pub(crate) shares: RuntimeLayer,
    /// In order, each with the listeners at which it counts.
    rules: Vec<(Listeners, LaneRule)>,
}

/// `None`: all.
type Listeners = Option<BTreeSet<Arc<str>>>;

impl Default for Entry {
    fn default() -> Self {
        Self { carrier: carrier(&LaneNames::default()), shares: no_shares(), rules: Vec::new() }
    }
}

impl Entry {
    /// How requests get their lane at any of these listeners; `None`: none does.
    pub(crate) fn at(&self, listeners: &BTreeSet<&Arc<str>>) -> Option<Arc<LaneEntry>> {
        let here = |wanted: &Listeners| {
            wanted.as_ref().is_none_or(|wanted| wanted.iter().any(|name| listeners.contains(name)))
        };
        let rules = self.rules.iter().filter(|(wanted, _)| here(wanted));
        let rules: Vec<_> = rules.map(|(_, rule)| rule.clone()).collect();
        let entry = LaneEntry { carrier: self.carrier.clone(), rules };
        (!entry.rules.is_empty()).then(|| Arc::new(entry))
    }

    pub(crate) fn same_rules(&self, other: &Self) -> bool {
        (&self.carrier, &self.rules) == (&other.carrier, &other.rules)
    }
}

pub(crate) fn entry(view: &View<'_>, gateway: &NamespacedName) -> Entry {
    let carrier = carrier(&view.mesh().lane);
    let target = ObjectKey { kind: Kind::Gateway, name: gateway.clone() };
    let groups = groups_of(view, &target);
    let running: Vec<_> = in_order(&groups).into_iter().filter(|(_, lane)| lane.running).collect();
    let rule = |group: &LaneGroup, lane: &Lane, when| {
        (listeners(group, gateway), LaneRule { lane: lane.name.clone(), when })
    };
    let asked = running.iter().filter(|(group, _)| group.accept_client_header);
    let asked = asked.map(|(group, lane)| rule(group, lane, LaneWhen::Asked));
    let drawn = running.iter().map(|(group, lane)| {
        let matches = lane.dye.matches.clone();
        rule(group, lane, LaneWhen::Drawn { matches, share: share(group, lane) })
    });
    let rules = asked.chain(drawn).collect();
    let mut shares = no_shares();
    shares.fractions =
        running.iter().map(|(group, lane)| (share(group, lane), parts(&lane.dye))).collect();
    shares.fractions.sort();
    Entry { carrier, shares, rules }
}

/// At which listeners of a Gateway a group's lanes begin.
fn listeners(group: &LaneGroup, gateway: &NamespacedName) -> Listeners {
    let entries = group.entries.iter().filter(|entry| entry.name == *gateway);
    entries.map(|entry| entry.section.clone()).collect()
}

/// The name of a lane's share among runtime values.
fn share(group: &LaneGroup, lane: &Lane) -> Name {
    let NamespacedName { namespace, name } = group.meta.name();
    format!("isthmus.lane.{namespace}.{name}.{}", lane.name).into()
}

/// In a million.
fn parts(dye: &Dye) -> u32 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "in range by the clamp, and whole by rounding"
    )]
    let parts = (dye.percent * 10_000.0).round().clamp(0.0, 1_000_000.0) as u32;
    parts
}
