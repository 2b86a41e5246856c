//! What a container asks for → the process that is started for it. Pure: no I/O.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use k8s_openapi::api::core::v1::{Container, EnvVarSource, Pod, ResourceFieldSelector};

use crate::BRIDGE_ADDRESS;
use crate::files::Objects;
use crate::images::{Image, Images, PROGRAMS};
use crate::names::Names;
use crate::network::Addresses;
use crate::security::Security;

/// Something that is not there, and may come: the pod waits for it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Waiting {
    pub(crate) reason: &'static str,
    pub(crate) message: String,
}

impl Waiting {
    pub(crate) fn config(message: impl Into<String>) -> Self {
        Self { reason: "CreateContainerConfigError", message: message.into() }
    }
}

/// What is known about the pod when a container of it starts.
pub(crate) struct Facts<'a> {
    pub(crate) pod: &'a Pod,
    pub(crate) addresses: Addresses,
    pub(crate) api: SocketAddr,
    pub(crate) objects: &'a Objects,
}

#[derive(Debug, PartialEq)]
pub(crate) struct Process {
    /// Of the image, and where the container sees them.
    pub(crate) files: Vec<(PathBuf, String)>,
    pub(crate) arguments: Vec<String>,
    pub(crate) environment: BTreeMap<String, String>,
    pub(crate) directory: String,
    pub(crate) mounts: Vec<Mount>,
    pub(crate) security: Security,
    pub(crate) names: Names,
}

#[derive(Debug, PartialEq)]
pub(crate) struct Mount {
    pub(crate) volume: String,
    pub(crate) sub_path: String,
    pub(crate) target: String,
    pub(crate) read_only: bool,
}

impl Process {
    pub(crate) fn new(
        container: &Container,
        facts: &Facts<'_>,
        images: &Images,
    ) -> Result<Self, Waiting> {
        let name = container.image.as_deref().unwrap_or_default();
        let Some(Image { entry, mut files }) = images.of(name).cloned() else {
            let message = format!("no --image stands for {name}");
            return Err(Waiting { reason: "ErrImageNeverPull", message });
        };
        let security = Security::new(container, facts.pod)?;
        let environment = environment(container, facts, &security)?;

        let program = entry.rsplit('/').next().unwrap_or_default();
        let mut arguments = container.command.clone().unwrap_or_default();
        let mut rest = container.args.clone().unwrap_or_default();
        if arguments.is_empty() {
            // As entry points of images do: a first argument that names the program is no argument.
            if rest.first().is_some_and(|first| first == program) {
                rest.remove(0);
            }
            arguments.push(entry.clone());
        }
        // Where else the image would hold it.
        if arguments[0] != entry
            && let Some((_, file)) = arguments[0].rsplit_once('/')
            && file == program
            && let Some((source, _)) = files.iter().find(|(_, at)| *at == entry).cloned()
        {
            files.push((source, arguments[0].clone()));
        }
        arguments.extend(rest);
        for argument in &mut arguments {
            *argument = expand(argument, &environment);
        }

        let mut mounts: Vec<Mount> = container
            .volume_mounts
            .iter()
            .flatten()
            .map(|mount| Mount {
                volume: mount.name.clone(),
                sub_path: match &mount.sub_path_expr {
                    Some(expression) => expand(expression, &environment),
                    None => mount.sub_path.clone().unwrap_or_default(),
                },
                target: mount.mount_path.clone(),
                read_only: mount.read_only.unwrap_or(false),
            })
            .collect();
        // A mount within another one comes after it.
        mounts.sort_by(|a, b| a.target.cmp(&b.target));
        Ok(Self {
            files,
            arguments,
            environment,
            directory: container.working_dir.clone().unwrap_or_else(|| "/".into()),
            mounts,
            security,
            names: Names::new(facts),
        })
    }
}

fn environment(
    container: &Container,
    facts: &Facts<'_>,
    security: &Security,
) -> Result<BTreeMap<String, String>, Waiting> {
    let home = if security.user == 0 { "/root" } else { "/" };
    let mut all = BTreeMap::from([
        ("HOME".to_owned(), home.to_owned()),
        ("HOSTNAME".to_owned(), facts.pod.metadata.name.clone().unwrap_or_default()),
        ("KUBERNETES_SERVICE_HOST".to_owned(), facts.api.ip().to_string()),
        ("KUBERNETES_SERVICE_PORT".to_owned(), facts.api.port().to_string()),
        ("PATH".to_owned(), format!("{PROGRAMS}:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin")),
    ]);
    for from in container.env_from.iter().flatten() {
        let prefix = from.prefix.as_deref().unwrap_or_default();
        let found = if let Some(reference) = &from.config_map_ref {
            let data = facts.objects.config_map(&reference.name);
            (&reference.name, reference.optional, data)
        } else if let Some(reference) = &from.secret_ref {
            (&reference.name, reference.optional, facts.objects.secret(&reference.name))
        } else {
            continue;
        };
        match found {
            (_, _, Some(data)) => {
                all.extend(data.iter().map(|(key, value)| (format!("{prefix}{key}"), text(value))));
            }
            (_, Some(true), None) => {}
            (name, _, None) => return Err(Waiting::config(format!("{name} is not there"))),
        }
    }
    for variable in container.env.iter().flatten() {
        let value = match &variable.value_from {
            None => Some(expand(variable.value.as_deref().unwrap_or_default(), &all)),
            Some(source) => value_from(source, container, facts)?,
        };
        if let Some(value) = value {
            all.insert(variable.name.clone(), value);
        }
    }
    Ok(all)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// None where an optional thing is missing.
fn value_from(
    source: &EnvVarSource,
    container: &Container,
    facts: &Facts<'_>,
) -> Result<Option<String>, Waiting> {
    let (name, key, optional, data) = if let Some(field) = &source.field_ref {
        return field_of(facts, &field.field_path).map(Some);
    } else if let Some(resource) = &source.resource_field_ref {
        return resource_of(container, resource).map(Some);
    } else if let Some(of) = &source.config_map_key_ref {
        (&of.name, &of.key, of.optional, facts.objects.config_map(&of.name))
    } else if let Some(of) = &source.secret_key_ref {
        (&of.name, &of.key, of.optional, facts.objects.secret(&of.name))
    } else {
        return Err(Waiting::config("a kind of valueFrom that the bed does not know"));
    };
    match data.and_then(|data| data.get(key).cloned()) {
        Some(value) => Ok(Some(text(&value))),
        None if optional == Some(true) => Ok(None),
        None => Err(Waiting::config(format!("{name} is not there, or has no {key}"))),
    }
}

/// The downward API.
pub(crate) fn field_of(facts: &Facts<'_>, path: &str) -> Result<String, Waiting> {
    let meta = &facts.pod.metadata;
    let spec = facts.pod.spec.as_ref();
    let own = |value: &Option<String>| value.clone().unwrap_or_default();
    let lines = |map: &Option<BTreeMap<String, String>>| {
        map.iter()
            .flatten()
            .map(|(key, value)| format!("{key}={value:?}"))
            .collect::<Vec<_>>()
            .join("\n")
    };
    Ok(match path {
        "metadata.name" => own(&meta.name),
        "metadata.namespace" => own(&meta.namespace),
        "metadata.uid" => own(&meta.uid),
        "metadata.labels" => lines(&meta.labels),
        "metadata.annotations" => lines(&meta.annotations),
        "spec.nodeName" => spec.and_then(|spec| spec.node_name.clone()).unwrap_or_default(),
        "spec.serviceAccountName" => {
            spec.and_then(|spec| spec.service_account_name.clone()).unwrap_or_default()
        }
        "status.podIP" => facts.addresses.v4.to_string(),
        "status.podIPs" => format!("{},{}", facts.addresses.v4, facts.addresses.v6),
        "status.hostIP" | "status.hostIPs" => BRIDGE_ADDRESS.to_string(),
        _ => {
            let (map, rest) = if let Some(rest) = path.strip_prefix("metadata.labels['") {
                (&meta.labels, rest)
            } else if let Some(rest) = path.strip_prefix("metadata.annotations['") {
                (&meta.annotations, rest)
            } else {
                return Err(Waiting::config(format!("the bed does not know the field {path}")));
            };
            let key = rest.trim_end_matches("']");
            map.as_ref().and_then(|map| map.get(key).cloned()).unwrap_or_default()
        }
    })
}

/// A request or limit in units of its divisor, rounded up. What is not limited is limited by the node: 2 cores and 2 GiB
/// are said, which is what a program should make use of here, and not the node's invented size.
fn resource_of(container: &Container, selector: &ResourceFieldSelector) -> Result<String, Waiting> {
    let unknown =
        || Waiting::config(format!("the bed does not know the resource {}", selector.resource));
    let (kind, name) = selector.resource.split_once('.').ok_or_else(unknown)?;
    let resources = container.resources.as_ref();
    let quantities = match kind {
        "limits" => resources.and_then(|all| all.limits.as_ref()),
        "requests" => resources.and_then(|all| all.requests.as_ref()),
        _ => return Err(unknown()),
    };
    let unlimited = match name {
        "cpu" => "2",
        "memory" | "ephemeral-storage" => "2Gi",
        _ => return Err(unknown()),
    };
    let quantity =
        quantities.and_then(|all| all.get(name)).map_or(unlimited, |quantity| quantity.0.as_str());
    let divisor = selector.divisor.as_ref().map_or("1", |divisor| divisor.0.as_str());
    let divisor = if divisor == "0" { "1" } else { divisor };
    let (thousandths, by) =
        (quantity_of(quantity).ok_or_else(unknown)?, quantity_of(divisor).ok_or_else(unknown)?);
    Ok(thousandths.div_ceil(by).to_string())
}

/// A quantity in thousandths; whole numbers only, which is how people write limits.
fn quantity_of(text: &str) -> Option<u128> {
    let end = text.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(text.len());
    let scale = match &text[end..] {
        "m" => 1,
        "" => 1000,
        "k" => 1000 * 1000,
        "M" => 1000 * 1000_u128.pow(2),
        "G" => 1000 * 1000_u128.pow(3),
        "Ki" => 1000 * 1024,
        "Mi" => 1000 * 1024_u128.pow(2),
        "Gi" => 1000 * 1024_u128.pow(3),
        _ => return None,
    };
    text[..end].parse::<u128>().ok().map(|number| number * scale).filter(|value| *value > 0)
}

/// `$(NAME)` is the variable if there is one, `$$` a dollar.
fn expand(text: &str, variables: &BTreeMap<String, String>) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            out.push('$');
            rest = after;
        } else if let Some((value, after)) = rest
            .strip_prefix('(')
            .and_then(|inner| inner.split_once(')'))
            .and_then(|(name, after)| Some((variables.get(name)?, after)))
        {
            out.push_str(value);
            rest = after;
        } else {
            out.push('$');
        }
    }
    out + rest
}

#[cfg(test)]
mod tests;
