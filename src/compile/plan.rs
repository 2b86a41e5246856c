//! Changes to a plan that leave alone what is equal: the encoder skips what is the same thing in memory.

use std::collections::BTreeSet;
use std::sync::Arc;

use imbl::OrdMap;
use ir::Name;

/// Puts a value in its place unless an equal one is there already; returns the one that stays.
pub(crate) fn put<T: PartialEq>(map: &mut OrdMap<Name, Arc<T>>, name: &Name, value: T) -> Arc<T> {
    if let Some(old) = map.get(name)
        && **old == value
    {
        return old.clone();
    }
    let value = Arc::new(value);
    map.insert(name.clone(), value.clone());
    value
}

/// Makes the map hold exactly these values.
pub(crate) fn put_all<T: PartialEq>(
    map: &mut OrdMap<Name, Arc<T>>,
    values: impl IntoIterator<Item = (Name, T)>,
) {
    let mut named = BTreeSet::new();
    for (name, value) in values {
        put(map, &name, value);
        named.insert(name);
    }
    keep(map, |name| named.contains(name));
}

pub(crate) fn keep<T>(map: &mut OrdMap<Name, Arc<T>>, wanted: impl Fn(&Name) -> bool) {
    let gone: Vec<_> = map.keys().filter(|name| !wanted(name)).cloned().collect();
    for name in gone {
        map.remove(&name);
    }
}
