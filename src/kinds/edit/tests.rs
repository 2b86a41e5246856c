use model::{Kind, ObjectKey};
use serde_json::{Value, json};

use super::*;

const ROUTE: &str = "\
# Of the shop team.
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata:
  name: orders   # everybody knows it
  namespace: demo
spec:
  # The order matters.
  hostnames: [shop.example.com]
  rules:
  - matches:
    - path: {type: PathPrefix, value: /pay} # the till
    backendRefs:
    - name: \"pay\" # who
      port: 80
      weight: 90 # nearly all
    # The canary.
    - name: pay-canary
      port: 80
      weight: 10
";

const OTHER: &str = "\
---
apiVersion: v1
kind: Service
metadata: {name: pay, namespace: demo}
spec:
  ports:
    - port: 80   # http
";

fn route() -> ObjectKey {
    ObjectKey::new(Kind::HttpRoute, "demo", "orders")
}

fn limits() -> Limits {
    Limits::default()
}

fn read(text: &str, key: &ObjectKey) -> Value {
    let all = documents(text, &limits()).unwrap();
    all.into_iter().find(|d| d.key.as_ref() == Some(key)).unwrap().value
}

/// The lines that an edit takes out and puts in.
#[track_caller]
fn edited(text: &str, edit: impl FnOnce(&mut Value)) -> (Vec<String>, Vec<String>) {
    let mut new = read(text, &route());
    edit(&mut new);
    let out = put(text, &route(), &new, &limits()).unwrap();
    assert_eq!(read(&out, &route()), new);
    let (before, after): (Vec<&str>, Vec<&str>) = (text.lines().collect(), out.lines().collect());
    let gone = before.iter().filter(|line| !after.contains(line));
    let come = after.iter().filter(|line| !before.contains(line));
    (gone.map(ToString::to_string).collect(), come.map(ToString::to_string).collect())
}

#[test]
fn a_value_changes_on_its_line_and_nothing_else_does() {
    let text = format!("{ROUTE}{OTHER}");
    let (gone, come) = edited(&text, |new| {
        new["spec"]["rules"][0]["backendRefs"][0]["weight"] = json!(70);
    });
    assert_eq!(gone, ["      weight: 90 # nearly all"]);
    assert_eq!(come, ["      weight: 70 # nearly all"]);
}

#[test]
fn quotes_stay_and_are_added_where_they_are_needed() {
    let (_, come) = edited(ROUTE, |new| {
        new["spec"]["rules"][0]["backendRefs"][0]["name"] = json!("till");
        new["spec"]["rules"][0]["backendRefs"][1]["name"] = json!("true");
    });
    assert_eq!(come, ["    - name: \"till\" # who", "    - name: \"true\""]);
}

#[test]
fn fields_and_items_come_and_go_as_lines() {
    let (gone, come) = edited(ROUTE, |new| {
        let refs = new["spec"]["rules"][0]["backendRefs"].as_array_mut().unwrap();
        refs[0].as_object_mut().unwrap().remove("weight");
        refs.pop();
        refs.push(json!({"name": "third", "port": 81, "namespace": "x"}));
        new["metadata"]["labels"] = json!({"team": "shop"});
    });
    assert!(gone.contains(&"      weight: 90 # nearly all".to_owned()), "{gone:?}");
    assert!(come.contains(&"  labels:".to_owned()) && come.contains(&"    team: shop".to_owned()));
    assert!(!gone.iter().any(|line| line.contains('#') && !line.contains("nearly")), "{gone:?}");
}

#[test]
fn what_stands_in_brackets_stays_there() {
    let (gone, come) = edited(ROUTE, |new| {
        new["spec"]["hostnames"] = json!(["shop.example.com", "*.shop.example.com"]);
        new["spec"]["rules"][0]["matches"][0]["path"]["value"] = json!("/paying");
    });
    assert_eq!(gone.len(), 2);
    assert_eq!(
        come,
        [
            "  hostnames: [shop.example.com, \"*.shop.example.com\"]",
            "    - path: {type: PathPrefix, value: /paying} # the till"
        ]
    );
}

#[test]
fn removing_a_document_leaves_the_others_as_they_are() {
    let text = format!("{ROUTE}{OTHER}");
    let pay = ObjectKey::new(Kind::Service, "demo", "pay");
    assert_eq!(remove(&text, &pay, &limits()).unwrap(), ROUTE);
    assert_eq!(remove(&text, &route(), &limits()).unwrap(), OTHER);
    assert_eq!(remove(OTHER, &pay, &limits()).unwrap(), "");
    assert_eq!(remove(OTHER, &route(), &limits()), None);
}

#[test]
fn items_of_a_list_are_documents_too() {
    let text = "\
apiVersion: v1
kind: List
items:
# the first
- apiVersion: v1
  kind: Service
  metadata: {name: a, namespace: demo}
  spec: {ports: [{port: 80}]}
- apiVersion: v1
  kind: Service
  metadata: {name: b, namespace: demo}
  spec:
    ports:
    - port: 81 # own
";
    let key = |name| ObjectKey::new(Kind::Service, "demo", name);
    let mut b = read(text, &key("b"));
    b["spec"]["ports"][0]["port"] = json!(82);
    let out = put(text, &key("b"), &b, &limits()).unwrap();
    assert_eq!(out, text.replace("port: 81 # own", "port: 82 # own"));
    let out = remove(text, &key("a"), &limits()).unwrap();
    assert!(out.contains("# the first") && !out.contains("name: a"), "{out}");
}

#[test]
fn a_namespace_that_is_left_out_stays_out_and_a_status_stays() {
    let text = "\
apiVersion: v1
kind: Service
metadata:
  name: a
status: {loadBalancer: {}} # by hand
";
    let key = ObjectKey::new(Kind::Service, "default", "a");
    let new = json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"name": "a", "namespace": "default"},
        "spec": {"ports": [{"port": 1}]},
    });
    let out = put(text, &key, &new, &limits()).unwrap();
    assert_eq!(out, format!("{text}spec:\n  ports:\n  - port: 1\n"));
}

#[test]
fn anchors_are_not_cut_in_two() {
    let text = "\
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: orders, namespace: demo}
spec:
  rules:
  - &rule
    backendRefs: [{name: a, port: 80}]
  - *rule
";
    let mut new = read(text, &route());
    new["spec"]["rules"][0]["backendRefs"][0]["port"] = json!(81);
    let out = put(text, &route(), &new, &limits()).unwrap();
    assert_eq!(read(&out, &route()), new);
}

#[test]
fn a_document_in_json_stays_one() {
    let text =
        r#"{"apiVersion": "v1", "kind": "Service", "metadata": {"name": "a", "namespace": "x"}}"#;
    let key = ObjectKey::new(Kind::Service, "x", "a");
    let mut new = read(text, &key);
    new["spec"] = json!({"ports": [{"port": 1}]});
    let out = put(text, &key, &new, &limits()).unwrap();
    assert_eq!(read(&out, &key), new);
}

mod properties {
    use proptest::prelude::*;

    use super::*;

    fn scalar() -> impl Strategy<Value = Value> {
        prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i32>().prop_map(Value::from),
            "[a-z#: '\"\\-\\[{&*!|>%@,\\n]{0,12}".prop_map(Value::from),
        ]
    }

    fn tree() -> impl Strategy<Value = Value> {
        scalar().prop_recursive(4, 40, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                prop::collection::btree_map("[a-e]", inner, 0..5)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    #[expect(clippy::needless_pass_by_value, reason = "as json! gives it")]
    fn document(spec: Value) -> Value {
        json!({
            "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute",
            "metadata": {"name": "orders", "namespace": "demo"}, "spec": spec,
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(600))]

        #[test]
        fn an_edited_text_means_what_was_wanted(old in tree(), new in tree(), comments in any::<bool>()) {
            let mut text = yaml(&document(old));
            if comments {
                text = text.lines().map(|line| match line.ends_with(|c: char| c.is_ascii_digit()) {
                    true => format!("{line} # c\n"),
                    false => format!("{line}\n"),
                }).collect();
            }
            let whole = format!("{text}{OTHER}");
            // What a comment happened to spoil is no text to edit.
            prop_assume!(documents(&whole, &limits()).is_some_and(|d| d.len() == 2));
            let new = document(new);
            let out = put(&whole, &route(), &new, &limits()).expect("it can always be written anew");
            prop_assert_eq!(read(&out, &route()), new);
            prop_assert!(out.ends_with(OTHER));
        }

        #[test]
        fn what_did_not_change_keeps_its_lines(old in tree(), field in scalar()) {
            let mut text = yaml(&document(old));
            text.push_str("  # kept\n");
            let whole = format!("# head\n{text}{OTHER}");
            let mut new = read(&whole, &route());
            new["metadata"]["labels"] = json!({"x": field});
            let out = put(&whole, &route(), &new, &limits()).unwrap();
            prop_assert!(out.contains("# kept") && out.starts_with("# head\n"), "{}", out);
        }
    }
}
