use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use model::{Object, ObjectKey};

use super::entry::Entry;

/// Where a document stands: file, then position in it. The least place of an object is the one that counts.
pub(super) type Place = (Arc<str>, usize);

/// Which files hold which object, so that an edit costs what its file holds and not what the folder holds.
#[derive(Default)]
pub(super) struct Claims {
    holders: BTreeMap<ObjectKey, BTreeMap<Place, Object>>,
    /// Files that have a document of this key that cannot be used.
    rejected: BTreeMap<ObjectKey, BTreeSet<Arc<str>>>,
}

impl Claims {
    pub(super) fn add(&mut self, file: &Arc<str>, entry: &Entry) {
        for (position, object) in entry.standing().enumerate() {
            let places = self.holders.entry(object.key().clone()).or_default();
            places.insert((file.clone(), position), object.clone());
        }
        for key in &entry.rejected {
            self.rejected.entry(key.clone()).or_default().insert(file.clone());
        }
    }

    pub(super) fn remove(&mut self, file: &Arc<str>, entry: &Entry) {
        for (position, object) in entry.standing().enumerate() {
            if let Some(places) = self.holders.get_mut(object.key()) {
                places.remove(&(file.clone(), position));
                if places.is_empty() {
                    self.holders.remove(object.key());
                }
            }
        }
        for key in &entry.rejected {
            if let Some(files) = self.rejected.get_mut(key) {
                files.remove(file);
                if files.is_empty() {
                    self.rejected.remove(key);
                }
            }
        }
    }

    /// The object in use, and where it stands.
    pub(super) fn first(&self, key: &ObjectKey) -> Option<(&Place, &Object)> {
        self.holders.get(key)?.first_key_value()
    }

    /// All files that hold this object.
    pub(super) fn files(&self, key: &ObjectKey) -> impl Iterator<Item = &Arc<str>> {
        let places = self.holders.get(key);
        places.into_iter().flat_map(|places| places.keys().map(|(file, _)| file))
    }

    /// The first file that has an unusable document of this key.
    pub(super) fn rejecting(&self, key: &ObjectKey) -> Option<&Arc<str>> {
        self.rejected.get(key)?.first()
    }
}
