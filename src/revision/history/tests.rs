use super::*;

fn document(text: &str) -> (Hash, Document) {
    let document = Document { source: "file".into(), file: "a.yaml".into(), text: text.into() };
    (hash(text), document)
}

fn set(ledger: &mut Ledger, changes: &[(&str, Option<&str>)]) -> Option<u64> {
    let changes = changes.iter().map(|(entry, text)| (Arc::from(*entry), text.map(document)));
    let (number, written) = ledger.record(changes.collect(), Note::default());
    written.unwrap();
    number
}

fn shown(ledger: &Ledger, number: u64) -> String {
    let content = ledger.content_at(number).unwrap();
    let one = |(entry, hash): (&Arc<str>, &Hash)| {
        format!("{entry}={}", ledger.document(*hash).unwrap().text)
    };
    content.iter().map(one).collect::<Vec<_>>().join(" ")
}

#[test]
fn every_revision_can_be_read_back() {
    let mut ledger = Ledger::in_memory();
    assert_eq!(set(&mut ledger, &[("a", Some("1")), ("b", Some("1"))]), Some(1));
    assert_eq!(set(&mut ledger, &[("a", Some("2"))]), Some(2));
    assert_eq!(set(&mut ledger, &[("a", Some("2"))]), None, "nothing differs");
    assert_eq!(set(&mut ledger, &[("b", None), ("c", Some("3"))]), Some(3));
    assert_eq!(shown(&ledger, 1), "a=1 b=1");
    assert_eq!(shown(&ledger, 2), "a=2 b=1");
    assert_eq!(shown(&ledger, 3), "a=2 c=3");
}

#[test]
fn the_same_content_has_the_same_hash_whatever_the_way() {
    let (mut one, mut other) = (Ledger::in_memory(), Ledger::in_memory());
    set(&mut one, &[("a", Some("1")), ("b", Some("2"))]);
    set(&mut other, &[("b", Some("9")), ("z", Some("1"))]);
    set(&mut other, &[("z", None), ("b", Some("2")), ("a", Some("1"))]);
    assert_eq!(one.newest().unwrap().hash, other.newest().unwrap().hash);
    set(&mut one, &[("a", Some("3"))]);
    set(&mut one, &[("a", Some("1"))]);
    assert_eq!(one.newest().unwrap().rollback_of, Some(1));
}

#[test]
fn old_ones_go_pinned_ones_stay_and_all_that_is_left_can_be_read() {
    let dir = tempfile::tempdir().unwrap();
    let (mut ledger, _) = Ledger::open(dir.path(), None).unwrap();
    for n in 1..=10_u64 {
        set(&mut ledger, &[("a", Some(&n.to_string())), ("same", Some("x"))]);
    }
    ledger.pin(5, true).unwrap();
    for n in 11..=200_u64 {
        set(&mut ledger, &[("a", Some(&n.to_string()))]);
    }
    let kept: Vec<u64> = ledger.revisions().map(|revision| revision.number).collect();
    assert_eq!(kept.len(), KEPT + 1);
    assert_eq!(kept[..2], [5, 101]);
    drop(ledger);
    let (mut ledger, damage) = Ledger::open(dir.path(), None).unwrap();
    assert!(damage.is_none());
    assert_eq!(shown(&ledger, 5), "a=5 same=x");
    assert_eq!(shown(&ledger, 101), "a=101 same=x");
    assert_eq!(shown(&ledger, 200), "a=200 same=x");
    assert_eq!(ledger.document(hash("50")), None, "nobody names it");
    ledger.pin(5, false).unwrap();
    assert_eq!(ledger.document(hash("5")), None);
    assert_eq!(shown(&ledger, 101), "a=101 same=x");
}

#[test]
fn what_is_on_disk_cannot_be_read_without_the_key() {
    let dir = tempfile::tempdir().unwrap();
    let (mut ledger, _) = Ledger::open(dir.path(), None).unwrap();
    set(&mut ledger, &[("secret", Some("hunter2-hunter2-hunter2"))]);
    drop(ledger);
    let bytes = std::fs::read(dir.path().join("history.redb")).unwrap();
    assert!(!bytes.windows(7).any(|part| part == b"hunter2"));
    std::fs::write(dir.path().join("key"), [7; 32]).unwrap();
    let (ledger, damage) = Ledger::open(dir.path(), None).unwrap();
    assert!(damage.is_some() && ledger.newest().is_none());
}
