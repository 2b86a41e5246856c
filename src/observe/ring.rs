//! The newest requests.

use std::collections::VecDeque;
use std::sync::Arc;

use api::traffic::{RequestRow, RequestsQuery};
use api::{Caller, Role, Time};

pub(crate) const MOST_ROWS: usize = 10_000;
/// Of all texts together.
const MOST_BYTES: usize = 32 << 20;
/// So many at once are told to another replica, and so much of texts.
const MOST_TOLD: usize = 1000;
const MOST_BYTES_TOLD: usize = 2 << 20;

#[derive(Debug, Default)]
pub(crate) struct Ring {
    /// In order of arrival, with whether a proxy of this replica reported it.
    rows: VecDeque<(bool, Arc<RequestRow>)>,
    bytes: usize,
    /// How many were reported here since the start.
    own: u64,
}

impl Ring {
    pub(crate) fn push(&mut self, row: Arc<RequestRow>) {
        self.own += 1;
        self.keep(true, row);
    }

    /// What another replica was told.
    pub(crate) fn absorb(&mut self, row: Arc<RequestRow>) {
        self.keep(false, row);
    }

    fn keep(&mut self, own: bool, row: Arc<RequestRow>) {
        self.bytes += size(&row);
        self.rows.push_back((own, row));
        while self.rows.len() > MOST_ROWS || self.bytes > MOST_BYTES {
            let Some((_, old)) = self.rows.pop_front() else { break };
            self.bytes -= size(&old);
        }
    }

    /// All, in order of arrival.
    pub(crate) fn rows(&self) -> Vec<Arc<RequestRow>> {
        self.rows.iter().map(|(_, row)| row.clone()).collect()
    }

    /// How many were reported here, and the newest of those behind the first `after`, oldest first.
    pub(crate) fn told(&self, after: u64) -> (u64, Vec<Arc<RequestRow>>) {
        let new = usize::try_from(self.own.saturating_sub(after)).unwrap_or(usize::MAX);
        let mut bytes = 0;
        let own = self.rows.iter().rev().filter(|(own, _)| *own).map(|(_, row)| row);
        let fitting = own.take(new.min(MOST_TOLD)).take_while(|row| {
            bytes += size(row);
            bytes <= MOST_BYTES_TOLD
        });
        let mut rows: Vec<_> = fitting.cloned().collect();
        rows.reverse();
        (self.own, rows)
    }
}

/// The newest first. What other replicas tell arrives late, so that the order of arrival is not that of time.
pub(crate) fn find(
    mut rows: Vec<Arc<RequestRow>>,
    query: &RequestsQuery,
    caller: &Caller,
) -> Vec<RequestRow> {
    let before: Option<Time> = query.before.as_deref().and_then(|text| text.parse().ok());
    let limit = query.limit.unwrap_or(100).min(MOST_ROWS);
    rows.retain(|row| {
        before.is_none_or(|before| row.at < before) && matches(row, query) && sees(caller, row)
    });
    rows.sort_by_key(|row| row.at);
    rows.iter().rev().take(limit).map(|row| (**row).clone()).collect()
}

/// Texts of a row; what else there is has a fixed size.
fn size(row: &RequestRow) -> usize {
    let texts = [
        &row.proxy,
        &row.role,
        &row.source,
        &row.target,
        &row.route,
        &row.lane,
        &row.protocol,
        &row.method,
        &row.host,
        &row.path,
        &row.remote,
        &row.upstream,
        &row.cluster,
        &row.user_agent,
        &row.request_id,
        &row.forwarded_for,
        &row.details,
    ];
    let flags = row.flags.iter().chain(row.custom.values()).chain(row.custom.keys());
    size_of::<RequestRow>() + texts.into_iter().chain(flags).map(String::len).sum::<usize>()
}

/// Whether somebody may look at a request: it is that of each namespace that it touches.
pub(crate) fn sees(caller: &Caller, row: &RequestRow) -> bool {
    let namespaces = [&row.source, &row.target, &row.route]
        .into_iter()
        .filter_map(|id| namespace(id))
        .collect::<Vec<_>>();
    if namespaces.is_empty() {
        return caller.may(Role::Viewer, None);
    }
    namespaces.iter().any(|namespace| caller.may(Role::Viewer, Some(namespace)))
}

/// Of `service/NAMESPACE/NAME`, or of `NAMESPACE/NAME`.
pub(crate) fn namespace(id: &str) -> Option<&str> {
    let mut parts = id.split('/');
    match (parts.next()?, parts.next(), parts.next()) {
        ("unknown" | "outside", ..) => None,
        (_, Some(namespace), Some(_)) => Some(namespace),
        (namespace, Some(_), None) => Some(namespace),
        _ => None,
    }
}

/// Whether a row is what somebody looks for; `limit` and `before` are not asked.
#[must_use]
pub(crate) fn matches(row: &RequestRow, query: &RequestsQuery) -> bool {
    let RequestsQuery {
        limit: _,
        namespace: wanted,
        gateway,
        route,
        service,
        method,
        status,
        q,
        slower,
        request_id,
        before: _,
    } = query;
    let is = |id: &str, kind: &str, name: &str| {
        id.strip_prefix(kind).and_then(|rest| rest.strip_prefix('/')) == Some(name)
    };
    let all =
        |wanted: &Option<String>, fits: &dyn Fn(&str) -> bool| wanted.as_deref().is_none_or(fits);
    all(wanted, &|name| {
        [&row.source, &row.target, &row.route].into_iter().any(|id| namespace(id) == Some(name))
    }) && all(gateway, &|name| is(&row.source, "gateway", name) || is(&row.target, "gateway", name))
        && all(route, &|name| row.route == name)
        && all(service, &|name| {
            is(&row.target, "service", name) || is(&row.source, "service", name)
        })
        && all(method, &|name| row.method.eq_ignore_ascii_case(name))
        && all(status, &|code| has_status(row, code))
        && all(q, &|part| row.path.contains(part) || row.host.contains(part))
        && all(request_id, &|id| row.request_id == id)
        && slower.is_none_or(|ms| row.duration >= ms as f64)
}

/// `404`, `5xx`
fn has_status(row: &RequestRow, wanted: &str) -> bool {
    match wanted.as_bytes() {
        [class @ b'0'..=b'9', b'x' | b'X', b'x' | b'X'] => {
            row.status / 100 == u32::from(class - b'0')
        }
        _ => wanted.parse() == Ok(row.status),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(at: i64, path: &str, status: u32) -> Arc<RequestRow> {
        Arc::new(RequestRow {
            at: Time(at),
            source: "gateway/demo/edge".into(),
            target: "service/shop/orders".into(),
            route: "shop/orders".into(),
            method: "GET".into(),
            path: path.into(),
            status,
            duration: at as f64,
            ..RequestRow::default()
        })
    }

    #[test]
    fn rows_are_found_by_each_filter_the_newest_first() {
        let mut ring = Ring::default();
        for (at, path, status) in [(1, "/a", 200), (2, "/b", 404), (3, "/ab", 503), (4, "/c", 200)]
        {
            ring.push(row(at, path, status));
        }
        let found = |query: RequestsQuery| {
            let rows = find(ring.rows(), &query, &Caller::anybody());
            rows.iter().map(|row| row.at.0).collect::<Vec<_>>()
        };
        let any = RequestsQuery::default;
        assert_eq!(found(any()), [4, 3, 2, 1]);
        assert_eq!(found(RequestsQuery { limit: Some(2), ..any() }), [4, 3]);
        assert_eq!(found(RequestsQuery { status: Some("5xx".into()), ..any() }), [3]);
        assert_eq!(found(RequestsQuery { status: Some("404".into()), ..any() }), [2]);
        assert_eq!(found(RequestsQuery { q: Some("b".into()), ..any() }), [3, 2]);
        assert_eq!(found(RequestsQuery { slower: Some(3), ..any() }), [4, 3]);
        assert_eq!(found(RequestsQuery { service: Some("shop/orders".into()), ..any() }).len(), 4);
        assert_eq!(found(RequestsQuery { service: Some("shop/pay".into()), ..any() }).len(), 0);
        assert_eq!(found(RequestsQuery { gateway: Some("demo/edge".into()), ..any() }).len(), 4);
        assert_eq!(found(RequestsQuery { namespace: Some("demo".into()), ..any() }).len(), 4);
        assert_eq!(found(RequestsQuery { namespace: Some("other".into()), ..any() }).len(), 0);
        let before = Some(Time(3).to_string());
        assert_eq!(found(RequestsQuery { before, ..any() }), [2, 1]);
    }

    #[test]
    fn rows_and_their_bytes_are_bounded() {
        let mut ring = Ring::default();
        for at in 0..10_050 {
            ring.push(row(at, "/", 200));
        }
        assert_eq!(ring.rows.len(), MOST_ROWS);
        let long = "x".repeat(8 << 20);
        for at in 0..5 {
            ring.push(row(at, &long, 200));
        }
        assert!(ring.bytes <= MOST_BYTES);
        assert_eq!(ring.rows.iter().map(|(_, row)| size(row)).sum::<usize>(), ring.bytes);
    }
}
