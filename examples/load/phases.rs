//! The phases of a run, and what is measured in each.

use std::collections::HashMap;
use std::io::Write as _;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::Failure;
use crate::changes::Changes;
use crate::connection::{Stream, Target};
use crate::content::Library;
use crate::count::{Counts, Reading};
use crate::envoy::{Envoy, Shared};
use crate::flags::Flags;
use crate::io::Gate;
use crate::process::{Process, Sample, machine_cpu};
use crate::trigger::Trigger;

/// A storm that nobody answers for this long is over.
const UNANSWERED: Duration = Duration::from_secs(5);
/// After a phase, what still comes is waited for this long at most.
const LATE: Duration = Duration::from_secs(10);

#[derive(Clone, Copy)]
struct Made {
    seq: u16,
    service: usize,
    at: u64,
}

/// Everything at the start of a phase.
struct Mark {
    at: Instant,
    reading: Reading,
    server: Sample,
    client: f64,
    machine: f64,
}

struct Runner {
    flags: Flags,
    shared: Arc<Shared>,
    streams: Vec<Arc<Stream>>,
    target: watch::Sender<Target>,
    trigger: Arc<Trigger>,
    server: Option<Process>,
    me: Process,
    /// CPU seconds per second while nothing happens.
    idle: f64,
    next_seq: u16,
    last_of: HashMap<usize, u16>,
}

pub(crate) async fn run(flags: Flags) -> Result<Value, Failure> {
    let shared = Arc::new(Shared {
        delta: flags.delta,
        library: Library::default(),
        changes: Changes::new(flags.n),
        counts: Counts::default(),
    });
    let stalls = if flags.run.iter().any(|it| it == "slow") { flags.slow_streams } else { 0 };
    let streams = (0..flags.n).map(|index| {
        let envoy = Envoy::new(shared.clone(), flags.node(index)?);
        let gate = Arc::new(Gate::default());
        let (shared, small_buffer) = (shared.clone(), index < stalls);
        Ok(Arc::new(Stream { index, shared, envoy: Mutex::new(envoy), gate, small_buffer }))
    });
    let mut runner = Runner {
        streams: streams.collect::<Result<_, Failure>>()?,
        target: watch::Sender::new(Target { number: 0, addr: Some(flags.addr) }),
        trigger: Arc::new(Trigger::new(flags.triggers.clone(), flags.file_template.clone())),
        server: flags.pid.map(Process::follow),
        me: Process::follow(std::process::id()),
        idle: 0.0,
        next_seq: flags.first_seq,
        last_of: HashMap::new(),
        shared,
        flags,
    };
    let mut tasks = JoinSet::new();
    let mut phases = Vec::new();
    for name in runner.flags.run.clone() {
        let mut it = runner.phase(&name, &mut tasks).await?;
        it.insert("phase".into(), name.clone().into());
        let ok = it.get("ok") == Some(&Value::Bool(true));
        phases.push(Value::Object(it));
        if !ok && name == "sync" {
            // Every later figure would be about something else.
            break;
        }
    }
    let mut views: Vec<_> =
        runner.streams.iter().map(|it| it.envoy(|envoy| envoy.view())).collect();
    views.sort_unstable();
    views.dedup();
    let counts = &runner.shared.counts;
    let [acks, oddities] = [&counts.acks, &counts.oddities].map(|number| number.load(Relaxed));
    let undecodable = runner.shared.library.undecodable();
    let ok = phases.iter().all(|it| it["ok"] == true) && oddities == 0 && undecodable == 0;
    Ok(json!({
        "ok": ok && views.len() == 1, "n": runner.flags.n,
        "mode": if runner.flags.delta { "delta" } else { "sotw" }, "phases": phases, "acks": acks,
        "protocol_oddities": oddities, "undecodable": undecodable,
        "distinct_eds_views": views.len(), "next_seq": runner.next_seq,
        "client_rss_mib": mib(runner.me.sample().rss),
    }))
}

impl Runner {
    async fn phase(
        &mut self,
        name: &str,
        tasks: &mut JoinSet<()>,
    ) -> Result<Map<String, Value>, Failure> {
        Ok(match name {
            "sync" => self.sync(tasks).await,
            "idle" => self.idle().await,
            "single" => self.single().await?,
            "burst" => self.burst().await,
            "storm" => self.storm(None).await?,
            "restart" | "replica" => self.storm(Some(name)).await?,
            "slow" => self.slow().await,
            _ => return Err(format!("no phase {name}").into()),
        })
    }

    fn mark(&self) -> Mark {
        for stream in &self.streams {
            stream.envoy(|envoy| envoy.events.clear());
        }
        if let Some(server) = &self.server {
            server.forget_peak();
        }
        Mark {
            at: Instant::now(),
            reading: self.shared.counts.reading(),
            server: self.server.as_ref().map(Process::sample).unwrap_or_default(),
            client: self.me.sample().cpu,
            machine: machine_cpu(),
        }
    }

    fn finish(&self, mark: &Mark, ok: bool, changes: usize) -> Map<String, Value> {
        let wall = mark.at.elapsed().as_secs_f64();
        let reading = self.shared.counts.reading();
        let Value::Object(mut it) = reading.since(&mark.reading) else { return Map::new() };
        let payload = reading.payload(&mark.reading) as f64 / self.streams.len() as f64;
        let client = self.me.sample().cpu - mark.client;
        let server = self.server.as_ref().map(Process::sample).unwrap_or_default();
        let cpu = server.cpu - mark.server.cpu;
        let net = (cpu - self.idle * wall).max(0.0);
        it.insert("ok".into(), ok.into());
        it.insert("wall_s".into(), wall.into());
        it.insert("payload_bytes_per_stream".into(), payload.into());
        it.insert("client_cpu_s".into(), client.into());
        let other = (machine_cpu() - mark.machine - client - cpu).max(0.0);
        it.insert("other_cpu_s".into(), other.into());
        if self.server.is_some() {
            let server = json!({
                "cpu_s": cpu, "cpu_net_s": net, "rss_mib": mib(server.rss),
                "rss_peak_mib": mib(server.peak), "runq_wait_s": server.waited - mark.server.waited,
            });
            it.insert("server".into(), server);
        }
        if changes > 0 {
            it.insert("changes".into(), changes.into());
            it.insert(
                "payload_bytes_per_stream_per_change".into(),
                (payload / changes as f64).into(),
            );
            it.insert("server_cpu_ms_per_change".into(), (net * 1e3 / changes as f64).into());
        }
        it
    }

    async fn sync(&mut self, tasks: &mut JoinSet<()>) -> Map<String, Value> {
        let mark = self.mark();
        let start = self.shared.changes.now();
        for stream in &self.streams {
            tasks.spawn(stream.clone().run(self.target.subscribe()));
        }
        let changes = &self.shared.changes;
        let ok = changes.until(self.flags.timeout, || changes.all_synced()).await;
        let mut it = self.finish(&mark, ok, 0);
        let synced = self.streams.iter().filter_map(|it| it.envoy(|envoy| envoy.synced));
        it.insert("sync_ms".into(), spread(synced.map(|at| ms(at - start)).collect()));
        changes.quiet(self.flags.quiet, LATE).await;
        tokio::time::sleep(self.flags.settle).await;
        if let Some(server) = &self.server {
            let now = server.sample();
            it["server"]["rss_mib"] = mib(now.rss).into();
            it["server"]["rss_peak_mib"] = mib(now.peak).into();
        }
        it
    }

    async fn idle(&mut self) -> Map<String, Value> {
        let mark = self.mark();
        tokio::time::sleep(self.flags.settle).await;
        self.idle = 0.0;
        let it = self.finish(&mark, true, 0);
        let cpu = it.get("server").and_then(|server| server["cpu_s"].as_f64());
        self.idle = cpu.unwrap_or_default() / self.flags.settle.as_secs_f64();
        it
    }

    async fn single(&mut self) -> Result<Map<String, Value>, Failure> {
        let mark = self.mark();
        self.shared.changes.target(self.streams.len());
        let mut made = Vec::new();
        let mut ok = true;
        for _ in 0..self.flags.single {
            let change = self.next(self.flags.services);
            self.trigger.fire(change.service, change.seq).await?;
            ok &= self.all_saw(&[change.seq], self.streams.len()).await;
            made.push(change);
            tokio::time::sleep(self.flags.gap).await;
        }
        let mut it = self.finish(&mark, ok, made.len());
        self.latency(&mut it, &made, &self.streams);
        Ok(it)
    }

    async fn burst(&mut self) -> Map<String, Value> {
        let mark = self.mark();
        self.shared.changes.target(self.streams.len());
        let (made, fired) =
            self.series(self.flags.changes, self.flags.over, self.flags.services).await;
        let ok = self.all_saw(&last_ones(&made), self.streams.len()).await;
        let mut it = self.finish(&mark, ok && fired, made.len());
        self.latency(&mut it, &made, &self.streams);
        it
    }

    async fn storm(&mut self, ask: Option<&str>) -> Result<Map<String, Value>, Failure> {
        let number = self.target.borrow().number + 1;
        let mut addr = self.target.borrow().addr;
        if let Some(question) = ask {
            self.target.send_replace(Target { number, addr: None });
            let answer = put_question(question).await?;
            if let Some(text) = answer["addr"].as_str() {
                addr = Some(text.parse()?);
            }
            self.server = answer["pid"].as_u64().map(|pid| Process::follow(pid as u32));
            if let Some(text) = answer["trigger"].as_str() {
                let template = self.flags.file_template.clone();
                self.trigger = Arc::new(Trigger::new(vec![text.into()], template));
            }
        }
        let changes = &self.shared.changes;
        let mark = self.mark();
        let start = changes.now();
        changes.forget_answers();
        self.target.send_replace(Target { number: number + 1, addr });
        tokio::select! {
            _ = changes.until(self.flags.timeout, || changes.all_answered()) => {}
            () = changes.quiet(UNANSWERED, self.flags.timeout) => {}
        }
        let ok = changes.all_answered();
        changes.quiet(self.flags.quiet, self.flags.timeout).await;
        let mut it = self.finish(&mark, ok, 0);
        let answered = self.streams.iter().filter_map(|it| it.envoy(|envoy| envoy.first_read));
        let answered = answered.map(|at| ms(at.saturating_sub(start))).collect();
        it.insert("answered_ms".into(), spread(answered));
        it.insert("quiet_ms".into(), ms(changes.last_read().saturating_sub(start)).into());
        Ok(it)
    }

    async fn slow(&mut self) -> Map<String, Value> {
        let stalled = self.flags.slow_streams.min(self.streams.len() - 1);
        let others = self.streams.len() - stalled;
        let mark = self.mark();
        for stream in &self.streams[..stalled] {
            stream.gate.shut();
        }
        self.shared.changes.target(others);
        let count = (self.flags.slow_rate * self.flags.slow_for.as_secs_f64()).max(1.0) as usize;
        let services = self.flags.slow_services.min(self.flags.services);
        let (made, fired) = self.series(count, self.flags.slow_for, services).await;
        let last = last_ones(&made);
        let mut ok = fired && self.all_saw(&last, others).await;
        let full = self.server.as_ref().map(Process::sample).unwrap_or_default();
        let told = |it: &Stream| it.envoy(|envoy| (envoy.messages, envoy.bytes));
        let before: Vec<_> = self.streams[..stalled].iter().map(|it| told(it)).collect();

        let opened = self.shared.changes.now();
        self.shared.changes.target(self.streams.len());
        for stream in &self.streams[..stalled] {
            stream.gate.open();
        }
        ok &= self.all_saw(&last, self.streams.len()).await;
        self.shared.changes.quiet(self.flags.quiet, LATE).await;
        let mut it = self.finish(&mark, ok, made.len());
        self.latency(&mut it, &made, &self.streams[stalled..]);

        let view = self.streams[stalled].envoy(|envoy| envoy.view());
        let equal =
            self.streams[..stalled].iter().filter(|it| it.envoy(|envoy| envoy.view()) == view);
        let caught_up = self.streams[..stalled].iter().filter_map(|it| {
            let at = it.envoy(|envoy| envoy.events.iter().map(|event| event.1).max())?;
            Some(ms(at.saturating_sub(opened)))
        });
        let after = self.streams[..stalled].iter().map(|it| told(it)).zip(&before);
        let after: Vec<_> = after.map(|(now, then)| (now.0 - then.0, now.1 - then.1)).collect();
        let grown = full.rss as f64 - mark.server.rss as f64;
        let slow = json!({
            "k": stalled, "catch_up_ms": spread(caught_up.collect()),
            "messages_after": after.iter().map(|it| it.0).sum::<u64>(),
            "messages_after_max": after.iter().map(|it| it.0).max(),
            "bytes_after": after.iter().map(|it| it.1).sum::<u64>(),
            "final_view_equal": equal.count(), "rss_grown_kib_per_stalled": grown / stalled as f64,
        });
        it.insert("slow".into(), slow);
        it
    }

    /// The next change, known to all before it is made.
    fn next(&mut self, services: usize) -> Made {
        let seq = self.next_seq;
        self.next_seq += 1;
        let service = seq as usize % services;
        let before = self.last_of.insert(service, seq).unwrap_or_default();
        self.shared.changes.announce(seq, before);
        Made { seq, service, at: self.shared.changes.now() }
    }

    /// Changes at even distances. Each is made by a task of its own: a slow answer does not hold up the next change.
    async fn series(&mut self, count: usize, over: Duration, services: usize) -> (Vec<Made>, bool) {
        let start = tokio::time::Instant::now();
        let mut calls = JoinSet::new();
        let mut made = Vec::new();
        for i in 0..count {
            tokio::time::sleep_until(start + over.mul_f64(i as f64 / count as f64)).await;
            let change = self.next(services);
            made.push(change);
            let trigger = self.trigger.clone();
            calls.spawn(async move { trigger.fire(change.service, change.seq).await.is_ok() });
        }
        let fired = calls.join_all().await;
        (made, fired.into_iter().all(|ok| ok))
    }

    async fn all_saw(&self, seqs: &[u16], streams: usize) -> bool {
        let changes = &self.shared.changes;
        let saw = || seqs.iter().all(|seq| changes.seen(*seq) >= streams);
        changes.until(self.flags.wait_for, saw).await
    }

    /// Over all changes and streams, and of each change's last stream.
    fn latency(&self, it: &mut Map<String, Value>, made: &[Made], streams: &[Arc<Stream>]) {
        let at: HashMap<_, _> = made.iter().map(|change| (change.seq, change.at)).collect();
        let (mut all, mut last) = (Vec::new(), HashMap::<u16, f64>::new());
        for stream in streams {
            for (seq, seen) in stream.envoy(|envoy| std::mem::take(&mut envoy.events)) {
                let Some(at) = at.get(&seq) else { continue };
                let took = ms(seen.saturating_sub(*at));
                all.push(took);
                let slowest = last.entry(seq).or_default();
                *slowest = slowest.max(took);
            }
        }
        let missing = (made.len() * streams.len()).saturating_sub(all.len());
        if missing > 0 {
            it.insert("ok".into(), false.into());
        }
        it.insert("missing".into(), missing.into());
        it.insert("latency_ms".into(), spread(all));
        it.insert("latency_last_ms".into(), spread(last.into_values().collect()));
    }
}

/// The last change of each service.
fn last_ones(made: &[Made]) -> Vec<u16> {
    let last: HashMap<_, _> = made.iter().map(|change| (change.service, change.seq)).collect();
    last.into_values().collect()
}

/// Whoever started this program answers with one line of JSON.
async fn put_question(ask: &str) -> Result<Value, Failure> {
    println!("{}", json!({ "ask": ask }));
    std::io::stdout().flush()?;
    let line = tokio::task::spawn_blocking(|| {
        let mut line = String::new();
        std::io::stdin().read_line(&mut line).map(|_| line)
    });
    Ok(serde_json::from_str(&line.await??)?)
}

fn mib(kib: u64) -> f64 {
    kib as f64 / 1024.0
}

fn ms(nanoseconds: u64) -> f64 {
    nanoseconds as f64 / 1e6
}

fn spread(mut values: Vec<f64>) -> Value {
    if values.is_empty() {
        return Value::Null;
    }
    values.sort_by(f64::total_cmp);
    let rank = |part: f64| values[((part * values.len() as f64).ceil() as usize).max(1) - 1];
    json!({
        "n": values.len(), "first": values[0], "p50": rank(0.5), "p99": rank(0.99),
        "max": values[values.len() - 1],
    })
}
