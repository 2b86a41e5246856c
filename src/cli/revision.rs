use std::fmt::Write as _;

use api::history::{Revision, RevisionDiff};
use clap::Subcommand;
use serde_json::Value;

use crate::columns;
use crate::exit::{Exit, Outcome};
use crate::io::Io;
use crate::output::Output;
use crate::report;
use crate::target::ServerArgs;
use crate::view::{ViewArgs, items, text};

/// Look at what was served when, and by whose doing
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List revisions, the newest first
    #[command(after_help = "\
Examples:
  isthmus revision list
  isthmus revision list --columns revision,age,author,reason
  isthmus revision list -o jsonl")]
    List(ViewArgs),
    /// Show one: who, when, why, what it changed, what was refused of it
    #[command(after_help = "\
Examples:
  isthmus revision show r42
  isthmus revision show 5f3a
  isthmus revision show r42 -o json")]
    Show(One),
    Diff(Diff),
    /// Keep one however old it gets
    #[command(after_help = "\
Examples:
  isthmus revision pin r42
  isthmus revision pin 5f3a91c2
  isthmus revision pin r42 -o name")]
    Pin(One),
    /// Let one go when it is old
    #[command(after_help = "\
Examples:
  isthmus revision unpin r42
  isthmus revision unpin 5f3a91c2
  isthmus revision unpin r42 -o json")]
    Unpin(One),
}

#[derive(Debug, clap::Args)]
pub(crate) struct One {
    /// `r42`, a hash, or how only its hash begins
    #[arg(value_name = "REV", add = crate::completion::revisions())]
    revision: String,
    /// How to print it
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    output: Output,
    #[command(flatten)]
    server: ServerArgs,
}

/// Show what differs between two; exit code 1 if anything
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  isthmus revision diff r41 r42
  isthmus revision diff r42
  isthmus revision diff r40 r42 --xds --proxy edge-1")]
pub(crate) struct Diff {
    /// The older one; where it is the only one, it is compared with its parent
    #[arg(value_name = "A", add = crate::completion::revisions())]
    first: String,
    /// The newer one
    #[arg(value_name = "B", add = crate::completion::revisions())]
    second: Option<String>,
    /// What proxies were sent, instead of documents
    #[arg(long)]
    xds: bool,
    /// With --xds: what this proxy was sent
    #[arg(long, value_name = "ID", requires = "xds", add = crate::completion::proxies())]
    proxy: Option<String>,
    /// How to print it
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    output: Output,
    #[command(flatten)]
    server: ServerArgs,
}

pub(crate) fn run(command: &Command, io: &mut Io<'_>) -> Outcome {
    match command {
        Command::List(view) => list(view, io),
        Command::Show(args) => show(args, io),
        Command::Diff(args) => diff(args, io),
        Command::Pin(args) => pin(args, "pin", io),
        Command::Unpin(args) => pin(args, "unpin", io),
    }
}

fn list(view: &ViewArgs, io: &mut Io<'_>) -> Outcome {
    let list = view.client(io)?.list(&["revisions"])?;
    view.print(io, &list, items(&list), &columns::revisions(), |r| text(&r["id"]))?;
    if items(&list).is_empty() && view.output.is_text() {
        io.note("no revisions");
    }
    Ok(Exit::Ok)
}

fn show(args: &One, io: &mut Io<'_>) -> Outcome {
    let client = args.server.client(args.output, io)?;
    let document: Value = client.get(&["revisions", &args.revision], &[])?;
    let revision: Revision = report::read(&document)?;
    // What it changed is said to people; programs ask for the difference.
    let changes: Option<RevisionDiff> = if args.output.is_text() && revision.parent.is_some() {
        let diff = client.get(&["revisions", &revision.id, "diff"], &[("scope", "objects")]);
        // Its parent may be gone already.
        diff.ok()
    } else {
        None
    };
    let colour = io.colour;
    let text = || tell(&revision, changes.as_ref(), colour);
    args.output.print(io, &document, text, || vec![revision.id.clone()])?;
    Ok(Exit::Ok)
}

fn tell(revision: &Revision, changes: Option<&RevisionDiff>, colour: bool) -> String {
    let mut out = String::new();
    let mut fact = |name: &str, value: &str| {
        if !value.is_empty() {
            // Writing into a String cannot fail, here and below.
            let _ = writeln!(out, "{:<10}{value}", format!("{name}:"));
        }
    };
    let mut marks = Vec::new();
    if revision.current {
        marks.push("current");
    }
    if revision.pinned {
        marks.push("pinned");
    }
    let marks = if marks.is_empty() { String::new() } else { format!(" ({})", marks.join(", ")) };
    fact("revision", &format!("{} {}{marks}", revision.id, revision.hash));
    fact("parent", revision.parent.as_deref().unwrap_or_default());
    fact("time", &revision.time.to_string());
    fact("author", &format!("{} by {}", revision.author, revision.via));
    fact("reason", &revision.reason);
    fact(
        "content",
        &revision.rollback_of.as_ref().map(|old| format!("as {old}")).unwrap_or_default(),
    );
    if let Some(live) = &revision.live {
        let refused =
            if live.refused > 0 { format!(", refused by {}", live.refused) } else { String::new() };
        fact("live", &format!("{} of {} proxies{refused}", live.live, live.total));
    }
    if revision.errors > 0 {
        fact("errors", &revision.errors.to_string());
    }
    for refusal in &revision.refusals {
        let over = refusal.until.map(|until| format!(", over since {until}")).unwrap_or_default();
        let _ = writeln!(
            out,
            "refused:  {} at {}{over} by {}: {}",
            refusal.kind,
            refusal.at,
            refusal.proxies.join(", "),
            refusal.text
        );
        for origin in &refusal.origins {
            let _ = writeln!(out, "    from {origin}; meanwhile {}", refusal.serving);
        }
    }
    for change in changes.iter().flat_map(|diff| &diff.objects) {
        report::object_change(&mut out, change, colour);
    }
    out
}

fn diff(args: &Diff, io: &mut Io<'_>) -> Outcome {
    let client = args.server.client(args.output, io)?;
    let (base, newer) = match &args.second {
        Some(second) => (Some(args.first.as_str()), second),
        None => (None, &args.first),
    };
    let mut query = vec![("scope", if args.xds { "xds" } else { "objects" })];
    query.extend(base.map(|base| ("base", base)));
    query.extend(args.proxy.as_deref().map(|proxy| ("proxy", proxy)));
    let document: Value = client.get(&["revisions", newer, "diff"], &query)?;
    print_diff(&document, args.output, io)
}

/// Prints what differs; exit code 1 if anything.
pub(crate) fn print_diff(document: &Value, output: Output, io: &mut Io<'_>) -> Outcome {
    let diff: RevisionDiff = report::read(document)?;
    let colour = io.colour;
    let table = || {
        let mut out = String::new();
        for change in &diff.objects {
            report::object_change(&mut out, change, colour);
        }
        for change in &diff.types {
            let _ = writeln!(out, "{}", report::type_change(change));
        }
        for resource in &diff.resources {
            report::resource_diff(&mut out, resource, colour);
        }
        out
    };
    let names = || {
        let objects = diff.objects.iter().map(|change| report::object(&change.object));
        objects.chain(diff.resources.iter().map(|r| format!("{} {}", r.kind, r.name))).collect()
    };
    output.print(io, document, table, names)?;
    let same = diff.objects.is_empty() && diff.types.is_empty() && diff.resources.is_empty();
    if same && output.is_text() {
        io.note("nothing differs");
    }
    Ok(if same { Exit::Ok } else { Exit::Negative })
}

fn pin(args: &One, verb: &str, io: &mut Io<'_>) -> Outcome {
    let client = args.server.client(args.output, io)?;
    let document: Value = client.post(&["revisions", &args.revision, verb], &[])?;
    let id = text(&document["id"]);
    args.output.print(io, &document, || format!("{verb}: {id}\n"), || vec![id.clone()])?;
    Ok(Exit::Ok)
}
