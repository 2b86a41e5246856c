use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use model::{Identity, NamespacedName};
use ring::digest::{SHA256, digest};
use ring::rand::{SecureRandom as _, SystemRandom};
use serde_json::json;

use crate::bootstrap::{namespaced_name, write_private};
use crate::exit::{Exit, Failure, Outcome};
use crate::io::Io;
use crate::output::Output;

/// Make a token with which one workload joins the mesh, and the line for the file of xds-tokens-file that grants it
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  isthmus token join --registry infra/nacos --service orders
  isthmus token join --account shop/orders
  isthmus token join --account shop/orders --to orders.token >> tokens")]
pub(crate) struct Args {
    /// The workload is this ServiceAccount, wherever it runs
    #[arg(long, value_name = "NAMESPACE/NAME", value_parser = namespaced_name)]
    account: Option<NamespacedName>,
    /// The workload is a service of this Registry
    #[arg(
        long,
        value_name = "NAMESPACE/NAME",
        value_parser = namespaced_name,
        requires = "service",
        conflicts_with = "account",
        required_unless_present = "account"
    )]
    registry: Option<NamespacedName>,
    /// The name of the service in the registry
    #[arg(long, value_name = "NAME", requires = "registry")]
    service: Option<String>,
    /// Write the token to this file, which only its owner can read, and print the line only
    #[arg(long, value_name = "FILE")]
    to: Option<PathBuf>,
    /// How to print it
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    output: Output,
}

/// As long as a key of AES-256: nobody guesses it.
const BYTES: usize = 32;

pub(crate) fn run(join: &Args, io: &mut Io<'_>) -> Outcome {
    let mut bytes = [0; BYTES];
    SystemRandom::new()
        .fill(&mut bytes)
        .map_err(|_| Failure::new(Exit::Bug, "the system gave no random bytes".to_owned()))?;
    let token = URL_SAFE_NO_PAD.encode(bytes);
    let identity = match (&join.account, &join.registry, &join.service) {
        (Some(account), ..) => Identity::Account(account.clone()),
        (None, Some(registry), Some(service)) => {
            Identity::Registry { registry: registry.clone(), service: service.as_str().into() }
        }
        _ => return Err(Failure::new(Exit::Usage, "--registry needs --service".to_owned())),
    };
    let grant = grant(&token, &identity);
    if let Some(path) = &join.to {
        write_private(path, &token).map_err(|error| {
            Failure::new(Exit::Partly, format!("cannot write {}: {error}", path.display()))
        })?;
        let document = json!({"grant": grant});
        join.output.print(io, &document, || format!("{grant}\n"), || vec![identity.to_string()])?;
    } else {
        let document = json!({"token": token, "grant": grant});
        let text = || format!("token: {token}\ngrant: {grant}\n");
        join.output.print(io, &document, text, || vec![identity.to_string()])?;
    }
    Ok(Exit::Ok)
}

/// The line of the grants file.
fn grant(token: &str, identity: &Identity) -> String {
    let sha: String =
        digest(&SHA256, token.as_bytes()).as_ref().iter().map(|b| format!("{b:02x}")).collect();
    format!("sha256:{sha}  sidecar  {identity}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_grants_the_token_and_does_not_hold_it() {
        let registry = NamespacedName::new("infra", "nacos");
        let identity = Identity::Registry { registry, service: "orders".into() };
        assert_eq!(
            grant("test", &identity),
            "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08  sidecar  \
             reg/infra.nacos/svc/orders"
        );
    }
}
