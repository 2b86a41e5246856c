//! Input made to hurt: a finding for each, and everything else goes on.

use std::fmt::Write;

use crate::testbed::{
    Bed, Echo, LIMIT, Listener, gateway, get, route, say, service, skipped, until,
};

/// Kilobytes.
const MOST_MEMORY: u64 = 400 * 1024;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_input() {
    if skipped() {
        return;
    }
    let echo = Echo::start("shop").await;
    let rules = "- backendRefs: [{group: isthmus.dev, kind: MeshService, name: shop}]";
    let good = route("good", "good.example", rules);
    let shop = service("shop", &[echo.address]);
    let mut bed = Bed::start(&[("good.yaml", good.clone()), ("shop.yaml", shop.clone())]).await;
    let copy = good.replace("good.example", "other.example");
    let cases: Vec<(&str, &str, Vec<u8>)> = vec![
        ("50 MB", "ISM1003", fifty_megabytes()),
        ("a list in a list, 100,000 deep", "ISM1005", vec![b'['; 100_000]),
        ("a mapping in a mapping, 100,000 deep", "ISM1005", "{a: ".repeat(100_000).into_bytes()),
        ("a list item in a list item, 100,000 deep", "ISM1005", "- ".repeat(100_000).into_bytes()),
        ("anchors that stand for each other", "ISM1005", anchors().into_bytes()),
        ("anchors as merge keys", "ISM1005", merged_anchors().into_bytes()),
        ("not UTF-8", "ISM1004", b"kind: HTTPRoute\nmetadata: {name: \xff\xfe}\n".to_vec()),
        ("a second object of the same name", "ISM1107", copy.into_bytes()),
        ("zeros", "ISM1002", vec![0; 1 << 20]),
    ];
    let (count, mut wrong) = (cases.len(), Vec::new());
    for (what, code, bytes) in cases {
        // Behind `good.yaml` in order of path.
        bed.folder.write_in_place("x.yaml", bytes);
        wait_code(&bed, what, code).await;
        wrong.extend(check(&mut bed, what).await);
        bed.folder.remove("x.yaml");
        bed.wait_findings(&[]).await;
    }
    let what = "a folder with a file's name";
    std::fs::create_dir(bed.folder.file("x.yaml")).unwrap();
    wait_code(&bed, what, "ISM1001").await;
    wrong.extend(check(&mut bed, what).await);
    std::fs::remove_dir(bed.folder.file("x.yaml")).unwrap();
    bed.wait_findings(&[]).await;

    // What came through all of it still follows edits.
    bed.folder.write("good.yaml", &good.replace("good.example", "new.example"));
    bed.wait_service(&get("new.example", "/"), "shop").await;
    // And it comes up with all of it there at once, before anything good was ever read.
    let most = bed.isthmus.process.memory("VmHWM");
    say(&format!("bad_input: {} cases, at most {} MiB in use", count + 1, most / 1024));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The same, all at once, met at the first start.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_input_from_the_start() {
    if skipped() {
        return;
    }
    let echo = Echo::start("shop").await;
    let rules = "- backendRefs: [{group: isthmus.dev, kind: MeshService, name: shop}]";
    let good = route("good", "good.example", rules);
    let folder = crate::testbed::Folder::new();
    let web = crate::testbed::free_port();
    folder.write("gateway.yaml", &gateway(&[Listener::http("web", web)]));
    folder.write("good.yaml", &good);
    folder.write("shop.yaml", &service("shop", &[echo.address]));
    folder.write_in_place("a.yaml", fifty_megabytes());
    folder.write_in_place("b.yaml", vec![b'['; 100_000]);
    folder.write_in_place("c.yaml", anchors());
    folder.write_in_place("d.yaml", b"\xff\xfe");
    std::fs::create_dir(folder.file("e.yaml")).unwrap();
    folder.write_in_place("h.yaml", good.replace("good.example", "other.example"));
    let run = crate::testbed::Run::new(folder.path());
    let mut bed = Bed::run(folder, run, crate::testbed::loopback(web)).await;
    let wrong = check(&mut bed, "at the start").await;
    assert_eq!(wrong, None);
    let findings = bed.isthmus.findings().await.unwrap();
    let codes: Vec<_> = findings.iter().map(|f| f.split(':').next().unwrap_or_default()).collect();
    let wanted = [
        "ISM1001 e.yaml",
        "ISM1003 a.yaml",
        "ISM1004 d.yaml",
        "ISM1005 b.yaml",
        "ISM1005 c.yaml",
        "ISM1107 h.yaml",
    ];
    let mut sorted = codes.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, wanted);
}

async fn wait_code(bed: &Bed, what: &str, code: &str) {
    until(&format!("{what} is told as {code}"), LIMIT, async || {
        let all = bed.isthmus.findings().await?;
        let found = all.iter().any(|f| f.starts_with(&format!("{code} x.yaml:")));
        if found { Ok(()) } else { Err(format!("{all:?}")) }
    })
    .await;
}

/// Lives, is not too large, and the good documents count.
async fn check(bed: &mut Bed, what: &str) -> Option<String> {
    assert!(bed.isthmus.process.ended().is_none(), "{what}: isthmus ended");
    bed.isthmus.ready().await.unwrap_or_else(|e| panic!("{what}: {e}"));
    bed.isthmus.wait_in_step().await;
    let status = bed.ask(&get("good.example", "/")).await.map(|answer| answer.status);
    let memory = bed.isthmus.process.memory("VmHWM");
    match status {
        Ok(200) if memory < MOST_MEMORY => None,
        other => Some(format!("{what}: {other:?}, {} MiB", memory / 1024)),
    }
}

/// Good documents, only too many of them.
fn fifty_megabytes() -> Vec<u8> {
    let document = route("r", "big.example", "- {}") + "---\n";
    document.repeat(50_000_000 / document.len() + 1).into_bytes()
}

/// Each stands for nine of the one before: ten to the ninth in the end.
fn anchors() -> String {
    let mut out = "kind: HTTPRoute\na0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_string();
    for level in 1..10 {
        let before = format!("*a{}", level - 1);
        let all = vec![before; 9].join(", ");
        writeln!(out, "a{level}: &a{level} [{all}]").unwrap();
    }
    out
}

fn merged_anchors() -> String {
    let mut out = "kind: HTTPRoute\na0: &a0 {k: v}\n".to_string();
    for level in 1..40 {
        let before = level - 1;
        writeln!(out, "a{level}: &a{level} {{<<: [*a{before}], l: *a{before}, r: *a{before}}}")
            .unwrap();
    }
    out
}
