//! # compile: from the catalog to what each proxy needs
//!
//! ```text
//! Catalog + changed Keys ──► Compiler ──► Plan per node group, status per object, findings
//!                              │
//!                              ├─ gateway/  listeners → attachment of routes → rules → route tables
//!                              ├─ gamma     routes whose parent is a service → routes of sidecars
//!                              ├─ grpc/     names of services → listeners without sockets, for gRPC programs
//!                              ├─ sidecar/  what a scope sees → listeners for whatever an app dials; a workload → its inbound side
//!                              ├─ backend   references → clusters and endpoint sets
//!                              ├─ documents what is said of documents by themselves; said: all of it, by who says it
//!                              ├─ lanes/    LaneGroups: who gets a lane at gateways, who is in it
//!                              ├─ join      several sources of a MeshService → its endpoints
//!                              └─ register  services that are written into registries
//! ```
//!
//! Every piece of work notes which [`catalog::Key`]s it read; only pieces with a changed key are done again, so one
//! endpoint change costs one endpoint set, whatever else exists. Unchanged results are the same value in memory.
//! It must never know Envoy's field names, do I/O, read a clock, or fail: it returns results and findings. One bad object
//! costs exactly its own piece.

mod access;
mod backend;
mod compiler;
mod complaint;
mod documents;
mod features;
mod gamma;
mod gateway;
mod group;
mod grpc;
mod join;
mod lanes;
mod peers;
mod plan;
mod references;
mod refused;
mod register;
mod said;
mod sidecar;
mod tracker;

#[cfg(test)]
mod tests;

pub use compiler::{Compiler, Update};
pub use gateway::{Bind, route_origin};
pub use group::{GroupKey, ScopeKey, SidecarKey};
pub use register::Registered;
pub use said::Difference;
pub use sidecar::is_behind;
