//! What was said, and what came.

use serde_json::Value;

use super::requests::Request;
use super::word::HEADERS;
use crate::testbed::{Answer, Connection, Failure, LIMIT, ask_once};

pub(super) async fn send(request: &Request) -> Result<Answer, Failure> {
    match &request.tls {
        None => ask_once(request.to, &request.ask).await,
        Some(name) => Connection::tls(request.to, name).await?.ask(&request.ask, LIMIT).await,
    }
}

/// Returns how it ended; `Err` says what differs.
pub(super) fn compare(
    request: &Request,
    said: &Value,
    came: Result<Answer, Failure>,
) -> Result<String, String> {
    let came = match came {
        Ok(came) => came,
        Err(Failure::Tls(_)) if said["outcome"]["kind"] == "noListener" => {
            return Ok("noListener".into());
        }
        // Without an answer to give, a connection is closed.
        Err(Failure::Http(_)) if closes(&said["outcome"]) => return Ok("closed".into()),
        Err(failure) => return Err(format!("said {}, came {failure}", said["outcome"])),
    };
    let differs =
        |what: &str, said: &Value, came: &str| Err(format!("{what}: said {said}, came {came}"));
    if let Some(step) = list(&said["steps"]).find(|step| step["sure"] != true) {
        return Err(format!("not sure: {step}"));
    }
    let outcome = &said["outcome"];
    let kind = outcome["kind"].as_str().unwrap_or_default().to_string();
    let by = came.service();
    let status = outcome["status"].as_u64();
    match kind.as_str() {
        "forwarded" => return forwarded(request, outcome, &came),
        "redirected" => {
            let location = came.header("location").unwrap_or_default();
            if outcome["location"] != *location {
                return differs("location", &outcome["location"], &location);
            }
        }
        "answered" | "noRoute" | "refused" => {}
        _ => return differs("kind", &outcome["kind"], &format!("{} {by}", came.status)),
    }
    if status != Some(came.status.into()) || !by.is_empty() {
        return differs("answer", outcome, &format!("{} by `{by}`: {}", came.status, came.body));
    }
    Ok(kind)
}

fn closes(outcome: &Value) -> bool {
    let kind = outcome["kind"].as_str().unwrap_or_default();
    outcome["status"].is_null() && ["noRoute", "noListener", "refused"].contains(&kind)
}

fn forwarded(request: &Request, outcome: &Value, came: &Answer) -> Result<String, String> {
    let done = || Ok("forwarded".into());
    let by = came.service();
    let clusters: Vec<_> = list(&outcome["clusters"]).collect();
    let alive = |one: &&Value| one["endpoints"] != 0;
    // Whoever is dialled, known or not.
    let dialled =
        |one: &&Value| ["passthrough", "inbound"].iter().any(|name| one["service"] == *name);
    if by.is_empty() {
        let broken = clusters.iter().any(|one| one["cluster"] == "") && came.status == 500;
        let nobody = clusters.iter().any(|one| one["cluster"] != "" && !alive(one));
        // Who speaks HTTP/2 only has no answer for whoever dials him with something else.
        let stranger = clusters.iter().any(dialled) && request.at == "h" && came.status == 502;
        if broken || stranger || nobody && came.status == 503 {
            return done();
        }
        return Err(format!("said {clusters:?}, came {} by nobody", came.status));
    }
    let is_it = |one: &&Value| match dialled(one) {
        true => by == request.at,
        false => one["service"].as_str().is_some_and(|s| s.starts_with(&format!("shop/{by}:"))),
    };
    let alive: Vec<_> = clusters.iter().copied().filter(|one| alive(one) || dialled(one)).collect();
    if !alive.iter().any(is_it) {
        return Err(format!("said {clusters:?}, came {by}"));
    }
    // What is said of it is said of the first that can get it.
    let first = clusters.iter().find(|one| one["cluster"] != "");
    if !first.is_some_and(is_it) || clusters.iter().filter(|one| is_it(one)).count() > 1 {
        return done();
    }
    let (said, seen) = (&outcome["upstream"], came.json());
    if said.is_null() {
        // Nobody looks into whole connections.
        return Ok("whole".into());
    }
    for field in ["method", "host", "path"] {
        if said[field] != seen[field] {
            return Err(format!(
                "the back end's {field}: said {}, came {}",
                said[field], seen[field]
            ));
        }
    }
    for name in HEADERS {
        let name = name.to_ascii_lowercase();
        let all = |pairs: &Value| {
            let pairs = list(pairs).filter(|pair| {
                pair[0].as_str().is_some_and(|other| other.eq_ignore_ascii_case(&name))
            });
            pairs.filter_map(|pair| pair[1].as_str().map(str::to_string)).collect::<Vec<_>>()
        };
        let edited = all(&said["headersSet"]);
        let removed = list(&said["headersRemoved"]).any(|other| *other == name.as_str());
        let sent = all(&request.question()["headers"]);
        let wanted = match (edited.is_empty(), removed) {
            (false, _) => edited.join(", "),
            (true, true) => String::new(),
            (true, false) => sent.join(", "),
        };
        let got = seen["headers"][&name].as_str().unwrap_or_default();
        if wanted != got {
            return Err(format!("the back end's header {name}: said `{wanted}`, came `{got}`"));
        }
    }
    done()
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}
