"""How long it takes from the registry's word to Envoy's routing."""

from __future__ import annotations

import time

from bed import Server
from case import ALL, Case, instances, scenario
from driver import percentile


@scenario("propagation", *ALL)
def propagation(case: Case) -> None:
    """Register → Envoy routes to it; deregister → Envoy stops. One back end stays; another comes and goes."""
    _measure(case, case.server(), case.kind.bound, case.kind.why)


@scenario("propagation-prompt", "nacos3", "nacos2")
def propagation_prompt(case: Case) -> None:
    """The same with a Nacos that gathers changes for 50 ms instead of 500: what is left is its tick and our part."""
    _measure(case, case.server(push_delay_ms=50), 0.5, "the target for registries that push")


def _measure(case: Case, server: Server, bound: float, why: str) -> None:
    samples = 10 if case.quick else 50
    registrar = case.registrar(server)
    stays, comes = instances("orders", 2)
    case.world().backends.start(stays, comes)
    registrar.register(stays)
    world = case.world()
    world.write("world", case.registry(server.address()), *case.served())
    world.start()
    world.until_served("orders", stays, within=60)
    world.until_state("legacy", "live")
    probe = world.probe("orders")
    came, went = [], []
    for _ in range(samples):
        began = time.monotonic()
        registrar.register(comes)
        answer = probe.until_seen(comes.key)
        came.append(answer.sent + answer.took - began)
        began = time.monotonic()
        registrar.deregister(comes)
        answer = probe.until_gone(comes.key)
        went.append(max(0.0, answer.sent - began))
    acks, seconds = (world.metric(f"isthmus_registry_ack_seconds_{part}") for part in ("count", "sum"))
    case.figure("report to ACK, mean, s", seconds / acks if acks else "no ACK was measured")
    case.figure("samples", samples)
    measures = {"register": came, "deregister": went}
    for name, values in measures.items():
        case.figure(f"{name} p50, s", percentile(values, 0.5))
        case.figure(f"{name} worst, s", max(values))
    for name, values in measures.items():
        case.within(f"{name} p99, s", percentile(values, 0.99), bound, why)


@scenario("new-service", *ALL)
def new_service(case: Case) -> None:
    """A service that the registry never had before, imported without a MeshService: register → Envoy routes to it."""
    samples = 3 if case.quick else 10
    server = case.server()
    registrar = case.registrar(server)
    world = case.world()
    from world import route

    names = [f"fresh-{number}" for number in range(samples)]
    all_ = {name: instances(name, 1, start=number + 1)[0] for number, name in enumerate(names)}
    world.backends.start(*all_.values())
    world.write("world", case.registry(server.address()), *(route(name) for name in names))
    world.start()
    world.until_state("legacy", "live")
    took = []
    for name, one in all_.items():
        began = time.monotonic()
        registrar.register(one)
        answer = world.probe(name).until_seen(one.key, 30)
        took.append(answer.sent + answer.took - began)
    case.figure("p50, s", percentile(took, 0.5))
    why = f"2 s until a new name is seen, then as any other change: {case.kind.why}"
    case.within("worst, s", max(took), 2.0 + case.kind.bound, why)
