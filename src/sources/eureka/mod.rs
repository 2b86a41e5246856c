//! # eureka: a Netflix Eureka registry as a source
//!
//! ```text
//! GET /apps ──► wire ──► Apps ──┐
//! GET /apps/delta ──────► Apps ─┴─ what changed ──► view ──► Service, Names, Whole
//! ```
//!
//! Polled, since Eureka has nothing else: quickly while things change, seldom when nothing does. A delta is believed when
//! the registry's hash of everything agrees with ours; else everything is read again.
//!
//! A service is a VIP address in lower case (what `lb://user-svc` of Spring Cloud means), or the name of the application
//! where an instance has none. Only `UP` takes traffic; `OUT_OF_SERVICE` drains.
//!
//! Must never: take a peer's silence for an empty registry, or know what the catalog makes of an empty answer.

mod apps;
mod client;
#[cfg(test)]
mod fake;
mod pace;
mod probe;
mod registrar;
mod run;
#[cfg(test)]
mod tests;
mod view;
mod wire;

pub use probe::probe;
pub use registrar::{Registrar, Wanted};
pub use run::run;
