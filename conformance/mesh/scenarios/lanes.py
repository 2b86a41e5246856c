"""A lane from the gateway to the last hop: dyed at the entry by header and by percent, kept on the way, back to the base where the lane has nobody, and stopped under load without an error."""

from __future__ import annotations

import http.client
import json
import re
from collections import Counter
from typing import Any

from case import Case, eventually
from isthmus import Json, make
from pod import Answer, Machine, Pod
from scenarios.chain import short
from world import LIMIT, World, of_service, route

LANE = "x-isthmus-lane"
# 60 % of 4000 is within 3 % of it in all but one of ten thousand runs.
REQUESTS = 4000


def group(lanes: list[Json], **more: Any) -> Json:
    services = [of_service("orders"), of_service("stock", "store")]
    return make("LaneGroup", "shop", "release", spec={"entries": [{"name": "edge"}], "services": services, "lanes": lanes, **more})


def gray(percent: float = 100, state: str = "Running", **dye: Any) -> Json:
    return {"name": "gray", "state": state, "dye": {"percent": percent, **dye}}


TESTERS = {"matches": [{"headers": [{"name": "x-user", "value": "tester"}]}]}


def play(world: World, case: Case) -> None:
    folder = world.isthmus.folder
    # The entry's own routes: one into the chain, and one straight to orders for counting.
    folder.put(
        "lanes-routes",
        route("shop", "lanes", {"name": "edge"}, "orders", hostnames=["orders.example.com"]),
        make("ReferenceGrant", "store", "lanes", spec={
            "from": [{"group": "isthmus.dev", "kind": "LaneGroup", "namespace": "shop"}],
            "to": [{"group": "", "kind": "Service", "name": "stock"}],
        }),
    )
    # Before there is anybody of the lane.
    folder.put("lanes", group([gray(**TESTERS)]))
    named = lambda: " ".join(one["text"] for one in world.isthmus.findings("ISM21"))  # noqa: E731
    case.eventually("services that have nobody of a lane are named before traffic starts", LIMIT, lambda: "shop/orders" in named() and "store/stock" in named())

    gray_orders = world.add(Pod("orders-gray", 30, "orders", "shop", labels={"lane": "gray"}))
    try:
        hops(world, case)
        subsets(world, case)
        percent(world, case)
        fallbacks(world, case, gray_orders)
        stop(world, case)
    finally:
        folder.drop("lanes", "lanes-routes")
        world.take("orders-gray")


def entry(world: World, hops: list[Json], host: str = "shop.example.com", **headers: str) -> list[str]:
    """The pods that a request through the gateway came by."""
    connection = http.client.HTTPConnection(world.edge.v4, 80, timeout=10)
    try:
        words = {key.replace("_", "-"): value for key, value in headers.items()}
        connection.request("GET", "/", headers={"host": host, "x-hops": json.dumps(hops), **words})
        response = connection.getresponse()
        body = response.read()
        return trail({"status": response.status, "body": json.loads(body) if response.status == 200 else body.decode()})
    finally:
        connection.close()


def trail(said: Answer) -> list[str]:
    out = []
    while said:
        if said.get("status") != 200:
            return [*out, short(said)]
        out.append(said["body"]["pod"])
        said = said["body"].get("next")
    return out


def base(pods: list[str]) -> list[str]:
    """Whichever instance of the base it was."""
    return [{"orders-1": "orders", "orders-2": "orders", "stock-1": "stock", "web-1": "web"}.get(pod, pod) for pod in pods]


def hops(world: World, case: Case) -> None:
    """Stories T24 and T25."""
    web, second = world.pods["web-1"], world.pods["orders-2"]
    chain: list[Json] = [{"url": world.orders_url()}, {"url": world.stock_url()}]
    eventually("the lane is there", LIMIT, lambda: entry(world, chain, x_user="tester")[1:2] == ["orders-gray"])
    case.equal("dyed at the gateway: gray where there is gray, base where not", base(entry(world, chain, x_user="tester")), ["web", "orders-gray", "stock"])
    for _ in range(5):
        case.equal("not dyed: base", base(entry(world, chain)), ["web", "orders", "stock"])
    case.equal("a client's own lane header is stripped at the edge", base(entry(world, chain, x_isthmus_lane="gray")), ["web", "orders", "stock"])
    case.equal("... and its baggage member", base(entry(world, chain, baggage="a=b,isthmus.lane=gray")), ["web", "orders", "stock"])
    world.add(Pod("stock-gray", 31, "stock", "store", labels={"lane": "gray"}))
    try:
        eventually("stock has the lane", LIMIT, lambda: entry(world, chain, x_user="tester") == ["web-1", "orders-gray", "stock-gray"])
        case.equal("every hop that has the lane is in it", entry(world, chain, x_user="tester"), ["web-1", "orders-gray", "stock-gray"])
        # The middle of the chain is base only, and the lane comes back behind it.
        loop: list[Json] = [{"url": world.orders_url()}, {"url": f"http://{world.vip('web')}/"}, {"url": world.stock_url()}]
        case.equal("a hop without the lane does not end it", entry(world, loop, x_user="tester"), ["web-1", "orders-gray", "web-1", "stock-gray"])
        picked: list[Json] = [{"url": f"http://{second.v4}:8080/"}, {"url": world.stock_url()}]
        case.equal("a request of the lane goes by lane, whatever instance the client picked", entry(world, picked, x_user="tester"), ["web-1", "orders-gray", "stock-gray"])
        case.equal("... without a lane to that instance", entry(world, picked)[1], "orders-2")
        forgetful = world.add(Pod("web-forgets", 32, "forget", "shop", forget=True))
        lost = trail(forgetful.call({"url": world.orders_url(), "headers": {LANE: "gray"}}, {"url": world.stock_url()}))
        case.equal("the lane of a call is the caller's to carry", lost, ["orders-gray", "stock-gray"])
        lost = trail(web.call({"url": f"http://{forgetful.v4}:8080/", "headers": {LANE: "gray"}}, {"url": world.stock_url()}))
        case.equal("... and an application that does not carry it loses it", base(lost), ["web-forgets", "stock"])
        world.take("web-forgets")
    finally:
        world.take("stock-gray")
    eventually("stock has lost the lane", LIMIT, lambda: base(entry(world, chain, x_user="tester")) == ["web", "orders-gray", "stock"])
    case.equal("back to base where the lane has nobody any more", base(entry(world, chain, x_user="tester")), ["web", "orders-gray", "stock"])


def subsets(world: World, case: Case) -> None:
    """V1, V2."""
    web = world.pods["web-1"]

    def who(**headers: str) -> set[str]:
        return {base(trail(web.call({"url": world.orders_url(), "headers": headers})))[0] for _ in range(6)}

    case.equal("lane header gray", who(**{LANE: "gray"}), {"orders-gray"})
    case.equal("lane header of a lane that is none", who(**{LANE: "purple"}), {"orders"})
    case.equal("no lane header", who(), {"orders"})
    case.equal("baggage member", who(baggage="a=b, isthmus.lane=gray;p=1,c=d"), {"orders-gray"})
    case.equal("baggage without it", who(baggage="a=b,other.isthmus.lane=gray"), {"orders"})
    case.equal("the header counts before the baggage", who(**{LANE: "base"}, baggage="isthmus.lane=gray"), {"orders"})
    for machine in (world.edge, web):
        text = json.dumps(machine.dump("dynamic_active_clusters"))
        case.check(f"{machine.name}: subsets with allow_redundant_keys", '"allow_redundant_keys": true' in text, "")


def tables(machine: Machine) -> dict[str, str]:
    return {one["route_config"]["name"]: one["version_info"] for one in machine.dump("dynamic_route_configs")}


def runtime(machine: Machine) -> float | None:
    """The percent that the proxy has of the lane."""
    entry = json.loads(machine.admin("runtime"))["entries"].get("isthmus.lane.shop.release.gray")
    found = re.search(r"number_value: (\d+)", entry["final_value"]) if entry else None
    return int(found[1]) / 10_000 if found else None


def percent(world: World, case: Case) -> None:
    """V5: the share is a runtime value."""
    folder = world.isthmus.folder
    folder.put("lanes", group([gray(20)]))
    eventually("20 % is there", LIMIT, lambda: runtime(world.edge) == 20)
    share(world)
    versions, updates = tables(world.edge), world.edge.stat_sum("rds.*update_success")
    for wanted in (20, 60):
        folder.put("lanes", group([gray(wanted)]))
        _, took = eventually(f"{wanted} % is there", LIMIT, lambda w=wanted: runtime(world.edge) == w)
        got = share(world, REQUESTS)
        at = 100 * got["orders-gray"] / sum(got.values())
        case.check(f"{wanted} % of the requests are dyed, ± 3 %", abs(at - wanted) <= 3 and set(got) <= {"orders-gray", "orders-1", "orders-2"}, f"{got['orders-gray']} of {sum(got.values())}")
        case.figure(f"{wanted} %: {got['orders-gray']} of {sum(got.values())}, {took:.1f} s after the edit")
    case.equal("no route table changed by that", tables(world.edge), versions)
    case.equal("... and none was sent", world.edge.stat_sum("rds.*update_success"), updates)


def share(world: World, count: int = 20) -> Counter[str]:
    out: Counter[str] = Counter()
    connection = http.client.HTTPConnection(world.edge.v4, 80, timeout=10)
    for _ in range(count):
        connection.request("GET", "/", headers={"host": "orders.example.com"})
        response = connection.getresponse()
        body = response.read()
        out[json.loads(body)["pod"] if response.status == 200 else f"status {response.status}"] += 1
    connection.close()
    return out


def fallbacks(world: World, case: Case, gray_orders: Pod) -> None:
    """V4, as far as a lane's members can be ill: what is not ready is not there."""
    folder = world.isthmus.folder
    folder.put("lanes", group([gray(**TESTERS)]))
    eventually("dyed by header again", LIMIT, lambda: "orders-gray" in entry(world, [{"url": world.orders_url()}], x_user="tester"))
    ready(world, gray_orders, False)
    call = lambda: base(entry(world, [{"url": world.orders_url()}], x_user="tester"))  # noqa: E731
    case.eventually("a lane whose members are not ready: base", LIMIT, lambda: call() == ["web", "orders"])
    folder.put("lanes", group([gray(**TESTERS)], onUnhealthy="Fail"))
    case.eventually("... or 503 with onUnhealthy: Fail", LIMIT, lambda: call()[1].startswith("503"))
    ready(world, gray_orders, True)
    case.eventually("ready again: gray", LIMIT, lambda: call() == ["web", "orders-gray"])
    folder.put("lanes", group([gray(**TESTERS)], onMissing="Fail"))
    chain: list[Json] = [{"url": world.orders_url()}, {"url": world.stock_url()}]
    last = lambda: base(entry(world, chain, x_user="tester"))[-1]  # noqa: E731
    case.eventually("a service without a member of the lane, with onMissing: Fail: 503", LIMIT, lambda: last().startswith("503"))
    folder.put("lanes", group([gray(**TESTERS)], edge={"acceptClientHeader": True}))
    case.eventually("a client's own header counts where the group accepts it", LIMIT, lambda: base(entry(world, [{"url": world.orders_url()}], x_isthmus_lane="gray")) == ["web", "orders-gray"])
    folder.put("lanes", group([gray(**TESTERS)]))
    case.eventually("... and no longer when it does not", LIMIT, lambda: base(entry(world, [{"url": world.orders_url()}], x_isthmus_lane="gray")) == ["web", "orders"])


def ready(world: World, pod: Pod, good: bool) -> None:
    """As its readiness probe would have it."""
    world.tell_pods()
    text = (world.isthmus.folder.path / "pods.yaml").read_text()
    documents = [json.loads(part) for part in text.split("\n---\n")]
    for document in documents:
        for end in document.get("endpoints", []):
            if end["targetRef"]["name"] == pod.name:
                end["conditions"] = {"ready": good, "serving": good, "terminating": False}
    world.isthmus.folder.put("pods", *documents)


def stop(world: World, case: Case) -> None:
    """A lane is stopped under load: the traffic goes back to the base, and nobody sees an error."""
    folder = world.isthmus.folder
    client = world.legacy
    url = f"http://{world.edge.v4}/"
    ask = lambda: base(entry(world, [], "orders.example.com", x_user="tester"))  # noqa: E731
    eventually("it runs", LIMIT, lambda: ask() == ["orders-gray"])
    with client.load(100, url, host="orders.example.com", x_user="tester") as load:
        eventually("under load", LIMIT, lambda: ask() == ["orders-gray"])
        folder.put("lanes", group([gray(0, "Stopped", **TESTERS)]))
        took = eventually("stopped", LIMIT, lambda: ask() == ["orders"])[1]
        folder.put("lanes", group([gray(100, "Running", **TESTERS)]))
        eventually("started again", LIMIT, lambda: ask() == ["orders-gray"])
        folder.drop("lanes")
        eventually("deleted", LIMIT, lambda: ask() == ["orders"])
    case.check("stopped, started, deleted under load: 0 requests failed", load.said["failed"] == 0, load.failed()[:3] or f"stopped after {took:.1f} s")
    case.check("... of which base and lane had their part", {"orders-gray"} < set(load.said["pods"]), load.said["pods"])
    case.figure(load.figures())
