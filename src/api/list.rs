//! Lists: which rows are wanted, in what order, and a page of them. One parser for all paths, so that a filter that works
//! on one list works on each.
//!
//! ```text
//! rows ──filter──► sort ──cursor, limit──► page ──render──► {items, next, total, asOf, freshness}
//! ```
//!
//! Rows are cheap; only those of the page are rendered.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::marker::PhantomData;

use axum::extract::{FromRequestParts, Query};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{Object, ObjectBuilder, SchemaType, Type};
use utoipa::{IntoParams, ToSchema};
use xxhash_rust::xxh3::xxh3_64;

use crate::format::Format;
use crate::problem::{INVALID_PARAMETER, Problem};
use crate::router::App;
use crate::{Caller, Freshness, Time};

const DEFAULT_LIMIT: usize = 100;
const MAX_LIMIT: usize = 1000;
/// One request must not cost a great many comparisons for each row.
const MAX_TERMS: usize = 32;

/// Every list looks like this.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct List<T> {
    pub items: Vec<T>,
    /// Give it as `?cursor=` for the next page; null on the last one.
    pub next: Option<String>,
    /// How many there are on all pages together.
    pub total: usize,
    pub as_of: Time,
    /// How old the view of each source is that this was made from.
    pub freshness: Vec<Freshness>,
}

/// What a list can be filtered and sorted by.
pub(crate) trait Row: 'static {
    const COLUMNS: &'static [Column<Self>];
    /// Whether `label=` is for it.
    const LABELS: bool = false;

    /// What tells it from all others; lists without `sort` are in this order.
    fn key(&self) -> Vec<Cell<'_>>;

    /// Whether something that people look for (a name, a host, a path, an address) contains this; lower case.
    fn has(&self, needle: &str) -> bool;

    fn label(&self, _name: &str) -> Option<&str> {
        None
    }
}

pub(crate) type Column<T> = (&'static str, for<'a> fn(&'a T) -> Cell<'a>);

/// A value in a column.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum Cell<'a> {
    None,
    Flag(bool),
    Number(f64),
    Text(Cow<'a, str>),
    Texts(Vec<Cow<'a, str>>),
}

impl<'a> Cell<'a> {
    pub(crate) fn text(text: &'a str) -> Self {
        Self::Text(text.into())
    }

    pub(crate) fn texts<'b: 'a>(texts: impl IntoIterator<Item = &'b String>) -> Self {
        Self::Texts(texts.into_iter().map(|text| text.as_str().into()).collect())
    }

    pub(crate) fn number(number: usize) -> Self {
        Self::Number(number as f64)
    }

    pub(crate) fn time(time: Option<Time>) -> Self {
        time.map_or(Self::None, |time| Self::Number(time.0 as f64))
    }

    fn rank(&self) -> u8 {
        match self {
            Self::None => 0,
            Self::Flag(_) => 1,
            Self::Number(_) => 2,
            Self::Text(_) => 3,
            Self::Texts(_) => 4,
        }
    }

    fn order(&self, other: &Cell<'_>) -> Ordering {
        match (self, other) {
            (Self::Flag(a), Cell::Flag(b)) => a.cmp(b),
            (Self::Number(a), Cell::Number(b)) => a.total_cmp(b),
            (Self::Text(a), Cell::Text(b)) => a.cmp(b),
            (Self::Texts(a), Cell::Texts(b)) => a.cmp(b),
            _ => self.rank().cmp(&other.rank()),
        }
    }

    /// Whether it is, or has among others, this value; `*` at the end stands for any rest.
    fn is(&self, wanted: &str) -> bool {
        let fits = |text: &str| match wanted.strip_suffix('*') {
            Some(start) => text.starts_with(start),
            None => text == wanted,
        };
        match self {
            Self::None => wanted.is_empty(),
            Self::Flag(flag) => fits(if *flag { "true" } else { "false" }),
            Self::Number(number) => wanted.parse() == Ok(*number),
            Self::Text(text) => fits(text),
            Self::Texts(texts) => texts.iter().any(|text| fits(text)),
        }
    }
}

/// The query of a list, read and not yet known to fit the rows.
pub(crate) struct Listing {
    limit: usize,
    cursor: Option<Vec<Cell<'static>>>,
    /// Fields, and whether from the greatest to the least.
    sort: Vec<(String, bool)>,
    q: Option<String>,
    labels: Vec<(String, Option<String>)>,
    /// One of the values must fit.
    fields: Vec<(String, Vec<String>)>,
    format: Format,
    known: Option<HeaderValue>,
}

impl<S: Sync> FromRequestParts<S> for Listing {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let Query(pairs) = Query::<Vec<(String, String)>>::try_from_uri(&parts.uri)
            .map_err(|e| Problem::new(INVALID_PARAMETER, e.body_text()))?;
        Self::read(pairs, &parts.headers)
    }
}

impl Listing {
    fn read(pairs: Vec<(String, String)>, headers: &HeaderMap) -> Result<Self, Problem> {
        let mut format = None;
        let mut out = Self {
            limit: DEFAULT_LIMIT,
            cursor: None,
            sort: Vec::new(),
            q: None,
            labels: Vec::new(),
            fields: Vec::new(),
            format: Format::Json,
            known: headers.get(header::IF_NONE_MATCH).cloned(),
        };
        if pairs.len() > MAX_TERMS {
            return Err(wrong(format!("more than {MAX_TERMS} parameters")));
        }
        for (name, value) in pairs {
            match name.as_str() {
                "limit" => out.limit = read_limit(&value)?,
                "cursor" => out.cursor = Some(read_cursor(&value)?),
                "sort" => {
                    let fields = value.split(',').filter(|field| !field.is_empty());
                    out.sort.extend(fields.map(|field| match field.strip_prefix('-') {
                        Some(field) => (field.to_owned(), true),
                        None => (field.to_owned(), false),
                    }));
                }
                "q" => out.q = Some(value.to_lowercase()).filter(|q| !q.is_empty()),
                "label" => out.labels.push(match value.split_once('=') {
                    Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
                    None => (value, None),
                }),
                "format" => format = Some(Format::named(&value)?),
                _ => {
                    let values = value.split(',').map(str::to_owned).collect();
                    out.fields.push((name, values));
                }
            }
        }
        if out.sort.len() > MAX_TERMS {
            return Err(wrong(format!("sort has more than {MAX_TERMS} fields")));
        }
        out.format = Format::choose(format, headers);
        Ok(out)
    }

    /// A page of these rows as they are.
    pub(crate) fn answer<T: Row + Serialize>(
        self,
        app: &App,
        caller: &Caller,
        rows: Vec<T>,
    ) -> Result<Response, Problem> {
        self.answer_with(app, caller, rows, Some)
    }

    /// A page, of which each row is rendered; one that is not there any more by then is left out.
    pub(crate) fn answer_with<T: Row, V: Serialize>(
        self,
        app: &App,
        caller: &Caller,
        rows: Vec<T>,
        render: impl FnMut(T) -> Option<V>,
    ) -> Result<Response, Problem> {
        let (format, known) = (self.format, self.known.clone());
        let (page, next, total) = self.page(rows)?;
        let items: Vec<V> = page.into_iter().filter_map(render).collect();
        let freshness = crate::read::seen_by(app.read.freshness(), caller);
        let list = List { items, next, total, as_of: Time::now(), freshness };
        Ok(format.answer_unless(known.as_ref(), &list))
    }

    /// All rows that are wanted, in order.
    pub(crate) fn all<T: Row>(mut self, rows: Vec<T>) -> Result<Vec<T>, Problem> {
        self.limit = rows.len();
        self.cursor = None;
        self.page(rows).map(|(rows, ..)| rows)
    }

    fn page<T: Row>(self, rows: Vec<T>) -> Result<(Vec<T>, Option<String>, usize), Problem> {
        let mut filters = Vec::new();
        for (name, values) in &self.fields {
            let column = column::<T>(name).ok_or_else(|| unknown::<T>(name))?;
            filters.push((column, values));
        }
        if !self.labels.is_empty() && !T::LABELS {
            return Err(unknown::<T>("label"));
        }
        let mut sort = Vec::new();
        for (name, falls) in &self.sort {
            let column = column::<T>(name).ok_or_else(|| {
                wrong(format!("sort = `{name}` is no field of these"))
                    .hint(format!("fields: {}", fields::<T>()))
            })?;
            sort.push((column, *falls));
        }
        let wanted = |row: &T| {
            filters.iter().all(|(column, values)| {
                let cell = column(row);
                values.iter().any(|value| cell.is(value))
            }) && self.labels.iter().all(|(name, value)| {
                let found = row.label(name);
                value.as_ref().map_or(found.is_some(), |value| found == Some(value))
            }) && self.q.as_ref().is_none_or(|q| row.has(q))
        };
        let order = |a: &[Cell<'_>], b: &[Cell<'_>]| {
            for (i, (x, y)) in a.iter().zip(b).enumerate() {
                let order = x.order(y);
                let falls = sort.get(i).is_some_and(|(_, falls)| *falls);
                let order = if falls { order.reverse() } else { order };
                if order != Ordering::Equal {
                    return order;
                }
            }
            Ordering::Equal
        };
        let place = |row: &'_ T| -> Vec<Cell<'static>> {
            let cells = sort.iter().map(|(column, _)| column(row).own());
            cells.chain(row.key().into_iter().map(Cell::own)).collect()
        };
        let mut found: Vec<(Vec<Cell<'static>>, T)> =
            rows.into_iter().filter(wanted).map(|row| (place(&row), row)).collect();
        found.sort_by(|a, b| order(&a.0, &b.0));
        let total = found.len();
        let start = match &self.cursor {
            None => 0,
            Some(cursor) => {
                if found.first().is_some_and(|(place, _)| place.len() != cursor.len()) {
                    return Err(wrong("cursor is of a list in another order"));
                }
                found.partition_point(|(place, _)| order(place, cursor) != Ordering::Greater)
            }
        };
        let end = total.min(start + self.limit);
        let next = (end < total).then(|| found[end - 1].0.as_slice()).map(write_cursor);
        found.truncate(end);
        Ok((found.drain(start..).map(|(_, row)| row).collect(), next, total))
    }
}

impl Cell<'_> {
    fn own(self) -> Cell<'static> {
        match self {
            Cell::None => Cell::None,
            Cell::Flag(flag) => Cell::Flag(flag),
            Cell::Number(number) => Cell::Number(number),
            Cell::Text(text) => Cell::Text(text.into_owned().into()),
            Cell::Texts(texts) => {
                Cell::Texts(texts.into_iter().map(|text| text.into_owned().into()).collect())
            }
        }
    }
}

/// Whether `text` contains `needle`, which is in lower case.
pub(crate) fn contains(text: &str, needle: &str) -> bool {
    let (text, needle) = (text.as_bytes(), needle.as_bytes());
    needle.is_empty() || text.windows(needle.len()).any(|part| part.eq_ignore_ascii_case(needle))
}

fn column<T: Row>(name: &str) -> Option<for<'a> fn(&'a T) -> Cell<'a>> {
    T::COLUMNS.iter().find(|(known, _)| *known == name).map(|(_, column)| *column)
}

fn fields<T: Row>() -> String {
    T::COLUMNS.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
}

fn wrong(detail: impl Into<String>) -> Problem {
    Problem::new(INVALID_PARAMETER, detail)
}

fn unknown<T: Row>(name: &str) -> Problem {
    let label = if T::LABELS { " label," } else { "" };
    wrong(format!("there is no parameter `{name}` here"))
        .hint(format!("limit, cursor, sort, q,{label} format, and fields: {}", fields::<T>()))
}

fn read_limit(text: &str) -> Result<usize, Problem> {
    let limit = text.parse().ok().filter(|limit| (1..=MAX_LIMIT).contains(limit));
    limit.ok_or_else(|| wrong(format!("limit = `{text}` is not between 1 and {MAX_LIMIT}")))
}

/// A cursor is the place of the last row of the page, so that it stays right when rows come and go.
fn write_cursor(place: &[Cell<'_>]) -> String {
    URL_SAFE_NO_PAD.encode(serde_json::to_vec(place).unwrap_or_default())
}

fn read_cursor(cursor: &str) -> Result<Vec<Cell<'static>>, Problem> {
    let bytes = URL_SAFE_NO_PAD.decode(cursor).ok();
    let cells: Option<Vec<Cell<'static>>> = bytes.and_then(|b| serde_json::from_slice(&b).ok());
    cells
        .filter(|cells| !cells.is_empty())
        .ok_or_else(|| wrong("cursor is none that this server gave"))
}

/// The parameters of a list of these rows, for the document of the API.
pub(crate) struct Lists<T>(PhantomData<T>);

impl<T: Row> IntoParams for Lists<T> {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let one = |name: &str, text: &str, schema: Object| {
            ParameterBuilder::new()
                .name(name)
                .parameter_in(ParameterIn::Query)
                .description(Some(text))
                .schema(Some(schema))
                .build()
        };
        let text = || ObjectBuilder::new().schema_type(SchemaType::new(Type::String));
        let limit = ObjectBuilder::new()
            .schema_type(SchemaType::new(Type::Integer))
            .minimum(Some(1))
            .maximum(Some(MAX_LIMIT))
            .default(Some(DEFAULT_LIMIT.into()));
        let format = text().enum_values(Some(["json", "yaml"]));
        let fields = fields::<T>();
        let sort = format!("Fields with commas between them, `-` before one that falls: {fields}");
        let mut all = vec![
            one("limit", "How many rows at most", limit.build()),
            one("cursor", "`next` of the page before", text().build()),
            one("sort", &sort, text().build()),
            one("q", "A part of a name, a host, a path, an address", text().build()),
            one("format", "Instead of the header `Accept`", format.build()),
        ];
        if T::LABELS {
            all.push(one("label", "`NAME=VALUE`, or `NAME` for any value", text().build()));
        }
        let filter = "Only these; several with commas between them, `*` at the end for any rest";
        all.extend(T::COLUMNS.iter().map(|(name, _)| one(name, filter, text().build())));
        all
    }
}

/// The ETag of this text; weak where only what counts of it was hashed.
pub(crate) fn etag(weak: &str, text: &[u8]) -> HeaderValue {
    let tag = format!("{weak}\"{:016x}\"", xxh3_64(text));
    HeaderValue::from_str(&tag).unwrap_or(HeaderValue::from_static("\"\""))
}

/// Whether `If-None-Match` names this ETag.
pub(crate) fn knows(known: Option<&HeaderValue>, etag: &HeaderValue) -> bool {
    let (Some(known), Ok(etag)) = (known.and_then(|k| k.to_str().ok()), etag.to_str()) else {
        return false;
    };
    let plain = |tag: &'_ str| tag.trim().trim_start_matches("W/").to_owned();
    known.split(',').map(plain).any(|known| known == "*" || known == plain(etag))
}

pub(crate) fn not_modified(etag: HeaderValue) -> Response {
    (StatusCode::NOT_MODIFIED, [(header::ETAG, etag)]).into_response()
}

impl Format {
    /// A list; or only that it is the same as the client knows it. When it was asked for, and how old live sources are, is
    /// no difference.
    fn answer_unless<V: Serialize>(self, known: Option<&HeaderValue>, list: &List<V>) -> Response {
        #[derive(Serialize)]
        struct Timeless<'a> {
            next: &'a Option<String>,
            total: usize,
            states: Vec<(&'a str, &'a str)>,
        }
        let states = list.freshness.iter().map(|f| (f.source.as_str(), f.state.as_str()));
        let timeless = Timeless { next: &list.next, total: list.total, states: states.collect() };
        let hashed = serde_json::to_vec(&(&list.items, timeless)).unwrap_or_default();
        let etag = etag("W/", &hashed);
        if knows(known, &etag) {
            return not_modified(etag);
        }
        let mut response = self.answer(list);
        response.headers_mut().insert(header::ETAG, etag);
        response
    }
}
