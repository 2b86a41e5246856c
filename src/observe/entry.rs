//! What a proxy says of one request or connection, read once and cut to size.

use std::net::SocketAddr;

use api::Time;
use api::traffic::RequestRow;
use envoy_types::pb::envoy::config::core::v3::{
    Address, RequestMethod, address::Address as Which, socket_address::PortSpecifier,
};
use envoy_types::pb::envoy::data::accesslog::v3 as log;
use envoy_types::pb::google::protobuf::{Duration, Timestamp, value::Kind};

use crate::bucket::Class;
use crate::edges::Protocol;
use crate::flags;

/// Longer texts are cut: they are for people to read.
const LONGEST: usize = 512;
/// Where Envoy's lane filter leaves the lane.
const LANE_SPACE: &str = "envoy.lb";

/// Without the names that only the control plane knows.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) row: RequestRow,
    pub(crate) protocol: Protocol,
    pub(crate) class: Class,
    pub(crate) remote: Option<SocketAddr>,
    pub(crate) upstream: Option<SocketAddr>,
    /// As the proxy calls it.
    pub(crate) route: String,
}

pub(crate) fn of_request(entry: log::HttpAccessLogEntry, lane_label: &str) -> Entry {
    let log::HttpAccessLogEntry { common_properties, protocol_version, request, response } = entry;
    let request = request.unwrap_or_default();
    let response = response.unwrap_or_default();
    let common = common_properties.unwrap_or_default();
    let mut out = of_common(common, lane_label);
    let row = &mut out.row;
    let status = |from: &std::collections::HashMap<String, String>| {
        from.get("grpc-status").and_then(|text| text.parse::<u32>().ok())
    };
    row.grpc_status =
        status(&response.response_trailers).or_else(|| status(&response.response_headers));
    row.status = response.response_code.map_or(0, |code| code.value);
    row.method = RequestMethod::try_from(request.request_method)
        .ok()
        .filter(|method| *method != RequestMethod::MethodUnspecified)
        .map_or("", |method| method.as_str_name())
        .to_owned();
    row.host = cut(request.authority);
    row.path = cut(without_query(request.path));
    row.user_agent = cut(request.user_agent);
    row.request_id = cut(request.request_id);
    row.forwarded_for = cut(request.forwarded_for);
    row.bytes_in = request.request_headers_bytes + request.request_body_bytes;
    row.bytes_out = response.response_headers_bytes + response.response_body_bytes;
    if response.response_code_details != "via_upstream" {
        row.details = cut(response.response_code_details);
    }
    out.protocol = if row.grpc_status.is_some() { Protocol::Grpc } else { Protocol::Http };
    row.protocol =
        match (out.protocol, log::http_access_log_entry::HttpVersion::try_from(protocol_version)) {
            (Protocol::Grpc, _) => "grpc",
            (_, Ok(log::http_access_log_entry::HttpVersion::Http10)) => "http/1.0",
            (_, Ok(log::http_access_log_entry::HttpVersion::Http2)) => "http/2",
            (_, Ok(log::http_access_log_entry::HttpVersion::Http3)) => "http/3",
            _ => "http/1.1",
        }
        .to_owned();
    out.class = match (row.status, row.grpc_status) {
        (500.., _) => Class::Server,
        // Nothing was answered: the client did not wait for it.
        (0 | 400..=499, _) => Class::Client,
        (_, Some(status)) => of_grpc(status),
        (300..=399, None) => Class::Redirect,
        _ => Class::Good,
    };
    out
}

/// <https://grpc.github.io/grpc/core/md_doc_statuscodes.html>: whose fault a status is.
fn of_grpc(status: u32) -> Class {
    match status {
        0 => Class::Good,
        // UNKNOWN, DEADLINE_EXCEEDED, UNIMPLEMENTED, INTERNAL, UNAVAILABLE, DATA_LOSS
        2 | 4 | 12..=15 => Class::Grpc,
        _ => Class::Client,
    }
}

pub(crate) fn of_connection(entry: log::TcpAccessLogEntry, lane_label: &str) -> Entry {
    let log::TcpAccessLogEntry { common_properties, connection_properties } = entry;
    let common = common_properties.unwrap_or_default();
    let broken = common.response_flags.as_ref().is_some_and(flags::broken);
    let mut out = of_common(common, lane_label);
    let bytes = connection_properties.unwrap_or_default();
    out.row.bytes_in = bytes.received_bytes;
    out.row.bytes_out = bytes.sent_bytes;
    out.row.protocol = Protocol::Tcp.as_str().to_owned();
    out.class = if broken { Class::Server } else { Class::Good };
    out
}

fn of_common(common: log::AccessLogCommon, lane_label: &str) -> Entry {
    let duration = common.duration.or(common.time_to_last_downstream_tx_byte);
    let sent = common.time_to_first_upstream_tx_byte.as_ref().map(ms);
    let heard = common.time_to_last_upstream_rx_byte.as_ref().map(ms);
    let remote = common.downstream_remote_address.as_ref().and_then(address);
    let upstream = common.upstream_remote_address.as_ref().and_then(address);
    let text = |address: Option<SocketAddr>| address.map(|a| a.to_string()).unwrap_or_default();
    let lane = common
        .metadata
        .as_ref()
        .and_then(|metadata| metadata.filter_metadata.get(LANE_SPACE))
        .and_then(|space| space.fields.get(lane_label))
        .and_then(|value| match &value.kind {
            Some(Kind::StringValue(text)) => Some(text.clone()),
            _ => None,
        });
    Entry {
        row: RequestRow {
            at: common.start_time.as_ref().map_or_else(Time::now, time),
            lane: cut(lane.unwrap_or_default()),
            duration: duration.as_ref().map_or(0.0, ms),
            upstream_duration: sent.zip(heard).map(|(sent, heard)| (heard - sent).max(0.0)),
            remote: text(remote),
            upstream: text(upstream),
            cluster: cut(common.upstream_cluster),
            attempts: common.upstream_request_attempt_count,
            flags: common.response_flags.as_ref().map(flags::words).unwrap_or_default(),
            details: cut(common.upstream_transport_failure_reason),
            ..RequestRow::default()
        },
        protocol: Protocol::Tcp,
        class: Class::Good,
        remote,
        upstream,
        route: cut(common.route_name),
    }
}

/// It may hold secrets.
fn without_query(mut path: String) -> String {
    if let Some(at) = path.find(['?', '#']) {
        path.truncate(at);
    }
    path
}

fn cut(mut text: String) -> String {
    if text.len() > LONGEST {
        let end = (0..=LONGEST).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        text.truncate(end);
    }
    text.shrink_to_fit();
    text
}

fn ms(duration: &Duration) -> f64 {
    duration.seconds as f64 * 1e3 + f64::from(duration.nanos) / 1e6
}

fn time(at: &Timestamp) -> Time {
    Time(at.seconds.saturating_mul(1000) + i64::from(at.nanos / 1_000_000))
}

fn address(address: &Address) -> Option<SocketAddr> {
    let Some(Which::SocketAddress(socket)) = &address.address else { return None };
    let Some(PortSpecifier::PortValue(port)) = socket.port_specifier else { return None };
    Some(SocketAddr::new(socket.address.parse().ok()?, u16::try_from(port).ok()?))
}

#[cfg(test)]
mod tests {
    use envoy_types::pb::google::protobuf::UInt32Value;

    use super::*;

    fn request(path: &str, status: u32, grpc: Option<&str>) -> Entry {
        let trailers = grpc.map(|status| ("grpc-status".to_owned(), status.to_owned()));
        let entry = log::HttpAccessLogEntry {
            request: Some(log::HttpRequestProperties {
                request_method: RequestMethod::Get as i32,
                path: path.into(),
                ..Default::default()
            }),
            response: Some(log::HttpResponseProperties {
                response_code: Some(UInt32Value { value: status }),
                response_trailers: trailers.into_iter().collect(),
                response_code_details: "via_upstream".into(),
                ..Default::default()
            }),
            ..Default::default()
        };
        of_request(entry, "lane")
    }

    #[test]
    fn a_query_is_never_kept() {
        let entry = request("/pay?card=4111", 200, None);
        assert_eq!((&*entry.row.path, &*entry.row.method), ("/pay", "GET"));
        assert_eq!(entry.row.details, "");
        assert!(!format!("{entry:?}").contains("4111"));
        let long = format!("/{}é", "x".repeat(LONGEST - 2));
        assert_eq!(request(&long, 200, None).row.path.len(), LONGEST - 1);
    }

    #[test]
    fn how_it_ended_is_one_of_five() {
        for (status, grpc, class) in [
            (200, None, Class::Good),
            (302, None, Class::Redirect),
            (404, None, Class::Client),
            (0, None, Class::Client),
            (503, None, Class::Server),
            (200, Some("0"), Class::Good),
            (200, Some("5"), Class::Client),
            (200, Some("14"), Class::Grpc),
        ] {
            assert_eq!(request("/", status, grpc).class, class, "{status} {grpc:?}");
        }
        assert_eq!(request("/", 200, Some("0")).protocol, Protocol::Grpc);
    }
}
