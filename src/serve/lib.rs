//! # serve: the xDS protocol
//!
//! ```text
//!                     ┌───────────────── one stream ─────────────────┐
//!  Snapshots ─group─► │  body: poll_frame ◄──► Session (no I/O) ───► │ ─ head + shared bytes ─► client
//!  (watch)            │        ▲                                     │
//!                     │  requests (read in place) ◄───────────────── │ ◄──────────────────────── client
//!                     └──────┬───────────────────────────────────────┘
//!                            └─► Observer: opened, sent, ACK, NACK, closed
//! ```
//!
//! In: snapshots of a group of clients, and the requests of each stream. Out: responses as lists of references to bytes
//! that all streams share, and reports to an [`Observer`].
//!
//! It must never know how a snapshot is made, feed anything back into it, wait for one client on behalf of another, keep
//! more for a client than it is owed, or send an empty snapshot because none is there yet.
//!
//! ## Use
//! Implement [`Snapshots`] (a client's [`Group`]: a name and a `watch` of [`Published`] snapshots) and, if wanted,
//! [`Observer`]; then `Options::new(Listen::Address(addr)).bind(snapshots, observer).await?` gives a [`Server`]:
//! `server.handle()` is cheap to clone, `server.run(shutdown).await` serves until `shutdown` resolves and all streams
//! were ended over the drain window. [`Session`] alone is the protocol without any transport.
//!
//! Beside discovery the port answers gRPC health (see [`Handle::set_serving`]), client status (CSDS; who may ask is
//! [`Snapshots::inspect`]) and, given [`Options::descriptors`], reflection.
//!
//! Numbers in comments ("rule 45") are those of the xDS rule list, which the tests carry in their names.

mod admission;
mod body;
mod choice;
mod connection;
mod csds;
mod deframe;
mod delta;
mod frames;
mod grpc;
mod health;
mod io;
mod live;
mod lookup;
mod measure;
mod missing;
mod naming;
mod node;
mod nonce;
mod order;
mod quiet;
mod request;
mod response;
#[cfg(test)]
mod scripts;
mod server;
pub mod session;
mod side;
mod sotw;
mod source;
mod state;
mod subscription;
mod tls;
mod ttl;
mod vhds;
mod view;

pub use node::{Locality, Node};
pub use nonce::Nonce;
pub use request::{ErrorDetail, Malformed, Request};
pub use response::Response;
pub use server::{Error, Handle, Listen, Options, Server};
pub use session::{Heard, Session, Settings, Ttls};
pub use source::{
    Acked, Client, Form, Group, Nacked, Observer, Published, Refusal, Sent, Snapshots, Token,
};
pub use tls::Tls;
