//! Lists as tables, with the options that all lists have.

use api::Time;
use serde_json::Value;

use crate::client::Client;
use crate::exit::{Exit, Failure};
use crate::io::Io;
use crate::output::Output;
use crate::table::{Table, age};
use crate::target::ServerArgs;

/// How a list is printed.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct ViewArgs {
    /// How to print it
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    pub output: Output,
    /// Only these columns, by their headers
    #[arg(long, value_name = "NAME,…", value_delimiter = ',')]
    columns: Vec<String>,
    /// No line of headers
    #[arg(long)]
    no_headers: bool,
    /// Rows in order of this column; -COLUMN the other way round
    #[arg(long, value_name = "COLUMN", allow_hyphen_values = true)]
    sort: Option<String>,
    #[command(flatten)]
    pub server: ServerArgs,
}

pub(crate) struct Column {
    pub header: &'static str,
    pub cell: fn(&Value, Look) -> String,
    /// Only with `-o wide`, or where it is named.
    pub wide: bool,
}

pub(crate) const fn column(header: &'static str, cell: fn(&Value, Look) -> String) -> Column {
    Column { header, cell, wide: false }
}

pub(crate) const fn wide(header: &'static str, cell: fn(&Value, Look) -> String) -> Column {
    Column { header, cell, wide: true }
}

/// How times are shown.
#[derive(Clone, Copy)]
pub(crate) struct Look {
    now: Time,
    /// As they are, not as ages.
    exact: bool,
}

impl ViewArgs {
    pub(crate) fn client(&self, io: &mut Io<'_>) -> Result<Client, Failure> {
        self.server.client(self.output, io)
    }

    /// Prints a list: `document` is what the server said, `items` its rows, `name` what `-o name` says of one.
    pub(crate) fn print(
        &self,
        io: &mut Io<'_>,
        document: &Value,
        items: &[Value],
        columns: &[Column],
        name: impl Fn(&Value) -> String,
    ) -> Result<(), Failure> {
        let look = Look { now: Time::now(), exact: self.output == Output::Wide };
        let order = self.order(items, columns, look)?;
        let columns = self.chosen(columns)?;
        let sorted;
        let document = match &self.sort {
            Some(_) if document["items"].is_array() => {
                let mut document = document.clone();
                document["items"] = order.iter().map(|at| items[*at].clone()).collect();
                sorted = document;
                &sorted
            }
            _ => document,
        };
        let table = || {
            if items.is_empty() {
                return String::new();
            }
            let mut table = Table::new(columns.iter().map(|c| c.header));
            for at in &order {
                table.row(columns.iter().map(|column| (column.cell)(&items[*at], look)));
            }
            if self.no_headers { table.render_rows() } else { table.render() }
        };
        let names = || order.iter().map(|at| name(&items[*at])).collect();
        self.output.print(io, document, table, names)
    }

    /// One more row of a list that was printed already.
    pub(crate) fn print_more(
        &self,
        io: &mut Io<'_>,
        item: &Value,
        columns: &[Column],
        widths: &mut Vec<usize>,
        name: impl Fn(&Value) -> String,
    ) -> Result<(), Failure> {
        match self.output {
            Output::Table | Output::Wide => {
                let columns = self.chosen(columns)?;
                let look = Look { now: Time::now(), exact: self.output == Output::Wide };
                let cells = columns.iter().map(|column| (column.cell)(item, look));
                let mut table = Table::new(columns.iter().map(|c| c.header));
                table.row(cells);
                let first = widths.is_empty();
                table.widen(widths);
                let with_headers = first && !self.no_headers;
                let text = table.render_with(widths, with_headers);
                io.out.write_all(text.as_bytes())?;
            }
            Output::Json | Output::Jsonl => writeln!(io.out, "{item}")?,
            Output::Yaml => write!(io.out, "---\n{}", crate::output::yaml(item)?)?,
            Output::Name => writeln!(io.out, "{}", name(item))?,
        }
        io.flush()
    }

    fn chosen<'c>(&self, columns: &'c [Column]) -> Result<Vec<&'c Column>, Failure> {
        if self.columns.is_empty() {
            let all = self.output == Output::Wide;
            return Ok(columns.iter().filter(|column| all || !column.wide).collect());
        }
        self.columns.iter().map(|name| find(name, columns.iter())).collect()
    }

    /// Indices of the items in the order in which they are shown.
    fn order(
        &self,
        items: &[Value],
        columns: &[Column],
        look: Look,
    ) -> Result<Vec<usize>, Failure> {
        let mut order: Vec<usize> = (0..items.len()).collect();
        let Some(word) = &self.sort else { return Ok(order) };
        let (name, down) = match word.strip_prefix('-') {
            Some(name) => (name, true),
            None => (word.as_str(), false),
        };
        let column = find(name, columns.iter())?;
        // Ages as they are shown go by the moment behind them: exact times are in order as texts.
        let exact = Look { exact: true, ..look };
        let cells: Vec<String> = items.iter().map(|item| (column.cell)(item, exact)).collect();
        let number = |cell: &String| cell.trim_end_matches('%').parse::<f64>();
        let numbers: Result<Vec<f64>, _> = cells.iter().map(number).collect();
        order.sort_by(|a, b| {
            let order = match &numbers {
                Ok(numbers) => numbers[*a].total_cmp(&numbers[*b]),
                Err(_) => cells[*a].cmp(&cells[*b]),
            };
            if down { order.reverse() } else { order }
        });
        Ok(order)
    }
}

fn find<'c>(
    name: &str,
    mut columns: impl Iterator<Item = &'c Column> + Clone,
) -> Result<&'c Column, Failure> {
    let known = columns.clone();
    columns.find(|column| column.header.eq_ignore_ascii_case(name)).ok_or_else(|| {
        let known: Vec<_> = known.map(|column| column.header).collect();
        Failure::new(Exit::Usage, format!("there is no column `{name}`"))
            .hint(format!("columns: {}", known.join(", ")))
    })
}

pub(crate) fn items(list: &Value) -> &[Value] {
    list["items"].as_array().map_or(&[], Vec::as_slice)
}

pub(crate) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

pub(crate) fn join(list: &Value, each: fn(&Value) -> String) -> String {
    let all = list.as_array().map(Vec::as_slice).unwrap_or_default();
    all.iter().map(each).collect::<Vec<_>>().join(",")
}

/// Text as it is, anything else as JSON, nothing where there is nothing.
pub(crate) fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// `HTTPRoute demo/orders`
pub(crate) fn object_name(object: &Value) -> String {
    let (kind, ns, name) =
        (text(&object["kind"]), text(&object["namespace"]), text(&object["name"]));
    match (kind.is_empty(), ns.is_empty()) {
        (true, _) => String::new(),
        (false, true) => format!("{kind} {name}"),
        (false, false) => format!("{kind} {ns}/{name}"),
    }
}

/// `demo/orders`
pub(crate) fn full(item: &Value) -> String {
    match (text(&item["namespace"]), text(&item["name"])) {
        (ns, name) if ns.is_empty() => name,
        (ns, name) => format!("{ns}/{name}"),
    }
}

pub(crate) fn age_of(time: &Value, look: Look) -> String {
    let Some(time) = time.as_str().and_then(|t| t.parse::<Time>().ok()) else {
        return String::new();
    };
    if look.exact { time.to_string() } else { age(time.until(look.now)) }
}

/// Two digits where they say something: `0.25`, `12.5`, `340`.
pub(crate) fn number(value: &Value) -> String {
    match value.as_f64() {
        None => String::new(),
        Some(n) if n == 0.0 || n.abs() >= 100.0 => format!("{n:.0}"),
        Some(n) if n.abs() >= 10.0 => format!("{n:.1}"),
        Some(n) => format!("{n:.2}"),
    }
}

/// `0.5%`
pub(crate) fn percent(value: &Value) -> String {
    value.as_f64().map(|part| format!("{}%", number(&(part * 100.0).into()))).unwrap_or_default()
}
