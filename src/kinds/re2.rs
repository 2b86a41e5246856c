use std::fmt::Write as _;

use regex::RegexBuilder;

use crate::re2_classes::is_class;

/// RE2's limit on repetitions, nested ones multiplied (`kMaxRepeat`).
const MOST_REPEATS: u32 = 1000;

/// Bounds the compiled form; RE2's own limit is of the same order.
const LARGEST: usize = 4 << 20;

const CLASSES: [&str; 14] = [
    "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct",
    "space", "upper", "word", "xdigit",
];

/// Whether Envoy's RE2 accepts the expression, judged by the `regex` crate, which has nearly RE2's language. Where the
/// two read the same text differently, the text is rewritten to what RE2 means or refused.
///
/// # Errors
/// Says what is wrong with it.
pub(crate) fn check(pattern: &str) -> Result<(), String> {
    let translated = translate(pattern)?;
    match RegexBuilder::new(&translated).size_limit(LARGEST).build() {
        Ok(_) => Ok(()),
        Err(regex::Error::CompiledTooBig(_)) => Err("it is too large once compiled".to_owned()),
        Err(error) => {
            // The message draws the pattern with a marker below; its last line says what is wrong.
            let text = error.to_string();
            let last = text.lines().last().unwrap_or_default();
            Err(last.strip_prefix("error: ").unwrap_or(last).to_owned())
        }
    }
}

/// The same expression for the `regex` crate.
///
/// # Errors
/// If it is none that RE2 accepts.
pub fn translate(pattern: &str) -> Result<String, String> {
    Translator::new(pattern).run()
}

/// Rewrites RE2's syntax to the `regex` crate's.
struct Translator {
    chars: Vec<char>,
    at: usize,
    out: String,
    in_class: bool,
    /// What may follow: a repetition of the last atom, only a `?` that makes one lazy, or neither.
    after: After,
    /// How often the last atom repeats its innermost part.
    repeats: u32,
    /// The largest of that so far: of the whole, then of each open group.
    largest: Vec<u32>,
}

#[derive(Clone, Copy, PartialEq)]
enum After {
    Atom,
    Repetition,
    LazyRepetition,
}

impl Translator {
    fn new(pattern: &str) -> Self {
        Self {
            chars: pattern.chars().collect(),
            at: 0,
            out: String::with_capacity(pattern.len()),
            in_class: false,
            after: After::Atom,
            repeats: 1,
            largest: vec![1],
        }
    }

    fn run(mut self) -> Result<String, String> {
        while let Some(c) = self.peek(0) {
            self.at += 1;
            match c {
                '\\' => self.escape()?,
                _ if self.in_class => self.in_class(c)?,
                '*' | '+' | '?' => self.repetition(1, &c.to_string())?,
                '{' => match repeat(&self.chars[self.at..]) {
                    Some((most, length)) => {
                        let text: String =
                            self.chars[self.at - 1..self.at + length].iter().collect();
                        self.at += length;
                        self.repetition(most, &text)?;
                    }
                    // Braces that are no repetition are plain characters in RE2.
                    None => self.atom("\\{"),
                },
                '}' => self.atom("\\}"),
                '[' => self.open_class(),
                '(' => {
                    self.check_group()?;
                    self.atom("(");
                    self.largest.push(1);
                    if self.peek(0) == Some('?') {
                        self.out.push('?');
                        self.at += 1;
                    }
                }
                ')' => {
                    self.atom(")");
                    self.repeats = self.largest.pop().unwrap_or(1);
                    self.grow();
                }
                c => self.atom(c.encode_utf8(&mut [0; 4])),
            }
        }
        Ok(self.out)
    }

    fn peek(&self, ahead: usize) -> Option<char> {
        self.chars.get(self.at + ahead).copied()
    }

    fn atom(&mut self, text: &str) {
        self.out.push_str(text);
        self.after = After::Atom;
        self.repeats = 1;
    }

    fn grow(&mut self) {
        if let Some(largest) = self.largest.last_mut() {
            *largest = self.repeats.max(*largest);
        }
    }

    fn repetition(&mut self, most: u32, text: &str) -> Result<(), String> {
        self.after = match (self.after, text) {
            (After::Atom, _) => After::Repetition,
            (After::Repetition, "?") => After::LazyRepetition,
            _ => return Err(format!("`{text}` follows another repetition")),
        };
        self.repeats = self.repeats.saturating_mul(most.max(1));
        if self.repeats > MOST_REPEATS {
            return Err(format!(
                "RE2 repeats at most {MOST_REPEATS} times, nested repetitions multiplied"
            ));
        }
        self.grow();
        self.out.push_str(text);
        Ok(())
    }

    fn open_class(&mut self) {
        self.atom("[");
        self.in_class = true;
        if self.peek(0) == Some('^') {
            self.out.push('^');
            self.at += 1;
        }
        // A bracket right at the start stands for itself.
        if self.peek(0) == Some(']') {
            self.out.push_str("\\]");
            self.at += 1;
        }
    }

    fn in_class(&mut self, c: char) -> Result<(), String> {
        match c {
            ']' => {
                self.in_class = false;
                self.out.push(c);
            }
            '[' if self.peek(0) == Some(':') => {
                // `[:alpha:]` up to its own bracket.
                let rest = &self.chars[self.at..];
                let end = rest
                    .windows(2)
                    .skip(1)
                    .position(|w| w == [':', ']'])
                    .ok_or("`[:` without `:]`")?
                    + 3;
                let name: String = rest[1..end - 2].iter().collect();
                if !CLASSES.contains(&name.trim_start_matches('^')) {
                    return Err(format!("there is no character class `[:{name}:]`"));
                }
                self.out.push(c);
                self.out.extend(&rest[..end]);
                self.at += end;
            }
            // Nested classes and set operations are only the crate's.
            '[' | '&' | '~' => self.out.extend(['\\', c]),
            '-' if self.peek(0) == Some('-') => self.out.push_str("\\-"),
            _ => self.out.push(c),
        }
        Ok(())
    }

    fn escape(&mut self) -> Result<(), String> {
        let Some(c) = self.peek(0) else {
            return Err("it ends with a single backslash".to_owned());
        };
        self.at += 1;
        self.after = After::Atom;
        self.repeats = 1;
        match c {
            'Q' if !self.in_class => {
                // RE2 takes the rest literally up to `\E`.
                while self.at < self.chars.len()
                    && !(self.peek(0) == Some('\\') && self.peek(1) == Some('E'))
                {
                    self.out.push_str(&regex::escape(&self.chars[self.at].to_string()));
                    self.at += 1;
                }
                self.at += 2;
            }
            '0'..='7' => {
                let more = self.chars[self.at..]
                    .iter()
                    .take(2)
                    .take_while(|c| ('0'..='7').contains(*c))
                    .count();
                if c != '0' && more == 0 {
                    return Err("RE2 has no back references".to_owned());
                }
                let octal: String = self.chars[self.at - 1..self.at + more].iter().collect();
                self.at += more;
                let _ =
                    write!(self.out, "\\x{{{:x}}}", u32::from_str_radix(&octal, 8).unwrap_or(0));
            }
            '8' | '9' => return Err("RE2 has no back references".to_owned()),
            // RE2's classes are ASCII only, the crate's are not.
            'd' | 's' | 'w' | 'D' | 'S' | 'W' => {
                let set = match c.to_ascii_lowercase() {
                    'd' => "0-9",
                    's' => "\\t\\n\\f\\r ",
                    _ => "0-9A-Za-z_",
                };
                let not = if c.is_ascii_uppercase() { "^" } else { "" };
                let _ = write!(self.out, "[{not}{set}]");
            }
            'b' | 'B' if self.in_class => return Err(format!("`\\{c}` is no character")),
            'b' if self.peek(0) == Some('{') => return Err("`\\b{…}` is not RE2 syntax".to_owned()),
            'x' | 'p' | 'P' if self.peek(0) == Some('{') => {
                let rest = &self.chars[self.at..];
                let end = rest.iter().position(|c| *c == '}').ok_or("`{` without `}`")? + 1;
                let name: String = rest[1..end - 1].iter().collect();
                if c != 'x' && !is_class(&name) {
                    return Err(format!("RE2 has no class `\\{c}{{{name}}}`"));
                }
                // Envoy lets RE2 compare bytes.
                if c == 'x' && u32::from_str_radix(&name, 16).is_ok_and(|value| value > 0xff) {
                    return Err(format!("`\\x{{{name}}}` is more than one byte"));
                }
                self.out.extend(['\\', c]);
                self.out.extend(&rest[..end]);
                self.at += end;
            }
            'x' | 'p' | 'P' | 'a' | 'f' | 't' | 'n' | 'r' | 'v' | 'A' | 'z' | 'b' | 'B' => {
                self.out.extend(['\\', c]);
            }
            c if c.is_alphanumeric() => return Err(format!("`\\{c}` is not supported")),
            c => self.out.push_str(&regex::escape(&c.to_string())),
        }
        Ok(())
    }

    /// What follows `(?`: flags `imsU`, `:`, or a name.
    fn check_group(&self) -> Result<(), String> {
        if self.peek(0) != Some('?') {
            return Ok(());
        }
        let lacks = |what: &str| Err(format!("RE2 has no {what}"));
        match (self.peek(1), self.peek(2)) {
            (Some('P'), Some('<')) => self.check_name(3),
            (Some('P'), _) => Err("only `(?P<name>` is RE2 syntax after `(?P`".to_owned()),
            (Some('<'), Some('=' | '!')) => lacks("look-behind"),
            (Some('<'), _) => self.check_name(2),
            (Some('=' | '!'), _) => lacks("look-ahead"),
            (Some('>'), _) => lacks("atomic groups"),
            (Some('#'), _) => lacks("comments"),
            _ => {
                let flags =
                    self.chars[self.at + 1..].iter().take_while(|c| !matches!(c, ':' | ')'));
                match flags.into_iter().find(|c| !"imsU-".contains(**c)) {
                    Some(c) => lacks(&format!("flag `{c}`")),
                    None => Ok(()),
                }
            }
        }
    }
}

impl Translator {
    /// The name of a group, `ahead` of here.
    fn check_name(&self, ahead: usize) -> Result<(), String> {
        let name = self.chars[self.at + ahead..].iter().take_while(|c| **c != '>');
        match name.into_iter().find(|c| !c.is_ascii_alphanumeric() && **c != '_') {
            Some(c) => Err(format!("RE2 has no `{c}` in names of groups")),
            None => Ok(()),
        }
    }
}

/// The larger number of `n}`, `n,}` or `n,m}` and its length; `None` if the text is no repetition.
fn repeat(rest: &[char]) -> Option<(u32, usize)> {
    let end = rest.iter().take(32).position(|c| *c == '}')?;
    let body: String = rest[..end].iter().collect();
    let (least, most) = body.split_once(',').unwrap_or((&body, ""));
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    if least.is_empty() || !digits(least) || !digits(most) {
        return None;
    }
    let number = |text: &str| text.parse().unwrap_or(u32::MAX);
    let larger = if most.is_empty() { number(least) } else { number(least).max(number(most)) };
    Some((larger, end + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_re2_knows_is_accepted() {
        for good in [
            "/v[0-9]+/.*",
            "(?i)abc",
            "(?P<n>a)(?<m>b)",
            "a{3}",
            "a{2,}",
            "a{1,1000}",
            "[[:alpha:]_]+",
            "\\Qa.b(\\E.*",
            "\\pN\\p{Greek}",
            "[a&&b]",
            "[a--z]",
            "[a[b]",
            "[]a]",
            "[^]a]",
            "\\x{41}",
            "\\101",
            "{id}",
            "a{,3}",
            "\\bfoo\\b",
            "(?:a|b)??",
            "\\z",
            "x*",
            "\\{a\\}",
            "(?s-i:.)",
            "",
            "(a{30}b{2}){30}",
            "[\\w-]+",
            "a{2}?",
            "\\/a\\-b",
            "[\\]\\-]",
        ] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
    }

    #[test]
    fn what_re2_lacks_is_refused() {
        for bad in [
            "(",
            "a**",
            "[",
            "(?=a)",
            "(?!a)",
            "(?<=a)",
            "(?<!a)",
            "(?>a)",
            "(a)\\1",
            "\\9",
            "a{1001}",
            "(?x)a b",
            "(?R)a",
            "\\u0041",
            "\\Z",
            "*a",
            "a\\",
            "[z-a]",
            "(?P=n)",
            "\\b{start}",
            "\\p{Alphabetic}",
            "\\p{greek}",
            "\\P{Script=Greek}",
            "(?P<a.b>x)",
            "(?<é>x)",
            "\\x{100}",
            "(((a{100}){100}){100})",
            "[[:nope:]]",
            "(a{40}b){40}",
            "a*+",
            "a{2}{3}",
        ] {
            assert!(check(bad).is_err(), "{bad}");
        }
    }
}
