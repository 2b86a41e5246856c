//! A field of a kind of document, out of its schema.

use std::fmt::Write as _;

use model::Kind;
use serde_json::{Map, Value};

use crate::exit::{Exit, Failure};
use crate::view::{plain, text};

/// Type, rules, words and fields of what `path` (`spec.rules.backendRefs`) leads to.
pub(super) fn page(kind: Kind, path: &str) -> Result<Value, Failure> {
    let schema = kinds::schema_json(kind);
    let mut at = &schema;
    let mut walked = kind.to_string();
    for segment in path.split(['.', '/']).filter(|segment| !segment.is_empty()) {
        // An item of a list has no segment of its own, but may have an index.
        while at["type"] == "array" {
            at = &at["items"];
        }
        if segment.bytes().all(|b| b.is_ascii_digit()) {
            continue;
        }
        let properties = at["properties"].as_object();
        let known = properties.and_then(|all| {
            all.get_key_value(segment)
                .or_else(|| all.iter().find(|(name, _)| name.eq_ignore_ascii_case(segment)))
        });
        at = match known {
            Some((name, next)) => {
                let _ = write!(walked, ".{name}");
                next
            }
            None if at["additionalProperties"].is_object() => {
                let _ = write!(walked, ".{segment}");
                &at["additionalProperties"]
            }
            None => {
                let names: Vec<_> =
                    properties.into_iter().flatten().map(|(name, _)| name.as_str()).collect();
                let failure =
                    Failure::new(Exit::NotFound, format!("{walked} has no field `{segment}`"));
                return Err(if names.is_empty() {
                    failure
                } else {
                    failure.hint(format!("fields: {}", names.join(", ")))
                });
            }
        };
    }
    let mut page = describe(at);
    page.insert("path".into(), walked.into());
    page.insert("group".into(), kind.group().into());
    let mut of = at;
    while of["type"] == "array" {
        of = &of["items"];
    }
    let required = of["required"].as_array().cloned().unwrap_or_default();
    let mut fields = Map::new();
    for (name, schema) in of["properties"].as_object().into_iter().flatten() {
        let mut field = describe(schema);
        if required.iter().any(|required| required == name) {
            field.insert("required".into(), true.into());
        }
        fields.insert(name.clone(), field.into());
    }
    if !fields.is_empty() {
        page.insert("fields".into(), fields.into());
    }
    Ok(page.into())
}

fn describe(schema: &Value) -> Map<String, Value> {
    let mut page = Map::new();
    page.insert("type".into(), type_of(schema).into());
    // The items' own rules are the ones that people ask for.
    let of = if schema["type"] == "array" { &schema["items"] } else { schema };
    for (name, value) in [
        ("description", &schema["description"]),
        ("default", &schema["default"]),
        ("allowed", &of["enum"]),
        ("pattern", &of["pattern"]),
        ("minimum", &of["minimum"]),
        ("maximum", &of["maximum"]),
        ("maxItems", &schema["maxItems"]),
    ] {
        if !value.is_null() {
            page.insert(name.into(), value.clone());
        }
    }
    page
}

fn type_of(schema: &Value) -> String {
    if schema["x-kubernetes-int-or-string"] == true {
        return "integer or string".into();
    }
    match schema["type"].as_str() {
        Some("array") => format!("list of {}", type_of(&schema["items"])),
        Some("object") if schema["additionalProperties"].is_object() => {
            format!("map of {}", type_of(&schema["additionalProperties"]))
        }
        Some(kind) => kind.into(),
        None => "any".into(),
    }
}

pub(super) fn tell(page: &Value) -> String {
    // Writing into a String cannot fail.
    let mut out = format!("{}: {}\n", text(&page["path"]), text(&page["type"]));
    if !text(&page["description"]).is_empty() {
        let _ = writeln!(out, "\n{}", text(&page["description"]));
    }
    let rules = rules(page);
    if !rules.is_empty() {
        let _ = writeln!(out, "\n{}", rules.join("\n"));
    }
    let fields = page["fields"].as_object();
    if fields.is_some() {
        out += "\nFields:\n";
    }
    for (name, field) in fields.into_iter().flatten() {
        let required = if field["required"] == true { ", required" } else { "" };
        let mut line = format!("  {name}: {}{required}", text(&field["type"]));
        for rule in self::rules(field) {
            let _ = write!(line, ", {rule}");
        }
        let _ = writeln!(out, "{line}");
        if let Some(first) = field["description"].as_str().and_then(|text| text.lines().next()) {
            let _ = writeln!(out, "      {first}");
        }
    }
    out
}

fn rules(page: &Value) -> Vec<String> {
    let mut rules = Vec::new();
    for (name, word) in [
        ("default", "default"),
        ("minimum", "at least"),
        ("maximum", "at most"),
        ("maxItems", "items at most"),
        ("pattern", "pattern"),
    ] {
        if !page[name].is_null() {
            rules.push(format!("{word} {}", plain(&page[name])));
        }
    }
    if let Some(allowed) = page["allowed"].as_array() {
        let all: Vec<_> = allowed.iter().map(plain).collect();
        rules.push(format!("one of {}", all.join(", ")));
    }
    rules
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_kind_can_be_explained() {
        for kind in Kind::ALL {
            let page = page(kind, "").unwrap();
            assert!(tell(&page).starts_with(&format!("{kind}: object\n")), "{kind}");
        }
    }

    #[test]
    fn lists_and_indices_are_walked_through() {
        let page = |path| page(Kind::HttpRoute, path);
        let direct = page("spec.rules.backendRefs.weight").unwrap();
        assert_eq!(direct, page("/spec/rules/0/backendRefs/1/weight").unwrap());
        assert_eq!(direct["type"], "integer");
        assert_eq!(direct["default"], json!(1));
        let failure = page("spec.rulez").unwrap_err();
        assert_eq!(failure.exit, Exit::NotFound);
        assert!(failure.hint.contains("rules"), "{}", failure.hint);
    }
}
