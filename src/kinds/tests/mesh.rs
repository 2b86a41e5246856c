//! The kinds of the mesh: policies, scopes, lanes, and pods.

use std::net::{IpAddr, Ipv4Addr};

use model::{
    AccessAction, AccessKey, Egress, EgressHost, EgressNamespace, ExternalAuthProtocol, IpBlock,
    JwtKeys, LaneFallback, MtlsMode, NamespacedName, OutboundMode, PathMatch, PolicyMode, SdkPick,
};

use super::*;

fn own(kind: &str, spec: &str) -> String {
    document("isthmus.dev/v1alpha1", kind, spec)
}

macro_rules! read_one {
    ($kind:ident, $yaml:expr) => {
        match object($yaml) {
            Object::$kind(object) => object,
            other => panic!("{other:?}"),
        }
    };
}

#[test]
fn a_peer_policy() {
    let policy = read_one!(
        PeerPolicy,
        &own(
            "PeerPolicy",
            "  targetRefs: [{group: '', kind: Service, name: a}, {group: isthmus.dev, kind: MeshService, name: b, sectionName: web}]
  workloadSelector: {app: orders}
  mtls: Strict
  ports: {'8081': Disable, '9': Permissive}
"
        )
    );
    assert_eq!(policy.mtls, MtlsMode::Strict);
    let ports: Vec<_> = policy.ports.iter().map(|(port, mode)| (*port, *mode)).collect();
    assert_eq!(ports, [(9, MtlsMode::Permissive), (8081, MtlsMode::Disable)]);
    let selector = policy.reach.selector.as_ref().unwrap();
    assert_eq!(selector.labels, [(s("app"), s("orders"))]);
    let names: Vec<_> = policy.reach.targets.iter().map(|t| t.name.to_string()).collect();
    assert_eq!(names, ["shop/a", "shop/b"]);
    assert_eq!(policy.reach.targets[1].section, Some(s("web")));

    let policy = read_one!(PeerPolicy, &own("PeerPolicy", "  {}\n"));
    assert_eq!((policy.mtls, policy.reach.selector.clone()), (MtlsMode::Permissive, None));
}

#[test]
fn mistakes_in_a_peer_policy() {
    check(&own("PeerPolicy", "  mtls: strict\n"), &["5:9 ISM1106 /spec/mtls"]);
    check(
        &own("PeerPolicy", "  ports: {http: Strict, '080': Strict, '70000': Strict}\n"),
        &["5:11 ISM1106 /spec/ports", "5:25 ISM1106 /spec/ports", "5:40 ISM1106 /spec/ports"],
    );
    check(
        &own("PeerPolicy", "  targetRefs: [{group: '', kind: MeshService, name: a}]\n"),
        &["5:16 ISM1203 /spec/targetRefs/0"],
    );
    check(
        &own("PeerPolicy", "  workloadSelector: {app: a, v: 1.0}\n"),
        &["5:33 ISM1104 /spec/workloadSelector"],
    );
    check(
        &own("PeerPolicy", "  workloadSelector: {matchLabels: {app: a}, tier: front}\n"),
        &["5:45 ISM1106 /spec/workloadSelector"],
    );
    check(&own("PeerPolicy", "  workloadSelector: {}\n"), &["5:3 ISM1106 /spec/workloadSelector"]);
}

#[test]
fn an_access_policy() {
    let policy = read_one!(
        AccessPolicy,
        &own(
            "AccessPolicy",
            r"  workloadSelector:
    matchExpressions: [{key: app, operator: In, values: [orders, pay]}]
  mode: Shadow
  action: Deny
  rules:
  - from:
    - principals: [spiffe://cluster.local/ns/shop/sa/web, 'cluster.local/ns/*']
      notNamespaces: [old]
      services: [web, other/api]
      ipBlocks: [10.0.0.0/8, '::1']
    to:
    - {hosts: [Orders.Shop], methods: [GET, 'P*'], paths: [/a/*, '*.html'], notPorts: [81]}
    when:
    - {key: 'jwt.claims[realm][role]', values: [admin]}
    - {key: 'request.headers[X-Env]', notValues: ['prod*']}
  - {}
  jwt:
  - {issuer: https://id.example, audiences: [shop], configMapRef: {name: keys}}
  - {issuer: me, jwks: '{\'keys\': []}'}
"
            .replace("\\'", "\"")
            .as_str()
        )
    );
    assert_eq!((policy.mode, &policy.action), (PolicyMode::Shadow, &AccessAction::Deny));
    assert_eq!(policy.reach.selector.as_ref().unwrap().requirements.len(), 1);
    let rule = &policy.rules[0];
    let from = &rule.from[0];
    assert_eq!(
        from.principals,
        [s("spiffe://cluster.local/ns/shop/sa/web"), s("cluster.local/ns/*")]
    );
    assert_eq!(from.not_namespaces, [s("old")]);
    assert_eq!(
        from.services,
        [NamespacedName::new("shop", "web"), NamespacedName::new("other", "api")]
    );
    let ten = IpBlock { address: IpAddr::V4(Ipv4Addr::new(10, 0, 0, 0)), length: 8 };
    let own_host = IpBlock { address: "::1".parse().unwrap(), length: 128 };
    assert_eq!(from.ip_blocks, [ten, own_host]);
    let to = &rule.to[0];
    assert_eq!((&to.hosts, &to.not_ports), (&vec![s("orders.shop")], &vec![81]));
    assert_eq!((to.methods.len(), to.paths.len()), (2, 2));
    assert_eq!(rule.when[0].key, AccessKey::Claim(vec![s("realm"), s("role")]));
    assert_eq!(rule.when[1].key, AccessKey::Header(s("x-env")));
    assert_eq!(rule.when[1].not_values, [s("prod*")]);
    assert_eq!((rule.pointer.as_ref(), policy.rules.len()), ("/spec/rules/0", 2));
    assert!(matches!(&policy.jwt[0].keys, JwtKeys::ConfigMap(map) if map.name.as_ref() == "keys"));
    assert_eq!(policy.jwt[1].keys, JwtKeys::Inline(s(r#"{"keys": []}"#)));

    let policy = read_one!(AccessPolicy, &own("AccessPolicy", "  {}\n"));
    assert_eq!((policy.mode, &policy.action), (PolicyMode::Enforce, &AccessAction::Allow));
    assert!(policy.rules.is_empty());
}

#[test]
fn an_access_policy_that_asks() {
    let custom = |auth: &str| {
        let spec = format!("  action: Custom\n  rules: [{{}}]\n  externalAuth: {auth}\n");
        own("AccessPolicy", &spec)
    };
    let policy = read_one!(
        AccessPolicy,
        &custom(
            "{backendRef: {name: auth, port: 80}, protocol: HTTP, pathPrefix: /ask, failOpen: true}"
        )
    );
    let AccessAction::Custom(auth) = &policy.action else { panic!("{:?}", policy.action) };
    assert_eq!(auth.backend.name, NamespacedName::new("shop", "auth"));
    assert_eq!(auth.protocol, ExternalAuthProtocol::Http { path_prefix: s("/ask") });
    assert!(auth.fail_open);

    let at = "/spec/externalAuth";
    check(&custom("{backendRef: {name: auth}}"), &[&format!("7:18 ISM1105 {at}/backendRef")]);
    check(
        &custom("{backendRef: {name: auth, port: 80}, pathPrefix: /ask}"),
        &[&format!("7:66 ISM1106 {at}/pathPrefix")],
    );
    check(&own("AccessPolicy", "  action: Custom\n  rules: [{}]\n"), &["4:1 ISM1105 /spec"]);
    check(
        &own("AccessPolicy", "  externalAuth: {backendRef: {name: auth, port: 80}}\n"),
        &["5:3 ISM1106 /spec/externalAuth"],
    );
}

#[test]
fn mistakes_in_an_access_policy() {
    let from = |source: &str| own("AccessPolicy", &format!("  rules: [{{from: [{source}]}}]\n"));
    let to = |target: &str| own("AccessPolicy", &format!("  rules: [{{to: [{target}]}}]\n"));
    let at = "/spec/rules/0/from/0";
    check(&from("{}"), &["5:19 ISM1106 /spec/rules/0/from/0"]);
    check(&from("{principals: ['a*b']}"), &[&format!("5:33 ISM1106 {at}/principals/0")]);
    check(&from("{principals: ['https://a']}"), &[&format!("5:33 ISM1106 {at}/principals/0")]);
    check(&from("{ipBlocks: [10.0.0.1/8]}"), &[&format!("5:31 ISM1106 {at}/ipBlocks/0")]);
    check(&from("{ipBlocks: [10.0.0.0/33]}"), &[&format!("5:31 ISM1106 {at}/ipBlocks/0")]);
    check(&from("{services: [a/b/c]}"), &[&format!("5:31 ISM1106 {at}/services/0")]);
    check(&from("{origins: [a]}"), &[&format!("5:20 ISM1103 {at}/origins")]);
    let at = "/spec/rules/0/to/0";
    check(&to("{methods: [get]}"), &[&format!("5:28 ISM1106 {at}/methods/0")]);
    check(&to("{paths: [a]}"), &[&format!("5:26 ISM1106 {at}/paths/0")]);
    check(&to("{paths: ['/a?b']}"), &[&format!("5:26 ISM1106 {at}/paths/0")]);
    let when = |text: &str| own("AccessPolicy", &format!("  rules: [{{when: [{text}]}}]\n"));
    let at = "/spec/rules/0/when/0";
    check(&when("{key: jwt.claims, values: [a]}"), &[&format!("5:25 ISM1106 {at}/key")]);
    check(
        &when("{key: 'request.headers[a b]', values: [a]}"),
        &[&format!("5:25 ISM1106 {at}/key")],
    );
    check(&when("{key: 'jwt.claims[a]', values: []}"), &[&format!("5:19 ISM1105 {at}")]);
    let jwt = |text: &str| own("AccessPolicy", &format!("  jwt: [{text}]\n"));
    check(&jwt("{issuer: a}"), &["5:9 ISM1105 /spec/jwt/0"]);
    check(&jwt("{issuer: a, jwks: '{}'}"), &["5:27 ISM1106 /spec/jwt/0/jwks"]);
    check(
        &jwt("{issuer: a, jwks: '{}', configMapRef: {name: a}}"),
        &["5:27 ISM1106 /spec/jwt/0/jwks"],
    );
    let parsed = check(&own("AccessPolicy", "  action: Deny\n"), &["4:1 warning ISM1702 /spec"]);
    assert_eq!(parsed.objects.len(), 1);
}

#[test]
fn a_mesh_config() {
    let text = |name: &str, spec: &str| {
        format!(
            "apiVersion: isthmus.dev/v1alpha1\nkind: MeshConfig\nmetadata: {{name: {name}}}\nspec: {spec}\n"
        )
    };
    let spec = "{trustDomain: shop.example, trustDomainAliases: [old], outboundMode: RegistryOnly, sdkPick: Direct, \
                lane: {header: X-Lane, base: stable}}";
    let config = read_one!(MeshConfig, &text("default", spec));
    let settings = &config.settings;
    assert_eq!(settings.trust_domain, s("shop.example"));
    assert_eq!(settings.trust_domain_aliases, [s("old")]);
    assert_eq!(settings.outbound, OutboundMode::RegistryOnly);
    assert_eq!(settings.sdk_pick, SdkPick::Direct);
    assert_eq!((&settings.lane.header, &settings.lane.base), (&s("x-lane"), &s("stable")));
    assert_eq!(settings.lane.label, s("lane"));
    let config = read_one!(MeshConfig, &text("default", "{}"));
    assert_eq!(config.settings, model::MeshSettings::default());

    let parsed = check(&text("mesh", "{}"), &["3:18 warning ISM1701 /metadata/name"]);
    assert_eq!(parsed.objects.len(), 1);
    check(&text("default", "{trustDomain: a/b}"), &["4:21 ISM1106 /spec/trustDomain"]);
}

#[test]
fn a_scope() {
    let scope = read_one!(
        SidecarScope,
        &own(
            "SidecarScope",
            "  workloadSelector: {app: web}
  egress:
  - hosts: [./*, infra/redis, '*/dns']
  - {port: 80, hosts: [~/*]}
  outboundMode: RegistryOnly
"
        )
    );
    let host = |namespace, service: Option<&str>| EgressHost { namespace, service: service.map(s) };
    let first = vec![
        host(EgressNamespace::Own, None),
        host(EgressNamespace::Named(s("infra")), Some("redis")),
        host(EgressNamespace::Any, Some("dns")),
    ];
    assert_eq!(
        scope.egress.as_deref().unwrap(),
        [
            Egress { port: None, hosts: first, pointer: s("/spec/egress/0") },
            Egress { port: Some(80), hosts: Vec::new(), pointer: s("/spec/egress/1") },
        ]
    );
    assert_eq!(scope.outbound, Some(OutboundMode::RegistryOnly));
    let scope = read_one!(SidecarScope, &own("SidecarScope", "  {}\n"));
    assert_eq!((&scope.egress, scope.outbound, &scope.selector), (&None, None, &None));

    for host in ["orders", "a/b/c", "~/a", "'*.shop/a'"] {
        check(
            &own("SidecarScope", &format!("  egress: [{{hosts: [{host}]}}]\n")),
            &["5:21 ISM1106 /spec/egress/0/hosts/0"],
        );
    }
    check(&own("SidecarScope", "  egress: []\n"), &["5:3 ISM1106 /spec/egress"]);
}

#[test]
fn a_lane_group() {
    let group = read_one!(
        LaneGroup,
        &own(
            "LaneGroup",
            "  entries: [{name: edge, namespace: infra}]
  services: [{name: orders}, {group: isthmus.dev, kind: MeshService, name: pay, namespace: other}]
  lanes:
  - name: gray
    selector: {version: v2}
    priority: 10
    dye: {matches: [{headers: [{name: X-User, value: tester}], path: {value: /a/}}], percent: 2.5}
  - {name: blue, state: Stopped, dye: {}}
  - {name: red}
  onMissing: Fail
  edge: {acceptClientHeader: true}
"
        )
    );
    assert_eq!(group.entries[0].name, NamespacedName::new("infra", "edge"));
    let services: Vec<_> =
        group.services.iter().map(|r| format!("{} {}", r.kind, r.name)).collect();
    assert_eq!(services, ["Service shop/orders", "MeshService other/pay"]);
    let [gray, blue, red] = group.lanes.as_slice() else { panic!("{:?}", group.lanes) };
    assert_eq!(gray.selector.get("version"), Some(&s("v2")));
    assert_eq!((gray.priority, gray.running), (10, true));
    assert_eq!(gray.dye.matches[0].headers[0].name, s("x-user"));
    assert_eq!(gray.dye.matches[0].path, PathMatch::Prefix(s("/a")));
    assert!((gray.dye.percent - 2.5).abs() < f64::EPSILON);
    assert!(!blue.running && (blue.dye.percent - 100.0).abs() < f64::EPSILON);
    assert!(red.running && red.dye.percent == 0.0 && red.pointer.as_ref() == "/spec/lanes/2");
    assert_eq!((group.on_missing, group.on_unhealthy), (LaneFallback::Fail, LaneFallback::Base));
    assert!(group.accept_client_header);
}

#[test]
fn mistakes_in_a_lane_group() {
    let lanes =
        |text: &str| own("LaneGroup", &format!("  services: [{{name: a}}]\n  lanes: [{text}]\n"));
    check(&lanes("{name: Gray}"), &["6:18 ISM1106 /spec/lanes/0/name"]);
    check(&lanes("{name: a}, {name: a}"), &["6:22 ISM1106 /spec/lanes/1"]);
    check(&lanes("{name: a, dye: {percent: 101}}"), &["6:36 ISM1106 /spec/lanes/0/dye/percent"]);
    // Not built: a lane that is not sticky must not look as if it were.
    check(
        &lanes("{name: a, dye: {sticky: {cookie: uid}}}"),
        &["6:27 ISM1103 /spec/lanes/0/dye/sticky"],
    );
    check(
        &own("LaneGroup", "  services: [{kind: MeshService, name: a}]\n  lanes: [{name: a}]\n"),
        &["5:14 ISM1203 /spec/services/0"],
    );
    check(&own("LaneGroup", "  lanes: [{name: a}]\n"), &["4:1 ISM1105 /spec"]);
}

#[test]
fn what_sidecars_do_with_picks() {
    let text = |pick| {
        own(
            "MeshService",
            &format!("  ports: [{{port: 80}}]\n  sources: [{{static: {{endpoints: []}}}}]\n{pick}"),
        )
    };
    let pick = |line| read_one!(MeshService, &text(line)).sdk_pick;
    assert_eq!(pick(""), None);
    assert_eq!(pick("  sdkPick: Rebalance\n"), Some(SdkPick::Rebalance));
    let service = |pick: &str| {
        format!(
            "apiVersion: v1\nkind: Service\nmetadata:\n  name: a\n  annotations: {{isthmus.dev/sdk-pick: {pick}}}\nspec: {{ports: [{{port: 80}}]}}\n"
        )
    };
    assert_eq!(read_one!(Service, &service("Direct")).sdk_pick, Some(SdkPick::Direct));
    let parsed = check(
        &service("direct"),
        &["5:39 warning ISM1106 /metadata/annotations/isthmus.dev~1sdk-pick"],
    );
    assert_eq!(parsed.objects.len(), 1);
}

fn pod(spec: &str, status: &str) -> Arc<model::Pod> {
    read_one!(
        Pod,
        &format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{name: p, namespace: shop, labels: {{app: web, pod-template-hash: 7d9}}}}\nspec: {spec}\nstatus: {status}\n"
        )
    )
}

#[test]
fn a_pod() {
    let read = pod(
        "{serviceAccountName: web, containers: [{name: app, env: [{name: A, value: secret}]}]}",
        "{phase: Running, podIP: 10.0.0.1, podIPs: [{ip: 10.0.0.1}, {ip: 'fd00::1'}], conditions: []}",
    );
    assert_eq!(read.account, s("web"));
    let addresses: Vec<String> = read.addresses.iter().map(ToString::to_string).collect();
    assert_eq!(addresses, ["10.0.0.1", "fd00::1"]);
    assert_eq!(
        read.meta.document.as_ref(),
        r#"{"apiVersion":"v1","kind":"Pod","metadata":{"labels":{"app":"web"},"name":"p","namespace":"shop"},"spec":{"serviceAccountName":"web"},"status":{"podIPs":[{"ip":"10.0.0.1"},{"ip":"fd00::1"}]}}"#
    );
    let read = pod("{}", "{}");
    assert_eq!((read.account.as_ref(), read.addresses.len()), ("default", 0));
    // The addresses of these say nothing about who is called.
    assert!(pod("{hostNetwork: true}", "{podIPs: [{ip: 10.0.0.1}]}").addresses.is_empty());
    for phase in ["Succeeded", "Failed"] {
        let status = format!("{{phase: {phase}, podIPs: [{{ip: 10.0.0.1}}]}}");
        assert!(pod("{}", &status).addresses.is_empty());
    }
}

#[test]
fn a_pod_of_an_api_server() {
    let json = serde_json::json!({
        "metadata": {"name": "p", "namespace": "shop", "uid": "u", "creationTimestamp": "2026-01-01T00:00:00Z",
            "labels": {"app": "web"}, "annotations": {"a": "b"}, "ownerReferences": [{"name": "x"}]},
        "spec": {"serviceAccountName": "web", "hostNetwork": false, "nodeName": "n",
            "containers": [{"name": "app", "env": [{"name": "A", "value": "secret"}]}]},
        "status": {"phase": "Pending", "podIPs": [{"ip": "10.0.0.1"}], "startTime": "2026-01-01T00:00:00Z"},
    });
    let (served, findings) = crate::served(&s("kubernetes"), model::Kind::Pod, "v1", &json);
    assert_eq!(findings, []);
    let crate::Served::Object(Object::Pod(pod)) = served else { panic!("{served:?}") };
    assert_eq!(pod.account, s("web"));
    assert_eq!(
        pod.meta.document.as_ref(),
        r#"{"apiVersion":"v1","kind":"Pod","metadata":{"labels":{"app":"web"},"name":"p","namespace":"shop"},"spec":{"hostNetwork":false,"serviceAccountName":"web"},"status":{"podIPs":[{"ip":"10.0.0.1"}]}}"#
    );
    let again = crate::served_again(&s("kubernetes"), &pod.meta.document).unwrap();
    assert_eq!(again, Object::Pod(pod));
}
