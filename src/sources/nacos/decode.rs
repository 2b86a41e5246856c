use std::collections::BTreeMap;
use std::sync::Arc;

use model::{EndpointHealth, Locality, RegistryService, RegistryServiceId, codes};

use super::key::Key;
use super::message::{HostEntry, NacosInstance, ServiceInfo};
use crate::dubbo::{self, Application, Revision, Storage, provider_key};
use crate::registry::{Allow, RawInstance, RawService};
use crate::triple::{Lesson, TEACHERS, Teacher};

/// The cluster of an instance that names none: no place.
const DEFAULT_CLUSTER: &str = "DEFAULT";
/// Marks what a mesh registered itself: it is never read back, else it would be its own upstream.
pub(super) const ORIGIN: &str = "isthmus.dev/origin";
/// The largest metadata of one instance that is looked at.
const MAX_METADATA: usize = 256 * 1024;
/// The most instances of one service that are taken.
const MAX_INSTANCES: usize = 100_000;

/// The metadata of Dubbo applications, by application and revision.
pub(super) type Revisions = BTreeMap<Lesson, Arc<Revision>>;

/// What else a service is read by.
pub(super) struct About<'a> {
    pub(super) allow: &'a Allow,
    pub(super) revisions: &'a Revisions,
    /// Whether a revision is about to be told: its instances wait, for they may have a tag that keeps traffic away.
    pub(super) is_soon: &'a dyn Fn(&Lesson) -> bool,
}

/// What Nacos says of one service, as the model has it.
pub(super) fn service(
    key: &Key,
    id: RegistryServiceId,
    info: &ServiceInfo,
    about: &About<'_>,
    consumers: Vec<Arc<str>>,
) -> RegistryService {
    let About { allow, revisions, is_soon } = about;
    let waits = |host: &NacosInstance| {
        let lesson = lesson(key, host);
        lesson.is_some_and(|lesson| !revisions.contains_key(&lesson) && is_soon(&lesson))
    };
    // Nobody waits where nobody would be left.
    let may_wait = !is_provider(key) && good(info).any(|host| !waits(host));
    let mut raw = RawService::new(id);
    if info.hosts.len() > MAX_INSTANCES {
        let text = format!("{} instances, {MAX_INSTANCES} are taken", info.hosts.len());
        raw.say(codes::REGISTRY_TOO_LARGE, "the service", &text, "split the service");
    }
    for host in info.hosts.iter().take(MAX_INSTANCES) {
        let host = match host {
            HostEntry::Good(host) => host,
            HostEntry::Bad(text) => {
                let hint = "an instance is an object with ip and port; this one gets no traffic";
                raw.say(codes::REGISTRY_DATA, text, "it is no instance", hint);
                continue;
            }
        };
        if host.metadata.contains_key(ORIGIN) || (may_wait && waits(host)) {
            continue;
        }
        let size: usize = host.metadata.iter().map(|(k, v)| k.len() + v.len()).sum();
        if size > MAX_METADATA {
            let about = format!("{}:{}", host.ip, host.port);
            let text = format!("its metadata has {size} bytes and is left out");
            raw.say(codes::REGISTRY_TOO_LARGE, &about, &text, "keep metadata small");
            raw.add(plain(host, &Allow::default(), &BTreeMap::new()));
        } else if is_provider(key) {
            raw.add(provider(host, allow));
        } else if let Some(application) = Application::read(&host.metadata) {
            let revision = application
                .revision
                .as_ref()
                .and_then(|revision| revisions.get(&(key.name.clone(), revision.clone())))
                .map(|revision| &**revision);
            let all = application.instances(&host.ip, host.port, &host.metadata, revision, allow);
            for instance in all {
                raw.add(with_nacos(host, instance));
            }
        } else {
            raw.add(plain(host, allow, &host.metadata));
        }
    }
    // The threshold itself stays in the server: below it, what it sends has all instances as healthy.
    raw.finish(0.0, consumers)
}

fn is_provider(key: &Key) -> bool {
    provider_key(&key.name).is_some()
}

/// What only the process itself tells.
fn lesson(key: &Key, host: &NacosInstance) -> Option<Lesson> {
    let application = Application::read(&host.metadata)?;
    (application.storage == Storage::Local).then_some(())?;
    Some((key.name.clone(), application.revision?))
}

/// Whether there is nothing but what a mesh wrote into Nacos itself.
pub(super) fn is_own(info: &ServiceInfo) -> bool {
    !info.hosts.is_empty()
        && info
            .hosts
            .iter()
            .all(|host| matches!(host, HostEntry::Good(host) if host.metadata.contains_key(ORIGIN)))
}

/// The revisions of a service's instances that only the metadata centre tells of.
pub(super) fn remote_revisions(key: &Key, info: &ServiceInfo) -> Vec<(Arc<str>, Arc<str>)> {
    if is_provider(key) {
        return Vec::new();
    }
    let mut found: Vec<_> = good(info)
        .filter_map(|host| Application::read(&host.metadata))
        .filter(|application| application.storage == Storage::Remote)
        .filter_map(|application| application.revision)
        .map(|revision| (key.name.clone(), revision))
        .collect();
    found.sort();
    found.dedup();
    found
}

/// The revisions that only the processes themselves tell of, with some that can be asked.
pub(super) fn lessons(key: &Key, info: &ServiceInfo) -> BTreeMap<Lesson, Vec<Teacher>> {
    let mut found: BTreeMap<Lesson, Vec<Teacher>> = BTreeMap::new();
    if is_provider(key) {
        return found;
    }
    for host in good(info).filter(|host| host.healthy) {
        if let Some(application) = Application::read(&host.metadata)
            && application.storage == Storage::Local
            && let (Some(revision), Some(service)) =
                (application.revision, application.metadata_service)
        {
            let teachers = found.entry((key.name.clone(), revision)).or_default();
            if teachers.len() < TEACHERS {
                teachers.push(Teacher { host: host.ip.clone(), service });
            }
        }
    }
    found
}

/// The applications behind the instances of a `consumers:` service.
pub(super) fn applications(info: &ServiceInfo) -> Vec<Arc<str>> {
    let mut found: Vec<Arc<str>> = good(info)
        .filter_map(|host| host.metadata.get("application"))
        .filter(|name| !name.is_empty() && name.len() <= 1024)
        .map(|name| name.as_str().into())
        .collect();
    found.sort();
    found.dedup();
    found
}

fn good(info: &ServiceInfo) -> impl Iterator<Item = &NacosInstance> {
    info.hosts.iter().take(MAX_INSTANCES).filter_map(|host| match host {
        HostEntry::Good(host) => Some(host),
        HostEntry::Bad(_) => None,
    })
}

fn plain<'a>(
    host: &'a NacosInstance,
    allow: &Allow,
    metadata: &BTreeMap<String, String>,
) -> RawInstance<'a> {
    let labels = allow.labels(metadata.iter().map(|(key, value)| (&**key, &**value)));
    let raw = RawInstance {
        // Spring Cloud's word.
        secure: metadata.get("secure").is_some_and(|text| text == "true"),
        labels,
        ..RawInstance::new(&host.ip, host.port)
    };
    with_nacos(host, raw)
}

/// Interface level: Dubbo's own parameters are the metadata.
fn provider<'a>(host: &'a NacosInstance, allow: &Allow) -> RawInstance<'a> {
    let protocol = host.metadata.get("protocol").map_or("", String::as_str);
    let raw = dubbo::instance(&host.ip, host.port, protocol, &host.metadata, allow);
    with_nacos(host, raw)
}

/// Nacos' own say over an instance, on top of Dubbo's: someone may drain it in the console.
fn with_nacos<'a>(host: &NacosInstance, mut raw: RawInstance<'a>) -> RawInstance<'a> {
    raw.weight *= host.weight;
    let reason = match (host.enabled, host.healthy) {
        (false, _) => "enabled=false",
        (_, false) => "healthy=false",
        _ => "",
    };
    if !reason.is_empty() {
        raw.health = EndpointHealth::Unhealthy;
        raw.reason = reason.into();
    }
    let cluster = host.cluster_name.as_deref().unwrap_or("");
    if !matches!(cluster, "" | DEFAULT_CLUSTER) && cluster.len() <= 255 {
        raw.locality = Locality { zone: cluster.into(), ..raw.locality };
    }
    raw
}
