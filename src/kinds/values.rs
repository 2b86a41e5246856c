//! Weak text → strong values, each failure a finding at the value's place.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use model::{Hostname, IpBlock, StringMatch, codes};

use crate::at::At;
use crate::report::Report;
use crate::{re2, time};

pub(crate) fn hostname(at: &At<'_>, report: &mut Report) -> Option<Hostname> {
    let parsed = Hostname::parse(at.text()).ok();
    if parsed.is_none() {
        let text = format!("{} is not a host name", report.quote(at.text()));
        let hint = if at.text().parse::<IpAddr>().is_ok() {
            "an address cannot be matched as a host name"
        } else {
            "lower-case letters, digits, '-' and '.', labels of at most 63 characters, optionally after a leading '*.'"
        };
        report.error(codes::INVALID_VALUE, at.value(), text, hint);
    }
    parsed
}

/// A host name without a wildcard, for redirects and rewrites.
pub(crate) fn exact_hostname(at: &At<'_>, report: &mut Report) -> Option<Arc<str>> {
    let host = hostname(at, report)?;
    if host.is_wildcard() {
        report.error(
            codes::INVALID_VALUE,
            at.value(),
            "a wildcard names no single host",
            "write a full host name",
        );
        return None;
    }
    Some(host.shared())
}

/// A header name in lower case, as HTTP/2 has it (RFC 9113 §8.2).
pub(crate) fn header_name(at: &At<'_>, report: &mut Report) -> Option<Arc<str>> {
    if !is_token(at.text()) {
        let text = format!("{} is not a header name", report.quote(at.text()));
        report.error(codes::INVALID_VALUE, at.value(), text, "letters, digits and !#$%&'*+-.^_`|~");
        return None;
    }
    Some(at.text().to_ascii_lowercase().into())
}

/// A name as HTTP has it for cookies and others, in the letters that were written.
pub(crate) fn token<'a>(at: &At<'a>, report: &mut Report) -> Option<&'a str> {
    if !is_token(at.text()) {
        let text = format!("{} is not a name that HTTP allows", report.quote(at.text()));
        report.error(codes::INVALID_VALUE, at.value(), text, "letters, digits and !#$%&'*+-.^_`|~");
        return None;
    }
    Some(at.text())
}

/// RFC 9110 §5.6.2.
pub(crate) fn is_token(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}

/// A header value: no control characters, which would let a value smuggle a second header (RFC 9110 §5.5).
pub(crate) fn header_value(at: &At<'_>, report: &mut Report) -> Option<Arc<str>> {
    let text = at.text();
    if text.chars().any(|c| c.is_control() && c != '\t') {
        report.error(
            codes::INVALID_VALUE,
            at.value(),
            "a header value has no line breaks or control characters",
            "",
        );
        return None;
    }
    if text.trim() != text {
        report.error(
            codes::INVALID_VALUE,
            at.value(),
            "a header value has no space at its ends",
            "remove the spaces",
        );
        return None;
    }
    Some(text.into())
}

pub(crate) fn regex(at: &At<'_>, report: &mut Report) -> Option<Arc<str>> {
    if let Err(reason) = re2::check(at.text()) {
        let text = format!(
            "{} is not a regular expression that Envoy (RE2) accepts: {reason}",
            report.quote(at.text())
        );
        report.error(
            codes::INVALID_REGEX,
            at.value(),
            text,
            "see https://github.com/google/re2/wiki/Syntax",
        );
        return None;
    }
    Some(at.shared())
}

/// A value to compare with, exact or as a regular expression.
pub(crate) fn string_match(
    kind: Option<&str>,
    at: &At<'_>,
    report: &mut Report,
) -> Option<StringMatch> {
    match kind {
        Some("RegularExpression") => regex(at, report).map(StringMatch::Regex),
        _ => Some(StringMatch::Exact(at.shared())),
    }
}

pub(crate) fn duration(at: &At<'_>, report: &mut Report) -> Option<Duration> {
    let parsed = time::parse_duration(at.text());
    if parsed.is_none() {
        let text = format!("{} is not a duration", report.quote(at.text()));
        report.error(codes::INVALID_VALUE, at.value(), text, "for example 10s, 500ms or 1h30m");
    }
    parsed
}

pub(crate) fn address(at: &At<'_>, report: &mut Report) -> Option<IpAddr> {
    let parsed = at.text().parse().ok();
    if parsed.is_none() {
        let text = format!("{} is not an IP address", report.quote(at.text()));
        report.error(
            codes::INVALID_VALUE,
            at.value(),
            text,
            "host names are not resolved here: write an address",
        );
    }
    parsed
}

/// An address, or a block of them such as `10.0.0.0/8`.
pub(crate) fn ip_block(at: &At<'_>, report: &mut Report) -> Option<IpBlock> {
    let (address, length) = match at.text().split_once('/') {
        Some((address, length)) => (address, Some(length)),
        None => (at.text(), None),
    };
    let parsed = address.parse::<IpAddr>().ok().and_then(|address| {
        let most = if address.is_ipv4() { 32 } else { 128 };
        let length = length.map_or(Ok(most), str::parse::<u8>).ok()?;
        (length <= most).then_some(IpBlock { address, length })
    });
    let Some(block) = parsed else {
        let text = format!("{} is no block of addresses", report.quote(at.text()));
        report.error(codes::INVALID_VALUE, at.value(), text, "for example 10.0.0.0/8 or 10.0.0.1");
        return None;
    };
    let start = start_of(block);
    if start != block.address {
        let text = format!("{} is an address within a block", report.quote(at.text()));
        let hint = format!("write {start}/{}, or the address alone", block.length);
        report.error(codes::INVALID_VALUE, at.value(), text, hint);
    }
    Some(block)
}

fn start_of(block: IpBlock) -> IpAddr {
    let length = u32::from(block.length);
    match block.address {
        IpAddr::V4(ip) => {
            let mask = u32::MAX.checked_shl(32 - length).unwrap_or(0);
            IpAddr::V4((u32::from(ip) & mask).into())
        }
        IpAddr::V6(ip) => {
            let mask = u128::MAX.checked_shl(128 - length).unwrap_or(0);
            IpAddr::V6((u128::from(ip) & mask).into())
        }
    }
}

/// A port where the schema knows only that it is a number.
pub(crate) fn port(at: &At<'_>, report: &mut Report) -> Option<u16> {
    let port = u16::try_from(at.int()).ok().filter(|port| *port > 0);
    if port.is_none() {
        let text = format!("{} is not a port", report.show(at.node));
        report.error(codes::INVALID_VALUE, at.value(), text, "permitted are 1 to 65535");
    }
    port
}

/// A path to compare with or to write: Gateway API's rules for `Exact` and `PathPrefix` (HTTPPathMatch, CEL rules).
pub(crate) fn path(at: &At<'_>, report: &mut Report) -> Option<Arc<str>> {
    let text = at.text();
    let lower = text.to_ascii_lowercase();
    let wrong = if !text.starts_with('/') {
        "does not start with '/'"
    } else if text.contains("//") {
        "contains '//'"
    } else if text.contains("/./")
        || text.ends_with("/.")
        || text.contains("/../")
        || text.ends_with("/..")
    {
        "contains '.' or '..' as a path element"
    } else if lower.contains("%2f") {
        "contains an encoded slash"
    } else if text.contains('#') {
        "contains '#'"
    } else if !path_characters(text) {
        "contains a character that must be percent-encoded"
    } else {
        return Some(text.into());
    };
    let text = format!("the path {} {wrong}", report.quote(text));
    let hint = match wrong {
        "does not start with '/'" => "",
        _ => "clients' paths are compared in normal form",
    };
    report.error(codes::INVALID_VALUE, at.value(), text, hint);
    None
}

fn path_characters(text: &str) -> bool {
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'%' => {
                let hex = |i: usize| bytes.get(i).is_some_and(u8::is_ascii_hexdigit);
                if !hex(at + 1) || !hex(at + 2) {
                    return false;
                }
                at += 3;
            }
            b if b.is_ascii_alphanumeric() || b"-/._~!$&'()*+,;=:@".contains(&b) => at += 1,
            _ => return false,
        }
    }
    true
}
