//! Gateways of a cluster get proxies of their own: a Deployment (or DaemonSet), a Service and what goes with them.
//!
//! ```text
//! model::Fleet ──render (pure)──► objects ──apply (leader only)──► API server ──watch──► addresses of each Gateway
//! ```
//!
//! All objects lie in the Gateway's namespace and belong to it, so that they go with it. They are written by server-side
//! apply, without force: what somebody else has set stays his.

mod addresses;
mod apply;
mod config;
#[cfg(test)]
mod fake;
mod fields;
mod kinds;
mod live;
mod names;
mod nodes;
mod pod;
pub(crate) mod quantity;
mod reconcile;
mod render;
mod run;
#[cfg(test)]
mod tests;

pub use addresses::Reached;
pub use names::object_name as account;
pub use render::{AUDIENCE, Options, Rendered, render};
pub use run::{Fleets, Setup, Told, Wanted};
