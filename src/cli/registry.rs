use api::{RegistryEvent, RegistryInstance, RegistryProbe, RegistryService, Time};
use clap::Subcommand;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::client::Client;
use crate::exit::{Exit, Failure, Outcome};
use crate::io::Io;
use crate::output::Output;
use crate::table::{Table, age};
use crate::target::ServerArgs;

/// Look at registries, and say what is to become of what they miss
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List registries with their state; exit code 1 if one is not live
    #[command(after_help = "\
Examples:
  isthmus registry list
  isthmus registry list -o wide
  isthmus registry list -o json")]
    List(ListArgs),
    /// Ask each address of a registry; exit code 1 if one does not answer well
    #[command(after_help = "\
Examples:
  isthmus registry test infra/nacos
  isthmus registry test nacos
  isthmus registry test nacos -o json")]
    Test(OfRegistry),
    /// List the services of a registry
    #[command(after_help = "\
Examples:
  isthmus registry services infra/nacos
  isthmus registry services nacos
  isthmus registry services nacos -o name")]
    Services(OfRegistry),
    /// List the instances of a service
    #[command(after_help = "\
Examples:
  isthmus registry instances nacos DEFAULT_GROUP@@orders
  isthmus registry instances infra/eureka ORDERS
  isthmus registry instances nacos DEFAULT_GROUP@@orders -o json")]
    Instances(OfService),
    /// List what was decided about a registry, the newest last
    #[command(after_help = "\
Examples:
  isthmus registry events infra/nacos
  isthmus registry events nacos
  isthmus registry events nacos -o jsonl")]
    Events(OfRegistry),
    /// Take nothing out of service until the release
    #[command(after_help = "\
Examples:
  isthmus registry hold infra/nacos
  isthmus registry hold nacos DEFAULT_GROUP@@orders
  isthmus registry hold nacos -o json")]
    Hold(MaybeService),
    /// Believe the registry about what is missing now
    #[command(after_help = "\
Examples:
  isthmus registry release infra/nacos
  isthmus registry release nacos DEFAULT_GROUP@@orders
  isthmus registry release nacos -o json")]
    Release(MaybeService),
    /// Read everything from the registry anew
    #[command(after_help = "\
Examples:
  isthmus registry resync infra/nacos
  isthmus registry resync nacos
  isthmus registry resync nacos -o json")]
    Resync(OfRegistry),
    /// Forget what is served without the registry's present word
    #[command(after_help = "\
Examples:
  isthmus registry flush infra/nacos
  isthmus registry flush nacos DEFAULT_GROUP@@orders
  isthmus registry flush nacos -o json")]
    Flush(MaybeService),
}

#[derive(Debug, clap::Args)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, clap::Args)]
pub(crate) struct OfRegistry {
    /// NAMESPACE/NAME of the Registry, or its name where that is the only one
    registry: String,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, clap::Args)]
pub(crate) struct OfService {
    /// NAMESPACE/NAME of the Registry, or its name where that is the only one
    registry: String,
    /// GROUP@@NAME, or NAME where there is no group
    service: String,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, clap::Args)]
pub(crate) struct MaybeService {
    /// NAMESPACE/NAME of the Registry, or its name where that is the only one
    registry: String,
    /// Only this service: GROUP@@NAME, or NAME where there is no group
    service: Option<String>,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, clap::Args)]
struct Common {
    /// How to print it
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    output: Output,
    #[command(flatten)]
    server: ServerArgs,
}

pub(crate) fn run(command: &Command, io: &mut Io<'_>) -> Outcome {
    match command {
        Command::List(args) => list(&args.common, io),
        Command::Test(args) => test(args, io),
        Command::Services(args) => services(args, io),
        Command::Instances(args) => instances(args, io),
        Command::Events(args) => events(args, io),
        Command::Hold(args) => {
            steer(&args.registry, args.service.as_deref(), "hold", &args.common, io)
        }
        Command::Release(args) => {
            steer(&args.registry, args.service.as_deref(), "release", &args.common, io)
        }
        Command::Flush(args) => {
            steer(&args.registry, args.service.as_deref(), "flush", &args.common, io)
        }
        Command::Resync(args) => steer(&args.registry, None, "resync", &args.common, io),
    }
}

fn list(common: &Common, io: &mut Io<'_>) -> Outcome {
    let client = common.server.client(common.output, io)?;
    let list = client.list(&["registries"])?;
    let items = list["items"].as_array().map_or(&[][..], Vec::as_slice);
    let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let name = |item: &Value| {
        format!("{}/{}", word(&item["metadata"]["namespace"]), word(&item["metadata"]["name"]))
    };
    let table = || {
        let mut table = Table::new([
            "NAME",
            "TYPE",
            "STATE",
            "SINCE",
            "SERVICES",
            "INSTANCES",
            "HELD",
            "REASON",
        ]);
        for item in items {
            let status = &item["status"];
            let since = status["since"].as_str().and_then(|text| text.parse::<Time>().ok());
            table.row([
                name(item),
                word(&item["spec"]["type"]),
                word(&status["state"]),
                since.map(|since| age(since.until(Time::now()))).unwrap_or_default(),
                status["services"].to_string(),
                status["instances"].to_string(),
                status["held"].to_string(),
                word(&status["reason"]),
            ]);
        }
        table.render()
    };
    common.output.print(io, &list, table, || items.iter().map(name).collect())?;
    let live = |item: &Value| item["status"]["state"] == "live";
    Ok(if items.iter().all(live) { Exit::Ok } else { Exit::Negative })
}

fn test(args: &OfRegistry, io: &mut Io<'_>) -> Outcome {
    let client = args.common.server.client(args.common.output, io)?;
    let (namespace, name) = find(&args.registry, &client)?;
    let list: Value = client.post(&["registries", &namespace, &name, "test"], &[])?;
    let probes: Vec<RegistryProbe> = items(&list)?;
    let table = || {
        let mut table = Table::new(["ADDRESS", "LATENCY", "VERSION", "LOGIN", "SERVICES", "ERROR"]);
        for probe in &probes {
            table.row([
                probe.address.clone(),
                probe.latency_ms.map(|ms| format!("{ms}ms")).unwrap_or_default(),
                probe.version.clone().unwrap_or_default(),
                probe.authenticated.map_or("", |yes| if yes { "ok" } else { "refused" }).into(),
                probe.services.map(|n| n.to_string()).unwrap_or_default(),
                probe.error.clone().unwrap_or_default(),
            ]);
        }
        table.render()
    };
    let names = || probes.iter().map(|probe| probe.address.clone()).collect();
    args.common.output.print(io, &list, table, names)?;
    let good = |probe: &RegistryProbe| probe.error.is_none() && probe.authenticated != Some(false);
    Ok(if probes.iter().all(good) { Exit::Ok } else { Exit::Negative })
}

fn services(args: &OfRegistry, io: &mut Io<'_>) -> Outcome {
    let client = args.common.server.client(args.common.output, io)?;
    let (namespace, name) = find(&args.registry, &client)?;
    let list = client.list(&["registries", &namespace, &name, "services"])?;
    let services: Vec<RegistryService> = items(&list)?;
    let full = |service: &RegistryService| match service.group.as_str() {
        "" => service.name.clone(),
        group => format!("{group}@@{}", service.name),
    };
    let table = || {
        let headers =
            ["NAME", "STATE", "INSTANCES", "HEALTHY", "HELD", "SEEN", "IMPORTED AS", "REASON"];
        let mut table = Table::new(headers);
        for service in &services {
            table.row([
                full(service),
                service.state.clone(),
                service.instances.to_string(),
                service.healthy.to_string(),
                service.held.to_string(),
                age(service.seen_at.until(Time::now())),
                service.imported_as.clone().unwrap_or_default(),
                service.reason.clone(),
            ]);
        }
        table.render()
    };
    args.common.output.print(io, &list, table, || services.iter().map(full).collect())?;
    Ok(Exit::Ok)
}

fn instances(args: &OfService, io: &mut Io<'_>) -> Outcome {
    let client = args.common.server.client(args.common.output, io)?;
    let (namespace, name) = find(&args.registry, &client)?;
    let path = ["registries", &namespace, &name, "services", &args.service, "instances"];
    let list = client.list(&path)?;
    let instances: Vec<RegistryInstance> = items(&list)?;
    let address = |instance: &RegistryInstance| format!("{}:{}", instance.host, instance.port);
    let table = || {
        let headers =
            ["ADDRESS", "WEIGHT", "HEALTH", "HELD", "ZONE", "FIRST SEEN", "LAST SEEN", "REASON"];
        let mut table = Table::new(headers);
        for instance in &instances {
            table.row([
                address(instance),
                instance.weight.to_string(),
                instance.health.clone(),
                if instance.held { "held".into() } else { String::new() },
                instance.zone.clone(),
                age(instance.first_seen.until(Time::now())),
                age(instance.last_seen.until(Time::now())),
                instance.reason.clone(),
            ]);
        }
        table.render()
    };
    args.common.output.print(io, &list, table, || instances.iter().map(address).collect())?;
    Ok(Exit::Ok)
}

fn events(args: &OfRegistry, io: &mut Io<'_>) -> Outcome {
    let client = args.common.server.client(args.common.output, io)?;
    let (namespace, name) = find(&args.registry, &client)?;
    let list = client.list(&["registries", &namespace, &name, "events"])?;
    let events: Vec<RegistryEvent> = items(&list)?;
    let table = || {
        let mut table = Table::new(["AGE", "WHAT", "SERVICE", "SERVED", "HELD", "WHY"]);
        for event in &events {
            table.row([
                age(event.at.until(Time::now())),
                event.what.clone(),
                event.service.clone(),
                format!("{} -> {}", event.before, event.after),
                event.held.to_string(),
                event.why.clone(),
            ]);
        }
        table.render()
    };
    args.common.output.print(io, &list, table, || {
        events.iter().map(|event| format!("{} {}", event.what, event.service)).collect()
    })?;
    Ok(Exit::Ok)
}

fn steer(
    registry: &str,
    service: Option<&str>,
    verb: &str,
    common: &Common,
    io: &mut Io<'_>,
) -> Outcome {
    let client = common.server.client(common.output, io)?;
    let (namespace, name) = find(registry, &client)?;
    let query: Vec<_> = service.iter().map(|service| ("service", *service)).collect();
    let answer: Value = client.post(&["registries", &namespace, &name, verb], &query)?;
    let text = || {
        let of = service.map_or(String::new(), |service| format!("{service} of "));
        format!("{verb}: {of}{namespace}/{name}\n")
    };
    let answer = if answer.is_null() { json!({}) } else { answer };
    common.output.print(io, &answer, text, || vec![format!("{namespace}/{name}")])?;
    Ok(Exit::Ok)
}

/// Namespace and name, also where only the name was given and one registry has it.
fn find(registry: &str, client: &Client) -> Result<(String, String), Failure> {
    if let Some((namespace, name)) = registry.split_once('/') {
        return Ok((namespace.to_owned(), name.to_owned()));
    }
    let list = client.list(&["registries"])?;
    let all = list["items"].as_array().map_or(&[][..], Vec::as_slice);
    let mut found = all
        .iter()
        .filter(|item| item["metadata"]["name"] == registry)
        .filter_map(|item| item["metadata"]["namespace"].as_str());
    match (found.next(), found.next()) {
        (Some(namespace), None) => Ok((namespace.to_owned(), registry.to_owned())),
        (None, _) => Err(Failure::new(Exit::NotFound, format!("there is no Registry {registry}"))
            .hint("`isthmus registry list` lists those that are")),
        (Some(_), Some(_)) => {
            let text = format!("Registry {registry} exists in more than one namespace");
            Err(Failure::new(Exit::Usage, text).hint("write NAMESPACE/NAME"))
        }
    }
}

fn items<T: DeserializeOwned>(list: &Value) -> Result<Vec<T>, Failure> {
    serde_json::from_value(list["items"].clone()).map_err(|e| {
        Failure::new(Exit::Unreachable, format!("the server's answer cannot be read: {e}"))
    })
}
