use std::path::PathBuf;

use app::settings::{Effective, Inputs, Machine, Preset, Profile, SPECS, Spec, load};
use clap::{Arg, ArgAction, ArgMatches, Command, FromArgMatches, value_parser};

use crate::exit::{Exit, Failure};

const CONFIG: &str = "config";

/// `--config` and one flag for each setting of the list in `app::settings`.
#[derive(Debug, Default)]
pub(crate) struct SettingsArgs {
    config: Option<PathBuf>,
    flags: Vec<(&'static str, String)>,
}

impl SettingsArgs {
    /// All layers over each other. Rules between settings are not checked here.
    pub(crate) fn load(
        &self,
        profile: Profile,
        environment: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Effective, Failure> {
        let file = match &self.config {
            None => None,
            Some(path) => {
                let text = std::fs::read_to_string(path).map_err(|e| {
                    Failure::new(Exit::Usage, format!("cannot read {}: {e}", path.display()))
                })?;
                Some((path.display().to_string(), text))
            }
        };
        let inputs = Inputs {
            machine: Machine::current(profile),
            file: file.as_ref().map(|(name, text)| (name.as_str(), text.as_str())),
            environment,
            flags: &self.flags,
        };
        load(&inputs).map_err(|problems| wrong_settings(&problems))
    }
}

/// One failure that tells all problems.
pub(crate) fn wrong_settings(problems: &[app::settings::Problem]) -> Failure {
    let lines: Vec<_> = problems.iter().map(|p| format!("\n  {p}")).collect();
    Failure::new(Exit::Usage, format!("the settings are wrong:{}", lines.concat()))
}

impl clap::Args for SettingsArgs {
    fn augment_args(command: Command) -> Command {
        let config = Arg::new(CONFIG)
            .long(CONFIG)
            .value_name("FILE")
            .env("ISTHMUS_CONFIG")
            .value_parser(value_parser!(PathBuf))
            .help("Settings file (YAML): one `name: value` for each setting, named as the flags below");
        command
            .arg(config)
            .next_help_heading("Settings (flag over environment over file over default)")
            .args(SPECS.iter().map(argument))
            // The heading would otherwise go on over the subcommand's own flags.
            .next_help_heading(None::<&str>)
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

fn argument(spec: &'static Spec) -> Arg {
    let mut notes = match spec.default {
        Preset::Fixed("") => String::new(),
        Preset::Fixed(text) => format!("[default: {text}] "),
        Preset::By(_) => String::new(),
    };
    notes += &format!("[env: {}]", spec.variable());
    let argument = Arg::new(spec.name)
        .long(spec.name)
        .value_name(spec.unit)
        .help(format!("{} {notes}", spec.doc()))
        .action(ArgAction::Set);
    let argument = match spec.short {
        Some(short) => argument.short(short),
        None => argument,
    };
    if spec.switch {
        argument.num_args(0..=1).require_equals(true).default_missing_value("true")
    } else {
        argument
    }
}

impl FromArgMatches for SettingsArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut args = Self::default();
        args.update_from_arg_matches(matches)?;
        Ok(args)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        self.config = matches.get_one::<PathBuf>(CONFIG).cloned();
        let given = SPECS.iter().filter_map(|spec| {
            matches.get_one::<String>(spec.name).map(|value| (spec.name, value.clone()))
        });
        self.flags = given.collect();
        Ok(())
    }
}
