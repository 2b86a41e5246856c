use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::Arc;

use model::{EndpointHealth, Locality};

use super::wire;
use crate::registry::Allow;
use crate::registry::loose::Loose;

/// Metadata of instances that Isthmus registered itself: these are counted, and never read back as somebody's.
pub(super) const ORIGIN: &str = "isthmus.dev/origin";
/// So many services may one instance be part of.
const MAX_VIPS: usize = 32;
/// Longest name of a service.
const MAX_NAME: usize = 512;
/// So many lost leases of its own length must an instance have before its staying is odd: Eureka grants two, and its
/// caches hide up to three minutes more.
const CACHES_MS: i64 = 180_000;

/// What the registry holds, as far as it matters to us.
#[derive(Debug, Default)]
pub(super) struct Apps {
    apps: BTreeMap<Arc<str>, Members>,
    /// The instances of a service, by application and id.
    services: BTreeMap<Arc<str>, BTreeSet<Key>>,
    counts: BTreeMap<Arc<str>, usize>,
}

/// Application and id.
type Key = (Arc<str>, Arc<str>);

/// The instances of one application, by id.
type Members = BTreeMap<Arc<str>, Arc<Instance>>;

/// One instance, without what changes at every heartbeat.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Instance {
    pub(super) id: Arc<str>,
    pub(super) services: Vec<Arc<str>>,
    /// The registry's own word, which its hash counts.
    status: Arc<str>,
    pub(super) health: EndpointHealth,
    pub(super) reason: Arc<str>,
    pub(super) host: Box<str>,
    pub(super) port: i64,
    pub(super) secure: bool,
    pub(super) locality: Locality,
    pub(super) labels: BTreeMap<Arc<str>, Arc<str>>,
    pub(super) trouble: Option<&'static str>,
    updated: i64,
}

/// How an instance is read: what of the document matters here.
#[derive(Clone, Debug, Default)]
pub(super) struct Reading {
    pub(super) allow: Allow,
    pub(super) prefer_secure: bool,
}

impl Apps {
    /// Everything at once.
    pub(super) fn full(all: &wire::Applications, reading: &Reading) -> Self {
        let mut apps = Self::default();
        let mut changed = BTreeSet::new();
        for (name, raw) in instances(all) {
            apps.put(name, read(raw, name, reading), &mut changed);
        }
        apps
    }

    /// The changes of the last minutes; most of them are known already. Gives the services that are different now.
    pub(super) fn delta(
        &mut self,
        changes: &wire::Applications,
        reading: &Reading,
    ) -> BTreeSet<Arc<str>> {
        let mut changed = BTreeSet::new();
        for (name, raw) in instances(changes) {
            let instance = read(raw, name, reading);
            let known = self.apps.get(name).and_then(|app| app.get(&instance.id));
            // The caches of full answer and delta are not of the same age: the past must not undo the present.
            if known.is_some_and(|known| known.updated > instance.updated) {
                continue;
            }
            if raw.action_type.get() == Some("DELETED") {
                self.remove(name, &instance.id, &mut changed);
            } else if known.is_none_or(|known| **known != instance) {
                self.put(name, instance, &mut changed);
            }
        }
        changed
    }

    /// Services that are different in `other`.
    pub(super) fn differing(&self, other: &Self) -> BTreeSet<Arc<str>> {
        let names = self.services.keys().chain(other.services.keys());
        names.filter(|name| !self.of(name).eq(other.of(name))).cloned().collect()
    }

    /// Eureka's own hash of everything: how many there are in each status.
    pub(super) fn hash(&self) -> String {
        self.counts.iter().fold(String::new(), |mut text, (status, count)| {
            let _ = write!(text, "{status}_{count}_");
            text
        })
    }

    pub(super) fn len(&self) -> usize {
        self.counts.values().sum()
    }

    /// How many are not in `other`.
    pub(super) fn missing_in(&self, other: &Self) -> usize {
        let missing = |(app, known): (&Arc<str>, &Members)| {
            let now = other.apps.get(app);
            known.keys().filter(|id| now.is_none_or(|now| !now.contains_key(*id))).count()
        };
        self.apps.iter().map(missing).sum()
    }

    pub(super) fn services(&self) -> impl Iterator<Item = &Arc<str>> {
        self.services.keys()
    }

    pub(super) fn of(&self, service: &str) -> impl Iterator<Item = &Arc<Instance>> {
        let members = self.services.get(service).into_iter().flatten();
        members.filter_map(|(app, id)| self.apps.get(app)?.get(id))
    }

    fn put(&mut self, app: &str, instance: Instance, changed: &mut BTreeSet<Arc<str>>) {
        self.remove(app, &instance.id, changed);
        let app: Arc<str> = match self.apps.get_key_value(app) {
            Some((known, _)) => known.clone(),
            None => app.into(),
        };
        for service in &instance.services {
            let member = (app.clone(), instance.id.clone());
            self.services.entry(service.clone()).or_default().insert(member);
            changed.insert(service.clone());
        }
        *self.counts.entry(instance.status.clone()).or_default() += 1;
        self.apps.entry(app).or_default().insert(instance.id.clone(), instance.into());
    }

    fn remove(&mut self, app: &str, id: &Arc<str>, changed: &mut BTreeSet<Arc<str>>) {
        let Some((key, members)) =
            self.apps.get_key_value(app).map(|(key, _)| key.clone()).zip(self.apps.get_mut(app))
        else {
            return;
        };
        let Some(gone) = members.remove(id) else { return };
        if members.is_empty() {
            self.apps.remove(app);
        }
        let member = (key, id.clone());
        for service in &gone.services {
            if let Some(members) = self.services.get_mut(service) {
                members.remove(&member);
                if members.is_empty() {
                    self.services.remove(service);
                }
            }
            changed.insert(service.clone());
        }
        if let Some(count) = self.counts.get_mut(&gone.status) {
            *count -= 1;
            if *count == 0 {
                self.counts.remove(&gone.status);
            }
        }
    }
}

/// How many instances are listed long after their lease: the registry is in self-preservation and lets nothing expire.
/// Measured by its own clock, which is not behind its latest heartbeat.
pub(super) fn overdue(all: &wire::Applications) -> usize {
    let renewed = |raw: &wire::Instance| raw.lease_info.last_renewal_timestamp.number();
    let now = instances(all).filter_map(|(_, raw)| renewed(raw)).max().unwrap_or(0);
    let late = |raw: &wire::Instance| {
        let lease = raw.lease_info.duration_in_secs.number().unwrap_or(90).saturating_mul(2_000);
        renewed(raw)
            .filter(|at| *at > 0)
            .is_some_and(|at| at.saturating_add(lease).saturating_add(CACHES_MS) < now)
    };
    instances(all).filter(|(_, raw)| late(raw)).count()
}

fn instances(all: &wire::Applications) -> impl Iterator<Item = (&str, &wire::Instance)> {
    all.application.iter().flat_map(|app| {
        app.instance
            .iter()
            .map(|raw| (app.name.get().or_else(|| raw.app.get()).unwrap_or_default(), raw))
    })
}

fn read(raw: &wire::Instance, app: &str, reading: &Reading) -> Instance {
    let id = [&raw.instance_id, &raw.host_name, &raw.ip_addr].into_iter().find_map(Loose::get);
    let status = raw.status.get().unwrap_or("UNKNOWN");
    let (health, reason) = health(status, overridden(raw));
    let (port, secure) = port(raw, reading.prefer_secure);
    let meta = |key: &str| raw.metadata.get(key).and_then(Loose::get);
    let zone = || raw.data_center_info.metadata.get("availability-zone")?.get();
    let (services, trouble) =
        if meta(ORIGIN).is_some() { (Vec::new(), None) } else { services(raw, app) };
    Instance {
        id: id.unwrap_or_default().into(),
        services,
        status: status.into(),
        health,
        reason,
        host: host(raw).into(),
        port,
        secure,
        locality: Locality {
            region: meta("region").unwrap_or_default().into(),
            zone: meta("zone").or_else(zone).unwrap_or_default().into(),
        },
        labels: reading.allow.labels(
            raw.metadata
                .iter()
                .filter(|(key, _)| !key.starts_with('@'))
                .filter_map(|(key, value)| Some((key.as_str(), value.text.as_deref()?))),
        ),
        trouble,
        updated: raw.last_updated_timestamp.number().unwrap_or(0),
    }
}

/// VIP addresses in lower case, else the application's name.
fn services(raw: &wire::Instance, app: &str) -> (Vec<Arc<str>>, Option<&'static str>) {
    let vips = raw.vip_address.get().unwrap_or_default().split(',');
    let mut names: Vec<Arc<str>> = vips
        .map(|vip| vip.trim().to_lowercase())
        .filter(|vip| !vip.is_empty())
        .map(Arc::from)
        .collect();
    if names.is_empty() {
        names.extend((!app.is_empty()).then(|| Arc::from(app.to_lowercase())));
    }
    names.sort();
    names.dedup();
    let all = names.len();
    names.retain(|name| name.len() <= MAX_NAME);
    names.truncate(MAX_VIPS);
    let trouble = (names.len() < all).then_some("too many or too long VIP addresses");
    (names, trouble)
}

fn overridden(raw: &wire::Instance) -> Option<&str> {
    let all = [&raw.overridden_status, &raw.old_overridden_status];
    all.into_iter().find_map(Loose::get).filter(|status| *status != "UNKNOWN")
}

/// Only what is `UP` by both takes traffic: an override is an operator's word, and one that lags must not undo a `DOWN`.
fn health(status: &str, overridden: Option<&str>) -> (EndpointHealth, Arc<str>) {
    let (word, by) = match overridden {
        Some(word) if status == "UP" && word != "UP" => (word, " (overridden)"),
        _ => (status, ""),
    };
    let health = match word {
        "UP" => return (EndpointHealth::Healthy, "".into()),
        "OUT_OF_SERVICE" => EndpointHealth::Draining,
        _ => EndpointHealth::Unhealthy,
    };
    let word: String = word.chars().take(40).collect();
    (health, format!("{word}{by}").into())
}

/// The plain port, or the secure one where it is preferred or the only one.
fn port(raw: &wire::Instance, prefer_secure: bool) -> (i64, bool) {
    let secure = raw.secure_port.enabled.unwrap_or(false);
    let plain = raw.port.enabled.unwrap_or(true);
    if secure && (prefer_secure || !plain) {
        (raw.secure_port.number().unwrap_or(0), true)
    } else {
        (raw.port.number().unwrap_or(0), false)
    }
}

/// The IP address, unless only the host's name can be dialled.
fn host(raw: &wire::Instance) -> &str {
    let ip = raw.ip_addr.get().filter(|text| text.parse::<std::net::IpAddr>().is_ok());
    ip.or_else(|| raw.host_name.get()).or_else(|| raw.ip_addr.get()).unwrap_or_default()
}
