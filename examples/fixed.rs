//! A server of whatever resources it is told: the judge (`conformance/xds`) shows with it, over the wire, what the rooms
//! `serve` and `snapshot` can do and no document of the product asks for yet (TTLs, hosts on demand, scopes, `xdstp://`).
//!
//! ```text
//! cargo run --example fixed -- 127.0.0.1:18000
//! {"resources": [{"type": "EDS", "name": "a", "body": "<base64>", "ttl_ms": 3000, "domains": [], "refs": [["RDS", "r"]]}]}
//! ```
//! Each line on standard input is all that there shall be; each is answered with `ok` or with what is wrong. Ends with
//! its input. Loopback only.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use serve::{Client, Group, Listen, Options, Published, Refusal, Snapshots};
use snapshot::{Resource, ResourceKey, ResourceType, Snapshot};
use tokio::sync::watch;

type Failure = Box<dyn std::error::Error + Send + Sync>;

struct OneForAll(watch::Sender<Option<Published>>);

impl Snapshots for OneForAll {
    fn group(&self, _: &Client) -> Result<Group, Refusal> {
        Ok(Group { name: "all".into(), updates: self.0.subscribe(), moves: None })
    }
}

fn snapshot(line: &str) -> Result<Snapshot, Failure> {
    let told: Value = serde_json::from_str(line)?;
    let mut snapshot = Snapshot::default();
    for told in told["resources"].as_array().ok_or("no list `resources`")? {
        snapshot.insert(resource(told)?);
    }
    Ok(snapshot)
}

fn resource(told: &Value) -> Result<Resource, Failure> {
    let text = |key: &str| told[key].as_str().ok_or_else(|| format!("no text `{key}`"));
    let list = |key: &str| told[key].as_array().cloned().unwrap_or_default();
    let body = STANDARD.decode(text("body")?)?;
    let refs = list("refs").iter().map(reference).collect::<Result<Vec<_>, _>>()?;
    let domains = list("domains");
    let mut resource = Resource::new(kind(text("type")?)?, text("name")?.into(), &body, refs, []);
    if let Some(ttl) = told["ttl_ms"].as_u64() {
        resource = resource.with_ttl(Duration::from_millis(ttl));
    }
    Ok(resource.with_domains(domains.iter().filter_map(Value::as_str)))
}

fn reference(told: &Value) -> Result<ResourceKey, Failure> {
    let part = |at: usize| told[at].as_str().ok_or("a reference is [TYPE, NAME]");
    Ok(ResourceKey { kind: kind(part(0)?)?, name: part(1)?.into() })
}

fn kind(short: &str) -> Result<ResourceType, String> {
    let found = ResourceType::ALL.into_iter().find(|kind| kind.short() == short);
    found.ok_or_else(|| format!("no type is called {short}"))
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let address: SocketAddr = std::env::args().nth(1).ok_or("want ADDRESS:PORT")?.parse()?;
    if !address.ip().is_loopback() {
        return Err(format!("{address}: loopback only").into());
    }
    let all = Arc::new(OneForAll(watch::Sender::new(None)));
    let mut options = Options::new(Listen::Address(address));
    // Short, so that a script need not wait long for what happens to a client that does not answer.
    (options.drain, options.grace) = (Duration::ZERO, Duration::from_secs(1));
    let server = options.bind(all.clone(), Arc::new(())).await?;
    let told = tokio::task::spawn_blocking(move || {
        for line in std::io::stdin().lines().map_while(Result::ok) {
            match snapshot(&line) {
                Ok(snapshot) => {
                    all.0.send_replace(Some(Published::now(Arc::new(snapshot))));
                    println!("ok");
                }
                Err(error) => println!("{error}"),
            }
        }
    });
    server.run(async { drop(told.await) }).await?;
    Ok(())
}
