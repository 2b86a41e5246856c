//! Two machines on one cable, each a network namespace: what is captured on the one leaves the other alone.
//!
//! Whoever makes a socket or starts a process does so on the machine where his thread is.

use std::fs::File;
use std::os::fd::AsFd;
use std::process::Command;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

pub(crate) struct Machine(File);

impl Machine {
    /// What the thread does from now on, it does there.
    pub(crate) fn enter(&self) {
        move_into_link_name_space(self.0.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
    }

    /// By names that are gone with this call: the machines live as long as somebody is on them.
    pub(crate) fn two(own: [&str; 2]) -> [Self; 2] {
        let names = ["a", "b"].map(|end| format!("isthmus-{}-{end}", std::process::id()));
        let [a, b] = &names;
        for name in &names {
            ip(&["netns", "add", name]);
        }
        ip(&["-n", a, "link", "add", "eth0", "type", "veth", "peer", "name", "eth0", "netns", b]);
        for (name, address) in names.iter().zip(own) {
            ip(&["-n", name, "link", "set", "lo", "up"]);
            ip(&["-n", name, "address", "add", address, "dev", "eth0"]);
            ip(&["-n", name, "link", "set", "eth0", "up"]);
        }
        let gateway = own[1].split('/').next().unwrap();
        ip(&["-n", a, "route", "add", "default", "via", gateway]);
        names.map(|name| {
            let file = File::open(format!("/run/netns/{name}")).unwrap();
            ip(&["netns", "delete", &name]);
            Self(file)
        })
    }
}

/// On the machine where the thread is, if the words name no other.
pub(crate) fn ip(words: &[&str]) {
    let said = Command::new("ip").args(words).output().unwrap_or_else(|e| panic!("ip: {e}"));
    assert!(said.status.success(), "ip {words:?}: {}", String::from_utf8_lossy(&said.stderr));
}
