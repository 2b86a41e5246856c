"""Plays all checks against the real program and writes the report."""

from __future__ import annotations

import argparse
import sys
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import scenarios  # noqa: F401 - fills CHECKS
from case import CHECKS, Check, Outcome, Variant, play
from verdict import Verdict

Results = dict[tuple[Check, Variant], Outcome]
# Most of a script's time is waiting for silence.
SIDE_BY_SIDE = 3


def main() -> int:
    parser = argparse.ArgumentParser(description="plays the xDS scenarios against a real isthmus")
    parser.add_argument("--binary", type=Path, required=True)
    parser.add_argument("--report", type=Path, help="where to write the report; only a full run has one")
    parser.add_argument("--transcripts", action="store_true", help="print the transcript of each failure")
    parser.add_argument("only", nargs="*", help="numbers of scenarios, or `rule N`; everything if none is given")
    arguments = parser.parse_args()
    chosen = [check for check in CHECKS if not arguments.only or check.name in arguments.only]
    results = run_checks(chosen, arguments.binary.resolve())
    for (check, variant), outcome in results.items():
        if outcome.verdict is Verdict.FAIL:
            print(f"\nFAIL {check.name} ({variant}): {outcome.reason}")
            if arguments.transcripts:
                print("\n".join(f"    {line}" for line in outcome.transcript[-40:]))
    return 0


def run_checks(checks: list[Check], binary: Path) -> Results:
    """The long ones from the start, the others beside them, those that measure by themselves."""
    turns = [(check, variant) for check in checks for variant in check.variants]
    done: Results = {}

    def one(check: Check, variant: Variant) -> None:
        outcome = play(check, variant, binary)
        done[check, variant] = outcome
        print(f"{check.name:>8}  {str(variant):17} {outcome.verdict.value:8} {outcome.seconds:5.1f} s  {outcome.reason}"[:200], flush=True)

    long = [turn for turn in turns if turn[0].long]
    with ThreadPoolExecutor(len(long) or 1) as waiting:
        futures: list[Future[None]] = [waiting.submit(one, *turn) for turn in long]
        with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
            list(pool.map(lambda turn: one(*turn), [t for t in turns if not t[0].long and not t[0].alone]))
        for turn in turns:
            if turn[0].alone:
                one(*turn)
        for future in futures:
            future.result()
    return {turn: done[turn] for turn in turns}


if __name__ == "__main__":
    sys.exit(main())
