use std::fmt;
use std::sync::Arc;

use model::RegistryServiceId;

use crate::dubbo::provider_key;

pub(super) const PUBLIC: &str = "public";
pub(super) const DEFAULT_GROUP: &str = "DEFAULT_GROUP";
/// Dubbo's consumers of the interface level. They tell who calls, and are no service.
const CONSUMERS: &str = "consumers:";

/// A service in Nacos' own words.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Key {
    pub(super) namespace: Arc<str>,
    pub(super) group: Arc<str>,
    pub(super) name: Arc<str>,
}

/// Group and name: all that a push tells.
pub(super) type Grouped = (Arc<str>, Arc<str>);

impl Key {
    /// `name`: with its group before it (`group@@name`), or without, as Nacos has it in different places.
    pub(super) fn new(namespace: &str, group: &str, name: &str) -> Self {
        let (group, name) = grouped(group, name);
        Self { namespace: namespace_id(namespace), group, name }
    }

    /// `namespace/group`, with `public` left out.
    pub(super) fn group(&self) -> Arc<str> {
        if *self.namespace == *PUBLIC {
            self.group.clone()
        } else {
            format!("{}/{}", self.namespace, self.group).into()
        }
    }

    /// The name that a service of Dubbo has in every registry, else Nacos' own.
    pub(super) fn id(&self, registry: &Arc<str>) -> RegistryServiceId {
        let name = match provider_key(&self.name) {
            Some(dubbo) => dubbo.to_string().into(),
            None => self.name.clone(),
        };
        RegistryServiceId { registry: registry.clone(), group: self.group(), name }
    }

    /// For the rare case that two services would have one id.
    pub(super) fn literal_id(&self, registry: &Arc<str>) -> RegistryServiceId {
        RegistryServiceId {
            registry: registry.clone(),
            group: self.group(),
            name: self.name.clone(),
        }
    }

    /// The providers that these consumers call; `None` where it is another service.
    pub(super) fn providers(&self) -> Option<Self> {
        let rest = self.name.strip_prefix(CONSUMERS)?;
        Some(Self { name: format!("providers:{rest}").into(), ..self.clone() })
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}@@{}", self.namespace, self.group, self.name)
    }
}

pub(super) fn grouped(group: &str, name: &str) -> Grouped {
    let (group, name) = name.split_once("@@").unwrap_or((group, name));
    (group.into(), name.into())
}

pub(super) fn namespace_id(text: &str) -> Arc<str> {
    if text.is_empty() { PUBLIC.into() } else { text.into() }
}
