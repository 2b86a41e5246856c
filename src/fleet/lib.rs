//! # fleet: the proxies themselves
//!
//! ```text
//! role, addresses ──► bootstrap ──Envoy's first configuration──► supervisor ──runs──► Envoy ──► echo (trial back ends)
//!                                        find_envoy ──which program──┘
//! Gateway, GatewayConfig ──► kubernetes ──Deployment, Service, …──► API server
//! pod ──► inject ──with an Envoy beside its application──► whose connections capture redirects
//!           └── asked by the API server: webhook
//! ```
//!
//! Makes an Envoy's bootstrap, finds an Envoy program, runs one as a supervised child, and serves three small echo
//! services to try things out with. Puts sidecars into pods, and redirects what a workload sends and gets to them. It must never know what is in a snapshot, and a bootstrap never holds a secret:
//! it names files.

pub mod bootstrap;
pub mod capture;
pub mod certificate;
pub mod echo;
pub mod find_envoy;
pub mod inject;
pub mod kubernetes;
pub mod ready;
pub mod supervisor;
pub mod webhook;
