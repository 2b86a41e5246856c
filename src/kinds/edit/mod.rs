//! # edit: a document becomes another in its author's text
//!
//! ```text
//! text ──tree──► where each value stands ──┐
//!      └─yaml──► what it says, old ────────┼─patch──► edits of single lines ──► text ──read again──► means what was wanted?
//!                what it is to say, new ───┘                     no: the whole document anew ◄──┘
//! ```
//!
//! Comments, order, quotes and the other documents of a file stay as their author wrote them. Whatever cannot be edited
//! in place (anchors, merges, a `List`'s odd item) is written anew: the smallest part first, then the whole document. No
//! text leaves here that does not mean exactly what was wanted, in all of its documents.

mod patch;
mod render;
#[cfg(test)]
mod tests;
mod tree;

use std::rc::Rc;

use model::ObjectKey;
use serde_json::Value;

use crate::document;
use crate::node::Node;
use crate::parse::Limits;
use crate::yaml;

use patch::{Patches, Place};

/// One document of a text, or an item of a `List` in it.
#[derive(Clone, Debug, PartialEq)]
pub struct Written {
    /// `None` for what is not ours.
    pub key: Option<ObjectKey>,
    pub value: Value,
    /// As it stands there, without the marks between documents; of an item of a `List` as YAML of our own.
    pub text: String,
}

/// What a text says; `None` where it is no YAML.
#[must_use]
pub fn documents(text: &str, limits: &Limits) -> Option<Vec<Written>> {
    let roots = roots(text, limits)?;
    let places = tree::read(text).filter(|places| places.len() == roots.len());
    let mut out = Vec::new();
    for (number, root) in roots.iter().enumerate() {
        let items = document::expand(root);
        let whole = items.len() == 1 && items[0].0.is_empty();
        let place = places.as_ref().filter(|_| whole).map(|places| {
            let end = places.get(number + 1).map_or(text.len(), |next| next.start);
            without_marks(&text[places[number].start..end])
        });
        for (_, item) in items {
            let value = value(&item)?;
            let text = place.clone().unwrap_or_else(|| render::yaml(&value));
            out.push(Written { key: document::key_of(&item), value, text });
        }
    }
    Some(out)
}

/// The value as YAML, in an order of its own.
#[must_use]
pub fn yaml(value: &Value) -> String {
    render::yaml(value)
}

/// The text with the document of this object saying `new`. A namespace that the text leaves out is left out on, and a
/// status that stands there stays. `None` where the object does not stand there exactly once, or the text is of a form
/// that cannot be edited.
#[must_use]
pub fn put(text: &str, key: &ObjectKey, new: &Value, limits: &Limits) -> Option<String> {
    change(text, key, Some(new), limits)
}

/// The text without the document of this object; empty where no other document is left.
#[must_use]
pub fn remove(text: &str, key: &ObjectKey, limits: &Limits) -> Option<String> {
    change(text, key, None, limits)
}

fn change(text: &str, key: &ObjectKey, new: Option<&Value>, limits: &Limits) -> Option<String> {
    let bom = text.starts_with('\u{feff}');
    let body = text.strip_prefix('\u{feff}').unwrap_or(text);
    let roots = roots(body, limits)?;
    let mut found = None;
    for (number, root) in roots.iter().enumerate() {
        for (index, (pointer, item)) in document::expand(root).iter().enumerate() {
            if document::key_of(item).as_ref() == Some(key) {
                if found.is_some() {
                    return None;
                }
                found = Some((number, (!pointer.is_empty()).then_some(index)));
            }
        }
    }
    let (number, item) = found?;
    let old: Vec<Value> = roots.iter().map(|root| value(root)).collect::<Option<_>>()?;
    let mut wanted: Vec<Option<Value>> = old.iter().cloned().map(Some).collect();
    match (item, new) {
        (None, new) => wanted[number] = new.map(|new| fitted(&old[number], new, key)),
        (Some(index), new) => {
            let items = wanted[number].as_mut()?.get_mut("items")?.as_array_mut()?;
            match new {
                Some(new) => items[index] = fitted(&items[index], new, key),
                None => drop(items.remove(index)),
            }
            if items.is_empty() {
                wanted[number] = None;
            }
        }
    }
    if wanted.iter().all(Option::is_none) {
        return Some(String::new());
    }
    let means = |candidate: &String| {
        let read = roots_values(candidate, limits);
        read.is_some_and(|read| read.iter().eq(wanted.iter().flatten()))
    };
    let places = tree::read(body).filter(|places| places.len() == old.len())?;
    let place = &places[number];
    let end = places.get(number + 1).map_or(body.len(), |next| next.start);
    let candidates: [&dyn Fn() -> Option<String>; 2] = [
        &|| {
            let Some(new) = &wanted[number] else {
                return Some(format!("{}{}", &body[..place.start], &body[end..]));
            };
            let mut patches = Patches::new(body);
            patches.change(&place.root, &old[number], new, Place::Free);
            patches.apply()
        },
        &|| {
            let new = wanted[number].as_ref()?;
            let mark =
                if number > 0 || body[place.start..].starts_with("---") { "---\n" } else { "" };
            let next = &body[end..];
            Some(format!("{}{mark}{}{next}", &body[..place.start], render::yaml(new)))
        },
    ];
    let good = candidates.iter().find_map(|make| make().filter(means))?;
    Some(if bom { format!("\u{feff}{good}") } else { good })
}

/// `new` in the way in which the author of `old` writes.
fn fitted(old: &Value, new: &Value, key: &ObjectKey) -> Value {
    let mut out = new.clone();
    let Some(fields) = out.as_object_mut() else { return out };
    fields.remove("status");
    if let Some(status) = old.get("status") {
        fields.insert("status".into(), status.clone());
    }
    let of_old = old.pointer("/metadata/namespace");
    if let Some(metadata) = fields.get_mut("metadata").and_then(Value::as_object_mut) {
        match of_old {
            Some(namespace) => drop(metadata.insert("namespace".into(), namespace.clone())),
            None if metadata.get("namespace").and_then(Value::as_str)
                == Some(&*key.name.namespace) =>
            {
                metadata.remove("namespace");
            }
            None => {}
        }
    }
    out
}

fn without_marks(text: &str) -> String {
    let text = text.strip_prefix("---").map_or(text, |rest| {
        rest.strip_prefix('\n').or_else(|| rest.strip_prefix("\r\n")).unwrap_or(rest)
    });
    let text = text.trim_end();
    let text = text.strip_suffix("\n...").unwrap_or(text).trim_end();
    format!("{}\n", text.trim_start_matches('\n'))
}

fn roots(text: &str, limits: &Limits) -> Option<Vec<Rc<Node>>> {
    let (documents, failure) = yaml::read(text, limits);
    let clean = failure.is_none() && documents.iter().all(|d| d.duplicates.is_empty());
    clean.then(|| documents.into_iter().map(|document| document.root).collect())
}

fn roots_values(text: &str, limits: &Limits) -> Option<Vec<Value>> {
    roots(text, limits)?.iter().map(|root| value(root)).collect()
}

fn value(node: &Node) -> Option<Value> {
    let mut text = String::new();
    node.write_json(&mut text);
    serde_json::from_str(&text).ok()
}
