//! A Kubernetes API server, as a person or a pod reaches it.

use std::path::PathBuf;
use std::time::Duration;

use http::{Method, Request, StatusCode};
use kube::config::{KubeConfigOptions, Kubeconfig};
use serde_json::Value;

use crate::exit::{Exit, Failure};

const CONNECT_LIMIT: Duration = Duration::from_secs(5);
const LIMIT: Duration = Duration::from_secs(30);

/// Which cluster.
#[derive(Debug, clap::Args)]
pub(crate) struct ClusterArgs {
    /// Kubeconfig file; else those of KUBECONFIG, ~/.kube/config, or what a pod is given
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig; else the current one
    #[arg(long, value_name = "NAME")]
    context: Option<String>,
}

pub(crate) struct Cluster {
    pub(crate) url: String,
    client: kube::Client,
    runtime: tokio::runtime::Runtime,
}

/// Why the API server did not do what it was asked.
pub(crate) enum Refusal {
    /// It answered, with this code and these words.
    Said(StatusCode, String),
    /// It did not answer.
    Silent(String),
}

impl Refusal {
    pub(crate) fn is(&self, code: StatusCode) -> bool {
        matches!(self, Self::Said(said, _) if *said == code)
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Said(code, text) => write!(f, "{text} ({})", code.as_u16()),
            Self::Silent(text) => f.write_str(text),
        }
    }
}

impl ClusterArgs {
    pub(crate) fn connect(&self) -> Result<Cluster, Failure> {
        let bug = |text: String| Failure::new(Exit::Bug, text);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|e| bug(e.to_string()))?;
        let mut config = runtime.block_on(self.config()).map_err(|text| {
            Failure::new(Exit::Unreachable, text)
                .hint("--kubeconfig names a file, --context one of its contexts")
        })?;
        config.connect_timeout = Some(CONNECT_LIMIT);
        config.read_timeout = Some(LIMIT);
        // What is behind the proxy of the API server has a 503 of its own.
        config.default_retry = false;
        let url = config.cluster_url.to_string();
        // The client has a worker of its own.
        let client = runtime.block_on(async { kube::Client::try_from(config) });
        let client = client.map_err(|e| Failure::new(Exit::Unreachable, chain(&e)))?;
        Ok(Cluster { url, client, runtime })
    }

    async fn config(&self) -> Result<kube::Config, String> {
        let options =
            KubeConfigOptions { context: self.context.clone(), ..KubeConfigOptions::default() };
        let config = match &self.kubeconfig {
            None if self.context.is_none() => {
                return kube::Config::infer().await.map_err(|e| chain(&e));
            }
            None => Kubeconfig::read(),
            Some(file) => Kubeconfig::read_from(file),
        };
        let config = config.map_err(|e| chain(&e))?;
        kube::Config::from_custom_kubeconfig(config, &options).await.map_err(|e| chain(&e))
    }
}

impl Cluster {
    pub(crate) fn get(&self, path: &str) -> Result<Value, Refusal> {
        self.run(self.ask(Method::GET, path, None))
    }

    /// Waits for one or several asked things.
    pub(crate) fn run<T>(&self, task: impl Future<Output = T>) -> T {
        self.runtime.block_on(task)
    }

    pub(crate) async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Value, Refusal> {
        let (code, text) = self.raw(method, path, body).await?;
        let answer: Option<Value> = serde_json::from_str(&text).ok();
        if code.is_success() {
            let hint = || Refusal::Silent(format!("{} does not answer in JSON", self.url));
            return answer.ok_or_else(hint);
        }
        let words = answer.as_ref().and_then(|status| status["message"].as_str());
        Err(Refusal::Said(code, words.unwrap_or(code.as_str()).to_owned()))
    }

    /// The answer as it is, whatever its code: what is behind the API server's proxy has codes of its own.
    pub(crate) async fn raw(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<(StatusCode, String), Refusal> {
        self.raw_with(method, path, body, None).await
    }

    /// With a header for what is behind the API server's proxy.
    pub(crate) async fn raw_with(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        header: Option<(&str, &str)>,
    ) -> Result<(StatusCode, String), Refusal> {
        let silent = |error: &dyn std::error::Error| {
            Refusal::Silent(format!("cannot reach {}: {}", self.url, root(error)))
        };
        let bytes = body.map_or_else(Vec::new, |body| body.to_string().into_bytes());
        let request = Request::builder().method(method).uri(path);
        let mut request = request.header("content-type", "application/json");
        if let Some((name, value)) = header {
            request = request.header(name, value);
        }
        let request = request.body(bytes.into());
        let request = request.map_err(|e| silent(&e))?;
        let response = self.client.send(request).await.map_err(|e| silent(&e))?;
        let code = response.status();
        let body = response.into_body().collect_bytes().await.map_err(|e| silent(&e))?;
        Ok((code, String::from_utf8_lossy(&body).into_owned()))
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let (mut text, last) = (error.to_string(), root(error));
    if !text.contains(&last) {
        text = format!("{text}: {last}");
    }
    text
}

/// The chain's last link says what happened; those before it repeat each other.
fn root(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}
