use std::fmt::Write as _;
use std::time::Duration;

use api::traffic::{Edge, Node, Topology};
use clap::ValueEnum;
use serde_json::Value;

use crate::duration;
use crate::exit::{Exit, Outcome};
use crate::io::Io;
use crate::output::Output;
use crate::report;
use crate::table::Table;
use crate::target::ServerArgs;
use crate::view::{number, percent};

/// Show who calls whom
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  isthmus topology
  isthmus topology --focus shop/orders --depth 1
  isthmus topology -n shop -o svg > shop.svg
  isthmus topology -o dot | dot -Tpng > mesh.png")]
pub(crate) struct Args {
    /// Only this namespace
    #[arg(short, long, value_name = "NS")]
    namespace: Option<String>,
    /// Only what is near this service or gateway
    #[arg(long, value_name = "NS/NAME")]
    focus: Option<String>,
    /// With --focus: how many steps away
    #[arg(long, value_name = "STEPS", requires = "focus", value_parser = clap::value_parser!(u8).range(1..=2))]
    depth: Option<u8>,
    /// What was seen in this time
    #[arg(long, value_name = "TIME", value_parser = duration::parse)]
    window: Option<Duration>,
    /// A node for each namespace
    #[arg(long)]
    by_namespace: bool,
    /// How to print it
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    output: Form,
    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Form {
    Table,
    Wide,
    Yaml,
    Json,
    Jsonl,
    Name,
    /// For Graphviz.
    Dot,
    /// The picture of the console.
    Svg,
}

impl Form {
    fn output(self) -> Output {
        match self {
            Self::Table | Self::Dot | Self::Svg => Output::Table,
            Self::Wide => Output::Wide,
            Self::Yaml => Output::Yaml,
            Self::Json => Output::Json,
            Self::Jsonl => Output::Jsonl,
            Self::Name => Output::Name,
        }
    }
}

pub(crate) fn run(args: &Args, io: &mut Io<'_>) -> Outcome {
    let output = args.output.output();
    let client = args.server.client(output, io)?;
    let (depth, window) =
        (args.depth.map(|n| n.to_string()), args.window.map(|w| w.as_secs().to_string()));
    let mut query = Vec::new();
    for (name, value) in [
        ("namespace", &args.namespace),
        ("focus", &args.focus),
        ("depth", &depth),
        ("window", &window),
    ] {
        query.extend(value.as_deref().map(|value| (name, value)));
    }
    if args.by_namespace {
        query.push(("group", "namespace"));
    }
    let document: Value = client.get(&["topology"], &query)?;
    let topology: Topology = report::read(&document)?;
    match args.output {
        Form::Dot => io.out.write_all(dot(&topology).as_bytes())?,
        Form::Svg => io.out.write_all(svg(&topology).as_bytes())?,
        _ => {
            let names = || topology.nodes.iter().map(|node| node.id.clone()).collect();
            output.print(io, &document, || table(&topology, args.output == Form::Wide), names)?;
        }
    }
    if topology.grouped && !args.by_namespace && output.is_text() {
        io.note("too many services: shown by namespace; -n and --focus show less");
    }
    Ok(Exit::Ok)
}

fn table(topology: &Topology, wide: bool) -> String {
    let mut headers = vec!["SOURCE", "TARGET", "KIND", "PROTOCOL", "RATE", "ERRORS", "P99"];
    if wide {
        headers.extend(["P50", "MTLS", "ROUTES", "LANES"]);
    }
    let mut table = Table::new(headers);
    for edge in &topology.edges {
        let mut row = vec![
            edge.source.clone(),
            edge.target.clone(),
            edge.kind.clone(),
            edge.protocol.clone(),
            number(&edge.rate.into()),
            percent(&edge.errors.into()),
            number(&edge.p99.into()),
        ];
        if wide {
            row.extend([
                number(&edge.p50.into()),
                if edge.mtls { "yes" } else { "no" }.to_owned(),
                edge.routes.join(","),
                edge.lanes.join(","),
            ]);
        }
        table.row(row);
    }
    // Who calls nobody and is called by nobody is in no row.
    let lonely = |node: &&Node| {
        !topology.edges.iter().any(|edge| edge.source == node.id || edge.target == node.id)
    };
    for node in topology.nodes.iter().filter(lonely) {
        table.row(
            vec![node.id.clone()]
                .into_iter()
                .chain(std::iter::repeat_n(String::new(), if wide { 10 } else { 6 })),
        );
    }
    if topology.nodes.is_empty() { String::new() } else { table.render() }
}

fn label(node: &Node) -> String {
    match node.namespace.as_str() {
        "" => node.name.clone(),
        ns => format!("{ns}/{}", node.name),
    }
}

fn words(edge: &Edge) -> String {
    match edge.kind.as_str() {
        "observed" => format!("{}/s", number(&edge.rate.into())),
        other => other.to_owned(),
    }
}

fn dot(topology: &Topology) -> String {
    let quoted = |text: &str| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""));
    let mut out = "digraph isthmus {\n  rankdir=LR;\n  node [shape=box];\n".to_owned();
    for node in &topology.nodes {
        // Writing into a String cannot fail, here and below.
        let _ = writeln!(out, "  {} [label={}];", quoted(&node.id), quoted(&label(node)));
    }
    for edge in &topology.edges {
        let style = if edge.kind == "observed" { "solid" } else { "dashed" };
        let _ = writeln!(
            out,
            "  {} -> {} [label={}, style={style}];",
            quoted(&edge.source),
            quoted(&edge.target),
            quoted(&words(edge))
        );
    }
    out + "}\n"
}

const BOX: (f64, f64) = (160.0, 40.0);
const EDGE: f64 = 20.0;

/// Nodes where the server's layout has their middle.
fn svg(topology: &Topology) -> String {
    let escaped = |text: &str| {
        text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
    };
    let (w, h) = (topology.width + BOX.0 + 2.0 * EDGE, topology.height + BOX.1 + 2.0 * EDGE);
    let place = |node: &Node| (node.x + BOX.0 / 2.0 + EDGE, node.y + BOX.1 / 2.0 + EDGE);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {w} {h}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <defs><marker id=\"tip\" viewBox=\"0 0 8 8\" refX=\"8\" refY=\"4\" markerWidth=\"8\" markerHeight=\"8\" orient=\"auto\">\
         <path d=\"M0 0L8 4L0 8z\" fill=\"#667\"/></marker></defs>\n"
    );
    let node = |id: &str| topology.nodes.iter().find(|node| node.id == id);
    for edge in &topology.edges {
        let (Some(from), Some(to)) = (node(&edge.source), node(&edge.target)) else { continue };
        let ((x1, y1), (x2, y2)) = (place(from), place(to));
        // From side to side of the boxes.
        let side = if x2 >= x1 { BOX.0 / 2.0 } else { -BOX.0 / 2.0 };
        let (x1, x2) = (x1 + side, x2 - side);
        let dashes = if edge.kind == "observed" { "" } else { " stroke-dasharray=\"4 3\"" };
        let colour = if edge.errors > 0.05 { "#c22" } else { "#667" };
        let _ = writeln!(
            out,
            "<path d=\"M{x1} {y1}C{} {y1} {} {y2} {x2} {y2}\" fill=\"none\" stroke=\"{colour}\"{dashes} marker-end=\"url(#tip)\"/>\
             <text x=\"{}\" y=\"{}\" text-anchor=\"middle\" fill=\"{colour}\">{}</text>",
            x1 + side,
            x2 - side,
            (x1 + x2) / 2.0,
            (y1 + y2) / 2.0 - 4.0,
            escaped(&words(edge))
        );
    }
    for node in &topology.nodes {
        let (x, y) = place(node);
        let colour = if node.problems > 0 { "#c22" } else { "#345" };
        let _ = writeln!(
            out,
            "<g><title>{}</title><rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" rx=\"6\" fill=\"#fff\" stroke=\"{colour}\"/>\
             <text x=\"{x}\" y=\"{}\" text-anchor=\"middle\">{}</text></g>",
            escaped(&node.id),
            x - BOX.0 / 2.0,
            y - BOX.1 / 2.0,
            BOX.0,
            BOX.1,
            y + 4.0,
            escaped(&label(node))
        );
    }
    out + "</svg>\n"
}
