"""A person's word on a registry: hold, release, flush; and the end of a hold by time."""

from __future__ import annotations

import time

from bed import until
from case import Case, instances, scenario
from scenarios.scale import GROUP, entry, start
from world import World, from_registry, registry, service


@scenario("steer", "zookeeper", "consul", "nacos3")
def steer(case: Case) -> None:
    """`hold` of a service and of the whole registry: what is deregistered meanwhile stays in service, also through a
    `resync`; `release` lets it go; `flush` of a registry that is away forgets what is served without its word, and what
    it says when it is back is served again."""
    server = case.server()
    registrar = case.registrar(server)
    world = case.world()
    all_ = instances("orders", 10)
    world.backends.start(*all_)
    registrar.register(*all_)
    world.write("world", case.registry(server.address(), guard={"settle": "1s"}), *case.served())
    world.start()
    world.until_state("legacy", "live")
    _until_hosts(world, 10, 60)
    time.sleep(2)  # The settle time.
    driver = world.drive("orders", 100)
    began = time.monotonic()
    name = f"{case.kind.group}@@orders" if case.kind.group else "orders"

    world.steer("legacy", "hold", name)
    registrar.deregister(*all_[:5])
    until("5 are shown as held", lambda: world.registry("legacy").get("held") == 5, 20, 0.05)
    world.steer("legacy", "resync")
    time.sleep(5)  # Whatever would let them go has its time.
    case.check(len(world.hosts("orders")) == 10, f"held by a person, and {len(world.hosts('orders'))} of 10 are left")
    case.figure("held by a person, after 5 s and a resync", world.registry("legacy").get("held"))
    case.within("gone after release, s", _released(world, name, 5), 1, "one step of the program and one push to Envoy")

    world.steer("legacy", "hold")
    registrar.deregister(*all_[5:7])
    until("2 are shown as held", lambda: world.registry("legacy").get("held") == 2, 20, 0.05)
    case.check(len(world.hosts("orders")) == 5, "the whole registry is held, and something went")
    case.within("gone after release of all, s", _released(world, "", 3), 1, "as above")
    case.figure("requests", driver.none_failed("hold and release", began))
    driver.stop()

    server.kill()
    world.until_state("legacy", "stale", within=60)
    case.check(len(world.hosts("orders")) == 3, "the registry is away, and something went")
    world.steer("legacy", "flush", name)
    flushed = time.monotonic()
    until("nothing is served", lambda: not world.hosts("orders"), 20, 0.02)
    case.within("gone after flush, s", time.monotonic() - flushed, 1, "as above")
    server.restart(keep_data=True)
    _until_hosts(world, 3, 120)
    world.until_served("orders", *all_[7:])
    words = [str(one.get("why")) for one in world.events("legacy") if one.get("what") == "steered"]
    case.figure("a person's words among the events", words)
    case.check(len(words) == 6, f"6 words were said, {len(words)} are among the events")


def _released(world: World, name: str, left: int) -> float:
    world.steer("legacy", "release", name)
    began = time.monotonic()
    _until_hosts(world, left, 20)
    return time.monotonic() - began


def _until_hosts(world: World, count: int, within: float) -> None:
    until(f"Envoy has {count} hosts", lambda: len(world.hosts("orders")) == count, within, 0.02)


@scenario("hold-ends")
def hold_ends(case: Case) -> None:
    """70 % of 10 instances vanish in one push, and the registry (a Nacos-shaped double) refuses all questions about the
    service, so that nothing can confirm it: held for `guard.hold`, here 5 s, and released by time."""
    double = start(case)
    world = case.world()
    all_ = instances("orders", 10)
    world.backends.start(*all_)
    double.service("orders", *(entry(one) for one in all_))
    world.write(
        "world",
        registry("legacy", "Nacos", double.address(), guard={"settle": "1s", "hold": "5s"}),
        *service("orders", from_registry("legacy", "orders", GROUP)),
    )
    world.start()
    world.until_state("legacy", "live")
    _until_hosts(world, 10, 60)
    time.sleep(2)  # The settle time.
    driver = world.drive("orders", 100)
    began = time.monotonic()
    double.mute("orders")
    double.service("orders", *(entry(one) for one in all_[:3]))
    until("7 are shown as held", lambda: world.registry("legacy").get("held") == 7, 20, 0.02)
    held = time.monotonic()
    case.check(len(world.hosts("orders")) == 10, "what is held is not served")
    _until_hosts(world, 3, 60)
    took = time.monotonic() - held
    case.within("released after, s", took, 7, "5 s of the document; the program and Envoy have their steps")
    case.check(took >= 4.5, f"held for {took:.1f} s only")
    why = [str(one.get("why")) for one in world.events("legacy") if one.get("what") == "released"]
    case.figure("why, says the event", why)
    case.check(any("as long as the rules say" in one for one in why), "the event does not say that it was the time")
    case.figure("requests", driver.none_failed("held and released", began))
