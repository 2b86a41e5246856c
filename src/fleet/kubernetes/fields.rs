//! Paths of fields, as the API server writes them when several set the same one.

use serde_json::Value;

/// Takes the field out of an object; returns whether it was there. Keys may hold dots, and the path does not say which
/// dot is which: the longest key that fits is meant.
pub(super) fn remove(object: &mut Value, path: &str) -> bool {
    match object {
        Value::Object(fields) => {
            let Some(rest) = path.strip_prefix('.') else { return false };
            let ends_well = |key: &str| {
                let after = &rest[key.len()..];
                after.is_empty() || after.starts_with(['.', '['])
            };
            let fitting = fields.keys().filter(|key| rest.starts_with(*key) && ends_well(key));
            let Some(key) = fitting.max_by_key(|key| key.len()).cloned() else { return false };
            let after = &rest[key.len()..];
            if after.is_empty() {
                return fields.remove(&key).is_some();
            }
            fields.get_mut(&key).is_some_and(|value| remove(value, after))
        }
        Value::Array(items) => {
            let Some((selector, after)) = selector(path) else { return false };
            let Some(index) = find(items, selector) else { return false };
            if after.is_empty() {
                items.remove(index);
                return true;
            }
            remove(&mut items[index], after)
        }
        _ => false,
    }
}

/// What stands in the brackets at the beginning, and what comes after them. Values are JSON, so they may hold brackets.
fn selector(path: &str) -> Option<(&str, &str)> {
    let inside = path.strip_prefix('[')?;
    let (mut quoted, mut escaped) = (false, false);
    let end = inside.find(|c| {
        let end = c == ']' && !quoted;
        if c == '"' && !escaped {
            quoted = !quoted;
        }
        escaped = c == '\\' && !escaped;
        end
    })?;
    Some((&inside[..end], &inside[end + 1..]))
}

/// The item with these keys (`name="envoy",…`), with this value (`="a"`), or of this number.
fn find(items: &[Value], selector: &str) -> Option<usize> {
    if let Ok(index) = selector.parse::<usize>() {
        return (index < items.len()).then_some(index);
    }
    let mut wanted = Vec::new();
    let mut rest = selector;
    while !rest.is_empty() {
        let (key, value) = rest.split_once('=')?;
        let mut values = serde_json::Deserializer::from_str(value).into_iter::<Value>();
        let parsed = values.next()?.ok()?;
        wanted.push((key.to_owned(), parsed));
        rest = value[values.byte_offset()..].trim_start_matches(',');
    }
    items.iter().position(|item| {
        wanted
            .iter()
            .all(|(key, value)| if key.is_empty() { item == value } else { item[key] == *value })
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn paths_as_the_server_writes_them() {
        let object = json!({
            "metadata": {"labels": {"app.kubernetes.io/name": "a", "app": "b"}},
            "spec": {
                "replicas": 2,
                "ports": [{"port": 53, "protocol": "TCP"}, {"port": 53, "protocol": "UDP", "name": "x]"}],
                "containers": [{"name": "envoy", "image": "a", "args": ["b"]}],
                "set": ["a", "b"],
            },
        });
        for (path, pointer) in [
            (".spec.replicas", "/spec/replicas"),
            (".metadata.labels.app.kubernetes.io/name", "/metadata/labels/app.kubernetes.io~1name"),
            (".metadata.labels.app", "/metadata/labels/app"),
            (".spec.ports[port=53,protocol=\"UDP\"].name", "/spec/ports/1/name"),
            (".spec.ports[name=\"x]\"].port", "/spec/ports/1/port"),
            (".spec.containers[name=\"envoy\"].image", "/spec/containers/0/image"),
            (".spec.containers[0].args", "/spec/containers/0/args"),
        ] {
            let mut changed = object.clone();
            assert!(changed.pointer(pointer).is_some(), "{pointer}");
            assert!(remove(&mut changed, path), "{path}");
            assert!(changed.pointer(pointer).is_none(), "{path}: {changed}");
        }
        let mut changed = object.clone();
        assert!(remove(&mut changed, ".spec.set[=\"a\"]"));
        assert_eq!(changed["spec"]["set"], json!(["b"]));
        for path in [
            "",
            "spec",
            ".spec.none",
            ".spec.ports[port=54].name",
            ".spec.replicas.x",
            ".spec.ports[",
        ] {
            let mut same = object.clone();
            assert!(!remove(&mut same, path), "{path}");
            assert_eq!(same, object);
        }
    }
}
