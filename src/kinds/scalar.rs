use crate::node::Value;

/// What a scalar means by YAML 1.2's core schema (§10.3.2). Quoted text is text; a tag overrides the guess.
///
/// `yes`, `on` and their like are text: YAML 1.1's reading of them is a known trap.
pub(crate) fn resolve(text: &str, plain: bool, tag: Option<&str>) -> Result<Value, String> {
    let guess = if plain || tag.is_some() { core(text) } else { None };
    let as_text = || Value::Text(text.into());
    match tag {
        None => Ok(guess.unwrap_or_else(as_text)),
        Some("str") => Ok(as_text()),
        Some(tag) => match (tag, guess) {
            ("null", Some(value @ Value::Null))
            | ("bool", Some(value @ Value::Bool(_)))
            | ("int", Some(value @ Value::Int(_)))
            | ("float", Some(value @ (Value::Int(_) | Value::Float(_)))) => Ok(value),
            ("null" | "bool" | "int" | "float", _) => Err(format!("the value is not a !!{tag}")),
            _ => Err(format!("the tag !!{tag} means nothing here")),
        },
    }
}

fn core(text: &str) -> Option<Value> {
    Some(match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "true" | "True" | "TRUE" => Value::Bool(true),
        "false" | "False" | "FALSE" => Value::Bool(false),
        ".nan" | ".NaN" | ".NAN" => Value::Float(f64::NAN),
        _ => return number(text),
    })
}

fn number(text: &str) -> Option<Value> {
    for (prefix, radix) in [("0o", 8), ("0x", 16)] {
        if let Some(digits) = text.strip_prefix(prefix) {
            // `from_str_radix` would take a sign here.
            let all = !digits.is_empty() && digits.chars().all(|c| c.is_digit(radix));
            return all.then(|| {
                i64::from_str_radix(digits, radix).map_or(Value::Float(f64::INFINITY), Value::Int)
            });
        }
    }
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    if matches!(unsigned, ".inf" | ".Inf" | ".INF") {
        return Some(Value::Float(if text.starts_with('-') {
            f64::NEG_INFINITY
        } else {
            f64::INFINITY
        }));
    }
    let digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
    if !unsigned.is_empty() && digits(unsigned) {
        return text.parse().map(Value::Int).ok().or_else(|| text.parse().map(Value::Float).ok());
    }
    // [-+]? ( \. [0-9]+ | [0-9]+ ( \. [0-9]* )? ) ( [eE] [-+]? [0-9]+ )?
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => {
            (mantissa, Some(exponent.strip_prefix(['-', '+']).unwrap_or(exponent)))
        }
        None => (unsigned, None),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let shaped = digits(whole)
        && digits(fraction)
        && !(whole.is_empty() && fraction.is_empty())
        && exponent.is_none_or(|e| !e.is_empty() && digits(e));
    if shaped { text.parse().map(Value::Float).ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let value = resolve(text, true, None).unwrap();
        assert_eq!(format!("{value:?}"), expected, "{text}");
    }

    #[test]
    fn plain_scalars_follow_the_core_schema() {
        check("", "Null");
        check("~", "Null");
        check("True", "Bool(true)");
        check("yes", "Text(\"yes\")");
        check("12", "Int(12)");
        check("-12", "Int(-12)");
        check("+12", "Int(12)");
        check("0o17", "Int(15)");
        check("0x1F", "Int(31)");
        check("0x-1", "Text(\"0x-1\")");
        check("017", "Int(17)");
        check("1.5", "Float(1.5)");
        check(".5", "Float(0.5)");
        check("1.", "Float(1.0)");
        check("1e3", "Float(1000.0)");
        check("-.inf", "Float(-inf)");
        check("99999999999999999999", "Float(1e20)");
        check("1.2.3", "Text(\"1.2.3\")");
        check(".", "Text(\".\")");
        check("1e", "Text(\"1e\")");
        check("inf", "Text(\"inf\")");
        check("nan", "Text(\"nan\")");
    }

    #[test]
    fn quotes_and_tags_override() {
        assert!(matches!(resolve("12", false, None), Ok(Value::Text(_))));
        assert!(matches!(resolve("12", true, Some("str")), Ok(Value::Text(_))));
        assert!(matches!(resolve("12", false, Some("int")), Ok(Value::Int(12))));
        assert!(resolve("x", true, Some("int")).is_err());
        assert!(resolve("x", true, Some("binary")).is_err());
    }
}
