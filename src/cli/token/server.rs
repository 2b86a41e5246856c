//! Tokens for the API, kept by the server.

use std::path::PathBuf;
use std::time::Duration;

use api::{Grant, Role, Time};
use serde_json::{Value, json};

use crate::bootstrap::write_private;
use crate::client::{Body, JSON};
use crate::exit::{Exit, Failure, Outcome};
use crate::io::Io;
use crate::output::Output;
use crate::target::ServerArgs;
use crate::view::{Column, ViewArgs, age_of, column, items, join, text};

/// Make a token for a person or a program; it is shown once
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  isthmus token create ci --grant editor:shop
  isthmus token create grafana --grant viewer --to grafana.token
  isthmus token create ops --grant operator --grant 'editor:shop-*' --days 90 -o json")]
pub(crate) struct Create {
    /// What it is called in lists and in the audit
    name: String,
    /// ROLE or ROLE:NAMESPACE,…: viewer, editor, operator, admin; `*` at the end of a namespace stands for any rest
    #[arg(long = "grant", value_name = "ROLE[:NS,…]", required = true, value_parser = grant)]
    grants: Vec<Grant>,
    /// It ends after so many days; after 90 where it is not said
    #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u16).range(1..))]
    days: Option<u16>,
    /// Write the token to this file, which only its owner can read, and do not print it
    #[arg(long, value_name = "FILE")]
    to: Option<PathBuf>,
    /// How to print it
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    output: Output,
    #[command(flatten)]
    server: ServerArgs,
}

/// List the server's tokens, without what is secret of them
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  isthmus token list
  isthmus token list --sort -CREATED
  isthmus token list -o json")]
pub(crate) struct List {
    #[command(flatten)]
    view: ViewArgs,
}

/// Make a token worthless, at once
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  isthmus token revoke ci
  isthmus token revoke 4f1c --yes
  isthmus token revoke ci --yes -o json")]
pub(crate) struct Revoke {
    /// Its id, or its name where only one has it
    id: String,
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
    /// How to print it
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    output: Output,
    #[command(flatten)]
    server: ServerArgs,
}

fn grant(word: &str) -> Result<Grant, String> {
    let (role, namespaces) = word.split_once(':').unwrap_or((word, "*"));
    let role = match role {
        "viewer" => Role::Viewer,
        "editor" => Role::Editor,
        "operator" => Role::Operator,
        "admin" => Role::Admin,
        _ => return Err(format!("`{role}` is no role: viewer, editor, operator, admin")),
    };
    let namespaces: Vec<String> = namespaces.split(',').map(str::to_owned).collect();
    if namespaces.iter().any(String::is_empty) {
        return Err("expected ROLE or ROLE:NAMESPACE,…".into());
    }
    Ok(Grant { role, namespaces })
}

pub(super) fn create(args: &Create, io: &mut Io<'_>) -> Outcome {
    let client = args.server.client(args.output, io)?;
    let mut wanted = json!({"name": args.name, "grants": args.grants});
    if let Some(days) = args.days {
        let ends = Time(Time::now().0 + i64::from(days) * 86_400_000);
        wanted["expires"] = json!(ends);
    }
    let wanted = wanted.to_string();
    let body = Body { form: JSON, text: &wanted };
    let mut answer: Value = client.post_body(&["tokens"], &[], &body, Duration::ZERO)?;
    let id = text(&answer["id"]);
    let token = text(&answer["token"]);
    if token.is_empty() {
        let text = format!("{} made a token and does not show it", client.server());
        return Err(Failure::new(Exit::Unreachable, text));
    }
    if let Some(path) = &args.to {
        if let Some(members) = answer.as_object_mut() {
            members.remove("token");
        }
        write_private(path, &token).map_err(|error| {
            let text = format!("made token {id}, cannot write {}: {error}", path.display());
            Failure::new(Exit::Partly, text).hint(format!("`isthmus token revoke {id}` ends it"))
        })?;
    }
    let line = || match &args.to {
        Some(path) => format!("token {id} is in {}\n", path.display()),
        None => format!("{token}\n"),
    };
    args.output.print(io, &answer, line, || vec![id.clone()])?;
    if args.to.is_none() && args.output.is_text() {
        io.note("keep it: it is not shown again");
    }
    Ok(Exit::Ok)
}

fn columns() -> Vec<Column> {
    vec![
        column("ID", |t, _| text(&t["id"])),
        column("NAME", |t, _| text(&t["name"])),
        column("GRANTS", |t, _| {
            join(&t["grants"], |g| format!("{}:{}", text(&g["role"]), join(&g["namespaces"], text)))
        }),
        column("CREATED", |t, now| age_of(&t["created"], now)),
        column("USED", |t, now| age_of(&t["lastUsed"], now)),
        column("EXPIRES", |t, _| text(&t["expires"])),
        column("BY", |t, _| text(&t["by"])),
    ]
}

pub(super) fn list(args: &List, io: &mut Io<'_>) -> Outcome {
    let list = args.view.client(io)?.list(&["tokens"])?;
    args.view.print(io, &list, items(&list), &columns(), |t| text(&t["id"]))?;
    if items(&list).is_empty() && args.view.output.is_text() {
        io.note("no tokens");
    }
    Ok(Exit::Ok)
}

pub(super) fn revoke(args: &Revoke, io: &mut Io<'_>) -> Outcome {
    let client = args.server.client(args.output, io)?;
    let list = client.list(&["tokens"])?;
    let all = items(&list);
    let by = |field: &str| all.iter().filter(|token| token[field] == *args.id).collect::<Vec<_>>();
    let found = match (by("id").as_slice(), by("name").as_slice()) {
        ([one], _) | ([], [one]) => text(&one["id"]),
        ([], []) => {
            return Err(Failure::new(Exit::NotFound, format!("there is no token {}", args.id))
                .hint("`isthmus token list` lists those that are"));
        }
        _ => {
            let text = format!("more than one token is called {}", args.id);
            return Err(Failure::new(Exit::Usage, text).hint("give its id"));
        }
    };
    io.confirm(args.yes, &format!("revoke token {found}"))?;
    let _: Value = client.delete(&["tokens", &found], &[], None, Duration::ZERO)?;
    let line = || format!("revoked: {found}\n");
    args.output.print(io, &json!({"id": found}), line, || vec![found.clone()])?;
    Ok(Exit::Ok)
}
