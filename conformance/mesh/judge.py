"""Plays the scenarios, in this order, and writes the report. Runs inside namespaces of its own; run.sh starts it."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import time
import traceback

import report
from case import Case, Failed
from net import WORK
from world import World

SCENARIOS = ["chain", "mtls", "scope", "registry", "lanes", "rotation", "admission"]


def main() -> int:
    chosen = [name.replace("-", "_") for name in sys.argv[1:]] or SCENARIOS
    unknown = set(chosen) - set(SCENARIOS)
    if unknown:
        print(f"no such scenario: {', '.join(sorted(unknown))}; there are {', '.join(SCENARIOS)}", file=sys.stderr)
        return 2
    began = time.monotonic()
    world = World()
    cases = []
    try:
        world.up()
        print(f"up after {time.monotonic() - began:.0f} s", flush=True)
        for name in chosen:
            cases.append(play(world, name))
    except (Failed, OSError) as error:
        print(f"the world does not stand: {error}", file=sys.stderr)
        return 1
    finally:
        keep(world)
    version = subprocess.run([os.environ["ISTHMUS_JUDGE_BIN"], "--version"], capture_output=True, text=True, check=True)
    text = report.write(cases, f"{version.stdout.strip()} ({os.environ['ISTHMUS_JUDGE_BUILD']})", time.monotonic() - began)
    (WORK / "REPORT.md").write_text(text)
    failed = [case.name for case in cases if not case.passed]
    print(f"{len(cases) - len(failed)} scenarios passed, {len(failed)} failed: {', '.join(failed)}".removesuffix(": "))
    return 1 if failed else 0


def play(world: World, name: str) -> Case:
    scenario = importlib.import_module(f"scenarios.{name}")
    case = Case(name.replace("_", "-"), scenario.__doc__.strip())
    print(f"{case.name}: {case.text}", flush=True)
    try:
        world.settle()
        case.began = time.monotonic()
        scenario.play(world, case)
        for machine in (world.edge, *world.pods.values()):
            case.check(f"the Envoy of {machine.name} runs, and has refused nothing", *healthy(machine))
    except Failed as error:
        case.check("played to its end", False, error)
    except Exception as error:  # noqa: BLE001 - the other scenarios are played all the same
        traceback.print_exc()
        case.check("played to its end", False, repr(error))
    case.seconds = time.monotonic() - case.began
    return case


def healthy(machine) -> tuple[bool, str]:
    if machine.envoy.poll() is not None:
        return False, "it has ended"
    refused = {name: value for name, value in machine.stats("update_rejected").items() if value}
    return not refused, str(refused or "")


def keep(world: World) -> None:
    """What they thought at the end, for who reads the logs."""
    for path in ("/metrics", "/api/v1/findings", "/api/v1/proxies"):
        try:
            (WORK / f"logs/isthmus-{path.rpartition('/')[2]}.txt").write_bytes(world.isthmus.ask(path)[1])
        except OSError:
            continue
    for machine in (getattr(world, "edge", None), *world.pods.values()):
        try:
            dump = json.loads(machine.admin("config_dump?include_eds"))
            (WORK / f"logs/{machine.name}-config.json").write_text(json.dumps(dump, indent=1))
            (WORK / f"logs/{machine.name}-stats.txt").write_text(machine.admin("stats"))
        except (OSError, ValueError, AttributeError):
            continue


if __name__ == "__main__":
    sys.exit(main())
