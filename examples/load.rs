//! N simulated Envoys towards any xDS server, and what they see: the client of `make bench`.
//!
//! ```text
//!            trigger (HTTP or a file) ──► server under load ◄── /proc: CPU, memory
//!                 │ t0                          │ gRPC, one connection a stream
//!                 ▼                             ▼
//!  phases ──► changes ◄── the marker arrives ── envoy × N ──► one JSON object on stdout
//! ```
//! ```text
//! load --addr 127.0.0.1:18000 --n 100 --mode delta --pid PID --run sync,idle,single,burst,storm,slow \
//!   --trigger 'http:http://127.0.0.1:18001/bump?svc={svc}&seq={seq}'
//! ```
//! A stream asks as Envoy does: clusters, then assignments, then listeners, then routes; new names before the ACK; every
//! response acknowledged. After a reconnect it asks for all it had, in delta with the versions it holds. Bodies are
//! hashed, and each distinct one is decoded once for all streams, so that the client stays cheap beside the server.
//! Not simulated: NACKs, the fetch timeout, clusters that warm, streams of one type.
//!
//! A change puts the address `10.77.<seq/256>.<seq%256>` into a service. It has arrived on a stream when that marker, or
//! a later one of the same service, is read there; its latency starts just before the trigger is called. Numbers must be
//! new to the server. Loopback only.
//!
//! | phase | does |
//! |---|---|
//! | sync | all N at once, until each has all four types |
//! | idle | nothing; the rate is taken off the CPU of later phases |
//! | single | changes one at a time, each after all streams have the last |
//! | burst | changes at a fixed rate, whether the server keeps up or not |
//! | storm | all connections cut, all come back at once with what they hold |
//! | restart, replica | the same, but before they come back `{"ask": phase}` is printed and a line `{"addr", "pid", "trigger"}` is read: the server to come back to |
//! | slow | the sockets of k streams are not read while changes go on |

#[path = "load/changes.rs"]
mod changes;
#[path = "load/connection.rs"]
mod connection;
#[path = "load/content.rs"]
mod content;
#[path = "load/count.rs"]
mod count;
#[path = "load/envoy.rs"]
mod envoy;
#[path = "load/flags.rs"]
mod flags;
#[path = "load/io.rs"]
mod io;
#[path = "load/phases.rs"]
mod phases;
#[path = "load/process.rs"]
mod process;
#[path = "load/trigger.rs"]
mod trigger;
#[path = "load/wire.rs"]
mod wire;

type Failure = Box<dyn std::error::Error + Send + Sync>;

fn main() -> Result<(), Failure> {
    let flags = flags::Flags::read(std::env::args().skip(1))?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(flags.threads)
        .enable_all()
        .build()?;
    let result = runtime.block_on(phases::run(flags))?;
    println!("{result}");
    if result["ok"] == true { Ok(()) } else { Err("a phase missed its end".into()) }
}
