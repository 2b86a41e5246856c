use crate::{descriptor_pool, schema, schemas};
use serde_json::json;

#[test]
fn the_pool_has_what_the_rooms_ask_for() {
    for name in [
        "envoy.config.listener.v3.Listener",
        "envoy.config.route.v3.RouteConfiguration",
        "envoy.extensions.filters.http.cors.v3.CorsPolicy",
        "envoy.extensions.transport_sockets.tls.v3.Secret",
        "envoy.admin.v3.ConfigDump",
        "google.protobuf.Any",
        "xds.type.v3.TypedStruct",
    ] {
        assert!(descriptor_pool().get_message_by_name(name).is_some(), "{name}");
    }
}

/// A dump must hide private keys, and the annotation is how it knows: the set is useless for that without extensions.
#[test]
fn the_pool_keeps_the_sensitive_annotation() {
    let pool = descriptor_pool();
    let sensitive =
        pool.get_extension_by_name("udpa.annotations.sensitive").expect("the extension");
    let certificate = pool
        .get_message_by_name("envoy.extensions.transport_sockets.tls.v3.TlsCertificate")
        .expect("the message");
    let says = |field: &str| {
        let field = certificate.get_field_by_name(field).expect("the field");
        field.options().get_extension(&sensitive).as_bool()
    };
    assert_eq!(says("private_key"), Some(true));
    assert_eq!(says("certificate_chain"), Some(false));
}

#[test]
fn every_schema_parses_and_describes_an_object() {
    let mut kinds = Vec::new();
    for (kind, schema) in schemas::all() {
        let body = match kind {
            "ConfigMap" | "Secret" => "data",
            "EndpointSlice" => "endpoints",
            _ => "spec",
        };
        assert_eq!(schema["type"], "object", "{kind}");
        assert!(schema["properties"][body].is_object(), "{kind} has no {body}");
        kinds.push(kind);
    }
    let expected = [
        "ConfigMap",
        "Namespace",
        "Node",
        "Secret",
        "Service",
        "EndpointSlice",
        "BackendTLSPolicy",
        "GRPCRoute",
        "Gateway",
        "GatewayClass",
        "HTTPRoute",
        "ListenerSet",
        "ReferenceGrant",
        "TCPRoute",
        "TLSRoute",
        "UDPRoute",
        "Ingress",
        "IngressClass",
    ];
    assert_eq!(kinds, expected);
    assert!(schema("core", "Secret").is_none(), "the core group is empty, as in apiVersion: v1");
}

/// A reference or an `allOf` would need code in whoever checks documents; so would a default that is none.
#[test]
fn schemas_of_built_in_kinds_are_structural() {
    let port = &schema("", "Service").expect("a schema")["properties"]["spec"]["properties"]["ports"]
        ["items"];
    assert_eq!(
        port["properties"],
        json!({
            "appProtocol": {"type": "string"},
            "name": {"type": "string"},
            "nodePort": {"type": "integer", "format": "int32"},
            "port": {"type": "integer", "format": "int32"},
            "protocol": {"type": "string", "default": "TCP"},
            "targetPort": {"x-kubernetes-int-or-string": true},
        })
    );
    let data = &schema("", "Secret").expect("a schema")["properties"]["data"];
    assert_eq!(
        *data,
        json!({"type": "object", "additionalProperties": {"type": "string", "format": "byte"}})
    );
    for (kind, schema) in schemas::all() {
        let text = schema.to_string();
        assert!(!text.contains("\"$ref\"") && !text.contains("\"allOf\""), "{kind}");
    }
}
