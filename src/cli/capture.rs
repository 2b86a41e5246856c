use std::net::IpAddr;
use std::path::PathBuf;

use fleet::capture::{self, Capture, Cidr, Family, Tool};

use crate::exit::{Exit, Failure, Outcome};
use crate::io::Io;

/// Redirect the connections of the workload in this network namespace to the sidecar beside it
///
/// What the workload dials goes to port 15001, what comes to it to 15006, and its DNS queries to 15053. Connections of uid
/// 1337, as which the sidecar runs, go out. What an earlier call did is replaced.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  isthmus capture --dry-run                     # a script for `nft -f -`
  isthmus capture --iptables --exclude-outbound-ports 3306,6379
  isthmus capture --remove")]
pub(crate) struct Args {
    /// By nftables, one table for IPv4 and IPv6 [default]
    #[arg(long, conflicts_with = "iptables")]
    nft: bool,
    /// By iptables and ip6tables
    #[arg(long)]
    iptables: bool,
    /// Print the rules instead, as they are where there were none
    #[arg(long)]
    dry_run: bool,
    /// Take the rules out
    #[arg(long)]
    remove: bool,
    #[command(flatten)]
    redirects: Redirects,
}

/// What is redirected.
#[derive(Debug, clap::Args)]
pub(crate) struct Redirects {
    /// Capture connections to these networks only
    #[arg(long, value_name = "CIDR", value_delimiter = ',')]
    include_outbound: Vec<Cidr>,
    /// Do not capture connections to these networks
    #[arg(long, value_name = "CIDR", value_delimiter = ',')]
    exclude_outbound: Vec<Cidr>,
    /// Do not capture connections to these ports
    #[arg(long, value_name = "PORT", value_delimiter = ',')]
    exclude_outbound_ports: Vec<u16>,
    /// Capture what comes to these ports only
    #[arg(long, value_name = "PORT", value_delimiter = ',')]
    include_inbound_ports: Vec<u16>,
    /// Do not capture what comes to these ports; never captured are 15020, 15021 and 15090
    #[arg(long, value_name = "PORT", value_delimiter = ',')]
    exclude_inbound_ports: Vec<u16>,
    /// Do not capture DNS queries
    #[arg(long, conflicts_with = "dns_server")]
    no_dns: bool,
    /// Capture DNS queries to these servers [default: those in /etc/resolv.conf]
    #[arg(long, value_name = "ADDRESS", value_delimiter = ',')]
    dns_server: Vec<IpAddr>,
    /// Where the DNS servers are read from
    #[arg(long, value_name = "FILE", default_value = "/etc/resolv.conf", hide = true)]
    resolv_conf: PathBuf,
}

pub(crate) fn run(args: &Args, io: &mut Io<'_>) -> Outcome {
    let tool = if args.iptables { Tool::Iptables } else { Tool::Nft };
    let wanted = if args.remove { None } else { Some(args.redirects.capture()?) };
    if args.dry_run {
        write!(io.out, "{}", script(tool, wanted.as_ref()))?;
        return Ok(Exit::Ok);
    }
    let done = match &wanted {
        Some(wanted) => capture::apply(tool, wanted),
        None => capture::remove(tool),
    };
    done.map_err(|error| {
        let source = std::error::Error::source(&error);
        let text = source.map_or_else(|| error.to_string(), |cause| format!("{error}: {cause}"));
        let mut hint = "`isthmus capture --dry-run` prints the rules".to_owned();
        if tool == Tool::Nft {
            hint += "; where the kernel has no nf_tables, --iptables may do";
        }
        Failure::new(Exit::Unreachable, text).hint(hint)
    })?;
    writeln!(io.out, "{}", if args.remove { "not captured" } else { "captured" })?;
    Ok(Exit::Ok)
}

fn script(tool: Tool, wanted: Option<&Capture>) -> String {
    match tool {
        Tool::Nft => format!("# nft -f -\n{}", capture::nft(wanted)),
        Tool::Iptables => {
            let v4 = capture::iptables(wanted, Family::V4, "");
            let v6 = capture::iptables(wanted, Family::V6, "");
            format!("# iptables-restore --noflush\n{v4}# ip6tables-restore --noflush\n{v6}")
        }
    }
}

impl Redirects {
    /// Whether anything is said.
    pub(crate) fn any(&self) -> bool {
        let cidrs = !self.include_outbound.is_empty() || !self.exclude_outbound.is_empty();
        let ports = [
            &self.exclude_outbound_ports,
            &self.include_inbound_ports,
            &self.exclude_inbound_ports,
        ];
        let ports = ports.into_iter().any(|ports| !ports.is_empty());
        cidrs || ports || self.no_dns || !self.dns_server.is_empty()
    }

    pub(crate) fn capture(&self) -> Result<Capture, Failure> {
        let dns_servers = if self.no_dns {
            Vec::new()
        } else if self.dns_server.is_empty() {
            let path = &self.resolv_conf;
            let text = std::fs::read_to_string(path).map_err(|error| {
                let text = format!("cannot read {}: {error}", path.display());
                Failure::new(Exit::Unreachable, text)
                    .hint("--dns-server names them, --no-dns does without")
            })?;
            capture::name_servers(&text)
        } else {
            self.dns_server.clone()
        };
        Ok(Capture {
            include_outbound: self.include_outbound.clone(),
            exclude_outbound: self.exclude_outbound.clone(),
            exclude_outbound_ports: self.exclude_outbound_ports.clone(),
            include_inbound_ports: self.include_inbound_ports.clone(),
            exclude_inbound_ports: self.exclude_inbound_ports.clone(),
            dns_servers,
        })
    }
}
