use std::collections::BTreeMap;

use serde::Deserialize;

use crate::registry::loose::{Loose, list, object, texts};

/// One element of `/v1/health/service/X`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(super) struct Entry {
    #[serde(deserialize_with = "object")]
    pub(super) node: Node,
    #[serde(deserialize_with = "object")]
    pub(super) service: Service,
    #[serde(deserialize_with = "list")]
    pub(super) checks: Vec<Check>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(super) struct Node {
    pub(super) node: Loose,
    pub(super) address: Loose,
    pub(super) datacenter: Loose,
    #[serde(deserialize_with = "object")]
    pub(super) meta: BTreeMap<String, Loose>,
    #[serde(deserialize_with = "object")]
    pub(super) locality: Locality,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(super) struct Service {
    #[serde(rename = "ID")]
    pub(super) id: Loose,
    #[serde(deserialize_with = "texts")]
    pub(super) tags: Vec<String>,
    pub(super) address: Loose,
    pub(super) port: Loose,
    #[serde(deserialize_with = "object")]
    pub(super) meta: BTreeMap<String, Loose>,
    #[serde(deserialize_with = "object")]
    pub(super) weights: Weights,
    #[serde(deserialize_with = "object")]
    pub(super) locality: Locality,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(super) struct Weights {
    pub(super) passing: Loose,
    pub(super) warning: Loose,
}

/// Since Consul 1.17.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(super) struct Locality {
    pub(super) region: Loose,
    pub(super) zone: Loose,
}

/// Also one element of `/v1/health/state/any`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(super) struct Check {
    pub(super) node: Loose,
    #[serde(rename = "CheckID")]
    pub(super) check_id: Loose,
    pub(super) status: Loose,
    pub(super) notes: Loose,
    pub(super) service_name: Loose,
}

/// A whole answer that is a list.
#[derive(Debug, Deserialize)]
#[serde(transparent, bound = "T: Deserialize<'de>")]
pub(super) struct List<T>(#[serde(deserialize_with = "list")] pub(super) Vec<T>);

/// The tags of one service in `/v1/catalog/services`.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub(super) struct Tags(#[serde(deserialize_with = "texts")] pub(super) Vec<String>);
