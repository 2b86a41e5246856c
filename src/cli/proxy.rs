mod config;
mod config_table;
mod diff;
mod drain;
mod nacks;
mod status;

use api::Proxy;
use clap::Subcommand;
use serde_json::Value;

use crate::client::Client;
use crate::exit::{Exit, Failure, Outcome};
use crate::io::Io;

/// Look at connected proxies, and steer them
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Status(status::Args),
    Config(config::Args),
    Diff(diff::Args),
    Nacks(nacks::Args),
    Drain(drain::Args),
}

pub(crate) fn run(command: &Command, io: &mut Io<'_>) -> Outcome {
    match command {
        Command::Status(args) => status::run(args, io),
        Command::Config(args) => config::run(args, io),
        Command::Diff(args) => diff::run(args, io),
        Command::Nacks(args) => nacks::run(args, io),
        Command::Drain(args) => drain::run(args, io),
    }
}

/// The proxy of this id, or the only one whose id begins so: a default node id ends in the machine's name, which is
/// long to type.
pub(crate) fn find(id: &str, client: &Client) -> Result<(Proxy, Value), Failure> {
    let (mut proxies, mut list) = all(client)?;
    let exact = proxies.iter().position(|p| p.id == id);
    let at = exact.or_else(|| {
        let mut like = proxies.iter().enumerate().filter(|(_, p)| p.id.starts_with(id));
        like.next().filter(|_| like.next().is_none()).map(|(at, _)| at)
    });
    if let Some(at) = at {
        return Ok((proxies.swap_remove(at), list["items"][at].take()));
    }
    let like: Vec<_> =
        proxies.iter().map(|p| p.id.as_str()).filter(|p| p.starts_with(id)).collect();
    Err(if like.is_empty() {
        Failure::new(Exit::NotFound, format!("no proxy `{id}` is connected"))
            .hint("`isthmus proxy status` lists those that are")
    } else {
        Failure::new(Exit::Usage, format!("`{id}` is the beginning of {}", like.join(", ")))
    })
}

/// All proxies, typed, and the list as the server wrote it.
fn all(client: &Client) -> Result<(Vec<Proxy>, Value), Failure> {
    let list = client.list(&["proxies"])?;
    let proxies = serde_json::from_value(list["items"].clone()).map_err(|e| {
        Failure::new(Exit::Unreachable, format!("the server's list of proxies cannot be read: {e}"))
    })?;
    Ok((proxies, list))
}
