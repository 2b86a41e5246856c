//! What goes wrong, with its exit code and words.

use std::io::{Read, Write};
use std::net::TcpListener;

use super::{Said, cluster, fake, golden, isthmus, isthmus_with};
use crate::exit::Exit;

#[track_caller]
fn check(line: &str, exit: Exit, words: &str) {
    let said = isthmus(&line.split(' ').filter(|w| !w.is_empty()).collect::<Vec<_>>());
    assert_eq!((said.exit, said.out.as_str()), (exit, ""), "{line}: {}", said.err);
    assert!(said.err.contains(words), "{line}: {}", said.err);
}

#[track_caller]
fn check_with_server(line: &str, exit: Exit, words: &str) {
    check(&format!("{line} --server {}", fake::url()), exit, words);
}

#[test]
fn usage_is_2() {
    check("", Exit::Usage, "Usage: isthmus");
    check("fly", Exit::Usage, "unrecognized subcommand 'fly'");
    check("get things", Exit::Usage, "known: accesspolicies, audit, backendtlspolicies");
    check("get gateways -n a -A", Exit::Usage, "cannot be used with");
    check_with_server("get gateways --columns zzz", Exit::Usage, "columns: NAMESPACE, NAME, CLASS");
    check_with_server("get sources --watch", Exit::Usage, "sources cannot be watched");
    check("get gateways -l =", Exit::Usage, "no rule for labels");
    check("wait --timeout soon", Exit::Usage, "`soon` is no time");
    check("wait --live 101%", Exit::Usage, "not between 0% and 100%");
    check("token create ci --grant boss", Exit::Usage, "`boss` is no role");
    check("why --url http://a -H word", Exit::Usage, "expected NAME: VALUE");
    check("apply -f a --wait live --dry-run", Exit::Usage, "cannot be used with");
    check("proxy config edge-1 everything", Exit::Usage, "listeners, routes, clusters");
    check("bootstrap --gateway edge --xds a:1", Exit::Usage, "expected NAMESPACE/NAME");
    check("bootstrap --gateway a/b --xds a", Exit::Usage, "is not HOST:PORT");
    check("bootstrap --gateway a/b --xds a:1 --xds-cert c", Exit::Usage, "--xds-ca");
    check("bootstrap --xds a:1", Exit::Usage, "--role gateway needs --gateway NS/NAME");
    check("bootstrap --gateway a/b --namespace a --xds a:1", Exit::Usage, "not for --role gateway");
    for option in
        ["--gateway a/b", "--admin-port 1", "--xds-ca c --xds-server-name a", "--output yaml"]
    {
        let line = format!("bootstrap --role grpc --xds a:1 {option}");
        check(&line, Exit::Usage, "is not for --role grpc");
    }
    check("bootstrap --role grpc --namespace a.b --xds a:1", Exit::Usage, "name of a namespace");
    for (line, words) in [
        ("", "--role sidecar needs --namespace NAME and --ip ADDRESS"),
        ("--namespace a --ip 10.0.0.1", "needs --pod and --account, or --registry and --service"),
        ("--namespace a --ip 10.0.0.1 --pod b", "--account <NAME>"),
        ("--namespace a --ip 10.0.0.1 --gateway a/b", "--gateway is not for --role sidecar"),
        ("--namespace a --ip ten", "invalid value 'ten'"),
    ] {
        check(&format!("bootstrap --role sidecar --xds a:1 {line}"), Exit::Usage, words);
    }
    check("bootstrap --gateway a/b --xds a:1 --no-dns", Exit::Usage, "is not for --role gateway");
    check("capture --dry-run --nft --iptables", Exit::Usage, "cannot be used with");
    check("capture --dry-run --exclude-outbound ten", Exit::Usage, "`ten` is not a network");
    check("inject -f -", Exit::Usage, "--image <IMAGE>");
    check("inject --image a -f - --no-dns", Exit::Usage, "isthmus.dev/exclude-outbound-ports");
    check("inject --host --namespace a", Exit::Usage, "--registry <NS/NAME>");
    check("validate", Exit::Usage, "--file <PATH>");
    check("certificate --secret a --dns b", Exit::Usage, "expected NAMESPACE/NAME");
    check("check --namespaces a", Exit::Usage, "--pre");
    check("check --pre --server http://a", Exit::Usage, "cannot be used with");
    let line = format!("check --pre --service-account a --kubeconfig {}", cluster::installed());
    check(&line, Exit::Usage, "expected NAMESPACE/NAME");
    check("completion tcsh", Exit::Usage, "possible values");
    check("get gateways --server mailto:x", Exit::Usage, "is not a server's URL");
    check_with_server("proxy status edge", Exit::Usage, "is the beginning of edge-1, edge/2");
    check_with_server("get findings ISM1201", Exit::Usage, "findings have no names");
}

#[test]
fn settings_are_checked_before_anything_starts() {
    check("serve --grace 5", Exit::Usage, "--grace: grace = `5`: expected a time with its unit");
    check("serve --xds-listen 0.0.0.0:18000", Exit::Usage, "xds-plaintext-beyond-loopback");
    check("serve --config /nowhere.yaml", Exit::Usage, "cannot read /nowhere.yaml");
    check("serve -o json", Exit::Usage, "--print-config");
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("isthmus.yaml");
    std::fs::write(&file, "grase: 1s\n").unwrap();
    let said = isthmus(&["serve", "--config", file.to_str().unwrap()]);
    assert_eq!(said.exit, Exit::Usage);
    let expected = format!("{}:1:1: unknown setting `grase`", file.display());
    assert!(said.err.contains(&expected), "{}", said.err);
}

#[test]
fn print_config_also_shows_settings_that_break_a_rule() {
    let open = [("ISTHMUS_XDS_LISTEN", "0.0.0.0:18000")];
    let said = isthmus_with(&["serve", "--print-config"], &open);
    assert_eq!(said.exit, Exit::Usage);
    assert!(said.out.contains("0.0.0.0:18000") && said.out.contains("$ISTHMUS_XDS_LISTEN"));
    assert!(said.err.contains("not loopback"), "{}", said.err);
    let permitted =
        isthmus_with(&["serve", "--print-config", "--xds-plaintext-beyond-loopback"], &open);
    assert_eq!(permitted.exit, Exit::Ok, "{}", permitted.err);
}

#[test]
fn not_found_is_4() {
    check_with_server("get httproute zzz", Exit::NotFound, "there is no HTTPRoute zzz");
    check_with_server("get httproute zzz -n demo", Exit::NotFound, "(ISM9005)");
    check_with_server("get gatewayclass zzz", Exit::NotFound, "there is no GatewayClass zzz");
    check_with_server("proxy status zzz", Exit::NotFound, "no proxy `zzz` is connected");
    check_with_server("proxy config zzz all", Exit::NotFound, "no proxy `zzz` is connected");
    check_with_server("proxy config edge-1 routes --name zzz", Exit::NotFound, "has no `zzz`");
    check_with_server("get service zzz -n demo", Exit::NotFound, "(ISM9008)");
    check_with_server("get revision r1", Exit::NotFound, "there is no revision r1");
    check_with_server("revision show r1", Exit::NotFound, "(ISM9020)");
    check_with_server("rollback r1 --yes", Exit::NotFound, "(ISM9020)");
    check_with_server("rollout pause zzz", Exit::NotFound, "there is no rollout zzz");
    check_with_server("token revoke zzz --yes", Exit::NotFound, "there is no token zzz");
    check_with_server("describe httproute zzz", Exit::NotFound, "there is no HTTPRoute zzz");
    check_with_server("edit httproute zzz -n demo", Exit::NotFound, "(ISM9005)");
    check_with_server("delete httproute zzz --yes", Exit::NotFound, "there is no HTTPRoute zzz");
    check("explain httproute.spec.rulez", Exit::NotFound, "has no field `rulez`");
    check("explain ISM0000", Exit::NotFound, "there is no code");
    check("explain words", Exit::NotFound, "there is no code");
    check("dev -f /nowhere", Exit::NotFound, "there is no /nowhere");
}

#[test]
fn invalid_input_is_6() {
    check("validate -f /nowhere", Exit::Invalid, "there is no /nowhere");
}

#[test]
fn a_missing_envoy_is_7() {
    let folder = std::env::temp_dir();
    let line = format!("dev -f {} --envoy /nowhere/envoy", folder.display());
    check(&line, Exit::Unreachable, "--envoy = /nowhere/envoy is not an executable file");
}

#[test]
fn no_server_is_7() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let dir = tempfile::tempdir().unwrap();
    for (_, line, _) in golden::WITH_SERVER {
        let line = golden::files_of(line, dir.path());
        let line = format!("{line} --server http://{free}");
        check(&line, Exit::Unreachable, "Connection refused");
        check(&line, Exit::Unreachable, "hint: is `isthmus serve` running there?");
    }
}

/// Whatever is asked for, and in whatever form.
#[test]
fn who_is_not_known_is_3() {
    let dir = tempfile::tempdir().unwrap();
    let forged = dir.path().join("forged");
    std::fs::write(&forged, "forged").unwrap();
    let shown = format!("--token-file {} --server {}", forged.display(), fake::url());
    // `whoami` shows a token of its own.
    let all = golden::WITH_SERVER.iter().filter(|(name, ..)| *name != "whoami");
    for (_, line, _) in all {
        let line = golden::files_of(line, dir.path());
        check(&format!("{line} {shown}"), Exit::Auth, "this token is none of ours (ISM9012)");
        let json = isthmus(&format!("{line} {shown} -o json").split(' ').collect::<Vec<_>>());
        let problem: serde_json::Value = serde_json::from_str(&json.err).unwrap();
        assert_eq!((json.exit, &problem["code"]), (Exit::Auth, &"ISM9012".into()), "{line}");
    }
}

#[test]
fn who_may_not_is_3() {
    let dir = tempfile::tempdir().unwrap();
    let viewer = dir.path().join("viewer");
    std::fs::write(&viewer, "viewer").unwrap();
    for line in [
        "apply -f FOLDER",
        "diff -f FOLDER",
        "delete httproute orders -n demo --yes",
        "rollback r41 --yes",
        "revision pin r41",
        "rollout pause demo/edge",
        "proxy drain edge-1 --yes",
        "registry hold demo/main",
        "token create ci --grant viewer",
    ] {
        let line = golden::files_of(line, dir.path());
        let line = format!("{line} --token-file {}", viewer.display());
        check_with_server(&line, Exit::Auth, "this needs the role editor in ");
    }
}

#[test]
fn a_conflict_is_5() {
    let dir = tempfile::tempdir().unwrap();
    let overtaken = dir.path().join("overtaken.yaml");
    std::fs::write(&overtaken, "overtaken: 1\n").unwrap();
    let line = format!("apply -f {}", overtaken.display());
    check_with_server(&line, Exit::Conflict, "changed by somebody else (ISM9015)");
    check_with_server(
        "delete gateway edge -n demo --yes",
        Exit::Conflict,
        "is kept in Git (ISM9017)",
    );
    check_with_server("rollout pause shop/edge", Exit::Conflict, "the rollout is over (ISM9011)");
    check_with_server("proxy diff edge-1", Exit::Conflict, "which revision edge-1 has");
}

#[test]
fn documents_that_cannot_be_used_are_6() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).display().to_string();
    std::fs::write(path("a.yaml"), "a: 1\n").unwrap();
    std::fs::write(path("b.yaml"), "b: 1\nbroken: 1\n").unwrap();
    for verb in ["apply", "diff"] {
        let place = format!("{}:2:5: error ISM1203 HTTPRoute demo/orders", path("b.yaml"));
        check_with_server(&format!("{verb} -f {}", dir.path().display()), Exit::Invalid, &place);
    }
    std::fs::create_dir(path("empty")).unwrap();
    let line = format!("apply -f {}", path("empty"));
    check_with_server(&line, Exit::Invalid, "there are no documents in");
    check_with_server("apply -f /nowhere", Exit::Invalid, "there is no /nowhere");
    std::fs::write(path("c.yaml"), "kind: Thing\nmetadata: {name: a}\n").unwrap();
    let line = format!("delete -f {} --yes", path("c.yaml"));
    check_with_server(&line, Exit::Invalid, "there is no kind `Thing`");
}

#[test]
fn what_is_waited_for_may_not_come() {
    check_with_server(
        "wait --revision r44 --timeout 300ms",
        Exit::Unreachable,
        "1 of 2 proxies, not within",
    );
    check_with_server("wait --revision r42", Exit::Negative, "refused by 1");
    check_with_server("wait --revision r41", Exit::Negative, "r41 is not current any more");
}

/// Asks a server that gives this one answer to everything.
fn ask(answer: &'static str, form: &str) -> Said {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut seen = Vec::new();
        let mut part = [0; 1024];
        while !seen.ends_with(b"\r\n\r\n") {
            let n = stream.read(&mut part).unwrap();
            seen.extend(&part[..n]);
        }
        stream.write_all(answer.as_bytes()).unwrap();
    });
    isthmus(&["get", "gateways", "-o", form, "--server", &url])
}

#[test]
fn a_server_that_is_none_of_ours_is_7() {
    for answer in [
        "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello",
        "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{",
    ] {
        assert_eq!(ask(answer, "table").exit, Exit::Unreachable, "{answer}");
    }
}

const BUG: &str = "HTTP/1.1 500 Internal Server Error\r\nconnection: close\r\n\r\n\
    {\"code\":\"ISM9000\",\"title\":\"internal error\",\"detail\":\"\",\"instance\":\"req-7\"}";

#[test]
fn the_servers_bug_is_70() {
    let said = ask(BUG, "table");
    assert_eq!(said.exit, Exit::Bug);
    assert_eq!(said.err, "isthmus: internal error (ISM9000)\n");
}

#[test]
fn with_json_the_servers_error_is_json_too() {
    let said = ask(BUG, "json");
    assert_eq!(said.exit, Exit::Bug);
    let problem: serde_json::Value = serde_json::from_str(&said.err).unwrap();
    assert_eq!((&problem["code"], &problem["instance"]), (&"ISM9000".into(), &"req-7".into()));
}
