//! JSON Web Tokens, as far as a proxy needs them: RS256 and ES256 with the keys of a JWKS file.
//!
//! The header chooses nothing: a key says by itself which algorithm it is for, and a header that says another is refused.
//! So neither `none` nor a public key taken for a shared secret gets anywhere.

use std::fmt;
use std::time::{Duration, SystemTime};

use anyhow::{Context, bail};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents, UnparsedPublicKey,
};
use serde_json::Value;

use super::Grant;

/// Clocks differ.
const LEEWAY: Duration = Duration::from_secs(30);

pub(crate) struct Jwt {
    keys: Vec<Key>,
    audience: Option<String>,
    issuer: Option<String>,
}

impl fmt::Debug for Jwt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Jwt").field("keys", &self.keys.len()).finish_non_exhaustive()
    }
}

struct Key {
    id: Option<String>,
    material: Material,
}

enum Material {
    Rsa { n: Vec<u8>, e: Vec<u8> },
    P256(Vec<u8>),
}

/// What a good token says.
#[derive(Debug, PartialEq)]
pub(crate) struct Claims {
    pub(crate) subject: Option<String>,
    pub(crate) grant: Option<Grant>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Wrong {
    #[error("it is no JWT")]
    Form,
    #[error("its algorithm is not RS256 or ES256")]
    Algorithm,
    #[error("it has critical extensions")]
    Critical,
    #[error("no key of the JWKS file has signed it")]
    Signature,
    #[error("it has no expiry")]
    NoExpiry,
    #[error("it has expired")]
    Expired,
    #[error("it is not valid yet")]
    Early,
    #[error("it is for another audience")]
    Audience,
    #[error("it is from another issuer")]
    Issuer,
    #[error(
        "its claim isthmus is not {{role, gateways}}, {{role, namespaces}} or {{role, workloads}}"
    )]
    Claim,
}

impl Jwt {
    /// # Errors
    /// When the text is no JWKS with a key that can be used.
    pub(crate) fn new(
        jwks: &str,
        audience: Option<String>,
        issuer: Option<String>,
    ) -> anyhow::Result<Self> {
        let set: Value = serde_json::from_str(jwks).context("not JSON")?;
        let list = set.get("keys").and_then(Value::as_array).context("no list `keys`")?;
        let mut keys = Vec::new();
        for (index, key) in list.iter().enumerate() {
            // Sets of real issuers hold keys for other uses and of other kinds: those are not ours.
            if let Some(key) = Key::read(key).with_context(|| format!("key {index}"))? {
                keys.push(key);
            }
        }
        if keys.is_empty() {
            bail!("no key for RS256 or ES256");
        }
        Ok(Self { keys, audience, issuer })
    }

    pub(crate) fn verify(&self, token: &str, now: SystemTime) -> Result<Claims, Wrong> {
        let claims = self.payload(token, now)?;
        let grant = claims.get("isthmus").map(grant).transpose()?;
        Ok(Claims { subject: claims.get("sub").and_then(Value::as_str).map(str::to_owned), grant })
    }

    /// All that a good token says.
    pub(crate) fn payload(&self, token: &str, now: SystemTime) -> Result<Value, Wrong> {
        let (signed, signature) = token.rsplit_once('.').ok_or(Wrong::Form)?;
        let (header, payload) = signed.split_once('.').ok_or(Wrong::Form)?;
        let decode = |text: &str| URL_SAFE_NO_PAD.decode(text).map_err(|_| Wrong::Form);
        let json = |text: &str| -> Result<Value, Wrong> {
            serde_json::from_slice(&decode(text)?).map_err(|_| Wrong::Form)
        };
        let header = json(header)?;
        let algorithm = header.get("alg").and_then(Value::as_str).unwrap_or_default();
        if !["RS256", "ES256"].contains(&algorithm) {
            return Err(Wrong::Algorithm);
        }
        if header.get("crit").is_some() {
            return Err(Wrong::Critical);
        }
        let id = header.get("kid").and_then(Value::as_str);
        let signature = decode(signature)?;
        let good = self
            .keys
            .iter()
            .filter(|key| key.algorithm() == algorithm)
            .filter(|key| id.is_none() || key.id.is_none() || key.id.as_deref() == id)
            .any(|key| key.verifies(signed.as_bytes(), &signature));
        if !good {
            return Err(Wrong::Signature);
        }
        let claims = json(payload)?;
        self.check(&claims, now)?;
        Ok(claims)
    }

    fn check(&self, claims: &Value, now: SystemTime) -> Result<(), Wrong> {
        let now = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        let leeway = LEEWAY.as_secs_f64();
        let expiry = claims.get("exp").and_then(Value::as_f64).ok_or(Wrong::NoExpiry)?;
        if now >= expiry + leeway {
            return Err(Wrong::Expired);
        }
        if let Some(from) = claims.get("nbf") {
            let from = from.as_f64().ok_or(Wrong::Form)?;
            if now + leeway < from {
                return Err(Wrong::Early);
            }
        }
        let text = |key: &str| claims.get(key).and_then(Value::as_str);
        if self.issuer.as_deref().is_some_and(|issuer| text("iss") != Some(issuer)) {
            return Err(Wrong::Issuer);
        }
        if let Some(wanted) = &self.audience {
            let ours = match claims.get("aud") {
                Some(Value::String(one)) => one == wanted,
                Some(Value::Array(list)) => list.iter().any(|a| a.as_str() == Some(wanted)),
                _ => false,
            };
            if !ours {
                return Err(Wrong::Audience);
            }
        }
        Ok(())
    }
}

fn grant(claim: &Value) -> Result<Grant, Wrong> {
    let role = claim.get("role").and_then(Value::as_str).ok_or(Wrong::Claim)?;
    // What a token says for another role must not be taken for the scope of this one.
    let field = match role {
        "grpc" => "namespaces",
        "sidecar" => "workloads",
        _ => "gateways",
    };
    let scopes = match claim.get(field) {
        None => Vec::new(),
        Some(list) => {
            let list = list.as_array().ok_or(Wrong::Claim)?;
            let names: Option<_> = list.iter().map(|g| g.as_str().map(str::to_owned)).collect();
            names.ok_or(Wrong::Claim)?
        }
    };
    Ok(Grant { role: role.to_owned(), scopes })
}

impl Key {
    fn read(key: &Value) -> anyhow::Result<Option<Self>> {
        let text = |name: &str| key.get(name).and_then(Value::as_str);
        let bytes = |name: &str| {
            let text = text(name).with_context(|| format!("`{name}` is missing"))?;
            URL_SAFE_NO_PAD.decode(text).with_context(|| format!("`{name}` is not base64url"))
        };
        if text("use").is_some_and(|usage| usage != "sig") {
            return Ok(None);
        }
        let material = match (text("kty"), text("crv")) {
            (Some("RSA"), _) => Material::Rsa { n: bytes("n")?, e: bytes("e")? },
            (Some("EC"), Some("P-256")) => {
                let (x, y) = (bytes("x")?, bytes("y")?);
                if x.len() != 32 || y.len() != 32 {
                    bail!("a coordinate has not 32 bytes");
                }
                Material::P256([&[4][..], &x, &y].concat())
            }
            _ => return Ok(None),
        };
        let read = Self { id: text("kid").map(str::to_owned), material };
        let other = text("alg").is_some_and(|algorithm| algorithm != read.algorithm());
        Ok((!other).then_some(read))
    }

    fn algorithm(&self) -> &'static str {
        match self.material {
            Material::Rsa { .. } => "RS256",
            Material::P256(_) => "ES256",
        }
    }

    fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        match &self.material {
            Material::Rsa { n, e } => RsaPublicKeyComponents { n, e }
                .verify(&RSA_PKCS1_2048_8192_SHA256, message, signature)
                .is_ok(),
            Material::P256(point) => UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point)
                .verify(message, signature)
                .is_ok(),
        }
    }
}
