use crate::registry::SecretError;

/// What went wrong with one request, or with getting in contact. Never has a password, key or token in it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{0:?} is no address of the form host:port")]
    Address(String),
    #[error("connecting to {address}")]
    Connect {
        address: String,
        #[source]
        source: tonic::transport::Error,
    },
    #[error("{what}: no answer in {seconds} s")]
    Timeout { what: &'static str, seconds: u64 },
    #[error("{what}")]
    Status {
        what: &'static str,
        #[source]
        source: Box<tonic::Status>,
    },
    #[error("{what}: Nacos answered {code}: {message}")]
    Answer { what: &'static str, code: i64, message: String },
    #[error("{what}: the answer cannot be read")]
    Json {
        what: &'static str,
        #[source]
        source: serde_json::Error,
    },
    #[error("{what}")]
    Http {
        what: &'static str,
        #[source]
        source: reqwest::Error,
    },
    #[error("{what}: HTTP status {status}")]
    HttpStatus { what: &'static str, status: u16 },
    #[error("{what}: more than {limit} bytes")]
    TooLarge { what: &'static str, limit: usize },
    #[error("Nacos refused the login: {0}")]
    Refused(String),
    #[error(transparent)]
    Secret(#[from] SecretError),
    #[error("TLS: {0}")]
    Tls(String),
}

impl Error {
    /// Whether the server answered that this login may not do this.
    pub(super) fn is_refused(&self) -> bool {
        use super::message::CODE_NO_RIGHT;
        matches!(self, Self::Refused(_))
            || matches!(self, Self::Answer { code, .. } if *code == CODE_NO_RIGHT)
    }

    /// The whole chain on one line, for a reason or a finding.
    pub(super) fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut next = std::error::Error::source(self);
        while let Some(source) = next {
            let part = source.to_string();
            if !text.contains(&part) {
                text = format!("{text}: {part}");
            }
            next = source.source();
        }
        plain(&text, 300)
    }
}

/// Foreign text for a person: short, on one line, nothing that moves a cursor.
pub(super) fn plain(text: &str, most: usize) -> String {
    let keep = |c: char| c.is_alphanumeric() || c.is_ascii_graphic() || c == ' ';
    text.chars().take(most).map(|c| if keep(c) { c } else { '?' }).collect()
}
