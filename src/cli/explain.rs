use model::Code;
use serde_json::{Value, json};

use crate::exit::{Exit, Failure, Outcome};
use crate::io::Io;
use crate::output::Output;
use crate::table::Table;

/// Say what a finding's or an error's code means
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  isthmus explain ISM1203
  isthmus explain 1203 -o json
  isthmus explain")]
pub(crate) struct Args {
    /// The code, e.g. ISM1203; without it, all codes are listed
    code: Option<String>,
    /// How to print it
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    output: Output,
}

type Page = (Code, &'static str, &'static str);

pub(crate) fn run(args: &Args, io: &mut Io<'_>) -> Outcome {
    let mut all = model::codes::ALL.iter().chain(api::CODES);
    let Some(word) = &args.code else {
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
    let page = number.and_then(|code| all.find(|(known, _, _)| *known == code));
    let page = page.ok_or_else(|| {
        Failure::new(Exit::NotFound, format!("there is no code `{word}`"))
            .hint("`isthmus explain` lists all")
    })?;
    let (code, title, text) = page;
    let print = || format!("{code}: {title}\n\n{}\n", text.trim_start());
    args.output.print(io, &json_of(page), print, || vec![code.to_string()])?;
    Ok(Exit::Ok)
}

fn json_of((code, title, text): &Page) -> Value {
    json!({"code": code.to_string(), "title": title, "text": text.trim_start()})
}
