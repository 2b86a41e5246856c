//! # Replicas among themselves
//!
//! ```text
//! a person ──► this replica ──── of a proxy that is connected elsewhere ────► that replica ──► the same answer
//! another replica ──GET /api/v1/replica──► what is known here alone
//! ```
//!
//! No path for people: a claim that is signed with the key that replicas share is the only credential, whatever the setting
//! `auth` says. It is good for one request to one replica, for half a minute. What is handed on carries who asked, and is not
//! handed on again.

use std::time::Duration;

use axum::body::Body;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};

use crate::problem::{INTERNAL, Problem, UNAUTHENTICATED, UNAVAILABLE, complete};
use crate::router::App;
use crate::{Caller, Via};

/// What one replica knows alone, for the others.
pub const FEED: &str = "/api/v1/replica";

/// Of a request the claim, of its answer the proof that it comes from the replica that was asked.
pub const CLAIM: HeaderName = HeaderName::from_static("isthmus-replica");

/// What one replica hands on to another. None of these reads a body, which the claim does not cover.
pub(crate) const HANDED_ON: &[&str] = &[
    FEED,
    "/api/v1/proxies/{id}/config",
    "/api/v1/proxies/{id}/drain",
    "/api/v1/rollouts/{namespace}/{name}/{verb}",
    "/api/v1/snapshot",
];

/// Of an answer that is handed back.
const LARGEST: usize = 64 << 20;

/// An answer takes no longer than this.
pub const LIMIT: Duration = Duration::from_secs(5);

/// A request as a claim covers it.
pub struct Asked<'a> {
    pub method: &'a Method,
    /// With the query.
    pub path: &'a str,
    pub accept: Option<&'a str>,
}

/// What another replica answers.
pub struct Answer {
    pub status: StatusCode,
    pub kind: String,
    pub body: Vec<u8>,
}

/// What a replica that asks knows already.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Since {
    /// Of the state that it was told last.
    pub mark: Option<String>,
    /// Up to where it knows the traffic, in the words of whoever tells it.
    pub traffic: Option<String>,
}

/// The other replicas of this installation.
pub trait Replicas: Send + Sync + 'static {
    /// Our own name.
    fn name(&self) -> &str;

    /// The names of those that are there.
    fn others(&self) -> Vec<String>;

    /// Who asks by way of another replica; `None` where the claim is not good.
    fn admit(&self, claim: &str, asked: &Asked<'_>) -> Option<Caller>;

    /// What shows the replica that made the claim that this is the answer.
    fn sign(&self, claim: &str, status: StatusCode, body: &[u8]) -> Option<String>;

    /// JSON of what is known here alone; `None` while nothing is new.
    fn tell(&self, since: &Since) -> Option<Vec<u8>>;

    /// Hands on what this caller asks.
    fn ask<'a>(
        &'a self,
        replica: &'a str,
        caller: &'a Caller,
        asked: Asked<'a>,
    ) -> BoxFuture<'a, Result<Answer, Problem>>;
}

pub(crate) async fn feed(
    State(app): State<App>,
    caller: Caller,
    Query(since): Query<Since>,
) -> Result<Response, Problem> {
    let replicas = app.replicas.clone().filter(|_| caller.via == Via::Replica);
    let replicas = replicas.ok_or_else(stranger)?;
    // A replica that has just started is told an hour of traffic.
    let told = tokio::task::spawn_blocking(move || replicas.tell(&since)).await;
    Ok(match told.map_err(|_| Problem::new(INTERNAL, ""))? {
        Some(body) => ([(header::CONTENT_TYPE, "application/json")], body).into_response(),
        None => StatusCode::NOT_MODIFIED.into_response(),
    })
}

pub(crate) fn stranger() -> Problem {
    Problem::new(UNAUTHENTICATED, "this is for the other replicas of this installation")
}

/// The answer of the replica that this is about; `None` where that is ourselves.
pub(crate) async fn hand_on(
    app: &App,
    caller: &Caller,
    replica: &str,
    asked: Asked<'_>,
) -> Result<Option<Response>, Problem> {
    let Some(replicas) = app.replicas.as_deref() else { return Ok(None) };
    if caller.via == Via::Replica || replica.is_empty() || replica == replicas.name() {
        return Ok(None);
    }
    let Answer { status, kind, body } = replicas.ask(replica, caller, asked).await?;
    Ok(Some((status, [(header::CONTENT_TYPE, kind)], body).into_response()))
}

pub(crate) fn accept(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::ACCEPT).and_then(|value| value.to_str().ok())
}

/// An answer to another replica, with the proof that it comes from here.
pub(crate) async fn signed(
    replicas: &dyn Replicas,
    claim: &str,
    response: Response,
    request_id: &str,
) -> Response {
    let (mut head, body) = complete(response, request_id).into_parts();
    let Ok(body) = axum::body::to_bytes(body, LARGEST).await else {
        return Problem::new(UNAVAILABLE, "more than one replica tells another").into_response();
    };
    let proof = replicas.sign(claim, head.status, &body);
    if let Some(proof) = proof.and_then(|proof| HeaderValue::try_from(proof).ok()) {
        head.headers.insert(CLAIM, proof);
    }
    Response::from_parts(head, Body::from(body))
}
