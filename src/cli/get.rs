mod columns;
mod resource;

use api::Time;
use model::Kind;
use serde_json::Value;

use crate::client::{Client, ServerArgs};
use crate::exit::{Exit, Failure, Outcome};
use crate::io::Io;
use crate::output::Output;
use crate::table::Table;
use resource::Resource;

/// List objects of a running server, or show one, with computed status
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  isthmus get gateways
  isthmus get httproute orders -n shop -o yaml
  isthmus get findings")]
pub(crate) struct Args {
    /// A kind, singular or plural, in any case; also findings, sources, proxies
    #[arg(value_parser = resource::parse)]
    kind: Resource,
    /// Only the object of this name
    name: Option<String>,
    /// Only this namespace; all namespaces where not given
    #[arg(short, long, value_name = "NS", conflicts_with = "all_namespaces")]
    namespace: Option<String>,
    /// All namespaces
    #[arg(short = 'A', long)]
    all_namespaces: bool,
    /// How to print it
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    output: Output,
    #[command(flatten)]
    server: ServerArgs,
}

pub(crate) fn run(args: &Args, io: &mut Io<'_>) -> Outcome {
    let client = args.server.client(args.output)?;
    match args.kind {
        Resource::Document(kind) => documents(args, kind, &client, io),
        Resource::View(path) => {
            if args.name.is_some() || args.namespace.is_some() {
                let text = format!("{path} are listed as a whole: no name, no namespace");
                return Err(Failure::new(Exit::Usage, text));
            }
            let list = client.list(&[path], false)?;
            print(args, &list, items(&list), path, true, io)
        }
    }
}

fn documents(args: &Args, kind: Kind, client: &Client, io: &mut Io<'_>) -> Outcome {
    let namespace = args.namespace.as_deref().filter(|_| kind.namespaced());
    let Some(name) = &args.name else {
        let list = match namespace {
            Some(ns) => client.list(&["namespaces", ns, kind.plural()], true)?,
            None => client.list(&[kind.plural()], true)?,
        };
        return print(args, &list, items(&list), kind.plural(), namespace.is_none(), io);
    };
    let document = match namespace {
        _ if !kind.namespaced() => client.get(&[kind.plural(), name], &[])?,
        Some(ns) => client.get(&["namespaces", ns, kind.plural(), name], &[])?,
        None => anywhere(kind, name, client)?,
    };
    let one = std::slice::from_ref(&document);
    print(args, &document, one, kind.plural(), namespace.is_none(), io)
}

/// The only object of this name in any namespace.
fn anywhere(kind: Kind, name: &str, client: &Client) -> Result<Value, Failure> {
    let list = client.list(&[kind.plural()], true)?;
    let mut found: Vec<&Value> =
        items(&list).iter().filter(|o| o["metadata"]["name"] == name).collect();
    match (found.pop(), found.is_empty()) {
        (Some(only), true) => Ok(only.clone()),
        (None, _) => Err(Failure::new(Exit::NotFound, format!("there is no {kind} {name}"))),
        (Some(_), false) => {
            let text = format!("{kind} {name} exists in more than one namespace");
            Err(Failure::new(Exit::Usage, text).hint("say which with -n"))
        }
    }
}

fn items(list: &Value) -> &[Value] {
    list["items"].as_array().map_or(&[], Vec::as_slice)
}

fn print(
    args: &Args,
    document: &Value,
    items: &[Value],
    plural: &'static str,
    with_namespace: bool,
    io: &mut Io<'_>,
) -> Outcome {
    let now = Time::now();
    let columns = columns::of(plural, with_namespace);
    let table = || {
        if items.is_empty() {
            return String::new();
        }
        let mut table = Table::new(columns.iter().map(|c| c.header));
        for item in items {
            table.row(columns.iter().map(|column| (column.cell)(item, now)));
        }
        table.render()
    };
    let names = || items.iter().map(|item| columns::full_name(plural, item)).collect();
    args.output.print(io, document, table, names)?;
    if items.is_empty() && args.output == Output::Table {
        let place = match &args.namespace {
            Some(namespace) => format!(" in namespace {namespace}"),
            None => String::new(),
        };
        io.note(format_args!("no {plural}{place}"));
    }
    Ok(Exit::Ok)
}
