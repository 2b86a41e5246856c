use std::time::Duration;

use model::DnsRecord;

/// What the DNS said, and for how long.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Answer {
    pub(super) records: Vec<DnsRecord>,
    pub(super) valid: Duration,
}

impl Answer {
    /// In order of address and port, each once.
    pub(super) fn new(mut records: Vec<DnsRecord>, valid: Duration) -> Self {
        records.sort_by(|a, b| {
            let key = |record: &DnsRecord| (record.address, record.port, record.priority);
            key(a).cmp(&key(b)).then(b.weight.total_cmp(&a.weight))
        });
        records.dedup_by_key(|record| (record.address, record.port));
        Self { records, valid }
    }
}
