use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use model::NacosOptions;
use serde_json::json;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use super::Error;
use super::http::{Api, PAGE};
use super::key::{DEFAULT_GROUP, Key, PUBLIC, namespace_id};
use super::login::About;
use super::message::{Answer, ServiceList, kind};
use super::session::Session;

/// A new service is seen within two of these.
const EACH: Duration = Duration::from_millis(800);
/// Where the count of services has not changed, the list itself is read only so often.
const FULL_EACH: Duration = Duration::from_secs(15);
const GRPC_PAGE: usize = 5000;
pub(super) const MAX_GROUPS: usize = 1000;
/// How long HTTP is waited for before a session does without it.
const HTTP_PATIENCE: Duration = Duration::from_secs(8);
/// More services than any Nacos has been seen with. The rest is left out and told.
const MAX_SERVICES: usize = 200_000;
const MAX_NAME: usize = 1024;
/// So many failures in a row are trouble; one alone is a hiccup.
const PATIENCE: u32 = 3;

/// All services there are, as far as is known.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Names {
    pub(super) keys: Arc<BTreeSet<Key>>,
    /// Why the list may be old.
    pub(super) trouble: Option<String>,
    /// Why the list is not all there is, and what to do about it.
    pub(super) note: Option<(String, String)>,
}

/// Finds the services: Nacos tells of a known service by push, but not of one that is new.
pub(super) struct Lister {
    session: Arc<Session>,
    namespaces: Vec<Arc<str>>,
    /// Empty: all.
    groups: Vec<Arc<str>>,
    ways: BTreeMap<Arc<str>, Way>,
    last: BTreeMap<(Arc<str>, Arc<str>), Listed>,
    note: Option<(String, String)>,
}

/// Those that are wanted, each once.
pub(super) fn namespaces(options: &NacosOptions) -> Vec<Arc<str>> {
    let mut namespaces: Vec<_> = options.namespaces.iter().map(|n| namespace_id(n)).collect();
    if namespaces.is_empty() {
        namespaces.push(PUBLIC.into());
    }
    namespaces.sort();
    namespaces.dedup();
    namespaces
}

/// How the services of a namespace are listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// Over gRPC, group by group, as the document names them.
    Groups,
    /// Over HTTP, all groups at once: gRPC has no list without a group.
    Http(Api),
    /// Over gRPC, in the groups that the fuzzy watch told of.
    Watched,
}

/// What was found in one group; in all of them, for `Way::Http`.
struct Listed {
    keys: BTreeSet<Key>,
    read: Instant,
    /// More than one page: then a name may be missed when names move between pages.
    paged: bool,
    /// Whether the server's count is that of all. Nacos before 2.4 counts the page.
    counts: bool,
}

impl Lister {
    pub(super) fn new(session: Arc<Session>, options: &NacosOptions) -> Self {
        Self {
            session,
            namespaces: namespaces(options),
            groups: options.groups.clone(),
            ways: BTreeMap::new(),
            last: BTreeMap::new(),
            note: None,
        }
    }

    /// Lists again and again, until dropped.
    pub(super) async fn watch(mut self, names: watch::Sender<Names>) {
        let mut failed = 0;
        loop {
            let _ = timeout(EACH, self.session.names_changed()).await;
            match self.list().await {
                Ok(found) => {
                    failed = 0;
                    names.send_if_modified(|names| {
                        let differs = *names != found;
                        if differs {
                            *names = found;
                        }
                        differs
                    });
                }
                Err(error) => {
                    failed += 1;
                    if failed >= PATIENCE {
                        let text = format!("the list of services: {}", error.chain());
                        names.send_if_modified(|names| {
                            let differs = names.trouble.as_ref() != Some(&text);
                            names.trouble = Some(text);
                            differs
                        });
                        sleep(EACH * failed.min(10)).await;
                    }
                }
            }
        }
    }

    pub(super) async fn list(&mut self) -> Result<Names, Error> {
        let mut keys = BTreeSet::new();
        for namespace in self.namespaces.clone() {
            let way = self.way(&namespace).await?;
            if let Way::Http(api) = way {
                self.refresh(&namespace, &"".into(), Some(api)).await?;
                keys.extend(self.found(&namespace, &"".into()));
                continue;
            }
            for group in self.groups_of(&namespace, way) {
                self.refresh(&namespace, &group, None).await?;
                keys.extend(self.found(&namespace, &group));
            }
        }
        let mut note = self.note.clone();
        if keys.len() > MAX_SERVICES {
            keys = keys.into_iter().take(MAX_SERVICES).collect();
            let text = format!("more than {MAX_SERVICES} services; the rest is left out");
            note = Some((text, "name the namespaces and groups that are wanted".into()));
        }
        Ok(Names { keys: Arc::new(keys), trouble: None, note })
    }

    fn groups_of(&self, namespace: &Arc<str>, way: Way) -> Vec<Arc<str>> {
        if way == Way::Groups && !self.groups.is_empty() {
            return self.groups.clone();
        }
        let mut groups: BTreeSet<Arc<str>> = [DEFAULT_GROUP.into()].into();
        let told = self.session.groups_told();
        groups.extend(told.into_iter().filter(|(n, _)| n == namespace).map(|(_, group)| group));
        groups.into_iter().collect()
    }

    fn found(&self, namespace: &Arc<str>, group: &Arc<str>) -> Vec<Key> {
        let listed = self.last.get(&(namespace.clone(), group.clone()));
        listed.map(|listed| listed.keys.iter().cloned().collect()).unwrap_or_default()
    }

    /// Found out once in a session, and only by clear answers: a guess after a hiccup would lose whole groups.
    async fn way(&mut self, namespace: &Arc<str>) -> Result<Way, Error> {
        if let Some(way) = self.ways.get(namespace) {
            return Ok(*way);
        }
        let watched = self.session.has_fuzzy_watch() && self.start_watch(namespace).await;
        let way = if self.groups.is_empty() {
            self.way_to_all_groups(namespace, watched).await?
        } else {
            Way::Groups
        };
        tracing::debug!(%namespace, ?way, "how Nacos' services are listed");
        self.ways.insert(namespace.clone(), way);
        Ok(way)
    }

    async fn way_to_all_groups(&mut self, namespace: &str, watched: bool) -> Result<Way, Error> {
        let until = Instant::now() + HTTP_PATIENCE;
        let refused = loop {
            match self.http_way(namespace).await {
                Ok(Ok(api)) => return Ok(Way::Http(api)),
                Ok(Err(refused)) => break refused,
                // Just after its start Nacos serves gRPC before HTTP.
                Err(_) if Instant::now() < until => sleep(EACH).await,
                Err(error) if !watched => return Err(error),
                Err(error) => break error,
            }
        };
        if watched {
            // The groups come as pushes, soon after the answer.
            let _ = timeout(Duration::from_secs(2), self.session.names_changed()).await;
            sleep(Duration::from_millis(200)).await;
            return Ok(Way::Watched);
        }
        let text = format!(
            "the groups of namespace {namespace} cannot be listed, only {DEFAULT_GROUP} is read: {}",
            refused.chain()
        );
        let hint = "write the groups into spec.nacos.groups, or let the login list services";
        self.note = Some((text, hint.into()));
        Ok(Way::Groups)
    }

    /// The paths that this server has and lets us use, or its clear no. Everything else is a hiccup, and an error.
    async fn http_way(&self, namespace: &str) -> Result<Result<Api, Error>, Error> {
        let mut last = None;
        for api in [Api::V3, Api::V1] {
            match self.http_page(api, namespace, 1, 1).await {
                Ok(_) => return Ok(Ok(api)),
                Err(
                    no @ (Error::Refused(_)
                    | Error::HttpStatus { status: 404 | 405 | 410 | 501, .. }),
                ) => {
                    // That it may not is more telling than that another path is not there.
                    if !matches!(last, Some(Error::Refused(_))) {
                        last = Some(no);
                    }
                }
                Err(error) => return Err(error),
            }
        }
        Ok(Err(last.unwrap_or(Error::HttpStatus { what: "list of services", status: 404 })))
    }

    /// The server then says that names have changed, in place of the next poll. It says so of 500 services a pattern at
    /// most, which is why polling goes on.
    async fn start_watch(&self, namespace: &str) -> bool {
        let body = json!({
            "module": "naming",
            "namespace": namespace,
            "groupKeyPattern": format!("{namespace}>>*>>*"),
            "watchType": "WATCH",
            "initializing": true,
            "receivedGroupKeys": [],
        });
        let about = About::Nothing;
        let answer =
            self.session.request::<Answer>("fuzzy watch", kind::FUZZY_WATCH, about, &body).await;
        if let Err(error) = &answer {
            tracing::debug!(error = %error.chain(), "no fuzzy watch");
        }
        answer.is_ok()
    }

    /// Reads one group, or all of them over HTTP.
    async fn refresh(
        &mut self,
        namespace: &Arc<str>,
        group: &Arc<str>,
        api: Option<Api>,
    ) -> Result<(), Error> {
        let slot = (namespace.clone(), group.clone());
        if let Some(last) = self.last.get(&slot)
            && last.counts
            && last.read.elapsed() < FULL_EACH
            && self.page(namespace, group, api, 1, 1).await?.0 == last.keys.len()
        {
            return Ok(());
        }
        let mut listed = self.full(namespace, group, api).await?;
        let missing = self.last.get(&slot).is_some_and(|last| !last.keys.is_subset(&listed.keys));
        if missing && listed.paged {
            // A name that moved to a page that had been read is not gone: gone is what is missing twice.
            listed.keys.extend(self.full(namespace, group, api).await?.keys);
        }
        self.last.insert(slot, listed);
        Ok(())
    }

    async fn full(
        &self,
        namespace: &Arc<str>,
        group: &Arc<str>,
        api: Option<Api>,
    ) -> Result<Listed, Error> {
        let size = if api.is_some() { PAGE } else { GRPC_PAGE };
        let mut keys = BTreeSet::new();
        let mut total = 0;
        let mut pages = 0;
        loop {
            pages += 1;
            let (count, page) = self.page(namespace, group, api, pages, size).await?;
            let full = page.len() >= size;
            let before = keys.len();
            total = total.max(count);
            keys.extend(page.into_iter().filter(|key| key.name.len() <= MAX_NAME));
            // A server that gives smaller pages than asked for says by its count that there is more.
            let more = full || (total > keys.len() && keys.len() > before && api.is_some());
            if !more || keys.len() == before || keys.len() > MAX_SERVICES {
                break;
            }
        }
        let counts = total == keys.len() && (pages > 1 || api.is_some());
        Ok(Listed { keys, read: Instant::now(), paged: pages > 1, counts })
    }

    async fn page(
        &self,
        namespace: &Arc<str>,
        group: &Arc<str>,
        api: Option<Api>,
        page: usize,
        size: usize,
    ) -> Result<(usize, Vec<Key>), Error> {
        if let Some(api) = api {
            return self.http_page(api, namespace, page, size).await;
        }
        let body = json!({
            "module": "naming",
            "namespace": &**namespace,
            "groupName": &**group,
            "serviceName": "",
            "pageNo": page,
            "pageSize": size,
        });
        let about = About::Nothing;
        let list: ServiceList =
            self.session.request("list of services", kind::SERVICE_LIST, about, &body).await?;
        let names = list.service_names.unwrap_or_default();
        let keys = names.iter().map(|name| Key::new(namespace, group, name)).collect();
        Ok((list.count.and_then(|count| usize::try_from(count).ok()).unwrap_or_default(), keys))
    }

    async fn http_page(
        &self,
        api: Api,
        namespace: &str,
        page: usize,
        size: usize,
    ) -> Result<(usize, Vec<Key>), Error> {
        let credentials = self.session.credentials();
        let address = self.session.address();
        let ask = async || {
            let token = credentials.token().await?;
            credentials.http().services(api, address, token.as_deref(), namespace, page, size).await
        };
        let (count, items) = match ask().await {
            Err(error) if error.is_refused() && credentials.forget().await => ask().await?,
            other => other?,
        };
        let keys = items.iter().map(|item| Key::new(namespace, &item.group_name, &item.name));
        Ok((count, keys.collect()))
    }
}
