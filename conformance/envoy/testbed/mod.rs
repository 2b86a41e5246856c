//! What every test here stands on: a folder, the real `isthmus`, a real Envoy, back ends and a client.
//!
//! ```text
//! Folder ──watched by──► Isthmus (process) ──ADS──► Envoy (process) ──► Echo (tasks of the test)
//!    ▲                        ▲ HTTP API               ▲ admin, traffic        │ counts
//!    └───────── test ─────────┴────────────────────────┴───────────────────────┘
//! ```
//!
//! Everything listens on loopback, on ports that were free a moment ago. Waiting is always for something to be seen,
//! with a limit. Whatever was started is killed, by its own pid, when it is dropped; a failing test prints the last
//! lines of each process's log.

mod bed;
mod child;
mod client;
mod documents;
mod echo;
mod envoy;
mod folder;
mod isthmus;
mod load;
mod machines;
mod ports;
mod tls;
mod wait;

pub(crate) use bed::{Bed, GATEWAY, NODE};
pub(crate) use child::Process;
pub(crate) use client::{Answer, Ask, Connection, Failure, Tunnel, ask_once, get};
pub(crate) use documents::{
    Listener, authorities, gateway, gateway_of, kube_service, prefix, route, route_of, secret,
    service, too_large,
};
pub(crate) use echo::Echo;
pub(crate) use envoy::{Envoy, binary as envoy_binary, skipped};
pub(crate) use folder::Folder;
pub(crate) use isthmus::{Isthmus, Run, output, program};
pub(crate) use load::{Load, Target};
pub(crate) use machines::{Machine, ip};
pub(crate) use ports::{free_port, loopback};
pub(crate) use tls::{Certificate, server as tls_server, server_for as tls_server_for};
pub(crate) use wait::{LIMIT, say, until};
