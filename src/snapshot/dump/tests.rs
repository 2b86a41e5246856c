use ir::SecretContent;

use super::*;
use crate::testing::{certificate, rich_plan};
use crate::{ResourceType, encode};

#[test]
fn a_private_key_is_never_shown() {
    let plan = rich_plan();
    let snapshot = encode(&plan);
    let json = resource(snapshot.get(ResourceType::Secret, "shop/cert").unwrap());
    let SecretContent::Certificate { chain, .. } = &plan.secrets.get("shop/cert").unwrap().content
    else {
        panic!()
    };
    let expected = json!({
        "@type": ResourceType::Secret.url(),
        "name": "shop/cert",
        "tls_certificate": {
            "certificate_chain": {"inline_bytes": STANDARD.encode(chain)},
            "private_key": {"inline_bytes": "[redacted]"},
        },
    });
    assert_eq!(json, expected);
}

#[test]
fn a_judge_may_see_it() {
    let secret = certificate("s", "a.example");
    let mut plan = ir::Plan::default();
    plan.secrets.insert("s".into(), secret.clone().into());
    let snapshot = encode(&plan);
    let body = snapshot.get(ResourceType::Secret, "s").unwrap().body();
    let json = any(ResourceType::Secret.url(), body, Secrets::Show);
    let key = &json["tls_certificate"]["private_key"]["inline_bytes"];
    let SecretContent::Certificate { key: expected, .. } = &secret.content else { panic!() };
    assert_eq!(*key, json!(STANDARD.encode(expected)));
}

#[test]
fn anys_are_opened_and_unknown_ones_shown_as_they_are() {
    use envoy_types::pb::envoy::config::core::v3::TypedExtensionConfig;
    use envoy_types::pb::google::protobuf::{Any, Duration};
    use prost::{Message, Name};
    let show = |type_url: &str, value: Vec<u8>| {
        let inner = Any { type_url: type_url.to_string(), value };
        let message = TypedExtensionConfig { name: "n".to_string(), typed_config: Some(inner) };
        any(&TypedExtensionConfig::type_url(), &message.encode_to_vec(), Secrets::Redact)
    };
    let duration = "type.googleapis.com/google.protobuf.Duration";
    let two = Duration { seconds: 2, nanos: 500_000_000 }.encode_to_vec();
    for (url, bytes, shown) in [
        ("example.com/no.such.Type", vec![1, 2], json!("AQI=")),
        (duration, two, json!("2.500s")),
        (duration, vec![255], json!("/w==")),
    ] {
        assert_eq!(
            show(url, bytes),
            json!({
                "@type": TypedExtensionConfig::type_url(),
                "name": "n",
                "typed_config": {"@type": url, "value": shown},
            })
        );
    }
}

#[test]
fn everything_in_a_rich_snapshot_has_a_dump_that_reads_back() {
    use prost::Message;
    use prost_reflect::DynamicMessage;
    let snapshot = encode(&rich_plan());
    for kind in ResourceType::ALL {
        for found in snapshot.set(kind).iter() {
            let shown = any(kind.url(), found.body(), Secrets::Show);
            let mut json = shown.clone();
            json.as_object_mut().unwrap().remove("@type");
            let name = kind.url().rsplit('/').next().unwrap();
            let descriptor = proto::descriptor_pool().get_message_by_name(name).unwrap();
            let read = DynamicMessage::deserialize(descriptor, json).unwrap();
            // Not the bytes: in an `Any` the order of fields may differ, as prost writes a `oneof` where its lowest
            // number stands.
            assert_eq!(any(kind.url(), &read.encode_to_vec(), Secrets::Show), shown);
        }
    }
}
