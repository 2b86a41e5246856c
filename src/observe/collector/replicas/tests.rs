use std::collections::{BTreeMap, BTreeSet};

use api::traffic::{RequestsQuery, SeriesQuery, TopologyQuery};
use api::{Caller, Time};
use envoy_types::pb::google::protobuf::{Duration as Span, Timestamp};
use proptest::prelude::*;

use super::super::tests::{at, collector, gateway, load, program, request, sidecar};
use super::*;
use crate::bucket::Class;
use crate::topology::{Drawings, Map, topology};
use crate::{By, EdgeKey, Protocol};

/// As it goes through the wire.
fn sent(feed: &Feed) -> Feed {
    serde_json::from_str(&serde_json::to_string(feed).unwrap()).unwrap()
}

/// What was reported at some second.
#[derive(Clone, Debug)]
enum Told {
    Request { from: usize, cluster: usize, caller: usize, status: u32, ms: u32, number: i64 },
    Loads { good: u64, failed: u64, open: u64 },
}

fn tell(to: &Collector, second: u64, told: &Told) {
    let clusters = ["shop.orders.80", "shop.old.80", "inbound", "passthrough", ""];
    let callers = ["9.9.9.9", "10.0.0.1", "10.0.0.3"];
    match *told {
        Told::Request { from, cluster, caller, status, ms, number } => {
            let mut entry = request(clusters[cluster], callers[caller], "10.0.0.2", status);
            let common = entry.common_properties.as_mut().unwrap();
            let nanos = i32::try_from(ms * 1_000_000).unwrap();
            common.duration = Some(Span { seconds: 0, nanos });
            // No two at the same moment, so that their order is known.
            common.start_time = Some(Timestamp { seconds: 1_000_000 + number, nanos: 0 });
            let from = if from == 0 { gateway() } else { sidecar() };
            to.requests_seen(&from, vec![entry], at(second));
        }
        Told::Loads { good, failed, open } => {
            let told = [load("service/shop/old/80", [good, failed, 0, open])];
            to.loads_seen(&program("", None), &told, at(second));
        }
    }
}

fn told() -> impl Strategy<Value = Told> {
    let status = prop_oneof![Just(200), Just(302), Just(404), Just(503), Just(0)];
    prop_oneof![
        9 => (0..2_usize, 0..5_usize, 0..3_usize, status, 0..900_u32).prop_map(
            |(from, cluster, caller, status, ms)| {
                Told::Request { from, cluster, caller, status, ms, number: 0 }
            }
        ),
        1 => (0..9_u64, 0..3_u64, 0..3_u64)
            .prop_map(|(good, failed, open)| Told::Loads { good, failed, open }),
    ]
}

/// Without what depends on the order of sums.
fn round(number: f64) -> f64 {
    (number * 1e9).round() / 1e9
}

/// All that is shown, in words.
fn shown(all: &Collector, now: SystemTime) -> Vec<String> {
    let anybody = Caller::anybody();
    let mut out = Vec::new();
    for (window, of) in [
        (100, None),
        (30, Some("service/shop/orders")),
        (100, Some("gateway/demo/edge")),
        (100, Some("route/shop/web")),
    ] {
        let query = SeriesQuery { of: of.map(Into::into), window: Some(window) };
        let mut series = all.series(&anybody, &query, now);
        let columns = [&mut series.rate, &mut series.status4xx, &mut series.status5xx];
        for point in columns.into_iter().flatten().flatten() {
            *point = round(*point);
        }
        out.push(format!("{series:?}"));
    }
    for window in [10, 60, 100] {
        let found = all.edges(window, now);
        let mut edges: Vec<_> = found
            .iter()
            .map(|(key, sum)| {
                let (p50, p99) = (sum.percentile(0.5), sum.percentile(0.99));
                let numbers = [sum.rate(), sum.errors(), sum.open()].map(round);
                format!("{window} {key:?} {} {numbers:?} {p50:?} {p99:?}", sum.count())
            })
            .collect();
        edges.sort();
        out.extend(edges);
        let (query, drawings) = (TopologyQuery::default(), Drawings::default());
        let mut drawn =
            topology(&query, &anybody, &Map::default(), found, (window, Time(0)), &drawings);
        for edge in &mut drawn.edges {
            for number in [&mut edge.rate, &mut edge.errors, &mut edge.in_progress] {
                *number = round(*number);
            }
        }
        out.push(format!("{drawn:?}"));
    }
    for row in all.requests(&anybody, &RequestsQuery { limit: Some(5000), ..Default::default() }) {
        out.push(format!("{row:?}"));
    }
    let rates = all.rates(now).into_iter().map(|(id, sum)| (id, (round(sum.rate()), sum.count())));
    out.push(format!("{:?}", rates.collect::<BTreeMap<_, _>>()));
    let routes = all.routes(&anybody, now).into_iter();
    let routes = routes.map(|(id, sum)| (id, (round(sum.rate()), sum.count())));
    out.push(format!("{:?}", routes.collect::<BTreeMap<_, _>>()));
    out.push(format!("{:?}", all.caller_counts().into_iter().collect::<BTreeSet<_>>()));
    out.push(format!("{:?}", all.callers("service/shop/orders")));
    out.push(format!("{:?}", all.figures(&["edge-1".into(), "web-1".into()], at(5))));
    out
}

const END: u64 = 100;

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    /// Two replicas that tell each other show what one would that is told everything, whenever and however often they do.
    #[test]
    fn two_show_what_one_would(
        mut all in prop::collection::vec((0..END - 10, any::<bool>(), told()), 0..120),
        moments in prop::collection::btree_map(0..END, any::<bool>(), 0..12),
    ) {
        all.sort_by_key(|(second, ..)| *second);
        for (n, (.., told)) in all.iter_mut().enumerate() {
            if let Told::Request { number, .. } = told {
                *number = i64::try_from(n).unwrap();
            }
        }
        let (one, a, b, b_alone) = (collector(), collector(), collector(), collector());
        let (mut to_a, mut to_b) = (None, None);
        let mut exchange = |now: SystemTime, twice: bool| {
            for (from, to, name, cursor) in
                [(&a, &b, "a", &mut to_b), (&b, &a, "b", &mut to_a)]
            {
                let feed = sent(&from.export_at(*cursor, now));
                *cursor = Some(feed.next);
                to.absorb_at(name, feed.clone(), now);
                if twice {
                    prop_assert_eq!(to.absorb_at(name, feed, now), Absorbed::default());
                    // Also where it was asked for from the beginning, as after a restart of who asks.
                    let again = from.export_at(None, now);
                    prop_assert_eq!(to.absorb_at(name, again, now), Absorbed::default());
                }
            }
            Ok(())
        };
        for second in 0..END {
            for (_, here, told) in all.iter().filter(|(when, ..)| *when == second) {
                tell(&one, second, told);
                tell(if *here { &a } else { &b }, second, told);
                if !here {
                    tell(&b_alone, second, told);
                }
            }
            if let Some(twice) = moments.get(&second) {
                exchange(at(second), *twice)?;
            }
        }
        exchange(at(END), true)?;
        // They show steps that are over only; so does the one.
        one.absorb_at("idle", collector().export_at(None, at(END)), at(END));
        prop_assert_eq!(shown(&a, at(END)), shown(&one, at(END)));
        prop_assert_eq!(shown(&b, at(END)), shown(&one, at(END)));
        // Nobody is told what somebody else said, and it is in no count of one's own.
        let third = collector();
        third.absorb_at("b", sent(&b.export_at(None, at(END))), at(END));
        b_alone.absorb_at("idle", collector().export_at(None, at(END)), at(END));
        prop_assert_eq!(shown(&third, at(END)), shown(&b_alone, at(END)));
        prop_assert_eq!(b.observation().requests, b_alone.observation().requests);
        prop_assert_eq!(b.state().edges.own(), b_alone.state().edges.len());
        prop_assert_eq!(third.state().edges.own(), 0);
        prop_assert!(third.state().counters.is_empty());
        prop_assert_eq!(third.observation().requests, 0);
    }
}

fn good(to: &Collector, second: u64) {
    to.requests_seen(
        &gateway(),
        vec![request("shop.orders.80", "9.9.9.9", "10.0.0.2", 200)],
        at(second),
    );
}

/// Requests of the whole time, in topology and among the rows.
fn counts(all: &Collector, second: u64) -> (u64, usize) {
    let edges = all.edges(3600, at(second));
    let to = edges.iter().filter(|(key, _)| *key.target == *"service/shop/orders");
    let rows = all.requests(&Caller::anybody(), &RequestsQuery::default());
    (to.map(|(_, sum)| sum.count()).sum(), rows.len())
}

#[test]
fn a_replica_that_restarts_begins_anew_and_its_past_stays() {
    let (mut a, b) = (collector(), collector());
    a.start = 1;
    good(&a, 0);
    good(&a, 1);
    let old = a.export_at(None, at(12));
    b.absorb_at("a", old.clone(), at(12));
    assert_eq!(counts(&b, 20), (2, 2));
    let mut a = collector();
    a.start = 2;
    good(&a, 20);
    let new = a.export_at(Some(old.next), at(31));
    b.absorb_at("a", new, at(31));
    assert_eq!(counts(&b, 40), (3, 3));
    // Whatever comes late is known.
    b.absorb_at("a", old.clone(), at(32));
    assert_eq!(counts(&b, 40), (3, 3));
    // Also when it was thought to be gone.
    b.forget("a");
    b.absorb_at("a", a.export_at(None, at(41)), at(41));
    assert_eq!(counts(&b, 50), (3, 3));
    // Another replica of that start is not it.
    b.absorb_at("c", old, at(41));
    assert_eq!(counts(&b, 60), (5, 5));
}

#[test]
fn a_step_is_told_when_it_is_over_and_its_requests_at_once() {
    let a = collector();
    good(&a, 0);
    let first = a.export_at(None, at(9));
    assert_eq!((first.buckets_told(), first.rows.len()), (0, 1));
    // The clock is set back: what was told of stays as it is, and all is told once.
    let second = a.export_at(Some(first.next), at(10));
    good(&a, 3);
    assert_eq!((second.buckets_told(), second.rows.len()), (3, 0));
    let third = a.export_at(Some(second.next), at(20));
    assert_eq!((third.buckets_told(), third.rows.len()), (3, 1));
    assert_eq!(a.export_at(Some(third.next), at(29)).next, third.next, "no news");
    let fourth = a.export_at(Some(third.next), at(30));
    assert_eq!((fourth.buckets_told(), fourth.rows.len()), (0, 0));
    assert_eq!(fourth.next.step, third.next.step + 1, "nothing happened in a step that is over");
}

#[test]
fn steps_of_which_a_replica_has_still_to_tell_are_not_shown_as_a_fall() {
    let (a, b) = (collector(), collector());
    for second in [0, 10, 20] {
        good(&a, second);
        good(&b, second);
    }
    let rates = |second: u64| {
        let query = SeriesQuery { of: None, window: Some(20) };
        b.series(&Caller::anybody(), &query, at(second)).rate
    };
    assert_eq!(rates(30), [Some(0.1), Some(0.1)]);
    b.absorb_at("a", a.export_at(None, at(20)), at(20));
    assert_eq!(rates(30), [Some(0.2), Some(0.2)], "the third is told of here only");
    assert_eq!(b.rates(at(30))["service/shop/orders"].rate(), 4.0 / 20.0);
    // It is gone, or silent for too long.
    assert_eq!(rates(70), [None, None]);
    b.forget("a");
    assert_eq!(rates(30), [Some(0.2), Some(0.1)]);
}

#[test]
fn clocks_that_are_ahead_do_not_show_the_future() {
    let (a, b) = (collector(), collector());
    for second in [130, 160, 200] {
        good(&a, second);
    }
    let feed = a.export_at(None, at(210));
    let found = b.absorb_at("a", feed, at(105));
    // Three buckets each: two edges and a proxy.
    assert_eq!(found, Absorbed { taken: 6, early: 6, future: 3, ..Absorbed::default() });
    assert_eq!(counts(&b, 110), (2, 3));
    // What is reported here afterwards is of its own time.
    good(&b, 115);
    let query = SeriesQuery { of: None, window: Some(30) };
    let rate = b.series(&Caller::anybody(), &query, at(120)).rate;
    assert_eq!(rate, [None, Some(0.2), Some(0.1)]);
    assert_eq!(b.observation().dropped, 0, "of what proxies say nothing was lost");
}

#[test]
fn what_cannot_be_understood_is_counted_and_the_rest_is_taken() {
    let (a, b) = (collector(), collector());
    good(&a, 0);
    let text = serde_json::to_string(&a.export_at(None, at(10))).unwrap();
    let text = text.replacen("\"proxies\":[[", "\"proxies\":[[9", 1);
    let found = b.absorb_at("a", serde_json::from_str(&text).unwrap(), at(10));
    assert_eq!(found, Absorbed { taken: 2, broken: 1, ..Absorbed::default() });
    let none: Feed = serde_json::from_str("{}").unwrap();
    assert_eq!(b.absorb_at("a", none, at(10)), Absorbed::default());
    assert_eq!(b.state().heard.len(), 1);
}

#[test]
fn the_newest_requests_are_told_and_only_news_to_followers() {
    let (a, b) = (collector(), collector());
    let row = |second: i64| {
        let mut entry = request("shop.orders.80", "9.9.9.9", "10.0.0.2", 200);
        let start = Timestamp { seconds: 1_000_000 + second, nanos: 0 };
        entry.common_properties.as_mut().unwrap().start_time = Some(start);
        entry
    };
    a.requests_seen(&gateway(), (0..1500).map(row).collect(), at(1500));
    let feed = a.export_at(None, at(1500));
    assert_eq!((feed.rows.len(), feed.rows[0].at), (1000, Time(1_000_500_000)));
    assert_eq!(a.export_at(Some(feed.next), at(1500)).rows.len(), 0);
    let mut follower = b.follow();
    b.absorb_at("a", feed, at(1500));
    let mut news = 0;
    while let Ok(row) = follower.try_recv() {
        assert!(row.at >= Time(1_001_470_000));
        news += 1;
    }
    assert_eq!(news, 30);
    // What arrives late is where its time is.
    b.requests_seen(&gateway(), vec![row(1600)], at(1600));
    a.requests_seen(&gateway(), vec![row(1590)], at(1590));
    b.absorb_at("a", a.export_at(None, at(1601)), at(1601));
    let found = b.requests(&Caller::anybody(), &RequestsQuery::default());
    let newest: Vec<_> = found.iter().take(3).map(|row| row.at.0 / 1000 - 1_000_000).collect();
    assert_eq!(newest, [1600, 1590, 1499]);
}

/// Of 2,000 services five calls each.
fn edge(n: usize) -> EdgeKey {
    let name = |n: usize| format!("namespace-{}/some-service-{n}", n % 50);
    let target = n * 7 % 2000;
    EdgeKey {
        source: format!("service/{}", name(n / 5)).into(),
        target: format!("service/{}", name(target)).into(),
        route: name(target).into(),
        lane: "".into(),
        protocol: Protocol::Http,
        mtls: true,
        by: By::AccessLog,
    }
}

fn record(to: &Collector, step: Tick, edges: usize) {
    let mut state = to.state();
    for n in 0..edges {
        for ms in [3.0, 3.0, 7.0, 40.0] {
            state.edges.record(step, edge(n), Class::Good, ms);
        }
    }
}

#[test]
fn a_feed_is_small_and_what_does_not_fit_comes_with_the_next() {
    let (a, b) = (collector(), collector());
    let from = tick(at(0));
    record(&a, from, 10_000);
    for n in 0..2000 {
        let proxy = format!("sidecar-{n}").into();
        a.state().edges.record_proxy(from, &proxy, Class::Good, 3.0);
    }
    let feed = a.export_at(None, at(10));
    let size = serde_json::to_vec(&feed).unwrap().len();
    assert!((500_000..1_200_000).contains(&size), "{size}");
    record(&a, from + 1, 10_000);
    record(&a, from + 2, 10_000);
    let mut cursor = None;
    let feeds: Vec<_> = std::iter::from_fn(|| {
        let feed = a.export_at(cursor, at(30));
        cursor = Some(feed.next);
        b.absorb_at("a", feed, at(30));
        cursor.map(|next| next.step - from)
    })
    .take(2)
    .collect();
    assert_eq!(feeds, [2, 3]);
    assert_eq!(b.edges(40, at(30)).iter().map(|(_, sum)| sum.count()).sum::<u64>(), 120_000);
}

#[test]
fn what_others_tell_has_the_room_that_is_left() {
    let (a, b) = (collector(), collector());
    let step = tick(at(0));
    record(&a, step, 12_000);
    // Other edges than those.
    for n in 12_000..21_000 {
        b.state().edges.record(step, edge(n), Class::Good, 3.0);
    }
    let found = b.absorb_at("a", a.export_at(None, at(10)), at(10));
    assert_eq!((found.taken, found.full), (11_000, 1000));
    assert_eq!(b.state().edges.len(), 20_001);
    assert_eq!(b.observation().dropped, 0);
    let sum: u64 = b.edges(20, at(10)).iter().map(|(_, sum)| sum.count()).sum();
    assert_eq!(sum, 9000 + 48_000, "together they are one more edge");
}

#[test]
fn what_is_older_than_an_hour_is_not_taken() {
    let (a, b) = (collector(), collector());
    good(&a, 0);
    good(&a, 3500);
    good(&b, 3650);
    let found = b.absorb_at("a", a.export_at(None, at(3599)), at(3650));
    assert_eq!((found.taken, found.full), (3, 3));
    assert_eq!(b.state().edges.own(), 2);
    good(&a, 9000);
    b.absorb_at("a", a.export_at(None, at(9010)), at(9010));
    let state = b.state();
    assert_eq!((state.edges.own(), state.edges.len()), (0, 2), "its own is too old");
}
