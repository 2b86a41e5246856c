//! What a change does to proxies and documents, in the words of the API.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use api::change::{Action, FieldChange, GroupImpact, ProxyImpact, ResourceDiff, TypeChange};
use serde_json::Value;
use similar::TextDiff;
use snapshot::{Resource, ResourceType, Snapshot};

use super::Shadow;
use super::shadow::Differs;
use crate::groups::group_name;

const MOST_SAMPLES: usize = 20;
const MOST_PROXIES: usize = 100;
const MOST_LINES: usize = 200;

/// `connected`: the nodes of each group.
pub(super) fn of(shadow: &Shadow, connected: &HashMap<Arc<str>, BTreeSet<String>>) -> ProxyImpact {
    let total: BTreeSet<&String> = connected.values().flatten().collect();
    let mut affected = BTreeSet::new();
    let mut groups = Vec::new();
    let mut drains = false;
    for group in &shadow.groups {
        let members = group.members.iter().filter_map(|key| connected.get(&group_name(key)));
        let proxies: BTreeSet<&String> = members.flatten().collect();
        let types = types(&group.before, &group.after);
        let listeners = types.iter().find(|t| t.kind == ResourceType::Listener.short());
        drains |= !proxies.is_empty() && listeners.is_some_and(|t| t.changed + t.removed > 0);
        affected.extend(proxies.iter().copied());
        groups.push(GroupImpact {
            group: group.key.to_string(),
            count: proxies.len(),
            proxies: proxies.into_iter().take(MOST_PROXIES).cloned().collect(),
            types,
        });
    }
    let size = |group: &GroupImpact| {
        let sum = |t: &TypeChange| t.added + t.changed + t.removed;
        (group.count > 0, group.types.iter().map(sum).sum::<usize>())
    };
    groups.sort_by(|a, b| size(b).cmp(&size(a)).then_with(|| a.group.cmp(&b.group)));
    let samples = shadow.groups.iter().flat_map(samples_of).take(MOST_SAMPLES).collect();
    ProxyImpact { affected: affected.len(), total: total.len(), drains, groups, samples }
}

/// By type, those without a difference left out. Both hold only what differs.
pub(crate) fn types(before: &Snapshot, after: &Snapshot) -> Vec<TypeChange> {
    let of = |kind: ResourceType| {
        let (old, new) = (before.set(kind), after.set(kind));
        let both =
            |a: &Arc<Resource>, b: Option<&Arc<Resource>>| b.map(|b| a.version() != b.version());
        let mut change = TypeChange { kind: kind.short().into(), added: 0, changed: 0, removed: 0 };
        for resource in new.iter() {
            match both(resource, old.get(resource.name())) {
                None => change.added += 1,
                Some(differs) => change.changed += usize::from(differs),
            }
        }
        change.removed = old.iter().filter(|r| new.get(r.name()).is_none()).count();
        change
    };
    let all = ResourceType::ALL.into_iter().map(of);
    all.filter(|t| t.added + t.changed + t.removed > 0).collect()
}

fn samples_of(group: &Differs) -> impl Iterator<Item = ResourceDiff> + '_ {
    samples(group.key.to_string(), &group.before, &group.after)
}

/// What is changed comes before what comes or goes.
pub(crate) fn samples<'a>(
    group: String,
    before: &'a Snapshot,
    after: &'a Snapshot,
) -> impl Iterator<Item = ResourceDiff> + 'a {
    type Pair<'r> = (Option<&'r Resource>, Option<&'r Resource>);
    let mut all: BTreeMap<(bool, usize, &str), Pair<'_>> = BTreeMap::new();
    for kind in ResourceType::ALL {
        let (old, new) = (before.set(kind), after.set(kind));
        for resource in new.iter() {
            let was = old.get(resource.name());
            if was.is_some_and(|was| was.version() == resource.version()) {
                continue;
            }
            let place = (was.is_none(), kind.index(), &**resource.name());
            all.insert(place, (was.map(|was| &**was), Some(&**resource)));
        }
        for resource in old.iter().filter(|r| new.get(r.name()).is_none()) {
            all.insert((true, kind.index(), resource.name()), (Some(&**resource), None));
        }
    }
    all.into_iter().filter_map(move |(_, (old, new))| {
        let one = new.or(old)?;
        let action = match (old, new) {
            (None, _) => Action::Added,
            (Some(_), Some(_)) => Action::Changed,
            (Some(_), None) => Action::Removed,
        };
        Some(ResourceDiff {
            group: group.clone(),
            kind: one.kind().short().into(),
            name: one.name().to_string(),
            action,
            diff: unified(old, new),
        })
    })
}

fn unified(old: Option<&Resource>, new: Option<&Resource>) -> String {
    let yaml = |resource: Option<&Resource>| {
        let dump = resource.map(snapshot::dump::resource);
        dump.map(|dump| kinds::edit::yaml(&dump)).unwrap_or_default()
    };
    let (old, new) = (yaml(old), yaml(new));
    let diff = TextDiff::from_lines(&old, &new).unified_diff().context_radius(3).to_string();
    let mut lines = diff.lines();
    let mut out: String = lines.by_ref().take(MOST_LINES).flat_map(|line| [line, "\n"]).collect();
    let left = lines.count();
    if left > 0 {
        out.push_str(&format!("… {left} lines more\n"));
    }
    out
}

/// Single values that differ. A list that is longer or shorter differs as a whole only where its items do not say it.
pub(crate) fn field_changes(old: &Value, new: &Value) -> Vec<FieldChange> {
    let mut out = Vec::new();
    compare(&mut String::new(), Some(old), Some(new), &mut out);
    out
}

fn compare(
    pointer: &mut String,
    old: Option<&Value>,
    new: Option<&Value>,
    out: &mut Vec<FieldChange>,
) {
    if old == new {
        return;
    }
    let length = pointer.len();
    match (old, new) {
        (Some(Value::Object(a)), Some(Value::Object(b))) => {
            let names: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
            for name in names {
                pointer.push('/');
                pointer.push_str(&name.replace('~', "~0").replace('/', "~1"));
                compare(pointer, a.get(name), b.get(name), out);
                pointer.truncate(length);
            }
        }
        (Some(Value::Array(a)), Some(Value::Array(b))) => {
            for index in 0..a.len().max(b.len()) {
                pointer.push_str(&format!("/{index}"));
                compare(pointer, a.get(index), b.get(index), out);
                pointer.truncate(length);
            }
        }
        (before, after) => out.push(FieldChange {
            pointer: pointer.clone(),
            before: before.cloned(),
            after: after.cloned(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_smallest_values_that_differ_are_named() {
        let old = json!({"a": {"b/c": [1, 2]}, "gone": 1});
        let new = json!({"a": {"b/c": [1, 3, 4]}, "come": {"x": 1}});
        let found: Vec<_> =
            field_changes(&old, &new).into_iter().map(|f| (f.pointer, f.before, f.after)).collect();
        assert_eq!(
            found,
            [
                ("/a/b~1c/1".into(), Some(json!(2)), Some(json!(3))),
                ("/a/b~1c/2".into(), None, Some(json!(4))),
                ("/come".into(), None, Some(json!({"x": 1}))),
                ("/gone".into(), Some(json!(1)), None),
            ]
        );
    }
}
