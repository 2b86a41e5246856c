//! Any node with any credential at the door of the xDS port: no panic, and nobody gets what no grant covers.

#![no_main]

use std::sync::{Arc, LazyLock};
use std::time::Instant;

use arbitrary::Arbitrary;
use envoy_types::pb::envoy::config::core::v3 as core;
use envoy_types::pb::google::protobuf::{ListValue, Struct, Value, value};
use libfuzzer_sys::fuzz_target;
use prost::Message;
use serve::{Client, Form, Request, Snapshots, Token};

/// `sha256:` of "secret".
const GRANTS: &str = "sha256:2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b gateway shop/*\n\
                      san:*.example gateway shop/*\nsub:edge gateway shop/*\n";
/// The key of RFC 7517, appendix A.1.
const KEYS: &str = r#"{"keys": [{"kty": "EC", "crv": "P-256", "kid": "1",
    "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4", "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"}]}"#;

static DOOR: LazyLock<Arc<dyn Snapshots>> =
    LazyLock::new(|| app::fuzzing::door(GRANTS, Some(KEYS)).expect("good files"));

#[derive(Arbitrary, Debug)]
enum Input {
    Node {
        node: Node,
        credential: Credential,
    },
    /// A node as it comes on the wire.
    Raw(Vec<u8>),
    Grants(String),
    Keys(String),
}

#[derive(Arbitrary, Debug)]
struct Node {
    id: String,
    claim: Vec<(Key, Json)>,
    metadata: Vec<(String, Json)>,
}

#[derive(Arbitrary, Debug)]
enum Key {
    Role,
    Gateway,
    Namespace,
    Other(String),
}

#[derive(Arbitrary, Debug)]
enum Json {
    Gateway,
    Grpc,
    InShop,
    Elsewhere,
    Null,
    Bool(bool),
    Number(f64),
    Text(String),
    List(Vec<Json>),
    Object(Vec<(String, Json)>),
}

#[derive(Arbitrary, Debug)]
enum Credential {
    None,
    Good,
    Text(String),
    Jwt { header: String, claims: String, signature: Vec<u8> },
    Certificate(Vec<u8>),
}

fuzz_target!(|input: Input| {
    match input {
        Input::Node { node, credential } => ask(proto(node).encode_to_vec(), credential),
        Input::Raw(raw) => ask(raw, Credential::Good),
        // A file is taken or refused.
        Input::Grants(text) => drop(app::fuzzing::door(&text, None)),
        Input::Keys(text) => drop(app::fuzzing::door("", Some(&text))),
    }
});

fn ask(node: Vec<u8>, credential: Credential) {
    let mut raw = vec![0x0a];
    prost::encoding::encode_varint(node.len() as u64, &mut raw);
    raw.extend(node);
    let Ok(request) = Request::parse(Form::Delta, raw.into()) else { return };
    let Ok(Some(node)) = request.node() else { return };
    let good = matches!(credential, Credential::Good);
    let mut client = Client {
        stream: 1,
        form: Form::Delta,
        only: None,
        node,
        peer: None,
        token: None,
        certificates: Arc::new([]),
        opened: Instant::now(),
    };
    match credential {
        Credential::None => {}
        Credential::Good => client.token = Some(Token::new("secret")),
        Credential::Text(text) => client.token = Some(Token::new(&text)),
        Credential::Jwt { header, claims, signature } => {
            let part = |bytes: &[u8]| base64(bytes);
            let token = format!(
                "{}.{}.{}",
                part(header.as_bytes()),
                part(claims.as_bytes()),
                part(&signature)
            );
            client.token = Some(Token::new(&token));
        }
        Credential::Certificate(der) => client.certificates = Arc::new([der]),
    }
    let known = client.token.as_ref().is_some_and(|token| token.reveal() == "secret")
        || !client.certificates.is_empty();
    if let Ok(group) = DOOR.group(&client) {
        assert!(known, "a stranger got {}", group.name);
        assert!(group.name.starts_with("gateway/shop/"), "{} is covered by no grant", group.name);
    } else if good {
        let claim = client.node.metadata.get("isthmus");
        let text =
            |key: &str| claim.and_then(|claim| claim.get(key)).and_then(|value| value.as_str());
        let refused = text("role") == Some("gateway") && text("gateway") == Some("shop/edge");
        assert!(!refused, "what is granted was refused");
    }
    assert!(DOOR.inspect(&client).is_err(), "nobody is an administrator");
}

fn proto(node: Node) -> core::Node {
    let claim = node.claim.into_iter().map(|(key, value)| {
        let key = match key {
            Key::Role => "role".to_owned(),
            Key::Gateway => "gateway".to_owned(),
            Key::Namespace => "namespace".to_owned(),
            Key::Other(text) => text,
        };
        (key, json(value))
    });
    let claim = Value { kind: Some(value::Kind::StructValue(Struct { fields: claim.collect() })) };
    let mut fields: std::collections::HashMap<_, _> =
        node.metadata.into_iter().map(|(key, value)| (key, json(value))).collect();
    fields.insert("isthmus".to_owned(), claim);
    core::Node { id: node.id, metadata: Some(Struct { fields }), ..core::Node::default() }
}

fn json(value: Json) -> Value {
    use value::Kind;
    let kind = match value {
        Json::Gateway => Kind::StringValue("gateway".into()),
        Json::Grpc => Kind::StringValue("grpc".into()),
        Json::InShop => Kind::StringValue("shop/edge".into()),
        Json::Elsewhere => Kind::StringValue("infra/edge".into()),
        Json::Null => Kind::NullValue(0),
        Json::Bool(yes) => Kind::BoolValue(yes),
        Json::Number(number) => Kind::NumberValue(number),
        Json::Text(text) => Kind::StringValue(text),
        Json::List(list) => {
            Kind::ListValue(ListValue { values: list.into_iter().map(json).collect() })
        }
        Json::Object(fields) => Kind::StructValue(Struct {
            fields: fields.into_iter().map(|(key, value)| (key, json(value))).collect(),
        }),
    };
    Value { kind: Some(kind) }
}

fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut out = String::new();
    for chunk in bytes.chunks(3) {
        let bits = chunk
            .iter()
            .enumerate()
            .fold(0_u32, |bits, (at, byte)| bits | u32::from(*byte) << (16 - 8 * at));
        for at in 0..=chunk.len() {
            out.push(char::from(LETTERS[(bits >> (18 - 6 * at) & 63) as usize]));
        }
    }
    out
}
