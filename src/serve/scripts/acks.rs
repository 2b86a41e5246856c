//! Rules 35 to 43: ACK and NACK.

use super::*;

#[test]
fn rule_43_a_nack_that_comes_after_a_newer_response_still_counts() {
    let mut s = delta();
    s.put(CDS, "a", "1").publish().asks(CDS, &[]).takes(["CDS a=1"]);
    s.remove(CDS, "a").put(CDS, "b", "1").publish().gets(["CDS b=1 -a"]);
    let nonce = nonce_of(&s, CDS).to_string();
    // No answer in time, so the next change goes out.
    s.put(CDS, "c", "1").after(10).publish().gets(["CDS c=1"]);
    let late = Ask { url: CDS.url(), nonce, error: Some("no".into()), ..Ask::default() };
    let heard = s.send(late.clone()).unwrap();
    assert_eq!(heard.nacked.unwrap().names, ["b".into(), "a".into()]);
    s.acks(CDS).gets([]);
    s.put(CDS, "b", "2").publish().takes(["CDS b=2 -a"]);
    // And once only.
    assert_eq!(s.send(late).unwrap().nacked, None);
    s.gets([]);
}

#[test]
fn rule_35_a_nack_is_known_by_its_error_alone() {
    let mut s = sotw();
    s.put(CDS, "a", "1").put(CDS, "b", "1").publish().asks(CDS, &[]).gets(["CDS a=1 b=1"]);
    let version = s.last[&CDS].version;
    let heard = s.answer(CDS, Some("bad".to_owned()));
    let nacked = heard.nacked.unwrap();
    assert_eq!((nacked.kind, nacked.version, nacked.error.as_str()), (CDS, version, "bad"));
    assert_eq!(nacked.names, [Arc::from("a"), Arc::from("b")]);
    assert_eq!(heard.acked, None);
}

#[test]
fn rule_36_rejected_content_is_not_sent_again_until_it_changes() {
    for form in [Form::Sotw, Form::Delta] {
        let mut s = script(form);
        s.put(CDS, "a", "1").publish().asks(CDS, &[]).takes(["CDS a=1"]);
        s.put(CDS, "a", "2").publish().gets(["CDS a=2"]).nacks(CDS).gets([]);
        s.publish().after(100).gets([]);
        assert_eq!(s.session.next_deadline(), None, "no timer runs for a client that rejects");
        s.put(CDS, "a", "3").publish().takes(["CDS a=3"]);
    }
}

#[test]
fn rule_36_going_back_to_what_the_client_had_is_sent() {
    // It may have taken part of the rejected response (rule 39).
    for form in [Form::Sotw, Form::Delta] {
        let mut s = script(form);
        s.put(CDS, "a", "1").publish().asks(CDS, &[]).takes(["CDS a=1"]);
        s.put(CDS, "a", "2").publish().gets(["CDS a=2"]).nacks(CDS);
        s.put(CDS, "a", "1").publish().takes(["CDS a=1"]).gets([]);
    }
}

#[test]
fn rule_37_a_nack_does_not_hold_up_other_types() {
    for form in [Form::Sotw, Form::Delta] {
        let mut s = script(form);
        s.cluster("a", "1").listener("l", "1", &["r"]).route("r", "1", &["a"]).publish();
        s.asks(CDS, &[]).asks(EDS, &["a"]).asks(LDS, &[]).asks(RDS, &["r"]);
        s.takes(["CDS a=1", "EDS a=1", "LDS l=1", "RDS r=1"]);
        s.cluster("a", "2").cluster("b", "1").publish();
        s.listener("l", "2", &["r"]).route("r", "2", &["a", "b"]).publish();
        s.gets(["CDS a=2 b=1", "EDS a=2", "LDS l=2"]);
        // The new cluster is refused: the route waits for it no longer.
        s.nacks(CDS).gets(["RDS r=2"]);
    }
}

#[test]
fn rule_38_names_on_a_nack_count() {
    for form in [Form::Sotw, Form::Delta] {
        let mut s = script(form);
        s.put(EDS, "a", "1").put(EDS, "b", "1").publish().asks(EDS, &["a"]).gets(["EDS a=1"]);
        let nonce = nonce_of(&s, EDS).to_string();
        let names = match form {
            Form::Sotw => vec!["a".into(), "b".into()],
            Form::Delta => vec!["b".into()],
        };
        s.send(Ask { url: EDS.url(), nonce, names, error: Some("no".into()), ..Ask::default() })
            .unwrap();
        s.gets(["EDS b=1"]);
    }
}

#[test]
fn rule_39_one_rejected_cluster_does_not_make_the_client_reject_the_next_response() {
    let mut s = sotw();
    s.put(CDS, "a", "1").put(CDS, "b", "1").publish().asks(CDS, &[]).takes(["CDS a=1 b=1"]);
    s.put(CDS, "a", "bad").publish().gets(["CDS a=bad b=1"]).nacks(CDS);
    // `a` is shown as the client had it.
    s.put(CDS, "b", "2").publish().takes(["CDS a=1 b=2"]);
    s.put(CDS, "a", "good").publish().takes(["CDS a=good b=2"]);
}

#[test]
fn rule_39_what_was_rejected_at_first_is_not_deleted_by_leaving_it_out() {
    let mut s = sotw();
    s.put(CDS, "a", "1")
        .put(CDS, "b", "1")
        .publish()
        .asks(CDS, &[])
        .gets(["CDS a=1 b=1"])
        .nacks(CDS);
    s.put(CDS, "c", "1").publish().takes(["CDS a=1 b=1 c=1"]);
}

#[test]
fn rule_41_a_type_that_is_never_answered_goes_on_after_the_limit() {
    for form in [Form::Sotw, Form::Delta] {
        let mut s = script(form);
        s.put(RDS, "r", "1").publish().asks(RDS, &["r"]).gets(["RDS r=1"]);
        s.put(RDS, "r", "2").publish().gets([]);
        assert_eq!(s.session.next_deadline(), Some(s.now + Settings::default().ack_limit));
        s.after(10).gets(["RDS r=2"]);
    }
}

#[test]
fn rule_41_new_nonce_with_an_old_version_and_no_error_is_an_ack() {
    let mut s = sotw();
    s.put(EDS, "a", "1").publish().asks(EDS, &["a"]).gets(["EDS a=1"]);
    let nonce = nonce_of(&s, EDS).to_string();
    let heard =
        s.send(Ask { url: EDS.url(), nonce, names: vec!["a".into()], ..Ask::default() }).unwrap();
    assert!(heard.acked.is_some());
    s.put(EDS, "a", "2").publish().gets(["EDS a=2"]);
}

#[test]
fn rule_42_what_was_answered_is_reported_with_version_and_time() {
    let mut s = delta();
    s.put(CDS, "a", "1").publish().asks(CDS, &[]).gets(["CDS a=1"]);
    let first = s.answer(CDS, None).acked.unwrap();
    assert_eq!((first.kind, first.version, first.took), (CDS, s.last[&CDS].version, None));
    s.put(CDS, "a", "2").publish().after(2).gets(["CDS a=2"]).after(1);
    assert_eq!(s.answer(CDS, None).acked.unwrap().took, Some(Duration::from_secs(3)));
}

#[test]
fn rule_42_an_endless_error_text_is_cut() {
    let mut s = delta();
    s.put(CDS, "a", "1").publish().asks(CDS, &[]).gets(["CDS a=1"]);
    let error = "ä".repeat(100_000);
    let nacked = s.answer(CDS, Some(error)).nacked.unwrap();
    assert!(nacked.error.len() <= crate::session::MAX_ERROR_TEXT && nacked.error.starts_with('ä'));
}

#[test]
fn rule_43_names_rejected_together_return_together_and_alone() {
    let mut s = delta();
    s.put(CDS, "a", "1")
        .put(CDS, "b", "1")
        .put(CDS, "c", "1")
        .publish()
        .asks(CDS, &[])
        .takes(["CDS a=1 b=1 c=1"]);
    s.put(CDS, "a", "bad").put(CDS, "b", "2").publish().gets(["CDS a=bad b=2"]).nacks(CDS).gets([]);
    // Another name does not bring them along.
    s.put(CDS, "c", "2").publish().takes(["CDS c=2"]);
    s.put(CDS, "a", "good").put(CDS, "c", "3").publish();
    s.takes(["CDS c=3"]).takes(["CDS a=good b=2"]).gets([]);
}

#[test]
fn rule_43_a_rejected_removal_is_tried_again_with_the_next_change() {
    let mut s = delta();
    s.put(CDS, "a", "1").put(CDS, "b", "1").publish().asks(CDS, &[]).takes(["CDS a=1 b=1"]);
    s.put(CDS, "a", "bad").remove(CDS, "b").publish().gets(["CDS a=bad -b"]).nacks(CDS).gets([]);
    s.put(CDS, "a", "good").publish().takes(["CDS a=good -b"]);
}

#[test]
fn rule_43_a_rejected_removal_is_not_to_blame_and_rides_on_whatever_comes_next() {
    for form in [Form::Sotw, Form::Delta] {
        let mut s = script(form);
        s.put(CDS, "a", "1")
            .put(CDS, "b", "1")
            .put(CDS, "c", "1")
            .publish()
            .asks(CDS, &[])
            .takes(["CDS a=1 b=1 c=1"]);
        s.put(CDS, "a", "bad").remove(CDS, "b").publish();
        s.gets([if form == Form::Sotw { "CDS a=bad c=1" } else { "CDS a=bad -b" }])
            .nacks(CDS)
            .gets([]);
        s.put(CDS, "c", "2").publish().takes([if form == Form::Sotw {
            "CDS a=1 c=2"
        } else {
            "CDS c=2 -b"
        }]);
    }
}

#[test]
fn rule_43_a_client_that_rejects_everything_gets_one_response_a_change() {
    for form in [Form::Sotw, Form::Delta] {
        let mut s = script(form);
        s.put(CDS, "a", "0").publish().asks(CDS, &[]).gets(["CDS a=0"]).nacks(CDS);
        for i in 1..20 {
            s.put(CDS, "a", &i.to_string()).publish();
            s.gets([format!("CDS a={i}").as_str()]).nacks(CDS).gets([]);
        }
    }
}

#[test]
fn rule_43_asking_by_name_ends_the_silence() {
    let mut s = delta();
    s.put(EDS, "a", "1").publish().asks(EDS, &["a"]).gets(["EDS a=1"]).nacks(EDS).gets([]);
    s.asks(EDS, &["a"]).takes(["EDS a=1"]);
}

/// Found by the fuzzer: what had to wait while its batch was tried again was never sent.
#[test]
fn rule_43_56_a_refused_removal_that_must_wait_goes_later_by_itself() {
    for (mut s, retry, rest) in [(sotw(), "CDS c=1 d=2", "CDS d=2"), (delta(), "CDS d=2", "CDS -c")]
    {
        s.put(CDS, "c", "1")
            .publish()
            .asks(CDS, &[])
            .takes(["CDS c=1"])
            .asks(LDS, &[])
            .takes(["LDS"]);
        // The new listener names the cluster that goes, and the client may have it although it refuses it.
        s.remove(CDS, "c").put(CDS, "d", "1").put_with(LDS, "l", "1", &[(CDS, "c")]).publish();
        let first = if s.form == Form::Sotw { "CDS d=1" } else { "CDS d=1 -c" };
        s.gets([first, "LDS l=1"]).nacks(LDS).nacks(CDS).gets([]);
        s.put(CDS, "d", "2").publish().takes([retry]);
        s.after(60).gets([]);
        s.put(LDS, "l", "2").publish().takes(["LDS l=2"]).takes([rest]);
    }
}

/// Found by the fuzzer, likewise.
#[test]
fn rule_43_80_a_batch_that_is_cut_when_it_is_tried_again_goes_on() {
    let settings = Settings { max_response: 250, ..Settings::default() };
    let mut s = delta().with_settings(settings);
    s.put(EDS, "a", "1").put(EDS, "b", "1").put(EDS, "c", "1").publish();
    s.asks(EDS, &["a", "b", "c"]).gets(["EDS a=1 b=1"]).nacks(EDS).gets(["EDS c=1"]).acks(EDS);
    let long = "x".repeat(100);
    s.put(EDS, "a", &long).publish().takes([&*format!("EDS a={long}")]).takes(["EDS b=1"]);
}

/// Found by the fuzzer: two batches, of which the first has ended without a word.
#[test]
fn rule_43_a_batch_of_which_there_is_nothing_to_say_does_not_keep_back_the_next() {
    let mut s = delta();
    s.put(SDS, "a", "1").publish().asks(SDS, &["a", "c"]).gets(["SDS a=1 -c"]).nacks(SDS).gets([]);
    s.asks(SDS, &["b"]).gets(["SDS -b"]).acks(SDS);
    s.put(SDS, "b", "1").publish().gets(["SDS b=1"]).nacks(SDS).gets([]);
    // That a secret is gone is not said (rule 59).
    s.remove(SDS, "a").put(SDS, "b", "2").publish().takes(["SDS b=2"]);
}
