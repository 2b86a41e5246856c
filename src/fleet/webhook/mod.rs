//! Sidecars for the pods of namespaces that want them: a mutating admission webhook.
//!
//! ```text
//! API server ──AdmissionReview, TLS──► server ──► review ──inject──► patch, or why not
//!                                        ▲ certificate
//! Secret ◄──────── keeper (the leader) ──┴──► caBundle of the MutatingWebhookConfiguration
//!                      └──► the ConfigMap that sidecars share, in each namespace that wants some
//! ```
//!
//! Every replica answers; the leader keeps what they have in common in step. Which pods are asked about at all is in the
//! MutatingWebhookConfiguration, which is installed: namespaces that did not opt in never wait for us.

mod keeper;
mod review;
mod server;

pub use keeper::{Keeper, Setup, Told};
pub use server::{Error, Server};
