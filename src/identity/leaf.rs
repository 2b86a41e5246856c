use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rcgen::{
    CertificateParams, DistinguishedName, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};
use xxhash_rust::xxh3::xxh3_64;

use crate::Error;

/// Clocks differ.
pub(crate) const EARLY: Duration = Duration::from_secs(300);

/// A certificate that says who a workload is, and its key.
pub struct Leaf {
    /// Its SPIFFE id.
    pub id: Arc<str>,
    /// In PEM, the leaf first, without the root.
    pub chain: Arc<str>,
    key: Arc<str>,
    /// Fingerprint of the certificate that signed it.
    pub signer: Arc<str>,
    pub issued: SystemTime,
    pub until: SystemTime,
    /// When a new one is to be made: at half of its life, by each id a little earlier or later.
    pub renew_at: SystemTime,
}

impl fmt::Debug for Leaf {
    // It holds a key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Leaf({})", self.id)
    }
}

impl Leaf {
    /// The private key itself (PEM), for the proxy that it belongs to.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }
}

pub(crate) fn issue(
    issuer: &Issuer<'_, KeyPair>,
    chain: &str,
    signer: &Arc<str>,
    id: &Arc<str>,
    now: SystemTime,
    until: SystemTime,
) -> Result<Leaf, Error> {
    let key = KeyPair::generate().map_err(Error::Make)?;
    let mut params = CertificateParams::default();
    // X509-SVID §2: one URI and nothing else says who it is.
    params.distinguished_name = DistinguishedName::new();
    let uri = id.to_string().try_into().map_err(Error::Make)?;
    params.subject_alt_names = vec![SanType::URI(uri)];
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    params.use_authority_key_identifier_extension = true;
    params.not_before = (now - EARLY).into();
    params.not_after = until.into();
    let certificate = params.signed_by(&key, issuer).map_err(Error::Make)?;
    let life = until.duration_since(now).unwrap_or_default();
    Ok(Leaf {
        id: id.clone(),
        chain: format!("{}{chain}", certificate.pem()).into(),
        key: key.serialize_pem().into(),
        signer: signer.clone(),
        issued: now,
        until,
        renew_at: now + renewal(id, life),
    })
}

/// Half of the life, and up to 1 % more or less: what was issued together, after a restart or a change of roots, is not
/// renewed together for ever.
fn renewal(id: &str, life: Duration) -> Duration {
    let spread = xxh3_64(id.as_bytes()) % 2001;
    #[expect(clippy::cast_precision_loss, reason = "at most 2000")]
    let factor = 0.99 + spread as f64 / 100_000.0;
    (life / 2).mul_f64(factor)
}
