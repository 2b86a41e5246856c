//! One object of a fleet: written by server-side apply, without force.

use std::time::Duration;

use kube::Client;
use kube::api::{
    Api, DeleteParams, DynamicObject, Patch, PatchParams, Preconditions, ValidationDirective,
};
use serde_json::{Value, json};
use xxhash_rust::xxh3::xxh3_64;

use super::fields;
use super::kinds::Kind;
use super::live::Seen;
use super::names::{HASH, KEPT};

/// Who we are in `managedFields`.
pub(super) const FIELD_MANAGER: &str = "isthmus.dev/fleet";
/// Who holds what we let go of until somebody else takes it.
const HANDOVER: &str = "isthmus.dev/fleet-handover";
const TIMEOUT: Duration = Duration::from_secs(10);
/// Every round takes out at least one field that somebody else has set.
const ROUNDS: usize = 8;

#[derive(Debug)]
pub(super) enum Error {
    /// The server does not permit this verb.
    Forbidden { verb: &'static str, text: String },
    /// It is not ours, and stays as it is.
    Foreign,
    /// The server will never take this.
    Refused(String),
    /// The namespace is going, and everything in it.
    Gone,
    /// No answer, or one that says nothing about the write.
    Failed(String),
}

impl Error {
    fn of(verb: &'static str, error: kube::Error) -> Self {
        let kube::Error::Api(answer) = error else { return Self::Failed(error.to_string()) };
        let text = answer.message.clone();
        match answer.code {
            403 if text.contains("is being terminated") => Self::Gone,
            401 | 403 => Self::Forbidden { verb: denied(&text).unwrap_or(verb), text },
            404 => Self::Gone,
            400 | 422 => Self::Refused(text),
            _ => Self::Failed(text),
        }
    }
}

/// The verb that the server names: to apply what is not there yet takes `create` as well as `patch`.
fn denied(text: &str) -> Option<&'static str> {
    ["get", "create", "patch", "delete"]
        .into_iter()
        .find(|verb| text.contains(&format!("cannot {verb} resource")))
}

/// What the object of this name is at present.
pub(super) fn content_hash(object: &Value) -> String {
    format!("{:016x}", xxh3_64(object.to_string().as_bytes()))
}

fn api(client: &Client, kind: Kind, namespace: &str) -> Api<DynamicObject> {
    Api::namespaced_with(client.clone(), namespace, &kind.api())
}

async fn timely<T>(
    verb: &'static str,
    call: impl Future<Output = Result<T, kube::Error>>,
) -> Result<T, Error> {
    match tokio::time::timeout(TIMEOUT, call).await {
        Ok(answer) => answer.map_err(|error| Error::of(verb, error)),
        Err(_) => Err(Error::Failed(format!("no answer within {TIMEOUT:?}"))),
    }
}

/// Writes the object, all but what somebody else has set in it. `known`: whether it is known to be there and ours.
pub(super) async fn apply(
    client: &Client,
    kind: Kind,
    object: &Value,
    known: bool,
) -> Result<Seen, Error> {
    let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default();
    let (namespace, name) = (text("namespace"), text("name"));
    let api = api(client, kind, namespace);
    let scaled_by_others = kind == Kind::Deployment && object["spec"]["replicas"].is_null();
    if !known || scaled_by_others {
        let present = timely("get", api.get_opt(name)).await?;
        if let Some(present) = present {
            if !is_ours(&present, object) {
                return Err(Error::Foreign);
            }
            if scaled_by_others {
                hand_over_replicas(&api, name, &present, object).await?;
            }
        }
    }
    let mut body = object.clone();
    body["metadata"]["annotations"][HASH] = content_hash(object).into();
    let mut kept: Vec<String> = Vec::new();
    let params = PatchParams {
        field_validation: Some(ValidationDirective::Strict),
        ..PatchParams::apply(FIELD_MANAGER)
    };
    for _ in 0..ROUNDS {
        if !kept.is_empty() {
            body["metadata"]["annotations"][KEPT] = kept.join(" ").into();
        }
        let patch = Patch::Apply(&body);
        let answer = tokio::time::timeout(TIMEOUT, api.patch(name, &params, &patch)).await;
        match answer {
            Err(_) => return Err(Error::Failed(format!("no answer within {TIMEOUT:?}"))),
            Ok(Ok(written)) => return Ok(Seen::read(kind, &written)),
            Ok(Err(kube::Error::Api(answer))) if answer.code == 409 => {
                let before = kept.len();
                let causes = answer.details.iter().flat_map(|details| &details.causes);
                for path in causes.map(|cause| cause.field.clone()) {
                    if fields::remove(&mut body, &path) {
                        kept.push(path);
                    }
                }
                if kept.len() == before {
                    return Err(Error::Failed(answer.message.clone()));
                }
            }
            Ok(Err(error)) => return Err(Error::of("patch", error)),
        }
    }
    Err(Error::Failed("too many fields belong to others".into()))
}

/// By its owner, or by who wrote it: labels may have been edited away.
fn is_ours(present: &DynamicObject, wanted: &Value) -> bool {
    let uid = wanted["metadata"]["ownerReferences"][0]["uid"].as_str();
    let owners = present.metadata.owner_references.iter().flatten();
    owners.into_iter().any(|owner| Some(owner.uid.as_str()) == uid)
}

/// A field that we set and then leave out is removed, and a Deployment without a number of replicas has one. So whoever
/// is to decide from now on finds the number as it is.
async fn hand_over_replicas(
    api: &Api<DynamicObject>,
    name: &str,
    present: &DynamicObject,
    wanted: &Value,
) -> Result<(), Error> {
    let managers = present.metadata.managed_fields.iter().flatten();
    let ours = managers.into_iter().any(|manager| {
        manager.manager.as_deref() == Some(FIELD_MANAGER)
            && manager.fields_v1.as_ref().is_some_and(|f| !f.0["f:spec"]["f:replicas"].is_null())
    });
    if !ours {
        return Ok(());
    }
    let body = json!({
        "apiVersion": wanted["apiVersion"], "kind": wanted["kind"],
        "metadata": {"name": name},
        "spec": {"replicas": present.data["spec"]["replicas"]},
    });
    let params = PatchParams::apply(HANDOVER).force();
    timely("patch", api.patch(name, &params, &Patch::Apply(&body))).await.map(drop)
}

/// Deletes the very object that was seen.
pub(super) async fn delete(
    client: &Client,
    kind: Kind,
    namespace: &str,
    name: &str,
    uid: &str,
) -> Result<(), Error> {
    let preconditions = Preconditions { uid: Some(uid.to_owned()), resource_version: None };
    let params = DeleteParams { preconditions: Some(preconditions), ..DeleteParams::background() };
    match timely("delete", api(client, kind, namespace).delete(name, &params)).await {
        Ok(_) | Err(Error::Gone) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Whether pods of this workload take traffic.
pub(super) async fn is_available(
    client: &Client,
    kind: Kind,
    namespace: &str,
    name: &str,
) -> Result<bool, Error> {
    let Some(object) = timely("get", api(client, kind, namespace).get_opt(name)).await? else {
        return Ok(false);
    };
    let status = &object.data["status"];
    let field = if kind == Kind::Deployment { "availableReplicas" } else { "numberAvailable" };
    let seen = status["observedGeneration"].as_i64() >= object.metadata.generation;
    Ok(seen && status[field].as_i64().unwrap_or_default() > 0)
}
