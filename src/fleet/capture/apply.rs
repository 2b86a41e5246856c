//! The rules, put into the kernel by the system's own programs.

use std::io::{self, Write as _};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use super::rules::Family;
use super::{Capture, iptables, nft};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tool {
    Nft,
    Iptables,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot run `{program}`: {package} must be installed where the capture is applied")]
    Missing {
        program: &'static str,
        package: &'static str,
        #[source]
        source: io::Error,
    },
    #[error(
        "`{command}` failed: {said}; it needs CAP_NET_ADMIN in the workload's network namespace and a kernel with {kernel}"
    )]
    Refused { command: String, said: String, kernel: &'static str },
}

/// Puts the rules in place of those of an earlier call.
pub fn apply(tool: Tool, capture: &Capture) -> Result<(), Error> {
    if has_ipv6() {
        // The source of the sidecar's connections to the workload, of which IPv4 has a whole network by itself.
        // Deprecated from the start: nothing takes it as its source that does not ask for it.
        let words =
            ["-6", "address", "replace", "::6/128", "dev", "lo", "nodad", "preferred_lft", "0"];
        run("ip", &words, "")?;
    }
    put(tool, Some(capture))
}

/// Takes them out.
pub fn remove(tool: Tool) -> Result<(), Error> {
    put(tool, None)
}

fn put(tool: Tool, capture: Option<&Capture>) -> Result<(), Error> {
    if tool == Tool::Nft {
        return run("nft", &["-f", "-"], &nft(capture)).map(drop);
    }
    let mut families = vec![(Family::V4, "iptables-save", "iptables-restore")];
    if has_ipv6() {
        families.push((Family::V6, "ip6tables-save", "ip6tables-restore"));
    }
    for (family, save, restore) in families {
        let saved = run(save, &[], "")?;
        run(restore, &["--noflush", "--wait"], &iptables(capture, family, &saved))?;
    }
    Ok(())
}

fn has_ipv6() -> bool {
    let disabled = "/proc/sys/net/ipv6/conf/lo/disable_ipv6";
    Path::new("/proc/net/if_inet6").exists()
        && std::fs::read_to_string(disabled).is_ok_and(|text| text.trim() == "0")
}

fn run(program: &'static str, words: &[&str], input: &str) -> Result<String, Error> {
    let (package, kernel) = match program {
        "nft" => ("nftables", "nf_tables and its NAT for inet (5.2 or newer)"),
        "ip" => ("iproute2", "IPv6"),
        _ => ("iptables", "the iptables modules nat, raw, REDIRECT, CT and owner"),
    };
    let output = with_input(program, words, input).map_err(|source| Error::Missing {
        program,
        package,
        source,
    })?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let lines: Vec<&str> = said.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    Err(Error::Refused {
        command: format!("{program} {}", words.join(" ")).trim_end().to_owned(),
        said: if lines.is_empty() { output.status.to_string() } else { lines.join(" · ") },
        kernel,
    })
}

fn with_input(program: &str, words: &[&str], input: &str) -> io::Result<Output> {
    let mut command = Command::new(program);
    command.args(words).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn()?;
    // Who refuses early does not read it all.
    let written = child.stdin.take().map_or(Ok(()), |mut pipe| pipe.write_all(input.as_bytes()));
    let output = child.wait_with_output()?;
    match written {
        Err(error) if output.status.success() => Err(error),
        _ => Ok(output),
    }
}
