use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use model::{
    AppProtocol, Code, EndpointHealth, Finding, Host, Instance, Locality, ObjectRef,
    RegistryService, RegistryServiceId, Severity, codes,
};

/// So many findings of one service are told; the rest is counted.
const MAX_FINDINGS: usize = 20;
/// So many characters of the registry's own text are shown in a finding.
const SHOWN: usize = 80;
/// The largest weight that is taken as it is.
const MAX_WEIGHT: f64 = 1_000_000.0;

/// An instance in the registry's own words, unchecked.
#[derive(Clone, Debug)]
pub struct RawInstance<'a> {
    pub host: &'a str,
    pub port: i64,
    pub weight: f64,
    pub health: EndpointHealth,
    pub reason: Arc<str>,
    pub locality: Locality,
    pub protocol: Option<AppProtocol>,
    pub secure: bool,
    pub labels: BTreeMap<Arc<str>, Arc<str>>,
}

impl<'a> RawInstance<'a> {
    /// A healthy one of weight 1.
    #[must_use]
    pub fn new(host: &'a str, port: i64) -> Self {
        Self {
            host,
            port,
            weight: 1.0,
            health: EndpointHealth::Healthy,
            reason: "".into(),
            locality: Locality::default(),
            protocol: None,
            secure: false,
            labels: BTreeMap::new(),
        }
    }
}

/// Turns what a registry says of one service into a [`RegistryService`]: the door where weak types become strong ones. What
/// is wrong costs that instance only, and is told.
#[derive(Debug)]
pub struct RawService {
    id: RegistryServiceId,
    instances: BTreeMap<(Host, u16), Instance>,
    findings: Vec<Finding>,
    untold: usize,
}

impl RawService {
    #[must_use]
    pub fn new(id: RegistryServiceId) -> Self {
        Self { id, instances: BTreeMap::new(), findings: Vec::new(), untold: 0 }
    }

    pub fn add(&mut self, raw: RawInstance<'_>) {
        let shown = format!("{}:{}", shown(raw.host), raw.port);
        let Some(host) = host(raw.host) else {
            let hint = "a host is an IP address or a DNS name; this instance gets no traffic";
            return self.say(codes::REGISTRY_HOST, &shown, "its host cannot be used", hint);
        };
        let Some(port) = u16::try_from(raw.port).ok().filter(|port| *port > 0) else {
            let hint = "a port is 1 to 65535; this instance gets no traffic";
            return self.say(codes::REGISTRY_PORT, &shown, "its port cannot be used", hint);
        };
        let weight = if raw.weight.is_finite() && (0.0..=MAX_WEIGHT).contains(&raw.weight) {
            raw.weight
        } else {
            let text = format!("its weight is {}", raw.weight);
            self.say(codes::REGISTRY_WEIGHT, &shown, &text, "it is taken as 1");
            1.0
        };
        let RawInstance { health, reason, locality, protocol, secure, labels, .. } = raw;
        let instance = Instance {
            host: host.clone(),
            port,
            weight,
            health,
            reason,
            locality,
            protocol,
            secure,
            labels,
        };
        match self.instances.get(&(host.clone(), port)) {
            Some(known) if *known == instance => {}
            // The better of the two: one that says it is healthy has just registered.
            Some(known) => {
                let better = instance.health < known.health;
                let hint = "the healthier one counts, else the first";
                self.say(codes::REGISTRY_DUPLICATE, &shown, "it is registered twice", hint);
                if better {
                    self.instances.insert((host, port), instance);
                }
            }
            None => drop(self.instances.insert((host, port), instance)),
        }
    }

    /// Something is wrong with a part of what the registry said. `about`: which part, in words without secrets.
    pub fn say(&mut self, code: Code, about: &str, text: &str, hint: &str) {
        if self.findings.len() == MAX_FINDINGS {
            self.untold += 1;
            return;
        }
        let text = format!("{} of {}: {text}", shown(about), shown(&self.id.to_string()));
        self.findings.push(Finding {
            at: at(&self.id.registry),
            code,
            severity: Severity::Warning,
            text,
            hint: hint.into(),
        });
    }

    #[must_use]
    pub fn finish(self, protect_threshold: f64, consumers: Vec<Arc<str>>) -> RegistryService {
        let Self { id, instances, mut findings, untold } = self;
        if untold > 0 {
            findings.push(Finding {
                at: at(&id.registry),
                code: codes::MORE_FINDINGS,
                severity: Severity::Warning,
                text: format!("{untold} more findings about {}", shown(&id.to_string())),
                hint: "mend the first ones".into(),
            });
        }
        findings.sort();
        findings.dedup();
        let mut consumers = consumers;
        consumers.sort();
        consumers.dedup();
        RegistryService {
            id,
            instances: instances.into_values().map(Arc::new).collect(),
            protect_threshold: if protect_threshold.is_finite() {
                protect_threshold.clamp(0.0, 1.0)
            } else {
                0.0
            },
            consumers,
            findings,
        }
    }
}

fn at(registry: &Arc<str>) -> ObjectRef {
    ObjectRef { source: registry.clone(), object: None, pointer: "".into(), location: None }
}

/// Foreign text for a person: short, on one line, nothing that moves a cursor.
fn shown(text: &str) -> String {
    let mut out: String = text.chars().take(SHOWN).flat_map(char::escape_debug).collect();
    if text.chars().nth(SHOWN).is_some() {
        out.push('…');
    }
    out
}

/// An address that can be dialled, or a DNS name.
fn host(text: &str) -> Option<Host> {
    let bare = text.strip_prefix('[').and_then(|t| t.strip_suffix(']')).unwrap_or(text);
    if let Ok(ip) = bare.parse::<IpAddr>() {
        let ip = ip.to_canonical();
        let broadcast = matches!(ip, IpAddr::V4(v4) if v4.is_broadcast());
        return (!ip.is_unspecified() && !ip.is_multicast() && !broadcast).then_some(Host::Ip(ip));
    }
    let name = text.strip_suffix('.').unwrap_or(text);
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    // All digits and dots is a spoilt address, not a name (RFC 3696 §2).
    let last_is_number =
        name.rsplit('.').next().is_some_and(|l| l.bytes().all(|b| b.is_ascii_digit()));
    (name.len() <= 253 && name.split('.').all(label) && !last_is_number)
        .then(|| Host::Name(name.to_ascii_lowercase().into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(instances: &[RawInstance<'_>]) -> RegistryService {
        let id = RegistryServiceId {
            registry: "infra/main".into(),
            group: "".into(),
            name: "orders".into(),
        };
        let mut raw = RawService::new(id);
        for instance in instances {
            raw.add(instance.clone());
        }
        raw.finish(0.0, Vec::new())
    }

    fn addresses(service: &RegistryService) -> Vec<String> {
        service.instances.iter().map(|i| format!("{}:{}", i.host, i.port)).collect()
    }

    #[test]
    fn addresses_and_names_are_hosts_and_the_rest_is_told() {
        let good = ["10.0.0.1", "[2001:db8::1]", "::ffff:10.0.0.2", "Dubbo-A.test.", "a_b"];
        let all = good.map(|host| RawInstance::new(host, 80));
        assert_eq!(
            addresses(&service(&all)),
            ["10.0.0.1:80", "10.0.0.2:80", "2001:db8::1:80", "a_b:80", "dubbo-a.test:80"]
        );
        for bad in [
            "",
            "0.0.0.0",
            "::",
            "224.0.0.1",
            "10.0.0",
            "1.2.3.4.5",
            "a b",
            "-a",
            "a\0",
            "订单",
            "a..b",
        ] {
            let service = service(&[RawInstance::new(bad, 80), RawInstance::new("10.0.0.9", 80)]);
            assert_eq!(addresses(&service), ["10.0.0.9:80"], "{bad:?}");
            assert_eq!(service.findings[0].code, codes::REGISTRY_HOST, "{bad:?}");
        }
    }

    #[test]
    fn ports_and_weights_out_of_range() {
        for port in [0, -1, 65536] {
            assert_eq!(
                service(&[RawInstance::new("10.0.0.1", port)]).findings[0].code,
                codes::REGISTRY_PORT
            );
        }
        for weight in [f64::NAN, f64::INFINITY, -1.0, 1e9] {
            let service = service(&[RawInstance { weight, ..RawInstance::new("10.0.0.1", 80) }]);
            assert!((service.instances[0].weight - 1.0).abs() < 1e-9);
            assert_eq!(service.findings[0].code, codes::REGISTRY_WEIGHT);
        }
    }

    #[test]
    fn of_two_with_one_address_the_healthier_counts() {
        let sick =
            RawInstance { health: EndpointHealth::Unhealthy, ..RawInstance::new("10.0.0.1", 80) };
        let service = service(&[sick, RawInstance::new("10.0.0.1", 80)]);
        assert_eq!(service.instances.len(), 1);
        assert_eq!(service.instances[0].health, EndpointHealth::Healthy);
        assert_eq!(service.findings[0].code, codes::REGISTRY_DUPLICATE);
    }

    #[test]
    fn findings_are_few_and_short() {
        let hosts: Vec<_> = (0..100).map(|i| format!("{i} {}", "x y".repeat(1000))).collect();
        let many: Vec<_> = hosts.iter().map(|host| RawInstance::new(host, 80)).collect();
        let service = service(&many);
        assert_eq!(service.findings.len(), MAX_FINDINGS + 1);
        assert!(service.findings.iter().all(|f| f.text.len() < 300));
    }
}
