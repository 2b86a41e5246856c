"""The tables, and their places in REPORT.md: each part of the benchmarks owns what is between its markers."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import targets
from figures import Case, Figures, Spread
from targets import Names

DELTA = (
    ("KB per stream", "sync p50 ms", "sync max ms", "sync CPU-s", "RSS MiB", "sync peak MiB"),
    ("change p50 ms", "change p99 ms", "CPU ms per change", "B per stream·change", "burst CPU-s", "burst p50 ms",
     "burst p99 ms"),
    ("storm quiet ms", "storm CPU-s", "storm B per stream", "restart CPU-s", "restart B per stream", "replica CPU-s",
     "replica B per stream"),
    ("slow: others p99 ms", "slow: messages after", "slow: KiB grown per stalled", "sent unchanged", "core waits s",
     "others' cores", "load average"),
)  # fmt: skip
SOTW = (
    ("KB per stream", "sync max ms", "sync CPU-s", "RSS MiB", "change p50 ms", "change p99 ms", "CPU ms per change"),
    ("B per stream·change", "burst CPU-s", "burst p99 ms", "storm CPU-s", "sent unchanged", "others' cores",
     "load average"),
)  # fmt: skip
GROWTH = (
    "sync max ms", "sync CPU-s", "RSS MiB", "change p50 ms", "change p99 ms", "CPU ms per change", "others' cores",
)  # fmt: skip


def number(value: float) -> str:
    if value == 0:
        return "0"
    if abs(value) >= 10_000:
        return f"{value / 1000:.0f}k"
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2g}"


def cell(spread: Spread | None) -> str:
    if spread is None:
        return "–"
    middle, least, most = number(spread.median), number(spread.least), number(spread.most)
    return middle if least == most else f"{middle} ({least}–{most})"


def table(head: Iterable[str], lines: Iterable[Iterable[str]]) -> str:
    heads = list(head)
    out = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    return "\n".join(out + ["| " + " | ".join(line) + " |" for line in lines]) + "\n"


def measured(figures: Figures, client: str) -> str:
    """What was measured, a table for each mode and number of streams."""
    parts = []
    groups = sorted({(it.mode, it.n) for it in figures.results if it.client == client and it.part == "table"})
    for mode, n in groups:
        cases = [it for it in figures.results if (it.client, it.mode, it.n, it.part) == (client, mode, n, "table")]
        runs = max(len(figures.results[it]) for it in cases)
        parts.append(f"**{mode}, N={n}**, median (least–most) of {runs} runs:\n")
        for columns in DELTA if mode == "delta" else SOTW:
            known = [name for name in columns if any(figures.get(it, name) for it in cases)]
            if known:
                lines = ([it.server, *(cell(figures.get(it, name)) for name in known)] for it in cases)
                parts.append(table(["server", *known], lines))
    return "\n".join(parts)


def growth(figures: Figures, client: str) -> str:
    cases = [it for it in figures.results if it.client == client and it.part == "growth"]
    cases.sort(key=lambda it: (it.server, it.n, it.services))
    if not cases:
        return ""

    def line(case: Case) -> list[str]:
        cpu = figures.get(case, "CPU ms per change")
        each = cell(cpu.times(1000 / case.n)) if cpu else "–"
        return [case.server, str(case.n), str(case.services), each, *(cell(figures.get(case, it)) for it in GROWTH)]

    head = ["server", "streams", "services", "CPU µs per change and stream", *GROWTH]
    return "**Growth**, delta, one run each:\n\n" + table(head, map(line, cases))


def verdicts(figures: Figures, names: Names, subjects: Iterable[str]) -> str:
    lines = []
    for subject in subjects:
        for row in targets.rows(figures, names, subject):
            # Of the other client's, or of a peer that is not here: their section has it.
            if row.measured is None or (row.limit is None and names.peer is None):
                continue
            limit = number(row.limit) if row.limit is not None else "–"
            lines.append([subject, row.text, cell(row.measured), f"{limit} ({row.why})", row.verdict])
    return table(["server", "target", "measured", "at most", "verdict"], lines)


def troubles(figures: Figures, client: str) -> str:
    bad = [(it, text) for it, text in figures.troubles() if it.client == client]
    lines = [f"- {it.server}, {it.mode} N={it.n}, {it.part}: {text}" for it, text in bad]
    return "Runs with trouble (what missed its end has no figures):\n\n" + "\n".join(lines) + "\n" if lines else ""


def place(report: Path, name: str, text: str) -> None:
    """Replaces the section between the markers of this name."""
    begin, end = f"<!-- begin {name} -->", f"<!-- end {name} -->"
    old = report.read_text()
    if begin not in old or end not in old:
        raise SystemExit(f"{report} has no section {name}: nothing written")
    head, rest = old.split(begin, 1)
    report.write_text(f"{head}{begin}\n{text}{end}{rest.split(end, 1)[1]}")
