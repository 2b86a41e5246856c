//! The fields of an object, each taken once; what nobody took is said.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use crate::report::{Report, Said, say};

pub(crate) struct Fields<'a> {
    pub(crate) pointer: String,
    map: Option<&'a Map<String, Value>>,
    left: BTreeSet<&'a str>,
}

#[derive(Clone)]
pub(crate) struct Part<'a> {
    pub(crate) value: &'a Value,
    pub(crate) pointer: String,
}

impl<'a> Fields<'a> {
    pub(crate) fn new(value: &'a Value, pointer: &str) -> Self {
        let map = value.as_object();
        let left = map.into_iter().flat_map(|map| map.keys().map(String::as_str)).collect();
        Self { pointer: pointer.to_string(), map, left }
    }

    /// `None` for null, too.
    pub(crate) fn take(&mut self, name: &str) -> Option<Part<'a>> {
        self.left.remove(name);
        let value = self.map?.get(name).filter(|value| !value.is_null())?;
        Some(Part { value, pointer: format!("{}/{}", self.pointer, escape(name)) })
    }

    pub(crate) fn text(&mut self, name: &str) -> Option<&'a str> {
        self.take(name)?.value.as_str()
    }

    pub(crate) fn flag(&mut self, name: &str) -> bool {
        self.take(name).is_some_and(|part| part.value == &Value::Bool(true))
    }

    pub(crate) fn number(&mut self, name: &str) -> Option<u64> {
        self.take(name)?.value.as_u64()
    }

    pub(crate) fn list(&mut self, name: &str) -> Vec<Part<'a>> {
        self.take(name).map(|part| part.items()).unwrap_or_default()
    }

    /// Says that these are not there any more: name, code, why.
    pub(crate) fn refuse(&mut self, names: &[(&str, &'static str, &str)], report: &mut Report) {
        for (name, code, why) in names {
            if let Some(part) = self.take(name) {
                report.refused(&part.pointer, Said::of(code, why));
            }
        }
    }

    /// What begins so is for others.
    pub(crate) fn skip(&mut self, start: &str) {
        self.left.retain(|name| !name.starts_with(start));
    }

    /// Names what nobody took.
    pub(crate) fn finish(self, report: &mut Report) {
        for name in self.left {
            let pointer = format!("{}/{}", self.pointer, escape(name));
            report.refused(&pointer, say!("unknownField", "nobody here knows this field"));
        }
    }
}

impl<'a> Part<'a> {
    pub(crate) fn fields(&self) -> Fields<'a> {
        Fields::new(self.value, &self.pointer)
    }

    pub(crate) fn items(&self) -> Vec<Self> {
        let items = self.value.as_array().into_iter().flatten().enumerate();
        let part = |(index, value)| Self { value, pointer: format!("{}/{index}", self.pointer) };
        items.map(part).collect()
    }

    pub(crate) fn texts(&self) -> Vec<&'a str> {
        self.value.as_array().into_iter().flatten().filter_map(Value::as_str).collect()
    }
}

fn escape(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}
