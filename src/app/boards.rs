//! Boards and alerts ask for metrics that there are.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn text(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// Files of a folder and of those in it.
fn files(folder: &Path, end: &str, out: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, end, out);
        } else if path.to_string_lossy().ends_with(end) {
            out.push(path);
        }
    }
}

/// Words of a text that begin so.
fn words(text: &str, start: &str) -> BTreeSet<String> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let words = text.split(|c| !is_part(c)).filter(|word| word.starts_with(start));
    words.map(str::to_owned).collect()
}

/// What the sources name between quotes.
fn exported() -> BTreeSet<String> {
    let mut sources = Vec::new();
    files(&root().join("src"), ".rs", &mut sources);
    let texts: Vec<_> = sources.into_iter().map(text).collect();
    let quoted = texts.iter().flat_map(|text| text.split('"').skip(1));
    let names =
        quoted.filter_map(|part| words(part.split(' ').next()?, "isthmus_").into_iter().next());
    names.chain(["isthmus_ready".to_owned()]).collect()
}

#[test]
fn every_metric_of_a_board_or_an_alert_is_exported() {
    let exported = exported();
    assert!(exported.contains("isthmus_requests_total"), "{exported:?}");
    let mut boards = Vec::new();
    files(&root().join("deploy/grafana"), ".json", &mut boards);
    assert_eq!(boards.len(), 3);
    let alerts = ["deploy/prometheus/alerts.yaml", "deploy/helm/isthmus/files/alarms.yaml"];
    for file in boards.into_iter().chain(alerts.map(PathBuf::from)) {
        let used = words(&text(&file), "isthmus_");
        assert!(!used.is_empty(), "{}", file.display());
        for name in used {
            let base = name.strip_suffix("_bucket").unwrap_or(&name);
            assert!(exported.contains(base), "{name} in {}", file.display());
        }
    }
}

#[test]
fn boards_are_what_grafana_reads() {
    let mut boards = Vec::new();
    files(&root().join("deploy/grafana"), ".json", &mut boards);
    let mut ids = BTreeSet::new();
    for file in boards {
        let board: serde_json::Value = serde_json::from_str(&text(&file)).unwrap();
        assert!(ids.insert(board["uid"].to_string()), "{}", file.display());
        let panels = board["panels"].as_array().unwrap();
        let numbers: BTreeSet<_> = panels.iter().map(|panel| panel["id"].to_string()).collect();
        assert_eq!(numbers.len(), panels.len(), "{}", file.display());
        for panel in panels.iter().filter(|panel| panel["type"] != "row") {
            assert!(panel["targets"][0]["expr"].is_string(), "{panel}");
        }
    }
}

/// With a chart and without one: the same alerts.
#[test]
fn the_chart_and_the_plain_file_have_the_same_alerts() {
    let names = |path: &str| -> BTreeSet<String> {
        let text = text(path);
        let lines = text.lines().filter_map(|line| line.trim().strip_prefix("- alert: "));
        lines.map(str::to_owned).collect()
    };
    let chart = names("deploy/helm/isthmus/files/alarms.yaml");
    assert!(chart.len() > 5);
    assert_eq!(chart, names("deploy/prometheus/alerts.yaml"));
}
