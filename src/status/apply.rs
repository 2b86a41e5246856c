//! One write: server-side apply on the `status` subresource.

use std::time::Duration;

use kube::api::{Api, ApiResource, DynamicObject, Patch, PatchParams};
use kube::{Client, core::GroupVersionKind};
use model::ObjectKey;
use serde_json::{Value, json};

use crate::merge;
use crate::table::Present;

/// Who we are in `managedFields`.
const FIELD_MANAGER: &str = "isthmus.dev/status";
const TIMEOUT: Duration = Duration::from_secs(10);

/// What came of a write.
#[derive(Debug)]
pub(crate) enum Outcome {
    Written {
        resource_version: String,
        status: Value,
    },
    /// The object is no more.
    Gone,
    /// It has changed since we saw it.
    Conflict,
    /// The server does not permit it.
    Forbidden(String),
    /// The server will never take this.
    Refused(String),
    /// No answer, or one that says nothing about the write.
    Failed(String),
}

pub(crate) async fn apply(
    client: Client,
    key: ObjectKey,
    present: Present,
    status: Value,
) -> Outcome {
    let kind = key.kind;
    let gvk = GroupVersionKind::gvk(kind.group(), &present.version, kind.as_str());
    let resource = ApiResource::from_gvk_with_plural(&gvk, kind.plural());
    let name = &key.name.name;
    let mut body = json!({
        "apiVersion": resource.api_version,
        "kind": kind.as_str(),
        "metadata": {"name": &**name},
        "status": status,
    });
    let api: Api<DynamicObject> = if kind.namespaced() {
        body["metadata"]["namespace"] = json!(&*key.name.namespace);
        Api::namespaced_with(client, &key.name.namespace, &resource)
    } else {
        Api::all_with(client, &resource)
    };
    if merge::shared(kind).is_some() {
        // The list holds what others said: it must not have changed since we read it.
        body["metadata"]["resourceVersion"] = json!(&*present.resource_version);
    }
    let params = PatchParams::apply(FIELD_MANAGER).force();
    let patch = Patch::Apply(&body);
    let write = api.patch_status(name, &params, &patch);
    match tokio::time::timeout(TIMEOUT, write).await {
        Ok(Ok(mut object)) => Outcome::Written {
            resource_version: object.metadata.resource_version.unwrap_or_default(),
            status: object.data.get_mut("status").map(Value::take).unwrap_or_default(),
        },
        Ok(Err(kube::Error::Api(answer))) => {
            let text = answer.message.clone();
            match answer.code {
                404 => Outcome::Gone,
                409 => Outcome::Conflict,
                401 | 403 => Outcome::Forbidden(text),
                400 | 422 => Outcome::Refused(text),
                _ => Outcome::Failed(text),
            }
        }
        Ok(Err(error)) => Outcome::Failed(error.to_string()),
        Err(_) => Outcome::Failed(format!("no answer within {TIMEOUT:?}")),
    }
}
