//! Times, in classes that grow by a fifth each: a percentile is off by less than a tenth of itself.

use serde::{Deserialize, Serialize};

/// Milliseconds; what is shorter is in the first class.
const FIRST: f64 = 0.1;
const GROWTH: f64 = 1.2;
/// The last class is for whatever is longer than 18 minutes.
const CLASSES: u8 = 90;

/// Few classes are in use at a time, so only those are kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<(u8, u32)>", into = "Vec<(u8, u32)>")]
pub(crate) struct Histogram {
    /// In order of class.
    counts: Vec<(u8, u32)>,
}

fn class(ms: f64) -> u8 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "in range by the clamp"
    )]
    let class = ((ms.max(FIRST) / FIRST).ln() / GROWTH.ln()).clamp(0.0, f64::from(CLASSES)) as u8;
    class
}

/// The middle of a class, by ratio.
fn middle(class: u8) -> f64 {
    FIRST * GROWTH.powf(f64::from(class) + 0.5)
}

impl From<Histogram> for Vec<(u8, u32)> {
    fn from(histogram: Histogram) -> Self {
        histogram.counts
    }
}

/// In any order: it comes from elsewhere.
impl From<Vec<(u8, u32)>> for Histogram {
    fn from(counts: Vec<(u8, u32)>) -> Self {
        let mut histogram = Self::default();
        for (class, count) in counts {
            histogram.add(class.min(CLASSES), count);
        }
        histogram
    }
}

impl Histogram {
    pub(crate) fn record(&mut self, ms: f64) {
        self.add(class(ms), 1);
    }

    fn add(&mut self, class: u8, count: u32) {
        match self.counts.binary_search_by_key(&class, |(class, _)| *class) {
            Ok(at) => self.counts[at].1 = self.counts[at].1.saturating_add(count),
            Err(at) => self.counts.insert(at, (class, count)),
        }
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        for (class, count) in &other.counts {
            self.add(*class, *count);
        }
    }

    /// Milliseconds that `part` of the times are not above; `None` without any.
    pub(crate) fn percentile(&self, part: f64) -> Option<f64> {
        let total: u64 = self.counts.iter().map(|(_, count)| u64::from(*count)).sum();
        let wanted = (total as f64 * part).ceil().max(1.0);
        let mut seen = 0_u64;
        let found = self.counts.iter().find(|(_, count)| {
            seen += u64::from(*count);
            seen as f64 >= wanted
        });
        found.map(|(class, _)| middle(*class))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_off_by_less_than_a_tenth() {
        let mut times = Histogram::default();
        for ms in 1..=1000 {
            times.record(f64::from(ms));
        }
        for (part, exact) in [(0.5, 500.0), (0.9, 900.0), (0.99, 990.0), (1.0, 1000.0)] {
            let found = times.percentile(part).unwrap();
            assert!((found / exact - 1.0).abs() < 0.1, "{part}: {found} for {exact}");
        }
    }

    #[test]
    fn parts_make_the_whole() {
        let (mut whole, mut one, mut two) =
            (Histogram::default(), Histogram::default(), Histogram::default());
        for ms in [0.0, 0.05, 3.0, 3.1, 80.0, 1e9] {
            whole.record(ms);
            if ms < 4.0 { one.record(ms) } else { two.record(ms) }
        }
        one.merge(&two);
        assert_eq!(one, whole);
        assert_eq!(Histogram::default().percentile(0.5), None);
    }
}
