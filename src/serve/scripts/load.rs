//! Rules 71, 72 and 80: slow clients and large answers.

use super::*;

#[test]
fn rule_71_many_changes_during_a_stall_are_one_response() {
    for form in [Form::Sotw, Form::Delta] {
        let mut s = script(form);
        s.cluster("a", "0").cluster("b", "0").publish();
        s.asks(CDS, &[]).asks(EDS, &["a", "b"]).takes(["CDS a=0 b=0", "EDS a=0 b=0"]);
        // Nobody polls: the client does not read.
        for i in 1..=1000 {
            s.put(EDS, "a", &i.to_string()).publish();
        }
        s.takes(["EDS a=1000"]).gets([]);
    }
}

#[test]
fn rule_72_one_response_is_outstanding_and_changes_merge_until_its_ack() {
    for form in [Form::Sotw, Form::Delta] {
        let mut s = script(form);
        s.cluster("a", "0").cluster("b", "0").publish();
        s.asks(CDS, &[]).asks(EDS, &["a", "b"]).takes(["CDS a=0 b=0", "EDS a=0 b=0"]);
        s.put(EDS, "a", "1").publish().gets(["EDS a=1"]);
        for i in 2..=100 {
            s.put(EDS, "a", &i.to_string()).put(EDS, "b", &i.to_string()).publish().gets([]);
        }
        s.acks(EDS).takes(["EDS a=100 b=100"]).gets([]);
    }
}

#[test]
fn rule_72_types_do_not_wait_for_each_others_acks() {
    let mut s = delta();
    s.cluster("a", "0").listener("l", "0", &[]).publish();
    s.asks(CDS, &[]).asks(EDS, &["a"]).asks(LDS, &[]).gets(["CDS a=0", "EDS a=0", "LDS l=0"]);
    s.acks(EDS).acks(LDS);
    s.put(EDS, "a", "1").listener("l", "1", &[]).publish().gets(["EDS a=1", "LDS l=1"]);
}

#[test]
fn rule_72_an_ack_after_the_limit_still_counts() {
    let mut s = delta();
    s.put(CDS, "a", "0").publish().asks(CDS, &[]).gets(["CDS a=0"]).after(60);
    assert!(s.answer(CDS, None).acked.is_some());
    assert_eq!(s.session.next_deadline(), None);
}

#[test]
fn rule_80_a_large_delta_answer_is_split_and_the_rest_follows_the_ack() {
    let settings = Settings { max_response: 250, ..Settings::default() };
    let mut s = Script { session: Session::new(Form::Delta, None, settings, 1), ..delta() };
    for name in ["a", "b", "c", "d", "e"] {
        s.put(CDS, name, "1");
    }
    s.publish().asks(CDS, &[]).gets(["CDS a=1 b=1 c=1"]);
    let first = s.last[&CDS].clone();
    s.acks(CDS).takes(["CDS d=1 e=1"]);
    assert_ne!(first.nonce, s.last[&CDS].nonce);
    assert_ne!(first.version, s.last[&CDS].version);
}
