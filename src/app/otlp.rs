//! Sends what `/metrics` shows to an OpenTelemetry collector (OTLP over HTTP, protobuf).
//!
//! ```text
//! recorder ──text──► read ──► messages ──POST──► collector
//! ```
//! A task of its own with a limit for each try: nobody waits for it. What could not be sent is not kept, since the next
//! request says all there is since the start.

mod message;
mod read;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use metrics_exporter_prometheus::PrometheusHandle;
use prost::Message;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::settings::Settings;
use message::{
    ExportRequest, ExportResponse, Resource, ResourceMetrics, Scope, ScopeMetrics, attribute,
};
use read::Times;

/// For one try.
const LIMIT: Duration = Duration::from_secs(10);
/// For the last one, at the end of the process.
const LAST: Duration = Duration::from_secs(1);
/// What an answer has to say fits in far less.
const LARGEST_ANSWER: usize = 64 << 10;

/// Why something was not taken. Never with the value of a header.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("cannot read {0}")]
    Headers(PathBuf, #[source] std::io::Error),
    #[error("line {1} of {0} is not NAME: VALUE")]
    Header(PathBuf, usize),
    #[error("the collector cannot be reached")]
    Send(#[source] reqwest::Error),
    #[error("the collector answers {0}")]
    Status(http::StatusCode),
    #[error("the collector has not taken {0} of the points: {1}")]
    Partial(i64, String),
}

impl Error {
    fn reason(&self) -> &'static str {
        match self {
            Self::Headers(..) | Self::Header(..) => "headers",
            Self::Send(_) => "unreachable",
            Self::Status(_) => "refused",
            Self::Partial(..) => "partial",
        }
    }
}

pub(crate) struct Exporter {
    url: reqwest::Url,
    interval: Duration,
    headers: Option<PathBuf>,
    client: reqwest::Client,
    recorder: PrometheusHandle,
    resource: Resource,
    /// When counters began.
    start: u64,
}

/// Where metrics are posted: as it is given, or where OTLP has its place on a server.
///
/// # Errors
/// With what is wrong about it.
pub(crate) fn endpoint(text: &str) -> Result<reqwest::Url, &'static str> {
    let mut url: reqwest::Url = text.parse().map_err(|_| "is not a URL")?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err("must be http://HOST:PORT or https://HOST:PORT");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("must hold no credentials: they go into otlp-headers-file");
    }
    if url.path() == "/" {
        url.set_path("/v1/metrics");
    }
    Ok(url)
}

impl Exporter {
    /// `None` where nobody is to be told.
    ///
    /// # Errors
    /// When the endpoint is none.
    pub(crate) fn new(
        settings: &Settings,
        recorder: PrometheusHandle,
    ) -> anyhow::Result<Option<Self>> {
        let Some(url) = &settings.otlp_endpoint else { return Ok(None) };
        let client = reqwest::Client::builder()
            .timeout(LIMIT)
            // Headers that hold a secret are for this collector only.
            .redirect(reqwest::redirect::Policy::none())
            .build()?;
        let resource = Resource {
            attributes: vec![
                attribute("service.name", "isthmus"),
                attribute("service.namespace", &settings.cluster_name),
                attribute("service.instance.id", &settings.replica),
                attribute("service.version", env!("CARGO_PKG_VERSION")),
            ],
        };
        Ok(Some(Self {
            url: endpoint(url).map_err(|why| anyhow::anyhow!("otlp-endpoint {why}"))?,
            interval: settings.otlp_interval,
            headers: settings.otlp_headers_file.clone(),
            client,
            recorder,
            resource,
            start: nanos(SystemTime::now()),
        }))
    }

    /// Until it is told to stop; then once more.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let mut beat = tokio::time::interval(self.interval);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // The first tick is at once, when there is nothing to tell yet.
        beat.tick().await;
        let mut failing = false;
        while stop.run_until_cancelled(beat.tick()).await.is_some() {
            match self.send().await {
                Ok(()) if failing => {
                    tracing::info!("metrics reach the collector again");
                    failing = false;
                }
                Ok(()) => {}
                Err(error) => {
                    metrics::counter!("isthmus_otlp_failures_total", "reason" => error.reason())
                        .increment(1);
                    // Once for all that follow.
                    if !failing {
                        let error = &error as &dyn std::error::Error;
                        tracing::warn!(error, "metrics do not reach the collector");
                    }
                    failing = true;
                }
            }
        }
        // Nobody is left whom a failure could be told.
        let _ = tokio::time::timeout(LAST, self.send()).await;
    }

    async fn send(&self) -> Result<(), Error> {
        // Each time, so that a new secret is used at once.
        let headers = match &self.headers {
            Some(path) => headers(path).await?,
            None => HeaderMap::new(),
        };
        let request = self
            .client
            .post(self.url.clone())
            .headers(headers)
            .header(CONTENT_TYPE, "application/x-protobuf")
            .body(self.request().encode_to_vec());
        let answer = request.send().await.map_err(|error| Error::Send(error.without_url()))?;
        if !answer.status().is_success() {
            return Err(Error::Status(answer.status()));
        }
        // What cannot be read says nothing about what was taken.
        let length = answer.content_length().unwrap_or_default();
        if length == 0 || length > LARGEST_ANSWER as u64 {
            return Ok(());
        }
        let bytes = answer.bytes().await.map_err(|error| Error::Send(error.without_url()))?;
        match ExportResponse::decode(bytes).ok().and_then(|answer| answer.partial) {
            Some(partial) if partial.rejected > 0 => {
                Err(Error::Partial(partial.rejected, partial.error))
            }
            _ => Ok(()),
        }
    }

    fn request(&self) -> ExportRequest {
        let times = Times { start: self.start, now: nanos(SystemTime::now()) };
        let scope =
            Scope { name: "isthmus".to_owned(), version: env!("CARGO_PKG_VERSION").to_owned() };
        let metrics = read::metrics(&self.recorder.render(), times);
        ExportRequest {
            resources: vec![ResourceMetrics {
                resource: Some(self.resource.clone()),
                scopes: vec![ScopeMetrics { scope: Some(scope), metrics }],
            }],
        }
    }
}

/// A header a line; lines that are empty or begin with `#` are none.
async fn headers(path: &Path) -> Result<HeaderMap, Error> {
    let read = tokio::fs::read_to_string(path).await;
    let text = read.map_err(|error| Error::Headers(path.to_owned(), error))?;
    let mut headers = HeaderMap::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let header = line.split_once(':').and_then(|(name, value)| {
            let mut value = HeaderValue::from_str(value.trim()).ok()?;
            value.set_sensitive(true);
            Some((name.trim().parse::<HeaderName>().ok()?, value))
        });
        let (name, value) = header.ok_or_else(|| Error::Header(path.to_owned(), index + 1))?;
        headers.insert(name, value);
    }
    Ok(headers)
}

fn nanos(at: SystemTime) -> u64 {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}
