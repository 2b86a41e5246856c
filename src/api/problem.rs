//! Errors as RFC 9457 `application/problem+json`, with codes that `isthmus explain` knows.

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use model::Code;
use serde_json::{Value, json};

use crate::FindingView;

macro_rules! codes {
    ($($(#[doc = $page:literal])+ $name:ident = $number:literal, $status:ident, $title:literal;)+) => {
        $($(#[doc = $page])+ pub const $name: Kind =
            Kind { code: Code($number), status: StatusCode::$status, title: $title };)+

        /// Codes of the API's own errors: number, title, page. Append-only, like [`model::codes::ALL`].
        pub const CODES: &[(Code, &str, &str)] =
            &[$((Code($number), $title, concat!($($page),+))),+];
    };
}

/// A sort of error: always the same status and title.
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    code: Code,
    status: StatusCode,
    title: &'static str,
}

codes! {
    /// The server ran into a bug of its own. The answer says no more; its log has the request id.
    INTERNAL = 9000, INTERNAL_SERVER_ERROR, "internal error";
    /// The server has nothing at this path.
    NO_SUCH_PATH = 9001, NOT_FOUND, "no such path";
    /// The path exists, but not for this method. Nearly all of the API is read-only.
    METHOD = 9002, METHOD_NOT_ALLOWED, "method not allowed";
    /// A query parameter is unknown, missing, or has a value that it cannot have.
    INVALID_PARAMETER = 9003, BAD_REQUEST, "invalid query parameter";
    /// The path names a kind of object that does not exist, or one of a namespace where there are none.
    UNKNOWN_KIND = 9004, NOT_FOUND, "unknown kind";
    /// There is no object of this kind, namespace and name.
    OBJECT_NOT_FOUND = 9005, NOT_FOUND, "object not found";
    /// No proxy with this id is connected.
    PROXY_NOT_FOUND = 9006, NOT_FOUND, "proxy not found";
    /// There is no error code of this number.
    UNKNOWN_CODE = 9007, NOT_FOUND, "unknown code";
    /// The registry has no service of this name, or none that is known yet.
    SERVICE_NOT_FOUND = 9008, NOT_FOUND, "service not found";
    /// The request has an Origin, so it comes from a web page. Nothing may be changed from there.
    CROSS_SITE = 9009, FORBIDDEN, "not from a web page";
    /// The server cannot do this now.
    UNAVAILABLE = 9010, SERVICE_UNAVAILABLE, "not available now";
    /// What was asked for does not go with the state that things are in; the text says which.
    NOT_NOW = 9011, CONFLICT, "not in this state";
    /// The path needs somebody who is known: log in, or send a bearer token.
    UNAUTHENTICATED = 9012, UNAUTHORIZED, "who are you?";
    /// Who asks is known, and may not do this. The text names the role and the namespace that are missing.
    FORBIDDEN = 9013, FORBIDDEN, "not permitted";
    /// A write needs `If-Match` with the ETag of the object that was read, or `If-None-Match: *` to make a new one.
    PRECONDITION_REQUIRED = 9014, PRECONDITION_REQUIRED, "which version is meant?";
    /// Somebody else has changed the object since it was read. The answer has the object as it is now.
    STALE = 9015, PRECONDITION_FAILED, "changed by somebody else";
    /// The documents that were sent cannot be used; `errors` says where and why. Nothing was changed.
    INVALID_DOCUMENTS = 9016, UNPROCESSABLE_ENTITY, "invalid documents";
    /// The object's owner is another place (a Git repository, an API server), or writes are off here: nothing was changed.
    NOT_WRITABLE = 9017, CONFLICT, "not writable here";
    /// More requests in a short time than one caller may send; `Retry-After` says when to go on.
    TOO_MANY = 9018, TOO_MANY_REQUESTS, "too many requests";
    /// The body is larger than it may be, or not of the type that it should be.
    BODY = 9019, BAD_REQUEST, "unusable body";
    /// There is no revision of this name, or not any more.
    REVISION_NOT_FOUND = 9020, NOT_FOUND, "revision not found";
    /// Envoy itself refuses what would be sent; `errors` ties its words to documents. Nothing was changed.
    REFUSED_BY_ENVOY = 9021, UNPROCESSABLE_ENTITY, "refused by Envoy";
}

/// One error on its way to the client. The router adds the request id.
#[derive(Clone, Debug)]
pub struct Problem {
    kind: Kind,
    detail: String,
    hint: String,
    errors: Vec<FindingView>,
    more: serde_json::Map<String, Value>,
}

impl Kind {
    #[must_use]
    pub fn status(self) -> StatusCode {
        self.status
    }

    #[must_use]
    pub fn code(self) -> Code {
        self.code
    }
}

impl Problem {
    #[must_use]
    pub fn new(kind: Kind, detail: impl Into<String>) -> Self {
        Self {
            kind,
            detail: detail.into(),
            hint: String::new(),
            errors: Vec::new(),
            more: serde_json::Map::new(),
        }
    }

    #[must_use]
    pub fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: hint.into(), ..self }
    }

    /// What is wrong in the documents that were sent.
    #[must_use]
    pub fn errors(self, errors: Vec<FindingView>) -> Self {
        Self { errors, ..self }
    }

    /// A member of its own, for clients that know this sort of error.
    #[must_use]
    pub fn with(mut self, name: &str, value: Value) -> Self {
        self.more.insert(name.into(), value);
        self
    }

    /// With more to its detail.
    #[must_use]
    pub fn and(mut self, text: &str) -> Self {
        self.detail.push_str(text);
        self
    }

    #[must_use]
    pub fn detail(&self) -> &str {
        &self.detail
    }

    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    fn body(&self, request_id: &str) -> Value {
        let mut body = json!({
            "type": format!("/errors/{}", self.kind.code),
            "title": self.kind.title,
            "status": self.kind.status.as_u16(),
            "detail": self.detail,
            "instance": request_id,
            "code": self.kind.code.to_string(),
            "hint": self.hint,
            "retryable": self.kind.status.is_server_error()
                || self.kind.status == StatusCode::TOO_MANY_REQUESTS,
        });
        if let Value::Object(members) = &mut body {
            if !self.errors.is_empty() {
                members.insert("errors".into(), json!(self.errors));
            }
            members.extend(self.more.clone());
        }
        body
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.kind.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// Gives a response that stands for a problem its body.
pub(crate) fn complete(mut response: Response, request_id: &str) -> Response {
    if let Some(problem) = response.extensions_mut().remove::<Problem>() {
        let body = format!("{}\n", problem.body(request_id));
        response.headers_mut().remove(header::CONTENT_LENGTH);
        response
            .headers_mut()
            .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        *response.body_mut() = Body::from(body);
    }
    response
}
