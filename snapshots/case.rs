//! The files of a case: found, compared, written anew.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use compile::{GroupKey, SidecarKey};
use model::{Identity, NamespacedName};
use snapshot::ResourceType;

use crate::world::{World, wanted};
use crate::{envoy, laws, render};

const OUTPUTS: [&str; 4] = ["xds.yaml", "status.yaml", "findings.txt", "objects.yaml"];

/// One state of the file that a user keeps.
pub(crate) struct Step {
    pub(crate) file: String,
    pub(crate) text: String,
}

/// What a case's xds.yaml prints.
pub(crate) struct Shown {
    /// In full; of the others the names.
    pub(crate) types: Vec<ResourceType>,
    /// Names of groups in place of all gateways.
    groups: Option<Vec<String>>,
    /// Workloads whose sidecars are compiled, and shown in place of the gateways.
    sidecars: Vec<SidecarKey>,
    /// Kinds of the objects of fleets that are printed in full, if any are printed.
    pub(crate) fleet: Option<Vec<String>>,
}

impl Shown {
    /// One at least, so that what must hold for all holds for sidecars too.
    fn workloads(&self) -> Vec<SidecarKey> {
        if self.sidecars.is_empty() {
            return vec![workload("shop orders app=orders").expect("a namespace and an account")];
        }
        self.sidecars.clone()
    }

    pub(crate) fn group(&self, key: &GroupKey) -> bool {
        match &self.groups {
            None if self.sidecars.is_empty() => matches!(key, GroupKey::Gateway(_)),
            None => matches!(key, GroupKey::Sidecar(_)),
            Some(names) => names.contains(&key.to_string()),
        }
    }
}

/// Names of the folders with cases, in order.
pub(crate) fn areas() -> Vec<String> {
    folders(&root())
}

pub(crate) fn cases(area: &str) -> Vec<String> {
    folders(&root().join(area))
}

/// Runs all cases of an area and tells of every one that differs, not only of the first.
pub(crate) fn check_area(area: &str) {
    let wrong: Vec<_> = cases(area)
        .iter()
        .filter_map(|case| {
            let problem = check(&root().join(area).join(case)).err()?;
            Some(format!("---- {area}/{case}\n{problem}"))
        })
        .collect();
    assert!(wrong.is_empty(), "{} of area {area}:\n\n{}\n", wrong.len(), wrong.join("\n\n"));
}

fn check(folder: &Path) -> Result<(), String> {
    let steps = inputs(folder)?;
    if steps.is_empty() {
        return forsaken(folder);
    }
    let shown = shown(&steps[0])?;
    let mut world = World::new(&wanted(shown.workloads()));
    let mut sent = Vec::new();
    for step in &steps {
        let before = world.snapshots();
        world.show(&step.file, &step.text);
        laws::check(&world, step).map_err(|e| format!("{}: {e}", step.file))?;
        envoy::check(&world, &shown).map_err(|e| format!("{}: {e}", step.file))?;
        sent.push((step.file.as_str(), render::difference(&before, &world.snapshots(), &shown)));
    }
    let objects = shown.fleet.as_deref().map(|kinds| render::objects(&world.fleets(), kinds));
    let outputs = [
        render::xds(&sent),
        render::status(&world),
        render::findings(&world.findings()),
        objects.unwrap_or_default(),
    ];
    // Only what is there: a case without findings has no file that says so.
    let outputs: BTreeMap<_, _> =
        OUTPUTS.into_iter().zip(outputs).filter(|(_, text)| !text.is_empty()).collect();
    settle(folder, &steps, &outputs)
}

/// A folder whose input went elsewhere, and left behind what came of it.
fn forsaken(folder: &Path) -> Result<(), String> {
    if !update() {
        return Err("want input.yaml, or 1.yaml, 2.yaml and so on".into());
    }
    for output in OUTPUTS {
        let _ = fs::remove_file(folder.join(output));
    }
    fs::remove_dir(folder).map_err(|e| format!("no input, and something else: {e}"))
}

/// Compares the outputs with the files, or writes them.
fn settle(folder: &Path, steps: &[Step], outputs: &BTreeMap<&str, String>) -> Result<(), String> {
    let known: BTreeSet<&str> =
        steps.iter().map(|step| step.file.as_str()).chain(outputs.keys().copied()).collect();
    let orphans: Vec<_> =
        files(folder).into_iter().filter(|file| !known.contains(file.as_str())).collect();
    if update() {
        for orphan in &orphans {
            fs::remove_file(folder.join(orphan)).map_err(|e| format!("{orphan}: {e}"))?;
        }
        for (file, text) in outputs {
            fs::write(folder.join(file), text).map_err(|e| format!("{file}: {e}"))?;
        }
        return Ok(());
    }
    let mut wrong: Vec<String> =
        orphans.into_iter().map(|file| format!("{file} belongs to nothing")).collect();
    for (file, text) in outputs {
        match fs::read_to_string(folder.join(file)) {
            Ok(expected) if expected == *text => {}
            Ok(expected) => wrong.push(unified(file, &expected, text)),
            Err(error) => wrong.push(format!("{file} cannot be read: {error}\n{text}")),
        }
    }
    if wrong.is_empty() {
        return Ok(());
    }
    Err(format!("{}\n(UPDATE=1 writes the files anew: read the difference)", wrong.join("\n")))
}

fn unified(file: &str, expected: &str, got: &str) -> String {
    similar::TextDiff::from_lines(expected, got)
        .unified_diff()
        .context_radius(5)
        .header(&format!("{file} (expected)"), &format!("{file} (now)"))
        .to_string()
}

fn inputs(folder: &Path) -> Result<Vec<Step>, String> {
    let read = |file: String| match fs::read_to_string(folder.join(&file)) {
        Ok(text) => Ok(Step { file, text }),
        Err(error) => Err(format!("{file}: {error}")),
    };
    let steps: Vec<_> = (1..)
        .map(|number| format!("{number}.yaml"))
        .take_while(|file| folder.join(file).exists())
        .map(read)
        .collect::<Result<_, _>>()?;
    match (folder.join("input.yaml").exists(), steps.len()) {
        (true, 0) => Ok(vec![read("input.yaml".into())?]),
        (false, 0 | 2..) => Ok(steps),
        (false, 1) => Err("a history has two steps or more: is 1.yaml an input.yaml?".into()),
        (true, _) => Err("both input.yaml and 1.yaml".into()),
    }
}

/// The types in the line `# shows:` (or `nothing`) are printed in full, else all; `# groups:` says whose.
fn shown(first: &Step) -> Result<Shown, String> {
    let mut lines = first.text.lines();
    if lines.next().is_none_or(|line| line.len() < 20 || !line.starts_with("# ")) {
        return Err(format!(
            "{} does not begin with a comment that says the situation",
            first.file
        ));
    }
    let comments: Vec<_> = lines.take_while(|line| line.starts_with('#')).collect();
    let word = |key: &str| comments.iter().find_map(|line| line.strip_prefix(key)).map(str::trim);
    let find = |short: &str| ResourceType::ALL.into_iter().find(|kind| kind.short() == short);
    let types = match word("# shows:") {
        None => ResourceType::ALL.to_vec(),
        Some("nothing") => Vec::new(),
        Some(wanted) => wanted
            .split_whitespace()
            .map(|s| find(s).ok_or(format!("no xDS type `{s}`")))
            .collect::<Result<_, _>>()?,
    };
    let names = |line: &str| line.split_whitespace().map(str::to_owned).collect();
    let sidecars = comments.iter().filter_map(|line| line.strip_prefix("# sidecar:"));
    Ok(Shown {
        types,
        groups: word("# groups:").map(names),
        sidecars: sidecars.map(workload).collect::<Result<_, _>>()?,
        fleet: word("# fleet:").map(names),
    })
}

/// `namespace account label=value …`
fn workload(line: &str) -> Result<SidecarKey, String> {
    let mut words = line.split_whitespace();
    let (Some(namespace), Some(account)) = (words.next(), words.next()) else {
        return Err(format!("want `# sidecar: NAMESPACE ACCOUNT LABEL=VALUE…`, have `{line}`"));
    };
    let label = |word: &str| {
        let (key, value) = word.split_once('=').ok_or(format!("no label: {word}"))?;
        Ok::<_, String>((key.into(), value.into()))
    };
    let mut labels: Vec<_> = words.map(label).collect::<Result<_, _>>()?;
    labels.sort();
    Ok(SidecarKey {
        namespace: namespace.into(),
        identity: Identity::Account(NamespacedName::new(namespace, account)),
        labels: labels.into(),
    })
}

/// Whether files are to be written anew. A person reads the difference then, so never in CI.
fn update() -> bool {
    let wanted = std::env::var("UPDATE").is_ok_and(|value| value == "1");
    assert!(!(wanted && ci()), "UPDATE=1 is for a person who reads the difference, not for CI");
    wanted
}

/// Nobody is there to read what a run leaves out.
pub(crate) fn ci() -> bool {
    std::env::var("CI").is_ok_and(|value| !matches!(value.as_str(), "" | "0" | "false"))
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("snapshots")
}

fn folders(within: &Path) -> Vec<String> {
    entries(within, Path::is_dir)
}

fn files(within: &Path) -> Vec<String> {
    entries(within, |_| true)
}

fn entries(within: &Path, wanted: fn(&Path) -> bool) -> Vec<String> {
    let read = fs::read_dir(within).unwrap_or_else(|e| panic!("{}: {e}", within.display()));
    let paths = read.map(|entry| entry.unwrap().path()).filter(|path| wanted(path));
    let names = paths.map(|path| path.file_name().unwrap().to_str().unwrap().to_string());
    let mut names: Vec<_> = names.filter(|name| !name.starts_with('.')).collect();
    names.sort();
    names
}
