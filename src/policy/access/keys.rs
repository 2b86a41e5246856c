//! JSON Web Key Sets as Envoy reads them. It refuses a whole configuration for one key that it cannot use, so that such keys
//! are left out before.

use std::sync::Arc;

use base64::Engine;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde_json::{Value, json};

/// Padding is neither asked for nor minded.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The set with the keys that can be used, and what is wrong with the others; an error where none can.
pub(super) fn usable(text: &str) -> Result<(Arc<str>, Vec<String>), String> {
    let set: Value =
        serde_json::from_str(text).map_err(|_| "it is not a JSON Web Key Set".to_string())?;
    let Some(keys) = set.get("keys").and_then(Value::as_array) else {
        return Err("it is not a JSON Web Key Set".to_string());
    };
    let (mut good, mut bad) = (Vec::new(), Vec::new());
    for (index, key) in keys.iter().enumerate() {
        match fault(key) {
            None => good.push(key),
            Some(fault) => bad.push(format!("key {index} cannot be used: {fault}")),
        }
    }
    if good.is_empty() {
        return Err(bad.first().cloned().unwrap_or_else(|| "it has no keys".to_string()));
    }
    Ok((json!({ "keys": good }).to_string().into(), bad))
}

fn fault(key: &Value) -> Option<String> {
    let text = |name: &str| key.get(name).and_then(Value::as_str);
    let bytes = |name: &str| {
        text(name).and_then(|text| BASE64.decode(text).ok()).filter(|bytes| !bytes.is_empty())
    };
    let missing = |name: &str| Some(format!("{name} is missing, empty, or not base64url"));
    for name in ["kid", "alg"] {
        if key.get(name).is_some_and(|value| !value.is_string()) {
            return Some(format!("{name} is not a text"));
        }
    }
    let (wanted, starts): (&str, &[&str]) = match text("kty") {
        Some("RSA") => ("RS or PS", &["RS", "PS"]),
        Some("EC") => ("ES", &["ES"]),
        Some("OKP") => ("EdDSA", &["EdDSA"]),
        Some("oct") => ("HS", &["HS"]),
        other => return Some(format!("kty is {}", other.unwrap_or("missing"))),
    };
    if let Some(alg) = text("alg")
        && !starts.iter().any(|start| alg.starts_with(start))
    {
        return Some(format!("alg is {alg}, and keys of this kind need {wanted}"));
    }
    match text("kty") {
        Some("RSA") => {
            let (Some(n), Some(e)) = (bytes("n"), bytes("e")) else { return missing("n or e") };
            let odd = |number: &[u8]| number.last().is_some_and(|last| last % 2 == 1);
            // What BoringSSL takes.
            let fits = (64..=2048).contains(&n.len()) && odd(&n) && e.len() <= 5 && odd(&e);
            (!fits || e == [1]).then(|| "n and e are not those of an RSA key".to_string())
        }
        Some("EC") => {
            let length = match (text("crv"), text("alg")) {
                (Some("P-256"), None | Some("ES256")) => 32,
                (Some("P-384"), None | Some("ES384")) => 48,
                (Some("P-521"), None | Some("ES512")) => 66,
                _ => return Some("crv is missing, or not that of alg".to_string()),
            };
            let part = |name: &str| bytes(name).is_some_and(|bytes| bytes.len() == length);
            (!part("x") || !part("y")).then(|| "x or y is not that of its curve".to_string())
        }
        Some("OKP") => {
            let fits =
                text("crv") == Some("Ed25519") && bytes("x").is_some_and(|bytes| bytes.len() == 32);
            (!fits).then(|| "it is not a key of Ed25519".to_string())
        }
        _ => bytes("k").is_none().then(|| "k is missing, empty, or not base64url".to_string()),
    }
}
