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

use std::time::{Duration, Instant};

use arbitrary::{Arbitrary, Unstructured};
use libfuzzer_sys::fuzz_target;
use serve::{Form, Published, Settings, Ttls};

use client::Client;
use steps::{Setup, Step};
use wild::Wild;
use world::World;

/// Steps beyond these find nothing new and cost time.
const MOST_STEPS: usize = 200;

fuzz_target!(|data: &[u8]| {
    let mut bytes = Unstructured::new(data);
    let Ok(setup) = Setup::arbitrary(&mut bytes) else { return };
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
    let mut now = Instant::now();
    let mut world = World::default();
    let mut client = Client::new(form, settings);
    let mut wild = Wild::new(form, settings, setup.only);
    for _ in 0..MOST_STEPS {
        if bytes.is_empty() {
            break;
        }
        let Ok(step) = Step::arbitrary(&mut bytes) else { break };
        match step {
            Step::Put { kind, name, body, refs, ttl } => world.put(kind, name, body, refs, ttl),
            Step::Remove { kind, name } => world.remove(kind, name),
            Step::Publish => {
                client.publish(world.snapshot(), now);
                wild.publish(Published { snapshot: world.snapshot(), at: now });
            }
            Step::Ask { kind, names, unsubscribe } => client.ask(kind, names, unsubscribe, now),
            Step::Read => drop(client.take(now)),
            Step::Answer { kind, accept } => client.answer(kind, accept, now),
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
