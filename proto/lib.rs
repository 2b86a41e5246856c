//! Generated things, kept out of the rooms: they are large, change once per upstream release, and nobody reads their diff.
//!
//! ```text
//!   go-control-plane ──► descriptors/envoy-v3.binpb.gz ──► descriptor_pool()   any xDS resource ↔ JSON, canonical bytes
//!                                                  └──► descriptor_set()    gRPC reflection
//!   Gateway API CRDs ──► schemas/<group>/<Kind>.json   ──► schema(group, kind) to check a document with line and column
//!   Kubernetes OpenAPI ─►        "
//! ```
//!
//! In: files that the scripts under `tools/` wrote (README.md has a command for each). Out: types and three lookups.
//! It must never hold a decision of our own: no conversion, no default, no check of a document, no I/O. That is `kinds`
//! and the rooms. A generated file is changed by its script only.

mod descriptors;
mod schemas;

pub use descriptors::{descriptor_pool, descriptor_set};
pub use schemas::schema;

#[cfg(test)]
mod tests;
