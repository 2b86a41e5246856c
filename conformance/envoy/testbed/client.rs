//! An HTTP/1.1 client without retries: every failure is seen.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::{HeaderMap, Request};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::tls::{self, Certificate};

/// What one request says.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    pub(crate) method: String,
    pub(crate) host: String,
    pub(crate) path: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

pub(crate) fn get(host: &str, path: &str) -> Ask {
    Ask {
        method: "GET".into(),
        host: host.into(),
        path: path.into(),
        headers: Vec::new(),
        body: String::new(),
    }
}

impl Ask {
    pub(crate) fn method(mut self, method: &str) -> Self {
        self.method = method.into();
        self
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    pub(crate) fn json(mut self, body: &Value) -> Self {
        self.body = body.to_string();
        self.method("POST").header("content-type", "application/json")
    }

    fn request(&self) -> Request<Full<Bytes>> {
        let mut builder = Request::builder().method(&*self.method).uri(&self.path);
        builder = builder.header("host", &self.host);
        for (name, value) in &self.headers {
            builder = builder.header(name, value);
        }
        builder.body(Full::from(self.body.clone())).unwrap()
    }
}

impl fmt::Display for Ask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}{}", self.method, self.host, self.path)?;
        self.headers.iter().try_for_each(|(name, value)| write!(f, " {name}:{value}"))
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Answer {
    /// All values of a header in one text; `None` where there is none.
    pub(crate) fn header(&self, name: &str) -> Option<String> {
        let all = self.headers.get_all(name).iter();
        let all: Vec<_> = all.map(|value| value.to_str().unwrap_or("?")).collect();
        (!all.is_empty()).then(|| all.join(", "))
    }

    /// The back end that answered; empty where the proxy did by itself.
    pub(crate) fn service(&self) -> String {
        self.header("x-echo-service").unwrap_or_default()
    }

    /// The body as JSON, null where it is none.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or(Value::Null)
    }
}

/// Why there was no answer.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Failure {
    Connect(String),
    Tls(String),
    Http(String),
    Timeout,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect(why) => write!(f, "cannot connect: {why}"),
            Self::Tls(why) => write!(f, "TLS: {why}"),
            Self::Http(why) => write!(f, "HTTP: {why}"),
            Self::Timeout => write!(f, "timeout"),
        }
    }
}

/// A kept-alive connection.
pub(crate) struct Connection {
    sender: SendRequest<Full<Bytes>>,
    /// What the server showed of itself, with TLS.
    pub(crate) certificate: Option<Vec<u8>>,
    pub(crate) alpn: Option<String>,
}

impl Connection {
    pub(crate) async fn plain(address: SocketAddr) -> Result<Self, Failure> {
        Self::over(connect(address).await?, None, None).await
    }

    pub(crate) async fn tls(address: SocketAddr, sni: &str) -> Result<Self, Failure> {
        Self::tls_with(address, sni, &["http/1.1"]).await
    }

    /// Offers these protocols; requests can be sent only if HTTP/1.1 is chosen.
    pub(crate) async fn tls_with(
        address: SocketAddr,
        sni: &str,
        alpn: &[&str],
    ) -> Result<Self, Failure> {
        let (stream, shown, chosen) = handshake_tls(address, sni, alpn, None).await?;
        Self::over(stream, shown, chosen).await
    }

    /// Shows a certificate of its own if it is asked for one.
    pub(crate) async fn tls_as(
        address: SocketAddr,
        sni: &str,
        own: Option<&Certificate>,
    ) -> Result<Self, Failure> {
        let (stream, shown, chosen) = handshake_tls(address, sni, &["http/1.1"], own).await?;
        Self::over(stream, shown, chosen).await
    }

    async fn over(
        stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
        certificate: Option<Vec<u8>>,
        alpn: Option<String>,
    ) -> Result<Self, Failure> {
        let (sender, driver) = handshake(TokioIo::new(stream)).await.map_err(http)?;
        tokio::spawn(driver);
        Ok(Self { sender, certificate, alpn })
    }

    /// Whether the server has said that it closes the connection, or has done so.
    pub(crate) fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    pub(crate) async fn ask(&mut self, ask: &Ask, limit: Duration) -> Result<Answer, Failure> {
        let exchange = async {
            self.sender.ready().await.map_err(http)?;
            let (head, body) =
                self.sender.send_request(ask.request()).await.map_err(http)?.into_parts();
            let body = body.collect().await.map_err(http)?.to_bytes();
            Ok(Answer {
                status: head.status.as_u16(),
                headers: head.headers,
                body: String::from_utf8_lossy(&body).into_owned(),
            })
        };
        tokio::time::timeout(limit, exchange).await.unwrap_or(Err(Failure::Timeout))
    }
}

/// A TLS connection for bytes of any kind.
pub(crate) struct Tunnel {
    pub(crate) stream: TlsStream<TcpStream>,
    pub(crate) certificate: Vec<u8>,
}

impl Tunnel {
    pub(crate) async fn open(address: SocketAddr, sni: &str) -> Result<Self, Failure> {
        let (stream, certificate, _) = handshake_tls(address, sni, &[], None).await?;
        Ok(Self { stream, certificate: certificate.unwrap_or_default() })
    }
}

/// The connection, the server's certificate, and the protocol that it chose.
async fn handshake_tls(
    address: SocketAddr,
    sni: &str,
    alpn: &[&str],
    own: Option<&Certificate>,
) -> Result<(TlsStream<TcpStream>, Option<Vec<u8>>, Option<String>), Failure> {
    let name = ServerName::try_from(sni.to_string()).unwrap();
    let stream = connect(address).await?;
    let stream = TlsConnector::from(tls::client(alpn, own)).connect(name, stream).await;
    let stream = stream.map_err(|e| Failure::Tls(e.to_string()))?;
    let session = stream.get_ref().1;
    let shown = session.peer_certificates().and_then(|all| all.first());
    let shown = shown.map(|certificate| certificate.to_vec());
    let chosen = session.alpn_protocol().map(|name| String::from_utf8_lossy(name).into_owned());
    Ok((stream, shown, chosen))
}

async fn connect(address: SocketAddr) -> Result<TcpStream, Failure> {
    let stream = TcpStream::connect(address).await.map_err(|e| Failure::Connect(e.to_string()))?;
    stream.set_nodelay(true).map_err(|e| Failure::Connect(e.to_string()))?;
    Ok(stream)
}

#[allow(clippy::needless_pass_by_value)]
fn http(error: hyper::Error) -> Failure {
    let cause = std::error::Error::source(&error).map(|e| format!(": {e}")).unwrap_or_default();
    Failure::Http(format!("{error}{cause}"))
}

/// One request over a connection of its own.
pub(crate) async fn ask_once(address: SocketAddr, ask: &Ask) -> Result<Answer, Failure> {
    Connection::plain(address).await?.ask(ask, super::LIMIT).await
}
