use api::TypeView;
use clap::ValueEnum;
use serde_json::Value;

use super::config_table::{self, Section};
use crate::exit::{Exit, Failure, Outcome};
use crate::io::Io;
use crate::output::Output;
use crate::target::ServerArgs;

/// Show what a proxy is meant to have
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  isthmus proxy config edge-1 routes
  isthmus proxy config edge-1 clusters --name demo/orders -o yaml
  isthmus proxy config edge-1 all")]
pub(crate) struct Args {
    /// The proxy's node id, or how only its id begins
    id: String,
    /// Which part
    part: Part,
    /// Only the resource of this name
    #[arg(long)]
    name: Option<String>,
    /// How to print it
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    output: Output,
    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    Listeners,
    Routes,
    Clusters,
    Endpoints,
    Secrets,
    All,
}

impl Part {
    fn word(self) -> Option<(&'static str, Section)> {
        match self {
            Self::Listeners => Some(("listeners", Section::Listeners)),
            Self::Routes => Some(("routes", Section::Routes)),
            Self::Clusters => Some(("clusters", Section::Clusters)),
            Self::Endpoints => Some(("endpoints", Section::Endpoints)),
            Self::Secrets => Some(("secrets", Section::Secrets)),
            Self::All => None,
        }
    }
}

pub(crate) fn run(args: &Args, io: &mut Io<'_>) -> Outcome {
    let client = args.server.client(args.output, io)?;
    let (proxy, _) = super::find(&args.id, &client)?;
    let mut query = vec![("proxy", proxy.id.as_str())];
    if let Some((word, _)) = args.part.word() {
        query.push(("type", word));
    }
    if let Some(name) = &args.name {
        query.push(("name", name));
    }
    let document: Value = client.get(&["snapshot"], &query)?;
    let types: Result<Vec<TypeView>, _> = serde_json::from_value(document["types"].clone());
    let types = types.map_err(|e| {
        Failure::new(Exit::Unreachable, format!("the server's snapshot cannot be read: {e}"))
    })?;
    let resources = || types.iter().flat_map(|t| &t.resources);
    if let Some(name) = &args.name
        && resources().next().is_none()
    {
        return Err(Failure::new(Exit::NotFound, format!("proxy {} has no `{name}`", proxy.id)));
    }
    let section = args.part.word().map_or(Section::All, |(_, section)| section);
    let table = || config_table::render(section, &types);
    args.output.print(io, &document, table, || resources().map(|r| r.name.clone()).collect())?;
    if resources().next().is_none() && args.output.is_text() {
        io.note(format_args!("proxy {} has none", proxy.id));
    }
    Ok(Exit::Ok)
}
