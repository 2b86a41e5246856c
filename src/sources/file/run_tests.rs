//! The whole source on a real file system. Where `HOUR` is the quiet time, only what is acted on at once passes.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::Duration;

use model::{Batch, Change, Health, Kind};
use tempfile::TempDir;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use super::testing::{LIMITS, object, parse, words};
use super::{Options, SeedFile, Source};

const HOUR: Duration = Duration::from_secs(3600);
const SHORT: Duration = Duration::from_millis(50);
const LIMIT: Duration = Duration::from_secs(20);

struct Case {
    gate: super::Gate,
    dir: TempDir,
    batches: mpsc::Receiver<Batch>,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
    /// What a catalog would hold: name → value.
    live: BTreeMap<String, String>,
    health: Option<Health>,
    deleted: Vec<String>,
}

/// Starts a source on `<dir>/conf` after `prepare` has filled the dir.
fn start(quiet: Duration, path: &str, prepare: impl FnOnce(&Path)) -> Case {
    start_with(quiet, path, Vec::new(), prepare)
}

fn start_with(
    quiet: Duration,
    path: &str,
    seed: Vec<SeedFile>,
    prepare: impl FnOnce(&Path),
) -> Case {
    let dir = TempDir::new().unwrap();
    prepare(dir.path());
    let options =
        Options { quiet, recheck: HOUR, seed, ..Options::new(dir.path().join(path), LIMITS) };
    let gate = options.gate.clone();
    let (out, batches) = mpsc::channel(4);
    let (stop, stopped) = oneshot::channel::<()>();
    let task = tokio::spawn(Source::with_parse(options, parse).run(out, async {
        let _ = stopped.await;
    }));
    let (live, deleted) = (BTreeMap::new(), Vec::new());
    Case { gate, dir, batches, stop: Some(stop), task, live, health: None, deleted }
}

fn conf(dir: &Path) -> PathBuf {
    let conf = dir.join("conf");
    fs::create_dir_all(&conf).unwrap();
    conf
}

impl Case {
    fn path(&self, file: &str) -> PathBuf {
        self.dir.path().join(file)
    }

    fn write(&self, file: &str, text: &str) {
        fs::write(self.path(file), text).unwrap();
    }

    /// Takes batches until what they amount to is this: `a=1 b=2`.
    #[track_caller]
    fn until(&mut self, expected: &str) -> impl Future<Output = ()> {
        let expected = expected.to_string();
        let caller = std::panic::Location::caller();
        async move {
            let reached = async {
                while self.shown() != expected {
                    self.next().await;
                }
            };
            let reached = tokio::time::timeout(LIMIT, reached).await;
            assert!(reached.is_ok(), "{caller}: {} is not {expected}", self.shown());
        }
    }

    async fn until_health(&mut self, expected: fn(&Health) -> bool) {
        let reached = async {
            while !self.health.as_ref().is_some_and(expected) {
                self.next().await;
            }
        };
        let reached = tokio::time::timeout(LIMIT, reached).await;
        assert!(reached.is_ok(), "{:?}", self.health);
    }

    async fn next(&mut self) -> Batch {
        let batch = tokio::time::timeout(LIMIT, self.batches.recv()).await;
        let batch = batch.expect("a batch in time").expect("a running source");
        for change in &batch.changes {
            match change {
                Change::Init => self.live.clear(),
                Change::InitApply(object) | Change::Apply(object) => {
                    let meta = object.meta();
                    self.live.insert(meta.key.name.to_string(), meta.document.to_string());
                }
                Change::Delete(key) => {
                    self.live.remove(&key.name.to_string());
                    self.deleted.push(key.name.to_string());
                }
                Change::Health(health) => self.health = Some(health.clone()),
                Change::InitDone
                | Change::Findings { .. }
                | Change::GatewayApi(_)
                | Change::Refused(_)
                | Change::Registry(_)
                | Change::Steer(_)
                | Change::Resolved(_) => {}
            }
        }
        batch
    }

    fn shown(&self) -> String {
        let shown: Vec<String> = self.live.iter().map(|(k, v)| format!("{k}={v}")).collect();
        shown.join(" ")
    }
}

fn is_stale(health: &Health) -> bool {
    matches!(health, Health::Stale { .. })
}

fn is_live(health: &Health) -> bool {
    *health == Health::Live
}

/// `a 1` in a.yaml and `b 1` in b.yaml.
fn two_files(dir: &Path) {
    fs::write(conf(dir).join("a.yaml"), "a 1").unwrap();
    fs::write(conf(dir).join("b.yaml"), "b 1").unwrap();
}

#[tokio::test]
async fn the_first_batch_is_the_whole_folder() {
    let mut case = start(HOUR, "conf", two_files);
    let batch = case.next().await;
    let conf = case.path("conf").display().to_string();
    assert_eq!(
        words(Some(&batch)),
        [
            "init",
            &format!("with a=1 @{conf}/a.yaml:1"),
            &format!("with b=1 @{conf}/b.yaml:1"),
            "done",
            "live"
        ]
    );
}

#[tokio::test]
async fn a_closed_file_is_read_at_once() {
    let mut case = start(HOUR, "conf", two_files);
    case.until("a=1 b=1").await;
    case.write("conf/a.yaml", "a 2");
    case.until("a=2 b=1").await;
    case.write("conf/c.yaml", "c 1");
    case.until("a=2 b=1 c=1").await;
}

#[tokio::test]
async fn a_file_renamed_over_another_is_read_at_once() {
    let mut case = start(HOUR, "conf", two_files);
    case.until("a=1 b=1").await;
    case.write("conf/.a.yaml.tmp", "a 2");
    fs::rename(case.path("conf/.a.yaml.tmp"), case.path("conf/a.yaml")).unwrap();
    case.until("a=2 b=1").await;
    // From outside of the folder too.
    case.write("a.tmp", "a 3");
    fs::rename(case.path("a.tmp"), case.path("conf/a.yaml")).unwrap();
    case.until("a=3 b=1").await;
}

#[tokio::test]
async fn a_file_that_vim_saves_is_never_gone() {
    let mut case = start(HOUR, "conf", two_files);
    case.until("a=1 b=1").await;
    case.write("conf/4913", "");
    fs::remove_file(case.path("conf/4913")).unwrap();
    fs::rename(case.path("conf/a.yaml"), case.path("conf/a.yaml~")).unwrap();
    // Another file's change in between is told; the gap is not.
    case.write("conf/b.yaml", "b 2");
    case.until("a=1 b=2").await;
    case.write("conf/a.yaml", "a 2");
    case.until("a=2 b=2").await;
    fs::remove_file(case.path("conf/a.yaml~")).unwrap();
    case.write("conf/b.yaml", "b 3");
    case.until("a=2 b=3").await;
    assert!(case.deleted.is_empty(), "{:?}", case.deleted);
}

#[tokio::test]
async fn a_renamed_file_moves_its_documents_at_once() {
    let mut case = start(HOUR, "conf", two_files);
    case.until("a=1 b=1").await;
    fs::rename(case.path("conf/a.yaml"), case.path("conf/z.yaml")).unwrap();
    let batch = case.next().await;
    let z = case.path("conf/z.yaml").display().to_string();
    assert_eq!(words(Some(&batch)), [format!("apply a=1 @{z}:1")]);
}

#[tokio::test]
async fn what_one_turn_changes_is_one_batch() {
    let mut case = start(HOUR, "conf", |dir| {
        let conf = conf(dir);
        for name in ["a", "b", "c"] {
            fs::write(conf.join(format!("{name}.yaml")), format!("{name} 1")).unwrap();
        }
    });
    case.until("a=1 b=1 c=1").await;
    let turn = case.gate.turn().await;
    case.write("conf/a.yaml", "a 2");
    tokio::task::yield_now().await;
    case.write("conf/b.yaml", "b 2");
    fs::remove_file(case.path("conf/c.yaml")).unwrap();
    let files = ["conf/a.yaml", "conf/b.yaml", "conf/c.yaml"].map(|file| case.path(file));
    turn.changed(files.iter().map(PathBuf::as_path));
    case.next().await;
    assert_eq!(case.shown(), "a=2 b=2");
}

#[tokio::test]
async fn a_removed_file_is_gone() {
    let mut case = start(SHORT, "conf", two_files);
    case.until("a=1 b=1").await;
    fs::remove_file(case.path("conf/a.yaml")).unwrap();
    case.until("b=1").await;
    assert!(is_live(case.health.as_ref().unwrap()));
}

#[tokio::test]
async fn a_file_that_stays_open_is_read_when_it_is_quiet() {
    use std::io::Write;
    let mut case = start(SHORT, "conf", two_files);
    case.until("a=1 b=1").await;
    let mut file = fs::OpenOptions::new().append(true).open(case.path("conf/a.yaml")).unwrap();
    file.write_all(b"\nc 1").unwrap();
    case.until("a=1 b=1 c=1").await;
    drop(file);
}

#[tokio::test]
async fn a_file_that_is_being_written_is_not_read() {
    use std::io::Write;
    let mut case = start(HOUR, "conf", two_files);
    case.until("a=1 b=1").await;
    let mut file = fs::File::create(case.path("conf/a.yaml")).unwrap();
    file.write_all(b"x 1").unwrap();
    // Another file goes through meanwhile, and the half of this one does not.
    case.write("conf/b.yaml", "b 2");
    case.until("a=1 b=2").await;
    file.write_all(b"0\na 2").unwrap();
    drop(file);
    case.until("a=2 b=2 x=10").await;
    assert!(case.deleted.is_empty());
}

#[tokio::test]
async fn new_folders_are_read_and_removed_ones_forgotten() {
    let mut case = start(SHORT, "conf", two_files);
    case.until("a=1 b=1").await;
    fs::create_dir_all(case.path("conf/new/er")).unwrap();
    case.write("conf/new/er/c.yaml", "c 1");
    case.until("a=1 b=1 c=1").await;
    case.write("conf/new/er/c.yaml", "c 2");
    case.until("a=1 b=1 c=2").await;
    // Under another name it is watched as before.
    fs::rename(case.path("conf/new"), case.path("conf/newer")).unwrap();
    case.write("conf/newer/er/c.yaml", "c 3");
    case.until("a=1 b=1 c=3").await;
    fs::remove_dir_all(case.path("conf/newer")).unwrap();
    case.until("a=1 b=1").await;
    fs::create_dir_all(case.path("conf/newer/er")).unwrap();
    case.write("conf/newer/er/c.yaml", "c 4");
    case.until("a=1 b=1 c=4").await;
}

/// What the kubelet does: the data in a folder of its own, all visible names links through `..data`.
fn mount(volume: &Path, version: &str, files: &[(&str, &str)]) {
    let data = format!("..{version}");
    fs::create_dir(volume.join(&data)).unwrap();
    for (file, text) in files {
        fs::write(volume.join(&data).join(file), text).unwrap();
    }
    let old = fs::read_link(volume.join("..data")).ok();
    symlink(&data, volume.join("..data_tmp")).unwrap();
    fs::rename(volume.join("..data_tmp"), volume.join("..data")).unwrap();
    for (file, _) in files {
        let _ = symlink(Path::new("..data").join(file), volume.join(file));
    }
    if let Some(old) = old {
        fs::remove_dir_all(volume.join(old)).unwrap();
    }
}

#[tokio::test]
async fn a_mounted_config_map_changes_as_one() {
    let mut case = start(HOUR, "conf", |dir| {
        mount(&conf(dir), "1", &[("a.yaml", "a 1"), ("b.yaml", "b 1")]);
    });
    case.until("a=1 b=1").await;
    for i in 2..5 {
        let value = i.to_string();
        let (a, b) = (format!("a {value}"), format!("b {value}"));
        mount(&case.path("conf"), &value, &[("a.yaml", &a), ("b.yaml", &b)]);
        let batch = case.next().await;
        assert_eq!(case.shown(), format!("a={value} b={value}"), "{batch:?}");
    }
    assert!(case.deleted.is_empty());
}

#[tokio::test]
async fn one_file_of_a_mounted_config_map() {
    let mut case = start(HOUR, "conf/a.yaml", |dir| mount(&conf(dir), "1", &[("a.yaml", "a 1")]));
    case.until("a=1").await;
    mount(&case.path("conf"), "2", &[("a.yaml", "a 2")]);
    case.until("a=2").await;
}

#[tokio::test]
async fn one_file_is_watched_as_a_folder_is() {
    let mut case = start(HOUR, "conf/a.yaml", two_files);
    case.until("a=1").await;
    case.write("conf/a.yaml", "a 2");
    case.until("a=2").await;
    case.write("conf/tmp", "a 3");
    fs::rename(case.path("conf/tmp"), case.path("conf/a.yaml")).unwrap();
    case.until("a=3").await;
}

#[tokio::test]
async fn a_folder_deleted_and_made_anew_is_noticed() {
    // Long enough that the removal is one burst on a busy machine too.
    let mut case = start(Duration::from_millis(300), "conf", two_files);
    case.until("a=1 b=1").await;
    for i in 2..5 {
        fs::remove_dir_all(case.path("conf")).unwrap();
        case.until_health(is_stale).await;
        assert!(case.deleted.is_empty(), "{:?}", case.deleted);
        fs::create_dir(case.path("conf")).unwrap();
        case.write("conf/a.yaml", &format!("a {i}\nb 1"));
        case.until(&format!("a={i} b=1")).await;
        case.until_health(is_live).await;
        // And is watched again.
        case.write("conf/a.yaml", &format!("a x{i}\nb 1"));
        case.until(&format!("a=x{i} b=1")).await;
    }
}

#[tokio::test]
async fn a_folder_replaced_by_another_is_read_at_once() {
    let mut case = start(HOUR, "conf", two_files);
    case.until("a=1 b=1").await;
    fs::create_dir(case.path("next")).unwrap();
    case.write("next/a.yaml", "a 2");
    fs::rename(case.path("conf"), case.path("old")).unwrap();
    fs::rename(case.path("next"), case.path("conf")).unwrap();
    case.until("a=2").await;
    // What happens in the old one does not matter any more; the new one is watched.
    case.write("old/a.yaml", "a 99");
    case.write("conf/a.yaml", "a 3");
    case.until("a=3").await;
}

#[tokio::test]
async fn a_folder_behind_a_link_is_read_and_its_swap_noticed() {
    let mut case = start(HOUR, "conf", |dir| {
        for i in 1..3 {
            fs::create_dir(dir.join(format!("release{i}"))).unwrap();
            fs::write(dir.join(format!("release{i}/a.yaml")), format!("a {i}")).unwrap();
        }
        symlink("release1", dir.join("conf")).unwrap();
    });
    case.until("a=1").await;
    case.write("release1/a.yaml", "a 1.1");
    case.until("a=1.1").await;
    symlink("release2", case.path("tmp")).unwrap();
    fs::rename(case.path("tmp"), case.path("conf")).unwrap();
    case.until("a=2").await;
    case.write("release2/a.yaml", "a 2.1");
    case.until("a=2.1").await;
}

#[tokio::test]
async fn a_folder_that_is_not_there_yet_is_waited_for() {
    let mut case = start(SHORT, "far/away/conf", |_| {});
    case.until_health(|health| *health == Health::Syncing).await;
    fs::create_dir_all(case.path("far/away/conf")).unwrap();
    case.write("far/away/conf/a.yaml", "a 1");
    case.until("a=1").await;
    case.until_health(is_live).await;
}

#[tokio::test]
async fn a_missing_folder_serves_the_seed() {
    let objects = vec![object("a", "1", None)];
    let seed = vec![SeedFile { file: "conf/a.yaml".into(), objects }];
    let mut case = start_with(SHORT, "conf", seed, |_| {});
    case.until("a=1").await;
    case.until_health(is_stale).await;
}

#[tokio::test]
async fn two_hundred_quick_edits_end_in_the_last_state() {
    let mut case = start(HOUR, "conf", two_files);
    case.until("a=1 b=1").await;
    let folder = case.path("conf");
    let writer = std::thread::spawn(move || {
        for i in 1..=200 {
            match i % 3 {
                0 => fs::write(folder.join("a.yaml"), format!("a {i}")).unwrap(),
                1 => {
                    fs::write(folder.join("tmp"), format!("a {i}")).unwrap();
                    fs::rename(folder.join("tmp"), folder.join("a.yaml")).unwrap();
                }
                _ => {
                    fs::remove_file(folder.join("a.yaml")).unwrap();
                    fs::write(folder.join("a.yaml"), format!("a {i}")).unwrap();
                }
            }
            fs::write(folder.join(format!("extra{}.yaml", i % 5)), format!("x{} {i}", i % 5))
                .unwrap();
        }
    });
    case.until("a=200 b=1 x0=200 x1=196 x2=197 x3=198 x4=199").await;
    writer.join().unwrap();
    // A last edit comes after all others: nothing of them is left to follow.
    case.write("conf/b.yaml", "b 2");
    case.until("a=200 b=2 x0=200 x1=196 x2=197 x3=198 x4=199").await;
    assert!(case.deleted.is_empty(), "never seen without a document: {:?}", case.deleted);
}

#[tokio::test]
async fn a_bug_in_one_file_costs_that_file() {
    let mut case = start(HOUR, "conf", two_files);
    case.until("a=1 b=1").await;
    case.write("conf/a.yaml", "panic");
    case.until_health(|health| matches!(health, Health::Degraded { .. })).await;
    case.write("conf/b.yaml", "b 2");
    case.until("a=1 b=2").await;
}

#[tokio::test]
async fn it_ends_when_told_and_when_nobody_listens() {
    let mut case = start(HOUR, "conf", two_files);
    case.until("a=1 b=1").await;
    case.stop.take();
    tokio::time::timeout(LIMIT, &mut case.task).await.unwrap().unwrap();

    let mut case = start(HOUR, "conf", two_files);
    case.until("a=1 b=1").await;
    case.batches.close();
    tokio::time::timeout(LIMIT, &mut case.task).await.unwrap().unwrap();
}

#[test]
fn a_folder_is_read_once_for_a_check() {
    let dir = TempDir::new().unwrap();
    two_files(dir.path());
    fs::write(dir.path().join("conf/c.yaml"), "a 2\n%").unwrap();
    let (objects, findings) = super::read(Options::new(dir.path().join("conf"), LIMITS), parse);
    assert_eq!(objects.len(), 2);
    assert_eq!(objects[0].key().kind, Kind::Namespace);
    assert_eq!(findings.len(), 1);
    assert_eq!(findings[0].code, model::codes::YAML_SYNTAX);
}

#[tokio::test]
async fn a_folder_linked_through_a_config_map() {
    let with_sub = |volume: &Path, version: &str| {
        let data = volume.join(format!("..{version}"));
        fs::create_dir_all(data.join("sub")).unwrap();
        fs::write(data.join("sub/a.yaml"), format!("a {version}")).unwrap();
        symlink(format!("..{version}"), volume.join("..data_tmp")).unwrap();
        fs::rename(volume.join("..data_tmp"), volume.join("..data")).unwrap();
        let _ = symlink("..data/sub", volume.join("sub"));
    };
    let mut case = start(HOUR, "conf", |dir| with_sub(&conf(dir), "1"));
    case.until("a=1").await;
    for version in ["2", "3"] {
        with_sub(&case.path("conf"), version);
        case.until(&format!("a={version}")).await;
    }
    // The folder that the link leads to now is the one that is watched.
    case.write("conf/..3/sub/a.yaml", "a 3.1");
    case.until("a=3.1").await;
}

#[test]
fn bad_input_is_a_finding_each() {
    let dir = TempDir::new().unwrap();
    let conf = conf(dir.path());
    let class = "apiVersion: gateway.networking.k8s.io/v1\nkind: GatewayClass\n\
                 metadata: {name: isthmus}\nspec: {controllerName: isthmus.dev/gateway}\n";
    fs::write(conf.join("good.yaml"), class).unwrap();
    fs::write(conf.join("again.yaml"), class).unwrap();
    fs::File::create(conf.join("large.yaml")).unwrap().set_len(50 << 20).unwrap();
    fs::write(conf.join("latin.yaml"), b"name: M\xfcller").unwrap();
    fs::write(conf.join("deep.yaml"), "[".repeat(100_000)).unwrap();
    let bomb: String =
        (1..30).map(|i| format!("a{i}: &a{i} [*a{}, *a{}]\n", i - 1, i - 1)).collect();
    fs::write(conf.join("bomb.yaml"), format!("a0: &a0 [x, x]\n{bomb}")).unwrap();
    fs::write(conf.join("syntax.yaml"), "a: [\n").unwrap();
    fs::create_dir(conf.join("folder.yaml")).unwrap();
    let real = |source: &_, file: &_, bytes: &_, limits: &_| {
        let limits: &kinds::Limits = limits;
        kinds::parse(source, file, bytes, *limits)
    };
    let options = Options::new(&conf, kinds::Limits::default());
    let (objects, findings) = super::read(options, real);
    let mut found: Vec<String> = findings
        .iter()
        .map(|finding| {
            let at = finding.at.location.as_ref().unwrap();
            let file = Path::new(&*at.file).file_name().unwrap().to_string_lossy();
            format!("{file} {}", finding.code)
        })
        .collect();
    found.sort();
    assert_eq!(
        found,
        [
            "bomb.yaml ISM1005",
            "deep.yaml ISM1005",
            "folder.yaml ISM1001",
            "good.yaml ISM1107",
            "large.yaml ISM1003",
            "latin.yaml ISM1004",
            "syntax.yaml ISM1002",
        ]
    );
    assert_eq!(objects.len(), 1);
    assert!(objects[0].meta().at("").location.unwrap().file.ends_with("again.yaml"));
}
