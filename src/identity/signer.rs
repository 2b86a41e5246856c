use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PublicKeyData as _, SanType,
};

use crate::certificate::{self, Root};
use crate::leaf::EARLY;
use crate::{Error, Leaf, leaf};

/// Who signs leaves: a certificate that may, and its key.
pub struct Signer {
    issuer: Issuer<'static, KeyPair>,
    /// Its own certificate.
    certificate: Root,
    /// What lies between a leaf and the roots, its own certificate first; empty where it is a root itself.
    chain: Arc<str>,
    /// What its leaves are trusted by.
    roots: Vec<Root>,
}

impl fmt::Debug for Signer {
    // It holds a key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signer({})", self.certificate.fingerprint)
    }
}

impl Signer {
    /// A root of our own.
    ///
    /// # Errors
    /// When the system gives no random numbers.
    pub(crate) fn make(trust_domain: &str, life: Duration, now: SystemTime) -> Result<Self, Error> {
        let key = KeyPair::generate().map_err(Error::Make)?;
        let mut params = CertificateParams::default();
        // Each root has a name of its own: whoever builds a chain finds its issuer by the name first.
        let number: String =
            key.public_key_raw().iter().rev().take(4).map(|b| format!("{b:02x}")).collect();
        params.distinguished_name.push(DnType::OrganizationName, "Isthmus");
        params.distinguished_name.push(DnType::CommonName, format!("Isthmus mesh root {number}"));
        // SPIFFE, X509-SVID §4: a signing certificate names its trust domain, and no path.
        let uri = format!("spiffe://{trust_domain}");
        params.subject_alt_names.push(SanType::URI(uri.try_into().map_err(Error::Make)?));
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.not_before = (now - EARLY).into();
        params.not_after = (now + life).into();
        let pem = params.self_signed(&key).map_err(Error::Make)?.pem();
        Self::read(&pem, &key.serialize_pem())
    }

    /// From a chain, the certificate that signs first and a root last, and the key of the first.
    pub(crate) fn read(chain: &str, key: &str) -> Result<Self, Error> {
        let key = KeyPair::from_pem(key).map_err(|_| Error::Key)?;
        let all = certificate::read(chain)?;
        let wrong = |what: &str| Err(Error::Certificate(what.into()));
        let first = &all[0];
        if !first.is_ca {
            return wrong("the first one is not that of a CA");
        }
        if first.public_key != key.der_bytes() {
            return Err(Error::Key);
        }
        let between: Vec<_> = all.iter().take_while(|read| !read.is_root).collect();
        let follows = |pair: &[certificate::Read]| {
            pair[0].is_root || (pair[1].is_ca && pair[0].issuer == pair[1].subject)
        };
        if between.len() == all.len() {
            return wrong("none of them is a root (signed by itself)");
        }
        if !all[..=between.len()].windows(2).all(follows) {
            return wrong("they are no chain: each must be signed by the next");
        }
        let chain: String = between.iter().map(|read| read.root.pem()).collect();
        let roots = all.iter().filter(|read| read.is_root).map(|read| read.root.clone()).collect();
        let issuer = Issuer::from_ca_cert_pem(first.root.pem(), key)
            .map_err(|error| Error::Certificate(error.to_string()))?;
        Ok(Self { issuer, certificate: first.root.clone(), chain: chain.into(), roots })
    }

    pub(crate) fn issue(
        &self,
        id: &Arc<str>,
        life: Duration,
        now: SystemTime,
    ) -> Result<Leaf, Error> {
        // Longer than who has signed it, nobody believes it.
        let until = (now + life).min(self.certificate.until);
        leaf::issue(&self.issuer, &self.chain, &self.certificate.fingerprint, id, now, until)
    }

    /// The whole chain, roots included, as [`Self::read`] takes it.
    pub(crate) fn chain(&self) -> String {
        let roots: String = self.roots.iter().map(Root::pem).collect();
        format!("{}{roots}", self.chain)
    }

    pub(crate) fn key(&self) -> String {
        self.issuer.key().serialize_pem()
    }

    #[must_use]
    pub fn certificate(&self) -> &Root {
        &self.certificate
    }

    #[must_use]
    pub fn roots(&self) -> &[Root] {
        &self.roots
    }
}

/// An intermediate that somebody else has made: its chain with the roots at the end, and its key in PKCS#8.
///
/// # Errors
/// When they cannot be read, do not belong together, or do not end in a root.
pub fn given(chain: &str, key: &str) -> Result<Signer, Error> {
    Signer::read(chain, key)
}
