"""What each thing that a registry says of an instance makes Envoy do, one row each."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from typing import Any
from urllib.parse import quote

from bed import Failure, Instance, until
from case import Case, instances, scenario
from driver import Driver
from world import NAMESPACE, WEB, World, from_registry, host, items, route, service

SAMPLE = 2000
QUICK_SAMPLE = 600
# Of a share between none and all; those two have to be exact.
TOLERANCE = 0.03


class Rows:
    """Two instances, one plain and one odd; what share of the requests does the odd one get?"""

    def __init__(self, case: Case, **spec: Any) -> None:
        self.case, self.server = case, case.server()
        self.registrar = case.registrar(self.server)
        self.world: World = case.world()
        self.spec = spec
        # Our name of each row, and the registry's.
        self.names: dict[str, str] = {}
        self.failed: list[str] = []
        self._write()
        self.world.start()
        self.world.until_state("legacy", "live")

    def _write(self) -> None:
        group = self.case.kind.group
        rows = [service(name, from_registry("legacy", of, group)) for name, of in self.names.items()]
        documents = [document for row in rows for document in row]
        self.world.write("world", self.case.registry(self.server.address(), **self.spec), *documents)

    def edit(self, **spec: Any) -> None:
        """The Registry document, live."""
        self.spec |= spec
        self._write()

    def pair(self, name: str, of: str = "", **odd: Any) -> tuple[Instance, Instance]:
        """A service of its own for each row; `of` is its name in the registry."""
        number = 2 * len(self.names) + 1
        plain, other = instances(of or name, 2, start=number)
        other = replace(other, **odd)
        self.world.backends.start(plain, other)
        self.route(name, of)
        return plain, other

    def route(self, name: str, of: str = "") -> None:
        self.names[name] = of or name
        self._write()

    def labels(self, name: str, one: Instance) -> dict[str, str]:
        """What the program keeps of the instance."""
        return next((dict(said["labels"]) for said in self.instances(name) if said["host"] == one.ip), {})

    def instances(self, name: str) -> list[dict[str, Any]]:
        group, of = self.case.kind.group, self.names[name]
        identity = quote(f"{group}@@{of}" if group else of, safe="")
        text = self.world.get(f"/api/v1/registries/{NAMESPACE}/legacy/services/{identity}/instances?format=json")
        return items(json.loads(text)) if text else []

    def holds(self, row: str, wanted: Any, got: Any) -> None:
        self.case.figure(row, f"{got}" if got == wanted else f"{got} (wanted {wanted})")
        if got != wanted:
            self.failed.append(row)

    def share(self, name: str, wanted: float, row: str, odd: Instance, within: float = 20.0) -> None:
        """The share of the odd one is what was wanted, ± 3 points, as soon as the change has arrived."""
        tolerance = TOLERANCE if 0 < wanted < 1 else 0.0
        count = QUICK_SAMPLE if self.case.quick else SAMPLE
        deadline = time.monotonic() + within
        while True:
            share = self._share(name, odd.key, count)
            if abs(share - wanted) <= tolerance or time.monotonic() > deadline:
                break
        envoy = _in_envoy(self.world.hosts(f"{NAMESPACE}/{name}").get(odd.key))
        self.case.figure(row, f"{100 * share:.1f} % of the traffic (wanted {100 * wanted:.0f}); {envoy}")
        if abs(share - wanted) > tolerance:
            self.failed.append(row)

    def _share(self, name: str, key: str, count: int) -> float:
        # Not one of the world's: a request before the change has arrived may well fail.
        driver = Driver(WEB, host(name), 800, connections=8)
        until("enough requests", lambda: len(driver.answers) >= count, 30, 0.05)
        answers = driver.stop()
        good = [one for one in answers if one.good]
        return sum(one.by == key for one in good) / len(good) if len(good) > count / 2 else -1.0

    def end(self) -> None:
        if self.failed:
            raise Failure(f"rows that do not hold: {', '.join(self.failed)}")


def _in_envoy(status: dict[str, Any] | None) -> str:
    if status is None:
        return "not in Envoy"
    health = status.get("health_status", {}).get("eds_health_status", "")
    return f"in Envoy with weight {status.get('weight', 1)}, {health.lower()}"


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
    # One of two healthy is 50 %; below 80 % Nacos wants all of them used. An instance without heartbeats is unhealthy
    # after 15 s and removed after 30: in between the threshold counts. The row above shows what happens without it.
    plain, other = rows.pair("row-protect")
    rows.registrar.register(plain, other)
    rows.server.protect("row-protect", 0.8)
    rows.share("row-protect", 0.5, "protect threshold 0.8, all healthy", other)
    rows.registrar.abandon(other)
    began = time.monotonic()
    until("Nacos calls one of the two unhealthy", lambda: rows.server.healthy("row-protect") == 1, 28, 0.2)
    case.figure("unhealthy, says Nacos, after, s", time.monotonic() - began)
    time.sleep(1)  # The push and the way to Envoy.
    rows.share("row-protect", 0.5, "protect threshold 0.8, one of two unhealthy", other, within=3)
    case.check(time.monotonic() - began < 30, "too slow a machine: Nacos has removed the instance meanwhile")
    rows.share("row-protect", 0.0, "protect threshold 0.8, the other one removed", other, within=40)
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
    zone = next((said["zone"] for said in rows.instances("row-zone") if said["host"] == other.ip), "")
    rows.holds("its zone, as served", "z2", zone)
    _secure(rows)
    rows.end()


def _secure(rows: Rows) -> None:
    """The back ends at the secure ports speak plain HTTP, for what is asked is which port Envoy takes; that one wants
    TLS is told by a finding."""
    plain, other = rows.pair("row-secure-only", extra={"securePort": 8443, "onlySecure": True})
    secure = replace(other, port=8443)
    rows.world.backends.start(secure)
    rows.registrar.register(plain, other)
    rows.share("row-secure-only", 0.5, "secure port 8443, plain one off: at 8443", secure)
    rows.holds("of that one, is the port marked as secure", [True], _marks(rows, "row-secure-only", other))
    plain, other = rows.pair("row-secure-too", extra={"securePort": 8443})
    secure = replace(other, port=8443)
    rows.world.backends.start(secure)
    rows.registrar.register(plain, other)
    rows.share("row-secure-too", 0.5, "secure port 8443 beside the plain one: at the plain one", other)
    rows.edit(eureka=rows.case.kind.options["eureka"] | {"preferSecure": True})
    rows.share("row-secure-too", 0.5, "the same, preferSecure: at 8443", secure, within=40)
    findings = rows.world.get("/api/v1/findings?format=json") or ""
    rows.holds("a finding says that TLS is wanted", True, "want TLS" in findings)


def _marks(rows: Rows, name: str, one: Instance) -> list[bool]:
    return [said["secure"] for said in rows.instances(name) if said["host"] == one.ip]


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
    """Spring Cloud's status and secure port (an application with an `sslPort` is called there)."""
    rows = Rows(case)
    for status in ("OUT_OF_SERVICE", "DOWN"):
        name = f"row-{status.lower().replace('_', '-')}"
        plain, other = rows.pair(name, extra={"status": status})
        rows.registrar.register(plain, other)
        rows.share(name, 0.0, f"instance_status {status}", other)
    plain, other = rows.pair("row-secure", extra={"sslPort": 8443})
    secure = replace(other, port=8443)
    rows.world.backends.start(secure)
    rows.registrar.register(plain, other)
    rows.share("row-secure", 0.5, "sslPort 8443 beside the plain port: at 8443", secure)
    rows.holds("of that one, is the port marked as secure", [True], _marks(rows, "row-secure", other))
    findings = rows.world.get("/api/v1/findings?format=json") or ""
    rows.holds("a finding says that TLS is wanted", True, "want TLS" in findings)
    rows.end()


@scenario("semantics-dubbo", "zookeeper")
def dubbo(case: Case) -> None:
    """Dubbo at the interface level, by the URLs of its nodes: weight, disabled, tag, warm-up, version, group, and the
    configurators that Dubbo Admin writes. Tag and warm-up leave the shares as they are: they are labels, for rules."""
    rows = Rows(case)
    # The second figure of a URL is a hundredth: Dubbo's usual weight is 100.
    usual = {"weight": 100.0, "extra": {"protocol": "rest", "url": {}}}

    def row(name: str, text: str, wanted: float, weight: float = 100.0, **url: str) -> tuple[Instance, Instance]:
        interface = f"lab.{name.title().replace('-', '')}"
        extra = {"protocol": "rest", "url": {key.replace("_", "."): value for key, value in url.items()}}
        plain, other = rows.pair(name, interface, weight=weight, extra=extra)
        rows.registrar.register(replace(plain, **usual), other)
        rows.share(name, wanted, text, other)
        return plain, other

    row("row-half", "weight 50 beside 100", 1 / 3, weight=50.0)
    row("row-none", "weight 0", 0.0, weight=0.0)
    row("row-disabled", "disabled=true", 0.0, disabled="true")
    row("row-off", "enabled=false", 0.0, enabled="false")
    _, gray = row("row-tag", "dubbo.tag=gray", 0.5, dubbo_tag="gray")
    rows.holds("its label dubbo.tag", "gray", rows.labels("row-tag", gray).get("dubbo.tag"))
    _, warm = row("row-warm", "timestamp and warmup", 0.5, timestamp="1795529178957", warmup="600000")
    labels = rows.labels("row-warm", warm)
    said = [labels.get("dubbo.timestamp"), labels.get("dubbo.warmup")]
    rows.holds("its labels dubbo.timestamp, dubbo.warmup", ["1795529178957", "600000"], said)
    _configured(rows, usual)
    _versions(rows, usual)
    rows.end()


def _configured(rows: Rows, usual: dict[str, Any]) -> None:
    interface = "lab.RowConfigured"
    plain, other = (replace(one, **usual) for one in rows.pair("row-configured", interface))
    rows.registrar.register(plain, other)
    rows.share("row-configured", 0.5, "before a configurator", other)
    client = rows.registrar.client
    for text, wanted, words in (
        ("configurator: disabled=true for one address", 0.0, "disabled=true"),
        ("configurator: weight=300 for one address", 0.75, "weight=300"),
    ):
        url = f"override://{other.key}/{interface}?category=configurators&dynamic=false&{words}"
        path = f"/dubbo/{interface}/configurators/{quote(url, safe='')}"
        client.create(path, b"", makepath=True)
        rows.share("row-configured", wanted, text, other)
        client.delete(path)
        rows.share("row-configured", 0.5, f"{text}, taken back", other)


def _versions(rows: Rows, usual: dict[str, Any]) -> None:
    """One interface, three services: none of a provider's version and group serves another."""
    interface = "lab.RowVersions"
    one, two = rows.pair("row-v1", f"{interface}:1.0.0")
    three = replace(two, ip=two.ip.replace("10.99.1.", "10.99.3."))
    rows.world.backends.start(three)

    def provider(at: Instance, **url: str) -> Instance:
        return replace(at, service=interface, weight=100.0, extra={"protocol": "rest", "url": url})

    rows.registrar.register(
        provider(one, version="1.0.0"), provider(two, version="2.0.0", group="blue"), provider(three, group="blue")
    )
    rows.share("row-v1", 1.0, "version 1.0.0: its own provider", one)
    rows.share("row-v1", 0.0, "version 1.0.0: the provider of 2.0.0", two)
    rows.route("row-v2", f"{interface}:2.0.0:blue")
    rows.share("row-v2", 1.0, "version 2.0.0 of group blue: its own provider", two)
    labels = rows.labels("row-v2", two)
    said = [labels.get("dubbo.version"), labels.get("dubbo.group")]
    rows.holds("its labels dubbo.version, dubbo.group", ["2.0.0", "blue"], said)
    rows.route("row-v3", f"{interface}::blue")
    rows.share("row-v3", 1.0, "group blue without a version: its own provider", three)


@scenario("names-import", "nacos3", "consul", "zookeeper")
def names_import(case: Case) -> None:
    """Services that no MeshService names are imported and usable at once, whatever their names look like."""
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
