//! A sidecar for a machine that no orchestrator runs: what is to lie where on it.
//!
//! systemd starts the Envoy as the user whose connections are let out, and redirects all others' just before.

use std::path::PathBuf;

use crate::bootstrap::{Bootstrap, Mounted};
use crate::capture::{Capture, PROXY_UID, nft};

/// Where it all lies.
pub const HOST_FOLDER: &str = "/etc/isthmus/sidecar";
/// Where the machine's token is to be put; it may be replaced at any time.
pub const HOST_TOKEN: &str = "/etc/isthmus/sidecar/token/token";
const TOKEN_FOLDER: &str = "/etc/isthmus/sidecar/token";
const UNIT: &str = "isthmus-sidecar.service";
const USER: &str = "isthmus-proxy";

/// One machine.
#[derive(Clone, Debug)]
pub struct Host {
    /// Its files are those in [`HOST_FOLDER`].
    pub bootstrap: Bootstrap,
    pub capture: Capture,
    /// Certificates (PEM) that the control plane's certificate is signed by; its file is [`Host::ca_file`].
    pub ca: Option<String>,
    /// The program.
    pub envoy: PathBuf,
}

/// A file of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostFile {
    /// From the root, without a slash before it.
    pub path: String,
    pub text: String,
}

impl Host {
    /// What the bootstrap names as the file of [`Host::ca`].
    #[must_use]
    pub fn ca_file() -> PathBuf {
        PathBuf::from(HOST_FOLDER).join("ca/ca.crt")
    }

    /// What the bootstrap names as the files that are replaced.
    #[must_use]
    pub fn mounted(ca: bool) -> Mounted {
        Mounted {
            documents: HOST_FOLDER.into(),
            token: Some(HOST_TOKEN.into()),
            ca: ca.then(|| PathBuf::from(HOST_FOLDER).join("ca")),
        }
    }

    /// In the order of their paths. None of them is a secret.
    #[must_use]
    pub fn files(&self) -> Vec<HostFile> {
        let folder = HOST_FOLDER.trim_start_matches('/');
        let file = |path: String, text: String| HostFile { path, text };
        let here = |name: &str, text: String| file(format!("{folder}/{name}"), text);
        let mut files = vec![
            here("bootstrap.json", format!("{:#}\n", self.bootstrap.render())),
            here("capture.nft", nft(Some(&self.capture))),
            here("release.nft", nft(None)),
            file(format!("etc/systemd/system/{UNIT}"), self.unit()),
            file(
                format!("etc/sysusers.d/{USER}.conf"),
                format!("u {USER} {PROXY_UID} \"Envoy of Isthmus\"\n"),
            ),
        ];
        for (name, document) in self.bootstrap.documents() {
            files.push(here(name, format!("{document:#}\n")));
        }
        files.extend(self.ca.iter().map(|ca| here("ca/ca.crt", ca.clone())));
        files.sort_by(|a, b| a.path.cmp(&b.path));
        files
    }

    /// A shell script that puts the files there, and says what is left to do.
    #[must_use]
    pub fn script(&self) -> String {
        let mut out = String::from(
            "#!/bin/sh\n# Puts a sidecar of Isthmus on this machine. Run it as root, as often as you like.\nset -eu\n",
        );
        out += &format!("mkdir -p {HOST_FOLDER}/ca {TOKEN_FOLDER} /etc/sysusers.d\n");
        for HostFile { path, text } in self.files() {
            out += &format!("cat >/{path} <<'ISTHMUS'\n{text}ISTHMUS\n");
        }
        out += &format!(
            "systemd-sysusers\nchown -R {USER}: {TOKEN_FOLDER}\nchmod 700 {TOKEN_FOLDER}\nsystemctl daemon-reload\n\
             echo 'put the token of this workload into {HOST_TOKEN} (`isthmus token join` makes it), readable by {USER} only,'\n\
             echo 'then: systemctl enable --now {UNIT}'\n"
        );
        out
    }

    fn unit(&self) -> String {
        let envoy = self.envoy.display();
        format!(
            "\
[Unit]
Description=Sidecar of Isthmus
Wants=network-online.target
After=network-online.target

[Service]
User={USER}
Group={USER}
# As root, before Envoy: it cannot listen on what is not there, and nothing may pass by it.
ExecStartPre=+-/sbin/ip -6 address replace ::6/128 dev lo nodad preferred_lft 0
ExecStartPre=+/usr/sbin/nft -f {HOST_FOLDER}/capture.nft
ExecStart={envoy} -c {HOST_FOLDER}/bootstrap.json --log-level warn --concurrency 2 --disable-hot-restart
# Without a sidecar, the machine is as it was.
ExecStopPost=+/usr/sbin/nft -f {HOST_FOLDER}/release.nft
Restart=always
RestartSec=1
LimitNOFILE=1048576
NoNewPrivileges=yes
ProtectSystem=strict
ProtectHome=yes
PrivateTmp=yes
PrivateDevices=yes
CapabilityBoundingSet=

[Install]
WantedBy=multi-user.target
"
        )
    }
}
