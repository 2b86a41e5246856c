use std::path::{Path, PathBuf};
use std::sync::Arc;

use model::RegistryTls;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tonic::transport::{Certificate, ClientTlsConfig, Identity};

use super::Error;

/// Where systems keep their roots, for a Registry that names no `ca`.
const SYSTEM_ROOTS: [&str; 3] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"];

/// The files of a Registry's TLS, read anew for every connection so that a rotated certificate counts.
#[derive(Clone)]
pub(super) struct Files {
    roots: Vec<u8>,
    identity: Option<(Vec<u8>, Vec<u8>)>,
    name: Option<Arc<str>>,
}

impl Files {
    pub(super) async fn read(tls: &RegistryTls) -> Result<Self, Error> {
        let ca = match &tls.ca_file {
            Some(path) => path.clone(),
            None => SYSTEM_ROOTS
                .iter()
                .map(PathBuf::from)
                .find(|path| path.exists())
                .ok_or_else(|| Error::Tls("the system has no roots, and no ca is set".into()))?,
        };
        let identity = match (&tls.certificate_file, &tls.key_file) {
            (Some(certificate), Some(key)) => Some((read(certificate).await?, read(key).await?)),
            _ => None,
        };
        Ok(Self { roots: read(&ca).await?, identity, name: tls.server_name.clone() })
    }

    pub(super) fn grpc(&self) -> ClientTlsConfig {
        let mut config = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(&self.roots));
        if let Some((certificate, key)) = &self.identity {
            config = config.identity(Identity::from_pem(certificate, key));
        }
        match &self.name {
            Some(name) => config.domain_name(&**name),
            None => config,
        }
    }
}

/// For the HTTP side; `None` for plaintext, where no roots are needed.
pub(super) fn http(files: Option<&Files>) -> Result<ClientConfig, Error> {
    let fail = |error: &dyn std::fmt::Display| Error::Tls(error.to_string());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| fail(&e))?;
    let mut roots = RootCertStore::empty();
    let Some(files) = files else {
        return Ok(builder.with_root_certificates(roots).with_no_client_auth());
    };
    for certificate in CertificateDer::pem_slice_iter(&files.roots) {
        roots.add(certificate.map_err(|e| fail(&e))?).map_err(|e| fail(&e))?;
    }
    let builder = builder.with_root_certificates(roots);
    match &files.identity {
        None => Ok(builder.with_no_client_auth()),
        Some((chain, key)) => {
            let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(chain).collect();
            let key = PrivateKeyDer::from_pem_slice(key).map_err(|e| fail(&e))?;
            builder.with_client_auth_cert(chain.map_err(|e| fail(&e))?, key).map_err(|e| fail(&e))
        }
    }
}

async fn read(path: &Path) -> Result<Vec<u8>, Error> {
    tokio::fs::read(path)
        .await
        .map_err(|error| Error::Tls(format!("reading {}: {error}", path.display())))
}
