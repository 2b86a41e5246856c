//! As whom a container's processes run, and what they may: a container's `securityContext` → arguments of setpriv. Pure.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{Container, Pod};

use crate::plan::Waiting;

/// What container engines leave to a container that asks for nothing.
const CAPABILITIES: [&str; 14] = [
    "audit_write",
    "chown",
    "dac_override",
    "fowner",
    "fsetid",
    "kill",
    "mknod",
    "net_bind_service",
    "net_raw",
    "setfcap",
    "setgid",
    "setpcap",
    "setuid",
    "sys_chroot",
];

/// The user that an image has which is not to run as root and does not say who runs it.
const NOBODY: i64 = 65532;

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Security {
    pub(crate) user: i64,
    pub(crate) group: i64,
    groups: BTreeSet<i64>,
    /// None: all that the machine has.
    capabilities: Option<BTreeSet<String>>,
    no_new_privileges: bool,
    pub(crate) read_only: bool,
}

impl Security {
    pub(crate) fn new(container: &Container, pod: &Pod) -> Result<Self, Waiting> {
        let of_pod = pod.spec.as_ref().and_then(|spec| spec.security_context.as_ref());
        let own = container.security_context.as_ref();
        let not_root = own
            .and_then(|own| own.run_as_non_root)
            .or_else(|| of_pod.and_then(|of| of.run_as_non_root))
            .unwrap_or(false);
        let user = own
            .and_then(|own| own.run_as_user)
            .or_else(|| of_pod.and_then(|of| of.run_as_user))
            .unwrap_or(if not_root { NOBODY } else { 0 });
        if not_root && user == 0 {
            return Err(Waiting::config("container has runAsNonRoot and would run as root"));
        }
        let group = own
            .and_then(|own| own.run_as_group)
            .or_else(|| of_pod.and_then(|of| of.run_as_group))
            .unwrap_or(if user == NOBODY { NOBODY } else { 0 });
        let mut groups = BTreeSet::new();
        if let Some(of) = of_pod {
            groups.extend(of.fs_group);
            groups.extend(of.supplemental_groups.iter().flatten());
        }
        let privileged = own.and_then(|own| own.privileged) == Some(true);
        Ok(Self {
            user,
            group,
            groups,
            capabilities: (!privileged).then(|| capabilities(container)),
            no_new_privileges: own.and_then(|own| own.allow_privilege_escalation) == Some(false),
            read_only: own.and_then(|own| own.read_only_root_filesystem) == Some(true),
        })
    }

    /// What stands before a command so that it runs like this.
    pub(crate) fn arguments(&self) -> Vec<String> {
        let mut arguments = vec![
            "setpriv".to_owned(),
            format!("--reuid={}", self.user),
            format!("--regid={}", self.group),
        ];
        if self.groups.is_empty() {
            arguments.push("--clear-groups".into());
        } else {
            let groups: Vec<_> = self.groups.iter().map(i64::to_string).collect();
            arguments.push(format!("--groups={}", groups.join(",")));
        }
        if let Some(capabilities) = &self.capabilities {
            let bound: String = capabilities.iter().map(|name| format!(",+{name}")).collect();
            arguments.push(format!("--bounding-set=-all{bound}"));
            arguments.push("--inh-caps=-all".into());
        }
        if self.no_new_privileges {
            arguments.push("--no-new-privs".into());
        }
        arguments.push("--".into());
        arguments
    }
}

fn capabilities(container: &Container) -> BTreeSet<String> {
    let wanted =
        container.security_context.as_ref().and_then(|context| context.capabilities.as_ref());
    let short = |name: &String| {
        let name = name.to_lowercase();
        name.strip_prefix("cap_").unwrap_or(&name).to_owned()
    };
    let added = wanted.iter().flat_map(|wanted| wanted.add.iter().flatten()).map(short);
    let dropped: BTreeSet<_> =
        wanted.iter().flat_map(|wanted| wanted.drop.iter().flatten()).map(short).collect();
    // What is added by name stays, also where all are dropped.
    let mut all: BTreeSet<String> = CAPABILITIES
        .into_iter()
        .map(str::to_owned)
        .filter(|name| !dropped.contains("all") && !dropped.contains(name))
        .collect();
    all.extend(added);
    all
}

#[cfg(test)]
mod tests;
