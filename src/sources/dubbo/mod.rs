//! # dubbo: what Dubbo writes into a registry, in whichever registry it stands
//!
//! ```text
//! provider URL, or Nacos metadata ──instance──► RawInstance      interface level
//! override URLs ──Overrides──► the same URL, changed             interface level
//! dubbo.endpoints … ──Application──┐
//! metadata centre JSON ──Revision──┴──► RawInstances             application level
//! ```
//!
//! Pure: text in, values out. The sources of ZooKeeper and Nacos share it, so that one Dubbo service has the same name
//! and the same weights in both. It must never do I/O, and never panic on what a registry holds.
//!
//! Dubbo's weight 100 is the usual one; here that is 1, so a weight is divided by 100. Warm-up is not played: the
//! start time and the warm-up time are labels (`dubbo.timestamp`, `dubbo.warmup`), as is the tag.

mod application;
mod instance;
mod name;
mod overrides;
mod url;

pub use application::{Application, BadMetadata, Endpoint, Revision, Storage};
pub use instance::{Params, instance, is_read, rank};
pub use name::{ServiceKey, provider_key};
pub use overrides::Overrides;
pub use url::Url;
