use std::collections::BTreeMap;
use std::sync::Arc;

use model::{RegistryService, RegistryServiceId, codes};
use percent_encoding::percent_decode_str;

use crate::dubbo::{Overrides, ServiceKey, Url, instance, rank};
use crate::registry::{Allow, RawService};

/// The names of the nodes below one interface.
pub(super) struct Nodes {
    pub(super) providers: Vec<String>,
    pub(super) configurators: Vec<String>,
    pub(super) consumers: Vec<String>,
}

/// The services of one interface: one for every version and group that a provider has.
pub(super) fn services(
    registry: &Arc<str>,
    node: &str,
    nodes: &Nodes,
    allow: &Allow,
) -> Vec<RegistryService> {
    let interface = percent_decode_str(node).decode_utf8_lossy();
    let overrides = Overrides::new(nodes.configurators.iter().filter_map(|name| Url::decode(name)));
    let mut unreadable = Vec::new();
    let mut services: BTreeMap<ServiceKey, Vec<Url>> = BTreeMap::new();
    for name in &nodes.providers {
        match Url::decode(name) {
            Some(url) if url.protocol == "empty" => {}
            Some(mut url) => {
                let key = url.service(&interface);
                overrides.apply(&key, &mut url);
                services.entry(key).or_default().push(url);
            }
            None => unreadable.push(name),
        }
    }
    if services.is_empty() && !unreadable.is_empty() {
        services.insert(ServiceKey::new(&interface, "", ""), Vec::new());
    }
    let callers: Vec<Url> = nodes.consumers.iter().filter_map(|name| Url::decode(name)).collect();
    let mut unreadable = Some(unreadable);
    services
        .into_iter()
        .map(|(key, providers)| {
            let mut raw = RawService::new(RegistryServiceId {
                registry: registry.clone(),
                group: "".into(),
                name: key.to_string().into(),
            });
            for url in newest(providers) {
                raw.add(instance(&url.host, url.port, &url.protocol, &url.params, allow));
            }
            for name in unreadable.take().into_iter().flatten() {
                let hint = "the name of a provider's node is its URL, percent-encoded";
                raw.say(codes::REGISTRY_DATA, name, "it is no provider's URL", hint);
            }
            raw.finish(0.0, consumers(&key, &callers))
        })
        .collect()
}

/// One URL for each address. A provider that was killed and came back stands there twice until its old session ends: the
/// later start counts. A port that speaks several protocols counts as the best of them.
fn newest(mut providers: Vec<Url>) -> Vec<Url> {
    providers.sort_by_cached_key(|url| {
        let started: i64 = url.param("timestamp").parse().unwrap_or(0);
        (url.host.clone(), url.port, rank(&url.protocol), -started)
    });
    providers.dedup_by(|later, first| later.host == first.host && later.port == first.port);
    providers
}

fn consumers(key: &ServiceKey, callers: &[Url]) -> Vec<Arc<str>> {
    callers
        .iter()
        .filter(|url| key.is_asked_by(url.param("version"), url.param("group")))
        .map(|url| url.param("application"))
        .filter(|application| !application.is_empty() && application.len() <= 1024)
        .map(Arc::from)
        .collect()
}

#[cfg(test)]
mod tests {
    use model::EndpointHealth;
    use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

    use super::*;

    fn encoded(urls: &[&str]) -> Vec<String> {
        urls.iter().map(|url| utf8_percent_encode(url, NON_ALPHANUMERIC).to_string()).collect()
    }

    #[test]
    fn versions_are_services_overrides_count_and_consumers_are_told() {
        let nodes = Nodes {
            providers: encoded(&[
                "dubbo://10.0.0.1:20880/a?application=app&weight=80&timestamp=1",
                "dubbo://10.0.0.1:20880/a?application=app&weight=50&timestamp=2",
                "tri://10.0.0.1:20880/a?application=app&weight=50&timestamp=2",
                "dubbo://[2001:db8::2]:20880/a?application=app",
                "tri://10.0.0.3:50051/a?version=1.0.0&group=g1",
                "no url at all",
                "dubbo://10.0.0.4:0/a",
            ]),
            configurators: encoded(&[
                "override://2001:db8:0:0:0:0:0:2:20880/a?disabled=true",
                "override://[2001:db8::2]:20880/a?disabled=true",
            ]),
            consumers: encoded(&[
                "consumer://10.0.0.9/a?application=web",
                "consumer://10.0.0.8/a?application=all&version=*&group=*",
            ]),
        };
        let all = services(&"infra/zk".into(), "a", &nodes, &Allow::default());
        let names: Vec<_> = all.iter().map(|s| &*s.id.name).collect();
        assert_eq!(names, ["a", "a:1.0.0:g1"]);
        let addresses: Vec<_> = all[0]
            .instances
            .iter()
            .map(|i| format!("{}:{} {}", i.host, i.port, i.weight))
            .collect();
        assert_eq!(addresses, ["10.0.0.1:20880 0.5", "2001:db8::2:20880 1"]);
        assert_eq!(all[0].instances[1].health, EndpointHealth::Unhealthy);
        assert_eq!(all[0].consumers, ["all", "web"].map(Arc::from));
        assert_eq!(all[1].consumers, ["all"].map(Arc::from));
        let codes: Vec<_> = all[0].findings.iter().map(|f| f.code).collect();
        assert_eq!(codes, [codes::REGISTRY_PORT, codes::REGISTRY_DATA]);
    }
}
