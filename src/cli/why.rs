use std::fmt::Write as _;
use std::net::IpAddr;
use std::time::Duration;

use api::ObjectName;
use api::why::{WhyAnswer, WhyQuestion};
use serde_json::Value;

use crate::client::{Body, JSON};
use crate::exit::{Exit, Failure, Outcome};
use crate::io::Io;
use crate::output::Output;
use crate::report;
use crate::target::ServerArgs;

/// Say what happens to a request, and why; exit code 1 if it reaches no service
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  isthmus why --url https://shop.example.com/pay
  isthmus why --url http://orders/v1 --from shop/web -H 'x-user: tester'
  isthmus why --url http://10.0.0.9:8080/v1 --to shop/orders --identity spiffe://cluster.local/ns/shop/sa/web
  isthmus why --url https://shop.example.com/pay --gateway demo/edge -X POST --ip 203.0.113.9")]
pub(crate) struct Args {
    /// Where the request goes
    #[arg(long, value_name = "URL")]
    url: String,
    /// Where it comes from: outside, NAMESPACE/NAME of a service, or the id of a proxy
    #[arg(long, value_name = "WHERE", default_value = "outside")]
    from: String,
    /// What the sidecar does that it comes in by: of NAMESPACE/NAME, a service, or the id of a proxy
    #[arg(long, value_name = "WHERE", conflicts_with = "gateway")]
    to: Option<String>,
    /// Which Gateway, where there are several
    #[arg(long, value_name = "NS/NAME")]
    gateway: Option<String>,
    /// The method
    #[arg(short = 'X', long, value_name = "METHOD", default_value = "GET")]
    method: String,
    /// A header; may be repeated
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE", value_parser = header)]
    headers: Vec<(String, String)>,
    /// The client's address
    #[arg(long, value_name = "IP")]
    ip: Option<IpAddr>,
    /// Who the client is in the mesh, as a SPIFFE id
    #[arg(long, value_name = "ID")]
    identity: Option<String>,
    /// How to print the answer
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    output: Output,
    #[command(flatten)]
    server: ServerArgs,
}

/// As curl takes it.
fn header(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once(':').ok_or("expected NAME: VALUE")?;
    Ok((name.trim().to_owned(), value.trim().to_owned()))
}

pub(crate) fn run(args: &Args, io: &mut Io<'_>) -> Outcome {
    let question = WhyQuestion {
        from: args.from.clone(),
        to: args.to.clone().unwrap_or_default(),
        gateway: args.gateway.clone(),
        method: args.method.clone(),
        url: args.url.clone(),
        headers: args.headers.clone(),
        ip: args.ip.map(|ip| ip.to_string()),
        identity: args.identity.clone(),
    };
    let question =
        serde_json::to_string(&question).map_err(|e| Failure::new(Exit::Bug, e.to_string()))?;
    let client = args.server.client(args.output, io)?;
    let body = Body { form: JSON, text: &question };
    let document: Value = client.post_body(&["why"], &[], &body, Duration::ZERO)?;
    let answer: WhyAnswer = report::read(&document)?;
    let names = || answer.outcome.clusters.iter().map(|choice| choice.service.clone()).collect();
    args.output.print(io, &document, || tell(&answer), names)?;
    let well = ["forwarded", "redirected", "answered"].contains(&answer.outcome.kind.as_str());
    Ok(if well { Exit::Ok } else { Exit::Negative })
}

fn tell(answer: &WhyAnswer) -> String {
    let mut out = String::new();
    for (at, step) in answer.steps.iter().enumerate() {
        // Writing into a String cannot fail.
        let guess = if step.sure { "" } else { " (not certain)" };
        let its = place(step.object.as_ref(), &step.pointer, &step.text);
        let _ = writeln!(out, "{} {}: {}{guess}{its}", at + 1, step.stage, step.text);
        for near in &step.near {
            let _ = writeln!(
                out,
                "    near miss: {}{}",
                near.text,
                place(near.object.as_ref(), &near.pointer, &near.text)
            );
        }
    }
    let outcome = &answer.outcome;
    let _ = writeln!(out, "→ {}", answer.summary);
    for choice in &outcome.clusters {
        let _ = writeln!(
            out,
            "    {}% {}: {} of {} endpoints healthy",
            (choice.part * 1000.0).round() / 10.0,
            choice.service,
            choice.healthy,
            choice.endpoints
        );
    }
    if let Some(upstream) = &outcome.upstream {
        let _ = writeln!(
            out,
            "    as {} {} with host {}",
            upstream.method, upstream.path, upstream.host
        );
        for (name, value) in &upstream.headers_set {
            let _ = writeln!(out, "    with {name}: {value}");
        }
        for name in &upstream.headers_removed {
            let _ = writeln!(out, "    without {name}");
        }
    }
    for mirror in &outcome.mirrors {
        let _ = writeln!(out, "    mirrored to {mirror}");
    }
    out
}

/// The document that says so, unless the text has named it already.
fn place(object: Option<&ObjectName>, pointer: &str, text: &str) -> String {
    let Some(name) = object.map(report::object).filter(|name| !text.contains(name)) else {
        return String::new();
    };
    format!("  [{}]", format!("{name} {pointer}").trim_end())
}
