//! # observe: what goes through the proxies
//!
//! ```text
//! Envoy ──access logs (gRPC)──► service ─► entry ──┬─► edges    who calls whom: 10 s buckets of an hour
//!                                                  ├─► ring     the newest requests, and who follows them
//!                                                  └─► figures  of single proxies
//! gRPC program ──load reports──► load ──────────────► edges, ring ◄──► feed: what other replicas were told
//! catalog (by app) ──names──► directory                 │
//!                  ──nodes, configured, declared──► topology ─► layout ─► api
//! ```
//!
//! In: access logs of proxies and load reports of programs that have shown who they are, and names from the catalog. Out: series, requests and a drawing.
//! Replicas tell each other what their own proxies report, so that each shows all; in metrics each counts its own.
//! Everything is bounded: what does not fit is counted and dropped, and no proxy and no request waits for it.
//! It must never keep a query string or a header that was not asked for, nor feed back into what proxies are sent.

mod bucket;
mod collector;
mod directory;
mod edges;
mod entry;
mod feed;
mod flags;
mod histogram;
mod load;
mod reporter;
mod ring;
mod series;
mod service;
pub mod topology;

pub use collector::{Collector, Figures, Sum};
pub use directory::{Directory, Place};
pub use edges::{By, EdgeKey, Protocol};
pub use feed::{Cursor, Feed};
pub use reporter::{Reporter, Reporters, Side};
pub use service::routes;
