//! Rules 2 to 14: streams, identity, versions and nonces.

use super::*;

#[test]
fn rule_2_two_streams_of_one_node_have_nothing_in_common() {
    let (mut one, mut two) = (sotw(), sotw());
    for s in [&mut one, &mut two] {
        s.put(EDS, "a", "1").put(EDS, "b", "1").publish();
    }
    one.asks(EDS, &["a"]).takes(["EDS a=1"]);
    two.asks(EDS, &["b"]).takes(["EDS b=1"]);
    one.put(EDS, "a", "2").put(EDS, "b", "2").publish().takes(["EDS a=2"]);
}

#[test]
fn rule_3_the_node_comes_with_the_first_request_whatever_its_type() {
    let mut s = sotw();
    s.cluster("a", "1").publish();
    let heard = s.send(Ask { url: EDS.url(), names: vec!["a".into()], ..Ask::default() }).unwrap();
    assert_eq!(heard.identified.unwrap().id, "node-1");
    let heard = s.send(Ask { url: CDS.url(), ..Ask::default() }).unwrap();
    assert_eq!(heard.identified, None);
    s.gets(["CDS a=1", "EDS a=1"]);
}

#[test]
fn rule_4_a_stream_without_node_id_is_refused_and_a_later_id_ignored() {
    let mut session = Session::new(Form::Sotw, None, Settings::default(), 1);
    let now = Instant::now();
    let ask = Ask { url: CDS.url(), ..Ask::default() };
    let refused = session.request(&ask.clone().request(Form::Sotw), now);
    assert!(matches!(refused, Err(Refusal::InvalidArgument(_))), "{refused:?}");

    let mut s = sotw();
    s.asks(CDS, &[]);
    let heard = s.send(Ask { url: LDS.url(), node: "other", ..Ask::default() }).unwrap();
    assert_eq!(heard.identified, None);
}

#[test]
fn rule_5_type_url_is_required_on_aggregated_streams_and_inferred_on_others() {
    let refused = sotw().send(Ask::default());
    assert!(matches!(refused, Err(Refusal::InvalidArgument(_))), "{refused:?}");

    let mut s = script_on(Form::Sotw, Some(CDS));
    s.put(CDS, "a", "1").publish();
    s.send(Ask::default()).unwrap();
    s.gets(["CDS a=1"]);
    assert_eq!(s.last[&CDS].kind.url(), CDS.url());
    let refused = s.send(Ask { url: LDS.url(), ..Ask::default() });
    assert!(matches!(refused, Err(Refusal::InvalidArgument(_))), "{refused:?}");
}

#[test]
fn rule_7_a_type_that_was_not_asked_for_is_not_sent() {
    let mut s = delta();
    s.cluster("a", "1").listener("l", "1", &[]).publish();
    s.asks(CDS, &[]).takes(["CDS a=1"]);
    s.cluster("a", "2").listener("l", "2", &[]).publish().gets(["CDS a=2"]);
}

#[test]
fn rule_10_an_unknown_type_is_held_and_the_others_go_on() {
    let mut s = delta();
    s.put(CDS, "a", "1").publish();
    let heard = s.send(Ask { url: "type.googleapis.com/no.such.Type", ..Ask::default() }).unwrap();
    assert_eq!(heard.kind, None);
    s.asks(CDS, &[]).gets(["CDS a=1"]);
}

#[test]
fn rule_11_every_response_has_a_nonce_of_its_own() {
    let mut s = delta();
    s.put(CDS, "a", "1").put(LDS, "l", "1").publish();
    s.asks(CDS, &[]).asks(LDS, &[]).takes(["CDS a=1", "LDS l=1"]);
    let (cds, lds) = (nonce_of(&s, CDS), nonce_of(&s, LDS));
    // The same version once more.
    s.asks(CDS, &["a"]).gets(["CDS a=1"]);
    let mut all = vec![cds, lds, nonce_of(&s, CDS)];
    all.dedup();
    assert_eq!(all.len(), 3);
    let mut other =
        Script { session: Session::new(Form::Delta, None, Settings::default(), 8), ..delta() };
    other.put(CDS, "a", "1").publish().asks(CDS, &[]).gets(["CDS a=1"]);
    assert!(!all.contains(&nonce_of(&other, CDS)), "nonces of two streams must differ");
}

#[test]
fn rule_12_the_version_changes_whenever_the_view_does() {
    let mut s = sotw();
    s.put(CDS, "a", "1").put(CDS, "b", "1").publish().asks(CDS, &[]).takes(["CDS a=1 b=1"]);
    let first = s.last[&CDS].version;
    s.put(CDS, "a", "2").publish().takes(["CDS a=2 b=1"]);
    let second = s.last[&CDS].version;
    s.remove(CDS, "b").publish().takes(["CDS a=2"]);
    let third = s.last[&CDS].version;
    assert!(first != second && second != third && first != third);
}

#[test]
fn rule_12_a_view_that_lags_behind_has_another_version() {
    // The union of rule 56 and the trimmed set come from one snapshot and must not share a version.
    let mut s = sotw();
    s.cluster("x", "1").route("r", "1", &["x"]).publish();
    s.asks(CDS, &[]).takes(["CDS x=1"]);
    s.asks(RDS, &["r"]).takes(["RDS r=1"]);
    s.cluster("y", "1").remove(CDS, "x").route("r", "2", &["y"]).publish();
    s.takes(["CDS x=1 y=1"]);
    let union = s.last[&CDS].version;
    s.takes(["RDS r=2"]).takes(["CDS y=1"]);
    assert_ne!(union, s.last[&CDS].version);
}

#[test]
fn rule_13_versions_follow_content_alone() {
    let version = |names: &[&str]| {
        let mut s = sotw();
        for name in names {
            s.put(CDS, name, "1");
        }
        s.publish().asks(CDS, &[]);
        s.poll().unwrap().version
    };
    assert_eq!(version(&["a", "b"]), version(&["b", "a"]));
    assert_ne!(version(&["a", "b"]), version(&["a"]));
}

#[test]
fn rule_14_the_first_request_is_a_subscription_whatever_its_nonce() {
    for form in [Form::Sotw, Form::Delta] {
        let mut s = script(form);
        s.put(CDS, "a", "1").publish();
        s.send(Ask { url: CDS.url(), nonce: "AAAAAAAAAAB".into(), ..Ask::default() }).unwrap();
        s.gets(["CDS a=1"]);
        // Nor is a stream ended over a nonce that nobody gave out.
        s.send(Ask { url: CDS.url(), nonce: "?".into(), ..Ask::default() }).unwrap();
        s.acks(CDS).gets([]);
    }
}

#[test]
fn rule_79_without_a_snapshot_nothing_is_answered_and_nothing_is_lost() {
    for form in [Form::Sotw, Form::Delta] {
        let mut s = script(form);
        s.asks(CDS, &[]).asks(EDS, &["a"]).asks(LDS, &[]).gets([]);
        assert_eq!(s.session.next_deadline(), None);
        s.cluster("a", "1").publish().gets(["CDS a=1", "EDS a=1", "LDS"]);
    }
}
