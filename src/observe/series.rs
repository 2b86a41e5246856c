//! The hour as columns.

use api::traffic::Series;

use crate::bucket::{Bucket, Class, STEP, Tick};
use crate::edges::{EdgeKey, Edges};

/// Edges of one thing, or those that count each request once. `scale` makes of what is reported what there was.
pub(crate) fn series(
    edges: &Edges,
    wanted: impl Fn(&EdgeKey) -> bool,
    (first, end): (Tick, Tick),
    scale: f64,
) -> Series {
    let len = usize::try_from(end.saturating_sub(first)).unwrap_or(0);
    let mut sums: Vec<Bucket> = vec![Bucket::default(); len];
    for (_, line) in edges.all().filter(|(key, _)| wanted(key)) {
        for bucket in line.between(first, end) {
            let at = usize::try_from(bucket.tick - first).unwrap_or(usize::MAX);
            if let Some(sum) = sums.get_mut(at) {
                sum.merge(bucket);
            }
        }
    }
    let mut out = Series { step: STEP, ..Series::default() };
    for (tick, sum) in (first..end).zip(&sums) {
        let reported = edges.reported(tick);
        let rate = |count: u64| reported.then(|| count as f64 * scale / STEP as f64);
        out.times.push(i64::try_from(tick * STEP).unwrap_or(i64::MAX));
        out.rate.push(rate(sum.all()));
        out.status4xx.push(rate(sum.of(Class::Client)));
        out.status5xx.push(rate(sum.failed()));
        out.p50.push(sum.times.percentile(0.5));
        out.p90.push(sum.times.percentile(0.9));
        out.p99.push(sum.times.percentile(0.99));
    }
    out
}
