//! Gateways of a cluster get proxies of their own: a Deployment (or DaemonSet), a Service and what goes with them.
//!
//! ```text
//! model::Fleet ──render (pure)──► objects ──apply (leader only)──► API server ──watch──► addresses of each Gateway
//! ```
//!
//! All objects lie in the Gateway's namespace and belong to it, so that they go with it. They are written by server-side
//! apply, without force: what somebody else has set stays his.

mod config;
mod names;
mod pod;
mod quantity;
mod render;
#[cfg(test)]
mod tests;

pub use render::{Options, Rendered, render};
