//! Names: what a pod's files in /etc say, by which its programs find each other. Pure.

use std::fmt::Write as _;

use crate::BRIDGE_ADDRESS;
use crate::plan::Facts;

/// The cluster's domain.
pub(crate) const DOMAIN: &str = "cluster.local";

#[derive(Debug, PartialEq)]
pub(crate) struct Names {
    pub(crate) host: String,
    /// /etc/resolv.conf
    pub(crate) resolver: String,
    /// /etc/hosts
    pub(crate) hosts: String,
}

impl Names {
    pub(crate) fn new(facts: &Facts<'_>) -> Self {
        let meta = &facts.pod.metadata;
        let spec = facts.pod.spec.as_ref();
        let namespace = meta.namespace.as_deref().unwrap_or_default();
        let host = spec
            .and_then(|spec| spec.hostname.clone())
            .or_else(|| meta.name.clone())
            .unwrap_or_default();

        let own = spec.and_then(|spec| spec.dns_config.as_ref());
        let mut servers: Vec<String> =
            own.and_then(|own| own.nameservers.clone()).unwrap_or_default();
        let mut searches: Vec<String> =
            own.and_then(|own| own.searches.clone()).unwrap_or_default();
        let mut options: Vec<String> = own
            .and_then(|own| own.options.as_ref())
            .into_iter()
            .flatten()
            .map(|option| {
                let name = option.name.as_deref().unwrap_or_default();
                option.value.as_ref().map_or_else(|| name.into(), |value| format!("{name}:{value}"))
            })
            .collect();
        // There is no world beyond the bed, so "Default" (the machine's own servers) is the cluster's as well.
        if spec.and_then(|spec| spec.dns_policy.as_deref()) != Some("None") {
            servers.insert(0, BRIDGE_ADDRESS.to_string());
            let cluster =
                [format!("{namespace}.svc.{DOMAIN}"), format!("svc.{DOMAIN}"), DOMAIN.to_owned()];
            searches.splice(0..0, cluster);
            options.insert(0, "ndots:5".into());
        }
        let mut resolver = String::new();
        for server in servers {
            _ = writeln!(resolver, "nameserver {server}");
        }
        for (name, values) in [("search", searches), ("options", options)] {
            if !values.is_empty() {
                _ = writeln!(resolver, "{name} {}", values.join(" "));
            }
        }

        let mut hosts =
            String::from("127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n");
        _ = writeln!(hosts, "{} {host}\n{} {host}", facts.addresses.v4, facts.addresses.v6);
        for alias in spec.and_then(|spec| spec.host_aliases.as_ref()).into_iter().flatten() {
            let names = alias.hostnames.clone().unwrap_or_default();
            _ = writeln!(hosts, "{} {}", alias.ip, names.join(" "));
        }
        Self { host, resolver, hosts }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn names(spec: &serde_json::Value) -> Names {
        let mut spec = spec.clone();
        spec["containers"] = json!([]);
        let pod = json!({"metadata": {"name": "orders-1", "namespace": "shop"}, "spec": spec});
        Names::new(&Facts {
            pod: &serde_json::from_value(pod).unwrap(),
            addresses: crate::network::Addresses::of(9),
            api: "10.244.0.1:6443".parse().unwrap(),
            objects: &crate::files::Objects::default(),
        })
    }

    #[test]
    fn a_pod_looks_in_its_own_namespace_first() {
        assert_eq!(
            names(&json!({})).resolver,
            "nameserver 10.244.0.1\nsearch shop.svc.cluster.local svc.cluster.local cluster.local\noptions ndots:5\n"
        );
    }

    #[test]
    fn a_pod_may_bring_all_of_its_own() {
        let own = names(&json!({"hostname": "db", "dnsPolicy": "None",
            "dnsConfig": {"nameservers": ["10.0.0.9"], "options": [{"name": "timeout", "value": "1"}]},
            "hostAliases": [{"ip": "10.0.0.7", "hostnames": ["a", "b"]}]}));
        assert_eq!(own.host, "db");
        assert_eq!(own.resolver, "nameserver 10.0.0.9\noptions timeout:1\n");
        assert!(
            own.hosts.ends_with("10.244.0.9 db\nfd00:10:244::9 db\n10.0.0.7 a b\n"),
            "{}",
            own.hosts
        );
    }
}
