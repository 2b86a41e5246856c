//! Errors as RFC 9457 `application/problem+json`, with codes that `isthmus explain` knows.

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use model::Code;
use serde_json::{Value, json};

macro_rules! codes {
    ($($(#[doc = $page:literal])+ $name:ident = $number:literal, $status:ident, $title:literal;)+) => {
        $($(#[doc = $page])+ pub(crate) const $name: Kind =
            Kind { code: Code($number), status: StatusCode::$status, title: $title };)+

        /// Codes of the API's own errors: number, title, page. Append-only, like [`model::codes::ALL`].
        pub const CODES: &[(Code, &str, &str)] =
            &[$((Code($number), $title, concat!($($page),+))),+];
    };
}

/// A sort of error: always the same status and title.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kind {
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
}

/// One error on its way to the client. The router adds the request id.
#[derive(Clone, Debug)]
pub(crate) struct Problem {
    kind: Kind,
    detail: String,
    hint: String,
}

impl Problem {
    pub(crate) fn new(kind: Kind, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into(), hint: String::new() }
    }

    pub(crate) fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: hint.into(), ..self }
    }

    fn body(&self, request_id: &str) -> Value {
        json!({
            "type": format!("/errors/{}", self.kind.code),
            "title": self.kind.title,
            "status": self.kind.status.as_u16(),
            "detail": self.detail,
            "instance": request_id,
            "code": self.kind.code.to_string(),
            "hint": self.hint,
            "retryable": self.kind.status.is_server_error(),
        })
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
