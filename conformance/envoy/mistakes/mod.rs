//! Ten mistakes in a folder: each is told with its place, and nothing else is lost.

use crate::testbed::{Bed, Echo, LIMIT, output, program};
use crate::testbed::{get, skipped, until};

/// In order of place.
const WANTED: [&str; 10] = [
    "routes.yaml:17:3: error ISM1103 HTTPRoute shop/field /spec/hostname: ",
    "routes.yaml:32:15: error ISM1104 HTTPRoute shop/type /spec/rules/0/backendRefs/0/weight: ",
    "routes.yaml:44:16: error ISM1304 HTTPRoute shop/regex /spec/rules/0/matches/0/path/value: ",
    "routes.yaml:57:19: error ISM1201 HTTPRoute shop/target /spec/rules/1/backendRefs/0: ",
    "routes.yaml:64:5: error ISM1205 HTTPRoute shop/parent /spec/parentRefs/0: ",
    "secret.yaml:6:1: error ISM1108 Secret shop/broken /stringData: ",
    "services.yaml:15:11: error ISM1106 MeshService shop/range /spec/ports/0/port: ",
    "services.yaml:19:1: error ISM1101 file /metadata: ",
    "services.yaml:23:7: error ISM1102 file /kind: ",
    "syntax.yaml:6:3: error ISM1002 file: ",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn validate_ten_mistakes() {
    if skipped() {
        return;
    }
    let echo = Echo::start("shop").await;
    let services = include_str!("services.yaml").replace("$PORT", &echo.address.port().to_string());
    let bed = Bed::start(&[
        ("routes.yaml", include_str!("routes.yaml").to_string()),
        ("services.yaml", services),
        ("secret.yaml", include_str!("secret.yaml").to_string()),
        ("syntax.yaml", include_str!("syntax.yaml").to_string()),
    ])
    .await;

    let said = output(program("validate").arg("-f").arg(bed.folder.path()));
    assert_eq!(said.status.code(), Some(6), "{said:?}");
    let text = String::from_utf8(said.stdout).unwrap();
    let folder = format!("{}/", bed.folder.path().display());
    let lines: Vec<_> = text.lines().filter_map(|line| line.strip_prefix(&folder)).collect();
    assert_eq!(lines.len(), WANTED.len(), "{text}");
    for (line, wanted) in lines.iter().zip(WANTED) {
        assert!(line.starts_with(wanted), "want {wanted}, got {line}");
    }

    // The server says the same.
    let places: Vec<_> = WANTED.iter().map(|line| place(line)).collect();
    until("the server's findings", LIMIT, async || {
        let found = bed.isthmus.findings().await?;
        if found == places { Ok(()) } else { Err(format!("{found:#?}")) }
    })
    .await;
    // Good documents live on, those beside a bad one in the same file and good rules beside a bad one too.
    for path in ["/one", "/two", "/half-good"] {
        assert_eq!(bed.ask(&get("good.example", path)).await.unwrap().status, 200, "{path}");
    }
    assert_eq!(bed.ask(&get("good.example", "/target")).await.unwrap().status, 500);
    assert_eq!(bed.ask(&get("bad.example", "/")).await.unwrap().status, 404);
}

/// `FILE:LINE:COLUMN: error CODE …` as `CODE FILE:LINE:COLUMN`
fn place(line: &str) -> String {
    let (place, rest) = line.split_once(": error ").unwrap();
    format!("{} {place}", rest.split([' ', ':']).next().unwrap())
}
