use model::Code;
use serde_json::{Value, json};

use crate::exit::{Exit, Failure, Outcome};
use crate::io::Io;
use crate::output::Output;
use crate::resource;
use crate::table::Table;

mod field;

/// Say what a code means, or what a field of a document is
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  isthmus explain ISM1203
  isthmus explain httproute.spec.rules.backendRefs
  isthmus explain registry -o json
  isthmus explain")]
pub(crate) struct Args {
    /// A code, e.g. ISM1203, or KIND.PATH of a field; without it, all codes are listed
    #[arg(value_name = "CODE|KIND.PATH", add = crate::completion::kinds())]
    word: Option<String>,
    /// How to print it
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    output: Output,
}

type Page = (Code, &'static str, &'static str);

pub(crate) fn run(args: &Args, io: &mut Io<'_>) -> Outcome {
    let mut all = model::codes::ALL.iter().chain(api::CODES);
    let Some(word) = &args.word else {
        let all: Vec<&Page> = all.collect();
        let document: Value = all.iter().map(|page| json_of(page)).collect();
        let table = || {
            let mut table = Table::new(["CODE", "TITLE"]);
            for (code, title, _) in &all {
                table.row([code.to_string(), (*title).to_owned()]);
            }
            table.render()
        };
        let names = || all.iter().map(|(code, _, _)| code.to_string()).collect();
        args.output.print(io, &document, table, names)?;
        return Ok(Exit::Ok);
    };
    let upper = word.to_ascii_uppercase();
    let number = upper.strip_prefix("ISM").unwrap_or(&upper).parse().ok().map(Code);
    if let Some((code, title, text)) =
        number.and_then(|code| all.find(|(known, _, _)| *known == code))
    {
        let print = || format!("{code}: {title}\n\n{}\n", text.trim_start());
        let page = json_of(&(*code, title, text));
        args.output.print(io, &page, print, || vec![code.to_string()])?;
        return Ok(Exit::Ok);
    }
    let (kind, path) = word.split_once('.').unwrap_or((word, ""));
    let Ok(kind) = resource::document(kind) else {
        return Err(Failure::new(Exit::NotFound, format!("there is no code and no kind `{word}`"))
            .hint(
                "`isthmus explain` lists all codes, `isthmus get --help` says what kinds there are",
            ));
    };
    let page = field::page(kind, path)?;
    args.output.print(io, &page, || field::tell(&page), || vec![word.clone()])?;
    Ok(Exit::Ok)
}

fn json_of((code, title, text): &Page) -> Value {
    json!({"code": code.to_string(), "title": title, "text": text.trim_start()})
}
