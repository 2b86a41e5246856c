"""Loads that no real registry bears on two cores: a Nacos-shaped double that pushes as fast as wanted."""

from __future__ import annotations

import json
import os
import threading
import time
from pathlib import Path
from typing import Any

from bed import HOST, Http, Instance, Server, fetched, until
from case import Case, instances, scenario
from driver import percentile
from world import from_registry, registry, service

RATE = 8600
GROUP = "DEFAULT_GROUP"


class Double(Server):
    kind, port = "double", 8848

    def __init__(self, work: Any) -> None:
        super().__init__(work)
        self.http = Http(HOST, self.port, timeout=120)

    def command(self) -> list[str]:
        return [str(fetched(self.kind) / "double"), "-listen", self.address()]

    def ready(self) -> bool:
        return self.http.call("GET", "/bed/stats")[0] == 200

    def fill(self, services: int, each: int) -> None:
        self.http.json("POST", "/bed/fill", {"services": services, "instances": each})

    def storm(self, rate: int, seconds: int) -> dict[str, Any]:
        return self.http.json("POST", "/bed/storm", {"rate": rate, "seconds": seconds})

    def service(self, name: str, *hosts: dict[str, Any]) -> None:
        """The full set of one service, word for word: it may be as hostile as wanted."""
        self.http.json("POST", "/bed/service", {"name": name}, list(hosts))

    def mute(self, name: str) -> None:
        """Questions about this service are refused from now on; its changes are pushed as before."""
        self.http.json("POST", "/bed/mute", {"name": name})

    def stats(self) -> dict[str, Any]:
        return self.http.json("GET", "/bed/stats")


def entry(one: Instance, **rest: Any) -> dict[str, Any]:
    out = {"instanceId": one.key, "ip": one.ip, "port": one.port, "weight": one.weight, "healthy": True}
    out |= {"enabled": True, "ephemeral": True, "clusterName": "DEFAULT", "serviceName": f"{GROUP}@@{one.service}"}
    return out | {"metadata": one.metadata} | rest


def start(case: Case) -> Double:
    double = Double(case.work)
    case.stack.callback(double.end)
    double.start()
    return double


def _others() -> float:
    """CPU seconds of the machine that went to processes outside the bed: what a lag may be the fault of."""
    ticks = os.sysconf("SC_CLK_TCK")
    all_ = [int(word) for word in Path("/proc/stat").read_text().splitlines()[0].split()[1:]]
    busy = (sum(all_[:8]) - all_[3] - all_[4]) / ticks
    own = 0
    for file in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = file.read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue  # It has ended.
        own += int(fields[11]) + int(fields[12])
    return busy - own / ticks


@scenario("storm")
def storm(case: Case) -> None:
    """8,600 registrations/s for 30 s over 2,000 services × 10 from a Nacos-shaped double, which gathers the changes of
    a service for 500 ms, as Nacos does. A marker service changes beside it: its lag is registration → Envoy routes to
    it."""
    services, each, seconds = 2000, 10, 10 if case.quick else 30
    double = start(case)
    double.fill(services, each)
    world = case.world()
    one, two = instances("marker", 2)
    world.backends.start(one, two)
    double.service("marker", entry(one))
    world.write(
        "world",
        registry("legacy", "Nacos", double.address()),
        *service("marker", from_registry("legacy", "marker", GROUP)),
    )
    world.start()
    world.until_state("legacy", "live", within=120)
    world.until_served("marker", one, within=60)
    before, cpu = world.memory(), world.cpu_seconds()
    peak, busy, began_all = [before], _others(), time.monotonic()
    said: dict[str, Any] = {}
    blowing = threading.Thread(target=lambda: said.update(double.storm(RATE, seconds)))
    blowing.start()
    probe, lags, failed = world.probe("marker"), [], 0
    at, other = one, two
    while blowing.is_alive():
        began = time.monotonic()
        double.service("marker", entry(other))
        answer = probe.until_seen(other.key, 30)
        failed += 0 if answer.good else 1
        lags.append(answer.sent + answer.took - began)
        at, other = other, at
        peak.append(world.memory())
        time.sleep(0.2)
    blowing.join()
    ended = time.monotonic()
    case.figure("cores taken by others on this machine", (_others() - busy) / (ended - began_all))
    until("the last pushes are read", lambda: double.stats()["waiting"] == 0, 60, 0.1)
    case.figure("registrations/s", said["registrations"] / said["seconds"])
    case.figure("pushes/s sent", said["pushes"] / said["seconds"])
    case.figure("behind at the end, s", time.monotonic() - ended)
    case.figure("samples", len(lags))
    case.figure("marker lag p50, s", percentile(lags, 0.5))
    case.figure("marker lag p99, s", percentile(lags, 0.99))
    # Of each lag, the double's part: 0.5 s of gathering, and what it takes to come to it and to send it.
    theirs = double.stats()["lags"][-len(lags) :]
    ours = [max(0.0, whole - part) for whole, part in zip(lags, theirs, strict=False)]
    case.figure("of which the double p50, s", percentile(theirs, 0.5))
    case.figure("of which the double p99, s", percentile(theirs, 0.99))
    case.figure("RSS before, MB", before // 2**20)
    case.figure("RSS peak, MB", max(peak) // 2**20)
    case.figure("CPU, s", world.cpu_seconds() - cpu)
    why = "only the last push of each service is read, so a marker does not wait behind the storm"
    case.within("from the double's push to Envoy's routing p50, s", percentile(ours, 0.5), 0.2, why)
    why = "of some 35 samples this is the worst; a busy machine may hold up the program or Envoy for a second"
    case.within("from the double's push to Envoy's routing p99, s", percentile(ours, 0.99), 2, why)
    case.check(world.state("legacy") == "live", f"the source is {world.state('legacy')}")
    case.check(max(peak) < before + 512 * 2**20, "the memory is not bounded")


@scenario("many-services")
def many_services(case: Case) -> None:
    """10,000 services × 10 instances at the start: time to live, memory, requests made to the registry."""
    services = 2000 if case.quick else 10000
    double = start(case)
    double.fill(services, 10)
    world = case.world()
    world.write("world", registry("legacy", "Nacos", double.address()))
    began = time.monotonic()
    world.start(envoy=False)
    world.until_state("legacy", "live", within=300)
    case.figure("services", services)
    why = "10,000 requests, 64 at once, at 3 ms each, many times over for a busy machine"
    case.within("live after, s", time.monotonic() - began, 30, why)
    case.within("RSS, MB", world.memory() // 2**20, 400, "100,000 instances of 2 KB, twice over")
    case.figure("CPU, s", world.cpu_seconds())
    case.figure("requests", json.dumps(double.stats()["requests"]))
    said = world.registry("legacy")
    case.figure("services shown", said.get("services"))
    case.figure("instances shown", said.get("instances"))
    before, cpu = double.stats()["requests"], world.cpu_seconds()
    time.sleep(20)  # At rest.
    after = double.stats()["requests"]
    made = sum(after.values()) - sum(before.values())
    case.figure("requests/s at rest", made / 20)
    case.figure("CPU at rest, cores", (world.cpu_seconds() - cpu) / 20)
    case.check(int(said.get("services") or 0) >= services, f"only {said.get('services')} services are shown")
