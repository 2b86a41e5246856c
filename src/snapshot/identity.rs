//! What a proxy of the mesh has of its own: its certificate, and whom it is to trust. Both are secrets that no plan knows,
//! laid over the snapshot of its group at the last moment: the snapshot itself is shared, compared between replicas and
//! kept on disk, and these must be none of that.

use std::fmt;
use std::sync::Arc;

use ir::SecretContent;

use crate::{Resource, Snapshot, encode};

/// The two secrets, encoded.
#[derive(Clone, PartialEq)]
pub struct Identity {
    certificate: Resource,
    roots: Resource,
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity({:?}, {:?})", self.certificate, self.roots)
    }
}

impl Identity {
    /// All of it in PEM.
    #[must_use]
    pub fn new(chain: &str, key: &str, roots: &str) -> Self {
        let bytes = |text: &str| -> Arc<[u8]> { text.as_bytes().into() };
        let certificate = SecretContent::Certificate { chain: bytes(chain), key: bytes(key) };
        let authorities = SecretContent::Authorities(bytes(roots));
        Self {
            certificate: encode::content_of(&ir::IDENTITY.into(), &certificate, []),
            roots: encode::content_of(&ir::ROOTS.into(), &authorities, []),
        }
    }
}

/// The snapshot with the identity in it. All other types, and secrets that stay, are the same in memory.
#[must_use]
pub fn with_identity(snapshot: &Snapshot, identity: &Identity) -> Snapshot {
    let mut out = snapshot.clone();
    out.insert(identity.certificate.clone());
    out.insert(identity.roots.clone());
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ResourceType, SetChange};

    #[test]
    fn a_new_leaf_changes_one_resource_and_nothing_else() {
        let mut base = Snapshot::default();
        base.insert(Resource::new(ResourceType::Cluster, "a".into(), b"1", [], []));
        base.insert(Resource::new(ResourceType::Secret, "certificate/a".into(), b"2", [], []));
        let old = with_identity(&base, &Identity::new("chain 1", "key 1", "roots"));
        let new = with_identity(&base, &Identity::new("chain 2", "key 2", "roots"));
        let changes = |kind: ResourceType| {
            let changed = |change: SetChange<'_>| match change {
                SetChange::Upsert(resource) => resource.name().to_string(),
                SetChange::Remove(resource) => format!("-{}", resource.name()),
            };
            old.set(kind).diff(new.set(kind)).map(changed).collect::<Vec<_>>()
        };
        assert_eq!(changes(ResourceType::Secret), ["isthmus/identity"]);
        for kind in ResourceType::ALL.into_iter().filter(|kind| *kind != ResourceType::Secret) {
            assert!(old.set(kind).ptr_eq(base.set(kind)), "{kind}");
        }
        assert_eq!(base.set(ResourceType::Secret).len(), 1, "the snapshot below is left alone");
    }

    #[test]
    fn no_dump_shows_the_key() {
        let identity = Identity::new("chain", "the key itself", "roots");
        let snapshot = with_identity(&Snapshot::default(), &identity);
        let secret = snapshot.get(ResourceType::Secret, ir::IDENTITY).unwrap();
        let dump = crate::dump::resource(secret).to_string();
        assert!(dump.contains("private_key") && dump.contains("[redacted]"), "{dump}");
        use base64::Engine as _;
        let encoded = base64::engine::general_purpose::STANDARD.encode("the key itself");
        for text in [dump, format!("{identity:?} {snapshot:?}")] {
            assert!(!text.contains("the key itself") && !text.contains(&encoded), "{text}");
        }
    }
}
