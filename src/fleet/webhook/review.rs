//! One question of the API server, and its answer.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use crate::inject::{NOT_INJECTED, Note, Options, Outcome, inject};

/// The answer, and what is to be done about the pod's namespace.
pub(super) struct Answer {
    pub(super) review: Value,
    /// A word for metrics.
    pub(super) result: &'static str,
    /// Where a pod with a sidecar will be, unless it was a mere trial.
    pub(super) namespace: Option<String>,
}

/// An AdmissionReview (`admission.k8s.io/v1`). `None` for what is none.
pub(super) fn answer(review: &Value, options: &Options) -> Option<Answer> {
    let request = review.get("request")?;
    let uid = request["uid"].as_str()?;
    let old = request.get("object").filter(|pod| is_shaped(pod))?;
    let mut response = json!({"uid": uid, "allowed": true});
    let mut namespace = None;
    let result = match inject(old, options) {
        Outcome::Injected { pod, notes } => {
            response["warnings"] = warnings(&notes);
            patch(&mut response, old, &pod);
            if request["dryRun"] != true {
                namespace = request["namespace"].as_str().map(str::to_owned);
            }
            "injected"
        }
        Outcome::Skipped { mut pod, reason } => {
            response["warnings"] = json!([format!("no sidecar: {reason}")]);
            // Controllers do not show warnings to anybody; `kubectl describe pod` shows this.
            pod["metadata"]["annotations"][NOT_INJECTED] = json!(reason);
            patch(&mut response, old, &pod);
            "skipped"
        }
        Outcome::Wrong(notes) => {
            let text: Vec<String> = notes.iter().map(told).collect();
            response["allowed"] = json!(false);
            response["status"] = json!({
                "code": 422, "reason": "Invalid",
                "message": format!("no sidecar can be put in: {}", text.join(" · ")),
            });
            "refused"
        }
    };
    let review = json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response,
    });
    Some(Answer { review, result, namespace })
}

/// Whether the parts that are looked into are what they are in every pod.
fn is_shaped(pod: &Value) -> bool {
    let object = |part: &Value| part.is_object();
    let or_nothing = |part: &Value| part.is_object() || part.is_null();
    object(pod)
        && object(&pod["metadata"])
        && object(&pod["spec"])
        && or_nothing(&pod["metadata"]["labels"])
        && or_nothing(&pod["metadata"]["annotations"])
}

fn patch(response: &mut Value, old: &Value, new: &Value) {
    let parts = ["metadata", "spec"].into_iter().filter(|part| old[*part] != new[*part]);
    let operations: Vec<Value> = parts
        .map(|part| json!({"op": "replace", "path": format!("/{part}"), "value": new[part]}))
        .collect();
    if !operations.is_empty() {
        response["patchType"] = json!("JSONPatch");
        response["patch"] = json!(BASE64_STANDARD.encode(Value::from(operations).to_string()));
    }
}

fn warnings(notes: &[Note]) -> Value {
    notes.iter().map(told).collect()
}

fn told(note: &Note) -> String {
    let Note { code, pointer, text, hint } = note;
    format!("{code} {pointer}: {text} ({hint})")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::Tool;

    fn ask(pod: &Value, dry_run: bool) -> Answer {
        let options = Options {
            image: "isthmus".into(),
            envoy_image: "envoy".into(),
            image_pull_policy: None,
            tool: Tool::Nft,
        };
        let request = json!({"uid": "1", "namespace": "shop", "dryRun": dry_run, "object": pod});
        answer(&json!({"request": request}), &options).unwrap()
    }

    fn patched(answer: &Answer) -> Vec<Value> {
        let patch = answer.review["response"]["patch"].as_str().unwrap();
        serde_json::from_slice(&BASE64_STANDARD.decode(patch).unwrap()).unwrap()
    }

    #[test]
    fn a_pod_gets_its_sidecar() {
        let pod = json!({"metadata": {"generateName": "a-"}, "spec": {"containers": []}});
        let answer = ask(&pod, false);
        assert_eq!((answer.result, answer.namespace.as_deref()), ("injected", Some("shop")));
        assert_eq!(answer.review["response"]["uid"], "1");
        let patch = patched(&answer);
        assert_eq!(patch[0]["path"], "/metadata");
        assert_eq!(patch[1]["value"]["initContainers"][1]["name"], "isthmus-proxy");
        // A trial leaves nothing behind.
        assert_eq!(ask(&pod, true).namespace, None);
        // What has all of it already is left as it is.
        let pod = json!({"metadata": patch[0]["value"], "spec": patch[1]["value"]});
        assert_eq!(ask(&pod, false).review["response"]["patch"], Value::Null);
    }

    #[test]
    fn who_gets_none_is_told_why() {
        let pod = json!({"metadata": {}, "spec": {"hostNetwork": true, "containers": []}});
        let answer = ask(&pod, false);
        assert_eq!((answer.result, answer.namespace.is_none()), ("skipped", true));
        assert_eq!(answer.review["response"]["allowed"], true);
        let reason = &patched(&answer)[0]["value"]["annotations"][NOT_INJECTED];
        assert!(reason.as_str().unwrap().starts_with("hostNetwork"), "{reason}");
    }

    #[test]
    fn a_mistake_is_refused_with_its_place() {
        let annotations = json!({"isthmus.dev/dns": "maybe"});
        let answer = ask(&json!({"metadata": {"annotations": annotations}, "spec": {}}), false);
        let response = &answer.review["response"];
        assert_eq!((answer.result, &response["allowed"]), ("refused", &json!(false)));
        let text = response["status"]["message"].as_str().unwrap();
        assert!(text.contains("ISM2202 /metadata/annotations/isthmus.dev~1dns: "), "{text}");
    }
}
