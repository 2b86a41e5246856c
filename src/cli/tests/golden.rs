//! Every command in every form of output. The files are what a user sees; `UPDATE=1` writes them anew, to be read
//! before they are committed.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::PathBuf;

use model::Severity;

use super::{Said, Sink, cluster, fake, isthmus, isthmus_with};
use crate::exit::Exit;
use crate::output::Output;
use crate::validate;

const FORMS: [&str; 6] = ["table", "wide", "yaml", "json", "jsonl", "name"];

/// (name of the file, command line, exit code)
pub(super) const WITH_SERVER: &[(&str, &str, Exit)] = &[
    ("get-accesspolicies", "get accesspolicies", Exit::Ok),
    ("get-endpointslice", "get endpointslice s0007 -n demo", Exit::Ok),
    ("get-findings", "get findings", Exit::Ok),
    ("get-gatewayclasses", "get gatewayclasses", Exit::Ok),
    ("get-gateways", "get gateways -A", Exit::Ok),
    ("get-httproute", "get HTTPRoute orders", Exit::Ok),
    ("get-httproutes", "get httproutes -n demo", Exit::Ok),
    ("get-lanegroups", "get lanegroups", Exit::Ok),
    ("get-meshconfigs", "get meshconfigs", Exit::Ok),
    ("get-meshservices", "get meshservices", Exit::Ok),
    ("get-namespaces", "get ns", Exit::Ok),
    ("get-none", "get httproutes -n nowhere", Exit::Ok),
    ("get-peerpolicies", "get peerpolicies", Exit::Ok),
    ("get-pods", "get pods", Exit::Ok),
    ("get-proxies", "get proxies", Exit::Ok),
    ("get-referencegrants", "get referencegrants", Exit::Ok),
    ("get-secrets", "get secrets", Exit::Ok),
    ("get-services", "get services", Exit::Ok),
    ("get-sidecarscopes", "get sidecarscopes", Exit::Ok),
    ("get-sources", "get sources", Exit::Ok),
    ("identity-rotate", "identity rotate", Exit::Ok),
    ("identity-show", "identity show", Exit::Ok),
    ("proxy-config-all", "proxy config edge-1 all", Exit::Ok),
    ("proxy-config-clusters", "proxy config edge-1 clusters", Exit::Ok),
    ("proxy-config-endpoints", "proxy config edge-1 endpoints", Exit::Ok),
    ("proxy-config-listeners", "proxy config edge-1 listeners", Exit::Ok),
    ("proxy-config-named", "proxy config edge-1 clusters --name demo/orders:80", Exit::Ok),
    ("proxy-config-routes", "proxy config edge-1 routes", Exit::Ok),
    ("proxy-config-secrets", "proxy config edge-1 secrets", Exit::Ok),
    ("proxy-status", "proxy status", Exit::Negative),
    ("proxy-status-namespace", "proxy status -n demo", Exit::Ok),
    ("proxy-status-nobody", "proxy status -n nowhere", Exit::Ok),
    ("proxy-status-one", "proxy status edge/2", Exit::Negative),
    ("registry-events", "registry events demo/main", Exit::Ok),
    ("registry-hold", "registry hold demo/main DEFAULT_GROUP@@orders", Exit::Ok),
    ("registry-instances", "registry instances main DEFAULT_GROUP@@orders", Exit::Ok),
    ("registry-list", "registry list", Exit::Ok),
    ("registry-release", "registry release main", Exit::Ok),
    ("registry-services", "registry services main", Exit::Ok),
    ("registry-test", "registry test main", Exit::Ok),
    ("apply", "apply -f FOLDER", Exit::Ok),
    ("apply-dry-run", "apply -f FOLDER --dry-run", Exit::Ok),
    ("apply-slow", "apply -f SLOW --wait live --timeout 1s", Exit::Partly),
    ("apply-live", "apply -f FOLDER --wait live --reason why", Exit::Ok),
    ("audit", "audit", Exit::Ok),
    ("delete", "delete httproute orders --yes", Exit::Ok),
    ("delete-dry-run", "delete httproute orders -n demo --dry-run", Exit::Ok),
    ("delete-files", "delete -f FOLDER --yes", Exit::Partly),
    ("describe", "describe httproute orders", Exit::Ok),
    ("describe-gateway", "describe gateway demo/edge", Exit::Ok),
    ("diff", "diff -f FOLDER", Exit::Negative),
    ("diff-refused", "diff -f REFUSED", Exit::Invalid),
    ("diff-same", "diff -f SAME", Exit::Ok),
    ("diff-xds", "diff -f FOLDER --xds --proxy edge-1", Exit::Negative),
    ("events", "events", Exit::Ok),
    ("get-problems", "get problems -n shop", Exit::Ok),
    ("get-revision", "get revision r40", Exit::Ok),
    ("get-rollouts", "get rollouts", Exit::Ok),
    ("get-service", "get service orders", Exit::Ok),
    ("get-sorted", "get httproutes --sort -name --columns name,accepted --no-headers", Exit::Ok),
    ("get-watch", "get httproutes --watch --for 1s", Exit::Ok),
    ("problems", "problems", Exit::Negative),
    ("problems-none", "problems -n nowhere", Exit::Ok),
    ("problems-warnings", "problems -n shop --code ism1302", Exit::Ok),
    ("proxy-diff", "proxy diff edge-1 --base r41", Exit::Negative),
    ("proxy-drain", "proxy drain edge-1 --yes", Exit::Ok),
    ("proxy-nacks", "proxy nacks", Exit::Negative),
    ("proxy-nacks-all", "proxy nacks --all --proxy edge/2", Exit::Negative),
    ("proxy-nacks-none", "proxy nacks --proxy edge-1", Exit::Ok),
    ("requests", "requests", Exit::Ok),
    ("requests-failed", "requests --status 5xx", Exit::Ok),
    ("requests-follow", "requests -f --for 300ms", Exit::Ok),
    ("revision-diff", "revision diff r41 r42", Exit::Negative),
    ("revision-diff-same", "revision diff r42 r42", Exit::Ok),
    ("revision-diff-xds", "revision diff r42 --xds --proxy edge-1", Exit::Negative),
    ("revision-list", "revision list", Exit::Ok),
    ("revision-pin", "revision pin r41", Exit::Ok),
    ("revision-show", "revision show r42", Exit::Ok),
    ("revision-unpin", "revision unpin r40", Exit::Ok),
    ("rollback", "rollback r41 --reason worse --yes", Exit::Ok),
    ("rollback-dry-run", "rollback r41 --dry-run", Exit::Ok),
    ("rollout-abort", "rollout abort demo/edge --yes", Exit::Ok),
    ("rollout-pause", "rollout pause demo/edge", Exit::Ok),
    ("rollout-promote", "rollout promote demo/edge", Exit::Ok),
    ("rollout-resume", "rollout resume demo/edge", Exit::Ok),
    ("rollout-status", "rollout status", Exit::Negative),
    ("rollout-status-one", "rollout status demo/edge", Exit::Ok),
    ("token-create", "token create ci --grant editor:demo,shop-*", Exit::Ok),
    ("token-list", "token list", Exit::Ok),
    ("token-revoke", "token revoke ci --yes", Exit::Ok),
    ("topology", "topology", Exit::Ok),
    ("wait", "wait --revision r43", Exit::Ok),
    ("wait-half", "wait --revision r44 --live 50%", Exit::Ok),
    ("whoami", "whoami --token-file TOKEN", Exit::Ok),
    ("why", "why --url https://shop.example.com/orders", Exit::Ok),
    ("why-nowhere", "why --url https://shop.example.com/nowhere", Exit::Negative),
];

type Kubeconfig = fn() -> &'static str;

/// (name of the file, command line, kubeconfig of the cluster, exit code)
const WITH_CLUSTER: &[(&str, &str, Kubeconfig, Exit)] = &[
    ("check", "check", cluster::installed, Exit::Negative),
    ("check-nobody", "check -n elsewhere", cluster::installed, Exit::Negative),
    ("check-pre", "check --pre", cluster::installed, Exit::Negative),
    (
        "check-pre-account",
        "check --pre --service-account isthmus-system/isthmus --without-fleet --without-mesh",
        cluster::installed,
        Exit::Negative,
    ),
    ("check-pre-bare", "check --pre --without-fleet", cluster::bare, Exit::Negative),
    (
        "check-pre-namespaces",
        "check --pre --namespaces shop,pay --without-fleet",
        cluster::installed,
        Exit::Negative,
    ),
];

const ALONE: &[(&str, &str, Exit)] = &[
    ("explain-field", "explain httproute.spec.rules.backendRefs", Exit::Ok),
    ("explain-one", "explain ism1201", Exit::Ok),
    ("version", "version", Exit::Ok),
    ("crds", "crds registry", Exit::Ok),
    (
        "serve-print-config",
        "serve --print-config --state-dir /state --replica cp-1 --grace=1m -f /docs",
        Exit::Ok,
    ),
];

fn folder() -> PathBuf {
    concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden").into()
}

/// Compares all forms of one command with its file; says the name of the file.
#[track_caller]
fn compare(name: &str, expected: Exit, run: impl Fn(&str) -> Said) -> String {
    let mut text = String::new();
    for form in FORMS {
        let Said { exit, out, err } = run(form);
        // The exit code is never a matter of the form.
        assert_eq!(exit, expected, "{name} -o {form}: {err}");
        let _ = write!(text, "### -o {form}\n{out}");
        if !err.is_empty() {
            let _ = write!(text, "### stderr\n{err}");
        }
    }
    let file = format!("{name}.txt");
    let path = folder().join(&file);
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let golden = std::fs::read_to_string(&path).unwrap_or_default();
    if let Some((at, (is, was))) =
        lines(&text).zip(lines(&golden)).enumerate().find(|(_, (is, was))| is != was)
    {
        panic!("{}:{}\n  was: {was:?}\n  is:  {is:?}", path.display(), at + 1);
    }
    file
}

/// Lines with an end that differs from every line, so that a shorter text differs too.
fn lines(text: &str) -> impl Iterator<Item = Option<&str>> {
    text.split_inclusive('\n').map(Some).chain([None])
}

#[test]
fn every_command_in_every_form() {
    let dir = tempfile::tempdir().unwrap();
    let mut files = BTreeSet::new();
    for (name, line, exit) in WITH_SERVER {
        files.insert(compare(name, *exit, |form| {
            let line = files_of(line, dir.path());
            let mut words: Vec<_> = line.split(' ').collect();
            words.extend(["-o", form, "--server", fake::url()]);
            let mut said = isthmus(&words);
            let place = dir.path().to_str().unwrap();
            said.out = said.out.replace(place, "DIR");
            said.err = said.err.replace(place, "DIR");
            said
        }));
    }
    for (name, line, exit) in ALONE {
        files.insert(compare(name, *exit, |form| {
            let mut words: Vec<_> = line.split(' ').collect();
            words.extend(["-o", form]);
            isthmus_with(&words, &[("ISTHMUS_LOG_FORMAT", "json")])
        }));
    }
    for (name, line, kubeconfig, exit) in WITH_CLUSTER {
        files.insert(compare(name, *exit, |form| {
            let mut words: Vec<_> = line.split(' ').collect();
            words.extend(["-o", form, "--kubeconfig", kubeconfig()]);
            let mut said = isthmus(&words);
            said.out = portless(&said.out);
            said
        }));
    }
    files.insert(compare("check-server", Exit::Negative, |form| {
        isthmus(&["check", "--server", fake::url(), "-o", form])
    }));
    files.insert(compare("validate", Exit::Invalid, |form| validated(form, 2, Severity::Error)));
    files.insert(compare("validate-clean", Exit::Ok, |form| validated(form, 0, Severity::Error)));

    for entry in std::fs::read_dir(folder()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if !files.contains(&name) {
            assert!(std::env::var_os("UPDATE").is_some(), "{name} belongs to no command");
            std::fs::remove_file(folder().join(name)).unwrap();
        }
    }
}

/// Puts names of files where their words are.
pub(super) fn files_of(line: &str, dir: &std::path::Path) -> String {
    let route = "kind: HTTPRoute\nmetadata: {name: orders, namespace: demo}\n";
    let gateway = "kind: Gateway\nmetadata: {name: edge, namespace: demo}\n";
    std::fs::create_dir_all(dir.join("folder/.hidden")).unwrap();
    for (file, text) in [
        ("folder/a.yaml", gateway),
        ("folder/b.yaml", route),
        ("folder/.hidden/c.yaml", "broken"),
        ("folder/README.md", "broken"),
        ("slow.yaml", "# slow\n"),
        ("same.yaml", "# same\n"),
        ("refused.yaml", "# refused by envoy\n"),
        ("token", "good\n"),
    ] {
        std::fs::write(dir.join(file), text).unwrap();
    }
    let path = |name: &str| dir.join(name).to_str().unwrap().to_owned();
    line.split(' ')
        .map(|word| match word {
            "FOLDER" => path("folder"),
            "SLOW" => path("slow.yaml"),
            "SAME" => path("same.yaml"),
            "REFUSED" => path("refused.yaml"),
            "TOKEN" => path("token"),
            word => word.to_owned(),
        })
        .collect::<Vec<_>>()
        .join(" ")
}

/// Without the port that the cluster happens to have.
fn portless(text: &str) -> String {
    let Some((before, rest)) = text.split_once("http://127.0.0.1:") else { return text.to_owned() };
    let rest = rest.trim_start_matches(|c: char| c.is_ascii_digit());
    format!("{before}http://127.0.0.1:PORT{rest}")
}

/// The report on the first `count` findings.
fn validated(form: &str, count: usize, least: Severity) -> Said {
    let output = <Output as clap::ValueEnum>::from_str(form, false).unwrap();
    let findings = fake::findings().into_iter().take(count).collect();
    let validation = app::Validation { documents: 7, findings };
    let (out, err) = (Sink::default(), Sink::default());
    let mut io = out.io(&err, &|_| None);
    let exit = validate::report(&validation, output, least, &mut io).unwrap();
    drop(io);
    Said { exit, out: out.text(), err: err.text() }
}

#[test]
fn fail_on_decides_which_findings_count() {
    let with = |severity| {
        let mut findings = fake::findings();
        findings.retain(|f| f.severity == Severity::Warning);
        let validation = app::Validation { documents: 1, findings };
        let mut io = Sink::default().io(&Sink::default(), &|_| None);
        validate::report(&validation, Output::Table, severity, &mut io).unwrap()
    };
    assert_eq!(with(Severity::Error), Exit::Ok);
    assert_eq!(with(Severity::Warning), Exit::Invalid);
}

#[test]
fn lists_are_followed_over_all_pages() {
    let said = isthmus(&["get", "endpointslices", "-o", "name", "--server", fake::url()]);
    assert_eq!(said.exit, Exit::Ok);
    let lines: Vec<_> = said.out.lines().collect();
    assert_eq!(lines.len(), fake::SLICES);
    assert_eq!(lines[fake::SLICES - 1], "endpointslice.discovery.k8s.io/s2499");
}

#[test]
fn the_beginning_of_an_id_will_do() {
    let named =
        |id| isthmus(&["proxy", "config", id, "all", "-o", "name", "--server", fake::url()]);
    let whole = named("edge-1");
    assert_eq!(whole.exit, Exit::Ok);
    assert_eq!(named("edge-").out, whole.out);
}

/// The files that are installed are what this program prints: `make manifests` writes them.
#[test]
fn definitions_are_those_of_the_manifests() {
    let names = isthmus(&["crds", "-o", "name"]).out;
    assert!(names.contains("meshservices.isthmus.dev"), "{names}");
    for name in names.lines().filter_map(|name| name.strip_suffix(".isthmus.dev")) {
        let printed = isthmus(&["crds", name]).out;
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy");
        for place in ["kubernetes", "helm/isthmus"] {
            let path = format!("{folder}/{place}/crds/{name}.yaml");
            let file = std::fs::read_to_string(&path).unwrap_or_default();
            let (_, body) = file.split_once('\n').unwrap_or_default();
            assert_eq!(printed, format!("---\n{body}"), "{path} is stale: run `make manifests`");
        }
    }
}

#[test]
fn completion_for_each_shell() {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let said = isthmus(&["completion", shell]);
        assert_eq!(said.exit, Exit::Ok);
        assert!(said.out.contains("isthmus") && said.out.contains("ISTHMUS_COMPLETE"), "{shell}");
    }
}

#[test]
fn help_and_version_are_answers() {
    for line in [
        "--help",
        "--version",
        "serve --help",
        "proxy --help",
        "proxy config --help",
        "registry --help",
        "identity --help",
        "token join --help",
    ] {
        let said = isthmus(&line.split(' ').collect::<Vec<_>>());
        assert_eq!((said.exit, said.err.as_str()), (Exit::Ok, ""), "{line}");
        assert!(!said.out.is_empty());
    }
    let serve = isthmus(&["serve", "--help"]).out;
    for spec in app::settings::SPECS {
        assert!(serve.contains(&format!("--{}", spec.name)) && serve.contains(&spec.variable()));
    }
}

#[test]
fn codes_are_listed() {
    let said = isthmus(&["explain", "-o", "name"]);
    let expected: Vec<_> =
        model::codes::ALL.iter().chain(api::CODES).map(|(code, _, _)| code.to_string()).collect();
    assert_eq!(said.out.lines().collect::<Vec<_>>(), expected);
    assert!(isthmus(&["explain"]).out.starts_with("CODE     TITLE\n"));
}

#[test]
fn a_bootstrap_is_what_fleet_renders() {
    let line =
        "bootstrap --role gateway --gateway shop/edge --xds 10.0.0.7:18000 --node-id n1 --zone b";
    let mut words: Vec<_> = line.split(' ').collect();
    let yaml = isthmus(&words);
    words.extend(["-o", "json"]);
    let json = isthmus(&words);
    assert_eq!((yaml.exit, json.exit), (Exit::Ok, Exit::Ok));
    assert!(yaml.out.starts_with("# Envoy for Gateway shop/edge: "));
    let yaml: serde_json::Value = serde_yaml::from_str(&yaml.out).unwrap();
    let json: serde_json::Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!(yaml, json);
    assert_eq!(
        json["node"],
        serde_json::json!({
            "id": "n1", "cluster": "edge.shop", "locality": {"zone": "b"},
            "metadata": {"isthmus": {"role": "gateway", "gateway": "shop/edge"}},
        })
    );
}

#[test]
fn a_bootstrap_with_a_token_is_a_file_for_its_owner() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let (token, to) = (path("token"), path("envoy.yaml"));
    std::fs::write(&token, "abc%41\n").unwrap();
    let line = "bootstrap --gateway shop/edge --node-id n1";
    let mut words: Vec<_> = line.split(' ').collect();
    words.extend(["--token-file", token.as_str(), "--to", to.as_str()]);
    let run = |xds| isthmus(&[&words[..], &["--xds", xds]].concat());
    // What was there before is replaced, whoever could read it.
    std::fs::write(&to, "old").unwrap();
    let said = run("127.0.0.1:18000");
    assert_eq!((said.exit, said.out.as_str(), said.err.as_str()), (Exit::Ok, "", ""));
    assert_eq!(std::fs::metadata(&to).unwrap().permissions().mode() & 0o777, 0o600);
    let text = std::fs::read_to_string(&to).unwrap();
    assert!(text.lines().nth(1).unwrap().starts_with("# SECRET"), "{text}");
    let yaml: serde_json::Value = serde_yaml::from_str(&text).unwrap();
    let secret = &yaml["static_resources"]["secrets"][0]["generic_secret"]["secret"];
    assert_eq!(secret["inline_string"], "abc%41");
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2, "no draft is left");

    let said = run("isthmus.example:18000");
    assert!(said.err.contains("in clear") && !said.err.contains("abc"), "{}", said.err);
    std::fs::write(&token, "two words").unwrap();
    let said = run("127.0.0.1:18000");
    assert_eq!((said.exit, said.out.as_str()), (Exit::Usage, ""));
    assert!(said.err.contains("no bearer token") && !said.err.contains("words"), "{}", said.err);
    std::fs::remove_file(&token).unwrap();
    assert_eq!(run("127.0.0.1:18000").exit, Exit::Unreachable);
}

/// Without a kernel: what it would do, by both programs.
#[test]
fn a_capture_is_shown_before_it_is_done() {
    for (line, has) in [
        ("capture --dry-run --no-dns", "# nft -f -\ntable inet isthmus {}\n"),
        ("capture --dry-run --dns-server 10.0.0.1", "ip daddr 10.0.0.1/32 udp dport 53 redirect"),
        ("capture --dry-run --iptables --no-dns", "# ip6tables-restore --noflush\n*nat\n"),
        ("capture --dry-run --remove", "delete table inet isthmus\n"),
    ] {
        let said = isthmus(&line.split(' ').collect::<Vec<_>>());
        assert_eq!((said.exit, said.err.as_str()), (Exit::Ok, ""), "{line}");
        assert!(said.out.contains(has), "{line}: {}", said.out);
    }
}

#[test]
fn workloads_of_a_file_get_their_sidecars_and_mistakes_are_told() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("all.yaml");
    let text =
        "# kept\nkind: Service\n---\nkind: Pod\nmetadata: {name: a}\nspec: {containers: []}\n";
    let inject = |text: &str| {
        std::fs::write(&file, text).unwrap();
        isthmus(&["inject", "--image", "isthmus", "-f", file.to_str().unwrap()])
    };
    let said = inject(text);
    assert_eq!((said.exit, said.err.as_str()), (Exit::Ok, ""));
    assert!(said.out.starts_with("# kept\nkind: Service\n---\n"), "{}", said.out);
    assert!(said.out.contains("name: isthmus-proxy"), "{}", said.out);
    let said =
        inject("kind: Pod\nmetadata: {name: a, annotations: {isthmus.dev/dns: x}}\nspec: {}\n");
    assert_eq!(said.exit, Exit::Invalid);
    assert!(said.err.contains("error ISM2202 Pod a /metadata/annotations/"), "{}", said.err);
    let said = isthmus(&["inject", "--image", "isthmus", "-f", "/nowhere"]);
    assert_eq!(said.exit, Exit::Unreachable);
}

#[test]
fn a_machine_gets_its_files() {
    let dir = tempfile::tempdir().unwrap();
    let line = "inject --host --namespace shop --registry infra/n1 --service orders --ip 10.0.0.9 --xds 127.0.0.1:18000 \
                --no-dns --to";
    let mut words: Vec<&str> = line.split_whitespace().collect();
    words.push(dir.path().to_str().unwrap());
    let said = isthmus(&words);
    assert_eq!(said.exit, Exit::Ok, "{}", said.err);
    let rules = dir.path().join("etc/isthmus/sidecar/capture.nft");
    assert!(std::fs::read_to_string(rules).unwrap().contains("tcp dport 22 return"));
    assert!(said.out.contains("etc/systemd/system/isthmus-sidecar.service\n"), "{}", said.out);
    assert!(said.err.contains("/etc/isthmus/sidecar/token/token"), "{}", said.err);
}

#[test]
fn a_bootstrap_of_a_grpc_program_is_json() {
    let line = "bootstrap --role grpc --namespace shop --xds 10.0.0.7:18000 --node-id n1 --zone b";
    let words: Vec<_> = line.split(' ').collect();
    let said = isthmus(&words);
    assert_eq!((said.exit, said.err.as_str()), (Exit::Ok, ""));
    let json: serde_json::Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!(
        json,
        serde_json::json!({
            "xds_servers": [{
                "server_uri": "10.0.0.7:18000",
                "channel_creds": [{"type": "insecure"}],
                "server_features": ["xds_v3"],
            }],
            "node": {
                "id": "n1", "cluster": "shop", "locality": {"zone": "b"},
                "metadata": {"isthmus": {"role": "grpc", "namespace": "shop"}},
            },
        })
    );
}
