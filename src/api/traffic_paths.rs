//! Paths of what goes through the proxies.

use std::convert::Infallible;
use std::fmt::Write;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::header;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures::{Stream, StreamExt, stream};
use serde::{Deserialize, Serialize};
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::documents::{Checked, checked};
use crate::list::{Cell, Column, List, Listing, Lists, Row, contains};
use crate::problem::{FORBIDDEN, INVALID_PARAMETER, Problem, UNAVAILABLE};
use crate::router::App;
use crate::traffic::{
    Observation, Rates, RequestRow, RequestsQuery, RouteTraffic, Series, SeriesQuery, Topology,
    TopologyQuery, Traffic,
};
use crate::{Caller, Role, Time};

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(topology))
        .routes(routes!(series))
        .routes(routes!(by_route))
        .routes(routes!(observation))
        .routes(routes!(requests))
        .routes(routes!(follow))
}

fn traffic<'a>(app: &'a App, caller: &Caller) -> Result<&'a Arc<dyn Traffic>, Problem> {
    if !caller.grants.iter().any(|grant| grant.role >= Role::Viewer) {
        return Err(Problem::new(FORBIDDEN, "the role viewer is missing"));
    }
    let traffic = app.traffic.as_ref();
    traffic.ok_or_else(|| Problem::new(UNAVAILABLE, "nothing is observed here"))
}

fn check_time(name: &str, text: Option<&String>) -> Result<(), Problem> {
    match text.map(|text| text.parse::<Time>()) {
        Some(Err(error)) => Err(Problem::new(INVALID_PARAMETER, format!("{name}: {error}"))),
        _ => Ok(()),
    }
}

/// Who calls whom, as a drawing
#[utoipa::path(get, path = "/api/v1/topology", tag = "traffic", params(TopologyQuery),
    responses((status = 200, body = Topology)))]
async fn topology(
    State(app): State<App>,
    caller: Caller,
    query: Checked<TopologyQuery>,
) -> Result<Json<Topology>, Problem> {
    let query = checked(query)?;
    check_time("at", query.at.as_ref())?;
    if let Some(group) = query.group.as_deref().filter(|group| !matches!(*group, "" | "namespace"))
    {
        return Err(Problem::new(
            INVALID_PARAMETER,
            format!("group = `{group}` is not `namespace`"),
        ));
    }
    Ok(Json(traffic(&app, &caller)?.topology(&caller, &query)))
}

/// Rates and times over the last hour
#[utoipa::path(get, path = "/api/v1/traffic/series", tag = "traffic", params(SeriesQuery),
    responses((status = 200, body = Series)))]
async fn series(
    State(app): State<App>,
    caller: Caller,
    query: Checked<SeriesQuery>,
) -> Result<Json<Series>, Problem> {
    let query = checked(query)?;
    Ok(Json(traffic(&app, &caller)?.series(&caller, &query)))
}

impl Row for RouteTraffic {
    const COLUMNS: &'static [Column<Self>] = &[
        ("namespace", |row| Cell::text(&row.namespace)),
        ("name", |row| Cell::text(&row.name)),
        ("rate", |row| Cell::Number(row.rate)),
        ("errors", |row| Cell::Number(row.errors)),
        ("p99", |row| row.p99.map_or(Cell::None, Cell::Number)),
    ];

    fn key(&self) -> Vec<Cell<'_>> {
        vec![Cell::text(&self.namespace), Cell::text(&self.name)]
    }

    fn has(&self, needle: &str) -> bool {
        contains(&self.namespace, needle) || contains(&self.name, needle)
    }
}

/// Routes that were asked for something in the last minute
#[utoipa::path(get, path = "/api/v1/traffic/routes", tag = "traffic", params(Lists<RouteTraffic>),
    responses((status = 200, body = List<RouteTraffic>)))]
async fn by_route(
    State(app): State<App>,
    caller: Caller,
    listing: Listing,
) -> Result<Response, Problem> {
    let all = traffic(&app, &caller)?.routes(&caller).into_iter();
    let row = |(full, Rates { rate, errors, p99 }): (String, Rates)| {
        let (namespace, name) = full.split_once('/')?;
        let (namespace, name) = (namespace.to_owned(), name.to_owned());
        Some(RouteTraffic { namespace, name, rate, errors, p99 })
    };
    listing.answer(&app, &caller, all.filter_map(row).collect())
}

/// How the observing itself goes
#[utoipa::path(get, path = "/api/v1/traffic/observation", tag = "traffic",
    responses((status = 200, body = Observation)))]
async fn observation(State(app): State<App>, caller: Caller) -> Result<Json<Observation>, Problem> {
    Ok(Json(traffic(&app, &caller)?.observation()))
}

/// Requests, the newest first.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct Requests {
    pub items: Vec<RequestRow>,
}

/// What a list of requests is written as.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum Export {
    #[default]
    Json,
    /// A JSON object a line.
    Jsonl,
    Csv,
}

#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
struct ExportQuery {
    /// `json`, `jsonl`, `csv`
    #[param(inline)]
    format: Export,
}

/// The newest requests
#[utoipa::path(get, path = "/api/v1/requests", tag = "traffic", params(RequestsQuery, ExportQuery),
    responses((status = 200, content((Requests = "application/json"), (String = "application/jsonl"), (String = "text/csv")))))]
async fn requests(
    State(app): State<App>,
    caller: Caller,
    query: Checked<RequestsQuery>,
    export: Checked<ExportQuery>,
) -> Result<Response, Problem> {
    let (query, export) = (checked(query)?, checked(export)?);
    check_time("before", query.before.as_ref())?;
    let items = traffic(&app, &caller)?.requests(&caller, &query);
    let file = |kind: &'static str, name: &'static str, body: String| {
        let disposition = format!("attachment; filename=\"{name}\"");
        (
            [(header::CONTENT_TYPE, kind.to_owned()), (header::CONTENT_DISPOSITION, disposition)],
            body,
        )
            .into_response()
    };
    Ok(match export.format {
        Export::Json => Json(Requests { items }).into_response(),
        Export::Jsonl => {
            let line = |row: &RequestRow| serde_json::to_string(row).unwrap_or_default() + "\n";
            file("application/jsonl", "requests.jsonl", items.iter().map(line).collect())
        }
        Export::Csv => file("text/csv; charset=utf-8", "requests.csv", csv(&items)),
    })
}

/// Each new request as it comes (server-sent events `request`); a reader that is too slow loses some (`lost`, with their number)
#[utoipa::path(get, path = "/api/v1/requests/follow", tag = "traffic", params(RequestsQuery),
    responses((status = 200, body = String, content_type = "text/event-stream")))]
async fn follow(
    State(app): State<App>,
    caller: Caller,
    query: Checked<RequestsQuery>,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Problem> {
    let query = checked(query)?;
    let traffic = traffic(&app, &caller)?.clone();
    let rows = traffic.follow();
    let events = stream::unfold(rows, next).filter_map(move |next| {
        let event = match next {
            Next::Row(row) if traffic.shows(&caller, &query, &row) => {
                Event::default().event("request").json_data(&*row).ok()
            }
            Next::Row(_) => None,
            Next::Lost(count) => Some(Event::default().event("lost").data(count.to_string())),
        };
        async move { event.map(Ok) }
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::default()))
}

enum Next {
    Row(Arc<RequestRow>),
    Lost(u64),
}

type Rows = broadcast::Receiver<Arc<RequestRow>>;

async fn next(mut rows: Rows) -> Option<(Next, Rows)> {
    match rows.recv().await {
        Ok(row) => Some((Next::Row(row), rows)),
        Err(RecvError::Lagged(count)) => Some((Next::Lost(count), rows)),
        Err(RecvError::Closed) => None,
    }
}

/// RFC 4180, with a line of names.
fn csv(rows: &[RequestRow]) -> String {
    let mut out = String::from(
        "at,proxy,role,source,target,route,rule,lane,protocol,method,host,path,status,grpcStatus,duration,upstreamDuration,\
         bytesIn,bytesOut,remote,upstream,cluster,attempts,flags,userAgent,requestId,forwardedFor,details\r\n",
    );
    for row in rows {
        let number = |value: Option<String>| value.unwrap_or_default();
        let fields = [
            row.at.to_string(),
            field(&row.proxy),
            field(&row.role),
            field(&row.source),
            field(&row.target),
            field(&row.route),
            number(row.rule.map(|rule| rule.to_string())),
            field(&row.lane),
            field(&row.protocol),
            field(&row.method),
            field(&row.host),
            field(&row.path),
            row.status.to_string(),
            number(row.grpc_status.map(|status| status.to_string())),
            row.duration.to_string(),
            number(row.upstream_duration.map(|ms| ms.to_string())),
            row.bytes_in.to_string(),
            row.bytes_out.to_string(),
            field(&row.remote),
            field(&row.upstream),
            field(&row.cluster),
            row.attempts.to_string(),
            field(&row.flags.join("; ")),
            field(&row.user_agent),
            field(&row.request_id),
            field(&row.forwarded_for),
            field(&row.details),
        ];
        let _ = write!(out, "{}\r\n", fields.join(","));
    }
    out
}

/// Clients write paths and user agents; a spreadsheet must not take one for a formula.
fn field(text: &str) -> String {
    let text = match text.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        true => format!("'{text}"),
        false => text.to_owned(),
    };
    match text.contains([',', '"', '\r', '\n']) {
        true => format!("\"{}\"", text.replace('"', "\"\"")),
        false => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_one_field_and_no_formula() {
        for (text, expected) in [
            ("/a", "/a"),
            ("a,b", "\"a,b\""),
            ("say \"x\"", "\"say \"\"x\"\"\""),
            ("=1+1", "'=1+1"),
            ("@a,b", "\"'@a,b\""),
            ("", ""),
        ] {
            assert_eq!(field(text), expected);
        }
        let row = RequestRow { path: "/x,y".into(), ..RequestRow::default() };
        let text = csv(&[row]);
        let mut lines = text.lines();
        let columns = lines.next().unwrap().split(',').count();
        assert_eq!(lines.next().unwrap().replace("\"/x,y\"", "p").split(',').count(), columns);
    }
}
