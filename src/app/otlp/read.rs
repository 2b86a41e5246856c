//! What `/metrics` shows, as OTLP has it: one source, so that both always say the same.

use std::collections::BTreeMap;

use super::message::{
    AnyValue, Data, Distribution, Gauge, Histogram, KeyValue, Metric, Number, Sum, Temporality,
};

/// Nanoseconds since 1970.
#[derive(Clone, Copy, Debug)]
pub(super) struct Times {
    pub(super) start: u64,
    pub(super) now: u64,
}

/// A sample's labels in order, and what is gathered of them.
type Labels = Vec<(String, String)>;

#[derive(Default)]
struct Family {
    kind: String,
    help: String,
    numbers: Vec<(Labels, f64)>,
    distributions: BTreeMap<Labels, Gathered>,
}

#[derive(Default)]
struct Gathered {
    /// Upper bound and how many are not above it.
    buckets: Vec<(f64, u64)>,
    sum: f64,
    count: u64,
}

/// `text` in Prometheus' format, as our own recorder writes it. Our histograms have buckets, so summaries do not occur.
pub(super) fn metrics(text: &str, times: Times) -> Vec<Metric> {
    let mut families: BTreeMap<&str, Family> = BTreeMap::new();
    let mut current = "";
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').unwrap_or((rest, ""));
            families.entry(name).or_default().help = unescape(help);
        } else if let Some((name, kind)) =
            line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' '))
        {
            families.entry(name).or_default().kind = kind.to_owned();
            current = name;
        } else if let (Some((name, labels, value)), Some(family)) =
            (sample(line), families.get_mut(current))
        {
            family.take(name.strip_prefix(current).unwrap_or_default(), labels, value);
        }
    }
    families.into_iter().filter_map(|(name, family)| family.metric(name, times)).collect()
}

impl Family {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "counts of requests, far below 2^53"
    )]
    fn take(&mut self, suffix: &str, mut labels: Labels, value: f64) {
        if self.kind != "histogram" {
            self.numbers.push((labels, value));
            return;
        }
        let bound = labels.iter().position(|(key, _)| key == "le").map(|at| labels.remove(at).1);
        let gathered = self.distributions.entry(labels).or_default();
        match (suffix, bound.and_then(|bound| bound.parse().ok())) {
            ("_bucket", Some(bound)) => gathered.buckets.push((bound, value as u64)),
            ("_sum", _) => gathered.sum = value,
            ("_count", _) => gathered.count = value as u64,
            _ => {}
        }
    }

    fn metric(self, name: &str, times: Times) -> Option<Metric> {
        let Self { kind, help, numbers, distributions } = self;
        let cumulative = Temporality::Cumulative as i32;
        let numbers = |start| {
            let point = |(labels, value)| Number {
                attributes: attributes(labels),
                start,
                time: times.now,
                value,
            };
            numbers.into_iter().map(point).collect()
        };
        let data = match kind.as_str() {
            "counter" => Data::Sum(Sum {
                points: numbers(times.start),
                temporality: cumulative,
                monotonic: true,
            }),
            "gauge" => Data::Gauge(Gauge { points: numbers(0) }),
            "histogram" => {
                let point = |(labels, gathered): (Labels, Gathered)| gathered.point(labels, times);
                let points = distributions.into_iter().map(point).collect();
                Data::Histogram(Histogram { points, temporality: cumulative })
            }
            _ => return None,
        };
        Some(Metric { name: name.to_owned(), description: help, data: Some(data) })
    }
}

impl Gathered {
    fn point(self, labels: Labels, times: Times) -> Distribution {
        let Self { mut buckets, sum, count } = self;
        // The last is for everything, and OTLP does not name it.
        buckets.retain(|(bound, _)| bound.is_finite());
        let mut below = 0;
        let mut counts: Vec<u64> = buckets
            .iter()
            .map(|(_, upto)| upto.saturating_sub(std::mem::replace(&mut below, *upto)))
            .collect();
        counts.push(count.saturating_sub(below));
        Distribution {
            attributes: attributes(labels),
            start: times.start,
            time: times.now,
            count,
            sum: Some(sum),
            buckets: counts,
            bounds: buckets.into_iter().map(|(bound, _)| bound).collect(),
        }
    }
}

fn attributes(labels: Labels) -> Vec<KeyValue> {
    let attribute = |(key, value)| KeyValue { key, value: Some(AnyValue { text: Some(value) }) };
    labels.into_iter().map(attribute).collect()
}

/// Name, labels and value of a line.
fn sample(line: &str) -> Option<(&str, Labels, f64)> {
    let end = line.find(['{', ' '])?;
    let (name, mut rest) = line.split_at(end);
    let mut labels = Labels::new();
    if let Some(inside) = rest.strip_prefix('{') {
        rest = inside;
        while !rest.starts_with('}') {
            let (key, after) = rest.split_once("=\"")?;
            let end = closing_quote(after)?;
            labels.push((key.trim_start_matches(',').to_owned(), unescape(&after[..end])));
            rest = &after[end + 1..];
        }
        rest = &rest[1..];
    }
    Some((name, labels, rest.split_whitespace().next()?.parse().ok()?))
}

fn closing_quote(text: &str) -> Option<usize> {
    let mut escaped = false;
    text.char_indices().find_map(|(at, c)| {
        let closes = c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
        closes.then_some(at)
    })
}

fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some('n') => out.push('\n'),
                Some(other) => out.push(other),
                None => {}
            },
            c => out.push(c),
        }
    }
    out
}
