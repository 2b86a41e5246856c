//! What the sidecars of a namespace share: a ConfigMap, so that certificates can be replaced under pods that stay.

use std::path::PathBuf;

use serde_json::{Map, Value, json};

use super::template::{CONFIG_FOLDER, TOKEN_FOLDER};
use crate::bootstrap::{Bootstrap, HostPort, Mounted, Role, Sidecar, Workload, XdsTls};

/// Its name.
pub const CONFIG_MAP: &str = "isthmus-sidecar";

pub(super) const BOOTSTRAP: &str = "bootstrap.json";

/// Where sidecars find the control plane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shared {
    pub xds: HostPort,
    /// Certificates (PEM) that the control plane's certificate is signed by; `None` for no TLS.
    pub xds_ca: Option<String>,
}

impl Shared {
    /// The ConfigMap, without a namespace.
    #[must_use]
    pub fn config_map(&self) -> Value {
        let bootstrap = self.bootstrap();
        let mut data = Map::new();
        // For people too.
        data.insert(BOOTSTRAP.into(), format!("{:#}\n", bootstrap.shared()).into());
        for (name, document) in bootstrap.documents() {
            data.insert(name.into(), format!("{document:#}\n").into());
        }
        if let Some(ca) = &self.xds_ca {
            data.insert("ca.crt".into(), ca.as_str().into());
        }
        json!({
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {
                "name": CONFIG_MAP,
                "labels": {
                    "app.kubernetes.io/managed-by": "isthmus",
                    "app.kubernetes.io/name": CONFIG_MAP,
                },
            },
            "data": data,
        })
    }

    fn bootstrap(&self) -> Bootstrap {
        // Nothing of the sidecar itself is in what is shared.
        let nobody = Sidecar {
            namespace: String::new(),
            workload: Workload::Pod { name: String::new(), account: String::new() },
            app: String::new(),
            address: String::new(),
            labels: [].into(),
            dns: true,
            probes: Vec::new(),
        };
        let ca = self.xds_ca.as_ref().map(|_| PathBuf::from(CONFIG_FOLDER));
        let token = PathBuf::from(TOKEN_FOLDER).join("token");
        let role = Role::Sidecar(Box::new(nobody));
        Bootstrap {
            xds_tls: ca.as_ref().map(|folder| XdsTls {
                ca: folder.join("ca.crt"),
                server_name: None,
                client: None,
            }),
            mounted: Some(Mounted { documents: CONFIG_FOLDER.into(), token: Some(token), ca }),
            ..Bootstrap::new(role, String::new(), self.xds.clone())
        }
    }
}
