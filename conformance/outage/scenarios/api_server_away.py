"""The API server is gone for two minutes. Meanwhile a replica is killed and started again, and later an Envoy too."""

import os
import signal
import time

from case import Case
from cluster import Object, eventually
from load import Load
from world import World, processes_of, route

AWAY = 120


def play(world: World, case: Case) -> None:
    replicas = world.replicas
    leader, _ = replicas.wait_leader()
    other = next(replica for replica in replicas.all if replica is not leader)
    before = leader.content()
    case.need("both serve the same", other.content() == before)
    envoys = world.envoys("shop", "edge")
    contents: set[str] = set()

    def same() -> bool:
        # What has just been started says nothing yet.
        contents.update(said for replica in replicas.all if (said := replica.content()))
        return contents == {before}

    with case.load([world.target()]) as load:
        world.server.kill()
        began = time.monotonic()
        try:
            for replica in replicas.all:
                says = lambda r=replica: (said := r.source())["state"] == "stale" and said  # noqa: E731
                state, took = eventually(f"{replica.name} says that it is stale", 30, says)
                case.check(f"replica {replica.name} says that it is stale, and since when", state.get("freshAt"), f"{took:.1f} s")
                eventually("a finding names the API server", 10, lambda r=replica: r.findings("cannot be reached"))
                case.check("... and names the API server in a finding", True)
            eventually("nobody leads", 30, lambda: not any(r.metrics("isthmus_leader").get("", 0) for r in replicas.all))
            case.check("nobody leads", True)

            leader.kill()
            leader.start()
            case.within("a replica that was killed is ready again, from disk", leader.wait_ready(60))
            eventually("it says what it serves", 30, leader.content)
            case.check("... and serves the same as before", same(), contents)
            _, took = eventually("all Envoys are in step", 60, lambda: world.in_step("shop/edge") == len(envoys))
            case.within("all Envoys are connected and in step", took)
            # So that only the one that was started again is there for whoever asks now.
            other.kill()
            _, took = eventually("the Envoys come to the one that was started again", 60, lambda: world.in_step("shop/edge") == len(envoys))
            case.within("the other replica is killed too: all Envoys come to the one that was started again", took)
            other.start()
            case.within("the other one is ready again", other.wait_ready(60))
            eventually("it says what it serves", 30, other.content)
            case.check("... and serves the same as before", same(), contents)

            restart_envoy(world, case, load, envoys[0])
            while time.monotonic() < began + AWAY:
                same()
                time.sleep(0.5)
            case.check("what is served never changed", same(), contents)
        finally:
            away = time.monotonic() - began
            took = world.server.start()
        case.figure(f"API server away for {away:.0f} s, ready {took:.0f} s after its start")
        back = time.monotonic()
        for replica in replicas.all:
            eventually(f"replica {replica.name} is live", 60, replica.live)
        case.within("both are live again", time.monotonic() - back)
        case.within("one of them leads", replicas.wait_leader()[1])
        case.check("what is served is still the same", same(), contents)
        world.cluster.apply(route("shop", "later", "later.example.com"))
        case.within("a new route is accepted", world.wait_route("shop", "later"))
        case.within("... and answered", world.wait_answer(world.target("later.example.com")))
        case.within("all Envoys are in step", world.wait_envoys("shop", "edge"))
    world.remove(route("shop", "later", "later.example.com"))


def restart_envoy(world: World, case: Case, load: Load, pod: Object) -> None:
    """With the API server gone nobody can take it out of the load balancer, so what comes to it in between is refused."""
    address = pod["status"]["podIP"]
    begin = time.monotonic()
    for pid in processes_of(address):
        os.kill(pid, signal.SIGKILL)
    direct = world.target(address=address)
    took = world.wait_answer(direct, 60)
    # Those that were on their way when it ended began before.
    load.excused.append((begin - 1, time.monotonic(), "an Envoy was killed, and the load balancer could not be told"))
    case.within("an Envoy that was killed serves again, with what it got while the API server is away", took)
