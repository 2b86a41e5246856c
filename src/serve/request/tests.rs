use super::*;
use envoy_types::pb::envoy::service::discovery::v3 as pb;
use envoy_types::pb::google::rpc;
use proptest::prelude::*;

const CDS: &str = "type.googleapis.com/envoy.config.cluster.v3.Cluster";

fn node(id: &str) -> Option<NodeProto> {
    Some(NodeProto { id: id.into(), ..NodeProto::default() })
}

#[test]
fn a_state_of_the_world_request_is_read() {
    let sent = pb::DiscoveryRequest {
        version_info: "v".into(),
        node: node("n1"),
        resource_names: vec!["a".into(), "b".into()],
        resource_locators: vec![pb::ResourceLocator { name: "x".into(), ..Default::default() }],
        type_url: CDS.into(),
        response_nonce: "7".into(),
        error_detail: Some(rpc::Status { code: 13, message: "no".into(), details: vec![] }),
    };
    let got = Request::parse(Form::Sotw, sent.encode_to_vec().into()).unwrap();
    assert_eq!(got.type_url(), CDS);
    assert_eq!(got.nonce(), "7");
    assert_eq!(got.node().unwrap().unwrap().id, "n1");
    assert_eq!(got.names().collect::<Vec<_>>(), ["a", "b", "x"]);
    assert_eq!(got.error(), Some(ErrorDetail { code: 13, message: "no".into() }));
    assert_eq!((got.names_len(), got.unsubscribe_len(), got.initial_len()), (3, 0, 0));
}

#[test]
fn a_delta_request_is_read() {
    let mine = Version(77);
    let sent = pb::DeltaDiscoveryRequest {
        node: node("n1"),
        type_url: CDS.into(),
        resource_names_subscribe: vec!["a".into()],
        resource_names_unsubscribe: vec!["b".into(), "*".into()],
        initial_resource_versions: [("a".to_owned(), mine.to_string())].into(),
        response_nonce: "9".into(),
        ..Default::default()
    };
    let got = Request::parse(Form::Delta, sent.encode_to_vec().into()).unwrap();
    assert_eq!(got.type_url(), CDS);
    assert_eq!(got.nonce(), "9");
    assert_eq!(got.names().collect::<Vec<_>>(), ["a"]);
    assert_eq!(got.unsubscribe().collect::<Vec<_>>(), ["b", "*"]);
    assert_eq!(got.initial().collect::<Vec<_>>(), [("a", Some(mine))]);
    assert_eq!(got.error(), None);
}

#[test]
fn rule_69_a_locator_without_parameters_is_a_name_and_variants_are_ignored() {
    let locator = |name: &str, parameters: &[(&str, &str)]| pb::ResourceLocator {
        name: name.into(),
        dynamic_parameters: parameters
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect(),
    };
    let sent = pb::DiscoveryRequest {
        resource_names: vec!["a".into()],
        resource_locators: vec![locator("x", &[]), locator("y", &[("env", "test")])],
        type_url: CDS.into(),
        response_nonce: "7".into(),
        ..Default::default()
    };
    let got = Request::parse(Form::Sotw, sent.encode_to_vec().into()).unwrap();
    assert_eq!(got.names().collect::<Vec<_>>(), ["a", "x"]);
    assert_eq!((got.names_len(), got.names_key()), (2, None));

    let sent = pb::DeltaDiscoveryRequest {
        resource_locators_subscribe: vec![locator("x", &[]), locator("y", &[("env", "test")])],
        resource_locators_unsubscribe: vec![locator("u", &[("env", "test")]), locator("v", &[])],
        type_url: CDS.into(),
        ..Default::default()
    };
    let got = Request::parse(Form::Delta, sent.encode_to_vec().into()).unwrap();
    assert_eq!(got.names().collect::<Vec<_>>(), ["x"]);
    assert_eq!(got.unsubscribe().collect::<Vec<_>>(), ["v"]);
    assert_eq!((got.names_len(), got.unsubscribe_len()), (1, 1));
}

#[test]
fn rule_4_dynamic_parameters_are_told_by_type_and_in_any_order() {
    use envoy_types::pb::xds::core::v3::ContextParams;
    let told = |url: &str, params: &[(&str, &str)]| {
        let params = params.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        let params = ContextParams { params: params.collect() };
        let node = NodeProto {
            id: "n1".into(),
            dynamic_parameters: [(url.to_owned(), params)].into(),
            ..NodeProto::default()
        };
        let sent = pb::DeltaDiscoveryRequest { node: Some(node), ..Default::default() };
        let request = Request::parse(Form::Delta, sent.encode_to_vec().into()).unwrap();
        request.dynamic_parameters(CDS)
    };
    let all = [("a", "1"), ("b", "2"), ("c", "3"), ("d", "4")];
    let first = told(CDS, &all);
    assert!(first.is_some());
    for _ in 0..10 {
        assert_eq!(told(CDS, &all), first);
    }
    assert_ne!(told(CDS, &all[1..]), first);
    assert_eq!(told("other", &all), None);
}

#[test]
fn equal_names_have_equal_keys_whatever_else_the_request_says() {
    let request = |names: &[&str], nonce: &str| {
        let sent = pb::DiscoveryRequest {
            resource_names: names.iter().map(|n| (*n).to_owned()).collect(),
            response_nonce: nonce.into(),
            type_url: CDS.into(),
            ..Default::default()
        };
        Request::parse(Form::Sotw, sent.encode_to_vec().into()).unwrap().names_key()
    };
    assert_eq!(request(&["a", "b"], "1"), request(&["a", "b"], "2"));
    assert_ne!(request(&["a", "b"], "1"), request(&["a", "c"], "1"));
    assert_ne!(request(&["a", "b"], "1"), request(&["ab"], "1"));
    assert_eq!(request(&[], "1"), None);
}

#[test]
fn a_broken_message_is_an_error_not_a_panic() {
    for raw in [
        &b"\x1a\x05ab"[..],
        b"\x1a\x02\xff\xfe",
        b"\x0b",
        b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\x1a",
    ] {
        assert!(Request::parse(Form::Sotw, Bytes::from_static(raw)).is_err(), "{raw:?}");
    }
}

proptest! {
    // Its files would land beside the crates, where the workspace takes every folder for a member.
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_make_it_panic(raw in proptest::collection::vec(any::<u8>(), 0..200), delta: bool) {
        let form = if delta { Form::Delta } else { Form::Sotw };
        if let Ok(request) = Request::parse(form, raw.into()) {
            let _ = (request.node(), request.error(), request.names_key());
            prop_assert_eq!(request.names().count(), request.names_len());
            prop_assert_eq!(request.initial().count(), request.initial_len());
        }
    }
}
