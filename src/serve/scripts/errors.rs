//! Rule 70: what does not exist is said once, where a client reads it.

use super::*;

fn sotw_with_errors() -> Script {
    sotw().with_settings(Settings { resource_errors: true, ..Settings::default() })
}

#[test]
fn rule_70_an_asked_name_that_does_not_exist_is_said_once() {
    let mut s = sotw_with_errors();
    s.put(RDS, "a", "1").publish().asks(RDS, &["a", "z"]).takes(["RDS a=1 ?z"]);
    s.put(RDS, "a", "2").publish().takes(["RDS a=2"]);
    // Never beside the resource itself; asked again after that it is answered again.
    s.put(RDS, "z", "1").publish().takes(["RDS z=1"]);
    s.remove(RDS, "z").publish().gets([]);
    s.asks(RDS, &["a"]).gets([]).asks(RDS, &["a", "z"]).takes(["RDS ?z"]);
}

#[test]
fn rule_70_a_response_may_say_nothing_else() {
    let mut s = sotw_with_errors();
    s.publish().asks(EDS, &["z"]).takes(["EDS ?z"]);
    s.asks(EDS, &["y", "z"]).takes(["EDS ?y"]);
    s.put(EDS, "z", "1").publish().takes(["EDS z=1"]);
}

#[test]
fn rule_70_full_state_says_it_of_names_and_not_of_the_wildcard() {
    let mut s = sotw_with_errors();
    s.put(LDS, "a", "1").publish().asks(LDS, &["a", "z"]).takes(["LDS a=1 ?z"]);
    s.remove(LDS, "a").publish().takes(["LDS ?a"]);
    let mut s = sotw_with_errors();
    s.put(CDS, "a", "1").publish().asks(CDS, &[]).takes(["CDS a=1"]);
    s.remove(CDS, "a").publish().takes(["CDS"]);
}

#[test]
fn rule_70_a_refused_error_is_not_said_again() {
    let mut s = sotw_with_errors();
    s.publish().asks(RDS, &["z"]).gets(["RDS ?z"]).nacks(RDS).gets([]);
    s.put(RDS, "z", "1").publish().takes(["RDS z=1"]);
}

#[test]
fn rule_70_clients_that_did_not_ask_for_it_are_told_nothing() {
    let mut s = sotw();
    s.put(RDS, "a", "1").publish().asks(RDS, &["a", "z"]).takes(["RDS a=1"]);
    // Delta has a word of its own for it.
    let mut s = delta().with_settings(Settings { resource_errors: true, ..Settings::default() });
    s.publish().asks(RDS, &["z"]).takes(["RDS -z"]);
}

#[test]
fn rule_70_a_node_decides_for_itself() {
    use envoy_types::pb::google::protobuf::{Struct, Value, value::Kind};
    for (setting, said, want) in [(false, true, vec!["RDS ?z"]), (true, false, vec![])] {
        let settings = Settings { resource_errors: setting, ..Settings::default() };
        let mut s = sotw().with_settings(settings);
        let value = Value { kind: Some(Kind::BoolValue(said)) };
        let fields = [("ISTHMUS_RESOURCE_ERRORS".to_owned(), value)].into();
        let node =
            NodeProto { id: "n".into(), metadata: Some(Struct { fields }), ..NodeProto::default() };
        let request = pb::DiscoveryRequest {
            node: Some(node),
            type_url: RDS.url().into(),
            resource_names: vec!["z".into()],
            ..pb::DiscoveryRequest::default()
        };
        let request = Request::parse(Form::Sotw, request.encode_to_vec().into()).unwrap();
        let now = s.now;
        s.session.request(&request, now).unwrap();
        s.publish().gets(want);
    }
}
