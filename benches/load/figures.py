"""Numbers out of the clients' results: each by name, with the median, least and most of the runs."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

Result = dict[str, Any]


@dataclass(frozen=True)
class Case:
    """What was measured: by which client, of which server, under which load."""

    client: str
    server: str
    mode: str
    n: int
    services: int
    part: str = "table"


@dataclass(frozen=True)
class Spread:
    median: float
    least: float
    most: float

    def times(self, factor: float) -> Spread:
        return Spread(self.median * factor, self.least * factor, self.most * factor)


def _phase(name: str, *path: str) -> Callable[[Result], float | None]:
    def read(result: Result) -> float | None:
        # A phase that missed its end has no figures.
        found: Any = next((it for it in result["phases"] if it["phase"] == name and it["ok"]), None)
        for key in path:
            found = found.get(key) if isinstance(found, dict) else None
        return float(found) if isinstance(found, int | float) else None

    return read


def _scaled(factor: float, read: Callable[[Result], float | None]) -> Callable[[Result], float | None]:
    def scaled(result: Result) -> float | None:
        value = read(result)
        return None if value is None else value * factor

    return scaled


def _same(result: Result) -> float:
    """Resources that were sent although the stream held those very bytes.

    A SotW client that comes back has no way to say what it holds, and whole types have no way to leave any out.
    """
    sotw = result["mode"] == "sotw"
    names = ("eds", "rds") if sotw else ("cds", "eds", "lds", "rds")
    phases = [it for it in result["phases"] if not (sotw and it["phase"] == "storm")]
    return float(sum(it["types"].get(name, {}).get("same", 0) for it in phases for name in names))


def _wait(result: Result) -> float:
    """How long the server had no core, beside what it ran, in the phase with the most of it."""
    return float(max((it.get("server") or {}).get("runq_wait_s", 0) for it in result["phases"]))


def _other(result: Result) -> float:
    """Cores that others used."""
    wall = sum(it["wall_s"] for it in result["phases"])
    return float(sum(it["other_cpu_s"] for it in result["phases"]) / wall) if wall else 0.0


FIGURES: dict[str, Callable[[Result], float | None]] = {
    "sync p50 ms": _phase("sync", "sync_ms", "p50"),
    "sync max ms": _phase("sync", "sync_ms", "max"),
    "sync CPU-s": _phase("sync", "server", "cpu_s"),
    "KB per stream": _scaled(1e-3, _phase("sync", "payload_bytes_per_stream")),
    "RSS MiB": _phase("sync", "server", "rss_mib"),
    "sync peak MiB": _phase("sync", "server", "rss_peak_mib"),
    "change p50 ms": _phase("single", "latency_ms", "p50"),
    "change p99 ms": _phase("single", "latency_ms", "p99"),
    "change max ms": _phase("single", "latency_ms", "max"),
    "CPU ms per change": _phase("single", "server_cpu_ms_per_change"),
    "B per stream·change": _phase("single", "payload_bytes_per_stream_per_change"),
    "burst CPU-s": _phase("burst", "server", "cpu_net_s"),
    "burst p50 ms": _phase("burst", "latency_ms", "p50"),
    "burst p99 ms": _phase("burst", "latency_ms", "p99"),
    "storm quiet ms": _phase("storm", "quiet_ms"),
    "storm CPU-s": _phase("storm", "server", "cpu_s"),
    "storm B per stream": _phase("storm", "payload_bytes_per_stream"),
    "storm peak MiB": _phase("storm", "server", "rss_peak_mib"),
    "restart B per stream": _phase("restart", "payload_bytes_per_stream"),
    "restart CPU-s": _phase("restart", "server", "cpu_s"),
    "replica B per stream": _phase("replica", "payload_bytes_per_stream"),
    "replica CPU-s": _phase("replica", "server", "cpu_s"),
    "slow: others p99 ms": _phase("slow", "latency_ms", "p99"),
    "slow: messages after": _phase("slow", "slow", "messages_after"),
    "slow: stalled streams": _phase("slow", "slow", "k"),
    "slow: views equal": _phase("slow", "slow", "final_view_equal"),
    "slow: KiB grown per stalled": _phase("slow", "slow", "rss_grown_kib_per_stalled"),
    "sent unchanged": _same,
    "core waits s": _wait,
    "others' cores": _other,
    "load average": lambda result: result["load1"],
}


@dataclass
class Figures:
    """All results so far."""

    results: dict[Case, list[Result]] = field(default_factory=dict)

    def add(self, case: Case, result: Result) -> None:
        self.results.setdefault(case, []).append(result)

    def get(self, case: Case, name: str) -> Spread | None:
        values = [FIGURES[name](result) for result in self.results.get(case, [])]
        known = [value for value in values if value is not None]
        return Spread(statistics.median(known), min(known), max(known)) if known else None

    def troubles(self) -> list[tuple[Case, str]]:
        return [(case, it["trouble"]) for case, all_ in self.results.items() for it in all_ if "trouble" in it]
