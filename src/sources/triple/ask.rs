use std::time::Duration;

use super::{old, tri};
use crate::dubbo::{Endpoint, Revision};

/// Larger than what a process with thousands of interfaces tells.
pub(super) const MAX_ANSWER: usize = 4 * 1024 * 1024;
pub(super) const LIMIT: Duration = Duration::from_secs(3);

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("no answer in {LIMIT:?}")]
    Slow,
    #[error("the port speaks {0:?}, which is not asked here")]
    Protocol(String),
    #[error("the host or port cannot be dialled")]
    Address,
    #[error("connecting")]
    Connect(#[source] tonic::transport::Error),
    #[error("reading or writing")]
    Io(#[from] std::io::Error),
    #[error("the application answered {0}")]
    Refused(String),
    #[error("the answer is not a MetadataService's")]
    Malformed,
}

/// What `application` offers in `revision`, asked of the MetadataService at `host`.
///
/// # Errors
/// Where it does not answer in 3 seconds, or not as Dubbo does.
pub async fn metadata(
    host: &str,
    service: &Endpoint,
    application: &str,
    revision: &str,
) -> Result<Revision, Error> {
    let port = u16::try_from(service.port).ok().filter(|port| *port > 0).ok_or(Error::Address)?;
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let asked = async {
        match &*service.protocol {
            "tri" => tri::ask(bare, port, application, revision).await,
            "dubbo" => old::ask(bare, port, application, revision).await,
            other => Err(Error::Protocol(other.to_owned())),
        }
    };
    tokio::time::timeout(LIMIT, asked).await.map_err(|_| Error::Slow)?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_cannot_be_asked_is_an_error_in_time() {
        let at = |port: i64, protocol: &str| Endpoint { port, protocol: protocol.into() };
        assert!(matches!(metadata("a", &at(0, "tri"), "app", "r").await, Err(Error::Address)));
        let odd = metadata("127.0.0.1", &at(1, "rest"), "app", "r").await;
        assert!(matches!(odd, Err(Error::Protocol(_))));
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port().into();
        for protocol in ["tri", "dubbo"] {
            let silent = metadata("127.0.0.1", &at(port, protocol), "app", "r").await;
            assert!(matches!(silent, Err(Error::Slow)), "{protocol}: {silent:?}");
        }
    }
}
