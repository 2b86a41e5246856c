//! Writes: what is asked for, and what it would do or did.

use std::time::Duration;

use futures::future::BoxFuture;
use model::{Kind, NamespacedName};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::problem::Problem;
use crate::{Caller, FindingView, ObjectName};

/// Writes documents where they come from: a folder, an API server. The implementer checks what the caller may do, object
/// by object, before anything else.
pub trait Changes: Send + Sync + 'static {
    /// All or nothing, and one revision. With [`Change::dry_run`] nothing is written.
    fn apply<'a>(
        &'a self,
        caller: &'a Caller,
        change: Change,
    ) -> BoxFuture<'a, Result<ChangeReport, Problem>>;

    /// The strong ETag of an object without its status, in quotes; `None` if there is no such object.
    fn etag(&self, kind: Kind, name: &NamespacedName) -> Option<String>;

    /// Who writes an object of this kind and name, and whether that can be us.
    fn ownership(&self, kind: Kind, name: &NamespacedName) -> Ownership;
}

/// One write, of any number of documents.
#[derive(Clone, Debug, Default)]
pub struct Change {
    pub edits: Vec<Edit>,
    /// Objects that carry `isthmus.dev/owner: VALUE` and are not among the edits are deleted.
    pub prune: Option<String>,
    pub dry_run: bool,
    /// Unknown fields are findings instead of refusals.
    pub lenient: bool,
    /// Why, in the caller's words.
    pub reason: String,
    /// Push although Envoy itself refuses it, or the report has errors that only concern this change.
    pub force: bool,
    /// How long to wait until all proxies have it.
    pub wait: Option<Duration>,
}

#[derive(Clone, Debug)]
pub enum Edit {
    /// YAML or JSON as the caller wrote it, one document or many, with what must hold before (for single documents).
    Put {
        text: String,
        file: Option<String>,
        before: Precondition,
    },
    Delete {
        kind: Kind,
        name: NamespacedName,
        before: Precondition,
    },
}

/// What must hold of the object before it is written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Precondition {
    #[default]
    None,
    /// `If-None-Match: *`
    Absent,
    /// `If-Match`: one of these ETags, in quotes.
    Match(Vec<String>),
}

/// Where an object is written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Ownership {
    pub mode: WriteMode,
    /// The folder's file, `kubernetes`, a registry, or nothing.
    pub place: String,
    /// Why not, or who else owns it; empty where it can be written.
    pub reason: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum WriteMode {
    Direct,
    /// Only shown as YAML and commands, for somebody else to write.
    Propose,
    Off,
}

/// What a write would do (`dryRun`), or did.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChangeReport {
    pub dry_run: bool,
    /// What came of it; absent in a dry run and where nothing differs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    pub objects: Vec<ObjectChange>,
    pub proxies: ProxyImpact,
    /// What is wrong afterwards and was not before, or concerns what was sent.
    pub findings: Vec<FindingView>,
    /// What was wrong before and is not afterwards.
    pub resolved: Vec<FindingView>,
    pub gates: Vec<Gate>,
    /// Of a dry run of what somebody else writes: how it is taken there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proposal: Option<Proposal>,
    /// Of `?wait=live`: whether all proxies have it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub live: Option<Live>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    Added,
    Changed,
    Removed,
    Unchanged,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ObjectChange {
    #[serde(flatten)]
    pub object: ObjectName,
    pub action: Action,
    /// Single values that differ; of an object that comes or goes there are none.
    pub fields: Vec<FieldChange>,
    /// The object as YAML before and after, values of Secrets redacted; empty where there is none.
    pub before: String,
    pub after: String,
    /// The ETag after the write.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct FieldChange {
    /// JSON pointer.
    pub pointer: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Value>,
}

/// What the proxies get of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProxyImpact {
    /// Connected proxies that get something else, of how many.
    pub affected: usize,
    pub total: usize,
    /// Whether a listener changes in a way that ends connections.
    pub drains: bool,
    /// One for each set of proxies with the same configuration, the largest change first.
    pub groups: Vec<GroupImpact>,
    /// What single resources look like before and after, at most 20.
    pub samples: Vec<ResourceDiff>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct GroupImpact {
    /// `gateway/demo/edge`
    pub group: String,
    /// Node ids, at most 100.
    pub proxies: Vec<String>,
    pub count: usize,
    pub types: Vec<TypeChange>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TypeChange {
    /// `LDS`, `RDS`, …
    #[serde(rename = "type")]
    pub kind: String,
    pub added: usize,
    pub changed: usize,
    pub removed: usize,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ResourceDiff {
    pub group: String,
    #[serde(rename = "type")]
    pub kind: String,
    pub name: String,
    pub action: Action,
    /// A unified diff of the resources as YAML, secrets redacted, cut at 200 lines.
    pub diff: String,
}

/// One thing that a change has to pass.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Gate {
    /// `documents`, `compile`, `envoy`, `rights`, `preconditions`
    pub name: String,
    /// `passed`, `failed`, `skipped`
    pub state: String,
    pub text: String,
}

/// A change for somebody else to make.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Proposal {
    /// What would differ in the files of the folder, for `patch -p1` or `git apply --unidiff-zero` in that folder. Empty where
    /// no file can be named.
    pub patch: String,
    /// What is not in the patch, and why.
    pub left_out: Vec<LeftOut>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct LeftOut {
    #[serde(flatten)]
    pub object: ObjectName,
    /// `secret`: its values are not shown. `cluster`: it is no file, but an object of an API server. `file`: its file cannot be
    /// edited from here. `hidden`: a patch of its file would show what the caller may not see.
    pub because: String,
    pub text: String,
}

/// How many proxies have something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Live {
    pub live: usize,
    pub total: usize,
    pub refused: usize,
}
