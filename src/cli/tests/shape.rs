//! The tree of commands itself: help, completion, pictures, the bundle.

use serde_json::Value;

use super::{fake, isthmus};
use crate::completion;
use crate::exit::Exit;

fn leaves<'t>(command: &'t Value, all: &mut Vec<&'t Value>) {
    let below = command["commands"].as_array().unwrap();
    if below.is_empty() {
        all.push(command);
    }
    below.iter().for_each(|command| leaves(command, all));
}

#[test]
fn every_command_has_help_with_three_examples_of_itself() {
    let said = isthmus(&["help", "--json"]);
    assert_eq!(said.exit, Exit::Ok, "{}", said.err);
    let tree: Value = serde_json::from_str(&said.out).unwrap();
    let mut all = Vec::new();
    leaves(&tree, &mut all);
    assert!(all.len() > 50, "{}", all.len());
    for command in all {
        let name = command["name"].as_str().unwrap();
        assert_ne!(command["about"], "", "{name}");
        let examples = command["examples"].as_array().unwrap();
        let own = examples.iter().filter(|line| line.as_str().unwrap().contains(name));
        assert!(own.count() >= 3, "{name} has no three examples: {examples:?}");
        for argument in command["arguments"].as_array().unwrap() {
            assert_ne!(argument["help"], Value::Null, "{name} {argument}");
        }
    }
    let one = isthmus(&["help", "revision", "diff"]);
    assert!(one.out.contains("isthmus revision diff r41 r42"), "{}", one.out);
    assert_eq!(isthmus(&["help", "fly"]).exit, Exit::NotFound);
}

#[test]
fn names_of_objects_are_completed() {
    let complete = |line: &str| {
        let line = format!("isthmus -- {line} --server {}", fake::url());
        let words: Vec<_> = line.split(' ').map(str::to_owned).collect();
        completion::object_names(&words).unwrap_or_default()
    };
    assert_eq!(complete("isthmus get httproute"), ["mixed", "orders", "unseen"]);
    assert_eq!(complete("isthmus describe -n demo gateway"), ["edge"]);
    assert_eq!(complete("isthmus get proxies"), ["edge-1", "edge/2"]);
    assert!(complete("isthmus get things").is_empty());
}

#[test]
fn a_server_that_is_slow_does_not_hold_a_shell() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let server = format!("http://{}", silent.local_addr().unwrap());
    let words = ["isthmus", "--", "isthmus", "get", "gateways", "--server", &server];
    let words = words.map(str::to_owned);
    let before = std::time::Instant::now();
    assert_eq!(completion::object_names(&words), None);
    assert!(before.elapsed() < std::time::Duration::from_secs(5));
}

#[test]
fn the_mesh_is_drawn() {
    let draw = |form| isthmus(&["topology", "-o", form, "--server", fake::url()]);
    let dot = draw("dot");
    assert_eq!(dot.exit, Exit::Ok, "{}", dot.err);
    assert!(
        dot.out.contains("\"outside\" -> \"gateway/demo/edge\" [label=\"12.3/s\", style=solid];"),
        "{}",
        dot.out
    );
    let svg = draw("svg").out;
    assert_eq!(svg.matches("<rect").count(), 4);
    assert_eq!(svg.matches("<path d=\"M").count(), 3, "two edges, and the tip of arrows");
    assert!(svg.contains("demo/lonely &lt;b&gt;") && !svg.contains("<b>"), "{svg}");
}

#[test]
fn a_bundle_holds_what_the_server_says() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("bundle.tar.gz");
    let to = path.to_str().unwrap();
    let said = isthmus(&["support-bundle", "--to", to, "--server", fake::url()]);
    assert_eq!(said.exit, Exit::Ok, "{}{}", said.out, said.err);
    let listed = std::process::Command::new("tar").args(["-tzf", to]).output().unwrap();
    assert!(listed.status.success());
    let names = String::from_utf8(listed.stdout).unwrap();
    for name in ["about", "readiness", "revisions", "documents/httproutes", "proxies/1"] {
        assert!(names.contains(&format!("isthmus-support/{name}.json\n")), "{name} in {names}");
    }
    let shown =
        std::process::Command::new("tar").args(["-xzOf", to, "isthmus-support/me.json"]).output();
    let me: Value = serde_json::from_slice(&shown.unwrap().stdout).unwrap();
    assert_eq!(me["replica"], "cp-1");
}
