//! State-of-the-world responses of the types in which absence means deletion: each holds all of the subscription
//! (xds-rules 28), also what has to stay for now because a route still names it (56) or a newer one was rejected.

use std::collections::HashSet;
use std::sync::Arc;

use snapshot::{Resource, ResourceSet};

use crate::Nonce;
use crate::choice::{Choice, Verdict, judge};
use crate::order::Order;
use crate::state::TypeState;
use crate::view::Owed;

pub(crate) fn choose(
    state: &TypeState,
    target: &ResourceSet,
    order: &mut Order<'_>,
    says_missing: bool,
) -> Choice {
    let mut choice = Choice::default();
    let again: HashSet<Nonce> = state
        .view
        .owed
        .iter()
        .filter(|(name, owed)| !owed.refused(target.get(name)))
        .filter_map(|(_, owed)| owed.rejected.map(|r| r.batch))
        .collect();
    let mut exceptions: Vec<(&Arc<str>, Option<&Arc<Resource>>)> = Vec::new();
    let mut ride = Vec::new();
    for (name, owed) in &state.view.owed {
        let told = |owed: &Owed| !owed.held.is_nothing() || (says_missing && owed.asked);
        let verdict = match owed.rejected {
            Some(rejected) if again.contains(&rejected.batch) => {
                choice.retried.push(name.clone());
                let unbound = Owed { rejected: None, ..owed.clone() };
                judge(name, &unbound, target, order, told)
            }
            _ => judge(name, owed, target, order, told),
        };
        match verdict {
            Verdict::Settled => choice.settled.push(name.clone()),
            // Leaving out cannot be what was wrong: it happens with the next response, whatever that is about.
            Verdict::Refused if target.get(name).is_none() => ride.push((name, owed)),
            // One bad resource must not make the client refuse all later responses: it is shown what it had before.
            // Where it had nothing, leaving out all that was rejected together would delete the innocent.
            Verdict::Refused => exceptions.push((name, owed.held.resource().or(target.get(name)))),
            Verdict::WaitsToGo => exceptions.push((name, owed.held.resource())),
            Verdict::WaitsToCome => {
                choice.waits = true;
                exceptions.push((name, owed.held.resource()));
            }
            Verdict::Send(resource) => choice.sends.push(resource),
            Verdict::Remove => choice.removes.push(name.clone()),
        }
    }
    if !choice.is_empty() || state.answer {
        for (name, owed) in ride {
            if order.may_remove(name, owed) {
                choice.removes.push(name.clone());
            } else {
                choice.retried.push(name.clone());
                exceptions.push((name, owed.held.resource()));
            }
        }
        exceptions.sort_unstable_by_key(|(name, _)| *name);
        choice.all = Some(everything(state, target, &exceptions));
    }
    choice
}

fn everything(
    state: &TypeState,
    target: &ResourceSet,
    exceptions: &[(&Arc<str>, Option<&Arc<Resource>>)],
) -> Vec<Arc<Resource>> {
    let excepted = |name: &str| exceptions.binary_search_by(|(n, _)| (***n).cmp(name)).is_ok();
    let mut all: Vec<Arc<Resource>> = if state.sub.broad() {
        let covered = target.iter().filter(|r| state.sub.covers(r.name()));
        covered.filter(|r| !excepted(r.name())).cloned().collect()
    } else {
        let names = state.sub.names().iter().filter(|n| !excepted(n));
        names.filter_map(|name| target.get(name)).cloned().collect()
    };
    if !exceptions.is_empty() {
        all.extend(exceptions.iter().filter_map(|(_, held)| held.cloned()));
        all.sort_by(|a, b| a.name().cmp(b.name()));
    }
    all
}
