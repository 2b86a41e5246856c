use std::collections::BTreeMap;
use std::sync::Arc;

use model::{
    ConfigRollout, Kind, Meta, ObjectKey, OnFailure, RolloutGates, RolloutPause, RolloutStep,
};

use super::*;

const MINUTE: Duration = Duration::from_secs(60);

fn rollout(steps: Vec<RolloutStep>) -> ConfigRollout {
    ConfigRollout {
        meta: Meta {
            key: ObjectKey::new(Kind::ConfigRollout, "shop", "careful"),
            source: "file".into(),
            labels: vec![],
            annotations: vec![],
            generation: 0,
            created: None,
            locations: Arc::default(),
            document: "".into(),
        },
        gateways: vec![],
        steps,
        gates: RolloutGates { max_error_ratio: Some(0.01), ..RolloutGates::default() },
        on_failure: OnFailure::Return,
    }
}

fn percent(percent: u8) -> RolloutStep {
    RolloutStep { percent: Some(percent), ..RolloutStep::default() }
}

fn members(count: usize) -> Vec<Member> {
    (0..count).map(|n| Member { id: format!("edge-{n}").into(), labels: Arc::default() }).collect()
}

fn covered(machine: &Machine, all: &[Member]) -> Vec<Arc<str>> {
    let cover = machine.cover();
    let has = |member: &&Member| cover.as_ref().is_none_or(|cover| cover.has(member));
    all.iter().filter(has).map(|member| member.id.clone()).collect()
}

fn all_taken(proxies: usize, requests: u64, errors: u64) -> Facts {
    let figures = Some(Figures { requests, errors, p99: None });
    Facts { proxies, taken: proxies, refused: None, figures, waits_for: None }
}

fn at(seconds: u64) -> Time {
    Duration::from_secs(1_000_000 + seconds)
}

#[test]
fn it_goes_on_once_the_gates_have_passed_and_the_pause_is_over() {
    let all = members(10);
    let pause = RolloutPause::For(5 * MINUTE);
    let mut machine =
        Machine::new(&rollout(vec![RolloutStep { pause, ..percent(10) }, percent(50)]));
    assert_eq!(covered(&machine, &all).len(), 10, "everybody has the same");
    machine.change(&all, at(0));
    let first = covered(&machine, &all);
    assert_eq!(first.len(), 1);
    let waits = Facts { taken: 0, ..all_taken(1, 0, 0) };
    assert!(!machine.advance(&waits, &all, at(1)));
    assert!(!machine.advance(&all_taken(1, 0, 0), &all, at(2)));
    // Enough requests, but not long enough.
    assert!(!machine.advance(&all_taken(1, 500, 1), &all, at(30)));
    assert!(!machine.advance(&all_taken(1, 1000, 1), &all, at(62)));
    assert!(machine.gates().iter().all(|gate| gate.verdict == Verdict::Passing));
    assert!(!machine.advance(&all_taken(1, 5000, 1), &all, at(361)));
    assert!(machine.advance(&all_taken(1, 5000, 1), &all, at(362)));
    let second = covered(&machine, &all);
    assert_eq!(second.len(), 5);
    assert!(first.iter().all(|id| second.contains(id)), "nobody loses it");
    assert!(!machine.advance(&all_taken(5, 0, 0), &all, at(363)));
    assert!(machine.advance(&all_taken(5, 200, 0), &all, at(423)));
    assert_eq!((machine.phase(), covered(&machine, &all).len()), (&Phase::Done, 10));
}

#[test]
fn errors_bring_everybody_back_until_there_is_something_new() {
    let all = members(10);
    let mut machine = Machine::new(&rollout(vec![percent(10)]));
    machine.change(&all, at(0));
    machine.advance(&all_taken(1, 10, 9), &all, at(1));
    assert_eq!(machine.phase(), &Phase::Progressing, "ten are too few to judge");
    assert!(machine.advance(&all_taken(1, 100, 50), &all, at(2)));
    assert_eq!(machine.phase(), &Phase::Returned);
    assert_eq!(machine.reason(), "errorRatio: 50.00 % of the requests failed");
    assert!(covered(&machine, &all).is_empty());
    assert!(!machine.advance(&all_taken(0, 0, 0), &all, at(3)));
    machine.change(&all, at(4));
    assert_eq!(covered(&machine, &all).len(), 1);
}

#[test]
fn a_refusal_fails_at_once_and_a_pause_waits_for_a_person() {
    let all = members(4);
    let mut document = rollout(vec![percent(25), percent(50)]);
    document.on_failure = OnFailure::Pause;
    let mut machine = Machine::new(&document);
    machine.change(&all, at(0));
    let refused = Facts { refused: Some("no such filter".into()), ..all_taken(1, 0, 0) };
    assert!(!machine.advance(&refused, &all, at(1)));
    assert_eq!(machine.phase(), &Phase::Paused);
    assert_eq!(covered(&machine, &all).len(), 1, "as it is");
    assert_eq!(machine.act(Act::Pause, &all), Err("the rollout is paused".into()));
    machine.act(Act::Promote, &all).unwrap();
    assert_eq!((machine.step(), covered(&machine, &all).len()), (1, 2));
    machine.act(Act::Abort, &all).unwrap();
    assert!(covered(&machine, &all).is_empty());
    assert_eq!(machine.phase(), &Phase::Aborted);
    machine.act(Act::Resume, &all).unwrap();
    assert_eq!((machine.step(), covered(&machine, &all).len()), (0, 1));
    machine.act(Act::Promote, &all).unwrap();
    machine.act(Act::Promote, &all).unwrap();
    assert_eq!(machine.phase(), &Phase::Done);
    assert!(machine.act(Act::Promote, &all).is_err());
}

#[test]
fn labels_choose_and_a_manual_step_waits() {
    let labels: BTreeMap<_, _> = [("tier".to_owned(), "canary".to_owned())].into();
    let mut all = members(3);
    all[1].labels = Arc::new(labels);
    let step = RolloutStep {
        percent: None,
        labels: vec![("tier".into(), "canary".into())],
        pause: RolloutPause::Manual,
    };
    let mut document = rollout(vec![step]);
    document.gates.max_error_ratio = None;
    let mut machine = Machine::new(&document);
    machine.change(&all, at(0));
    assert_eq!(covered(&machine, &all), [all[1].id.clone()]);
    let no_figures = Facts { figures: None, ..all_taken(1, 0, 0) };
    machine.advance(&no_figures, &all, at(1));
    assert!(!machine.advance(&no_figures, &all, at(100_000)));
    assert_eq!(machine.reason(), "all gates pass; waits to be promoted");
}

#[test]
fn where_nobody_is_of_a_step_it_goes_on_as_far_as_elsewhere() {
    let all = members(4);
    let canary =
        RolloutStep { labels: vec![("tier".into(), "canary".into())], ..RolloutStep::default() };
    let mut machine =
        Machine::new(&rollout(vec![canary.clone(), canary.clone(), percent(25), percent(50)]));
    machine.change(&all, at(0));
    assert!(!machine.catch_up(0, &all), "nobody is further");
    assert!(machine.catch_up(1, &all));
    assert_eq!((machine.step(), covered(&machine, &all).len()), (1, 0));
    // Those of the next one are looked at here, however far it is elsewhere.
    assert!(machine.catch_up(4, &all));
    assert_eq!((machine.step(), covered(&machine, &all).len()), (2, 1));
    assert!(!machine.catch_up(4, &all));
    let mut empty = Machine::new(&rollout(vec![canary, percent(50)]));
    empty.change(&[], at(0));
    assert!(empty.catch_up(2, &[]));
    assert_eq!(empty.phase(), &Phase::Done);
}

#[test]
fn who_comes_while_it_is_under_way_has_a_place_of_its_own() {
    let all = members(100);
    let mut machine = Machine::new(&rollout(vec![percent(10)]));
    machine.change(&all, at(0));
    let first = covered(&machine, &all);
    assert_eq!(first.len(), 10);
    let more = members(1000);
    let with_more = covered(&machine, &more);
    assert!(first.iter().all(|id| with_more.contains(id)));
    assert!((40..250).contains(&with_more.len()), "{}", with_more.len());
}

#[test]
fn what_nobody_counts_is_not_taken_for_good() {
    let all = members(2);
    let mut machine = Machine::new(&rollout(vec![percent(50)]));
    machine.change(&all, at(0));
    let facts = Facts { figures: None, ..all_taken(1, 0, 0) };
    machine.advance(&facts, &all, at(1));
    assert!(!machine.advance(&facts, &all, at(10_000)));
    assert_eq!(machine.reason(), "errorRatio: nobody counts requests here");
}

#[test]
fn what_is_saved_comes_back_with_the_same_proxies_and_goes_on_from_there() {
    let all = members(10);
    let document = rollout(vec![percent(20), percent(50)]);
    let mut machine = Machine::new(&document);
    machine.change(&all, at(0));
    let again = |machine: &Machine| {
        let text = serde_json::to_string(&machine.save()).unwrap();
        Machine::restored(&document, serde_json::from_str(&text).unwrap())
    };
    let first = covered(&machine, &all);
    let mut back = again(&machine);
    assert_eq!((covered(&back, &all), back.phase(), back.step()), (first, &Phase::Progressing, 0));
    assert_eq!(back.started(), at(0));
    // Requests are counted from the restart on.
    assert_eq!(back.taken(), None);
    back.advance(&all_taken(2, 200, 100), &all, at(5));
    assert_eq!(back.phase(), &Phase::Returned);
    let back = again(&back);
    assert_eq!((covered(&back, &all).len(), back.phase()), (0, &Phase::Returned));
    assert!(back.reason().contains("50.00 %"), "{}", back.reason());
    machine.act(Act::Pause, &all).unwrap();
    assert_eq!(again(&machine).phase(), &Phase::Paused);
}
