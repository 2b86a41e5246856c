//! Writing to an API server, under the rights of who asks.

use std::time::Duration;

use api::problem::{FORBIDDEN, INVALID_DOCUMENTS, NOT_WRITABLE, STALE, UNAVAILABLE};
use api::{Caller, Problem, Via};
use kube::api::{Api, DeleteParams, DynamicObject, PostParams, Preconditions};
use kube::core::{ApiResource, GroupVersionKind};
use kube::{Client, Config};
use model::Kind;
use serde_json::Value;

use super::wishes::Wish;

const TIMEOUT: Duration = Duration::from_secs(10);
/// Who we are in `managedFields`.
const MANAGER: &str = "isthmus.dev/changes";
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

pub(crate) struct Cluster {
    config: Config,
    /// Whether what we are to the server is what a person is to it, who runs us with a kubeconfig of theirs.
    of_a_person: bool,
}

impl Cluster {
    pub(crate) fn new(config: Config, of_a_person: bool) -> Self {
        Self { config, of_a_person }
    }

    /// Everything is asked first and written then; what was written before something failed is put back.
    pub(super) async fn put(&self, caller: &Caller, wishes: &[&Wish]) -> Result<(), Problem> {
        let client = self.client(caller)?;
        for wish in wishes {
            write(&client, wish, true).await?;
        }
        let mut done = Vec::new();
        for wish in wishes {
            match write(&client, wish, false).await {
                Ok(old) => done.push((*wish, old)),
                Err(problem) => {
                    for (wish, old) in done.into_iter().rev() {
                        if let Err(error) = undo(&client, wish, old).await {
                            tracing::error!(object = %wish.key, %error, "a write failed half way, and this object could not be put back");
                        }
                    }
                    return Err(problem);
                }
            }
        }
        Ok(())
    }

    fn client(&self, caller: &Caller) -> Result<Client, Problem> {
        let mut config = self.config.clone();
        match (&caller.token, caller.via) {
            (Some(token), Via::Kubernetes) => {
                let token = token.reveal().to_owned();
                config.auth_info =
                    kube::config::AuthInfo { token: Some(token.into()), ..Default::default() };
            }
            (_, Via::Nobody) if self.of_a_person => {}
            (_, Via::Nobody) => {
                let text = "the API server has to know who writes, and here nobody is asked";
                return Err(Problem::new(NOT_WRITABLE, text)
                    .hint("log in with a token of the cluster, or use kubectl"));
            }
            _ => config.auth_info.impersonate = Some(caller.subject.to_string()),
        }
        Client::try_from(config).map_err(|error| Problem::new(UNAVAILABLE, error.to_string()))
    }
}

fn api(client: &Client, wish: &Wish) -> Api<DynamicObject> {
    let kind = wish.key.kind;
    let written = wish.value.get("apiVersion").and_then(Value::as_str);
    let version = written.map(|v| v.rsplit_once('/').map_or(v, |(_, version)| version));
    let version = version.unwrap_or_else(|| kinds::versions(kind)[0]);
    let gvk = GroupVersionKind::gvk(kind.group(), version, kind.as_str());
    let resource = ApiResource::from_gvk_with_plural(&gvk, kind.plural());
    if kind.namespaced() {
        Api::namespaced_with(client.clone(), &wish.key.name.namespace, &resource)
    } else {
        Api::all_with(client.clone(), &resource)
    }
}

/// Returns what was there.
async fn write(
    client: &Client,
    wish: &Wish,
    dry_run: bool,
) -> Result<Option<DynamicObject>, Problem> {
    let (api, name) = (api(client, wish), &*wish.key.name.name);
    let live = timely(wish, api.get_opt(name)).await?;
    if let Some(live) = &live {
        in_step(wish, live)?;
    }
    let params = PostParams { dry_run, field_manager: Some(MANAGER.into()) };
    match (&wish.after, &live) {
        (Some(_), None) if wish.before.is_some() => return Err(stale(wish)),
        (Some(_), None) => {
            let object = serde_json::from_value(wish.value.clone())
                .map_err(|error| Problem::new(INVALID_DOCUMENTS, error.to_string()))?;
            timely(wish, api.create(&params, &object)).await?;
        }
        (Some(_), Some(live)) => {
            let object = merged(live, &wish.value)
                .map_err(|error| Problem::new(INVALID_DOCUMENTS, error.to_string()))?;
            timely(wish, api.replace(name, &params, &object)).await?;
        }
        (None, Some(live)) => {
            let preconditions = Preconditions {
                resource_version: live.metadata.resource_version.clone(),
                uid: live.metadata.uid.clone(),
            };
            let params = DeleteParams {
                dry_run,
                preconditions: Some(preconditions),
                ..DeleteParams::default()
            };
            timely(wish, api.delete(name, &params)).await?;
        }
        (None, None) => {}
    }
    Ok(live)
}

/// The server may have it otherwise than we know.
fn in_step(wish: &Wish, live: &DynamicObject) -> Result<(), Problem> {
    let Some(before) = &wish.before else { return Err(stale(wish)) };
    let known: Value = serde_json::from_str(&before.meta().document).unwrap_or_default();
    let generation = known["metadata"]["generation"].as_i64();
    if known["metadata"]["uid"].as_str() != live.metadata.uid.as_deref()
        || (generation.is_some() && generation != live.metadata.generation)
    {
        return Err(stale(wish));
    }
    Ok(())
}

fn stale(wish: &Wish) -> Problem {
    Problem::new(STALE, format!("{} has been changed in the API server just now", wish.key))
}

/// What is there, with all that a person writes as it was sent. What only the server and its controllers write stays.
fn merged(live: &DynamicObject, sent: &Value) -> serde_json::Result<DynamicObject> {
    let mut object = serde_json::to_value(live)?;
    if let (Some(fields), Some(new)) = (object.as_object_mut(), sent.as_object()) {
        fields.retain(|name, _| {
            matches!(name.as_str(), "metadata" | "status") || new.contains_key(name)
        });
        for (name, value) in
            new.iter().filter(|(n, _)| !matches!(n.as_str(), "metadata" | "status"))
        {
            fields.insert(name.clone(), value.clone());
        }
    }
    if let Some(metadata) = object["metadata"].as_object_mut() {
        let applied = metadata.get("annotations").and_then(|all| all.get(LAST_APPLIED)).cloned();
        for name in ["labels", "annotations"] {
            match sent["metadata"].get(name) {
                Some(value) => drop(metadata.insert(name.into(), value.clone())),
                None => drop(metadata.remove(name)),
            }
        }
        if let Some(applied) = applied {
            metadata.entry("annotations").or_insert_with(|| Value::Object(Default::default()));
            metadata["annotations"][LAST_APPLIED] = applied;
        }
    }
    serde_json::from_value(object)
}

async fn undo(client: &Client, wish: &Wish, old: Option<DynamicObject>) -> Result<(), kube::Error> {
    let (api, name) = (api(client, wish), &*wish.key.name.name);
    let params = PostParams { field_manager: Some(MANAGER.into()), ..PostParams::default() };
    match (old, &wish.after) {
        (None, _) => drop(api.delete(name, &DeleteParams::default()).await?),
        (Some(mut old), Some(_)) => {
            old.metadata.resource_version = api.get(name).await?.metadata.resource_version;
            api.replace(name, &params, &old).await?;
        }
        (Some(mut old), None) => {
            old.metadata.resource_version = None;
            old.metadata.uid = None;
            api.create(&params, &old).await?;
        }
    }
    Ok(())
}

async fn timely<T>(
    wish: &Wish,
    call: impl Future<Output = Result<T, kube::Error>>,
) -> Result<T, Problem> {
    let key = &wish.key;
    let answer = tokio::time::timeout(TIMEOUT, call)
        .await
        .map_err(|_| Problem::new(UNAVAILABLE, format!("{key}: no answer of the API server")))?;
    answer.map_err(|error| match error {
        kube::Error::Api(answer) => {
            // The server's words about a Secret may quote it.
            let words = if key.kind == Kind::Secret { "" } else { answer.message.as_str() };
            let text = format!("{key}: {words}");
            match answer.code {
                401 | 403 => Problem::new(FORBIDDEN, text),
                404 => Problem::new(NOT_WRITABLE, format!("{text} (is its kind installed?)")),
                409 => stale(wish),
                400 | 422 => Problem::new(INVALID_DOCUMENTS, text),
                _ => Problem::new(UNAVAILABLE, text),
            }
        }
        other => Problem::new(UNAVAILABLE, format!("{key}: {other}")),
    })
}
