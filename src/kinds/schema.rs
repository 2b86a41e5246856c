use std::collections::BTreeMap;

use regex::Regex;
use serde_json::Value as Json;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Type {
    Any,
    Array,
    Boolean,
    Integer,
    IntOrString,
    Number,
    Object,
    String,
}

/// A structural schema (Kubernetes' subset of OpenAPI v3) made ready for checking: patterns compiled, names looked up.
/// Rules in CEL are not read; those that matter are written by hand where documents become model objects.
pub(crate) struct Schema {
    pub kind: Type,
    pub nullable: bool,
    pub properties: BTreeMap<String, Schema>,
    pub additional: Option<Box<Schema>>,
    /// Fields that are not listed are kept unchecked.
    pub open: bool,
    pub required: Vec<String>,
    pub items: Option<Box<Schema>>,
    pub minimum: Option<f64>,
    pub maximum: Option<f64>,
    pub length: (usize, usize),
    pub count: (usize, usize),
    pub pattern: Option<Regex>,
    pub format: Format,
    pub allowed: Vec<Json>,
    /// `x-kubernetes-list-type: map`: the fields that together must differ between the items.
    pub list_keys: Vec<String>,
    pub is_set: bool,
    pub default: Option<Json>,
    pub any_of: Vec<Schema>,
    pub one_of: Vec<Schema>,
    pub not: Option<Box<Schema>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    None,
    Base64,
    DateTime,
    Ipv4,
    Ipv6,
}

impl Schema {
    /// Compiles a schema. With `nulls`, optional fields may be null, as in Kubernetes' own kinds.
    pub(crate) fn compile(json: &Json, nulls: bool) -> Self {
        let compile = |json: &Json| Self::compile(json, nulls);
        let text = |name: &str| json[name].as_str().unwrap_or_default();
        let texts = |name: &str| -> Vec<String> {
            json[name]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(Json::as_str)
                .map(str::to_owned)
                .collect()
        };
        let flag = |name: &str| json[name] == Json::Bool(true);
        let size = |name: &str, otherwise| {
            json[name].as_u64().map_or(otherwise, |n| usize::try_from(n).unwrap_or(usize::MAX))
        };
        let one =
            |name: &str| json.get(name).filter(|s| s.is_object()).map(|s| Box::new(compile(s)));
        // The parts of a juncture say only what they add, so they list no field that must not be there.
        let many = |name: &str| -> Vec<Self> {
            json[name]
                .as_array()
                .into_iter()
                .flatten()
                .map(|s| Self { open: true, ..compile(s) })
                .collect()
        };
        let is_int32 = text("format") == "int32";
        let int_or_string = flag("x-kubernetes-int-or-string");
        let kind = match text("type") {
            _ if int_or_string => Type::IntOrString,
            "array" => Type::Array,
            "boolean" => Type::Boolean,
            "integer" => Type::Integer,
            "number" => Type::Number,
            "object" => Type::Object,
            "string" => Type::String,
            _ => Type::Any,
        };
        let count = if kind == Type::Object {
            ("minProperties", "maxProperties")
        } else {
            ("minItems", "maxItems")
        };
        Self {
            kind,
            nullable: nulls || flag("nullable"),
            properties: json["properties"]
                .as_object()
                .into_iter()
                .flatten()
                .map(|(name, schema)| (name.clone(), compile(schema)))
                .collect(),
            additional: one("additionalProperties"),
            open: kind == Type::Any
                || flag("x-kubernetes-preserve-unknown-fields")
                || flag("additionalProperties"),
            required: texts("required"),
            items: one("items"),
            minimum: json["minimum"].as_f64().or(is_int32.then_some(f64::from(i32::MIN))),
            maximum: json["maximum"].as_f64().or(is_int32.then_some(f64::from(i32::MAX))),
            length: (size("minLength", 0), size("maxLength", usize::MAX)),
            count: (size(count.0, 0), size(count.1, usize::MAX)),
            // A pattern of a shipped schema; the test `every_pattern_compiles` reads them all.
            pattern: json["pattern"].as_str().and_then(|p| Regex::new(p).ok()),
            format: match text("format") {
                "byte" => Format::Base64,
                "date-time" => Format::DateTime,
                "ipv4" => Format::Ipv4,
                "ipv6" => Format::Ipv6,
                _ => Format::None,
            },
            allowed: json["enum"].as_array().cloned().unwrap_or_default(),
            list_keys: if text("x-kubernetes-list-type") == "map" {
                texts("x-kubernetes-list-map-keys")
            } else {
                Vec::new()
            },
            is_set: text("x-kubernetes-list-type") == "set" || flag("uniqueItems"),
            default: json.get("default").cloned(),
            any_of: if int_or_string { Vec::new() } else { many("anyOf") },
            one_of: many("oneOf"),
            not: one("not").map(|s| Box::new(Self { open: true, ..*s })),
        }
    }

    pub(crate) fn with_property(mut self, name: &str, schema: Self) -> Self {
        self.properties.insert(name.to_owned(), schema);
        self
    }
}
