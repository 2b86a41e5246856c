use serde_json::Value;

use crate::exit::{Exit, Failure, Outcome};
use crate::io::Io;
use crate::output::{Output, yaml};
use crate::table::Table;

/// Print the CustomResourceDefinitions of Isthmus' own kinds
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  isthmus crds | kubectl apply --server-side -f -
  isthmus crds meshservices
  isthmus crds -o table")]
pub(crate) struct Args {
    /// Only this kind, singular or plural, in any case
    kind: Option<String>,
    /// How to print them
    #[arg(short, long, value_name = "FORMAT", default_value = "yaml")]
    output: Output,
}

pub(crate) fn run(args: &Args, io: &mut Io<'_>) -> Outcome {
    let mut all = kinds::crds();
    if let Some(word) = &args.kind {
        let lower = word.to_ascii_lowercase();
        let names = |crd: &Value| crd["spec"]["names"].clone();
        all.retain(|crd| {
            [&names(crd)["plural"], &names(crd)["singular"]].contains(&&Value::from(lower.as_str()))
        });
        if all.is_empty() {
            let text = format!("isthmus.dev has no kind {word}");
            return Err(
                Failure::new(Exit::NotFound, text).hint("`isthmus crds -o name` lists them")
            );
        }
    }
    if args.output == Output::Yaml {
        for crd in &all {
            // Many documents, as kubectl takes them.
            write!(io.out, "---\n{}", yaml(crd)?)?;
        }
        return Ok(Exit::Ok);
    }
    let document = match all.as_slice() {
        [only] => only.clone(),
        _ => serde_json::json!({"apiVersion": "v1", "kind": "List", "items": &all}),
    };
    let names = || all.iter().map(|crd| word(&crd["metadata"]["name"])).collect();
    args.output.print(io, &document, || table(&all), names)?;
    Ok(Exit::Ok)
}

fn table(crds: &[Value]) -> String {
    let mut table = Table::new(["KIND", "VERSIONS", "SHORT", "SCOPE"]);
    let list = |value: &Value, field: &dyn Fn(&Value) -> String| {
        value.as_array().into_iter().flatten().map(field).collect::<Vec<_>>().join(",")
    };
    for crd in crds {
        let spec = &crd["spec"];
        table.row([
            word(&spec["names"]["kind"]),
            list(&spec["versions"], &|version| word(&version["name"])),
            list(&spec["names"]["shortNames"], &word),
            word(&spec["scope"]),
        ]);
    }
    table.render()
}

fn word(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
