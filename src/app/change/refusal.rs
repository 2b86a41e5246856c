//! What the API server says when it does not do what it is asked, in our words and its own.

use std::time::Duration;

use api::problem::{FORBIDDEN, INVALID_DOCUMENTS, NOT_WRITABLE, STALE, UNAVAILABLE};
use api::{FindingView, Problem};
use kube::core::response::StatusCause;
use model::{Finding, Kind, Object, ObjectRef, Severity, codes};
use serde_json::Value;

use super::etag;
use super::wishes::Wish;

const TIMEOUT: Duration = Duration::from_secs(10);

/// `None` where somebody was faster: to be looked at again.
pub(super) async fn timely<T>(
    wish: &Wish,
    call: impl Future<Output = Result<T, kube::Error>>,
) -> Result<Option<T>, Problem> {
    let key = &wish.key;
    let answer = tokio::time::timeout(TIMEOUT, call)
        .await
        .map_err(|_| Problem::new(UNAVAILABLE, format!("{key}: no answer of the API server")))?;
    let said = match answer {
        Ok(answer) => return Ok(Some(answer)),
        Err(kube::Error::Api(said)) => said,
        Err(other) => return Err(Problem::new(UNAVAILABLE, format!("{key}: {other}"))),
    };
    // The server's words about a Secret may quote it.
    let secret = key.kind == Kind::Secret;
    let words = if secret { "the API server refuses it" } else { said.message.as_str() };
    let text = format!("{key}: {words}");
    Err(match said.code {
        409 => return Ok(None),
        401 | 403 if words.contains("cannot impersonate") => Problem::new(FORBIDDEN, text).hint(
            "it is to be written as this user: log in with a token of the cluster, or let the control plane impersonate it",
        ),
        401 | 403 => Problem::new(FORBIDDEN, text),
        404 => Problem::new(NOT_WRITABLE, text)
            .hint("its namespace is not there, or its kind (CustomResourceDefinition) is not"),
        400 | 422 => {
            let causes = said.details.as_ref().map(|details| &details.causes[..]);
            let errors = findings(wish, words, causes.unwrap_or_default(), secret);
            Problem::new(INVALID_DOCUMENTS, text).errors(errors)
        }
        _ => Problem::new(UNAVAILABLE, text),
    })
}

/// One for each part that is wrong, at its place in what was sent.
fn findings(wish: &Wish, words: &str, causes: &[StatusCause], secret: bool) -> Vec<FindingView> {
    let finding = |pointer: &str, text: &str| {
        let at = match &wish.after {
            Some(object) => object.meta().at(pointer),
            None => ObjectRef {
                source: sources::kubernetes::NAME.into(),
                object: Some(wish.key.clone()),
                pointer: pointer.into(),
                location: None,
            },
        };
        FindingView::from(&Finding {
            at,
            code: codes::KUBERNETES_INVALID,
            severity: Severity::Error,
            text: text.to_owned(),
            hint: "the API server's own words".into(),
        })
    };
    let of_parts = causes.iter().filter(|cause| !cause.field.is_empty()).map(|cause| {
        finding(&pointer(&cause.field), if secret { &cause.reason } else { &cause.message })
    });
    let of_parts: Vec<_> = of_parts.collect();
    if of_parts.is_empty() { vec![finding("", words)] } else { of_parts }
}

/// `spec.rules[0].filters` as `/spec/rules/0/filters`; names with dots stand in brackets.
fn pointer(field: &str) -> String {
    let mut out = String::new();
    let mut rest = field;
    while !rest.is_empty() {
        let (part, left) = match rest.strip_prefix('[') {
            Some(inner) => inner.split_once(']').unwrap_or((inner, "")),
            None => rest.split_at(rest.find(['.', '[']).unwrap_or(rest.len())),
        };
        // `<nil>` stands for the whole.
        if part != "<nil>" {
            out.push('/');
            out.push_str(&part.replace('~', "~0").replace('/', "~1"));
        }
        rest = left.strip_prefix('.').unwrap_or(left);
    }
    out
}

/// The API server has another one than the caller knows. `is` is what it has.
pub(super) fn stale(wish: &Wish, is: Option<&Object>) -> Problem {
    let document = is.and_then(|object| {
        let mut document = serde_json::from_str(&object.meta().document).ok()?;
        kinds::redact(wish.key.kind, &mut document);
        Some(document)
    });
    let text = format!("{} has been changed in the API server just now", wish.key);
    Problem::new(STALE, text)
        .with("current", document.unwrap_or(Value::Null))
        .with("currentEtag", is.map(etag).into())
}

#[cfg(test)]
mod tests {
    use super::pointer;

    #[test]
    fn places_in_the_words_of_the_api_server() {
        assert_eq!(pointer("spec.rules[0].filters"), "/spec/rules/0/filters");
        assert_eq!(pointer("metadata.labels[a.b/c].x"), "/metadata/labels/a.b~1c/x");
        assert_eq!(pointer("<nil>"), "");
    }
}
