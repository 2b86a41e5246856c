use std::fmt::Write;

use api::{Proxy, ProxyType, Time, TypeState};
use serde_json::{Value, json};

use crate::exit::{Exit, Outcome};
use crate::io::Io;
use crate::output::Output;
use crate::table::{Table, age};
use crate::target::ServerArgs;

/// Say which proxies have what they should have; exit code 1 if one has not
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  isthmus proxy status
  isthmus proxy status edge-1
  isthmus proxy status -n shop -o json")]
pub(crate) struct Args {
    /// Only this proxy (its node id, or how only its id begins), with what it refused in full
    id: Option<String>,
    /// Only proxies of this namespace
    #[arg(short, long, value_name = "NS", conflicts_with = "id")]
    namespace: Option<String>,
    /// How to print it
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    output: Output,
    #[command(flatten)]
    server: ServerArgs,
}

/// The types that have a column of their own, in the order that people know.
const COLUMNS: [&str; 5] = ["LDS", "RDS", "CDS", "EDS", "SDS"];

pub(crate) fn run(args: &Args, io: &mut Io<'_>) -> Outcome {
    let client = args.server.client(args.output, io)?;
    let (proxies, document) = match &args.id {
        Some(id) => {
            let (proxy, document) = super::find(id, &client)?;
            (vec![proxy], document)
        }
        None => {
            let (mut proxies, mut list) = super::all(&client)?;
            if let Some(namespace) = &args.namespace {
                let prefix = format!("{namespace}/");
                proxies.retain(|p| p.scope.starts_with(&prefix));
                let fits = |p: &Value| p["scope"].as_str().is_some_and(|s| s.starts_with(&prefix));
                if let Some(items) = list["items"].as_array_mut() {
                    items.retain(fits);
                }
                list["total"] = json!(proxies.len());
            }
            (proxies, list)
        }
    };
    let text = || {
        if proxies.is_empty() {
            return String::new();
        }
        let rows = match &args.id {
            Some(_) => std::slice::from_ref(&document),
            None => crate::view::items(&document),
        };
        let mut text = table(&proxies, rows, Time::now());
        if args.id.is_some() {
            text += &details(&proxies, Time::now());
        }
        text
    };
    args.output.print(io, &document, text, || proxies.iter().map(|p| p.id.clone()).collect())?;
    let behind = proxies.iter().filter(|p| !p.in_step()).count();
    if args.output.is_text() {
        io.note(match (proxies.len(), behind) {
            (0, _) => "no proxies are connected".to_owned(),
            (1, 0) => "1 proxy, in step".to_owned(),
            (all, 0) => format!("{all} proxies, all in step"),
            (1, _) => "1 proxy, not in step".to_owned(),
            (all, behind) => format!("{all} proxies, {behind} not in step"),
        });
    }
    Ok(if behind == 0 { Exit::Ok } else { Exit::Negative })
}

/// `rows` are the proxies as the server wrote them.
fn table(proxies: &[Proxy], rows: &[Value], now: Time) -> String {
    let headers = ["NAME", "KIND", "ENVOY", "REVISION", "LAG"];
    // Only worth a column while some are served something else than the newest.
    let editions = proxies.iter().any(|proxy| proxy.edition.is_some());
    let several = proxies.iter().any(|proxy| proxy.replica != proxies[0].replica);
    let last = ["SINCE", "REPLICA", "EDITION", "PROBLEM"];
    let last = last.into_iter().filter(|header| match *header {
        "EDITION" => editions,
        "REPLICA" => several,
        _ => true,
    });
    let mut table = Table::new(headers.into_iter().chain(COLUMNS).chain(last));
    for (proxy, row) in proxies.iter().zip(rows) {
        let sign = if proxy.held == proxy.wanted { "=" } else { "<" };
        // Where there is a history, revisions say more than the marks of what is sent.
        let held = row["heldRevision"].as_str().unwrap_or(&proxy.held);
        let wanted = row["revision"].as_str().unwrap_or(&proxy.wanted);
        // Nothing acknowledged yet is shown as such, not as a gap.
        let held = if held.is_empty() { "none" } else { held };
        let mut cells = vec![
            proxy.id.clone(),
            proxy.role.clone(),
            proxy.envoy.clone(),
            format!("{held} {sign} {wanted}"),
            age(proxy.lag_ms),
        ];
        cells.extend(COLUMNS.map(|kind| {
            let state = proxy.types.iter().find(|t| t.kind == kind).map(|t| t.state);
            state.map_or(String::new(), |s| word(s).to_owned())
        }));
        cells.push(age(proxy.connected_at.until(now)));
        if several {
            let heard = proxy.heard_at.map(|at| format!(" ({} ago)", age(at.until(now))));
            cells.push(format!("{}{}", proxy.replica, heard.unwrap_or_default()));
        }
        if editions {
            cells.push(proxy.edition.clone().unwrap_or_default());
        }
        cells.push(proxy.types.iter().find_map(problem).unwrap_or_default());
        table.row(cells);
    }
    table.render()
}

fn word(state: TypeState) -> &'static str {
    match state {
        TypeState::Ok => "ok",
        TypeState::Pending => "pending",
        TypeState::Nack => "NACK",
    }
}

/// The document to look at, and what is wrong with it.
fn problem(kind: &ProxyType) -> Option<String> {
    let nack = kind.nack.as_ref()?;
    Some(match nack.origins.first() {
        Some(origin) => format!("{origin}: {}", nack.text),
        None => nack.text.clone(),
    })
}

fn details(proxies: &[Proxy], now: Time) -> String {
    let mut text = String::new();
    for kind in proxies.iter().flat_map(|p| &p.types) {
        let Some(nack) = &kind.nack else { continue };
        // Writing into a String cannot fail.
        let _ = writeln!(
            text,
            "\n{} refused {} ago: {}",
            kind.kind,
            age(nack.at.until(now)),
            nack.text
        );
        for origin in &nack.origins {
            let _ = writeln!(text, "  from {origin}");
        }
    }
    text
}
