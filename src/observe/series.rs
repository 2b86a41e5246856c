//! The hour as columns.

use api::traffic::Series;

use crate::bucket::{Bucket, Class, STEP, Tick};
use crate::edges::{EdgeKey, Edges};
use crate::histogram::Histogram;

/// Edges of one thing, or those that count each request once. `scale` makes of what is reported of an edge what there was.
pub(crate) fn series(
    edges: &Edges,
    wanted: impl Fn(&EdgeKey) -> bool,
    (first, end): (Tick, Tick),
    scale: impl Fn(&EdgeKey) -> f64,
) -> Series {
    let len = usize::try_from(end.saturating_sub(first)).unwrap_or(0);
    let mut sums: Vec<Point> = vec![Point::default(); len];
    for (key, line) in edges.all().filter(|(key, _)| wanted(key)) {
        let scale = scale(key) / STEP as f64;
        for bucket in line.between(first, end) {
            let at = usize::try_from(bucket.tick - first).unwrap_or(usize::MAX);
            if let Some(sum) = sums.get_mut(at) {
                sum.add(bucket, scale);
            }
        }
    }
    let mut out = Series { step: STEP, ..Series::default() };
    for (tick, sum) in (first..end).zip(&sums) {
        let reported = edges.reported(tick);
        let rate = |rate: f64| reported.then_some(rate);
        out.times.push(i64::try_from(tick * STEP).unwrap_or(i64::MAX));
        out.rate.push(rate(sum.all));
        out.status4xx.push(rate(sum.client));
        out.status5xx.push(rate(sum.failed));
        out.p50.push(sum.times.percentile(0.5));
        out.p90.push(sum.times.percentile(0.9));
        out.p99.push(sum.times.percentile(0.99));
    }
    out
}

/// Requests a second.
#[derive(Clone, Default)]
struct Point {
    all: f64,
    client: f64,
    failed: f64,
    times: Histogram,
}

impl Point {
    fn add(&mut self, bucket: &Bucket, scale: f64) {
        self.all += bucket.all() as f64 * scale;
        self.client += bucket.of(Class::Client) as f64 * scale;
        self.failed += bucket.failed() as f64 * scale;
        self.times.merge(&bucket.times);
    }
}
