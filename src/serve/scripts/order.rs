//! Rules 55 to 60: make before break.

use super::*;

/// A gateway with one route to one cluster, all of it ACKed.
fn running(form: Form) -> Script {
    let mut s = script(form);
    s.cluster("x", "1").listener("l", "1", &["r"]).route("r", "1", &["x"]).publish();
    s.asks(CDS, &[]).takes(["CDS x=1"]);
    s.asks(EDS, &["x"]).takes(["EDS x=1"]);
    s.asks(LDS, &[]).takes(["LDS l=1"]);
    s.asks(RDS, &["r"]).takes(["RDS r=1"]);
    s
}

#[test]
fn rule_55_types_go_out_in_order_whatever_the_order_of_asking() {
    for form in [Form::Sotw, Form::Delta] {
        let mut s = script(form);
        s.cluster("x", "1")
            .listener("l", "1", &["r"])
            .route("r", "1", &["x"])
            .put(SDS, "s", "1")
            .publish();
        s.asks(SDS, &["s"]).asks(RDS, &["r"]).asks(LDS, &[]).asks(EDS, &["x"]).asks(CDS, &[]);
        s.takes(["CDS x=1", "EDS x=1", "LDS l=1", "RDS r=1", "SDS s=1"]);
    }
}

#[test]
fn rule_56_moving_a_route_in_delta() {
    let mut s = running(Form::Delta);
    s.cluster("y", "1").remove(CDS, "x").remove(EDS, "x").route("r", "2", &["y"]).publish();
    s.gets(["CDS y=1"]);
    // Envoy asks for the assignments before it ACKs the cluster.
    s.asks(EDS, &["y"]).gets(["EDS y=1"]);
    s.acks(CDS).gets([]);
    s.acks(EDS).gets(["RDS r=2"]);
    s.gets([]).acks(RDS).takes(["CDS -x"]);
    s.drops(EDS, &["x"]).gets([]);
}

#[test]
fn rule_56_moving_a_route_in_state_of_the_world() {
    let mut s = running(Form::Sotw);
    s.cluster("y", "1").remove(CDS, "x").remove(EDS, "x").route("r", "2", &["y"]).publish();
    s.gets(["CDS x=1 y=1"]);
    s.asks(EDS, &["x", "y"]).gets(["EDS y=1"]);
    s.acks(CDS).gets([]);
    s.acks(EDS).gets(["RDS r=2"]);
    s.acks(RDS).takes(["CDS y=1"]);
}

#[test]
fn rule_56_a_cluster_stays_while_the_route_that_dropped_it_is_rejected() {
    for form in [Form::Sotw, Form::Delta] {
        let mut s = running(form);
        s.remove(CDS, "x").route("r", "2", &[]).publish();
        s.gets(["RDS r=2"]).nacks(RDS).gets([]);
        // However long: the client is known to go on with the old route.
        s.after(1000).gets([]);
        s.route("r", "3", &[]).publish().takes(["RDS r=3"]);
        s.takes([if form == Form::Sotw { "CDS" } else { "CDS -x" }]);
    }
}

#[test]
fn rule_56_a_cluster_goes_after_a_time_though_the_route_is_never_acked() {
    let mut s = running(Form::Delta);
    s.remove(CDS, "x").route("r", "2", &[]).publish().gets(["RDS r=2"]);
    s.after(9).gets([]);
    assert!(s.session.next_deadline().is_some());
    s.after(1).gets(["CDS -x"]);
}

#[test]
fn rule_56_a_cluster_that_nothing_names_goes_at_once() {
    let mut s = running(Form::Delta);
    s.cluster("free", "1").publish().takes(["CDS free=1"]);
    s.remove(CDS, "free")
        .remove(EDS, "free")
        .route("r", "2", &["x"])
        .publish()
        .takes(["CDS -free", "RDS r=2"]);
}

#[test]
fn rule_56_a_listener_that_named_a_cluster_is_broken_first() {
    let mut s = running(Form::Delta);
    s.cluster("tcp", "1").publish().takes(["CDS tcp=1"]);
    s.asks(EDS, &["tcp"]).takes(["EDS tcp=1"]);
    s.put_with(LDS, "t", "1", &[(CDS, "tcp")]).publish().takes(["LDS t=1"]);
    s.remove(LDS, "t").remove(CDS, "tcp").publish().gets(["LDS -t"]);
    s.acks(LDS).takes(["CDS -tcp"]);
}

#[test]
fn rule_56_a_cluster_that_returns_before_it_went_is_not_touched() {
    let mut s = running(Form::Delta);
    s.remove(CDS, "x").route("r", "2", &[]).publish().gets(["RDS r=2"]);
    s.put_with(CDS, "x", "1", &[(EDS, "x")]).route("r", "3", &["x"]).publish();
    s.acks(RDS).takes(["RDS r=3"]).gets([]);
}

#[test]
fn rule_56_reconnect_does_not_break_what_an_old_route_may_use() {
    let mut s = delta();
    s.cluster("y", "1").route("r", "2", &["y"]).publish();
    s.resumes(CDS, &[], &[("x", "1")]).resumes(RDS, &["r"], &[("r", "1")]);
    s.takes(["CDS y=1"]);
    s.takes(["RDS r=2"]);
    s.takes(["CDS -x"]);
}

#[test]
fn rule_57_assignments_and_secrets_do_not_wait_for_the_cluster_ack() {
    for form in [Form::Sotw, Form::Delta] {
        let mut s = running(form);
        s.asks(SDS, &["s"]).gets(if form == Form::Sotw { vec![] } else { vec!["SDS -s"] });
        if form == Form::Delta {
            s.acks(SDS);
        }
        s.cluster("x", "2").put(SDS, "s", "1").publish();
        s.gets(vec!["CDS x=2", "EDS x=2", "SDS s=1"]);
        s.acks(EDS).put(EDS, "x", "3").publish().gets(vec!["EDS x=3"]);
    }
}

#[test]
fn rule_58_a_route_waits_for_a_new_cluster_and_its_assignments() {
    let mut s = running(Form::Delta);
    s.cluster("y", "1").route("r", "2", &["x", "y"]).listener("l", "2", &["r"]).publish();
    // The listener does not name the cluster and does not wait.
    s.gets(["CDS y=1", "LDS l=2"]);
    s.acks(CDS).acks(LDS).gets([]);
    s.asks(EDS, &["y"]).gets(["EDS y=1"]);
    s.acks(EDS).gets(["RDS r=2"]);
}

#[test]
fn rule_55_a_listener_with_a_new_table_waits_for_the_clusters_behind_it() {
    let mut s = running(Form::Delta);
    s.cluster("y", "1")
        .route("q", "1", &["y"])
        .listener("m", "1", &["q"])
        .publish()
        .gets(["CDS y=1"]);
    s.acks(CDS).gets([]);
    s.asks(EDS, &["y"]).gets(["EDS y=1"]);
    s.acks(EDS).gets(["LDS m=1"]);
}

#[test]
fn rule_58_a_route_does_not_wait_for_ever() {
    let mut s = running(Form::Delta);
    s.cluster("y", "1").route("r", "2", &["x", "y"]).publish().gets(["CDS y=1"]);
    s.after(14).gets([]);
    s.after(1).gets(["RDS r=2"]);
}

#[test]
fn rule_58_other_routes_do_not_wait() {
    let mut s = running(Form::Delta);
    s.route("q", "1", &["x"]).publish().asks(RDS, &["q"]).takes(["RDS q=1"]);
    s.cluster("y", "1").route("r", "2", &["y"]).route("q", "2", &["x"]).publish();
    s.gets(["CDS y=1", "RDS q=2"]);
}

#[test]
fn rule_58_a_route_does_not_overtake_a_cluster_that_cannot_be_sent_yet() {
    let mut s = running(Form::Delta);
    s.cluster("x", "2").publish().gets(["CDS x=2", "EDS x=2"]);
    s.acks(EDS);
    // CDS is outstanding, so y has to wait, and the route with it.
    s.cluster("y", "1").route("r", "2", &["y"]).publish().gets([]);
    s.acks(CDS).gets(["CDS y=1"]);
    s.acks(CDS).asks(EDS, &["y"]).takes(["EDS y=1"]);
    s.takes(["RDS r=2"]);
}

#[test]
fn rule_58_a_client_that_asks_for_clusters_by_name_gets_the_route_first() {
    // gRPC learns the name from the route: waiting for the cluster would wait for ever.
    let mut s = sotw();
    s.cluster("x", "1").listener("l", "1", &["r"]).route("r", "1", &["x"]).publish();
    s.asks(LDS, &["l"]).takes(["LDS l=1"]);
    s.asks(RDS, &["r"]).takes(["RDS r=1"]);
    s.asks(CDS, &["x"]).takes(["CDS x=1"]);
    s.asks(EDS, &["x"]).takes(["EDS x=1"]);
    s.cluster("y", "1").remove(CDS, "x").route("r", "2", &["y"]).publish();
    s.takes(["RDS r=2"]);
    s.takes(["CDS"]);
    s.asks(CDS, &["y"]).takes(["CDS y=1"]);
}

#[test]
fn rule_58_a_client_that_names_clusters_is_not_waited_for_if_it_takes_no_assignments() {
    let mut s = sotw();
    s.cluster("x", "1").cluster("y", "1").listener("l", "1", &["r"]).route("r", "1", &["x", "y"]);
    s.publish();
    s.asks(LDS, &["l"]).takes(["LDS l=1"]);
    s.asks(RDS, &["r"]).takes(["RDS r=1"]);
    s.asks(CDS, &["x"]).takes(["CDS x=1"]);
    s.asks(EDS, &["x"]).takes(["EDS x=1"]);
    s.asks(CDS, &["x", "y"]).gets(["CDS x=1 y=1"]);
    // A cluster that it has not confirmed is still waited for: a NACK may follow.
    s.route("r", "2", &["x", "y"]).listener("l", "2", &["r"]).publish().gets(["LDS l=2"]);
    s.acks(CDS).acks(LDS).takes(["RDS r=2"]);
}

#[test]
fn rule_58_a_client_without_assignments_on_this_stream_is_not_waited_for() {
    let mut s = delta();
    s.cluster("x", "1").route("r", "1", &["x"]).publish();
    s.asks(CDS, &[]).asks(RDS, &["r"]).takes(["CDS x=1", "RDS r=1"]);
    s.cluster("y", "1").route("r", "2", &["y"]).publish().takes(["CDS y=1"]);
    s.takes(["RDS r=2"]);
}

#[test]
fn rule_60_single_type_streams_need_no_other_type() {
    let mut s = script_on(Form::Delta, Some(CDS));
    s.cluster("x", "1").route("r", "1", &["x"]).publish().asks(CDS, &[]).takes(["CDS x=1"]);
    s.remove(CDS, "x").publish().takes(["CDS -x"]);
    let mut s = script_on(Form::Delta, Some(RDS));
    s.cluster("x", "1").route("r", "1", &["x"]).publish().asks(RDS, &["r"]).takes(["RDS r=1"]);
}
