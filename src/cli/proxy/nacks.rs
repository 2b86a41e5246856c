use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::exit::{Exit, Outcome};
use crate::io::Io;
use crate::view::{Column, ViewArgs, age_of, column, items, join, text, wide};

/// List what proxies refused, and the documents that it was made from; exit code 1 if anything is refused now
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  isthmus proxy nacks
  isthmus proxy nacks --all -o wide
  isthmus proxy nacks --proxy edge-1 -o json")]
pub(crate) struct Args {
    /// Only by this proxy
    #[arg(long, value_name = "ID", add = crate::completion::proxies())]
    proxy: Option<String>,
    /// Also what is over, as far as revisions are kept
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    view: ViewArgs,
}

fn columns() -> Vec<Column> {
    vec![
        column("AGE", |n, now| age_of(&n["at"], now)),
        column("TYPE", |n, _| text(&n["type"])),
        column("PROXIES", |n, _| join(&n["proxies"], text)),
        column("REVISION", |n, _| text(&n["revision"])),
        column("FROM", |n, _| join(&n["origins"], text)),
        column("TEXT", |n, _| text(&n["text"])),
        column("MEANWHILE", |n, _| text(&n["serving"])),
        wide("REPLICAS", |n, _| join(&n["replicas"], text)),
        wide("UNTIL", |n, now| age_of(&n["until"], now)),
    ]
}

pub(crate) fn run(args: &Args, io: &mut Io<'_>) -> Outcome {
    let client = args.view.client(io)?;
    let mut all = Vec::new();
    // Where there is no history, what proxies hold against us is all there is.
    match client.list(&["revisions"]) {
        Ok(revisions) => {
            let refusals = |r: &Value| r["refusals"].as_array().cloned().unwrap_or_default();
            all.extend(items(&revisions).iter().flat_map(refusals));
        }
        Err(failure) if matches!(failure.exit, Exit::Unreachable | Exit::NotFound) => {}
        Err(failure) => return Err(failure),
    }
    let proxies = client.list(&["proxies"])?;
    for proxy in items(&proxies) {
        for kind in proxy["types"].as_array().into_iter().flatten() {
            let nack = &kind["nack"];
            let told = |refusal: &Value| {
                let by = refusal["proxies"].as_array();
                refusal["text"] == nack["text"]
                    && refusal["type"] == kind["type"]
                    && by.is_some_and(|by| by.contains(&proxy["id"]))
            };
            if nack.is_null() || all.iter().any(told) {
                continue;
            }
            all.push(json!({
                "at": nack["at"], "type": kind["type"], "text": nack["text"],
                "origins": nack["origins"], "proxies": [proxy["id"]],
                "revision": proxy["revision"].as_str().or(proxy["wanted"].as_str()),
                "serving": "what it had before",
            }));
        }
    }
    all.retain(|refusal| {
        let by = refusal["proxies"].as_array();
        let its =
            args.proxy.as_ref().is_none_or(|id| by.is_some_and(|by| by.iter().any(|p| p == id)));
        its && (args.all || refusal["until"].is_null())
    });
    // On which replicas those proxies are that are still there.
    for refusal in &mut all {
        let has = |proxy: &&Value| {
            refusal["proxies"].as_array().is_some_and(|by| by.contains(&proxy["id"]))
        };
        let on = items(&proxies).iter().filter(has).map(|proxy| text(&proxy["replica"]));
        let on: BTreeSet<String> = on.filter(|name| !name.is_empty()).collect();
        refusal["replicas"] = json!(on);
    }
    // The newest first.
    all.sort_by_key(|refusal| std::cmp::Reverse(text(&refusal["at"])));
    let list = json!({"items": all, "next": null, "total": all.len()});
    args.view.print(io, &list, &all, &columns(), |n| join(&n["origins"], text))?;
    if all.is_empty() && args.view.output.is_text() {
        io.note("nothing is refused");
    }
    let open = all.iter().any(|refusal| refusal["until"].is_null());
    Ok(if open { Exit::Negative } else { Exit::Ok })
}
