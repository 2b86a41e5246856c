use std::io::Read;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use fleet::bootstrap::HostPort;
use fleet::capture::Tool;
use fleet::inject::{Options, documents};
use model::{NamespacedName, Severity};

use crate::bootstrap::{label, namespaced_name};
use crate::capture::Redirects;
use crate::exit::{Exit, Failure, Outcome};
use crate::io::Io;

mod host;

/// Put a sidecar into workloads, as the webhook does, or onto a machine
///
/// With -f, the documents are printed again: workloads (Pod, Deployment, StatefulSet, DaemonSet, ReplicaSet, Job, CronJob and
/// lists of them) with a sidecar, everything else as it was. Who gets none, and why, is told on stderr.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  kubectl get deploy orders -o yaml | isthmus inject --image REGISTRY/isthmus:0.1.0 -f - | kubectl apply -f -
  isthmus inject --image REGISTRY/isthmus:0.1.0 -f manifests.yaml > with-sidecars.yaml
  isthmus inject --host --namespace shop --registry infra/n1 --service orders --ip 10.0.0.9 \\
    --xds isthmus.internal:18000 --xds-ca ca.pem | ssh root@10.0.0.9 sh")]
pub(crate) struct Args {
    /// A file of YAML or JSON; `-` is stdin
    #[arg(
        short,
        long,
        value_name = "FILE",
        required_unless_present = "host",
        conflicts_with = "host"
    )]
    file: Option<PathBuf>,
    /// Image of this program, which redirects the connections
    #[arg(long, value_name = "IMAGE", required_unless_present = "host", conflicts_with = "host")]
    image: Option<String>,
    /// Image of the sidecar
    #[arg(
        long,
        value_name = "IMAGE",
        default_value = "docker.io/envoyproxy/envoy:distroless-v1.40.0",
        conflicts_with = "host"
    )]
    envoy_image: String,
    /// By what connections are redirected
    #[arg(long, value_name = "FORM", default_value = "nft", conflicts_with = "host")]
    capture: Form,
    /// Print a shell script that puts a sidecar onto a machine: its bootstrap, rules of nftables, a unit of systemd
    #[arg(long, requires_all = ["namespace", "ip", "xds", "registry", "service"])]
    host: bool,
    #[command(flatten)]
    machine: Machine,
    #[command(flatten)]
    redirects: Redirects,
}

/// Whom the sidecar of a machine stands beside, and where it finds the control plane.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "With --host")]
struct Machine {
    /// The namespace whose services the workload sees
    #[arg(long, value_name = "NAME", requires = "host")]
    namespace: Option<String>,
    /// The Registry that knows the workload
    #[arg(long, value_name = "NS/NAME", value_parser = namespaced_name, requires = "host")]
    registry: Option<NamespacedName>,
    /// Its service in that registry
    #[arg(long, value_name = "NAME", requires = "host")]
    service: Option<String>,
    /// The workload's address
    #[arg(long, value_name = "ADDRESS", requires = "host")]
    ip: Option<IpAddr>,
    /// A label of the workload; may be repeated
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = label, requires = "host")]
    labels: Vec<(String, String)>,
    /// The control plane's xDS listener; a DNS name or an IP address
    #[arg(long, value_name = "HOST:PORT", requires = "host")]
    xds: Option<HostPort>,
    /// Certificates (PEM) that the control plane's certificate is signed by; they go with the script
    #[arg(long, value_name = "FILE", requires = "host")]
    xds_ca: Option<PathBuf>,
    /// Name in the control plane's certificate, where it is not the host of --xds
    #[arg(long, value_name = "NAME", requires = "xds_ca")]
    xds_server_name: Option<String>,
    /// Envoy on the machine
    #[arg(long, value_name = "FILE", default_value = "/usr/local/bin/envoy")]
    envoy: PathBuf,
    /// Write the files into this folder, as below the machine's root, instead
    #[arg(long, value_name = "FOLDER", requires = "host")]
    to: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Form {
    Nft,
    Iptables,
}

pub(crate) fn run(args: &Args, io: &mut Io<'_>) -> Outcome {
    match (&args.file, &args.image) {
        (Some(file), Some(image)) => text(args, file, image, io),
        _ => host::run(&args.machine, &args.redirects, io),
    }
}

fn text(args: &Args, file: &Path, image: &str, io: &mut Io<'_>) -> Outcome {
    if args.redirects.any() {
        let text = "what is redirected is in the annotations of a workload, e.g. isthmus.dev/exclude-outbound-ports";
        return Err(Failure::new(Exit::Usage, text).hint("these options are for --host"));
    }
    let text = read(file)?;
    let options = Options {
        image: image.to_owned(),
        envoy_image: args.envoy_image.clone(),
        image_pull_policy: None,
        tool: match args.capture {
            Form::Nft => Tool::Nft,
            Form::Iptables => Tool::Iptables,
        },
    };
    let changed = documents(&text, &options);
    io.out.write_all(changed.text.as_bytes())?;
    for finding in &changed.findings {
        io.note(finding);
    }
    let wrong = changed.findings.iter().any(|finding| finding.severity == Severity::Error);
    Ok(if wrong { Exit::Invalid } else { Exit::Ok })
}

fn read(file: &Path) -> Result<String, Failure> {
    let mut text = String::new();
    let done = if file == Path::new("-") {
        std::io::stdin().lock().read_to_string(&mut text).map(drop)
    } else {
        std::fs::read_to_string(file).map(|read| text = read)
    };
    done.map_err(|error| {
        Failure::new(Exit::Unreachable, format!("cannot read {}: {error}", file.display()))
    })?;
    Ok(text)
}
