//! Revisions: what was served when, by whose doing.

use std::sync::Arc;

use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::change::{ChangeReport, Live, ObjectChange, ResourceDiff, TypeChange};
use crate::problem::Problem;
use crate::{Caller, Time};

/// Reads from a store on disk, so that calls may wait for it.
pub trait History: Send + Sync + 'static {
    /// The newest first.
    fn revisions(&self) -> Vec<Revision>;

    /// Hash of the newest. Asked with every request.
    fn current(&self) -> Option<Arc<str>>;

    /// By `r42`, by a hash, or by the beginning of one that no other has.
    fn revision(&self, name: &str) -> Option<Revision>;

    /// What differs in `name` from `base` (its parent if not given). Objects that the caller may not see are left out.
    fn diff<'a>(
        &'a self,
        caller: &'a Caller,
        name: &'a str,
        base: Option<&'a str>,
        scope: DiffScope,
    ) -> BoxFuture<'a, Result<RevisionDiff, Problem>>;

    /// Makes a new revision with the content of an old one.
    fn rollback<'a>(
        &'a self,
        caller: &'a Caller,
        name: &'a str,
        reason: &'a str,
        dry_run: bool,
    ) -> BoxFuture<'a, Result<ChangeReport, Problem>>;

    /// A pinned one is kept however old it gets.
    fn pin<'a>(
        &'a self,
        caller: &'a Caller,
        name: &'a str,
        pinned: bool,
    ) -> BoxFuture<'a, Result<Revision, Problem>>;
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Revision {
    /// `r42`, of this replica.
    pub id: String,
    /// The content's, 16 hex digits: the same on every replica and after every restart.
    pub hash: String,
    /// The `hash` of the one before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
    pub time: Time,
    /// Who: a person, `file`, `kubernetes`, the name of a registry.
    pub author: String,
    /// `console`, `cli`, `api`, `file`, `kubernetes`, `registry`
    pub via: String,
    pub reason: String,
    pub objects: Counts,
    pub pinned: bool,
    /// Whether it is the one that is served now.
    pub current: bool,
    /// Findings that are errors.
    pub errors: usize,
    /// Proxies that have acknowledged it in full; while it is current.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub live: Option<Live>,
    /// What was refused of it, by proxies, most recent first.
    pub refusals: Vec<Refusal>,
    /// Of the same content as an older one: which.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollback_of: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Counts {
    pub added: usize,
    pub changed: usize,
    pub removed: usize,
}

/// Something that proxies refused, tied to what it was made from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Refusal {
    pub at: Time,
    /// When it was over: mended, or the proxies are gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Time>,
    /// `RDS`
    #[serde(rename = "type")]
    pub kind: String,
    /// The proxy's own words.
    pub text: String,
    /// `HTTPRoute demo/r417 /spec/rules/0`
    pub origins: Vec<String>,
    pub proxies: Vec<String>,
    /// The revision that was refused.
    pub revision: String,
    /// What those proxies have of it meanwhile: `the form of r41`, `nothing`
    pub serving: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DiffScope {
    Objects,
    /// What proxies would be sent; of one proxy where it is named.
    Xds {
        proxy: Option<String>,
    },
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RevisionDiff {
    pub base: String,
    pub revision: String,
    pub objects: Vec<ObjectChange>,
    /// Of the scope `xds`.
    pub types: Vec<TypeChange>,
    pub resources: Vec<ResourceDiff>,
}
