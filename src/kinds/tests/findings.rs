use super::*;

/// Rules of a route, four lines down.
#[track_caller]
fn check_rule(rule: &str, expected: &[&str]) {
    let indented: String = rule.lines().map(|line| format!("  {line}\n")).collect();
    check(&route(&format!("  rules:\n{indented}")), expected);
}

#[test]
fn an_unknown_field_is_told_at_its_name_with_the_nearest_known_one() {
    let parsed = check(&route("  hostname: [a.example]\n"), &["5:3 ISM1103 /spec/hostname"]);
    assert_eq!(parsed.findings[0].hint, "did you mean `hostnames`?");
    assert_eq!(parsed.findings[0].text, "unknown field `hostname`");
    let parsed = check(&route("  zzz: 1\n"), &["5:3 ISM1103 /spec/zzz"]);
    assert_eq!(
        parsed.findings[0].hint,
        "its fields are hostnames, parentRefs, rules, useDefaultGateways"
    );
    check_rule(
        "- backendRefs:\n  - {name: a, port: 80, wieght: 1}",
        &["7:27 ISM1103 /spec/rules/0/backendRefs/0/wieght"],
    );
    check(
        "apiVersion: v1\nkind: Service\nmetadata: {name: x, lables: {}}\n",
        &["3:21 ISM1103 /metadata/lables"],
    );
}

#[test]
fn a_misspelt_required_field_is_one_mistake() {
    check(
        &gateway("  gatewayClass: x\n  listeners: [{name: a, port: 80, protocol: HTTP}]\n"),
        &["5:3 ISM1103 /spec/gatewayClass"],
    );
    let text = "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: x}\nspecs: {}\n";
    check(text, &["4:1 ISM1103 /specs"]);
}

#[test]
fn a_missing_field_is_told_at_its_object() {
    check(&gateway("  listeners: [{name: a, port: 80, protocol: HTTP}]\n"), &["4:1 ISM1105 /spec"]);
    check_rule("- backendRefs:\n  - port: 80", &["7:7 ISM1105 /spec/rules/0/backendRefs/0"]);
    let text = "# comment\napiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: x}\n";
    check(text, &["2:1 ISM1105"]);
    check_rule("- backendRefs:\n  - name: a", &["7:7 ISM1105 /spec/rules/0/backendRefs/0"]);
}

#[test]
fn a_wrong_type_is_told_at_its_value_with_what_to_write() {
    let cases = [
        ("  hostnames: a.example\n", "5:14 ISM1104 /spec/hostnames", ""),
        (
            "  rules:\n    matches: []\n",
            "6:5 ISM1104 /spec/rules",
            "put `- ` before the first field to make it a list of one",
        ),
        (
            "  parentRefs: [{name: 12}]\n",
            "5:23 ISM1104 /spec/parentRefs/0/name",
            "put it in quotes",
        ),
        (
            "  parentRefs: [{name: a, port: '80'}]\n",
            "5:32 ISM1104 /spec/parentRefs/0/port",
            "write it without quotes",
        ),
        ("  parentRefs: [{name: a, port: 80.5}]\n", "5:32 ISM1104 /spec/parentRefs/0/port", ""),
        ("  hostnames:\n", "5:3 ISM1104 /spec/hostnames", "give it a value, or remove the field"),
        (
            "  rules: [{filters: [{type: CORS, cors: {allowCredentials: yes}}]}]\n",
            "5:60 ISM1104 /spec/rules/0/filters/0/cors/allowCredentials",
            "write true",
        ),
    ];
    for (spec, expected, hint) in cases {
        let parsed = check(&route(spec), &[expected]);
        assert_eq!(parsed.findings[0].hint, hint, "{spec}");
    }
    check(
        "apiVersion: v1\nkind: Namespace\nmetadata: {name: x, labels: {v: 1.0}}\n",
        &["3:33 ISM1104 /metadata/labels/v"],
    );
}

#[test]
fn values_outside_of_what_a_field_allows() {
    check(
        &route("  parentRefs: [{name: a, port: 0}, {name: b, port: 65536}]\n"),
        &["5:32 ISM1106 /spec/parentRefs/0/port", "5:52 ISM1106 /spec/parentRefs/1/port"],
    );
    check(
        &route("  hostnames: [A_b, 1.2.3.4, '*']\n"),
        &["5:15 ISM1106 /spec/hostnames/0", "5:29 ISM1106 /spec/hostnames/2"],
    );
    check(&route("  hostnames: [a, 1.2.3.4]\n"), &["5:18 ISM1106 /spec/hostnames/1"]);
    check_rule("- matches: [{method: GETT}]", &["6:24 ISM1106 /spec/rules/0/matches/0/method"]);
    check_rule("- timeouts: {request: 1 min}", &["6:25 ISM1106 /spec/rules/0/timeouts/request"]);
    check_rule(
        "- timeouts: {request: 1s, backendRequest: 2s}",
        &["6:45 ISM1106 /spec/rules/0/timeouts/backendRequest"],
    );
    check_rule("- timeouts: {request: 0s, backendRequest: 2s}", &[]);
    check(&route("  rules: []\n"), &["5:3 ISM1106 /spec/rules"]);
    let long = "a".repeat(254);
    check(
        &route(&format!("  parentRefs: [{{name: {long}}}]\n")),
        &["5:23 ISM1106 /spec/parentRefs/0/name"],
    );
    check_rule(
        "- backendRefs: [{name: a, port: 1, weight: -1}]",
        &["6:46 ISM1106 /spec/rules/0/backendRefs/0/weight"],
    );
}

#[test]
fn names_of_objects_are_checked() {
    for name in ["A", "a_b", "-a", "''", "a/b"] {
        let text = format!("apiVersion: v1\nkind: Namespace\nmetadata: {{name: {name}}}\n");
        let parsed = read(&text);
        assert_eq!(parsed.findings.len(), 1, "{name}");
        assert!(parsed.objects.is_empty(), "{name}");
    }
    check(
        "apiVersion: v1\nkind: Service\nmetadata: {name: a, namespace: a.b}\n",
        &["3:32 ISM1106 /metadata/namespace"],
    );
    check(
        "apiVersion: v1\nkind: Service\nmetadata: {name: a, creationTimestamp: now}\n",
        &["3:40 ISM1106 /metadata/creationTimestamp"],
    );
    check("apiVersion: v1\nkind: Service\nmetadata: {name: a, creationTimestamp: null}\n", &[]);
    let parsed = check(
        "apiVersion: v1\nkind: Namespace\nmetadata: {name: a, namespace: b}\n",
        &["3:21 warning ISM1106 /metadata/namespace"],
    );
    assert_eq!(parsed.objects[0].key().name.namespace.as_ref(), "");
}

#[test]
fn paths_follow_gateway_api() {
    for (path, good) in [
        ("/", true),
        ("/a/b", true),
        ("/a/", true),
        ("/a%20b", true),
        ("/~a;b=c", true),
        ("a", false),
        ("/a//b", false),
        ("/a/./b", false),
        ("/a/../b", false),
        ("/a/..", false),
        ("/a/.", false),
        ("/a%2Fb", false),
        ("/a%2fb", false),
        ("/a#b", false),
        ("/a b", false),
        ("/a%2", false),
        ("/ä", false),
        ("/a?b", false),
    ] {
        for kind in ["Exact", "PathPrefix"] {
            let spec =
                format!("  rules: [{{matches: [{{path: {{type: {kind}, value: '{path}'}}}}]}}]\n");
            let column = 45 + kind.len();
            let expected = format!("5:{column} ISM1106 /spec/rules/0/matches/0/path/value");
            check(&route(&spec), &[expected.as_str()][usize::from(good)..]);
        }
    }
    check_rule("- matches: [{path: {type: RegularExpression, value: 'a//b.*'}}]", &[]);
}

#[test]
fn regular_expressions_are_those_of_re2() {
    check_rule(
        "- matches: [{path: {type: RegularExpression, value: '/(?=a)'}}]",
        &["6:55 ISM1304 /spec/rules/0/matches/0/path/value"],
    );
    check_rule(
        "- matches: [{headers: [{name: a, type: RegularExpression, value: '('}]}]",
        &["6:68 ISM1304 /spec/rules/0/matches/0/headers/0/value"],
    );
    check_rule(
        "- matches: [{queryParams: [{name: a, type: RegularExpression, value: '('}]}]",
        &["6:72 ISM1304 /spec/rules/0/matches/0/queryParams/0/value"],
    );
    check_rule("- matches: [{headers: [{name: a, value: '('}]}]", &[]);
}

#[test]
fn headers_cannot_smuggle() {
    check_rule(
        "- filters: [{type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: a, value: \"b\\r\\nc: d\"}]}}]",
        &["6:92 ISM1106 /spec/rules/0/filters/0/requestHeaderModifier/set/0/value"],
    );
    check_rule(
        "- filters: [{type: ResponseHeaderModifier, responseHeaderModifier: {remove: ['a:b']}}]",
        &["6:80 ISM1106 /spec/rules/0/filters/0/responseHeaderModifier/remove/0"],
    );
    check_rule(
        "- matches: [{headers: [{name: 'a b', value: c}]}]",
        &["6:33 ISM1106 /spec/rules/0/matches/0/headers/0/name"],
    );
}

#[test]
fn lists_that_are_maps_have_each_name_once() {
    check_rule(
        "- matches: [{headers: [{name: a, value: b}, {name: a, value: c}]}]",
        &["6:47 ISM1106 /spec/rules/0/matches/0/headers/1"],
    );
    check_rule(
        "- filters: [{type: RequestHeaderModifier, requestHeaderModifier: {remove: [a, b, a]}}]",
        &["6:84 ISM1106 /spec/rules/0/filters/0/requestHeaderModifier/remove/2"],
    );
    check(
        &gateway(
            "  gatewayClassName: c\n  listeners:\n  - {name: a, port: 80, protocol: HTTP}\n  - {name: a, port: 81, protocol: HTTP}\n",
        ),
        &["8:5 ISM1106 /spec/listeners/1"],
    );
}

#[test]
fn filters_that_exclude_each_other() {
    let redirect = "{type: RequestRedirect, requestRedirect: {port: 8080}}";
    let rewrite = "{type: URLRewrite, urlRewrite: {hostname: a.example}}";
    let headers = "{type: RequestHeaderModifier, requestHeaderModifier: {remove: [a]}}";
    let mirror = "{type: RequestMirror, requestMirror: {backendRef: {name: a, port: 80}}}";
    check_rule(
        &format!("- filters:\n  - {redirect}\n  - {rewrite}"),
        &["8:7 ISM1305 /spec/rules/0/filters/1"],
    );
    check_rule(
        &format!("- filters:\n  - {headers}\n  - {headers}"),
        &["8:7 ISM1305 /spec/rules/0/filters/1"],
    );
    check_rule(&format!("- filters:\n  - {mirror}\n  - {mirror}"), &[]);
    check_rule(
        &format!("- filters:\n  - {redirect}\n  backendRefs: [{{name: a, port: 80}}]"),
        &["7:7 ISM1305 /spec/rules/0/filters/0"],
    );
    check_rule(
        &format!("- backendRefs:\n  - name: a\n    port: 80\n    filters: [{redirect}]"),
        &["9:17 ISM1305 /spec/rules/0/backendRefs/0/filters/0"],
    );
}

#[test]
fn a_filter_has_the_field_of_its_type_and_no_other() {
    check_rule("- filters:\n  - type: URLRewrite", &["7:7 ISM1105 /spec/rules/0/filters/0"]);
    check_rule(
        "- filters:\n  - type: URLRewrite\n    urlRewrite: {hostname: a}\n    cors: {}",
        &["9:7 ISM1106 /spec/rules/0/filters/0/cors"],
    );
    check_rule(
        "- filters: [{type: URLRewrite, urlRewrite: {path: {type: ReplaceFullPath, replacePrefixMatch: /a}}}]",
        &[
            "6:47 ISM1105 /spec/rules/0/filters/0/urlRewrite/path",
            "6:97 ISM1106 /spec/rules/0/filters/0/urlRewrite/path/replacePrefixMatch",
        ],
    );
    check_rule(
        "- filters: [{type: RequestMirror, requestMirror: {backendRef: {name: a, port: 1}, percent: 5, fraction: {numerator: 1}}}]",
        &["6:94 ISM1106 /spec/rules/0/filters/0/requestMirror/percent"],
    );
    check_rule(
        "- filters: [{type: RequestMirror, requestMirror: {backendRef: {name: a, port: 1}, fraction: {numerator: 101}}}]",
        &["6:85 ISM1106 /spec/rules/0/filters/0/requestMirror/fraction"],
    );
    check_rule(
        "- filters: [{type: CORS, cors: {allowOrigins: ['*', 'https://a.example']}}]",
        &["6:50 ISM1106 /spec/rules/0/filters/0/cors/allowOrigins/0"],
    );
}

#[test]
fn replacing_a_prefix_needs_a_single_prefix_match() {
    let rewrite = "filters: [{type: URLRewrite, urlRewrite: {path: {type: ReplacePrefixMatch, replacePrefixMatch: /b}}}]";
    let at = |line: u32| {
        format!("{line}:100 ISM1106 /spec/rules/0/filters/0/urlRewrite/path/replacePrefixMatch")
    };
    check_rule(&format!("- matches: [{{path: {{value: /a}}}}]\n  {rewrite}"), &[]);
    check_rule(&format!("- {rewrite}"), &[]);
    check_rule(
        &format!("- matches: [{{path: {{value: /a}}}}, {{path: {{value: /b}}}}]\n  {rewrite}"),
        &[&at(7)],
    );
    check_rule(
        &format!("- matches: [{{path: {{type: Exact, value: /a}}}}]\n  {rewrite}"),
        &[&at(7)],
    );
}

#[test]
fn extension_filters_are_kept_as_unsupported() {
    let spec = "  rules: [{filters: [{type: ExtensionRef, extensionRef: {group: a.b, kind: C, name: d}}]}]\n";
    let parsed = check(&route(spec), &["5:22 ISM1303 /spec/rules/0/filters/0"]);
    let Object::HttpRoute(route) = &parsed.objects[0] else { panic!() };
    assert!(
        matches!(&route.rules[0].filters[..], [model::Filter::Unsupported { kind, .. }] if kind.as_ref() == "ExtensionRef")
    );
}

#[test]
fn parents_and_rule_names_differ() {
    check(&route("  parentRefs:\n  - name: a\n  - name: a\n"), &["7:5 ISM1106 /spec/parentRefs/1"]);
    check(
        &route("  parentRefs:\n  - name: a\n  - {name: a, sectionName: b}\n"),
        &["7:5 ISM1106 /spec/parentRefs/1"],
    );
    check(
        &route(
            "  parentRefs:\n  - {name: a, sectionName: c}\n  - {name: a, sectionName: b}\n  - name: b\n",
        ),
        &[],
    );
    check_rule("- name: a\n- name: a", &["7:11 ISM1106 /spec/rules/1/name"]);
}

#[test]
fn listeners_fit_their_protocol() {
    let check_listener = |listener: &str, expected: &[&str]| {
        check(
            &gateway(&format!("  gatewayClassName: c\n  listeners:\n  - {listener}\n")),
            expected,
        );
    };
    let certificate = "certificateRefs: [{name: c}]";
    check_listener("{name: a, port: 80, protocol: HTTP}", &[]);
    check_listener(
        "{name: a, port: 80, protocol: HTTP, tls: {mode: Passthrough}}",
        &["7:41 ISM1106 /spec/listeners/0/tls"],
    );
    check_listener(
        &format!("{{name: a, port: 443, protocol: HTTPS, tls: {{{certificate}}}}}"),
        &[],
    );
    check_listener(
        "{name: a, port: 443, protocol: HTTPS, tls: {mode: Passthrough}}",
        &["7:55 ISM1106 /spec/listeners/0/tls/mode"],
    );
    check_listener(
        "{name: a, port: 443, protocol: HTTPS, tls: {}}",
        &["7:43 ISM1106 /spec/listeners/0/tls"],
    );
    check_listener("{name: a, port: 443, protocol: TLS}", &["7:5 ISM1106 /spec/listeners/0"]);
    check_listener("{name: a, port: 443, protocol: TLS, tls: {mode: Passthrough}}", &[]);
    check_listener(
        "{name: a, port: 443, protocol: TCP, hostname: a.example}",
        &["7:51 ISM1106 /spec/listeners/0/hostname"],
    );
    check_listener(
        "{name: a, port: 80, protocol: HTTP, hostname: 1.2.3.4}",
        &["7:51 ISM1106 /spec/listeners/0/hostname"],
    );
    check_listener("{name: a, port: 80, protocol: example.com/foo}", &[]);
    check_listener(
        "{name: a, port: 80, protocol: HTTP, allowedRoutes: {namespaces: {from: Selector}}}",
        &["7:57 ISM1105 /spec/listeners/0/allowedRoutes/namespaces"],
    );
    check(
        &gateway(
            "  gatewayClassName: c\n  listeners:\n  - {name: a, port: 80, protocol: HTTP}\n  - {name: b, port: 80, protocol: HTTP}\n",
        ),
        &["8:5 ISM1301 /spec/listeners/1"],
    );
    check(
        &gateway(
            "  gatewayClassName: c\n  listeners: [{name: a, port: 80, protocol: HTTP}]\n  addresses: [{value: 1.2.3.4}, {value: a.b}]\n",
        ),
        &["7:33 ISM1106 /spec/addresses/1"],
    );
}

#[test]
fn fields_without_effect_are_told() {
    let parsed = check(
        "\
apiVersion: gateway.networking.k8s.io/v1
kind: BackendTLSPolicy
metadata: {name: a}
spec:
  targetRefs: [{group: '', kind: Service, name: a}]
  validation: {hostname: a.example, wellKnownCACertificates: System}
  options: {a.example/version: '1.3'}
",
        &["7:3 warning ISM1109 /spec/options"],
    );
    assert_eq!(parsed.objects.len(), 1);
}

#[test]
fn kinds_that_nobody_knows() {
    let head =
        |api: &str, kind: &str| format!("apiVersion: {api}\nkind: {kind}\nmetadata: {{name: x}}\n");
    let unknown = |api: &str, kind: &str, expected: &str, hint: &str| {
        let parsed = check(&head(api, kind), &[expected]);
        assert_eq!(parsed.findings[0].hint, hint);
    };
    unknown(
        "gateway.networking.k8s.io/v1",
        "HttpRoutes",
        "2:7 ISM1102 /kind",
        "did you mean HTTPRoute?",
    );
    unknown(
        "gateway.networking.k8s.io/v1",
        "UDPRoutes",
        "2:7 ISM1102 /kind",
        "did you mean UDPRoute?",
    );
    unknown(
        "isthmus.dev/v1alpha1",
        "MeshServices",
        "2:7 ISM1102 /kind",
        "did you mean MeshService?",
    );
    unknown(
        "isthmus.dev/v1",
        "MeshService",
        "1:13 ISM1102 /apiVersion",
        "write isthmus.dev/v1alpha1",
    );
    unknown(
        "gateway.networking.k8s.io/v1alpha2",
        "HTTPRoute",
        "1:13 ISM1102 /apiVersion",
        "write gateway.networking.k8s.io/v1 or gateway.networking.k8s.io/v1beta1",
    );
    unknown(
        "gateway.network.k8s.io/v1",
        "HTTPRoute",
        "1:13 ISM1102 /apiVersion",
        "did you mean gateway.networking.k8s.io/v1?",
    );
    unknown(
        "gateway.networking.k8s.io",
        "HTTPRoute",
        "1:13 ISM1102 /apiVersion",
        "did you mean gateway.networking.k8s.io/v1?",
    );
    unknown("v1", "Sevice", "2:7 ISM1102 /kind", "did you mean Service?");
    unknown("apps/v1", "Deployment", "2:7 info ISM1102 /kind", "the document is ignored");
    unknown("v1", "PersistentVolume", "2:7 info ISM1102 /kind", "the document is ignored");
    unknown("v1", "ServiceAccount", "2:7 info ISM1102 /kind", "the document is ignored");
    unknown(
        "serving.knative.dev/v1",
        "Service",
        "2:7 info ISM1102 /kind",
        "the document is ignored",
    );
    unknown(
        "networking.istio.io/v1",
        "Gateway",
        "2:7 info ISM1102 /kind",
        "the document is ignored",
    );
}

#[test]
fn documents_that_are_no_objects() {
    check("- a\n", &["1:1 ISM1101"]);
    check("just text\n", &["1:1 ISM1101"]);
    check("{}\n", &["1:1 ISM1101", "1:1 ISM1101"]);
    check("a: 1\n", &["1:1 ISM1101", "1:1 ISM1101"]);
    let parsed = check("apiVerison: v1\nkind: Service\nmetadata: {name: x}\n", &["1:1 ISM1101"]);
    assert_eq!(parsed.findings[0].hint, "`apiVerison` was probably meant to be `apiVersion`");
    check("apiVersion: 1\nkind: Service\n", &["1:13 ISM1101 /apiVersion"]);
    check("apiVersion: v1\nkind: Service\n", &["1:1 ISM1101"]);
    check("apiVersion: v1\nkind: Service\nmetadata: {}\n", &["3:1 ISM1101 /metadata"]);
    check("apiVersion: v1\nkind: Service\nmetadata: {name: 1}\n", &["3:18 ISM1101 /metadata/name"]);
    let parsed = check(
        "apiVersion: v1\nkind: Service\nmetadata: {generateName: a-}\n",
        &["3:1 ISM1101 /metadata"],
    );
    assert!(parsed.findings[0].hint.contains("generateName"));
}

#[test]
fn an_object_stands_once_in_a_file() {
    let one = "apiVersion: v1\nkind: Namespace\nmetadata: {name: a, labels: {v: first}}\n";
    let two = "apiVersion: v1\nkind: Namespace\nmetadata: {name: a, labels: {v: second}}\n";
    let parsed = check(&format!("{one}---\n{two}"), &["5:1 ISM1107"]);
    assert_eq!(parsed.objects.len(), 1);
    assert_eq!(parsed.objects[0].meta().label("v"), Some("first"));
    assert!(parsed.rejected.is_empty());
    // The default namespace is a namespace like any other.
    let service = "apiVersion: v1\nkind: Service\nmetadata: {name: a}\n";
    let same = "apiVersion: v1\nkind: Service\nmetadata: {name: a, namespace: default}\n";
    check(&format!("{service}---\n{same}"), &["5:1 ISM1107"]);
}

#[test]
fn a_rejected_document_is_named_and_the_others_stay() {
    let good = "apiVersion: v1\nkind: Namespace\nmetadata: {name: a}\n";
    let parsed = check(
        &format!("{good}---\n{}", route("  hostname: []\n")),
        &["9:3 ISM1103 /spec/hostname"],
    );
    assert_eq!(parsed.objects.len(), 1);
    assert_eq!(
        parsed.rejected.iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["HTTPRoute shop/x"]
    );
    assert!(parsed.complete);
    assert_eq!(parsed.findings[0].at.object.as_ref(), parsed.rejected.first());
}

#[test]
fn ten_mistakes_are_ten_findings() {
    let text = "\
# A folder's worth of trouble.
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata:
  name: orders
  namespace: shop
  labels:
    version: 1
spec:
  parentRefs:
  - name: edge
    port: 808080
  hostname:
  - shop.example
  rules:
  - matches:
    - path:
        type: PathPrefx
        value: /
    backendRefs:
    - port: 80
    - name: Orders
      port: eighty
      weight: -1
    timeouts:
      request: soon
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gatway
metadata: {name: edge}
spec: {}
---
apiVersion: v1
kind: Service
metadata: {name: orders}
spec:
  ports:
  - port: 80
    port: 81
";
    let parsed = check(
        text,
        &[
            "8:14 ISM1104 /metadata/labels/version",
            "12:11 ISM1106 /spec/parentRefs/0/port",
            "13:3 ISM1103 /spec/hostname",
            "18:15 ISM1106 /spec/rules/0/matches/0/path/type",
            "21:7 ISM1105 /spec/rules/0/backendRefs/0",
            "23:13 ISM1104 /spec/rules/0/backendRefs/1/port",
            "24:15 ISM1106 /spec/rules/0/backendRefs/1/weight",
            "26:16 ISM1106 /spec/rules/0/timeouts/request",
            "29:7 ISM1102 /kind",
            "39:5 ISM1006 /spec/ports/0/port",
        ],
    );
    assert!(parsed.complete);
    assert_eq!(parsed.rejected.len(), 2);
    assert_eq!(
        parsed.findings[0].to_string(),
        "a.yaml:8:14: error ISM1104 HTTPRoute shop/orders /metadata/labels/version: expected text, found a whole number: 1 (put it in quotes)"
    );
}

#[test]
fn columns_count_characters() {
    check(
        "apiVersion: v1\nkind: Namespace\nmetadata: {annotations: {ä: 日本}, nme: x, name: a}\n",
        &["3:34 ISM1103 /metadata/nme"],
    );
}

#[test]
fn findings_without_end_are_cut() {
    let fields: String = (0..500).map(|i| format!("  zz{i}: 1\n")).collect();
    let parsed = read(&route(&fields));
    assert_eq!(parsed.findings.len(), 101);
    assert_eq!(parsed.findings.iter().filter(|f| f.code == model::codes::MORE_FINDINGS).count(), 1);
    let documents: String = (0..3000).map(|_| "---\n- a\n").collect();
    let parsed = read(&documents);
    assert_eq!(parsed.findings.len(), 1001);
}

#[test]
fn a_list_stands_for_its_items() {
    let item = |name: &str, more: &str| {
        format!("- {{apiVersion: v1, kind: Namespace, metadata: {{name: {name}{more}}}}}\n")
    };
    let list = |items: &str| format!("apiVersion: v1\nkind: List\nitems:\n{items}");
    let text = list(&format!("{}{}{}", item("a", ""), item("b", ", x: 1"), item("c", ", name: d")));
    let parsed = check(&text, &["5:57 ISM1103 /metadata/x", "6:57 ISM1006 /metadata/name"]);
    assert_eq!(parsed.objects.len(), 1);
    assert_eq!(parsed.rejected.len(), 2);
    let location = parsed.objects[0].meta().at("/metadata/name").location.unwrap();
    assert_eq!((location.line, location.column), (4, 54));
    check(&list(""), &["1:1 ISM1101"]);
    check(&list("- {apiVersion: v1, kind: List, items: []}\n"), &["4:3 ISM1101"]);
    let parsed = check(&format!("{}items: []\n", list(&item("a", ""))), &["5:1 ISM1006"]);
    assert!(parsed.objects.is_empty());
}
