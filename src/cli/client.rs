//! A running server, over its HTTP API.

use std::time::Duration;

use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, ETAG, IF_MATCH};
use reqwest::{Method, RequestBuilder, StatusCode, Url};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::time::Instant;

use crate::exit::{Exit, Failure};
pub(crate) use crate::sse::Event;
use crate::sse::Events;
use crate::target::Target;

const CONNECT_LIMIT: Duration = Duration::from_secs(5);
const LIMIT: Duration = Duration::from_secs(30);

/// A stream without even a ping for so long is dead.
const SILENCE: Duration = Duration::from_secs(60);

const PAUSE: Duration = Duration::from_secs(1);

/// Objects asked for at a time; the server's limit.
const PAGE: &str = "1000";

pub(crate) struct Client {
    server: Url,
    token: Option<api::Bearer>,
    http: reqwest::Client,
    runtime: tokio::runtime::Runtime,
    /// For one answer.
    limit: Duration,
    /// Errors are JSON too.
    json: bool,
}

/// See [`Client::follow`].
pub(crate) struct Follow<'c> {
    client: &'c Client,
    request: RequestBuilder,
    end: Option<Instant>,
    last: Option<String>,
    response: Option<reqwest::Response>,
    events: Events,
    was_open: bool,
}

pub(crate) enum Next {
    /// The stream is open, once more after each cut.
    Open,
    Event(Event),
    /// The time is over.
    Over,
}

impl Follow<'_> {
    pub(crate) fn next(&mut self) -> Result<Next, Failure> {
        let (runtime, end) = (&self.client.runtime, self.end);
        let next = Self::step(
            self.client,
            &self.request,
            &mut self.last,
            &mut self.response,
            &mut self.events,
            &mut self.was_open,
        );
        runtime.block_on(async {
            match end {
                Some(end) => tokio::time::timeout_at(end, next).await.unwrap_or(Ok(Next::Over)),
                None => next.await,
            }
        })
    }

    async fn step(
        client: &Client,
        request: &RequestBuilder,
        last: &mut Option<String>,
        response: &mut Option<reqwest::Response>,
        events: &mut Events,
        was_open: &mut bool,
    ) -> Result<Next, Failure> {
        loop {
            if let Some(event) = events.next() {
                if event.id.is_some() {
                    last.clone_from(&event.id);
                }
                return Ok(Next::Event(event));
            }
            let Some(open) = response.as_mut() else {
                if *was_open {
                    // So that a server that cuts at once is not asked without a pause.
                    tokio::time::sleep(PAUSE).await;
                }
                *response = Some(client.open(request, last.as_deref()).await?);
                *was_open = true;
                return Ok(Next::Open);
            };
            match tokio::time::timeout(SILENCE, open.chunk()).await {
                Ok(Ok(Some(bytes))) => events.push(&bytes),
                // A cut, an end and a long silence are the same.
                _ => {
                    *response = None;
                    *events = Events::default();
                }
            }
        }
    }
}

/// A write, or anything else that has a body.
pub(crate) struct Body<'a> {
    pub form: &'static str,
    pub text: &'a str,
}

pub(crate) const JSON: &str = "application/json";
pub(crate) const YAML: &str = "application/yaml";

impl Client {
    /// With `json`, errors are JSON too.
    pub(crate) fn new(target: Target, json: bool) -> Result<Self, Failure> {
        let bug = |text: String| Failure::new(Exit::Bug, text);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let mut http = reqwest::Client::builder()
            .connect_timeout(CONNECT_LIMIT)
            // The server is ours and near; a proxy in between only hides it.
            .no_proxy()
            // The token is for this server, not for where it sends us.
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("isthmus/", env!("CARGO_PKG_VERSION")));
        if let Some(path) = &target.ca_file {
            let path = &path.value;
            let wrong = |error: String| {
                Failure::new(Exit::Usage, format!("no CA in {}: {error}", path.display()))
            };
            let pem = std::fs::read(path).map_err(|e| wrong(e.to_string()))?;
            let all = reqwest::Certificate::from_pem_bundle(&pem);
            http = http.tls_certs_merge(all.map_err(|e| wrong(e.to_string()))?);
        }
        let server = target.server.value;
        if server.cannot_be_a_base() {
            return Err(Failure::new(Exit::Usage, format!("`{server}` is not a server's URL")));
        }
        Ok(Self {
            server,
            token: target.token.map(|token| token.value),
            http: http.build().map_err(|e| bug(e.to_string()))?,
            runtime: runtime.map_err(|e| bug(e.to_string()))?,
            limit: LIMIT,
            json,
        })
    }

    /// Waits no longer than this for any answer.
    pub(crate) fn within(self, limit: Duration) -> Self {
        Self { limit, ..self }
    }

    pub(crate) fn server(&self) -> &Url {
        &self.server
    }

    /// One document. `path` is given by segments, which may hold any character.
    pub(crate) fn get<T: DeserializeOwned>(
        &self,
        path: &[&str],
        query: &[(&str, &str)],
    ) -> Result<T, Failure> {
        self.send(self.request(Method::GET, path, query))
    }

    /// A document and its ETag.
    pub(crate) fn get_tagged(&self, path: &[&str]) -> Result<(Value, String), Failure> {
        let (body, tag) =
            self.exchange(self.request(Method::GET, path, &[]).timeout(self.limit))?;
        let body = serde_json::from_slice(&body).map_err(|e| self.strange(&e))?;
        let tag = tag.ok_or_else(|| {
            let text = format!("{} gives no ETag, so that nothing can be written", self.server);
            Failure::new(Exit::Unreachable, text)
        })?;
        Ok((body, tag))
    }

    /// Has something done.
    pub(crate) fn post<T: DeserializeOwned>(
        &self,
        path: &[&str],
        query: &[(&str, &str)],
    ) -> Result<T, Failure> {
        self.send(self.request(Method::POST, path, query))
    }

    /// Has something done with what is sent. `patience` is what the server may take beyond the usual.
    pub(crate) fn post_body<T: DeserializeOwned>(
        &self,
        path: &[&str],
        query: &[(&str, &str)],
        body: &Body<'_>,
        patience: Duration,
    ) -> Result<T, Failure> {
        let request = self.request(Method::POST, path, query).header(CONTENT_TYPE, body.form);
        self.send_within(request.body(body.text.to_owned()), self.limit + patience)
    }

    /// Writes over the version that has this ETag.
    pub(crate) fn put<T: DeserializeOwned>(
        &self,
        path: &[&str],
        query: &[(&str, &str)],
        body: &Body<'_>,
        tag: &str,
        patience: Duration,
    ) -> Result<T, Failure> {
        let request = self.request(Method::PUT, path, query).header(CONTENT_TYPE, body.form);
        let request = request.header(IF_MATCH, tag).body(body.text.to_owned());
        self.send_within(request, self.limit + patience)
    }

    /// Deletes; a document only in the version that has this ETag.
    pub(crate) fn delete<T: DeserializeOwned>(
        &self,
        path: &[&str],
        query: &[(&str, &str)],
        tag: Option<&str>,
        patience: Duration,
    ) -> Result<T, Failure> {
        let mut request = self.request(Method::DELETE, path, query);
        if let Some(tag) = tag {
            request = request.header(IF_MATCH, tag);
        }
        self.send_within(request, self.limit + patience)
    }

    /// What `/readyz` says, ready or not.
    pub(crate) fn readiness(&self) -> Result<Value, Failure> {
        let mut url = self.server.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().push("readyz");
        }
        let answer = self
            .runtime
            .block_on(async { self.http.get(url).timeout(self.limit).send().await?.bytes().await });
        let body = answer.map_err(|e| self.unreachable(&e))?;
        serde_json::from_slice(&body).map_err(|e| self.strange(&e))
    }

    /// All items of a list, over all pages. The first page's other fields stay.
    pub(crate) fn list(&self, path: &[&str]) -> Result<Value, Failure> {
        self.list_where(path, &[])
    }

    /// Likewise, of those that the query selects.
    pub(crate) fn list_where(
        &self,
        path: &[&str],
        filters: &[(&str, &str)],
    ) -> Result<Value, Failure> {
        let mut query = filters.to_vec();
        query.push(("limit", PAGE));
        let mut list: Value = self.get(path, &query)?;
        while let Some(cursor) = list["next"].as_str().map(str::to_owned) {
            let mut query = query.clone();
            query.push(("cursor", &cursor));
            let mut page: Value = self.get(path, &query)?;
            list["next"] = page["next"].take();
            if let (Some(items), Value::Array(more)) =
                (list["items"].as_array_mut(), page["items"].take())
            {
                items.extend(more);
            }
        }
        Ok(list)
    }

    /// A stream of server-sent events, until the time is over; one that is cut is taken up where it was.
    pub(crate) fn follow<'c>(
        &'c self,
        path: &[&str],
        query: &[(&str, &str)],
        limit: Option<Duration>,
    ) -> Follow<'c> {
        Follow {
            client: self,
            request: self.request(Method::GET, path, query).header(ACCEPT, "text/event-stream"),
            end: limit.map(|limit| Instant::now() + limit),
            last: None,
            response: None,
            events: Events::default(),
            was_open: false,
        }
    }

    async fn open(
        &self,
        request: &RequestBuilder,
        last: Option<&str>,
    ) -> Result<reqwest::Response, Failure> {
        let mut request = request.try_clone().expect("a GET has no body that could be used up");
        if let Some(id) = last {
            request = request.header("last-event-id", id);
        }
        let response = request.send().await.map_err(|e| self.unreachable(&e))?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let body = response.bytes().await.map_err(|e| self.unreachable(&e))?;
        Err(self.refused(status, &body))
    }

    fn strange(&self, error: &serde_json::Error) -> Failure {
        let text = format!("{} does not answer as an Isthmus server: {error}", self.server);
        Failure::new(Exit::Unreachable, text)
    }

    fn request(&self, method: Method, path: &[&str], query: &[(&str, &str)]) -> RequestBuilder {
        let mut url = self.server.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(["api", "v1"]).extend(path);
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let request = self.http.request(method, url);
        match &self.token {
            Some(token) => request.header(AUTHORIZATION, format!("Bearer {}", token.reveal())),
            None => request,
        }
    }

    fn send<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, Failure> {
        self.send_within(request, self.limit)
    }

    fn send_within<T: DeserializeOwned>(
        &self,
        request: RequestBuilder,
        limit: Duration,
    ) -> Result<T, Failure> {
        let (body, _) = self.exchange(request.timeout(limit))?;
        // 204
        let body = if body.is_empty() { b"null".to_vec() } else { body };
        serde_json::from_slice(&body).map_err(|e| self.strange(&e))
    }

    /// The body of an answer, and its ETag.
    fn exchange(&self, request: RequestBuilder) -> Result<(Vec<u8>, Option<String>), Failure> {
        let answer = self.runtime.block_on(async {
            let response = request.send().await?;
            let tag = response.headers().get(ETAG).and_then(|tag| tag.to_str().ok());
            let tag = tag.map(str::to_owned);
            Ok((response.status(), tag, response.bytes().await?))
        });
        let (status, tag, body) = answer.map_err(|e| self.unreachable(&e))?;
        if status.is_success() {
            return Ok((body.into(), tag));
        }
        Err(self.refused(status, &body))
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
        let Some(problem) = problem.filter(|p| p["code"].is_string()) else {
            // Anything without our code is from something that is no Isthmus server.
            return Failure::new(Exit::Unreachable, format!("{} answers {status}", self.server));
        };
        let failure = Failure::of_problem(exit_of(status), problem, self.json);
        if status == StatusCode::UNAUTHORIZED && failure.hint.is_empty() {
            let hint = "`isthmus login` keeps a token; --token-file or ISTHMUS_TOKEN show one";
            return failure.hint(hint);
        }
        failure
    }
}

/// The exit code for what the server refuses.
fn exit_of(status: StatusCode) -> Exit {
    match status {
        StatusCode::BAD_REQUEST => Exit::Usage,
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Exit::Auth,
        StatusCode::NOT_FOUND => Exit::NotFound,
        StatusCode::CONFLICT
        | StatusCode::PRECONDITION_FAILED
        | StatusCode::PRECONDITION_REQUIRED => Exit::Conflict,
        StatusCode::UNPROCESSABLE_ENTITY
        | StatusCode::PAYLOAD_TOO_LARGE
        | StatusCode::UNSUPPORTED_MEDIA_TYPE => Exit::Invalid,
        StatusCode::INTERNAL_SERVER_ERROR => Exit::Bug,
        _ => Exit::Unreachable,
    }
}
