//! Any bytes as a file of documents: no panic, and everything that is told lies inside of the file.

#![no_main]

use std::sync::Arc;

use kinds::Limits;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let (source, file): (Arc<str>, Arc<str>) = ("file".into(), "conf/a.yaml".into());
    let limits = Limits { file_size: 4096, nodes: 10_000, ..Limits::default() };
    let parsed = kinds::parse(&source, &file, data, limits);
    let lines = data.iter().filter(|byte| matches!(byte, b'\n' | b'\r')).count() + 1;
    for finding in &parsed.findings {
        let said = finding.to_string();
        let at = finding.at.location.as_ref().expect("a place in the file");
        assert!(
            (at.line as usize) <= lines + 1 && at.column >= 1,
            "{said}: outside of {lines} lines"
        );
    }
    assert!(parsed.complete || parsed.objects.is_empty(), "half a file was taken");
    let again = kinds::parse(&source, &file, data, limits);
    assert_eq!(
        format!("{:?}", again.objects),
        format!("{:?}", parsed.objects),
        "read otherwise the second time"
    );
});
