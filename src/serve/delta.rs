//! Responses that hold only what changed: all of delta, and the state-of-the-world types in which absence does not
//! mean deletion (xds-rules 29).

use std::collections::BTreeSet;
use std::sync::Arc;

use snapshot::ResourceSet;

use crate::choice::{Choice, Verdict, judge};
use crate::order::Order;
use crate::state::TypeState;
use crate::view::{Held, Owed, removal_is_told};
use crate::{Form, Nonce, missing};

/// Key and length of a name in a response, at most.
const FIELD_OVERHEAD: usize = 6;

pub(crate) fn choose(
    form: Form,
    state: &TypeState,
    target: &ResourceSet,
    order: &mut Order<'_>,
    max_bytes: usize,
    says_missing: bool,
) -> Choice {
    let mut choice = pick(form, state, target, order, max_bytes, says_missing, None);
    if !choice.is_empty() || state.answer {
        return choice;
    }
    // Names rejected together come back together and apart from others (rule 43), once one of them has changed.
    let changed = state.view.owed.iter().filter(|(name, owed)| !owed.refused(target.get(name)));
    let batches: BTreeSet<_> = changed.filter_map(|(_, owed)| Some(owed.rejected?.batch)).collect();
    for batch in batches {
        let (settled, waits) = (choice.settled, choice.waits);
        choice = pick(form, state, target, order, max_bytes, says_missing, Some(batch));
        choice.settled.extend(settled);
        choice.waits |= waits;
        // Of one there may be nothing to say: that must not keep back the next.
        if !choice.is_empty() {
            break;
        }
    }
    choice
}

fn pick(
    form: Form,
    state: &TypeState,
    target: &ResourceSet,
    order: &mut Order<'_>,
    max_bytes: usize,
    says_missing: bool,
    batch: Option<Nonce>,
) -> Choice {
    let mut choice = Choice::default();
    let mut bytes = 0;
    let told = |owed: &Owed| removals_told(form, says_missing, target, owed);
    // Removals that were rejected along with something else: they ride on the next response, whatever it is about.
    let mut ride = Vec::new();
    for (name, owed) in &state.view.owed {
        if target.get(name).is_none() && state.sought.contains_key(name) {
            continue;
        }
        if owed.rejected.map(|r| r.batch) != batch {
            if owed.rejected.is_some() && target.get(name).is_none() && told(owed) {
                ride.push((name, owed));
            }
            continue;
        }
        let verdict = match owed.rejected {
            // The whole batch is tried again, changed or not.
            Some(_) => {
                let unbound = Owed { rejected: None, ..owed.clone() };
                judge(name, &unbound, target, order, told)
            }
            None => judge(name, owed, target, order, told),
        };
        match verdict {
            Verdict::Settled => choice.settled.push(name.clone()),
            Verdict::Refused | Verdict::WaitsToGo => {}
            Verdict::WaitsToCome => choice.waits = true,
            Verdict::Send(resource) => {
                bytes += match form {
                    Form::Sotw => resource.sotw().len(),
                    Form::Delta => resource.delta().len(),
                };
                if bytes > max_bytes && !choice.is_empty() {
                    // The rest follows when this part is ACKed (rule 80).
                    break;
                }
                choice.sends.push(resource);
            }
            Verdict::Remove => {
                bytes += match form {
                    Form::Sotw => missing::field_len(name),
                    Form::Delta => name.len() + FIELD_OVERHEAD,
                };
                if bytes > max_bytes && !choice.is_empty() {
                    break;
                }
                choice.removes.push(name.clone());
            }
        }
    }
    if !choice.is_empty() {
        for (name, owed) in ride {
            let list = match order.may_remove(name, owed) {
                true => &mut choice.removes,
                false => &mut choice.retried,
            };
            list.push(name.clone());
        }
        if batch.is_some() {
            let all = state.view.owed.iter();
            let members = all.filter(|(_, owed)| owed.rejected.map(|r| r.batch) == batch);
            choice.retried.extend(members.map(|(name, _)| name.clone()));
        }
    }
    choice
}

/// State of the world cannot say "gone" here (rule 29), only to whoever asks that there is no such thing (70). Delta says
/// it to whoever asks (46), and to others where it does no harm.
fn removals_told(form: Form, says_missing: bool, target: &ResourceSet, owed: &Owed) -> bool {
    let gone = removal_is_told(target.kind()) && !matches!(owed.held, Held::Nothing);
    (says_missing && owed.asked) || (form == Form::Delta && gone)
}

/// A name unsubscribed under a wildcard is answered with the resource or its removal (rule 48).
pub(crate) fn unsubscribed_under_wildcard(
    state: &mut TypeState,
    dropped: &[Arc<str>],
    now: std::time::Instant,
) {
    for name in dropped {
        state.view.ask(name, true, now);
    }
}
