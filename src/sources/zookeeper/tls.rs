use std::io;
use std::path::Path;
use std::sync::Arc;

use model::RegistryTls;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::link::Error;

/// Files are read at every connection, so that rotated ones count from the next on.
pub(super) async fn wrap(
    stream: TcpStream,
    tls: &RegistryTls,
    host: &str,
) -> Result<TlsStream<TcpStream>, Error> {
    let config = config(tls).await?;
    let name = tls.server_name.as_deref().unwrap_or(host);
    let name = ServerName::try_from(name.to_owned()).map_err(|error| told(&error))?;
    Ok(TlsConnector::from(Arc::new(config)).connect(name, stream).await?)
}

async fn config(tls: &RegistryTls) -> Result<ClientConfig, Error> {
    let mut roots = RootCertStore::empty();
    match &tls.ca_file {
        Some(path) => {
            for certificate in certificates(path).await? {
                roots.add(certificate).map_err(|error| told(&error))?;
            }
        }
        None => {
            // Some of the system's may be odd; the rest counts.
            let found = tokio::task::spawn_blocking(rustls_native_certs::load_native_certs).await;
            let found = found.map_err(io::Error::other)?;
            roots.add_parsable_certificates(found.certs);
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| told(&error))?
        .with_root_certificates(roots);
    match (&tls.certificate_file, &tls.key_file) {
        (Some(chain), Some(key)) => {
            let pem = tokio::fs::read(key).await?;
            // The error could show a part of the key.
            let key = PrivateKeyDer::from_pem_slice(&pem)
                .map_err(|_| Error::Tls("the key file holds no private key in PEM".into()))?;
            let chain = certificates(chain).await?;
            builder.with_client_auth_cert(chain, key).map_err(|error| told(&error))
        }
        _ => Ok(builder.with_no_client_auth()),
    }
}

async fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let pem = tokio::fs::read(path).await?;
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    match all {
        Ok(all) if !all.is_empty() => Ok(all),
        _ => Err(Error::Tls(format!("no certificate in PEM in {}", path.display()))),
    }
}

fn told(error: &impl std::fmt::Display) -> Error {
    Error::Tls(error.to_string())
}
