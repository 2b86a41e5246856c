//! What must hold before a rollout goes on.

use std::time::Duration;

use model::RolloutGates;

use super::Facts;

/// Of the requests to some proxies over some time.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Figures {
    pub requests: u64,
    /// Those that got a 5xx, of a back end or of the proxy itself.
    pub errors: u64,
    pub p99: Option<Duration>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Passing,
    Failing,
    /// Not known yet.
    Unknown,
}

impl Verdict {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Passing => "passing",
            Self::Failing => "failing",
            Self::Unknown => "unknown",
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct Gate {
    pub name: &'static str,
    pub verdict: Verdict,
    pub text: String,
    pub value: Option<f64>,
    pub limit: Option<f64>,
}

/// `since`: for how long all proxies of the step have had all of it.
pub(super) fn judge(gates: &RolloutGates, facts: &Facts, since: Option<Duration>) -> Vec<Gate> {
    let mut out = vec![refusals(facts)];
    if gates.acks {
        out.push(acks(facts, since));
    }
    let window = since.is_some_and(|since| since >= gates.window);
    let enough = facts.figures.filter(|found| found.requests >= u64::from(gates.min_requests));
    if let Some(limit) = gates.max_error_ratio {
        let ratio = enough.map(|found| float(found.errors) / float(found.requests));
        let text = |ratio: f64| format!("{:.2} % of the requests failed", ratio * 100.0);
        out.push(measured("errorRatio", ratio, limit, window, facts, gates, text));
    }
    if let Some(limit) = gates.max_p99 {
        let p99 = enough.and_then(|found| found.p99).map(|p99| p99.as_secs_f64());
        let text = |seconds: f64| format!("99 of 100 requests took up to {seconds:.3} s");
        out.push(measured("p99", p99, limit.as_secs_f64(), window, facts, gates, text));
    }
    out
}

fn refusals(facts: &Facts) -> Gate {
    let (verdict, text) = match &facts.refused {
        Some(words) => (Verdict::Failing, words.clone()),
        None => (Verdict::Passing, "no proxy refused anything".to_owned()),
    };
    Gate { name: "refusals", verdict, text, value: None, limit: None }
}

fn acks(facts: &Facts, since: Option<Duration>) -> Gate {
    // Who has taken it once and is busy with an endpoint now is not looked at again.
    let verdict = if since.is_some() { Verdict::Passing } else { Verdict::Unknown };
    let text = format!("{} of {} proxies have it", facts.taken, facts.proxies);
    let (value, limit) = (Some(float(facts.taken as u64)), Some(float(facts.proxies as u64)));
    Gate { name: "acks", verdict, text, value, limit }
}

fn measured(
    name: &'static str,
    value: Option<f64>,
    limit: f64,
    window: bool,
    facts: &Facts,
    gates: &RolloutGates,
    text: impl Fn(f64) -> String,
) -> Gate {
    let (verdict, text) = match value {
        // Enough is enough: no need to wait for the end of the window.
        Some(value) if value > limit => (Verdict::Failing, text(value)),
        Some(value) if window => (Verdict::Passing, text(value)),
        Some(value) => (Verdict::Unknown, format!("{}, so far", text(value))),
        None => match facts.figures {
            Some(found) => {
                let text = format!("{} of {} requests", found.requests, gates.min_requests);
                (Verdict::Unknown, text)
            }
            None => (Verdict::Unknown, "nobody counts requests here".to_owned()),
        },
    };
    Gate { name, verdict, text, value, limit: Some(limit) }
}

#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
fn float(count: u64) -> f64 {
    count as f64
}
