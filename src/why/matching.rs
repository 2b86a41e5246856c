//! Whether a request fits a route, and what is missing.

use model::{PathMatch, RouteMatch, StringMatch};

use crate::fit::Fit;
use crate::pattern;
use crate::request::Seen;

#[derive(Debug)]
pub(crate) struct Judged {
    pub(crate) fit: Fit,
    /// What does not fit, or cannot be known.
    pub(crate) lacks: Vec<String>,
    /// How far it is from fitting.
    pub(crate) distance: usize,
}

/// A path that is another one is farther away than a header that is.
const PATH: usize = 20;
const METHOD: usize = 5;
const MISSING: usize = 8;
const VALUE: usize = 4;

pub(crate) fn judge(matches: &RouteMatch, request: &Seen) -> Judged {
    let RouteMatch { path, method, headers, query } = matches;
    let mut out = Judged { fit: Fit::Yes, lacks: Vec::new(), distance: 0 };
    let asked = request.path_only();
    out.note(path_fits(path, asked), || {
        (format!("path {asked} is not {}", say_path(path)), PATH + away(path, asked))
    });
    if let Some(method) = method {
        out.note((**method == *request.method).into(), || {
            (format!("method {} is not {method}", request.method), METHOD)
        });
    }
    for header in headers {
        let name = &header.name;
        let (fit, value) = request.judge(name, |value| pattern::text(&header.value, value));
        let wanted = pattern::say(&header.value);
        out.note(fit, || match value {
            Some(value) => (format!("header {name} is `{value}`, not {wanted}"), VALUE),
            None => (format!("there is no header {name}, which must be {wanted}"), MISSING),
        });
    }
    for parameter in query {
        let name = &parameter.name;
        let value = request.query(name);
        let fit = value.map_or(Fit::No, |value| pattern::text(&parameter.value, value));
        let wanted = pattern::say(&parameter.value);
        out.note(fit, || match value {
            Some(value) => (format!("parameter {name} is `{value}`, not {wanted}"), VALUE),
            None => (format!("there is no parameter {name}, which must be {wanted}"), MISSING),
        });
    }
    out
}

impl Judged {
    fn note(&mut self, fit: Fit, lack: impl FnOnce() -> (String, usize)) {
        self.fit = self.fit.and(fit);
        if fit == Fit::Yes {
            return;
        }
        let (text, distance) = lack();
        self.lacks.push(match fit {
            Fit::Unsure => format!("cannot be known here: whether {text}"),
            Fit::Yes | Fit::No => text,
        });
        self.distance += distance;
    }
}

pub(crate) fn path_fits(wanted: &PathMatch, path: &str) -> Fit {
    match wanted {
        PathMatch::Exact(exact) => (**exact == *path).into(),
        PathMatch::Prefix(prefix) => below(prefix, path).into(),
        PathMatch::Regex(pattern) => pattern::whole(pattern, path),
        PathMatch::Method { service, method } => {
            method_fits(service.as_ref(), method.as_ref(), path)
        }
    }
}

/// The path is `/SERVICE/METHOD`, of which neither has a slash unless a pattern says so.
fn method_fits(service: Option<&StringMatch>, method: Option<&StringMatch>, path: &str) -> Fit {
    use StringMatch::Exact;
    let part = |part: Option<&StringMatch>| match part {
        None => "[^/]+".to_string(),
        Some(Exact(name)) => pattern::exactly(name),
        Some(StringMatch::Regex(pattern)) => format!("(?:{pattern})"),
    };
    match (service, method) {
        (None, None) => Fit::Yes,
        (Some(Exact(service)), None) => path.starts_with(&format!("/{service}/")).into(),
        (service, method) => pattern::whole(&format!("/{}/{}", part(service), part(method)), path),
    }
}

fn below(prefix: &str, path: &str) -> bool {
    let prefix = prefix.trim_end_matches('/');
    path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

pub(crate) fn say_path(path: &PathMatch) -> String {
    let part = |part: &Option<StringMatch>| part.as_ref().map_or("*".into(), pattern::say);
    match path {
        PathMatch::Exact(path) => format!("exactly {path}"),
        PathMatch::Prefix(prefix) => format!("{prefix} or below"),
        PathMatch::Regex(pattern) => format!("like `{pattern}`"),
        PathMatch::Method { service, method } => {
            format!("gRPC method {} of {}", part(method), part(service))
        }
    }
}

/// How much of the path is another.
fn away(wanted: &PathMatch, path: &str) -> usize {
    let wanted = match wanted {
        PathMatch::Exact(text) | PathMatch::Prefix(text) | PathMatch::Regex(text) => text,
        PathMatch::Method { .. } => return 0,
    };
    let same = wanted.bytes().zip(path.bytes()).take_while(|(a, b)| a == b).count();
    wanted.len().max(path.len()) - same
}
