//! `ir` nouns to encoded xDS resources, one file per xDS type. `connection` is the HTTP part of a listener, `stream`
//! that of whole connections; `rules` makes virtual hosts and routes from `forward`, `redirect`, `headers`, `paths` and `cors`;
//! `access` is what policies let through, by `access_rules`, and `report` what proxies tell of requests. The defaults chosen here stand
//! next to their reasons, because they are what a proxy does when nobody said anything.

mod access;
mod access_rules;
mod choice;
mod cluster;
mod common;
mod connection;
mod cors;
mod dns;
mod endpoint;
mod forward;
mod headers;
mod intake;
mod lane;
mod lane_entry;
mod listener;
mod paths;
mod redirect;
mod report;
mod route;
mod rules;
mod runtime;
mod secret;
mod session;
mod stream;
#[cfg(test)]
mod tests;
mod upstream_tls;

pub(crate) use access::{connections, jwt};
pub(crate) use cluster::cluster;
pub use common::BROKEN_REFERENCE;
pub(crate) use common::is_laid_over;
pub(crate) use endpoint::endpoints;
pub(crate) use listener::{api_listener, listener, udp_listener};
pub use report::Reports;
pub(crate) use route::TableCache;
pub(crate) use runtime::runtime;
pub(crate) use secret::{content_of, secret};
