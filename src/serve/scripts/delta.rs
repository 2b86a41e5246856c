//! Rules 44 to 54: delta.

use super::*;

#[test]
fn rule_17_a_stale_nonce_does_not_lose_the_subscription() {
    let mut s = delta();
    s.put(CDS, "a", "1").put(EDS, "a", "1").put(EDS, "b", "1").publish();
    s.asks(EDS, &["a"]).takes(["EDS a=1"]);
    s.send(Ask {
        url: EDS.url(),
        nonce: "stale".into(),
        names: vec!["b".into()],
        ..Ask::default()
    })
    .unwrap();
    s.gets(["EDS b=1"]);
}

#[test]
fn rule_38_an_ack_that_subscribes_does_both() {
    let mut s = delta();
    s.put(EDS, "a", "1").put(EDS, "b", "1").publish();
    s.asks(EDS, &["a"]).gets(["EDS a=1"]);
    let nonce = nonce_of(&s, EDS).to_string();
    let heard =
        s.send(Ask { url: EDS.url(), nonce, names: vec!["b".into()], ..Ask::default() }).unwrap();
    assert!(heard.acked.is_some());
    s.gets(["EDS b=1"]);
}

#[test]
fn rule_44_an_empty_first_request_is_a_wildcard_that_survives_names() {
    let mut s = delta();
    s.put(CDS, "a", "1").put(CDS, "b", "1").publish().asks(CDS, &[]).takes(["CDS a=1 b=1"]);
    s.put(CDS, "a", "2").publish().takes(["CDS a=2"]);
    s.asks(CDS, &["a"]).takes(["CDS a=2"]);
    s.put(CDS, "b", "2").publish().takes(["CDS b=2"]);
    s.drops(CDS, &["*"]).gets([]);
    s.put(CDS, "b", "3").publish().gets([]);
    s.put(CDS, "a", "3").publish().takes(["CDS a=3"]);
    s.drops(CDS, &["a"]).asks(CDS, &[]).gets([]);
    s.put(CDS, "a", "4").publish().gets([]);
}

#[test]
fn rule_44_a_first_request_that_only_unsubscribes_is_read_as_a_wildcard() {
    let mut s = delta();
    s.put(CDS, "a", "1").publish().drops(CDS, &["x"]).gets(["CDS a=1"]);
    let mut s = delta();
    s.put(EDS, "a", "1").publish().drops(EDS, &["x"]).gets([]);
}

#[test]
fn rule_45_resubscribed_name_is_sent_again() {
    let mut s = delta();
    s.put(EDS, "a", "1").put(EDS, "b", "1").publish().asks(EDS, &["a", "b"]).takes(["EDS a=1 b=1"]);
    s.asks(EDS, &["a"]).takes(["EDS a=1"]);
    s.drops(EDS, &["a"]).asks(EDS, &["a"]).takes(["EDS a=1"]);
}

#[test]
fn rule_45_a_newly_subscribed_wildcard_is_sent_whole() {
    let mut s = delta();
    s.put(CDS, "a", "1").put(CDS, "b", "1").publish().asks(CDS, &["a"]).takes(["CDS a=1"]);
    s.asks(CDS, &["*"]).takes(["CDS a=1 b=1"]);
}

#[test]
fn rule_46_a_missing_name_is_answered_at_once_and_remembered() {
    for kind in ResourceType::ALL {
        let mut s = delta();
        let t = |rest: &str| format!("{}{rest}", kind.short());
        s.publish().asks(kind, &["z"]).takes([t(" -z").as_str()]);
        s.put(kind, "z", "1").publish().takes([t(" z=1").as_str()]);
    }
}

#[test]
fn rule_47_reconnect_sends_the_difference_only() {
    let mut s = delta();
    s.put(CDS, "a", "1").put(CDS, "b", "2").put(CDS, "d", "1").publish();
    s.resumes(CDS, &[], &[("a", "1"), ("b", "1"), ("c", "1")]).takes(["CDS b=2 d=1 -c"]);
    s.put(CDS, "a", "2").publish().takes(["CDS a=2"]);
}

#[test]
fn rule_47_reconnect_with_names_listed_and_versions_given() {
    let mut s = delta();
    s.put(EDS, "x", "1").put(EDS, "y", "1").put(EDS, "z", "2").publish();
    s.resumes(EDS, &["x", "y", "z", "gone"], &[("y", "1"), ("z", "1"), ("gone", "1")]);
    s.takes(["EDS x=1 z=2 -gone"]);
}

#[test]
fn rule_47_reconnect_after_on_demand_clusters() {
    let mut s = delta();
    s.put(CDS, "x", "1").put(CDS, "y", "1").publish();
    s.resumes(CDS, &["*", "x", "y"], &[("y", "1")]).takes(["CDS x=1"]);
}

#[test]
fn rule_47_versions_count_in_the_first_message_only() {
    let mut s = delta();
    s.put(CDS, "a", "1").publish().asks(CDS, &[]).takes(["CDS a=1"]);
    s.resumes(CDS, &["a"], &[("a", "1")]).takes(["CDS a=1"]);
}

#[test]
fn rule_47_a_client_that_brought_all_along_is_known_to_be_up_to_date() {
    let mut s = delta();
    s.put(CDS, "a", "1").put(EDS, "a", "1").put(EDS, "b", "1").publish();
    s.resumes(CDS, &[], &[("a", "1")]).resumes(EDS, &["a"], &[("a", "1")]);
    s.gets(["CDS"]).settles([EDS]).acks(CDS).gets([]).settles([CDS]).settles([]);
    // Nothing that it sees has changed, yet the set has another version.
    s.remove(EDS, "b").publish().gets([]).settles([EDS]);
    s.put(EDS, "a", "2").publish().gets(["EDS a=2"]).settles([]).acks(EDS).settles([EDS]);
    s.put(CDS, "a", "2").publish().gets(["CDS a=2"]).nacks(CDS).gets([]).settles([]);
}

#[test]
fn rule_47_versions_wait_for_the_first_snapshot() {
    let mut s = delta();
    s.resumes(CDS, &[], &[("a", "1"), ("b", "1")]).gets([]);
    s.put(CDS, "a", "1").publish().gets(["CDS -b"]);
}

#[test]
fn rule_47_a_version_that_this_server_never_made_is_not_trusted() {
    let mut s = delta();
    s.put(CDS, "a", "1").publish();
    let initial = [("a".to_owned(), "41".to_owned())].into();
    s.send(Ask { url: CDS.url(), initial, ..Ask::default() }).unwrap();
    s.gets(["CDS a=1"]);
}

#[test]
fn rule_48_unsubscribing() {
    let mut s = delta();
    s.put(EDS, "a", "1").publish().asks(EDS, &["a"]).takes(["EDS a=1"]);
    s.drops(EDS, &["never"]).gets([]);
    s.drops(EDS, &["a"]).gets([]);
    s.put(EDS, "a", "2").publish().gets([]);
}

#[test]
fn rule_48_unsubscribing_a_name_under_a_wildcard_is_answered() {
    let mut s = delta();
    s.put(CDS, "a", "1").publish().asks(CDS, &[]).takes(["CDS a=1"]);
    s.asks(CDS, &["a", "nowhere"]).takes(["CDS a=1 -nowhere"]);
    s.drops(CDS, &["a", "nowhere", "never"]).takes(["CDS a=1 -nowhere"]);
}

#[test]
fn rule_49_assignments_follow_every_change_of_their_cluster() {
    let mut s = delta();
    s.cluster("a", "1").cluster("b", "1").put(CDS, "static", "1").publish();
    s.asks(CDS, &[]).takes(["CDS a=1 b=1 static=1"]);
    s.asks(EDS, &["a", "b"]).takes(["EDS a=1 b=1"]);
    s.put_with(CDS, "a", "2", &[(EDS, "a")]).put(CDS, "static", "2").publish();
    s.takes(["CDS a=2 static=2", "EDS a=1"]);
}

#[test]
fn rule_49_assignments_follow_a_changed_cluster_on_a_new_stream() {
    // The cluster changed while the client was away. It says that its assignments are current, yet after the cluster it
    // will wait for them.
    let mut s = delta();
    s.cluster("a", "1").put_with(CDS, "a", "2", &[(EDS, "a")]).cluster("b", "1").publish();
    s.resumes(CDS, &[], &[("a", "1"), ("b", "1")]).takes(["CDS a=2"]);
    s.resumes(EDS, &["a", "b"], &[("a", "1"), ("b", "1")]).takes(["EDS a=1"]);

    let mut s = delta();
    s.cluster("a", "1").put_with(CDS, "a", "2", &[(EDS, "a")]).publish();
    s.resumes(EDS, &["a"], &[("a", "1")])
        .resumes(CDS, &[], &[("a", "1")])
        .takes(["CDS a=2", "EDS a=1"]);
}

#[test]
fn rule_49_a_route_table_that_a_listener_newly_names_is_sent_again() {
    let mut s = delta();
    s.listener("l", "1", &["r"]).route("r", "1", &[]).route("q", "1", &[]).publish();
    s.asks(LDS, &[]).asks(RDS, &["r", "q"]).takes(["LDS l=1", "RDS q=1 r=1"]);
    s.listener("l", "2", &["r"]).publish().takes(["LDS l=2"]);
    s.listener("l", "3", &["q"]).publish().takes(["LDS l=3", "RDS q=1"]);
}

#[test]
fn rule_50_changed_and_removed_before_anybody_looked_is_removed_once() {
    let mut s = delta();
    s.put(CDS, "a", "1").publish().asks(CDS, &[]).takes(["CDS a=1"]);
    s.put(CDS, "a", "2").publish().remove(CDS, "a").publish().takes(["CDS -a"]);
}

#[test]
fn rule_51_the_first_wildcard_request_is_answered_even_with_nothing() {
    for kind in [CDS, LDS] {
        let mut s = delta();
        s.publish().asks(kind, &[]).takes([kind.short()]);
    }
    let mut s = delta();
    s.put(CDS, "a", "1").publish().resumes(CDS, &[], &[("a", "1")]).takes(["CDS"]);
}

#[test]
fn rule_52_a_removed_name_is_not_held_and_comes_back_as_new() {
    let mut s = delta();
    s.put(CDS, "a", "1").publish().asks(CDS, &[]).takes(["CDS a=1"]);
    s.remove(CDS, "a").publish().takes(["CDS -a"]);
    s.put(CDS, "a", "1").publish().takes(["CDS a=1"]);
    // What came and went unseen was never held: no removal.
    s.put(CDS, "b", "1").publish().remove(CDS, "b").publish().gets([]);
}

#[test]
fn rule_53_names_on_a_wildcard_reconnect_of_old_clients_mean_just_these() {
    let mut s = delta();
    s.put(CDS, "a", "1").put(CDS, "b", "1").publish();
    s.resumes(CDS, &["a"], &[("a", "1")]).gets([]);
    s.put(CDS, "b", "2").publish().gets([]);
}

#[test]
fn rule_54_removals_come_from_the_whole_set() {
    let mut s = delta();
    s.put(EDS, "a", "1").put(EDS, "b", "1").publish().asks(EDS, &["a", "b"]).takes(["EDS a=1 b=1"]);
    s.put(EDS, "a", "2").publish().takes(["EDS a=2"]);
    s.publish().gets([]);
}

#[test]
fn rule_59_the_end_of_a_parent_does_not_remove_its_children() {
    for kind in [EDS, SDS, ECDS] {
        let mut s = delta();
        s.put(kind, "a", "1").publish().asks(kind, &["a"]);
        let t = |rest: &str| format!("{}{rest}", kind.short());
        s.takes([t(" a=1").as_str()]);
        s.remove(kind, "a").publish().gets([]);
        s.put(kind, "a", "1").publish().takes([t(" a=1").as_str()]);
        // Whoever asks is told (46).
        s.remove(kind, "a").publish().asks(kind, &["a"]).takes([t(" -a").as_str()]);
    }
}
