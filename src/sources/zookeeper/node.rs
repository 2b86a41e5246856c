use std::collections::BTreeMap;

use model::{EndpointHealth, Locality};
use serde::Deserialize;
use serde_json::Value;

use crate::dubbo::{Application, Params, Revision, is_read};
use crate::registry::{Allow, RawInstance, RawService};

/// Spring's word for the state of an instance, in its metadata.
const STATUS: &str = "instance_status";
/// Longer values become no labels and say nothing else.
const MAX_VALUE: usize = 1024;

/// An instance below `/services/APPLICATION`: a node of Curator's service discovery, as Dubbo and Spring Cloud write it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Node {
    pub(super) host: String,
    port: i64,
    secure: bool,
    /// Only what is looked at or becomes a label.
    metadata: Params,
    /// `None`: Spring Cloud's, or anybody's.
    pub(super) dubbo: Option<Application>,
}

impl Node {
    /// `None` where it is not one of Curator's. Spring Cloud and Dubbo share the folder; the class of the payload tells
    /// them apart, and where there is none (other languages), Dubbo's keys do.
    pub(super) fn parse(data: &[u8], allow: &Allow) -> Option<Self> {
        let curator: Curator = serde_json::from_slice(data).ok()?;
        let payload = curator.payload.unwrap_or_default();
        let mut metadata: Params = payload
            .metadata
            .unwrap_or_default()
            .into_iter()
            .filter_map(|(key, value)| match value {
                Value::String(text) => Some((key, text)),
                Value::Number(number) => Some((key, number.to_string())),
                Value::Bool(yes) => Some((key, yes.to_string())),
                Value::Null | Value::Array(_) | Value::Object(_) => None,
            })
            .collect();
        let is_spring = payload.class.is_some_and(|class| class.contains("springframework"));
        let dubbo = if is_spring { None } else { Application::read(&metadata) };
        metadata.retain(|key, value| {
            value.len() <= MAX_VALUE && (allow.passes(key) || is_read(key) || key == STATUS)
        });
        // Spring Cloud: a port with TLS counts before the plain one.
        let (port, secure) = match (curator.ssl_port, curator.port) {
            (Some(port), _) => (port, true),
            (None, port) => (port.unwrap_or(0), false),
        };
        Some(Self { host: curator.address?, port, secure, metadata, dubbo })
    }

    pub(super) fn add_to(&self, raw: &mut RawService, revision: Option<&Revision>, allow: &Allow) {
        if let Some(dubbo) = &self.dubbo {
            for instance in dubbo.instances(&self.host, self.port, &self.metadata, revision, allow)
            {
                raw.add(instance);
            }
            return;
        }
        let text = |key: &str| self.metadata.get(key).map_or("", String::as_str);
        let (health, reason) = match text(STATUS) {
            "" | "UP" => (EndpointHealth::Healthy, ""),
            "OUT_OF_SERVICE" => (EndpointHealth::Draining, "OUT_OF_SERVICE"),
            other => (EndpointHealth::Unhealthy, other),
        };
        let labels = allow.labels(self.metadata.iter().map(|(key, value)| (&**key, &**value)));
        raw.add(RawInstance {
            health,
            reason: reason.into(),
            locality: Locality { region: text("region").into(), zone: text("zone").into() },
            secure: self.secure,
            labels,
            ..RawInstance::new(&self.host, self.port)
        });
    }
}

#[derive(Deserialize)]
struct Curator {
    address: Option<String>,
    port: Option<i64>,
    #[serde(rename = "sslPort")]
    ssl_port: Option<i64>,
    payload: Option<Payload>,
}

#[derive(Default, Deserialize)]
struct Payload {
    #[serde(rename = "@class")]
    class: Option<String>,
    metadata: Option<BTreeMap<String, Value>>,
}

#[cfg(test)]
mod tests {
    use model::{AppProtocol, RegistryService, RegistryServiceId};

    use super::*;

    const DUBBO: &str = r#"{"name":"greet-app","id":"192.0.2.2:20880","address":"192.0.2.2","port":20880,"sslPort":null,
        "payload":{"@class":"org.apache.dubbo.registry.zookeeper.ZookeeperInstance","id":"192.0.2.2:20880","name":"greet-app",
        "metadata":{"dubbo.endpoints":"[{\"port\":20880,\"protocol\":\"dubbo\"},{\"port\":50051,\"protocol\":\"tri\"}]",
        "dubbo.metadata.revision":"82e0","dubbo.metadata.storage-type":"local","timestamp":"1795528694053"}},
        "registrationTimeUTC":1795528695836,"serviceType":"DYNAMIC","uriSpec":null}"#;
    const SPRING: &str = r#"{"name":"user-svc","id":"899b","address":"127.0.0.1","port":9503,"sslPort":SSL,"payload":
        {"@class":"org.springframework.cloud.zookeeper.discovery.ZookeeperInstance","id":"user-svc","name":"user-svc",
        "metadata":{"version":"v2","instance_status":"STATUS","zone":"z1"}},"serviceType":"DYNAMIC"}"#;

    fn read(text: &str) -> RegistryService {
        let allow = Allow::new(&["version".into()]);
        let id = RegistryServiceId { registry: "r".into(), group: "".into(), name: "s".into() };
        let mut raw = RawService::new(id);
        Node::parse(text.as_bytes(), &allow).unwrap().add_to(&mut raw, None, &allow);
        raw.finish(0.0, Vec::new())
    }

    #[test]
    fn dubbos_endpoints_are_instances() {
        let service = read(DUBBO);
        let all: Vec<_> = service.instances.iter().map(|i| (i.port, i.protocol)).collect();
        assert_eq!(all, [(20880, Some(AppProtocol::Tcp)), (50051, Some(AppProtocol::H2c))]);
        assert_eq!(service.instances[0].labels["dubbo.timestamp"], "1795528694053".into());
    }

    #[test]
    fn springs_status_zone_and_secure_port() {
        for (status, health) in [
            ("UP", EndpointHealth::Healthy),
            ("OUT_OF_SERVICE", EndpointHealth::Draining),
            ("DOWN", EndpointHealth::Unhealthy),
        ] {
            let text = SPRING.replace("STATUS", status).replace("SSL", "null");
            let service = read(&text);
            let one = &service.instances[0];
            assert_eq!((one.health, one.port, one.secure), (health, 9503, false), "{status}");
            assert_eq!(&*one.locality.zone, "z1");
            assert_eq!(one.labels.len(), 1);
        }
        let service = read(&SPRING.replace("STATUS", "UP").replace("SSL", "9543"));
        assert_eq!((service.instances[0].port, service.instances[0].secure), (9543, true));
    }

    #[test]
    fn what_is_not_curators_is_none() {
        for bad in
            ["", "{}", "[]", "订单", "{\"address\":7}", "\0", "{\"address\":null,\"port\":1}"]
        {
            assert_eq!(Node::parse(bad.as_bytes(), &Allow::default()), None, "{bad}");
        }
    }
}
