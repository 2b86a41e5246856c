//! A CA of its own and the certificate of a server from it, as PEM: of the xDS port (`isthmus certificate`), of the webhook.

use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

const DAY: Duration = Duration::from_secs(86_400);
/// The CA's own: what it costs to change it is that proxies must be told.
const CA_DAYS: u32 = 3650;
/// Clocks differ.
const EARLY: Duration = Duration::from_secs(3600);

/// Never printed: it holds keys.
pub struct Bundle {
    pub certificate: String,
    pub key: String,
    pub ca: String,
    pub ca_key: String,
}

impl Bundle {
    /// With a CA of its own.
    ///
    /// # Errors
    /// Where the names are none, in the words of the library.
    pub fn make(dns: &[String], days: u16, now: SystemTime) -> Result<Self, String> {
        let key = KeyPair::generate().map_err(|e| format!("cannot make a key: {e}"))?;
        let ca = authority(now).self_signed(&key).map_err(|e| format!("cannot make a CA: {e}"))?;
        let empty = Self {
            certificate: String::new(),
            key: String::new(),
            ca: ca.pem(),
            ca_key: key.serialize_pem(),
        };
        empty.sign(dns, days, now)
    }

    /// A new certificate from the same CA; from a new one where that cannot be used any more.
    ///
    /// # Errors
    /// Where the names are none, in the words of the library.
    pub fn renew(self, dns: &[String], days: u16, now: SystemTime) -> Result<Self, String> {
        let life = Duration::from_secs(u64::from(days) * DAY.as_secs());
        match times(&self.ca) {
            Some((_, end)) if end > now + life && KeyPair::from_pem(&self.ca_key).is_ok() => {
                self.sign(dns, days, now)
            }
            _ => Self::make(dns, days, now),
        }
    }

    fn sign(self, dns: &[String], days: u16, now: SystemTime) -> Result<Self, String> {
        let wrong = |e: rcgen::Error| format!("cannot make a certificate: {e}");
        let ca_key = KeyPair::from_pem(&self.ca_key).map_err(wrong)?;
        let issuer = Issuer::new(authority(now), ca_key);
        let mut params = CertificateParams::new(dns).map_err(wrong)?;
        params.distinguished_name.push(DnType::CommonName, "Isthmus");
        params.not_before = (now - EARLY).into();
        params.not_after = (now + DAY * u32::from(days)).into();
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate().map_err(wrong)?;
        let certificate = params.signed_by(&key, &issuer).map_err(wrong)?;
        Ok(Self { certificate: certificate.pem(), key: key.serialize_pem(), ..self })
    }

    /// Whether it is for these names, or addresses, of its CA, and has more than half of its time left.
    #[must_use]
    pub fn is_fresh(&self, dns: &[String], now: SystemTime) -> bool {
        let fits = |leaf: &X509Certificate<'_>, ca: &X509Certificate<'_>| {
            let names = leaf.subject_alternative_name().ok().flatten();
            let names: Vec<_> = names.iter().flat_map(|san| &san.value.general_names).collect();
            let has = |name: &String| match name.parse::<IpAddr>() {
                Ok(IpAddr::V4(ip)) => names.contains(&&GeneralName::IPAddress(&ip.octets())),
                Ok(IpAddr::V6(ip)) => names.contains(&&GeneralName::IPAddress(&ip.octets())),
                Err(_) => names.contains(&&GeneralName::DNSName(name)),
            };
            dns.iter().all(has) && leaf.verify_signature(Some(ca.public_key())).is_ok()
        };
        let (Some(leaf), Some(ca)) = (der(&self.certificate), der(&self.ca)) else { return false };
        let (Ok((_, leaf)), Ok((_, ca))) =
            (X509Certificate::from_der(&leaf), X509Certificate::from_der(&ca))
        else {
            return false;
        };
        let (Some((start, end)), Some((_, ca_end))) = (times(&self.certificate), times(&self.ca))
        else {
            return false;
        };
        let half = end.duration_since(start).unwrap_or_default() / 2;
        fits(&leaf, &ca) && now + half < end && now + half < ca_end && !self.key.is_empty()
    }
}

/// The same for each certificate that it signs: the name by which the CA is found.
fn authority(now: SystemTime) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "Isthmus CA");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.not_before = (now - EARLY).into();
    params.not_after = (now + DAY * CA_DAYS).into();
    params
}

fn der(pem: &str) -> Option<CertificateDer<'static>> {
    CertificateDer::from_pem_slice(pem.as_bytes()).ok()
}

/// From when until when it is good.
fn times(pem: &str) -> Option<(SystemTime, SystemTime)> {
    let der = der(pem)?;
    let (_, certificate) = X509Certificate::from_der(&der).ok()?;
    let validity = certificate.validity();
    let time = |seconds: i64| {
        let seconds = u64::try_from(seconds).ok()?;
        SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
    };
    Some((time(validity.not_before.timestamp())?, time(validity.not_after.timestamp())?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(list: &[&str]) -> Vec<String> {
        list.iter().map(|&name| name.to_owned()).collect()
    }

    #[test]
    fn a_certificate_is_fresh_for_half_of_its_time_and_for_its_names() {
        let now = SystemTime::now();
        let dns = names(&["a.b.svc", "a.b.svc.cluster.local"]);
        let bundle = Bundle::make(&dns, 100, now).unwrap();
        assert!(bundle.is_fresh(&dns, now) && bundle.is_fresh(&dns[..1], now + DAY * 49));
        assert!(!bundle.is_fresh(&dns, now + DAY * 51));
        assert!(!bundle.is_fresh(&names(&["c.b.svc"]), now));
        let other = Bundle::make(&dns, 100, now).unwrap();
        assert!(!Bundle { ca: other.ca, ..bundle }.is_fresh(&dns, now), "another CA's");
    }

    #[test]
    fn addresses_are_names() {
        let now = SystemTime::now();
        let bundle = Bundle::make(&names(&["a.svc", "10.0.0.1", "fd00::1"]), 1, now).unwrap();
        assert!(bundle.is_fresh(&names(&["10.0.0.1", "fd00::1"]), now));
        assert!(!bundle.is_fresh(&names(&["10.0.0.2"]), now));
    }

    #[test]
    fn renewal_keeps_the_ca_as_long_as_it_lasts() {
        let now = SystemTime::now();
        let dns = names(&["a.b.svc"]);
        let first = Bundle::make(&dns, 365, now).unwrap();
        let (ca, old) = (first.ca.clone(), first.certificate.clone());
        let later = now + DAY * 200;
        let second = first.renew(&dns, 365, later).unwrap();
        assert!(second.is_fresh(&dns, later));
        assert_eq!(second.ca, ca);
        assert_ne!(second.certificate, old);
        let late = now + DAY * (CA_DAYS - 100);
        let third = second.renew(&dns, 365, late).unwrap();
        assert_ne!(third.ca, ca);
        assert!(third.is_fresh(&dns, late));
    }

    #[test]
    fn what_was_broken_by_hand_is_made_anew() {
        let now = SystemTime::now();
        let dns = names(&["a.b.svc"]);
        let bundle = Bundle::make(&dns, 365, now).unwrap();
        let broken = Bundle { ca_key: "no key".to_owned(), ..bundle };
        assert!(broken.renew(&dns, 365, now).unwrap().is_fresh(&dns, now));
    }
}
