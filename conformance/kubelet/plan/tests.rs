use super::*;
use serde_json::json;

fn process(container: &serde_json::Value) -> Result<Process, Waiting> {
    let pod: Pod = serde_json::from_value(json!({
        "metadata": {"name": "edge-1", "namespace": "shop", "uid": "u", "labels": {"app": "edge"}},
        "spec": {"containers": [], "nodeName": "node-a", "serviceAccountName": "edge"},
    }))
    .unwrap();
    let mut objects = Objects::default();
    objects.add_secret("login", [("user", "ann")]);
    let facts = Facts {
        pod: &pod,
        addresses: Addresses::of(9),
        api: "10.244.0.1:6443".parse().unwrap(),
        objects: &objects,
    };
    let images = Images(vec![
        ("envoyproxy/".into(), Image::program("/cache/envoy".as_ref())),
        ("isthmus".into(), Image::program("/bin/isthmus".as_ref())),
    ]);
    Process::new(&serde_json::from_value(container.clone()).unwrap(), &facts, &images)
}

#[track_caller]
fn arguments(container: &serde_json::Value, expected: &[&str]) {
    assert_eq!(process(container).unwrap().arguments, expected);
}

#[test]
fn an_image_is_known_by_a_part_of_its_name_and_never_by_its_tag() {
    let program = |image: &str| {
        process(&json!({"name": "c", "image": image})).map(|process| process.files[0].0.clone())
    };
    assert_eq!(
        program("docker.io/envoyproxy/envoy:v1.40.0").unwrap(),
        PathBuf::from("/cache/envoy")
    );
    assert_eq!(program("registry:5000/isthmus@sha256:00").unwrap(), PathBuf::from("/bin/isthmus"));
    assert_eq!(program("other:isthmus").unwrap_err().reason, "ErrImageNeverPull");
}

#[test]
fn command_and_arguments_are_those_of_the_container_or_the_program() {
    let envoy = "envoyproxy/envoy";
    arguments(
        &json!({"name": "c", "image": envoy, "args": ["-c", "x"]}),
        &["/usr/local/bin/envoy", "-c", "x"],
    );
    arguments(
        &json!({"name": "c", "image": envoy, "args": ["envoy", "-c"]}),
        &["/usr/local/bin/envoy", "-c"],
    );
    arguments(
        &json!({"name": "c", "image": envoy, "command": ["sh", "-c", "envoy"]}),
        &["sh", "-c", "envoy"],
    );
    let elsewhere =
        process(&json!({"name": "c", "image": envoy, "command": ["/opt/envoy"]})).unwrap();
    let seen: Vec<_> = elsewhere.files.iter().map(|(_, at)| at.as_str()).collect();
    assert_eq!(seen, ["/usr/local/bin/envoy", "/opt/envoy"]);
}

#[test]
fn variables_come_from_values_fields_resources_and_objects() {
    let process = process(&json!({
        "name": "c", "image": "isthmus", "args": ["--node=$(NODE)", "$$(NODE)", "$(NOBODY)"],
        "resources": {"limits": {"cpu": "1500m", "memory": "512Mi"}},
        "env": [
            {"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
            {"name": "APP", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['app']"}}},
            {"name": "WHERE", "value": "$(APP)@$(NODE)"},
            {"name": "USER", "valueFrom": {"secretKeyRef": {"name": "login", "key": "user"}}},
            {"name": "NONE", "valueFrom": {"secretKeyRef": {"name": "none", "key": "user", "optional": true}}},
            {"name": "CORES", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu", "divisor": "1"}}},
            {"name": "MEMORY", "valueFrom": {"resourceFieldRef": {"resource": "limits.memory", "divisor": "1Mi"}}},
        ],
    }))
    .unwrap();
    assert_eq!(
        process.arguments,
        ["/usr/local/bin/isthmus", "--node=node-a", "$(NODE)", "$(NOBODY)"]
    );
    let value = |name: &str| process.environment.get(name).map(String::as_str);
    assert_eq!(value("WHERE"), Some("edge@node-a"));
    assert_eq!(value("USER"), Some("ann"));
    assert_eq!(value("NONE"), None);
    assert_eq!(value("CORES"), Some("2"));
    assert_eq!(value("MEMORY"), Some("512"));
    assert_eq!(value("KUBERNETES_SERVICE_HOST"), Some("10.244.0.1"));
}

#[test]
fn a_missing_secret_is_waited_for() {
    let missing = process(
        &json!({"name": "c", "image": "isthmus", "envFrom": [{"secretRef": {"name": "later"}}]}),
    );
    assert_eq!(missing.unwrap_err(), Waiting::config("later is not there"));
}

#[test]
fn a_mount_within_another_comes_after_it() {
    let process = process(&json!({"name": "c", "image": "isthmus", "volumeMounts": [
        {"name": "inner", "mountPath": "/etc/isthmus/tls", "readOnly": true},
        {"name": "outer", "mountPath": "/etc/isthmus"},
    ]}))
    .unwrap();
    assert_eq!(
        process.mounts.iter().map(|mount| mount.volume.as_str()).collect::<Vec<_>>(),
        ["outer", "inner"]
    );
    assert!(process.mounts[1].read_only);
}
