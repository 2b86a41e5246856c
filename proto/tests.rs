use crate::gateway_api::{ConditionStatus, gateway, gatewayclass, httproute, referencegrant};
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
            "Secret" => "data",
            "EndpointSlice" => "endpoints",
            _ => "spec",
        };
        assert_eq!(schema["type"], "object", "{kind}");
        assert!(schema["properties"][body].is_object(), "{kind} has no {body}");
        kinds.push(kind);
    }
    let expected = [
        "Namespace",
        "Secret",
        "Service",
        "EndpointSlice",
        "Gateway",
        "GatewayClass",
        "HTTPRoute",
        "ReferenceGrant",
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

#[test]
fn an_http_route_deserializes_and_comes_back() {
    let document = json!({
        "hostnames": ["shop.example.com"],
        "parentRefs": [{"name": "edge", "sectionName": "https"}],
        "rules": [{
            "matches": [{"method": "GET", "path": {"type": "PathPrefix", "value": "/cart"}}],
            "filters": [{
                "type": "RequestRedirect",
                "requestRedirect": {"scheme": "https", "statusCode": 301}
            }],
            "backendRefs": [{
                "name": "cart",
                "port": 8080,
                "weight": 9,
                "filters": [{"type": "URLRewrite", "urlRewrite": {"hostname": "cart.internal"}}]
            }],
            "timeouts": {"request": "10s"}
        }]
    });
    let spec: httproute::HttpRouteSpec =
        serde_json::from_value(document.clone()).expect("a valid route");
    let rule = &spec.rules.as_deref().expect("rules")[0];
    let filter = &rule.filters.as_deref().expect("filters")[0];
    assert_eq!(filter.r#type, httproute::HttpRouteRulesFiltersType::RequestRedirect);
    assert_eq!(
        filter.request_redirect.as_ref().and_then(|redirect| redirect.status_code),
        Some(301)
    );
    assert_eq!(serde_json::to_value(&spec).expect("to JSON"), document);
}

#[test]
fn the_other_kinds_deserialize() {
    let gateway: gateway::GatewaySpec = serde_json::from_value(json!({
        "gatewayClassName": "isthmus",
        "listeners": [{
            "name": "https",
            "port": 443,
            "protocol": "HTTPS",
            "tls": {"mode": "Terminate", "certificateRefs": [{"name": "edge-cert"}]},
            "allowedRoutes": {"namespaces": {"from": "Selector", "selector": {"matchLabels": {"team": "shop"}}}}
        }]
    }))
    .expect("a valid gateway");
    assert_eq!(gateway.listeners[0].port, 443);

    let class: gatewayclass::GatewayClassStatus = serde_json::from_value(json!({
        "conditions": [{
            "type": "Accepted", "status": "True", "reason": "Accepted", "message": "",
            "lastTransitionTime": "2026-01-01T00:00:00Z"
        }]
    }))
    .expect("a valid status");
    assert_eq!(class.conditions.expect("conditions")[0].status, ConditionStatus::True);

    let grant: referencegrant::ReferenceGrantSpec = serde_json::from_value(json!({
        "from": [{"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "namespace": "shop"}],
        "to": [{"group": "", "kind": "Service"}]
    }))
    .expect("a valid grant");
    assert_eq!(grant.to[0].name, None);
}
