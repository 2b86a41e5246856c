//! # nacos: services out of Nacos 2 and 3, over its gRPC
//!
//! ```text
//!            ┌ names ── the list, each 0.8 s, and the fuzzy watch ─┐
//! session ───┤                                                     ├─► live ──decode──► Outlet
//!            └ pushes, the last one of each service ───────────────┘    ▲ │
//!                        read: subscribe, query, Dubbo's metadata ──────┘ └── Ask
//! ```
//!
//! One session is one HTTP/2 connection that Nacos has registered. When it ends, for whatever reason, `run` says so, makes
//! another, says [`model::Report::Doubt`], and reads everything again: nothing is repaired in place. A restarted Nacos
//! answers with empty lists for a while; this room passes them on, and must never filter or delay them.

mod decode;
mod error;
mod http;
mod key;
mod lessons;
mod live;
mod login;
mod message;
mod names;
mod probe;
mod read;
mod registrar;
mod run;
mod say;
mod servers;
mod session;
mod stream;
mod tls;
mod wire;

#[cfg(test)]
mod fake;
#[cfg(test)]
mod tests;

pub use error::Error;
pub use probe::probe;
pub use registrar::{Registrar, Wanted};
pub use run::run;
