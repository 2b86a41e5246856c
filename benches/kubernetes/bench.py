"""Inside the bed: loads the API server, starts Isthmus, takes the times, writes REPORT.md into the work folder."""

from __future__ import annotations

import shutil
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import backends
import documents
import report
from cluster import WORK, Cluster, Object, condition, eventually, is_current, make, path
from documents import NAMESPACE
from follow import Follower
from isthmus import Replica, Replicas

STARTS = 3
IDLE = 30.0
LONG = 300.0


@dataclass
class Sizes:
    routes: int = 1000
    endpoint_changes: int = 100
    route_changes: int = 50
    gateway_changes: int = 10


@dataclass
class Figures:
    """Seconds and MiB."""

    sizes: Sizes
    ready: list[float] = field(default_factory=list)
    start_cpu: list[float] = field(default_factory=list)
    start_rss: list[float] = field(default_factory=list)
    again_ready: float = 0
    statuses: float = 0
    statuses_cpu: float = 0
    peak_rss: float = 0
    idle_rss: float = 0
    idle_cpu: float = 0
    idle_writes: int = 0
    idle_events: int = 0
    watch: list[float] = field(default_factory=list)
    envoy: list[float] = field(default_factory=list)
    behind_watch: list[float] = field(default_factory=list)
    route_status: list[float] = field(default_factory=list)
    route_envoy: list[float] = field(default_factory=list)
    gateway_status: list[float] = field(default_factory=list)


def say(text: str) -> None:
    print(f"{time.monotonic() - BEGAN:7.1f} s  {text}", flush=True)


BEGAN = time.monotonic()


def load(cluster: Cluster, sizes: Sizes) -> None:
    def create(thing: Object) -> None:
        cluster.do("POST", path(thing["kind"], NAMESPACE), thing)

    cluster.apply(
        make("Namespace", "", NAMESPACE),
        make("GatewayClass", "", documents.CLASS, spec={"controllerName": "isthmus.dev/gateway-controller"}),
        *documents.gateway(),
    )
    for make_one in (documents.service, lambda i: documents.slice_of(i, 0), documents.route):
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda i: create(make_one(i)), range(sizes.routes)))


def accepted(route: Object) -> bool:
    parents = route.get("status", {}).get("parents", [])
    return bool(parents) and is_current(route, condition(parents[0]["conditions"], "Accepted"))


def programmed(gateway: Object) -> bool:
    return is_current(gateway, condition(gateway.get("status", {}).get("conditions", []), "Programmed"))


def start(replica: Replica, figures: Figures | None, fresh: bool) -> float:
    """Starts it and waits until it is ready; the time that took."""
    if fresh:
        shutil.rmtree(WORK / f"state-{replica.name}", ignore_errors=True)
    began = time.monotonic()
    replica.start()
    took = eventually("it is ready", LONG, replica.ready, pause=0.005)[1]
    took = max(took, time.monotonic() - began)
    if figures and fresh:
        figures.ready.append(took)
        figures.start_cpu.append(replica.cpu())
        figures.start_rss.append(replica.rss())
    say(f"ready after {took:.2f} s, {replica.cpu():.2f} s of CPU, {replica.rss():.0f} MiB")
    return took


def writes(replica: Replica) -> float:
    return sum(replica.metrics("isthmus_status_writes_total").values())


def changes(cluster: Cluster, address: str, figures: Figures) -> None:
    sizes, probe = figures.sizes, backends.Probe(address)
    slices = Follower(cluster, "EndpointSlice", NAMESPACE)
    for n in range(sizes.endpoint_changes):
        i, turn = (n * 7) % sizes.routes, n // sizes.routes + 1
        wanted = documents.slice_of(i, turn)
        new = set(documents.addresses(i, turn))
        began = time.monotonic()
        done = cluster.do("PUT", path("EndpointSlice", NAMESPACE, wanted["metadata"]["name"]), wanted)
        at_envoy = probe.until(documents.host(i), lambda _, body: body in new, f"the move of {documents.name(i)}")
        at_watch = slices.seen(done["metadata"]["resourceVersion"])
        figures.watch.append(at_watch - began)
        figures.envoy.append(at_envoy - began)
        figures.behind_watch.append(at_envoy - at_watch)
    say(f"{sizes.endpoint_changes} endpoint changes")

    routes = Follower(cluster, "HTTPRoute", NAMESPACE)
    for n in range(sizes.route_changes):
        i = (n * 13) % sizes.routes
        wanted = documents.route(i, f"m{n}")
        began = time.monotonic()
        done = cluster.patch("HTTPRoute", NAMESPACE, documents.name(i), {"spec": wanted["spec"]})
        generation = done["metadata"]["generation"]

        def written() -> bool:
            one = routes.objects.get(documents.name(i), {})
            return one.get("metadata", {}).get("generation") == generation and accepted(one)

        figures.route_status.append(routes.until(f"the status of {documents.name(i)}", written, 30) - began)
    say(f"{sizes.route_changes} route changes")

    gateways = Follower(cluster, "Gateway", NAMESPACE)
    for n in range(sizes.gateway_changes):
        wanted = documents.gateway([f"x{n}.example.org"])[1]
        began = time.monotonic()
        done = cluster.patch("Gateway", NAMESPACE, "edge", {"spec": wanted["spec"]})
        generation = done["metadata"]["generation"]

        def acknowledged() -> bool:
            one = gateways.objects["edge"]
            return one["metadata"]["generation"] == generation and programmed(one)

        figures.gateway_status.append(gateways.until("the Gateway is programmed", acknowledged, 60) - began)
    say(f"{sizes.gateway_changes} Gateway changes")


def main() -> None:
    quick = "--quick" in sys.argv
    sizes = Sizes(100, 20, 10, 3) if quick else Sizes()
    figures = Figures(sizes)
    cluster = Cluster()
    backends.serve()
    replicas = Replicas(cluster)
    replica = replicas.all[0]
    cluster.apply(*replicas.objects())
    load(cluster, sizes)
    say(f"loaded: {sizes.routes} HTTPRoutes, Services and EndpointSlices of {documents.ENDPOINTS}")

    # The first start finds no status at all, and writes all of them.
    routes = Follower(cluster, "HTTPRoute", NAMESPACE)
    began = time.monotonic()
    start(replica, figures, fresh=True)
    pending = list(routes.objects)

    def all_written() -> bool:
        while pending and accepted(routes.objects[pending[-1]]):
            pending.pop()
        return not pending

    figures.statuses = routes.until("all statuses are written", all_written, LONG) - began
    figures.statuses_cpu = replica.cpu()
    say(f"{sizes.routes} statuses written {figures.statuses:.2f} s after the start")

    def reached() -> str | None:
        gateway = cluster.get("Gateway", NAMESPACE, "edge") or {}
        found = gateway.get("status", {}).get("addresses", [])
        return found[0]["value"] if found and programmed(gateway) else None

    address = eventually("the Gateway is programmed", LONG, reached)[0]
    assert address is not None
    say(f"the Gateway is programmed at {address}")
    last = sizes.routes - 1
    own = documents.addresses(last, 0)
    backends.Probe(address).until(documents.host(last), lambda status, body: body in own, "the gateway answers", 60)

    before, written, cpu = routes.events, writes(replica), replica.cpu()
    time.sleep(IDLE)
    figures.idle_events, figures.idle_writes = routes.events - before, int(writes(replica) - written)
    figures.idle_cpu, figures.idle_rss = replica.cpu() - cpu, replica.rss()
    say(f"idle for {IDLE:g} s: {figures.idle_writes} statuses written, {figures.idle_cpu:.2f} s of CPU")

    changes(cluster, address, figures)
    figures.peak_rss = peak(replica)

    # Starts with an empty state folder, and one with the last good state.
    for _ in range(STARTS - 1):
        replica.kill()
        start(replica, figures, fresh=True)
    replica.kill()
    figures.again_ready = start(replica, figures, fresh=False)
    (WORK / "REPORT.md").write_text(report.text(figures))
    print((WORK / "REPORT.md").read_text())


def peak(replica: Replica) -> float:
    """MiB at most, so far."""
    with open(f"/proc/{replica.pid}/status") as file:
        line = next(line for line in file if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


main()
