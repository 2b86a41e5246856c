use api::change::WriteMode;
use fleet::bootstrap::{HostPort, InvalidHostPort};
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

/// A type that a setting can have. `parse(print(v))` gives `v` back.
pub(super) trait Value: Sized {
    /// What a value looks like, for help texts.
    const UNIT: &'static str;
    const SWITCH: bool = false;

    fn blank() -> Self;
    fn parse(text: &str) -> Result<Self, String>;
    fn print(&self) -> String;
}

impl Value for String {
    const UNIT: &'static str = "TEXT";

    fn blank() -> Self {
        Self::new()
    }
    fn parse(text: &str) -> Result<Self, String> {
        Ok(text.to_owned())
    }
    fn print(&self) -> String {
        self.clone()
    }
}

impl Value for bool {
    const UNIT: &'static str = "true|false";
    const SWITCH: bool = true;

    fn blank() -> Self {
        false
    }
    fn parse(text: &str) -> Result<Self, String> {
        text.parse().map_err(|_| "expected true or false".into())
    }
    fn print(&self) -> String {
        self.to_string()
    }
}

impl Value for PathBuf {
    const UNIT: &'static str = "PATH";

    fn blank() -> Self {
        Self::new()
    }
    fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() { Err("expected a path".into()) } else { Ok(text.into()) }
    }
    fn print(&self) -> String {
        self.to_string_lossy().into_owned()
    }
}

impl Value for Option<PathBuf> {
    const UNIT: &'static str = "PATH";

    fn blank() -> Self {
        None
    }
    /// Empty text is "not set".
    fn parse(text: &str) -> Result<Self, String> {
        Ok((!text.is_empty()).then(|| text.into()))
    }
    fn print(&self) -> String {
        self.as_ref().map(Value::print).unwrap_or_default()
    }
}

impl Value for Option<HostPort> {
    const UNIT: &'static str = "HOST:PORT";

    fn blank() -> Self {
        None
    }
    /// Empty text is "not set".
    fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Ok(None);
        }
        text.parse().map(Some).map_err(|error: InvalidHostPort| error.to_string())
    }
    fn print(&self) -> String {
        self.as_ref().map(ToString::to_string).unwrap_or_default()
    }
}

impl Value for Option<SocketAddr> {
    const UNIT: &'static str = "ADDRESS:PORT";

    fn blank() -> Self {
        None
    }
    /// Empty text is "not set".
    fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() { Ok(None) } else { <SocketAddr as Value>::parse(text).map(Some) }
    }
    fn print(&self) -> String {
        self.as_ref().map(ToString::to_string).unwrap_or_default()
    }
}

impl Value for Option<IpAddr> {
    const UNIT: &'static str = "ADDRESS";

    fn blank() -> Self {
        None
    }
    /// Empty text is "not set".
    fn parse(text: &str) -> Result<Self, String> {
        let address = (!text.is_empty()).then(|| text.parse()).transpose();
        address.map_err(|_| "is not an IP address".into())
    }
    fn print(&self) -> String {
        self.as_ref().map(ToString::to_string).unwrap_or_default()
    }
}

impl Value for Option<String> {
    const UNIT: &'static str = "TEXT";

    fn blank() -> Self {
        None
    }
    /// Empty text is "not set".
    fn parse(text: &str) -> Result<Self, String> {
        Ok((!text.is_empty()).then(|| text.to_owned()))
    }
    fn print(&self) -> String {
        self.clone().unwrap_or_default()
    }
}

/// Names with commas between them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names(pub Vec<String>);

impl Value for Names {
    const UNIT: &'static str = "NAME,…";

    fn blank() -> Self {
        Self::default()
    }
    /// Empty text is none.
    fn parse(text: &str) -> Result<Self, String> {
        let names = text.split(',').map(str::trim).filter(|name| !name.is_empty());
        Ok(Self(names.map(str::to_owned).collect()))
    }
    fn print(&self) -> String {
        self.0.join(",")
    }
}

impl Value for SocketAddr {
    const UNIT: &'static str = "ADDRESS:PORT";

    fn blank() -> Self {
        Self::from(([127, 0, 0, 1], 0))
    }
    fn parse(text: &str) -> Result<Self, String> {
        text.parse().map_err(|_| {
            "expected an IP address and a port, e.g. 127.0.0.1:8080, 0.0.0.0:8080 or [::1]:8080"
                .into()
        })
    }
    fn print(&self) -> String {
        self.to_string()
    }
}

const DURATION_UNITS: [(&str, u64); 4] = [("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000)];

impl Value for Duration {
    const UNIT: &'static str = "DURATION";

    fn blank() -> Self {
        Self::ZERO
    }
    /// As Gateway API writes them: `250ms`, `30s`, `1m30s`. A bare number is refused, because it does not say of what.
    fn parse(text: &str) -> Result<Self, String> {
        let wrong = || "expected a time with its unit, e.g. 250ms, 30s, 1m30s".to_owned();
        let mut rest = text;
        let mut total: u64 = 0;
        while !rest.is_empty() {
            let (number, after) = split_number(rest).ok_or_else(wrong)?;
            let letters = after.bytes().take_while(u8::is_ascii_alphabetic).count();
            let unit = DURATION_UNITS.iter().find(|(name, _)| *name == &after[..letters]);
            let (_, factor) = unit.ok_or_else(wrong)?;
            let part = number.checked_mul(*factor).ok_or_else(wrong)?;
            total = total.checked_add(part).ok_or_else(wrong)?;
            rest = &after[letters..];
        }
        if text.is_empty() { Err(wrong()) } else { Ok(Self::from_millis(total)) }
    }
    fn print(&self) -> String {
        let mut rest = u64::try_from(self.as_millis()).unwrap_or(u64::MAX);
        let mut out = String::new();
        for (name, factor) in DURATION_UNITS.iter().rev() {
            if rest >= *factor {
                out += &format!("{}{name}", rest / factor);
                rest %= factor;
            }
        }
        if out.is_empty() { "0s".into() } else { out }
    }
}

/// A number of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ByteSize(pub u64);

const SIZE_UNITS: [(&str, u64); 4] =
    [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

impl Value for ByteSize {
    const UNIT: &'static str = "SIZE";

    fn blank() -> Self {
        Self(0)
    }
    fn parse(text: &str) -> Result<Self, String> {
        let wrong = || "expected a size with its unit, e.g. 512KiB, 16MiB, 1GiB".to_owned();
        let (number, unit) = split_number(text).ok_or_else(wrong)?;
        let (_, factor) = SIZE_UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(wrong)?;
        let size = number.checked_mul(*factor);
        size.map(Self).ok_or_else(wrong)
    }
    fn print(&self) -> String {
        let fits = |(_, factor): &&(&str, u64)| self.0 >= *factor && self.0.is_multiple_of(*factor);
        let (name, factor) = SIZE_UNITS.iter().find(fits).unwrap_or(&("B", 1));
        format!("{}{name}", self.0 / factor)
    }
}

impl Value for usize {
    const UNIT: &'static str = "NUMBER";

    fn blank() -> Self {
        0
    }
    fn parse(text: &str) -> Result<Self, String> {
        text.parse().map_err(|_| "expected a number, e.g. 100".into())
    }
    fn print(&self) -> String {
        self.to_string()
    }
}

/// A part of something, 0% to 100%.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Percent(pub u8);

impl Percent {
    /// 1.0 is the whole.
    #[must_use]
    pub fn fraction(self) -> f64 {
        f64::from(self.0) / 100.0
    }
}

impl Value for Percent {
    const UNIT: &'static str = "PERCENT";

    fn blank() -> Self {
        Self(0)
    }
    fn parse(text: &str) -> Result<Self, String> {
        let wrong = || "expected a part from 0% to 100%, e.g. 10%".to_owned();
        let number = text.strip_suffix('%').and_then(|number| number.parse().ok());
        number.filter(|number| *number <= 100).map(Self).ok_or_else(wrong)
    }
    fn print(&self) -> String {
        format!("{}%", self.0)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    Text,
    Json,
}

impl Value for LogFormat {
    const UNIT: &'static str = "text|json";

    fn blank() -> Self {
        Self::Text
    }
    fn parse(text: &str) -> Result<Self, String> {
        match text {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => Err("expected text or json".into()),
        }
    }
    fn print(&self) -> String {
        match self {
            Self::Text => "text".into(),
            Self::Json => "json".into(),
        }
    }
}

/// Whether users of the API are asked who they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthMode {
    Auto,
    None,
    Token,
}

impl Value for AuthMode {
    const UNIT: &'static str = "auto|none|token";

    fn blank() -> Self {
        Self::Auto
    }
    fn parse(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            "none" => Ok(Self::None),
            "token" => Ok(Self::Token),
            _ => Err("expected auto, none or token".into()),
        }
    }
    fn print(&self) -> String {
        match self {
            Self::Auto => "auto".into(),
            Self::None => "none".into(),
            Self::Token => "token".into(),
        }
    }
}

impl Value for WriteMode {
    const UNIT: &'static str = "direct|propose|off";

    fn blank() -> Self {
        Self::Direct
    }
    fn parse(text: &str) -> Result<Self, String> {
        match text {
            "direct" => Ok(Self::Direct),
            "propose" => Ok(Self::Propose),
            "off" => Ok(Self::Off),
            _ => Err("expected direct, propose or off".into()),
        }
    }
    fn print(&self) -> String {
        match self {
            Self::Direct => "direct".into(),
            Self::Propose => "propose".into(),
            Self::Off => "off".into(),
        }
    }
}

fn split_number(text: &str) -> Option<(u64, &str)> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    Some((text[..digits].parse().ok()?, &text[digits..]))
}
