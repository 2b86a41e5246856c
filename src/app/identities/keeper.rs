//! Where the CA is kept: in a Secret of the cluster, which all replicas read and which only changes from the version that
//! the writer has seen; without Kubernetes in the state folder, sealed; or nowhere, where files are given.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context as _;
use futures::StreamExt as _;
use identity::{Kept, Signer, Times};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, ObjectMeta, PostParams};
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, Event};
use revision::store::SealedFile;
use tokio::sync::mpsc;

use crate::reload::{Contents, Watched};
use crate::settings::Settings;

/// The sealed file's name in the state folder.
const FILE: &str = "ca.sealed";
const SIZE: usize = 8;

/// What is heard of the CA.
#[derive(Debug)]
pub(crate) enum Found {
    /// With the version of the Secret, where it is one.
    Kept(Kept, String),
    /// There is none yet.
    Nothing,
    /// Files that an operator keeps.
    Given(Box<Signer>),
    /// It cannot be read, and why; `None` once it can be.
    Trouble(Option<String>),
}

/// What became of a write.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Saved {
    /// With the new version.
    Done(String),
    /// Another replica was faster: what it wrote will be heard.
    Stale,
}

#[expect(clippy::large_enum_variant, reason = "there is one in a process")]
pub(crate) enum Keeper {
    Sealed(Box<SealedFile>),
    /// With a sealed copy, for a start while the API server is away.
    Secret {
        secrets: Api<Secret>,
        name: String,
        copy: Option<Box<SealedFile>>,
    },
    /// Nothing is written.
    Given(mpsc::Sender<Found>, mpsc::Receiver<Found>),
}

impl Keeper {
    pub(crate) fn sealed(settings: &Settings) -> anyhow::Result<Self> {
        Ok(Self::Sealed(file(settings)?))
    }

    /// The Secret of this installation, beside its Lease.
    pub(crate) fn secret(client: &kube::Client, settings: &Settings) -> Self {
        let copy = file(settings);
        if let Err(error) = &copy {
            let error = format!("{error:#}");
            tracing::warn!(error, "no copy of the CA is kept: a start needs the API server");
        }
        Self::Secret {
            secrets: Api::namespaced(client.clone(), client.default_namespace()),
            name: format!("{}-ca", settings.cluster_name),
            copy: copy.ok(),
        }
    }

    /// What stands in the state folder. A file that cannot be used is moved aside.
    pub(super) fn at_hand(&self) -> Result<Option<Kept>, String> {
        let file = match self {
            Self::Sealed(file) | Self::Secret { copy: Some(file), .. } => file,
            Self::Secret { copy: None, .. } | Self::Given(..) => return Ok(None),
        };
        let read = file.read().map_err(|error| text(&error)).and_then(|plain| {
            let kept = plain.map(|plain| serde_json::from_slice::<BTreeMap<_, _>>(&plain));
            kept.transpose().map_err(|_| "it is damaged".into())
        });
        read.map(|kept| kept.map(Kept)).map_err(|why| match file.aside() {
            Ok(moved) => format!("{why}; it was moved to {}", moved.display()),
            Err(error) => format!("{why}; and {}", text(&error)),
        })
    }

    /// Tells what is there from now on. Ends when nobody listens any more.
    pub(super) fn follow(&mut self) -> mpsc::Receiver<Found> {
        let (sender, receiver) = mpsc::channel(SIZE);
        match self {
            Self::Sealed(_) => {}
            Self::Secret { secrets, name, .. } => {
                tokio::spawn(follow(secrets.clone(), name.clone(), sender));
            }
            Self::Given(_, found) => return std::mem::replace(found, receiver),
        }
        receiver
    }

    /// `version` is what was heard last; empty where there was nothing.
    ///
    /// # Errors
    /// When it is not known to be kept: what it says must not be used.
    pub(super) async fn save(&self, kept: &Kept, version: &str) -> Result<Saved, String> {
        match self {
            Self::Sealed(file) => write(file, kept).map(|()| Saved::Done(String::new())),
            Self::Given(..) => Ok(Saved::Done(String::new())),
            Self::Secret { secrets, name, .. } => {
                let data = kept.0.iter().map(|(k, v)| (k.clone(), ByteString(v.clone().into())));
                let labels = [("app.kubernetes.io/managed-by".to_owned(), "isthmus".to_owned())];
                let secret = Secret {
                    metadata: ObjectMeta {
                        name: Some(name.clone()),
                        labels: Some(labels.into()),
                        resource_version: (!version.is_empty()).then(|| version.to_owned()),
                        ..ObjectMeta::default()
                    },
                    data: Some(data.collect()),
                    ..Secret::default()
                };
                let params = PostParams::default();
                let written = match version {
                    "" => secrets.create(&params, &secret).await,
                    _ => secrets.replace(name, &params, &secret).await,
                };
                match written {
                    Ok(secret) => {
                        Ok(Saved::Done(secret.metadata.resource_version.unwrap_or_default()))
                    }
                    Err(kube::Error::Api(answer)) if matches!(answer.code, 404 | 409) => {
                        Ok(Saved::Stale)
                    }
                    Err(error) => Err(format!("Secret {name}: {}", describe(&error))),
                }
            }
        }
    }

    /// Keeps a copy of what was read from the cluster.
    pub(super) fn copy(&self, kept: &Kept) {
        if let Self::Secret { copy: Some(file), .. } = self
            && let Err(error) = write(file, kept)
        {
            tracing::warn!(error, "the copy of the CA could not be written");
        }
    }
}

fn file(settings: &Settings) -> anyhow::Result<Box<SealedFile>> {
    let key_file = settings.state_key_file.as_deref();
    Ok(Box::new(SealedFile::new(&settings.state_dir, key_file, FILE)?))
}

fn write(file: &SealedFile, kept: &Kept) -> Result<(), String> {
    let plain = serde_json::to_vec(&kept.0).map_err(|error| error.to_string())?;
    file.write(&plain).map_err(|error| text(&error))
}

/// The error with its causes.
fn text(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(&format!(": {error}"));
        source = error.source();
    }
    text
}

fn describe(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(answer) => answer.message.clone(),
        error => error.to_string(),
    }
}

async fn follow(secrets: Api<Secret>, name: String, sender: mpsc::Sender<Found>) {
    let config = watcher::Config::default().fields(&format!("metadata.name={name}"));
    let mut events = Box::pin(watcher::watcher(secrets, config).default_backoff());
    let mut seen = false;
    while let Some(event) = events.next().await {
        let found = match event {
            Ok(Event::Init) => {
                seen = false;
                continue;
            }
            Ok(Event::InitApply(secret) | Event::Apply(secret)) => {
                seen = true;
                read(secret)
            }
            Ok(Event::InitDone) if seen => Found::Trouble(None),
            // Deleted under a running mesh: what was known of it is in use, and is written again.
            Ok(Event::InitDone | Event::Delete(_)) => Found::Nothing,
            Err(error) => Found::Trouble(Some(format!("Secret {name}: {}", of_watch(&error)))),
        };
        if sender.send(found).await.is_err() {
            return;
        }
    }
}

/// What went wrong with a watch.
pub(crate) fn of_watch(error: &watcher::Error) -> String {
    match error {
        watcher::Error::InitialListFailed(error)
        | watcher::Error::WatchStartFailed(error)
        | watcher::Error::WatchFailed(error) => describe(error),
        watcher::Error::WatchError(status) => status.message.clone(),
        watcher::Error::NoResourceVersion => error.to_string(),
    }
}

fn read(secret: Secret) -> Found {
    let version = secret.metadata.resource_version.unwrap_or_default();
    let data = secret.data.unwrap_or_default().into_iter();
    let texts = data.filter_map(|(key, bytes)| Some((key, String::from_utf8(bytes.0).ok()?)));
    Found::Kept(Kept(texts.collect()), version)
}

/// The files of a CA that somebody else has made.
pub(crate) fn files(settings: &Settings) -> impl Iterator<Item = &Path> {
    let Settings { mesh_ca_cert, mesh_ca_key, mesh_ca_roots, .. } = settings;
    [mesh_ca_cert, mesh_ca_key, mesh_ca_roots].into_iter().filter_map(Option::as_deref)
}

pub(crate) fn times(settings: &Settings) -> Times {
    let Settings { mesh_leaf_life: leaf, mesh_root_life: root, .. } = *settings;
    Times { leaf, root, ..Times::default() }
}

/// # Errors
/// When the files are no CA.
pub(crate) fn given(settings: &Settings, files: &Contents) -> anyhow::Result<Keeper> {
    let (sender, receiver) = mpsc::channel(SIZE);
    let signer = signer(settings, files)?;
    sender.try_send(Found::Given(Box::new(signer))).context("a bug: the channel is new")?;
    Ok(Keeper::Given(sender, receiver))
}

fn signer(settings: &Settings, files: &Contents) -> anyhow::Result<Signer> {
    let text =
        |path: &Option<std::path::PathBuf>| path.as_deref().map_or(Ok(""), |path| files.text(path));
    let chain = format!("{}\n{}", text(&settings.mesh_ca_cert)?, text(&settings.mesh_ca_roots)?);
    identity::given(&chain, text(&settings.mesh_ca_key)?).context("mesh-ca-cert and mesh-ca-key")
}

/// One that is replaced is taken over step by step.
pub(crate) fn watch_given(
    settings: &Settings,
    first: &Contents,
    keeper: &Keeper,
) -> Option<Watched> {
    let Keeper::Given(sender, _) = keeper else { return None };
    let (settings, sender) = (settings.clone(), sender.clone());
    Some(Watched::new("mesh CA", first, move |files| {
        let signer = signer(&settings, files)?;
        sender.blocking_send(Found::Given(Box::new(signer))).context("the server ends")
    }))
}
