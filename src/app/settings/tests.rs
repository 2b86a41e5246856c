use std::collections::HashSet;
use std::path::PathBuf;

use super::*;

fn machine() -> Machine {
    Machine {
        profile: Profile::Serve,
        root: false,
        home: Some("/home/ada".into()),
        xdg_state_home: None,
        host_name: Some("replica-1".into()),
    }
}

fn load_from(
    file: Option<&str>,
    environment: &[(&str, &str)],
    flags: &[(&'static str, &str)],
) -> Result<Effective, Vec<String>> {
    let flags: Vec<_> = flags.iter().map(|(n, v)| (*n, (*v).to_owned())).collect();
    let environment =
        |name: &str| environment.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned());
    load(&Inputs {
        machine: machine(),
        file: file.map(|text| ("isthmus.yaml", text)),
        environment: &environment,
        flags: &flags,
    })
    .map_err(|problems| problems.iter().map(ToString::to_string).collect())
}

fn row(effective: &Effective, name: &str) -> (String, String) {
    let found = effective.rows().find(|(spec, _, _)| spec.name == name);
    found.map(|(_, value, origin)| (value, origin.to_string())).unwrap()
}

#[test]
fn defaults() {
    let s = load_from(None, &[], &[]).unwrap().settings;
    assert_eq!(s.xds_listen, "127.0.0.1:18000".parse().unwrap());
    assert_eq!(s.http_listen, "127.0.0.1:8080".parse().unwrap());
    assert_eq!(s.controller_name, "isthmus.dev/gateway-controller");
    assert_eq!(s.max_file_size, ByteSize(16 << 20));
    assert_eq!(s.merge_window, Duration::from_millis(10));
    assert_eq!(s.xds_tls_cert, None);
    assert_eq!(s.log_format, LogFormat::Text);
    assert_eq!(s.xds_admission, 100);
    assert_eq!(s.xds_max_connection_age_jitter, Percent(10));
    assert!(s.check().is_empty());
}

#[test]
fn flag_over_environment_over_file_over_default() {
    let file = "# ours\ngrace: 1m\ndrain-window: 2s\nack-timeout: \"3s\"\n";
    let environment = [("ISTHMUS_DRAIN_WINDOW", "4s"), ("ISTHMUS_ACK_TIMEOUT", "5s")];
    let e = load_from(Some(file), &environment, &[("ack-timeout", "6s")]).unwrap();
    assert_eq!(row(&e, "merge-window"), ("10ms".into(), "default".into()));
    assert_eq!(row(&e, "grace"), ("1m".into(), "isthmus.yaml:2".into()));
    assert_eq!(row(&e, "drain-window"), ("4s".into(), "$ISTHMUS_DRAIN_WINDOW".into()));
    assert_eq!(row(&e, "ack-timeout"), ("6s".into(), "--ack-timeout".into()));
    assert_eq!(e.settings.ack_timeout, Duration::from_secs(6));
}

#[test]
fn each_setting_by_each_way() {
    for (spec, default, _) in load_from(None, &[], &[]).unwrap().rows() {
        let value = match spec.unit {
            "PATH" => "/some/where",
            "HOST:PORT" => "xds.example:1",
            "ADDRESS" => "2001:db8::7",
            "ADDRESS:PORT" => "[::1]:1",
            "DURATION" => "1h2m3s4ms",
            "SIZE" => "3KiB",
            "true|false" if default == "true" => "false",
            "true|false" => "true",
            "NUMBER" => "7",
            "PERCENT" => "25%",
            "text|json" => "json",
            "auto|none|token" => "token",
            "direct|propose|off" => "propose",
            "NAME,…" => "one,two",
            "TEXT" => "words",
            other => panic!("a new unit: {other}"),
        };
        assert_ne!(value, default);
        let variable = spec.variable();
        let file = format!("{}: \"{value}\"", spec.name);
        for (loaded, origin) in [
            (load_from(Some(&file), &[], &[]), "isthmus.yaml:1".to_owned()),
            (load_from(None, &[(&variable, value)], &[]), format!("${variable}")),
            (load_from(None, &[], &[(spec.name, value)]), format!("--{}", spec.name)),
        ] {
            assert_eq!(row(&loaded.unwrap(), spec.name), (value.to_owned(), origin));
        }
    }
}

#[test]
fn mistakes_are_told_all_at_once_with_their_place() {
    let file = "grase: 1s\nxds-listen: localhost\nmax-file-size: 16\nhttp-listen: [a, {b: c}]\ngrace: 1s\ngrace: 2s\n\
                xds-admission: many\nxds-max-connection-age-jitter: 101%\n";
    let problems = load_from(Some(file), &[("ISTHMUS_LOG_FORMAT", "xml")], &[("ack-timeout", "5")]);
    assert_eq!(
        problems.unwrap_err(),
        [
            "isthmus.yaml:1:1: unknown setting `grase`; did you mean `grace`?",
            "isthmus.yaml:4:14: expected a single value, not a list or a mapping",
            "isthmus.yaml:6:1: `grace` is set twice",
            "isthmus.yaml:2:13: xds-listen = `localhost`: expected an IP address and a port, e.g. 127.0.0.1:8080, \
             0.0.0.0:8080 or [::1]:8080",
            "isthmus.yaml:3:16: max-file-size = `16`: expected a size with its unit, e.g. 512KiB, 16MiB, 1GiB",
            "isthmus.yaml:7:16: xds-admission = `many`: expected a number, e.g. 100",
            "isthmus.yaml:8:32: xds-max-connection-age-jitter = `101%`: expected a part from 0% to 100%, e.g. 10%",
            "$ISTHMUS_LOG_FORMAT: log-format = `xml`: expected text or json",
            "--ack-timeout: ack-timeout = `5`: expected a time with its unit, e.g. 250ms, 30s, 1m30s",
        ]
    );
}

#[track_caller]
fn file_problem(text: &str, expected: &str) {
    assert_eq!(load_from(Some(text), &[], &[]).unwrap_err(), [expected]);
}

#[test]
fn files_that_are_not_settings() {
    file_problem("- a\n", "isthmus.yaml:1:1: expected one mapping of setting names to values");
    file_problem(
        "just words\n",
        "isthmus.yaml:1:1: expected one mapping of setting names to values",
    );
    file_problem(
        "colour: red\n",
        "isthmus.yaml:1:1: unknown setting `colour`; `isthmus serve --help` lists all",
    );
    file_problem("? [a]\n: b\n", "isthmus.yaml:1:3: expected the name of a setting");
    file_problem("grace: *later\n", "isthmus.yaml:1:8: while parsing node, found unknown anchor");
}

#[test]
fn empty_files_and_values_mean_not_set() {
    for text in ["", "# nothing yet\n", "---\n", "~\n", "grace:\n", "{}\n"] {
        let e = load_from(Some(text), &[("ISTHMUS_GRACE", "")], &[]).unwrap();
        assert_eq!(row(&e, "grace"), ("20s".into(), "default".into()), "{text:?}");
    }
}

#[track_caller]
fn breaks_rule(flags: &[(&'static str, &str)], setting: &str) {
    let problems = load_from(None, &[], flags).unwrap().settings.check();
    let places: Vec<_> = problems.iter().map(|p| p.place.as_str()).collect();
    assert_eq!(places, [setting]);
}

#[test]
fn rules_between_settings() {
    breaks_rule(&[("xds-tls-cert", "c.pem")], "xds-tls-cert");
    breaks_rule(&[("xds-tls-key", "k.pem")], "xds-tls-cert");
    breaks_rule(&[("xds-tls-client-ca", "ca.pem")], "xds-tls-client-ca");
    breaks_rule(&[("xds-jwks-file", "keys.json")], "xds-jwks-file");
    breaks_rule(&[("xds-jwt-issuer", "https://issuer.example")], "xds-jwt-audience");
    breaks_rule(&[("xds-keepalive-interval", "0s")], "xds-keepalive-interval");
    breaks_rule(&[("xds-keepalive-timeout", "0s")], "xds-keepalive-timeout");
    breaks_rule(&[("drain-window", "1m")], "drain-window");
    breaks_rule(&[("controller-name", "")], "controller-name");
}

#[test]
fn with_kubernetes_a_folder_is_read_only_where_one_is_named() {
    let dir = |flags: &[_]| load_from(None, &[], flags).unwrap().settings.source_dir;
    let kubernetes = ("kubernetes", "true");
    assert_eq!(dir(&[]), Some("/etc/isthmus/config.d".into()));
    assert_eq!(dir(&[kubernetes]), None);
    assert_eq!(dir(&[kubernetes, ("source-dir", "/routes")]), Some("/routes".into()));
    breaks_rule(&[("source-dir", "")], "source-dir");
    breaks_rule(&[("kubeconfig", "config")], "kubeconfig");
    breaks_rule(&[("kubernetes-context", "prod")], "kubernetes-context");
    breaks_rule(&[("kubernetes-namespaces", "shop, infra")], "kubernetes-namespaces");
}

#[test]
fn plaintext_beyond_loopback_must_be_asked_for() {
    let open = ("xds-listen", "0.0.0.0:18000");
    breaks_rule(&[open], "xds-listen");
    let tls = [open, ("xds-tls-cert", "c.pem"), ("xds-tls-key", "k.pem")];
    assert!(load_from(None, &[], &tls).unwrap().settings.check().is_empty());
    let permitted = [open, ("xds-plaintext-beyond-loopback", "true")];
    assert!(load_from(None, &[], &permitted).unwrap().settings.check().is_empty());
    let v6 = [("xds-listen", "[::1]:18000")];
    assert!(load_from(None, &[], &v6).unwrap().settings.check().is_empty());
}

#[test]
fn nobody_is_asked_on_loopback_only() {
    let of = |flags: &[_]| load_from(None, &[], flags).unwrap().settings;
    let open = ("http-listen", "0.0.0.0:8080");
    assert!(!of(&[]).auth_required());
    assert!(of(&[open]).auth_required());
    assert!(of(&[("auth", "token")]).auth_required());
    assert!(of(&[open]).check().is_empty());
    breaks_rule(&[open, ("auth", "none")], "auth");
    breaks_rule(&[("http-listen", "[::]:8080"), ("auth", "none")], "auth");
    breaks_rule(&[("auth-kubernetes", "true")], "auth-kubernetes");
    breaks_rule(&[("oidc-client-id", "isthmus")], "oidc-client-id");
    breaks_rule(
        &[("oidc-issuer", "https://a.example"), ("oidc-client-id", "isthmus")],
        "oidc-redirect-url",
    );
    breaks_rule(&[("write-mode-namespaces", "shop=propose,infra")], "write-mode-namespaces");
    let modes = of(&[("write-mode-namespaces", "shop=propose,infra-*=off")]).write_modes();
    let expected = [("shop", WriteMode::Propose), ("infra-*", WriteMode::Off)];
    assert_eq!(modes.unwrap(), expected.map(|(name, mode)| (name.to_owned(), mode)));
}

#[test]
fn the_state_folder_fits_the_user() {
    let of = |machine: Machine| machine.state_dir();
    assert_eq!(of(machine()), "/home/ada/.local/state/isthmus");
    assert_eq!(of(Machine { root: true, ..machine() }), "/var/lib/isthmus");
    let xdg = |path: &str| Machine { xdg_state_home: Some(PathBuf::from(path)), ..machine() };
    assert_eq!(of(xdg("/state")), "/state/isthmus");
    // The XDG specification: relative paths are to be ignored.
    assert_eq!(of(xdg("state")), "/home/ada/.local/state/isthmus");
    assert_eq!(
        of(Machine { profile: Profile::Dev, root: true, ..machine() }),
        "/var/lib/isthmus/dev"
    );
}

#[test]
fn names_are_unique_and_documented() {
    let mut seen = HashSet::new();
    for spec in SPECS {
        assert!(seen.insert(spec.name) && spec.doc().ends_with('.'), "{}", spec.name);
        assert!(!spec.name.contains('_'));
    }
    assert_eq!(SPECS[0].variable(), "ISTHMUS_SOURCE_DIR");
}
