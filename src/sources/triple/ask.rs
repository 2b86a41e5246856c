use std::time::Duration;

use super::{old, tri};
use crate::dubbo::{Endpoint, Revision};

/// Larger than what a process with thousands of interfaces tells.
pub(super) const MAX_ANSWER: usize = 4 * 1024 * 1024;
const MAX_NAME: usize = 512;
pub(super) const LIMIT: Duration = Duration::from_secs(3);

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("no answer in {LIMIT:?}")]
    Slow,
    #[error("the port speaks {0:?}, which is not asked here")]
    Protocol(String),
    #[error("the host or port cannot be dialled")]
    Address,
    #[error("the application's or revision's name is none")]
    Name,
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
/// Where it does not answer in 3 seconds, or not as Dubbo does; where one of the names is none.
pub async fn metadata(
    host: &str,
    service: &Endpoint,
    application: &str,
    revision: &str,
) -> Result<Revision, Error> {
    let port = u16::try_from(service.port).ok().filter(|port| *port > 0).ok_or(Error::Address)?;
    // They are written to whatever listens at that port: a line in them could be a command to something that is no Dubbo.
    if !(is_name(application) && is_name(revision)) {
        return Err(Error::Name);
    }
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

/// One line, no longer than any that is in use.
fn is_name(text: &str) -> bool {
    text.len() <= MAX_NAME && !text.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_name_that_is_more_than_a_line_is_not_sent() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let port = listener.local_addr().unwrap().port().into();
        let long = "x".repeat(MAX_NAME + 1);
        for (application, revision) in [("app", "\r\nFLUSHALL\r\n"), ("a\nb", "r"), ("app", &*long)]
        {
            let at = Endpoint { port, protocol: "dubbo".into() };
            let told = metadata("127.0.0.1", &at, application, revision).await;
            assert!(matches!(told, Err(Error::Name)), "{told:?}");
        }
        assert!(listener.accept().is_err(), "nobody was called");
    }

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
