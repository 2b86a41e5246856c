use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use ::import::{Format, Imported, Options, What};
use clap::ValueEnum;
use serde_json::json;

use crate::exit::{Exit, Failure, Outcome};
use crate::io::Io;
use crate::output::yaml;

/// Turn what other gateways' users have written into documents of ours
///
/// The documents are printed; what became of each part (mapped, changed, refused) is told on stderr. Nothing is applied.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  kubectl get httpproxy -A -o yaml | isthmus import httpproxy -f - > routes.yaml
  isthmus import ingress -f ingresses.yaml --gateway infra/edge --report report.txt | isthmus apply -f -
  isthmus import openapi -f orders.json --gateway infra/edge --namespace shop --service orders:8080")]
pub(crate) struct Args {
    /// What the text is
    format: Kind,
    /// A file of YAML or JSON; `-` is stdin
    #[arg(short, long, value_name = "FILE")]
    file: PathBuf,
    /// What routes are attached to; else what the documents say
    #[arg(long, value_name = "NAMESPACE/NAME")]
    gateway: Option<String>,
    /// Where routes of an OpenAPI document are put
    #[arg(long, value_name = "NAME")]
    namespace: Option<String>,
    /// What requests of an OpenAPI document go to
    #[arg(long, value_name = "[[KIND/]NAMESPACE/]NAME:PORT")]
    service: Option<String>,
    /// Write the report there, not to stderr
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// How to print the documents
    #[arg(short, long, value_name = "FORMAT", default_value = "yaml")]
    output: Form,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Kind {
    Httpproxy,
    Ingress,
    Openapi,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Form {
    Yaml,
    /// With the report
    Json,
}

impl From<Kind> for Format {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Httpproxy => Self::HttpProxy,
            Kind::Ingress => Self::Ingress,
            Kind::Openapi => Self::OpenApi,
        }
    }
}

pub(crate) fn run(args: &Args, io: &mut Io<'_>) -> Outcome {
    let Args { format, file, gateway, namespace, service, report, output } = args;
    let text = read(file, io)?;
    let options = Options {
        gateway: gateway.clone(),
        namespace: namespace.clone(),
        service: service.clone(),
    };
    let imported = ::import::import((*format).into(), &text, &options)
        .map_err(|why| Failure::new(Exit::Invalid, format!("{}: {why}", file.display())))?;
    match output {
        Form::Yaml => {
            for (index, document) in imported.documents.iter().enumerate() {
                let line = if index == 0 { "" } else { "---\n" };
                write!(io.out, "{line}{}", yaml(document)?)?;
            }
        }
        Form::Json => {
            let lines = imported.report.iter().map(|line| {
                json!({
                    "object": line.object, "pointer": line.pointer,
                    "what": line.what.as_str(), "code": line.code, "args": line.args, "text": line.text,
                })
            });
            let lines: Vec<_> = lines.collect();
            writeln!(io.out, "{:#}", json!({"items": imported.documents, "report": lines}))?;
        }
    }
    let told = tell(&imported);
    match report {
        Some(path) => std::fs::write(path, told).map_err(|e| {
            Failure::new(Exit::Unreachable, format!("cannot write {}: {e}", path.display()))
        })?,
        None => io.err.write_all(told.as_bytes())?,
    }
    Ok(if imported.refused() { Exit::Partly } else { Exit::Ok })
}

fn read(file: &Path, io: &mut Io<'_>) -> Result<Vec<u8>, Failure> {
    let mut text = Vec::new();
    let read = if file == Path::new("-") {
        io.input.read_to_end(&mut text).map(drop)
    } else {
        std::fs::read(file).map(|read| text = read)
    };
    read.map_err(|e| {
        Failure::new(Exit::Unreachable, format!("cannot read {}: {e}", file.display()))
    })?;
    Ok(text)
}

/// A line for each part, and how many there are.
fn tell(imported: &Imported) -> String {
    let lines = imported.report.iter().map(|line| format!("{line}\n"));
    let count = |what| imported.report.iter().filter(|line| line.what == what).count();
    let (mapped, changed, refused) =
        (count(What::Mapped), count(What::Changed), count(What::Refused));
    let documents = imported.documents.len();
    let sum = format!(
        "{documents} documents; {mapped} parts mapped, {changed} changed, {refused} refused\n"
    );
    lines.chain([sum]).collect()
}
