//! `golden/FORMAT/CASE/`: `input.yaml` → `output.yaml` and `report.txt`. `UPDATE=1` writes them; each difference is read by
//! a person before it is kept.

#![allow(clippy::unwrap_used)]

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use import::{Format, Imported, Options, What, import};

#[test]
fn golden() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let mut cases = 0;
    for format in Format::ALL {
        for case in folders(&root.join(format.as_str())) {
            cases += 1;
            check(format, &case);
        }
    }
    assert!(cases > 5, "{cases} cases");
}

fn folders(path: &Path) -> Vec<PathBuf> {
    let mut all: Vec<_> = fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()).collect();
    all.sort();
    all
}

fn check(format: Format, case: &Path) {
    let name = case.display();
    let text = fs::read(case.join("input.yaml")).unwrap();
    let options = match format {
        Format::OpenApi => Options {
            gateway: Some("infra/edge".into()),
            namespace: Some("shop".into()),
            service: Some("orders:8080".into()),
        },
        _ => Options::default(),
    };
    let imported = import(format, &text, &options).unwrap();
    let yaml = imported.yaml();
    // It is what we read ourselves, without a word against it.
    let parsed = kinds::parse(
        &"file".into(),
        &"output.yaml".into(),
        yaml.as_bytes(),
        kinds::Limits::default(),
    );
    let said: Vec<_> = parsed.findings.iter().map(ToString::to_string).collect();
    assert!(said.is_empty() && parsed.complete, "{name}: {said:#?}\n{yaml}");
    assert_eq!(parsed.objects.len(), imported.documents.len(), "{name}");
    for (file, text) in [("output.yaml", yaml), ("report.txt", report(&imported))] {
        let path = case.join(file);
        if std::env::var_os("UPDATE").is_some() {
            fs::write(path, text).unwrap();
        } else {
            let kept = fs::read_to_string(path).unwrap_or_default();
            assert_eq!(kept, text, "{name}/{file}: UPDATE=1 writes it anew");
        }
    }
}

fn report(imported: &Imported) -> String {
    imported.report.iter().fold(String::new(), |mut out, line| {
        writeln!(out, "{line}").unwrap();
        out
    })
}

#[test]
fn what_nobody_knows_is_named() {
    let text = b"kind: HTTPProxy\nmetadata: {name: a}\nspec:\n  virtualhost: {fqdn: a.example, surprise: 1}\n  routes: []\n";
    let imported = import(Format::HttpProxy, text, &Options::default()).unwrap();
    let refused = imported.report.iter().filter(|line| line.what == What::Refused);
    let refused: Vec<_> = refused.map(|line| line.pointer.as_str()).collect();
    assert_eq!(refused, ["/spec/virtualhost/surprise"]);
    assert!(imported.refused());
}

#[test]
fn a_text_that_is_no_yaml_is_an_error_with_its_place() {
    let error = import(Format::Ingress, b"a: [", &Options::default()).unwrap_err();
    assert!(error.starts_with("line "), "{error}");
}

#[test]
fn those_who_include_each_other_come_to_an_end() {
    let text = b"
kind: HTTPProxy
metadata: {name: a, namespace: x}
spec:
  virtualhost: {fqdn: a.example}
  includes: [{name: b, namespace: x}]
---
kind: HTTPProxy
metadata: {name: b, namespace: x}
spec:
  includes: [{name: b, namespace: x}, {name: a, namespace: x}]
  routes: [{services: [{name: s, port: 80}]}]
";
    let imported = import(Format::HttpProxy, text, &Options::default()).unwrap();
    assert!(imported.refused());
    assert_eq!(imported.documents.len(), 1);
}

#[test]
fn includes_that_multiply_cost_no_more_than_they_may() {
    let mut text = String::new();
    for level in 0..64 {
        let host = if level == 0 { "  virtualhost: {fqdn: a.example}\n" } else { "" };
        let next = level + 1;
        write!(
            text,
            "---\nkind: HTTPProxy\nmetadata: {{name: p{level}, namespace: x}}\nspec:\n{host}  \
             includes: [{{name: p{next}}}, {{name: p{next}, conditions: [{{prefix: /a}}]}}]\n  \
             routes: [{{services: [{{name: s, port: 80}}]}}]\n"
        )
        .unwrap();
    }
    let imported = import(Format::HttpProxy, text.as_bytes(), &Options::default()).unwrap();
    assert!(imported.report.iter().any(|line| line.text == "too many includes"));
}

#[test]
fn requests_of_an_api_go_to_the_service_that_was_named() {
    let text = b"openapi: 3.1.0\ninfo: {title: pay}\npaths: {/pay: {get: {}}}\n";
    let backend = |service: &str| {
        let options = Options { service: Some(service.into()), ..Options::default() };
        let imported = import(Format::OpenApi, text, &options).unwrap();
        let grant = imported.report.iter().any(|line| line.text.contains("ReferenceGrant"));
        (imported.documents[0]["spec"]["rules"][0]["backendRefs"][0].to_string(), grant)
    };
    assert_eq!(backend("pay:8080"), (r#"{"name":"pay","port":8080}"#.into(), false));
    assert_eq!(backend("Service/default/pay:80"), (r#"{"name":"pay","port":80}"#.into(), false));
    assert_eq!(
        backend("MeshService/shop/pay:80"),
        (
            r#"{"group":"isthmus.dev","kind":"MeshService","name":"pay","namespace":"shop","port":80}"#
                .into(),
            true
        )
    );
}
