use model::Kind;

/// What `get` can list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Resource {
    Document(Kind),
    /// A read model, by its path.
    View(&'static str),
}

const VIEWS: [&str; 9] = [
    "audit",
    "events",
    "findings",
    "problems",
    "proxies",
    "revisions",
    "rollouts",
    "services",
    "sources",
];

/// The short names that kubectl knows.
const SHORT: [(&str, Kind); 5] = [
    ("gc", Kind::GatewayClass),
    ("gtw", Kind::Gateway),
    ("ns", Kind::Namespace),
    ("refgrant", Kind::ReferenceGrant),
    ("svc", Kind::Service),
];

/// A kind of document: singular, plural or kubectl's short name, in any case.
pub(crate) fn document(word: &str) -> Result<Kind, String> {
    let lower = word.to_ascii_lowercase();
    let kind = Kind::ALL
        .into_iter()
        .find(|k| k.plural() == lower || k.as_str().to_ascii_lowercase() == lower)
        .or_else(|| SHORT.iter().find(|(short, _)| *short == lower).map(|(_, kind)| *kind));
    kind.ok_or_else(|| {
        let known: Vec<_> = Kind::ALL.into_iter().map(Kind::plural).collect();
        format!("there is no kind `{word}`; known: {}", known.join(", "))
    })
}

/// All words that name something to list, as people complete them.
pub(crate) fn words() -> impl Iterator<Item = &'static str> {
    Kind::ALL
        .into_iter()
        .map(Kind::plural)
        .chain(VIEWS)
        .collect::<std::collections::BTreeSet<_>>()
        .into_iter()
}

/// Singular, plural or kubectl's short name, in any case.
pub(crate) fn parse(word: &str) -> Result<Resource, String> {
    let lower = word.to_ascii_lowercase();
    let singular = |view: &str| match view.strip_suffix("ies") {
        Some(stem) => format!("{stem}y"),
        None => view.trim_end_matches('s').to_owned(),
    };
    // The services of the one service model go before the documents of Kubernetes.
    let lower = if lower == "svc" { "services".to_owned() } else { lower };
    let view = VIEWS.into_iter().find(|view| *view == lower || singular(view) == lower);
    if let Some(view) = view {
        return Ok(Resource::View(view));
    }
    document(word).map(Resource::Document).map_err(|_| {
        let known: Vec<_> = words().collect();
        format!("there is no such kind; known: {}", known.join(", "))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_spelling() {
        for kind in Kind::ALL.into_iter().filter(|kind| *kind != Kind::Service) {
            for word in [kind.as_str(), kind.plural()] {
                assert_eq!(parse(word), Ok(Resource::Document(kind)));
                assert_eq!(parse(&word.to_uppercase()), Ok(Resource::Document(kind)));
            }
        }
        assert_eq!(parse("svc"), Ok(Resource::View("services")));
        assert_eq!(document("svc"), Ok(Kind::Service));
        for (word, view) in [
            ("proxy", "proxies"),
            ("Proxies", "proxies"),
            ("finding", "findings"),
            ("source", "sources"),
        ] {
            assert_eq!(parse(word), Ok(Resource::View(view)));
        }
        assert!(parse("thing").unwrap_err().contains("httproutes"));
    }
}
