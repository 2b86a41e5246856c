//! What volumes hold, and how it gets onto the disk.

use std::collections::BTreeMap;
use std::fs::Permissions;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{
    ConfigMap, DownwardAPIVolumeFile, KeyToPath, Pod, Secret, ServiceAccount,
    ServiceAccountTokenProjection, Volume,
};
use kube::Client;
use kube::api::{Api, PostParams};
use kube::runtime::reflector::{ObjectRef, Store};
use tokio::sync::watch;

use crate::follow::follow;
use crate::plan::{Facts, Waiting, field_of};

/// All Secrets and ConfigMaps of the cluster as they are now.
pub(crate) struct Sources {
    secrets: Store<Secret>,
    config_maps: Store<ConfigMap>,
    changed: watch::Receiver<()>,
}

impl Sources {
    pub(crate) async fn watch(client: &Client) -> anyhow::Result<Self> {
        let (sender, changed) = watch::channel(());
        let secrets = follow(Api::all(client.clone()), sender.clone());
        let config_maps = follow(Api::all(client.clone()), sender);
        secrets.wait_until_ready().await.context("the watch of Secrets ended")?;
        config_maps.wait_until_ready().await.context("the watch of ConfigMaps ended")?;
        Ok(Self { secrets, config_maps, changed })
    }

    pub(crate) fn changes(&self) -> watch::Receiver<()> {
        self.changed.clone()
    }

    /// Everything that a pod names: its volumes and variables.
    fn objects(&self, pod: &Pod) -> Objects {
        let namespace = pod.metadata.namespace.clone().unwrap_or_default();
        let mut objects = Objects::default();
        for name in names(pod) {
            if let Some(found) = self.secrets.get(&ObjectRef::new(&name).within(&namespace)) {
                let data =
                    found.data.iter().flatten().map(|(key, value)| (key.clone(), value.0.clone()));
                objects.secrets.insert(name.clone(), data.collect());
            }
            if let Some(found) = self.config_maps.get(&ObjectRef::new(&name).within(&namespace)) {
                let text = found
                    .data
                    .iter()
                    .flatten()
                    .map(|(key, value)| (key.clone(), value.clone().into_bytes()));
                let binary = found
                    .binary_data
                    .iter()
                    .flatten()
                    .map(|(key, value)| (key.clone(), value.0.clone()));
                objects.config_maps.insert(name, text.chain(binary).collect());
            }
        }
        objects
    }
}

/// Names of Secrets and ConfigMaps that the pod refers to. One of the other kind with the same name does no harm.
fn names(pod: &Pod) -> Vec<String> {
    let mut names = Vec::new();
    let Some(spec) = &pod.spec else { return names };
    for volume in spec.volumes.iter().flatten() {
        names.extend(volume.secret.iter().filter_map(|secret| secret.secret_name.clone()));
        names.extend(volume.config_map.iter().map(|map| map.name.clone()));
        for source in
            volume.projected.iter().flat_map(|projected| projected.sources.iter().flatten())
        {
            names.extend(source.secret.iter().map(|secret| secret.name.clone()));
            names.extend(source.config_map.iter().map(|map| map.name.clone()));
        }
    }
    for container in spec.init_containers.iter().flatten().chain(&spec.containers) {
        for from in container.env_from.iter().flatten() {
            names.extend(from.secret_ref.iter().map(|secret| secret.name.clone()));
            names.extend(from.config_map_ref.iter().map(|map| map.name.clone()));
        }
        for from in
            container.env.iter().flatten().filter_map(|variable| variable.value_from.as_ref())
        {
            names.extend(from.secret_key_ref.iter().map(|key| key.name.clone()));
            names.extend(from.config_map_key_ref.iter().map(|key| key.name.clone()));
        }
    }
    names
}

type Data = BTreeMap<String, Vec<u8>>;

/// What a pod refers to, as far as it is there.
#[derive(Default)]
pub(crate) struct Objects {
    secrets: BTreeMap<String, Data>,
    config_maps: BTreeMap<String, Data>,
    tokens: BTreeMap<String, String>,
}

impl Objects {
    pub(crate) fn secret(&self, name: &str) -> Option<&Data> {
        self.secrets.get(name)
    }

    pub(crate) fn config_map(&self, name: &str) -> Option<&Data> {
        self.config_maps.get(name)
    }

    #[cfg(test)]
    pub(crate) fn add_secret<const N: usize>(&mut self, name: &str, data: [(&str, &str); N]) {
        let data = data.into_iter().map(|(key, value)| (key.to_owned(), value.as_bytes().to_vec()));
        self.secrets.insert(name.to_owned(), data.collect());
    }
}

/// The volumes of one pod on the disk.
#[derive(Default)]
pub(crate) struct Volumes {
    tokens: BTreeMap<String, Token>,
    written: BTreeMap<String, Data>,
    generation: u64,
}

struct Token {
    text: String,
    renew: Instant,
}

impl Volumes {
    /// What the pod refers to, with tokens that are valid for some time.
    pub(crate) async fn gather(
        &mut self,
        client: &Client,
        sources: &Sources,
        pod: &Pod,
    ) -> Result<Objects, Waiting> {
        let mut objects = sources.objects(pod);
        let now = Instant::now();
        for wanted in token_projections(pod) {
            let key = token_key(wanted);
            if self.tokens.get(&key).is_none_or(|token| token.renew <= now) {
                let token = request_token(client, pod, wanted).await.map_err(|failure| {
                    Waiting::config(format!("no token of the ServiceAccount: {failure}"))
                })?;
                self.tokens.insert(key.clone(), token);
            }
            objects.tokens.insert(key.clone(), self.tokens[&key].text.clone());
        }
        Ok(objects)
    }

    /// Writes what differs from the last time, below `folder`.
    pub(crate) fn write(&mut self, folder: &Path, facts: &Facts<'_>) -> Result<(), Waiting> {
        for volume in facts.pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten()) {
            let place = folder.join(&volume.name);
            let done = match contents(volume, facts)? {
                // For all users, as a kubelet makes it.
                Contents::Scratch => std::fs::create_dir_all(&place)
                    .and_then(|()| std::fs::set_permissions(&place, Permissions::from_mode(0o777))),
                Contents::Machine(path) if place.is_symlink() => {
                    debug_assert_eq!(
                        std::fs::read_link(&place).ok().as_deref(),
                        Some(path.as_ref())
                    );
                    Ok(())
                }
                Contents::Machine(path) => symlink(path, &place),
                Contents::Files(files) if self.written.get(&volume.name) == Some(&files) => Ok(()),
                Contents::Files(files) => {
                    self.generation += 1;
                    let done = replace(&place, &files, self.generation);
                    self.written.insert(volume.name.clone(), files);
                    done
                }
            };
            done.map_err(|failure| Waiting::config(format!("volume {}: {failure}", volume.name)))?;
        }
        Ok(())
    }
}

fn token_projections(pod: &Pod) -> impl Iterator<Item = &ServiceAccountTokenProjection> {
    let volumes = pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten());
    let sources =
        volumes.filter_map(|volume| volume.projected.as_ref()?.sources.as_ref()).flatten();
    sources.filter_map(|source| source.service_account_token.as_ref())
}

fn token_key(wanted: &ServiceAccountTokenProjection) -> String {
    format!(
        "{}/{}",
        wanted.audience.as_deref().unwrap_or_default(),
        wanted.expiration_seconds.unwrap_or_default()
    )
}

async fn request_token(
    client: &Client,
    pod: &Pod,
    wanted: &ServiceAccountTokenProjection,
) -> Result<Token, kube::Error> {
    let account = pod
        .spec
        .as_ref()
        .and_then(|spec| spec.service_account_name.clone())
        .unwrap_or_else(|| "default".into());
    let api: Api<ServiceAccount> =
        Api::namespaced(client.clone(), pod.metadata.namespace.as_deref().unwrap_or_default());
    let expiry = wanted.expiration_seconds.unwrap_or(3600);
    let mut request = TokenRequest {
        spec: TokenRequestSpec {
            audiences: wanted.audience.iter().cloned().collect(),
            expiration_seconds: Some(expiry),
            ..Default::default()
        },
        ..Default::default()
    };
    // A token that dies with its pod, as a kubelet's do.
    request.spec.bound_object_ref =
        Some(k8s_openapi::api::authentication::v1::BoundObjectReference {
            api_version: Some("v1".into()),
            kind: Some("Pod".into()),
            name: pod.metadata.name.clone(),
            uid: pod.metadata.uid.clone(),
        });
    let made: TokenRequest =
        api.create_subresource("token", &account, &PostParams::default(), &request).await?;
    let text = made.status.map(|status| status.token).unwrap_or_default();
    let life = Duration::from_secs(u64::try_from(expiry).unwrap_or(3600));
    Ok(Token { text, renew: Instant::now() + life * 4 / 5 })
}

#[derive(Debug, PartialEq)]
enum Contents {
    /// A folder that is the pod's own.
    Scratch,
    /// A path of the machine.
    Machine(String),
    Files(Data),
}

fn contents(volume: &Volume, facts: &Facts<'_>) -> Result<Contents, Waiting> {
    let mut files = Data::new();
    if volume.empty_dir.is_some() {
        return Ok(Contents::Scratch);
    } else if let Some(path) = &volume.host_path {
        return Ok(Contents::Machine(path.path.clone()));
    } else if let Some(secret) = &volume.secret {
        let name = secret.secret_name.as_deref().unwrap_or_default();
        pick(
            &mut files,
            name,
            facts.objects.secret(name),
            secret.items.as_deref(),
            secret.optional,
        )?;
    } else if let Some(map) = &volume.config_map {
        pick(
            &mut files,
            &map.name,
            facts.objects.config_map(&map.name),
            map.items.as_deref(),
            map.optional,
        )?;
    } else if let Some(fields) = &volume.downward_api {
        pick_fields(&mut files, fields.items.iter().flatten(), facts)?;
    } else if let Some(projected) = &volume.projected {
        for source in projected.sources.iter().flatten() {
            if let Some(secret) = &source.secret {
                let data = facts.objects.secret(&secret.name);
                pick(&mut files, &secret.name, data, secret.items.as_deref(), secret.optional)?;
            }
            if let Some(map) = &source.config_map {
                let data = facts.objects.config_map(&map.name);
                pick(&mut files, &map.name, data, map.items.as_deref(), map.optional)?;
            }
            if let Some(fields) = &source.downward_api {
                pick_fields(&mut files, fields.items.iter().flatten(), facts)?;
            }
            if let Some(token) = &source.service_account_token {
                let text = facts.objects.tokens.get(&token_key(token)).cloned().unwrap_or_default();
                files.insert(token.path.clone(), text.into_bytes());
            }
        }
    } else {
        return Err(Waiting::config(format!(
            "volume {}: a kind that the bed does not know",
            volume.name
        )));
    }
    Ok(Contents::Files(files))
}

fn pick(
    files: &mut Data,
    name: &str,
    data: Option<&Data>,
    items: Option<&[KeyToPath]>,
    optional: Option<bool>,
) -> Result<(), Waiting> {
    let optional = optional == Some(true);
    let Some(data) = data else {
        return if optional {
            Ok(())
        } else {
            Err(Waiting::config(format!("{name} is not there")))
        };
    };
    let Some(items) = items.filter(|items| !items.is_empty()) else {
        files.extend(data.clone());
        return Ok(());
    };
    for item in items {
        match data.get(&item.key) {
            Some(value) => _ = files.insert(item.path.clone(), value.clone()),
            None if optional => {}
            None => return Err(Waiting::config(format!("{name} has no {}", item.key))),
        }
    }
    Ok(())
}

fn pick_fields<'a>(
    files: &mut Data,
    items: impl Iterator<Item = &'a DownwardAPIVolumeFile>,
    facts: &Facts<'_>,
) -> Result<(), Waiting> {
    for item in items {
        let field = item.field_ref.as_ref();
        let field = field.ok_or_else(|| {
            Waiting::config(format!("{}: only fields of the pod are known", item.path))
        })?;
        files.insert(item.path.clone(), field_of(facts, &field.field_path)?.into_bytes());
    }
    Ok(())
}

/// Puts a new state of a volume in place of the old one in a single step, as a kubelet does: each file is a link by way of
/// `..data`, which is a link to a folder of one generation. Programs that watch for this see it happen here too.
///
/// Modes of files are left as they are: all users may read them.
fn replace(place: &Path, files: &Data, generation: u64) -> std::io::Result<()> {
    let data = place.join("..data");
    let old = std::fs::read_link(&data).ok();
    let name = format!("..{generation}");
    for (path, bytes) in files {
        let file = place.join(&name).join(path);
        std::fs::create_dir_all(file.parent().unwrap_or(place))?;
        std::fs::write(file, bytes)?;
    }
    std::fs::create_dir_all(place.join(&name))?;
    let next = place.join("..data_next");
    symlink(&name, &next)?;
    std::fs::rename(&next, &data)?;

    let top = |path: &str| path.split('/').next().unwrap_or(path).to_owned();
    let wanted: std::collections::BTreeSet<String> = files.keys().map(|path| top(path)).collect();
    for name in &wanted {
        if !place.join(name).is_symlink() {
            symlink(Path::new("..data").join(name), place.join(name))?;
        }
    }
    for entry in std::fs::read_dir(place)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if !name.starts_with("..") && !wanted.contains(&name) {
            std::fs::remove_file(entry.path())?;
        }
    }
    if let Some(old) = old {
        std::fs::remove_dir_all(place.join(old))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
