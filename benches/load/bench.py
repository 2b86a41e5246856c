"""N simulated Envoys towards our servers and the floor, side by side: the performance table, its growth, the CI gate.

    python3 benches/load/bench.py            everything; writes benches/REPORT.md
    python3 benches/load/bench.py gate       N=100, delta: exit 1 if a change costs more than three times the floor's
    python3 benches/load/bench.py table growth --runs 1 --quick    parts; nothing is written

Needs release builds of `isthmus` and of the examples `judge`, `floor` and `load` (`make bench` makes them). With
ISTHMUS_JUDGE, a folder with the sources of an independent judge (xdsload, gcpserver, rawpush), that is built into the
cache, and the table is measured once more with its client and beside its servers.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import clients
import machine
import report
from clients import Load
from figures import Case, Figures
from machine import ROOT, Trouble
from servers import RELEASE, Example, GoControlPlane, Program, RawPush, Server
from targets import SERVICES, UNRELATED, Names

REPORT = ROOT / "benches" / "REPORT.md"
GATE = 3.0
# Without the independent judge there is no other control plane to compare with.
OWN = Names("load", "floor", "floor", "gcp-linear" if os.environ.get("ISTHMUS_JUDGE") else None)
JUDGE = Names("xdsload", "floor-tonic-frames", "floor-tonic", "gcp-linear")
SUBJECTS = ("judge", "isthmus")
PARTS = ("table", "unrelated", "growth", "judge")

ALL = ("sync", "idle", "single", "burst", "storm", "slow")
COME_BACK = ("restart", "replica")
TABLE = {
    ("delta", 100): Load(100, "delta", ALL, SERVICES),
    ("delta", 500): Load(500, "delta", ("sync", "idle", "single", "burst", "storm"), SERVICES, single=10),
    ("sotw", 100): Load(100, "sotw", ("sync", "idle", "single", "burst", "storm"), SERVICES, changes=20, over=10),
}
MANY = Load(5000, "delta", ("sync", "idle", "single"), SERVICES, single=10)
# Small differences need many changes.
ALONE = Load(100, "delta", ("sync", "idle", "single"), SERVICES, single=60, gap=0.1)
GROWTH_STREAMS = (10, 100, 1000)
GROWTH_SERVICES = (100, 1000, 10_000)

Make = Callable[[Path], Server]


class Bench:
    def __init__(self, quick: bool) -> None:
        self.quick = quick
        self.figures = Figures()
        # What the clients said, for a closer look.
        self.raw = RELEASE.parent / "load.jsonl"

    def run(self, case: Case, load: Load, make: Make, client: Callable[[Load, Server], dict[str, Any]]) -> None:
        """One fresh server, one client. What goes wrong is written down and stops nothing else."""
        if self.quick:
            load = replace(load, single=min(load.single, 10), changes=min(load.changes, 40), over=4, slow_for=2)
        start = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="isthmus-load-") as place:
            try:
                with make(Path(place)) as server:
                    result = client(load, server)
            except Trouble as trouble:
                result = {"ok": False, "phases": [], "load1": os.getloadavg()[0], "trouble": str(trouble)}
        result["mode"] = load.mode
        self.figures.add(case, result)
        with self.raw.open("a") as out:
            print(json.dumps({"case": case.__dict__, "result": result}), file=out)
        took = time.monotonic() - start
        word = result.get("trouble", "ok")
        what = f"{case.server} {case.part} {case.mode} N={case.n} S={case.services}"
        print(f"{case.client}: {what}: {word} ({took:.0f} s)")
        sys.stdout.flush()

    def in_turn(self, runs: int, turns: Iterable[tuple[Case, Load, Make]], client: Any = clients.own) -> None:
        """Servers take turns within a round: slow drift of the machine hits all alike."""
        turns = list(turns)
        for _ in range(runs):
            for case, load, make in turns:
                self.run(case, load, make, client)


def example(name: str, services: int = SERVICES) -> Make:
    return lambda place: Example(place, services, name)


def program(services: int = SERVICES, unrelated: int = 0) -> Make:
    return lambda place: Program(place, services, unrelated)


def go_control_plane(tools: Path) -> Make:
    return lambda place: GoControlPlane(place, SERVICES, tools)


def own_table(bench: Bench, runs: int, tools: Path | None) -> None:
    servers: dict[str, Make] = {"floor": example("floor"), "judge": example("judge"), "isthmus": program()}
    for (mode, n), load in TABLE.items():
        turns = []
        for name, make in servers.items():
            comes_back = (mode, n, name != "floor") == ("delta", 100, True)
            phases = load.phases + (COME_BACK if comes_back else ())
            turns.append((Case("load", name, mode, n, SERVICES), replace(load, phases=phases), make))
        if tools is not None and mode == "delta":
            peer = Case("load", "gcp-linear", mode, n, SERVICES)
            turns.append((peer, replace(load, phases=("sync", "storm")), go_control_plane(tools)))
        bench.in_turn(runs, turns)
    bench.in_turn(1, [(Case("load", name, "delta", MANY.n, SERVICES), MANY, make) for name, make in servers.items()])


def unrelated(bench: Bench, runs: int) -> None:
    """To the library every service is related: each stream holds all 6,000. In the files 5,000 have no route."""
    pairs = {
        "judge": (example("judge"), example("judge", SERVICES + UNRELATED)),
        "isthmus": (program(), program(SERVICES, UNRELATED)),
    }
    turns = []
    for name, makes in pairs.items():
        for part, make in zip(("alone", "unrelated"), makes, strict=True):
            turns.append((Case("load", name, "delta", 100, SERVICES, part), ALONE, make))
    bench.in_turn(runs, turns)


def growth(bench: Bench) -> None:
    """Streams by services; in the largest cell the streams hold 20 million resources together."""
    for services in GROWTH_SERVICES:
        servers = {name: example(name, services) for name in ("floor", "judge")} | {"isthmus": program(services)}
        for n in GROWTH_STREAMS:
            load = Load(n, "delta", ("sync", "idle", "single"), services, single=20, gap=0.1)
            cases = [(Case("load", name, "delta", n, services, "growth"), load, make) for name, make in servers.items()]
            bench.in_turn(1, cases)


def judge_table(bench: Bench, runs: int, tools: Path) -> None:
    servers: dict[str, Make] = {
        "floor-tonic-frames": lambda place: RawPush(place, SERVICES, tools, "frames"),
        "floor-tonic": lambda place: RawPush(place, SERVICES, tools, "codec"),
        "gcp-linear": go_control_plane(tools),
        "judge": example("judge"),
        "isthmus": program(),
    }
    for (mode, n), load in TABLE.items():
        turns = [(Case("xdsload", name, mode, n, SERVICES), load, make) for name, make in servers.items()]
        bench.in_turn(runs, turns, lambda load, server: clients.judge(load, server, tools))


def gate(bench: Bench) -> int:
    """A change must not cost more than three times what the floor needs in the same run."""
    load = Load(100, "delta", ("sync", "idle", "single"), SERVICES, single=40, gap=0.05, settle=1)
    cases = {name: Case("load", name, "delta", 100, SERVICES) for name in ("floor", "judge")}
    bench.in_turn(3, [(case, load, example(name)) for name, case in cases.items()])
    cost = {name: bench.figures.get(case, "CPU ms per change") for name, case in cases.items()}
    if cost["floor"] is None or cost["judge"] is None or bench.figures.troubles():
        print("bench-gate: not measured", file=sys.stderr)
        return 1
    ratio = cost["judge"].median / cost["floor"].median
    judge, floor = report.cell(cost["judge"]), report.cell(cost["floor"])
    print(f"CPU ms per change, N=100, delta: {judge}; floor {floor}; ratio {ratio:.2f}, limit {GATE:g}")
    return 0 if ratio <= GATE else 1


def judge_tools() -> Path | None:
    """The independent judge, built into the cache under the hash of its sources."""
    sources = os.environ.get("ISTHMUS_JUDGE")
    if not sources:
        return None
    built = subprocess.run([ROOT / "benches/load/tools.sh", sources], check=True, stdout=subprocess.PIPE, text=True)
    return Path(built.stdout.strip())


def conditions(start: float) -> str:
    commit = subprocess.run(["git", "-C", ROOT, "describe", "--always", "--dirty"], stdout=subprocess.PIPE, text=True)
    day = time.strftime("%Y-%m-%d", time.gmtime(start))
    took = f"{(time.time() - start) / 60:.0f} minutes"
    return (
        f"{day}, commit {commit.stdout.strip()}, {machine.description()}; {took}.\n"
        "Server, client and everybody else share the cores; *others' cores* is what neither used.\n\n"
    )


def write(bench: Bench, start: float, names: Names, section: str) -> None:
    parts = [
        conditions(start) + report.verdicts(bench.figures, names, SUBJECTS),
        report.measured(bench.figures, names.client),
        report.growth(bench.figures, names.client),
        report.troubles(bench.figures, names.client),
    ]
    report.place(REPORT, section, "\n".join(part for part in parts if part))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", help="table, unrelated, growth, judge, or gate alone")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="fewer changes; for a look, not for figures")
    arguments = parser.parse_args()
    if arguments.parts != ["gate"] and set(arguments.parts) - set(PARTS):
        parser.error(f"parts are {', '.join(PARTS)}, or gate alone")
    machine.many_files()
    bench = Bench(arguments.quick)
    bench.raw.unlink(missing_ok=True)
    if arguments.parts == ["gate"]:
        return gate(bench)
    parts = arguments.parts or PARTS
    tools = judge_tools()
    start = time.time()
    if "table" in parts:
        own_table(bench, arguments.runs, tools)
    if "unrelated" in parts:
        unrelated(bench, arguments.runs)
    if "growth" in parts:
        growth(bench)
    whole = not arguments.parts
    if whole:
        write(bench, start, OWN, "load")
    else:
        print(report.verdicts(bench.figures, OWN, SUBJECTS), report.measured(bench.figures, "load"), sep="\n")
        print(report.growth(bench.figures, "load"))
    if "judge" not in parts:
        return 0
    if tools is None:
        print("ISTHMUS_JUDGE is not set: the independent judge was NOT run", file=sys.stderr)
        return 0
    start = time.time()
    judge_table(bench, arguments.runs, tools)
    if whole:
        write(bench, start, JUDGE, "independent-judge")
    else:
        print(report.verdicts(bench.figures, JUDGE, SUBJECTS), report.measured(bench.figures, "xdsload"), sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
