use std::path::{Path, PathBuf};

use super::Settings;

/// What there is to know about one setting.
#[derive(Clone, Copy, Debug)]
pub struct Spec {
    /// With dashes, as in the flag and the file.
    pub name: &'static str,
    pub short: Option<char>,
    /// What a value looks like, e.g. `DURATION`.
    pub unit: &'static str,
    /// A flag that needs no value.
    pub switch: bool,
    pub default: Preset,
    pub(super) doc: &'static str,
    pub(super) get: fn(&Settings) -> String,
    pub(super) set: fn(&mut Settings, &str) -> Result<(), String>,
}

impl Spec {
    /// One paragraph of plain text.
    #[must_use]
    pub fn doc(&self) -> &'static str {
        self.doc.trim_start()
    }

    /// The environment variable, e.g. `ISTHMUS_XDS_LISTEN`.
    #[must_use]
    pub fn variable(&self) -> String {
        format!("ISTHMUS_{}", self.name.replace('-', "_").to_uppercase())
    }
}

/// A default: fixed, or depending on the machine and on what is run.
#[derive(Clone, Copy, Debug)]
pub enum Preset {
    Fixed(&'static str),
    By(fn(&Machine) -> String),
}

/// What is run: a few defaults differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    Serve,
    Dev,
}

/// What defaults depend on.
#[derive(Clone, Debug)]
pub struct Machine {
    pub profile: Profile,
    pub root: bool,
    pub home: Option<PathBuf>,
    pub xdg_state_home: Option<PathBuf>,
    pub host_name: Option<String>,
}

impl Machine {
    /// Asks the process's environment.
    #[must_use]
    pub fn current(profile: Profile) -> Self {
        let folder = |name| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
        Self {
            profile,
            root: is_root(),
            home: folder("HOME"),
            xdg_state_home: folder("XDG_STATE_HOME"),
            host_name: std::fs::read_to_string("/proc/sys/kernel/hostname")
                .ok()
                .map(|name| name.trim().to_owned())
                .filter(|name| !name.is_empty()),
        }
    }

    pub(super) fn replica(&self) -> String {
        self.host_name.clone().unwrap_or_else(|| "isthmus".into())
    }

    pub(super) fn source_dir(&self) -> String {
        match self.profile {
            Profile::Serve => "/etc/isthmus/config.d".into(),
            Profile::Dev => "deploy/quickstart".into(),
        }
    }

    pub(super) fn state_dir(&self) -> String {
        let base = if self.root {
            PathBuf::from("/var/lib/isthmus")
        } else if let Some(state) = self.xdg_state_home.as_ref().filter(|p| p.is_absolute()) {
            state.join("isthmus")
        } else if let Some(home) = &self.home {
            home.join(".local/state/isthmus")
        } else {
            PathBuf::from("isthmus-state")
        };
        match self.profile {
            Profile::Serve => base,
            // A trial run must never overwrite what the real server would fall back to.
            Profile::Dev => base.join("dev"),
        }
        .to_string_lossy()
        .into_owned()
    }
}

/// The owner of our own entry in /proc says who we are, without a call into libc.
fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata(Path::new("/proc/self")).is_ok_and(|m| m.uid() == 0)
}

/// `xds_listen` to `xds-listen`, at compile time.
pub(super) const fn dashed<const N: usize>(name: &str) -> [u8; N] {
    let mut out = [0; N];
    let mut i = 0;
    while i < N {
        let byte = name.as_bytes()[i];
        out[i] = if byte == b'_' { b'-' } else { byte };
        i += 1;
    }
    out
}

macro_rules! settings {
    ($($(#[doc = $doc:literal])+ $field:ident $(($short:literal))?: $type:ty = $default:expr;)+) => {
        /// Effective settings.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct Settings {
            $($(#[doc = $doc])+ pub $field: $type,)+
        }

        impl Settings {
            /// A place to put values; [`load`] sets every field.
            fn blank() -> Self {
                Self { $($field: <$type as value::Value>::blank(),)+ }
            }
        }

        /// All settings, in the order of the list.
        pub const SPECS: &[Spec] = &[$(Spec {
            name: {
                const FIELD: &str = stringify!($field);
                const BYTES: [u8; FIELD.len()] = spec::dashed(FIELD);
                match std::str::from_utf8(&BYTES) {
                    Ok(name) => name,
                    Err(_) => FIELD,
                }
            },
            short: spec::settings!(@short $($short)?),
            unit: <$type as value::Value>::UNIT,
            switch: <$type as value::Value>::SWITCH,
            default: $default,
            doc: concat!($($doc),+),
            get: |settings| value::Value::print(&settings.$field),
            set: |settings, text| {
                settings.$field = value::Value::parse(text)?;
                Ok(())
            },
        },)+];
    };
    (@short) => { None };
    (@short $short:literal) => { Some($short) };
}
pub(super) use settings;
