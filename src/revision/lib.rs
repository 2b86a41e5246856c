//! # revision: what was good, kept
//!
//! ```text
//! catalog ──documents──┐                                   ┌─► sources (seed)
//!                      ├─► store: last-good.redb ──start──►┤
//! compile ──snapshots──┘   sealed, fsynced, one commit     └─► serve (until the first full view)
//!                          per step, only differences
//! ```
//!
//! In: the documents in use and the snapshots that are served, as differences. Out, after a restart: the same, and when
//! they were written. With it a control plane whose folder is missing or broken serves what was last good, to the byte,
//! and says how old that is.
//!
//! The store is one redb file: a B-tree whose pages carry checksums, whose commits are atomic and fsynced, so that a
//! process killed at any moment finds the last commit and nothing of the one under way; in pure Rust, three crates deep,
//! and with a commit of half a millisecond, which a log that has to be compacted or a file that is written anew for each
//! change does not offer. Keys (kinds, names) are readable; values are sealed with AES-256-GCM, because documents and
//! SDS resources hold private keys.
//!
//! [`history`] is a file of the same make beside it: the documents of each revision.
//! `rollout/` says which proxies a change reaches first, and when it goes on or back: pure.
//!
//! Beside it, small files of other rooms are sealed with the same key.
//!
//! It must never stop the start (a file that cannot be used is moved aside and named), write a secret that is not
//! sealed, decide what is good, or know gRPC.

pub mod history;
pub mod rollout;
pub mod store;
