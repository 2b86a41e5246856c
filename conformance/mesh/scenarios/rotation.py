"""Leaves are replaced, and then the root, under 200 requests a second: half of them HTTP on connections of the sidecars' pool, half of them TCP, each a handshake of its own. None fails."""

from __future__ import annotations

import json
import time

from case import Case, eventually
from pod import Machine
from world import World

LEAF = 20
RATE = 100
# Leaves of 20 s are replaced after 10; several times while requests go.
SECONDS = 45


def play(world: World, case: Case) -> None:
    all_of = [world.edge, *world.pods.values()]
    isthmus = world.isthmus
    isthmus.stop()
    isthmus.extra["mesh-leaf-life"] = f"{LEAF}s"
    isthmus.start()
    try:
        eventually("leaves are short", 60, lambda: all(leaf(machine)["left"] <= LEAF for machine in all_of))
        rotate_leaves(world, case, all_of)
        rotate_root(world, case, all_of)
    finally:
        isthmus.stop()
        isthmus.extra.pop("mesh-leaf-life")
        isthmus.start()
        eventually("leaves are long again", 60, lambda: all(leaf(machine)["left"] > 3600 for machine in all_of))


def rotate_leaves(world: World, case: Case, machines: list[Machine]) -> None:
    web = world.pods["web-1"]
    seen: dict[str, set[str]] = {machine.name: set() for machine in machines}
    roots = {machine.name: root(machine) for machine in machines}
    with web.load(RATE, world.orders_url()) as http, web.load(RATE, f"tcp://{world.vip('orders')}:9090") as tcp:
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            for machine in machines:
                seen[machine.name].add(leaf(machine)["serial"])
            time.sleep(0.5)
    for name, serials in seen.items():
        case.check(f"{name} had new leaves", len(serials) >= 3, f"{len(serials)} in {SECONDS} s")
    case.equal("of the same root", {machine.name: root(machine) for machine in machines}, roots)
    for load in (http, tcp):
        case.check("0 requests failed", load.said["failed"] == 0, load.failed()[:3] or "")
        case.figure(f"leaves: {load.figures()}")


def rotate_root(world: World, case: Case, machines: list[Machine]) -> None:
    web = world.pods["web-1"]
    old = root(machines[0])
    with web.load(RATE, world.orders_url()) as http, web.load(RATE, f"tcp://{world.vip('orders')}:9090") as tcp:
        time.sleep(2)
        began = time.monotonic()
        world.isthmus.cli("identity", "rotate")
        both = eventually("all know both roots", 60, lambda: all(len(root(machine)) == 2 for machine in machines))[1]
        case.check("all proxies know both roots", True, f"{both:.1f} s")
        eventually("only the new root is left", 180, lambda: all(len(root(machine)) == 1 and root(machine) != old for machine in machines), 0.5)
        case.check("only the new root is left", True, f"{time.monotonic() - began:.0f} s after `isthmus identity rotate`")
        time.sleep(3)
    case.check("the new root is another one", not root(machines[0]) & old, "")
    for load in (http, tcp):
        case.check("0 requests failed", load.said["failed"] == 0, load.failed()[:3] or "")
        case.figure(f"root: {load.figures()}")
    said = world.isthmus.cli("identity", "show")
    case.check("`isthmus identity show` has no key", "PRIVATE" not in said and said.strip(), said.splitlines()[0] if said else "nothing")


def certificates(machine: Machine) -> list[dict]:
    return json.loads(machine.admin("certs"))["certificates"]


def leaf(machine: Machine) -> dict:
    """Its serial number, and how many seconds it is good for; of several, the newest."""
    found = [one for entry in certificates(machine) for one in entry.get("cert_chain", [])]
    mine = [one for one in found if any(name.get("uri", "").startswith("spiffe://") for name in one.get("subject_alt_names", []))]
    newest = max(mine, key=lambda one: one["expiration_time"])
    end = time.mktime(time.strptime(newest["expiration_time"], "%Y-%m-%dT%H:%M:%SZ")) - time.timezone
    return {"serial": newest["serial_number"], "left": end - time.time()}


def root(machine: Machine) -> set[str]:
    """Serial numbers of what it believes; the authority of the xDS port is not one of them."""
    found = [one for entry in certificates(machine) if entry.get("cert_chain") for one in entry.get("ca_cert", [])]
    return {one["serial_number"] for one in found}
