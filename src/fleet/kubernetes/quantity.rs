//! Amounts as Kubernetes writes them.

use serde_json::Value;

const SUFFIXES: [(&str, u64); 11] = [
    ("Ki", 1 << 10),
    ("Mi", 1 << 20),
    ("Gi", 1 << 30),
    ("Ti", 1 << 40),
    ("Pi", 1 << 50),
    ("k", 1_000),
    ("M", 1_000_000),
    ("G", 1_000_000_000),
    ("T", 1_000_000_000_000),
    ("P", 1_000_000_000_000_000),
    ("", 1),
];

/// A number of bytes; `None` for what is no whole number of them, whatever Kubernetes makes of it.
pub(crate) fn bytes(value: &Value) -> Option<u64> {
    let Some(text) = value.as_str() else { return value.as_u64() };
    SUFFIXES.iter().find_map(|(suffix, unit)| {
        let number: u64 = text.strip_suffix(suffix)?.parse().ok()?;
        number.checked_mul(*unit)
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn bytes_of_whole_numbers() {
        for (text, want) in [
            (json!("512Mi"), Some(512 << 20)),
            (json!("1Gi"), Some(1 << 30)),
            (json!("2G"), Some(2_000_000_000)),
            (json!("1000"), Some(1000)),
            (json!(1000), Some(1000)),
            (json!("1.5Gi"), None),
            (json!("99999999Pi"), None),
            (json!("Mi"), None),
            (json!(null), None),
        ] {
            assert_eq!(bytes(&text), want, "{text}");
        }
    }
}
