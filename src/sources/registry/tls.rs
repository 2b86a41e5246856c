use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use model::RegistryTls;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

/// How a registry is trusted, and how we show who we are. The files are read anew at every call, so that a renewed
/// certificate counts from the next session on.
///
/// # Errors
/// Where a file cannot be read, or holds nothing that can be used.
pub async fn client_config(tls: &RegistryTls) -> Result<ClientConfig, Error> {
    let provider = Arc::new(ring::default_provider());
    let roots = Arc::new(roots(tls).await?);
    let verifier = WebPkiServerVerifier::builder_with_provider(roots, provider.clone())
        .build()
        .map_err(Error::Roots)?;
    let expected = tls
        .server_name
        .as_deref()
        .map(|name| ServerName::try_from(name.to_owned()).map_err(|_| Error::Name(name.into())))
        .transpose()?;
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(Error::Config)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Verifier {
            inner: verifier,
            expected,
            provider,
        }));
    match (&tls.certificate_file, &tls.key_file) {
        (Some(certificate), Some(key)) => {
            let chain = certificates(certificate).await?;
            let parsed = PrivateKeyDer::from_pem_slice(&read(key).await?)
                .map_err(|_| Error::Pem { path: key.clone(), what: "private key" })?;
            builder.with_client_auth_cert(chain, parsed).map_err(Error::Config)
        }
        _ => Ok(builder.with_no_client_auth()),
    }
}

/// For plaintext: trusts nobody.
pub(super) fn no_trust() -> ClientConfig {
    let provider = Arc::new(ring::default_provider());
    ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(rustls::DEFAULT_VERSIONS)
        .expect("ring has cipher suites for the default versions")
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth()
}

async fn roots(tls: &RegistryTls) -> Result<RootCertStore, Error> {
    let mut store = RootCertStore::empty();
    match &tls.ca_file {
        Some(path) => drop(store.add_parsable_certificates(certificates(path).await?)),
        None => {
            let system = tokio::task::spawn_blocking(rustls_native_certs::load_native_certs).await;
            store.add_parsable_certificates(system.map(|found| found.certs).unwrap_or_default());
        }
    }
    Ok(store)
}

async fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let bytes = read(path).await?;
    let chain: Vec<_> = CertificateDer::pem_slice_iter(&bytes).filter_map(Result::ok).collect();
    if chain.is_empty() {
        return Err(Error::Pem { path: path.to_owned(), what: "certificate" });
    }
    Ok(chain)
}

async fn read(path: &Path) -> Result<Vec<u8>, Error> {
    tokio::fs::read(path).await.map_err(|source| Error::Read { path: path.to_owned(), source })
}

/// The usual checks, with the name that the document expects in place of the host of the address.
#[derive(Debug)]
struct Verifier {
    inner: Arc<WebPkiServerVerifier>,
    expected: Option<ServerName<'static>>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        host: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let name = self.expected.as_ref().unwrap_or(host);
        self.inner.verify_server_cert(certificate, intermediates, name, ocsp, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("reading {}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("no {what} in PEM in {}", path.display())]
    Pem { path: PathBuf, what: &'static str },
    #[error("no root certificate that can be used")]
    Roots(#[source] rustls::client::VerifierBuilderError),
    #[error("{0:?} is no server name")]
    Name(String),
    #[error("the certificate and key do not fit")]
    Config(#[source] rustls::Error),
}
