//! One object on the server.

use std::fmt;

use model::Kind;
use serde_json::Value;

use crate::client::Client;
use crate::exit::{Exit, Failure};
use crate::resource;
use crate::view::{items, text};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Object {
    pub kind: Kind,
    /// Empty for kinds without namespaces.
    pub namespace: String,
    pub name: String,
}

impl Object {
    /// That a document is about.
    pub(crate) fn of(document: &Value) -> Result<Self, Failure> {
        let word = text(&document["kind"]);
        let kind = resource::document(&word).map_err(|e| Failure::new(Exit::Invalid, e))?;
        let name = text(&document["metadata"]["name"]);
        if name.is_empty() {
            return Err(Failure::new(Exit::Invalid, format!("a {kind} has no metadata.name")));
        }
        let namespace = match text(&document["metadata"]["namespace"]) {
            _ if !kind.namespaced() => String::new(),
            ns if ns.is_empty() => "default".to_owned(),
            ns => ns,
        };
        Ok(Self { kind, namespace, name })
    }

    /// Segments of its path.
    pub(crate) fn path(&self) -> Vec<&str> {
        match self.namespace.as_str() {
            "" => vec![self.kind.plural(), &self.name],
            ns => vec!["namespaces", ns, self.kind.plural(), &self.name],
        }
    }
}

impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.namespace.as_str() {
            "" => write!(f, "{} {}", self.kind, self.name),
            ns => write!(f, "{} {ns}/{}", self.kind, self.name),
        }
    }
}

/// By name and namespace, by NAMESPACE/NAME, or by a name that only one object of the kind has.
pub(crate) fn find(
    kind: Kind,
    name: &str,
    namespace: Option<&str>,
    client: &Client,
) -> Result<Object, Failure> {
    let object = |namespace: &str, name: &str| Object {
        kind,
        namespace: namespace.to_owned(),
        name: name.to_owned(),
    };
    if !kind.namespaced() {
        return Ok(object("", name));
    }
    if let Some(namespace) = namespace {
        return Ok(object(namespace, name));
    }
    if let Some((namespace, name)) = name.split_once('/') {
        return Ok(object(namespace, name));
    }
    let list = client.list(&[kind.plural()])?;
    // The services of the one service model are rows, not documents.
    let of = |item: &Value, field: &str| text(&item["metadata"][field]) + &text(&item[field]);
    let mut found = items(&list).iter().filter(|item| of(item, "name") == name);
    match (found.next(), found.next()) {
        (Some(only), None) => Ok(object(&of(only, "namespace"), name)),
        (None, _) => Err(Failure::new(Exit::NotFound, format!("there is no {kind} {name}"))),
        (Some(_), Some(_)) => {
            let text = format!("{kind} {name} exists in more than one namespace");
            Err(Failure::new(Exit::Usage, text).hint("say which with -n"))
        }
    }
}
