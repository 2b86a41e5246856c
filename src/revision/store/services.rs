//! Services of registries: what they were when they were last served.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use model::{AppProtocol, EndpointHealth, Host, Instance, Locality, RegistryServiceId};
use redb::{ReadTransaction, ReadableTable, TableError, WriteTransaction};

use super::record::{number, put, put_number, take, text};
use super::tables::{SERVICES, service_place, service_row};
use super::{Error, ServiceChange, Store, StoredService};

pub(super) fn load(
    store: &Store,
    transaction: &ReadTransaction,
) -> Result<Vec<StoredService>, Error> {
    let read = |error| store.reading(error);
    let table = match transaction.open_table(SERVICES) {
        Ok(table) => table,
        // Written by a version without registries.
        Err(TableError::TableDoesNotExist(_)) => return Ok(Vec::new()),
        Err(error) => return Err(read(error.into())),
    };
    let mut services = Vec::new();
    for row in table.iter().map_err(|e| read(e.into()))? {
        let (key, value) = row.map_err(|e| read(e.into()))?;
        let row = key.value();
        let plain = store.seal.open(&service_place(row), value.value());
        let Some((protect_threshold, instances)) = plain.as_deref().and_then(decode) else {
            let (registry, group, name) = row;
            return Err(
                store.damaged(format!("service {group}@@{name} of {registry} does not open"))
            );
        };
        let id =
            RegistryServiceId { registry: row.0.into(), group: row.1.into(), name: row.2.into() };
        services.push(StoredService { id, instances, protect_threshold });
    }
    Ok(services)
}

pub(super) fn write(
    store: &Store,
    transaction: &WriteTransaction,
    changes: &[ServiceChange],
) -> Result<(), Error> {
    let failed = |error| store.writing(error);
    let mut table = transaction.open_table(SERVICES).map_err(|e| failed(e.into()))?;
    for change in changes {
        match change {
            ServiceChange::Put(service) => {
                let row = service_row(&service.id);
                let plain = encode(service.protect_threshold, &service.instances);
                let sealed = store.seal.seal(&service_place(row), &plain)?;
                table.insert(row, sealed.as_slice()).map_err(|e| failed(e.into()))?;
            }
            ServiceChange::Delete(id) => {
                table.remove(service_row(id)).map_err(|e| failed(e.into()))?;
            }
        }
    }
    Ok(())
}

/// `threshold | number of instances | (weight | flags | host | port | reason | region | zone | number of labels | (key,
/// value)…)…`
fn encode(threshold: f64, instances: &[Arc<Instance>]) -> Vec<u8> {
    let mut out = Vec::with_capacity(16 + instances.len() * 64);
    out.extend_from_slice(&threshold.to_bits().to_le_bytes());
    put_number(&mut out, instances.len());
    for instance in instances {
        let Instance { host, port, weight, health, reason, locality, protocol, secure, labels } =
            &**instance;
        out.extend_from_slice(&weight.to_bits().to_le_bytes());
        let (named, host) = match host {
            Host::Ip(ip) => (0, ip.to_string()),
            Host::Name(name) => (1, name.to_string()),
        };
        out.extend_from_slice(&[
            named,
            health_byte(*health),
            protocol_byte(*protocol),
            u8::from(*secure),
        ]);
        put(&mut out, host.as_bytes());
        out.extend_from_slice(&port.to_le_bytes());
        for word in [reason, &locality.region, &locality.zone] {
            put(&mut out, word.as_bytes());
        }
        put_number(&mut out, labels.len());
        for (key, value) in labels {
            put(&mut out, key.as_bytes());
            put(&mut out, value.as_bytes());
        }
    }
    out
}

fn decode(bytes: &[u8]) -> Option<(f64, Vec<Arc<Instance>>)> {
    let mut rest = bytes;
    let threshold = f64::from_bits(u64::from_le_bytes(*take::<8>(&mut rest)?));
    let count = number(&mut rest)?;
    let instances = (0..count).map(|_| instance(&mut rest).map(Arc::new));
    Some((threshold, instances.collect::<Option<_>>()?))
}

fn instance(rest: &mut &[u8]) -> Option<Instance> {
    let weight = f64::from_bits(u64::from_le_bytes(*take::<8>(rest)?));
    let [named, health, protocol, secure] = *take::<4>(rest)?;
    let host = text(rest)?;
    let host = match named {
        0 => Host::Ip(host.parse::<IpAddr>().ok()?),
        _ => Host::Name(host.into()),
    };
    let port = u16::from_le_bytes(*take::<2>(rest)?);
    let reason = text(rest)?.into();
    let locality = Locality { region: text(rest)?.into(), zone: text(rest)?.into() };
    let count = number(rest)?;
    let mut labels = BTreeMap::new();
    for _ in 0..count {
        labels.insert(text(rest)?.into(), text(rest)?.into());
    }
    Some(Instance {
        host,
        port,
        weight,
        health: [EndpointHealth::Healthy, EndpointHealth::Draining, EndpointHealth::Unhealthy]
            .get(usize::from(health))
            .copied()?,
        reason,
        locality,
        protocol: match protocol {
            0 => None,
            other => Some(*PROTOCOLS.get(usize::from(other) - 1)?),
        },
        secure: secure != 0,
        labels,
    })
}

const PROTOCOLS: [AppProtocol; 5] = [
    AppProtocol::Http1,
    AppProtocol::H2c,
    AppProtocol::WebSocket,
    AppProtocol::Tcp,
    AppProtocol::Udp,
];

fn health_byte(health: EndpointHealth) -> u8 {
    match health {
        EndpointHealth::Healthy => 0,
        EndpointHealth::Draining => 1,
        EndpointHealth::Unhealthy => 2,
    }
}

fn protocol_byte(protocol: Option<AppProtocol>) -> u8 {
    match protocol {
        None => 0,
        Some(AppProtocol::Http1) => 1,
        Some(AppProtocol::H2c) => 2,
        Some(AppProtocol::WebSocket) => 3,
        Some(AppProtocol::Tcp) => 4,
        Some(AppProtocol::Udp) => 5,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_comes_back_as_it_was() {
        let mut one = Instance::new(Host::Ip([10, 0, 0, 1].into()), 80);
        one.weight = 0.3;
        one.labels.insert("k8s_pod".into(), "a-1".into());
        one.protocol = Some(AppProtocol::H2c);
        let mut two = Instance::new(Host::Name("a.test".into()), 65_535);
        two.health = EndpointHealth::Unhealthy;
        two.reason = "enabled=false".into();
        two.secure = true;
        two.locality = Locality { region: "r".into(), zone: "z".into() };
        let all = vec![Arc::new(one), Arc::new(two)];
        let bytes = encode(0.5, &all);
        assert_eq!(decode(&bytes), Some((0.5, all)));
        for end in 0..bytes.len() {
            assert_eq!(decode(&bytes[..end]), None, "{end}");
        }
    }
}
