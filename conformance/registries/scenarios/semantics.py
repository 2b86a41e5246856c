"""What each thing that a registry says of an instance makes Envoy do, one row each."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

from bed import Failure, Instance, until
from case import Case, instances, scenario
from driver import Driver
from world import World

SAMPLE = 2000
QUICK_SAMPLE = 600


class Rows:
    """Two instances, one plain and one odd; what share of the requests does the odd one get?"""

    def __init__(self, case: Case, **spec: Any) -> None:
        self.case, self.server = case, case.server()
        self.registrar = case.registrar(self.server)
        self.world: World = case.world()
        self.spec = spec
        self.names: list[str] = []
        self.failed: list[str] = []
        self._write()
        self.world.start()
        self.world.until_state("legacy", "live")

    def _write(self) -> None:
        services = [document for name in self.names for document in self.case.served(name)]
        self.world.write("world", self.case.registry(self.server.address(), **self.spec), *services)

    def pair(self, name: str, **odd: Any) -> tuple[Instance, Instance]:
        """A service of its own for each row."""
        number = 2 * len(self.names) + 1
        plain, other = instances(name, 2, start=number)
        other = replace(other, **odd)
        self.world.backends.start(plain, other)
        self.names.append(name)
        self._write()
        return plain, other

    def share(self, name: str, wanted: float, row: str, odd: Instance, within: float = 20.0) -> None:
        """The share of the odd one is what was wanted, ± 5 points, as soon as the change has arrived."""
        count = QUICK_SAMPLE if self.case.quick else SAMPLE
        deadline = time.monotonic() + within
        while True:
            share = self._share(name, odd.key, count)
            if abs(share - wanted) <= 0.05 or time.monotonic() > deadline:
                break
        self.case.figure(row, f"{100 * share:.1f} % of the traffic (wanted {100 * wanted:.0f})")
        if abs(share - wanted) > 0.05:
            self.failed.append(row)

    def _share(self, name: str, key: str, count: int) -> float:
        driver = Driver(18080, f"{name}.example.com", 800, connections=8)
        until("enough requests", lambda: len(driver.answers) >= count, 30, 0.05)
        answers = driver.stop()
        good = [one for one in answers if one.good]
        return sum(one.by == key for one in good) / len(good) if len(good) > count / 2 else -1.0

    def end(self) -> None:
        if self.failed:
            raise Failure(f"rows that do not hold: {', '.join(self.failed)}")


@scenario("semantics-nacos", "nacos3", "nacos2")
def nacos(case: Case) -> None:
    """Weight 0 and 0.3, disabled, unhealthy, protect threshold."""
    rows = Rows(case)
    for row, wanted, odd in (
        ("weight 0", 0.0, {"weight": 0.0}),
        ("weight 0.3 beside 1", 0.3 / 1.3, {"weight": 0.3}),
        ("weight 2.5 beside 1", 2.5 / 3.5, {"weight": 2.5}),
        ("enabled=false", 0.0, {"extra": {"enabled": "false"}}),
        ("cluster BJ beside DEFAULT", 0.5, {"extra": {"clusterName": "BJ"}}),
    ):
        name = "row-" + row.split()[0].split("=")[0] + f"-{len(rows.names)}"
        plain, other = rows.pair(name, **odd)
        rows.registrar.register(plain, other)
        rows.share(name, wanted, row, other)
    # No heartbeat for 15 s makes it unhealthy; 15 s more remove it.
    plain, other = rows.pair("row-unhealthy")
    rows.registrar.register(plain, other)
    rows.share("row-unhealthy", 0.5, "before the heartbeats end", other)
    rows.registrar.abandon(other)
    rows.share("row-unhealthy", 0.0, "heartbeats ended (healthy=false)", other, within=40)
    # One of two healthy is 50 %; below 80 % Nacos wants all of them used.
    plain, other = rows.pair("row-protect")
    rows.registrar.register(plain, other)
    rows.server.protect("row-protect", 0.8)
    rows.share("row-protect", 0.5, "protect threshold 0.8, all healthy", other)
    rows.registrar.abandon(other)
    time.sleep(18)  # Unhealthy after 15 s, removed after 30: in between the threshold counts.
    rows.share("row-protect", 0.5, "protect threshold 0.8, one of two unhealthy", other, within=5)
    rows.end()


@scenario("semantics-eureka", "eureka")
def eureka(case: Case) -> None:
    """OUT_OF_SERVICE, DOWN, STARTING, zone, secure port."""
    rows = Rows(case)
    plain, other = rows.pair("row-out")
    rows.registrar.register(plain, other)
    rows.share("row-out", 0.5, "UP", other)
    rows.server.set_status(other, "OUT_OF_SERVICE")
    rows.share("row-out", 0.0, "OUT_OF_SERVICE by the operator", other)
    rows.server.set_status(other, "UP")
    rows.share("row-out", 0.5, "UP again", other)
    for status in ("DOWN", "STARTING", "UNKNOWN"):
        name = f"row-{status.lower()}"
        plain, other = rows.pair(name, extra={"status": status})
        rows.registrar.register(plain, other)
        rows.share(name, 0.0, status, other)
    plain, other = rows.pair("row-zone", metadata={"zone": "z2"})
    rows.registrar.register(plain, other)
    rows.share("row-zone", 0.5, "metadata zone z2", other)
    rows.end()


@scenario("semantics-consul", "consul")
def consul(case: Case) -> None:
    """Check warning and critical, maintenance mode, weights."""
    rows = Rows(case)
    plain, other = rows.pair("row-checks")
    rows.registrar.register(plain, other)
    rows.share("row-checks", 0.5, "passing", other)
    rows.registrar.abandon(other)
    rows.server.check(other, "warn")
    rows.share("row-checks", 0.5, "check in warning (warningPasses)", other)
    rows.server.check(other, "fail")
    rows.share("row-checks", 0.0, "check critical", other)
    plain, other = rows.pair("row-maintenance")
    rows.registrar.register(plain, other)
    rows.share("row-maintenance", 0.5, "before maintenance", other)
    rows.server.maintain(other, True)
    rows.share("row-maintenance", 0.0, "maintenance mode", other)
    rows.server.maintain(other, False)
    rows.share("row-maintenance", 0.5, "maintenance over", other)
    plain, other = rows.pair("row-weights", extra={"Weights": {"Passing": 3, "Warning": 1}})
    rows.registrar.register(plain, other)
    rows.share("row-weights", 0.75, "Weights.Passing 3 beside 1", other)
    rows.end()


@scenario("semantics-zookeeper", "zookeeper")
def zookeeper(case: Case) -> None:
    """Spring Cloud's status; Dubbo's weight, disabled, tag, version and group, as a router of requests sees them."""
    rows = Rows(case)
    plain, other = rows.pair("row-status", extra={"status": "OUT_OF_SERVICE"})
    rows.registrar.register(plain, other)
    rows.share("row-status", 0.0, "instance_status OUT_OF_SERVICE", other)
    for row, wanted, values, weight in (
        ("Dubbo weight 50 beside 100", 1 / 3, {}, 50.0),
        ("Dubbo weight 0", 0.0, {}, 0.0),
        ("Dubbo disabled=true", 0.0, {"disabled": "true"}, 100.0),
        ("Dubbo tag gray", 0.5, {"dubbo.tag": "gray"}, 100.0),
    ):
        name = f"lab.Row{len(rows.names)}"
        dubbo = {"protocol": "rest"}
        service = f"row-dubbo-{len(rows.names)}"
        number = 2 * len(rows.names) + 1
        plain, other = instances(name, 2, start=number)
        plain = replace(plain, weight=100.0, extra=dubbo | {"url": {}})
        other = replace(other, weight=weight, extra=dubbo | {"url": values})
        rows.world.backends.start(plain, other)
        rows.registrar.register(plain, other)
        rows.names.append(service)
        from world import from_registry
        from world import service as documents

        rows.world.write(f"dubbo-{service}", *documents(service, from_registry("legacy", name)))
        rows.names.remove(service)
        rows.names.append(f"none-{len(rows.names)}")
        rows.share(service, wanted, row, other)
    rows.end()


@scenario("names-import", "nacos3", "consul", "zookeeper")
def names_import(case: Case) -> None:
    """Services that no MeshService names are imported and usable at once, whatever their names look like."""
    from world import route

    server = case.server()
    registrar = case.registrar(server)
    world = case.world()
    names = ["plain", "with-dash", "Upper.Dotted_Name"] + (["中文服务"] if case.kind.type == "ZooKeeper" else [])
    all_ = [instances(name, 1, start=number + 1)[0] for number, name in enumerate(names)]
    world.backends.start(*all_)
    registrar.register(*all_)
    world.write("world", case.registry(server.address()), *(route(name) for name in ("plain", "with-dash")))
    world.start()
    world.until_state("legacy", "live")
    world.until_served("plain", all_[0])
    world.until_served("with-dash", all_[1])
    seen = {str(one.get("name")) for one in world.services("legacy")}
    case.figure("services", sorted(seen))
    missing = [name for name in names if name not in seen]
    case.check(not missing, f"not shown: {missing}")
