use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use kinds::Limits;
use tempfile::TempDir;

use super::disk::{Disk, Round};
use super::folder::Found;
use super::inbox::{Inbox, Look, Work};
use super::testing::LIMITS;
use super::watch::Watch;

struct Case {
    dir: TempDir,
    disk: Disk,
}

fn case(files: &[(&str, &str)]) -> Case {
    let dir = TempDir::new().unwrap();
    let root = dir.path().join("conf");
    fs::create_dir(&root).unwrap();
    let disk = Disk::new("typed".into(), root, LIMITS, None);
    let case = Case { dir, disk };
    for (file, text) in files {
        case.write(file, text);
    }
    case
}

impl Case {
    fn path(&self, file: &str) -> PathBuf {
        self.dir.path().join("conf").join(file)
    }

    fn write(&self, file: &str, text: &str) {
        let path = self.path(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn all(&mut self) -> Round {
        self.disk.work(&Work { full: true, ..Work::default() })
    }

    fn event(&mut self, file: &str, settled: bool) -> Round {
        let look = Look { path: self.path(file), settled, lost: false };
        self.disk.work(&Work { looks: vec![look], ..Work::default() })
    }
}

fn words(round: &Round) -> Vec<String> {
    let mut out: Vec<String> = round
        .found
        .iter()
        .map(|(file, found)| match found {
            Found::Text(bytes) => format!("{file}: {}", String::from_utf8_lossy(bytes)),
            Found::Unreadable(problem) => format!("{file}: {} {}", problem.code, problem.text),
            Found::Nothing => format!("{file} is gone"),
        })
        .collect();
    out.extend(round.postponed.iter().map(|p| format!("later {}", file_name(p))));
    out
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap().to_string_lossy().into()
}

#[test]
fn documents_are_found_by_name_at_any_depth() {
    let mut case = case(&[
        ("a.yaml", "1"),
        ("b.yml", "2"),
        ("c.json", "3"),
        ("deep/er/d.yaml", "4"),
        ("notes.txt", "-"),
        (".hidden.yaml", "-"),
        (".a.yaml.swp", "-"),
        ("a.yaml~", "-"),
        ("#a.yaml#", "-"),
        ("4913", "-"),
        (".git/e.yaml", "-"),
    ]);
    symlink("nowhere", case.path(".#a.yaml")).unwrap();
    let round = case.all();
    assert_eq!(
        words(&round),
        ["typed/a.yaml: 1", "typed/b.yml: 2", "typed/c.json: 3", "typed/deep/er/d.yaml: 4"]
    );
    assert_eq!(round.listing, Some(Ok(())));
}

#[test]
fn unchanged_files_are_not_read_again() {
    let mut case = case(&[("a.yaml", "1"), ("b.yaml", "1")]);
    case.all();
    case.write("b.yaml", "2 longer");
    assert_eq!(words(&case.all()), ["typed/b.yaml: 2 longer"]);
    assert!(case.all().found.is_empty());
}

#[test]
fn a_missing_file_is_believed_once_it_is_quiet() {
    let mut case = case(&[("a.yaml", "1")]);
    case.all();
    fs::remove_file(case.path("a.yaml")).unwrap();
    assert_eq!(words(&case.all()), ["later a.yaml"]);
    assert_eq!(words(&case.event("a.yaml", false)), ["later a.yaml"]);
    assert_eq!(words(&case.event("a.yaml", true)), ["typed/a.yaml is gone"]);
    assert!(words(&case.event("a.yaml", true)).is_empty());
}

#[test]
fn an_event_costs_its_own_file() {
    let mut case = case(&[("a.yaml", "1"), ("b.yaml", "1")]);
    case.all();
    case.write("a.yaml", "2");
    case.write("b.yaml", "2");
    case.write("c.yaml", "1");
    let round = case.event("a.yaml", false);
    assert_eq!(words(&round), ["typed/a.yaml: 2"]);
    assert_eq!(round.listing, None);
}

#[test]
fn an_emptied_file_is_believed_once_it_is_quiet() {
    let mut case = case(&[("a.yaml", "1")]);
    case.all();
    case.write("a.yaml", "");
    assert_eq!(words(&case.event("a.yaml", false)), ["later a.yaml"]);
    assert_eq!(words(&case.all()), ["later a.yaml"]);
    assert_eq!(words(&case.event("a.yaml", true)), ["typed/a.yaml: "]);
}

#[test]
fn what_is_not_settled_is_left_alone_by_a_look_at_everything() {
    let mut case = case(&[("a.yaml", "1"), ("sub/b.yaml", "1"), ("c.yaml", "1")]);
    case.all();
    fs::remove_file(case.path("a.yaml")).unwrap();
    fs::remove_dir_all(case.path("sub")).unwrap();
    case.write("c.yaml", "half of");
    let unsettled = vec![case.path("a.yaml"), case.path("sub"), case.path("c.yaml")];
    let work = Work { full: true, unsettled, ..Work::default() };
    assert!(case.disk.work(&work).found.is_empty());
    assert_eq!(words(&case.all()), ["typed/c.yaml: half of", "later a.yaml", "later b.yaml"]);
}

#[test]
fn a_large_file_is_not_read() {
    let mut case = case(&[("a.yaml", "12345678901")]);
    case.disk = Disk::new(
        "typed".into(),
        case.path(""),
        Limits { file_size: 10, depth: 1, nodes: 1 },
        None,
    );
    let text = "typed/a.yaml: ISM1003 the file has 11 bytes, the limit is 10";
    assert_eq!(words(&case.all()), [text]);
    assert!(case.all().found.is_empty());
    case.write("a.yaml", "1234567890");
    assert_eq!(words(&case.all()), ["typed/a.yaml: 1234567890"]);
}

#[test]
fn a_folder_where_a_file_is_expected_is_unreadable() {
    let mut case = case(&[("routes.yaml", "1")]);
    case.all();
    fs::remove_file(case.path("routes.yaml")).unwrap();
    fs::create_dir(case.path("routes.yaml")).unwrap();
    let text = "typed/routes.yaml: ISM1001 is a folder, not a file";
    assert_eq!(words(&case.event("routes.yaml", true)), [text]);
    assert_eq!(words(&case.all()), [text]);
    fs::remove_dir(case.path("routes.yaml")).unwrap();
    case.write("routes.yaml", "2");
    assert_eq!(words(&case.event("routes.yaml", false)), ["typed/routes.yaml: 2"]);
}

#[test]
fn a_link_to_nothing_is_unreadable_and_not_gone() {
    let mut case = case(&[("target", "1")]);
    symlink("target", case.path("a.yaml")).unwrap();
    assert_eq!(words(&case.all()), ["typed/a.yaml: 1"]);
    fs::remove_file(case.path("target")).unwrap();
    let text = "typed/a.yaml: ISM1001 is a symbolic link to nothing";
    assert_eq!(words(&case.all()), [text]);
    fs::remove_file(case.path("a.yaml")).unwrap();
    assert_eq!(words(&case.event("a.yaml", true)), ["typed/a.yaml is gone"]);
}

#[test]
fn a_pipe_is_not_waited_for() {
    let mut case = case(&[]);
    let made = std::process::Command::new("mkfifo").arg(case.path("a.yaml")).status();
    assert!(made.unwrap().success());
    assert_eq!(words(&case.all()), ["typed/a.yaml: ISM1001 is not a regular file"]);
}

#[test]
fn a_loop_of_links_ends() {
    let mut case = case(&[("sub/a.yaml", "1")]);
    symlink("..", case.path("sub/up")).unwrap();
    symlink("self.yaml", case.path("self.yaml")).unwrap();
    let round = case.all();
    let words = words(&round);
    assert_eq!(words.len(), 2, "{words:?}");
    assert!(words[0].starts_with("typed/self.yaml: ISM1001 cannot be read"));
    assert_eq!(words[1], "typed/sub/a.yaml: 1");
}

#[test]
fn a_folder_that_cannot_be_listed_loses_nothing() {
    let mut case = case(&[("sub/a.yaml", "1")]);
    case.all();
    let mode = |path: &Path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    };
    mode(&case.path("sub"), 0o000);
    if fs::read_dir(case.path("sub")).is_ok() {
        // Root may read everything: there is nothing to show.
        return;
    }
    let round = case.all();
    mode(&case.path("sub"), 0o700);
    assert_eq!(words(&round).len(), 1);
    assert!(words(&round)[0].starts_with("typed/sub: ISM1001"));
    assert_eq!(words(&case.event("sub", false)), ["typed/sub is gone"]);
}

#[test]
fn a_missing_folder_is_said() {
    let mut case = case(&[("a.yaml", "1")]);
    case.all();
    fs::remove_dir_all(case.path("")).unwrap();
    let round = case.event("", true);
    assert_eq!(round.listing, Some(Err("does not exist".into())));
    assert_eq!(words(&round), ["typed/a.yaml is gone"]);
}

#[test]
fn one_file_can_be_the_source_whatever_its_name() {
    let mut case = case(&[("routes", "1"), ("other.yaml", "1")]);
    case.disk = Disk::new("typed/routes".into(), case.path("routes"), LIMITS, None);
    assert_eq!(words(&case.all()), ["typed/routes: 1"]);
    case.write("routes", "22");
    assert_eq!(words(&case.event("routes", false)), ["typed/routes: 22"]);
}

#[tokio::test]
async fn lost_events_end_in_new_watches_and_a_whole_look() {
    let mut case = case(&[("a.yaml", "1")]);
    let inbox = Arc::new(Inbox::new(Duration::from_secs(3600)));
    let watch = Watch::new(case.path(""), inbox.clone());
    case.disk = Disk::new("typed".into(), case.path(""), LIMITS, Some(watch));
    case.all();
    // As the watcher says when the system's queue was full.
    inbox.everything(true);
    case.write("b.yaml", "1");
    let work = inbox.take(std::time::Instant::now());
    assert!(work.full && work.reset);
    let round = case.disk.work(&Work { looks: Vec::new(), unsettled: Vec::new(), ..work });
    assert_eq!(words(&round), ["typed/b.yaml: 1"]);

    case.write("c.yaml", "1");
    let looked = async {
        loop {
            inbox.changed().await;
            let work = inbox.take(std::time::Instant::now());
            if work.looks.iter().any(|look| look.path == case.path("c.yaml")) {
                return;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(20), looked).await.expect("watched again");
}
