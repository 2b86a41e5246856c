"""Plays all checks against the real program and writes the report."""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from importlib import metadata
from pathlib import Path

import case
import envoys
import grpc_clients
import report
import scenarios  # noqa: F401 - fills CHECKS
from case import CHECKS, Check, Outcome, Variant, play
from report import Run
from verdict import NotRun, Verdict

HERE = Path(__file__).resolve().parent
# Most of a script's time is waiting for silence.
SIDE_BY_SIDE = 3
ENVOYS_SIDE_BY_SIDE = 2


def main() -> int:
    parser = argparse.ArgumentParser(prog="run.sh", description="plays the xDS rules against a real isthmus")
    parser.add_argument("--binary", type=Path, required=True)
    parser.add_argument("--library", type=Path, help="the program of examples/fixed.rs")
    parser.add_argument("--transcripts", action="store_true", help="print what was said in each failure")
    parser.add_argument(
        "--newest-envoy", action="store_true", help="leave out the older Envoys, and write no report"
    )
    parser.add_argument(
        "only",
        nargs="*",
        help="numbers of scenarios, `rule N`, `envoy`, `grpc`; a part is played and no report is written",
    )
    arguments = parser.parse_args()
    only = set(arguments.only)
    with tempfile.TemporaryDirectory(prefix="isthmus-judge-") as place:
        # A build that ends meanwhile must not change what is judged.
        binary = Path(shutil.copy2(arguments.binary, place))
        if arguments.library:
            case.LIBRARY = Path(shutil.copy2(arguments.library, place))
        run = _play(only, binary, older_envoys=not arguments.newest_envoy)
    if not run.outcomes():
        parser.error(f"nothing is called {' or '.join(sorted(only))}")
    if arguments.transcripts:
        _print_transcripts(run)
    if not only and not arguments.newest_envoy:
        (HERE / "REPORT.md").write_text(report.write(run))
    return _closing_line(run)


def _play(only: set[str], binary: Path, older_envoys: bool) -> Run:
    run = Run(_versions(binary))
    run.results = _checks([check for check in CHECKS if not only or check.name in only], binary)
    if not only or "envoy" in only:
        run.envoys = _envoys(binary, older_envoys)
    if not only or "grpc" in only:
        for name, command in grpc_clients.programs(_grpc_js).items():
            run.programs[name] = _told(name, "", partial(grpc_clients.play, command, binary))
    return run


def _checks(checks: list[Check], binary: Path) -> dict[tuple[Check, Variant], Outcome]:
    """The long ones from the start, the others beside them, those that measure by themselves."""
    turns = [(check, variant) for check in checks for variant in check.variants]
    done: dict[tuple[Check, Variant], Outcome] = {}

    def one(turn: tuple[Check, Variant]) -> None:
        done[turn] = _told(turn[0].name, str(turn[1]), lambda: play(*turn, binary))

    with ThreadPoolExecutor(len(turns) or 1) as waiting:
        long: list[Future[None]] = [waiting.submit(one, turn) for turn in turns if turn[0].long]
        with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
            list(pool.map(one, [turn for turn in turns if not turn[0].long and not turn[0].alone]))
        for turn in turns:
            if turn[0].alone:
                one(turn)
        for future in long:
            future.result()
    return {turn: done[turn] for turn in turns}


def _envoys(binary: Path, older: bool) -> dict[tuple[str, str], Outcome]:
    """By version, oldest first, and variant. Who says which Envoy to take gets no other ones beside it."""
    versions: list[str | None] = [None]
    if older and not {"ISTHMUS_ENVOY", "ENVOY_VERSION"} & os.environ.keys():
        versions = [*envoys.OLDER_VERSIONS, None]

    def one(turn: tuple[tuple[str, Path | NotRun], envoys.EnvoyVariant]) -> tuple[tuple[str, str], Outcome]:
        (version, envoy), variant = turn
        if isinstance(envoy, NotRun):
            outcome = Outcome(Verdict.NOT_RUN, str(envoy))
        else:
            outcome = _told(version, f"Envoy, {variant}", lambda: envoys.play(variant, binary, envoy))
        return (version, str(variant)), outcome

    turns = [(envoy, variant) for envoy in map(_envoy, versions) for variant in envoys.VARIANTS]
    with ThreadPoolExecutor(ENVOYS_SIDE_BY_SIDE) as pool:
        return dict(pool.map(one, turns))


def _envoy(version: str | None) -> tuple[str, Path | NotRun]:
    """Its version and the program, fetched on first use; by default the one that all of the tree uses."""
    chosen = {"ENVOY_VERSION": version} if version else {}
    try:
        envoy = Path(_output(["bash", str(HERE.parent / "lib" / "envoy.sh")], chosen))
        return _output([str(envoy), "--version"]).rpartition("version:")[2].split("/")[1], envoy
    except NotRun as reason:
        return version or "newest", reason


def _grpc_js() -> Path:
    """The folder with the packages of grpc-js, fetched on first use."""
    return Path(_output(["bash", str(HERE / "grpc_js" / "fetch.sh")]))


def _versions(binary: Path) -> dict[str, str]:
    isthmus = _output([str(binary), "--version"]).split()
    return {"isthmus": isthmus[1] if len(isthmus) > 1 else "unknown", "grpcio": metadata.version("grpcio")}


def _output(command: list[str], variables: dict[str, str] | None = None) -> str:
    environment = os.environ | (variables or {})
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        words = done.stderr.strip().splitlines()
        raise NotRun(words[-1] if words else f"{Path(command[-1]).name} ended with {done.returncode}")
    return done.stdout.strip()


def _told(name: str, form: str, play_it: Callable[[], Outcome]) -> Outcome:
    outcome = play_it()
    line = f"{name:>8}  {form:28} {outcome.verdict.value:8} {outcome.seconds:5.1f} s  {outcome.reason}"
    print(line[:240].rstrip(), flush=True)
    return outcome


def _print_transcripts(run: Run) -> None:
    for name, outcome in run.outcomes():
        if outcome.verdict is Verdict.FAIL:
            print(f"\n{name}: {outcome.reason}")
            print("\n".join(f"    {line[:200]}" for line in outcome.transcript[-report.TRANSCRIPT_LINES :]))


def _closing_line(run: Run) -> int:
    passed, failed = run.count(Verdict.PASS), run.count(Verdict.FAIL)
    skipped = len(run.outcomes()) - passed - failed
    print(f"\nxds: {passed} passed, {failed} failed, {skipped} skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
