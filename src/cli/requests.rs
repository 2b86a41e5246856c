use std::time::Duration;

use serde_json::Value;

use crate::client::Next;
use crate::duration;
use crate::exit::{Exit, Outcome};
use crate::io::Io;
use crate::view::{Column, ViewArgs, age_of, column, items, join, number, plain, text, wide};

/// List requests as the proxies report them, or follow them
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  isthmus requests --status 5xx
  isthmus requests -f --service shop/orders
  isthmus requests --slower 500 --limit 1000 -o jsonl")]
pub(crate) struct Args {
    /// Go on with new ones
    #[arg(short, long)]
    follow: bool,
    /// With --follow: for so long
    #[arg(long = "for", value_name = "TIME", requires = "follow", value_parser = duration::parse)]
    time: Option<Duration>,
    /// At most so many
    #[arg(long, value_name = "COUNT", conflicts_with = "follow")]
    limit: Option<usize>,
    /// Only to or from this namespace
    #[arg(short, long, value_name = "NS")]
    namespace: Option<String>,
    /// Only through this Gateway
    #[arg(long, value_name = "NS/NAME")]
    gateway: Option<String>,
    /// Only by this route
    #[arg(long, value_name = "NS/NAME")]
    route: Option<String>,
    /// Only to this service
    #[arg(long, value_name = "NS/NAME")]
    service: Option<String>,
    /// Only with this method
    #[arg(short = 'X', long)]
    method: Option<String>,
    /// Only with this status: 404, 5xx
    #[arg(long)]
    status: Option<String>,
    /// Only with this text in path or host
    #[arg(short, long, value_name = "TEXT")]
    query: Option<String>,
    /// Only those that took at least so many milliseconds
    #[arg(long, value_name = "MS")]
    slower: Option<u64>,
    /// Only this one
    #[arg(long, value_name = "ID")]
    request_id: Option<String>,
    #[command(flatten)]
    view: ViewArgs,
}

pub(crate) fn run(args: &Args, io: &mut Io<'_>) -> Outcome {
    let client = args.view.client(io)?;
    let filters = args.filters();
    let query: Vec<(&str, &str)> =
        filters.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let name = |row: &Value| text(&row["requestId"]);
    let columns = columns();
    if !args.follow {
        let list: Value = client.get(&["requests"], &query)?;
        args.view.print(io, &list, items(&list), &columns, name)?;
        if items(&list).is_empty() && args.view.output.is_text() {
            io.note("no requests");
        }
        return Ok(Exit::Ok);
    }
    let mut widths = Vec::new();
    let mut rows = client.follow(&["requests", "follow"], &query, args.time);
    loop {
        match rows.next()? {
            Next::Over => return Ok(Exit::Ok),
            Next::Open => {}
            Next::Event(event) => {
                if event.name == "lost" {
                    io.note(format_args!("{} requests came too fast to be shown", event.data));
                    continue;
                }
                let row = event.json();
                // Anything else that the stream says is not a request.
                if row["requestId"].is_string() {
                    args.view.print_more(io, &row, &columns, &mut widths, name)?;
                }
            }
        }
    }
}

impl Args {
    fn filters(&self) -> Vec<(&'static str, String)> {
        let number = |n: Option<u64>| n.map(|n| n.to_string());
        let all = [
            ("limit", self.limit.map(|n| n.to_string())),
            ("namespace", self.namespace.clone()),
            ("gateway", self.gateway.clone()),
            ("route", self.route.clone()),
            ("service", self.service.clone()),
            ("method", self.method.clone()),
            ("status", self.status.clone()),
            ("q", self.query.clone()),
            ("slower", number(self.slower)),
            ("requestId", self.request_id.clone()),
        ];
        all.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
    }
}

fn columns() -> Vec<Column> {
    vec![
        column("AGE", |r, now| age_of(&r["at"], now)),
        column("METHOD", |r, _| text(&r["method"])),
        column("HOST", |r, _| text(&r["host"])),
        column("PATH", |r, _| text(&r["path"])),
        column("STATUS", |r, _| match &r["grpcStatus"] {
            Value::Null => plain(&r["status"]),
            grpc => format!("{} grpc {grpc}", r["status"]),
        }),
        column("MS", |r, _| number(&r["duration"])),
        column("FROM", |r, _| text(&r["source"])),
        column("TO", |r, _| text(&r["target"])),
        column("ROUTE", |r, _| match &r["rule"] {
            Value::Null => text(&r["route"]),
            rule => format!("{} rule {rule}", text(&r["route"])),
        }),
        column("FLAGS", |r, _| join(&r["flags"], text)),
        wide("PROXY", |r, _| text(&r["proxy"])),
        wide("UPSTREAM", |r, _| text(&r["upstream"])),
        wide("UPSTREAM-MS", |r, _| number(&r["upstreamDuration"])),
        wide("ATTEMPTS", |r, _| plain(&r["attempts"])),
        wide("LANE", |r, _| text(&r["lane"])),
        wide("REMOTE", |r, _| text(&r["remote"])),
        wide("REQUEST-ID", |r, _| text(&r["requestId"])),
        wide("DETAILS", |r, _| text(&r["details"])),
    ]
}
