//! What goes wrong, with its exit code and words.

use std::io::{Read, Write};
use std::net::TcpListener;

use super::{Said, cluster, fake, isthmus, isthmus_with};
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
    check("get things", Exit::Usage, "known: accesspolicies, backendtlspolicies");
    check("get gateways -n a -A", Exit::Usage, "cannot be used with");
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
    check_with_server("get findings -n a", Exit::Usage, "no name, no namespace");
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
    for line in ["get gateways", "proxy status", "proxy config a all"] {
        let line = format!("{line} --server http://{free}");
        check(&line, Exit::Unreachable, "Connection refused");
        check(&line, Exit::Unreachable, "hint: is `isthmus serve` running there?");
    }
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
