//! # registries: a task for each Registry that somebody wrote
//!
//! ```text
//! World ──feed──► documents, asks, deadlines, questions ──► run: tasks of sources, one for the DNS ──Batch──► pipeline
//!                 what is to be registered              ──► write: a task for each registry that is written
//! ```
//!
//! The documents say which sources there are; the guard in the catalog says what they are asked, and when it wants to be
//! woken. A source that fails is started again, and whatever it did last stays.

mod connect;
mod feed;
mod run;
mod show;
mod task;
#[cfg(test)]
pub(crate) mod tests;
mod write;

pub(crate) use connect::{connect, probe, resolve, write};
pub(crate) use feed::{Feed, Wants};
pub(crate) use run::{Controller, Sources};
pub(crate) use show::{at_document, kept, seed, show_import};
pub(crate) use write::{Wanted, Write, Writing};
