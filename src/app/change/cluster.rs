//! Writing to an API server, under the rights of who asks.
//!
//! ```text
//! wishes ──dry run of each──► what they would become there: defaults, rules, rights ──► report
//!        ──write, one after the other──► what they became; a failure puts back what was written before it
//! ```

use std::collections::BTreeSet;
use std::sync::Arc;

use api::change::Precondition;
use api::problem::{INVALID_DOCUMENTS, NOT_WRITABLE, UNAVAILABLE};
use api::{Caller, Problem, Via};
use kinds::Served;
use kube::api::{Api, DeleteParams, DynamicObject, PostParams, Preconditions};
use kube::core::{ApiResource, GroupVersionKind};
use kube::{Client, Config};
use model::{Kind, Object, ObjectKey};
use serde_json::Value;

use super::refusal::{stale, timely};
use super::wishes::Wish;
use super::{not_writable, of_another};

/// Who we are in `managedFields`.
const MANAGER: &str = "isthmus.dev/changes";
/// What somebody is called whom the API server does not know by a token of its own: `isthmus:user:ada`. It has no users of
/// this name, so that nobody gets the rights of another one.
const SOMEBODY: &str = "isthmus:";
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
/// A status may be written between our look at an object and our write.
const TRIES: usize = 5;

pub(crate) struct Cluster {
    config: Config,
    /// Whether what we are to the server is what a person is to it, who runs us with a kubeconfig of theirs.
    of_a_person: bool,
    /// Those that are read; all where none is named.
    namespaces: Vec<String>,
}

/// An object as it was, and as it is.
struct Step {
    was: Option<DynamicObject>,
    is: Option<DynamicObject>,
}

impl Cluster {
    pub(crate) fn new(config: Config, of_a_person: bool, namespaces: Vec<String>) -> Self {
        Self { config, of_a_person, namespaces }
    }

    /// Whether what is written there would ever be read.
    pub(super) fn reads(&self, key: &ObjectKey) -> bool {
        let named = || self.namespaces.iter().any(|name| **name == *key.name.namespace);
        !key.kind.namespaced() || self.namespaces.is_empty() || named()
    }

    /// Asks what the wishes would become, and makes them that.
    pub(super) async fn preview(
        &self,
        caller: &Caller,
        wishes: &mut [Wish],
    ) -> Result<(), Problem> {
        // As far as we know it, for whoever may look and not ask.
        for wish in wishes.iter_mut().filter(|wish| wish.in_cluster) {
            let known = wish.before.as_ref().map(|object| object.meta().document.clone());
            let known = known.and_then(|document| serde_json::from_str(&document).ok());
            let merged = known.and_then(|known| merged(&known, &wish.value).ok());
            become_what_is(wish, merged);
        }
        let client = self.client(caller)?;
        let comes = |wish: &&Wish| wish.before.is_none() && wish.after.is_some();
        let fresh = wishes.iter().filter(|wish| wish.key.kind == Kind::Namespace).filter(comes);
        let fresh: BTreeSet<Arc<str>> = fresh.map(|wish| wish.key.name.name.clone()).collect();
        let mut foreign = None;
        for wish in wishes.iter_mut().filter(|wish| wish.in_cluster) {
            // What is in a namespace cannot be asked about before that is there.
            if wish.key.kind.namespaced() && fresh.contains(&wish.key.name.namespace) {
                continue;
            }
            let unread = wish.before.is_none()
                && catalog::is_fetched_by_name(wish.key.kind)
                && wish.precondition == Precondition::None;
            if unread {
                // Of these we only know those that somebody refers to.
                let live = look(&api(&client, wish), wish).await?;
                wish.before = live.and_then(|live| read(wish, &live));
            }
            let step = write(&client, wish, true).await?;
            become_what_is(wish, step.is);
            if let Some(owner) = step.was.as_ref().and_then(gitops).filter(|_| wish.differs()) {
                let owned = of_another(owner, sources::kubernetes::NAME);
                foreign.get_or_insert_with(|| not_writable(wish, &owned));
            }
        }
        foreign.map_or(Ok(()), Err)
    }

    /// What was written before something failed is put back. The wishes become what they are in the API server.
    pub(super) async fn put(&self, caller: &Caller, wishes: &mut [Wish]) -> Result<(), Problem> {
        let client = self.client(caller)?;
        // A namespace comes before what is in it, and goes after it.
        let mut order: Vec<usize> = (0..wishes.len()).collect();
        order.sort_by_key(|at| match (wishes[*at].key.kind, &wishes[*at].after) {
            (Kind::Namespace, Some(_)) => 0,
            (Kind::Namespace, None) => 2,
            _ => 1,
        });
        let mut done: Vec<(usize, Step)> = Vec::new();
        for at in order {
            match write(&client, &wishes[at], false).await {
                Ok(step) => done.push((at, step)),
                Err(problem) => return Err(take_back(&client, wishes, done, problem).await),
            }
        }
        for (at, step) in done {
            become_what_is(&mut wishes[at], step.is);
        }
        Ok(())
    }

    fn client(&self, caller: &Caller) -> Result<Client, Problem> {
        let mut config = self.config.clone();
        match (&caller.token, caller.via) {
            // Whoever came with a token of the API server, or began a session with one.
            (Some(token), _) => {
                let token = token.reveal().to_owned();
                config.auth_info =
                    kube::config::AuthInfo { token: Some(token.into()), ..Default::default() };
            }
            (None, Via::Nobody) if self.of_a_person => {}
            (None, Via::Nobody) => {
                let text = "the API server has to know who writes, and here nobody is asked";
                return Err(Problem::new(NOT_WRITABLE, text)
                    .hint("log in with a token of the cluster, or use kubectl"));
            }
            (None, _) => {
                config.auth_info.impersonate = Some(format!("{SOMEBODY}{}", caller.subject));
            }
        }
        Client::try_from(config).map_err(|error| Problem::new(UNAVAILABLE, error.to_string()))
    }
}

/// Programs that leave no mark on what they sync but their name as who wrote it.
fn gitops(live: &DynamicObject) -> Option<&'static str> {
    let fields = live.metadata.managed_fields.iter().flatten();
    let mut managers = fields.filter(|entry| entry.subresource.is_none());
    managers.find_map(|entry| match entry.manager.as_deref()? {
        name if name.starts_with("argocd-") => Some("Argo CD"),
        "kustomize-controller" | "helm-controller" => Some("Flux"),
        "helm" => Some("Helm"),
        _ => None,
    })
}

/// Puts back what was written, the last first, and says what became of it.
async fn take_back(
    client: &Client,
    wishes: &[Wish],
    done: Vec<(usize, Step)>,
    problem: Problem,
) -> Problem {
    let (mut back, mut left) = (Vec::new(), Vec::new());
    for (at, step) in done.into_iter().rev() {
        let wish = &wishes[at];
        match undo(client, wish, &step).await {
            Ok(()) => back.push(wish.key.to_string()),
            Err(error) => {
                let why = error.detail();
                tracing::error!(object = %wish.key, why, "a write failed half way, and this object could not be put back");
                left.push(format!("{} ({why})", wish.key));
            }
        }
    }
    let mut text = String::new();
    if !back.is_empty() {
        text += &format!("; as before again: {}", back.join(", "));
    }
    if !left.is_empty() {
        text += &format!("; written, and not put back: {}", left.join("; "));
    }
    problem.and(&text)
}

fn api(client: &Client, wish: &Wish) -> Api<DynamicObject> {
    let kind = wish.key.kind;
    let gvk = GroupVersionKind::gvk(kind.group(), version(wish), kind.as_str());
    let resource = ApiResource::from_gvk_with_plural(&gvk, kind.plural());
    if kind.namespaced() {
        Api::namespaced_with(client.clone(), &wish.key.name.namespace, &resource)
    } else {
        Api::all_with(client.clone(), &resource)
    }
}

/// That in which it was sent.
fn version(wish: &Wish) -> &str {
    let written = wish.value.get("apiVersion").and_then(Value::as_str);
    let version = written.map(|v| v.rsplit_once('/').map_or(v, |(_, version)| version));
    version.unwrap_or_else(|| kinds::versions(wish.key.kind)[0])
}

/// An object of the API server as it is read from there, in the version in which it is known.
fn read(wish: &Wish, live: &DynamicObject) -> Option<Object> {
    let kind = wish.key.kind;
    let known = wish.before.as_ref().and_then(|object| {
        let document: Value = serde_json::from_str(&object.meta().document).ok()?;
        let version = document["apiVersion"].as_str()?.rsplit('/').next()?.to_owned();
        Some(version)
    });
    let version = known.as_deref().unwrap_or_else(|| version(wish));
    let json = serde_json::to_value(live).ok()?;
    match kinds::served(&sources::kubernetes::NAME.into(), kind, version, &json).0 {
        Served::Object(object) => Some(object),
        Served::Refused(refused) => Some(refused.object),
        Served::Nothing => None,
    }
}

/// What the wish is about now is what is there; where the parts stand in what was sent stays known.
fn become_what_is(wish: &mut Wish, is: Option<DynamicObject>) {
    let Some(mut object) = is.and_then(|is| read(wish, &is)) else { return };
    if let Some(sent) = &wish.after {
        object.meta_mut().locations = sent.meta().locations.clone();
        wish.after = Some(object);
    }
}

/// Between our look at an object and our write its status may be written: that is another version of the same.
async fn write(client: &Client, wish: &Wish, dry_run: bool) -> Result<Step, Problem> {
    let api = api(client, wish);
    let params = PostParams { dry_run, field_manager: Some(MANAGER.into()) };
    let mut was = None;
    for _ in 0..TRIES {
        was = look(&api, wish).await?;
        let is = was.as_ref().and_then(|live| read(wish, live));
        let document = |object: &Option<Object>| object.as_ref().map(|o| o.meta().document.clone());
        if document(&wish.before) != document(&is) {
            return Err(stale(wish, is.as_ref()));
        }
        let done = match (&wish.after, &was) {
            (Some(_), None) => {
                let object = created(&wish.value).map_err(|error| unusable(&error))?;
                timely(wish, api.create(&params, &object)).await?.map(Some)
            }
            (Some(_), Some(live)) => {
                let object = merged(live, &wish.value).map_err(|error| unusable(&error))?;
                timely(wish, api.replace(&wish.key.name.name, &params, &object)).await?.map(Some)
            }
            (None, Some(live)) => delete(&api, wish, live, dry_run).await?.then_some(None),
            (None, None) => Some(None),
        };
        if let Some(is) = done {
            return Ok(Step { was, is });
        }
    }
    let is = was.as_ref().and_then(|live| read(wish, live));
    Err(stale(wish, is.as_ref()))
}

async fn look(api: &Api<DynamicObject>, wish: &Wish) -> Result<Option<DynamicObject>, Problem> {
    Ok(timely(wish, api.get_opt(&wish.key.name.name)).await?.flatten())
}

/// Whether it is gone, and not another one meanwhile.
async fn delete(
    api: &Api<DynamicObject>,
    wish: &Wish,
    live: &DynamicObject,
    dry_run: bool,
) -> Result<bool, Problem> {
    let preconditions = Preconditions {
        resource_version: live.metadata.resource_version.clone(),
        uid: live.metadata.uid.clone(),
    };
    let params =
        DeleteParams { dry_run, preconditions: Some(preconditions), ..DeleteParams::default() };
    Ok(timely(wish, api.delete(&wish.key.name.name, &params)).await?.is_some())
}

fn unusable(error: &serde_json::Error) -> Problem {
    Problem::new(INVALID_DOCUMENTS, error.to_string())
}

/// What is sent, without what only a server can say, as of an object that was there once.
fn created(sent: &Value) -> serde_json::Result<DynamicObject> {
    let mut object = sent.clone();
    if let Some(fields) = object.as_object_mut() {
        fields.remove("status");
    }
    if let Some(metadata) = object["metadata"].as_object_mut() {
        metadata.retain(|name, _| {
            matches!(name.as_str(), "name" | "namespace" | "labels" | "annotations" | "finalizers")
        });
    }
    serde_json::from_value(object)
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

/// Unless somebody has made it another one since.
async fn undo(client: &Client, wish: &Wish, step: &Step) -> Result<(), Problem> {
    let api = api(client, wish);
    let params = PostParams { field_manager: Some(MANAGER.into()), ..PostParams::default() };
    let document = |object: &Option<DynamicObject>| {
        object.as_ref().and_then(|live| Some(read(wish, live)?.meta().document.clone()))
    };
    for _ in 0..TRIES {
        let live = look(&api, wish).await?;
        if document(&live) != document(&step.is) {
            break;
        }
        let done = match (&step.was, &live) {
            (None, None) => true,
            (None, Some(live)) => delete(&api, wish, live, false).await?,
            (Some(was), Some(live)) => {
                let mut was = was.clone();
                was.metadata.resource_version = live.metadata.resource_version.clone();
                let replaced = api.replace(&wish.key.name.name, &params, &was);
                timely(wish, replaced).await?.is_some()
            }
            (Some(was), None) => {
                let mut was = was.clone();
                (was.metadata.resource_version, was.metadata.uid) = (None, None);
                timely(wish, api.create(&params, &was)).await?.is_some()
            }
        };
        if done {
            return Ok(());
        }
    }
    Err(stale(wish, None))
}
