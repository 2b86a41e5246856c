use std::path::{Path, PathBuf};
use std::process::Command;

use model::Kind;
use serde_json::Value;

use crate::bootstrap::write_private;
use crate::client::{Body, YAML};
use crate::exit::{Exit, Failure, Outcome};
use crate::io::Io;
use crate::object;
use crate::output::{Output, yaml};
use crate::report::{self, Detail};
use crate::resource;
use crate::target::ServerArgs;
use crate::three_way;
use crate::write_args::{WriteArgs, borrowed};

/// Change an object in your editor; what somebody else changed meanwhile is shown and never overwritten
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  isthmus edit httproute orders -n shop
  EDITOR='code --wait' isthmus edit gateway edge --reason 'one more listener'
  isthmus edit httproute orders --dry-run

The editor is ISTHMUS_EDITOR, VISUAL, EDITOR, or vi. Exit code 5: somebody else was faster; your text is kept.")]
pub(crate) struct Args {
    /// A kind, singular or plural, in any case
    #[arg(value_parser = resource::document, add = crate::completion::kinds())]
    kind: Kind,
    /// The object's name
    #[arg(add = crate::completion::names())]
    name: String,
    /// The object's namespace
    #[arg(short, long, value_name = "NS")]
    namespace: Option<String>,
    /// How to print the report
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    output: Output,
    #[command(flatten)]
    write: WriteArgs,
    #[command(flatten)]
    server: ServerArgs,
}

pub(crate) fn run(args: &Args, io: &mut Io<'_>) -> Outcome {
    let client = args.server.client(args.output, io)?;
    let object = object::find(args.kind, &args.name, args.namespace.as_deref(), &client)?;
    let path = object.path();
    let (mut base, tag) = client.get_tagged(&path)?;
    if let Some(members) = base.as_object_mut() {
        // Nobody writes it.
        members.remove("status");
    }
    let before = yaml(&base)?;
    let draft = Draft::new(&format!("{}-{}", object.kind.plural(), object.name), &before)?;
    let after = draft.edit(io)?;
    if after == before {
        draft.remove();
        io.note("nothing was changed");
        return Ok(Exit::Ok);
    }
    let body = Body { form: YAML, text: &after };
    let query = args.write.query();
    let answer = client.put(&path, &borrowed(&query), &body, &tag, args.write.patience());
    let answer: Value = match answer {
        Ok(answer) => answer,
        Err(failure) => {
            io.note(format_args!("your text is kept in {}", draft.path.display()));
            if let Some(problem) = failure.problem.as_ref().filter(|p| !p["current"].is_null())
                && let Ok(mine) = serde_yaml::from_str::<Value>(&after)
            {
                let mut theirs = problem["current"].clone();
                if let Some(members) = theirs.as_object_mut() {
                    members.remove("status");
                }
                io.note(three_way::table(&base, &theirs, &mine).trim_end());
            }
            return Err(failure);
        }
    };
    draft.remove();
    let detail = Detail { colour: io.colour, ..Detail::default() };
    report::verdict(&report::print(&answer, args.output, &detail, io)?)
}

/// The text in a file that only its owner can read.
struct Draft {
    path: PathBuf,
}

impl Draft {
    fn new(name: &str, text: &str) -> Result<Self, Failure> {
        let file = format!("isthmus-{name}-{}.yaml", std::process::id());
        let path = std::env::temp_dir().join(file);
        write_private(&path, text).map_err(|e| {
            Failure::new(Exit::Unreachable, format!("cannot write {}: {e}", path.display()))
        })?;
        Ok(Self { path })
    }

    fn edit(&self, io: &mut Io<'_>) -> Result<String, Failure> {
        let set = |name: &str| (io.environment)(name).filter(|value| !value.trim().is_empty());
        let editor = set("ISTHMUS_EDITOR").or_else(|| set("VISUAL")).or_else(|| set("EDITOR"));
        if editor.is_none() && !io.person {
            self.remove();
            let text = "no editor is named, and nobody sits at a terminal";
            return Err(Failure::new(Exit::Usage, text).hint("set EDITOR, or use `isthmus apply`"));
        }
        let editor = editor.unwrap_or_else(|| "vi".to_owned());
        // As git does it: the variable may hold options.
        let status = Command::new("sh")
            .arg("-c")
            .arg(format!("{editor} \"$1\""))
            .arg("sh")
            .arg(&self.path)
            .status();
        let failed = |what: String| {
            Failure::new(Exit::Unreachable, format!("the editor `{editor}` {what}"))
                .hint(format!("your text is in {}", self.path.display()))
        };
        match status {
            Ok(status) if status.success() => {}
            Ok(status) => return Err(failed(format!("ended with {status}"))),
            Err(error) => return Err(failed(format!("cannot be run: {error}"))),
        }
        read(&self.path).map_err(|e| failed(format!("left nothing: {e}")))
    }

    fn remove(&self) {
        // A file in the folder for temporary ones does no harm.
        let _ = std::fs::remove_file(&self.path);
    }
}

fn read(path: &Path) -> std::io::Result<String> {
    std::fs::read_to_string(path)
}
