//! # identity: who a workload is, and the certificates that say so
//!
//! ```text
//! own CA, or a given one ──► Authority ──issue──► Leaf (24 h, one URI: the SPIFFE id)
//!                               │
//!                               └── rotation: Bundled ──all have the bundle──► Signing ──all leaves are new──► Settled
//! ```
//!
//! In: the time, what is kept of the CA, and what proxies have acknowledged. Out: leaves, the bundle of roots, and the next
//! step of a change of roots. It holds private keys and shows them to nobody but who keeps the CA and who hands a leaf to
//! its proxy: no type here prints one.
//! It must never do I/O, read a clock, know Envoy or Kubernetes, or decide who is who: whoever asks has been authenticated.

mod authority;
mod certificate;
mod kept;
mod leaf;
mod rotation;
mod signer;
#[cfg(test)]
mod tests;

pub use authority::Authority;
pub use certificate::Root;
pub use kept::Kept;
pub use leaf::Leaf;
pub use rotation::{Phase, Taken, Times};
pub use signer::{Signer, given};

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("no key or certificate could be made")]
    Make(#[source] rcgen::Error),
    #[error("the certificates of the CA cannot be read: {0}")]
    Certificate(String),
    #[error("the key of the CA cannot be read, or is not that of its certificate")]
    Key,
    #[error("what is kept of the CA cannot be read: {0}")]
    Kept(String),
}
