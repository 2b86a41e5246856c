use model::Authorities;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair, Ed25519KeyPair,
    KeyPair as _, RsaKeyPair,
};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use x509_parser::prelude::{FromDer as _, X509Certificate};

/// Whether a PEM chain and a PEM key can serve a TLS listener. Errors say what is wrong and never repeat the content.
///
/// Not checked: validity in time (nothing here reads the clock), signatures within the chain, and the key of curves
/// that `ring` does not have (P-521).
pub(crate) fn check(chain: &[u8], key: &[u8]) -> Result<(), String> {
    let chain = certificates("tls.crt", chain)?;
    let (_, leaf) = X509Certificate::from_der(&chain[0])
        .map_err(|_| "tls.crt is not an X.509 certificate".to_owned())?;
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| {
        "tls.key holds no private key in PEM form (encrypted keys cannot be used)".to_owned()
    })?;
    match belongs(&leaf, &key) {
        Ok(true) => Ok(()),
        Ok(false) => Err("tls.key does not belong to the first certificate of tls.crt".to_owned()),
        Err(reason) => Err(reason.to_owned()),
    }
}

/// What stands under `ca.crt`. Text between the certificates is a comment; nothing but certificates may be among them,
/// because a proxy refuses the whole then.
pub(crate) fn authorities(pem: Option<&[u8]>) -> Authorities {
    match pem.map(|pem| (pem, certificates("ca.crt", pem))) {
        None => Authorities::None,
        Some((pem, Ok(_))) => Authorities::Pem(pem.into()),
        Some((_, Err(reason))) => Authorities::Invalid { reason },
    }
}

/// All certificates of a PEM text, of which there is at least one.
fn certificates(name: &str, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let all: Vec<CertificateDer<'_>> = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(|_| format!("{name} is not valid PEM"))?;
    if all.is_empty() {
        return Err(format!("{name} holds no CERTIFICATE in PEM form"));
    }
    for (index, certificate) in all.iter().enumerate() {
        if !matches!(X509Certificate::from_der(certificate), Ok(([], _))) {
            return Err(format!("certificate {} of {name} is not an X.509 certificate", index + 1));
        }
    }
    Ok(all)
}

fn belongs(leaf: &X509Certificate<'_>, key: &PrivateKeyDer<'_>) -> Result<bool, &'static str> {
    let spki = leaf.public_key();
    let public = spki.subject_public_key.data.as_ref();
    match spki.algorithm.algorithm.to_id_string().as_str() {
        // rsaEncryption
        "1.2.840.113549.1.1.1" => {
            let pair = match key {
                PrivateKeyDer::Pkcs1(key) => RsaKeyPair::from_der(key.secret_pkcs1_der()),
                PrivateKeyDer::Pkcs8(key) => {
                    if pkcs8(key.secret_pkcs8_der())
                        .is_some_and(|(algorithm, _)| algorithm != RSA_ENCRYPTION)
                    {
                        return Ok(false);
                    }
                    RsaKeyPair::from_pkcs8(key.secret_pkcs8_der())
                }
                _ => return Ok(false),
            };
            let pair = pair.map_err(|_| "tls.key is not a sound RSA key of 2048 to 4096 bits")?;
            Ok(pair.public().as_ref() == public)
        }
        // id-ecPublicKey, the curve is the parameter
        "1.2.840.10045.2.1" => {
            let curve = spki
                .algorithm
                .parameters
                .as_ref()
                .and_then(|p| p.as_oid().ok())
                .map(|oid| oid.to_id_string());
            let algorithm = match curve.as_deref() {
                Some("1.2.840.10045.3.1.7") => &ECDSA_P256_SHA256_ASN1_SIGNING,
                Some("1.3.132.0.34") => &ECDSA_P384_SHA384_ASN1_SIGNING,
                Some("1.3.132.0.35") => return Ok(true),
                _ => return Err("the curve of the certificate's key is not supported"),
            };
            let private = match key {
                PrivateKeyDer::Sec1(key) => ec_private(key.secret_sec1_der()),
                PrivateKeyDer::Pkcs8(key) => {
                    pkcs8(key.secret_pkcs8_der()).and_then(|(_, key)| ec_private(key))
                }
                _ => return Ok(false),
            };
            let Some(private) = private else { return Ok(false) };
            let random = SystemRandom::new();
            Ok(EcdsaKeyPair::from_private_key_and_public_key(algorithm, private, public, &random)
                .is_ok())
        }
        // Ed25519
        "1.3.101.112" => {
            let PrivateKeyDer::Pkcs8(key) = key else { return Ok(false) };
            let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(key.secret_pkcs8_der());
            Ok(pair.is_ok_and(|pair| pair.public_key().as_ref() == public))
        }
        _ => Err("the certificate's key is neither RSA nor ECDSA"),
    }
}

/// 1.2.840.113549.1.1.1
const RSA_ENCRYPTION: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];

const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
const OCTET_STRING: u8 = 0x04;
const OBJECT_IDENTIFIER: u8 = 0x06;

/// The private number of an `ECPrivateKey` (RFC 5915): `SEQUENCE { version, OCTET STRING, … }`.
fn ec_private(der: &[u8]) -> Option<&[u8]> {
    let (content, _) = element(der, SEQUENCE)?;
    let (_version, rest) = element(content, INTEGER)?;
    Some(element(rest, OCTET_STRING)?.0)
}

/// Algorithm and key of a PKCS #8 `PrivateKeyInfo` (RFC 5958): `SEQUENCE { version, algorithm, OCTET STRING, … }`.
fn pkcs8(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (content, _) = element(der, SEQUENCE)?;
    let (_version, rest) = element(content, INTEGER)?;
    let (algorithm, rest) = element(rest, SEQUENCE)?;
    Some((element(algorithm, OBJECT_IDENTIFIER)?.0, element(rest, OCTET_STRING)?.0))
}

/// The content of the DER element at the start, and what follows it.
fn element(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (&[found, first], mut rest) = der.split_first_chunk::<2>()?;
    let length = match first {
        0..=0x7f => usize::from(first),
        0x81 | 0x82 => {
            let (bytes, after) = rest.split_at_checked(usize::from(first & 0x7f))?;
            rest = after;
            bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte))
        }
        _ => return None,
    };
    if found == tag { rest.split_at_checked(length) } else { None }
}
