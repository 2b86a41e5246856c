use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use metrics::{Key, Label, Level, Metadata, Recorder};
use metrics_exporter_prometheus::PrometheusBuilder;
use tokio::sync::mpsc;

use super::*;
use crate::settings::{Inputs, Machine, Profile, load};

/// What a field holds, as the encoding has it: no message of ours is asked.
#[derive(Debug)]
enum Field {
    Number(u64),
    Bytes(Vec<u8>),
}

fn varint(bytes: &mut &[u8]) -> u64 {
    let mut out = 0;
    for shift in (0..).step_by(7) {
        let (first, rest) = bytes.split_first().unwrap();
        *bytes = rest;
        out |= u64::from(first & 0x7f) << shift;
        if first & 0x80 == 0 {
            break;
        }
    }
    out
}

/// The fields of a message by their numbers.
fn fields(mut bytes: &[u8]) -> BTreeMap<u64, Vec<Field>> {
    let mut out: BTreeMap<u64, Vec<Field>> = BTreeMap::new();
    while !bytes.is_empty() {
        let tag = varint(&mut bytes);
        let field = match tag & 7 {
            0 => Field::Number(varint(&mut bytes)),
            1 => {
                let (number, rest) = bytes.split_at(8);
                bytes = rest;
                Field::Number(u64::from_le_bytes(number.try_into().unwrap()))
            }
            2 => {
                let length = usize::try_from(varint(&mut bytes)).unwrap();
                let (inside, rest) = bytes.split_at(length);
                bytes = rest;
                Field::Bytes(inside.to_vec())
            }
            other => panic!("wire type {other}"),
        };
        out.entry(tag >> 3).or_default().push(field);
    }
    out
}

/// The messages at the end of a path of field numbers.
fn at(bytes: &[u8], path: &[u64]) -> Vec<Vec<u8>> {
    let Some((first, rest)) = path.split_first() else { return vec![bytes.to_vec()] };
    let inside = fields(bytes).remove(first).unwrap_or_default();
    let inside = inside.into_iter().flat_map(|field| match field {
        Field::Bytes(inside) => at(&inside, rest),
        Field::Number(number) => vec![number.to_le_bytes().to_vec()],
    });
    inside.collect()
}

fn texts(bytes: &[u8], path: &[u64]) -> Vec<String> {
    at(bytes, path).into_iter().map(|text| String::from_utf8(text).unwrap()).collect()
}

fn number(bytes: &[u8]) -> u64 {
    u64::from_le_bytes(bytes.try_into().unwrap())
}

fn floats(bytes: &[u8]) -> Vec<f64> {
    bytes.chunks(8).map(|chunk| f64::from_le_bytes(chunk.try_into().unwrap())).collect()
}

/// A metric of a request by its name.
fn metric(request: &[u8], name: &str) -> Vec<u8> {
    let all = at(request, &[1, 2, 2]);
    all.into_iter().find(|metric| texts(metric, &[1]) == [name]).expect("a metric of this name")
}

type Seen = (Option<String>, Vec<u8>);

struct Collector {
    url: String,
    status: Arc<Mutex<(StatusCode, &'static [u8])>>,
    seen: mpsc::Receiver<Seen>,
}

async fn collector() -> Collector {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let status = Arc::new(Mutex::new((StatusCode::OK, &b""[..])));
    let (sender, seen) = mpsc::channel(8);
    type Shared = (mpsc::Sender<Seen>, Arc<Mutex<(StatusCode, &'static [u8])>>);
    let take = async |State((sender, status)): State<Shared>,
                      headers: axum::http::HeaderMap,
                      body: Bytes| {
        assert_eq!(headers["content-type"], "application/x-protobuf");
        let key = headers.get("x-key").map(|key| key.to_str().unwrap().to_owned());
        sender.send((key, body.to_vec())).await.unwrap();
        *status.lock().unwrap()
    };
    let app =
        axum::Router::new().route("/v1/metrics", post(take)).with_state((sender, status.clone()));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await });
    Collector { url, status, seen }
}

fn settings(flags: &[(&'static str, &str)]) -> Settings {
    let flags: Vec<_> = flags.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
    let machine = Machine::current(Profile::Serve);
    load(&Inputs { machine, file: None, environment: &|_| None, flags: &flags }).unwrap().settings
}

/// With a counter, a gauge and a histogram.
fn recorder() -> PrometheusHandle {
    let recorder = PrometheusBuilder::new().set_buckets(&[0.1, 1.0]).unwrap().build_recorder();
    let of = Metadata::new("", Level::INFO, None);
    let labels = vec![Label::new("gateway", "a \"b\" \\ c"), Label::new("class", "2xx")];
    recorder.describe_counter("requests_total".into(), None, "How many.".into());
    recorder.register_counter(&Key::from_parts("requests_total", labels), &of).increment(7);
    recorder.register_gauge(&Key::from_name("ready"), &of).set(0.5);
    let times = recorder.register_histogram(&Key::from_name("seconds"), &of);
    for seconds in [0.05, 0.07, 0.5, 3.0] {
        times.record(seconds);
    }
    recorder.handle()
}

#[tokio::test]
async fn a_collector_gets_what_metrics_show() {
    let mut collector = collector().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("headers");
    std::fs::write(&file, "# secret\nX-Key: one\n\n").unwrap();
    let settings = settings(&[
        ("otlp-endpoint", &collector.url),
        ("otlp-headers-file", file.to_str().unwrap()),
        ("replica", "r-1"),
    ]);
    let exporter = Exporter::new(&settings, recorder()).unwrap().unwrap();
    exporter.send().await.unwrap();
    let (key, request) = collector.seen.recv().await.unwrap();
    assert_eq!(key.as_deref(), Some("one"));
    assert_eq!(texts(&request, &[1, 1, 1, 2, 1])[..3], ["isthmus", "isthmus", "r-1"]);

    let counter = metric(&request, "requests_total");
    assert_eq!(texts(&counter, &[2]), ["How many."]);
    assert_eq!(floats(&at(&counter, &[7, 1, 4])[0]), [7.0]);
    // Cumulative and monotonic.
    assert_eq!(number(&at(&counter, &[7, 2])[0]), 2);
    assert_eq!(number(&at(&counter, &[7, 3])[0]), 1);
    assert_eq!(texts(&counter, &[7, 1, 7, 1]), ["gateway", "class"]);
    assert_eq!(texts(&counter, &[7, 1, 7, 2, 1]), ["a \"b\" \\ c", "2xx"]);
    let (start, now) = (&at(&counter, &[7, 1, 2])[0], &at(&counter, &[7, 1, 3])[0]);
    assert!(number(start) > 1_600_000_000_000_000_000 && number(now) >= number(start));

    assert_eq!(floats(&at(&metric(&request, "ready"), &[5, 1, 4])[0]), [0.5]);

    let times = metric(&request, "seconds");
    assert_eq!(number(&at(&times, &[9, 2])[0]), 2);
    assert_eq!(number(&at(&times, &[9, 1, 4])[0]), 4);
    assert!((floats(&at(&times, &[9, 1, 5])[0])[0] - 3.62).abs() < 1e-9);
    let counts: Vec<_> = at(&times, &[9, 1, 6])[0].chunks(8).map(number).collect();
    assert_eq!(counts, [2, 1, 1]);
    assert_eq!(floats(&at(&times, &[9, 1, 7])[0]), [0.1, 1.0]);

    // A new secret is used at once.
    std::fs::write(&file, "X-Key: two").unwrap();
    exporter.send().await.unwrap();
    assert_eq!(collector.seen.recv().await.unwrap().0.as_deref(), Some("two"));
}

#[tokio::test]
async fn what_is_not_taken_is_said_without_secrets_and_goes_on() {
    let mut collector = collector().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("headers");
    std::fs::write(&file, "x-key one").unwrap();
    let flags = [
        ("otlp-endpoint", &*collector.url),
        ("otlp-headers-file", file.to_str().unwrap()),
        ("otlp-interval", "1s"),
    ];
    let exporter = Exporter::new(&settings(&flags), recorder()).unwrap().unwrap();
    let said = |error: Error| {
        assert!(!format!("{error} {error:?}").contains("one"), "{error:?}");
        error.reason()
    };
    assert_eq!(said(exporter.send().await.unwrap_err()), "headers");
    std::fs::write(&file, "x-key: one").unwrap();
    *collector.status.lock().unwrap() = (StatusCode::UNAUTHORIZED, b"");
    assert_eq!(said(exporter.send().await.unwrap_err()), "refused");
    // partial_success {rejected_data_points: 3}
    *collector.status.lock().unwrap() = (StatusCode::OK, &[0x0a, 0x02, 0x08, 0x03]);
    assert_eq!(said(exporter.send().await.unwrap_err()), "partial");
    for _ in 0..2 {
        collector.seen.recv().await.unwrap();
    }
    let nobody = [("otlp-endpoint", "http://127.0.0.1:1")];
    let lost = Exporter::new(&settings(&nobody), recorder()).unwrap().unwrap();
    assert_eq!(said(lost.send().await.unwrap_err()), "unreachable");
    // It goes on after failures, and says the last word at the end.
    let stop = CancellationToken::new();
    let running = tokio::spawn(exporter.run(stop.clone()));
    for _ in 0..2 {
        collector.seen.recv().await.unwrap();
    }
    stop.cancel();
    collector.seen.recv().await.unwrap();
    running.await.unwrap();
}

#[test]
fn an_endpoint_is_a_server_or_a_whole_url() {
    let of = |text: &str| endpoint(text).map(|url| url.to_string());
    assert_eq!(of("http://otel:4318").as_deref(), Ok("http://otel:4318/v1/metrics"));
    assert_eq!(of("https://otel/api/v1/otlp").as_deref(), Ok("https://otel/api/v1/otlp"));
    for (text, words) in
        [("otel:4317", "http://HOST"), ("http://u:p@otel", "headers-file"), ("", "URL")]
    {
        assert!(of(text).unwrap_err().contains(words), "{text}");
    }
}
