use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::Write;
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use fleet::bootstrap::{
    BearerToken, Bootstrap, GrpcBootstrap, HostPort, Locality, Role, Sidecar, Workload, XdsTls,
};
use model::NamespacedName;

use crate::exit::{Exit, Failure, Outcome};
use crate::io::Io;
use crate::output::yaml;

/// Print the first configuration of an Envoy, or of a gRPC program without one, that this control plane is to serve
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  isthmus bootstrap --role gateway --gateway shop/edge --xds isthmus.internal:18000 > envoy.yaml
  isthmus bootstrap --gateway shop/edge --xds 10.0.0.7:18000 --zone hz-b --node-id edge-1
  isthmus bootstrap --gateway shop/edge --xds isthmus.internal:18000 --xds-ca ca.pem --token-file token --to envoy.yaml
  isthmus bootstrap --role sidecar --namespace shop --pod orders-1 --account orders --ip 10.0.0.9 --label app=orders \
    --xds isthmus.internal:18000 > envoy.yaml
  isthmus bootstrap --role grpc --namespace shop --xds isthmus.internal:18000 > grpc.json
  envoy --config-yaml \"$(isthmus bootstrap --gateway demo/edge --xds 127.0.0.1:18000 -o json)\"")]
pub(crate) struct Args {
    /// The sort of proxy; grpc is a gRPC program that has none and dials xds:///NAME
    #[arg(long, default_value = "gateway")]
    role: RoleName,
    /// The Gateway that the proxy serves
    #[arg(long, value_name = "NS/NAME", value_parser = namespaced_name)]
    gateway: Option<NamespacedName>,
    /// For a sidecar, where it is required: the workload's namespace. For a gRPC program: the only namespace whose services
    /// it sees [default: all]
    #[arg(long, value_name = "NAME", value_parser = namespace)]
    namespace: Option<String>,
    /// For a sidecar: the workload's address
    #[arg(long, value_name = "ADDRESS")]
    ip: Option<IpAddr>,
    /// For a sidecar: the workload's pod
    #[arg(long, value_name = "NAME", requires = "account", conflicts_with = "registry")]
    pod: Option<String>,
    /// For a sidecar: the ServiceAccount of the pod
    #[arg(long, value_name = "NAME", requires = "pod")]
    account: Option<String>,
    /// For a sidecar of a workload that is no pod: the Registry that knows it
    #[arg(long, value_name = "NS/NAME", value_parser = namespaced_name, requires = "service")]
    registry: Option<NamespacedName>,
    /// For a sidecar of a workload that is no pod: its service in that registry
    #[arg(long, value_name = "NAME", requires = "registry")]
    service: Option<String>,
    /// For a sidecar: a label of the workload; may be repeated
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = label)]
    labels: Vec<(String, String)>,
    /// For a sidecar: the workload's DNS queries are not redirected to it
    #[arg(long)]
    no_dns: bool,
    /// The control plane's xDS listener; a DNS name or an IP address
    #[arg(long, value_name = "HOST:PORT")]
    xds: HostPort,
    /// Unique among proxies; made from the gateway or role and this machine's name where not given
    #[arg(long, value_name = "ID")]
    node_id: Option<String>,
    /// Where the proxy runs
    #[arg(long, value_name = "NAME", default_value = "")]
    region: String,
    /// Where in the region the proxy runs
    #[arg(long, value_name = "NAME", default_value = "")]
    zone: String,
    /// Where in the zone the proxy runs
    #[arg(long, value_name = "NAME", default_value = "")]
    sub_zone: String,
    /// Port of the admin interface, on loopback [default: 19000; of a sidecar 15000]
    #[arg(long, value_name = "PORT")]
    admin_port: Option<u16>,
    /// Address of the Prometheus and readiness listener; a sidecar has it on its workload's [default: 0.0.0.0]
    #[arg(long, value_name = "ADDRESS")]
    stats_address: Option<IpAddr>,
    /// Port of the Prometheus and readiness listener [default: 19001; of a sidecar 15090]
    #[arg(long, value_name = "PORT")]
    stats_port: Option<u16>,
    /// Use TLS to the control plane, whose certificate must be signed by these (PEM file, as the proxy sees it)
    #[arg(long, value_name = "FILE")]
    xds_ca: Option<PathBuf>,
    /// Name in the control plane's certificate, where it is not the host of --xds
    #[arg(long, value_name = "NAME", requires = "xds_ca")]
    xds_server_name: Option<String>,
    /// The proxy's own certificate chain (PEM file, as the proxy sees it)
    #[arg(long, value_name = "FILE", requires_all = ["xds_ca", "xds_key"])]
    xds_cert: Option<PathBuf>,
    /// The proxy's own key (PEM file, as the proxy sees it)
    #[arg(long, value_name = "FILE", requires = "xds_cert")]
    xds_key: Option<PathBuf>,
    /// Send the bearer token that is in this file now. Envoy cannot read it from a file, so what is printed holds it and
    /// is a secret as well: see --to
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Write it to this file, which only its owner can read, instead of printing it
    #[arg(long, value_name = "FILE")]
    to: Option<PathBuf>,
    /// Heap that Envoy is to stay under, in MiB [default: 2048]
    #[arg(long, value_name = "MIB", value_parser = clap::value_parser!(u64).range(64..1 << 20))]
    max_heap: Option<u64>,
    /// Client connections beyond this are refused [default: 50000]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..))]
    max_connections: Option<u64>,
    /// How to print it [default: yaml; json for a gRPC program, which reads nothing else]
    #[arg(short, long)]
    output: Option<Form>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum RoleName {
    Gateway,
    Sidecar,
    Grpc,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Form {
    Yaml,
    Json,
}

pub(crate) fn run(args: &Args, io: &mut Io<'_>) -> Outcome {
    match args.role {
        RoleName::Gateway => gateway(args, io),
        RoleName::Sidecar => sidecar(args, io),
        RoleName::Grpc => grpc(args, io),
    }
}

fn gateway(args: &Args, io: &mut Io<'_>) -> Outcome {
    let Some(NamespacedName { namespace, name }) = &args.gateway else {
        return Err(usage("--role gateway needs --gateway NS/NAME"));
    };
    refuse(args.role, &[("--namespace", args.namespace.is_some())])?;
    refuse(args.role, &args.of_sidecars())?;
    let role = Role::Gateway { namespace: namespace.to_string(), name: name.to_string() };
    let node_id = args.node_id(&format!("{name}.{namespace}"));
    envoy(args, role, node_id, &format!("Envoy for Gateway {namespace}/{name}"), io)
}

fn sidecar(args: &Args, io: &mut Io<'_>) -> Outcome {
    refuse(
        args.role,
        &[("--gateway", args.gateway.is_some()), ("--stats-address", args.stats_address.is_some())],
    )?;
    let (Some(namespace), Some(ip)) = (&args.namespace, args.ip) else {
        return Err(usage("--role sidecar needs --namespace NAME and --ip ADDRESS"));
    };
    let workload = match (&args.pod, &args.account, &args.registry, &args.service) {
        (Some(pod), Some(account), ..) => {
            Workload::Pod { name: pod.clone(), account: account.clone() }
        }
        (_, _, Some(registry), Some(service)) => {
            Workload::Registry { registry: registry.to_string(), service: service.clone() }
        }
        _ => {
            let text = "--role sidecar needs --pod and --account, or --registry and --service";
            return Err(usage(text));
        }
    };
    let (name, whose) = match &workload {
        Workload::Pod { name, account } => (name.clone(), account),
        Workload::Registry { service, .. } => (format!("{service}-{}", machine_name()), service),
    };
    let labels: BTreeMap<_, _> = args.labels.iter().cloned().collect();
    let sidecar = Sidecar {
        namespace: namespace.clone(),
        app: labels.get("app").unwrap_or(whose).clone(),
        address: ip.to_string(),
        labels,
        dns: !args.no_dns,
        probes: Vec::new(),
        workload,
    };
    let node_id = args.node_id.clone().unwrap_or_else(|| sidecar.node_id(&name));
    let what = format!("Envoy beside {name} of {namespace}");
    envoy(args, Role::Sidecar(Box::new(sidecar)), node_id, &what, io)
}

fn envoy(args: &Args, role: Role, node_id: String, what: &str, io: &mut Io<'_>) -> Outcome {
    let usual = Bootstrap::new(role, node_id, args.xds.clone());
    let bootstrap = Bootstrap {
        locality: args.locality(),
        xds_tls: args.xds_tls(),
        xds_token: args.xds_token(io)?,
        admin_port: args.admin_port.unwrap_or(usual.admin_port),
        stats_address: args.stats_address.unwrap_or(usual.stats_address),
        stats_port: args.stats_port.unwrap_or(usual.stats_port),
        max_heap: args.max_heap.map_or(usual.max_heap, |mib| mib << 20),
        max_connections: args.max_connections.unwrap_or(usual.max_connections),
        ..usual
    };
    let document = bootstrap.render();
    let text = match args.output.unwrap_or(Form::Yaml) {
        // Comments, so that the file says by itself what it is for.
        Form::Yaml => format!(
            "# {what}: envoy -c THIS-FILE --disable-hot-restart\n{secret}{}",
            yaml(&document)?,
            secret =
                if args.token_file.is_some() { "# SECRET: holds a bearer token.\n" } else { "" },
        ),
        Form::Json => format!("{document:#}\n"),
    };
    args.give(&text, io)
}

fn grpc(args: &Args, io: &mut Io<'_>) -> Outcome {
    refuse(
        args.role,
        &[
            ("--gateway", args.gateway.is_some()),
            ("--admin-port", args.admin_port.is_some()),
            ("--stats-address", args.stats_address.is_some()),
            ("--stats-port", args.stats_port.is_some()),
            ("--max-heap", args.max_heap.is_some()),
            ("--max-connections", args.max_connections.is_some()),
            // gRPC takes the name from the address: put the name of the certificate into --xds.
            ("--xds-server-name", args.xds_server_name.is_some()),
            // Nor has its bootstrap a place for a token.
            ("--token-file", args.token_file.is_some()),
            ("--output yaml", args.output == Some(Form::Yaml)),
        ],
    )?;
    refuse(args.role, &args.of_sidecars())?;
    let bootstrap = GrpcBootstrap {
        node_id: args.node_id(args.namespace.as_deref().unwrap_or("grpc")),
        namespace: args.namespace.clone(),
        locality: args.locality(),
        xds: args.xds.clone(),
        xds_tls: args.xds_tls(),
    };
    args.give(&format!("{:#}\n", bootstrap.render()), io)
}

/// An option without effect is a misunderstanding, so it is not passed over.
fn refuse(role: RoleName, options: &[(&str, bool)]) -> Result<(), Failure> {
    match options.iter().find(|(_, given)| *given) {
        Some((option, _)) => {
            let role = role.to_possible_value();
            let role = role.as_ref().map_or("this", |value| value.get_name());
            Err(usage(&format!("{option} is not for --role {role}")))
        }
        None => Ok(()),
    }
}

fn usage(text: &str) -> Failure {
    Failure::new(Exit::Usage, text).hint("`isthmus bootstrap --help` has examples")
}

impl Args {
    fn of_sidecars(&self) -> [(&'static str, bool); 5] {
        [
            ("--ip", self.ip.is_some()),
            ("--pod", self.pod.is_some()),
            ("--registry", self.registry.is_some()),
            ("--label", !self.labels.is_empty()),
            ("--no-dns", self.no_dns),
        ]
    }

    fn node_id(&self, whose: &str) -> String {
        self.node_id.clone().unwrap_or_else(|| format!("{whose}-{}", machine_name()))
    }

    fn xds_token(&self, io: &mut Io<'_>) -> Result<Option<BearerToken>, Failure> {
        let Some(path) = &self.token_file else { return Ok(None) };
        let text = std::fs::read_to_string(path).map_err(|error| {
            Failure::new(Exit::Unreachable, format!("cannot read {}: {error}", path.display()))
        })?;
        let token = text.parse().map_err(|error| usage(&format!("{} {error}", path.display())))?;
        let loopback = self.xds.ip().is_some_and(|ip| ip.is_loopback());
        if self.xds_ca.is_none() && !loopback {
            io.note("warning: without --xds-ca the token is sent in clear, to whoever answers");
        }
        Ok(Some(token))
    }

    fn give(&self, text: &str, io: &mut Io<'_>) -> Outcome {
        let Some(path) = &self.to else {
            io.out.write_all(text.as_bytes())?;
            return Ok(Exit::Ok);
        };
        write_private(path, text).map_err(|error| {
            Failure::new(Exit::Partly, format!("cannot write {}: {error}", path.display()))
        })?;
        Ok(Exit::Ok)
    }

    fn locality(&self) -> Locality {
        let Self { region, zone, sub_zone, .. } = self;
        Locality { region: region.clone(), zone: zone.clone(), sub_zone: sub_zone.clone() }
    }

    fn xds_tls(&self) -> Option<XdsTls> {
        self.xds_ca.clone().map(|ca| XdsTls {
            ca,
            server_name: self.xds_server_name.clone(),
            client: self.xds_cert.clone().zip(self.xds_key.clone()),
        })
    }
}

/// Written beside and renamed: at no time is there a file that others can read, or half a file.
pub(crate) fn write_private(path: &Path, text: &str) -> std::io::Result<()> {
    let mut draft = path.as_os_str().to_owned();
    draft.push(format!(".new-{}", std::process::id()));
    let draft = PathBuf::from(draft);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
    let written = file.write_all(text.as_bytes()).and_then(|()| std::fs::rename(&draft, path));
    if written.is_err() {
        let _ = std::fs::remove_file(&draft);
    }
    written
}

fn namespace(text: &str) -> Result<String, String> {
    if is_name(text) && !text.contains('.') {
        Ok(text.to_owned())
    } else {
        Err("expected the name of a namespace".into())
    }
}

/// `KEY=VALUE`
pub(crate) fn label(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("expected KEY=VALUE")?;
    Ok((key.to_owned(), value.to_owned()))
}

/// `NAMESPACE/NAME`
pub(crate) fn namespaced_name(text: &str) -> Result<NamespacedName, String> {
    match text.split_once('/') {
        Some((namespace, name)) if !namespace.is_empty() && is_name(namespace) && is_name(name) => {
            Ok(NamespacedName::new(namespace, name))
        }
        _ => Err("expected NAMESPACE/NAME".into()),
    }
}

fn is_name(text: &str) -> bool {
    let ok = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'.';
    !text.is_empty() && text.bytes().all(ok)
}

fn machine_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let name = name.or_else(|| std::env::var("HOSTNAME").ok()).unwrap_or_default();
    if name.trim().is_empty() { "1".into() } else { name.trim().to_owned() }
}
