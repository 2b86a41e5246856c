//! # kinds: the documents that users write
//!
//! ```text
//! bytes ──yaml──► Node tree ──document──► kind + key ──schema──► checked tree ──gateway, core, mesh──► model::Object
//!                 (line:column)                                        └──────────► Finding (file:line:column)
//! ```
//!
//! In comes the text of one file, YAML or JSON, with one or many documents. Out come model objects in which every weak
//! value has been made a strong one, and a finding for all that is wrong, at the line and column where it stands: all
//! mistakes of a document at once, not the first one only. A document that can be identified and not be used is named,
//! so that whoever holds its last good version keeps it.
//!
//! Input is hostile until shown otherwise: size, nesting, aliases, keys and findings are all bounded, and nothing here
//! panics or recurses without a limit.
//!
//! It must never know where documents come from (files, the Kubernetes API, a store) nor anything of Envoy.

mod at;
mod certificate;
mod check;
mod core;
mod crd;
mod document;
pub mod edit;
mod filter;
mod gateway;
mod gateway_config;
mod grpc_route;
mod http_route;
mod ingress;
mod lane;
mod mesh;
mod mesh_config;
mod mesh_policy;
mod node;
mod parse;
mod pod;
mod policy;
mod re2;
mod re2_classes;
mod register;
mod registry;
mod report;
mod rollout;
mod scalar;
mod schema;
mod secret;
mod selector;
mod served;
mod session;
mod stream_route;
#[cfg(test)]
mod tests;
mod time;
mod values;
mod yaml;

pub use crd::{crds, schema};
pub use document::schema_json;
pub use parse::{Limits, Parsed, decode, documents, parse, redact};
pub use re2::translate as regex_of_re2;
pub use served::{Served, served, served_again, versions};
