//! Files that are replaced while Envoy runs.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

const TOKEN: &str = "token.json";
const CA: &str = "ca.json";

/// A token and certificates that lie in volumes of Kubernetes and are replaced there. A file that a bootstrap names is read
/// once; what Envoy is given by its discovery of secrets it reads again whenever the folder changes. So the bootstrap
/// names two small documents, which lie in `documents` and name the files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mounted {
    /// Where [`super::Bootstrap::documents`] lie.
    pub documents: PathBuf,
    /// Sent as `authorization: Bearer …`.
    pub token: Option<PathBuf>,
    /// The folder of the file that [`super::XdsTls`] names as its CA, if it is replaced too.
    pub ca: Option<PathBuf>,
}

impl Mounted {
    /// Where the token is to be found.
    pub(super) fn token(&self) -> Option<Value> {
        Some(self.secret(TOKEN, folder(self.token.as_deref()?)))
    }

    pub(super) fn validation(&self) -> Option<Value> {
        Some(self.secret(CA, self.ca.as_deref()?))
    }

    /// A reference to a secret in a document, which is read again when something is moved into `folder`.
    fn secret(&self, document: &str, folder: &Path) -> Value {
        json!({
            "name": document,
            "sds_config": {
                "resource_api_version": "V3",
                "path_config_source": {
                    "path": self.documents.join(document),
                    "watched_directory": {"path": folder},
                },
            },
        })
    }

    pub(super) fn documents(&self, validation: Option<Value>) -> Vec<(&'static str, Value)> {
        let mut out = Vec::new();
        let secret = |name: &'static str, kind: &str, mut value: Value, folder: &Path| {
            value["watched_directory"] = json!({"path": folder});
            let value = if kind == "generic_secret" { json!({"secret": value}) } else { value };
            let secret = json!({
                "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret",
                "name": name,
                kind: value,
            });
            (name, json!({"resources": [secret]}))
        };
        if let (Some(folder), Some(validation)) = (&self.ca, validation) {
            out.push(secret(CA, "validation_context", validation, folder));
        }
        if let Some(token) = &self.token {
            out.push(secret(TOKEN, "generic_secret", json!({"filename": token}), folder(token)));
        }
        out
    }
}

fn folder(file: &Path) -> &Path {
    file.parent().unwrap_or(file)
}
