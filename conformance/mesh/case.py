"""What a scenario says: what was looked at, how it was, and figures."""

from __future__ import annotations

import http.client
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

T = TypeVar("T")


class Failed(Exception):
    """Something that should be so is not."""


def eventually(what: str, limit: float, ask: Callable[[], T], pause: float = 0.05) -> tuple[T, float]:
    """Asks until the answer is true; the answer, and how many seconds that took."""
    began = time.monotonic()
    while True:
        said: object
        try:
            answer = ask()
            if answer:
                return answer, time.monotonic() - began
            said = answer
        except (OSError, http.client.HTTPException, KeyError, IndexError, ValueError) as error:
            said = repr(error)
        if time.monotonic() - began >= limit:
            raise Failed(f"{what}: not within {limit:g} s (last: {str(said)[:600]})")
        time.sleep(pause)


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

    def equal(self, what: str, got: object, want: object) -> None:
        self.check(what, got == want, "" if got == want else f"{got!r}, not {want!r}")

    def eventually(self, what: str, limit: float, ask: Callable[[], object]) -> bool:
        """A check that may take a while; what comes after it is looked at all the same."""
        try:
            _, took = eventually(what, limit, ask)
        except Failed as error:
            self.check(what, False, error)
            return False
        self.check(what, True, f"{took:.1f} s")
        return True

    def figure(self, text: str) -> None:
        self.figures.append(text)
        print(f"            {text}", flush=True)

    @property
    def passed(self) -> bool:
        return bool(self.checks) and all(check.ok for check in self.checks)
