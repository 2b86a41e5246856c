use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use model::{Authorities, Kind, Object, SecretData};

use super::{check, read};
use crate::{decode, redact};

fn tls(fields: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Secret\ntype: kubernetes.io/tls\nmetadata: {{name: a}}\n{fields}"
    )
}

fn data(chain: &str, key: &str) -> String {
    tls(&format!(
        "data:\n  tls.crt: {}\n  tls.key: {}\n",
        STANDARD.encode(chain),
        STANDARD.encode(key)
    ))
}

macro_rules! pem {
    ($name:literal) => {
        include_str!(concat!("keys/", $name))
    };
}

#[track_caller]
fn invalid(text: &str, place: &str, reason: &str) {
    let parsed = check(text, &[place]);
    assert_eq!(parsed.findings[0].text, reason);
    // The object is there, so that listeners which name it can say why they do not come up.
    let [Object::Secret(secret)] = &parsed.objects[..] else { panic!() };
    assert!(matches!(&secret.data, SecretData::Invalid { reason: r } if r == reason));
}

#[test]
fn keys_that_belong_to_their_certificate() {
    for (chain, key) in [
        (pem!("rsa.crt"), pem!("rsa.key")),
        (pem!("rsa.crt"), pem!("rsa.pkcs1.key")),
        (pem!("p256.crt"), pem!("p256.key")),
        (pem!("p256.crt"), pem!("p256.sec1.key")),
        (pem!("p384.crt"), pem!("p384.key")),
        (pem!("p521.crt"), pem!("p521.key")),
        (pem!("ed25519.crt"), pem!("ed25519.key")),
        (concat!(pem!("p256.crt"), "# the issuer\n", pem!("rsa.crt")), pem!("p256.key")),
    ] {
        let parsed = check(&data(chain, key), &[]);
        let [Object::Secret(secret)] = &parsed.objects[..] else { panic!() };
        let SecretData::Tls { chain: c, key: k } = &secret.data else { panic!("{key}") };
        assert_eq!((c.as_ref(), k.as_ref()), (chain.as_bytes(), key.as_bytes()));
    }
}

#[test]
fn keys_that_do_not() {
    let reason = "tls.key does not belong to the first certificate of tls.crt";
    for (chain, key) in [
        (pem!("p256.crt"), pem!("other.key")),
        (pem!("p256.crt"), pem!("p384.key")),
        (pem!("p256.crt"), pem!("rsa.key")),
        (pem!("rsa.crt"), pem!("p256.sec1.key")),
        (pem!("rsa.crt"), pem!("p256.key")),
        (pem!("ed25519.crt"), pem!("p256.key")),
        (concat!(pem!("rsa.crt"), pem!("p256.crt")), pem!("p256.key")),
    ] {
        invalid(&data(chain, key), "5:1 ISM1108 /data", reason);
    }
}

#[test]
fn pairs_that_cannot_be_used() {
    let place = "5:1 ISM1108 /data";
    let (chain, key) = (pem!("p256.crt"), pem!("p256.key"));
    let no_key = "tls.key holds no private key in PEM form (encrypted keys cannot be used)";
    invalid(&data("", key), place, "there is no tls.crt");
    invalid(&data(chain, ""), place, "there is no tls.key");
    invalid(&data("x", key), place, "tls.crt holds no CERTIFICATE in PEM form");
    invalid(&data(key, key), place, "tls.crt holds no CERTIFICATE in PEM form");
    invalid(&data(&chain[..200], key), place, "tls.crt is not valid PEM");
    invalid(
        &data(
            &format!("{chain}-----BEGIN CERTIFICATE-----\naGk=\n-----END CERTIFICATE-----\n"),
            key,
        ),
        place,
        "certificate 2 of tls.crt is not an X.509 certificate",
    );
    invalid(&data(chain, chain), place, no_key);
    invalid(&data(chain, "x"), place, no_key);
    invalid(
        &data(pem!("rsa1024.crt"), pem!("rsa1024.key")),
        place,
        "tls.key is not a sound RSA key of 2048 to 4096 bits",
    );
    invalid(&tls("stringData: {tls.crt: x}\n"), "5:1 ISM1108 /stringData", "there is no tls.key");
    invalid(&tls(""), "1:1 ISM1108", "there is no tls.crt");
}

#[test]
fn plain_text_wins_over_base64() {
    let indent = |text: &str| text.replace('\n', "\n    ");
    let text = format!(
        "{}stringData:\n  tls.key: |\n    {}\n",
        data(pem!("p256.crt"), pem!("other.key")),
        indent(pem!("p256.key").trim_end())
    );
    let parsed = check(&text, &[]);
    let [Object::Secret(secret)] = &parsed.objects[..] else { panic!() };
    assert!(matches!(secret.data, SecretData::Tls { .. }));
}

#[test]
fn authorities_of_config_maps_and_secrets() {
    let config_map = |data: &str| {
        let text = format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: a}}\n{data}");
        let parsed = check(&text, &[]);
        let [Object::ConfigMap(object)] = &parsed.objects[..] else { panic!() };
        object.authorities.clone()
    };
    let invalid = |reason: &str| Authorities::Invalid { reason: reason.into() };
    let quoted = |text: &str| serde_json::to_string(text).unwrap();
    assert_eq!(config_map("data: {a: b}\n"), Authorities::None);
    let two = concat!(pem!("p256.crt"), "# the second\n", pem!("rsa.crt"));
    assert_eq!(
        config_map(&format!("data: {{ca.crt: {}}}\n", quoted(two))),
        Authorities::Pem(two.as_bytes().into())
    );
    assert_eq!(
        config_map("data: {ca.crt: ''}\n"),
        invalid("ca.crt holds no CERTIFICATE in PEM form")
    );
    let spoilt = pem!("rsa.crt").replacen("MII", "MMM", 1);
    assert_eq!(
        config_map(&format!("data: {{ca.crt: {}}}\n", quoted(&spoilt))),
        invalid("certificate 1 of ca.crt is not an X.509 certificate")
    );

    let head = "apiVersion: v1\nkind: Secret\nmetadata: {name: a}\n";
    let parsed = check(&format!("{head}data: {{ca.crt: {}}}\n", STANDARD.encode(two)), &[]);
    let [Object::Secret(secret)] = &parsed.objects[..] else { panic!() };
    assert_eq!(secret.authorities, Authorities::Pem(two.as_bytes().into()));
}

#[test]
fn other_secrets_are_left_alone() {
    let parsed = check("apiVersion: v1\nkind: Secret\nmetadata: {name: a}\ndata: {x: aGk=}\n", &[]);
    let [Object::Secret(secret)] = &parsed.objects[..] else { panic!() };
    assert!(matches!(&secret.data, SecretData::Other { kind } if kind.as_ref() == "Opaque"));
}

/// A secret, wrong in every way that could make a message repeat it.
#[test]
fn no_message_holds_a_secret() {
    const SECRET: &str = "hunter2";
    let encoded = STANDARD.encode(SECRET);
    let head = "apiVersion: v1\nkind: Secret\nmetadata: {name: a}\n";
    for rest in [
        format!("data: {{a: {SECRET}!}}\n"),
        format!("data: {SECRET}\n"),
        format!("data: [{SECRET}]\n"),
        format!("stringData: {{a: {{b: {SECRET}}}}}\n"),
        format!("stringData: {SECRET}\n"),
        format!("immutable: {SECRET}\ndata: {{a: {encoded}, a: {encoded}}}\n"),
        format!("type: kubernetes.io/tls\ndata: {{tls.crt: {encoded}, tls.key: {encoded}}}\n"),
        format!("type: kubernetes.io/tls\nstringData: {{tls.crt: {SECRET}, tls.key: {SECRET}}}\n"),
        format!("metadata: {{namespace: '{SECRET} {SECRET}'}}\nstringData: {{a: {SECRET}}}\n"),
    ] {
        let parsed = read(&format!("{head}{rest}"));
        assert!(!parsed.findings.is_empty(), "{rest}");
        let shown = format!(
            "{parsed:?} {}",
            parsed.findings.iter().map(ToString::to_string).collect::<String>()
        );
        assert!(!shown.contains(SECRET) && !shown.contains(&encoded), "{shown}");
    }
    let findings = decode(&"x".into(), &format!("{{\"data\": \"{SECRET}")).unwrap_err();
    assert!(!format!("{findings:?}").contains(SECRET));
    let good = read(&format!("{head}stringData: {{a: {SECRET}}}\n"));
    assert_eq!(good.objects.len(), 1);
    assert!(!format!("{good:?}").contains(SECRET));
}

#[test]
fn redacted_documents_show_names_only() {
    let text = "{\"data\":{\"a\":\"aGk=\"},\"stringData\":{\"b\":\"hi\"},\"metadata\":{\"name\":\"n\",\"annotations\":{\
        \"kubectl.kubernetes.io/last-applied-configuration\":\"aGk=\",\"x\":\"y\"}}}";
    let mut document: serde_json::Value = serde_json::from_str(text).unwrap();
    let before = document.clone();
    redact(Kind::Service, &mut document);
    assert_eq!(document, before);
    redact(Kind::Secret, &mut document);
    let expected = serde_json::json!({
        "data": {"a": "<redacted>"},
        "stringData": {"b": "<redacted>"},
        "metadata": {
            "name": "n",
            "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "<redacted>", "x": "y"},
        },
    });
    assert_eq!(document, expected);
}
