//! # fleet: the proxies themselves
//!
//! ```text
//! role, addresses ──► bootstrap ──Envoy's first configuration──► supervisor ──runs──► Envoy ──► echo (trial back ends)
//!                                        find_envoy ──which program──┘
//! Gateway, GatewayConfig ──► kubernetes ──Deployment, Service, …──► API server
//! ```
//!
//! Makes an Envoy's bootstrap, finds an Envoy program, runs one as a supervised child, and serves three small echo
//! services to try things out with. It must never know what is in a snapshot, and a bootstrap never holds a secret:
//! it names files.

pub mod bootstrap;
pub mod capture;
pub mod echo;
pub mod find_envoy;
pub mod inject;
pub mod kubernetes;
pub mod ready;
pub mod supervisor;
