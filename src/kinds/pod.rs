//! Pods. A cluster has more of them than of all else, so that nearly nothing is kept of one.

use std::rc::Rc;

use model::{Meta, Pod};

use crate::at::At;
use crate::node::{Key, Node, Value};
use crate::report::Report;
use crate::values;

pub(crate) fn pod(meta: Meta, root: At<'_>, report: &mut Report) -> Pod {
    let mut pod = Pod { meta, account: "default".into(), addresses: Vec::new() };
    let mut f = root.clone().fields();
    let mut host_network = false;
    if let Some(mut spec) = f.object("spec") {
        host_network = spec.take("hostNetwork").is_some_and(|at| at.is_true());
        let account = spec.shared("serviceAccountName").filter(|name| !name.is_empty());
        pod.account = account.unwrap_or(pod.account);
    }
    let status = root.node.get("status").filter(|(_, status)| !host_network && !has_ended(status));
    if status.is_some()
        && let Some(mut status) = f.object("status")
    {
        for item in status.items("podIPs") {
            let ip = item.fields().take("ip");
            pod.addresses.extend(ip.and_then(|at| values::address(&at, report)));
        }
    }
    pod
}

/// It keeps its address in its status, while another pod may have that already.
fn has_ended(status: &Node) -> bool {
    let phase = status.get("phase").and_then(|(_, phase)| phase.text());
    matches!(phase, Some("Succeeded" | "Failed"))
}

/// The fields of a pod that are read, `metadata` as it stands.
pub(crate) fn trimmed(root: &Node) -> Vec<(Key, Rc<Node>)> {
    let fields = root.entries().iter().filter_map(|(key, node)| {
        let wanted: &[&str] = match key.text.as_ref() {
            "apiVersion" | "kind" | "metadata" => return Some((key.clone(), node.clone())),
            "spec" => &["hostNetwork", "serviceAccountName"],
            "status" if !has_ended(node) => &["podIPs"],
            _ => return None,
        };
        let kept = node.entries().iter().filter(|(key, _)| wanted.contains(&key.text.as_ref()));
        Some((key.clone(), Rc::new(Node::new(Value::Map(kept.cloned().collect()), node.mark))))
    });
    fields.collect()
}
