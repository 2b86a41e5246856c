//! Any conversation with the session: what is asked, accepted, refused, left unanswered or asked anew on another stream,
//! and what changes meanwhile.
//!
//! ```text
//! bytes ──► steps ──┬──► Client: behaves, knows what it holds ──► at the end it holds what it asked for
//!                   └──► Wild: sends whatever it likes        ──► no panic, no endless talk
//! ```
//! Of every response: a type that was asked for, a fresh nonce, no name twice, and bytes that are one message.

#![no_main]

mod client;
mod steps;
mod wild;
mod world;

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use libfuzzer_sys::fuzz_target;
use serve::{Form, Published, Settings, Ttls};

use client::Client;
use steps::{Bytes, Setup, Step};
use wild::Wild;
use world::World;

/// Steps beyond these find nothing new and cost time.
const MOST_STEPS: usize = 200;

/// Prints what the client does: for an input that is played again.
static TRACE: LazyLock<bool> = LazyLock::new(|| std::env::var_os("TRACE").is_some());

fuzz_target!(|data: &[u8]| {
    let mut bytes = Bytes(data);
    let setup = Setup::read(&mut bytes);
    let form = if setup.delta { Form::Delta } else { Form::Sotw };
    let settings = Settings {
        ack_limit: Duration::from_secs(2),
        order_limit: Duration::from_secs(3),
        // Small, so that responses are cut.
        max_response: if setup.cut { 150 } else { 3 << 20 },
        legacy_wildcard: setup.legacy_wildcard,
        ttls: if setup.ttls { Ttls::Always } else { Ttls::Never },
        resource_errors: setup.resource_errors,
    };
    let start = Instant::now();
    let mut now = start;
    let mut world = World::default();
    let mut client = Client::new(form, settings);
    let mut wild = Wild::new(form, settings, setup.only);
    for _ in 0..MOST_STEPS {
        if bytes.is_empty() {
            break;
        }
        let step = Step::read(&mut bytes);
        if *TRACE {
            eprintln!("{:?} {step:?}", now - start);
        }
        match step {
            Step::Put { kind, name, body, refs, ttl } => world.put(kind, name, body, refs, ttl),
            Step::Remove { kind, name } => world.remove(kind, name),
            Step::Publish => {
                client.publish(world.snapshot(), now);
                wild.publish(Published { snapshot: world.snapshot(), at: now });
            }
            Step::Ask { kind, names, unsubscribe } => client.ask(kind, names, unsubscribe, now),
            Step::Read => {
                client.take(now);
            }
            Step::Answer { kind, accept } => client.answer(kind, accept, now),
            Step::KeepUp { accept } => {
                client.keep_up(accept, now);
            }
            Step::Reconnect => client.reconnect(now),
            Step::Wait { tenths } => now += Duration::from_millis(100 * u64::from(tenths)),
            Step::Wild(request) => wild.request(&request, now),
            Step::Bytes(raw) => wild.bytes(raw, now),
        }
        wild.read(now);
    }
    // Something else under every name: what was refused is tried again.
    world.renew();
    client.publish(world.snapshot(), now);
    client.settle(&mut now);
    client.check(&world.snapshot());
});
