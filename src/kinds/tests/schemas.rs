//! The schemas themselves: that what is written in them is what is checked.

use serde_json::Value;

use crate::document::schema_json;

fn walk(json: &Value, see: &mut impl FnMut(&str, &Value)) {
    match json {
        Value::Object(fields) => {
            for (name, value) in fields {
                see(name, value);
                walk(value, see);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| walk(item, see)),
        _ => {}
    }
}

#[test]
fn every_kind_has_a_schema_whose_patterns_compile() {
    for kind in model::Kind::ALL {
        let json = schema_json(kind);
        assert!(json["properties"].is_object(), "{kind}");
        walk(&json, &mut |name, value| {
            if let ("pattern", Some(pattern)) = (name, value.as_str()) {
                assert!(regex::Regex::new(pattern).is_ok(), "{kind} {pattern}");
            }
        });
    }
    walk(
        &serde_json::from_str(include_str!("../schemas/metadata.json")).unwrap(),
        &mut |name, value| {
            if let ("pattern", Some(pattern)) = (name, value.as_str()) {
                assert!(regex::Regex::new(pattern).is_ok(), "{pattern}");
            }
        },
    );
}

/// A word of a schema that the checker does not know would be a rule that nobody keeps.
#[test]
fn every_word_of_the_schemas_is_known() {
    const KNOWN: &[&str] = &[
        "additionalProperties",
        "anyOf",
        "default",
        "description",
        "enum",
        "format",
        "items",
        "maxItems",
        "maxLength",
        "maxProperties",
        "maximum",
        "minItems",
        "minLength",
        "minProperties",
        "minimum",
        "not",
        "nullable",
        "oneOf",
        "pattern",
        "properties",
        "required",
        "type",
        "x-kubernetes-int-or-string",
        "x-kubernetes-list-map-keys",
        "x-kubernetes-list-type",
        "x-kubernetes-map-type",
        "x-kubernetes-preserve-unknown-fields",
        // In CEL: kept by hand where documents become objects.
        "x-kubernetes-validations",
    ];
    fn schema(json: &Value, path: &str) {
        let Some(fields) = json.as_object() else { return };
        for (word, value) in fields {
            assert!(KNOWN.contains(&word.as_str()), "{path}: {word}");
            match word.as_str() {
                "properties" => {
                    value
                        .as_object()
                        .unwrap()
                        .iter()
                        .for_each(|(name, s)| schema(s, &format!("{path}/{name}")));
                }
                "items" | "additionalProperties" | "not" => schema(value, path),
                "anyOf" | "oneOf" => value.as_array().unwrap().iter().for_each(|s| schema(s, path)),
                "format" => assert!(
                    ["byte", "date-time", "int32", "int64", "ipv4", "ipv6"]
                        .contains(&value.as_str().unwrap()),
                    "{path}: {value}"
                ),
                _ => {}
            }
        }
    }
    for kind in model::Kind::ALL {
        schema(&schema_json(kind), kind.as_str());
    }
}

/// Rules in CEL are not evaluated. When Gateway API adds one, this says so: write it by hand, then raise the number.
#[test]
fn rules_in_cel_are_the_ones_that_are_kept_by_hand() {
    let count = |kind| {
        let mut rules = std::collections::BTreeSet::new();
        walk(&schema_json(kind), &mut |name, value| {
            if name == "rule" {
                rules.insert(value.to_string());
            }
        });
        rules.len()
    };
    assert_eq!(
        (
            count(model::Kind::Gateway),
            count(model::Kind::GatewayClass),
            count(model::Kind::HttpRoute),
            count(model::Kind::ReferenceGrant),
            count(model::Kind::GrpcRoute),
            count(model::Kind::BackendTlsPolicy)
        ),
        (14, 1, 57, 0, 22, 8)
    );
}

/// The fields of the objects that are taken apart. When Gateway API adds one, this says so: the user is told that it
/// has no effect until somebody writes what it means.
#[test]
fn fields_of_the_route_and_the_listener_are_the_ones_that_are_read() {
    let fields = |kind, pointer: &str| -> Vec<String> {
        let json = schema_json(kind);
        let object = json.pointer(pointer).unwrap_or_else(|| panic!("{pointer}"));
        object["properties"].as_object().unwrap().keys().cloned().collect()
    };
    let rule = "/properties/spec/properties/rules/items";
    let route = |rest: &str| fields(model::Kind::HttpRoute, &format!("{rule}{rest}"));
    assert_eq!(
        route(""),
        ["backendRefs", "filters", "matches", "name", "retry", "sessionPersistence", "timeouts"]
    );
    assert_eq!(route("/properties/retry"), ["attempts", "backoff", "codes"]);
    assert_eq!(
        route("/properties/sessionPersistence"),
        ["absoluteTimeout", "cookieConfig", "sessionName", "type"]
    );
    let grpc = |rest: &str| fields(model::Kind::GrpcRoute, &format!("{rule}{rest}"));
    assert_eq!(grpc(""), ["backendRefs", "filters", "matches", "name", "sessionPersistence"]);
    assert_eq!(grpc("/properties/matches/items"), ["headers", "method"]);
    let policy =
        |rest: &str| fields(model::Kind::BackendTlsPolicy, &format!("/properties/spec{rest}"));
    assert_eq!(policy(""), ["options", "targetRefs", "validation"]);
    assert_eq!(
        policy("/properties/validation"),
        ["caCertificateRefs", "hostname", "subjectAltNames", "wellKnownCACertificates"]
    );
    assert_eq!(route("/properties/matches/items"), ["headers", "method", "path", "queryParams"]);
    assert_eq!(route("/properties/timeouts"), ["backendRequest", "request"]);
    assert_eq!(
        route("/properties/filters/items"),
        [
            "cors",
            "extensionRef",
            "externalAuth",
            "requestHeaderModifier",
            "requestMirror",
            "requestRedirect",
            "responseHeaderModifier",
            "type",
            "urlRewrite"
        ]
    );
    assert_eq!(
        route("/properties/backendRefs/items"),
        ["filters", "group", "kind", "name", "namespace", "port", "weight"]
    );
    let listener = "/properties/spec/properties/listeners/items";
    assert_eq!(
        fields(model::Kind::Gateway, listener),
        ["allowedRoutes", "hostname", "name", "port", "protocol", "tls"]
    );
    assert_eq!(
        fields(model::Kind::Gateway, "/properties/spec"),
        [
            "addresses",
            "allowedListeners",
            "defaultScope",
            "gatewayClassName",
            "infrastructure",
            "listeners",
            "tls"
        ]
    );
}
