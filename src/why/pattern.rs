//! Patterns of texts.

use model::StringMatch;
use regex::RegexBuilder;

use crate::fit::Fit;

/// Whether the whole text fits. Proxies read patterns as RE2 does; unsure where this one cannot be read here.
pub(crate) fn whole(pattern: &str, text: &str) -> Fit {
    // What is not accepted is in no plan.
    let Ok(pattern) = kinds::regex_of_re2(pattern) else { return Fit::Unsure };
    match RegexBuilder::new(&format!(r"\A(?:{pattern})\z")).size_limit(LARGEST).build() {
        Ok(regex) => regex.is_match(text).into(),
        Err(_) => Fit::Unsure,
    }
}

/// An expression for exactly this text.
pub(crate) fn exactly(text: &str) -> String {
    let escaped = |c: char| match c {
        c if r"\.+*?()|[]{}^$".contains(c) => format!(r"\{c}"),
        c => c.to_string(),
    };
    text.chars().map(escaped).collect()
}

/// Bounds the compiled form.
const LARGEST: usize = 4 << 20;

pub(crate) fn text(wanted: &StringMatch, value: &str) -> Fit {
    match wanted {
        StringMatch::Exact(exact) => (**exact == *value).into(),
        StringMatch::Regex(pattern) => whole(pattern, value),
    }
}

pub(crate) fn say(wanted: &StringMatch) -> String {
    match wanted {
        StringMatch::Exact(exact) => format!("`{exact}`"),
        StringMatch::Regex(pattern) => format!("like `{pattern}`"),
    }
}
