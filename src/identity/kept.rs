use std::collections::BTreeMap;
use std::fmt;

/// What is kept of the CA, in entries as a Secret has them. It holds private keys.
///
/// | entry | what |
/// |---|---|
/// | `ca.crt`, `ca.key` | who signs |
/// | `next.crt`, `next.key` | who is to sign next: there while a new root is being made known |
/// | `old.crt` | who signed before: there until no leaf of it is in use. Its key is gone |
/// | `since` | when the present step of a change of roots began, in Unix time |
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Kept(pub BTreeMap<String, String>);

impl fmt::Debug for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Kept").field(&self.0.keys()).finish()
    }
}

impl Kept {
    pub(crate) fn get(&self, entry: &str) -> Option<&str> {
        self.0.get(entry).map(String::as_str)
    }

    pub(crate) fn put(&mut self, entry: &str, text: String) {
        self.0.insert(entry.to_owned(), text);
    }
}
