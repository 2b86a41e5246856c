use std::collections::BTreeMap;
use std::sync::Arc;

use model::RolloutStep;
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// A proxy, by what decides about it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Member {
    pub id: Arc<str>,
    pub labels: Arc<BTreeMap<String, String>>,
}

/// The proxies that steps have reached. Which ones follows from their ids, so that one that comes back is in the same
/// place, and one that comes anew has its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cover {
    seed: u64,
    /// Those whose hash is not above this.
    up_to: Option<u64>,
    labels: Vec<Vec<(Arc<str>, Arc<str>)>>,
}

impl Cover {
    #[must_use]
    pub fn nobody(rollout: &str) -> Self {
        Self { seed: xxh3_64_with_seed(rollout.as_bytes(), 0), up_to: None, labels: Vec::new() }
    }

    pub(super) fn parts(&self) -> (Option<u64>, Vec<Vec<(String, String)>>) {
        let pair = |(key, value): &(Arc<str>, Arc<str>)| (key.to_string(), value.to_string());
        let labels = self.labels.iter().map(|labels| labels.iter().map(pair).collect());
        (self.up_to, labels.collect())
    }

    pub(super) fn restored(
        rollout: &str,
        up_to: Option<u64>,
        labels: &[Vec<(String, String)>],
    ) -> Self {
        let pair = |(key, value): &(String, String)| (key.as_str().into(), value.as_str().into());
        let labels = labels.iter().map(|labels| labels.iter().map(pair).collect()).collect();
        Self { up_to, labels, ..Self::nobody(rollout) }
    }

    #[must_use]
    pub fn has(&self, member: &Member) -> bool {
        let labelled = |labels: &Vec<(Arc<str>, Arc<str>)>| {
            let is = |(key, value): &(Arc<str>, Arc<str>)| {
                member.labels.get(&**key).is_some_and(|known| **known == **value)
            };
            labels.iter().all(is)
        };
        self.up_to.is_some_and(|limit| self.hash(member) <= limit)
            || self.labels.iter().any(labelled)
    }

    /// Adds a step's. Of few proxies, a percentage of them would hit none by their hashes alone: at least one is taken.
    pub(super) fn grow(&mut self, step: &RolloutStep, members: &[Member]) {
        if !step.labels.is_empty() {
            self.labels.push(step.labels.clone());
        }
        let Some(percent) = step.percent else { return };
        let mut hashes: Vec<_> = members.iter().map(|member| self.hash(member)).collect();
        hashes.sort_unstable();
        let wanted = (hashes.len() * usize::from(percent)).div_ceil(100);
        let limit = match (percent, wanted.checked_sub(1).and_then(|last| hashes.get(last))) {
            (100.., _) => u64::MAX,
            (_, Some(hash)) => *hash,
            (percent, None) => u64::MAX / 100 * u64::from(percent),
        };
        self.up_to = self.up_to.max(Some(limit));
    }

    fn hash(&self, member: &Member) -> u64 {
        xxh3_64_with_seed(member.id.as_bytes(), self.seed)
    }
}
