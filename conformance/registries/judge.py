"""Plays the scenarios one after the other, keeps each one's figures as JSON, and writes the report."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

import report
import scenarios  # noqa: F401 - fills SCENARIOS
from case import SCENARIOS, Outcome, Scenario, Verdict, play

HERE = Path(__file__).resolve().parent


def main() -> int:
    parser = argparse.ArgumentParser(prog="run.sh", description="plays the failure contract of registries")
    parser.add_argument("--binary", type=Path, required=True)
    parser.add_argument("--quick", action="store_true", help="short cuts and fewer samples")
    parser.add_argument("--work", type=Path, help="keep logs and figures here; else in a temporary folder")
    parser.add_argument("--report", action="store_true", help="only write REPORT.md from what is under --work")
    parser.add_argument("only", nargs="*", help="names of scenarios or of registries; no report is written then")
    arguments = parser.parse_args()
    only = set(arguments.only)
    work = arguments.work or Path(tempfile.mkdtemp(prefix="isthmus-registries-"))
    work.mkdir(parents=True, exist_ok=True)
    if not arguments.report:
        # A build that ends meanwhile must not change what is judged.
        binary = Path(shutil.copy2(arguments.binary, work / "isthmus"))
        (work / "head.json").write_text(json.dumps(_head(binary, arguments.quick)))
        turns = [(one, kind) for one in SCENARIOS for kind in one.kinds if _wanted(one, kind, only)]
        if not turns:
            parser.error(f"nothing is called {' or '.join(sorted(only))}")
        for one, kind in turns:
            _turn(one, kind, work, binary, arguments.quick)
        binary.unlink()
    results = report.read(work)
    if not only:
        (HERE / "REPORT.md").write_text(report.write(results))
    return _closing_line(results, work)


def _wanted(one: Scenario, kind: str, only: set[str]) -> bool:
    """A name alone plays all its kinds; with a kind beside it, only that one."""
    names = only - set(_kinds())
    kinds = only & set(_kinds())
    return (not names or one.name in names) and (not kinds or kind in kinds)


def _kinds() -> set[str]:
    return {kind for one in SCENARIOS for kind in one.kinds}


def _turn(one: Scenario, kind: str, work: Path, binary: Path, quick: bool) -> None:
    name = f"{one.name}-{kind}".rstrip("-")
    place = work / name
    shutil.rmtree(place, ignore_errors=True)
    outcome = play(one, kind, place, binary, Path(os.environ["ISTHMUS_ENVOY"]), quick)
    said = asdict(outcome) | {"verdict": outcome.verdict.value, "name": one.name, "kind": kind, "text": one.text}
    (work / f"{name}.json").write_text(json.dumps(said, indent=1, default=str))
    # A Nacos alone leaves 600 MB; what went wrong is kept for a look.
    if outcome.verdict is not Verdict.FAIL:
        shutil.rmtree(place, ignore_errors=True)
    _tell(name, outcome)


def _tell(name: str, outcome: Outcome) -> None:
    figures = ", ".join(f"{key} {value}" for key, value in outcome.figures.items())
    line = f"{name:32} {outcome.verdict.value:8} {outcome.seconds:6.1f} s  {outcome.reason}  {figures}"
    print(line[:400].rstrip(), flush=True)


def _head(binary: Path, quick: bool) -> dict[str, str]:
    said = subprocess.run([binary, "--version"], capture_output=True, text=True, check=False).stdout.split()
    envoy = subprocess.run(
        [os.environ["ISTHMUS_ENVOY"], "--version"], capture_output=True, text=True, check=False
    ).stdout
    load = os.getloadavg()[0]
    return {
        "isthmus": said[1] if len(said) > 1 else "unknown",
        "Envoy": envoy.rpartition("version:")[2].strip().split("/")[1] if "/" in envoy else "unknown",
        "cores": str(os.cpu_count()),
        "load at the start": f"{load:.1f}",
        "day": time.strftime("%Y-%m-%d"),
        "quick": "yes" if quick else "no",
    }


def _closing_line(results: report.Results, work: Path) -> int:
    counts = {verdict: sum(one["verdict"] == verdict.value for one in results.outcomes) for verdict in Verdict}
    print(f"figures and logs: {work}")
    passed, failed, skipped = (counts[one] for one in (Verdict.PASS, Verdict.FAIL, Verdict.NOT_RUN))
    print(f"\nregistries: {passed} passed, {failed} failed, {skipped} skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
