"""Starts Isthmus with 10,000 services, connects 1,000 simulated sidecars and a real one, changes single endpoints, writes REPORT.md.

Twice: each sidecar names the five services that it uses; and without a scope, so that it is told of its own namespace.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import documents
import machine
import report
from documents import Sizes

WORK = Path(sys.argv[1])
FOLDER = WORK / "documents"
PROGRAM, LOAD, ENVOY = (os.environ[name] for name in ("ISTHMUS_BIN", "ISTHMUS_LOAD", "ISTHMUS_ENVOY"))
XDS, HTTP, ADMIN = "127.0.0.1:18000", "127.0.0.1:8080", "127.0.0.1:15000"
CHANGES = 20
# How long nothing may happen until all has been said.
QUIET = 2.0
BEGAN = time.monotonic()


@dataclass
class Figures:
    """Of one way of scoping. MiB, seconds, counts."""

    how: str
    sidecars: int
    ready: float = 0
    rss_ready: float = 0
    rss_synced: float = 0
    rss_peak: float = 0
    sync: float = 0
    sync_cpu: float = 0
    bytes_per_sidecar: float = 0
    clusters: int = 0
    envoy_rss: float = 0
    # For each change of one endpoint: sidecars that got it, of those that it concerns, groups, seconds to the real Envoy.
    told: list[int] = field(default_factory=list)
    concerned: int = 0
    groups: list[int] = field(default_factory=list)
    latency: list[float] = field(default_factory=list)
    change_cpu: float = 0
    # Changes of services that the real Envoy's scope does not have.
    foreign: list[int] = field(default_factory=list)


def say(text: str) -> None:
    print(f"{time.monotonic() - BEGAN:7.1f} s  {text}", flush=True)


def until(what: str, limit: float, ask: Callable[[], Any], pause: float = 0.01) -> float:
    began = time.monotonic()
    while not ask():
        if time.monotonic() - began > limit:
            raise machine.Trouble(f"{what}: not within {limit:g} s")
        time.sleep(pause)
    return time.monotonic() - began


class Isthmus:
    def __init__(self) -> None:
        command = [PROGRAM, "serve", "--source-dir", str(FOLDER), "--state-dir", str(WORK / "state"), "--xds-listen", XDS, "--http-listen", HTTP]
        command += ["--quiet-time", "1ms", "--log-level", "warn"]
        began = time.monotonic()
        with (WORK / "isthmus.log").open("ab") as log:
            self.child = subprocess.Popen(command, stdout=log, stderr=log)
        until("ready", 300, lambda: machine.request(f"http://{HTTP}/readyz") is not None)
        self.ready = time.monotonic() - began

    def status(self, key: str) -> float:
        """MiB."""
        return int(re.search(rf"{key}:\s+(\d+)", Path(f"/proc/{self.child.pid}/status").read_text())[1]) / 1024  # type: ignore[index]

    def cpu(self) -> float:
        words = Path(f"/proc/{self.child.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")

    def counts(self, name: str) -> dict[str, float]:
        text = machine.request(f"http://{HTTP}/metrics") or ""
        return {labels: float(value) for labels, value in re.findall(rf"^{name}(?:{{(.*)}})? (\S+)$", text, re.MULTILINE)}

    def count(self, name: str, label: str = "") -> float:
        return sum(value for labels, value in self.counts(name).items() if label in labels)

    def quiet(self) -> None:
        """Until nothing is sent any more."""
        last, since = -1.0, time.monotonic()
        while time.monotonic() - since < QUIET:
            now = self.count("isthmus_xds_responses_total")
            if now != last:
                last, since = now, time.monotonic()
            time.sleep(0.05)


class RealEnvoy:
    """One of the workload app-0 of ns-0."""

    def __init__(self) -> None:
        bootstrap = subprocess.run(
            [PROGRAM, "bootstrap", *report.SIDECAR, "--xds", XDS, "-o", "json"], capture_output=True, text=True, check=True
        ).stdout
        (WORK / "envoy.json").write_text(bootstrap)
        with (WORK / "envoy.log").open("ab") as log:
            command = [ENVOY, "-c", str(WORK / "envoy.json"), "--concurrency", "1", "-l", "warning", "--use-dynamic-base-id"]
            self.child = subprocess.Popen(command, stdout=log, stderr=log)
        until("the real Envoy is live", 300, lambda: "LIVE" in (machine.request(f"http://{ADMIN}/ready") or ""))

    def clusters(self) -> list[str]:
        dump = json.loads(machine.request(f"http://{ADMIN}/config_dump?resource=dynamic_active_clusters") or "{}")
        return [one["cluster"]["name"] for one in dump.get("configs", [])]

    def has(self, address: str) -> bool:
        return f"{address}:8080" in (machine.request(f"http://{ADMIN}/clusters") or "")

    def rss(self) -> float:
        return int(re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{self.child.pid}/status").read_text())[1]) / 1024  # type: ignore[index]


def load(sizes: Sizes) -> subprocess.Popen[str]:
    """The simulated sidecars: of each namespace the same number, of each workload too."""
    isthmus = {
        "role": "sidecar",
        "namespace": f"ns-{{i%{sizes.namespaces}}}",
        "account": f"app-{{i/{sizes.namespaces}%{sizes.workloads}}}",
        "labels": {"app": f"app-{{i/{sizes.namespaces}%{sizes.workloads}}}"},
        "pod": "load-{i}",
    }
    node = {"id": "sidecar~10.0.0.1~load-{i}.load", "cluster": "load", "metadata": {"isthmus": isthmus}}
    command = [LOAD, "--addr", XDS, "--n", str(sizes.sidecars), "--mode", "delta", "--run", "sync,idle", "--node", json.dumps(node)]
    command += ["--timeout", "600", "--quiet", str(QUIET), "--settle", "3600"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=(WORK / "load.log").open("ab"), text=True)


def play(how: str, sizes: Sizes) -> Figures:
    figures = Figures(how, sizes.sidecars)
    documents.write(FOLDER, sizes)
    documents.write_scopes(FOLDER, sizes, how)
    subprocess.run(["rm", "-rf", WORK / "state"], check=True)
    isthmus = Isthmus()
    figures.ready, figures.rss_ready = isthmus.ready, isthmus.status("VmRSS")
    say(f"{how}: ready after {isthmus.ready:.1f} s, {figures.rss_ready:.0f} MiB")
    children = [isthmus.child]
    try:
        before, cpu, began = isthmus.count("isthmus_xds_bytes_total"), isthmus.cpu(), time.monotonic()
        crowd = load(sizes)
        children.append(crowd)
        until("all are connected", 600, lambda: isthmus.count("isthmus_xds_streams") >= sizes.sidecars, 0.1)
        isthmus.quiet()
        figures.sync, figures.sync_cpu = time.monotonic() - began - QUIET, isthmus.cpu() - cpu
        figures.bytes_per_sidecar = (isthmus.count("isthmus_xds_bytes_total") - before) / sizes.sidecars
        figures.rss_synced, figures.rss_peak = isthmus.status("VmRSS"), isthmus.status("VmHWM")
        say(f"{how}: {sizes.sidecars} sidecars synced after {figures.sync:.1f} s, {figures.rss_synced:.0f} MiB, {figures.bytes_per_sidecar:.0f} bytes each")
        envoy = RealEnvoy()
        children.append(envoy.child)
        isthmus.quiet()
        names = [name for name in envoy.clusters() if name.startswith("service/") and not name.endswith("/picked")]
        figures.clusters, figures.envoy_rss = len(names), envoy.rss()
        say(f"{how}: the real Envoy holds {len(names)} services, {figures.envoy_rss:.0f} MiB")
        changes(isthmus, envoy, figures, sizes)
    finally:
        for child in reversed(children):
            machine.stop(child)
    return figures


def concerned(how: str, sizes: Sizes, namespace: int, service: int) -> int:
    """How many simulated sidecars are to hear of that service."""
    each = sizes.workloads * sizes.replicas
    if how == "own namespace":
        return each
    return each * sum((namespace, service) in documents.used(sizes, other) for other in range(sizes.namespaces))


def changes(isthmus: Isthmus, envoy: RealEnvoy, figures: Figures, sizes: Sizes) -> None:
    """One endpoint of one service moves, again and again; and one of a service that hardly anybody has."""
    figures.concerned = concerned(figures.how, sizes, 0, 1) + 1
    cpu = isthmus.cpu()
    for number in range(CHANGES):
        moved = f"10.200.0.{number + 1}"
        eds, groups = isthmus.count("isthmus_xds_responses_total", 'type="EDS"'), isthmus.count("isthmus_groups_published_total", "scope")
        began = time.monotonic()
        documents.put(documents.slice_file(FOLDER, 0, 1), documents.slice_of(sizes, 0, 1, moved))
        until("the real Envoy has it", 60, lambda m=moved: envoy.has(m), 0.002)
        figures.latency.append(time.monotonic() - began)
        isthmus.quiet()
        figures.told.append(int(isthmus.count("isthmus_xds_responses_total", 'type="EDS"') - eds))
        figures.groups.append(int(isthmus.count("isthmus_groups_published_total", "scope") - groups))
    figures.change_cpu = (isthmus.cpu() - cpu) / CHANGES
    say(f"{figures.how}: each change told to {sorted(set(figures.told))} of {figures.concerned}, {sorted(set(figures.groups))} groups")
    for number in range(3):
        eds = isthmus.count("isthmus_xds_responses_total", 'type="EDS"')
        # Nobody's in "five", one other namespace's else.
        documents.put(documents.slice_file(FOLDER, sizes.namespaces // 2, 7), documents.slice_of(sizes, sizes.namespaces // 2, 7, f"10.201.0.{number + 1}"))
        isthmus.quiet()
        figures.foreign.append(int(isthmus.count("isthmus_xds_responses_total", 'type="EDS"') - eds))


def main() -> None:
    quick = "--quick" in sys.argv
    sizes = Sizes(5, 200, 4, 5) if quick else Sizes()
    machine.many_files()
    all_of = [play(how, sizes) for how in ("five", "own namespace")]
    (WORK / "REPORT.md").write_text(report.text(all_of, sizes))
    print((WORK / "REPORT.md").read_text())


if __name__ == "__main__":
    main()
