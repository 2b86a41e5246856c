use model::Kind;

/// What `get` can list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Resource {
    Document(Kind),
    /// A read model, by its path.
    View(&'static str),
}

const VIEWS: [&str; 3] = ["findings", "proxies", "sources"];

/// The short names that kubectl knows.
const SHORT: [(&str, Kind); 5] = [
    ("gc", Kind::GatewayClass),
    ("gtw", Kind::Gateway),
    ("ns", Kind::Namespace),
    ("refgrant", Kind::ReferenceGrant),
    ("svc", Kind::Service),
];

/// Singular, plural or kubectl's short name, in any case.
pub(crate) fn parse(word: &str) -> Result<Resource, String> {
    let lower = word.to_ascii_lowercase();
    let documents = Kind::ALL.into_iter();
    let kind = documents
        .clone()
        .find(|k| k.plural() == lower || k.as_str().to_ascii_lowercase() == lower)
        .or_else(|| SHORT.iter().find(|(short, _)| *short == lower).map(|(_, kind)| *kind));
    if let Some(kind) = kind {
        return Ok(Resource::Document(kind));
    }
    let singular = |view: &str| match view.strip_suffix("ies") {
        Some(stem) => format!("{stem}y"),
        None => view.trim_end_matches('s').to_owned(),
    };
    let view = VIEWS.into_iter().find(|view| *view == lower || singular(view) == lower);
    view.map(Resource::View).ok_or_else(|| {
        let known: Vec<_> = documents.map(Kind::plural).chain(VIEWS).collect();
        format!("there is no such kind; known: {}", known.join(", "))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_spelling() {
        for kind in Kind::ALL {
            for word in [kind.as_str(), kind.plural()] {
                assert_eq!(parse(word), Ok(Resource::Document(kind)));
                assert_eq!(parse(&word.to_uppercase()), Ok(Resource::Document(kind)));
            }
        }
        assert_eq!(parse("svc"), Ok(Resource::Document(Kind::Service)));
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
