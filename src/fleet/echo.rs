//! Small HTTP services that say what reached them: back ends for `dev` and for tests.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};
use tokio::net::TcpListener;

/// Longest time that `/delay/MS` waits.
const MAX_DELAY: Duration = Duration::from_secs(60);

#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address} for echo service {service}")]
pub struct Error {
    service: String,
    address: SocketAddr,
    source: std::io::Error,
}

/// What one echo service is called; its answers carry both words.
#[derive(Clone, Debug)]
pub struct Options {
    pub service: String,
    /// Tells the instances of one service apart.
    pub instance: String,
    /// Port 0 takes a free one.
    pub address: SocketAddr,
}

/// A bound echo service that does not answer yet.
pub struct Echo {
    listener: TcpListener,
    address: SocketAddr,
    names: Arc<Options>,
}

impl Echo {
    /// # Errors
    /// If the address is taken.
    pub async fn bind(options: Options) -> Result<Self, Error> {
        let bound = async {
            let listener = TcpListener::bind(options.address).await?;
            let address = listener.local_addr()?;
            Ok((listener, address))
        };
        match bound.await {
            Ok((listener, address)) => Ok(Self { listener, address, names: Arc::new(options) }),
            Err(source) => {
                Err(Error { service: options.service, address: options.address, source })
            }
        }
    }

    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers until `shutdown` is ready. Open requests are not waited for: this is no place for real work.
    pub async fn run(self, shutdown: impl Future<Output = ()> + Send) {
        let app = Router::new().fallback(answer).with_state(self.names);
        tokio::select! {
            // Serving ends only with the listener, whose errors axum retries by itself.
            _ = async { axum::serve(self.listener, app).await } => {}
            () = shutdown => {}
        }
    }
}

/// `/status/503` answers with that status, `/delay/250` after that many milliseconds; every other path at once with
/// 200. A request to `/orders/status/503` counts as well, so that it works behind a route.
async fn answer(State(names): State<Arc<Options>>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let path = head.uri.path();
    let mut status = StatusCode::OK;
    if let Some(wanted) = number_after(path, "/status/") {
        status =
            u16::try_from(wanted).ok().and_then(|s| StatusCode::from_u16(s).ok()).unwrap_or(status);
    }
    if let Some(ms) = number_after(path, "/delay/") {
        tokio::time::sleep(Duration::from_millis(ms).min(MAX_DELAY)).await;
    }
    // Not echoed, only counted; a broken body is the client's business.
    let bytes = axum::body::to_bytes(body, 1 << 20).await.map_or(0, |b| b.len());
    let says = json!({
        "service": names.service,
        "instance": names.instance,
        "method": head.method.as_str(),
        "path": head.uri.path_and_query().map_or("", |p| p.as_str()),
        "host": text(head.headers.get(header::HOST)),
        "headers": headers(&head.headers),
        "bodyBytes": bytes,
    });
    let mark = HeaderValue::from_str(&names.service).unwrap_or(HeaderValue::from_static("?"));
    let answer_headers = [
        (HeaderName::from_static("x-echo-service"), mark),
        (header::CONTENT_TYPE, HeaderValue::from_static("application/json")),
    ];
    (status, answer_headers, Body::from(format!("{says}\n"))).into_response()
}

fn number_after(path: &str, marker: &str) -> Option<u64> {
    let (_, rest) = path.rsplit_once(marker)?;
    rest.split('/').next()?.parse().ok()
}

fn text(value: Option<&HeaderValue>) -> String {
    value.map(|v| String::from_utf8_lossy(v.as_bytes()).into_owned()).unwrap_or_default()
}

/// One text for each name; repeated headers are joined as RFC 9110 allows.
fn headers(map: &HeaderMap) -> Value {
    let mut out = Map::new();
    for name in map.keys() {
        let values: Vec<_> = map.get_all(name).iter().map(|v| text(Some(v))).collect();
        out.insert(name.to_string(), values.join(", ").into());
    }
    Value::Object(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn start() -> String {
        let options = Options {
            service: "orders".into(),
            instance: "orders-1".into(),
            address: ([127, 0, 0, 1], 0).into(),
        };
        let echo = Echo::bind(options).await.unwrap();
        let base = format!("http://{}", echo.address());
        tokio::spawn(echo.run(std::future::pending()));
        base
    }

    fn client() -> reqwest::Client {
        // Another test may have been first.
        let _ = rustls::crypto::ring::default_provider().install_default();
        // Or it would say what it can unpack, which depends on who else is built with it.
        reqwest::Client::builder().gzip(false).build().unwrap()
    }

    #[tokio::test]
    async fn says_what_it_got() {
        let url = start().await + "/a?b=c";
        let request = client()
            .post(url)
            .header("host", "shop.example.com")
            .header("x-a", "1")
            .header("x-a", "2");
        let answer = request.body("hello").send().await.unwrap();
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers()["x-echo-service"], "orders");
        let says: Value = answer.json().await.unwrap();
        assert_eq!(
            says,
            json!({
                "service": "orders", "instance": "orders-1", "method": "POST", "path": "/a?b=c",
                "host": "shop.example.com", "bodyBytes": 5,
                "headers": {"host": "shop.example.com", "x-a": "1, 2", "accept": "*/*", "content-length": "5"},
            })
        );
    }

    #[tokio::test]
    async fn status_and_delay_helpers() {
        let base = start().await;
        for (path, status) in [
            ("/status/503", 503),
            ("/orders/status/404", 404),
            ("/status/x", 200),
            ("/delay/1", 200),
        ] {
            let answer = client().get(format!("{base}{path}")).send().await.unwrap();
            assert_eq!(answer.status(), status, "{path}");
        }
    }

    #[tokio::test]
    async fn ends_when_told_and_says_when_the_port_is_taken() {
        let options = Options {
            service: "a".into(),
            instance: "a".into(),
            address: ([127, 0, 0, 1], 0).into(),
        };
        let echo = Echo::bind(options.clone()).await.unwrap();
        let taken = Options { address: echo.address(), ..options };
        let error = Echo::bind(taken).await.err().unwrap();
        assert!(error.to_string().starts_with("cannot listen on 127.0.0.1:"));
        echo.run(async {}).await;
    }
}
