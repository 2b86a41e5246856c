use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;

use super::{Params, ServiceKey, instance, rank};
use crate::registry::{Allow, RawInstance};

const ENDPOINTS: &str = "dubbo.endpoints";
const REVISION: &str = "dubbo.metadata.revision";
const STORAGE: &str = "dubbo.metadata.storage-type";
const SERVICE_PARAMS: &str = "dubbo.metadata-service.url-params";
/// More endpoints than any process has.
const MAX_ENDPOINTS: usize = 64;
/// Of each service, these parameters say something of the whole instance.
const OF_INSTANCE: [&str; 13] = [
    "application",
    "disabled",
    "dubbo.tag",
    "enabled",
    "group",
    "release",
    "region",
    "ssl-enabled",
    "timestamp",
    "version",
    "warmup",
    "weight",
    "zone",
];

/// An instance of the application level: one process, without its interfaces. From the metadata of an instance in Nacos,
/// or that in ZooKeeper's payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Application {
    /// Empty where the instance tells none that can be read: then its own port counts.
    pub endpoints: Vec<Endpoint>,
    /// Which [`Revision`] it runs; `None` where it names none, or `0`, which means "no services".
    pub revision: Option<Arc<str>>,
    pub storage: Storage,
    /// Where its MetadataService is, for [`Storage::Local`].
    pub metadata_service: Option<Endpoint>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub struct Endpoint {
    #[serde(deserialize_with = "number")]
    pub port: i64,
    pub protocol: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Storage {
    /// In the process: to be asked by its MetadataService.
    Local,
    /// In the metadata centre.
    Remote,
}

impl Application {
    /// `None` where the metadata is not Dubbo's: a Spring Cloud instance, say.
    #[must_use]
    pub fn read(metadata: &Params) -> Option<Self> {
        let own =
            [ENDPOINTS, REVISION, SERVICE_PARAMS].iter().any(|key| metadata.contains_key(*key));
        if !own {
            return None;
        }
        let text = |key: &str| metadata.get(key).map_or("", String::as_str);
        let mut endpoints: Vec<Endpoint> =
            serde_json::from_str(text(ENDPOINTS)).unwrap_or_default();
        endpoints.truncate(MAX_ENDPOINTS);
        Some(Self {
            endpoints,
            revision: Some(text(REVISION)).filter(|r| !matches!(*r, "" | "0")).map(Arc::from),
            storage: if text(STORAGE) == "remote" { Storage::Remote } else { Storage::Local },
            metadata_service: serde_json::from_str(text(SERVICE_PARAMS)).ok(),
        })
    }

    /// What traffic can go to: every endpoint, with what its revision says where that is known. `metadata` is the
    /// instance's own; it counts where the revision is silent.
    #[must_use]
    pub fn instances<'a>(
        &self,
        host: &'a str,
        port: i64,
        metadata: &Params,
        revision: Option<&Revision>,
        allow: &Allow,
    ) -> Vec<RawInstance<'a>> {
        let mut endpoints = self.endpoints.clone();
        if endpoints.is_empty() {
            let protocol =
                self.metadata_service.as_ref().map_or("", |service| &*service.protocol).into();
            endpoints.push(Endpoint { port, protocol });
        }
        // A port that speaks several protocols is one instance.
        endpoints.sort_by_key(|endpoint| (endpoint.port, rank(&endpoint.protocol)));
        endpoints.dedup_by_key(|endpoint| endpoint.port);
        endpoints
            .iter()
            .map(|endpoint| {
                let mut params = metadata.clone();
                params
                    .extend(revision.map(|revision| revision.common(endpoint)).unwrap_or_default());
                instance(host, endpoint.port, &endpoint.protocol, &params, allow)
            })
            .collect()
    }
}

/// What one revision of an application offers, as the metadata centre or a MetadataService tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revision {
    services: Vec<(ServiceKey, Endpoint, Params)>,
}

/// The text is not what Dubbo writes. Holds no part of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no metadata of a Dubbo application")]
pub struct BadMetadata;

impl Revision {
    /// # Errors
    /// Where it is not JSON in Dubbo's form. A single bad service in it costs itself.
    pub fn parse(json: &str) -> Result<Self, BadMetadata> {
        Self::from_value(serde_json::from_str(json).map_err(|_| BadMetadata)?)
    }

    /// # Errors
    /// As [`Self::parse`].
    pub fn from_value(json: Value) -> Result<Self, BadMetadata> {
        let document: Document = serde_json::from_value(json).map_err(|_| BadMetadata)?;
        let services = document.services.into_values();
        let services = services.filter_map(|one| serde_json::from_value::<Service>(one).ok());
        Ok(Self::new(services.map(|service| {
            let key = ServiceKey::new(&service.name, &service.version, &service.group);
            let endpoint = Endpoint { port: service.port, protocol: service.protocol };
            (key, endpoint, service.params)
        })))
    }

    /// Every service with the endpoint that it is at and its parameters. Of those, only what is looked at is kept.
    #[must_use]
    pub fn new(services: impl IntoIterator<Item = (ServiceKey, Endpoint, Params)>) -> Self {
        let mut services: Vec<_> = services.into_iter().collect();
        for (_, _, params) in &mut services {
            params.retain(|key, _| OF_INSTANCE.contains(&&**key));
        }
        services.sort();
        Self { services }
    }

    /// The interfaces with their versions and groups, sorted.
    #[must_use]
    pub fn services(&self) -> Vec<ServiceKey> {
        let mut keys: Vec<_> = self.services.iter().map(|(key, ..)| key.clone()).collect();
        keys.sort();
        keys.dedup();
        keys
    }

    /// The parameters that tell of the instance and that all services of the endpoint agree on. An old form has no port:
    /// it counts by protocol.
    fn common(&self, endpoint: &Endpoint) -> Params {
        let mut all = self.services.iter().filter(|(_, at, _)| {
            at.protocol == endpoint.protocol && (at.port <= 0 || at.port == endpoint.port)
        });
        let with_key = |(key, _, params): &(ServiceKey, Endpoint, Params)| {
            let mut params = params.clone();
            for (name, value) in [("version", &key.version), ("group", &key.group)] {
                if !value.is_empty() {
                    params.insert(name.into(), value.to_string());
                }
            }
            params
        };
        let Some(first) = all.next() else { return Params::new() };
        all.fold(with_key(first), |mut common, service| {
            let other = with_key(service);
            common.retain(|key, value| other.get(key) == Some(value));
            common
        })
    }
}

#[derive(Deserialize)]
struct Document {
    services: BTreeMap<String, Value>,
}

#[derive(Deserialize)]
struct Service {
    name: String,
    #[serde(default)]
    version: String,
    #[serde(default)]
    group: String,
    protocol: String,
    #[serde(default, deserialize_with = "number")]
    port: i64,
    #[serde(default)]
    params: Params,
}

/// Dubbo writes ports as numbers in some places and as text in others.
fn number<'de, D: serde::Deserializer<'de>>(from: D) -> Result<i64, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Form {
        Number(i64),
        Text(String),
    }
    Ok(match Form::deserialize(from)? {
        Form::Number(number) => number,
        Form::Text(text) => text.trim().parse().unwrap_or(-1),
    })
}

#[cfg(test)]
mod tests {
    use model::AppProtocol;

    use super::*;

    const CENTRE: &str = r#"{"app":"greet-app","revision":"1b78","services":{
        "lab.GreetService:tri":{"name":"lab.GreetService","path":"lab.GreetService","port":50152,"protocol":"tri",
            "params":{"weight":"80","zone":"z1","dubbo.tag":"gray","methods":"greet"}},
        "g1/lab.GreetService:2.0.0:dubbo":{"group":"g1","version":"2.0.0","name":"lab.GreetService","port":20880,
            "protocol":"dubbo","params":{"weight":"50"}},
        "bad":{"name":7}}}"#;

    fn metadata(pairs: &[(&str, &str)]) -> Params {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    #[test]
    fn every_endpoint_is_an_instance_with_what_its_revision_says() {
        let metadata = metadata(&[
            (ENDPOINTS, r#"[{"port":20880,"protocol":"dubbo"},{"port":50152,"protocol":"tri"}]"#),
            (REVISION, "1b78"),
            (STORAGE, "remote"),
            ("timestamp", "17"),
        ]);
        let application = Application::read(&metadata).unwrap();
        assert_eq!(application.storage, Storage::Remote);
        let revision = Revision::parse(CENTRE).unwrap();
        let names: Vec<_> = revision.services().iter().map(ToString::to_string).collect();
        assert_eq!(names, ["lab.GreetService", "lab.GreetService:2.0.0:g1"]);
        let all =
            application.instances("10.0.0.1", 20880, &metadata, Some(&revision), &Allow::default());
        assert_eq!(all.len(), 2);
        assert_eq!((all[0].port, all[0].protocol), (20880, Some(AppProtocol::Tcp)));
        assert!((all[0].weight - 0.5).abs() < 1e-9);
        assert_eq!(all[0].labels["dubbo.version"], "2.0.0".into());
        assert_eq!((all[1].port, all[1].protocol), (50152, Some(AppProtocol::H2c)));
        assert_eq!(&*all[1].locality.zone, "z1");
        assert_eq!(all[1].labels["dubbo.tag"], "gray".into());
        assert_eq!(all[1].labels["dubbo.timestamp"], "17".into());
    }

    #[test]
    fn a_shared_port_is_one_instance_and_without_endpoints_the_own_port_counts() {
        let shared = metadata(&[(
            ENDPOINTS,
            r#"[{"port":"50051","protocol":"dubbo"},{"port":50051,"protocol":"tri"}]"#,
        )]);
        let all = Application::read(&shared).unwrap();
        let all = all.instances("a", 1, &shared, None, &Allow::default());
        assert_eq!(all.len(), 1);
        assert_eq!((all[0].port, all[0].protocol), (50051, Some(AppProtocol::H2c)));

        let none = metadata(&[
            (SERVICE_PARAMS, r#"{"port":"20880","protocol":"dubbo"}"#),
            (REVISION, "0"),
        ]);
        let application = Application::read(&none).unwrap();
        assert_eq!(application.revision, None);
        let all = application.instances("a", 20880, &none, None, &Allow::default());
        assert_eq!((all[0].port, all[0].protocol), (20880, Some(AppProtocol::Tcp)));
    }

    #[test]
    fn what_is_not_dubbos_is_left_alone() {
        assert_eq!(Application::read(&metadata(&[("version", "v2")])), None);
        for bad in ["", "[]", "{}", "{\"services\":[]}", "\0"] {
            assert_eq!(Revision::parse(bad), Err(BadMetadata), "{bad}");
        }
        let broken = metadata(&[(ENDPOINTS, "{{{")]);
        assert!(Application::read(&broken).unwrap().endpoints.is_empty());
    }
}
