"""The targets: a figure, its limit, and whether it was met. F is the floor of the same run.

The floor is the cheapest way to put these bytes on these sockets with the same HTTP/2 library: no control plane at all.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from figures import Case, Figures, Spread

SERVICES = 1000
UNRELATED = 5000


@dataclass(frozen=True)
class Row:
    text: str
    measured: Spread | None
    limit: float | None
    why: str

    @property
    def verdict(self) -> str:
        if self.measured is None or self.limit is None:
            return "not measured"
        return "hit" if self.measured.median <= self.limit else "**miss**"


@dataclass(frozen=True)
class Names:
    """The servers of one client's table that limits come from."""

    client: str
    floor: str
    sotw_floor: str
    # Of another control plane: none with our own client.
    peer: str | None


def rows(figures: Figures, names: Names, subject: str) -> Iterator[Row]:
    def case(server: str, mode: str, n: int, part: str = "table") -> Case:
        return Case(names.client, server, mode, n, SERVICES, part)

    def of(server: str | None, mode: str, n: int, figure: str, part: str = "table") -> Spread | None:
        return figures.get(case(server, mode, n, part), figure) if server else None

    def mine(mode: str, n: int, figure: str, part: str = "table") -> Spread | None:
        return of(subject, mode, n, figure, part)

    def against(
        text: str, mode: str, n: int, figure: str, factor: float, server: str | None, word: str, other: str = ""
    ) -> Row:
        base = of(server, mode, n, other or figure)
        limit = base.median * factor if base else None
        return Row(f"{text}, {mode} N={n}", mine(mode, n, figure), limit, f"{factor:g} {word}")

    def fixed(text: str, mode: str, n: int, figure: str, limit: float, why: str, part: str = "table") -> Row:
        return Row(f"{text}, {mode} N={n}", mine(mode, n, figure, part), limit, why)

    for n in (100, 500):
        yield against("CPU ms per change", "delta", n, "CPU ms per change", 1.5, names.floor, "F")
        yield against("Change p50 ms", "delta", n, "change p50 ms", 2, names.floor, "F")
        yield against("Change p99 ms", "delta", n, "change p99 ms", 2, names.floor, "F")
        yield against("First state, CPU-s", "delta", n, "sync CPU-s", 2, names.floor, "F")
        yield against("Burst of 200 in 20 s, CPU-s", "delta", n, "burst CPU-s", 1.5, names.floor, "F")
        yield fixed("Storm, bytes down per stream", "delta", n, "storm B per stream", 1000, "1 KB")
        yield against("Storm, CPU-s", "delta", n, "storm CPU-s", 0.5, names.peer, "gcp-linear")
        yield fixed("Resources sent unchanged", "delta", n, "sent unchanged", 0, "none")
    plain, more = mine("delta", 100, "CPU ms per change", "alone"), mine("delta", 100, "CPU ms per change", "unrelated")
    limit = plain.median * 1.05 if plain else None
    yield Row(f"CPU ms per change with {UNRELATED} unrelated services, delta N=100", more, limit, "+5 %")
    yield against("First state, KB per stream", "delta", 100, "KB per stream", 0.95, names.peer, "gcp-linear")
    for question in ("restart", "replica"):
        text = {"restart": "Storm after a restart", "replica": "Storm to another replica"}[question]
        yield fixed(f"{text}, bytes down per stream", "delta", 100, f"{question} B per stream", 1000, "1 KB")
        yield against(f"{text}, CPU-s", "delta", 100, f"{question} CPU-s", 0.5, names.peer, "gcp-linear", "storm CPU-s")
    rss = mine("delta", 500, "RSS MiB")
    yield fixed("RSS after sync, MiB", "delta", 500, "RSS MiB", 100, "100 MiB")
    one, five = mine("delta", 100, "RSS MiB"), rss
    each = Spread(*[(five.median - one.median) * 1048.576 / 400] * 3) if one and five else None
    yield Row("RSS per stream, KB, delta N=100 to 500", each, 100, "100 KB")
    peak = mine("delta", 500, "sync peak MiB")
    yield Row("Peak RSS, MiB, delta N=500", peak, rss.median * 1.5 if rss else None, "1.5 × RSS after sync")
    yield against("Five readers stalled: others' p99 ms", "delta", 100, "slow: others p99 ms", 3, names.floor, "F")
    stalled = mine("delta", 100, "slow: stalled streams")
    limit = stalled.median * 2 if stalled else None
    yield Row("Stalled readers: messages afterwards", mine("delta", 100, "slow: messages after"), limit, "2 each")
    equal = mine("delta", 100, "slow: views equal")
    wrong = None
    if stalled and equal:
        wrong = Spread(*[stalled.median - at for at in (equal.median, equal.most, equal.least)])
    yield Row("Stalled readers with a wrong final state", wrong, 0, "none")
    yield fixed("Held per stalled stream, KiB of RSS", "delta", 100, "slow: KiB grown per stalled", 64, "64 KiB")
    yield against("CPU ms per change", "sotw", 100, "CPU ms per change", 1.5, names.sotw_floor, "F (SotW)")
    yield against("Bytes per stream and change", "sotw", 100, "B per stream·change", 1.1, names.sotw_floor,
                  "F (SotW): only what changed")  # fmt: skip
    yield fixed("Resources sent unchanged", "sotw", 100, "sent unchanged", 0, "none")
    yield fixed("Sync, ms", "delta", 5000, "sync max ms", 15_000, "15 s")
    yield fixed("Change p99 ms", "delta", 5000, "change p99 ms", 300, "300 ms")
    yield fixed("RSS after sync, MiB", "delta", 5000, "RSS MiB", 600, "600 MiB")
