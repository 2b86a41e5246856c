"""Services of the mesh that are registered in a registry, for callers that still look there."""

from __future__ import annotations

import json
import signal
import time
from typing import Any

from bed import Failure, Http, Server, until
from case import Case, instances, scenario
from world import NAMESPACE, OWN

ORIGIN = "isthmus.dev/origin"
SERVICE = "orders"
# Of Eureka, in seconds.
LEASE = 30


@scenario("reverse", "nacos3", "nacos2", "eureka")
def reverse(case: Case) -> None:
    """A MeshService and a Service are registered under names of their own choice, one beside a foreign instance: ready,
    not ready, ready again, taken out, restarted. What is registered is never read back."""
    server = case.server()
    foreign, pod, other, fixed = instances(SERVICE, 4)
    case.registrar(server).register(foreign)
    world = case.world()
    registry = case.registry(server.address())

    def write(wanted: bool = True, ready: bool = True) -> None:
        mesh = {"ports": [{"port": 80, "targetPort": fixed.port}]}
        mesh |= {"sources": [{"static": {"endpoints": [{"address": fixed.ip}]}}, {"kubernetes": {"name": "pods"}}]}
        notes = {}
        if wanted:
            mesh["register"] = [{"registry": "legacy", "service": SERVICE}]
            notes = {"isthmus.dev/register": f"{NAMESPACE}/legacy/pods-there"}
        meta = {"name": "pods", "namespace": NAMESPACE}
        of = {"labels": {"kubernetes.io/service-name": "pods"}}
        ports = [{"port": 80, "targetPort": pod.port}]
        endpoints = [_endpoint(pod.ip, ready), _endpoint(other.ip, True)]
        world.write(
            "world",
            registry,
            *case.served(),
            {"apiVersion": OWN, "kind": "MeshService", "metadata": meta | {"name": "mesh"}, "spec": mesh},
            {"apiVersion": "v1", "kind": "Service", "metadata": meta | {"annotations": notes}, "spec": {"ports": ports}},
            {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "metadata": meta | of}
            | {"addressType": "IPv4", "ports": [{"port": pod.port}], "endpoints": endpoints},
        )

    def shows(name: str, **wanted: str) -> None:
        began = time.monotonic()
        all_ = {foreign.key: "UP"} | {one.key: "UP" for one in (pod, other, fixed)}
        all_ |= {{"pod": pod, "other": other, "fixed": fixed}[who].key: how for who, how in wanted.items()}
        expected = {key: how for key, how in all_.items() if how}
        until(f"{name}, seen as {_seen(case, server, SERVICE)}", lambda: _seen(case, server, SERVICE) == expected, 20)
        case.figure(f"{name} within, s", time.monotonic() - began)

    nobody = dict.fromkeys(("pod", "other", "fixed"), "")
    gone = "DOWN" if case.kind.type == "Eureka" else ""
    write()
    world.start(envoy=False)
    shows("registered")
    until("the Service is there", lambda: len(_seen(case, server, "pods-there")) == 2, 20)
    marks = {_mark(case, server, one.key) for one in (pod, other, fixed)}
    case.check(marks == {"isthmus"} and _mark(case, server, foreign.key) is None, f"the marks are {marks}")
    # What was registered has had its time to be read back, had it no mark.
    world.until_state("legacy", "live")
    time.sleep(3)
    case.check(_read_back(world) == {SERVICE: 1}, f"the source read {_read_back(world)}")
    write(ready=False)
    shows("not ready", pod=gone)
    write()
    shows("ready again")
    world.stop_program(signal.SIGTERM)
    world.start_program()
    shows("after a restart")
    write(wanted=False)
    shows("taken out", **nobody)
    case.check(_seen(case, server, "pods-there") == {}, "the Service is still there")
    write()
    shows("registered again")
    began = time.monotonic()
    world.stop_program()
    until("forgotten", lambda: len(_seen(case, server, SERVICE)) == 1, 4 * LEASE, 0.2)
    case.figure("forgotten by the registry after kill -9, s", time.monotonic() - began)


def _endpoint(ip: str, ready: bool) -> dict[str, Any]:
    return {"addresses": [ip], "conditions": {"ready": ready}}


def _read_back(world: Any) -> dict[str, int]:
    return {one["name"]: one["instances"] for one in world.services("legacy")}


def _seen(case: Case, server: Server, service: str) -> dict[str, str]:
    """Address and status of each instance, in the registry's own eyes."""
    return {key: how for key, (how, _) in _look(case, server, service).items()}


def _mark(case: Case, server: Server, key: str) -> str | None:
    return _look(case, server, SERVICE)[key][1].get(ORIGIN)


def _look(case: Case, server: Server, service: str) -> dict[str, tuple[str, dict[str, str]]]:
    http = Http("10.99.0.1", server.port, {"Accept": "application/json"})
    if case.kind.type == "Nacos":
        query = {"serviceName": service, "groupName": "DEFAULT_GROUP"}
        status, body = http.call("GET", "/nacos/v1/ns/instance/list", query)
        if status != 200:
            raise Failure(f"Nacos answered {status}: {body[:200]!r}")
        hosts = json.loads(body)["hosts"]
        return {f"{h['ip']}:{h['port']}": ("UP" if h["healthy"] else "DOWN", h["metadata"]) for h in hosts}
    # One by one: lists come out of Eureka's cache, and one that is read while several register was seen to stay old for
    # 20 s and more.
    out: dict[str, tuple[str, dict[str, str]]] = {}
    for ip in (one.ip for one in instances(SERVICE, 4)):
        for name in (f"{ip}:{service}:8080", f"isthmus:isthmus:{ip}:{service}:8080"):
            status, body = http.call("GET", f"/eureka/apps/{service.upper()}/{name}")
            if status == 200:
                one = json.loads(body)["instance"]
                out[f"{one['ipAddr']}:{one['port']['$']}"] = (one["status"], one["metadata"])
            elif status != 404:
                raise Failure(f"Eureka answered {status}: {body[:200]!r}")
    return out
