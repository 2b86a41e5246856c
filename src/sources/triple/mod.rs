//! # triple: asks a running Dubbo application what it offers
//!
//! ```text
//! instance of the application level, storage "local" ──MetadataService──► dubbo::Revision (weight, tag, zone, version …)
//! ```
//!
//! At the application level the registry holds no more than address, ports and the name of a revision; the rest is in the
//! process itself, behind its MetadataService. One call for one revision of one application is enough, whichever instance
//! answers. `tri` is the service of Dubbo 3.3 and later over HTTP/2; `dubbo` the older one over Dubbo's own protocol.
//!
//! It calls nothing but that one method, and every call has a limit in time and size: who answers is not trusted.

mod ask;
mod hessian;
mod learned;
mod old;
mod tri;

pub use ask::{Error, metadata};
pub use learned::{Answer, Learned, Lesson, TEACHERS, Teacher};
