use std::path::PathBuf;

use api::change::ChangeReport;
use model::Kind;
use serde_json::{Value, json};

use crate::client::Client;
use crate::documents::Documents;
use crate::exit::{Exit, Failure, Outcome};
use crate::io::Io;
use crate::object::{self, Object};
use crate::output::Output;
use crate::report::{self, Detail};
use crate::resource;
use crate::target::ServerArgs;
use crate::write_args::{WriteArgs, borrowed};

/// Delete objects
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  isthmus delete httproute orders -n shop
  isthmus delete -f routes.yaml --yes
  isthmus delete httproute orders -n shop --dry-run

Exit code 8: some of several were deleted.")]
pub(crate) struct Args {
    /// A kind, singular or plural, in any case
    #[arg(value_parser = resource::document, required_unless_present = "files", add = crate::completion::kinds())]
    kind: Option<Kind>,
    /// Names of objects of this kind
    #[arg(requires = "kind", required_unless_present = "files", add = crate::completion::names())]
    names: Vec<String>,
    /// Namespace of the objects
    #[arg(short, long, value_name = "NS")]
    namespace: Option<String>,
    /// The objects of these documents: file or folder, `-` for stdin; may be repeated
    #[arg(short, long = "file", value_name = "PATH", conflicts_with_all = ["kind", "namespace"])]
    files: Vec<PathBuf>,
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
    /// How to print the report
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    output: Output,
    #[command(flatten)]
    write: WriteArgs,
    #[command(flatten)]
    server: ServerArgs,
}

pub(crate) fn run(args: &Args, io: &mut Io<'_>) -> Outcome {
    let client = args.server.client(args.output, io)?;
    let objects = match args.kind {
        Some(kind) => args
            .names
            .iter()
            .map(|name| object::find(kind, name, args.namespace.as_deref(), &client))
            .collect::<Result<Vec<_>, _>>()?,
        // What depends on others usually comes after them.
        None => of_documents(&Documents::read(&args.files, io)?)?.into_iter().rev().collect(),
    };
    if !args.write.dry_run {
        let all: Vec<_> = objects.iter().map(ToString::to_string).collect();
        io.confirm(args.yes, &format!("delete {}", all.join(", ")))?;
    }
    let mut done = Vec::new();
    let mut exit = Exit::Ok;
    for object in &objects {
        match delete(args, object, &client) {
            Ok(answer) => done.push(answer),
            // Nothing was done, so that this is the whole answer.
            Err(failure) if done.is_empty() => return Err(failure),
            Err(failure) => {
                io.complain(format_args!("isthmus: {object}: {}", failure.message));
                exit = Exit::Partly;
            }
        }
    }
    let detail = Detail { colour: io.colour, ..Detail::default() };
    let document = match done.as_slice() {
        [only] => only.clone(),
        _ => json!({"items": done}),
    };
    let reports: Vec<ChangeReport> = done.iter().map(report::read).collect::<Result<_, _>>()?;
    let text = || reports.iter().map(|report| report::text(report, &detail)).collect();
    args.output.print(io, &document, text, || objects.iter().map(ToString::to_string).collect())?;
    for report in &reports {
        if exit == Exit::Ok {
            exit = report::verdict(report)?;
        }
    }
    Ok(exit)
}

fn delete(args: &Args, object: &Object, client: &Client) -> Result<Value, Failure> {
    let path = object.path();
    // In the version that is there now: what comes in between is not deleted unseen.
    let (_, tag) = client.get_tagged(&path)?;
    client.delete(&path, &borrowed(&args.write.query()), Some(&tag), args.write.patience())
}

fn of_documents(documents: &Documents) -> Result<Vec<Object>, Failure> {
    let mut objects = Vec::new();
    for document in serde_yaml::Deserializer::from_str(&documents.text) {
        let document: Value = serde::Deserialize::deserialize(document)
            .map_err(|e| Failure::new(Exit::Invalid, format!("these are no documents: {e}")))?;
        let list = if document["items"].is_array() {
            document["items"].clone()
        } else {
            json!([document])
        };
        for document in list.as_array().into_iter().flatten().filter(|d| !d.is_null()) {
            objects.push(Object::of(document)?);
        }
    }
    Ok(objects)
}
