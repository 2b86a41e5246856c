use std::collections::BTreeMap;
use std::time::Duration;

use model::Kind;
use serde_json::{Value, json};

use crate::client::{Client, Next};
use crate::columns;
use crate::duration;
use crate::exit::{Exit, Failure, Outcome};
use crate::io::Io;
use crate::object;
use crate::resource::{self, Resource};
use crate::selector::Selector;
use crate::view::{ViewArgs, full, items, text};

/// List objects of a running server, or show one, with computed status
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  isthmus get gateways
  isthmus get httproute orders -n shop -o yaml
  isthmus get services -l team=pay --sort -RATE -o wide
  isthmus get httproutes -n shop --watch -o jsonl")]
pub(crate) struct Args {
    /// A kind, singular or plural, in any case; also services, proxies, revisions, problems, rollouts, events, …
    #[arg(value_parser = resource::parse, add = crate::completion::resources())]
    kind: Resource,
    /// Only the object of this name
    #[arg(add = crate::completion::names())]
    name: Option<String>,
    /// Only this namespace; all namespaces where not given
    #[arg(short, long, value_name = "NS", conflicts_with = "all_namespaces")]
    namespace: Option<String>,
    /// All namespaces
    #[arg(short = 'A', long)]
    all_namespaces: bool,
    /// Only objects with these labels: a=b, a!=b, a, !a, with commas between
    #[arg(short = 'l', long, value_name = "LABELS", value_parser = Selector::parse)]
    selector: Option<Selector>,
    /// Go on with what changes
    #[arg(short, long)]
    watch: bool,
    /// With --watch: for so long
    #[arg(long = "for", value_name = "TIME", requires = "watch", value_parser = duration::parse)]
    limit: Option<Duration>,
    #[command(flatten)]
    view: ViewArgs,
}

pub(crate) fn run(args: &Args, io: &mut Io<'_>) -> Outcome {
    let client = args.view.client(io)?;
    if args.watch {
        return watch(args, &client, io);
    }
    let document = match (args.kind, &args.name) {
        (Resource::Document(kind), Some(name)) => {
            let object = object::find(kind, name, args.namespace.as_deref(), &client)?;
            client.get(&object.path(), &[])?
        }
        (Resource::View(view), Some(name)) => one(args, view, name, &client)?,
        (_, None) => list(args, &client)?,
    };
    let one = std::slice::from_ref(&document);
    let rows = if args.name.is_some() { one } else { items(&document) };
    let plural = args.plural();
    args.view.print(io, &document, rows, &args.columns(), |o| columns::full_name(plural, o))?;
    if rows.is_empty() && args.view.output.is_text() {
        let place = match &args.namespace {
            Some(namespace) => format!(" in namespace {namespace}"),
            None => String::new(),
        };
        io.note(format_args!("no {plural}{place}"));
    }
    Ok(Exit::Ok)
}

impl Args {
    fn plural(&self) -> &'static str {
        match self.kind {
            Resource::Document(kind) => kind.plural(),
            Resource::View(view) => view,
        }
    }

    fn columns(&self) -> Vec<crate::view::Column> {
        columns::of(self.plural(), self.scope().is_none())
    }

    /// The namespace that is asked for, where the kind has some.
    fn scope(&self) -> Option<&str> {
        let has = match self.kind {
            Resource::Document(kind) => kind.namespaced(),
            Resource::View(_) => true,
        };
        self.namespace.as_deref().filter(|_| has)
    }

    fn wants(&self, item: &Value) -> bool {
        let namespace =
            [&item["metadata"]["namespace"], &item["namespace"], &item["object"]["namespace"]];
        let fits = match self.scope() {
            None => true,
            // A proxy is in the namespace of what it is configured for.
            Some(ns) if self.plural() == "proxies" => {
                text(&item["scope"]).split('/').next() == Some(ns)
            }
            Some(ns) => namespace.iter().any(|own| *own == ns),
        };
        let labels = match &item["metadata"]["labels"] {
            Value::Null => &item["labels"],
            labels => labels,
        };
        fits && self.selector.as_ref().is_none_or(|selector| selector.fits(labels))
    }
}

/// What was asked for of a list, as the server wrote it.
fn list(args: &Args, client: &Client) -> Result<Value, Failure> {
    let mut list = match (args.kind, args.scope()) {
        (Resource::Document(kind), Some(ns)) => client.list(&["namespaces", ns, kind.plural()])?,
        (Resource::Document(kind), None) => client.list(&[kind.plural()])?,
        (Resource::View(view), _) => client.list(&[view])?,
    };
    if let Some(items) = list["items"].as_array_mut() {
        let before = items.len();
        items.retain(|item| args.wants(item));
        if items.len() != before {
            list["total"] = json!(items.len());
        }
    }
    Ok(list)
}

fn one(args: &Args, view: &'static str, name: &str, client: &Client) -> Result<Value, Failure> {
    match view {
        "services" => {
            let object = object::find(Kind::Service, name, args.namespace.as_deref(), client)?;
            client.get(&["services", &object.namespace, &object.name], &[])
        }
        "revisions" => client.get(&["revisions", name], &[]),
        "proxies" => Ok(crate::proxy::find(name, client)?.1),
        "rollouts" | "sources" => {
            let list = list(args, client)?;
            let found = items(&list).iter().find(|item| full(item) == name || item["name"] == name);
            found.cloned().ok_or_else(|| {
                Failure::new(Exit::NotFound, format!("there is no {name} among the {view}"))
            })
        }
        _ => Err(Failure::new(Exit::Usage, format!("{view} have no names"))),
    }
}

/// What is there, and then a row for each change until the time is over.
fn watch(args: &Args, client: &Client, io: &mut Io<'_>) -> Outcome {
    const WATCHED: [&str; 5] = ["problems", "proxies", "revisions", "rollouts", "services"];
    if let Resource::View(view) = args.kind
        && !WATCHED.contains(&view)
    {
        let text = format!("{view} cannot be watched");
        return Err(Failure::new(Exit::Usage, text)
            .hint(format!("documents can, and {}", WATCHED.join(", "))));
    }
    let plural = args.plural();
    let columns = args.columns();
    let mut query = vec![("kinds", plural)];
    query.extend(args.scope().map(|ns| ("namespace", ns)));
    let mut widths = Vec::new();
    let mut listed = false;
    // As each was last shown: a list says again what was said already.
    let mut shown = BTreeMap::new();
    let fits = |item: &Value| {
        args.wants(item)
            && args
                .name
                .as_ref()
                .is_none_or(|name| name_of(item) == *name || full_of(item) == *name)
    };
    let name = |item: &Value| columns::full_name(plural, item);
    let mut show = |item: &Value, io: &mut Io<'_>| {
        let text = item.to_string();
        if shown.insert((full_of(item), name_of(item)), text.clone()).as_ref() == Some(&text) {
            return Ok(());
        }
        args.view.print_more(io, item, &columns, &mut widths, name)
    };
    let mut events = client.follow(&["watch"], &query, args.limit);
    loop {
        match events.next()? {
            Next::Over => return Ok(Exit::Ok),
            // Opened first and listed then, so that nothing is missed in between.
            Next::Open if !listed => {
                listed = true;
                for item in items(&list(args, client)?).iter().filter(|item| fits(item)) {
                    show(item, io)?;
                }
            }
            Next::Open => {}
            Next::Event(event) => match event.name.as_str() {
                "put" => {
                    let data = event.json();
                    let item = if data["object"].is_object() { &data["object"] } else { &data };
                    if fits(item) {
                        show(item, io)?;
                    }
                }
                "del" => {
                    let data = event.json();
                    io.note(format_args!("deleted: {}", full_of(&data)));
                }
                // Too much happened to be told one by one.
                "reset" => {
                    for item in items(&list(args, client)?).iter().filter(|item| fits(item)) {
                        show(item, io)?;
                    }
                }
                _ => {}
            },
        }
    }
}

fn name_of(item: &Value) -> String {
    match &item["metadata"]["name"] {
        Value::String(name) => name.clone(),
        _ => text(&item["name"]) + &text(&item["id"]),
    }
}

fn full_of(item: &Value) -> String {
    if item["metadata"].is_object() { full(&item["metadata"]) } else { full(item) }
}
