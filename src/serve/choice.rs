//! What goes into the next response of one type.

use std::sync::Arc;

use snapshot::{Resource, ResourceSet};

use crate::lookup::Lookup;
use crate::order::Order;
use crate::state::TypeState;
use crate::subscription::Subscription;
use crate::view::{Need, Owed};

/// The content of one response.
#[derive(Debug, Default)]
pub(crate) struct Choice {
    /// What the client lacks.
    pub(crate) sends: Vec<Arc<Resource>>,
    /// What the client has and shall not have.
    pub(crate) removes: Vec<Arc<str>>,
    /// What a full-state response repeats because leaving it out would delete it (xds-rules 28).
    pub(crate) all: Option<Vec<Arc<Resource>>>,
    /// Names that turned out to be owed nothing.
    pub(crate) settled: Vec<Arc<str>>,
    /// Names rejected before that this response takes up again, also those that must wait or for which there is no room:
    /// they follow by themselves.
    pub(crate) retried: Vec<Arc<str>>,
    /// Something that the client lacks has to wait for another type.
    pub(crate) waits: bool,
    /// A first answer: the client had none of it.
    pub(crate) whole: bool,
}

impl Choice {
    pub(crate) fn is_empty(&self) -> bool {
        self.sends.is_empty() && self.removes.is_empty()
    }
}

/// All of a first answer at once, without listing its names as owed; `None` if it has to be cut or something waits.
pub(crate) fn whole(
    says_missing: bool,
    sub: &Subscription,
    target: &ResourceSet,
    order: &mut Order<'_>,
    max_bytes: usize,
) -> Option<Choice> {
    if !order.nothing_unsent() {
        return None;
    }
    let mut choice = Choice { whole: true, ..Choice::default() };
    if sub.broad() {
        choice.sends.extend(target.iter().filter(|r| sub.covers(r.name())).cloned());
    }
    let names = sub.names();
    let found = Lookup::new(names.len(), target).all(names.iter().map(|n| &**n));
    for (name, resource) in names.iter().zip(found) {
        match resource {
            Some(resource) if !sub.broad() => choice.sends.push(resource.clone()),
            None if says_missing => choice.removes.push(name.clone()),
            Some(_) | None => {}
        }
    }
    let bytes: usize = choice.sends.iter().map(|r| r.delta().len()).sum();
    (bytes <= max_bytes).then_some(choice)
}

/// How the owed names look at the moment.
pub(crate) enum Verdict {
    /// Nothing to say under this name.
    Settled,
    /// Rejected as it is: silence until it changes (rule 36).
    Refused,
    /// Something else has to come first.
    WaitsToCome,
    /// Something else has to go first.
    WaitsToGo,
    Send(Arc<Resource>),
    Remove,
}

pub(crate) fn judge(
    name: &str,
    owed: &Owed,
    target: &ResourceSet,
    order: &mut Order<'_>,
    told: impl Fn(&Owed) -> bool,
) -> Verdict {
    let current = target.get(name);
    match owed.need(current) {
        Need::Nothing => Verdict::Settled,
        // Not to be told, yet to be remembered for as long as the client may use it: what it names must not go first.
        Need::Remove if !told(owed) && order.may_remove(name, owed) => Verdict::Settled,
        Need::Remove if !told(owed) => Verdict::WaitsToGo,
        _ if owed.refused(current) => Verdict::Refused,
        Need::Send(resource) if order.may_send(&resource, owed) => Verdict::Send(resource),
        Need::Remove if order.may_remove(name, owed) => Verdict::Remove,
        Need::Send(_) => Verdict::WaitsToCome,
        Need::Remove => Verdict::WaitsToGo,
    }
}

/// Moves what the response says out of the owed names, and notes what the client had before.
pub(crate) fn settle(state: &mut TypeState, choice: &Choice) -> Settled {
    let mut settled = Settled::default();
    if choice.whole {
        settled.fresh.clone_from(&choice.sends);
        return settled;
    }
    let owed = &mut state.view.owed;
    for name in &choice.settled {
        owed.remove(name);
    }
    for name in &choice.retried {
        if let Some(owed) = owed.get_mut(name) {
            owed.rejected = None;
        }
    }
    let mut take = |name: &Arc<str>, sent: Option<&Arc<Resource>>| {
        let Some(before) = owed.remove(name) else { return };
        settled.published = match (settled.published, before.published) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        match sent {
            Some(resource) if before.held.is_nothing() => settled.fresh.push(resource.clone()),
            _ => settled.changed.push(crate::state::Item {
                name: name.clone(),
                previous: before.held,
                sent: sent.cloned(),
            }),
        }
    };
    for resource in &choice.sends {
        take(resource.name(), Some(resource));
    }
    for name in &choice.removes {
        take(name, None);
    }
    settled
}

#[derive(Debug, Default)]
pub(crate) struct Settled {
    pub(crate) fresh: Vec<Arc<Resource>>,
    pub(crate) changed: Vec<crate::state::Item>,
    pub(crate) published: Option<std::time::Instant>,
}
