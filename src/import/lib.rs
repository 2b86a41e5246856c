//! # import: what other gateways' users have written, in our words
//!
//! ```text
//! text ──kinds::documents──► httpproxy, ingress, openapi ──► documents (Gateway API, isthmus.dev) + Report
//! ```
//!
//! Every field of a document that is read is in the report: mapped, changed (it means something else than before, and the
//! text says what), or refused. A field that nobody knows is refused by itself, so that nothing is lost without a word.
//! It must never ask anybody, drop a condition and keep the rule (a rule for less becomes one for more), or fail on anything
//! but a text that is no YAML.

mod fields;
mod httpproxy;
mod ingress;
mod openapi;
mod output;
mod report;

use serde_json::Value;

pub use report::{Line, What};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Contour's, v1.
    HttpProxy,
    /// Kubernetes', with the annotations of ingress-nginx.
    Ingress,
    /// 2.0 and 3.
    OpenApi,
}

impl Format {
    pub const ALL: [Self; 3] = [Self::HttpProxy, Self::Ingress, Self::OpenApi];

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::HttpProxy => "httpproxy",
            Self::Ingress => "ingress",
            Self::OpenApi => "openapi",
        }
    }

    #[must_use]
    pub fn find(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.as_str() == name)
    }
}

/// What a document may not say by itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// The Gateway that routes are attached to, `NAMESPACE/NAME`.
    pub gateway: Option<String>,
    /// Where routes of an OpenAPI document are put; `default` where not given.
    pub namespace: Option<String>,
    /// What requests of an OpenAPI document go to, `NAME:PORT`, `NAMESPACE/NAME:PORT` or
    /// `KIND/NAMESPACE/NAME:PORT`, where the kind is `Service` or `MeshService`.
    pub service: Option<String>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Imported {
    pub documents: Vec<Value>,
    /// In the order of the text.
    pub report: Vec<Line>,
}

impl Imported {
    #[must_use]
    pub fn yaml(&self) -> String {
        output::yaml(&self.documents)
    }

    /// Whether something is not in the documents.
    #[must_use]
    pub fn refused(&self) -> bool {
        self.report.iter().any(|line| line.what == What::Refused)
    }
}

/// # Errors
/// If the text is not YAML (or JSON); the message says where and why.
pub fn import(format: Format, text: &[u8], options: &Options) -> Result<Imported, String> {
    let documents = kinds::documents(text, kinds::Limits::default()).map_err(|finding| {
        let at = finding.at.location.as_ref();
        let at = at.map(|at| format!("line {}, column {}: ", at.line, at.column));
        format!("{}{}", at.unwrap_or_default(), finding.text)
    })?;
    let mut report = report::Report::default();
    let documents = match format {
        Format::HttpProxy => httpproxy::import(&documents, options, &mut report),
        Format::Ingress => ingress::import(&documents, options, &mut report),
        Format::OpenApi => openapi::import(&documents, options, &mut report),
    };
    Ok(Imported { documents, report: report.lines })
}
