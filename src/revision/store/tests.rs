use std::error::Error as _;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use model::{Kind, ObjectKey};
use redb::ReadableDatabase;
use snapshot::{Resource, ResourceKey, ResourceType, Snapshot};
use tempfile::TempDir;

use super::*;

const MARKER: &str = "MARKER-7f3a9c";
const PEM: &str =
    "-----BEGIN PRIVATE KEY-----\nMARKER-7f3a9cMIGHAgEAMBMGByqGSM49\n-----END PRIVATE KEY-----\n";

struct Case {
    dir: TempDir,
}

fn case() -> Case {
    Case { dir: TempDir::new().unwrap() }
}

impl Case {
    fn state(&self) -> PathBuf {
        self.dir.path().join("state")
    }

    fn file(&self) -> PathBuf {
        self.state().join("last-good.redb")
    }

    #[track_caller]
    fn open(&self) -> Store {
        let (store, damage) = Store::open(&self.state(), None).unwrap();
        assert!(damage.is_none(), "{damage:?}");
        store
    }

    /// Opens a store that is damaged; returns what is said, cause by cause.
    #[track_caller]
    fn open_damaged(&self) -> (Store, String, PathBuf) {
        let (store, damage) = Store::open(&self.state(), None).unwrap();
        let damage = damage.expect("damage");
        let mut text = damage.to_string();
        let mut source = damage.source();
        while let Some(cause) = source {
            text = format!("{text}: {cause}");
            source = cause.source();
        }
        (store, text, damage.moved_to)
    }
}

fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

fn key(name: &str) -> ObjectKey {
    ObjectKey::new(Kind::Secret, "shop", name)
}

fn document(file: &str, document: &str) -> StoredDocument {
    StoredDocument { source: "file".into(), file: file.into(), document: document.into() }
}

fn put(name: &str, file: &str, text: &str) -> DocumentChange {
    DocumentChange::Put { key: key(name), document: document(file, text) }
}

fn delete(name: &str) -> DocumentChange {
    DocumentChange::Delete { source: "file".into(), key: key(name) }
}

fn resource(kind: ResourceType, name: &str, body: &str, refs: &[(ResourceType, &str)]) -> Resource {
    let refs: Vec<ResourceKey> =
        refs.iter().map(|(kind, name)| ResourceKey { kind: *kind, name: (*name).into() }).collect();
    Resource::new(kind, name.into(), body.as_bytes(), refs, [])
}

fn snapshot(resources: &[(ResourceType, &str, &str)]) -> Snapshot {
    let mut snapshot = Snapshot::default();
    for (kind, name, body) in resources {
        snapshot.insert(resource(*kind, name, body, &[]));
    }
    snapshot
}

fn change<'a>(
    group: &'a str,
    previous: Option<&'a Snapshot>,
    now: Option<&'a Snapshot>,
) -> SnapshotChange<'a> {
    SnapshotChange { group, previous, now }
}

/// All of a snapshot that a proxy can see, and the references.
fn shown(snapshot: &Snapshot) -> Vec<String> {
    let mut out = Vec::new();
    for kind in ResourceType::ALL {
        for r in snapshot.set(kind).iter() {
            let body = String::from_utf8_lossy(r.body());
            out.push(format!("{kind} {}@{} {body} {:?}", r.name(), r.version(), r.refs()));
        }
    }
    out
}

fn groups(last: &LastGood) -> Vec<(String, Vec<String>)> {
    last.snapshots.iter().map(|(group, s)| (group.to_string(), shown(s))).collect()
}

use ResourceType::{Cluster, Endpoint, Listener, Secret, VirtualHost};

#[test]
fn what_was_stored_comes_back() {
    let case = case();
    let mut gateway = Snapshot::default();
    gateway.insert(resource(Cluster, "c", "cluster", &[(Endpoint, "e"), (Secret, "s")]));
    gateway.insert(resource(Endpoint, "e", "", &[]));
    gateway.insert(resource(Secret, "s", PEM, &[]));
    let other = snapshot(&[(Listener, "l", "listener")]);
    let documents = [
        put("b", "conf/b.yaml", "{\"kind\":\"Secret\"}"),
        put("a", "", "{}"),
        DocumentChange::Put {
            key: ObjectKey::new(Kind::GatewayClass, "", "a"),
            document: document("conf/c.yaml", "{\"c\":1}"),
        },
    ];
    let snapshots = [
        change("gateway shop/web", None, Some(&gateway)),
        change("gateway shop/web2", None, Some(&other)),
    ];
    let mut store = case.open();
    assert!(store.load().unwrap().is_empty());
    store
        .commit(
            Commit { documents: &documents, snapshots: &snapshots, ..Commit::default() },
            at(1000),
        )
        .unwrap();
    drop(store);

    let last = case.open().load().unwrap();
    assert_eq!(last.written, at(1000));
    assert_eq!(
        last.documents,
        [
            document("conf/c.yaml", "{\"c\":1}"),
            document("", "{}"),
            document("conf/b.yaml", "{\"kind\":\"Secret\"}"),
        ]
    );
    assert_eq!(
        groups(&last),
        [
            ("gateway shop/web".to_string(), shown(&gateway)),
            ("gateway shop/web2".to_string(), shown(&other)),
        ]
    );
    // To the byte: what streams are sent, and what they compare.
    let back = &last.snapshots["gateway shop/web"];
    for kind in ResourceType::ALL {
        assert_eq!(back.set(kind).version(), gateway.set(kind).version());
        for (a, b) in back.set(kind).iter().zip(gateway.set(kind).iter()) {
            assert_eq!((a.delta(), a.sotw(), a.refs()), (b.delta(), b.sotw(), b.refs()));
        }
        assert_eq!(back.set(kind).diff(gateway.set(kind)).count(), 0);
    }
}

#[test]
fn steps_end_where_one_step_would() {
    let first = snapshot(&[(Cluster, "a", "1"), (Cluster, "b", "1"), (Endpoint, "a", "1")]);
    let mut second = first.clone();
    second.insert(resource(Cluster, "a", "2", &[]));
    second.set_mut(Cluster).remove("b");
    second.insert(resource(Listener, "l", "1", &[]));
    let gone = snapshot(&[(Cluster, "x", "1")]);

    let (steps, whole) = (case(), case());
    let mut store = steps.open();
    let documents = [put("a", "f", "1"), put("b", "f", "1")];
    let snapshots = [change("g", None, Some(&first)), change("g2", None, Some(&gone))];
    store
        .commit(Commit { documents: &documents, snapshots: &snapshots, ..Commit::default() }, at(1))
        .unwrap();
    let documents = [put("a", "f", "2"), delete("b"), delete("never"), put("c", "f", "1")];
    let snapshots = [change("g", Some(&first), Some(&second)), change("g2", Some(&gone), None)];
    store
        .commit(Commit { documents: &documents, snapshots: &snapshots, ..Commit::default() }, at(2))
        .unwrap();

    let mut once = whole.open();
    let documents = [put("a", "f", "2"), put("c", "f", "1")];
    let snapshots = [change("g", None, Some(&second))];
    once.commit(
        Commit { documents: &documents, snapshots: &snapshots, ..Commit::default() },
        at(2),
    )
    .unwrap();

    let (steps, whole) = (store.load().unwrap(), once.load().unwrap());
    assert_eq!(steps.documents, whole.documents);
    assert_eq!(groups(&steps), groups(&whole));
    assert_eq!(groups(&steps), [("g".to_string(), shown(&second))]);
    assert_eq!(steps.written, whole.written);
}

#[test]
fn the_issuer_of_tokens_stays_until_another_is_stored() {
    let case = case();
    let mut store = case.open();
    let mut then = |token_issuer, second| {
        store.commit(Commit { token_issuer, ..Commit::default() }, at(second)).unwrap();
        store.load().unwrap().token_issuer
    };
    assert_eq!(then(None, 1), None);
    assert_eq!(then(Some("one"), 2).as_deref(), Some("one"));
    assert_eq!(then(None, 3).as_deref(), Some("one"));
    assert_eq!(then(Some("two"), 4).as_deref(), Some("two"));
    drop(store);
    assert_eq!(case.open().load().unwrap().token_issuer.as_deref(), Some("two"));
}

#[test]
fn a_group_without_its_past_is_written_whole() {
    let case = case();
    let mut store = case.open();
    let old = snapshot(&[(Cluster, "old", "1"), (Cluster, "both", "1")]);
    let new = snapshot(&[(Cluster, "both", "2")]);
    let near = snapshot(&[(Cluster, "near", "1")]);
    let snapshots = [
        change("g", None, Some(&old)),
        change("g0", None, Some(&near)),
        change("f", None, Some(&near)),
    ];
    store.commit(Commit { snapshots: &snapshots, ..Commit::default() }, at(1)).unwrap();
    let snapshots = [change("g", None, Some(&new))];
    store.commit(Commit { snapshots: &snapshots, ..Commit::default() }, at(2)).unwrap();
    assert_eq!(
        groups(&store.load().unwrap()),
        [("f".into(), shown(&near)), ("g".into(), shown(&new)), ("g0".into(), shown(&near))]
    );
}

#[test]
fn only_differences_are_written() {
    let case = case();
    let mut store = case.open();
    let mut first = Snapshot::default();
    for i in 0..500 {
        first.insert(resource(Cluster, &format!("c{i}"), "1", &[]));
    }
    let snapshots = [change("g", None, Some(&first))];
    store.commit(Commit { snapshots: &snapshots, ..Commit::default() }, at(1)).unwrap();
    let sealed = |store: &Store, name: &str| {
        let read = store.database.as_ref().unwrap().begin_read().unwrap();
        let table = read.open_table(tables::RESOURCES).unwrap();
        table.get(("g", "CDS", name)).unwrap().unwrap().value().to_vec()
    };
    // Nonces are random, so that a value that is written again looks different.
    let (before, other) = (sealed(&store, "c7"), sealed(&store, "c8"));
    let mut second = first.clone();
    second.insert(resource(Cluster, "c7", "2", &[]));
    let snapshots = [change("g", Some(&first), Some(&second))];
    store.commit(Commit { snapshots: &snapshots, ..Commit::default() }, at(2)).unwrap();
    assert_ne!(sealed(&store, "c7"), before);
    assert_eq!(sealed(&store, "c8"), other);
}

#[test]
fn a_crash_in_the_middle_leaves_the_last_commit() {
    let case = case();
    let mut store = case.open();
    store.commit(Commit { documents: &[put("a", "f", "1")], ..Commit::default() }, at(1)).unwrap();
    let transaction = store.database.as_ref().unwrap().begin_write().unwrap();
    {
        let mut table = transaction.open_table(tables::DOCUMENTS).unwrap();
        table.insert(("file", "Secret", "shop", "b"), b"half".as_slice()).unwrap();
        // What another process finds after this one was killed: the file as it is, never closed.
        fs::create_dir(case.dir.path().join("copy")).unwrap();
        for file in ["last-good.redb", "key"] {
            fs::copy(case.state().join(file), case.dir.path().join("copy").join(file)).unwrap();
        }
    }
    let (mut copy, damage) = Store::open(&case.dir.path().join("copy"), None).unwrap();
    assert!(damage.is_none(), "{damage:?}");
    assert_eq!(copy.load().unwrap().documents, [document("f", "1")]);

    drop(transaction);
    drop(store);
    let last = case.open().load().unwrap();
    assert_eq!((last.documents, last.written), (vec![document("f", "1")], at(1)));
}

/// A store with one document, closed.
fn stored() -> Case {
    let case = case();
    let mut store = case.open();
    let snapshot = snapshot(&[(Secret, "s", PEM), (Cluster, "c", "1")]);
    let snapshots = [change("g", None, Some(&snapshot))];
    let documents = [put("a", "f", PEM)];
    store
        .commit(Commit { documents: &documents, snapshots: &snapshots, ..Commit::default() }, at(1))
        .unwrap();
    drop(store);
    case
}

#[test]
fn a_corrupt_file_is_moved_aside() {
    let whole = {
        let case = stored();
        fs::read(case.file()).unwrap()
    };
    type Spoil = fn(&mut Vec<u8>);
    let ways: [(&str, Spoil); 5] = [
        ("not a database", |bytes| *bytes = b"not a database at all".repeat(100)),
        ("cut off", |bytes| bytes.truncate(bytes.len() / 2)),
        ("cut off in the head", |bytes| bytes.truncate(100)),
        ("another magic", |bytes| bytes[0] ^= 0xff),
        ("noise", |bytes| bytes.iter_mut().skip(512).for_each(|byte| *byte ^= 0x5a)),
    ];
    for (way, spoil) in ways {
        let case = stored();
        let mut bytes = whole.clone();
        spoil(&mut bytes);
        fs::write(case.file(), &bytes).unwrap();
        let (mut store, text, moved_to) = case.open_damaged();
        assert_eq!(moved_to, case.state().join("last-good.redb.damaged-1"), "{way}");
        assert_eq!(fs::read(&moved_to).unwrap().len(), bytes.len(), "{way}: {text}");
        assert!(store.load().unwrap().is_empty(), "{way}");
        // And it works from here on.
        let documents = [put("a", "f", "2")];
        store.commit(Commit { documents: &documents, ..Commit::default() }, at(2)).unwrap();
        drop(store);
        assert_eq!(case.open().load().unwrap().documents, [document("f", "2")], "{way}");
    }
}

#[test]
fn no_flipped_byte_goes_unnoticed_or_stops_the_start() {
    let case = stored();
    let (whole, key) = (fs::read(case.file()).unwrap(), case.state().join("key"));
    let sane = {
        let last = case.open().load().unwrap();
        (last.documents.clone(), groups(&last))
    };
    let step = whole.len() / 60 + 1;
    for position in (0..whole.len()).step_by(step) {
        let other = TempDir::new().unwrap();
        fs::copy(&key, other.path().join("key")).unwrap();
        let mut bytes = whole.clone();
        bytes[position] ^= 0x10;
        fs::write(other.path().join("last-good.redb"), &bytes).unwrap();
        let (mut store, damage) = Store::open(other.path(), None).unwrap();
        let last = store.load().unwrap();
        if damage.is_some() {
            assert!(last.is_empty());
        } else {
            // Free space, or repaired from the other copy of the head.
            assert_eq!((last.documents.clone(), groups(&last)), sane, "byte {position}");
        }
    }
}

#[test]
fn another_key_is_damage_and_says_so() {
    let case = stored();
    fs::write(case.state().join("key"), [9; 32]).unwrap();
    let (mut store, text, _) = case.open_damaged();
    assert!(text.ends_with("last-good.redb was sealed with another key"), "{text}");
    assert!(store.load().unwrap().is_empty());
}

#[test]
fn a_lost_key_is_made_anew() {
    let case = stored();
    fs::remove_file(case.state().join("key")).unwrap();
    let (store, ..) = case.open_damaged();
    drop(store);
    case.open();
    // A second loss does not overwrite what the first left.
    fs::write(case.state().join("key"), "not a key").unwrap();
    let (_, _, moved_to) = case.open_damaged();
    assert_eq!(moved_to, case.state().join("last-good.redb.damaged-2"));
    assert!(case.state().join("last-good.redb.damaged-1").exists());
}

#[test]
fn the_users_key_file_is_used() {
    let case = case();
    let key_file = case.dir.path().join("secret").join("key");
    fs::create_dir(key_file.parent().unwrap()).unwrap();
    fs::write(&key_file, "5a".repeat(32)).unwrap();
    let (mut store, _) = Store::open(&case.state(), Some(&key_file)).unwrap();
    store.commit(Commit { documents: &[put("a", "f", "1")], ..Commit::default() }, at(1)).unwrap();
    drop(store);
    assert!(!case.state().join("key").exists());
    let (mut store, damage) = Store::open(&case.state(), Some(&key_file)).unwrap();
    assert!(damage.is_none());
    assert_eq!(store.load().unwrap().documents.len(), 1);
    drop(store);

    fs::write(&key_file, "short").unwrap();
    let Err(error) = Store::open(&case.state(), Some(&key_file)) else { panic!("no key") };
    assert!(error.to_string().contains("holds no key"), "{error}");
}

#[test]
fn secrets_are_nowhere_in_clear() {
    let case = case();
    let mut store = case.open();
    let mut gateway = snapshot(&[(Secret, "s", PEM)]);
    let documents = [put("a", "f", &format!("{{\"tls.key\":\"{PEM}\"}}"))];
    let snapshots = [change("g", None, Some(&gateway))];
    store
        .commit(Commit { documents: &documents, snapshots: &snapshots, ..Commit::default() }, at(1))
        .unwrap();
    let before = gateway.clone();
    gateway.insert(resource(Secret, "s", &format!("{PEM}2"), &[]));
    let snapshots = [change("g", Some(&before), Some(&gateway))];
    store
        .commit(
            Commit { documents: &[delete("a")], snapshots: &snapshots, ..Commit::default() },
            at(2),
        )
        .unwrap();
    assert_clean(&case.state());
    drop(store);
    assert_clean(&case.state());
    assert!(!format!("{:?}", documents[0]).contains(MARKER));
}

#[track_caller]
fn assert_clean(dir: &Path) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let bytes = fs::read(&path).unwrap();
        for word in [MARKER, "PRIVATE KEY", "tls.key"] {
            let found = bytes.windows(word.len()).any(|part| part == word.as_bytes());
            assert!(!found, "{word} stands in {}", path.display());
        }
    }
}

#[test]
fn only_the_owner_may_look() {
    let case = stored();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&case.state()), 0o700);
    assert_eq!(mode(&case.file()), 0o600);
    assert_eq!(mode(&case.state().join("key")), 0o600);
}

#[test]
fn one_process_at_a_time() {
    let case = case();
    let _first = case.open();
    let second = Store::open(&case.state(), None);
    assert!(matches!(second, Err(Error::InUse { .. })));
    assert!(case.file().exists(), "what another process uses is not moved aside");
}

#[test]
fn another_format_is_moved_aside_whole() {
    for found in [tables::FORMAT - 1, tables::FORMAT + 1] {
        let case = stored();
        let store = case.open();
        let transaction = store.database.as_ref().unwrap().begin_write().unwrap();
        {
            let mut meta = transaction.open_table(tables::META).unwrap();
            meta.insert(tables::META_FORMAT, found.to_le_bytes().as_slice()).unwrap();
        }
        transaction.commit().unwrap();
        drop(store);
        let (mut store, text, _) = case.open_damaged();
        let want = format!("was written in format {found}, this version reads {}", tables::FORMAT);
        assert!(text.ends_with(&want), "{text}");
        assert!(store.load().unwrap().is_empty());
    }
}

#[test]
fn what_few_resources_have_comes_back_too() {
    let case = case();
    let host = |name| resource(VirtualHost, name, "body", &[(Cluster, "c")]);
    let mut kept = Snapshot::default();
    kept.insert(host("t/ttl").with_ttl(Duration::from_millis(3500)));
    kept.insert(host("t/hosts").with_domains(["a.example", "*.example"]));
    let aliases: [Arc<str>; 1] = ["t/b.example".into()];
    kept.insert(
        host("t/all").with_ttl(Duration::ZERO).with_domains(["b.example"]).with_aliases(aliases),
    );
    let mut store = case.open();
    let snapshots = [change("g", None, Some(&kept))];
    store.commit(Commit { snapshots: &snapshots, ..Commit::default() }, at(1)).unwrap();
    drop(store);

    let last = case.open().load().unwrap();
    let (kept, back) = (kept.set(VirtualHost), last.snapshots["g"].set(VirtualHost));
    assert_eq!((back.len(), back.version()), (3, kept.version()));
    for (kept, back) in kept.iter().zip(back.iter()) {
        assert_eq!((back.ttl(), back.refs()), (kept.ttl(), kept.refs()));
        assert_eq!((back.domains(), back.aliases()), (kept.domains(), kept.aliases()));
        assert_eq!((back.delta(), back.sotw_with_ttl()), (kept.delta(), kept.sotw_with_ttl()));
    }
    assert_eq!(back.known_as("t/a.example").count(), 1);
}

#[test]
fn a_store_that_lost_its_file_handle_opens_it_anew() {
    let case = case();
    let mut store = case.open();
    store.commit(Commit { documents: &[put("a", "f", "1")], ..Commit::default() }, at(1)).unwrap();
    // As after a failed write.
    store.database = None;
    store.commit(Commit { documents: &[put("b", "f", "1")], ..Commit::default() }, at(2)).unwrap();
    assert_eq!(store.load().unwrap().documents.len(), 2);
}
