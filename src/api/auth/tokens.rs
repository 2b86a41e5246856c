//! Tokens of ours and bindings: who may do what. All of it is for admins.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Access, Binding};
use crate::list::{Cell, Column, List, Listing, Lists, Row, contains};
use crate::problem::{BODY, OBJECT_NOT_FOUND, PRECONDITION_REQUIRED, Problem, UNAVAILABLE};
use crate::router::App;
use crate::{Caller, Grant, Role, Time};

const LONGEST: usize = 1 << 20;

/// A token, without its secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TokenView {
    pub id: String,
    pub name: String,
    pub grants: Vec<Grant>,
    pub created: Time,
    /// Who made it.
    pub by: String,
    pub expires: Time,
    /// Within a few minutes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_used: Option<Time>,
}

/// What a token is to be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewToken {
    /// For people: who uses it.
    pub name: String,
    pub grants: Vec<Grant>,
    /// In 90 days when not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Time>,
}

/// A token that was just made.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct MadeToken {
    /// `isk_…`; never shown again.
    pub token: String,
    #[serde(flatten)]
    pub view: TokenView,
}

impl Row for TokenView {
    const COLUMNS: &'static [Column<Self>] = &[
        ("id", |row| Cell::text(&row.id)),
        ("name", |row| Cell::text(&row.name)),
        ("by", |row| Cell::text(&row.by)),
        ("created", |row| Cell::time(Some(row.created))),
        ("expires", |row| Cell::time(Some(row.expires))),
        ("lastUsed", |row| Cell::time(row.last_used)),
    ];

    fn key(&self) -> Vec<Cell<'_>> {
        vec![Cell::text(&self.name), Cell::text(&self.id)]
    }

    fn has(&self, needle: &str) -> bool {
        contains(&self.name, needle) || contains(&self.id, needle)
    }
}

/// What `GET` and `PUT /api/v1/bindings` hold.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Bindings {
    items: Vec<Binding>,
}

fn access<'a>(app: &'a App, caller: &Caller) -> Result<&'a Arc<dyn Access>, Problem> {
    caller.must(Role::Admin, None)?;
    app.access
        .as_ref()
        .ok_or_else(|| Problem::new(UNAVAILABLE, "nobody is asked who they are here"))
}

fn parse<T: serde::de::DeserializeOwned>(body: &Bytes) -> Result<T, Problem> {
    if body.len() > LONGEST {
        return Err(Problem::new(BODY, "the body is too long"));
    }
    serde_json::from_slice(body).map_err(|error| Problem::new(BODY, error.to_string()))
}

fn check_grants<'a>(namespaces: impl IntoIterator<Item = &'a Vec<String>>) -> Result<(), Problem> {
    for list in namespaces {
        if list.is_empty() {
            return Err(Problem::new(BODY, "a role without namespaces grants nothing")
                .hint("`*` stands for all namespaces and for what has none"));
        }
        let plain = |name: &String| {
            let start = name.strip_suffix('*').unwrap_or(name);
            name.len() <= 64
                && !name.is_empty()
                && start.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        };
        if let Some(bad) = list.iter().find(|name| !plain(name)) {
            let text =
                format!("`{bad}` is no namespace, nor the beginning of one with `*` at its end");
            return Err(Problem::new(BODY, text));
        }
    }
    Ok(())
}

/// Our tokens, without their secrets
#[utoipa::path(get, path = "/api/v1/tokens", tag = "access", params(Lists<TokenView>),
    responses((status = 200, body = List<TokenView>)))]
pub(crate) async fn list_tokens(
    State(app): State<App>,
    caller: Caller,
    listing: Listing,
) -> Result<Response, Problem> {
    let rows = access(&app, &caller)?.tokens();
    listing.answer(&app, &caller, rows)
}

/// Makes a token
///
/// Its secret is in this answer and nowhere else.
#[utoipa::path(post, path = "/api/v1/tokens", tag = "access", request_body = NewToken,
    responses((status = 201, body = MadeToken)))]
pub(crate) async fn create_token(
    State(app): State<App>,
    caller: Caller,
    body: Bytes,
) -> Result<Response, Problem> {
    let access = access(&app, &caller)?;
    let wanted: NewToken = parse(&body)?;
    if wanted.name.is_empty() || wanted.name.chars().count() > 100 {
        return Err(Problem::new(BODY, "a name has 1 to 100 letters"));
    }
    check_grants(wanted.grants.iter().map(|grant| &grant.namespaces))?;
    if wanted.expires.is_some_and(|expires| expires <= Time::now()) {
        return Err(Problem::new(BODY, "the token would have expired already"));
    }
    let made = access.make_token(wanted, &caller.subject).await?;
    let headers = [(header::CACHE_CONTROL, "no-store")];
    Ok((StatusCode::CREATED, headers, Json(made)).into_response())
}

/// Revokes a token
///
/// It and the sessions that came from it end at once.
#[utoipa::path(delete, path = "/api/v1/tokens/{id}", tag = "access", params(("id" = String, Path)),
    responses((status = 200, body = TokenView)))]
pub(crate) async fn revoke_token(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<TokenView>, Problem> {
    let access = access(&app, &caller)?;
    let view = access.tokens().into_iter().find(|token| token.id == id);
    match view {
        Some(view) if access.revoke_token(&id).await? => Ok(Json(view)),
        _ => Err(Problem::new(OBJECT_NOT_FOUND, "there is no token of this id")),
    }
}

/// Who has which role where
///
/// The ETag is for writing them.
#[utoipa::path(get, path = "/api/v1/bindings", tag = "access",
    responses((status = 200, body = Bindings)))]
pub(crate) async fn show_bindings(
    State(app): State<App>,
    caller: Caller,
) -> Result<Response, Problem> {
    let items = access(&app, &caller)?.bindings();
    let headers = [(header::ETAG, etag(&items))];
    Ok((headers, Json(Bindings { items })).into_response())
}

/// Replaces all bindings
#[utoipa::path(put, path = "/api/v1/bindings", tag = "access", request_body = Bindings,
    params(("If-Match" = String, Header, description = "The ETag of the bindings that were read")),
    responses((status = 200, body = Bindings)))]
pub(crate) async fn replace_bindings(
    State(app): State<App>,
    caller: Caller,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Problem> {
    let access = access(&app, &caller)?;
    let known = headers.get(header::IF_MATCH).and_then(|value| value.to_str().ok());
    let known = known.ok_or_else(|| {
        Problem::new(
            PRECONDITION_REQUIRED,
            "If-Match is missing: the ETag of the bindings that were read",
        )
    })?;
    let Bindings { items } = parse(&body)?;
    check_grants(items.iter().map(|binding| &binding.namespaces))?;
    let sorts = ["user:", "group:", "token:"];
    let is_subject = |subject: &str| {
        sorts.iter().any(|sort| subject.strip_prefix(sort).is_some_and(|name| !name.is_empty()))
    };
    if let Some(bad) = items.iter().find(|binding| !is_subject(&binding.subject)) {
        let text =
            format!("the subject `{}` is not user:NAME, group:NAME or token:ID", bad.subject);
        return Err(Problem::new(BODY, text));
    }
    access.set_bindings(items, known).await?;
    show_bindings(State(app.clone()), caller).await
}

/// Of what they are, not of when they were written.
pub fn etag(bindings: &[Binding]) -> String {
    let text = serde_json::to_string(bindings).unwrap_or_default();
    let digest = ring::digest::digest(&ring::digest::SHA256, text.as_bytes());
    let hex: String = digest.as_ref()[..16].iter().map(|byte| format!("{byte:02x}")).collect();
    format!("\"{hex}\"")
}
