"""What a scenario says: what was looked at, how it was, and figures."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from cluster import Failed
from load import Load, Target


@dataclass
class Check:
    what: str
    ok: bool
    said: str


@dataclass
class Case:
    name: str
    text: str
    checks: list[Check] = field(default_factory=list)
    figures: list[str] = field(default_factory=list)
    began: float = field(default_factory=time.monotonic)
    seconds: float = 0

    def check(self, what: str, ok: object, said: object = "") -> None:
        self.checks.append(Check(what, bool(ok), str(said)))
        at = time.monotonic() - self.began
        print(f"  {at:6.1f} s  {'ok' if ok else 'FAILED'}: {what}{f' ({said})' if said != '' else ''}", flush=True)

    def need(self, what: str, ok: object, said: object = "") -> None:
        """Without it the rest is of no use."""
        self.check(what, ok, said)
        if not ok:
            raise Failed(f"{what} {said}".strip())

    def within(self, what: str, took: float) -> None:
        self.check(what, True, f"{took:.1f} s")

    def figure(self, text: str) -> None:
        self.figures.append(text)
        print(f"            {text}", flush=True)

    @contextmanager
    def load(self, targets: list[Target], rate: float = 50) -> Iterator[Load]:
        """Traffic beside the rest, none of which may fail."""
        load = Load(targets, rate)
        try:
            with load:
                yield load
        finally:
            failed = load.failures()
            for begin, end, why in load.excused:
                inside = load.failures(begin, end)
                failed = [text for text in failed if text not in inside]
                self.figure(f"{len(inside)} of the failed within {end - begin:.1f} s: {why}")
            self.figure(load.figures())
            for text in failed[:10]:
                print(f"            {text}", flush=True)
            self.check("0 requests failed", not failed and load.asked(), f"{len(failed)} of {load.asked()}")

    @property
    def passed(self) -> bool:
        return bool(self.checks) and all(check.ok for check in self.checks)
