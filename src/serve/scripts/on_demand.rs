//! Rules 64 to 69, and 4: names that come and go while a client runs, and names that mean something else.

use super::*;

const VHDS: ResourceType = ResourceType::VirtualHost;
const SRDS: ResourceType = ResourceType::ScopedRoute;

impl Script {
    fn host(&mut self, name: &str, body: &str, domains: &[&str]) -> &mut Self {
        let host = resource(VHDS, name, body, &[]).with_domains(domains.iter().copied());
        self.world.insert(host);
        self
    }
}

#[test]
fn rule_64_a_cluster_asked_on_demand_is_answered_and_pushed_when_it_appears() {
    let mut s = delta();
    s.put(CDS, "a", "1").publish().asks(CDS, &[]).takes(["CDS a=1"]);
    s.asks(CDS, &["a", "x"]).takes(["CDS a=1 -x"]);
    s.put(CDS, "x", "1").publish().takes(["CDS x=1"]);
    s.remove(CDS, "x").publish().takes(["CDS -x"]);
    s.put(CDS, "x", "1").publish().takes(["CDS x=1"]);
}

#[test]
fn rule_64_without_the_wildcard_a_missing_cluster_is_pushed_when_it_appears() {
    let mut s = delta();
    s.publish().asks(CDS, &["x"]).takes(["CDS -x"]);
    s.put(CDS, "y", "1").publish().gets([]).put(CDS, "x", "1").publish().takes(["CDS x=1"]);
}

#[test]
fn rule_64_a_name_that_is_looked_for_is_not_missing_before_the_next_snapshot() {
    let mut s = delta();
    s.put(CDS, "a", "1").publish().asks(CDS, &[]).takes(["CDS a=1"]);
    // Found.
    s.asks(CDS, &["x"]).seeks(CDS, &["x"]).gets([]);
    s.after(1).put(CDS, "x", "1").publish().takes(["CDS x=1"]);
    // Not found: the same snapshot once more says so.
    s.asks(CDS, &["y"]).seeks(CDS, &["y"]).gets([]).after(1).publish().takes(["CDS -y"]);
    // A snapshot that was begun before knows nothing of it.
    s.after(1).asks(CDS, &["w"]).seeks(CDS, &["w"]).put(CDS, "a", "2").publish();
    s.takes(["CDS a=2"]).after(1).publish().takes(["CDS -w"]);
    // Nobody answers.
    s.asks(CDS, &["z"]).seeks(CDS, &["z"]).gets([]).after(3).gets([]).after(1).takes(["CDS -z"]);
}

#[test]
fn rule_64_full_state_keeps_clusters_asked_on_demand() {
    let mut s = sotw();
    s.put(CDS, "a", "1").put(CDS, "x", "1").publish().asks(CDS, &["*"]).takes(["CDS a=1 x=1"]);
    s.asks(CDS, &["*", "x", "y"]).takes(["CDS a=1 x=1"]);
    s.put(CDS, "a", "2").publish().takes(["CDS a=2 x=1"]);
    s.put(CDS, "y", "1").publish().takes(["CDS a=2 x=1 y=1"]);
}

#[test]
fn rule_65_a_host_is_answered_with_its_virtual_host_and_an_alias() {
    let mut s = delta();
    s.host("t/shop", "1", &["shop.example", "www.shop.example"]).host("t/rest", "1", &["*"]);
    s.publish().asks(VHDS, &[]).takes(["VHDS t/rest=1 t/shop=1"]);
    s.asks(VHDS, &["t/shop.example"]).takes(["VHDS t/shop=1(t/shop.example)"]);
    s.asks(VHDS, &["t/www.shop.example", "t/other.example"]);
    s.takes(["VHDS t/rest=1(t/other.example) t/shop=1(t/shop.example,t/www.shop.example)"]);
    s.host("t/shop", "2", &["shop.example", "www.shop.example"]).publish();
    s.takes(["VHDS t/shop=2(t/shop.example,t/www.shop.example)"]);
}

#[test]
fn rule_65_the_best_domain_wins() {
    let mut s = delta().with_settings(Settings { legacy_wildcard: false, ..Settings::default() });
    s.host("a/b/exact", "1", &["x.y.example"]).host("a/b/long", "1", &["*.y.example"]);
    s.host("a/b/short", "1", &["*.example"]).host("a/b/begin", "1", &["x.*"]);
    s.host("a/b/rest", "1", &["*"]).host("a/rest", "1", &["*"]).publish();
    for (host, name) in [
        ("a/b/X.y.example", "exact"),
        ("a/b/z.y.example", "long"),
        ("a/b/z.example", "short"),
        ("a/b/x.org", "begin"),
        ("a/b/org", "rest"),
    ] {
        let want = format!("VHDS a/b/{name}=1({host})");
        s.asks(VHDS, &[host]).takes([want.as_str()]).drops(VHDS, &[host]).gets([]);
    }
}

#[test]
fn rule_65_an_unknown_host_is_answered_without_a_body() {
    let mut s = delta();
    s.publish().asks(VHDS, &[]).takes(["VHDS"]);
    s.asks(VHDS, &["t/x.example"]).takes(["VHDS t/x.example=(t/x.example)"]);
    let absent = &s.last[&VHDS].resources[0];
    assert!(absent.is_absent() && absent.sotw().is_empty());
    // Once it is known it is pushed, and once it is not, that is told.
    s.host("t/x", "1", &["x.example"]).publish().takes(["VHDS t/x=1(t/x.example)"]);
    s.remove(VHDS, "t/x").publish().takes(["VHDS t/x.example=(t/x.example) -t/x"]);
}

#[test]
fn rule_65_without_the_wildcard_only_asked_hosts_are_sent() {
    let mut s = delta().with_settings(Settings { legacy_wildcard: false, ..Settings::default() });
    s.host("t/a", "1", &["a.example"]).host("t/b", "1", &["b.example"]).publish();
    s.asks(VHDS, &["t/a.example", "t/c.example"]);
    s.takes(["VHDS t/a=1(t/a.example) t/c.example=(t/c.example)"]);
    s.host("t/b", "2", &["b.example"]).publish().gets([]);
    s.host("t/b", "3", &["b.example", "c.example"]).publish();
    s.takes(["VHDS t/b=3(t/c.example)"]);
    s.remove(VHDS, "t/a").publish().takes(["VHDS t/a.example=(t/a.example) -t/a"]);
    s.drops(VHDS, &["t/c.example"]).host("t/b", "4", &["c.example"]).publish().gets([]);
}

#[test]
fn rule_65_the_first_request_is_a_wildcard_and_is_answered_even_with_nothing() {
    let mut s = delta();
    s.publish().asks(VHDS, &[]).takes(["VHDS"]);
    s.host("t/a", "1", &["a.example"]).publish().takes(["VHDS t/a=1"]);
}

#[test]
fn rule_65_a_route_table_sent_anew_brings_its_virtual_hosts_again() {
    let mut s = delta();
    s.route("a/b", "1", &[]).route("a", "1", &[]);
    s.host("a/b/x", "1", &["x.example"]).host("a/y", "1", &["y.example"]).publish();
    s.asks(RDS, &["a/b", "a"]).takes(["RDS a=1 a/b=1"]);
    s.asks(VHDS, &[]).takes(["VHDS a/b/x=1 a/y=1"]);
    s.asks(VHDS, &["a/b/x.example", "a/b/none"]);
    s.takes(["VHDS a/b/none=(a/b/none) a/b/x=1(a/b/x.example)"]);
    s.route("a/b", "2", &[]).publish().takes(["RDS a/b=2", "VHDS a/b/x=1(a/b/x.example)"]);
    s.route("a", "2", &[]).publish().takes(["RDS a=2", "VHDS a/y=1"]);
}

#[test]
fn rule_65_a_client_that_comes_back_is_sent_what_it_lacks() {
    let mut s = delta();
    s.host("t/a", "1", &["a.example"]).host("t/b", "2", &["b.example"]).publish();
    s.resumes(VHDS, &["*", "t/a.example", "t/new"], &[("t/a", "1"), ("t/b", "1"), ("t/old", "")]);
    s.takes(["VHDS t/b=2 t/new=(t/new) -t/old"]);
}

#[test]
fn rule_65_aliases_are_for_virtual_hosts_only() {
    let mut s = delta();
    s.world.insert(resource(RDS, "t/a", "1", &[]).with_domains(["a.example"]));
    s.publish().asks(RDS, &["t/a.example", "t/a"]).takes(["RDS t/a=1 -t/a.example"]);
}

#[test]
fn rule_66_scopes_are_full_state_and_wildcard() {
    let mut s = sotw();
    s.put(SRDS, "a", "1").put(SRDS, "b", "1").publish().asks(SRDS, &[]).takes(["SRDS a=1 b=1"]);
    s.put(SRDS, "a", "2").publish().takes(["SRDS a=2 b=1"]);
    s.remove(SRDS, "a").publish().takes(["SRDS b=1"]);
    let mut s = delta();
    s.put(SRDS, "a", "1").publish().asks(SRDS, &[]).takes(["SRDS a=1"]);
    s.remove(SRDS, "a").publish().takes(["SRDS -a"]);
}

#[test]
fn rule_66_a_new_scope_comes_after_the_route_table_that_it_names() {
    for mut s in [sotw(), delta()] {
        s.publish().asks(SRDS, &[]).takes(["SRDS"]);
        s.asks(RDS, &["r"]);
        s.takes((s.form == Form::Delta).then_some("RDS -r"));
        s.put_with(SRDS, "a", "1", &[(RDS, "r")]).put(RDS, "r", "1").publish();
        s.gets(["RDS r=1", "SRDS a=1"]);
    }
}

#[test]
fn rule_66_a_route_table_outlives_the_last_scope_that_names_it() {
    let mut s = delta();
    s.put_with(SRDS, "a", "1", &[(RDS, "r")]).put(RDS, "r", "1").publish();
    s.asks(SRDS, &[]).takes(["SRDS a=1"]).asks(RDS, &["r"]).takes(["RDS r=1"]);
    s.remove(SRDS, "a").remove(RDS, "r").publish().gets(["SRDS -a"]).acks(SRDS).gets(["RDS -r"]);
}

#[test]
fn rule_66_a_route_table_that_a_scope_newly_names_is_sent_again() {
    let mut s = delta();
    s.put_with(SRDS, "a", "1", &[(RDS, "r")]).put(RDS, "r", "1").put(RDS, "q", "1").publish();
    s.asks(SRDS, &[]).asks(RDS, &["r", "q"]).takes(["SRDS a=1", "RDS q=1 r=1"]);
    s.put_with(SRDS, "a", "2", &[(RDS, "q")]).publish().takes(["SRDS a=2", "RDS q=1"]);
}

#[test]
fn rule_68_parameters_in_any_order_are_one_name_and_the_asked_one_is_echoed() {
    let mut s = delta();
    s.put(EDS, "xdstp://a/eds/x?b=2&c=3", "1").publish();
    s.asks(EDS, &["xdstp://a/eds/x?c=3&b=2"]).takes(["EDS xdstp://a/eds/x?c=3&b=2=1"]);
    s.put(EDS, "xdstp://a/eds/x?b=2&c=3", "2").publish();
    s.takes(["EDS xdstp://a/eds/x?c=3&b=2=2"]);
    s.asks(EDS, &["xdstp://a/eds/x?c=4"]).takes(["EDS -xdstp://a/eds/x?c=4"]);
    s.put(EDS, "xdstp://a/eds/x?c=4", "1").publish().takes(["EDS xdstp://a/eds/x?c=4=1"]);
    s.remove(EDS, "xdstp://a/eds/x?b=2&c=3").publish().gets([]);
    s.put(EDS, "xdstp://a/eds/x?c=3&b=2", "3").publish();
    s.takes(["EDS xdstp://a/eds/x?c=3&b=2=3"]);
}

#[test]
fn rule_68_in_state_of_the_world_the_name_is_in_the_body() {
    let mut s = sotw();
    s.put(CDS, "xdstp://a/cds/x?b=2&c=3", "1").put(CDS, "y", "1").publish();
    s.asks(CDS, &["xdstp://a/cds/x?c=3&b=2"]).takes(["CDS xdstp://a/cds/x?b=2&c=3=1"]);
    s.put(CDS, "xdstp://a/cds/x?b=2&c=3", "2").publish().takes(["CDS xdstp://a/cds/x?b=2&c=3=2"]);
    s.remove(CDS, "xdstp://a/cds/x?b=2&c=3").publish().takes(["CDS"]);
}

#[test]
fn rule_68_assignments_follow_a_cluster_that_spells_their_name_otherwise() {
    let mut s = delta();
    let (spelled, asked) = ("xdstp://a/eds/x?b=2&c=3", "xdstp://a/eds/x?c=3&b=2");
    s.put_with(CDS, "x", "1", &[(EDS, spelled)]).put(EDS, spelled, "1").publish();
    s.asks(CDS, &[]).takes(["CDS x=1"]);
    s.asks(EDS, &[asked]).takes(["EDS xdstp://a/eds/x?c=3&b=2=1"]);
    s.put_with(CDS, "x", "2", &[(EDS, spelled)]).publish();
    s.takes(["CDS x=2", "EDS xdstp://a/eds/x?c=3&b=2=1"]);
}

#[test]
fn rule_68_a_glob_is_one_collection_with_the_same_parameters() {
    for mut s in [sotw(), delta()] {
        let (x, y) = ("xdstp://a/cds/shop/x?p=1&q=2", "xdstp://a/cds/shop/y?q=2&p=1");
        s.put(CDS, x, "1").put(CDS, y, "1").put(CDS, "xdstp://a/cds/shop/z?p=2", "1");
        s.put(CDS, "xdstp://a/cds/shop/deep/z?p=1&q=2", "1").put(CDS, "old", "1").publish();
        s.asks(CDS, &["xdstp://a/cds/shop/*?q=2&p=1"]);
        s.takes([format!("CDS {x}=1 {y}=1").as_str()]);
        // A member that is added later, and one that goes.
        let w = "xdstp://a/cds/shop/w?q=2&p=1";
        s.put(CDS, w, "1").put(CDS, "xdstp://a/cds/shop/w?p=3", "1").publish();
        let delta = s.form == Form::Delta;
        let rest = if delta { String::new() } else { format!(" {x}=1 {y}=1") };
        s.takes([format!("CDS {w}=1{rest}").as_str()]);
        s.remove(CDS, x).publish();
        let want = if delta { format!("CDS -{x}") } else { format!("CDS {w}=1 {y}=1") };
        s.takes([want.as_str()]);
    }
}

#[test]
fn rule_68_an_empty_glob_is_answered_as_removed() {
    let mut s = delta();
    let (glob, x) = ("xdstp://a/cds/shop/*", "xdstp://a/cds/shop/x");
    s.put(CDS, "xdstp://a/cds/shop/x?p=1", "1").publish();
    s.asks(CDS, &[glob]).takes([format!("CDS -{glob}").as_str()]);
    s.put(CDS, x, "1").publish().takes([format!("CDS {x}=1").as_str()]);
    // Asked again, all of it is sent again (45).
    s.asks(CDS, &[glob]).takes([format!("CDS {x}=1").as_str()]);
    s.remove(CDS, x).publish().takes([format!("CDS -{glob} -{x}").as_str()]);
    s.put(CDS, x, "2").publish().takes([format!("CDS {x}=2").as_str()]);
    s.drops(CDS, &[glob]).put(CDS, x, "3").publish().gets([]);
}

#[test]
fn rule_68_a_client_that_comes_back_may_spell_members_in_its_own_way() {
    let mut s = delta();
    s.put(CDS, "xdstp://a/cds/x?q=2&p=1", "1").put(CDS, "xdstp://a/cds/y?p=1&q=2", "2").publish();
    s.resumes(
        CDS,
        &["xdstp://a/cds/*?p=1&q=2"],
        &[("xdstp://a/cds/x?p=1&q=2", "1"), ("xdstp://a/cds/y?p=1&q=2", "1")],
    );
    s.takes(["CDS xdstp://a/cds/y?p=1&q=2=2"]);
}

#[test]
fn rule_68_names_are_asked_for_before_there_is_a_snapshot() {
    let mut s = delta();
    s.asks(CDS, &["xdstp://a/cds/*?p=1"]).gets([]);
    s.put(CDS, "xdstp://a/cds/x?p=1", "1").publish().takes(["CDS xdstp://a/cds/x?p=1=1"]);
    let mut s = delta();
    s.asks(VHDS, &[]).asks(VHDS, &["t/a.example"]).gets([]);
    s.host("t/a", "1", &["a.example"]).publish().takes(["VHDS t/a=1(t/a.example)"]);
}

#[test]
fn rule_69_locators_and_unknown_fields_do_not_end_a_stream() {
    let mut s = delta();
    s.put(CDS, "a", "1").put(CDS, "b", "1").publish();
    let locator = |name: &str, parameters: &[(&str, &str)]| pb::ResourceLocator {
        name: name.into(),
        dynamic_parameters: parameters
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect(),
    };
    let mut raw = pb::DeltaDiscoveryRequest {
        node: Some(NodeProto { id: "n".into(), ..Default::default() }),
        type_url: CDS.url().into(),
        resource_locators_subscribe: vec![locator("a", &[]), locator("b", &[("env", "test")])],
        ..Default::default()
    }
    .encode_to_vec();
    raw.extend_from_slice(&[0xfa, 0x3f, 1, b'x']);
    let request = Request::parse(Form::Delta, raw.into()).unwrap();
    s.session.request(&request, s.now).unwrap();
    s.takes(["CDS a=1"]);
    s.put(CDS, "a", "2").put(CDS, "b", "2").publish().takes(["CDS a=2"]);
}

#[test]
fn rule_4_new_dynamic_parameters_are_taken_and_the_type_is_answered_anew() {
    use envoy_types::pb::xds::core::v3::ContextParams;
    for form in [Form::Sotw, Form::Delta] {
        let mut s = script(form);
        s.put(CDS, "a", "1").put(EDS, "a", "1").publish();
        s.asks(CDS, &[]).takes(["CDS a=1"]).asks(EDS, &["a"]).takes(["EDS a=1"]);
        let tell = |s: &mut Script, value: &str| {
            let params = ContextParams { params: [("zone".to_owned(), value.to_owned())].into() };
            let node = Some(NodeProto {
                dynamic_parameters: [(CDS.url().to_owned(), params)].into(),
                ..Default::default()
            });
            let nonce = nonce_of(s, CDS).to_string();
            let type_url = CDS.url().to_owned();
            let raw = match form {
                Form::Sotw => pb::DiscoveryRequest {
                    node,
                    type_url,
                    response_nonce: nonce,
                    ..Default::default()
                }
                .encode_to_vec(),
                Form::Delta => pb::DeltaDiscoveryRequest {
                    node,
                    type_url,
                    response_nonce: nonce,
                    ..Default::default()
                }
                .encode_to_vec(),
            };
            let request = Request::parse(form, raw.into()).unwrap();
            s.session.request(&request, s.now).unwrap();
        };
        tell(&mut s, "a");
        s.takes(["CDS a=1"]);
        // The same again says nothing new.
        tell(&mut s, "a");
        s.gets([]);
        tell(&mut s, "b");
        s.takes(["CDS a=1"]);
    }
}
