//! The web console: files that were built into the program (`build.rs`). One page; paths that are no files are its own.

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use axum::response::{Html, IntoResponse, Response};

use crate::auth::Nonce;
use crate::list::{etag, knows, not_modified};
use crate::problem::{METHOD, NO_SUCH_PATH, Problem};

/// Sorted by name.
static FILES: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/console.rs"));

const PAGE: &str = "index.html";
/// Where the page has the nonce of its answer.
const NONCE: &str = "__CSP_NONCE__";
/// Files with a hash of their content in their name.
const HASHED: &str = "assets/";
/// The server's own: what is not there is not a page.
const OURS: [&str; 5] = ["api", "errors", "healthz", "metrics", "readyz"];

/// For whatever has no path of its own.
pub(crate) async fn serve(request: Request) -> Result<Response, Problem> {
    let path = request.uri().path();
    let none = || Problem::new(NO_SUCH_PATH, format!("there is nothing at {path}"));
    let name = path.trim_start_matches('/');
    let first = name.split('/').next().unwrap_or_default();
    if OURS.contains(&first) {
        return Err(none());
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return Err(Problem::new(METHOD, format!("{path} is not for {}", request.method())));
    }
    match file(name) {
        Some(content) if name != PAGE => Ok(answer(name, content, request.headers())),
        // A script that is gone, of an older build, must not be answered with a page.
        None if name.starts_with(HASHED) => Err(none()),
        _ => page(request.extensions().get::<Nonce>()).ok_or_else(none),
    }
}

fn file(name: &str) -> Option<&'static [u8]> {
    let at = FILES.binary_search_by(|(known, _)| (*known).cmp(name)).ok()?;
    Some(FILES[at].1)
}

fn page(nonce: Option<&Nonce>) -> Option<Response> {
    let text = std::str::from_utf8(file(PAGE)?).ok()?;
    let text = text.replace(NONCE, nonce.map_or("", |nonce| &nonce.0));
    // It is another page each time, and names the files of this build.
    let rule = HeaderValue::from_static("no-store");
    Some(([(header::CACHE_CONTROL, rule)], Html(text)).into_response())
}

fn answer(name: &str, plain: &'static [u8], headers: &HeaderMap) -> Response {
    let tag = etag("", plain);
    if knows(headers.get(header::IF_NONE_MATCH), &tag) {
        return not_modified(tag);
    }
    let packed = [("br", ".br"), ("gzip", ".gz")].into_iter().find_map(|(coding, ending)| {
        let content = file(&format!("{name}{ending}"))?;
        accepts(headers, coding).then_some((coding, content))
    });
    let rule = if name.starts_with(HASHED) {
        "public, max-age=31536000, immutable"
    } else {
        "public, no-cache"
    };
    let (coding, content) = packed.map_or((None, plain), |(coding, packed)| (Some(coding), packed));
    let mut response = content.into_response();
    let fields: [(HeaderName, HeaderValue); 4] = [
        (header::CONTENT_TYPE, HeaderValue::from_static(kind(name))),
        (header::CACHE_CONTROL, HeaderValue::from_static(rule)),
        (header::VARY, HeaderValue::from_static("accept-encoding")),
        (header::ETAG, tag),
    ];
    response.headers_mut().extend(fields);
    if let Some(coding) = coding {
        response.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static(coding));
    }
    response
}

fn accepts(headers: &HeaderMap, coding: &str) -> bool {
    let all = headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|v| v.to_str().ok());
    all.flat_map(|value| value.split(',')).any(|part| {
        let (name, weight) = part.split_once(';').unwrap_or((part, ""));
        let refused = weight.trim().trim_start_matches("q=").parse() == Ok(0.0);
        name.trim() == coding && !refused
    })
}

fn kind(name: &str) -> &'static str {
    match name.rsplit('.').next().unwrap_or_default() {
        "css" => "text/css; charset=utf-8",
        "html" => "text/html; charset=utf-8",
        "ico" => "image/x-icon",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "json" => "application/json",
        "png" => "image/png",
        "svg" => "image/svg+xml",
        "txt" => "text/plain; charset=utf-8",
        "woff2" => "font/woff2",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_packed_is_for_those_who_can_unpack_it() {
        let accepts = |value: &'static str, coding| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static(value));
            accepts(&headers, coding)
        };
        assert!(accepts("gzip, deflate, br", "br"));
        assert!(accepts("gzip;q=0.5", "gzip"));
        assert!(!accepts("br;q=0, gzip", "br"));
        assert!(!accepts("identity", "gzip"));
    }
}
