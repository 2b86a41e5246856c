"""Mass drops and real scale-downs, and one service that moves from one registry to another."""

from __future__ import annotations

import time

from bed import until
from case import KINDS, Case, instances, scenario
from nacos import NacosConnection
from world import from_registry, registry, service

MANY = 1000
GONE = 600


def _held(case: Case) -> int:
    return int(case.world().registry("legacy").get("held", 0) or 0)


@scenario("mass-drop", "nacos3", "nacos2")
def mass_drop(case: Case) -> None:
    """60 % of 1,000 instances vanish at once (the connection that registered them broke): held and shown first,
    released when a second full answer of the healthy session says the same; back when they register again."""
    server = case.server()
    world = case.world()
    all_ = instances("orders", MANY)
    world.backends.start(*all_)
    staying, going = NacosConnection(server.port), NacosConnection(server.port)
    staying.register(*all_[GONE:])
    going.register(*all_[:GONE])
    world.write("world", case.registry(server.address(), guard={"settle": "1s"}), *case.served())
    world.start()
    world.until_state("legacy", "live")
    until("all 1,000 are there", lambda: len(world.hosts("orders")) == MANY, 60, 0.5)
    time.sleep(2)  # The settle time.
    driver = world.drive("orders", 200)
    began = time.monotonic()
    going.drop()
    until("the drop is shown as held", lambda: _held(case) > 0, 15, 0.05)
    case.figure("held shown after, s", time.monotonic() - began)
    case.figure("held", _held(case))
    until("the drop is released by a second full answer", lambda: len(world.hosts("orders")) == MANY - GONE, 60, 0.1)
    case.figure("released after, s", time.monotonic() - began)
    case.figure("events", [one.get("what") for one in world.events("legacy")][-6:])
    back = NacosConnection(server.port)
    back.register(*all_[:GONE])
    until("all are back", lambda: len(world.hosts("orders")) == MANY, 30, 0.1)
    case.figure("requests", driver.none_failed("mass drop", began))
    case.stack.callback(staying.drop)
    case.stack.callback(back.drop)


@scenario("scale-down", "nacos3", "consul", "zookeeper", "eureka")
def scale_down(case: Case) -> None:
    """A real scale-down: 60 of 100 instances are deregistered one after the other within seconds, their processes ended
    a grace of 15 s later: applied before that, no request lost."""
    server = case.server()
    registrar = case.registrar(server)
    world = case.world()
    all_ = instances("orders", 100)
    world.backends.start(*all_)
    registrar.register(*all_)
    world.write("world", case.registry(server.address(), guard={"settle": "1s"}), *case.served())
    world.start()
    world.until_state("legacy", "live")
    until("all 100 are there", lambda: len(world.hosts("orders")) == 100, 60, 0.2)
    time.sleep(2)  # The settle time.
    driver = world.drive("orders", 200)
    began = time.monotonic()
    registrar.deregister(*all_[:60])
    said = time.monotonic()
    until("40 are left", lambda: len(world.hosts("orders")) == 40, 15, 0.05)
    case.figure("deregistering took, s", said - began)
    case.figure("applied after the last word, s", max(0.0, time.monotonic() - said))
    world.backends.kill(*all_[:60])
    time.sleep(2)  # The window in which a request to an ended one would fail.
    case.figure("requests", driver.none_failed("scale-down", began))


@scenario("migration")
def migration(case: Case) -> None:
    """One service in ZooKeeper and Nacos, `Percent` moved 0 → 50 → 100 (the share of Nacos) under 300 requests/s."""
    old, new = KINDS["zookeeper"], KINDS["nacos3"]
    servers = {kind.name: kind.make(case.work) for kind in (old, new)}
    for server in servers.values():
        case.stack.callback(server.end)
        server.start()
    here = {old.name: instances("orders", 4), new.name: instances("orders", 3, start=100)}
    world = case.world()
    for name, server in servers.items():
        world.backends.start(*here[name])
        case.registrar(server).register(*here[name])

    def write(percent: int) -> None:
        sources = [
            from_registry(old.name, "orders") | {"percent": 100 - percent},
            from_registry(new.name, "orders", new.group) | {"percent": percent},
        ]
        registries = [registry(kind.name, kind.type, servers[kind.name].address()) for kind in (old, new)]
        world.write("world", *registries, *service("orders", *sources, merge={"type": "Percent"}))

    write(0)
    world.start()
    world.until_served("orders", *here[old.name], within=60)
    for kind in (old, new):
        world.until_state(kind.name, "live")
    driver = world.drive("orders", 300)
    began = time.monotonic()
    probe = world.probe("orders")
    mine = {one.key for one in here[new.name]}
    for percent in (0, 10, 50, 90, 100):
        changed = time.monotonic()
        write(percent)
        if percent == 100:
            until("the old registry gets nothing", lambda: all(probe.get().by in mine for _ in range(30)), 20)
        elif percent:
            time.sleep(2)  # The change is on its way; the shares are measured after it.
        since = time.monotonic()
        time.sleep(5 if case.quick else 20)  # The window of the measure.
        by = driver.by(since)
        share = 100 * sum(count for key, count in by.items() if key in mine) / max(1, sum(by.values()))
        case.figure(f"share of Nacos at {percent} %", share)
        case.check(abs(share - percent) <= 3, f"{percent} % asked, {share:.1f} % seen")
        driver.none_failed(f"moved to {percent} %", changed)
    case.figure("requests", driver.none_failed("the whole migration", began))


@scenario("union")
def union(case: Case) -> None:
    """The same instances in Consul and in Eureka are one endpoint each; the death of either registry costs nothing."""
    kinds = (KINDS["consul"], KINDS["eureka"])
    servers = {kind.name: kind.make(case.work) for kind in kinds}
    both = instances("orders", 3)
    world = case.world()
    world.backends.start(*both)
    for server in servers.values():
        case.stack.callback(server.end)
        server.start()
        case.registrar(server).register(*both)
    registries = [registry(kind.name, kind.type, servers[kind.name].address()) for kind in kinds]
    sources = [from_registry(kind.name, "orders") for kind in kinds]
    world.write("world", *registries, *service("orders", *sources, merge={"type": "Union"}))
    world.start()
    world.until_served("orders", *both, within=60)
    for kind in kinds:
        world.until_state(kind.name, "live")
    case.check(len(world.hosts("orders")) == 3, f"{len(world.hosts('orders'))} endpoints instead of 3")
    driver = world.drive("orders", 200)
    began = time.monotonic()
    servers["eureka"].kill()
    world.until_state("eureka", "stale", within=60)
    gone = both[0]
    servers["consul"].registrar().deregister(gone)
    time.sleep(5)  # What follows from it.
    hosts = world.hosts("orders")
    case.figure("endpoints after one registry died and the other removed one", len(hosts))
    case.figure("requests", driver.none_failed("one of two registries died", began))
