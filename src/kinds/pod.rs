//! Pods. A cluster has more of them than of all else, so that nearly nothing is kept of one.

use std::cell::RefCell;
use std::collections::HashSet;
use std::rc::Rc;
use std::sync::Arc;

use model::{Meta, Pod};

use crate::at::At;
use crate::node::{Key, Node, Value};
use crate::report::Report;
use crate::values;

/// Texts that are remembered to be shared; then it begins anew.
const MOST_TEXTS: usize = 4096;

/// Labels that the pods of one workload do not have in common: nobody selects by them.
const OF_ONE_POD: [&str; 5] = [
    "apps.kubernetes.io/pod-index",
    "controller-revision-hash",
    "pod-template-generation",
    "pod-template-hash",
    "statefulset.kubernetes.io/pod-name",
];

pub(crate) fn pod(mut meta: Meta, root: &At<'_>, report: &mut Report) -> Pod {
    meta.labels.shrink_to_fit();
    for (name, value) in &mut meta.labels {
        (*name, *value) = (shared(name), shared(value));
    }
    let namespace = &mut meta.key.name.namespace;
    *namespace = shared(namespace);
    let mut pod = Pod { meta, account: shared("default"), addresses: Vec::new() };
    let mut f = root.clone().fields();
    let mut host_network = false;
    if let Some(mut spec) = f.object("spec") {
        host_network = spec.take("hostNetwork").is_some_and(|at| at.is_true());
        let account = spec.text("serviceAccountName").filter(|name| !name.is_empty());
        pod.account = account.map_or(pod.account, shared);
    }
    let status = root.node.get("status").filter(|(_, status)| !host_network && !has_ended(status));
    if status.is_some()
        && let Some(mut status) = f.object("status")
    {
        for item in status.items("podIPs") {
            let ip = item.fields().take("ip");
            pod.addresses.extend(ip.and_then(|at| values::address(&at, report)));
        }
        pod.addresses.shrink_to_fit();
    }
    pod
}

/// The pods of a workload say the same in most of what is kept of them.
fn shared(text: &str) -> Arc<str> {
    thread_local!(static TEXTS: RefCell<HashSet<Arc<str>>> = RefCell::default());
    TEXTS.with_borrow_mut(|texts| {
        if let Some(known) = texts.get(text) {
            return known.clone();
        }
        if texts.len() >= MOST_TEXTS {
            texts.clear();
        }
        let new: Arc<str> = text.into();
        texts.insert(new.clone());
        new
    })
}

/// It keeps its address in its status, while another pod may have that already.
fn has_ended(status: &Node) -> bool {
    let phase = status.get("phase").and_then(|(_, phase)| phase.text());
    matches!(phase, Some("Succeeded" | "Failed"))
}

/// The fields of a pod that are read.
pub(crate) fn trimmed(root: &Node) -> Vec<(Key, Rc<Node>)> {
    let fields = root.entries().iter().filter_map(|(key, node)| {
        let wanted: &[&str] = match key.text.as_ref() {
            "apiVersion" | "kind" => return Some((key.clone(), node.clone())),
            "metadata" => return Some((key.clone(), Rc::new(metadata(node)))),
            "spec" => &["hostNetwork", "serviceAccountName"],
            "status" if !has_ended(node) => &["podIPs"],
            _ => return None,
        };
        let kept = node.entries().iter().filter(|(key, _)| wanted.contains(&key.text.as_ref()));
        Some((key.clone(), Rc::new(Node::new(Value::Map(kept.cloned().collect()), node.mark))))
    });
    fields.collect()
}

fn metadata(node: &Node) -> Node {
    let fields = node.entries().iter().map(|(key, node)| match key.text.as_ref() {
        "labels" => {
            let common = |key: &Key| !OF_ONE_POD.contains(&key.text.as_ref());
            let labels = node.entries().iter().filter(|(key, _)| common(key));
            let labels = Value::Map(labels.cloned().collect());
            (key.clone(), Rc::new(Node::new(labels, node.mark)))
        }
        _ => (key.clone(), node.clone()),
    });
    Node::new(Value::Map(fields.collect()), node.mark)
}
