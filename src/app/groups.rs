//! Node groups: which snapshot a connecting proxy gets.

use std::sync::Arc;
use std::time::SystemTime;

use dashmap::DashMap;
use model::NamespacedName;
use serde_json::Value;
use serve::{Client, Group, Published, Refusal, Snapshots};
use snapshot::Snapshot;
use tokio::sync::watch;

use crate::auth::Auth;

/// What a bootstrap puts in the node's metadata under this key: `{role: gateway, gateway: namespace/name}`.
const METADATA_KEY: &str = "isthmus";
/// Groups that proxies asked for and that nothing is compiled for are remembered up to this number, so that a client
/// which makes up names cannot fill the memory.
const MAX_UNKNOWN: usize = 1000;

/// The current snapshot of every group, each with its own bell.
#[derive(Debug, Default)]
pub(crate) struct Groups {
    auth: Auth,
    by_name: DashMap<Arc<str>, watch::Sender<Option<Published>>>,
}

pub(crate) fn group_name(gateway: &NamespacedName) -> Arc<str> {
    format!("gateway/{gateway}").into()
}

impl Groups {
    pub(crate) fn new(auth: Auth) -> Self {
        Self { auth, ..Self::default() }
    }

    pub(crate) fn publish(&self, name: &Arc<str>, published: Published) {
        self.sender(name).send_replace(Some(published));
    }

    pub(crate) fn current(&self, name: &str) -> Option<Published> {
        self.by_name.get(name)?.borrow().clone()
    }

    /// The snapshots of all groups that have one.
    pub(crate) fn all(&self) -> Vec<(Arc<str>, Arc<Snapshot>)> {
        let mut all: Vec<_> = self
            .by_name
            .iter()
            .filter_map(|entry| {
                Some((entry.key().clone(), entry.value().borrow().as_ref()?.snapshot.clone()))
            })
            .collect();
        all.sort_by(|a, b| a.0.cmp(&b.0));
        all
    }

    fn sender(&self, name: &Arc<str>) -> watch::Sender<Option<Published>> {
        self.by_name.entry(name.clone()).or_insert_with(|| watch::Sender::new(None)).clone()
    }

    fn subscribe(&self, name: &Arc<str>) -> Option<watch::Receiver<Option<Published>>> {
        if !self.by_name.contains_key(name) && self.by_name.len() >= MAX_UNKNOWN {
            self.by_name
                .retain(|_, sender| sender.borrow().is_some() || sender.receiver_count() > 0);
            let unknown =
                self.by_name.iter().filter(|entry| entry.value().borrow().is_none()).count();
            if unknown >= MAX_UNKNOWN {
                return None;
            }
        }
        Some(self.sender(name).subscribe())
    }
}

impl Snapshots for Groups {
    fn group(&self, client: &Client) -> Result<Group, Refusal> {
        // Before anything is said about what exists.
        let allowed = self.auth.identify(client, SystemTime::now())?;
        let claim = client.node.metadata.get(METADATA_KEY);
        let text = |key: &str| claim.and_then(|c| c.get(key)).and_then(Value::as_str);
        let gateway = match (text("role"), text("gateway")) {
            (Some("gateway"), Some(gateway)) => gateway.split_once('/'),
            (Some("gateway"), None) => None,
            (role, _) => {
                return Err(Refusal::InvalidArgument(format!(
                    "node metadata isthmus.role is {}, want gateway: make the bootstrap with `isthmus bootstrap`",
                    role.unwrap_or("missing")
                )));
            }
        };
        let Some((namespace, name)) =
            gateway.filter(|(namespace, name)| !namespace.is_empty() && !name.is_empty())
        else {
            return Err(Refusal::InvalidArgument(
                "node metadata isthmus.gateway must be NAMESPACE/NAME: make the bootstrap with `isthmus bootstrap`"
                    .into(),
            ));
        };
        let gateway = NamespacedName::new(namespace, name);
        allowed.gateway(&gateway.to_string())?;
        let name = group_name(&gateway);
        let updates = self.subscribe(&name).ok_or_else(|| {
            Refusal::ResourceExhausted("too many unknown gateways are being asked for".into())
        })?;
        Ok(Group { name, updates })
    }

    fn inspect(&self, client: &Client) -> Result<(), Refusal> {
        self.auth.identify(client, SystemTime::now())?.admin()
    }
}
