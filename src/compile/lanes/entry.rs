use std::sync::Arc;

use catalog::View;
use ir::{LaneCarrier, LaneEntry, LaneRule, LaneWhen, Name, RuntimeLayer};
use model::{Dye, Kind, Lane, LaneGroup, LaneNames, NamespacedName, ObjectKey};

use super::{carrier, groups_of, in_order, no_shares};

/// What lanes mean to the proxies of a Gateway.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Entry {
    pub(crate) carrier: LaneCarrier,
    /// `None`: no request gets a lane here.
    pub(crate) rules: Option<Arc<LaneEntry>>,
    pub(crate) shares: RuntimeLayer,
}

impl Default for Entry {
    fn default() -> Self {
        Self { carrier: carrier(&LaneNames::default()), rules: None, shares: no_shares() }
    }
}

pub(crate) fn entry(view: &View<'_>, gateway: &NamespacedName) -> Entry {
    let carrier = carrier(&view.mesh().lane);
    let target = ObjectKey { kind: Kind::Gateway, name: gateway.clone() };
    let groups = groups_of(view, &target);
    let running: Vec<_> = in_order(&groups).into_iter().filter(|(_, lane)| lane.running).collect();
    let asked = running.iter().filter(|(group, _)| group.accept_client_header);
    let asked = asked.map(|(_, lane)| LaneRule { lane: lane.name.clone(), when: LaneWhen::Asked });
    let drawn = running.iter().map(|(group, lane)| {
        let matches = lane.dye.matches.clone();
        let when = LaneWhen::Drawn { matches, share: share(group, lane) };
        LaneRule { lane: lane.name.clone(), when }
    });
    let rules: Vec<_> = asked.chain(drawn).collect();
    let mut shares = no_shares();
    shares.fractions =
        running.iter().map(|(group, lane)| (share(group, lane), parts(&lane.dye))).collect();
    shares.fractions.sort();
    let entry = LaneEntry { carrier: carrier.clone(), rules };
    Entry { carrier, rules: (!entry.rules.is_empty()).then(|| Arc::new(entry)), shares }
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
