//! Which kinds the API server has, in which version.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use kube::api::{ApiResource, DynamicObject, GroupVersionKind, PartialObjectMeta};
use kube::runtime::watcher::{self, Config, Event};
use kube::{Api, Client};
use model::{GatewayApi, Kind};
use tokio::sync::{Notify, mpsc};

use super::is_built_in;
use super::object::Raw;
use super::watch::Trouble;

/// New kinds are told by a watch where that is permitted, and found out by this otherwise.
const EVERY: Duration = Duration::from_secs(30);
const EVERY_WHILE_UNSURE: Duration = Duration::from_secs(1);
/// After a server has started, there is a short time in which it does not know all of its kinds yet. So many looks in a
/// row must miss a kind where nothing else says that it is gone.
const MISSES: u32 = 2;
const MISSES_OF_ONE_IN_USE: u32 = 10;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    Served(&'static str),
    Off,
}

pub(super) struct Discovery {
    pub(super) client: Client,
    /// Those that are read.
    pub(super) kinds: Vec<Kind>,
    /// Somebody has reason to look again.
    pub(super) again: Arc<Notify>,
    pub(super) out: mpsc::Sender<Found>,
}

/// What is different from what was told before.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) kinds: Vec<(Kind, Standing)>,
    pub(super) gateway_api: Option<GatewayApi>,
}

/// The definition that stands for all of Gateway API, and what it says in its annotations.
const DEFINITION: &str = "gatewayclasses.gateway.networking.k8s.io";
const VERSION: &str = "gateway.networking.k8s.io/bundle-version";
const CHANNEL: &str = "gateway.networking.k8s.io/channel";

/// What the CustomResourceDefinition of a kind says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Definition {
    /// There is none, or none with a version that is read here.
    Absent,
    /// It will be served, or is already.
    Present,
    /// Nobody may ask.
    Unknown,
}

impl Discovery {
    /// Tells what is different, at first everything. Runs until nobody listens.
    pub(super) async fn run(self) {
        let mut told: BTreeMap<Kind, Standing> = BTreeMap::new();
        let mut misses: HashMap<Kind, u32> = HashMap::new();
        let mut api = None;
        loop {
            let mut unsure = true;
            if let Ok(found) = self.look().await {
                unsure = false;
                let mut news = Vec::new();
                for kind in self.kinds.iter().copied() {
                    let standing = match found.get(&kind) {
                        Some(version) => {
                            misses.remove(&kind);
                            Standing::Served(version)
                        }
                        None if told.get(&kind) == Some(&Standing::Off) => Standing::Off,
                        None => {
                            let missed = misses.entry(kind).or_default();
                            *missed += 1;
                            let most = if told.contains_key(&kind) {
                                MISSES_OF_ONE_IN_USE
                            } else {
                                MISSES
                            };
                            let gone = match self.definition(kind).await {
                                Definition::Absent => true,
                                Definition::Unknown => *missed >= most,
                                // What is in use is kept; at start the others do not wait for ever.
                                Definition::Present => {
                                    !told.contains_key(&kind) && *missed >= MISSES_OF_ONE_IN_USE
                                }
                            };
                            if !gone {
                                unsure = true;
                                continue;
                            }
                            Standing::Off
                        }
                    };
                    if told.insert(kind, standing) != Some(standing) {
                        news.push((kind, standing));
                    }
                }
                let mut found = Found { kinds: news, gateway_api: None };
                if let Some(now) = self.gateway_api().await
                    && api.as_ref() != Some(&now)
                {
                    api = Some(now.clone());
                    found.gateway_api = Some(now);
                }
                let news = !found.kinds.is_empty() || found.gateway_api.is_some();
                if news && self.out.send(found).await.is_err() {
                    return;
                }
            }
            let pause = if unsure { EVERY_WHILE_UNSURE } else { EVERY };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.again.notified() => {}
                () = self.out.closed() => return,
            }
        }
    }

    /// The best version of each kind that is served.
    async fn look(&self) -> Result<BTreeMap<Kind, &'static str>, kube::Error> {
        let mut found: BTreeMap<Kind, &'static str> = BTreeMap::new();
        let mut lists: HashMap<String, BTreeSet<String>> = HashMap::new();
        for kind in self.kinds.iter().copied() {
            if is_built_in(kind) {
                found.insert(kind, kinds::versions(kind)[0]);
                continue;
            }
            for version in kinds::versions(kind) {
                let group_version = format!("{}/{version}", kind.group());
                if !lists.contains_key(&group_version) {
                    let names = match self.client.list_api_group_resources(&group_version).await {
                        Ok(list) => list.resources.into_iter().map(|r| r.name).collect(),
                        Err(kube::Error::Api(status)) if status.code == 404 => BTreeSet::new(),
                        Err(error) => return Err(error),
                    };
                    lists.insert(group_version.clone(), names);
                }
                if lists[&group_version].contains(kind.plural()) {
                    found.insert(kind, version);
                    break;
                }
            }
        }
        Ok(found)
    }

    /// `None` where it is not there, or nobody may ask.
    async fn gateway_api(&self) -> Option<GatewayApi> {
        let api = definitions::<PartialObjectMeta<DynamicObject>>(&self.client);
        let found = api.get_metadata_opt(DEFINITION).await.ok()??;
        let annotations = found.metadata.annotations.unwrap_or_default();
        Some(GatewayApi {
            version: annotations.get(VERSION)?.as_str().into(),
            experimental: annotations.get(CHANNEL).is_some_and(|name| name == "experimental"),
        })
    }

    async fn definition(&self, kind: Kind) -> Definition {
        let name = format!("{}.{}", kind.plural(), kind.group());
        match definitions::<Raw>(&self.client).get_opt(&name).await {
            Ok(None) => Definition::Absent,
            Ok(Some(raw)) => {
                let versions = raw.json["spec"]["versions"].as_array();
                let served = versions.into_iter().flatten().any(|version| {
                    let known = version["name"].as_str();
                    version["served"] == true
                        && known.is_some_and(|name| kinds::versions(kind).contains(&name))
                });
                if served { Definition::Present } else { Definition::Absent }
            }
            Err(_) => Definition::Unknown,
        }
    }
}

/// Has kinds looked for again whenever a definition of ours comes, changes or goes. Runs until it is dropped.
pub(super) async fn follow_definitions(client: Client, again: Arc<Notify>) {
    loop {
        let api = definitions::<PartialObjectMeta<DynamicObject>>(&client);
        let mut events = pin!(watcher::watcher(api, Config::default()));
        let pause = loop {
            match events.next().await {
                Some(Ok(Event::Apply(object) | Event::Delete(object))) => {
                    let name = object.metadata.name.unwrap_or_default();
                    let ours = |kind: &Kind| {
                        !is_built_in(*kind) && name == format!("{}.{}", kind.plural(), kind.group())
                    };
                    if Kind::ALL.iter().any(ours) {
                        again.notify_one();
                    }
                }
                Some(Ok(Event::Init | Event::InitApply(_) | Event::InitDone)) => {}
                Some(Err(error)) => match Trouble::of_watch(&error) {
                    // What is looked for from time to time is found too.
                    Trouble::Forbidden { .. } => break EVERY,
                    _ => break EVERY_WHILE_UNSURE,
                },
                None => break EVERY_WHILE_UNSURE,
            }
        };
        tokio::time::sleep(pause).await;
        // Something may have come or gone meanwhile.
        again.notify_one();
    }
}

fn definitions<K>(client: &Client) -> Api<K>
where
    K: kube::Resource<DynamicType = ApiResource>,
{
    let named = GroupVersionKind::gvk("apiextensions.k8s.io", "v1", "CustomResourceDefinition");
    let resource = ApiResource::from_gvk_with_plural(&named, "customresourcedefinitions");
    Api::all_with(client.clone(), &resource)
}
