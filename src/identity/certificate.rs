use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use ring::digest::{SHA256, digest};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::Error;

/// A certificate that others are trusted by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Root {
    pub(crate) pem: Arc<str>,
    /// Hex digits of the SHA-256 of its DER form, so that people can tell roots apart.
    pub fingerprint: Arc<str>,
    pub from: SystemTime,
    pub until: SystemTime,
}

impl Root {
    #[must_use]
    pub fn pem(&self) -> &str {
        &self.pem
    }
}

/// A certificate of a chain, and what matters about it.
pub(crate) struct Read {
    pub(crate) root: Root,
    pub(crate) is_ca: bool,
    /// Signed with its own key.
    pub(crate) is_root: bool,
    pub(crate) public_key: Vec<u8>,
    pub(crate) issuer: Vec<u8>,
    pub(crate) subject: Vec<u8>,
}

/// All certificates of a PEM text, in their order.
pub(crate) fn read(pem: &str) -> Result<Vec<Read>, Error> {
    let mut out = Vec::new();
    for der in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        let der = der.map_err(|error| Error::Certificate(error.to_string()))?;
        out.push(one(&der)?);
    }
    if out.is_empty() {
        return Err(Error::Certificate("there is none".into()));
    }
    Ok(out)
}

fn one(der: &[u8]) -> Result<Read, Error> {
    let wrong = |what: &str| Error::Certificate(what.into());
    let (_, certificate) =
        X509Certificate::from_der(der).map_err(|_| wrong("it is no X.509 certificate"))?;
    let validity = certificate.validity();
    let time = |seconds: i64| {
        let seconds = Duration::from_secs(u64::try_from(seconds).ok()?);
        SystemTime::UNIX_EPOCH.checked_add(seconds)
    };
    let times = time(validity.not_before.timestamp()).zip(time(validity.not_after.timestamp()));
    let (from, until) = times.ok_or_else(|| wrong("its times are out of range"))?;
    let root = Root { pem: to_pem(der).into(), fingerprint: fingerprint(der).into(), from, until };
    Ok(Read {
        root,
        is_ca: certificate.is_ca(),
        is_root: certificate.verify_signature(None).is_ok(),
        public_key: certificate.public_key().subject_public_key.data.to_vec(),
        issuer: certificate.issuer().as_raw().to_vec(),
        subject: certificate.subject().as_raw().to_vec(),
    })
}

fn fingerprint(der: &[u8]) -> String {
    let mut text = String::new();
    for byte in digest(&SHA256, der).as_ref() {
        // Writing into a String does not fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

fn to_pem(der: &[u8]) -> String {
    use base64::Engine as _;
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    let mut out = String::from("-----BEGIN CERTIFICATE-----\n");
    for line in text.as_bytes().chunks(64) {
        out.extend(line.iter().map(|byte| char::from(*byte)));
        out.push('\n');
    }
    out.push_str("-----END CERTIFICATE-----\n");
    out
}
