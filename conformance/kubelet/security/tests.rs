use super::*;
use serde_json::json;

fn security(pod: &serde_json::Value, container: &serde_json::Value) -> Result<Security, Waiting> {
    let pod: Pod =
        serde_json::from_value(json!({"spec": {"containers": [], "securityContext": pod}}))
            .unwrap();
    let container = json!({"name": "c", "securityContext": container});
    Security::new(&serde_json::from_value(container).unwrap(), &pod)
}

#[test]
fn a_container_goes_before_its_pod() {
    let both = security(
        &json!({"runAsUser": 1, "runAsGroup": 2, "fsGroup": 3}),
        &json!({"runAsUser": 1337, "readOnlyRootFilesystem": true, "allowPrivilegeEscalation": false}),
    )
    .unwrap();
    assert!(both.read_only);
    let arguments = both.arguments();
    for expected in ["--reuid=1337", "--regid=2", "--groups=3", "--no-new-privs"] {
        assert!(arguments.iter().any(|argument| argument == expected), "{expected}: {arguments:?}");
    }
}

#[test]
fn capabilities_are_what_is_left_and_what_is_added() {
    let arguments = security(
        &json!({}),
        &json!({"capabilities": {"drop": ["ALL"], "add": ["NET_ADMIN", "CAP_NET_RAW"]}}),
    )
    .unwrap()
    .arguments();
    assert!(arguments.contains(&"--bounding-set=-all,+net_admin,+net_raw".to_owned()));
    let privileged = security(&json!({}), &json!({"privileged": true})).unwrap().arguments();
    assert!(!privileged.iter().any(|argument| argument.starts_with("--bounding-set")));
}

#[test]
fn who_must_not_be_root_is_not() {
    assert!(security(&json!({"runAsNonRoot": true}), &json!({"runAsUser": 0})).is_err());
    assert_eq!(security(&json!({"runAsNonRoot": true}), &json!({})).unwrap().user, NOBODY);
}
