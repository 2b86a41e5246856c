use std::io::Write;
use std::path::PathBuf;

use api::Time;
use flate2::Compression;
use flate2::write::GzEncoder;
use model::Kind;
use serde_json::{Value, json};

use crate::exit::{Exit, Failure, Outcome};
use crate::io::Io;
use crate::output::Output;
use crate::target::ServerArgs;
use crate::view::items;

/// Pack what the server says of itself into one file, for somebody who is to help
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  isthmus support-bundle
  isthmus support-bundle --to /tmp/isthmus.tar.gz
  isthmus support-bundle --without-documents --context prod

Values of Secrets are not in it: the server does not tell them. Names, hosts and addresses are.
Exit code 8: the server did not answer some of what was asked; the file says what.")]
pub(crate) struct Args {
    /// The file to write
    #[arg(long, value_name = "FILE", default_value = "isthmus-support.tar.gz")]
    to: PathBuf,
    /// Without the documents and without what proxies are sent
    #[arg(long)]
    without_documents: bool,
    /// How to print what was packed
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    output: Output,
    #[command(flatten)]
    server: ServerArgs,
}

const LISTS: [&str; 8] =
    ["events", "findings", "problems", "proxies", "revisions", "rollouts", "services", "sources"];

const VIEWS: [&str; 3] = ["identity", "me", "traffic/observation"];

pub(crate) fn run(args: &Args, io: &mut Io<'_>) -> Outcome {
    let client = args.server.client(args.output, io)?;
    let mut bundle = Bundle::default();
    // The first one says whether anybody is there at all.
    bundle.files.push(("readiness.json".into(), client.readiness()?));
    for list in LISTS {
        bundle.add(list, client.list(&[list]));
    }
    for view in VIEWS {
        let path: Vec<_> = view.split('/').collect();
        bundle.add(&view.replace('/', "-"), client.get(&path, &[]));
    }
    if !args.without_documents {
        for kind in Kind::ALL.into_iter().filter(|kind| *kind != Kind::Service) {
            let path = [kind.plural()];
            match client.list(&path) {
                Ok(list) if items(&list).is_empty() => {}
                Ok(list) => bundle.files.push((format!("documents/{}.json", kind.plural()), list)),
                Err(failure) => bundle.refused.push((kind.plural().into(), failure.message)),
            }
        }
        let proxies = client.list(&["proxies"])?;
        for (at, proxy) in items(&proxies).iter().enumerate() {
            let Some(id) = proxy["id"].as_str() else { continue };
            // An id may hold anything; a file's name may not.
            bundle.add(&format!("proxies/{at}"), client.get(&["snapshot"], &[("proxy", id)]));
        }
    }
    let Bundle { mut files, refused } = bundle;
    let about = json!({
        "program": env!("CARGO_PKG_VERSION"),
        "time": Time::now(),
        "server": client.server().as_str(),
        "refused": refused.iter().map(|(what, why)| json!({"what": what, "why": why})).collect::<Vec<_>>(),
    });
    files.insert(0, ("about.json".into(), about));
    write(&args.to, &files).map_err(|error| {
        Failure::new(Exit::Unreachable, format!("cannot write {}: {error}", args.to.display()))
    })?;
    let names: Vec<_> = files.iter().map(|(name, _)| name.clone()).collect();
    let document = json!({"file": args.to, "files": names, "refused": refused.len()});
    let line = || format!("{} files are in {}\n", names.len(), args.to.display());
    args.output.print(io, &document, line, || names.clone())?;
    for (what, why) in &refused {
        io.note(format_args!("not in it: {what}: {why}"));
    }
    Ok(if refused.is_empty() { Exit::Ok } else { Exit::Partly })
}

#[derive(Default)]
struct Bundle {
    files: Vec<(String, Value)>,
    /// What was asked for, and the answer.
    refused: Vec<(String, String)>,
}

impl Bundle {
    fn add(&mut self, name: &str, answer: Result<Value, Failure>) {
        match answer {
            Ok(answer) => self.files.push((format!("{name}.json"), answer)),
            Err(failure) => self.refused.push((name.to_owned(), failure.message)),
        }
    }
}

fn write(path: &std::path::Path, files: &[(String, Value)]) -> std::io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    let file = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)?;
    let mut out = GzEncoder::new(file, Compression::default());
    for (name, content) in files {
        let text = format!("{content:#}\n");
        out.write_all(&header(&format!("isthmus-support/{name}"), text.len()))?;
        out.write_all(text.as_bytes())?;
        out.write_all(&vec![0; text.len().next_multiple_of(512) - text.len()])?;
    }
    // Two empty blocks end an archive.
    out.write_all(&[0; 1024])?;
    out.finish()?.flush()
}

/// POSIX ustar; names are short and of our own making.
fn header(name: &str, length: usize) -> [u8; 512] {
    let mut block = [0; 512];
    let mut put =
        |at: usize, text: &str| block[at..at + text.len()].copy_from_slice(text.as_bytes());
    put(0, name);
    put(100, "0000600\0");
    put(108, "0000000\0");
    put(116, "0000000\0");
    put(124, &format!("{length:011o}\0"));
    put(136, &format!("{:011o}\0", Time::now().0 / 1000));
    put(148, "        ");
    put(156, "0");
    put(257, "ustar\x0000");
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    block
}
