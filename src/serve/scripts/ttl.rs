//! Rules 61 to 63, and 18: resources that the client forgets unless it hears of them again.

use super::*;
use crate::Ttls;
use envoy_types::pb::google::protobuf::Any;

const TTL: &str = "xds.config.supports-resource-ttl";
const WRAPPER: &str = "xds.config.resource-in-sotw";

fn timed(kind: ResourceType, name: &str, body: &str, seconds: u64) -> Resource {
    resource(kind, name, body, &[]).with_ttl(Duration::from_secs(seconds))
}

/// The resources as they are on the wire: `name=body@seconds`, or `name@seconds` without a body, with `!` where the
/// version is not the snapshot's, or just `body` where state of the world has no wrapper.
fn wire(s: &Script, response: &Response) -> Vec<String> {
    let mut raw = response.head("").to_vec();
    response.resources.iter().for_each(|r| raw.extend_from_slice(response.part(r)));
    let wrapped = |r: pb::Resource| {
        let mut text = r.name.clone();
        if let Some(body) = &r.resource {
            text += &format!("={}", String::from_utf8_lossy(&body.value));
        }
        if let Some(ttl) = r.ttl {
            text += &format!("@{}", ttl.seconds);
        }
        let version = s.world.get(response.kind, &r.name).unwrap().version().to_string();
        if version == r.version { text } else { text + "!" }
    };
    let bare = |any: Any| match any.type_url == response.kind.url() {
        true => String::from_utf8(any.value).unwrap(),
        false => wrapped(pb::Resource::decode(&any.value[..]).unwrap()),
    };
    match response.form {
        Form::Sotw => {
            let got = pb::DiscoveryResponse::decode(&raw[..]).unwrap();
            got.resources.into_iter().map(bare).collect()
        }
        Form::Delta => {
            let got = pb::DeltaDiscoveryResponse::decode(&raw[..]).unwrap();
            got.resources.into_iter().map(wrapped).collect()
        }
    }
}

impl Script {
    #[track_caller]
    fn hears<'a>(&mut self, want: impl IntoIterator<Item = &'a str>) -> &mut Self {
        let response = self.poll().unwrap();
        assert_eq!(wire(self, &response), want.into_iter().collect::<Vec<_>>());
        self
    }

    fn put_timed(&mut self, kind: ResourceType, name: &str, body: &str, ttl: u64) -> &mut Self {
        self.world.insert(timed(kind, name, body, ttl));
        self
    }
}

#[test]
fn rule_61_only_clients_that_say_so_are_told() {
    let want = |form, features: &[&str], ttls, want: &str| {
        let mut s =
            script(form).knowing(features).with_settings(Settings { ttls, ..Settings::default() });
        s.put_timed(EDS, "a", "1", 9).publish().asks(EDS, &["a"]).hears([want]);
    };
    want(Form::Delta, &[], Ttls::ByFeature, "a=1");
    want(Form::Delta, &[TTL], Ttls::ByFeature, "a=1@9");
    want(Form::Delta, &[TTL], Ttls::Never, "a=1");
    want(Form::Delta, &[], Ttls::Always, "a=1@9");
    want(Form::Sotw, &[], Ttls::ByFeature, "1");
    want(Form::Sotw, &[TTL], Ttls::ByFeature, "1");
    want(Form::Sotw, &[WRAPPER], Ttls::ByFeature, "1");
    want(Form::Sotw, &[TTL, WRAPPER], Ttls::ByFeature, "a=1@9");
    want(Form::Sotw, &[TTL, "supports-resource-in-sotw"], Ttls::ByFeature, "a=1@9");
    want(Form::Sotw, &[], Ttls::Always, "a=1@9");
}

#[test]
fn rule_61_a_node_overrides_the_server() {
    let node = |told: bool| crate::Node {
        metadata: [("ISTHMUS_RESOURCE_TTL".to_owned(), told.into())].into_iter().collect(),
        ..crate::Node::default()
    };
    let settings = |ttls| Settings { ttls, ..Settings::default() };
    assert!(crate::ttl::told(Form::Sotw, &settings(Ttls::ByFeature), &node(true)));
    assert!(!crate::ttl::told(Form::Delta, &settings(Ttls::Always), &node(false)));
}

#[test]
fn rule_62_heartbeats_go_out_at_a_third_of_the_ttl() {
    let mut s = delta().knowing(&[TTL]);
    s.put_timed(EDS, "a", "1", 9).put(EDS, "b", "1").publish().asks(EDS, &["a", "b"]);
    s.hears(["a=1@9", "b=1"]).acks(EDS).gets([]);
    assert_eq!(s.session.next_deadline(), Some(s.now + Duration::from_secs(3)));
    s.after(2).gets([]).after(1).hears(["a@9"]).gets([]).acks(EDS);
    assert_eq!(s.session.next_deadline(), Some(s.now + Duration::from_secs(3)));
    for _ in 0..5 {
        s.after(3).hears(["a@9"]).acks(EDS).gets([]);
    }
}

#[test]
fn rule_62_a_client_without_ttls_hears_nothing() {
    let mut s = delta();
    s.put_timed(EDS, "a", "1", 9).publish().asks(EDS, &["a"]).takes(["EDS a=1"]);
    s.after(60).gets([]);
    assert_eq!(s.session.next_deadline(), None);
}

#[test]
fn rule_62_a_heartbeat_is_no_change_and_settles_nothing_anew() {
    let mut s = delta().knowing(&[TTL]);
    s.put_timed(EDS, "a", "1", 9).publish().asks(EDS, &["a"]);
    s.hears(["a=1@9"]).acks(EDS).gets([]).settles([EDS]);
    s.after(3).hears(["a@9"]).settles([]).acks(EDS).gets([]).settles([]);
}

#[test]
fn rule_62_state_of_the_world_heartbeats_carry_the_version_of_the_last_response() {
    let mut s = sotw().knowing(&[TTL, WRAPPER]);
    s.put_timed(EDS, "a", "1", 9).put(EDS, "b", "1").publish().asks(EDS, &["a", "b"]);
    s.hears(["a=1@9", "1"]).acks(EDS).gets([]);
    let version = s.last[&EDS].version;
    s.after(3).hears(["a@9!"]);
    let beat = &s.last[&EDS];
    assert_eq!((beat.version, beat.resources[0].version()), (version, version));
}

#[test]
fn rule_62_where_absence_means_deletion_the_heartbeat_is_the_whole_answer() {
    let mut s = sotw().knowing(&[TTL, WRAPPER]);
    s.put_timed(CDS, "a", "1", 9).put(CDS, "b", "1").publish().asks(CDS, &[]);
    s.hears(["a=1@9", "1"]).acks(CDS).gets([]).settles([CDS]);
    let version = s.last[&CDS].version;
    s.after(3).hears(["a=1@9", "1"]).acks(CDS).gets([]).settles([]);
    assert_eq!(s.last[&CDS].version, version);
    s.after(3).hears(["a=1@9", "1"]);
}

#[test]
fn rule_62_a_resend_without_a_ttl_ends_it() {
    let mut s = delta().knowing(&[TTL]);
    s.put_timed(EDS, "a", "1", 9).publish().asks(EDS, &["a"]).hears(["a=1@9"]).acks(EDS);
    s.put(EDS, "a", "1").publish().hears(["a=1"]).acks(EDS).gets([]);
    s.after(60).gets([]);
    assert_eq!(s.session.next_deadline(), None);
}

#[test]
fn rule_62_what_is_gone_or_no_longer_wanted_is_not_kept_alive() {
    let mut s = delta().knowing(&[TTL]);
    s.put_timed(CDS, "a", "1", 9).publish().asks(CDS, &[]).hears(["a=1@9"]).acks(CDS);
    s.remove(CDS, "a").publish().takes(["CDS -a"]).after(60).gets([]);
    let mut s = delta().knowing(&[TTL]);
    s.put_timed(EDS, "a", "1", 9).publish().asks(EDS, &["a"]).hears(["a=1@9"]).acks(EDS);
    s.drops(EDS, &["a"]).after(60).gets([]);
}

#[test]
fn rule_62_never_for_virtual_hosts() {
    let mut s = delta().knowing(&[TTL]);
    s.put_timed(ResourceType::VirtualHost, "t/a", "1", 9).publish();
    s.asks(ResourceType::VirtualHost, &[]).hears(["t/a=1@9"]).acks(ResourceType::VirtualHost);
    s.after(60).gets([]);
}

#[test]
fn rule_62_a_rejected_change_leaves_the_old_one_alive() {
    let mut s = delta().knowing(&[TTL]);
    s.put_timed(EDS, "a", "1", 9).publish().asks(EDS, &["a"]).hears(["a=1@9"]).acks(EDS);
    let old = s.last[&EDS].resources[0].version();
    s.put_timed(EDS, "a", "2", 9).publish().hears(["a=2@9"]).nacks(EDS).gets([]);
    s.after(3).hears(["a@9!"]);
    assert_eq!(s.last[&EDS].resources[0].version(), old);
}

#[test]
fn rule_63_a_client_that_answered_too_late_is_sent_the_whole_resource() {
    let mut s = delta().knowing(&[TTL]);
    s.put_timed(EDS, "a", "1", 9).publish().asks(EDS, &["a"]).hears(["a=1@9"]).acks(EDS);
    // The heartbeat lies unread until after the resource has expired.
    s.after(3).hears(["a@9"]).after(7).gets([]).acks(EDS).hears(["a=1@9"]).acks(EDS).gets([]);
    s.after(3).hears(["a@9"]);
}

#[test]
fn rule_63_a_client_that_did_not_read_is_sent_the_whole_resource() {
    let mut s = delta().knowing(&[TTL]);
    s.put_timed(EDS, "a", "1", 9).publish().asks(EDS, &["a"]).hears(["a=1@9"]).acks(EDS);
    s.after(30).hears(["a=1@9"]).acks(EDS).gets([]);
    s.after(3).hears(["a@9"]);
}

#[test]
fn rule_63_a_rejected_heartbeat_is_followed_by_the_whole_resource_once() {
    let mut s = delta().knowing(&[TTL]);
    s.put_timed(EDS, "a", "1", 9).publish().asks(EDS, &["a"]).hears(["a=1@9"]).acks(EDS);
    s.after(3).hears(["a@9"]).nacks(EDS).hears(["a=1@9"]).nacks(EDS).gets([]);
    s.after(60).gets([]);
}

#[test]
fn rule_18_on_a_new_stream_what_has_a_ttl_is_sent_again() {
    let resumed = |features: &[&str]| {
        let mut s = delta().knowing(features);
        s.put_timed(EDS, "a", "1", 9).put(EDS, "b", "1").publish();
        let all = s.world.set(EDS).iter();
        let initial = all.map(|r| (r.name().to_string(), r.version().to_string())).collect();
        let names = vec!["a".into(), "b".into()];
        s.send(Ask { url: EDS.url(), names, initial, ..Ask::default() }).unwrap();
        s
    };
    resumed(&[TTL]).hears(["a=1@9"]).acks(EDS).gets([]).after(3).hears(["a@9"]);
    resumed(&[]).gets([]);
}

/// Found by the fuzzer.
#[test]
fn rule_62_no_heartbeat_keeps_alive_what_is_gone() {
    for mut s in [sotw().knowing(&[WRAPPER, TTL]), delta().knowing(&[TTL])] {
        s.put_timed(EDS, "a", "1", 9).put_timed(EDS, "b", "1", 9).publish().asks(EDS, &["a", "b"]);
        s.hears(["a=1@9", "b=1@9"]).acks(EDS);
        // That an assignment is gone is not said (rules 29, 59): it lapses.
        s.remove(EDS, "a").publish().gets([]);
        let beat = if s.form == Form::Sotw { "b@9!" } else { "b@9" };
        s.after(3).hears([beat]).acks(EDS);
        s.remove(EDS, "b").publish().gets([]).after(3).gets([]);
        // Also if it went at the very moment of a heartbeat; and what comes back is sent whole.
        s.put_timed(EDS, "a", "1", 9).publish().hears(["a=1@9"]).acks(EDS);
        s.remove(EDS, "a").publish().after(3).gets([]);
        assert_eq!(s.session.next_deadline(), None);
    }
}
