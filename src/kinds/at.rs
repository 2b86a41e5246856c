use std::rc::Rc;
use std::sync::Arc;

use model::{Severity, codes};

use crate::node::{Key, Mark, Node, Value, push_segment};
use crate::report::{Place, Report};

/// A value of a checked document together with where it is. The schema has made sure of its type, so the getters give
/// the type's empty value where that does not hold.
#[derive(Clone)]
pub(crate) struct At<'a> {
    pub node: &'a Node,
    /// Where the field's name stands, or the value where it has no name.
    key: Mark,
    pub pointer: String,
}

impl<'a> At<'a> {
    pub(crate) fn root(node: &'a Node) -> Self {
        Self { node, key: node.mark, pointer: String::new() }
    }

    /// The place for messages about the value itself.
    pub(crate) fn value(&self) -> Place {
        Place { pointer: self.pointer.clone(), mark: self.node.mark }
    }

    /// The place for messages about the part as a whole.
    pub(crate) fn place(&self) -> Place {
        Place {
            pointer: self.pointer.clone(),
            mark: if self.node.is_collection() { self.key } else { self.node.mark },
        }
    }

    pub(crate) fn shared_pointer(&self) -> Arc<str> {
        self.pointer.as_str().into()
    }

    pub(crate) fn text(&self) -> &'a str {
        self.node.text().unwrap_or_default()
    }

    pub(crate) fn shared(&self) -> Arc<str> {
        self.text().into()
    }

    pub(crate) fn int(&self) -> i64 {
        if let Value::Int(n) = self.node.value { n } else { 0 }
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "a weight of more than 2^53 needs no last digit"
    )]
    pub(crate) fn number(&self) -> f64 {
        match self.node.value {
            Value::Int(n) => n as f64,
            Value::Float(n) => n,
            _ => 0.0,
        }
    }

    pub(crate) fn is_true(&self) -> bool {
        matches!(self.node.value, Value::Bool(true))
    }

    /// A port number; the schema has checked the range.
    pub(crate) fn port(&self) -> u16 {
        u16::try_from(self.int()).unwrap_or_default()
    }

    pub(crate) fn items(&self) -> Vec<Self> {
        let item = |(index, node): (usize, &'a Rc<Node>)| At {
            node,
            key: node.mark,
            pointer: format!("{}/{index}", self.pointer),
        };
        self.node.items().iter().enumerate().map(item).collect()
    }

    /// All entries of a map whose keys are the user's own.
    pub(crate) fn strings(&self) -> Vec<(Arc<str>, Arc<str>)> {
        let mut all: Vec<(Arc<str>, Arc<str>)> = self
            .node
            .entries()
            .iter()
            .filter_map(|(key, node)| Some((key.text.as_ref().into(), node.text()?.into())))
            .collect();
        all.sort();
        all
    }

    pub(crate) fn fields(self) -> Fields<'a> {
        Fields { taken: Vec::new(), at: self }
    }
}

/// The fields of an object, each to be taken once. What nobody took is told to the user: a field that the kind has and
/// Isthmus does not act on must not look as if it worked.
pub(crate) struct Fields<'a> {
    pub at: At<'a>,
    taken: Vec<&'static str>,
}

impl<'a> Fields<'a> {
    pub(crate) fn take(&mut self, name: &'static str) -> Option<At<'a>> {
        self.taken.push(name);
        let (key, node) = self.at.node.get(name)?;
        if node.is_null() {
            return None;
        }
        Some(child(&self.at, key, node))
    }

    pub(crate) fn text(&mut self, name: &'static str) -> Option<&'a str> {
        self.take(name).map(|at| at.text())
    }

    pub(crate) fn shared(&mut self, name: &'static str) -> Option<Arc<str>> {
        self.text(name).map(Arc::from)
    }

    pub(crate) fn object(&mut self, name: &'static str) -> Option<Self> {
        self.take(name).map(At::fields)
    }

    pub(crate) fn items(&mut self, name: &'static str) -> Vec<At<'a>> {
        self.take(name).map(|at| at.items()).unwrap_or_default()
    }

    pub(crate) fn texts(&mut self, name: &'static str) -> Vec<Arc<str>> {
        self.items(name).iter().map(At::shared).collect()
    }

    /// These fields say nothing that a control plane would act on.
    pub(crate) fn ignore(&mut self, names: &[&'static str]) {
        self.taken.extend_from_slice(names);
    }

    pub(crate) fn finish(self, report: &mut Report) {
        for (key, node) in self.at.node.entries() {
            if !self.taken.contains(&key.text.as_ref()) && !node.is_null() {
                let at = Place { mark: key.mark, ..child(&self.at, key, node).place() };
                let text = format!("the field `{}` has no effect in Isthmus", key.text);
                report.say(
                    Severity::Warning,
                    codes::UNSUPPORTED_FIELD,
                    at,
                    text,
                    "remove it, or do not rely on it",
                );
            }
        }
    }
}

fn child<'a>(parent: &At<'_>, key: &Key, node: &'a Node) -> At<'a> {
    let mut pointer = parent.pointer.clone();
    push_segment(&mut pointer, &key.text);
    At { node, key: key.mark, pointer }
}
