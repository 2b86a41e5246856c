use std::path::Path;

use fleet::bootstrap::{Bootstrap, Role, Sidecar, Workload, XdsTls};
use fleet::inject::{HOST_TOKEN, Host};

use super::Machine;
use crate::capture::Redirects;
use crate::exit::{Exit, Failure, Outcome};
use crate::io::Io;

/// Whoever looks after the machine must still get in.
const SSH: u16 = 22;

pub(super) fn run(machine: &Machine, redirects: &Redirects, io: &mut Io<'_>) -> Outcome {
    let Machine { namespace, registry, service, ip, xds, .. } = machine;
    let (Some(namespace), Some(registry), Some(service), Some(ip), Some(xds)) =
        (namespace, registry, service, ip, xds)
    else {
        let text = "--host needs --namespace, --registry, --service, --ip and --xds";
        return Err(Failure::new(Exit::Usage, text));
    };
    let mut capture = redirects.capture()?;
    if !capture.exclude_inbound_ports.contains(&SSH) {
        capture.exclude_inbound_ports.insert(0, SSH);
    }
    let ca = machine.xds_ca.as_deref().map(read).transpose()?;
    let sidecar = Sidecar {
        namespace: namespace.clone(),
        workload: Workload::Registry { registry: registry.to_string(), service: service.clone() },
        app: service.clone(),
        address: ip.to_string(),
        labels: machine.labels.iter().cloned().collect(),
        dns: !capture.dns_servers.is_empty(),
        probes: Vec::new(),
    };
    let node_id = sidecar.node_id(service);
    let bootstrap = Bootstrap {
        xds_tls: ca.is_some().then(|| XdsTls {
            ca: Host::ca_file(),
            server_name: machine.xds_server_name.clone(),
            client: None,
        }),
        mounted: Some(Host::mounted(ca.is_some())),
        ..Bootstrap::new(Role::Sidecar(Box::new(sidecar)), node_id, xds.clone())
    };
    let host = Host { bootstrap, capture, ca, envoy: machine.envoy.clone() };
    let loopback = xds.ip().is_some_and(|ip| ip.is_loopback());
    if host.ca.is_none() && !loopback {
        io.note("warning: without --xds-ca the token is sent in clear, to whoever answers");
    }
    match &machine.to {
        None => io.out.write_all(host.script().as_bytes())?,
        Some(folder) => {
            for file in host.files() {
                write(&folder.join(&file.path), &file.text)?;
                writeln!(io.out, "{}", file.path)?;
            }
            io.note(format_args!("the token of the workload goes to {HOST_TOKEN} on the machine"));
        }
    }
    Ok(Exit::Ok)
}

fn read(path: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(path).map_err(|error| {
        Failure::new(Exit::Unreachable, format!("cannot read {}: {error}", path.display()))
    })
}

fn write(path: &Path, text: &str) -> Result<(), Failure> {
    let folder = path.parent().map_or(Ok(()), std::fs::create_dir_all);
    folder.and_then(|()| std::fs::write(path, text)).map_err(|error| {
        Failure::new(Exit::Partly, format!("cannot write {}: {error}", path.display()))
    })
}
