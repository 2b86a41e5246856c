use serde_json::{Map, Value, json};

use super::{HostPort, Locality, XdsTls};

/// The bootstrap of a gRPC program without a proxy (gRFC A27): the file that `GRPC_XDS_BOOTSTRAP` names, the same for
/// C++, Python, Ruby, Go, Java and Node.js.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrpcBootstrap {
    /// Unique among proxies.
    pub node_id: String,
    /// The only namespace whose services the program sees; all of them where not given.
    pub namespace: Option<String>,
    pub locality: Locality,
    /// The control plane's xDS listener.
    pub xds: HostPort,
    /// gRPC checks the certificate against the host of `xds`: `server_name` has no place in this file and is not read.
    pub xds_tls: Option<XdsTls>,
}

impl GrpcBootstrap {
    /// The document.
    #[must_use]
    pub fn render(&self) -> Value {
        let mut claim = json!({"role": "grpc"});
        if let Some(namespace) = &self.namespace {
            claim["namespace"] = json!(namespace);
        }
        json!({
            "xds_servers": [{
                "server_uri": self.xds.to_string(),
                "channel_creds": [self.credentials()],
                // The third version of xDS is the only one that is served.
                "server_features": ["xds_v3"],
            }],
            "node": {
                "id": self.node_id,
                "cluster": self.namespace.as_deref().unwrap_or("grpc"),
                // Written even when nothing is known: the Node.js client refuses a node without one.
                "locality": self.locality(),
                "metadata": {"isthmus": claim},
            },
        })
    }

    /// gRFC A65. Files only, as with Envoy. The Node.js client (1.14) knows no TLS to the control plane: it says so at its
    /// start, and plain text on loopback is what is left to it.
    fn credentials(&self) -> Value {
        let Some(tls) = &self.xds_tls else { return json!({"type": "insecure"}) };
        let mut config = json!({"ca_certificate_file": tls.ca});
        if let Some((chain, key)) = &tls.client {
            config["certificate_file"] = json!(chain);
            config["private_key_file"] = json!(key);
        }
        json!({"type": "tls", "config": config})
    }

    fn locality(&self) -> Map<String, Value> {
        self.locality.words().map(|(key, word)| (key.to_owned(), json!(word))).collect()
    }
}
