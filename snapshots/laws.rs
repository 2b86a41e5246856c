//! What must hold for every case: the same input in another order, or in pieces, gives the same bytes.

use model::{Change, Object};
use serde_json::Value as Json;
use snapshot::{ResourceType, dump};

use crate::case::Step;
use crate::world::{Outcome, World};

/// Different orders that are tried besides the reverse.
const SHUFFLES: u64 = 2;

pub(crate) fn check(world: &World, step: &Step) -> Result<(), String> {
    clean(world)?;
    decodes(world)?;
    shuffled(world, step)?;
    objects_are_unique(world.objects())?;
    in_pieces(world)
}

/// Our own lints find nothing.
fn clean(world: &World) -> Result<(), String> {
    for (group, snapshot) in world.snapshots() {
        let flaws: Vec<_> =
            snapshot::check::all(&snapshot).iter().map(ToString::to_string).collect();
        if !flaws.is_empty() {
            return Err(format!("{group}: {}", flaws.join("\n")));
        }
    }
    Ok(())
}

/// Every message, and every message packed in one, is of a known type and can be read.
fn decodes(world: &World) -> Result<(), String> {
    for (_, snapshot) in world.snapshots() {
        for kind in ResourceType::ALL {
            for resource in snapshot.set(kind).iter() {
                if let Some(url) = unread(&dump::resource(resource)) {
                    return Err(format!("{kind} {}: cannot read {url}", resource.name()));
                }
            }
        }
    }
    Ok(())
}

/// The type of an `Any` that the dump left in base64.
fn unread(json: &Json) -> Option<String> {
    match json {
        Json::Array(items) => items.iter().find_map(unread),
        Json::Object(fields) => {
            let url = fields.get("@type").and_then(Json::as_str);
            match (url, fields.get("value"), fields.len()) {
                (Some(url), Some(Json::String(_)), 2) if !url.contains("/google.protobuf.") => {
                    Some(url.to_string())
                }
                _ => fields.values().find_map(unread),
            }
        }
        _ => None,
    }
}

/// The order of documents in a file means nothing.
fn shuffled(world: &World, step: &Step) -> Result<(), String> {
    let documents: Vec<&str> = step.text.split("\n---\n").collect();
    let mut orders = vec![documents.iter().rev().copied().collect::<Vec<_>>()];
    orders.extend((1..=SHUFFLES).map(|seed| shuffle(&documents, seed)));
    let wanted = world.of_text(&step.file, &step.text).outcome();
    for order in orders {
        let text = order.join("\n---\n");
        let got = world.of_text(&step.file, &text).outcome();
        if got != wanted {
            return Err(format!(
                "another order of documents gives another outcome\n{}\norder:\n{text}",
                unequal(&wanted, &got)
            ));
        }
    }
    Ok(())
}

fn objects_are_unique(objects: &[Object]) -> Result<(), String> {
    let mut keys: Vec<_> = objects.iter().map(|object| object.key().clone()).collect();
    keys.sort();
    match keys.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => {
            Err(format!("{} stands twice: which one counts is the source's matter", pair[0]))
        }
        None => Ok(()),
    }
}

/// One document after the other, then without each of them once, then gone one by one: what is compiled step by step is
/// at every step what is compiled from scratch.
fn in_pieces(world: &World) -> Result<(), String> {
    let objects = world.objects();
    let (scratch, came) = (world.once_more().outcome(), world.outcome());
    if came != scratch {
        return Err(format!(
            "from the step before is not from scratch\n{}",
            unequal(&scratch, &came)
        ));
    }
    for seed in 1..=SHUFFLES {
        let mut walker = Walker { world: world.empty(), there: Vec::new() };
        let order = shuffle(objects, seed);
        for object in &order {
            walker.apply(object)?;
        }
        for object in &order {
            walker.delete(object)?;
            walker.apply(object)?;
        }
        for object in shuffle(objects, seed + 100) {
            walker.delete(&object)?;
        }
    }
    Ok(())
}

struct Walker {
    world: World,
    there: Vec<Object>,
}

impl Walker {
    fn apply(&mut self, object: &Object) -> Result<(), String> {
        self.there.push(object.clone());
        self.world.take(vec![Change::Apply(object.clone())]);
        self.compare(&format!("after {} was added", object.key()))
    }

    fn delete(&mut self, object: &Object) -> Result<(), String> {
        self.there.retain(|other| other.key() != object.key());
        self.world.take(vec![Change::Delete(object.key().clone())]);
        self.compare(&format!("after {} was deleted", object.key()))
    }

    fn compare(&self, when: &str) -> Result<(), String> {
        let wanted = self.world.of_objects(&self.there).outcome();
        let got = self.world.outcome();
        if got == wanted {
            return Ok(());
        }
        let there: Vec<_> = self.there.iter().map(|object| object.key().to_string()).collect();
        Err(format!(
            "{when}, step by step is not from scratch\n{}\nobjects: {}",
            unequal(&wanted, &got),
            there.join(", ")
        ))
    }
}

fn unequal(wanted: &Outcome, got: &Outcome) -> String {
    let (wanted, got) = (format!("{wanted:#?}"), format!("{got:#?}"));
    similar::TextDiff::from_lines(&wanted, &got).unified_diff().context_radius(8).to_string()
}

/// Fisher and Yates with a small generator, so that a failure comes again.
fn shuffle<T: Clone>(items: &[T], seed: u64) -> Vec<T> {
    let mut items = items.to_vec();
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    for last in (1..items.len()).rev() {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let pick = usize::try_from(state >> 33).unwrap() % (last + 1);
        items.swap(last, pick);
    }
    items
}
