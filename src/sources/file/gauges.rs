use std::sync::Arc;

use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};
use model::{Kind, Severity};

const SEVERITIES: [Severity; 3] = [Severity::Info, Severity::Warning, Severity::Error];

/// What the folder holds, counted as it changes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) files: usize,
    pub(super) objects: [usize; Kind::ALL.len()],
    pub(super) findings: [usize; SEVERITIES.len()],
}

/// The source's metrics. Handles are made once: a look-up by name and labels for every change would cost more than the
/// change.
pub(super) struct Gauges {
    files: Gauge,
    objects: [Gauge; Kind::ALL.len()],
    findings: [Gauge; SEVERITIES.len()],
    reads: Counter,
    parse: Histogram,
}

impl Gauges {
    pub(super) fn new(source: &Arc<str>) -> Self {
        let label = || source.to_string();
        Self {
            files: gauge!("isthmus_source_files", "source" => label()),
            objects: Kind::ALL.map(|kind| {
                gauge!("isthmus_source_objects", "source" => label(), "kind" => kind.as_str())
            }),
            findings: SEVERITIES.map(|severity| {
                gauge!("isthmus_source_findings", "source" => label(), "severity" => severity.as_str())
            }),
            reads: counter!("isthmus_source_reads_total", "source" => label()),
            parse: histogram!("isthmus_source_parse_seconds", "source" => label()),
        }
    }

    pub(super) fn publish(&self, counts: &Counts) {
        self.files.set(counts.files as f64);
        for (gauge, count) in self.objects.iter().zip(counts.objects) {
            gauge.set(count as f64);
        }
        for (gauge, count) in self.findings.iter().zip(counts.findings) {
            gauge.set(count as f64);
        }
    }

    pub(super) fn read(&self, parse_seconds: f64) {
        self.reads.increment(1);
        self.parse.record(parse_seconds);
    }
}
