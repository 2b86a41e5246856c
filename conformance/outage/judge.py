"""Plays the scenarios, in this order, and writes the report. Runs inside the bed; run.sh starts it."""

from __future__ import annotations

import importlib
import os
import shutil
import subprocess
import sys
import time
import traceback

import report
from case import Case
from cluster import WORK, Failed
from world import World

SCENARIOS = [
    "leader_kill",
    "namespace_again",
    "api_server_away",
    "endpoint_storm",
    "rbac",
    "broken_objects",
    "rolling_update",
]


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
    except Failed as error:
        print(f"the world does not stand: {error}", file=sys.stderr)
        return 1
    finally:
        keep(world)
    version = subprocess.run([os.environ["ISTHMUS_JUDGE_BIN"], "--version"], capture_output=True, text=True, check=True)
    (WORK / "REPORT.md").write_text(report.write(cases, f"{version.stdout.strip()} ({os.environ['ISTHMUS_JUDGE_BUILD']})", time.monotonic() - began))
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
        for replica in world.replicas.all:
            case.check(f"replica {replica.name} runs", replica.lives())
    except Failed as error:
        keep(world)
        case.check("played to its end", False, error)
    except Exception as error:  # noqa: BLE001 - the other scenarios are played all the same
        traceback.print_exc()
        case.check("played to its end", False, repr(error))
    case.seconds = time.monotonic() - case.began
    return case


def keep(world: World) -> None:
    """What they thought at the end, for who reads the logs."""
    for replica in world.replicas.all:
        for path in ("/metrics", "/api/v1/findings", "/api/v1/proxies"):
            try:
                text = replica.ask(path)[1]
            except OSError:
                continue
            (WORK / f"logs/isthmus-{replica.name}-{path.rpartition('/')[2]}.txt").write_bytes(text)
        try:
            for proxy in replica.items("proxies"):
                text = replica.ask(f"/api/v1/snapshot?proxy={proxy['id']}")[1]
                (WORK / f"logs/isthmus-{replica.name}-{proxy['id']}.json").write_bytes(text)
        except OSError:
            continue
    kinds = "gateways,httproutes,pods,services,deployments,endpointslices,leases"
    with (WORK / "logs/objects.yaml").open("wb") as out:
        subprocess.run([shutil.which("kubectl") or "kubectl", "get", kinds, "-A", "-o", "yaml"], stdout=out, check=False)


if __name__ == "__main__":
    sys.exit(main())
