//! What changes something: confirmed, in an editor, or refused.

use super::{Said, fake, isthmus_as};
use crate::exit::Exit;

fn run(line: &str, environment: &[(&str, &str)], input: &str, person: bool) -> Said {
    let line = format!("{line} --server {}", fake::url());
    let environment = [environment, &[("ISTHMUS_TOKEN", "good")]].concat();
    isthmus_as(&line.split(' ').collect::<Vec<_>>(), &environment, input, person)
}

#[test]
fn what_destroys_is_asked_for_or_needs_yes() {
    for line in [
        "delete httproute orders",
        "rollback r41",
        "rollout abort demo/edge",
        "token revoke ci",
        "proxy drain edge-1",
        "apply -f - --prune ann",
    ] {
        let said = run(line, &[], "", false);
        assert_eq!((said.exit, said.out.as_str()), (Exit::Usage, ""), "{line}: {}", said.err);
        assert!(said.err.contains("hint: say --yes"), "{line}: {}", said.err);
        if line.contains("-f -") {
            // Its answer would come from where the documents came from.
            continue;
        }
        let said = run(line, &[], "n\n", true);
        assert_eq!((said.exit, said.out.as_str()), (Exit::Negative, ""), "{line}");
        assert!(said.err.contains("? [y/N] isthmus: nothing was done"), "{line}: {}", said.err);
        assert_eq!(run(line, &[], "y\n", true).exit, Exit::Ok, "{line}");
    }
}

#[test]
fn documents_come_from_stdin() {
    let said = run("apply -f -", &[], "kind: HTTPRoute\n", false);
    assert_eq!(said.exit, Exit::Ok, "{}", said.err);
    assert!(said.out.contains("~ HTTPRoute demo/orders"), "{}", said.out);
    let said = run("apply -f -", &[], "a: 1\n---\nbroken: 1\n", false);
    assert_eq!((said.exit, said.out.as_str()), (Exit::Invalid, ""));
    assert!(said.err.contains("stdin:3:5: error ISM1203 HTTPRoute demo/orders"), "{}", said.err);
}

#[test]
fn an_object_is_edited_in_the_version_that_was_read() {
    let edit =
        |editor: &str| run("edit httproute orders -n demo", &[("EDITOR", editor)], "", false);
    let said = edit("sed -i s/shop.example.com/mine.example.com/");
    assert_eq!(said.exit, Exit::Ok, "{}", said.err);
    assert!(said.out.contains("revision r43"), "{}", said.out);
    let said = edit("true");
    assert_eq!((said.exit, said.out.as_str()), (Exit::Ok, ""));
    assert_eq!(said.err, "nothing was changed\n");
    assert_eq!(edit("false").exit, Exit::Unreachable);
    let said = run("edit httproute orders -n demo", &[], "", false);
    assert_eq!(said.exit, Exit::Usage, "{}", said.err);
}

#[test]
fn what_somebody_else_changed_meanwhile_is_shown() {
    let editor = "sed -i s/shop.example.com/overtaken.example.com/";
    let said = run("edit httproute orders -n demo", &[("VISUAL", editor)], "", false);
    assert_eq!((said.exit, said.out.as_str()), (Exit::Conflict, ""), "{}", said.err);
    let row = said.err.lines().find(|line| line.starts_with("/spec/hostnames/0 ")).unwrap();
    let cells: Vec<_> = row.split_whitespace().collect();
    let expected = [
        "/spec/hostnames/0",
        "shop.example.com",
        "theirs.example.com",
        "overtaken.example.com",
        "CONFLICT",
    ];
    assert_eq!(cells, expected, "{}", said.err);
    // Nothing of the work is lost.
    let kept = said.err.lines().find_map(|line| line.strip_prefix("your text is kept in "));
    let kept = std::path::Path::new(kept.unwrap());
    assert!(std::fs::read_to_string(kept).unwrap().contains("overtaken.example.com"));
    std::fs::remove_file(kept).unwrap();
}

#[test]
fn quiet_is_without_notes_and_with_errors() {
    let said = run("--quiet get httproutes -n nowhere", &[], "", false);
    assert_eq!((said.exit, said.err.as_str()), (Exit::Ok, ""));
    let said = run("--quiet get httproute zzz", &[], "", false);
    assert_eq!(said.exit, Exit::NotFound);
    assert!(said.err.contains("there is no HTTPRoute zzz"), "{}", said.err);
}
