"""What a check can come to, and how a script says so."""

from __future__ import annotations

from enum import Enum


class Verdict(Enum):
    PASS = "pass"
    FAIL = "FAIL"
    NOT_YET = "not yet"
    NOT_APPLICABLE = "not applicable"
    NOT_RUN = "not run"


class Failure(Exception):
    """The server did what the rules forbid, or did not do what they ask."""


class NotYet(Exception):
    """The server says itself that it does not have this feature."""


class NotRun(Exception):
    """The judge cannot look: a tool is missing."""


def check(condition: object, text: str) -> None:
    if not condition:
        raise Failure(text)


def equal(got: object, wanted: object, what: str) -> None:
    if got != wanted:
        raise Failure(f"{what}: got {got!r}, want {wanted!r}")
