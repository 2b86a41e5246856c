use model::{Finding, ObjectKey};
use serde::{Deserialize, Serialize};

/// A [`Finding`] in JSON, the same from the API and from `isthmus validate -o json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct FindingView {
    /// `ISM1203`
    pub code: String,
    /// `info`, `warning`, `error`
    pub severity: String,
    pub source: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object: Option<ObjectName>,
    /// JSON pointer into the object.
    pub pointer: String,
    pub text: String,
    pub hint: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ObjectName {
    pub kind: String,
    pub namespace: String,
    pub name: String,
}

impl From<&Finding> for FindingView {
    fn from(finding: &Finding) -> Self {
        let Finding { at, code, severity, text, hint } = finding;
        let location = at.location.as_ref();
        Self {
            code: code.to_string(),
            severity: severity.as_str().into(),
            source: at.source.to_string(),
            file: location.map(|l| l.file.to_string()),
            line: location.map(|l| l.line),
            column: location.map(|l| l.column),
            object: at.object.as_ref().map(ObjectName::from),
            pointer: at.pointer.to_string(),
            text: text.clone(),
            hint: hint.clone(),
        }
    }
}

impl From<&ObjectKey> for ObjectName {
    fn from(key: &ObjectKey) -> Self {
        Self {
            kind: key.kind.as_str().into(),
            namespace: key.name.namespace.to_string(),
            name: key.name.name.to_string(),
        }
    }
}
