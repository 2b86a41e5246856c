//! Which server, and who asks.

use std::os::unix::fs::PermissionsExt;

use super::{Said, fake, isthmus_as};
use crate::exit::Exit;

struct Home {
    dir: tempfile::TempDir,
}

impl Home {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    fn file(&self) -> String {
        self.dir.path().join(".config/isthmus/config.yaml").to_str().unwrap().to_owned()
    }

    fn write(&self, name: &str, text: &str) -> String {
        let path = self.dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    fn run(&self, line: &str) -> Said {
        self.run_with(line, &[], "", false)
    }

    fn run_with(&self, line: &str, more: &[(&str, &str)], input: &str, person: bool) -> Said {
        let home = self.dir.path().to_str().unwrap().to_owned();
        let mut environment = vec![("HOME", home.as_str())];
        environment.extend(more);
        isthmus_as(&line.split(' ').collect::<Vec<_>>(), &environment, input, person)
    }
}

#[test]
fn a_login_is_kept_and_forgotten() {
    let home = Home::new();
    let token = home.write("token", "good\n");
    let server = fake::url();
    let said = home.run(&format!("whoami --server {server}"));
    assert_eq!(said.exit, Exit::Auth, "{}", said.err);
    let forged = home.write("forged", "forged");
    let said = home.run(&format!("login --server {server} --token-file {forged}"));
    assert_eq!(said.exit, Exit::Auth, "{}", said.err);
    assert!(!std::path::Path::new(&home.file()).exists(), "nothing is kept of what is no good");

    let said = home.run(&format!("login --server {server} --name shop --token-file {token}"));
    assert_eq!(said.exit, Exit::Ok, "{}", said.err);
    assert!(said.out.contains("token:ci") && said.err.contains("context shop"), "{}", said.err);
    let mode = std::fs::metadata(home.file()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(home.run("whoami -o name").out, "token:ci\n");
    let said = home.run("context list");
    assert!(said.out.contains("shop") && !said.out.contains("good"), "{}", said.out);

    assert_eq!(home.run("logout").out, "forgotten: the token of shop\n");
    assert_eq!(home.run("whoami").exit, Exit::Auth);
    assert_eq!(home.run("logout").exit, Exit::NotFound);
}

#[test]
fn a_person_is_asked_for_a_token() {
    let home = Home::new();
    let line = format!("login --server {}", fake::url());
    let said = home.run_with(&line, &[], "good\n", true);
    assert_eq!(said.exit, Exit::Ok, "{}", said.err);
    assert!(said.err.contains("/login/oidc in a browser"), "{}", said.err);
    assert!(!said.err.contains("good") && !said.out.contains("good"));
    assert_eq!(home.run("context show -o name").out, "context\nserver\ntoken\n");
    let said = home.run_with(&line, &[], "", false);
    assert_eq!(said.exit, Exit::Usage, "{}", said.err);
}

#[test]
fn flags_go_before_variables_and_those_before_the_file() {
    let home = Home::new();
    let token = home.write("token", "from-file");
    home.run("context add a --server http://a.example:1");
    home.run(&format!("context add b --server http://b.example:2 --token-file {token}"));
    let show = |line: &str, environment: &[(&str, &str)]| {
        let line = format!("context show --origin -o json {line}");
        let said = home.run_with(line.trim_end(), environment, "", false);
        let all: serde_json::Value = serde_json::from_str(&said.out).unwrap();
        let of = |name: &str, field: &str| all[name][field].as_str().unwrap_or("-").to_owned();
        (of("server", "value"), of("server", "from"), of("token", "from"))
    };
    let is = |server: &str, from: &str, token: &str| {
        (server.to_owned(), from.to_owned(), token.to_owned())
    };
    // The first one that was added is used.
    assert_eq!(show("", &[]), is("http://a.example:1/", "context a", "-"));
    assert_eq!(home.run("context use b -o name").out, "b\n");
    assert_eq!(show("", &[]), is("http://b.example:2/", "context b", "context b"));
    let variable = [("ISTHMUS_SERVER", "http://c.example:3"), ("ISTHMUS_TOKEN", "t")];
    assert_eq!(show("", &variable), is("http://c.example:3/", "$ISTHMUS_SERVER", "$ISTHMUS_TOKEN"));
    let line = format!("--server http://d.example:4 --token-file {token}");
    assert_eq!(show(&line, &variable), is("http://d.example:4/", "--server", "--token-file"));
    assert_eq!(show("--context a", &[]), is("http://a.example:1/", "context a", "-"));
    let context = [("ISTHMUS_CONTEXT", "a")];
    assert_eq!(show("", &context), is("http://a.example:1/", "context a", "-"));
    // A token goes to the server that it is for, and to no other.
    assert_eq!(
        show("--server http://d.example:4", &[]),
        is("http://d.example:4/", "--server", "-")
    );

    for (line, exit) in [
        ("context use zzz", Exit::NotFound),
        ("context show --context zzz", Exit::NotFound),
        ("context add c --server file:///etc", Exit::Usage),
        ("context remove b", Exit::Ok),
        ("context remove b", Exit::NotFound),
    ] {
        assert_eq!(home.run(line).exit, exit, "{line}");
    }
    let origin = home.run("context show --origin").out;
    assert_eq!(
        origin.lines().last().unwrap().split_whitespace().last(),
        Some("default"),
        "{origin}"
    );
}

#[test]
fn a_file_that_cannot_be_read_does_not_show_what_is_in_it() {
    let home = Home::new();
    home.run("context add a --server http://a.example:1");
    std::fs::write(home.file(), "contexts: [{name: a, tokn: isk_secret}]\n").unwrap();
    let said = home.run("context list");
    assert_eq!(said.exit, Exit::Usage);
    assert!(
        said.err.contains("config.yaml:1:") && !said.err.contains("isk_secret"),
        "{}",
        said.err
    );
    std::fs::write(home.file(), "contexts: [{name: a, server: 'http://127.0.0.1:1', token: t}]\n")
        .unwrap();
    std::fs::set_permissions(home.file(), std::fs::Permissions::from_mode(0o644)).unwrap();
    let said = home.run("context show --context a");
    assert!(said.err.contains("open to others"), "{}", said.err);
}

#[test]
fn a_token_is_made_for_a_file() {
    let home = Home::new();
    let to = home.dir.path().join("made").to_str().unwrap().to_owned();
    let line = format!(
        "token create ci --grant viewer --days 7 --to {to} -o json --server {}",
        fake::url()
    );
    let known = [("ISTHMUS_TOKEN", "good")];
    let said = home.run_with(&line, &known, "", false);
    assert_eq!(said.exit, Exit::Ok, "{}", said.err);
    assert!(!said.out.contains("isk_t1_secret"), "{}", said.out);
    assert_eq!(std::fs::read_to_string(&to).unwrap(), "isk_t1_secret");
    assert_eq!(std::fs::metadata(&to).unwrap().permissions().mode() & 0o777, 0o600);
    let line = format!("token revoke twice --yes --server {}", fake::url());
    let said = home.run_with(&line, &known, "", false);
    assert_eq!(said.exit, Exit::Usage, "{}", said.err);
}
