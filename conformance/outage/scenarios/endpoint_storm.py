"""60 s of changes of EndpointSlices, 200 a second: of many services, and of the one under load, of which some back end always lives."""

import random
import threading
import time

from case import Case
from cluster import Cluster, Object, eventually, make
from world import World, admin, echo, route

SECONDS = 60
RATE = 200
SERVICES = 60
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


class Storm:
    """Each writer has services of its own, so that the last write of each is known."""

    def __init__(self, cluster: Cluster, live: list[str]) -> None:
        self.cluster, self.live = cluster, live
        self.last: dict[str, list[str]] = {}
        self.written = 0
        self.errors: list[str] = []
        self.lock = threading.Lock()
        self.begin = 0.0

    def run(self) -> None:
        self.begin = time.monotonic()
        threads = [threading.Thread(target=self._write, args=(number,)) for number in range(WRITERS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def addresses(self, chance: random.Random) -> list[str]:
        return [f"10.250.{chance.randrange(250)}.{chance.randrange(1, 250)}" for _ in range(chance.randrange(1, 20))]

    def _write(self, writer: int) -> None:
        chance = random.Random(writer)
        mine = [f"noise-{number}" for number in range(writer, SERVICES, WRITERS)]
        number = writer
        while True:
            due = self.begin + number / RATE
            now = time.monotonic()
            if now >= self.begin + SECONDS:
                return
            if due > now:
                time.sleep(due - now)
            # The first writer has the service under load too.
            if writer == 0 and number // WRITERS % LIVE_SHARE == 0:
                name, addresses = "live", chance.sample(self.live, chance.randrange(1, len(self.live) + 1))
            else:
                name, addresses = chance.choice(mine), sorted(set(self.addresses(chance)))
            try:
                self.cluster.patch("EndpointSlice", "storm", f"{name}-1", {"endpoints": piece(name, addresses)["endpoints"]})
            except Exception as error:  # noqa: BLE001 - counted
                self.errors.append(repr(error))
            else:
                with self.lock:
                    self.last[name] = addresses
                    self.written += 1
            number += WRITERS


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

    storm = Storm(cluster, live)
    replicas = world.replicas.all
    cpu = [replica.cpu() for replica in replicas]
    with case.load([target, world.target()], 50) as load:
        storm.run()
        took = time.monotonic() - storm.begin
        spent = [replica.cpu() - before for replica, before in zip(replicas, cpu)]
        rate = storm.written / took
        case.figure(f"{storm.written} changes in {took:.0f} s, {rate:.0f}/s, {len(storm.errors)} refused by the API server")
        case.check("the API server took the changes", not storm.errors, storm.errors[:1] or rate)
        case.check(f"they came at {RATE}/s", rate > RATE * 0.9, f"{rate:.0f}/s")
        for replica, seconds in zip(replicas, spent):
            case.figure(f"replica {replica.name}: {100 * seconds / took:.0f} % of a core, RSS {replica.rss():.0f} MiB")

        wanted = {name: sorted(f"{address}:3000" for address in addresses) for name, addresses in storm.last.items()}
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
