//! Random interleavings of names that mean something else: whatever is asked, dropped, changed and answered, in whatever
//! order, the client ends with what its words mean.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use crate::vhds;

const VHDS: ResourceType = ResourceType::VirtualHost;
const HOSTS: [&str; 3] = ["t/h0", "t/h1", "t/h2"];
const DOMAINS: [&str; 4] = ["a.x", "b.x", "*.x", "*"];
const ASKED: [&str; 4] = ["t/a.x", "t/b.x", "t/c.x", "t/d"];

const MEMBERS: [&str; 4] =
    ["xdstp://a/c/m0?p=1&q=2", "xdstp://a/c/m1?q=2&p=1", "xdstp://a/c/m2", "m3"];
const WORDS: [&str; 5] =
    ["xdstp://a/c/*?q=2&p=1", "xdstp://a/c/*", "xdstp://a/c/m0?q=2&p=1", "xdstp://a/c/m2", "m3"];

#[derive(Clone, Debug)]
enum Op {
    /// Which, its version, and its domains as a mask.
    Put(usize, u8, u8),
    Remove(usize),
    Publish,
    Ask(usize),
    Drop(usize),
    Read,
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        3 => (0..4_usize, 0..3_u8, 0..16_u8).prop_map(|(i, v, d)| Op::Put(i, v, d)),
        1 => (0..4_usize).prop_map(Op::Remove),
        3 => Just(Op::Publish),
        2 => (0..5_usize).prop_map(Op::Ask),
        1 => (0..5_usize).prop_map(Op::Drop),
        4 => Just(Op::Read),
    ]
}

/// What the client holds: name to body, and the names by which it was told that there is nothing.
#[derive(Default)]
struct Client {
    held: BTreeMap<String, String>,
    words: BTreeSet<&'static str>,
}

impl Client {
    fn read(&mut self, s: &mut Script, kind: ResourceType) -> bool {
        let Some(response) = s.poll() else { return false };
        let mut names = BTreeSet::new();
        for resource in &response.resources {
            let (name, body) = (resource.name().to_string(), resource.body());
            assert!(names.insert(name.clone()), "twice in {}", text(&response));
            match resource.is_absent() {
                true => self.held.remove(&name),
                false => self.held.insert(name, String::from_utf8_lossy(body).into_owned()),
            };
        }
        for name in &response.removed {
            assert!(names.insert(name.to_string()), "sent and removed: {}", text(&response));
            self.held.remove(&**name);
        }
        s.acks(kind);
        true
    }

    fn ask(&mut self, s: &mut Script, kind: ResourceType, word: &'static str) {
        s.asks(kind, &[word]);
        self.words.insert(word);
    }

    fn drop(&mut self, s: &mut Script, kind: ResourceType, word: &'static str) {
        if self.words.remove(word) {
            s.drops(kind, &[word]);
        }
    }
}

/// Drops of what another word still means leave the client with more than it asked for; only what it asked for counts.
fn check(client: &Client, wanted: &BTreeMap<String, String>) {
    for (name, body) in wanted {
        assert_eq!(client.held.get(name), Some(body), "{name} of {:?}", client.words);
    }
}

fn run_hosts(ops: &[Op], wildcard: bool) {
    let settings = Settings { legacy_wildcard: wildcard, ..Settings::default() };
    let mut s = delta().with_settings(settings);
    let mut client = Client::default();
    s.publish().asks(VHDS, &[]);
    for op in ops {
        match op {
            Op::Put(i, version, mask) => {
                let domains = DOMAINS.iter().enumerate().filter(|(d, _)| mask >> d & 1 == 1);
                let domains: Vec<&str> = domains.map(|(_, d)| *d).collect();
                let body = format!("{version}{domains:?}");
                let host = resource(VHDS, HOSTS[i % 3], &body, &[]).with_domains(domains);
                s.world.insert(host);
            }
            Op::Remove(i) => drop(s.world.set_mut(VHDS).remove(HOSTS[i % 3])),
            Op::Publish => drop(s.publish()),
            Op::Ask(i) => client.ask(&mut s, VHDS, ASKED[i % 4]),
            Op::Drop(i) => client.drop(&mut s, VHDS, ASKED[i % 4]),
            Op::Read => drop(client.read(&mut s, VHDS)),
        }
    }
    s.publish();
    while client.read(&mut s, VHDS) {}
    let set = s.world.set(VHDS);
    let meant = client.words.iter().filter_map(|word| vhds::find(set, word));
    let all = set.iter().filter(|_| wildcard);
    let text = |r: &Arc<Resource>| String::from_utf8_lossy(r.body()).into_owned();
    check(&client, &meant.chain(all).map(|r| (r.name().to_string(), text(r))).collect());
    // What is gone is not held, unless the client had said that it does not care.
    let careless = !wildcard && ops.iter().any(|op| matches!(op, Op::Drop(_)));
    let gone = client.held.keys().find(|name| set.get(name).is_none());
    assert!(careless || gone.is_none(), "{:?}", client.held);
}

fn run_globs(form: Form, ops: &[Op]) {
    let mut s = script(form);
    let mut client = Client::default();
    s.publish();
    let say = |s: &mut Script, client: &mut Client, word: &'static str, add: bool| match form {
        Form::Delta if add => client.ask(s, CDS, word),
        Form::Delta => client.drop(s, CDS, word),
        Form::Sotw => {
            if add {
                client.words.insert(word);
            } else {
                client.words.remove(word);
            }
            s.asks(CDS, &client.words.iter().copied().collect::<Vec<_>>());
        }
    };
    // An empty list of a client that has named nothing yet would be the wildcard.
    say(&mut s, &mut client, "m3", true);
    for op in ops {
        match op {
            Op::Put(i, version, _) => drop(s.put(CDS, MEMBERS[*i], &version.to_string())),
            Op::Remove(i) => drop(s.world.set_mut(CDS).remove(MEMBERS[*i])),
            Op::Publish => drop(s.publish()),
            Op::Ask(i) => say(&mut s, &mut client, WORDS[*i], true),
            Op::Drop(i) => say(&mut s, &mut client, WORDS[*i], false),
            Op::Read => {
                // State of the world: all that is not in a response is gone.
                if form == Form::Sotw {
                    read_all(&mut s, &mut client);
                } else {
                    client.read(&mut s, CDS);
                }
            }
        }
    }
    s.publish();
    while match form {
        Form::Sotw => read_all(&mut s, &mut client),
        Form::Delta => client.read(&mut s, CDS),
    } {}
    let set = s.world.set(CDS);
    let mut wanted = BTreeMap::new();
    for resource in set.iter() {
        let name = &**resource.name();
        let body = String::from_utf8_lossy(resource.body()).into_owned();
        for word in &client.words {
            if snapshot::xdstp::collection(name).is_some_and(|c| c == snapshot::xdstp::normal(word))
            {
                wanted.insert(name.to_owned(), body.clone());
            }
            if snapshot::xdstp::normal(word) == snapshot::xdstp::normal(name) {
                let told = if form == Form::Delta { *word } else { name };
                wanted.insert(told.to_owned(), body.clone());
            }
        }
    }
    check(&client, &wanted);
}

fn read_all(s: &mut Script, client: &mut Client) -> bool {
    let Some(response) = s.poll() else { return false };
    let text = |r: &Arc<Resource>| String::from_utf8_lossy(r.body()).into_owned();
    client.held = response.resources.iter().map(|r| (r.name().to_string(), text(r))).collect();
    s.acks(CDS);
    true
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn rule_65_any_interleaving_converges_with_the_wildcard(ops in prop::collection::vec(op(), 0..80)) {
        run_hosts(&ops, true);
    }

    #[test]
    fn rule_65_any_interleaving_converges_without_the_wildcard(ops in prop::collection::vec(op(), 0..80)) {
        run_hosts(&ops, false);
    }

    #[test]
    fn rule_68_any_interleaving_converges_in_delta(ops in prop::collection::vec(op(), 0..80)) {
        run_globs(Form::Delta, &ops);
    }

    #[test]
    fn rule_68_any_interleaving_converges_in_state_of_the_world(ops in prop::collection::vec(op(), 0..80)) {
        run_globs(Form::Sotw, &ops);
    }
}
