use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use fleet::certificate::Bundle;
use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::cluster::{Cluster, ClusterArgs, Refusal};
use crate::exit::{Exit, Failure, Outcome};
use crate::io::Io;

/// Make the certificate of the xDS port in a Kubernetes cluster, where there is none or where it is old
///
/// The Secret gets `tls.crt`, `tls.key`, `ca.crt` and `ca.key`. A certificate with more than half of its time left is
/// kept, and so is a Secret that was made by somebody else (it has no `ca.key`). A new certificate comes from the same
/// CA, so that proxies trust it already.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  isthmus certificate --secret isthmus-system/isthmus-xds --dns isthmus-xds.isthmus-system.svc
  isthmus certificate --secret mesh/xds --dns xds.mesh.svc --dns xds.example.com
  isthmus certificate --secret mesh/xds --dns xds.mesh.svc --kubeconfig ~/.kube/config")]
pub(crate) struct Args {
    /// Where it is kept
    #[arg(long, value_name = "NAMESPACE/NAME", value_parser = secret_name)]
    secret: (String, String),
    /// A name by which proxies reach the control plane; may be repeated
    #[arg(long, value_name = "NAME", required = true)]
    dns: Vec<String>,
    /// Days that a new certificate is good for
    #[arg(long, value_name = "DAYS", default_value_t = 365, value_parser = clap::value_parser!(u16).range(1..=3650))]
    days: u16,
    /// Folder in which the Secret is mounted: wait until a certificate stands there. One that is good already is enough,
    /// so that a restart needs no API server
    #[arg(long, value_name = "FOLDER")]
    mounted: Option<PathBuf>,
    /// How long to wait for it, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    wait: u64,
    #[command(flatten)]
    cluster: ClusterArgs,
}

/// How often a mounted folder is looked at; the kubelet takes a minute or more.
const BEAT: Duration = Duration::from_millis(500);
/// How often two replicas may be in each other's way before something else must be wrong.
const ATTEMPTS: usize = 5;

fn secret_name(text: &str) -> Result<(String, String), String> {
    match text.split_once('/') {
        Some((namespace, name))
            if [namespace, name].iter().all(|s| !s.is_empty() && !s.contains('/')) =>
        {
            Ok((namespace.to_owned(), name.to_owned()))
        }
        _ => Err("expected NAMESPACE/NAME".to_owned()),
    }
}

pub(crate) fn run(args: &Args, io: &mut Io<'_>) -> Outcome {
    let now = SystemTime::now();
    if let Some(folder) = &args.mounted
        && mounted(folder).is_some_and(|bundle| bundle.is_fresh(&args.dns, now))
    {
        writeln!(io.out, "{} holds a good certificate", folder.display())?;
        return Ok(Exit::Ok);
    }
    let cluster = args.cluster.connect()?;
    let done = in_cluster(args, &cluster, now)?;
    let (namespace, name) = &args.secret;
    writeln!(io.out, "Secret {namespace}/{name}: {}", done.word())?;
    if let Some(folder) = &args.mounted {
        wait(folder, Duration::from_secs(args.wait))?;
        writeln!(io.out, "{} holds it", folder.display())?;
    }
    Ok(Exit::Ok)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Done {
    Made,
    Renewed,
    Kept,
    /// It is somebody else's.
    Foreign,
}

impl Done {
    fn word(self) -> &'static str {
        match self {
            Self::Made => "made",
            Self::Renewed => "renewed",
            Self::Kept => "kept, it has more than half of its time left",
            Self::Foreign => "kept, it has no ca.key and so was made by somebody else",
        }
    }
}

fn in_cluster(args: &Args, cluster: &Cluster, now: SystemTime) -> Result<Done, Failure> {
    let (namespace, name) = &args.secret;
    let all = format!("/api/v1/namespaces/{namespace}/secrets");
    let one = format!("{all}/{name}");
    let failed = |what: &str, refusal: &Refusal| {
        let text = format!("cannot {what} Secret {namespace}/{name}: {refusal}");
        let hint =
            "the role needs get and update on this Secret, and create on secrets in its namespace";
        Failure::new(Exit::Unreachable, text).hint(hint)
    };
    let put = |method: Method, path: &str, secret: &Value| {
        cluster.run(cluster.ask(method, path, Some(secret)))
    };
    for _ in 0..ATTEMPTS {
        let found = match cluster.get(&one) {
            Ok(found) => Some(found),
            Err(refusal) if refusal.is(StatusCode::NOT_FOUND) => None,
            Err(refusal) => return Err(failed("read", &refusal)),
        };
        let (bundle, done) = match &found {
            None => (Bundle::make(&args.dns, args.days, now), Done::Made),
            Some(secret) => match read(secret) {
                None => return Ok(Done::Foreign),
                Some(bundle) if bundle.is_fresh(&args.dns, now) => return Ok(Done::Kept),
                Some(bundle) => (bundle.renew(&args.dns, args.days, now), Done::Renewed),
            },
        };
        let bundle = bundle.map_err(|text| Failure::new(Exit::Invalid, text))?;
        let sent = match found {
            None => put(Method::POST, &all, &write(namespace, name, &bundle)),
            Some(mut secret) => {
                // With the resourceVersion that was read, so that two replicas cannot both renew it.
                secret["data"] = data(&bundle);
                put(Method::PUT, &one, &secret)
            }
        };
        match sent {
            Ok(_) => return Ok(done),
            // Another replica was faster: what it made counts.
            Err(refusal) if refusal.is(StatusCode::CONFLICT) => {}
            Err(refusal) => return Err(failed("write", &refusal)),
        }
    }
    let text = format!("Secret {namespace}/{name} is changed by somebody else all the time");
    Err(Failure::new(Exit::Unreachable, text))
}

/// `None` for a Secret that this command did not make.
fn read(secret: &Value) -> Option<Bundle> {
    let text = |key: &str| {
        let bytes = BASE64_STANDARD.decode(secret["data"][key].as_str()?).ok()?;
        String::from_utf8(bytes).ok()
    };
    Some(Bundle {
        certificate: text("tls.crt").unwrap_or_default(),
        key: text("tls.key").unwrap_or_default(),
        ca: text("ca.crt").unwrap_or_default(),
        ca_key: text("ca.key")?,
    })
}

fn data(bundle: &Bundle) -> Value {
    let encoded = |text: &str| BASE64_STANDARD.encode(text);
    json!({
        "tls.crt": encoded(&bundle.certificate),
        "tls.key": encoded(&bundle.key),
        "ca.crt": encoded(&bundle.ca),
        "ca.key": encoded(&bundle.ca_key),
    })
}

fn write(namespace: &str, name: &str, bundle: &Bundle) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "labels": {"app.kubernetes.io/managed-by": "isthmus"},
        },
        "type": "kubernetes.io/tls",
        "data": data(bundle),
    })
}

fn mounted(folder: &Path) -> Option<Bundle> {
    let text = |name: &str| std::fs::read_to_string(folder.join(name)).ok();
    Some(Bundle {
        certificate: text("tls.crt")?,
        key: text("tls.key")?,
        ca: text("ca.crt")?,
        // It is not for the pods.
        ca_key: String::new(),
    })
}

/// A certificate that is old is good enough to start with: the server reads the new one when it comes.
fn wait(folder: &Path, limit: Duration) -> Result<(), Failure> {
    let end = Instant::now() + limit;
    while mounted(folder).is_none() {
        if Instant::now() >= end {
            let text = format!("no certificate in {} within {limit:?}", folder.display());
            return Err(Failure::new(Exit::Unreachable, text)
                .hint("the kubelet writes it there some time after the Secret is made"));
        }
        std::thread::sleep(BEAT);
    }
    Ok(())
}
