//! `-l app=web,tier!=test,team,!old`, as kubectl takes it.

use serde_json::Value;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Selector(Vec<Rule>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Rule {
    Equal(String, String),
    Unequal(String, String),
    Present(String),
    Absent(String),
}

impl Selector {
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let rule = |part: &str| {
            let part = part.trim();
            let rule = if let Some((name, value)) = part.split_once("!=") {
                Rule::Unequal(name.trim().into(), value.trim().into())
            } else if let Some((name, value)) = part.split_once('=') {
                // kubectl has `==`, too.
                Rule::Equal(name.trim().into(), value.trim_start_matches('=').trim().into())
            } else if let Some(name) = part.strip_prefix('!') {
                Rule::Absent(name.trim().into())
            } else {
                Rule::Present(part.into())
            };
            let (Rule::Equal(name, _)
            | Rule::Unequal(name, _)
            | Rule::Present(name)
            | Rule::Absent(name)) = &rule;
            let sound = !name.is_empty()
                && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_./".contains(&b));
            if sound {
                Ok(rule)
            } else {
                Err(format!("`{part}` is no rule for labels: a=b, a!=b, a, !a"))
            }
        };
        text.split(',').map(rule).collect::<Result<_, _>>().map(Self)
    }

    /// `labels` is an object of texts, or nothing.
    pub(crate) fn fits(&self, labels: &Value) -> bool {
        self.0.iter().all(|rule| match rule {
            Rule::Equal(name, value) => labels[name].as_str() == Some(value),
            Rule::Unequal(name, value) => labels[name].as_str() != Some(value),
            Rule::Present(name) => labels[name].is_string(),
            Rule::Absent(name) => labels[name].is_null(),
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn labels_are_selected() {
        let labels = json!({"app": "web", "tier": ""});
        for (text, fits) in [
            ("app=web", true),
            ("app==web", true),
            ("app=api", false),
            ("app!=api,tier", true),
            ("!app", false),
            ("!old,app=web", true),
            ("old!=1", true),
        ] {
            assert_eq!(Selector::parse(text).unwrap().fits(&labels), fits, "{text}");
        }
        assert!(!Selector::parse("app=web").unwrap().fits(&Value::Null));
        for text in ["", "a b", "=x", "a=1,"] {
            assert!(Selector::parse(text).is_err(), "{text}");
        }
    }
}
