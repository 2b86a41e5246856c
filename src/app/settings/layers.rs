use std::fmt;

use super::{Machine, Preset, SPECS, Settings, Spec, file};

/// What the settings are made from.
pub struct Inputs<'a> {
    pub machine: Machine,
    /// Name and text of the settings file, if there is one.
    pub file: Option<(&'a str, &'a str)>,
    /// Looks up an environment variable.
    pub environment: &'a dyn Fn(&str) -> Option<String>,
    /// (name, value) of each flag that was given.
    pub flags: &'a [(&'static str, String)],
}

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    Default,
    File { name: String, line: usize },
    Environment { variable: String },
    Flag { name: &'static str },
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { name, line } => write!(f, "{name}:{line}"),
            Self::Environment { variable } => write!(f, "${variable}"),
            Self::Flag { name } => write!(f, "--{name}"),
        }
    }
}

/// Something wrong in the settings, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// `isthmus.yaml:3:14`, `$ISTHMUS_GRACE`, `--grace`, or the setting that a rule is about.
    pub place: String,
    pub text: String,
}

impl Problem {
    pub(super) fn at(file: &str, line: usize, column: usize, text: &str) -> Self {
        Self { place: format!("{file}:{line}:{column}"), text: text.to_owned() }
    }

    pub(super) fn rule(setting: &str, text: &str) -> Self {
        Self { place: setting.to_owned(), text: text.to_owned() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.text)
    }
}

/// Settings with the origin of each.
#[derive(Clone, Debug)]
pub struct Effective {
    pub settings: Settings,
    /// In the order of [`SPECS`].
    origins: Vec<Origin>,
}

impl Effective {
    /// (setting, value as text, origin), in the order of the list.
    pub fn rows(&self) -> impl Iterator<Item = (&'static Spec, String, &Origin)> {
        SPECS.iter().zip(&self.origins).map(|(s, origin)| (s, (s.get)(&self.settings), origin))
    }
}

/// Lays the layers over each other: default, file, environment, flag. Rules between settings are checked apart, by
/// [`Settings::check`], so that `--print-config` can show what is wrong.
///
/// # Errors
/// All mistakes of all layers, also those that a later layer would hide.
pub fn load(inputs: &Inputs<'_>) -> Result<Effective, Vec<Problem>> {
    let mut settings = Settings::blank();
    let mut origins = vec![Origin::Default; SPECS.len()];
    let mut problems = Vec::new();

    let mut set = |at: usize, value: &str, origin: Origin, place: String| match (SPECS[at].set)(
        &mut settings,
        value,
    ) {
        Ok(()) => origins[at] = origin,
        Err(why) => {
            let text = format!("{} = `{value}`: {why}", SPECS[at].name);
            problems.push(Problem { place, text });
        }
    };
    for (at, spec) in SPECS.iter().enumerate() {
        let value = match spec.default {
            Preset::Fixed(text) => text.to_owned(),
            Preset::By(choose) => choose(&inputs.machine),
        };
        set(at, &value, Origin::Default, "default".into());
    }
    let mut file_problems = Vec::new();
    if let Some((name, text)) = inputs.file {
        let (entries, wrong) = file::read(name, text);
        file_problems = wrong;
        for e in entries {
            let origin = Origin::File { name: name.to_owned(), line: e.line };
            set(e.spec, &e.value, origin, format!("{name}:{}:{}", e.line, e.column));
        }
    }
    for (at, spec) in SPECS.iter().enumerate() {
        let variable = spec.variable();
        // An empty variable is how shells and compose files say "not set".
        if let Some(value) = (inputs.environment)(&variable).filter(|v| !v.is_empty()) {
            let place = format!("${variable}");
            set(at, &value, Origin::Environment { variable }, place);
        }
    }
    for (name, value) in inputs.flags {
        if let Some(at) = SPECS.iter().position(|s| s.name == *name) {
            set(at, value, Origin::Flag { name }, format!("--{name}"));
        }
    }
    // The folder that is read by default is there for those who have nothing else to read.
    let folder = SPECS.iter().position(|s| s.name == "source-dir");
    if settings.kubernetes && folder.is_some_and(|at| origins[at] == Origin::Default) {
        settings.source_dir = None;
    }
    file_problems.append(&mut problems);
    if file_problems.is_empty() { Ok(Effective { settings, origins }) } else { Err(file_problems) }
}
