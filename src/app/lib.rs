//! # app: the only room that sees all
//!
//! ```text
//! settings ──► Server::start ──► sources ─► pipeline ─► groups ─► serve (xDS)
//!                                    last good (disk) ◄─┘   └──► api (HTTP)
//! ```
//!
//! Builds the rooms, joins their handles, and ends them in order. Logic that could live in a room does not live here:
//! this room knows who talks to whom, and nothing else.

mod access;
mod auth;
#[cfg(test)]
mod boards;
mod change;
mod dev;
mod editions;
mod expiry;
mod findings;
mod fleet;
#[cfg(fuzzing)]
pub mod fuzzing;
mod groups;
mod history;
mod http;
mod identities;
mod inject;
mod kubernetes;
mod lag;
mod last_good;
mod layers;
mod news;
mod observed;
mod otlp;
mod peers;
mod pipeline;
mod problems;
mod programmed;
mod proxies;
mod read;
mod registries;
mod reload;
mod report;
mod rollouts;
mod server;
mod services;
pub mod settings;
mod statuses;
mod trial;
mod validate;
mod watch;
mod why;

pub use access::admin_link;
pub use dev::{DevOptions, dev};
pub use server::Server;
pub use validate::{ValidateOptions, Validation, validate};

use std::future::Future;

/// Runs the control plane until `shutdown` is ready, then drains it.
///
/// # Errors
/// If it cannot start.
pub async fn serve(
    settings: settings::Settings,
    shutdown: impl Future<Output = ()> + Send,
) -> anyhow::Result<()> {
    let server = Server::start(settings).await?;
    shutdown.await;
    server.stop().await;
    Ok(())
}
