//! Puts the built web console into the program: a table of its files. Where it was not built, a page that says how. Needs
//! neither Node nor a network.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let room = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default());
    let built = room.join("../../console/dist");
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=assets/console");
    let folder = if built.join("index.html").is_file() {
        println!("cargo::rerun-if-changed={}", built.display());
        built
    } else {
        // A path that is not there would make every build begin anew: `make console` touches this file instead.
        room.join("assets/console")
    };
    let folder = fs::canonicalize(folder)?;
    let mut files = Vec::new();
    find(&folder, &folder, &mut files)?;
    files.sort();
    let mut table = String::from("&[\n");
    for (name, path) in files {
        let _ =
            writeln!(table, "    ({name:?}, include_bytes!({:?})),", path.display().to_string());
    }
    table.push_str("]\n");
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default());
    fs::write(out.join("console.rs"), table)
}

fn find(root: &Path, folder: &Path, files: &mut Vec<(String, PathBuf)>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            find(root, &path, files)?;
        } else if let Ok(name) = path.strip_prefix(root) {
            let name = name.to_string_lossy().replace('\\', "/");
            // What tools leave for tools.
            if name != "manifest.json" && !name.ends_with(".map") {
                files.push((name, path));
            }
        }
    }
    Ok(())
}
