//! What has to be written so that an object says what was computed, and leaves alone what others said.
//!
//! ```text
//! computed status + the object's present status ──► the status to apply, or nothing when it is there already
//! ```
//!
//! How a list must be treated stands in the CRDs (`x-kubernetes-list-type`). Conditions, listeners and features are maps:
//! what is applied there touches our entries only. The `parents` of routes and the `ancestors` of policies are atomic:
//! whoever applies them writes the whole list, so the entries of other controllers are taken over as they are, and the
//! write must be refused if the object has changed since.

use model::Kind;
use serde_json::{Map, Value, json};

/// The list in which each controller has entries of its own, and the field by which they are told apart.
pub(crate) struct Shared {
    pub(crate) list: &'static str,
    reference: &'static str,
    /// Entries that the CRD allows.
    limit: usize,
}

/// `None` where the whole status is ours.
pub(crate) fn shared(kind: Kind) -> Option<Shared> {
    if Kind::ROUTES.contains(&kind) {
        return Some(Shared { list: "parents", reference: "parentRef", limit: 32 });
    }
    (kind == Kind::BackendTlsPolicy).then_some(Shared {
        list: "ancestors",
        reference: "ancestorRef",
        limit: 16,
    })
}

/// The status to apply, with a transition time at each condition: that of the present one where its status is the same,
/// else `now`. `None` when the present status says all of it already.
pub(crate) fn merge(
    kind: Kind,
    wanted: Value,
    present: &Value,
    controller: &str,
    now: &str,
) -> Option<Value> {
    match shared(kind) {
        Some(shared) => entries(&shared, wanted, present, controller, now),
        None => whole(wanted, present, now),
    }
}

/// Of a present status the part that is ours, in one order whatever the server's.
pub(crate) fn ours(kind: Kind, present: &Value, controller: &str) -> Value {
    match shared(kind) {
        Some(shared) => {
            let (own, _) = split(list(present, shared.list), controller);
            own.into_iter().map(plain).collect()
        }
        None => plain(present),
    }
}

fn whole(mut wanted: Value, present: &Value, now: &str) -> Option<Value> {
    if plain(&wanted) == plain(present) {
        return None;
    }
    stamp(&mut wanted, present, now);
    for listener in list_mut(&mut wanted, "listeners") {
        let name = listener.get("name").cloned();
        let before =
            list(present, "listeners").iter().find(|before| before.get("name") == name.as_ref());
        stamp(listener, before.unwrap_or(&Value::Null), now);
    }
    Some(wanted)
}

fn entries(
    shared: &Shared,
    mut wanted: Value,
    present: &Value,
    controller: &str,
    now: &str,
) -> Option<Value> {
    let (own, foreign) = split(list(present, shared.list), controller);
    let room = shared.limit.saturating_sub(foreign.len());
    let wanted = match wanted.get_mut(shared.list).map(Value::take) {
        Some(Value::Array(all)) => all.into_iter().take(room).collect::<Vec<_>>(),
        _ => Vec::new(),
    };
    let sorted = |entries: Vec<Value>| {
        let mut all: Vec<(String, Value)> = entries
            .into_iter()
            .map(|e| (e.get(shared.reference).map(Value::to_string).unwrap_or_default(), e))
            .collect();
        all.sort_by(|a, b| a.0.cmp(&b.0));
        all
    };
    if sorted(wanted.iter().map(plain).collect()) == sorted(own.iter().map(|e| plain(e)).collect())
    {
        return None;
    }
    let mut all: Vec<Value> = foreign.into_iter().cloned().collect();
    for mut entry in wanted {
        let reference = entry.get(shared.reference).cloned();
        let before = own.iter().find(|before| before.get(shared.reference) == reference.as_ref());
        stamp(&mut entry, before.map_or(&Value::Null, |before| *before), now);
        all.push(entry);
    }
    Some(json!({shared.list: all}))
}

fn split<'a>(all: &'a [Value], controller: &str) -> (Vec<&'a Value>, Vec<&'a Value>) {
    all.iter()
        .partition(|entry| entry.get("controllerName").and_then(Value::as_str) == Some(controller))
}

/// Gives each condition of `to` its transition time.
fn stamp(to: &mut Value, before: &Value, now: &str) {
    for condition in list_mut(to, "conditions") {
        let known = list(before, "conditions").iter().find(|known| {
            ["type", "status"].iter().all(|field| known.get(field) == condition.get(field))
        });
        let time = known.and_then(|known| known.get("lastTransitionTime")).cloned();
        if let Value::Object(fields) = condition {
            fields.insert("lastTransitionTime".into(), time.unwrap_or_else(|| now.into()));
        }
    }
}

/// The value without transition times, without conditions of others, and with its maps in one order: what two statuses
/// must have in common to say the same.
fn plain(value: &Value) -> Value {
    let Value::Object(fields) = value else { return value.clone() };
    let mut out = Map::new();
    for (name, field) in fields {
        let field = match (name.as_str(), field) {
            ("conditions", Value::Array(all)) => {
                let all = all.iter().filter(|condition| is_ours(condition));
                let all = all.cloned().map(|mut condition| {
                    if let Value::Object(fields) = &mut condition {
                        fields.remove("lastTransitionTime");
                    }
                    condition
                });
                by("type", all.collect())
            }
            ("listeners", Value::Array(all)) => by("name", all.iter().map(plain).collect()),
            ("supportedFeatures", Value::Array(all)) => by("name", all.clone()),
            (_, field) => field.clone(),
        };
        // An empty list says what no list says.
        if field.as_array().is_none_or(|all| !all.is_empty()) {
            out.insert(name.clone(), field);
        }
    }
    Value::Object(out)
}

/// Types with a domain before the slash belong to whoever owns the domain; those without are Gateway API's, for the
/// controller of the object to set.
fn is_ours(condition: &Value) -> bool {
    let kind = condition.get("type").and_then(Value::as_str).unwrap_or_default();
    kind.split_once('/').is_none_or(|(domain, _)| domain == "isthmus.dev")
}

fn by(key: &str, mut all: Vec<Value>) -> Value {
    let text = |value: &Value| {
        value.get(key).and_then(Value::as_str).map(str::to_owned).unwrap_or_default()
    };
    all.sort_by_cached_key(text);
    all.into()
}

pub(crate) fn list<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    value.get(name).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn list_mut<'a>(value: &'a mut Value, name: &str) -> impl Iterator<Item = &'a mut Value> {
    value.get_mut(name).and_then(Value::as_array_mut).into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    const US: &str = "isthmus.dev/gateway-controller";
    const NOW: &str = "2026-12-01T00:00:00Z";
    const THEN: &str = "2026-11-01T00:00:00Z";

    fn condition(kind: &str, status: &str, generation: i64) -> Value {
        json!({"type": kind, "status": status, "reason": "R", "message": "", "observedGeneration": generation})
    }

    fn at(mut condition: Value, time: &str) -> Value {
        condition["lastTransitionTime"] = time.into();
        condition
    }

    fn parent(gateway: &str, controller: &str, conditions: &[Value]) -> Value {
        json!({"parentRef": {"name": gateway}, "controllerName": controller, "conditions": conditions})
    }

    #[test]
    fn a_time_moves_only_with_the_status_of_its_condition() {
        let present = json!({"conditions": [
            at(condition("Accepted", "True", 1), THEN),
            at(condition("Programmed", "False", 1), THEN),
            at(condition("example.com/Watched", "True", 1), THEN),
        ]});
        let wanted = json!({
            "conditions": [condition("Accepted", "True", 2), condition("Programmed", "True", 2)],
            "listeners": [{"name": "http", "conditions": [condition("Accepted", "True", 2)]}],
        });
        let written = merge(Kind::Gateway, wanted.clone(), &present, US, NOW).unwrap();
        assert_eq!(
            written,
            json!({
                "conditions": [
                    at(condition("Accepted", "True", 2), THEN),
                    at(condition("Programmed", "True", 2), NOW),
                ],
                "listeners": [{"name": "http", "conditions": [at(condition("Accepted", "True", 2), NOW)]}],
            })
        );
        assert_eq!(merge(Kind::Gateway, wanted, &written, US, NOW), None);
    }

    #[test]
    fn order_empty_lists_and_the_conditions_of_others_make_no_difference() {
        let wanted = json!({
            "addresses": [],
            "conditions": [condition("Accepted", "True", 1), condition("Programmed", "True", 1)],
        });
        let present = json!({"conditions": [
            at(condition("Programmed", "True", 1), THEN),
            at(condition("example.com/Watched", "False", 1), THEN),
            at(condition("Accepted", "True", 1), THEN),
        ]});
        assert_eq!(merge(Kind::Gateway, wanted.clone(), &present, US, NOW), None);
        // A condition of ours that is no longer true is a difference; so is a listener that is gone.
        for (field, value) in [
            ("conditions", json!([at(condition("OverlappingTLSConfig", "True", 1), THEN)])),
            ("listeners", json!([{"name": "old"}])),
        ] {
            let mut more = present.clone();
            match (more.get_mut(field).and_then(Value::as_array_mut), value) {
                (Some(all), Value::Array(value)) => all.extend(value),
                (_, value) => more[field] = value,
            }
            assert!(merge(Kind::Gateway, wanted.clone(), &more, US, NOW).is_some(), "{field}");
        }
    }

    #[test]
    fn parents_of_other_controllers_stay_as_they_are() {
        let other = parent("theirs", "example.com/other", &[at(condition("Odd", "True", 7), THEN)]);
        let mine = |status, time| parent("mine", US, &[at(condition("Accepted", status, 1), time)]);
        let present = json!({"parents": [mine("False", THEN), other.clone()]});
        let wanted =
            |status| json!({"parents": [parent("mine", US, &[condition("Accepted", status, 1)])]});
        let written = merge(Kind::HttpRoute, wanted("True"), &present, US, NOW);
        assert_eq!(written, Some(json!({"parents": [other.clone(), mine("True", NOW)]})));
        assert_eq!(merge(Kind::HttpRoute, wanted("False"), &present, US, NOW), None);
        // The route left our Gateway.
        let written = merge(Kind::HttpRoute, json!({"parents": []}), &present, US, NOW);
        assert_eq!(written, Some(json!({"parents": [other.clone()]})));
        let foreign = json!({"parents": [other]});
        assert_eq!(merge(Kind::HttpRoute, json!({"parents": []}), &foreign, US, NOW), None);
        assert_eq!(merge(Kind::HttpRoute, json!({"parents": []}), &Value::Null, US, NOW), None);
    }

    #[test]
    fn an_atomic_list_never_grows_beyond_what_the_server_takes() {
        let foreign: Vec<_> =
            (0..15).map(|n| parent(&format!("g{n}"), "example.com/other", &[])).collect();
        let present = json!({"ancestors": foreign});
        let mine: Vec<_> = (0..3).map(|n| {
            json!({"ancestorRef": {"name": format!("m{n}")}, "controllerName": US, "conditions": []})
        }).collect();
        let wanted = json!({"ancestors": mine});
        let written = merge(Kind::BackendTlsPolicy, wanted.clone(), &present, US, NOW).unwrap();
        assert_eq!(list(&written, "ancestors").len(), 16);
        assert_eq!(merge(Kind::BackendTlsPolicy, wanted, &written, US, NOW), None);
    }
}
