use super::*;
use serde_json::json;

fn volume(volume: &serde_json::Value) -> Result<Contents, Waiting> {
    let pod: Pod = serde_json::from_value(
        json!({"metadata": {"name": "p", "namespace": "shop", "labels": {"a": "b"}}}),
    )
    .unwrap();
    let mut objects = Objects::default();
    objects.add_secret("tls", [("tls.crt", "C"), ("tls.key", "K")]);
    objects.tokens.insert("isthmus/600".into(), "T".into());
    let facts = Facts {
        pod: &pod,
        addresses: crate::network::Addresses::of(9),
        api: "10.244.0.1:6443".parse().unwrap(),
        objects: &objects,
    };
    contents(&serde_json::from_value(volume.clone()).unwrap(), &facts)
}

fn files<const N: usize>(files: [(&str, &str); N]) -> Data {
    files.into_iter().map(|(path, text)| (path.to_owned(), text.as_bytes().to_vec())).collect()
}

#[test]
fn a_projected_volume_holds_all_its_sources() {
    let projected = volume(&json!({"name": "v", "projected": {"sources": [
        {"serviceAccountToken": {"path": "token", "audience": "isthmus", "expirationSeconds": 600}},
        {"secret": {"name": "tls", "items": [{"key": "tls.crt", "path": "certs/own.crt"}]}},
        {"downwardAPI": {"items": [{"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}}]}},
        {"configMap": {"name": "later", "optional": true}},
    ]}}));
    assert_eq!(
        projected.unwrap(),
        Contents::Files(files([("token", "T"), ("certs/own.crt", "C"), ("labels", "a=\"b\"")]))
    );
}

#[test]
fn what_is_missing_is_waited_for() {
    assert_eq!(
        volume(&json!({"name": "v", "configMap": {"name": "later"}})).unwrap_err().message,
        "later is not there"
    );
    let key = volume(
        &json!({"name": "v", "secret": {"secretName": "tls", "items": [{"key": "ca", "path": "ca"}]}}),
    );
    assert_eq!(key.unwrap_err().message, "tls has no ca");
}

#[test]
fn a_volume_is_replaced_in_one_step() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("v");
    let read = |path: &str| std::fs::read_to_string(place.join(path)).ok();
    replace(&place, &files([("a", "1"), ("sub/b", "1")]), 1).unwrap();
    assert_eq!((read("a"), read("sub/b")), (Some("1".into()), Some("1".into())));
    replace(&place, &files([("a", "2"), ("c", "2")]), 2).unwrap();
    assert_eq!((read("a"), read("sub/b"), read("c")), (Some("2".into()), None, Some("2".into())));
    let mut left: Vec<_> =
        std::fs::read_dir(&place).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["..2", "..data", "a", "c"]);
}
