use std::io::Write;
use std::net::IpAddr;
use std::path::PathBuf;

use clap::ValueEnum;
use fleet::bootstrap::{Bootstrap, HostPort, Locality, Role, XdsTls};
use model::NamespacedName;

use crate::exit::{Exit, Outcome};
use crate::io::Io;
use crate::output::yaml;

/// Print the first configuration of an Envoy that this control plane is to serve
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  isthmus bootstrap --role gateway --gateway shop/edge --xds isthmus.internal:18000 > envoy.yaml
  isthmus bootstrap --gateway shop/edge --xds 10.0.0.7:18000 --zone hz-b --node-id edge-1
  envoy --config-yaml \"$(isthmus bootstrap --gateway demo/edge --xds 127.0.0.1:18000 -o json)\"")]
pub(crate) struct Args {
    /// The sort of proxy
    #[arg(long, default_value = "gateway")]
    role: RoleName,
    /// The Gateway that the proxy serves
    #[arg(long, value_name = "NS/NAME", value_parser = namespaced_name)]
    gateway: NamespacedName,
    /// The control plane's xDS listener; a DNS name or an IP address
    #[arg(long, value_name = "HOST:PORT")]
    xds: HostPort,
    /// Unique among proxies; made from the gateway and this machine's name where not given
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
    /// Port of the admin interface, on loopback
    #[arg(long, value_name = "PORT", default_value_t = 19000)]
    admin_port: u16,
    /// Address of the Prometheus and readiness listener
    #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0")]
    stats_address: IpAddr,
    /// Port of the Prometheus and readiness listener
    #[arg(long, value_name = "PORT", default_value_t = 19001)]
    stats_port: u16,
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
    /// Heap that Envoy is to stay under, in MiB
    #[arg(long, value_name = "MIB", default_value_t = 2048, value_parser = clap::value_parser!(u64).range(64..1 << 20))]
    max_heap: u64,
    /// Client connections beyond this are refused
    #[arg(long, value_name = "COUNT", default_value_t = 50_000, value_parser = clap::value_parser!(u64).range(1..))]
    max_connections: u64,
    /// How to print it
    #[arg(short, long, default_value = "yaml")]
    output: Form,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum RoleName {
    Gateway,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Form {
    Yaml,
    Json,
}

pub(crate) fn run(args: &Args, io: &mut Io<'_>) -> Outcome {
    let NamespacedName { namespace, name } = &args.gateway;
    let role = match args.role {
        RoleName::Gateway => {
            Role::Gateway { namespace: namespace.to_string(), name: name.to_string() }
        }
    };
    let node_id =
        args.node_id.clone().unwrap_or_else(|| format!("{name}.{namespace}-{}", machine_name()));
    let client = args.xds_cert.clone().zip(args.xds_key.clone());
    let bootstrap = Bootstrap {
        locality: Locality {
            region: args.region.clone(),
            zone: args.zone.clone(),
            sub_zone: args.sub_zone.clone(),
        },
        xds_tls: args.xds_ca.clone().map(|ca| XdsTls {
            ca,
            server_name: args.xds_server_name.clone(),
            client,
        }),
        admin_port: args.admin_port,
        stats_address: args.stats_address,
        stats_port: args.stats_port,
        max_heap: args.max_heap << 20,
        max_connections: args.max_connections,
        ..Bootstrap::new(role, node_id, args.xds.clone())
    };
    let document = bootstrap.render();
    match args.output {
        Form::Yaml => {
            // Comments, so that the file says by itself what it is for.
            writeln!(
                io.out,
                "# Envoy for Gateway {namespace}/{name}: envoy -c THIS-FILE --disable-hot-restart"
            )?;
            io.out.write_all(yaml(&document)?.as_bytes())?;
        }
        Form::Json => writeln!(io.out, "{document:#}")?,
    }
    Ok(Exit::Ok)
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
