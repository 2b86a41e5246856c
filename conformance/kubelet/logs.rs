//! What `kubectl logs` and the suite read, by way of the API server.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::extract::{Path as Parts, Query, State};
use axum::http::StatusCode;
use k8s_openapi::jiff::{SignedDuration, Timestamp};

use crate::Bed;

/// Where the output of a container is kept: beyond the pod's life, for whoever wants to know afterwards.
pub(crate) fn file(folder: &Path, namespace: &str, pod: &str, container: &str) -> PathBuf {
    folder.join(format!("{namespace}_{pod}_{container}.log"))
}

#[derive(Debug, Default, serde::Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Wanted {
    since_time: Option<Timestamp>,
    since_seconds: Option<i64>,
    tail_lines: Option<usize>,
    timestamps: bool,
}

pub(crate) async fn answer(
    State(bed): State<Arc<Bed>>,
    Parts((namespace, pod, container)): Parts<(String, String, String)>,
    Query(wanted): Query<Wanted>,
) -> Result<String, StatusCode> {
    let file = file(&bed.logs, &namespace, &pod, &container);
    let log = tokio::fs::read(file).await.map_err(|_| StatusCode::NOT_FOUND)?;
    Ok(select(&String::from_utf8_lossy(&log), &wanted, Timestamp::now()))
}

/// The lines that are wanted, without what was put before each when it was kept.
fn select(log: &str, wanted: &Wanted, now: Timestamp) -> String {
    let since = wanted
        .since_seconds
        .map(|seconds| now - SignedDuration::from_secs(seconds))
        .or(wanted.since_time);
    let mut lines: Vec<(&str, &str)> = log
        .lines()
        .filter_map(|line| {
            let mut parts = line.splitn(4, ' ');
            let time = parts.next()?;
            Some((time, parts.nth(2)?))
        })
        .filter(|(time, _)| {
            since.is_none_or(|since| time.parse::<Timestamp>().is_ok_and(|time| time >= since))
        })
        .collect();
    if let Some(tail) = wanted.tail_lines {
        lines.drain(..lines.len().saturating_sub(tail));
    }
    let mut text = String::new();
    for (time, line) in lines {
        if wanted.timestamps {
            text = text + time + " ";
        }
        text = text + line + "\n";
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "2026-11-24T10:00:00.000000000Z stdout F one\n\
                       2026-11-24T10:00:01.500000000Z stderr F two words\n\
                       2026-11-24T10:00:02.000000000Z stdout F three\n";

    #[track_caller]
    fn check(wanted: &Wanted, expected: &str) {
        assert_eq!(select(LOG, wanted, "2026-11-24T10:00:03Z".parse().unwrap()), expected);
    }

    #[test]
    fn only_what_is_wanted_is_given() {
        check(&Wanted::default(), "one\ntwo words\nthree\n");
        check(
            &Wanted {
                since_time: Some("2026-11-24T10:00:01Z".parse().unwrap()),
                ..Wanted::default()
            },
            "two words\nthree\n",
        );
        check(&Wanted { since_seconds: Some(1), ..Wanted::default() }, "three\n");
        check(
            &Wanted { tail_lines: Some(1), timestamps: true, ..Wanted::default() },
            "2026-11-24T10:00:02.000000000Z three\n",
        );
    }
}
