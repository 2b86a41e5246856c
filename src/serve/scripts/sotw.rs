//! Rules 15 to 34: state of the world.

use super::*;

#[test]
fn rule_15_the_nonce_outlives_an_empty_subscription() {
    let mut s = sotw();
    s.put(EDS, "a", "1").publish().asks(EDS, &["a"]).takes(["EDS a=1"]);
    s.asks(EDS, &[]).gets([]);
    s.asks(EDS, &["a"]).takes(["EDS a=1"]);
}

#[test]
fn rule_16_names_of_a_stale_request_are_answered_after_the_ack() {
    let mut s = sotw();
    s.put(EDS, "a", "1").put(EDS, "b", "1").publish().asks(EDS, &["a"]).takes(["EDS a=1"]);
    let n1 = nonce_of(&s, EDS).to_string();
    s.put(EDS, "a", "2").publish().gets(["EDS a=2"]);
    s.send(Ask {
        url: EDS.url(),
        nonce: n1,
        names: vec!["a".into(), "b".into()],
        ..Ask::default()
    })
    .unwrap();
    s.gets([]);
    s.asks(EDS, &["a", "b"]).takes(["EDS b=1"]);
}

#[test]
fn rule_16_names_of_a_stale_request_are_answered_at_once_when_nothing_is_outstanding() {
    let mut s = sotw();
    s.put(EDS, "a", "1").put(EDS, "b", "1").publish().asks(EDS, &["a"]).takes(["EDS a=1"]);
    s.send(Ask { url: EDS.url(), names: vec!["a".into(), "b".into()], ..Ask::default() }).unwrap();
    s.gets(["EDS b=1"]);
}

#[test]
fn rule_18_named_subscriptions_are_answered_on_a_new_stream_at_an_equal_version() {
    let mut s = sotw();
    s.put(EDS, "a", "1").put(CDS, "c", "1").publish();
    // The client still has this from another stream; both are answered in full (18, and scenario 16).
    s.send(Ask { url: CDS.url(), nonce: "old".into(), ..Ask::default() }).unwrap();
    s.send(Ask { url: EDS.url(), nonce: "old".into(), names: vec!["a".into()], ..Ask::default() })
        .unwrap();
    s.gets(["CDS c=1", "EDS a=1"]);
}

#[test]
fn rule_19_names_are_the_full_set() {
    let mut s = sotw();
    s.put(EDS, "a", "1").put(EDS, "b", "1").publish().asks(EDS, &["a", "b"]).takes(["EDS a=1 b=1"]);
    s.asks(EDS, &["a"]).gets([]);
    s.put(EDS, "b", "2").publish().gets([]);
    s.put(EDS, "a", "2").publish().gets(["EDS a=2"]);
}

#[test]
fn rule_20_a_new_name_is_answered_at_the_same_version() {
    let mut s = sotw();
    s.put(EDS, "a", "1").put(EDS, "b", "1").publish().asks(EDS, &["a"]).takes(["EDS a=1"]);
    s.asks(EDS, &["a", "b"]).takes(["EDS b=1"]);
    // A named CDS subscription gets its full set (28).
    s.put(CDS, "a", "1").put(CDS, "b", "1").put(CDS, "c", "1").publish();
    s.asks(CDS, &["a"]).takes(["CDS a=1"]);
    s.asks(CDS, &["a", "b"]).takes(["CDS a=1 b=1"]);
}

#[test]
fn rule_20_a_name_is_answered_though_the_wildcard_sent_it_before() {
    let mut s = sotw();
    s.put(CDS, "a", "1").publish().asks(CDS, &["*"]).takes(["CDS a=1"]);
    s.asks(CDS, &["*", "a"]).takes(["CDS a=1"]);
}

#[test]
fn rule_21_a_name_dropped_and_asked_again_is_sent_again() {
    let mut s = sotw();
    s.put(EDS, "a", "1").put(EDS, "b", "1").publish().asks(EDS, &["a", "b"]).takes(["EDS a=1 b=1"]);
    s.asks(EDS, &["b"]).gets([]);
    s.asks(EDS, &["a", "b"]).takes(["EDS a=1"]);
    s.put(CDS, "a", "1").publish().asks(CDS, &["a"]).takes(["CDS a=1"]);
    s.asks(CDS, &[]).gets([]);
    s.asks(CDS, &["a"]).takes(["CDS a=1"]);
}

#[test]
fn rule_22_acks_and_shrinking_are_not_answered() {
    let mut s = sotw();
    s.put(CDS, "c", "1").put(RDS, "a", "1").put(RDS, "b", "1").publish();
    s.asks(CDS, &[]).asks(RDS, &["a", "b"]).takes(["CDS c=1", "RDS a=1 b=1"]);
    s.acks(CDS).acks(CDS).acks(RDS).gets([]);
    s.asks(RDS, &["a"]).asks(RDS, &[]).gets([]);
}

#[test]
fn rule_23_empty_means_nothing_once_something_was_named() {
    let mut s = sotw();
    s.put(CDS, "a", "1").put(CDS, "b", "1").publish();
    s.asks(CDS, &[]).takes(["CDS a=1 b=1"]);
    s.asks(CDS, &["a"]).takes(["CDS a=1"]);
    s.asks(CDS, &[]).gets([]);
    s.put(CDS, "a", "2").put(CDS, "b", "2").publish().gets([]);
}

#[test]
fn rule_24_empty_first_request_for_named_types_subscribes_to_nothing() {
    for kind in [EDS, RDS, SDS, ECDS] {
        let mut s = sotw();
        s.put(kind, "a", "1").publish().asks(kind, &[]).gets([]);
        s.put(kind, "a", "2").publish().gets([]);
    }
}

#[test]
fn rule_24_legacy_wildcard_can_be_turned_off() {
    let settings = Settings { legacy_wildcard: false, ..Settings::default() };
    for form in [Form::Sotw, Form::Delta] {
        let mut s = Script { session: Session::new(form, None, settings, 1), ..script(form) };
        s.put(CDS, "a", "1").publish().asks(CDS, &[]).gets([]);
        s.asks(CDS, &["*"]).gets(["CDS a=1"]);
    }
}

#[test]
fn rule_25_wildcard_beside_names() {
    let mut s = sotw();
    s.put(CDS, "a", "1").put(CDS, "b", "1").publish();
    s.asks(CDS, &[]).takes(["CDS a=1 b=1"]);
    s.asks(CDS, &["*", "a"]).takes(["CDS a=1 b=1"]);
    s.asks(CDS, &["a"]).gets([]);
    s.put(CDS, "b", "2").publish().gets([]);
    s.put(CDS, "a", "2").publish().takes(["CDS a=2"]);
    s.asks(CDS, &[]).gets([]);
    s.put(CDS, "a", "3").publish().gets([]);
    s.asks(CDS, &["*"]).takes(["CDS a=3 b=2"]);
}

#[test]
fn rule_26_an_empty_name_is_an_ordinary_name() {
    let mut s = sotw();
    s.put(CDS, "a", "1").publish().asks(CDS, &["a"]).takes(["CDS a=1"]);
    s.asks(CDS, &[""]).gets([]);
    s.put(CDS, "a", "2").publish().gets([]);
}

#[test]
fn rule_27_a_name_that_comes_to_exist_is_pushed() {
    let mut s = sotw();
    s.put(CDS, "other", "1").publish();
    s.asks(EDS, &["z"]).asks(CDS, &["z"]).gets([]);
    s.put(EDS, "z", "1").put(CDS, "z", "1").publish().gets(["CDS z=1", "EDS z=1"]);
}

#[test]
fn rule_28_clusters_and_listeners_come_whole_and_absence_deletes() {
    for kind in [CDS, LDS] {
        let mut s = sotw();
        s.put(kind, "a", "1").put(kind, "b", "1").publish().asks(kind, &[]);
        let t = |rest: &str| format!("{}{rest}", kind.short());
        s.takes([t(" a=1 b=1").as_str()]);
        s.put(kind, "a", "2").publish().takes([t(" a=2 b=1").as_str()]);
        s.remove(kind, "b").publish().takes([t(" a=2").as_str()]);
        s.remove(kind, "a").publish().takes([t("").as_str()]);
    }
}

#[test]
fn rule_28_a_deleted_named_cluster_is_absent_from_the_next_answer() {
    let mut s = sotw();
    s.put(CDS, "a", "1").put(CDS, "b", "1").publish().asks(CDS, &["a", "b"]).takes(["CDS a=1 b=1"]);
    s.remove(CDS, "a").publish().takes(["CDS b=1"]);
}

#[test]
fn rule_29_other_types_hold_only_what_changed() {
    let mut s = sotw();
    s.put(RDS, "r1", "1")
        .put(RDS, "r2", "1")
        .publish()
        .asks(RDS, &["r1", "r2"])
        .takes(["RDS r1=1 r2=1"]);
    s.put(RDS, "r2", "2").publish().takes(["RDS r2=2"]);
    // Deletion cannot be said.
    s.remove(RDS, "r1").publish().gets([]);
    s.put(RDS, "r1", "1").publish().gets(["RDS r1=1"]);
}

#[test]
fn rule_30_the_first_wildcard_request_is_answered_with_nothing_if_there_is_nothing() {
    for kind in [CDS, LDS] {
        let mut s = sotw();
        s.publish().asks(kind, &[]).takes([kind.short()]);
        s.acks(kind).gets([]);
    }
}

#[test]
fn rule_31_a_name_asked_twice_is_sent_once() {
    let mut s = sotw();
    s.put(EDS, "a", "1").put(CDS, "a", "1").publish();
    s.asks(EDS, &["a", "a"]).asks(CDS, &["a", "*", "a"]).gets(["CDS a=1", "EDS a=1"]);
}

#[test]
fn rule_32_some_of_the_names_are_answered_without_waiting_for_all() {
    let mut s = sotw();
    for name in ["a", "b", "c"] {
        s.put(EDS, name, "1");
    }
    s.publish().asks(EDS, &["b"]).gets(["EDS b=1"]);
}

#[test]
fn rule_34_nothing_is_pushed_when_nothing_in_view_changed() {
    for form in [Form::Sotw, Form::Delta] {
        let mut s = script(form);
        s.put(CDS, "a", "1").put(EDS, "a", "1").put(EDS, "b", "1").publish();
        s.asks(CDS, &[]).asks(EDS, &["a"]).takes(["CDS a=1", "EDS a=1"]);
        s.publish().gets([]);
        s.put(EDS, "b", "2").publish().gets([]);
        // There and back again while nobody looked.
        s.put(CDS, "a", "2").publish().put(CDS, "a", "1").publish().gets([]);
        s.remove(CDS, "a").put(CDS, "a", "1").publish().gets([]);
    }
}

#[test]
fn rule_49_the_look_alike_ack_after_a_cluster_change_is_answered() {
    let mut s = sotw();
    s.cluster("a", "1").publish().asks(CDS, &[]).takes(["CDS a=1"]);
    s.asks(EDS, &["a"]).takes(["EDS a=1"]);
    s.put_with(CDS, "a", "2", &[(EDS, "a")]).publish();
    // What Envoy repeats for the warming cluster is answered by the push that follows the cluster anyway.
    assert_eq!(text(&s.poll().unwrap()), "CDS a=2");
    s.asks(EDS, &["a"]).takes(["EDS a=1"]).gets([]);
}

#[test]
fn rule_49_without_clusters_on_the_stream_a_repeated_ack_asks_again() {
    let mut s = sotw();
    s.put(EDS, "a", "1").put(EDS, "b", "1").publish().asks(EDS, &["a", "b"]).takes(["EDS a=1 b=1"]);
    s.acks(EDS).gets(["EDS a=1 b=1"]);
    s.acks(EDS).gets([]);
}

#[test]
fn rule_49_assignments_are_sent_for_a_cluster_that_came_back() {
    let mut s = sotw();
    s.cluster("a", "1").cluster("b", "1").publish().asks(CDS, &[]).takes(["CDS a=1 b=1"]);
    s.asks(EDS, &["a", "b"]).takes(["EDS a=1 b=1"]);
    s.remove(CDS, "b").remove(EDS, "b").publish().takes(["CDS a=1"]);
    s.asks(EDS, &["a"]).gets([]);
    s.cluster("b", "1").publish().takes(["CDS a=1 b=1"]);
    s.asks(EDS, &["a", "b"]).takes(["EDS b=1"]);
}

#[test]
fn rule_66_scoped_routes_come_whole() {
    let mut s = sotw();
    let srds = ResourceType::ScopedRoute;
    s.put(srds, "a", "1").put(srds, "b", "1").publish().asks(srds, &[]).takes(["SRDS a=1 b=1"]);
    s.put(srds, "a", "2").publish().takes(["SRDS a=2 b=1"]);
}

/// Found by the fuzzer: a client that came back went on with a listener that was deleted meanwhile.
#[test]
fn rule_18_28_on_a_new_stream_a_client_hears_that_all_it_holds_is_gone() {
    let resumes = |kind: ResourceType, version: &str| {
        let mut s = sotw();
        s.put(kind, "other", "1").publish();
        let (version_info, node) =
            (version.to_owned(), NodeProto { id: "n".into(), ..Default::default() });
        let request = pb::DiscoveryRequest {
            node: Some(node),
            version_info,
            type_url: kind.url().into(),
            resource_names: vec!["a".into()],
            ..Default::default()
        };
        let request = Request::parse(Form::Sotw, request.encode_to_vec().into()).unwrap();
        let now = s.now;
        s.session.request(&request, now).unwrap();
        s
    };
    resumes(LDS, "v").takes(["LDS"]);
    resumes(CDS, "v").takes(["CDS"]);
    // To one that has nothing there is nothing to say, and elsewhere it cannot be said.
    resumes(LDS, "").gets([]);
    resumes(RDS, "v").gets([]);
}
