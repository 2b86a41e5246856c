//! # zookeeper: Dubbo and Spring Cloud services in a ZooKeeper
//!
//! ```text
//! /dubbo/INTERFACE/{providers,configurators,consumers} ─┐
//! /services/APPLICATION/INSTANCE (Dubbo, Spring Cloud) ─┼─ watch + read ─► Report ─► catalog
//! /dubbo/metadata/APPLICATION/REVISION (metadata centre)┘
//! MetadataService of an instance ──triple────────────────┘
//! ```
//!
//! `wire` is the protocol, `link` one connection, `connect` the way to one of the servers, `read` one service read with
//! its watches, `view` what is known, `source` the loop.
//!
//! Three rules keep the view true:
//! - A watch is set by the read that it guards, in one request: nothing can happen between the two.
//! - After every loss of contact, within the session or not, everything is read again with new watches. What vanished
//!   meanwhile is seen because it is not there, not because an event told of it. (So the request that re-arms old watches
//!   has no use here.)
//! - A lost session is not a deletion: nothing is ever removed but by an answer of the server.
//!
//! Needs an ACL that lets it read; it never writes.

mod connect;
mod interface;
mod link;
mod node;
mod probe;
mod read;
mod source;
mod tls;
mod view;
mod wire;

#[cfg(test)]
mod fake;
#[cfg(test)]
mod tests;

pub use probe::probe;
pub use source::run;
