//! Who tells of requests.

use std::net::IpAddr;
use std::sync::Arc;

use serve::{Client, Node, Refusal};

const LONGEST_ID: usize = 512;

/// Who reports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reporter {
    /// The node id.
    pub node: Arc<str>,
    pub side: Side,
}

/// What its requests are edges of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Side {
    /// `gateway/NAMESPACE/NAME`
    Gateway(Arc<str>),
    Sidecar {
        /// The name of its group.
        group: Arc<str>,
        /// The node that it stands beside where no service leads there: `workload/NAMESPACE/NAME`.
        fallback: Arc<str>,
    },
    /// A gRPC program without a proxy.
    Program {
        /// The only namespace whose services it was told of.
        namespace: Option<Arc<str>>,
        /// Where it runs.
        address: Option<IpAddr>,
        /// What it is called where nothing is known of that address: `workload/NAMESPACE/ID`, `unknown/ID`.
        fallback: Arc<str>,
    },
}

impl Side {
    pub(crate) fn role(&self) -> &'static str {
        match self {
            Self::Gateway(_) => "gateway",
            Self::Sidecar { .. } => "sidecar",
            Self::Program { .. } => "grpc",
        }
    }
}

/// Says who a client is, by the same rules as for its configuration.
pub trait Reporters: Send + Sync + 'static {
    /// # Errors
    /// When it is nobody, or not who it says.
    fn identify(&self, client: &Client) -> Result<Reporter, Refusal>;
}

/// `client` with the node that the first message of its stream names.
pub(crate) fn named(client: &Client, node: Option<Node>) -> Result<Client, Refusal> {
    let client = Client { node: node.unwrap_or_default(), ..client.clone() };
    if client.node.id.len() > LONGEST_ID {
        return Err(Refusal::InvalidArgument("the node's id is too long".into()));
    }
    Ok(client)
}
