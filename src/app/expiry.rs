//! When certificates end: nobody notices before, and everybody at once after. That of the xDS port is a metric, those in
//! Secrets are in the status that the API shows.

use std::net::IpAddr;

use api::Time;
use serde_json::{Value, json};
use x509_parser::extensions::GeneralName;
use x509_parser::pem::Pem;
use x509_parser::time::ASN1Time;
use x509_parser::x509::X509Name;

const GAUGE: &str = "isthmus_xds_certificate_expires_timestamp_seconds";

/// Of the first certificate of a chain in PEM, which is the server's own; what cannot be read is told elsewhere.
fn end(chain: &[u8]) -> Option<i64> {
    let first = Pem::iter_from_buffer(chain).next()?.ok()?;
    Some(first.parse_x509().ok()?.validity().not_after.timestamp())
}

/// What the first certificate of a chain says of itself; all of it is public.
pub(crate) fn status(chain: &[u8]) -> Option<Value> {
    let first = Pem::iter_from_buffer(chain).next()?.ok()?;
    let certificate = first.parse_x509().ok()?;
    let names = certificate.subject_alternative_name().ok().flatten();
    let names = names.iter().flat_map(|names| &names.value.general_names);
    let hosts: Vec<_> = names.filter_map(host).collect();
    let at = |time: ASN1Time| Time(time.timestamp().saturating_mul(1000));
    let validity = certificate.validity();
    Some(json!({"certificate": {
        "hosts": hosts, "issuer": common_name(certificate.issuer()),
        "notBefore": at(validity.not_before), "notAfter": at(validity.not_after),
    }}))
}

fn host(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => {
            let four = <[u8; 4]>::try_from(*bytes).map(IpAddr::from);
            let address = four.or_else(|_| <[u8; 16]>::try_from(*bytes).map(IpAddr::from));
            address.ok().map(|address| address.to_string())
        }
        _ => None,
    }
}

fn common_name(name: &X509Name<'_>) -> String {
    let common = name.iter_common_name().next().and_then(|part| part.as_str().ok());
    common.map_or_else(|| name.to_string(), str::to_owned)
}

pub(crate) fn note(chain: &[u8]) {
    let Some(end) = end(chain) else { return };
    metrics::describe_gauge!(GAUGE, "When the certificate of the xDS port ends, in Unix time");
    #[expect(clippy::cast_precision_loss, reason = "seconds until the year 285 million")]
    metrics::gauge!(GAUGE).set(end as f64);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_is_that_of_the_servers_own_certificate() {
        let certificate = |year| {
            let mut params = rcgen::CertificateParams::new(["a.example".to_owned()]).unwrap();
            params.not_after = rcgen::date_time_ymd(year, 1, 1);
            params.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap().pem()
        };
        let chain = format!("{}{}", certificate(2030), certificate(2040));
        assert_eq!(end(chain.as_bytes()), Some(1_893_456_000));
        assert_eq!(end(b"no certificate"), None);
    }

    #[test]
    fn a_certificate_says_for_whom_and_how_long() {
        let mut params =
            rcgen::CertificateParams::new(["a.example".to_owned(), "10.0.0.1".to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(2026, 1, 1);
        params.not_after = rcgen::date_time_ymd(2030, 1, 1);
        params.distinguished_name.push(rcgen::DnType::CommonName, "Our own");
        let pem = params.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap().pem();
        let expected = json!({"certificate": {
            "hosts": ["a.example", "10.0.0.1"], "issuer": "Our own",
            "notBefore": "2026-01-01T00:00:00Z", "notAfter": "2030-01-01T00:00:00Z",
        }});
        assert_eq!(status(pem.as_bytes()), Some(expected));
        assert_eq!(status(b"no certificate"), None);
    }
}
