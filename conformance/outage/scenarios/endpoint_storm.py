"""60 s of changes of EndpointSlices, 200 a second: of many services, and of the one under load, of which some back end always lives."""

import multiprocessing
import random
import time
from concurrent.futures import ThreadPoolExecutor

from case import Case
from cluster import Cluster, Object, eventually, make
from world import World, admin, echo, route

SECONDS = 60
RATE = 200
SERVICES = 60
# One process of Python does not write that much beside everything else.
PROCESSES = 4
WRITERS = 24
# Of the changes of one writer, one in so many is of the service under load: about four a second.
LIVE_SHARE = 2
BACK_ENDS = 4


def noise(number: int) -> list[Object]:
    """A service whose endpoints are nowhere; a route makes proxies want to know of them."""
    name = f"noise-{number}"
    port = {"name": "http", "port": 80, "targetPort": 3000}
    return [make("Service", "storm", name, spec={"ports": [port]}), route("storm", name, f"{name}.example.com", name)]


def piece(name: str, addresses: list[str]) -> Object:
    out = make(
        "EndpointSlice",
        "storm",
        f"{name}-1",
        addressType="IPv4",
        ports=[{"name": "http", "port": 3000, "protocol": "TCP"}],
        endpoints=[{"addresses": [address], "conditions": {"ready": True}} for address in addresses],
    )
    out["metadata"]["labels"] = {"kubernetes.io/service-name": name}
    return out


def storm(cluster: Cluster, live: list[str], writer: int, begin: float) -> tuple[dict[str, list[str]], int, list[str]]:
    """What one writer does: the last addresses of its services, how many changes it made, and what was refused. Each has
    services of its own, so that the last change of each is known."""
    chance = random.Random(writer)
    mine = [f"noise-{number}" for number in range(writer, SERVICES, WRITERS)]
    last, written, errors = {}, 0, []
    for number in range(RATE * SECONDS // WRITERS):
        now = time.monotonic()
        if now >= begin + SECONDS:
            break
        time.sleep(max(0.0, begin + (number * WRITERS + writer) / RATE - now))
        # The first writer has the service under load too.
        if writer == 0 and number % LIVE_SHARE == 0:
            name, addresses = "live", chance.sample(live, chance.randrange(1, len(live) + 1))
        else:
            hosts = {f"10.250.{chance.randrange(250)}.{chance.randrange(1, 250)}" for _ in range(chance.randrange(1, 20))}
            name, addresses = chance.choice(mine), sorted(hosts)
        try:
            cluster.patch("EndpointSlice", "storm", f"{name}-1", {"endpoints": piece(name, addresses)["endpoints"]})
        except Exception as error:  # noqa: BLE001 - counted
            errors.append(repr(error))
        else:
            last[name] = addresses
            written += 1
    return last, written, errors


def writers(live: list[str], first: int, begin: float) -> list[tuple[dict[str, list[str]], int, list[str]]]:
    """Those of one process."""
    cluster = Cluster()
    numbers = range(first, WRITERS, PROCESSES)
    with ThreadPoolExecutor(len(numbers)) as pool:
        return list(pool.map(lambda writer: storm(cluster, live, writer, begin), numbers))


def play(world: World, case: Case) -> None:
    cluster = world.cluster
    cluster.apply(make("Namespace", "", "storm"))
    # The back ends' own Service is not used: their addresses are written by the storm.
    cluster.apply(*echo("storm", "back", BACK_ENDS), *(thing for n in range(SERVICES) for thing in noise(n)))
    port = {"name": "http", "port": 80, "targetPort": 3000}
    cluster.apply(make("Service", "storm", "live", spec={"ports": [port]}), route("storm", "live", "storm.example.com", "live"))

    def ready() -> list[str]:
        pods = cluster.list("Pod", "storm", "app=back")
        ips = [p["status"].get("podIP", "") for p in pods if any(c["type"] == "Ready" and c["status"] == "True" for c in p["status"].get("conditions", []))]
        return ips if len(ips) == BACK_ENDS else []

    live, _ = eventually("the back ends are ready", 90, ready)
    cluster.apply(piece("live", live), *(piece(f"noise-{n}", ["10.250.0.1"]) for n in range(SERVICES)))
    target = world.target("storm.example.com", "storm")
    world.wait_answer(target)
    for number in range(SERVICES):
        world.wait_route("storm", f"noise-{number}")

    replicas = world.replicas.all
    with case.load([target, world.target()], 50) as load, multiprocessing.get_context("spawn").Pool(PROCESSES) as pool:
        begin = time.monotonic() + 3
        parts = pool.starmap_async(writers, [(live, first, begin) for first in range(PROCESSES)])
        time.sleep(max(0.0, begin - time.monotonic()))
        cpu = [replica.cpu() for replica in replicas]
        done = [part for process in parts.get(SECONDS + 60) for part in process]
        took = time.monotonic() - begin
        spent = [replica.cpu() - before for replica, before in zip(replicas, cpu)]
        written, errors = sum(part[1] for part in done), [error for part in done for error in part[2]]
        rate = written / took
        case.figure(f"{written} changes in {took:.0f} s, {rate:.0f}/s, {len(errors)} refused by the API server")
        case.check("the API server took the changes", not errors, errors[:1] or "")
        case.check(f"they came at {RATE}/s", rate > RATE * 0.9, f"{rate:.0f}/s")
        for replica, seconds in zip(replicas, spent):
            case.figure(f"replica {replica.name}: {100 * seconds / took:.0f} % of a core, RSS {replica.rss():.0f} MiB")

        last = {name: addresses for part in done for name, addresses in part[0].items()}
        wanted = {name: sorted(f"{address}:3000" for address in addresses) for name, addresses in last.items()}
        for pod in world.envoys("shop", "edge"):
            address = pod["status"]["podIP"]
            _, lag = eventually(f"Envoy {address} has the last state", 60, lambda a=address: held(a, wanted) == wanted)
            case.within(f"Envoy {pod['metadata']['name']} has the last state of all {len(wanted)} services", lag)
    answered = len(load.count[target].by_pod)
    case.check("all back ends were used", answered == BACK_ENDS, answered)
    cluster.delete("Namespace", "", "storm")
    eventually("the namespace is gone", 120, lambda: cluster.get("Namespace", "", "storm") is None)


def held(address: str, wanted: dict[str, list[str]]) -> dict[str, list[str]]:
    """Endpoints that an Envoy has, by service."""
    out: dict[str, list[str]] = {}
    for cluster in admin(address, "/clusters?format=json").get("cluster_statuses", []):
        name = next((part for part in cluster["name"].split("/") if part in wanted), None)
        if name:
            sockets = [host["address"]["socket_address"] for host in cluster.get("host_statuses", [])]
            out[name] = sorted(f"{socket['address']}:{socket['port_value']}" for socket in sockets)
    return out
