//! # sources: places that know things
//!
//! ```text
//! folder of YAML ──file──────────────────► Batch of Change ──► catalog
//! Kubernetes API server ──kubernetes─────► Batch of Change ──► catalog
//! Nacos, Eureka, ZooKeeper, Consul ──────► Batch of Report ──► catalog
//! ```
//!
//! One folder of this room per place that truth comes from. Each is a component: `Options`, and a `run` that sends
//! [`model::Batch`]es into a bounded channel until it is told to stop. One batch is one atomic step.
//!
//! A source reports facts: what there is, what is gone, what could not be read, how fresh its view is. It never guesses
//! what they mean for traffic, never turns a lost session into a `Delete`, and must never know the catalog, another
//! source or Envoy.

pub mod consul;
pub mod dns;
pub mod dubbo;
pub mod eureka;
pub mod file;
pub mod kubernetes;
pub mod nacos;
pub mod registry;
pub mod triple;
pub mod zookeeper;
