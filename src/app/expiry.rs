//! When the certificate of the xDS port ends, as a metric: nobody notices before, and every proxy at once after.

use x509_parser::pem::Pem;

const GAUGE: &str = "isthmus_xds_certificate_expires_timestamp_seconds";

/// Of the first certificate of a chain in PEM, which is the server's own; what cannot be read is told elsewhere.
fn end(chain: &[u8]) -> Option<i64> {
    let first = Pem::iter_from_buffer(chain).next()?.ok()?;
    Some(first.parse_x509().ok()?.validity().not_after.timestamp())
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
}
