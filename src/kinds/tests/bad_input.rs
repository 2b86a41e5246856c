use super::*;

/// One error finding that ends the file, quickly.
#[track_caller]
fn check_ends(bytes: &[u8], expected: &str) -> Parsed {
    let parsed = read_bytes(bytes);
    assert_eq!(told(&parsed), [expected], "{}", parsed.findings[0]);
    assert!(!parsed.complete);
    assert!(parsed.objects.is_empty() && parsed.rejected.is_empty());
    // A debug build on a busy machine; what this is to catch takes minutes.
    parsed
}

const GOOD: &str = "apiVersion: v1\nkind: Namespace\nmetadata: {name: a}\n";

#[test]
fn a_file_of_50_megabytes_is_not_read() {
    check_ends(&vec![b'a'; 50 << 20], "1:1 ISM1003");
    let limits = Limits { file_size: 10, ..Limits::default() };
    let small = parse(&s("file"), &s("a"), GOOD.as_bytes(), limits);
    assert_eq!(told(&small), ["1:1 ISM1003"]);
}

#[test]
fn deep_nesting() {
    check_ends("[".repeat(100_000).as_bytes(), "1:256 ISM1005");
    check_ends("{a: ".repeat(100_000).as_bytes(), "1:1021 ISM1005");
    check_ends("- ".repeat(100_000).as_bytes(), "1:129 ISM1005");
    let indented: String = (0..2000).map(|depth| format!("{}a:\n", " ".repeat(depth))).collect();
    check_ends(indented.as_bytes(), "65:65 ISM1005");
    // By aliases, each of which looks shallow.
    let aliases: String = (1..100).map(|i| format!("a{i}: &a{i} [*a{}]\n", i - 1)).collect();
    check_ends(format!("a0: &a0 []\n{aliases}").as_bytes(), "64:12 ISM1005");
    // The deepest that is permitted.
    let parsed = read(&format!("{}{}", "[".repeat(64), "]".repeat(64)));
    assert_eq!(told(&parsed), ["1:1 ISM1101"]);
}

#[test]
fn bombs_of_aliases() {
    let laughs: String = (1..10)
        .map(|i| format!("l{i}: &l{i} [{}]\n", [format!("*l{}", i - 1).as_str(); 10].join(",")))
        .collect();
    check_ends(format!("l0: &l0 lol\n{laughs}").as_bytes(), "7:38 ISM1005");
    // Few nodes, much text.
    let text = format!("a: &a {}\nb: [{}]\n", "x".repeat(1 << 20), "*a,".repeat(1000));
    check_ends(text.as_bytes(), "2:185 ISM1005");
    let merges: String =
        (1..30).map(|i| format!("m{i}: &m{i} {{<<: [*m{0}, *m{0}], k{i}: 1}}\n", i - 1)).collect();
    let parsed = read(&format!("m0: &m0 {{k0: 1}}\n{merges}"));
    assert!(parsed.complete);
}

#[test]
fn many_nodes() {
    let limits = Limits { nodes: 10_000, ..Limits::default() };
    let text = format!("[{}]", "[],".repeat(100_000));
    assert_eq!(told(&parse(&s("file"), &s("a"), text.as_bytes(), limits)), ["1:30002 ISM1005"]);
}

#[test]
fn text_that_is_not_utf8() {
    check_ends(b"a: b\nb: \xe4\xf6\n", "2:4 ISM1004");
    check_ends("a: ä\nb: ä".as_bytes().split_last().unwrap().1, "2:4 ISM1004");
    check_ends(b"\xff\xfea\0:\0", "1:1 ISM1004");
    check_ends(b"a: \xc0\x80\n", "1:4 ISM1004");
}

#[test]
fn control_characters_end_the_file_aloud() {
    check_ends(format!("{GOOD}---\n\0\n").as_bytes(), "5:1 ISM1002");
    check_ends(b"a: b\x1b[0m\n", "1:5 ISM1002");
}

#[test]
fn syntax_errors_are_told_once() {
    check_ends(b"a: b: c\n", "1:5 ISM1002");
    check_ends(b"a: [1, 2\nb: 3\n", "2:2 ISM1002");
    check_ends(b"a: 'b\n", "1:4 ISM1002");
    check_ends(b"a:\n\t- b\n", "2:1 ISM1002");
    check_ends(b"a: {b\n", "2:1 ISM1002");
    check_ends(b"- a\nb: c\n", "2:1 ISM1002");
    check_ends(b"a: *b\n", "1:4 ISM1002");
    check_ends(b"a: &b [*b]\n", "1:8 ISM1002");
    check_ends(b"a: !foo b\n", "1:4 ISM1002");
    check_ends(b"a: !!binary aGk=\n", "1:4 ISM1002");
    check_ends(b"? [a]\n: b\n", "1:3 ISM1002");
    check_ends(b"<<: 1\n", "1:1 ISM1002");
    check_ends(b"%YAML 3\n---\n", "1:1 ISM1002");
    let key = "k".repeat(1025);
    check_ends(format!("? {key}\n: 1\n").as_bytes(), "1:3 ISM1002");
    let parsed = check_ends(b"a:\n  b: 1\n\tc: 2\n", "3:1 ISM1002");
    assert_eq!(parsed.findings[0].hint, "YAML forbids tabs for indentation: use spaces");
}

#[test]
fn what_stands_before_a_syntax_error_is_not_trusted() {
    check_ends(format!("{GOOD}---\na: b: c\n").as_bytes(), "5:5 ISM1002");
    // Its mistakes are told all the same.
    let parsed = check("- a\n---\na: b: c\n", &["1:1 ISM1101", "3:5 ISM1002"]);
    assert!(!parsed.complete);
}

#[test]
fn duplicate_keys() {
    let parsed =
        check(&route("  hostnames: [a]\n  hostnames: [b]\n"), &["6:3 ISM1006 /spec/hostnames"]);
    assert!(parsed.objects.is_empty() && parsed.rejected.len() == 1 && parsed.complete);
    assert_eq!(
        parsed.findings[0].text,
        "the key `hostnames` stands already in line 5: one of the two values would be lost"
    );
    check(
        "apiVersion: v1\nkind: Namespace\nkind: Service\nmetadata: {name: a}\n",
        &["3:1 ISM1006 /kind"],
    );
    check(
        "apiVersion: apps/v1\nkind: Deployment\nspec: {a: 1, a: 2}\n",
        &["2:7 info ISM1102 /kind"],
    );
    check(
        "apiVersion: v1\nkind: Namespace\nmetadata: {name: a, labels: {a: b, \"a\": c}}\n",
        &["3:36 ISM1006 /metadata/labels/a"],
    );
}

#[test]
fn nothing_at_all() {
    for text in [
        "",
        "\n",
        "---\n",
        "---\n---\n",
        "# comment\n",
        "---\n# a\n...\n---\n",
        "\u{feff}",
        "null\n",
        "~",
    ] {
        let parsed = check(text, &[]);
        assert!(parsed.complete && parsed.objects.is_empty(), "{text:?}");
    }
}

#[test]
fn many_quick_things_stay_quick() {
    // Each of these would take minutes if it cost the square of its size.
    let labels: String = (0..30_000).map(|i| format!("    l{i}: 'a'\n")).collect();
    let parsed = read(&format!(
        "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: a\n  annotations:\n{labels}"
    ));
    assert_eq!(parsed.objects.len(), 1);
    let keys: String = (0..50_000).map(|i| format!("k{i}: 1\n")).collect();
    read(&format!("{keys}{keys}"));
    read(&route(&keys.replace('k', "  k")));
    let names: String = (0..5_000)
        .map(|i| format!("---\napiVersion: v1\nkind: Namespace\nmetadata: {{name: a{i}}}\n"))
        .collect();
    assert_eq!(read(&names).objects.len(), 5_000);
    let long = format!("a: \"{}\"\n", "\\n".repeat(1 << 18));
    read(&long);
}

/// All of the above once more, by chance: cuts and flipped bytes of a file with a bit of everything.
#[test]
fn damaged_files_never_panic() {
    damage(7, 2_000);
}

fn damage(step: usize, times: usize) {
    let text = include_str!("everything.yaml");
    let whole = read(text);
    assert_eq!(told(&whole), Vec::<String>::new());
    let bytes = text.as_bytes();
    for end in (0..bytes.len()).step_by(step) {
        let _ = read_bytes(&bytes[..end]);
    }
    let replacements = b"\0\t\n \"'#&*-:<?[]{}|>!%@`0a\x7f\x80\xff";
    let mut state: u64 = 1;
    for _ in 0..times {
        // Knuth's linear congruential generator: the same damage in every run.
        let mut next = || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            usize::try_from(state >> 33).unwrap()
        };
        let mut damaged = bytes.to_vec();
        for _ in 0..1 + next() % 3 {
            let at = next() % damaged.len();
            match next() % 3 {
                0 => damaged[at] = replacements[next() % replacements.len()],
                1 => damaged[at] ^= 1 << (next() % 8),
                _ => drop(damaged.remove(at)),
            }
        }
        let parsed = read_bytes(&damaged);
        if let (true, Ok(text)) = (parsed.complete, std::str::from_utf8(&damaged)) {
            let lines = u32::try_from(text.lines().count()).unwrap() + 1;
            for finding in &parsed.findings {
                let location = finding.at.location.as_ref().unwrap();
                assert!((1..=lines).contains(&location.line) && location.column >= 1, "{finding}");
            }
        }
    }
}
