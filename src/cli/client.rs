//! A running server, over its HTTP API.

use std::time::Duration;

use reqwest::{StatusCode, Url};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::exit::{Exit, Failure};
use crate::output::Output;

const CONNECT_LIMIT: Duration = Duration::from_secs(5);
const LIMIT: Duration = Duration::from_secs(30);

/// Objects asked for at a time; the server's limit.
const PAGE: &str = "1000";

/// Which server, and how its errors are shown.
#[derive(Debug, clap::Args)]
pub(crate) struct ServerArgs {
    /// Address of a running server's HTTP port
    #[arg(
        long,
        value_name = "URL",
        env = "ISTHMUS_SERVER",
        default_value = "http://127.0.0.1:8080"
    )]
    server: Url,
}

pub(crate) struct Client {
    server: Url,
    http: reqwest::Client,
    runtime: tokio::runtime::Runtime,
    /// With `-o json`, errors are JSON too.
    json: bool,
}

impl ServerArgs {
    pub(crate) fn client(&self, output: Output) -> Result<Client, Failure> {
        Client::new(self.server.clone(), output == Output::Json)
    }
}

impl Client {
    /// With `json`, errors are JSON too.
    pub(crate) fn new(server: Url, json: bool) -> Result<Self, Failure> {
        let bug = |text: String| Failure::new(Exit::Bug, text);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let http = reqwest::Client::builder()
            .connect_timeout(CONNECT_LIMIT)
            .timeout(LIMIT)
            // The server is ours and near; a proxy in between only hides it.
            .no_proxy()
            .user_agent(concat!("isthmus/", env!("CARGO_PKG_VERSION")))
            .build();
        if server.cannot_be_a_base() {
            return Err(Failure::new(Exit::Usage, format!("`{server}` is not a server's URL")));
        }
        Ok(Self {
            server,
            http: http.map_err(|e| bug(e.to_string()))?,
            runtime: runtime.map_err(|e| bug(e.to_string()))?,
            json,
        })
    }

    /// One document. `path` is given by segments, which may hold any character.
    pub(crate) fn get<T: DeserializeOwned>(
        &self,
        path: &[&str],
        query: &[(&str, &str)],
    ) -> Result<T, Failure> {
        self.send(self.http.get(self.url(path, query)))
    }

    /// Has something done.
    pub(crate) fn post<T: DeserializeOwned>(
        &self,
        path: &[&str],
        query: &[(&str, &str)],
    ) -> Result<T, Failure> {
        self.send(self.http.post(self.url(path, query)))
    }

    /// What `/readyz` says, ready or not.
    pub(crate) fn readiness(&self) -> Result<Value, Failure> {
        let mut url = self.server.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().push("readyz");
        }
        let answer =
            self.runtime.block_on(async { self.http.get(url).send().await?.bytes().await });
        let body = answer.map_err(|e| self.unreachable(&e))?;
        serde_json::from_slice(&body).map_err(|e| self.strange(&e))
    }

    fn strange(&self, error: &serde_json::Error) -> Failure {
        let text = format!("{} does not answer as an Isthmus server: {error}", self.server);
        Failure::new(Exit::Unreachable, text)
    }

    fn url(&self, path: &[&str], query: &[(&str, &str)]) -> Url {
        let mut url = self.server.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(["api", "v1"]).extend(path);
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        url
    }

    fn send<T: DeserializeOwned>(&self, request: reqwest::RequestBuilder) -> Result<T, Failure> {
        let answer = self.runtime.block_on(async {
            let response = request.send().await?;
            Ok((response.status(), response.bytes().await?))
        });
        let (status, body) = answer.map_err(|e| self.unreachable(&e))?;
        if status.is_success() {
            return serde_json::from_slice(&body).map_err(|e| self.strange(&e));
        }
        Err(self.refused(status, &body))
    }

    /// All items of a list, over all pages. The first page's other fields stay.
    pub(crate) fn list(&self, path: &[&str], paged: bool) -> Result<Value, Failure> {
        let mut list: Value = self.get(path, if paged { &[("limit", PAGE)] } else { &[] })?;
        while let Some(cursor) = list["next"].as_str().map(str::to_owned) {
            let mut page: Value = self.get(path, &[("limit", PAGE), ("cursor", &cursor)])?;
            list["next"] = page["next"].take();
            if let (Some(items), Value::Array(more)) =
                (list["items"].as_array_mut(), page["items"].take())
            {
                items.extend(more);
            }
        }
        Ok(list)
    }

    fn unreachable(&self, error: &reqwest::Error) -> Failure {
        let mut text = format!("cannot reach {}", self.server);
        // The chain's last link says what happened; those between repeat each other.
        let mut cause: &dyn std::error::Error = error;
        while let Some(deeper) = cause.source() {
            cause = deeper;
        }
        text +=
            &if error.is_timeout() { ": no answer in time".into() } else { format!(": {cause}") };
        Failure::new(Exit::Unreachable, text)
            .hint("is `isthmus serve` running there? --server or ISTHMUS_SERVER name another")
    }

    fn refused(&self, status: StatusCode, body: &[u8]) -> Failure {
        let problem: Option<Value> = serde_json::from_slice(body).ok();
        let problem = problem.filter(|p| p["code"].is_string());
        let exit = match status {
            // Any 404 without our code is from something that is no Isthmus server.
            StatusCode::NOT_FOUND if problem.is_some() => Exit::NotFound,
            StatusCode::BAD_REQUEST => Exit::Usage,
            StatusCode::INTERNAL_SERVER_ERROR => Exit::Bug,
            _ => Exit::Unreachable,
        };
        let Some(problem) = problem else {
            return Failure::new(Exit::Unreachable, format!("{} answers {status}", self.server));
        };
        let word = |field: &str| problem[field].as_str().unwrap_or_default().to_owned();
        let detail = if word("detail").is_empty() { word("title") } else { word("detail") };
        let failure = Failure::new(exit, format!("{} ({})", detail, word("code")));
        if self.json {
            Failure { problem: Some(problem), ..failure }
        } else {
            failure.hint(word("hint"))
        }
    }
}
