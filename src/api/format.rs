//! JSON or YAML, as the client likes.

use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};

use crate::problem::{INTERNAL, INVALID_PARAMETER, Problem};

/// `?format=`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Format {
    Json,
    Yaml,
}

impl Format {
    pub(crate) fn named(word: &str) -> Result<Self, Problem> {
        match word {
            "json" => Ok(Self::Json),
            "yaml" => Ok(Self::Yaml),
            _ => {
                let detail = format!("format = `{word}` is neither json nor yaml");
                Err(Problem::new(INVALID_PARAMETER, detail))
            }
        }
    }

    /// The parameter decides, else `Accept`: the first media type of it that we have; else JSON.
    pub(crate) fn choose(parameter: Option<Self>, headers: &HeaderMap) -> Self {
        let accepted = headers.get_all(header::ACCEPT).iter().filter_map(|v| v.to_str().ok());
        let mut types = accepted.flat_map(|v| v.split(',')).filter_map(|part| {
            match part.split(';').next()?.trim() {
                "application/yaml" | "application/x-yaml" | "text/yaml" => Some(Self::Yaml),
                "application/json" | "*/*" | "application/*" => Some(Self::Json),
                _ => None,
            }
        });
        parameter.or_else(|| types.next()).unwrap_or(Self::Json)
    }

    pub(crate) fn answer(self, body: &impl Serialize) -> Response {
        let text = match self {
            Self::Json => serde_json::to_string(body)
                .map(|mut text| {
                    text.push('\n');
                    text
                })
                .ok(),
            Self::Yaml => serde_yaml::to_string(body).ok(),
        };
        // Our own types always serialise; if one ever does not, that is our bug.
        let Some(text) = text else { return Problem::new(INTERNAL, "").into_response() };
        let kind = match self {
            Self::Json => "application/json",
            Self::Yaml => "application/yaml",
        };
        ([(header::CONTENT_TYPE, HeaderValue::from_static(kind))], text).into_response()
    }
}
