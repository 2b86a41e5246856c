//! Which server is meant, and who we are to it: flags, then the environment, then the file of contexts.

use std::path::{Path, PathBuf};

use api::Bearer;
use reqwest::Url;

use crate::client::Client;
use crate::contexts::{Context, Contexts};
use crate::exit::{Exit, Failure};
use crate::io::{Environment, Io};
use crate::output::Output;

const DEFAULT: &str = "http://127.0.0.1:8080";

/// Which server, and who asks.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Server")]
pub(crate) struct ServerArgs {
    /// Address of a running server's HTTP port [env: ISTHMUS_SERVER] [default: that of the context, or http://127.0.0.1:8080]
    #[arg(long, value_name = "URL")]
    pub server: Option<Url>,
    /// File with the token to show, `-` for stdin [env: ISTHMUS_TOKEN_FILE, or ISTHMUS_TOKEN the token itself]
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// A context of `isthmus context list` [env: ISTHMUS_CONTEXT]
    #[arg(long, value_name = "NAME", add = crate::completion::contexts())]
    pub context: Option<String>,
    /// PEM file with the CA of the server's certificate [env: ISTHMUS_CA_FILE]
    #[arg(long, value_name = "FILE")]
    pub ca_file: Option<PathBuf>,
}

/// A value and where it comes from.
#[derive(Clone)]
pub(crate) struct Sourced<T> {
    pub value: T,
    pub from: String,
}

impl<T> Sourced<T> {
    fn new(value: T, from: impl Into<String>) -> Self {
        Self { value, from: from.into() }
    }
}

#[derive(Clone)]
pub(crate) struct Target {
    pub context: Option<Sourced<String>>,
    pub server: Sourced<Url>,
    pub token: Option<Sourced<Bearer>>,
    pub ca_file: Option<Sourced<PathBuf>>,
}

impl ServerArgs {
    pub(crate) fn client(&self, output: Output, io: &mut Io<'_>) -> Result<Client, Failure> {
        Client::new(self.target(io)?, output.is_json())
    }

    pub(crate) fn target(&self, io: &mut Io<'_>) -> Result<Target, Failure> {
        let contexts = Contexts::load(io.environment)?;
        contexts.warn_if_open(io);
        self.resolve(&contexts, io)
    }

    pub(crate) fn resolve(&self, contexts: &Contexts, io: &mut Io<'_>) -> Result<Target, Failure> {
        let environment = io.environment;
        let set = |name: &str| environment(name).filter(|value| !value.is_empty());
        let context = self
            .context
            .clone()
            .map(|name| Sourced::new(name, "--context"))
            .or_else(|| Some(Sourced::new(set("ISTHMUS_CONTEXT")?, "$ISTHMUS_CONTEXT")))
            .or_else(|| Some(Sourced::new(contexts.current.clone()?, "the file of contexts")));
        let chosen = context.as_ref().map(|name| contexts.require(&name.value)).transpose()?;
        let server = self.server(chosen, environment)?;
        // A token goes to the server that it is for, and to no other.
        let its = chosen
            .into_iter()
            .chain(&contexts.contexts)
            .find(|context| context.server == server.value);
        let token = match self.token(environment, io)? {
            Some(token) => Some(token),
            None => its.map(of_context).transpose()?.flatten(),
        };
        let from_context = |context: &Context| {
            let path = context.ca_file.clone()?;
            Some(Sourced::new(path, format!("context {}", context.name)))
        };
        let ca_file = self
            .ca_file
            .clone()
            .map(|path| Sourced::new(path, "--ca-file"))
            .or_else(|| Some(Sourced::new(set("ISTHMUS_CA_FILE")?.into(), "$ISTHMUS_CA_FILE")))
            .or_else(|| its.and_then(from_context));
        Ok(Target { context, server, token, ca_file })
    }

    fn server(
        &self,
        chosen: Option<&Context>,
        environment: Environment<'_>,
    ) -> Result<Sourced<Url>, Failure> {
        if let Some(server) = &self.server {
            return Ok(Sourced::new(server.clone(), "--server"));
        }
        let of = |context: &Context| {
            Sourced::new(context.server.clone(), format!("context {}", context.name))
        };
        // A context that was named on the command line is nearer than a variable.
        if let Some(context) = chosen.filter(|_| self.context.is_some()) {
            return Ok(of(context));
        }
        if let Some(text) = environment("ISTHMUS_SERVER").filter(|text| !text.is_empty()) {
            let url = text.parse().map_err(|e| {
                Failure::new(Exit::Usage, format!("ISTHMUS_SERVER = `{text}` is no URL: {e}"))
            })?;
            return Ok(Sourced::new(url, "$ISTHMUS_SERVER"));
        }
        let default = || Sourced::new(DEFAULT.parse().expect("a constant URL"), "default");
        Ok(chosen.map_or_else(default, of))
    }

    fn token(
        &self,
        environment: Environment<'_>,
        io: &mut Io<'_>,
    ) -> Result<Option<Sourced<Bearer>>, Failure> {
        if let Some(path) = &self.token_file {
            return Ok(Some(Sourced::new(read_token(path, io)?, "--token-file")));
        }
        let set = |name: &str| environment(name).filter(|value| !value.is_empty());
        if let Some(path) = set("ISTHMUS_TOKEN_FILE") {
            let token = read_token(Path::new(&path), io)?;
            return Ok(Some(Sourced::new(token, "$ISTHMUS_TOKEN_FILE")));
        }
        set("ISTHMUS_TOKEN")
            .map(|text| Ok(Sourced::new(bearer(&text, "ISTHMUS_TOKEN")?, "$ISTHMUS_TOKEN")))
            .transpose()
    }
}

impl Target {
    /// The target of `--server` flags that stand for themselves.
    pub(crate) fn of(server: &Url, io: &mut Io<'_>) -> Result<Self, Failure> {
        ServerArgs { server: Some(server.clone()), ..ServerArgs::default() }.target(io)
    }
}

fn of_context(context: &Context) -> Result<Option<Sourced<Bearer>>, Failure> {
    let from = format!("context {}", context.name);
    if let Some(token) = &context.token {
        return Ok(Some(Sourced::new(bearer(token, &from)?, from)));
    }
    let Some(path) = &context.token_file else { return Ok(None) };
    Ok(Some(Sourced::new(read_file(path)?, from)))
}

/// From a file, or from stdin as `-`.
pub(crate) fn read_token(path: &Path, io: &mut Io<'_>) -> Result<Bearer, Failure> {
    if path != Path::new("-") {
        return read_file(path);
    }
    let mut text = String::new();
    let read = std::io::Read::read_to_string(&mut io.input, &mut text);
    read.map_err(|e| Failure::new(Exit::Unreachable, format!("cannot read stdin: {e}")))?;
    bearer(&text, "stdin")
}

fn read_file(path: &Path) -> Result<Bearer, Failure> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        Failure::new(Exit::Unreachable, format!("cannot read {}: {error}", path.display()))
    })?;
    bearer(&text, &path.display().to_string())
}

/// The text is not repeated in what is said of it.
pub(crate) fn bearer(text: &str, from: &str) -> Result<Bearer, Failure> {
    let text = text.trim();
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(Failure::new(Exit::Usage, format!("{from} holds no token")));
    }
    Ok(Bearer::new(text))
}
