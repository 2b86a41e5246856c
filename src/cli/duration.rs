//! `30s`, `500ms`, `2m`, `1h`

use std::time::Duration;

pub(crate) fn parse(text: &str) -> Result<Duration, String> {
    let at = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at(at);
    let wrong = || format!("`{text}` is no time: expected e.g. 30s, 2m, 1h");
    let count: u64 = digits.parse().map_err(|_| wrong())?;
    let unit = match unit {
        "ms" => 1,
        "s" | "" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err(wrong()),
    };
    // A day is more than anybody waits for, and far from what a clock cannot count.
    let ms = count.checked_mul(unit).filter(|ms| *ms <= 24 * 3_600_000).ok_or_else(wrong)?;
    Ok(Duration::from_millis(ms))
}

/// As the server reads it.
pub(crate) fn write(duration: Duration) -> String {
    match duration.as_millis() {
        ms if ms % 1000 == 0 => format!("{}s", ms / 1000),
        ms => format!("{ms}ms"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_and_written() {
        for (text, ms, written) in [
            ("30s", 30_000, "30s"),
            ("5", 5000, "5s"),
            ("2m", 120_000, "120s"),
            ("250ms", 250, "250ms"),
        ] {
            let duration = parse(text).unwrap();
            assert_eq!((duration.as_millis(), write(duration).as_str()), (ms, written));
        }
        for text in ["", "s", "1x", "-1s", "25h", "99999999999999999999s"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
