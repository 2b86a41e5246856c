"""Real applications instead of hand-made registrations: what they write is what they write."""

from __future__ import annotations

import json
import time
from urllib.parse import quote

from applications import DubboConsumer, DubboProvider, EurekaApp
from bed import HOST, Instance, until
from case import Case, scenario
from world import NAMESPACE, WEB, from_registry, route

PROVIDER = "10.99.2.1"


@scenario("dubbo", "zookeeper", "nacos3")
def dubbo(case: Case) -> None:
    """A Dubbo 3.3.6 provider (tri, registered at both levels, metadata remote) is seen at both levels; a Dubbo consumer
    calls it through Envoy; the provider's end in order is seen."""
    server = case.server()
    scheme = "zookeeper" if case.kind.type == "ZooKeeper" else "nacos"
    provider = DubboProvider(case.work, f"{scheme}://{server.address()}", PROVIDER)
    case.stack.callback(provider.end)
    provider.start()
    case.figure("provider ready in, s", provider.started_in)
    world = case.world()
    world.write("world", case.registry(server.address(), labels=["dubbo.*", "zone"]))
    world.start()
    world.until_state("legacy", "live")

    def listed() -> dict[str, dict]:
        return {str(one.get("name")): one for one in world.services("legacy")}

    until("both levels are seen", lambda: _interface(listed()) and "greet-app" in listed(), 30, 0.2)
    names = sorted(listed())
    case.figure("services", names)
    name = _interface(listed())
    text = world.get(f"/api/v1/registries/{NAMESPACE}/legacy/services/{_id(case, name)}/instances?format=json") or ""
    case.figure("interface-level instance", text[:400])
    # The consumer has no host of ours in mind, so this route takes them all.
    mesh = case.served("greet", protocol="GRPC")
    mesh[0]["spec"]["sources"] = [from_registry("legacy", name, case.kind.group)]
    any_host = route("greet")
    del any_host["spec"]["hostnames"]
    world.write("greet", mesh[0], any_host)
    consumer = DubboConsumer(case.work, f"tri://{HOST}:{WEB + 1}/lab.GreetService")
    relay = case.relays_to(("127.0.0.1", WEB), (HOST, WEB + 1))
    case.stack.callback(consumer.end)
    consumer.start()
    until("the consumer got ten answers through Envoy", lambda: consumer.greeted() >= 10, 60, 0.2)
    case.figure("answers through Envoy", consumer.greeted())
    case.figure("connections", relay.accepted)
    provider.process.terminate()
    began = time.monotonic()
    until("its end is seen", lambda: not _count(listed().get(name)), 90, 0.2)
    case.figure("its end seen after, s", time.monotonic() - began)


def _interface(names: dict[str, dict]) -> str:
    return next((name for name in names if "lab.GreetService" in name), "")


def _count(service: dict | None) -> int:
    return int((service or {}).get("instances", 0) or 0)


def _id(case: Case, name: str) -> str:
    return quote(f"{case.kind.group}@@{name}" if case.kind.group else name, safe="")


@scenario("spring-eureka", "eureka")
def spring_eureka(case: Case) -> None:
    """Two Spring Cloud applications; the server is killed and comes back empty, and they register again when their
    renewal is refused: no request is lost."""
    server = case.server()
    apps = [EurekaApp(case.work / str(n), server.address(), f"10.99.2.{n}", "orders") for n in (1, 2)]
    for app in apps:
        case.stack.callback(app.end)
        app.start(wait=False)
    for app in apps:
        app.wait_ready()
    world = case.world()
    world.write("world", case.registry(server.address()), *case.served())
    world.start()
    both = [Instance("orders", app.ip) for app in apps]
    world.until_served("orders", *both, within=60)
    driver = world.drive("orders", 100)
    began = time.monotonic()
    server.kill()
    world.until_state("legacy", "stale", within=60)
    server.restart(keep_data=False)
    world.until_state("legacy", "live", within=60)
    time.sleep(20)  # Spring renews every 5 s and registers again when it hears 404.
    case.figure("requests", driver.none_failed("Eureka back empty", began))
    case.figure("who answered", json.dumps(driver.by(began)))
