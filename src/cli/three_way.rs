//! What two people did to the same document.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::report::short;
use crate::table::Table;

/// A row for each single value that either of them changed.
pub(crate) fn table(base: &Value, theirs: &Value, mine: &Value) -> String {
    let (base, theirs, mine) = (leaves(base), leaves(theirs), leaves(mine));
    let pointers: BTreeSet<&String> = base.keys().chain(theirs.keys()).chain(mine.keys()).collect();
    let mut table = Table::new(["FIELD", "WAS", "THEIRS", "YOURS", ""]);
    for pointer in pointers {
        let (was, they, me) = (base.get(pointer), theirs.get(pointer), mine.get(pointer));
        if was == they && was == me {
            continue;
        }
        let cell = |value: Option<&Value>, same: bool| match value {
            _ if same => "=".to_owned(),
            Some(value) => short(value),
            None => "(none)".to_owned(),
        };
        let verdict = match (was == they, was == me) {
            (false, false) if they == me => "both the same",
            (false, false) => "CONFLICT",
            _ => "",
        };
        table.row([
            pointer.clone(),
            cell(was, false),
            cell(they, was == they),
            cell(me, was == me),
            verdict.to_owned(),
        ]);
    }
    table.render()
}

/// All values that hold no others, by JSON pointer.
fn leaves(document: &Value) -> BTreeMap<String, Value> {
    let mut all = BTreeMap::new();
    collect(document, &mut String::new(), &mut all);
    all
}

fn collect(value: &Value, pointer: &mut String, all: &mut BTreeMap<String, Value>) {
    let length = pointer.len();
    match value {
        Value::Object(members) if !members.is_empty() => {
            for (name, member) in members {
                pointer.push('/');
                pointer.push_str(&name.replace('~', "~0").replace('/', "~1"));
                collect(member, pointer, all);
                pointer.truncate(length);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for (at, item) in items.iter().enumerate() {
                pointer.push_str(&format!("/{at}"));
                collect(item, pointer, all);
                pointer.truncate(length);
            }
        }
        _ => {
            all.insert(pointer.clone(), value.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_either_changed_is_shown() {
        let base = json!({"spec": {"weight": 90, "hosts": ["a"], "kept": 1, "both": 1}});
        let theirs = json!({"spec": {"weight": 80, "hosts": ["a", "b"], "kept": 1, "both": 2}});
        let mine = json!({"spec": {"weight": 70, "hosts": ["a"], "both": 2}});
        assert_eq!(
            table(&base, &theirs, &mine),
            "FIELD          WAS     THEIRS  YOURS   \n\
             /spec/both     1       2       2       both the same\n\
             /spec/hosts/1  (none)  b       =       -\n\
             /spec/kept     1       =       (none)  -\n\
             /spec/weight   90      80      70      CONFLICT\n"
                .replace("YOURS   \n", "YOURS\n")
        );
    }
}
