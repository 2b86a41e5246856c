use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use kinds::Parsed;
use model::{Finding, Locations, Object, ObjectKey, SecretData};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum State {
    /// Read and understood as a text, whatever its documents are worth.
    #[default]
    Read,
    /// There, and not readable or not understood: `kept` is all that stands.
    Broken,
    /// Not there. Such an entry exists only while the whole folder has no document.
    Absent,
}

/// One file: what it says, and what still stands although it does not say it.
#[derive(Debug, Default)]
pub(super) struct Entry {
    pub(super) state: State,
    /// The usable documents of the text, in order.
    pub(super) objects: Vec<Object>,
    /// Last good versions of documents that the text has and that cannot be used, or of the whole broken file.
    pub(super) kept: BTreeMap<ObjectKey, Object>,
    /// Documents that the text does not have any more, held because the folder as a whole has none.
    pub(super) held: BTreeMap<ObjectKey, Object>,
    /// Keys of the documents that cannot be used.
    pub(super) rejected: BTreeSet<ObjectKey>,
    pub(super) findings: Vec<Finding>,
}

impl Entry {
    /// A file as it was before a restart. Its documents are placed in it, since a kept document knows no file.
    pub(super) fn seed(file: &Arc<str>, objects: Vec<Object>) -> Self {
        let objects = objects.into_iter().map(|object| placed(object, file)).collect();
        let held = by_key(objects);
        Self { state: State::Absent, held, ..Self::default() }
    }

    pub(super) fn absent(old: Self) -> Self {
        Self { state: State::Absent, held: old.last_good(), ..Self::default() }
    }

    pub(super) fn broken(old: Self, findings: Vec<Finding>) -> Self {
        Self { state: State::Broken, kept: old.last_good(), findings, ..Self::default() }
    }

    pub(super) fn read(old: Self, mut parsed: Parsed) -> Self {
        let mut held = old.last_good();
        // A certificate that cannot be used is said in a finding; where there was a good one, that one stays.
        let spoilt = |object: &Object| {
            is_invalid(object) && held.get(object.key()).is_some_and(|o| !is_invalid(o))
        };
        let (spoilt, objects): (Vec<_>, Vec<_>) = parsed.objects.into_iter().partition(spoilt);
        parsed.objects = objects;
        parsed.rejected.extend(spoilt.iter().map(|object| object.key().clone()));
        for object in &parsed.objects {
            held.remove(object.key());
        }
        let good: BTreeSet<&ObjectKey> = parsed.objects.iter().map(Object::key).collect();
        let rejected: BTreeSet<ObjectKey> =
            parsed.rejected.into_iter().filter(|key| !good.contains(key)).collect();
        let kept = rejected.iter().filter_map(|key| held.remove_entry(key)).collect();
        Self {
            state: State::Read,
            objects: parsed.objects,
            kept,
            held,
            rejected,
            findings: parsed.findings,
        }
    }

    /// All documents that stand, those of the text first.
    pub(super) fn standing(&self) -> impl Iterator<Item = &Object> {
        self.objects.iter().chain(self.kept.values()).chain(self.held.values())
    }

    fn last_good(self) -> BTreeMap<ObjectKey, Object> {
        let mut all = self.held;
        all.extend(self.kept);
        all.extend(by_key(self.objects));
        all
    }
}

fn is_invalid(object: &Object) -> bool {
    matches!(object, Object::Secret(secret) if matches!(secret.data, SecretData::Invalid { .. }))
}

/// Of equal keys the first wins, as it does between files.
fn by_key(objects: Vec<Object>) -> BTreeMap<ObjectKey, Object> {
    let mut out = BTreeMap::new();
    for object in objects {
        out.entry(object.key().clone()).or_insert(object);
    }
    out
}

fn placed(mut object: Object, file: &Arc<str>) -> Object {
    if object.meta().locations.file.is_none() {
        let by_pointer = vec![("".into(), 1, 1)];
        object.meta_mut().locations = Arc::new(Locations { file: Some(file.clone()), by_pointer });
    }
    object
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use kinds::Parsed;
    use model::{Authorities, Kind, Meta, Object, ObjectKey, Secret, SecretData};

    use super::Entry;

    fn secret(data: SecretData) -> Object {
        let meta = Meta {
            key: ObjectKey::new(Kind::Secret, "shop", "tls"),
            source: "file".into(),
            labels: vec![],
            annotations: vec![],
            generation: 0,
            created: None,
            locations: Arc::default(),
            document: "{}".into(),
        };
        Object::Secret(Arc::new(Secret { meta, data, authorities: Authorities::None }))
    }

    fn read(old: Entry, object: Object) -> Entry {
        Entry::read(old, Parsed { objects: vec![object], complete: true, ..Parsed::default() })
    }

    #[test]
    fn a_spoilt_certificate_keeps_the_last_good_one_and_alone_is_told_as_it_is() {
        let good = secret(SecretData::Tls { chain: [1].into(), key: [2].into() });
        let bad = secret(SecretData::Invalid { reason: "no key".into() });
        let standing = |entry: &Entry| entry.standing().cloned().collect::<Vec<_>>();

        let first = read(Entry::default(), bad.clone());
        assert_eq!(standing(&first), vec![bad.clone()]);
        let mended = read(first, good.clone());
        assert_eq!(standing(&mended), vec![good.clone()]);
        let spoilt = read(mended, bad);
        assert_eq!(standing(&spoilt), vec![good]);
    }
}
