//! Which lane a request is in.

use ir::{LaneCarrier, LaneEntry, LaneRule, LaneWhen, Plan, RUNTIME};

use crate::answer::{Draft, Stage, Step};
use crate::fit::Fit;
use crate::matching;
use crate::request::Seen;

const ALL: u32 = 1_000_000;

#[derive(Clone, Debug)]
pub(crate) struct Lane {
    pub(crate) name: Option<std::sync::Arc<str>>,
    pub(crate) sure: bool,
}

impl Default for Lane {
    fn default() -> Self {
        Self { name: None, sure: true }
    }
}

/// As the request says itself.
pub(crate) fn said(carrier: &LaneCarrier, request: &Seen) -> Lane {
    let header = request.values(&carrier.header).first().map(|value| (*value).into());
    let member = || {
        let baggage = request.header("baggage").ok().flatten()?;
        let members = baggage.split(',').filter_map(|member| member.split(';').next());
        let pairs = members.filter_map(|member| member.split_once('='));
        let mut own = pairs.filter(|(key, _)| key.trim() == &*carrier.baggage);
        own.next().map(|(_, value)| value.trim().into())
    };
    Lane { name: header.or_else(member), sure: true }
}

/// Gives the request its lane where it comes in, and edits what says so.
pub(crate) fn given(
    plan: &Plan,
    entry: Option<&LaneEntry>,
    carrier: &LaneCarrier,
    request: &mut Seen,
    draft: &mut Draft,
) -> Lane {
    let claimed = said(carrier, request).name;
    let mut lane = Lane::default();
    let mut open = Vec::new();
    for LaneRule { lane: name, when } in entry.into_iter().flat_map(|entry| &entry.rules) {
        let fit = match when {
            LaneWhen::Asked => (claimed.as_ref() == Some(name)).into(),
            LaneWhen::Drawn { matches, share } => {
                let fits = matches.iter().map(|one| matching::judge(one, request).fit);
                let fits = if matches.is_empty() { Fit::Yes } else { Fit::any(fits) };
                let fractions = plan.runtime.get(RUNTIME).into_iter().flat_map(|l| &l.fractions);
                let share = fractions.into_iter().find(|(key, _)| key == share);
                let share = share.map_or(0, |(_, share)| *share);
                fits.and(match share {
                    0 => Fit::No,
                    ALL.. => Fit::Yes,
                    share => {
                        let percent = f64::from(share) / 10_000.0;
                        if fits != Fit::No {
                            open.push(format!(
                                "lane {name} gets {percent} % of such requests by lot"
                            ));
                        }
                        Fit::Unsure
                    }
                })
            }
        };
        if fit == Fit::Yes {
            lane.name = Some(name.clone());
            break;
        }
    }
    lane.sure = open.is_empty();
    for text in open {
        draft.step(Step::new(Stage::Policy, text).unsure());
    }
    match &lane.name {
        Some(name) => {
            request.remove(&carrier.header);
            request.add(&carrier.header, name);
            draft.step(Step::new(Stage::Policy, format!("it is in lane {name}")));
        }
        None => {
            if claimed.is_some() {
                let text = "what it says of a lane is not believed, and is taken away".to_string();
                draft.step(Step::new(Stage::Policy, text));
            }
            request.remove(&carrier.header);
        }
    }
    lane
}
