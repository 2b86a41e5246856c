//! A network namespace and an address for each pod, all on one bridge.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::process::Stdio;
use std::sync::Mutex;

use anyhow::{Context as _, bail};
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use crate::{BRIDGE, BRIDGE_ADDRESS, BRIDGE_ADDRESS_V6};

/// Which addresses are taken.
#[derive(Default)]
pub(crate) struct Network(Mutex<Taken>);

#[derive(Default)]
struct Taken {
    hosts: BTreeSet<u8>,
    last: u8,
}

impl Taken {
    /// The next free one after the last, so that an address that was given back is not soon another pod's: whoever still
    /// holds it from before would talk to the wrong pod and take it for the right one.
    fn next(&mut self) -> Option<u8> {
        let start = self.last.max(1);
        let host = (start + 1..=254).chain(2..=start).find(|host| !self.hosts.contains(host))?;
        self.hosts.insert(host);
        self.last = host;
        Some(host)
    }
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Addresses {
    pub(crate) v4: Ipv4Addr,
    pub(crate) v6: Ipv6Addr,
}

impl Addresses {
    pub(crate) fn of(host: u8) -> Self {
        let [a, b, c, _] = BRIDGE_ADDRESS.octets();
        let mut v6 = BRIDGE_ADDRESS_V6.segments();
        v6[7] = host.into();
        Self { v4: Ipv4Addr::new(a, b, c, host), v6: v6.into() }
    }
}

/// A pod's place in the network. It is given back by [`Network::remove`].
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) addresses: Addresses,
    /// Name of its namespace, below /run/netns.
    pub(crate) namespace: String,
}

impl Network {
    /// `settings` are those of the kernel that the pod wants for its network.
    pub(crate) async fn add(&self, settings: &[(String, String)]) -> anyhow::Result<Place> {
        let host = self
            .0
            .lock()
            .expect("nothing panics while it holds this")
            .next()
            .context("no address is free")?;
        let place = Place { addresses: Addresses::of(host), namespace: format!("pod-{host}") };
        let (namespace, Addresses { v4, v6 }) = (&place.namespace, place.addresses);
        ip(&["netns", "add", namespace], "").await?;
        ip(
            &["-batch", "-"],
            &format!(
                "link add veth{host} type veth peer name eth0 netns {namespace}\n\
                 link set veth{host} master {BRIDGE}\n\
                 link set veth{host} up\n"
            ),
        )
        .await?;
        ip(
            &["-netns", namespace, "-batch", "-"],
            &format!(
                "link set lo up\n\
                 address add {v4}/24 dev eth0\n\
                 address add {v6}/64 dev eth0 nodad\n\
                 link set eth0 up\n\
                 route add default via {BRIDGE_ADDRESS}\n\
                 route add default via {BRIDGE_ADDRESS_V6}\n"
            ),
        )
        .await?;
        for (name, value) in settings {
            // Of the network of whoever writes it.
            let file = format!("/proc/sys/{}", name.replace('.', "/"));
            let inside = format!("--net=/run/netns/{namespace}");
            run("nsenter".as_ref(), &[&inside, "tee", &file], value).await?;
        }
        Ok(place)
    }

    /// Ends what still runs in it, which is what a container left behind, and gives the address back.
    pub(crate) async fn remove(&self, place: &Place) -> anyhow::Result<()> {
        let left = Command::new("ip").args(["netns", "pids", &place.namespace]).output().await?;
        let left = String::from_utf8_lossy(&left.stdout).into_owned();
        if !left.trim().is_empty() {
            Command::new("kill").arg("-KILL").args(left.split_whitespace()).status().await?;
        }
        ip(&["netns", "delete", &place.namespace], "").await?;
        let [.., host] = place.addresses.v4.octets();
        // Its end of the pair goes with the namespace, but only when the kernel gets to it; the name must be free before.
        let _ = ip(&["link", "delete", &format!("veth{host}")], "").await;
        self.0.lock().expect("nothing panics while it holds this").hosts.remove(&host);
        Ok(())
    }
}

async fn ip(arguments: &[&str], input: &str) -> anyhow::Result<()> {
    run("ip".as_ref(), arguments, input).await
}

/// Runs a program to its end with `input` on its standard input; what it complained about is the error.
pub(crate) async fn run(
    program: &std::path::Path,
    arguments: &[&str],
    input: &str,
) -> anyhow::Result<()> {
    let name = program.display();
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start {name}"))?;
    let mut stdin = child.stdin.take().expect("it is piped");
    stdin.write_all(input.as_bytes()).await.with_context(|| format!("cannot write to {name}"))?;
    drop(stdin);
    let output =
        child.wait_with_output().await.with_context(|| format!("cannot wait for {name}"))?;
    if !output.status.success() {
        bail!("{name} {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_not_given_again_at_once() {
        let mut taken = Taken::default();
        assert_eq!([taken.next(), taken.next()], [Some(2), Some(3)]);
        taken.hosts.remove(&2);
        assert_eq!(taken.next(), Some(4));
    }

    #[test]
    fn all_addresses_are_used_and_no_more() {
        let mut taken = Taken::default();
        assert_eq!((0..253).filter_map(|_| taken.next()).count(), 253);
        assert_eq!(taken.next(), None);
        taken.hosts.remove(&7);
        assert_eq!(taken.next(), Some(7));
    }
}
